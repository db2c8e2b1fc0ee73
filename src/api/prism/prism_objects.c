/* Prism's documentation exists in several generations; the objects here carry the union of their keys, and
 * all keys in every state. What Troupe adds (image_urls) is only there where the documented API has nothing.
 */
#include "api/prism/prism_objects.h"

#include "app/inputs/uploads.h"
#include "app/links.h"
#include "app/making/generations.h"
#include <string.h>

#define LINK_SECONDS 3600

/* --- errors --- */

#define VALIDATION "validation_error"

const ErrorRow prism_errors[] = {
    {REFUSAL_BUSY, 503, "server_error", NULL},
    {REFUSAL_INVALID, 400, VALIDATION, NULL},
    {REFUSAL_JSON, 400, VALIDATION, NULL},
    {REFUSAL_KEY_MISSING, 401, "unauthorized", NULL},
    {REFUSAL_KEY_SCHEME, 401, "unauthorized", NULL},
    {REFUSAL_KEY_FORM, 401, "unauthorized", NULL},
    {REFUSAL_KEY_INVALID, 401, "unauthorized", NULL},
    {REFUSAL_FORBIDDEN, 403, "forbidden", NULL},
    {REFUSAL_CREDITS, 402, "insufficient_credits", NULL},
    {REFUSAL_RATE, 429, "rate_limited", NULL},
    {REFUSAL_DAY, 429, "rate_limited", NULL},
    {REFUSAL_NOT_FOUND, 404, "not_found", NULL},
    {REFUSAL_TEMPLATE, 404, "not_found", NULL},
    {REFUSAL_METHOD, 405, "method_not_allowed", NULL},
    {REFUSAL_CONFLICT, 409, "conflict", NULL},
    {REFUSAL_LENGTH, 411, VALIDATION, NULL},
    {REFUSAL_TOO_LARGE, 413, VALIDATION, NULL},
    {REFUSAL_CONTENT_TYPE, 415, VALIDATION, NULL},
    {REFUSAL_PICTURE_MISSING, 400, VALIDATION, NULL},
    {REFUSAL_PICTURE_FORMAT, 400, VALIDATION, NULL},
    {REFUSAL_PICTURE_TOO_LARGE, 400, VALIDATION, NULL},
    {REFUSAL_PICTURE_BROKEN, 400, VALIDATION, NULL},
    {REFUSAL_PICTURES_FEW, 400, VALIDATION, NULL},
    {REFUSAL_PICTURES_MANY, 400, VALIDATION, NULL},
    {REFUSAL_VIDEO_MISSING, 400, VALIDATION, NULL},
    {REFUSAL_VIDEO_FORMAT, 400, VALIDATION, NULL},
    {REFUSAL_VIDEO_TOO_LONG, 400, VALIDATION, NULL},
    {REFUSAL_VIDEO_TOO_LARGE, 400, VALIDATION, NULL},
    {REFUSAL_VIDEO_SIZE, 400, VALIDATION, NULL},
    {REFUSAL_VIDEO_TOO_SMALL, 400, VALIDATION, NULL},
    {REFUSAL_VIDEO_BROKEN, 400, VALIDATION, NULL},
    {REFUSAL_URL, 400, VALIDATION, NULL},
    {REFUSAL_URL_FORM, 400, VALIDATION, NULL},
    {REFUSAL_CHARACTER, 400, VALIDATION, NULL},
    {REFUSAL_CHARACTER_NOT_READY, 400, VALIDATION, NULL},
    {REFUSAL_NOT_TRAINED, 400, VALIDATION, NULL},
    {REFUSAL_SCENE, 400, VALIDATION, NULL},
    {REFUSAL_SCENE_NOT_READY, 400, VALIDATION, NULL},
    {REFUSAL_BACKGROUND, 400, VALIDATION, NULL},
    {REFUSAL_MODEL, 400, VALIDATION, NULL},
    {REFUSAL_MODEL_MISSING, 400, VALIDATION, NULL},
    {REFUSAL_MAPPING, 400, VALIDATION, NULL},
    {REFUSAL_PROMPT, 400, VALIDATION, NULL},
    {REFUSAL_ASPECT, 400, VALIDATION, NULL},
    {REFUSAL_VARIABLE, 400, VALIDATION, NULL},
    {REFUSAL_UNPRICED, 400, "pricing_error", NULL},
    {REFUSAL_TEMPLATE_BROKEN, 422, "invalid_template", NULL},
    {REFUSAL_INTERNAL, 500, "server_error", NULL},
};

/* Whether the request starts generations: what goes wrong there has a code of its own. */
static gboolean starts_generations(const Request *request) {
  return g_str_equal(request_method(request), "POST") &&
         (g_str_has_suffix(request_path(request), "/generate") ||
          g_str_has_suffix(request_path(request), "/generations"));
}

json_t *prism_error_body(const Request *request, const ErrorRow *row, const char *message) {
  const char *code = row->code, *told = message;
  if (row->why == REFUSAL_INTERNAL && starts_generations(request))
    code = "generation_error";
  else if (row->status == 401)
    told = "Invalid or missing API key";
  else if (row->why == REFUSAL_TEMPLATE)
    told = "Template not found";
  return json_pack("{s:s, s:o}", "error", code, "message", shape_text(told));
}

/* --- lists --- */

Answer *prism_list(json_t *data, int limit, int offset, gint64 total) {
  gboolean more = (gint64)offset + (gint64)json_array_size(data) < total;
  return answer_json(200, json_pack("{s:o, s:{s:i, s:i, s:b}}", "data", data, "pagination", "offset", offset,
                                    "limit", limit, "has_more", more));
}

/* --- characters, templates --- */

json_t *prism_character(const CharacterRow *row) {
  const char *description = row->description && *row->description ? row->description : NULL;
  return json_pack("{s:s, s:o, s:o, s:I}", "id", row->id, "name", shape_text(row->name), "description",
                   shape_text(description), "created_at", (json_int_t)row->created);
}

/* The model that would draw it now. */
static const char *model_name(App *app, const TemplateRow *row) {
  const char *first = json_string_value(json_object_get(json_array_get(generation_models(app), 0), "id"));
  return *row->model ? row->model : first ? first : "none";
}

json_t *prism_template(App *app, const TemplateRow *row) {
  gboolean scene = g_str_equal(row->kind, TEMPLATE_SCENE);
  json_t *prompt = json_object_get(row->about, "prompt"), *seconds = json_object_get(row->about, "seconds");
  return json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:s, s:s}", "id", row->id, "title",
                   shape_text(row->name), "description", shape_text(template_description(row)), "category",
                   template_category(row), "duration_sec",
                   scene ? shape_number(json_number_value(seconds)) : json_null(), "input_variables",
                   template_variables(row), "prompt_template", prompt ? json_incref(prompt) : json_null(),
                   "kind", scene ? "video" : "image", "model_name", model_name(app, row));
}

/* --- generations --- */

static json_t *link_to(const App *app, const char *object, const char *name) {
  if (!object)
    return json_null();
  g_autofree char *link = link_make(app, object, NULL, name, app_now() / 1000 + LINK_SECONDS);
  return json_string(link);
}

static json_t *video_link(const App *app, const Job *job) {
  g_autofree char *name = g_strdup_printf("%s.mp4", job->id);
  return link_to(app, shape_result(job, "video"), name);
}

static gboolean kept(const Job *job) {
  return job->status == JOB_COMPLETE && (job->expires == 0 || job->expires > app_now());
}

static json_t *image_links(const App *app, const Job *job) {
  const json_t *images = kept(job) ? json_object_get(job->result, "images") : NULL;
  json_t *list = json_array();
  for (gsize i = 0; i < json_array_size(images); i++) {
    g_autofree char *name = g_strdup_printf("%s-%zu.png", job->id, i + 1);
    json_array_append_new(list, link_to(app, json_string_value(json_array_get(images, i)), name));
  }
  return list;
}

static const char *status_of(const Job *job) {
  switch (job->status) {
  case JOB_COMPLETE:
    return "completed";
  case JOB_FAILED:
  case JOB_CANCELLED:
    return "failed";
  default:
    return "generating";
  }
}

static const char *error_of(const Job *job) {
  if (job->status == JOB_CANCELLED)
    return "Generation cancelled";
  if (job->status != JOB_FAILED)
    return NULL;
  return job->error && *job->error ? job->error : "Generation failed";
}

static json_t *share_link(const App *app, const Job *job) {
  if (!job->published || !kept(job))
    return json_null();
  return json_sprintf("%s/share/%s", app->settings->public_url ? app->settings->public_url : "", job->id);
}

/* Images have a key more. */
json_t *prism_generation(App *app, const Job *job) {
  json_t *object =
      json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id", job->id, "status", status_of(job),
                "template_id", shape_text(job->template_id), "video_url", video_link(app, job), "share_url",
                share_link(app, job), "created_at", shape_time(job->created), "completed_at",
                job->status == JOB_COMPLETE ? shape_time(job->completed) : json_null(), "error",
                shape_text(error_of(job)));
  if (job->kind == JOB_GENERATION)
    json_object_set_new(object, "image_urls", kept(job) ? image_links(app, job) : json_null());
  return object;
}

json_t *prism_started(GPtrArray *jobs, const char *template_id, gint64 price, const Latency *latency) {
  json_t *list = json_array();
  for (guint i = 0; i < jobs->len; i++) {
    const char *id = ((const Job *)jobs->pdata[i])->id;
    json_t *item = json_pack("{s:s, s:s}", "generation_id", id, "status", "generating");
    if (!template_id)
      json_object_set_new(item, "id", json_string(id));
    json_array_append_new(list, item);
  }
  json_t *estimate = latency ? json_pack("{s:o, s:o}", "typical", shape_number(latency->typical), "busy",
                                         shape_number(latency->busy))
                             : json_null();
  return json_pack("{s:o, s:o, s:o, s:o}", "generations", list, "template_id", shape_text(template_id),
                   "credits_charged", shape_credits(price), "latency_estimate_sec", estimate);
}

/* --- assets --- */

static json_t *asset_metadata(const Job *job) {
  json_t *metadata = json_object();
  static const char *const numbers[] = {"width", "height", "seconds", "frames", "seed"};
  for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
    json_t *number = json_object_get(job->result, numbers[i]);
    if (number)
      json_object_set(metadata, numbers[i], number);
  }
  const json_t *images = json_object_get(job->result, "images");
  if (json_array_size(images) < 2)
    return metadata;
  json_t *keys = json_array();
  for (gsize i = 0; i < json_array_size(images); i++) {
    g_autofree char *key = upload_result_key(job, (int)i);
    json_array_append_new(keys, json_string(key));
  }
  json_object_set_new(metadata, "asset_s3_keys", keys);
  return metadata;
}

json_t *prism_asset(App *app, const Job *job, gboolean community) {
  gboolean video = job->kind == JOB_RENDER;
  g_autofree char *key = upload_result_key(job, video ? -1 : 0);
  g_autofree char *id = community ? g_strdup_printf("post_%s", job->id) : g_strdup(job->id);
  g_autofree char *asset = g_strdup_printf("asset_%s", job->id), *name = g_strdup_printf("%s-1.png", job->id);
  const char *image = json_string_value(json_array_get(json_object_get(job->result, "images"), 0));
  return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "id", id, "asset_id", asset,
                   "asset_s3_key", key, "asset_url",
                   video ? video_link(app, job) : link_to(app, kept(job) ? image : NULL, name), "asset_type",
                   video ? "video" : "image", "prompt", shape_text(job->prompt ? job->prompt : ""),
                   "model_name", shape_text(json_string_value(json_object_get(job->spec, "model"))),
                   "published_at", community ? json_integer(job->published) : json_null(), "created_at",
                   community ? json_null() : json_integer(job->created), "metadata", asset_metadata(job),
                   "source", community ? "community" : "history");
}

/* --- webhooks --- */

json_t *prism_job_object(App *app, const Job *job, GError **error) {
  if (job->kind == JOB_CHARACTER) {
    g_autoptr(CharacterRow) row = character_get(app, job->account, job->subject, error);
    return row ? prism_character(row) : shape_deleted(job, error);
  }
  json_t *object = prism_generation(app, job);
  json_object_set_new(object, "generation_id", json_string(job->id));
  return object;
}
