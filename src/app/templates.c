/* A Template is a row, and of a Scene also a hold on its folder. What the row of an imported Scene needs is
 * kept beside it as JSON, so that an import reads no file; of a prompt that JSON is all there is. */
#include "app/templates.h"

#include "app/holds.h"
#include "app/inputs.h"
#include "app/template_prompt.h"
#include "base/files.h"
#include "stage/scene.h"
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define CATEGORY_MOST 40

#define COLUMNS                                                                                              \
  "SELECT t.id, t.name, t.kind, t.model, t.about, t.created, h.object FROM templates t LEFT JOIN holds h "   \
  "ON "                                                                                                      \
  "h.owner = t.id AND h.role = 'folder' WHERE t.removed IS NULL "

void template_row_free(TemplateRow *row) {
  if (!row)
    return;
  g_free(row->id);
  g_free(row->name);
  g_free(row->kind);
  g_free(row->model);
  json_decref(row->about);
  g_free(row->folder);
  g_free(row);
}

static TemplateRow *row_read(const Rows *rows) {
  TemplateRow *row = g_new0(TemplateRow, 1);
  row->id = g_strdup(rows_text(rows, 0));
  row->name = g_strdup(rows_text(rows, 1));
  row->kind = g_strdup(rows_text(rows, 2));
  row->model = g_strdup(rows_text(rows, 3));
  row->about = json_loads(rows_text(rows, 4), 0, NULL);
  row->created = rows_integer(rows, 5);
  row->folder = g_strdup(rows_text(rows, 6));
  return row;
}

TemplateRow *template_get(Session *session, const char *id, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error, COLUMNS "AND t.id = $1", text(id));
  if (rows && rows_next(rows, error))
    return row_read(rows);
  if (rows && rows_ended(rows))
    refuse(error, REFUSAL_TEMPLATE, "There is no template %.80s.", id);
  return NULL;
}

GPtrArray *template_list(App *app, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session ? session_query(session, error, COLUMNS "ORDER BY t.created DESC, t.id DESC") : NULL;
  if (!rows)
    return NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)template_row_free);
  while (rows_next(rows, error))
    g_ptr_array_add(list, row_read(rows));
  return rows_ended(rows) ? g_steal_pointer(&list) : NULL;
}

/* --- publishing --- */

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

static gboolean insert(App *app, const TemplateRow *row, GError **error) {
  g_autofree char *about = json_dumps(row->about, JSON_COMPACT);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  return session &&
         session_run(
             session, error,
             "INSERT INTO templates (id, name, kind, model, about, created) VALUES ($1, $2, $3, $4, $5, "
             "$6)",
             text(row->id), text(row->name), text(row->kind), text(row->model), text(about),
             integer(app_now())) &&
         (!row->folder || holds_set(session, row->id, "folder", row->folder, error)) &&
         session_commit(session, error);
}

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

static gboolean read_scene(App *app, const char *folder, const TemplateWords *words, TemplateRow *row,
                           GError **error) {
  g_autofree char *title = files_title(folder);
  if (!read_word("name", words->name ? words->name : title, INPUT_NAME_MAX, &row->name, error))
    return FALSE;
  g_autoptr(Scene) scene = scene_load(folder, error);
  if (!scene)
    return FALSE;
  row->kind = g_strdup(TEMPLATE_SCENE);
  row->model = g_strdup(scene->model);
  row->about = describe(row->id, scene);
  return describe_words(words, row->about, error) && (row->folder = take_folder(app, folder, error));
}

static gboolean read_prompt(const char *path, const TemplateWords *words, TemplateRow *row, GError **error) {
  json_error_t problem;
  g_autoptr(GError) why = NULL;
  row->about = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
  if (!row->about)
    return fault(error, FAULT_INPUT, "%s is not JSON (line %d: %s).", path, problem.line, problem.text);
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

char *template_add(App *app, const char *path, const TemplateWords *words, GError **error) {
  static const TemplateWords none = {0};
  g_autoptr(TemplateRow) row = g_new0(TemplateRow, 1);
  words = words ? words : &none;
  row->id = app_uuid();
  gboolean folder = g_file_test(path, G_FILE_TEST_IS_DIR);
  gboolean good = folder ? read_scene(app, path, words, row, error) : read_prompt(path, words, row, error);
  return good && insert(app, row, error) ? g_strdup(row->id) : NULL;
}

gboolean template_remove(App *app, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  gint64 changed;
  if (!session || !session_run_counted(session, error, &changed,
                                       "UPDATE templates SET removed = $1 WHERE id = $2 AND removed IS NULL",
                                       integer(app_now()), text(id)))
    return FALSE;
  if (changed == 0)
    return fault(error, FAULT_INPUT, "there is no template %s.", id);
  return holds_drop(session, id, NULL, error) && session_commit(session, error);
}

/* --- searching --- */

const char *template_category(const TemplateRow *row) {
  const char *category = json_string_value(json_object_get(row->about, "category"));
  return category ? category : TEMPLATE_CATEGORY_USUAL;
}

const char *template_description(const TemplateRow *row) {
  return json_string_value(json_object_get(row->about, "description"));
}

static gboolean contains(const char *text, const char *folded) {
  g_autofree char *own = text ? g_utf8_casefold(text, -1) : NULL;
  return own && strstr(own, folded);
}

/* There are few, so all are looked at. */
GPtrArray *template_search(App *app, const char *category, const char *q, int limit, int offset,
                           gint64 *total, GError **error) {
  g_autoptr(GPtrArray) all = template_list(app, error);
  g_autofree char *folded = q ? g_utf8_casefold(q, -1) : NULL;
  if (!all)
    return NULL;
  *total = 0;
  GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)template_row_free);
  for (guint i = 0; i < all->len; i++) {
    const TemplateRow *row = all->pdata[i];
    if ((category && !g_str_equal(category, template_category(row))) ||
        (folded && !contains(row->name, folded) && !contains(template_description(row), folded)))
      continue;
    if ((*total)++ >= offset && found->len < (guint)limit)
      g_ptr_array_add(found, g_steal_pointer(&all->pdata[i]));
  }
  return found;
}

/* --- what it wants --- */

static json_t *scene_variables(const json_t *segments) {
  json_t *list = json_array();
  gsize people = json_array_size(segments);
  for (gsize i = 0; i < people; i++) {
    g_autofree char *key = people == 1 ? g_strdup("character") : g_strdup_printf("character_%zu", i + 1);
    g_autofree char *label = people == 1 ? g_strdup("Character") : g_strdup_printf("Character %zu", i + 1);
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s?}", "key", key, "label", label, "type", "image",
                        "required", i == 0, "description",
                        people == 1 ? "Who moves: a character, or a picture of one figure."
                                    : "Who plays this person; people without a character keep their look.",
                        "slot", json_string_value(json_object_get(json_array_get(segments, i), "uuid"))));
  }
  json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s}", "key", "background", "label",
                                        "Background", "type", "text", "required", FALSE, "description",
                                        "original, solid or transparent", "default_value", "original"));
  return list;
}

json_t *template_variables(const TemplateRow *row) {
  if (g_str_equal(row->kind, TEMPLATE_SCENE))
    return scene_variables(json_object_get(row->about, "segments"));
  json_t *list = json_deep_copy(json_object_get(row->about, "variables"));
  for (gsize i = 0; i < json_array_size(list); i++)
    if (!json_object_get(json_array_get(list, i), "required"))
      json_object_set_new(json_array_get(list, i), "required", json_false());
  return list ? list : json_array();
}

gboolean template_sane(App *app, const TemplateRow *row, GError **error) {
  g_autoptr(GError) problem = NULL;
  if (g_str_equal(row->kind, TEMPLATE_PROMPT))
    return template_prompt_check(row->about, &problem) ||
           refuse(error, REFUSAL_TEMPLATE_BROKEN, "Template %s is broken: %s", row->id, problem->message);
  g_autofree char *path = row->folder ? objects_path(app->objects, row->folder, NULL) : NULL;
  if (!path || json_array_size(json_object_get(row->about, "segments")) == 0)
    return refuse(error, REFUSAL_TEMPLATE_BROKEN,
                  path ? "In the scene of template %s nobody is seen." : "Template %s has lost its scene.",
                  row->id);
  return TRUE;
}
