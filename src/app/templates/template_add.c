/* A Template's content comes from a Scene's folder, from a video of which a Scene is made first (by an engine
 * child, as a job does it), or from a JSON file that has a prompt or names one of these two. */
#include "app/templates/templates_private.h"

#include "app/inputs/inputs.h"
#include "app/making/scenes.h"
#include "app/templates/template_prompt.h"
#include "base/files.h"
#include "engine/child.h"
#include "stage/scene.h"
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define CATEGORY_MOST 40
#define ORIGIN "template/" /* names in the settings */

/* --- the folder of a Scene --- */

/* A Scene's folder is flat. */
static gboolean copy_folder(const char *from, const char *to, GError **error) {
  g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
  if (!dir || g_mkdir(to, 0700) != 0)
    return fault(error, FAULT_STORE, "%s cannot be copied to %s: %s.", from, to, g_strerror(errno));
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(from, name, NULL);
    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR) || name[0] == '.')
      continue;
    g_autofree char *copy_path = g_build_filename(to, name, NULL);
    g_autoptr(GFile) source = g_file_new_for_path(path);
    g_autoptr(GFile) copy = g_file_new_for_path(copy_path);
    g_autoptr(GError) problem = NULL;
    if (!g_file_copy(source, copy, G_FILE_COPY_NONE, NULL, NULL, NULL, &problem))
      return fault(error, FAULT_STORE, "%s cannot be copied: %s.", path, problem->message);
  }
  return TRUE;
}

static int most_seen_first(gconstpointer a, gconstpointer b) {
  const Track *first = *(Track *const *)a, *second = *(Track *const *)b;
  return first->count != second->count ? second->count - first->count : first->id - second->id;
}

/* Each person's segment, with a uuid that is the same for everyone who imports the Template. */
static json_t *segments_of(const char *id, const GPtrArray *tracks) {
  json_t *segments = json_array();
  for (guint i = 0; i < tracks->len; i++) {
    const Track *track = tracks->pdata[i];
    g_autofree char *name = g_strdup_printf("%s/%d", id, track->id);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
    g_autofree char *uuid = g_strdup_printf("person_%.8s", hash);
    json_array_append_new(segments,
                          json_pack("{s:s, s:s, s:i}", "uuid", uuid, "type", "human", "person", track->id));
  }
  return segments;
}

static json_t *describe(const char *id, const Scene *scene) {
  g_autoptr(GPtrArray) tracks = g_ptr_array_copy(scene->tracks->tracks, NULL, NULL);
  g_ptr_array_set_free_func(tracks, NULL);
  g_ptr_array_sort(tracks, most_seen_first);
  return json_pack("{s:f, s:f, s:i, s:i, s:i, s:o}", "seconds", scene->info.seconds, "fps",
                   av_q2d(scene->info.frame_rate), "frames", scene->tracks->frames, "width",
                   scene->info.width, "height", scene->info.height, "segments", segments_of(id, tracks));
}

static char *take_folder(App *app, const char *folder, GError **error) {
  g_autofree char *draft = objects_draft(app->objects, error);
  if (!draft)
    return NULL;
  char *object =
      copy_folder(folder, draft, error) ? objects_put(app->objects, draft, NULL, NULL, error) : NULL;
  if (!object)
    files_remove_tree(draft);
  return object;
}

/* --- words --- */

static gboolean read_word(const char *field, const char *value, glong most, char **word, GError **error) {
  g_autoptr(GError) problem = NULL;
  *word = value ? input_text(field, value, 1, most, &problem) : NULL;
  return !value || *word || fault(error, FAULT_USAGE, "--%s", problem->message);
}

static gboolean describe_words(const TemplateWords *words, json_t *about, GError **error) {
  g_autofree char *description = NULL, *category = NULL;
  if (!read_word("description", words->description, INPUT_DESCRIPTION_MAX, &description, error) ||
      !read_word("category", words->category, CATEGORY_MOST, &category, error))
    return FALSE;
  if (description)
    json_object_set_new(about, "description", json_string(description));
  if (category)
    json_object_set_new(about, "category", json_string(category));
  return TRUE;
}

/* --- a Scene --- */

static gboolean read_folder(App *app, const char *folder, const TemplateWords *words, TemplateRow *row,
                            GError **error) {
  g_autofree char *title = files_title(folder);
  if (!row->name && !read_word("name", words->name ? words->name : title, INPUT_NAME_MAX, &row->name, error))
    return FALSE;
  g_autoptr(Scene) scene = scene_load(folder, error);
  if (!scene)
    return FALSE;
  row->kind = g_strdup(TEMPLATE_SCENE);
  row->model = g_strdup(scene->model);
  row->about = describe(row->id, scene);
  return describe_words(words, row->about, error) && (row->folder = take_folder(app, folder, error));
}

static gboolean prepare(App *app, const char *video, const char *model, const char *scratch, const char *out,
                        Progress *progress, GError **error) {
  g_auto(ChildOutcome) outcome = {0};
  json_auto_t *task =
      json_pack("{s:s, s:s, s:s, s:s}", "do", "scene", "video", video, "model", model, "out", out);
  ChildLimits limits = {.models = app->settings->models,
                        .writable = scratch,
                        .memory = app->settings->engine_memory,
                        .cpu_seconds = app->settings->engine_seconds};
  if (!task)
    return fault(error, FAULT_USAGE, "The name of the video is not UTF-8.");
  if (!child_run(task, &limits, &outcome, progress, error))
    return FALSE;
  return outcome.result || fault(error, FAULT_INPUT, "%s cannot be made into a scene: %s", video,
                                 outcome.message ? outcome.message : "the engine failed.");
}

static gboolean read_video(App *app, const char *path, const char *model, const TemplateWords *words,
                           TemplateRow *row, Progress *progress, GError **error) {
  g_autofree char *video = g_canonicalize_filename(path, NULL), *title = files_title(path);
  g_autofree char *name = g_strdup_printf("template_%s", row->id);
  g_autofree char *scratch = g_build_filename(app->scratch, name, NULL);
  g_autofree char *out = g_build_filename(scratch, "scene", NULL);
  if (!g_file_test(video, G_FILE_TEST_IS_REGULAR))
    return fault(error, FAULT_INPUT, "There is no scene or video %s.", path);
  if (!read_word("name", words->name ? words->name : title, INPUT_NAME_MAX, &row->name, error))
    return FALSE;
  if (g_mkdir(scratch, 0700) != 0)
    return fault(error, FAULT_STORE, "%s cannot be made: %s.", scratch, g_strerror(errno));
  gboolean good =
      prepare(app, video, model, scratch, out, progress, error) && read_folder(app, out, words, row, error);
  files_remove_tree(scratch);
  return good;
}

static gboolean read_scene(App *app, const char *path, const char *model, const TemplateWords *words,
                           TemplateRow *row, Progress *progress, GError **error) {
  return g_file_test(path, G_FILE_TEST_IS_DIR) ? read_folder(app, path, words, row, error)
                                               : read_video(app, path, model, words, row, progress, error);
}

/* --- a JSON file --- */

static gboolean read_prompt(const char *path, const TemplateWords *words, TemplateRow *row, GError **error) {
  g_autoptr(GError) why = NULL;
  if (!template_prompt_check(row->about, &why))
    return fault(error, FAULT_INPUT, "%s is not a template: %s", path, why->message);
  if (!describe_words(words, row->about, error) ||
      !read_word("name", words->name ? words->name : json_string_value(json_object_get(row->about, "title")),
                 INPUT_NAME_MAX, &row->name, error))
    return FALSE;
  const char *model = json_string_value(json_object_get(row->about, "model"));
  row->kind = g_strdup(TEMPLATE_PROMPT);
  row->model = g_strdup(model ? model : "");
  return TRUE;
}

/* The words of the file, but those of the command line go first. */
static TemplateWords words_of(const json_t *file, const TemplateWords *said) {
  const char *title = json_string_value(json_object_get(file, "title"));
  const char *description = json_string_value(json_object_get(file, "description"));
  const char *category = json_string_value(json_object_get(file, "category"));
  return (TemplateWords){.name = said->name ? said->name : title,
                         .description = said->description ? said->description : description,
                         .category = said->category ? said->category : category};
}

static gboolean read_named_scene(App *app, const char *path, const json_t *file, const TemplateWords *said,
                                 TemplateRow *row, Progress *progress, GError **error) {
  static const char *const known[] = {"title", "description", "category", "scene", "model", NULL};
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)file, name, value) {
    if (!g_strv_contains(known, name) || !json_is_string(value))
      return fault(error, FAULT_INPUT, "%s is not a template: \"%.80s\" is not known here, or no text.", path,
                   name);
  }
  g_autofree char *beside = g_path_get_dirname(path);
  const char *scene = json_string_value(json_object_get(file, "scene"));
  const char *model = json_string_value(json_object_get(file, "model"));
  g_autofree char *named =
      g_path_is_absolute(scene) ? g_strdup(scene) : g_build_filename(beside, scene, NULL);
  TemplateWords words = words_of(file, said);
  return (!model || scene_model_known(model, error)) &&
         read_scene(app, named, model ? model : SCENE_MODEL_USUAL, &words, row, progress, error);
}

static gboolean read_file(App *app, const char *path, const TemplateWords *words, TemplateRow *row,
                          Progress *progress, GError **error) {
  json_error_t problem;
  json_auto_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
  if (!file)
    return fault(error, FAULT_INPUT, "%s is not JSON (line %d: %s).", path, problem.line, problem.text);
  if (json_object_get(file, "scene"))
    return read_named_scene(app, path, file, words, row, progress, error);
  row->about = json_incref(file);
  return read_prompt(path, words, row, error);
}

/* --- the whole --- */

static char *add(App *app, const char *path, const TemplateWords *words, const char *origin,
                 Progress *progress, GError **error) {
  static const TemplateWords none = {0};
  g_autoptr(TemplateRow) row = g_new0(TemplateRow, 1);
  words = words ? words : &none;
  row->id = app_uuid();
  gboolean good = g_str_has_suffix(path, ".json")
                      ? read_file(app, path, words, row, progress, error)
                      : read_scene(app, path, SCENE_MODEL_USUAL, words, row, progress, error);
  return good && template_insert(app, row, origin, error) ? g_strdup(row->id) : NULL;
}

char *template_add(App *app, const char *path, const TemplateWords *words, Progress *progress,
                   GError **error) {
  return add(app, path, words, NULL, progress, error);
}

/* --- those that come with the program --- */

static gboolean known_already(App *app, const char *origin, gboolean *known, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session ? session_query(session, error, "SELECT 1 FROM settings WHERE name = $1", text(origin)) : NULL;
  if (!rows)
    return FALSE;
  *known = rows_next(rows, error);
  return rows_ended(rows) || *known;
}

static gint by_name(gconstpointer a, gconstpointer b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Prompts first, for they take no time. */
static gboolean names_scene(const char *path) {
  json_auto_t *file = json_load_file(path, 0, NULL);
  return json_object_get(file, "scene") != NULL;
}

static GPtrArray *files_in(const char *folder, gboolean scenes) {
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
  for (const char *name; dir && (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(folder, name, NULL);
    if (g_str_has_suffix(name, ".json") && names_scene(path) == scenes)
      g_ptr_array_add(paths, g_steal_pointer(&path));
  }
  g_ptr_array_sort(paths, by_name);
  return paths;
}

gboolean templates_install(App *app, const char *folder, Progress *progress, GError **error) {
  for (int scenes = FALSE; scenes <= TRUE; scenes++) {
    g_autoptr(GPtrArray) paths = files_in(folder, scenes);
    for (guint i = 0; i < paths->len; i++) {
      g_autofree char *name = g_path_get_basename(paths->pdata[i]), *origin = g_strconcat(ORIGIN, name, NULL);
      g_autofree char *id = NULL;
      gboolean known = FALSE;
      if (!known_already(app, origin, &known, error) ||
          (!known && !(id = add(app, paths->pdata[i], NULL, origin, progress, error))))
        return FALSE;
    }
  }
  return TRUE;
}
