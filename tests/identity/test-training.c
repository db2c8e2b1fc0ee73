/* Learning a LoRA on a small random network: that the loss falls, that a training which is killed and goes on
 * is the one that was not, what happens when numbers break, and what a held-out picture does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "base/files.h"
#include "cases.h"
#include "identity/sampling/noise.h"
#include "identity/training/lora_training.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHANNELS = 128, TEXT = 6, CONTEXT = 96, PICTURES = 5 };

static const float *toy_features(const char *text, gpointer user, GError **error) {
  noise_fill(g_str_hash(text), 0, TEXT * CONTEXT, user);
  return user;
}

/* Pictures that share one pattern, each with a little of its own; the last two are replayed, or held out. */
static Dataset *toy_dataset(gboolean replay, gboolean held) {
  Dataset *dataset = dataset_new(CHANNELS, TEXT, CONTEXT);
  for (int i = 0; i < PICTURES + replay + held; i++) {
    gint64 height = 3 + i % 2, width = 4;
    DatasetPart part = i < PICTURES ? DATASET_LEARN : replay && i == PICTURES ? DATASET_REPLAY : DATASET_HELD;
    g_autofree float *tokens = g_new(float, (gsize)(height * width * CHANNELS));
    float pattern[CHANNELS], weights[16];
    noise_fill(99, part == DATASET_REPLAY, CHANNELS, pattern);
    noise_fill(7, (guint64)i, height * width * CHANNELS, tokens);
    for (gint64 k = 0; k < height * width * CHANNELS; k++)
      tokens[k] = pattern[k % CHANNELS] + .1f * tokens[k];
    for (gint64 k = 0; k < height * width; k++)
      weights[k] = k % 2 ? 1.5f : .5f;
    char caption[32];
    g_snprintf(caption, sizeof caption, "caption %d", i % 3);
    dataset_add_tokens(dataset, part, tokens, i == 1 ? weights : NULL, height, width, caption);
  }
  float buffer[TEXT * CONTEXT];
  g_autoptr(GError) error = NULL;
  must(dataset_read_captions(dataset, toy_features, buffer, &error));
  return dataset;
}

static Recipe toy_recipe(gint64 steps) {
  Recipe recipe = recipe_small;
  recipe.steps = steps;
  recipe.rank = 4;
  recipe.batch = 3;
  recipe.replay = 1;
  recipe.rate = 1e-2;
  recipe.seed = 5;
  recipe.checkpoint_every = 4;
  recipe.preview_every = 0;
  recipe.evaluate_every = 3;
  g_autoptr(GError) error = NULL;
  must(recipe_settle(&recipe, &error));
  return recipe;
}

static LoraTraining *open_training(const Transformer *transformer, const Dataset *dataset,
                                   const Recipe *recipe, const char *folder) {
  const LoraTrainingSetup setup = {.recipe = recipe, .model = "toy", .folder = folder};
  g_autoptr(GError) error = NULL;
  LoraTraining *training = lora_training_open(transformer, dataset, &setup, &error);
  must(training);
  return training;
}

static char *make_folder(void) {
  return g_dir_make_tmp("troupe-XXXXXX", NULL);
}

static double mean_loss(const LoraTraining *training, gint64 from, gint64 to) {
  gint64 count;
  const LoraStep *history = lora_training_history(training, &count);
  assert_true(to <= count);
  double sum = 0;
  for (gint64 i = from; i < to; i++)
    sum += history[i].loss;
  return sum / (double)(to - from);
}

static void assert_same(const Lora *a, const Lora *b) {
  assert_int_equal(a->layers->len, b->layers->len);
  for (guint i = 0; i < a->layers->len; i++) {
    const LoraLayer *p = &g_array_index(a->layers, LoraLayer, i),
                    *q = &g_array_index(b->layers, LoraLayer, i);
    assert_memory_equal(p->a, q->a, sizeof(float) * (gsize)(p->rank * p->in));
    assert_memory_equal(p->b, q->b, sizeof(float) * (gsize)(p->rank * p->out));
  }
}

static void assert_same_file(const char *folder, const char *other, const char *name) {
  g_autofree char *a = g_build_filename(folder, name, NULL), *b = g_build_filename(other, name, NULL),
                  *text = NULL, *other_text = NULL;
  gsize length, other_length;
  assert_true(g_file_get_contents(a, &text, &length, NULL));
  assert_true(g_file_get_contents(b, &other_text, &other_length, NULL));
  assert_int_equal(length, other_length);
  assert_memory_equal(text, other_text, length);
}

static void the_loss_falls(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(FALSE, FALSE);
  Recipe recipe = toy_recipe(60);
  g_autoptr(LoraTraining) training = open_training(transformer, dataset, &recipe, NULL);
  g_autoptr(GError) error = NULL;
  must(lora_training_run(training, NULL, NULL, NULL, &error));
  double first = mean_loss(training, 0, 10), last = mean_loss(training, 50, 60);
  printf("  loss %.3f, after 60 steps %.3f\n", first, last);
  assert_true(last < .7 * first);
}

/* Killed after every few steps, with a checkpoint now and then and steps lost after it. */
static void a_killed_training_is_the_one_that_was_not(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(TRUE, TRUE);
  Recipe recipe = toy_recipe(33);
  recipe.patience = 0;
  g_autofree char *whole = make_folder(), *pieces = make_folder();
  g_autoptr(GError) error = NULL;
  g_autoptr(LoraTraining) straight = open_training(transformer, dataset, &recipe, whole);
  must(lora_training_run(straight, NULL, NULL, NULL, &error));
  int lives = 0;
  for (gint64 reached = 0; reached < recipe.steps; lives++) {
    g_autoptr(LoraTraining) life = open_training(transformer, dataset, &recipe, pieces);
    for (int i = 0; i < 3 && !lora_training_done(life); i++)
      must(lora_training_step(life, &error));
    must(lora_training_save(life, &error));
    reached = lora_training_steps(life);
    if (!lora_training_done(life))
      must(lora_training_step(life, &error)); /* which nobody will know of */
  }
  assert_true(lives > 10);
  g_autoptr(LoraTraining) last = open_training(transformer, dataset, &recipe, pieces);
  assert_true(lora_training_done(last));
  assert_same(lora_training_lora(last), lora_training_lora(straight));
  assert_same_file(whole, pieces, LORA_TRAINING_CHECKPOINT);
  assert_same_file(whole, pieces, LORA_TRAINING_LOG);
  assert_int_equal(lora_training_take_best(last), lora_training_take_best(straight));
  assert_same(lora_training_lora(last), lora_training_lora(straight));
  files_remove_tree(whole);
  files_remove_tree(pieces);
}

static void another_training_is_not_resumed(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(FALSE, FALSE), other = toy_dataset(TRUE, FALSE);
  Recipe recipe = toy_recipe(4), seeded = recipe;
  seeded.seed++;
  g_autofree char *folder = make_folder();
  g_autoptr(LoraTraining) training = open_training(transformer, dataset, &recipe, folder);
  g_autoptr(GError) error = NULL;
  must(lora_training_run(training, NULL, NULL, NULL, &error));
  const LoraTrainingSetup wrong = {.recipe = &seeded, .model = "toy", .folder = folder},
                          right = {.recipe = &recipe, .model = "toy", .folder = folder};
  assert_null(lora_training_open(transformer, dataset, &wrong, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  g_clear_error(&error);
  assert_null(lora_training_open(transformer, other, &right, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  files_remove_tree(folder);
}

static gboolean damage(const char *path, gsize at) {
  g_autofree char *text = NULL;
  gsize length;
  if (!g_file_get_contents(path, &text, &length, NULL) || at >= length)
    return FALSE;
  return g_file_set_contents(path, text, (gssize)at, NULL);
}

static void a_damaged_checkpoint_is_refused(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(FALSE, FALSE);
  Recipe recipe = toy_recipe(2);
  g_autofree char *folder = make_folder(), *path = g_build_filename(folder, LORA_TRAINING_CHECKPOINT, NULL);
  g_autoptr(LoraTraining) training = open_training(transformer, dataset, &recipe, folder);
  g_autoptr(GError) error = NULL;
  must(lora_training_run(training, NULL, NULL, NULL, &error));
  const LoraTrainingSetup setup = {.recipe = &recipe, .model = "toy", .folder = folder};
  for (gsize cut = 5000; cut < 100000; cut += 20000) {
    must(lora_training_open(transformer, dataset, &setup, &error) == NULL || cut == 5000);
    assert_true(damage(path, 120000 - cut));
    assert_null(lora_training_open(transformer, dataset, &setup, &error));
    assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
    g_clear_error(&error);
  }
  files_remove_tree(folder);
}

/* At step 6 a picture has a token that is no number: what was known at step 4 stays. */
static void broken_numbers_stop_a_training(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(FALSE, FALSE);
  Recipe recipe = toy_recipe(20);
  g_autofree char *folder = make_folder();
  g_autoptr(GError) error = NULL;
  g_autoptr(LoraTraining) training = open_training(transformer, dataset, &recipe, folder);
  for (int i = 0; i < 5; i++) {
    must(lora_training_step(training, &error));
    if (i == 3)
      must(lora_training_save(training, &error));
  }
  for (guint i = 0; i < dataset->parts[DATASET_LEARN]->len; i++)
    ((DatasetItem *)dataset->parts[DATASET_LEARN]->pdata[i])->tokens[3] = NAN;
  assert_false(lora_training_run(training, NULL, NULL, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
  assert_non_null(strstr(error->message, "step 6"));
  assert_non_null(strstr(error->message, "up to step 4"));
  printf("  %s\n", error->message);
  g_clear_error(&error);
  assert_false(lora_training_save(training, &error));
  g_clear_error(&error);
  g_autoptr(Dataset) good = toy_dataset(FALSE, FALSE);
  recipe.rate /= 10; /* may change between the lives of a training */
  g_autoptr(LoraTraining) again = open_training(transformer, good, &recipe, folder);
  assert_int_equal(lora_training_steps(again), 4);
  must(lora_training_step(again, &error));
  files_remove_tree(folder);
}

/* A rate that throws the weights beyond all numbers is found out, not kept. */
static void a_rate_far_too_high_stops_it(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(FALSE, FALSE);
  Recipe recipe = toy_recipe(200);
  recipe.rate = 1e38;
  g_autoptr(LoraTraining) training = open_training(transformer, dataset, &recipe, NULL);
  g_autoptr(GError) error = NULL;
  assert_false(lora_training_run(training, NULL, NULL, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
  assert_non_null(strstr(error->message, "No checkpoint"));
}

/* The held-out picture has nothing to do with the others, so that learning them makes it worse. */
static void a_held_out_picture_stops_it(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(FALSE, TRUE);
  DatasetItem *held = dataset->parts[DATASET_HELD]->pdata[0];
  noise_fill(1234, 0, held->height * held->width * CHANNELS, held->tokens);
  for (gint64 i = 0; i < held->height * held->width * CHANNELS; i++)
    held->tokens[i] *= 3;
  Recipe recipe = toy_recipe(400);
  recipe.patience = 4;
  recipe.rate = 5e-2;
  g_autoptr(LoraTraining) training = open_training(transformer, dataset, &recipe, NULL);
  g_autoptr(GError) error = NULL;
  must(lora_training_run(training, NULL, NULL, NULL, &error));
  assert_true(lora_training_stopped(training));
  gint64 steps = lora_training_steps(training), best = lora_training_take_best(training), count;
  const LoraStep *history = lora_training_history(training, &count);
  printf("  stopped after %d steps, best after %d\n", (int)steps, (int)best);
  assert_int_equal(steps, best + recipe.evaluate_every * recipe.patience);
  for (gint64 i = 0; i < count; i++)
    assert_true(isnan(history[i].held) || history[i].held >= history[best - 1].held);
}

/* Preserving: where only the model's own opinion is asked for, an adapter that does nothing costs nothing. */
static void preservation_begins_without_loss(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Dataset) dataset = toy_dataset(FALSE, FALSE);
  const DatasetItem *item = dataset->parts[DATASET_LEARN]->pdata[0];
  g_autoptr(GError) error = NULL;
  g_autoptr(Lora) lora = lora_new(transformer, 4, 1, &error);
  must(lora);
  g_autoptr(TransformerRun) run = transformer_run_new(transformer, 16, TEXT, TRUE, ARITHMETIC_F32, &error);
  must(run);
  g_autoptr(FlowLoss) flow = flow_new(run, transformer_shape(transformer), 16, TEXT);
  FlowSample sample = {.height = item->height,
                       .width = item->width,
                       .tokens = item->tokens,
                       .text = dataset->features->pdata[1],
                       .n_text = TEXT,
                       .t = .4,
                       .seed = 3};
  assert_true(flow_preserve(flow, &sample, lora, 1) == 0);
  assert_true(flow_loss(flow, &sample, lora) > .1);
  assert_true(flow_loss(flow, &sample, lora) == flow_backward(flow, &sample, lora, 1));
}

/* t of the small recipe: the logistic of N(.5, 1) for nine in ten, uniform for one. */
static void times_have_their_distribution(void **state) {
  enum { COUNT = 20000 };
  double sum = 0, low = 0, shifted = 0;
  for (guint64 draw = 0; draw < COUNT; draw++) {
    double t = flow_time(&flow_times_small, 64, 11, draw);
    assert_true(t >= 0 && t <= 1);
    sum += t;
    low += t < .05;
    double u = flow_time(&(FlowTimes){.deviation = 1}, 1024, 11, draw),
           s = flow_time(&flow_times_flux, 1024, 11, draw), mu = .5 + .65 * (1024 - 256.0) / 3840;
    assert_true(fabs(s - exp(mu) * u / (1 + (exp(mu) - 1) * u)) < 1e-12);
    shifted += s;
  }
  /* E σ(N(.5, 1)) = .6023; P(σ < .05) = Φ(-3.444) = .0003 */
  assert_true(fabs(sum / COUNT - (.9 * .6023 + .05)) < .006);
  assert_true(fabs(low / COUNT - (.1 * .05 + .9 * .0003)) < .002);
  assert_true(shifted / COUNT > .6);
}

static void masks_weigh_tokens(void **state) {
  g_autoptr(Image) mask = image_new(64, 32, 1);
  assert_null(dataset_weights(mask));
  for (int y = 0; y < 32; y++)
    memset(image_at(mask, 0, y), 255, 32);
  g_autofree float *weights = dataset_weights(mask);
  double sum = 0;
  for (int i = 0; i < 8; i++)
    sum += (double)weights[i];
  assert_true(fabs(sum - 8) < 1e-5);
  assert_true(fabs((double)(weights[3] / weights[0]) - DATASET_BACKGROUND) < 1e-6);
}

/* FLUX.2 [klein] 4B, rank 16, 512 x 512 pixels and 512 rows of text: weights in bf16 and all else together.
 */
static void klein_fits_a_laptop(void **state) {
  const TransformerShape klein = {.hidden = 3072,
                                  .heads = 24,
                                  .head = 128,
                                  .mlp = 9216,
                                  .context = 7680,
                                  .channels = 128,
                                  .doubles = 5,
                                  .singles = 20,
                                  .parameters = 3875544576};
  gint64 bytes = lora_training_bytes(&klein, &recipe_large, 1024, 512, ARITHMETIC_BF16, FALSE);
  printf("  weights %.2f GB, training %.2f GB\n", (double)klein.parameters * 2e-9, (double)bytes * 1e-9);
  assert_true(klein.parameters * 2 + bytes < G_GINT64_CONSTANT(14000000000));
  /* The adapter's matrices, their gradients and moments alone: 1443840 numbers a rank. */
  assert_true(bytes > G_GINT64_CONSTANT(1443840) * 16 * 16);
  Recipe twice = recipe_large;
  twice.rank = 32;
  assert_int_equal(lora_training_bytes(&klein, &twice, 1024, 512, ARITHMETIC_BF16, FALSE) - bytes,
                   G_GINT64_CONSTANT(1443840) * 16 * 16);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_loss_falls),
      cmocka_unit_test(a_killed_training_is_the_one_that_was_not),
      cmocka_unit_test(another_training_is_not_resumed),
      cmocka_unit_test(a_damaged_checkpoint_is_refused),
      cmocka_unit_test(broken_numbers_stop_a_training),
      cmocka_unit_test(a_rate_far_too_high_stops_it),
      cmocka_unit_test(a_held_out_picture_stops_it),
      cmocka_unit_test(preservation_begins_without_loss),
      cmocka_unit_test(times_have_their_distribution),
      cmocka_unit_test(masks_weigh_tokens),
      cmocka_unit_test(klein_fits_a_laptop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
