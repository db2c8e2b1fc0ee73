/* Defaults, what a model says instead, limits. */
#include "identity/training/recipe.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define LARGE_WIDTH 1024 /* of a transformer whose recipe is FLUX.2's */
#define MODEL_JSON "model.json"

/* From measurements on the small model. Large features (hair, a headband) are there after a third of the
 * steps, small ones (earrings) need all. No caption is left out: the empty one stays what it was, and
 * guidance then strengthens what was learned. */
const Recipe recipe_small = {.steps = 1400,
                             .rank = 16,
                             .resolution = 128,
                             .rate = 2e-3,
                             .batch = 8,
                             .replay = 4,
                             .clip = 1,
                             .times = {.mean = .5, .deviation = 1, .uniform = .1},
                             .optimiser = {.beta1 = .9, .beta2 = .99, .epsilon = 1e-8},
                             .schedule = {.shape = RATE_LINEAR, .warmup = 20, .floor = .05, .hold = .7},
                             .checkpoint_every = 50,
                             .preview_every = 350,
                             .evaluate_every = 20,
                             .patience = 5};

/* What the public trainers of FLUX.2 [klein] agree on: AdamW at 1e-4, one picture a step, a tenth of the
 * decay of PyTorch's default. */
const Recipe recipe_large = {.steps = 1000,
                             .rank = 16,
                             .resolution = 512,
                             .rate = 1e-4,
                             .batch = 1,
                             .dropout = .05,
                             .clip = 1,
                             .times = {.deviation = 1, .shifted = TRUE},
                             .optimiser = {.beta1 = .9, .beta2 = .999, .epsilon = 1e-8, .decay = 1e-4},
                             .schedule = {.shape = RATE_CONSTANT, .warmup = 10},
                             .checkpoint_every = 25,
                             .preview_every = 250,
                             .evaluate_every = 50,
                             .patience = 5};

/* --- what the model says --- */

typedef struct {
  json_t *json;
  const char *folder;
  GError **error;
} Reader;

static gboolean read_number(const Reader *reader, json_t *from, const char *key, double least, double most,
                            double *value) {
  json_t *entry = json_object_get(from, key);
  if (!entry)
    return TRUE;
  *value = json_number_value(entry);
  return (json_is_number(entry) && *value >= least && *value <= most) ||
         fault(reader->error, FAULT_INPUT,
               "%s/" MODEL_JSON ": training \"%s\" must be a number from %g to %g.", reader->folder, key,
               least, most);
}

static gboolean read_whole(const Reader *reader, const char *key, double least, double most, gint64 *value) {
  double number = (double)*value;
  if (!read_number(reader, reader->json, key, least, most, &number))
    return FALSE;
  *value = (gint64)number;
  return TRUE;
}

static gboolean read_count(const Reader *reader, const char *key, double least, int *value) {
  gint64 number = *value;
  if (!read_whole(reader, key, least, RECIPE_MAX_BATCH, &number))
    return FALSE;
  *value = (int)number;
  return TRUE;
}

static void read_flag(json_t *from, const char *key, gboolean *value) {
  json_t *entry = json_object_get(from, key);
  if (entry)
    *value = json_is_true(entry);
}

static gboolean read_times(const Reader *reader, FlowTimes *times) {
  json_t *from = json_object_get(reader->json, "times");
  read_flag(from, "shifted", &times->shifted);
  return read_number(reader, from, "mean", -10, 10, &times->mean) &&
         read_number(reader, from, "deviation", 0, 10, &times->deviation) &&
         read_number(reader, from, "uniform", 0, 1, &times->uniform);
}

static gboolean read_recipe(const Reader *reader, Recipe *recipe) {
  json_t *json = reader->json;
  read_flag(json, "preserve", &recipe->preserve);
  return read_whole(reader, "steps", 1, RECIPE_MAX_STEPS, &recipe->steps) &&
         read_whole(reader, "rank", 1, RECIPE_MAX_RANK, &recipe->rank) &&
         read_whole(reader, "resolution", AUTOENCODER_PATCH, AUTOENCODER_MAX_SIDE, &recipe->resolution) &&
         read_whole(reader, "warmup", 0, RECIPE_MAX_STEPS, &recipe->schedule.warmup) &&
         read_count(reader, "batch", 1, &recipe->batch) && read_count(reader, "replay", 0, &recipe->replay) &&
         read_number(reader, json, "rate", 0, 1, &recipe->rate) &&
         read_number(reader, json, "dropout", 0, 1, &recipe->dropout) &&
         read_number(reader, json, "clip", 0, 1e6, &recipe->clip) &&
         read_number(reader, json, "beta2", 0, .99999, &recipe->optimiser.beta2) &&
         read_number(reader, json, "decay", 0, 1, &recipe->optimiser.decay) &&
         read_number(reader, json, "hold", 0, 1, &recipe->schedule.hold) &&
         read_number(reader, json, "floor", 0, 1, &recipe->schedule.floor) &&
         read_times(reader, &recipe->times);
}

/* A file in the folder, and nowhere else. */
static gboolean read_pictures(const Reader *reader, char **pictures) {
  const char *name = json_string_value(json_object_get(reader->json, "pictures"));
  if (!name)
    return TRUE;
  g_autofree char *path = g_build_filename(reader->folder, name, NULL);
  if (strchr(name, '/') || g_str_equal(name, "..") || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return fault(reader->error, FAULT_INPUT,
                 "%s/" MODEL_JSON ": training \"pictures\" must be a file in the same folder.",
                 reader->folder);
  *pictures = g_steal_pointer(&path);
  return TRUE;
}

gboolean recipe_of_model(const Model *model, Recipe *recipe, char **pictures, GError **error) {
  const ModelFacts *facts = model_facts(model);
  gboolean large = transformer_shape(model_transformer((Model *)model))->hidden >= LARGE_WIDTH;
  *recipe = large ? recipe_large : recipe_small;
  *pictures = NULL;
  recipe->resolution = large ? MIN(recipe->resolution, facts->resolution) : facts->resolution;
  g_autofree char *path = g_build_filename(facts->folder, MODEL_JSON, NULL);
  json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
  const Reader reader = {json_object_get(file, "training"), facts->folder, error};
  gboolean good = !reader.json || (read_recipe(&reader, recipe) && read_pictures(&reader, pictures));
  json_decref(file);
  return good;
}

/* --- limits --- */

gboolean recipe_settle(Recipe *recipe, GError **error) {
  if (recipe->steps < 1 || recipe->steps > RECIPE_MAX_STEPS)
    return fault(error, FAULT_USAGE, "a training takes between 1 and %d steps.", RECIPE_MAX_STEPS);
  if (recipe->rank < 1 || recipe->rank > RECIPE_MAX_RANK)
    return fault(error, FAULT_USAGE, "a rank is between 1 and %d; usual are 8 to 32.", RECIPE_MAX_RANK);
  if (!(recipe->rate > 0 && recipe->rate <= 1))
    return fault(error, FAULT_USAGE, "the learning rate is above 0 and at most 1; usual is %g.",
                 recipe_large.rate);
  if (recipe->batch < 1 || recipe->batch > RECIPE_MAX_BATCH || recipe->replay < 0 ||
      recipe->replay > RECIPE_MAX_BATCH)
    return fault(error, FAULT_USAGE, "a step takes between 1 and %d pictures.", RECIPE_MAX_BATCH);
  if (recipe->resolution < AUTOENCODER_PATCH || recipe->resolution > AUTOENCODER_MAX_SIDE)
    return fault(error, FAULT_USAGE, "the resolution is between %d and %d pixels.", AUTOENCODER_PATCH,
                 AUTOENCODER_MAX_SIDE);
  if (recipe->preview_every < 0 || recipe->checkpoint_every < 1 || recipe->evaluate_every < 1)
    return fault(error, FAULT_USAGE,
                 "steps between checkpoints are at least 1, between previews at least 0.");
  recipe->schedule.steps = recipe->steps;
  recipe->schedule.warmup = MIN(recipe->schedule.warmup, recipe->steps / 10);
  recipe->optimiser.rate = recipe->rate;
  return TRUE;
}

char *recipe_text(const Recipe *recipe) {
  return g_strdup_printf(
      "seed %" G_GUINT64_FORMAT " rank %" G_GINT64_FORMAT " batch %d replay %d preserve %d "
      "dropout %a clip %a times %a %a %a %d adamw %a %a %a %a evaluate %" G_GINT64_FORMAT,
      recipe->seed, recipe->rank, recipe->batch, recipe->replay, recipe->preserve, recipe->dropout,
      recipe->clip, recipe->times.mean, recipe->times.deviation, recipe->times.uniform, recipe->times.shifted,
      recipe->optimiser.beta1, recipe->optimiser.beta2, recipe->optimiser.epsilon, recipe->optimiser.decay,
      recipe->evaluate_every);
}
