/* Noise is the same everywhere and normal; schedules are the published ones; whole ways from noise to tokens
 * are those of the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "golden.h"
#include "identity/sampling/sampler.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NOISE_SHA256 "3df42222635c516cba83836acca6af4d9fa8dadea3820d8d584170af5b3b833e"

/* The known answers that the authors of Philox publish (Random123, kat_vectors). */
static void philox_gives_the_known_words(void **state) {
  static const struct {
    guint32 counter[4], key[2], words[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
    guint32 words[4];
    philox4x32(known[i].counter, known[i].key, words);
    assert_memory_equal(words, known[i].words, sizeof words);
  }
}

/* Box and Muller's formula with the C library's functions, from the words. */
static void noise_follows_its_formula(void **state) {
  enum { BLOCKS = 5000 };
  float numbers[4 * BLOCKS];
  noise_fill(77, 3, 4 * BLOCKS, numbers);
  double worst = 0;
  for (guint32 i = 0; i < BLOCKS; i++) {
    guint32 words[4];
    philox4x32((guint32[]){i, 0, 3, 0}, (guint32[]){77, 0}, words);
    for (int pair = 0; pair < 2; pair++) {
      double radius = sqrt(-2 * log((words[2 * pair] + .5) / 4294967296.0));
      double angle = 2 * G_PI * words[2 * pair + 1] / 4294967296.0;
      worst = fmax(worst, fabs(numbers[4 * i + 2 * (guint)pair] - radius * cos(angle)));
      worst = fmax(worst, fabs(numbers[4 * i + 2 * (guint)pair + 1] - radius * sin(angle)));
    }
  }
  assert_true(worst < 5e-7);
}

/* Mean 0, variance 1, no skew, kurtosis 3, neighbours unrelated; the bounds are five standard errors. */
static void noise_is_normal(void **state) {
  enum { COUNT = 1 << 20 };
  g_autofree float *x = g_new(float, COUNT);
  noise_fill(1, 0, COUNT, x);
  double sum[5] = {0}, neighbours = 0;
  for (int i = 0; i < COUNT; i++) {
    double power = 1;
    for (int k = 1; k <= 4; k++)
      sum[k] += power *= x[i];
    neighbours += i ? (double)x[i] * x[i - 1] : 0;
  }
  double error = 5 / sqrt(COUNT);
  assert_true(fabs(sum[1] / COUNT) < error);
  assert_true(fabs(sum[2] / COUNT - 1) < error * sqrt(2));
  assert_true(fabs(sum[3] / COUNT) < error * sqrt(15));
  assert_true(fabs(sum[4] / COUNT - 3) < error * sqrt(96));
  assert_true(fabs(neighbours / COUNT) < error);
}

static void seeds_and_streams_differ_and_lengths_agree(void **state) {
  float a[64], b[64];
  noise_fill(5, 0, 64, a);
  noise_fill(5, 0, 61, b);
  assert_memory_equal(a, b, 61 * sizeof *a);
  noise_fill(6, 0, 64, b);
  assert_memory_not_equal(a, b, sizeof a);
  noise_fill(5, 1, 64, b);
  assert_memory_not_equal(a, b, sizeof a);
  noise_fill(5 + (G_GUINT64_CONSTANT(1) << 32), 0, 64, b);
  assert_memory_not_equal(a, b, sizeof a);
}

/* The very bits, so that a compiler or a processor that computes otherwise is noticed. */
static void noise_has_the_same_bits_everywhere(void **state) {
  enum { COUNT = 1 << 16 };
  g_autofree float *x = g_new(float, COUNT);
  noise_fill(20260101, 7, COUNT, x);
  g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)x, COUNT * sizeof *x);
  assert_string_equal(sum, NOISE_SHA256);
}

static void uniform_numbers_are_uniform(void **state) {
  enum { COUNT = 1 << 18 };
  g_autofree float *x = g_new(float, COUNT);
  noise_uniform(9, 2, COUNT, x);
  int bins[16] = {0};
  for (int i = 0; i < COUNT; i++) {
    assert_true(x[i] >= 0 && x[i] < 1);
    bins[(int)(x[i] * 16)]++;
  }
  double expected = COUNT / 16.0, chi = 0;
  for (int i = 0; i < 16; i++)
    chi += (bins[i] - expected) * (bins[i] - expected) / expected;
  assert_true(chi < 44); /* 15 degrees of freedom, one in ten thousand */
}

static void schedules_are_the_published_ones(void **state) {
  g_autofree char *path = golden_path("sampler_schedules.json");
  json_t *list = json_load_file(path, 0, NULL);
  assert_int_equal(json_array_size(list), 80);
  double worst = 0;
  for (gsize i = 0; i < json_array_size(list); i++) {
    json_t *entry = json_array_get(list, i), *expected = json_object_get(entry, "sigmas");
    int steps = (int)json_integer_value(json_object_get(entry, "steps"));
    g_autofree float *sigmas = g_new(float, (gsize)steps + 1);
    sampler_schedule(json_integer_value(json_object_get(entry, "seq_len")), steps, 0, sigmas);
    assert_int_equal(json_array_size(expected), steps + 1);
    for (int k = 0; k <= steps; k++)
      worst = fmax(worst, fabs(sigmas[k] - json_number_value(json_array_get(expected, (gsize)k))));
  }
  json_decref(list);
  printf("  80 schedules: %.2e (at most 1e-6)\n", worst);
  assert_true(worst <= 1e-6);
}

static void a_fixed_shift_is_used_as_it_is(void **state) {
  float sigmas[5];
  sampler_schedule(64, 4, 1.5, sigmas);
  const double times[] = {1, .75, .5, .25, 0};
  for (int i = 0; i <= 4; i++)
    assert_true(fabs(sigmas[i] - 1.5 * times[i] / (1 + .5 * times[i])) < 1e-7);
}

/* --- whole ways --- */

typedef struct {
  const float *expected; /* [steps + 1, 24, 128] */
  int next;
  double worst;
} Trajectory;

#define TOKENS 24
#define STATE (TOKENS * 128)

static gboolean compare_step(int step, int steps, const float *x, gpointer user) {
  Trajectory *trajectory = user;
  assert_int_equal(step, trajectory->next++);
  trajectory->worst =
      fmax(trajectory->worst, golden_difference(x, trajectory->expected + step * STATE, STATE));
  return TRUE;
}

static void follow(const Transformer *transformer, const Safetensors *golden, const char *name,
                   double guidance, gboolean reference) {
  const gint64 sizes[1][2] = {{3, 4}};
  const SamplerInput input = {.height = 4,
                              .width = 6,
                              .steps = 4,
                              .guidance = guidance,
                              .text = golden_floats(golden, "ctx", NULL),
                              .empty = golden_floats(golden, "ctx_uncond", NULL),
                              .n_text = 7,
                              .references = reference ? golden_floats(golden, "ref", NULL) : NULL,
                              .reference_sizes = sizes,
                              .reference_count = reference};
  g_autofree char *states = g_strconcat(name, ".x", NULL), *levels = g_strconcat(name, ".sigmas", NULL);
  float sigmas[5];
  sampler_schedule(TOKENS, 4, 0, sigmas);
  golden_near(golden, levels, sigmas, 1e-6);
  g_autoptr(GError) error = NULL;
  g_autoptr(TransformerRun) run =
      transformer_run_new(transformer, TOKENS + 12, 7, FALSE, ARITHMETIC_F32, &error);
  must(run);
  Trajectory trajectory = {golden_floats(golden, states, NULL)};
  g_autofree float *x = g_memdup2(golden_floats(golden, "noise", NULL), sizeof(float) * STATE);
  must(sampler_run(run, transformer, NULL, &input, x, compare_step, &trajectory, &error));
  assert_int_equal(trajectory.next, 4);
  double end = golden_difference(x, trajectory.expected + 4 * STATE, STATE);
  printf("  %-8s %.2e on the way, %.2e at the end (at most 1e-4)\n", name, trajectory.worst, end);
  assert_true(trajectory.worst <= 1e-4 && end <= 1e-4);
}

static Transformer *open_transformer(void) {
  g_autofree char *path = golden_path("a_model.safetensors");
  g_autoptr(GError) error = NULL;
  Transformer *transformer = transformer_open(path, FALSE, &error);
  must(transformer);
  return transformer;
}

static void the_ways_are_those_of_the_reference(void **state) {
  g_autoptr(Safetensors) golden = golden_open("sampler_trajectory.safetensors");
  g_autoptr(Transformer) transformer = open_transformer();
  follow(transformer, golden, "t2i", 1, FALSE);
  follow(transformer, golden, "ref", 1, TRUE);
  follow(transformer, golden, "cfg", 4, FALSE);
  follow(transformer, golden, "cfgref", 4, TRUE);
}

static gboolean stop_at_two(int step, int steps, const float *x, gpointer user) {
  return step < 2;
}

static void it_stops_when_asked_and_tells_damage(void **state) {
  g_autoptr(Safetensors) golden = golden_open("sampler_trajectory.safetensors");
  g_autoptr(Transformer) transformer = open_transformer();
  g_autoptr(GError) error = NULL;
  g_autoptr(TransformerRun) run = transformer_run_new(transformer, TOKENS, 7, FALSE, ARITHMETIC_F32, &error);
  must(run);
  SamplerInput input = {.height = 4, .width = 6, .steps = 4, .guidance = 1, .n_text = 7};
  input.text = golden_floats(golden, "ctx", NULL);
  g_autofree float *x = g_memdup2(golden_floats(golden, "noise", NULL), sizeof(float) * STATE);
  assert_false(sampler_run(run, transformer, NULL, &input, x, stop_at_two, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_CANCELLED));
  g_clear_error(&error);
  x[5] = NAN;
  assert_false(sampler_run(run, transformer, NULL, &input, x, NULL, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_gives_the_known_words),
      cmocka_unit_test(noise_follows_its_formula),
      cmocka_unit_test(noise_is_normal),
      cmocka_unit_test(seeds_and_streams_differ_and_lengths_agree),
      cmocka_unit_test(noise_has_the_same_bits_everywhere),
      cmocka_unit_test(uniform_numbers_are_uniform),
      cmocka_unit_test(schedules_are_the_published_ones),
      cmocka_unit_test(a_fixed_shift_is_used_as_it_is),
      cmocka_unit_test(the_ways_are_those_of_the_reference),
      cmocka_unit_test(it_stops_when_asked_and_tells_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
