/* A Template is a row and a hold on the folder of a Scene. What the row of an imported Scene needs is kept
 * beside it as JSON, so that an import reads no file. */
#include "app/templates.h"

#include "app/holds.h"
#include "app/inputs.h"
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
         holds_set(session, id, "folder", object, error) && session_commit(session, error);
}

char *template_add(App *app, const char *folder, const char *name, GError **error) {
  g_autoptr(GError) problem = NULL;
  g_autofree char *title = files_title(folder);
  g_autofree char *clean = input_text("name", name ? name : title, 1, INPUT_NAME_MAX, &problem);
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
  return holds_drop(session, id, NULL, error) && session_commit(session, error);
}
