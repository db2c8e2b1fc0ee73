/* The sizes at which pictures are learnt from, and what is said about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "identity/sampling/noise.h"
#include "identity/training/buckets.h"
#include "identity/training/caption_template.h"
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static void known_sizes(void **state) {
  static const struct {
    int width, height, resolution, bucket_width, bucket_height;
  } cases[] = {
      {512, 512, 512, 512, 512},  {4000, 3000, 1024, 1168, 896}, {3000, 4000, 1024, 896, 1168},
      {128, 128, 512, 128, 128},  {130, 140, 512, 128, 128},     {1920, 1080, 512, 672, 384},
      {16, 16, 16, 16, 16},       {17, 31, 1024, 16, 16},        {800, 100, 256, 736, 80},
      {8192, 1024, 128, 368, 32},
  };
  g_autoptr(GError) error = NULL;
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    Bucket bucket;
    must(bucket_plan(cases[i].width, cases[i].height, cases[i].resolution, &bucket, &error));
    if (bucket.width != cases[i].bucket_width || bucket.height != cases[i].bucket_height)
      fail_msg("%d x %d at %d became %d x %d", cases[i].width, cases[i].height, cases[i].resolution,
               bucket.width, bucket.height);
  }
}

/* The rules, on any size: against all roundings that there are. */
static void every_size_keeps_the_rules(void **state) {
  enum { COUNT = 3000 };
  g_autofree float *uniform = g_new(float, 3 * COUNT);
  noise_uniform(4, 0, 3 * COUNT, uniform);
  for (int i = 0; i < COUNT; i++) {
    gint64 width = (gint64)exp(log(16) + (double)uniform[3 * i] * log(400)), resolution, height;
    height = (gint64)((double)width * exp(((double)uniform[3 * i + 1] - .5) * 4));
    resolution = 16 + (gint64)((double)uniform[3 * i + 2] * 1500);
    g_autoptr(GError) error = NULL;
    Bucket b;
    if (height < 16)
      continue;
    must(bucket_plan(width, height, resolution, &b, &error));
    assert_true(b.width % 16 == 0 && b.height % 16 == 0 && b.width >= 16 && b.height >= 16);
    assert_true((gint64)b.width * b.height <= resolution * resolution);
    assert_true(b.scaled_width <= width && b.scaled_height <= height);
    assert_true(b.x >= 0 && b.y >= 0 && b.x + b.width <= b.scaled_width && b.y + b.height <= b.scaled_height);
    /* One side fits exactly, so that no more is cut off than must be. */
    assert_true(b.scaled_width == b.width || b.scaled_height == b.height);
  }
}

static void hostile_sizes_are_refused(void **state) {
  static const gint64 sizes[][3] = {
      {0, 0, 512},           {-5, 100, 512},        {15, 100, 512},
      {100, 0, 512},         {G_MAXINT64, 16, 512}, {G_MAXINT64, G_MAXINT64, 512},
      {G_MININT64, 1, 512},  {16, 129, 512},        {100, 100, 0},
      {100, 100, -16},       {100, 100, 15},        {100, 100, 4097},
      {100, 100, G_MAXINT64}};
  for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autoptr(GError) error = NULL;
    Bucket bucket;
    assert_false(bucket_plan(sizes[i][0], sizes[i][1], sizes[i][2], &bucket, &error));
    assert_non_null(error);
  }
}

static void pictures_are_cut_to_the_middle(void **state) {
  g_autoptr(Image) picture = image_new(96, 33, 3);
  for (int y = 0; y < 33; y++)
    for (int x = 0; x < 96; x++)
      image_at(picture, x, y)[0] = (guint8)(2 * x);
  g_autoptr(GError) error = NULL;
  Bucket bucket;
  must(bucket_plan(96, 33, 512, &bucket, &error));
  g_autoptr(Image) cut = bucket_cut(&bucket, picture);
  assert_int_equal(cut->width, 96);
  assert_int_equal(cut->height, 32);
  assert_true(abs(image_at(cut, 50, 16)[0] - 100) <= 1);
}

static void assert_caption(const char *given, const char *expected) {
  g_autofree char *caption = caption_template(given, "zqx", "woman", 0);
  assert_string_equal(caption, expected);
}

static void captions_name_the_character(void **state) {
  assert_caption(NULL, "a picture of zqx woman");
  assert_caption("", "a picture of zqx woman");
  assert_caption("a portrait of [trigger] in the park", "a portrait of zqx in the park");
  assert_caption("a woman on the beach", "a zqx woman on the beach");
  assert_caption("zqx woman on the beach", "zqx woman on the beach");
  g_autofree char *plain = caption_template(NULL, "zqx", NULL, 1);
  assert_string_equal(plain, "zqx");
}

static void captions_come_from_files(void **state) {
  g_autofree char *folder = g_dir_make_tmp("troupe-XXXXXX", NULL),
                  *picture = g_build_filename(folder, "a.b.png", NULL),
                  *text = g_build_filename(folder, "a.b.txt", NULL);
  g_autoptr(GError) error = NULL;
  g_autofree char *caption = NULL;
  must(caption_beside(picture, &caption, &error));
  assert_null(caption);
  assert_true(g_file_set_contents(text, "  in the park \n", -1, NULL));
  must(caption_beside(picture, &caption, &error));
  assert_string_equal(caption, "in the park");
  g_autofree char *read = caption_read(text, &error), *said = caption_read("said so", &error), *none = NULL;
  assert_string_equal(read, "in the park");
  assert_string_equal(said, "said so");
  assert_true(g_file_set_contents(text, "\xff\xfe", 2, NULL));
  assert_false(caption_beside(picture, &none, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  g_clear_error(&error);
  assert_true(g_file_set_contents(text, "a\0b", 3, NULL));
  assert_false(caption_beside(picture, &none, &error));
  g_unlink(text);
  g_rmdir(folder);
}

static void triggers_are_words(void **state) {
  assert_true(caption_check_trigger("zqx", NULL));
  assert_true(caption_check_trigger("ohwx-2", NULL));
  static const char *const bad[] = {"",     "two words", "a/b",
                                    "\xff", "[x]",       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_false(caption_check_trigger(bad[i], NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_sizes),
      cmocka_unit_test(every_size_keeps_the_rules),
      cmocka_unit_test(hostile_sizes_are_refused),
      cmocka_unit_test(pictures_are_cut_to_the_middle),
      cmocka_unit_test(captions_name_the_character),
      cmocka_unit_test(captions_come_from_files),
      cmocka_unit_test(triggers_are_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
