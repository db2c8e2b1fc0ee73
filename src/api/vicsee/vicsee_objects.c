/* The documented keys and types stay exactly as they are documented; what Troupe knows beyond them stands
 * under further keys, which a client written for the service passes over. Characters are written in
 * snake_case and tasks in camelCase, as the service does. */
#include "api/vicsee/vicsee_objects.h"

#include <math.h>
#include <string.h>

const ErrorRow vicsee_errors[] = {
    {REFUSAL_BUSY, 503, "SERVICE_UNAVAILABLE", NULL},
    {REFUSAL_INVALID, 400, "INVALID_REQUEST", NULL},
    {REFUSAL_KEY_MISSING, 401, "MISSING_AUTH_HEADER", NULL},
    {REFUSAL_KEY_SCHEME, 401, "INVALID_AUTH_FORMAT", NULL},
    {REFUSAL_KEY_FORM, 401, "INVALID_KEY_FORMAT", NULL},
    {REFUSAL_KEY_INVALID, 401, "INVALID_API_KEY", NULL},
    {REFUSAL_FORBIDDEN, 403, "FORBIDDEN", NULL},
    {REFUSAL_CREDITS, 402, "INSUFFICIENT_CREDITS", NULL},
    {REFUSAL_RATE, 429, "RATE_LIMITED", NULL},
    {REFUSAL_DAY, 429, "RATE_LIMITED", NULL},
    {REFUSAL_NOT_FOUND, 404, "NOT_FOUND", NULL},
    {REFUSAL_METHOD, 405, "METHOD_NOT_ALLOWED", NULL},
    {REFUSAL_CONFLICT, 409, "CONFLICT", NULL},
    {REFUSAL_LENGTH, 411, "LENGTH_REQUIRED", NULL},
    {REFUSAL_TOO_LARGE, 413, "PAYLOAD_TOO_LARGE", NULL},
    {REFUSAL_CONTENT_TYPE, 415, "UNSUPPORTED_MEDIA_TYPE", NULL},
    {REFUSAL_JSON, 400, "INVALID_JSON", NULL},
    {REFUSAL_PICTURES_FEW, 400, "TOO_FEW_IMAGES", NULL},
    {REFUSAL_PICTURES_MANY, 400, "TOO_MANY_IMAGES", NULL},
    {REFUSAL_URL_FORM, 400, "INVALID_IMAGE_URL", NULL},
    /* An image that came and is none, or is too large, was not to be had either. */
    {REFUSAL_URL, 422, "IMAGE_DOWNLOAD_FAILED", NULL},
    {REFUSAL_PICTURE_MISSING, 422, "IMAGE_DOWNLOAD_FAILED", NULL},
    {REFUSAL_PICTURE_FORMAT, 422, "IMAGE_DOWNLOAD_FAILED", NULL},
    {REFUSAL_PICTURE_TOO_LARGE, 422, "IMAGE_DOWNLOAD_FAILED", NULL},
    {REFUSAL_PICTURE_BROKEN, 422, "IMAGE_DOWNLOAD_FAILED", NULL},
    {REFUSAL_TRIGGER, 400, "INVALID_TRIGGER_WORD", NULL},
    {REFUSAL_PROMPT, 400, "MISSING_PROMPT", NULL},
    {REFUSAL_ASPECT, 400, "INVALID_ASPECT_RATIO", NULL},
    {REFUSAL_MODEL_MISSING, 400, "MISSING_MODEL", NULL},
    {REFUSAL_MODEL, 400, "INVALID_MODEL", NULL},
    {REFUSAL_CHARACTER, 404, "NOT_FOUND", NULL},
    {REFUSAL_CHARACTER_NOT_READY, 422, "CHARACTER_NOT_READY", NULL},
    {REFUSAL_NOT_TRAINED, 422, "CHARACTER_NOT_READY", NULL},
    {REFUSAL_TASK, 404, "TASK_NOT_FOUND", NULL},
    {REFUSAL_TASK_FOREIGN, 403, "FORBIDDEN", NULL},
    {REFUSAL_RESULT, 404, "NO_RESULT", NULL},
    {REFUSAL_TRAINER, 500, "TRAINING_SUBMIT_FAILED", NULL},
    {REFUSAL_NOBODY, 422, "NO_PERSON_FOUND", NULL},
    {REFUSAL_DIVERGED, 500, "TRAINING_FAILED", NULL},
    {REFUSAL_MEMORY, 500, "GENERATION_FAILED", NULL},
    {REFUSAL_FAILED, 500, "GENERATION_FAILED", NULL},
    {REFUSAL_INTERNAL, 500, "INTERNAL_ERROR", NULL},
};

json_t *vicsee_error_body(const Request *request, const ErrorRow *row, const char *message) {
  return json_pack("{s:b, s:{s:s, s:o}}", "success", FALSE, "error", "code", row->code, "message",
                   shape_text(message));
}

json_t *vicsee_success(json_t *data) {
  return json_pack("{s:b, s:o}", "success", TRUE, "data", data);
}

json_t *vicsee_credits(gint64 hundredths) {
  return json_integer(MAX(hundredths, 0) / CREDIT);
}

/* {"code", "key", "message"}: code stays, key is for translators, both are general where nothing special is
 * known. */
static json_t *failure(const char *general, const char *code, const char *message) {
  const ErrorRow *row = shape_failure(vicsee_errors, code);
  gboolean special = row && row->status < 500;
  g_autofree char *key = special ? g_ascii_strdown(row->code, -1) : g_strdup("generic");
  return json_pack("{s:s, s:s, s:o}", "code", special ? row->code : general, "key", key, "message",
                   shape_text(message ? message : "It failed."));
}

/* --- characters --- */

static json_t *training_object(const App *app, const TrainingRow *row) {
  gint64 seconds = shape_link_seconds(app);
  g_autofree char *lora = g_strdup_printf("%s.safetensors", row->job);
  gboolean failed = g_str_equal(row->status, "failed");
  json_t *object = json_pack("{s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "job_id", row->job, "progress",
                             shape_number(row->progress), "step", (json_int_t)row->step, "steps",
                             row->steps > 0 ? json_integer(row->steps) : json_null(), "loss",
                             isnan(row->loss) ? json_null() : json_real(round(row->loss * 1e5) / 1e5),
                             "model", shape_text(row->model), "class", shape_text(row->class));
  json_t *more =
      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "credits", vicsee_credits(row->credits),
                "previews_url", shape_link(app, row->previews, NULL, "previews.png", seconds),
                "loss_chart_url", shape_link(app, row->chart, NULL, "loss.png", seconds), "lora_url",
                shape_link(app, row->lora, NULL, lora, seconds), "error",
                failed ? failure("TRAINING_FAILED", row->error_code, row->error) : json_null(), "created_at",
                shape_time(row->created), "completed_at", shape_time(row->completed));
  json_object_update(object, more);
  json_decref(more);
  return object;
}

static int image_count(const CharacterRow *row) {
  return MAX((int)json_array_size(row->pictures), 1);
}

static json_t *character_facts(const CharacterRow *row, const TrainingRow *training) {
  return json_pack("{s:s, s:o, s:o, s:s, s:i, s:o}", "character_id", row->id, "name", shape_text(row->name),
                   "trigger_word", shape_text(training ? training->trigger : ""), "status",
                   training ? training->status : "untrained", "image_count", image_count(row), "created_at",
                   shape_time(row->created));
}

json_t *vicsee_character(const App *app, const CharacterRow *row, const TrainingRow *training) {
  json_t *object = character_facts(row, training);
  json_t *more = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "description", shape_text(row->description),
                           "rig_status", row->status, "rig_error",
                           row->error ? failure("RIG_FAILED", row->error_code, row->error) : json_null(),
                           "thumbnail_url", shape_thumbnail(app, row->folder, shape_link_seconds(app)),
                           "inspection", row->report ? json_incref(row->report) : json_null(), "chosen_image",
                           row->report ? json_integer(row->chosen) : json_null(), "training",
                           training ? training_object(app, training) : json_null());
  json_object_update(object, more);
  json_decref(more);
  return object;
}

json_t *vicsee_character_started(const CharacterRow *row, const TrainingRow *training, gint64 price) {
  json_t *object = character_facts(row, training);
  json_object_set_new(object, "credits_used", vicsee_credits(price));
  json_object_set_new(object, "job_id", shape_text(training ? training->job : NULL));
  return object;
}

/* --- tasks --- */

gboolean vicsee_is_task(const Job *job) {
  return job->kind == JOB_GENERATION || job->kind == JOB_RENDER;
}

static const char *task_status(const Job *job) {
  static const char *const names[] = {[JOB_QUEUED] = "pending",
                                      [JOB_PROCESSING] = "processing",
                                      [JOB_COMPLETE] = "completed",
                                      [JOB_FAILED] = "failed",
                                      [JOB_CANCELLED] = "failed"};
  return names[job->status];
}

static gboolean kept(const Job *job) {
  return job->status == JOB_COMPLETE && (job->expires <= 0 || job->expires > app_now());
}

const char *vicsee_result(const Job *job, gsize index, char **name) {
  if (!kept(job))
    return NULL;
  if (job->kind == JOB_RENDER) {
    *name = g_strdup_printf("%s.mp4", job->id);
    return index == 0 ? shape_result(job, "video") : NULL;
  }
  *name = g_strdup_printf("%s-%" G_GSIZE_FORMAT ".png", job->id, index + 1);
  return json_string_value(json_array_get(json_object_get(job->result, "images"), index));
}

json_t *vicsee_images(const App *app, const Job *job) {
  json_t *list = json_array();
  gsize count = json_array_size(json_object_get(job->result, "images"));
  for (gsize i = 0; i < count; i++) {
    g_autofree char *name = NULL;
    const char *object = vicsee_result(job, i, &name);
    if (object)
      json_array_append_new(
          list, json_pack("{s:o}", "url", shape_link(app, object, NULL, name, shape_link_seconds(app))));
  }
  return list;
}

/* Documented for one result; where there are several images url is the first of them. */
static json_t *task_result(const App *app, const Job *job) {
  g_autofree char *name = NULL;
  const char *object = vicsee_result(job, 0, &name);
  if (!object)
    return json_null();
  json_t *url = shape_link(app, object, NULL, name, shape_link_seconds(app));
  if (job->kind == JOB_RENDER)
    return json_pack("{s:o, s:s}", "url", url, "type", "video");
  return json_pack("{s:o, s:s, s:o}", "url", url, "type", "image", "images", vicsee_images(app, job));
}

static json_t *task_error(const Job *job) {
  if (job->status == JOB_CANCELLED)
    return json_pack("{s:s, s:s, s:s}", "code", "CANCELLED", "key", "cancelled", "message",
                     "The task was cancelled.");
  return job->status == JOB_FAILED ? failure("GENERATION_FAILED", job->error_code, job->error) : json_null();
}

static json_t *number_of(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_number(value) ? json_deep_copy(value) : json_null();
}

json_t *vicsee_task(const App *app, const Job *job) {
  const char *model = json_string_value(json_object_get(job->spec, "model"));
  const char *character = json_string_value(json_object_get(job->spec, "character"));
  const char *prompt = json_string_value(json_object_get(job->spec, "prompt"));
  double progress = job->status == JOB_COMPLETE ? 100 : CLAMP(job->progress, 0, 100);
  json_t *object = json_pack(
      "{s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o}", "id", job->id, "model", model ? model : job->pool, "prompt",
      shape_text(prompt        ? prompt
                 : job->prompt ? job->prompt
                               : ""),
      "status", task_status(job), "mediaType", job->kind == JOB_RENDER ? "video" : "image", "createdAt",
      shape_time(job->created), "result", task_result(app, job), "error", task_error(job));
  json_t *more =
      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "progress", shape_number(progress), "characterId",
                shape_text(character), "seed", number_of(job->spec, "seed"), "creditsUsed",
                vicsee_credits(job->completed ? job->charged : job->price), "completedAt",
                shape_time(job->completed), "expiresAt", shape_time(kept(job) ? job->expires : 0));
  json_object_update(object, more);
  json_decref(more);
  return object;
}

/* --- webhooks --- */

json_t *vicsee_job_object(App *app, const Job *job, GError **error) {
  if (vicsee_is_task(job))
    return vicsee_success(vicsee_task(app, job));
  g_autoptr(CharacterRow) row = character_get(app, job->account, job->subject, error);
  if (!row) {
    json_t *deleted = shape_deleted(job, error);
    return deleted ? vicsee_success(deleted) : NULL;
  }
  g_autoptr(GError) problem = NULL;
  g_autoptr(TrainingRow) training = training_get(app, row, &problem);
  if (problem) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
  }
  return vicsee_success(vicsee_character(app, row, training));
}
