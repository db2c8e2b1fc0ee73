/* Blur, distance, morphology and regions against their definitions, written out slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/plane.h"
#include <float.h>
#include <math.h>

static Plane *speckles(int width, int height, guint32 seed, float share) {
  Plane *plane = plane_new(width, height);
  g_autoptr(GRand) random = g_rand_new_with_seed(seed);
  for (int i = 0; i < width * height; i++)
    plane->v[i] = g_rand_double(random) < share ? 1.0f : 0.0f;
  return plane;
}

static void box_is_the_mean_of_the_clamped_window(void **state) {
  for (int radius = 1; radius < 12; radius += 3) {
    g_autoptr(Plane) plane = speckles(23, 17, 7, 0.3f);
    g_autoptr(Plane) box = plane_copy(plane);
    plane_box(box, radius);
    for (int y = 0; y < 17; y++)
      for (int x = 0; x < 23; x++) {
        double sum = 0;
        for (int j = -radius; j <= radius; j++)
          for (int i = -radius; i <= radius; i++)
            sum += *plane_at(plane, CLAMP(x + i, 0, 22), CLAMP(y + j, 0, 16));
        assert_float_equal(*plane_at(box, x, y), sum / ((2 * radius + 1) * (2 * radius + 1)), 1e-5);
      }
  }
}

static void blur_has_the_variance_it_was_asked_for(void **state) {
  const float sigmas[] = {0.8f, 2.0f, 3.5f, 9.0f};
  for (gsize s = 0; s < G_N_ELEMENTS(sigmas); s++) {
    g_autoptr(Plane) plane = plane_new(121, 121);
    *plane_at(plane, 60, 60) = 1;
    plane_blur(plane, sigmas[s]);
    double total = 0, variance = 0;
    for (int y = 0; y < 121; y++)
      for (int x = 0; x < 121; x++) {
        total += *plane_at(plane, x, y);
        variance += *plane_at(plane, x, y) * (x - 60) * (x - 60);
      }
    assert_float_equal(total, 1, 1e-4);
    assert_float_equal(sqrt(variance), sigmas[s], 0.06 * sigmas[s]);
  }
}

static void distance_is_exact_and_names_the_nearest(void **state) {
  g_autoptr(Plane) plane = speckles(40, 31, 3, 0.01f);
  g_autofree int *nearest = g_new(int, 40 * 31);
  g_autoptr(Plane) distance = plane_distance(plane, 0.5f, nearest);
  for (int y = 0; y < 31; y++)
    for (int x = 0; x < 40; x++) {
      double best = DBL_MAX;
      for (int i = 0; i < 40 * 31; i++)
        if (plane->v[i] >= 0.5f)
          best = MIN(best, hypot(x - i % 40, y - i / 40));
      int site = nearest[y * 40 + x];
      assert_float_equal(*plane_at(distance, x, y), best, 1e-4);
      assert_true(plane->v[site] >= 0.5f);
      assert_float_equal(hypot(x - site % 40, y - site / 40), best, 1e-4);
    }
}

static void distance_to_nothing_is_infinite(void **state) {
  g_autoptr(Plane) plane = plane_new(5, 4);
  int nearest[20];
  g_autoptr(Plane) distance = plane_distance(plane, 0.5f, nearest);
  for (int i = 0; i < 20; i++) {
    assert_true(distance->v[i] == FLT_MAX);
    assert_int_equal(nearest[i], -1);
  }
}

static void closing_fills_a_crack_and_opening_removes_a_hair(void **state) {
  g_autoptr(Plane) plane = plane_new(40, 40);
  for (int y = 10; y < 30; y++)
    for (int x = 10; x < 30; x++)
      *plane_at(plane, x, y) = x != 20;
  for (int x = 30; x < 38; x++)
    *plane_at(plane, x, 20) = 1;
  plane_close(plane, 2);
  assert_true(*plane_at(plane, 20, 20) == 1);
  plane_open(plane, 3);
  assert_true(*plane_at(plane, 20, 20) == 1);
  assert_true(*plane_at(plane, 35, 20) == 0);
  assert_true(*plane_at(plane, 12, 20) == 1);
}

static void regions_are_counted_and_measured(void **state) {
  const char *picture = "##..#"
                        "#.#.#"
                        "###.."
                        "....#";
  g_autoptr(Plane) plane = plane_new(5, 4);
  for (int i = 0; i < 20; i++)
    plane->v[i] = picture[i] == '#';
  int labels[20];
  g_autofree int *sizes = NULL;
  assert_int_equal(plane_regions(plane, 0.5f, labels, &sizes), 3);
  assert_int_equal(labels[0], labels[7]);
  assert_int_not_equal(labels[0], labels[4]);
  assert_int_equal(sizes[labels[0]], 7);
  assert_int_equal(sizes[labels[4]], 2);
  assert_int_equal(sizes[labels[19]], 1);
}

static void shrinking_keeps_the_mean(void **state) {
  g_autoptr(Plane) plane = speckles(50, 37, 5, 0.4f);
  g_autoptr(Plane) small = plane_resize(plane, 13, 9);
  double before = 0, after = 0;
  for (int i = 0; i < 50 * 37; i++)
    before += plane->v[i] / (50 * 37);
  for (int i = 0; i < 13 * 9; i++)
    after += small->v[i] / (13 * 9);
  assert_float_equal(before, after, 1e-4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(box_is_the_mean_of_the_clamped_window),
      cmocka_unit_test(blur_has_the_variance_it_was_asked_for),
      cmocka_unit_test(distance_is_exact_and_names_the_nearest),
      cmocka_unit_test(distance_to_nothing_is_infinite),
      cmocka_unit_test(closing_fills_a_crack_and_opening_removes_a_hair),
      cmocka_unit_test(regions_are_counted_and_measured),
      cmocka_unit_test(shrinking_keeps_the_mean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
