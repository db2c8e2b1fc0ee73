/* A training that is stopped and goes on is the one that was never stopped; what is not a number ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "identity/sampling/noise.h"
#include "identity/training/trainer.h"
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CHANNELS 8
#define CONTEXT 8
#define TOKENS 6
#define WORDS 3

static const TransformerShape shape = {.hidden = 64,
                                       .heads = 1,
                                       .head = 64,
                                       .mlp = 64,
                                       .context = CONTEXT,
                                       .channels = CHANNELS,
                                       .doubles = 1,
                                       .singles = 1};
static char *folder;

/* One of four pictures, each with its own words. broken: the sample that is not a number. */
typedef struct {
  guint64 broken;
} World;

static void sample(int worker, guint64 index, float *tokens, float *text, gpointer user) {
  const World *world = user;
  noise_fill(5, index % 4, TOKENS * CHANNELS, tokens);
  noise_fill(6, index % 4, WORDS * CONTEXT, text);
  if (world->broken && index == world->broken)
    tokens[3] = NAN;
}

static TrainerSource source_of(World *world) {
  return (TrainerSource){2, 3, WORDS, "four pictures", sample, world};
}

static TrainerSettings settings_of(gint64 steps) {
  TrainerSettings settings = trainer_defaults;
  settings.batch = 5; /* not a multiple of the workers */
  settings.schedule.steps = steps;
  settings.schedule.warmup = 4;
  settings.average = 0.9;
  return settings;
}

static char *place(const char *name) {
  return g_build_filename(folder, name, NULL);
}

static char *model_bytes(Trainer *trainer, gsize *length) {
  g_autofree char *path = place("model.safetensors");
  char *bytes = NULL;
  assert_true(trainer_write_model(trainer, DTYPE_F32, path, NULL));
  assert_true(g_file_get_contents(path, &bytes, length, NULL));
  return bytes;
}

static void goes_on_bit_for_bit(void **state) {
  g_autoptr(GError) error = NULL;
  World world = {0};
  TrainerSource source = source_of(&world);
  TrainerSettings settings = settings_of(12);
  TrainerReport report;
  double losses[12];
  gsize first, second;
  g_autofree char *checkpoint = place("checkpoint.safetensors");
  g_autoptr(Trainer) whole = trainer_new(&shape, &settings, &source, &error);
  must(whole);
  for (int i = 0; i < 12; i++) {
    must(trainer_step(whole, &report, &error));
    losses[i] = report.loss;
  }
  g_autofree char *expected = model_bytes(whole, &first);
  for (int i = 0; i < 12; i++) { /* a new process for every step */
    g_autoptr(Trainer) part = trainer_new(&shape, &settings, &source, &error);
    must(part);
    must(trainer_load(part, checkpoint, &error));
    assert_int_equal(trainer_steps(part), i);
    must(trainer_step(part, &report, &error));
    assert_memory_equal(&report.loss, &losses[i], sizeof(double));
    must(trainer_save(part, checkpoint, &error));
    if (i < 11)
      continue;
    g_autofree char *found = model_bytes(part, &second);
    assert_int_equal(first, second);
    assert_memory_equal(expected, found, first);
  }
  settings.seed++;
  g_autoptr(Trainer) other = trainer_new(&shape, &settings, &source, &error);
  must(other);
  assert_false(trainer_load(other, checkpoint, &error));
  assert_int_equal(error->code, FAULT_INPUT);
  g_unlink(checkpoint);
}

static void learns(void **state) {
  g_autoptr(GError) error = NULL;
  World world = {0};
  TrainerSource source = source_of(&world);
  TrainerSettings settings = settings_of(200);
  settings.optimiser.rate = 5e-3;
  TrainerReport report;
  g_autoptr(Trainer) trainer = trainer_new(&shape, &settings, &source, &error);
  must(trainer);
  double early = 0, late = 0;
  for (int i = 0; i < 200; i++) {
    must(trainer_step(trainer, &report, &error));
    early += i < 30 ? report.loss / 30 : 0;
    late += i >= 170 ? report.loss / 30 : 0;
    int samples = 0;
    for (int f = 0; f < TRAINER_FIFTHS; f++)
      samples += report.fifth_count[f];
    assert_int_equal(samples, 5);
  }
  printf("  loss %.3f, then %.3f\n", early, late);
  assert_true(late < 0.75 * early);
}

static void not_a_number(void **state) {
  g_autoptr(GError) error = NULL;
  World world = {12};
  TrainerSource source = source_of(&world);
  TrainerSettings settings = settings_of(10);
  TrainerReport report;
  gsize first, second;
  g_autoptr(Trainer) trainer = trainer_new(&shape, &settings, &source, &error);
  must(trainer);
  must(trainer_step(trainer, &report, &error));
  must(trainer_step(trainer, &report, &error));
  g_autofree char *before = model_bytes(trainer, &first);
  assert_false(trainer_step(trainer, &report, &error));
  assert_int_equal(error->code, FAULT_NETWORK);
  g_autofree char *after = model_bytes(trainer, &second);
  assert_int_equal(first, second);
  assert_memory_equal(before, after, first);
  assert_int_equal(trainer_steps(trainer), 2);
}

static void model_opens(void **state) {
  g_autoptr(GError) error = NULL;
  World world = {0};
  TrainerSource source = source_of(&world);
  TrainerSettings settings = settings_of(10);
  g_autofree char *path = place("model.safetensors");
  g_autoptr(Trainer) trainer = trainer_new(&shape, &settings, &source, &error);
  must(trainer);
  must(trainer_write_model(trainer, DTYPE_BF16, path, &error));
  g_autoptr(Transformer) transformer = transformer_open(path, FALSE, &error);
  must(transformer);
  assert_int_equal(transformer_shape(transformer)->hidden, 64);
  assert_int_equal(transformer_shape(transformer)->singles, 1);
  g_unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(goes_on_bit_for_bit), cmocka_unit_test(learns),
                                     cmocka_unit_test(not_a_number), cmocka_unit_test(model_opens)};
  folder = g_dir_make_tmp("trainer-XXXXXX", NULL);
  int failed = cmocka_run_group_tests_name("identity-trainer", tests, NULL, NULL);
  g_autofree char *model = place("model.safetensors");
  g_unlink(model);
  g_rmdir(folder);
  g_free(folder);
  return failed;
}
