/* Resizing and converting of pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/image.h"
#include <string.h>

static void growing_a_flat_picture_stays_flat(void **state) {
  g_autoptr(Image) image = image_new(3, 2, 3);
  memset(image->pixels, 77, 18);
  g_autoptr(Image) large = image_resize(image, 41, 29);
  for (int i = 0; i < 41 * 29 * 3; i++)
    assert_int_equal(large->pixels[i], 77);
}

static void shrinking_averages_what_is_covered(void **state) {
  g_autoptr(Image) image = image_new(4, 2, 1);
  memcpy(image->pixels, (guint8[]){0, 100, 200, 40, 20, 80, 0, 0}, 8);
  g_autoptr(Image) half = image_resize(image, 2, 1);
  assert_int_equal(half->pixels[0], 50);
  assert_int_equal(half->pixels[1], 60);
}

static void clear_pixels_do_not_colour_their_neighbours(void **state) {
  g_autoptr(Image) image = image_new(2, 1, 4);
  memcpy(image->pixels, (guint8[]){200, 10, 30, 255, 0, 255, 0, 0}, 8);
  g_autoptr(Image) one = image_resize(image, 1, 1);
  assert_memory_equal(one->pixels, ((guint8[]){200, 10, 30, 128}), 4);
}

static void a_crop_is_clipped(void **state) {
  g_autoptr(Image) image = image_new(4, 3, 1);
  for (int i = 0; i < 12; i++)
    image->pixels[i] = (guint8)i;
  g_autoptr(Image) part = image_crop(image, 2, 1, 100, 100);
  assert_int_equal(part->width, 2);
  assert_int_equal(part->height, 2);
  assert_memory_equal(part->pixels, ((guint8[]){6, 7, 10, 11}), 4);
  assert_null(image_crop(image, 4, 0, 3, 3));
}

static void luma_of_white_is_white(void **state) {
  g_autoptr(Image) image = image_new(1, 1, 3);
  memset(image->pixels, 255, 3);
  g_autoptr(Image) grey = image_convert(image, 1);
  assert_int_equal(grey->pixels[0], 255);
  g_autoptr(Image) rgba = image_convert(grey, 4);
  assert_memory_equal(rgba->pixels, ((guint8[]){255, 255, 255, 255}), 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(growing_a_flat_picture_stays_flat),
      cmocka_unit_test(shrinking_averages_what_is_covered),
      cmocka_unit_test(clear_pixels_do_not_colour_their_neighbours),
      cmocka_unit_test(a_crop_is_clipped),
      cmocka_unit_test(luma_of_white_is_white),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
