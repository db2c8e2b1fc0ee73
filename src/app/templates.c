/* A Template is a row and a hold on the folder of a Scene. What the row of an imported Scene needs is kept
 * beside it as JSON, so that an import reads no file. */
#include "app/templates.h"

#include "app/assets.h"
#include "app/scenes.h"
#include "base/files.h"
#include "stage/scene.h"
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

#define COLUMNS                                                                                              \
  "SELECT t.id, t.name, t.kind, t.model, t.about, t.created, h.object FROM templates t JOIN holds h ON "     \
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
  g_autoptr(GError) problem = NULL;
  if (!rows)
    return NULL;
  if (rows_next(rows, &problem))
    return row_read(rows);
  if (!problem)
    return refuse_null(error, REFUSAL_TEMPLATE, "There is no template %.80s.", id);
  g_propagate_error(error, g_steal_pointer(&problem));
  return NULL;
}

GPtrArray *template_list(App *app, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session ? session_query(session, error, COLUMNS "ORDER BY t.created DESC, t.id DESC") : NULL;
  if (!rows)
    return NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)template_row_free);
  g_autoptr(GError) problem = NULL;
  while (rows_next(rows, &problem))
    g_ptr_array_add(list, row_read(rows));
  if (!problem)
    return g_steal_pointer(&list);
  g_propagate_error(error, g_steal_pointer(&problem));
  return NULL;
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

/* As the engine's task "scene" describes what it made. */
static json_t *describe(const char *id, const Scene *scene) {
  g_autoptr(GPtrArray) tracks = g_ptr_array_copy(scene->tracks->tracks, NULL, NULL);
  g_ptr_array_set_free_func(tracks, NULL);
  g_ptr_array_sort(tracks, most_seen_first);
  json_t *people = json_array();
  for (guint i = 0; i < tracks->len; i++) {
    const Track *track = tracks->pdata[i];
    json_array_append_new(people, json_pack("{s:i, s:i}", "id", track->id, "frames", track->count));
  }
  json_t *about =
      json_pack("{s:f, s:f, s:i, s:i, s:i, s:o}", "seconds", scene->info.seconds, "fps",
                av_q2d(scene->info.frame_rate), "frames", scene->tracks->frames, "width", scene->info.width,
                "height", scene->info.height, "segments", scene_segments(id, people));
  json_decref(people);
  return about;
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

static gboolean insert(App *app, const char *id, const char *name, const Scene *scene, const char *object,
                       GError **error) {
  json_t *about = describe(id, scene);
  g_autofree char *about_text = json_dumps(about, JSON_COMPACT);
  json_decref(about);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  return session &&
         session_run(session, error,
                     "INSERT INTO templates (id, name, kind, model, about, created) VALUES ($1, $2, 'scene', "
                     "$3, $4, $5)",
                     text(id), text(name), text(scene->model), text(about_text), integer(app_now())) &&
         asset_hold(session, object, id, "folder", error) && session_commit(session, error);
}

char *template_add(App *app, const char *folder, const char *name, GError **error) {
  g_autoptr(GError) problem = NULL;
  g_autofree char *clean = input_text("name", name, 1, INPUT_NAME_MAX, &problem);
  if (!clean)
    return fault_null(error, FAULT_USAGE, "%s", problem->message);
  g_autoptr(Scene) scene = scene_load(folder, error);
  g_autofree char *object = scene ? take_folder(app, folder, error) : NULL;
  g_autofree char *id = app_uuid();
  return object && insert(app, id, clean, scene, object, error) ? g_steal_pointer(&id) : NULL;
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
  return asset_release(session, id, error) && session_commit(session, error);
}
