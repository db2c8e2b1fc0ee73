#include "api/shapes.h"

#include "api/dialects.h"
#include "app/links.h"
#include <math.h>
#include <string.h>

#define HOUR 3600

json_t *shape_text(const char *text) {
  if (!text)
    return json_null();
  json_t *string = json_string(text);
  if (string)
    return string;
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  return json_string(valid);
}

json_t *shape_time(gint64 milliseconds) {
  if (milliseconds <= 0)
    return json_null();
  g_autofree char *text = app_time_text(milliseconds);
  return json_string(text);
}

json_t *shape_number(double value) {
  double rounded = round(value * 1000) / 1000;
  return rounded == floor(rounded) ? json_integer((json_int_t)rounded) : json_real(rounded);
}

json_t *shape_credits(gint64 hundredths) {
  return hundredths < 0 ? json_null() : shape_number((double)hundredths / CREDIT);
}

/* --- links --- */

json_t *shape_link(const App *app, const char *object, const char *inside, const char *name, gint64 seconds) {
  if (!object)
    return json_null();
  gint64 hour = app_now() / 1000 / HOUR;
  g_autofree char *link = link_make(app, object, inside, name, (hour + 1) * HOUR + seconds);
  return json_string(link);
}

gint64 shape_link_seconds(const App *app) {
  return app->settings->result_days * 24 * HOUR;
}

json_t *shape_thumbnail(const App *app, const char *folder, gint64 seconds) {
  return shape_link(app, folder, "thumb.webp", "thumb.webp", seconds);
}

const char *shape_result(const Job *job, const char *role) {
  if (job->status != JOB_COMPLETE || (job->expires > 0 && job->expires <= app_now()))
    return NULL;
  return json_string_value(json_object_get(job->result, role));
}

json_t *shape_result_link(const App *app, const Job *job, const char *role, gint64 seconds) {
  gboolean main = g_str_equal(role, "video");
  g_autofree char *name = g_strdup_printf("%s%s%s.mp4", job->id, main ? "" : "-", main ? "" : role);
  return shape_link(app, shape_result(job, role), NULL, name, seconds);
}

/* --- scenes and characters --- */

json_t *shape_segments(const SceneRow *scene) {
  json_t *list = json_array();
  for (gsize i = 0; i < json_array_size(scene->segments); i++) {
    const json_t *segment = json_array_get(scene->segments, i);
    json_array_append_new(list, json_pack("{s:O, s:O}", "uuid", json_object_get(segment, "uuid"), "type",
                                          json_object_get(segment, "type")));
  }
  return list;
}

json_t *shape_segment_names(const SceneRow *scene) {
  json_t *list = json_array();
  for (gsize i = 0; i < json_array_size(scene->segments); i++)
    json_array_append(list, json_object_get(json_array_get(scene->segments, i), "uuid"));
  return list;
}

#define CHARACTER_PREFIX "char_"
#define UUID_LENGTH 36

json_t *shape_character_id(const char *id) {
  return json_sprintf(CHARACTER_PREFIX "%s", id);
}

const char *shape_plain_character(const char *id) {
  gboolean ours =
      id && g_str_has_prefix(id, CHARACTER_PREFIX) && strlen(id) == strlen(CHARACTER_PREFIX) + UUID_LENGTH;
  return ours ? id + strlen(CHARACTER_PREFIX) : id;
}

/* --- jobs --- */

json_t *shape_job(const Job *job) {
  json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "id", job->id, "object", "job",
                             "kind", job_kind_name(job->kind), "status", job_status_name(job->status), "mode",
                             shape_text(job->mode), "subject", shape_text(job->subject), "checkpoint",
                             shape_text(job->checkpoint), "stage", shape_text(job->stage), "progress",
                             shape_number(job->progress));
  json_t *more =
      json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pool", job->pool, "attempts",
                job->attempts, "credits_reserved", shape_credits(job->price), "credits_used",
                shape_credits(job->completed ? job->charged : -1), "error", shape_text(job->error_code),
                "error_message", shape_text(job->error), "webhook_url", shape_text(job->webhook_url),
                "created_at", shape_time(job->created), "started_at", shape_time(job->started),
                "completed_at", shape_time(job->completed));
  json_object_update(object, more);
  json_decref(more);
  return object;
}

/* --- answers --- */

Answer *shape_dry_run(gint64 price, const char *mode) {
  json_t *body =
      json_pack("{s:b, s:b, s:o}", "dry_run", TRUE, "valid", TRUE, "credits", shape_credits(price));
  if (mode)
    json_object_set_new(body, "mode", json_string(mode));
  return answer_json(200, body);
}

const ErrorRow *shape_error_row(const ErrorRow *rows, Refusal why) {
  while (rows->why != why && rows->why != REFUSAL_INTERNAL)
    rows++;
  return rows;
}

const ErrorRow *shape_failure(const ErrorRow *rows, const char *name) {
  return name ? shape_error_row(rows, refusal_named(name)) : NULL;
}

json_t *shape_deleted(const Job *job, GError **error) {
  if (!error || (!g_error_matches(*error, REFUSAL, REFUSAL_CHARACTER) &&
                 !g_error_matches(*error, REFUSAL, REFUSAL_SCENE)))
    return NULL;
  g_clear_error(error);
  return json_pack("{s:s, s:s, s:s, s:s}", "id", job->subject, "job_id", job->id, "status", "failed", "error",
                   "deleted");
}

gboolean shape_import(Request *request, SceneRow **row, GError **error) {
  const char *template = request_field(request, "template_id");
  if (!template)
    template = request_field(request, "template_uuid");
  gboolean dry_run;
  if (!request_truth(request, "dry_run", FALSE, &dry_run, error))
    return FALSE;
  if (!template)
    return refuse(error, REFUSAL_INVALID, "template_id is missing. Send the id of a template.");
  return scene_import(request_app(request), request_caller(request), template, request_field(request, "name"),
                      dry_run, row, error);
}
