/* Inspecting pictures of a character, learning it, drawing it.
 *
 * The threads of the networks' library are counted when it is loaded, before the child is held on its
 * processors; so they are counted again here. */
#include "base/memory.h"
#include "engine/tasks.h"
#include "identity/inspect/inspect_json.h"
#include "identity/sampling/generate.h"
#include "identity/training/character_training.h"
#include "media/picture.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <string.h>

#define DESCRIPTION "character.json"

static void count_threads(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    omp_set_num_threads(MAX(1, CPU_COUNT(&set)));
}

/* What may be used: what is free, within the engine's limit. */
static gint64 memory_of(const Work *work) {
  gint64 there = memory_available();
  return work->memory && there ? MIN(work->memory, there) : MAX(work->memory, there);
}

/* A list of paths; NULL at the end. The strings are the task's. */
static const char **paths_of(Work *work, const char *key, int *count) {
  const json_t *list = json_object_get(work->task, key), *item;
  size_t i;
  const char **paths = g_new0(const char *, json_array_size(list) + 1);
  *count = 0;
  json_array_foreach(list, i, item) {
    if (json_is_string(item))
      paths[(*count)++] = json_string_value(item);
  }
  return paths;
}

static gint64 whole(Work *work, const char *key) {
  return json_integer_value(json_object_get(work->task, key));
}

/* --- inspection --- */

json_t *task_inspect(Work *work) {
  GError *error = NULL;
  int count;
  g_autofree const char **paths = paths_of(work, "pictures", &count);
  g_autoptr(Inspection) inspection =
      inspect_pictures(paths, (gsize)count, POSE_FULL, work->models, work->progress, &error);
  if (!inspection)
    return work_fail_with(work, error, &(Blame){0});
  json_t *reports = json_array();
  for (guint i = 0; i < inspection->pictures->len; i++)
    json_array_append_new(reports,
                          picture_report_json(&g_array_index(inspection->pictures, PictureReport, i), FALSE));
  return json_pack("{s:o, s:o, s:i}", "pictures", reports, "remarks", inspection_remarks_json(inspection),
                   "chosen", inspection_choose(inspection));
}

/* --- training --- */

/* The Character's folder, with what an earlier attempt left of it. The pictures need no second copy. */
static gboolean prepare_folder(const char *folder, GError **error) {
  g_autofree char *training = g_build_filename(folder, CHARACTER_TRAINING, NULL),
                  *description = g_build_filename(folder, DESCRIPTION, NULL);
  json_auto_t *json = json_pack("{s:i, s:s}", "format", 1, "name", "Character");
  return (g_mkdir_with_parents(training, 0700) == 0 && json_dump_file(json, description, 0) == 0) ||
         fault(error, FAULT_OUTPUT, "The folder of the training cannot be written: %s.", g_strerror(errno));
}

/* TRUE when there was something to forget. */
static gboolean forget(const char *folder) {
  g_autofree char *path = g_build_filename(folder, CHARACTER_TRAINING, LORA_TRAINING_CHECKPOINT, NULL);
  return g_unlink(path) == 0;
}

typedef struct {
  Model *model;
  Recipe recipe;
  char *replay;
  CharacterTraining job;
  const char *folder;
} Lesson;

static void lesson_clear(Lesson *lesson) {
  model_free(lesson->model);
  g_free(lesson->replay);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Lesson, lesson_clear)

static gboolean read_lesson(Work *work, const char *model, Lesson *lesson, GError **error) {
  gint64 steps = whole(work, "steps");
  lesson->model = model_open(model, error);
  if (!lesson->model || !recipe_of_model(lesson->model, &lesson->recipe, &lesson->replay, error))
    return FALSE;
  lesson->recipe.seed = (guint64)whole(work, "seed");
  lesson->recipe.steps = steps > 0 ? steps : lesson->recipe.steps;
  lesson->job.memory = memory_of(work);
  lesson->job.replay_file = lesson->replay;
  lesson->job.trigger = json_string_value(json_object_get(work->task, "trigger"));
  lesson->job.class = json_string_value(json_object_get(work->task, "class"));
  return recipe_settle(&lesson->recipe, error);
}

/* A checkpoint that does not belong to it (the model was exchanged meanwhile) is forgotten. */
static gboolean learn(Lesson *lesson, CharacterTrained *trained, Progress *progress, GError **error) {
  GError *problem = NULL;
  if (character_train(lesson->model, &lesson->recipe, &lesson->job, lesson->folder, trained, progress,
                      &problem))
    return TRUE;
  if (!g_error_matches(problem, FAULT, FAULT_INPUT) || !forget(lesson->folder)) {
    g_propagate_error(error, problem);
    return FALSE;
  }
  g_clear_error(&problem);
  return character_train(lesson->model, &lesson->recipe, &lesson->job, lesson->folder, trained, progress,
                         error);
}

static json_t *fail_training(Work *work, GError *error) {
  if (!g_error_matches(error, FAULT, FAULT_NETWORK))
    return work_fail_with(work, error, &(Blame){.input = "picture_broken"});
  g_printerr("%s\n", error->message); /* it names paths */
  g_error_free(error);
  return work_fail(work, "diverged",
                   "The training stopped: its numbers broke. Train again with another seed or other "
                   "pictures.");
}

json_t *task_train(Work *work) {
  const char *model = work_string(work, "model"), *out = work_string(work, "out");
  if (!model || !out)
    return NULL;
  GError *error = NULL;
  CharacterTrained trained;
  g_auto(Lesson) lesson = {.folder = out};
  g_autofree const char **pictures = paths_of(work, "pictures", &lesson.job.picture_count);
  lesson.job.pictures = pictures;
  count_threads();
  if (!prepare_folder(out, &error) || !read_lesson(work, model, &lesson, &error))
    return work_fail_with(work, error, &(Blame){0});
  if (!learn(&lesson, &trained, work->progress, &error))
    return fail_training(work, error);
  return json_pack("{s:I, s:I, s:f, s:f, s:b}", "steps", (json_int_t)trained.steps, "best_step",
                   (json_int_t)trained.best_step, "loss", trained.last_loss, "first_loss", trained.first_loss,
                   "stopped_early", trained.stopped);
}

/* --- drawing --- */

/* "3:4" */
static double aspect_of(const char *text) {
  g_auto(GStrv) sides = g_strsplit(text ? text : "1:1", ":", 2);
  double width = g_ascii_strtod(sides[0], NULL), height = sides[1] ? g_ascii_strtod(sides[1], NULL) : 1;
  return width > 0 && height > 0 ? width / height : 1;
}

typedef struct {
  const char *folder;
  json_t *images; /* names of files */
  int width, height;
} Drawn;

static gboolean keep_picture(GeneratedPicture *picture, gpointer user, GError **error) {
  Drawn *drawn = user;
  g_autofree char *name = g_strdup_printf("%02d.png", (int)json_array_size(drawn->images) + 1);
  g_autofree char *path = g_build_filename(drawn->folder, name, NULL);
  drawn->width = picture->image->width;
  drawn->height = picture->image->height;
  json_array_append_new(drawn->images, json_string(name));
  return picture_save(picture->image, path, error);
}

static GPtrArray *load_references(Work *work) {
  int count;
  g_autofree const char **paths = paths_of(work, "references", &count);
  g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
  for (int i = 0; i < count; i++) {
    GError *error = NULL;
    Image *image = picture_load(paths[i], &error);
    if (!image) {
      work_fail_with(work, error,
                     &(Blame){paths[i], "A reference picture", "picture_broken", "picture_too_large", NULL});
      return NULL;
    }
    g_ptr_array_add(images, image);
  }
  return g_steal_pointer(&images);
}

static json_t *draw(Work *work, Model *model, const GPtrArray *references, Drawn *drawn) {
  const char *const prompts[] = {json_string_value(json_object_get(work->task, "prompt")), NULL};
  const json_t *strength = json_object_get(work->task, "strength");
  GError *error = NULL;
  GenerateOptions options = {
      .prompts = prompts,
      .count = (int)CLAMP(whole(work, "count"), 1, GENERATE_COUNT_MAX),
      .seed = (guint64)whole(work, "seed"),
      .aspect = aspect_of(json_string_value(json_object_get(work->task, "aspect"))),
      .lora = json_string_value(json_object_get(work->task, "lora")),
      .strength = json_is_number(strength) ? json_number_value(strength) : 1,
      .references = (const Image *const *)references->pdata,
      .reference_count = (int)references->len,
      .memory = memory_of(work),
  };
  if (!generate(model, &options, keep_picture, drawn, work->progress, &error))
    return work_fail_with(work, error, &(Blame){options.lora, "The character's LoRA", "model", NULL, NULL});
  return json_pack("{s:O, s:i, s:i, s:I}", "images", drawn->images, "width", drawn->width, "height",
                   drawn->height, "seed", (json_int_t)whole(work, "seed"));
}

json_t *task_generate(Work *work) {
  const char *folder = work_string(work, "model"), *out = work_string(work, "out");
  if (!folder || !out || !work_string(work, "prompt"))
    return NULL;
  GError *error = NULL;
  count_threads();
  g_autoptr(GPtrArray) references = load_references(work);
  if (!references)
    return NULL;
  g_autoptr(Model) model = model_open(folder, &error);
  if (!model || (g_mkdir_with_parents(out, 0700) != 0 &&
                 !fault(&error, FAULT_OUTPUT, "The folder of the pictures cannot be made.")))
    return work_fail_with(work, error, &(Blame){0});
  Drawn drawn = {.folder = out, .images = json_array()};
  json_t *result = draw(work, model, references, &drawn);
  json_decref(drawn.images);
  return result;
}
