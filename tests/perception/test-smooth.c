/* The mathematics of tracking: pairing, smoothing without delay, outliers, exchanged sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "perception/assign.h"
#include "perception/smooth.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define N 240
#define RATE 24.0

static double cheapest(const float *cost, int rows, int columns, float limit, int row, guint taken) {
  if (row == rows)
    return 0;
  double best = (double)limit + cheapest(cost, rows, columns, limit, row + 1, taken);
  for (int j = 0; j < columns; j++) {
    float c = cost[row * columns + j];
    if (!(taken >> j & 1) && c < limit)
      best = MIN(best, (double)c + cheapest(cost, rows, columns, limit, row + 1, taken | 1u << j));
  }
  return best;
}

static void pairing_is_the_cheapest(void **state) {
  g_autoptr(GRand) random = g_rand_new_with_seed(11);
  for (int round = 0; round < 400; round++) {
    int rows = g_rand_int_range(random, 0, 6), columns = g_rand_int_range(random, 0, 6), column[6];
    float cost[36], limit = 0.7f;
    guint taken = 0;
    double sum = 0;
    for (int i = 0; i < rows * columns; i++)
      cost[i] = (float)g_rand_double(random);
    assign(cost, rows, columns, limit, column);
    for (int i = 0; i < rows; i++) {
      sum += column[i] < 0 ? (double)limit : (double)cost[i * columns + column[i]];
      if (column[i] < 0)
        continue;
      assert_true(column[i] < columns && !(taken >> column[i] & 1));
      assert_true(cost[i * columns + column[i]] < limit);
      taken |= 1u << column[i];
    }
    assert_float_equal(sum, cheapest(cost, rows, columns, limit, 0, 0), 1e-5);
  }
}

static void clock_ticks(double *time_s, float *trust, int n) {
  for (int i = 0; i < n; i++)
    time_s[i] = i / RATE, trust[i] = 1;
}

/* Gain and phase of one frequency, away from the ends. */
static void response(double cutoff, double frequency, double *gain, double *phase) {
  double time_s[N], in_phase = 0, quadrature = 0;
  float trust[N], values[N];
  clock_ticks(time_s, trust, N);
  for (int i = 0; i < N; i++)
    values[i] = (float)(100 * sin(2 * G_PI * frequency * time_s[i]));
  smooth_series(time_s, trust, cutoff, N, values);
  int from = N / 4, to = N * 3 / 4, count = 0;
  for (int i = from; i < to; i++, count++) {
    in_phase += (double)values[i] * sin(2 * G_PI * frequency * time_s[i]);
    quadrature += (double)values[i] * cos(2 * G_PI * frequency * time_s[i]);
  }
  *gain = 2 * hypot(in_phase, quadrature) / count / 100;
  *phase = atan2(quadrature, in_phase);
}

static void response_is_flat_then_falls_without_delay(void **state) {
  static const double frequencies[] = {0.5, 1, 2, 3, 4, 6};
  for (gsize i = 0; i < G_N_ELEMENTS(frequencies); i++) {
    double gain, phase, expected = 1 / (1 + pow(frequencies[i] / 3, 6));
    response(3, frequencies[i], &gain, &phase);
    assert_float_equal(gain, expected, 0.03);
    if (gain > 0.05)
      assert_float_equal(phase, 0, 0.02);
  }
}

static void noise_falls_and_motion_stays(void **state) {
  double time_s[N], before = 0, after = 0;
  float trust[N], values[N], truth[N];
  g_autoptr(GRand) random = g_rand_new_with_seed(3);
  clock_ticks(time_s, trust, N);
  for (int i = 0; i < N; i++) {
    truth[i] = (float)(200 * sin(2 * G_PI * 0.8 * time_s[i]));
    values[i] = truth[i] + (float)g_rand_double_range(random, -5, 5);
    before += pow((double)(values[i] - truth[i]), 2);
  }
  smooth_series(time_s, trust, 3, N, values);
  for (int i = 0; i < N; i++)
    after += pow((double)(values[i] - truth[i]), 2);
  assert_true(after < 0.35 * before);
}

static void parabolas_pass_unchanged_and_gaps_are_filled(void **state) {
  double time_s[60];
  float trust[60], values[60], truth[60];
  for (int lost = 0; lost < 12; lost += 11) {
    clock_ticks(time_s, trust, 60);
    for (int i = 0; i < 60; i++) {
      truth[i] = (float)(3 + 40 * time_s[i] - 25 * time_s[i] * time_s[i]);
      values[i] = truth[i];
      if (i >= 25 && i < 25 + lost)
        trust[i] = 0, values[i] = NAN;
    }
    smooth_series(time_s, trust, 6, 60, values);
    for (int i = 0; i < 60; i++)
      assert_float_equal(values[i], truth[i], 0.02);
  }
}

static void short_series_are_fine(void **state) {
  double time_s[3] = {5, 5.04, 5.08};
  float one[1] = {7}, two[2] = {1, 2}, nothing[3] = {1, 2, 3}, trust[3] = {1, 1, 1}, none[3] = {0};
  smooth_series(time_s, trust, 6, 1, one);
  assert_float_equal(one[0], 7, 1e-4);
  smooth_series(time_s, trust, 6, 2, two);
  assert_float_equal(two[0], 1, 1e-2);
  assert_float_equal(two[1], 2, 1e-2);
  smooth_series(time_s, none, 6, 3, nothing);
  assert_float_equal(nothing[1], 2, 0);
  smooth_series(time_s, trust, 6, 0, nothing);
}

static void spikes_are_rejected_and_steps_are_not(void **state) {
  float values[60], trust[60];
  for (int i = 0; i < 60; i++)
    values[i] = 10 * sinf((float)i * 0.3f) + (i >= 45 ? 80 : 0), trust[i] = 1;
  values[12] += 70;
  values[30] += 60, values[31] += 62;
  smooth_reject(values, 60, 5, trust);
  for (int i = 0; i < 60; i++) {
    gboolean spike = i == 12 || i == 30 || i == 31;
    assert_true((trust[i] <= 0) == spike);
  }
}

/* A body that drifts to the right, seen from the front. */
static Pose body_at(float x) {
  Pose pose = {.score = 1, .box = {x - 50, 100, 100, 300}};
  for (int i = 0; i < POSE_LANDMARKS; i++) {
    float side = i == 0 ? 0 : i % 2 ? 1 : -1; /* odd numbers are left from the mouth on */
    pose.image[i] = (Landmark){x + 40 * side, 100 + 9 * (float)i, 5 * side, 1};
    pose.world[i] = (Landmark){0.2f * side, 0.03f * (float)i, 0.1f * side, 1};
  }
  return pose;
}

static void exchange_sides(Pose *pose) {
  for (int i = POSE_MOUTH_LEFT; i < POSE_LANDMARKS; i += 2) {
    Landmark image = pose->image[i], world = pose->world[i];
    pose->image[i] = pose->image[i + 1], pose->world[i] = pose->world[i + 1];
    pose->image[i + 1] = image, pose->world[i + 1] = world;
  }
}

static void run_exchange(int from, int to, float *sides) {
  double time_s[60];
  float trust[60];
  gboolean seen[60];
  Pose poses[60];
  clock_ticks(time_s, trust, 60);
  for (int i = 0; i < 60; i++) {
    seen[i] = TRUE;
    poses[i] = body_at(200 + (float)i);
    if (i >= from && i < to)
      exchange_sides(&poses[i]);
  }
  smooth_poses(time_s, seen, 60, poses);
  for (int i = 0; i < 60; i++)
    sides[i] = poses[i].image[POSE_LEFT_ELBOW].x - poses[i].image[POSE_RIGHT_ELBOW].x;
}

static void exchanged_sides_are_named_as_in_most_frames(void **state) {
  static const struct {
    int from, to;
    float distance;
  } runs[] = {{20, 26, 80}, {40, 60, 80}, {0, 10, 80}, {10, 60, -80}};
  float sides[60];
  for (gsize r = 0; r < G_N_ELEMENTS(runs); r++) {
    run_exchange(runs[r].from, runs[r].to, sides);
    for (int i = 0; i < 60; i++)
      assert_float_equal(sides[i], runs[r].distance, 1);
  }
}

static void unseen_poses_are_filled(void **state) {
  double time_s[40];
  float trust[40];
  gboolean seen[40];
  Pose poses[40];
  clock_ticks(time_s, trust, 40);
  for (int i = 0; i < 40; i++) {
    seen[i] = i < 15 || i >= 24;
    poses[i] = seen[i] ? body_at(100 + 3 * (float)i) : (Pose){0};
  }
  smooth_poses(time_s, seen, 40, poses);
  for (int i = 0; i < 40; i++) {
    assert_float_equal(poses[i].image[POSE_NOSE].x, 100 + 3 * (float)i, 0.5);
    assert_float_equal(poses[i].box[2], 100, 0.5);
    assert_float_equal(poses[i].world[POSE_LEFT_HIP].x, 0.2, 0.01);
  }
}

/* Before somebody is lost the network often grasps at something else; the motion must not run on across the
 * gap. */
static void a_long_gap_is_crossed_straight(void **state) {
  double time_s[80];
  float trust[80];
  gboolean seen[80];
  Pose poses[80];
  clock_ticks(time_s, trust, 80);
  for (int i = 0; i < 80; i++) {
    seen[i] = i < 28 || i >= 52;
    poses[i] = body_at(100 + (float)i + (i == 26 ? 10 : i == 27 ? 30 : 0));
  }
  smooth_poses(time_s, seen, 80, poses);
  for (int i = 28; i < 52; i++)
    assert_float_equal(poses[i].image[POSE_LEFT_WRIST].x, 140 + (float)i, 40);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pairing_is_the_cheapest),
      cmocka_unit_test(response_is_flat_then_falls_without_delay),
      cmocka_unit_test(noise_falls_and_motion_stays),
      cmocka_unit_test(parabolas_pass_unchanged_and_gaps_are_filled),
      cmocka_unit_test(short_series_are_fine),
      cmocka_unit_test(spikes_are_rejected_and_steps_are_not),
      cmocka_unit_test(exchanged_sides_are_named_as_in_most_frames),
      cmocka_unit_test(unseen_poses_are_filled),
      cmocka_unit_test(a_long_gap_is_crossed_straight),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
