/* Masks in a file: several streams, gaps, exact bytes. */
#include "material.h"
#include "media/grey_video.h"

#include <string.h>

/* A mask that tells its stream and index. */
static Image *mask_of(int stream, gint64 index) {
  Image *mask = image_new(75, 51, 1);
  for (int y = 0; y < 51; y++)
    for (int x = 0; x < 75; x++)
      *image_at(mask, x, y) = (guint8)(x < 20 + index ? 255 : (x * y * (stream + 1) + index) & 255);
  return mask;
}

/* Stream s has a mask at index i where i % (s + 1) is 0. */
static gboolean write_masks(const char *name, GError **error) {
  g_autofree char *path = material_path(name);
  g_autoptr(GreyVideoOut) out = grey_video_out_open(path, 75, 51, 3, error);
  if (!out)
    return FALSE;
  for (gint64 i = 0; i < 25; i++)
    for (int s = 0; s < 3; s++) {
      g_autoptr(Image) mask = mask_of(s, i);
      if (i % (s + 1) == 0 && !grey_video_out_write(out, s, i, mask, error))
        return FALSE;
    }
  return grey_video_out_finish(out, error);
}

static void masks_come_back_as_they_went(void **state) {
  assert_true(write_masks("masks.mkv", NULL));
  g_autofree char *path = material_path("masks.mkv");
  g_autoptr(GError) error = NULL;
  g_autoptr(GreyVideoIn) in = grey_video_in_open(path, 0, &error);
  assert_non_null(in);
  assert_int_equal(grey_video_in_streams(in), 3);
  int stream;
  gint64 index;
  for (gint64 i = 0; i < 25; i++)
    for (int s = 0; s < 3; s++) {
      if (i % (s + 1))
        continue;
      g_autoptr(Image) want = mask_of(s, i), got = grey_video_in_next(in, &stream, &index, &error);
      assert_non_null(got);
      assert_int_equal(stream, s);
      assert_int_equal(index, i);
      assert_int_equal(got->width, 75);
      assert_int_equal(got->channels, 1);
      assert_memory_equal(got->pixels, want->pixels, 75 * 51);
    }
  assert_null(grey_video_in_next(in, &stream, &index, &error));
  assert_null(error);
}

static void what_is_before_the_first_is_passed_over(void **state) {
  assert_true(write_masks("late.mkv", NULL));
  g_autofree char *path = material_path("late.mkv");
  g_autoptr(GreyVideoIn) in = grey_video_in_open(path, 11, NULL);
  assert_non_null(in);
  int stream, count = 0;
  gint64 index;
  for (Image *got; (got = grey_video_in_next(in, &stream, &index, NULL)); image_free(got), count++) {
    g_autoptr(Image) want = mask_of(stream, index);
    assert_true(index >= 11);
    assert_memory_equal(got->pixels, want->pixels, 75 * 51);
  }
  assert_int_equal(count, 14 + 7 + 5); /* 11 to 24; 12, 14, … 24; 12, 15, … 24 */
}

static void a_stream_may_stay_empty(void **state) {
  g_autofree char *path = material_path("sparse.mkv");
  g_autoptr(GreyVideoOut) out = grey_video_out_open(path, 75, 51, 8, NULL);
  g_autoptr(Image) mask = mask_of(7, 9000);
  assert_true(grey_video_out_write(out, 7, 9000, mask, NULL));
  assert_true(grey_video_out_finish(out, NULL));
  g_autoptr(GreyVideoIn) in = grey_video_in_open(path, 0, NULL);
  assert_int_equal(grey_video_in_streams(in), 8);
  int stream;
  gint64 index;
  g_autoptr(Image) got = grey_video_in_next(in, &stream, &index, NULL);
  assert_int_equal(stream, 7);
  assert_int_equal(index, 9000);
  assert_memory_equal(got->pixels, mask->pixels, 75 * 51);
}

static void the_same_masks_give_the_same_bytes(void **state) {
  assert_true(write_masks("one.mkv", NULL) && write_masks("two.mkv", NULL));
  g_autoptr(GByteArray) one = material_read("one.mkv"), two = material_read("two.mkv");
  assert_int_equal(one->len, two->len);
  assert_memory_equal(one->data, two->data, one->len);
}

static void other_tools_read_it(void **state) {
  assert_true(write_masks("open.mkv", NULL));
  g_autofree char *text = material_output("ffprobe -v error -select_streams v:1 -count_frames -show_entries "
                                          "stream=codec_name,pix_fmt,nb_read_frames "
                                          "-of csv=p=0 open.mkv");
  assert_string_equal(g_strchomp(text), "ffv1,gray,13");
}

static void mistakes_and_damage_are_named(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = material_path("wrong.mkv");
  {
    g_autoptr(GreyVideoOut) out = grey_video_out_open(path, 75, 51, 1, NULL);
    g_autoptr(Image) large = image_new(76, 51, 1), colour = image_new(75, 51, 3);
    assert_false(grey_video_out_write(out, 0, 0, large, NULL));
    assert_false(grey_video_out_write(out, 0, 0, colour, NULL));
    g_autoptr(Image) mask = mask_of(0, 0);
    assert_false(grey_video_out_write(out, 1, 0, mask, NULL));
  }
  assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
  assert_null(grey_video_out_open(path, 75, 51, 9, NULL));
  assert_false(write_masks("absent/masks.mkv", &error));
  material_expect_fault(&error, FAULT_OUTPUT, "masks.mkv");

  material_make("-f lavfi -i testsrc2=size=96x96:rate=25:duration=0.2 -c:v mpeg4 other.mkv");
  g_autofree char *other = material_path("other.mkv");
  assert_null(grey_video_in_open(other, 0, &error));
  material_expect_fault(&error, FAULT_INPUT, "other.mkv");

  assert_true(write_masks("hurt.mkv", NULL));
  g_autoptr(GByteArray) bytes = material_read("hurt.mkv");
  for (guint i = bytes->len / 2; i < bytes->len / 2 + 400; i++)
    bytes->data[i] ^= 0x5a;
  material_write("hurt.mkv", bytes->data, bytes->len);
  g_autofree char *hurt = material_path("hurt.mkv");
  g_autoptr(GreyVideoIn) in = grey_video_in_open(hurt, 0, NULL);
  int stream;
  gint64 index;
  int count = 0;
  for (Image *mask; (mask = grey_video_in_next(in, &stream, &index, &error)); image_free(mask)) {
    assert_in_range(stream, 0, 2);
    assert_int_equal(mask->width, 75);
    count++;
  }
  assert_true(count <= 47);
  if (error)
    material_expect_fault(&error, FAULT_INPUT, "hurt.mkv");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(masks_come_back_as_they_went),
      cmocka_unit_test(what_is_before_the_first_is_passed_over),
      cmocka_unit_test(a_stream_may_stay_empty),
      cmocka_unit_test(the_same_masks_give_the_same_bytes),
      cmocka_unit_test(other_tools_read_it),
      cmocka_unit_test(mistakes_and_damage_are_named),
  };
  return cmocka_run_group_tests(tests, material_setup, material_teardown);
}
