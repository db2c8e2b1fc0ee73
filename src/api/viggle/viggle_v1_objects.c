/* The shapes are those that clients of /v1 read. A Scene is called a motion there. */
#include "api/viggle/viggle_v1_objects.h"

#include <math.h>

#define CORRECT "correct_request"
#define LATER "retry_later"

const ErrorRow viggle_v1_errors[] = {
    {REFUSAL_BUSY, 503, "SERVICE_BUSY", LATER},
    {REFUSAL_INVALID, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_KEY_MISSING, 401, "UNAUTHENTICATED", "send_key"},
    {REFUSAL_KEY_INVALID, 401, "INVALID_CREDENTIAL", "check_key"},
    {REFUSAL_FORBIDDEN, 403, "FORBIDDEN", "check_key"},
    {REFUSAL_CREDITS, 402, "INSUFFICIENT_CREDITS", "add_credits"},
    {REFUSAL_RATE, 429, "RATE_LIMITED", LATER},
    {REFUSAL_NOT_FOUND, 404, "NOT_FOUND", CORRECT},
    {REFUSAL_METHOD, 405, "METHOD_NOT_ALLOWED", CORRECT},
    {REFUSAL_CONFLICT, 409, "CONFLICT", CORRECT},
    {REFUSAL_LENGTH, 411, "INVALID_REQUEST", CORRECT},
    {REFUSAL_TOO_LARGE, 413, "INVALID_REQUEST", CORRECT},
    {REFUSAL_CONTENT_TYPE, 415, "INVALID_REQUEST", CORRECT},
    {REFUSAL_PICTURE_MISSING, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_PICTURE_FORMAT, 400, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_PICTURE_TOO_LARGE, 400, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_PICTURE_BROKEN, 422, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_VIDEO_MISSING, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_VIDEO_FORMAT, 400, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_VIDEO_TOO_LONG, 400, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_VIDEO_TOO_LARGE, 400, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_VIDEO_SIZE, 400, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_VIDEO_TOO_SMALL, 400, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_VIDEO_BROKEN, 422, "UNSUPPORTED_MEDIA", CORRECT},
    {REFUSAL_URL, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_CHARACTER, 404, "NOT_FOUND", CORRECT},
    {REFUSAL_CHARACTER_NOT_READY, 409, "NOT_READY", LATER},
    {REFUSAL_SCENE, 404, "NOT_FOUND", CORRECT},
    {REFUSAL_SCENE_NOT_READY, 409, "NOT_READY", LATER},
    {REFUSAL_TEMPLATE, 404, "NOT_FOUND", CORRECT},
    {REFUSAL_BACKGROUND, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_MODEL, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_MAPPING, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_FAST, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_URL_FORM, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_PICTURES_FEW, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_PICTURES_MANY, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_NOT_TRAINED, 409, "NOT_READY", LATER},
    {REFUSAL_JSON, 400, "INVALID_REQUEST", CORRECT},
    {REFUSAL_DAY, 429, "RATE_LIMITED", LATER},
    {REFUSAL_DIVERGED, 500, "TASK_FAILED", LATER},
    {REFUSAL_MEMORY, 500, "TASK_FAILED", LATER},
    {REFUSAL_NOBODY, 422, "NO_HUMANS_DETECTED", CORRECT},
    {REFUSAL_FAILED, 500, "TASK_FAILED", LATER},
    {REFUSAL_INTERNAL, 500, "INTERNAL_ERROR", LATER},
};

/* What may go well when it is sent again as it is. */
static gboolean retryable(const ErrorRow *row) {
  return row->action && g_str_equal(row->action, LATER);
}

static json_t *error_object(const ErrorRow *row, const char *message, const char *request_id) {
  return json_pack("{s:s, s:o, s:b, s:o, s:{}, s:{s:s, s:o}}", "code", row->code, "message",
                   shape_text(message), "retryable", retryable(row), "request_id", shape_text(request_id),
                   "details", "remediation", "action", row->action, "retry_after_ms",
                   row->why == REFUSAL_RATE ? json_integer(60000) : json_null());
}

json_t *viggle_v1_error_body(const Request *request, const ErrorRow *row, const char *message) {
  return json_pack("{s:o}", "error", error_object(row, message, request_id(request)));
}

/* Of a thing whose job failed; null for one that did not. */
static json_t *failure(const char *code, const char *message) {
  if (!message && !code)
    return json_null();
  return error_object(shape_failure(viggle_v1_errors, code ? code : "failed"),
                      message ? message : "It failed.", NULL);
}

/* --- characters and motions --- */

static const char *asset_status(const char *status) {
  return g_str_equal(status, "pending") ? "queued" : status;
}

static json_t *asset_progress(const char *status) {
  if (g_str_equal(status, "ready"))
    return json_integer(100);
  return g_str_equal(status, "pending") ? json_integer(0) : json_null();
}

static json_t *capabilities(const char *status) {
  json_t *list = json_array();
  if (g_str_equal(status, "ready"))
    json_array_append_new(list, json_string("video_render"));
  return list;
}

json_t *viggle_v1_character(const App *app, const CharacterRow *row) {
  return json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                   shape_character_id(row->id), "object", "character", "name", row->name, "status",
                   asset_status(row->status), "progress", asset_progress(row->status), "capabilities",
                   capabilities(row->status), "description", shape_text(row->description), "thumbnail_url",
                   shape_thumbnail(app, row->folder, VIGGLE_V1_LINK_SECONDS), "created_at",
                   shape_time(row->created), "completed_at", shape_time(row->completed), "error",
                   failure(row->error_code, row->error));
}

static json_t *fact(const SceneRow *row, double value) {
  return g_str_equal(row->status, "ready") ? shape_number(value) : json_null();
}

json_t *viggle_v1_motion(const App *app, const SceneRow *row) {
  json_t *object =
      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "id", row->id, "motion_id", row->id, "object",
                "motion", "name", row->name, "status", asset_status(row->status), "type", "video", "progress",
                asset_progress(row->status), "capabilities", capabilities(row->status));
  json_t *more = json_pack(
      "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model", row->model, "background_mode",
      row->background, "duration_s", fact(row, row->seconds), "fps", fact(row, row->fps), "width",
      fact(row, row->width), "height", fact(row, row->height), "template_id", shape_text(row->template),
      "segments", shape_segments(row), "thumbnail_url",
      shape_thumbnail(app, row->folder, VIGGLE_V1_LINK_SECONDS), "created_at", shape_time(row->created),
      "completed_at", shape_time(row->completed), "error", failure(row->error_code, row->error));
  json_object_update(object, more);
  json_decref(more);
  return object;
}

/* --- renders and videos --- */

static const char *render_status(const Job *job) {
  return job->status == JOB_COMPLETE ? "ready" : job_status_name(job->status);
}

static json_t *render_stage(const Job *job) {
  if (job->status != JOB_PROCESSING)
    return json_null();
  if (g_strcmp0(job->checkpoint, "render_done") == 0)
    return json_string("finishing");
  return json_string(g_strcmp0(job->checkpoint, "bg_done") == 0 ? "rendering" : "analyzing");
}

static json_t *render_progress(const Job *job) {
  if (job->status == JOB_COMPLETE)
    return json_integer(100);
  return job->status == JOB_QUEUED ? json_null() : json_integer((json_int_t)CLAMP(job->progress, 0, 100));
}

json_t *viggle_v1_render(const App *app, const Job *job) {
  gboolean video = g_str_has_prefix(job->id, "anim_");
  return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", job->id,
                   "object", video ? "video" : "render", "status", render_status(job), "stage",
                   render_stage(job), "progress", render_progress(job), "video_url",
                   shape_result_link(app, job, "video", VIGGLE_V1_LINK_SECONDS), "alpha_url",
                   shape_result_link(app, job, "mask", VIGGLE_V1_LINK_SECONDS), "mode", shape_text(job->mode),
                   "credits_reserved", shape_credits(job->price), "credits_used",
                   shape_credits(job->completed ? job->charged : -1), "created_at", shape_time(job->created),
                   "completed_at", shape_time(job->completed), "error",
                   job->status == JOB_FAILED ? failure(job->error_code, job->error) : json_null());
}

json_t *viggle_v1_job_object(App *app, const Job *job, GError **error) {
  if (job->kind == JOB_RENDER)
    return viggle_v1_render(app, job);
  if (job->kind == JOB_GENERATION)
    return shape_job(job);
  if (job->kind == JOB_CHARACTER || job->kind == JOB_TRAINING) {
    g_autoptr(CharacterRow) row = character_get(app, job->account, job->subject, error);
    return row ? viggle_v1_character(app, row) : shape_deleted(job, error);
  }
  g_autoptr(SceneRow) row = scene_get(app, job->account, job->subject, error);
  return row ? viggle_v1_motion(app, row) : shape_deleted(job, error);
}
