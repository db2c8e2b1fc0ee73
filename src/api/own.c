/* What Troupe serves beside the dialects: files behind signed links, jobs of every kind and their events, and
 * the pages that operators ask for. */
#include "api/dialects.h"
#include "api/pages.h"
#include "api/shapes.h"
#include "api/uploads.h"
#include "app/jobs/webhooks.h"
#include "app/links.h"
#include "app/making/generations.h"
#include <string.h>

/* --- errors: the names of the refusals --- */

static const ErrorRow errors[] = {
    {REFUSAL_BUSY, 503, "busy", NULL},
    {REFUSAL_INVALID, 400, "invalid", NULL},
    {REFUSAL_KEY_MISSING, 401, "key_missing", NULL},
    {REFUSAL_KEY_INVALID, 401, "key_invalid", NULL},
    {REFUSAL_FORBIDDEN, 403, "forbidden", NULL},
    {REFUSAL_RATE, 429, "rate", NULL},
    {REFUSAL_NOT_FOUND, 404, "not_found", NULL},
    {REFUSAL_CHARACTER, 404, "not_found", NULL},
    {REFUSAL_METHOD, 405, "method", NULL},
    {REFUSAL_JSON, 400, "json", NULL},
    {REFUSAL_CONFLICT, 409, "conflict", NULL},
    {REFUSAL_LENGTH, 411, "length", NULL},
    {REFUSAL_TOO_LARGE, 413, "too_large", NULL},
    {REFUSAL_CONTENT_TYPE, 415, "content_type", NULL},
    {REFUSAL_PICTURE_FORMAT, 400, "picture_format", NULL},
    {REFUSAL_PICTURE_TOO_LARGE, 400, "picture_too_large", NULL},
    {REFUSAL_PICTURE_BROKEN, 400, "picture_broken", NULL},
    {REFUSAL_VIDEO_FORMAT, 400, "video_format", NULL},
    {REFUSAL_VIDEO_TOO_LONG, 400, "video_too_long", NULL},
    {REFUSAL_VIDEO_TOO_LARGE, 400, "video_too_large", NULL},
    {REFUSAL_VIDEO_SIZE, 400, "video_size", NULL},
    {REFUSAL_VIDEO_TOO_SMALL, 400, "video_too_small", NULL},
    {REFUSAL_VIDEO_BROKEN, 400, "video_broken", NULL},
    {REFUSAL_INTERNAL, 500, "internal", NULL},
};

static json_t *error_text(const Request *request, const char *code, const char *message) {
  return json_pack("{s:{s:s, s:o, s:s}}", "error", "code", code, "message", shape_text(message), "request_id",
                   request_id(request));
}

static json_t *error_body(const Request *request, const ErrorRow *row, const char *message) {
  return error_text(request, row->code, message);
}

/* --- files --- */

/* The object's id, and which of its files, name the content for ever. */
static char *file_etag(const char *object, const char *inside) {
  return inside ? g_strdup_printf("%s-%s", object, inside) : g_strdup(object);
}

static Answer *get_file(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autofree char *object = NULL, *inside = NULL;
  gboolean expired = FALSE;
  const char *expires = request_query(request, "expires"), *signature = request_query(request, "signature");
  if (!link_check(app, request_path(request), expires, signature, &object, &inside, &expired)) {
    if (expired)
      return answer_json(410, error_text(request, "expired",
                                         "This link has expired. Read the resource again for a fresh one."));
    return refuse_null(error, REFUSAL_FORBIDDEN, "This link is not signed for this file.");
  }
  g_autoptr(GError) problem = NULL;
  g_autofree char *folder = objects_path(app->objects, object, &problem);
  g_autofree char *path =
      folder ? (inside ? g_build_filename(folder, inside, NULL) : g_strdup(folder)) : NULL;
  if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return refuse_null(error, REFUSAL_NOT_FOUND, "This file is kept no longer.");
  g_autofree char *etag = file_etag(object, inside);
  return answer_file(request, path, strrchr(request_path(request), '/') + 1, etag);
}

/* --- jobs --- */

static Answer *get_job(Api *api, Request *request, GError **error) {
  g_autoptr(Session) session = database_begin(request_app(request)->database, DATABASE_READ, error);
  g_autoptr(Job) job =
      session ? job_get(session, request_argument(request, "job_id"), request_caller(request)->account, error)
              : NULL;
  return job ? answer_json(200, shape_job(job)) : NULL;
}

static Answer *set_published(Request *request, gboolean published, GError **error) {
  const char *id = request_argument(request, "job_id"), *account = request_caller(request)->account;
  App *app = request_app(request);
  if (!work_publish(app, account, id, published, error))
    return NULL;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Job) job = session ? job_get(session, id, account, error) : NULL;
  return job ? answer_json(200, shape_job(job)) : NULL;
}

static Answer *publish(Api *api, Request *request, GError **error) {
  return set_published(request, TRUE, error);
}

static Answer *unpublish(Api *api, Request *request, GError **error) {
  return set_published(request, FALSE, error);
}

static Answer *set_character_published(Request *request, gboolean published, GError **error) {
  const char *id = shape_plain_character(request_argument(request, "character_id"));
  if (!character_publish(request_app(request), request_caller(request)->account, id, published, error))
    return NULL;
  return answer_json(200, json_pack("{s:s, s:b}", "id", id, "published", published));
}

static Answer *publish_character(Api *api, Request *request, GError **error) {
  return set_character_published(request, TRUE, error);
}

static Answer *unpublish_character(Api *api, Request *request, GError **error) {
  return set_character_published(request, FALSE, error);
}

#define SHARE_SECONDS 3600

/* Whoever has the address of a published work is sent on to its file. */
static Answer *get_share(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  const char *id = request_argument(request, "job_id");
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Job) job = session ? job_get(session, id, NULL, error) : NULL;
  if (!job)
    return NULL;
  json_t *images = json_object_get(job->result, "images");
  const char *image = json_string_value(json_array_get(images, 0)), *video = shape_result(job, "video");
  if (job->status != JOB_COMPLETE || !job->published || (!video && !image))
    return refuse_null(error, REFUSAL_NOT_FOUND, "Nothing is published here.");
  g_autofree char *name = g_strdup_printf("%s.%s", job->id, video ? "mp4" : "png");
  g_autofree char *link = link_make(app, video ? video : image, NULL, name, app_now() / 1000 + SHARE_SECONDS);
  Answer *answer = answer_bytes(302, "text/plain; charset=utf-8", g_bytes_new_static("", 0));
  answer_header(answer, "Location", link);
  return answer;
}

static Answer *get_deliveries(Api *api, Request *request, GError **error) {
  const char *account = request_caller(request)->account, *id = request_argument(request, "job_id");
  g_autoptr(Session) session = database_begin(request_app(request)->database, DATABASE_READ, error);
  g_autoptr(Job) job = session ? job_get(session, id, account, error) : NULL;
  json_t *list = job ? webhook_deliveries(session, account, id, error) : NULL;
  return list ? answer_json(200, json_pack("{s:o}", "deliveries", list)) : NULL;
}

/* --- events --- */

typedef struct {
  char *job;
  char *told;     /* the data of the last event */
  gint64 version; /* of the tables, when they were last looked at */
} Follower;

static void follower_free(gpointer data) {
  Follower *follower = data;
  g_free(follower->job);
  g_free(follower->told);
  g_free(follower);
}

static gboolean ended(const Job *job) {
  return job->status != JOB_QUEUED && job->status != JOB_PROCESSING;
}

static char *event_data(const Job *job) {
  json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:o}", "job_id", job->id, "status",
                             job_status_name(job->status), "checkpoint", shape_text(job->checkpoint),
                             "progress", shape_number(job->status == JOB_COMPLETE ? 100 : job->progress),
                             "stage", shape_text(job->stage));
  char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15));
  json_decref(object);
  return text;
}

static char *next_event(Api *api, gpointer user, gboolean *done) {
  Follower *follower = user;
  Database *database = api_app(api)->database;
  gint64 version = database_version(database);
  if (follower->told && version == follower->version)
    return g_strdup("");
  g_autoptr(GError) problem = NULL;
  g_autoptr(Session) session = database_begin(database, DATABASE_READ, &problem);
  g_autoptr(Job) job = session ? job_get(session, follower->job, NULL, &problem) : NULL;
  if (!job) { /* gone, or the tables are away: whoever listens comes again */
    *done = TRUE;
    return g_strdup("");
  }
  follower->version = version;
  *done = ended(job);
  g_autofree char *data = event_data(job);
  if (g_strcmp0(data, follower->told) == 0)
    return g_strdup("");
  g_free(follower->told);
  follower->told = g_steal_pointer(&data);
  return g_strdup_printf("event: status\ndata: %s\n\n", follower->told);
}

/* Open for Renders, like their status: an EventSource in a page cannot send a key. */
static Answer *get_events(Api *api, Request *request, GError **error) {
  const char *id = request_argument(request, "job_id");
  const Caller *caller = request_caller(request);
  g_autoptr(Session) session = database_begin(request_app(request)->database, DATABASE_READ, error);
  g_autoptr(Job) job = session ? job_get(session, id, NULL, error) : NULL;
  if (!job)
    return NULL;
  if (job->kind != JOB_RENDER && (!caller || !g_str_equal(caller->account, job->account)))
    return refuse_null(error, REFUSAL_NOT_FOUND, "There is no job %.80s.", id);
  Follower *follower = g_new0(Follower, 1);
  follower->job = g_strdup(id);
  return answer_events(next_event, follower, follower_free);
}

/* --- for operators --- */

static Answer *get_health(Api *api, Request *request, GError **error) {
  return answer_json(200, json_pack("{s:s}", "status", "ok"));
}

static Answer *get_ready(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session || !objects_writable(app->objects, error))
    return NULL;
  return answer_json(200, json_pack("{s:s}", "status", "ready"));
}

static Answer *get_metrics(Api *api, Request *request, GError **error) {
  char *text = api_metrics(api);
  return answer_bytes(200, "text/plain; version=0.0.4; charset=utf-8", g_bytes_new_take(text, strlen(text)));
}

/* --- the table --- */

static const Route routes[] = {
    {"GET", "/files/{object}/{name}", get_file, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/files/{object}/{inside}/{name}", get_file, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"PUT", "/uploads/users/{account}/user-uploads/{upload}/{file}", upload_put,
     ROUTE_OPEN | ROUTE_UNCOUNTED | ROUTE_SLOW, BODY_RAW, NULL, upload_admit},
    {"GET", "/uploads/users/{account}/user-uploads/{upload}/{file}", upload_show,
     ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/api/jobs/{job_id}", get_job, 0, BODY_NONE, "read"},
    {"PUT", "/api/jobs/{job_id}/published", publish, ROUTE_SLOW, BODY_NONE, "write"},
    {"DELETE", "/api/jobs/{job_id}/published", unpublish, ROUTE_SLOW, BODY_NONE, "write"},
    {"PUT", "/api/characters/{character_id}/published", publish_character, ROUTE_SLOW, BODY_NONE, "write"},
    {"DELETE", "/api/characters/{character_id}/published", unpublish_character, ROUTE_SLOW, BODY_NONE,
     "write"},
    {"GET", "/share/{job_id}", get_share, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/api/jobs/{job_id}/deliveries", get_deliveries, 0, BODY_NONE, "read"},
    {"GET", "/api/jobs/{job_id}/events", get_events, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/openapi.json", page_openapi, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/docs", page_docs, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/docs/{file}", page_docs_file, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/healthz", get_health, ROUTE_OPEN | ROUTE_UNCOUNTED, BODY_NONE, NULL},
    {"GET", "/readyz", get_ready, ROUTE_OPEN | ROUTE_UNCOUNTED | ROUTE_SLOW, BODY_NONE, NULL},
    {"GET", "/metrics", get_metrics, ROUTE_OPEN | ROUTE_UNCOUNTED | ROUTE_SLOW, BODY_NONE, NULL},
};

const Dialect dialect_own = {.name = "own",
                             .prefixes = {"/"},
                             .routes = routes,
                             .route_count = G_N_ELEMENTS(routes),
                             .errors = errors,
                             .error_body = error_body};
