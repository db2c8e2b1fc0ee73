#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "clip.h"
#include "stage/inpaint.h"

enum { SIDE = 200 };

typedef void (*Paint)(int x, int y, guint8 *rgb);

static void gradient(int x, int y, guint8 *rgb) {
  rgb[0] = (guint8)(20 + x / 2);
  rgb[1] = (guint8)(220 - y / 2);
  rgb[2] = (guint8)(60 + (x + y) / 3);
}

static void stripes(int x, int y, guint8 *rgb) {
  rgb[0] = rgb[1] = rgb[2] = (x / 8) % 2 ? 200 : 50;
}

static void texture(int x, int y, guint8 *rgb) {
  clip_background((float)x, (float)y, rgb);
}

static void horizon(int x, int y, guint8 *rgb) {
  if (y < SIDE / 2)
    gradient(x, y, rgb);
  else
    texture(x, y, rgb);
}

static Image *painted(Paint paint) {
  Image *rgb = image_new(SIDE, SIDE, 3);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      paint(x, y, image_at(rgb, x, y));
  return rgb;
}

static Image *disc(int cx, int cy, int radius) {
  Image *hole = image_new(SIDE, SIDE, 1);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      *image_at(hole, x, y) = hypot(x - cx, y - cy) <= radius ? 255 : 0;
  return hole;
}

/* PSNR of the filled part; the rest must be untouched. */
static double fill_psnr(Paint paint, int radius) {
  g_autoptr(Image) truth = painted(paint), hole = disc(SIDE / 2, SIDE / 2, radius), rgb = image_copy(truth);
  for (int i = 0; i < SIDE * SIDE; i++)
    if (hole->pixels[i])
      memset(rgb->pixels + i * 3, i % 256, 3);
  inpaint_fill(rgb, hole);
  assert_true(clip_psnr(rgb, truth, hole, 0) > 98);
  double psnr = clip_psnr(rgb, truth, hole, 255);
  print_message("  %.1f dB\n", psnr);
  return psnr;
}

static void fills_gradients(void **state) {
  assert_true(fill_psnr(gradient, 40) > 40);
}

static void continues_stripes(void **state) {
  assert_true(fill_psnr(stripes, 30) > 35);
}

static void continues_a_horizon(void **state) {
  assert_true(fill_psnr(horizon, 40) > 20);
}

/* No filler knows a random texture, but it can have the texture's contrast and mean. */
static void invents_texture(void **state) {
  g_autoptr(Image) rgb = painted(texture), hole = disc(100, 100, 40);
  for (int i = 0; i < SIDE * SIDE; i++)
    if (hole->pixels[i])
      memset(rgb->pixels + i * 3, 0, 3);
  inpaint_fill(rgb, hole);
  double sum[2] = {0}, squares[2] = {0}, n[2] = {0};
  for (int i = 0; i < SIDE * SIDE; i++) {
    int k = hole->pixels[i] > 0;
    n[k]++;
    sum[k] += rgb->pixels[i * 3 + 1];
    squares[k] += rgb->pixels[i * 3 + 1] * rgb->pixels[i * 3 + 1];
  }
  double deviation[2], mean[2];
  for (int k = 0; k < 2; k++) {
    mean[k] = sum[k] / n[k];
    deviation[k] = sqrt(squares[k] / n[k] - mean[k] * mean[k]);
  }
  print_message("  mean %.0f, inside %.0f; deviation %.1f, inside %.1f\n", mean[0], mean[1], deviation[0],
                deviation[1]);
  assert_true(fabs(mean[0] - mean[1]) < 12);
  assert_true(deviation[1] > 0.6 * deviation[0]);
}

static void survives_anything(void **state) {
  g_autoptr(Image) rgb = painted(texture), before = image_copy(rgb), none = image_new(SIDE, SIDE, 1);
  inpaint_fill(rgb, none);
  assert_memory_equal(rgb->pixels, before->pixels, SIDE * SIDE * 3);
  g_autoptr(Image) all = image_new(SIDE, SIDE, 1);
  memset(all->pixels, 255, SIDE * SIDE);
  inpaint_fill(rgb, all);
  assert_int_equal(rgb->pixels[0], 128);
  g_autoptr(Image) dot = image_new(1, 1, 3), hole = image_new(1, 1, 1);
  hole->pixels[0] = 255;
  inpaint_fill(dot, hole);
  g_autoptr(Image) thin = image_new(3, 90, 3), gap = image_new(3, 90, 1);
  memset(thin->pixels, 77, 3 * 90 * 3);
  for (int y = 30; y < 60; y++)
    memset(image_at(gap, 0, y), 255, 3);
  memset(image_at(thin, 0, 30), 0, 30 * 9);
  inpaint_fill(thin, gap);
  assert_int_equal(*image_at(thin, 1, 45), 77);
}

static void repeats_itself(void **state) {
  g_autoptr(Image) first = painted(horizon), second = image_copy(first), hole = disc(90, 110, 45);
  inpaint_fill(first, hole);
  inpaint_fill(second, hole);
  assert_memory_equal(first->pixels, second->pixels, SIDE * SIDE * 3);
}

static void spans_a_membrane(void **state) {
  g_autoptr(Plane) plane = plane_new(61, 47), weight = plane_new(61, 47);
  for (int y = 0; y < 47; y++)
    for (int x = 0; x < 61; x++) {
      gboolean known = hypot(x - 30, y - 24) > 18;
      *plane_at(weight, x, y) = known;
      *plane_at(plane, x, y) = known ? 3 * (float)x - 2 * (float)y : -1e4f;
    }
  inpaint_membrane(plane, weight);
  for (int y = 0; y < 47; y++)
    for (int x = 0; x < 61; x++) /* a linear function is its own membrane */
      assert_float_equal(*plane_at(plane, x, y), 3 * x - 2 * y, 0.5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fills_gradients),     cmocka_unit_test(continues_stripes),
      cmocka_unit_test(continues_a_horizon), cmocka_unit_test(invents_texture),
      cmocka_unit_test(survives_anything),   cmocka_unit_test(repeats_itself),
      cmocka_unit_test(spans_a_membrane),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
