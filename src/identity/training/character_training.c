/* Checks first, then the pictures through the autoencoder and the captions through the text side, then the
 * steps with previews between them, then what people look at. */
#include "identity/training/character_training.h"

#include "base/memory.h"
#include "identity/sampling/generate.h"
#include "identity/training/caption_template.h"
#include "identity/training/character_folder.h"
#include "identity/training/previews.h"
#include "identity/training/replay.h"
#include "identity/training/self_caption.h"
#include "media/picture.h"
#include <math.h>
#include <string.h>

#define NOTES_MAX 3   /* remarks about words that the model does not know */
#define WARN_SHARE .5 /* of the wanted area, below which a picture is called small */

typedef struct {
  Model *model;
  const Recipe *recipe;
  const CharacterTraining *job;
  const char *trigger, *class;
  char *folder, *place; /* of the Character, and of training/ in it */
  Dataset *dataset;
  LoraTraining *training;
  Previews *previews;
  Progress *progress;
  GError **error;
  int notes;
} Work;

static void work_clear(Work *work) {
  lora_training_free(work->training);
  previews_free(work->previews);
  g_free(work->folder);
  g_free(work->place);
  dataset_free(work->dataset);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

/* --- before anything is done --- */

static gboolean check_job(const Work *work) {
  const CharacterTraining *job = work->job;
  const ModelFacts *facts = model_facts(work->model);
  if (job->picture_count < DATASET_MIN_PICTURES || job->picture_count > DATASET_MAX_PICTURES)
    return fault(work->error, FAULT_LIMIT, "%d pictures were given; a character is learnt from %d to %d. %s",
                 job->picture_count, DATASET_MIN_PICTURES, DATASET_MAX_PICTURES,
                 job->picture_count < DATASET_MIN_PICTURES
                     ? "Add some in which pose, clothes and light differ."
                     : "Keep the best.");
  if (job->caption_count > 1 && job->caption_count != job->picture_count)
    return fault(work->error, FAULT_USAGE, "give one caption for all pictures or one for each: %d, not %d.",
                 job->picture_count, job->caption_count);
  if (job->mask_count && job->mask_count != job->picture_count)
    return fault(work->error, FAULT_USAGE, "give a mask for each picture or none: %d, not %d.",
                 job->picture_count, job->mask_count);
  if (!facts->trainable)
    return fault(work->error, FAULT_USAGE,
                 "%s is not made to be trained on; train on the base model, and draw with either.",
                 facts->title);
  return caption_check_trigger(work->trigger, work->error);
}

static gint64 weight_bytes(const Work *work) {
  gboolean large = model_arithmetic(work->model) == ARITHMETIC_BF16;
  return transformer_shape(model_transformer(work->model))->parameters * (large ? 2 : 4);
}

static gint64 plan_bytes(const Work *work) {
  gint64 side = work->recipe->resolution / AUTOENCODER_PATCH, tokens = side * side,
         text = model_text_length(work->model), width = model_text_width(work->model);
  gint64 pictures = work->job->picture_count + (work->job->held_out != NULL);
  gint64 material = (gint64)sizeof(float) * pictures * (tokens * AUTOENCODER_CHANNELS + text * width);
  gint64 steps = lora_training_bytes(transformer_shape(model_transformer(work->model)), work->recipe, tokens,
                                     text, model_arithmetic(work->model), work->job->held_out != NULL);
  gint64 coding =
      autoencoder_bytes(model_autoencoder(work->model), work->recipe->resolution, work->recipe->resolution);
  return weight_bytes(work) + material + MAX(steps + previews_bytes(work->model, work->recipe), coding);
}

gint64 character_training_bytes(Model *model, const Recipe *recipe, const CharacterTraining *job) {
  const Work work = {.model = model, .recipe = recipe, .job = job};
  return plan_bytes(&work);
}

static gboolean check_memory(const Work *work, gint64 bytes) {
  gint64 there = work->job->memory ? work->job->memory : memory_available();
  if (there && bytes > there)
    return fault(
        work->error, FAULT_MEMORY,
        "This training needs %.2f GB of memory and %.2f GB may be used. Close other programs, or lower the "
        "resolution (%d) or the rank (%d).",
        (double)bytes / 1e9, (double)there / 1e9, (int)work->recipe->resolution, (int)work->recipe->rank);
  g_autofree char *plan = g_strdup_printf("Training needs %.2f GB of memory", (double)bytes / 1e9);
  progress_report(work->progress, plan, 0, 0);
  return TRUE;
}

/* --- pictures --- */

/* The caption of a picture: given, beside it, or NULL. */
static gboolean find_caption(const Work *work, const char *path, int index, char **caption) {
  const CharacterTraining *job = work->job;
  if (index < 0 || !job->caption_count)
    return caption_beside(path, caption, work->error);
  *caption = caption_read(job->captions[job->caption_count > 1 ? index : 0], work->error);
  return *caption != NULL;
}

/* The model's own caption for the picture that was added last, where it can give one. */
static gboolean caption_itself(const Work *work, DatasetPart part, int index) {
  const GPtrArray *items = work->dataset->parts[part];
  DatasetItem *item = items->pdata[items->len - 1];
  GError *problem = NULL;
  g_autofree char *own = self_caption(work->model, item, work->class, &problem);
  if (problem) {
    g_propagate_error(work->error, problem);
    return FALSE;
  }
  if (own) {
    g_free(item->caption);
    item->caption = caption_template(own, work->trigger, work->class, (guint)MAX(index, 0));
  }
  return TRUE;
}

static gboolean add_picture(const Work *work, const char *path, DatasetPart part, int index) {
  g_autoptr(Image) picture = picture_load(path, work->error), mask = NULL;
  g_autofree char *given = NULL, *caption = NULL;
  if (!picture || !find_caption(work, path, index, &given))
    return FALSE;
  if (index >= 0 && work->job->mask_count && !(mask = picture_load(work->job->masks[index], work->error)))
    return FALSE;
  if (part == DATASET_REPLAY)
    caption = g_strdup(given ? given : work->class);
  else
    caption = caption_template(given, work->trigger, work->class, (guint)MAX(index, 0));
  double area = (double)picture->width * picture->height,
         wanted = (double)work->recipe->resolution * (double)work->recipe->resolution;
  if (area < WARN_SHARE * wanted)
    progress_note(
        work->progress, "%s has only %d x %d pixels; %d x %d would show the character more clearly.", path,
        picture->width, picture->height, (int)work->recipe->resolution, (int)work->recipe->resolution);
  const DatasetPicture entry = {picture, mask, caption, part};
  if (dataset_add(work->dataset, model_autoencoder(work->model), &entry, work->recipe->resolution,
                  work->error))
    return given || part == DATASET_REPLAY || caption_itself(work, part, index);
  if (work->error)
    g_prefix_error(work->error, "%s: ", path);
  return FALSE;
}

static gboolean add_replay(const Work *work) {
  if (!work->job->replay)
    return !work->job->replay_file || replay_read(work->job->replay_file, work->dataset, work->error);
  for (const char *const *path = work->job->replay; *path; path++)
    if (!add_picture(work, *path, DATASET_REPLAY, -1))
      return FALSE;
  return TRUE;
}

static gboolean all_alike(const Dataset *dataset) {
  const GPtrArray *items = dataset->parts[DATASET_LEARN];
  const DatasetItem *first = items->pdata[0];
  for (guint i = 1; i < items->len; i++) {
    const DatasetItem *item = items->pdata[i];
    if (item->height != first->height || item->width != first->width ||
        memcmp(item->tokens, first->tokens,
               sizeof(float) * (gsize)(item->height * item->width * dataset->channels)) != 0)
      return FALSE;
  }
  return TRUE;
}

static const float *features(const char *text, gpointer user, GError **error) {
  Work *work = user;
  g_autofree char *note = NULL;
  const float *found = model_features(work->model, text, &note, error);
  if (note && work->notes++ < NOTES_MAX)
    progress_note(work->progress, "In the caption \"%s\": %s", text, note);
  return found;
}

static gboolean read_material(Work *work) {
  const CharacterTraining *job = work->job;
  work->dataset = dataset_new(transformer_shape(model_transformer(work->model))->channels,
                              model_text_length(work->model), model_text_width(work->model));
  for (int i = 0; i < job->picture_count; i++) {
    progress_report(work->progress, "Reading the pictures", i, job->picture_count);
    if (!progress_continue(work->progress, work->error) ||
        !add_picture(work, job->pictures[i], DATASET_LEARN, i))
      return FALSE;
  }
  progress_report(work->progress, "Reading the pictures", job->picture_count, job->picture_count);
  if ((job->held_out && !add_picture(work, job->held_out, DATASET_HELD, -1)) || !add_replay(work))
    return FALSE;
  if (all_alike(work->dataset))
    progress_note(work->progress,
                  "All pictures are the same one; the character will look like it everywhere.");
  progress_report(work->progress, "Reading the captions", 0, 0);
  return dataset_read_captions(work->dataset, features, work, work->error);
}

/* What is said of each picture, for those who want to say it better: a line each, in their order. */
static gboolean write_captions(const Work *work) {
  const GPtrArray *items = work->dataset->parts[DATASET_LEARN];
  g_autofree char *path = g_build_filename(work->folder, CHARACTER_TRAINING, "captions.txt", NULL);
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < items->len; i++)
    g_string_append_printf(text, "%s\t%s\n", work->job->pictures[i],
                           ((const DatasetItem *)items->pdata[i])->caption);
  return g_file_set_contents(path, text->str, -1, NULL) ||
         fault(work->error, FAULT_OUTPUT, "%s cannot be written.", path);
}

/* --- steps --- */

static gboolean on_preview(gint64 step, const Lora *lora, gpointer user, GError **error) {
  Work *work = user;
  return previews_draw(work->previews, step, lora, work->progress, error) &&
         previews_write_sheet(work->previews, error);
}

static gboolean open_training(Work *work) {
  work->place = g_build_filename(work->folder, CHARACTER_TRAINING, NULL);
  const LoraTrainingSetup setup = {work->recipe, model_arithmetic(work->model),
                                   model_facts(work->model)->name, work->place};
  work->training = lora_training_open(model_transformer(work->model), work->dataset, &setup, work->error);
  if (!work->training)
    return FALSE;
  gint64 done = lora_training_steps(work->training);
  if (done)
    progress_note(work->progress,
                  "Went on after step %" G_GINT64_FORMAT " of a training that was interrupted.", done);
  const PreviewsSetup previews = {
      work->recipe,        work->place,         work->trigger,           work->class,
      work->job->previews, work->job->pictures, work->job->picture_count};
  return (work->previews = previews_new(work->model, &previews, done == 0, work->error)) != NULL;
}

static gboolean draw_chart(const Work *work) {
  gint64 count;
  const LoraStep *steps = lora_training_history(work->training, &count);
  g_autofree char *title = g_strdup_printf("%s, rank %d, learning rate %g", model_facts(work->model)->title,
                                           (int)work->recipe->rank, work->recipe->rate);
  return previews_write_chart(work->previews, steps, count, title, work->error);
}

static gboolean write_lora(const Work *work, gint64 steps) {
  const ModelFacts *facts = model_facts(work->model);
  g_autofree char *path = g_build_filename(work->folder, CHARACTER_LORA, NULL),
                  *step_text = g_strdup_printf("%" G_GINT64_FORMAT, steps),
                  *rank_text = g_strdup_printf("%" G_GINT64_FORMAT, work->recipe->rank),
                  *seed_text = g_strdup_printf("%" G_GUINT64_FORMAT, work->recipe->seed);
  const char *const metadata[] = {LORA_MODEL,    facts->name,    LORA_TRIGGER, work->trigger, LORA_CLASS,
                                  work->class,   "troupe.steps", step_text,    "troupe.rank", rank_text,
                                  "troupe.seed", seed_text,      NULL};
  return lora_save(lora_training_lora(work->training), path, metadata, work->error);
}

/* The mean loss of a tenth of the steps. */
static double tenth(const LoraStep *steps, gint64 count, gboolean last) {
  gint64 length = MAX(1, count / 10), from = last ? count - length : 0;
  double sum = 0;
  for (gint64 i = from; i < from + length && i < count; i++)
    sum += steps[i].loss;
  return sum / (double)length;
}

static void report(const Work *work, CharacterTrained *trained) {
  gint64 count;
  const LoraStep *steps = lora_training_history(work->training, &count);
  trained->steps = count;
  trained->stopped = lora_training_stopped(work->training);
  trained->first_loss = tenth(steps, count, FALSE);
  trained->last_loss = tenth(steps, count, TRUE);
  if (trained->stopped)
    progress_note(
        work->progress,
        "Stopped after %d of %d steps: the held-out picture was best after %d and did not get better.",
        (int)count, (int)work->recipe->steps, (int)trained->best_step);
}

static gboolean train(Work *work, CharacterTrained *trained) {
  GError *problem = NULL;
  if (!lora_training_run(work->training, on_preview, work, work->progress, &problem)) {
    draw_chart(&(Work){.model = work->model,
                       .recipe = work->recipe,
                       .training = work->training,
                       .previews = work->previews});
    g_propagate_error(work->error, problem);
    return FALSE;
  }
  trained->best_step = lora_training_take_best(work->training);
  report(work, trained);
  return draw_chart(work) && previews_write_sheet(work->previews, work->error) &&
         write_lora(work, trained->best_step) &&
         character_folder_trained(work->folder, model_facts(work->model)->name, work->trigger, work->class,
                                  work->error);
}

gboolean character_train(Model *model, const Recipe *recipe, const CharacterTraining *job, const char *folder,
                         CharacterTrained *trained, Progress *progress, GError **error) {
  g_auto(Work) work = {.model = model,
                       .recipe = recipe,
                       .job = job,
                       .trigger = job->trigger ? job->trigger : CAPTION_TRIGGER,
                       .class = job->class ? job->class : CAPTION_CLASS,
                       .folder = g_canonicalize_filename(folder, NULL),
                       .progress = progress,
                       .error = error};
  *trained = (CharacterTrained){0};
  if (!check_job(&work))
    return FALSE;
  trained->bytes = plan_bytes(&work);
  return check_memory(&work, trained->bytes) && model_bind(model, work.trigger, error) &&
         read_material(&work) &&
         character_folder_prepare(work.folder, job->name, job->pictures, job->picture_count, error) &&
         write_captions(&work) && open_training(&work) && train(&work, trained);
}
