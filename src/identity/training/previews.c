/* A large model takes minutes for a picture: it draws fewer, smaller ones, in fewer steps. */
#include "identity/training/previews.h"

#include "identity/sampling/generate.h"
#include "identity/sampling/sampler.h"
#include "media/picture.h"
#include <glib/gstdio.h>
#include <omp.h>
#include <string.h>

#define COLUMNS 4
#define ROWS_MAX 24 /* of the sheet; of more previews every so-manieth is shown */
#define LARGE_COLUMNS 2
#define LARGE_SIDE 256
#define LARGE_STEPS 20
#define NOISE_STREAM 0
#define SEED 1

static const char *const usual[] = {"portrait of [trigger], smiling, in the park, day",
                                    "half body picture of [trigger], in the city, night",
                                    "full body picture of [trigger], on the beach, sunset",
                                    "portrait of [trigger], serious, in the library", NULL};

struct Previews {
  Model *model;
  PreviewsSetup setup;
  TransformerRun *run; /* made when it is first needed */
  GPtrArray *prompts;
  gint64 side; /* pixels */
  int steps;
  float *x, *picture;
};

static gboolean is_large(const Model *model) {
  return model_arithmetic(model) == ARITHMETIC_BF16;
}

static gint64 side_for(const Model *model, const Recipe *recipe) {
  return is_large(model) ? MIN(LARGE_SIDE, recipe->resolution) : recipe->resolution / 16 * 16;
}

gint64 previews_bytes(Model *model, const Recipe *recipe) {
  if (!recipe->preview_every)
    return 0;
  gint64 side = side_for(model, recipe), tokens = side / AUTOENCODER_PATCH * (side / AUTOENCODER_PATCH);
  return transformer_run_bytes(transformer_shape(model_transformer(model)), tokens, model_text_length(model),
                               FALSE, model_arithmetic(model)) +
         autoencoder_bytes(model_autoencoder(model), side, side) +
         2 * 3 * side * side * (gint64)sizeof(float);
}

void previews_free(Previews *previews) {
  if (!previews)
    return;
  transformer_run_free(previews->run);
  g_ptr_array_unref(previews->prompts);
  g_free(previews->x);
  g_free(previews->picture);
  g_free(previews);
}

/* preview-STEP-COLUMN.png: the step, or -1. */
static gint64 step_of(const char *name) {
  const char *prefix = "preview-";
  if (!g_str_has_prefix(name, prefix) || !g_str_has_suffix(name, ".png"))
    return -1;
  char *end;
  gint64 step = g_ascii_strtoll(name + strlen(prefix), &end, 10);
  return *end == '-' && step > 0 ? step : -1;
}

static char *place_of(const Previews *previews, gint64 step, guint column) {
  return g_strdup_printf("%s/preview-%06" G_GINT64_FORMAT "-%u.png", previews->setup.folder, step,
                         column + 1);
}

static void remove_old(const char *folder) {
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name(dir));)
    if (step_of(name) >= 0) {
      g_autofree char *path = g_build_filename(folder, name, NULL);
      g_unlink(path);
    }
}

Previews *previews_new(Model *model, const PreviewsSetup *setup, gboolean fresh, GError **error) {
  g_autoptr(Previews) previews = g_new0(Previews, 1);
  previews->model = model;
  previews->setup = *setup;
  previews->prompts = g_ptr_array_new_with_free_func(g_free);
  previews->side = side_for(model, setup->recipe);
  previews->steps = is_large(model) ? MIN(LARGE_STEPS, model_facts(model)->steps) : model_facts(model)->steps;
  guint most = setup->prompts ? PREVIEWS_MAX_PROMPTS : is_large(model) ? LARGE_COLUMNS : COLUMNS;
  const char *const *prompts = setup->prompts ? setup->prompts : usual;
  if (setup->prompts && g_strv_length((char **)prompts) > PREVIEWS_MAX_PROMPTS)
    return fault_null(error, FAULT_USAGE, "at most %d prompts can be previewed.", PREVIEWS_MAX_PROMPTS);
  g_autofree char *called = g_strdup_printf("%s %s", setup->trigger, setup->class);
  for (guint i = 0; i < most && prompts[i]; i++) {
    g_autofree char *prompt = setup->prompts ? generate_prompt(prompts[i], setup->trigger, setup->class)
                                             : generate_prompt(prompts[i], called, NULL);
    g_ptr_array_add(previews->prompts, model_complete(model, prompt, i, TRUE));
  }
  if (fresh)
    remove_old(setup->folder);
  return g_steal_pointer(&previews);
}

/* --- drawing --- */

static gboolean open_run(Previews *previews, GError **error) {
  if (previews->run)
    return TRUE;
  gint64 tokens = previews->side / AUTOENCODER_PATCH * (previews->side / AUTOENCODER_PATCH);
  previews->x = g_new(float, (gsize)(tokens * AUTOENCODER_CHANNELS));
  previews->picture = g_new(float, (gsize)(3 * previews->side * previews->side));
  previews->run =
      transformer_run_new(model_transformer(previews->model), tokens, model_text_length(previews->model),
                          FALSE, model_arithmetic(previews->model), error);
  return previews->run != NULL;
}

static gboolean on_step(int step, int steps, const float *x, gpointer user) {
  return progress_continue(user, NULL);
}

static gboolean draw_one(Previews *previews, gint64 step, guint column, const Lora *lora, Progress *progress,
                         GError **error) {
  const ModelFacts *facts = model_facts(previews->model);
  gint64 side = previews->side / AUTOENCODER_PATCH;
  SamplerInput input = {.height = side,
                        .width = side,
                        .steps = previews->steps,
                        .guidance = facts->guidance,
                        .shift = facts->shift,
                        .n_text = model_text_length(previews->model)};
  input.text = model_features(previews->model, previews->prompts->pdata[column], NULL, error);
  input.empty =
      input.text && input.guidance != 1 ? model_features(previews->model, "", NULL, error) : input.text;
  if (!input.text || !input.empty)
    return FALSE;
  noise_fill(SEED + column, NOISE_STREAM, side * side * AUTOENCODER_CHANNELS, previews->x);
  if (!sampler_run(previews->run, model_transformer(previews->model), lora, &input, previews->x, on_step,
                   progress, error) ||
      !autoencoder_decode(model_autoencoder(previews->model), previews->x, previews->side, previews->side,
                          previews->picture, error))
    return FALSE;
  g_autoptr(Image) image = autoencoder_to_image(previews->picture, previews->side, previews->side);
  g_autofree char *path = place_of(previews, step, column);
  return picture_save(image, path, error);
}

gboolean previews_draw(Previews *previews, gint64 step, const Lora *lora, Progress *progress,
                       GError **error) {
  if (!open_run(previews, error))
    return FALSE;
  /* On a busy machine the threads of a small network's operations mostly wait for each other. */
  int threads = omp_get_max_threads();
  if (!is_large(previews->model))
    omp_set_num_threads(1);
  gboolean good = TRUE;
  for (guint column = 0; column < previews->prompts->len && good; column++)
    good = draw_one(previews, step, column, lora, progress, error);
  omp_set_num_threads(threads);
  return good;
}

/* --- for people --- */

static gint compare_steps(gconstpointer a, gconstpointer b) {
  gint64 p = *(const gint64 *)a, q = *(const gint64 *)b;
  return (p > q) - (p < q);
}

/* Steps of which there are previews, thinned out; the last is always among them. */
static GArray *find_steps(const Previews *previews) {
  g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint64));
  g_autoptr(GDir) dir = g_dir_open(previews->setup.folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name(dir));) {
    gint64 step = step_of(name);
    if (step >= 0)
      g_array_append_val(all, step);
  }
  g_array_sort(all, compare_steps);
  GArray *steps = g_array_new(FALSE, FALSE, sizeof(gint64));
  for (guint i = 0; i < all->len; i++)
    if (i + 1 == all->len || g_array_index(all, gint64, i) != g_array_index(all, gint64, i + 1))
      g_array_append_val(steps, g_array_index(all, gint64, i));
  guint every = (steps->len + ROWS_MAX - 1) / ROWS_MAX;
  for (guint i = steps->len; i-- > 0 && every > 1;)
    if ((steps->len - 1 - i) % every != 0)
      g_array_index(steps, gint64, i) = 0;
  for (guint i = steps->len; i-- > 0;)
    if (!g_array_index(steps, gint64, i))
      g_array_remove_index(steps, i);
  return steps;
}

gboolean previews_write_sheet(Previews *previews, GError **error) {
  guint columns = MAX(1, previews->prompts->len);
  g_autoptr(GArray) steps = find_steps(previews);
  g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free),
                       labels = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(labels, g_strdup("learnt from"));
  for (guint i = 0; i < columns; i++) {
    guint which = i * (guint)previews->setup.picture_count / columns;
    g_ptr_array_add(images, picture_load(previews->setup.pictures[which], NULL));
  }
  for (guint row = 0; row < steps->len; row++) {
    gint64 step = g_array_index(steps, gint64, row);
    g_ptr_array_add(labels, g_strdup_printf("step %" G_GINT64_FORMAT, step));
    for (guint i = 0; i < columns; i++) {
      g_autofree char *path = place_of(previews, step, i);
      g_ptr_array_add(images, picture_load(path, NULL));
    }
  }
  g_autoptr(Image) sheet = labelled_sheet((const Image *const *)images->pdata, (int)labels->len, (int)columns,
                                          (const char *const *)labels->pdata);
  g_autofree char *path = g_build_filename(previews->setup.folder, PREVIEWS_SHEET, NULL);
  return picture_save(sheet, path, error);
}

gboolean previews_write_chart(Previews *previews, const LoraStep *steps, gint64 count, const char *title,
                              GError **error) {
  g_autoptr(Image) chart = loss_chart(steps, count, title);
  g_autofree char *path = g_build_filename(previews->setup.folder, PREVIEWS_CHART, NULL);
  return picture_save(chart, path, error);
}
