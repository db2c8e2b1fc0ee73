/* Pictures in every dress that the three formats give them, and what is refused. libvips makes the files. */
#include "material.h"
#include "media/picture.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <vips/vips.h>

/* 24 x 16: red left half, blue right half, and a white corner of 8 x 8 at the top left. */
static VipsImage *sample(void) {
  static guint8 pixels[16][24][3];
  for (int y = 0; y < 16; y++)
    for (int x = 0; x < 24; x++) {
      gboolean white = x < 8 && y < 8;
      pixels[y][x][0] = white || x < 12 ? 255 : 0;
      pixels[y][x][1] = white ? 255 : 0;
      pixels[y][x][2] = white || x >= 12 ? 255 : 0;
    }
  VipsImage *raw = vips_image_new_from_memory(pixels, sizeof pixels, 24, 16, 3, VIPS_FORMAT_UCHAR),
            *image = NULL;
  assert_int_equal(vips_copy(raw, &image, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), 0);
  g_object_unref(raw);
  return image;
}

/* What a call of libvips made; its input is let go. */
static VipsImage *made(VipsImage *from, int code, VipsImage **to) {
  if (code)
    fail_msg("%s", vips_error_buffer());
  g_object_unref(from);
  return *to;
}

/* Takes image over. */
static void save(VipsImage *image, const char *name) {
  g_autofree char *path = material_path(name);
  if (vips_image_write_to_file(image, path, NULL))
    fail_msg("%s", vips_error_buffer());
  g_object_unref(image);
}

static Image *load(const char *name) {
  g_autofree char *path = material_path(name);
  g_autoptr(GError) error = NULL;
  Image *image = picture_load(path, &error);
  if (!image)
    fail_msg("%s", error->message);
  return image;
}

static void expect_pixel(const Image *image, int x, int y, int r, int g, int b, int tolerance) {
  const guint8 *p = image_at(image, x, y);
  if (abs(p[0] - r) > tolerance || abs(p[1] - g) > tolerance || abs(p[2] - b) > tolerance)
    fail_msg("pixel %d,%d is %d %d %d, not %d %d %d", x, y, p[0], p[1], p[2], r, g, b);
}

static void expect_sample(const char *name, int tolerance) {
  g_autoptr(Image) image = load(name);
  assert_int_equal(image->width, 24);
  assert_int_equal(image->height, 16);
  assert_int_equal(image->channels, 3);
  expect_pixel(image, 3, 3, 255, 255, 255, tolerance);
  expect_pixel(image, 4, 13, 255, 0, 0, tolerance);
  expect_pixel(image, 20, 5, 0, 0, 255, tolerance);
}

static void the_three_formats_are_read(void **state) {
  save(sample(), "a.png");
  save(sample(), "a.jpg[Q=100,subsample-mode=off]");
  save(sample(), "a.webp[lossless]");
  expect_sample("a.png", 0);
  expect_sample("a.jpg", 3);
  expect_sample("a.webp", 0);
}

static void content_decides_not_the_name(void **state) {
  save(sample(), "b.png");
  g_autoptr(GByteArray) bytes = material_read("b.png");
  material_write("b.jpg", bytes->data, bytes->len);
  expect_sample("b.jpg", 0);
}

/* Each orientation is stored so that the viewer sees the sample again. */
static void exif_orientation_is_applied(void **state) {
  for (int orientation = 1; orientation <= 8; orientation++) {
    VipsImage *image = sample(), *out = NULL;
    static const struct {
      gboolean flip; /* left and right, after the turn back */
      VipsAngle back;
    } stored[9] = {{0},
                   {FALSE, VIPS_ANGLE_D0},
                   {TRUE, VIPS_ANGLE_D0},
                   {FALSE, VIPS_ANGLE_D180},
                   {TRUE, VIPS_ANGLE_D180},
                   {TRUE, VIPS_ANGLE_D90},
                   {FALSE, VIPS_ANGLE_D270},
                   {TRUE, VIPS_ANGLE_D270},
                   {FALSE, VIPS_ANGLE_D90}};
    image = made(image, vips_rot(image, &out, stored[orientation].back, NULL), &out);
    if (stored[orientation].flip)
      image = made(image, vips_flip(image, &out, VIPS_DIRECTION_HORIZONTAL, NULL), &out);
    image = made(image, vips_copy(image, &out, NULL), &out);
    vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
    save(image, "turned.jpg[Q=100,subsample-mode=off]");
    expect_sample("turned.jpg", 6);
  }
}

static void depth_and_grey_are_brought_to_bytes(void **state) {
  VipsImage *image = sample(), *out = NULL;
  save(made(image, vips_colourspace(image, &out, VIPS_INTERPRETATION_RGB16, NULL), &out), "deep.png");
  expect_sample("deep.png", 0);
  image = sample();
  save(made(image, vips_extract_band(image, &out, 0, NULL), &out), "grey.png");
  g_autoptr(Image) grey = load("grey.png");
  assert_int_equal(grey->channels, 3);
  expect_pixel(grey, 4, 13, 255, 255, 255, 0);
  expect_pixel(grey, 20, 13, 0, 0, 0, 0);
  image = sample();
  save(made(image, vips_extract_band(image, &out, 0, NULL), &out), "grey.jpg[Q=100]");
  g_autoptr(Image) jpeg = load("grey.jpg");
  assert_int_equal(jpeg->channels, 3);
  save(sample(), "palette.png[palette,colours=4,dither=0]");
  expect_sample("palette.png", 8);
  image = sample();
  image = made(image, vips_extract_band(image, &out, 1, NULL), &out);
  save(made(image, vips_cast(image, &out, VIPS_FORMAT_UCHAR, NULL), &out), "bit.png[bitdepth=1]");
  g_autoptr(Image) bit = load("bit.png");
  expect_pixel(bit, 3, 3, 255, 255, 255, 0);
  expect_pixel(bit, 20, 13, 0, 0, 0, 0);
}

static void cmyk_is_understood(void **state) {
  VipsImage *image = sample(), *out = NULL;
  save(made(image, vips_colourspace(image, &out, VIPS_INTERPRETATION_CMYK, NULL), &out),
       "print.jpg[Q=100,strip]");
  g_autoptr(Image) read = load("print.jpg");
  assert_int_equal(read->channels, 3);
  expect_pixel(read, 3, 3, 255, 255, 255, 6);
  const guint8 *red = image_at(read, 4, 13), *blue = image_at(read, 20, 5);
  assert_true(red[0] > 180 && red[1] < 90 && red[2] < 90);
  assert_true(blue[2] > 90 && blue[0] < 90);
}

/* sRGB's 200, 100, 50 in Display P3 is a smaller triple; reading must give the sRGB values back. */
static void a_profile_is_converted_to_srgb(void **state) {
  VipsImage *black = NULL, *image = NULL, *out = NULL;
  assert_int_equal(vips_black(&black, 16, 16, "bands", 3, NULL), 0);
  double zero[3] = {0, 0, 0}, colour[3] = {200, 100, 50};
  image = made(black, vips_linear(black, &out, zero, colour, 3, NULL), &out);
  image = made(image, vips_cast(image, &out, VIPS_FORMAT_UCHAR, NULL), &out);
  image = made(image, vips_copy(image, &out, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), &out);
  image = made(image, vips_icc_transform(image, &out, "p3", "input_profile", "srgb", NULL), &out);
  save(image, "wide.png");
  g_autoptr(Image) read = load("wide.png");
  expect_pixel(read, 8, 8, 200, 100, 50, 2);
}

static void a_broken_profile_is_left_out(void **state) {
  VipsImage *out = NULL, *image = sample();
  image = made(image, vips_copy(image, &out, NULL), &out);
  static const char nonsense[] = "this is no profile";
  vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, nonsense, sizeof nonsense);
  save(image, "broken-profile.jpg[Q=100,subsample-mode=off]");
  expect_sample("broken-profile.jpg", 3);
}

static VipsImage *with_alpha(double constant) {
  VipsImage *image = sample(), *out = NULL;
  return made(image, vips_bandjoin_const1(image, &out, constant, NULL), &out);
}

static void alpha_is_kept_where_it_says_something(void **state) {
  static const char *const names[] = {"clear.png", "clear.webp[lossless]"};
  static const char *const plain[] = {"clear.png", "clear.webp"};
  for (int i = 0; i < 2; i++) {
    save(with_alpha(128), names[i]);
    g_autoptr(Image) image = load(plain[i]);
    assert_int_equal(image->channels, 4);
    expect_pixel(image, 4, 13, 255, 0, 0, 0);
    assert_int_equal(image_at(image, 4, 13)[3], 128);
    save(with_alpha(255), names[i]);
    expect_sample(plain[i], 0);
  }
}

static void deep_and_palette_alpha_are_bytes(void **state) {
  VipsImage *image = with_alpha(128), *out = NULL;
  save(made(image, vips_colourspace(image, &out, VIPS_INTERPRETATION_RGB16, NULL), &out), "deep-alpha.png");
  g_autoptr(Image) deep = load("deep-alpha.png");
  assert_int_equal(deep->channels, 4);
  assert_in_range(image_at(deep, 4, 13)[3], 127, 128);
  expect_pixel(deep, 4, 13, 255, 0, 0, 0);
  save(with_alpha(128), "palette-alpha.png[palette]");
  g_autoptr(Image) palette = load("palette-alpha.png");
  assert_int_equal(palette->channels, 4);
  assert_in_range(image_at(palette, 4, 13)[3], 120, 136);
  image = with_alpha(128);
  VipsImage *grey = made(image, vips_colourspace(image, &out, VIPS_INTERPRETATION_B_W, NULL), &out);
  assert_int_equal(vips_image_get_bands(grey), 2);
  save(grey, "grey-alpha.png");
  g_autoptr(Image) two = load("grey-alpha.png");
  assert_int_equal(two->channels, 4);
  assert_int_equal(image_at(two, 4, 13)[3], 128);
}

/* ---- refusals ---- */

static void refuse(const char *name, Fault kind) {
  g_autofree char *path = material_path(name);
  g_autoptr(GError) error = NULL;
  Image *image = picture_load(path, &error);
  if (image)
    fail_msg("%s was read", name);
  material_expect_fault(&error, kind, name);
}

static void what_is_no_picture_is_refused(void **state) {
  static const char svg[] = "<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'></svg>";
  static const char ppm[] = "P6 2 2 255 abcdefghijkl";
  static const char gif[] = "GIF89a\1\0\1\0\0\0\0;";
  material_write("a.svg", svg, sizeof svg - 1);
  material_write("ppm.png", ppm, sizeof ppm - 1);
  material_write("gif.png", gif, sizeof gif - 1);
  material_write("empty.png", "", 0);
  refuse("a.svg", FAULT_INPUT);
  refuse("ppm.png", FAULT_INPUT);
  refuse("gif.png", FAULT_INPUT);
  refuse("empty.png", FAULT_INPUT);
  refuse("missing.png", FAULT_INPUT);
  refuse(".", FAULT_INPUT);
  g_autofree char *path = material_path("gif.png");
  g_autoptr(GError) error = NULL;
  assert_null(picture_load(path, &error));
  assert_true(g_str_has_suffix(error->message, "gif.png is not a PNG, JPEG or WebP picture."));
}

/* Noise, so that every part of the file matters. */
static void cut_off_files_are_refused(void **state) {
  static const char *const names[][2] = {
      {"cut.png", "cut.png"}, {"cut.jpg", "cut.jpg[Q=95]"}, {"cut.webp", "cut.webp[Q=90]"}};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    VipsImage *noise = NULL, *out = NULL;
    assert_int_equal(vips_gaussnoise(&noise, 200, 150, "mean", 128.0, "sigma", 60.0, NULL), 0);
    save(made(noise, vips_cast(noise, &out, VIPS_FORMAT_UCHAR, NULL), &out), names[i][1]);
    g_autoptr(GByteArray) bytes = material_read(names[i][0]);
    static const int parts[] = {1, 3, 6, 9};
    for (guint k = 0; k < G_N_ELEMENTS(parts); k++) {
      material_write(names[i][0], bytes->data, bytes->len * (guint)parts[k] / 10);
      refuse(names[i][0], FAULT_INPUT);
    }
    material_write(names[i][0], bytes->data, 12);
    refuse(names[i][0], FAULT_INPUT);
  }
}

static guint32 crc(const guint8 *bytes, gsize size) {
  guint32 value = 0xffffffff;
  for (gsize i = 0; i < size; i++) {
    value ^= bytes[i];
    for (int bit = 0; bit < 8; bit++)
      value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value;
}

static void bombs_are_refused_by_their_header(void **state) {
  save(sample(), "bomb.png");
  g_autoptr(GByteArray) bytes = material_read("bomb.png");
  guint32 size = GUINT32_TO_BE(60000);
  memcpy(bytes->data + 16, &size, 4);
  memcpy(bytes->data + 20, &size, 4);
  guint32 sum = GUINT32_TO_BE(crc(bytes->data + 12, 17));
  memcpy(bytes->data + 29, &sum, 4);
  material_write("bomb.png", bytes->data, bytes->len);
  refuse("bomb.png", FAULT_LIMIT);

  g_autofree char *path = material_path("heavy.png");
  FILE *file = fopen(path, "w");
  fwrite(bytes->data, 1, 8, file);
  fseek(file, PICTURE_MAX_BYTES, SEEK_SET);
  fputc(0, file);
  fclose(file);
  refuse("heavy.png", FAULT_LIMIT);
}

/* ---- writing ---- */

static Image *gradient(int channels) {
  Image *image = image_new(64, 48, channels);
  for (int y = 0; y < 48; y++)
    for (int x = 0; x < 64; x++)
      for (int c = 0; c < channels; c++)
        image_at(image, x, y)[c] = (guint8)(c == 3 ? 100 + y : 2 * x + y * c);
  return image;
}

static void what_is_written_is_read_again(void **state) {
  static const char *const names[] = {"w.png", "w.webp", "w.jpg"};
  for (int i = 0; i < 3; i++)
    for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
      g_autoptr(Image) image = gradient(channels);
      g_autofree char *path = material_path(names[i]);
      assert_true(picture_save(image, path, NULL));
      g_autoptr(Image) read = load(names[i]);
      assert_int_equal(read->channels, channels == 4 && i < 2 ? 4 : 3);
      g_autoptr(Image) want = image_convert(image, read->channels);
      double sum = 0;
      gsize count = (gsize)(64 * 48 * read->channels);
      for (gsize k = 0; k < count; k++)
        sum += abs(want->pixels[k] - read->pixels[k]);
      if (i == 0)
        assert_float_equal(sum, 0, 0);
      else if (channels != 4)
        assert_true(sum / (double)count < 4);
    }
}

static void writing_is_repeatable(void **state) {
  static const char *const suffixes[] = {"png", "webp", "jpg"};
  for (int i = 0; i < 3; i++) {
    g_autoptr(Image) image = gradient(3);
    g_autofree char *name = g_strdup_printf("r.%s", suffixes[i]), *path = material_path(name);
    assert_true(picture_save(image, path, NULL));
    g_autoptr(GByteArray) one = material_read(name);
    assert_true(picture_save(image, path, NULL));
    g_autoptr(GByteArray) two = material_read(name);
    assert_int_equal(one->len, two->len);
    assert_memory_equal(one->data, two->data, one->len);
  }
}

static void refuse_to_save(const char *name) {
  g_autoptr(Image) image = gradient(3);
  g_autofree char *path = material_path(name), *base = g_path_get_basename(name);
  g_autoptr(GError) error = NULL;
  assert_false(picture_save(image, path, &error));
  material_expect_fault(&error, FAULT_OUTPUT, base);
}

static void places_that_cannot_be_written_are_named(void **state) {
  material_write("file", "x", 1);
  refuse_to_save("absent/a.png");
  refuse_to_save("file/a.png");
  refuse_to_save("a.bmp");
  int before = material_count();
  struct rlimit old;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, old.rlim_max}), 0);
  g_autoptr(Image) image = gradient(3);
  g_autofree char *path = material_path("full.png");
  g_autoptr(GError) error = NULL;
  gboolean saved = picture_save(image, path, &error);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  assert_false(saved);
  material_expect_fault(&error, FAULT_OUTPUT, "full.png");
  assert_int_equal(material_count(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_three_formats_are_read),
      cmocka_unit_test(content_decides_not_the_name),
      cmocka_unit_test(exif_orientation_is_applied),
      cmocka_unit_test(depth_and_grey_are_brought_to_bytes),
      cmocka_unit_test(cmyk_is_understood),
      cmocka_unit_test(a_profile_is_converted_to_srgb),
      cmocka_unit_test(a_broken_profile_is_left_out),
      cmocka_unit_test(alpha_is_kept_where_it_says_something),
      cmocka_unit_test(deep_and_palette_alpha_are_bytes),
      cmocka_unit_test(what_is_no_picture_is_refused),
      cmocka_unit_test(cut_off_files_are_refused),
      cmocka_unit_test(bombs_are_refused_by_their_header),
      cmocka_unit_test(what_is_written_is_read_again),
      cmocka_unit_test(writing_is_repeatable),
      cmocka_unit_test(places_that_cannot_be_written_are_named),
  };
  return cmocka_run_group_tests(tests, material_setup, material_teardown);
}
