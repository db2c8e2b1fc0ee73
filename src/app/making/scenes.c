/* A Scene is a row, a job that prepares it, and two objects: its video and, once ready, its folder. An
 * imported one has neither job nor video: it is ready at once, with the Template's folder. */
#include "app/making/scenes.h"

#include "app/jobs/holds.h"
#include "app/jobs/webhooks.h"
#include "app/making/assets.h"
#include "app/templates/templates.h"
#include <string.h>

#define COLUMNS                                                                                              \
  "SELECT s.id, s.account, s.name, s.model, s.background, s.template, CASE WHEN s.status = 'pending' AND "   \
  "j.status = 'processing' THEN 'processing' ELSE s.status END, s.job, s.error, s.error_code, s.seconds, "   \
  "s.fps, s.frames, s.width, s.height, s.segments, s.created, s.completed, f.object, v.object FROM scenes "  \
  "s LEFT JOIN jobs j ON j.id = s.job LEFT JOIN holds f ON f.owner = s.id AND f.role = 'folder' LEFT JOIN "  \
  "holds v ON v.owner = s.id AND v.role = 'video' "

void scene_row_free(SceneRow *row) {
  if (!row)
    return;
  g_free(row->id);
  g_free(row->account);
  g_free(row->name);
  g_free(row->model);
  g_free(row->background);
  g_free(row->template);
  g_free(row->status);
  g_free(row->job);
  g_free(row->error);
  g_free(row->error_code);
  json_decref(row->segments);
  g_free(row->folder);
  g_free(row->video);
  g_free(row);
}

static SceneRow *row_read(const Rows *rows) {
  SceneRow *row = g_new0(SceneRow, 1);
  row->id = g_strdup(rows_text(rows, 0));
  row->account = g_strdup(rows_text(rows, 1));
  row->name = g_strdup(rows_text(rows, 2));
  row->model = g_strdup(rows_text(rows, 3));
  row->background = g_strdup(rows_text(rows, 4));
  row->template = g_strdup(rows_text(rows, 5));
  row->status = g_strdup(rows_text(rows, 6));
  row->job = g_strdup(rows_text(rows, 7));
  row->error = g_strdup(rows_text(rows, 8));
  row->error_code = g_strdup(rows_text(rows, 9));
  row->seconds = rows_real(rows, 10);
  row->fps = rows_real(rows, 11);
  row->frames = rows_integer(rows, 12);
  row->width = (int)rows_integer(rows, 13);
  row->height = (int)rows_integer(rows, 14);
  const char *segments = rows_text(rows, 15);
  row->segments = segments ? json_loads(segments, 0, NULL) : NULL;
  if (!row->segments)
    row->segments = json_array();
  row->created = rows_integer(rows, 16);
  row->completed = rows_integer(rows, 17);
  row->folder = g_strdup(rows_text(rows, 18));
  row->video = g_strdup(rows_text(rows, 19));
  return row;
}

SceneRow *scene_read(Session *session, const char *account, const char *id, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error, COLUMNS "WHERE s.id = $1 AND s.account = $2 AND s.deleted IS NULL",
                    text(id), text(account));
  if (rows && rows_next(rows, error))
    return row_read(rows);
  if (rows && rows_ended(rows))
    refuse(error, REFUSAL_SCENE, "There is no scene %.80s.", id);
  return NULL;
}

SceneRow *scene_get(App *app, const char *account, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session ? scene_read(session, account, id, error) : NULL;
}

/* --- models and backgrounds --- */

gboolean scene_model_known(const char *model, GError **error) {
  if (g_str_equal(model, "V4_Preview") || g_str_equal(model, "V3_Preview"))
    return TRUE;
  return refuse(error, REFUSAL_MODEL, "model \"%.80s\" is unknown. Send V4_Preview or V3_Preview.", model);
}

const char *scene_background(const char *name, GError **error) {
  static const char *const names[] = {"original", "solid", "transparent"};
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    if (g_str_equal(name, names[i]))
      return names[i];
  if (g_str_equal(name, "inpaint"))
    return names[0];
  return refuse_null(error, REFUSAL_BACKGROUND,
                     "background_mode \"%.80s\" is unknown. Send original, solid or transparent.", name);
}

/* --- preparing --- */

typedef struct {
  char *name;
  const char *model, *background;
} Choice;

static gboolean request_check(App *app, const SceneRequest *request, Choice *choice, GError **error) {
  if (!request->name)
    return refuse(error, REFUSAL_INVALID, "name is missing. Send a name for the scene.");
  if (!(choice->name = input_text("name", request->name, 1, INPUT_NAME_MAX, error)))
    return FALSE;
  choice->model = given(request->model) ? request->model : SCENE_MODEL_USUAL;
  if (!scene_model_known(choice->model, error) ||
      !(choice->background = scene_background(
            given(request->background) ? request->background : SCENE_BACKGROUND_USUAL, error)))
    return FALSE;
  if (!input_given(&request->video))
    return refuse(error, REFUSAL_VIDEO_MISSING, "%s is missing. Send %s as a file or %s_url.",
                  request->video.field, request->video.field, request->video.field);
  return input_glance(&request->video, error) &&
         (!given(request->webhook_url) || webhook_check(app, request->webhook_url, error));
}

static gboolean insert(App *app, const Caller *caller, const SceneRequest *request, const Choice *choice,
                       const Input *video, char **made, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autofree char *id = NULL, *job_id = NULL;
  if (!session || !asset_ids(session, "scene", &id, &job_id, error))
    return FALSE;
  g_autoptr(Job) job = asset_job(job_id, JOB_SCENE, caller, request->dialect, request->webhook_url);
  job->subject = g_strdup(id);
  job->pool = g_strdup(choice->model);
  job->spec = json_pack("{s:s, s:s}", "video", video->object, "model", choice->model);
  if (!session_run(session, error,
                   "INSERT INTO scenes (id, account, name, model, background, status, job, created) VALUES "
                   "($1, $2, $3, $4, $5, 'pending', $6, $7)",
                   text(id), text(caller->account), text(choice->name), text(choice->model),
                   text(choice->background), text(job_id), integer(app_now())) ||
      !holds_set(session, id, "video", video->object, error) || !job_insert(app, session, job, error) ||
      !session_commit(session, error))
    return FALSE;
  *made = g_steal_pointer(&id);
  return TRUE;
}

gboolean scene_create(App *app, const Caller *caller, const SceneRequest *request, SceneRow **row,
                      GError **error) {
  Choice choice = {0};
  g_auto(Input) video = {0};
  g_autoptr(Job) made = NULL;
  *row = NULL;
  if (!asset_made(app, caller, JOB_SCENE, &made, error))
    return FALSE;
  if (made)
    return (*row = scene_get(app, caller->account, made->subject, error)) != NULL;
  gboolean checked = request_check(app, request, &choice, error);
  g_autofree char *name = choice.name;
  if (!checked)
    return FALSE;
  if (request->dry_run)
    return input_inspect(app, INPUT_VIDEO, &request->video, &video, error);
  g_autofree char *id = NULL;
  return input_take(app, INPUT_VIDEO, &request->video, &video, error) &&
         insert(app, caller, request, &choice, &video, &id, error) &&
         (*row = scene_get(app, caller->account, id, error));
}

/* --- importing --- */

static gint64 whole(const json_t *facts, const char *name) {
  return (gint64)json_number_value(json_object_get(facts, name));
}

/* facts: "seconds", "fps", "frames", "width", "height". */
static gboolean facts_write(Session *session, const char *id, const json_t *facts, const json_t *segments,
                            GError **error) {
  g_autofree char *list = json_dumps(segments, JSON_COMPACT);
  return session_run(session, error,
                     "UPDATE scenes SET seconds = $1, fps = $2, frames = $3, width = $4, height = $5, "
                     "segments = $6 WHERE id = $7",
                     real(json_number_value(json_object_get(facts, "seconds"))),
                     real(json_number_value(json_object_get(facts, "fps"))), integer(whole(facts, "frames")),
                     integer(whole(facts, "width")), integer(whole(facts, "height")), text(list), text(id));
}

/* A Template of the right kind whose folder is there. */
static TemplateRow *template_scene(Session *session, const char *id, GError **error) {
  g_autoptr(TemplateRow) template = template_get(session, id, error);
  if (template && !g_str_equal(template->kind, TEMPLATE_SCENE))
    return refuse_null(error, REFUSAL_TEMPLATE, "Template %.80s is a prompt, not a scene.", id);
  if (template && !template->folder)
    return refuse_null(error, REFUSAL_TEMPLATE_BROKEN, "Template %.80s has lost its scene.", id);
  return g_steal_pointer(&template);
}

SceneRow *scene_of_template(Session *session, const char *id, GError **error) {
  g_autoptr(TemplateRow) template = template_scene(session, id, error);
  if (!template)
    return NULL;
  SceneRow *row = g_new0(SceneRow, 1);
  row->id = g_strdup(id);
  row->name = g_strdup(template->name);
  row->model = g_strdup(template->model);
  row->background = g_strdup(SCENE_BACKGROUND_USUAL);
  row->template = g_strdup(id);
  row->status = g_strdup("ready");
  row->seconds = json_number_value(json_object_get(template->about, "seconds"));
  row->segments = json_incref(json_object_get(template->about, "segments"));
  row->folder = g_strdup(template->folder);
  return row;
}

static gboolean insert_import(App *app, Session *session, const Caller *caller, const TemplateRow *template,
                              const char *name, const char *id, GError **error) {
  gint64 now = app_now();
  return session_run(session, error,
                     "INSERT INTO scenes (id, account, name, model, background, template, status, created, "
                     "completed) VALUES ($1, $2, $3, $4, $5, $6, 'ready', $7, $8)",
                     text(id), text(caller->account), text(name), text(template->model),
                     text(SCENE_BACKGROUND_USUAL), text(template->id), integer(now), integer(now)) &&
         facts_write(session, id, template->about, json_object_get(template->about, "segments"), error) &&
         holds_set(session, id, "folder", template->folder, error) && session_commit(session, error);
}

/* A version 8 UUID of the request (transfer full). */
static char *request_uuid(const Caller *caller) {
  g_autofree char *words = g_strdup_printf("%s %" G_GINT64_FORMAT " %s", caller->account, caller->asked,
                                           caller->request),
                  *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, words, -1);
  return g_strdup_printf("%.8s-%.4s-8%.3s-a%.3s-%.12s", hash, hash + 8, hash + 12, hash + 15, hash + 18);
}

gboolean scene_import(App *app, const Caller *caller, const char *template, const char *name,
                      gboolean dry_run, SceneRow **row, GError **error) {
  *row = NULL;
  /* With an Idempotency-Key it is the same one however often the request is begun. */
  g_autofree char *own = NULL, *id = caller->request ? request_uuid(caller) : app_uuid();
  if (caller->again && (*row = scene_get(app, caller->account, id, NULL)))
    return TRUE;
  if (given(name) && !(own = input_text("name", name, 1, INPUT_NAME_MAX, error)))
    return FALSE;
  {
    g_autoptr(Session) session =
        database_begin(app->database, dry_run ? DATABASE_READ : DATABASE_WRITE, error);
    g_autoptr(TemplateRow) published = session ? template_scene(session, template, error) : NULL;
    if (!published)
      return FALSE;
    if (dry_run)
      return TRUE;
    if (!insert_import(app, session, caller, published, own ? own : published->name, id, error))
      return FALSE;
  }
  return (*row = scene_get(app, caller->account, id, error)) != NULL;
}

/* --- lists and changes --- */

static gboolean count(Session *session, const char *account, gint64 *total, GError **error) {
  g_autoptr(Rows) rows = session_query(
      session, error, "SELECT COUNT(*) FROM scenes WHERE account = $1 AND deleted IS NULL", text(account));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  *total = rows_integer(rows, 0);
  return TRUE;
}

GPtrArray *scene_list(App *app, const char *account, int limit, int offset, gint64 *total, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  if (!session || !count(session, account, total, error))
    return NULL;
  g_autoptr(Rows) rows =
      session_query(session, error,
                    COLUMNS "WHERE s.account = $1 AND s.deleted IS NULL ORDER BY s.created "
                            "DESC, s.id DESC LIMIT $2 OFFSET $3",
                    text(account), integer(limit), integer(offset));
  if (!rows)
    return NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)scene_row_free);
  while (rows_next(rows, error))
    g_ptr_array_add(list, row_read(rows));
  return rows_ended(rows) ? g_steal_pointer(&list) : NULL;
}

/* One transaction: the job is cancelled and refunded, what was held is let go. */
gboolean scene_delete(App *app, const char *account, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(SceneRow) row = session ? scene_read(session, account, id, error) : NULL;
  return row && (!row->job || job_cancel_within(session, row->job, error)) &&
         session_run(session, error, "UPDATE scenes SET deleted = $1 WHERE id = $2", integer(app_now()),
                     text(id)) &&
         holds_drop(session, id, NULL, error) && session_commit(session, error);
}
