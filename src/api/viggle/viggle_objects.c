/* Every copy of the facts names some keys that others lack; the objects here carry the union, so that a
 * client written after any of them finds what it reads. A success never has a key "detail", and Characters
 * and Scenes never a key "error_code": clients tell failure by them. */
#include "api/viggle/viggle_objects.h"

#include <math.h>

#define ACTION_FIELDS "Compare the fields of the request with /docs."
#define ACTION_PICTURE "Send a PNG, JPEG or WebP picture of one figure."

const ErrorRow viggle_errors[] = {
    {REFUSAL_BUSY, 503, "CS-UORC01-009", "Try again in a moment."},
    {REFUSAL_INVALID, 400, "CS-UORC01-002", ACTION_FIELDS},
    {REFUSAL_KEY_MISSING, 401, "CS-ORAU-001", "Add the header Authorization: Bearer sk-..."},
    {REFUSAL_KEY_INVALID, 401, "CS-ORAU-002", "Check that the key is complete, not revoked and not expired."},
    {REFUSAL_FORBIDDEN, 403, "CS-ORAU-002", "Use a key whose scopes allow this."},
    {REFUSAL_CREDITS, 402, "CS-ORCR-001", "Add credits to the account."},
    {REFUSAL_RATE, 429, "CS-UORC01-002", "Wait as long as Retry-After says."},
    {REFUSAL_NOT_FOUND, 404, "CS-UORC01-002", "Check the path and the id."},
    {REFUSAL_METHOD, 405, "CS-UORC01-002", "Use a method that Allow lists."},
    {REFUSAL_CONFLICT, 409, "CS-UORC01-002", "Read the thing again to see how it stands."},
    {REFUSAL_LENGTH, 411, "CS-UORC01-002", "Send Content-Length or chunks."},
    {REFUSAL_TOO_LARGE, 413, "CS-ORIV-005", "Keep the video under 500 MB."},
    {REFUSAL_CONTENT_TYPE, 415, "CS-UORC01-002", "Send the body in a type that /docs lists for this path."},
    {REFUSAL_PICTURE_MISSING, 400, "CS-ORIV-001", "Upload a picture (PNG/JPG)."},
    {REFUSAL_PICTURE_FORMAT, 400, "CS-UORC01-002", ACTION_PICTURE},
    {REFUSAL_PICTURE_TOO_LARGE, 400, "CS-UORC01-002", "Keep the picture under 20 MB and 40 megapixels."},
    {REFUSAL_PICTURE_BROKEN, 400, "CS-UORC01-002", ACTION_PICTURE},
    {REFUSAL_VIDEO_MISSING, 400, "CS-ORIV-002", "Upload a video or give scene_id."},
    {REFUSAL_VIDEO_FORMAT, 400, "CS-ORIV-003", "Send MP4, MOV, WebM or AVI."},
    {REFUSAL_VIDEO_TOO_LONG, 400, "CS-ORIV-004", "Keep the video under 5 minutes."},
    {REFUSAL_VIDEO_TOO_LARGE, 400, "CS-ORIV-005", "Keep the video under 500 MB."},
    {REFUSAL_VIDEO_SIZE, 400, "CS-ORIV-006", "Keep the video under 4096x4096."},
    {REFUSAL_VIDEO_TOO_SMALL, 400, "CS-UORC01-002", "Send at least half a second of at least 64x64."},
    {REFUSAL_VIDEO_BROKEN, 400, "CS-ORIV-007", "Send a video that plays."},
    {REFUSAL_URL, 400, "CS-UORC01-002",
     "Send an http or https address that anyone can read, or upload the file."},
    {REFUSAL_CHARACTER, 404, "CS-ORIV-008", "Check character_id."},
    {REFUSAL_CHARACTER_NOT_READY, 400, "CS-UORC01-002", "Wait until the character's status is ready."},
    {REFUSAL_SCENE, 404, "CS-ORIV-009", "Check scene_id."},
    {REFUSAL_SCENE_NOT_READY, 400, "CS-ORIV-010", "Wait until the scene's status is ready."},
    {REFUSAL_TEMPLATE, 400, "CS-UORC01-002", "Check template_id."},
    {REFUSAL_BACKGROUND, 400, "CS-ORIV-011", "Send original, solid or transparent."},
    {REFUSAL_MODEL, 400, "CS-UORC01-002", "Leave model out, or use a scene of that model."},
    {REFUSAL_MAPPING, 400, "CS-ORIV-012", "Send valid JSON."},
    {REFUSAL_FAST, 400, "CS-UORC01-001", "Repeat the request without fast=true."},
    {REFUSAL_URL_FORM, 400, "CS-UORC01-002", "Send an http or https address that anyone can read."},
    {REFUSAL_PICTURES_FEW, 400, "CS-UORC01-002", "Send more pictures."},
    {REFUSAL_PICTURES_MANY, 400, "CS-UORC01-002", "Send fewer pictures."},
    {REFUSAL_NOT_TRAINED, 400, "CS-UORC01-002", "Wait until the character's training has ended."},
    {REFUSAL_JSON, 400, "CS-UORC01-002", "Send valid JSON."},
    {REFUSAL_DAY, 429, "CS-UORC01-002", "Wait until the next day (UTC)."},
    {REFUSAL_DIVERGED, 500, "CS-UORC01-009", "Train again."},
    {REFUSAL_MEMORY, 500, "CS-UORC01-009", "Give the machine more memory, or take a smaller model."},
    {REFUSAL_NOBODY, 400, "CS-UORC01-009", "Use a picture or video in which a whole person is seen."},
    {REFUSAL_FAILED, 500, "CS-UORC01-009", "Try again."},
    {REFUSAL_INTERNAL, 500, "CS-UORC01-009", "Try again; if it stays so, report it with the X-Request-Id."},
};

json_t *viggle_error_body(const Request *request, const ErrorRow *row, const char *message) {
  return json_pack("{s:{s:s, s:o, s:s}}", "detail", "error_code", row->code, "message", shape_text(message),
                   "action", row->action ? row->action : "");
}

/* --- characters --- */

json_t *viggle_character_item(const CharacterRow *row) {
  return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "id", row->id, "character_id", row->id, "name",
                   row->name, "status", row->status, "created_at", shape_time(row->created), "completed_at",
                   shape_time(row->completed));
}

json_t *viggle_character(const App *app, const CharacterRow *row) {
  gboolean ready = g_str_equal(row->status, "ready"); /* one rig serves both models */
  json_t *object = viggle_character_item(row);
  json_t *more = json_pack(
      "{s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "description", shape_text(row->description),
      "has_v3_encoding", ready, "has_v4_encoding", ready, "job_id", shape_text(row->job), "error",
      shape_text(row->error ? (row->error_code ? row->error_code : "failed") : NULL), "error_message",
      shape_text(row->error), "thumbnail_url", shape_thumbnail(app, row->folder, shape_link_seconds(app)),
      "credits_used", shape_credits(row->credits));
  json_object_update(object, more);
  json_decref(more);
  return object;
}

json_t *viggle_character_started(const CharacterRow *row, gint64 price) {
  return json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:s}", "id", row->id, "character_id", row->id,
                   "job_id", shape_text(row->job), "name", row->name, "status", row->status,
                   "credits_reserved", shape_credits(price), "enqueued_at", shape_time(row->created),
                   "message", "The character is being made. Poll it until its status is ready.");
}

/* --- scenes --- */

/* Viggle's Scenes know no "processing". */
static const char *scene_status(const SceneRow *row) {
  return g_str_equal(row->status, "processing") ? "pending" : row->status;
}

/* Known once the scene is ready. */
static json_t *fact(const SceneRow *row, double value) {
  return g_str_equal(row->status, "ready") ? shape_number(value) : json_null();
}

json_t *viggle_scene_item(const SceneRow *row) {
  return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", row->id, "scene_id", row->id, "name",
                   row->name, "status", scene_status(row), "duration_seconds", fact(row, row->seconds),
                   "created_at", shape_time(row->created), "completed_at", shape_time(row->completed));
}

json_t *viggle_scene(const App *app, const SceneRow *row) {
  json_t *object = viggle_scene_item(row);
  json_t *more = json_pack(
      "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model", row->model,
      "background_mode", row->background, "fps", fact(row, row->fps), "total_frames",
      fact(row, (double)row->frames), "width", fact(row, row->width), "height", fact(row, row->height),
      "job_id", shape_text(row->job), "template_id", shape_text(row->template), "error",
      shape_text(row->error ? (row->error_code ? row->error_code : "failed") : NULL), "error_message",
      shape_text(row->error), "thumbnail_url", shape_thumbnail(app, row->folder, shape_link_seconds(app)),
      "credits_used", shape_credits(0), "segments", shape_segments(row), "character_uuids",
      shape_segment_names(row));
  json_object_update(object, more);
  json_decref(more);
  return object;
}

json_t *viggle_scene_started(const SceneRow *row) {
  return json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:s}", "id", row->id, "scene_id", row->id, "job_id",
                   shape_text(row->job), "name", row->name, "status", "queued", "credits_reserved",
                   shape_credits(0), "enqueued_at", shape_time(row->created), "message",
                   "The scene is being prepared. Poll it until its status is ready.");
}

/* Without job_id: nothing is left to do. */
json_t *viggle_scene_imported(const SceneRow *row) {
  return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s}", "id", row->id, "scene_id", row->id,
                   "name", row->name, "status", scene_status(row), "credits_reserved", shape_credits(0),
                   "segments", shape_segments(row), "character_uuids", shape_segment_names(row),
                   "enqueued_at", shape_time(row->created), "message", "The scene is ready.");
}

/* --- renders --- */

json_t *viggle_render_started(const Job *job) {
  g_autofree char *path = g_strdup_printf("/api/render/%s", job->id);
  return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s}", "job_id", job->id, "status", "queued", "mode",
                   job->mode, "enqueued_at", shape_time(job->created), "credits_reserved",
                   shape_credits(job->price), "poll_url", path, "status_url", path);
}

/* The object of the older, chunked generation; this one knows a single chunk. */
static json_t *legacy_progress(const Job *job, int percent) {
  if (job->status == JOB_QUEUED)
    return json_null();
  return json_pack("{s:i, s:i, s:i}", "completed_chunks", job->status == JOB_COMPLETE, "total_chunks", 1,
                   "percent", percent);
}

json_t *viggle_render(const App *app, const Job *job) {
  int percent = job->status == JOB_COMPLETE ? 100 : (int)CLAMP(floor(job->progress), 0, 100);
  const ErrorRow *failure = job->status == JOB_FAILED
                                ? shape_failure(viggle_errors, job->error_code ? job->error_code : "failed")
                                : NULL;
  json_t *video = shape_result_link(app, job, "video", shape_link_seconds(app));
  return json_pack("{s:s, s:s, s:o, s:o, s:i, s:o, s:O, s:o, s:o, s:o, s:o, s:o, s:[], s:o, s:o, s:o, s:o}",
                   "job_id", job->id, "status", job_status_name(job->status), "mode", shape_text(job->mode),
                   "checkpoint", shape_text(job->checkpoint), "progress_pct", percent, "progress",
                   legacy_progress(job, percent), "cdn_url", video, "download_url", video, "mask_cdn_url",
                   shape_result_link(app, job, "mask", shape_link_seconds(app)), "error",
                   shape_text(failure ? (job->error_code ? job->error_code : "failed") : NULL), "error_code",
                   shape_text(failure ? failure->code : NULL), "error_message",
                   shape_text(failure ? job->error : NULL), "chunks", "credits_reserved",
                   shape_credits(job->price), "credits_used",
                   shape_credits(job->completed ? job->charged : -1), "created_at", shape_time(job->created),
                   "completed_at", shape_time(job->completed));
}

json_t *viggle_job_object(App *app, const Job *job, GError **error) {
  if (job->kind == JOB_RENDER)
    return viggle_render(app, job);
  if (job->kind == JOB_GENERATION)
    return shape_job(job);
  if (job->kind == JOB_CHARACTER || job->kind == JOB_TRAINING) {
    g_autoptr(CharacterRow) row = character_get(app, job->account, job->subject, error);
    return row ? viggle_character(app, row) : shape_deleted(job, error);
  }
  g_autoptr(SceneRow) row = scene_get(app, job->account, job->subject, error);
  return row ? viggle_scene(app, row) : shape_deleted(job, error);
}

json_t *viggle_credits(const Balance *balance) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "balance", shape_credits(balance->balance), "credits",
                   shape_credits(balance->balance), "total_purchased", shape_credits(balance->purchased),
                   "total_used", shape_credits(balance->used), "reserved", shape_credits(balance->reserved),
                   "updated_at", shape_time(balance->updated));
}
