/* Learning a Character and drawing it: one child each.
 *
 * While a training runs, what its child has written - the checkpoint with the previews before it, and the
 * sheet of all previews - is copied into the store whenever it has changed, and named in the job's partial
 * result. Another attempt, by whomever, begins with that folder and goes on as if nothing had happened. */
#include "app/refusal.h"
#include "base/files.h"
#include "identity/training/character_training.h"
#include "identity/training/previews.h"
#include "worker/kinds.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#define CHARACTER "character" /* the folder in the scratch folder */
#define PICTURES "pictures"
#define SILENCE 3600 /* seconds: a large model's preview takes long and says nothing */
#define FILES_MOST 500
#define FILE_BYTES (G_GINT64_CONSTANT(8) << 30)

/* --- objects --- */

/* Paths of the objects that the spec lists under the key; those of pictures. */
static json_t *paths_of(Run *run, const char *key, GError **error) {
  json_t *list = json_array(), *item;
  size_t i;
  json_array_foreach(json_object_get(run_job(run)->spec, key), i, item) {
    g_autofree char *path = objects_path(run_app(run)->objects, json_string_value(item), error);
    if (!path) {
      json_decref(list);
      return NULL;
    }
    json_array_append_new(list, json_string(path));
  }
  return list;
}

/* The folder of the model that the spec names. */
static char *model_folder(Run *run, GError **error) {
  g_autoptr(GError) problem = NULL;
  const char *name = spec_string(run, "model");
  char *folder = model_find(name ? name : MODEL_DEFAULT, run_app(run)->settings->models, &problem);
  return folder ? folder
                : refuse_null(error, REFUSAL_MODEL, "The model \"%s\" is not installed any more.", name);
}

/* --- the checkpoint --- */

typedef struct {
  Run *run;
  char *folder;               /* training/ of the child's Character */
  struct stat seen, pictured; /* of the checkpoint and the sheet that were kept last */
} Keeper;

static gboolean is_kept_name(const char *name) {
  return g_str_equal(name, LORA_TRAINING_CHECKPOINT) ||
         (g_str_has_prefix(name, "preview-") && g_str_has_suffix(name, ".png"));
}

/* Of a flat folder, the files that another attempt needs. */
static gboolean copy_files(const char *from, const char *to, GError **error) {
  g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
  int count = 0;
  if (!dir || g_mkdir_with_parents(to, 0700) != 0)
    return fault(error, FAULT_STORE, "A checkpoint cannot be copied: %s.", g_strerror(errno));
  for (const char *name; (name = g_dir_read_name(dir)) && count < FILES_MOST;) {
    g_autofree char *source = g_build_filename(from, name, NULL), *copy = g_build_filename(to, name, NULL);
    if (is_kept_name(name) && !files_copy(source, copy, FILE_BYTES, error))
      return FALSE;
    count += is_kept_name(name);
  }
  return TRUE;
}

/* Whether the file is another one than before. */
static gboolean has_changed(const char *path, struct stat *seen) {
  struct stat now;
  if (g_lstat(path, &now) != 0 || !S_ISREG(now.st_mode) ||
      (now.st_ino == seen->st_ino && now.st_mtim.tv_sec == seen->st_mtim.tv_sec &&
       now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec && now.st_size == seen->st_size))
    return FALSE;
  *seen = now;
  return TRUE;
}

static gboolean keep_copy(Keeper *keeper, const char *role, const char *from, gboolean folder,
                          GError **error) {
  g_autofree char *draft = objects_draft(run_app(keeper->run)->objects, error);
  if (!draft)
    return FALSE;
  gboolean copied = folder ? copy_files(from, draft, error) : files_copy(from, draft, FILE_BYTES, error);
  g_autofree char *object = copied ? run_keep(keeper->run, role, draft, TRUE, error) : NULL;
  if (!object)
    files_remove_tree(draft);
  return object != NULL;
}

/* Called with each report of the child. What cannot be kept now may be the next time; the training goes on.
 */
static void keep(Run *run, gpointer user) {
  Keeper *keeper = user;
  g_autoptr(GError) error = NULL;
  g_autofree char *checkpoint = g_build_filename(keeper->folder, LORA_TRAINING_CHECKPOINT, NULL),
                  *sheet = g_build_filename(keeper->folder, PREVIEWS_SHEET, NULL);
  if (has_changed(sheet, &keeper->pictured))
    keep_copy(keeper, "previews", sheet, FALSE, &error);
  if (!error && has_changed(checkpoint, &keeper->seen))
    keep_copy(keeper, "checkpoint", keeper->folder, TRUE, &error);
  if (error && !g_error_matches(error, FAULT, FAULT_CANCELLED))
    run_complain(run, "a checkpoint was not kept: %s", error->message);
}

/* What an earlier attempt left. One that cannot be read is as good as none. */
static void take_up(Keeper *keeper) {
  Run *run = keeper->run;
  g_autoptr(GError) error = NULL;
  g_autofree char *object = run_made(run, "checkpoint");
  g_autofree char *path = object ? objects_path(run_app(run)->objects, object, NULL) : NULL;
  if (path && !copy_files(path, keeper->folder, &error)) {
    run_complain(run, "a checkpoint cannot be taken up: %s", error->message);
    files_remove_tree(keeper->folder);
  }
}

/* --- training --- */

static json_t *training_task(Run *run, const char *out, GError **error) {
  g_autofree char *model = model_folder(run, error);
  json_t *pictures = model ? paths_of(run, PICTURES, error) : NULL;
  if (!pictures)
    return NULL;
  json_t *task =
      json_pack("{s:s, s:o, s:s, s:s}", "do", "train", "pictures", pictures, "model", model, "out", out);
  static const char *const same[] = {"trigger", "class", "seed", "steps"};
  for (gsize i = 0; i < G_N_ELEMENTS(same); i++) {
    json_t *value = json_object_get(run_job(run)->spec, same[i]);
    if (value)
      json_object_set(task, same[i], value);
  }
  return task;
}

static gboolean keep_results(Run *run, const char *out, json_t *facts, Yield *yield, GError **error) {
  g_autofree char *training = g_build_filename(out, CHARACTER_TRAINING, NULL);
  g_autofree char *lora_path = g_build_filename(out, CHARACTER_LORA, NULL),
                  *chart_path = g_build_filename(training, PREVIEWS_CHART, NULL),
                  *sheet_path = g_build_filename(training, PREVIEWS_SHEET, NULL);
  g_autofree char *lora = run_keep(run, "lora", lora_path, FALSE, error),
                  *chart = lora ? run_keep(run, "chart", chart_path, FALSE, error) : NULL,
                  *sheet = chart ? run_keep(run, "previews", sheet_path, FALSE, error) : NULL;
  if (!sheet)
    return FALSE;
  static const char *const same[] = {"trigger", "class", "model", "seed"};
  yield->result = json_incref(facts);
  for (gsize i = 0; i < G_N_ELEMENTS(same); i++)
    json_object_set(facts, same[i], json_object_get(run_job(run)->spec, same[i]));
  yield->objects = json_pack("{s:s, s:s, s:s}", "lora", lora, "chart", chart, "previews", sheet);
  yield->charge = run_job(run)->price;
  return TRUE;
}

gboolean training_work(Run *run, Yield *yield, GError **error) {
  const double all = 1;
  g_autofree char *out = run_path(run, CHARACTER);
  g_autofree char *folder = g_build_filename(out, CHARACTER_TRAINING, NULL);
  json_auto_t *task = training_task(run, out, error);
  if (!task)
    return FALSE;
  Keeper keeper = {.run = run, .folder = folder};
  take_up(&keeper);
  run_parts(run, &all, 1);
  Step step = {.task = task,
               .cores = usual_cores(run),
               .share = 1,
               .measured = TRUE,
               .silence = SILENCE,
               .watch = keep,
               .user = &keeper};
  json_auto_t *facts = run_step(run, &step, error);
  return facts && keep_results(run, out, facts, yield, error);
}

/* --- drawing --- */

static json_t *generation_task(Run *run, const char *out, GError **error) {
  const char *object = spec_string(run, "lora");
  g_autofree char *model = model_folder(run, error);
  g_autofree char *lora = model && object ? objects_path(run_app(run)->objects, object, error) : NULL;
  json_t *references = model && (lora || !object) ? paths_of(run, "references", error) : NULL;
  if (!references)
    return NULL;
  json_t *task = json_pack("{s:s, s:s, s:o, s:s}", "do", "generate", "model", model, "references", references,
                           "out", out);
  static const char *const same[] = {"prompt", "aspect", "count", "seed", "strength"};
  for (gsize i = 0; i < G_N_ELEMENTS(same); i++)
    json_object_set(task, same[i], json_object_get(run_job(run)->spec, same[i]));
  if (lora)
    json_object_set_new(task, "lora", json_string(lora));
  return task;
}

/* The child names its files; only plain names in its folder are taken. */
static gboolean keep_images(Run *run, const char *out, json_t *facts, Yield *yield, GError **error) {
  json_t *names = json_object_get(facts, "images"), *images = json_array(), *item;
  json_int_t wanted = json_integer_value(json_object_get(run_job(run)->spec, "count"));
  size_t i;
  yield->objects = json_object();
  json_array_foreach(names, i, item) {
    const char *name = json_string_value(item);
    g_autofree char *plain = g_strdup_printf("%02d.png", (int)i + 1),
                    *role = g_strdup_printf("image-%d", (int)i);
    g_autofree char *path = g_build_filename(out, plain, NULL);
    g_autofree char *object = g_strcmp0(name, plain) == 0 ? run_keep(run, role, path, FALSE, error) : NULL;
    if (!object)
      break;
    json_array_append_new(images, json_string(object));
    json_object_set_new(yield->objects, role, json_string(object));
  }
  gboolean good = (json_int_t)json_array_size(images) == wanted;
  json_object_set_new(facts, "images", images);
  yield->result = json_incref(facts);
  yield->charge = run_job(run)->price;
  return good ||
         (error && *error ? FALSE : fault(error, FAULT_INTERNAL, "The engine drew too few pictures."));
}

gboolean generation_work(Run *run, Yield *yield, GError **error) {
  const double all = 1;
  g_autofree char *out = run_path(run, "images");
  json_auto_t *task = generation_task(run, out, error);
  if (!task)
    return FALSE;
  run_parts(run, &all, 1);
  Step step = {.task = task, .cores = usual_cores(run), .share = 1, .silence = SILENCE};
  json_auto_t *facts = run_step(run, &step, error);
  return facts && keep_images(run, out, facts, yield, error);
}
