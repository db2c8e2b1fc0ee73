/* Muon follows its polynomial, schedules their lines, a kept state goes on bit for bit; gradients that are
 * not numbers change nothing. (AdamW is held against the reference in test-lora.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "identity/network/optimiser.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MATRICES = 3 };

/* Two matrices of blocks, one tall and one wide, and a vector outside. */
typedef struct {
  GArray *parameters;
  float *values[MATRICES], *gradients[MATRICES];
} Model;

static const struct {
  const char *name;
  gint64 rows, cols;
} layout[MATRICES] = {{"double_blocks.0.img_mlp.0.weight", 96, 32},
                      {"single_blocks.0.linear2.weight", 24, 300},
                      {"img_in.weight", 1, 77}};

static void model_make(Model *model) {
  model->parameters = g_array_new(FALSE, FALSE, sizeof(Parameter));
  for (int i = 0; i < MATRICES; i++) {
    gint64 count = layout[i].rows * layout[i].cols;
    model->values[i] = g_new(float, (gsize)count);
    model->gradients[i] = g_new0(float, (gsize)count);
    for (gint64 k = 0; k < count; k++)
      model->values[i][k] = (float)sin((double)(k * (i + 3)));
    Parameter parameter = {(char *)layout[i].name, layout[i].rows, layout[i].cols, model->values[i],
                           model->gradients[i]};
    g_array_append_val(model->parameters, parameter);
  }
}

static void model_clear(Model *model) {
  g_array_unref(model->parameters);
  for (int i = 0; i < MATRICES; i++) {
    g_free(model->values[i]);
    g_free(model->gradients[i]);
  }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Model, model_clear)

/* Any gradient that depends on the values. */
static void steps(Model *model, Optimiser *optimiser, int count) {
  for (int step = 0; step < count; step++) {
    for (int i = 0; i < MATRICES; i++)
      for (gint64 k = 0; k < layout[i].rows * layout[i].cols; k++)
        model->gradients[i][k] +=
            model->values[i][k] - (float)cos((double)(k + i + optimiser_steps(optimiser)));
    optimiser_clip(optimiser, 1);
    optimiser_step(optimiser, 1e-2);
    optimiser_clear(optimiser);
  }
}

static OptimiserSettings muon_settings(void) {
  OptimiserSettings settings = optimiser_defaults;
  settings.muon = TRUE;
  settings.decay = .01;
  return settings;
}

static void assert_same(const Model *a, const Model *b) {
  for (int i = 0; i < MATRICES; i++)
    assert_memory_equal(a->values[i], b->values[i], sizeof(float) * (gsize)(layout[i].rows * layout[i].cols));
}

/* On a diagonal the steps are five times an odd polynomial of each entry. */
static void newton_and_schulz_follow_their_polynomial(void **state) {
  static const gint64 sizes[][2] = {{6, 6}, {6, 9}, {9, 6}, {1, 5}, {5, 1}};
  for (gsize s = 0; s < G_N_ELEMENTS(sizes); s++) {
    gint64 rows = sizes[s][0], cols = sizes[s][1], small = MIN(rows, cols);
    float u[81] = {0};
    g_autofree float *work = g_new(float, (gsize)muon_work(rows, cols));
    double expected[9], norm = 0;
    for (gint64 i = 0; i < small; i++) {
      expected[i] = u[i * cols + i] = (float)(i + 1) * (i % 2 ? -1 : 1);
      norm += expected[i] * expected[i];
    }
    muon_orthogonalise(u, rows, cols, work);
    for (gint64 i = 0; i < small; i++) {
      double x = expected[i] / sqrt(norm);
      for (int step = 0; step < 5; step++)
        x = 3.4445 * x - 4.775 * x * x * x + 2.0315 * x * x * x * x * x;
      assert_true(fabs(u[i * cols + i] - x) < 1e-4);
      assert_true(fabs(x) > .6 && fabs(x) < 1.3);
    }
    for (gint64 row = 0; row < rows; row++)
      for (gint64 col = 0; col < cols; col++)
        assert_true(row == col || fabs(u[row * cols + col]) < 1e-5);
  }
}

/* x ← (a I + b A + c A²) x step by step, in double. */
static void plain_steps(double *x, gint64 rows, gint64 cols) {
  double norm = 0;
  g_autofree double *gram = g_new(double, (gsize)(rows * rows)), *p = g_new(double, (gsize)(rows * rows)),
                    *next = g_new(double, (gsize)(rows * cols));
  for (gint64 i = 0; i < rows * cols; i++)
    norm += x[i] * x[i];
  for (gint64 i = 0; i < rows * cols; i++)
    x[i] /= sqrt(norm);
  for (int step = 0; step < 5; step++) {
    for (gint64 i = 0; i < rows * rows; i++) {
      gram[i] = 0;
      for (gint64 k = 0; k < cols; k++)
        gram[i] += x[i / rows * cols + k] * x[i % rows * cols + k];
    }
    for (gint64 i = 0; i < rows * rows; i++) {
      p[i] = (i / rows == i % rows) * 3.4445 - 4.775 * gram[i];
      for (gint64 k = 0; k < rows; k++)
        p[i] += 2.0315 * gram[i / rows * rows + k] * gram[k * rows + i % rows];
    }
    for (gint64 i = 0; i < rows * cols; i++) {
      next[i] = 0;
      for (gint64 k = 0; k < rows; k++)
        next[i] += p[i / cols * rows + k] * x[k * cols + i % cols];
    }
    memcpy(x, next, sizeof *x * (gsize)(rows * cols));
  }
}

/* Full matrices of every form; in one of them half of the rows are nearly the same, so that its singular
 * values are far apart. */
static void newton_and_schulz_are_exact_enough(void **state) {
  static const gint64 sizes[][2] = {{24, 24}, {24, 200}, {200, 24}, {40, 56}};
  double worst = 0;
  for (gsize s = 0; s < 2 * G_N_ELEMENTS(sizes); s++) {
    gint64 rows = sizes[s / 2][0], cols = sizes[s / 2][1], count = rows * cols;
    g_autofree float *u = g_new(float, (gsize)count), *work = g_new(float, (gsize)muon_work(rows, cols));
    g_autofree double *x = g_new(double, (gsize)count);
    gint64 small = MIN(rows, cols);
    for (gint64 row = 0; row < rows; row++)
      for (gint64 col = 0; col < cols; col++) {
        gint64 key = (s % 2 ? row / 2 : row) * 911 + col * 37;
        u[row * cols + col] =
            (float)(sin((double)(key * key % 1013)) + 1e-3 * cos((double)(row * cols + col)));
        /* The plain one knows only more columns than rows. */
        x[rows > cols ? col * rows + row : row * cols + col] = u[row * cols + col];
      }
    plain_steps(x, small, count / small);
    muon_orthogonalise(u, rows, cols, work);
    for (gint64 row = 0; row < rows; row++)
      for (gint64 col = 0; col < cols; col++)
        worst = fmax(worst, fabs(u[row * cols + col] - x[rows > cols ? col * rows + row : row * cols + col]));
  }
  printf("  off by %.1e (at most 1e-3)\n", worst);
  assert_true(worst <= 1e-3);
}

/* Entries of a matrix move by about twice the rate (root mean square), whatever its form. */
static void muon_moves_by_twice_the_rate(void **state) {
  g_auto(Model) model = {0};
  model_make(&model);
  OptimiserSettings settings = muon_settings();
  settings.decay = 0;
  g_autoptr(Optimiser) optimiser = optimiser_new(model.parameters, &settings);
  for (int i = 0; i < 2; i++)
    for (gint64 k = 0; k < layout[i].rows * layout[i].cols; k++)
      model.gradients[i][k] = (float)sin((double)(k * k % 1009));
  g_auto(Model) before = {0};
  model_make(&before);
  optimiser_step(optimiser, 1e-2);
  for (int i = 0; i < 2; i++) {
    double sum = 0;
    gint64 count = layout[i].rows * layout[i].cols;
    for (gint64 k = 0; k < count; k++)
      sum += pow((double)model.values[i][k] - before.values[i][k], 2);
    double moved = sqrt(sum / (double)count);
    printf("  %s moved by %.4f\n", layout[i].name, moved);
    assert_true(moved > .015 && moved < .024);
  }
}

static void a_kept_state_goes_on_bit_for_bit(void **state) {
  g_auto(Model) straight = {0}, cut = {0}, resumed = {0};
  model_make(&straight);
  model_make(&cut);
  model_make(&resumed);
  OptimiserSettings settings = muon_settings();
  g_autoptr(Optimiser) a = optimiser_new(straight.parameters, &settings);
  g_autoptr(Optimiser) b = optimiser_new(cut.parameters, &settings);
  g_autoptr(Optimiser) c = optimiser_new(resumed.parameters, &settings);
  steps(&straight, a, 7);
  steps(&cut, b, 4);
  g_autofree char *folder = g_dir_make_tmp("troupe-XXXXXX", NULL),
                  *path = g_build_filename(folder, "state.safetensors", NULL);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GError) error = NULL;
  optimiser_save(b, writer);
  must(safetensors_write(writer, path, &error));
  g_autoptr(Safetensors) file = safetensors_open(path, &error);
  must(file && optimiser_load(c, file, &error));
  assert_int_equal(optimiser_steps(c), 4);
  steps(&resumed, c, 3);
  assert_same(&straight, &resumed);

  /* Of another optimiser: refused, and nothing is changed. */
  OptimiserSettings other = optimiser_defaults;
  g_auto(Model) untouched = {0}, fresh = {0};
  model_make(&untouched);
  model_make(&fresh);
  g_autoptr(Optimiser) d = optimiser_new(untouched.parameters, &other);
  assert_false(optimiser_load(d, file, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  assert_same(&untouched, &fresh);
  assert_int_equal(optimiser_steps(d), 0);
  unlink(path);
  rmdir(folder);
}

static void a_spoilt_state_is_refused(void **state) {
  g_auto(Model) model = {0}, fresh = {0};
  model_make(&model);
  model_make(&fresh);
  OptimiserSettings settings = muon_settings();
  g_autoptr(Optimiser) optimiser = optimiser_new(model.parameters, &settings);
  model.values[1][17] = NAN;
  g_autofree char *folder = g_dir_make_tmp("troupe-XXXXXX", NULL),
                  *path = g_build_filename(folder, "state.safetensors", NULL);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GError) error = NULL;
  optimiser_save(optimiser, writer);
  must(safetensors_write(writer, path, &error));
  g_autoptr(Safetensors) file = safetensors_open(path, &error);
  must(file);
  g_autoptr(Optimiser) other = optimiser_new(fresh.parameters, &settings);
  assert_false(optimiser_load(other, file, &error));
  assert_non_null(strstr(error->message, "linear2"));
  unlink(path);
  rmdir(folder);
}

/* Without a gradient only the decay is left, at each optimiser's own rate. */
static void decay_is_decoupled(void **state) {
  g_auto(Model) model = {0}, before = {0};
  model_make(&model);
  model_make(&before);
  OptimiserSettings settings = muon_settings();
  g_autoptr(Optimiser) optimiser = optimiser_new(model.parameters, &settings);
  optimiser_step(optimiser, .1);
  for (int i = 0; i < MATRICES; i++) {
    double keep = i < 2 ? 1 - .1 * 10 * .01 : 1 - .1 * .01;
    for (gint64 k = 0; k < layout[i].rows * layout[i].cols; k++)
      assert_true(fabs(model.values[i][k] - keep * before.values[i][k]) < 1e-6);
  }
}

static void clipping_keeps_the_direction(void **state) {
  g_auto(Model) model = {0};
  model_make(&model);
  g_autoptr(Optimiser) optimiser = optimiser_new(model.parameters, &optimiser_defaults);
  model.gradients[0][5] = 3;
  model.gradients[2][6] = -4;
  assert_true(fabs(optimiser_clip(optimiser, 10) - 5) < 1e-12);
  assert_true(model.gradients[0][5] == 3);
  assert_true(fabs(optimiser_clip(optimiser, 1) - 5) < 1e-12);
  assert_true(fabs(model.gradients[0][5] - .6) < 1e-6 && fabs(model.gradients[2][6] + .8) < 1e-6);
  model.gradients[1][0] = NAN;
  assert_false(isfinite(optimiser_clip(optimiser, 1)));
  assert_true(fabs(model.gradients[0][5] - .6) < 1e-6);
}

static void schedules_follow_their_lines(void **state) {
  RateSchedule cosine = {RATE_COSINE, 10, 110, .02, 0}, line = {RATE_LINEAR, 4, 100, .05, .7},
               flat = {.warmup = 0};
  assert_true(fabs(rate_factor(&cosine, 0) - .1) < 1e-12 && fabs(rate_factor(&cosine, 9) - 1) < 1e-12);
  assert_true(fabs(rate_factor(&cosine, 10) - 1) < 1e-12 && fabs(rate_factor(&cosine, 60) - .51) < 1e-12);
  assert_true(fabs(rate_factor(&cosine, 110) - .02) < 1e-12 && fabs(rate_factor(&cosine, 999) - .02) < 1e-12);
  assert_true(rate_factor(&line, 40) == 1 && fabs(rate_factor(&line, 85) - .525) < 1e-12);
  assert_true(fabs(rate_factor(&line, 100) - .05) < 1e-12);
  assert_true(rate_factor(&flat, 0) == 1 && rate_factor(&flat, 1000000) == 1);
}

static void threads_change_nothing(void **state) {
  int most = omp_get_max_threads();
  g_auto(Model) one = {0}, many = {0};
  model_make(&one);
  model_make(&many);
  OptimiserSettings settings = muon_settings();
  g_autoptr(Optimiser) a = optimiser_new(one.parameters, &settings),
                       b = optimiser_new(many.parameters, &settings);
  omp_set_num_threads(1);
  steps(&one, a, 5);
  omp_set_num_threads(3);
  steps(&many, b, 5);
  omp_set_num_threads(most);
  assert_same(&one, &many);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(newton_and_schulz_follow_their_polynomial),
      cmocka_unit_test(newton_and_schulz_are_exact_enough),
      cmocka_unit_test(muon_moves_by_twice_the_rate),
      cmocka_unit_test(a_kept_state_goes_on_bit_for_bit),
      cmocka_unit_test(a_spoilt_state_is_refused),
      cmocka_unit_test(decay_is_decoupled),
      cmocka_unit_test(clipping_keeps_the_direction),
      cmocka_unit_test(schedules_follow_their_lines),
      cmocka_unit_test(threads_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
