/* A request for a Render goes through four gates, each dearer than the one before: its fields alone (parse),
 * the rows that it names (resolve), the balance, and the files that came with it (take). Only then one
 * transaction looks the rows up anew, holds every object the job will need, and inserts the job with its
 * reservation. */
#include "app/making/renders.h"

#include "app/jobs/webhooks.h"
#include "app/making/assets.h"
#include "media/video.h"
#include <math.h>
#include <string.h>

#define FAST_PRIORITY 10

/* Who plays whom; person 0 is the one who is seen most. */
typedef struct {
  CharacterRow *character;
  int person;
} Part;

static void part_clear(gpointer data) {
  character_row_free(((Part *)data)->character);
}

typedef struct {
  /* from the fields */
  const char *character_id, *scene_id, *template_id, *model, *background; /* NULL: not given */
  json_t *mapping;                                                        /* object, or NULL */
  int colour[3];
  gboolean coloured, patient;
  /* from the tables */
  GArray *cast; /* Part; empty where a picture came */
  SceneRow *scene;
  /* from the files */
  Input picture, video;
  double seconds;
} Plan;

static void plan_clear(Plan *plan) {
  json_decref(plan->mapping);
  if (plan->cast)
    g_array_unref(plan->cast);
  scene_row_free(plan->scene);
  input_clear(&plan->picture);
  input_clear(&plan->video);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_clear)

gint64 render_price(double seconds, gboolean fast) {
  /* Through microseconds, so that 6.675 s, which no double is, rounds up as it is written. */
  gint64 microseconds = llround(seconds * 1e6);
  gint64 price = (microseconds * RENDER_PRICE_SECOND + 500000) / 1000000;
  return MAX(price, 1) * (fast ? 2 : 1);
}

/* --- fields --- */

gboolean render_colour(const char *text, int colour[3]) {
  g_auto(GStrv) parts = g_strsplit(text, ",", 4);
  if (g_strv_length(parts) != 3)
    return FALSE;
  for (int i = 0; i < 3; i++) {
    guint64 value;
    if (!g_ascii_string_to_unsigned(g_strstrip(parts[i]), 10, 0, 255, &value, NULL))
      return FALSE;
    colour[i] = (int)value;
  }
  return TRUE;
}

gboolean render_mapping(const char *text, json_t **mapping, GError **error) {
  json_error_t problem;
  *mapping = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
  if (!*mapping && json_error_code(&problem) == json_error_duplicate_key)
    return refuse(error, REFUSAL_INVALID, "character_mapping names the same segment twice.");
  if (!*mapping)
    return refuse(error, REFUSAL_MAPPING,
                  "character_mapping is not valid JSON (line %d, column %d). Send {\"segment uuid\": "
                  "\"character id\"}.",
                  problem.line, problem.column);
  if (!json_is_object(*mapping) || json_object_size(*mapping) == 0)
    return refuse(error, REFUSAL_INVALID,
                  "character_mapping must be a JSON object with at least one entry: {\"segment uuid\": "
                  "\"character id\"}.");
  const char *segment;
  json_t *character;
  json_object_foreach(*mapping, segment, character) {
    if (!json_is_string(character))
      return refuse(error, REFUSAL_INVALID, "character_mapping: the value of %.80s must be a character id.",
                    segment);
  }
  return TRUE;
}

static gboolean parse_looks(App *app, const RenderRequest *request, Plan *plan, GError **error) {
  plan->model = given(request->model);
  if (plan->model && !scene_model_known(plan->model, error))
    return FALSE;
  if (given(request->background_mode) &&
      !(plan->background = scene_background(request->background_mode, error)))
    return FALSE;
  plan->coloured = given(request->bg_color) != NULL;
  if (plan->coloured && !render_colour(request->bg_color, plan->colour))
    return refuse(error, REFUSAL_INVALID,
                  "bg_color \"%.80s\" is not \"R,G,B\" with three numbers from 0 to 255.", request->bg_color);
  if (!plan->coloured)
    plan->colour[0] = plan->colour[1] = plan->colour[2] = 255;
  if (request->fast && !app->settings->fast)
    return refuse(error, REFUSAL_FAST,
                  "Fast mode is switched off here. Repeat the request without fast=true.");
  return TRUE;
}

/* Which of the combinations it is: exactly one source for the character, one for the motion. */
static gboolean parse_sources(const RenderRequest *request, Plan *plan, GError **error) {
  const char *image = request->ref_image.field, *video = request->driving_video.field;
  const char *scene = request->scene_field ? request->scene_field : "scene_id";
  plan->character_id = given(request->character_id);
  plan->scene_id = given(request->scene_id);
  plan->template_id = given(request->template_id);
  plan->patient = request->patient;
  const char *mapping = given(request->character_mapping);
  gboolean pictured = input_given(&request->ref_image), filmed = input_given(&request->driving_video);
  if (mapping && !render_mapping(mapping, &plan->mapping, error))
    return FALSE;
  if (!pictured && !plan->character_id && !mapping)
    return refuse(error, REFUSAL_PICTURE_MISSING, "%s is missing. Send %s, %s_url or character_id.", image,
                  image, image);
  if (!filmed && !plan->scene_id && !plan->template_id)
    return refuse(error, REFUSAL_VIDEO_MISSING, "%s is missing. Send %s, %s_url or %s.", video, video, video,
                  scene);
  if ((pictured != FALSE) + (plan->character_id != NULL) + (mapping != NULL) > 1)
    return refuse(error, REFUSAL_INVALID, "Send only one of %s, character_id and character_mapping.", image);
  if (filmed && plan->scene_id)
    return refuse(error, REFUSAL_INVALID, "Send only one of %s and %s.", video, scene);
  if (mapping && !plan->scene_id && !plan->template_id)
    return refuse(error, REFUSAL_INVALID,
                  "character_mapping needs %s: the segments are those of a prepared scene.", scene);
  return input_glance(&request->ref_image, error) && input_glance(&request->driving_video, error);
}

/* --- rows --- */

static gboolean cast_add(Session *session, const char *account, const char *id, int person, Plan *plan,
                         GError **error) {
  g_autoptr(CharacterRow) row = character_usable(session, account, id, error);
  if (!row)
    return FALSE;
  gboolean awaited = plan->patient && person == 0 && row->picture;
  if (g_str_equal(row->status, "failed"))
    return refuse(error, REFUSAL_CHARACTER_NOT_READY,
                  "Character %s could not be made (%s). Make another one.", row->id,
                  row->error ? row->error : "failed");
  if (!awaited && (!g_str_equal(row->status, "ready") || !row->folder))
    return refuse(error, REFUSAL_CHARACTER_NOT_READY,
                  "Character %s is not ready yet (%s). Wait until its status is ready.", row->id,
                  row->status);
  Part part = {.character = g_steal_pointer(&row), .person = person};
  g_array_append_val(plan->cast, part);
  return TRUE;
}

static gboolean resolve_scene(Session *session, const char *account, Plan *plan, GError **error) {
  plan->scene = plan->template_id ? scene_of_template(session, plan->template_id, error)
                                  : scene_read(session, account, plan->scene_id, error);
  if (!plan->scene)
    return FALSE;
  const SceneRow *scene = plan->scene;
  if (g_str_equal(scene->status, "failed"))
    return refuse(error, REFUSAL_SCENE_NOT_READY, "Scene %s could not be prepared (%s). Make another one.",
                  scene->id, scene->error ? scene->error : "failed");
  if (!g_str_equal(scene->status, "ready") || !scene->folder)
    return refuse(error, REFUSAL_SCENE_NOT_READY,
                  "Scene %s is not ready yet (%s). Wait until its status is ready.", scene->id,
                  scene->status);
  if (plan->model && !g_str_equal(plan->model, scene->model))
    return refuse(
        error, REFUSAL_MODEL,
        "model is %s but scene %s was prepared for %s. Leave model out, or prepare the scene for %s.",
        plan->model, scene->id, scene->model, plan->model);
  plan->seconds = scene->seconds;
  return TRUE;
}

/* The id of the segment's person; 0 for none. */
static int segment_person(const SceneRow *scene, const char *uuid) {
  for (gsize i = 0; i < json_array_size(scene->segments); i++) {
    const json_t *segment = json_array_get(scene->segments, i);
    const char *name = json_string_value(json_object_get(segment, "uuid"));
    if (name && g_str_equal(name, uuid))
      return (int)json_integer_value(json_object_get(segment, "person"));
  }
  return 0;
}

static gboolean resolve_mapping(Session *session, const char *account, Plan *plan, GError **error) {
  const char *segment;
  json_t *character;
  json_object_foreach(plan->mapping, segment, character) {
    int person = segment_person(plan->scene, segment);
    if (person == 0)
      return refuse(error, REFUSAL_INVALID,
                    "character_mapping: scene %s has no segment %.80s. Its segments are in the answer to GET "
                    "of the scene.",
                    plan->scene->id, segment);
    if (!cast_add(session, account, json_string_value(character), person, plan, error))
      return FALSE;
  }
  return TRUE;
}

/* Looks everything up that the request names; may be called again in a later session. */
static gboolean resolve(Session *session, const char *account, Plan *plan, GError **error) {
  g_clear_pointer(&plan->cast, g_array_unref);
  g_clear_pointer(&plan->scene, scene_row_free);
  plan->cast = g_array_new(FALSE, TRUE, sizeof(Part));
  g_array_set_clear_func(plan->cast, part_clear);
  if (plan->character_id && !cast_add(session, account, plan->character_id, 0, plan, error))
    return FALSE;
  if ((plan->scene_id || plan->template_id) && !resolve_scene(session, account, plan, error))
    return FALSE;
  return !plan->mapping || resolve_mapping(session, account, plan, error);
}

static const char *background(const Plan *plan) {
  if (plan->background)
    return plan->background;
  return plan->scene ? plan->scene->background : SCENE_BACKGROUND_USUAL;
}

static const char *model(const Plan *plan) {
  if (plan->scene)
    return plan->scene->model;
  return plan->model ? plan->model : SCENE_MODEL_USUAL;
}

static const char *mode_of(const RenderRequest *request, const Plan *plan) {
  if (request->fast)
    return "fast";
  if (plan->mapping)
    return "multi_character";
  return plan->character_id && plan->scene ? "preprocessed" : "full_pipeline";
}

static gboolean check_rows(App *app, const Caller *caller, Plan *plan, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  if (!session || !resolve(session, caller->account, plan, error))
    return FALSE;
  if (plan->coloured && !g_str_equal(background(plan), "solid"))
    return refuse(error, REFUSAL_INVALID, "bg_color goes with background_mode=solid; here it is %s.",
                  background(plan));
  return TRUE;
}

/* --- files --- */

static gboolean take(App *app, const RenderRequest *request, Plan *plan, GError **error) {
  gboolean (*look)(App *, InputKind, const InputSource *, Input *, GError **) =
      request->dry_run ? input_inspect : input_take;
  if (input_given(&request->ref_image) &&
      !look(app, INPUT_PICTURE, &request->ref_image, &plan->picture, error))
    return FALSE;
  if (!input_given(&request->driving_video))
    return TRUE;
  if (!look(app, INPUT_VIDEO, &request->driving_video, &plan->video, error))
    return FALSE;
  plan->seconds = json_number_value(json_object_get(plan->video.facts, "seconds"));
  return TRUE;
}

/* --- the job --- */

static json_t *spec_roles(const Plan *plan) {
  json_t *roles = json_array();
  for (guint i = 0; i < plan->cast->len; i++) {
    const Part *part = &g_array_index(plan->cast, Part, i);
    json_array_append_new(roles, json_pack("{s:i, s:s, s:s}", "person", part->person, "character",
                                           part->character->id, "folder", part->character->folder));
  }
  return roles;
}

static json_t *spec(const RenderRequest *request, const Plan *plan) {
  json_t *result = json_pack("{s:s, s:s, s:[i,i,i], s:b, s:b, s:f}", "model", model(plan), "background",
                             background(plan), "colour", plan->colour[0], plan->colour[1], plan->colour[2],
                             "audio", request->audio, "fast", request->fast, "seconds", plan->seconds);
  if (plan->mapping) {
    json_object_set_new(result, "roles", spec_roles(plan));
  } else if (plan->cast->len > 0) {
    const CharacterRow *character = g_array_index(plan->cast, Part, 0).character;
    json_object_set_new(result, "character", json_string(character->id));
    if (character->folder)
      json_object_set_new(result, "folder", json_string(character->folder));
    else
      json_object_set_new(result, "picture", json_string(character->picture));
  } else {
    json_object_set_new(result, "picture", json_string(plan->picture.object));
  }
  if (plan->scene) {
    json_object_set_new(result, plan->template_id ? "template" : "scene", json_string(plan->scene->id));
    json_object_set_new(result, "folder_scene", json_string(plan->scene->folder));
  } else {
    json_object_set_new(result, "video", json_string(plan->video.object));
  }
  return result;
}

static gboolean insert(App *app, const Caller *caller, const RenderRequest *request, Plan *plan, gint64 price,
                       Job **made, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session || !resolve(session, caller->account, plan, error))
    return FALSE;
  g_autofree char *id = app_id(request->id_prefix ? request->id_prefix : "job_");
  g_autoptr(Job) job = asset_job(id, JOB_RENDER, caller, request->dialect, request->webhook_url);
  job->pool = g_strdup(model(plan));
  job->mode = g_strdup(mode_of(request, plan));
  job->priority = request->fast ? FAST_PRIORITY : 0;
  job->price = price;
  job->prompt = g_strdup(given(request->title));
  job->template_id = g_strdup(plan->template_id ? plan->template_id : given(request->template_note));
  job->spec = spec(request, plan);
  if (!job_insert(app, session, job, error) || !session_commit(session, error))
    return FALSE;
  *made = g_steal_pointer(&job);
  return TRUE;
}

gboolean render_create(App *app, const Caller *caller, const RenderRequest *request, Job **job, gint64 *price,
                       const char **mode, GError **error) {
  g_auto(Plan) plan = {0};
  if (!asset_made(app, caller, JOB_RENDER, job, error))
    return FALSE;
  if (*job) {
    *price = (*job)->price;
    *mode = (*job)->mode;
    return TRUE;
  }
  if (!parse_looks(app, request, &plan, error) || !parse_sources(request, &plan, error) ||
      (given(request->webhook_url) && !webhook_check(app, request->webhook_url, error)) ||
      !check_rows(app, caller, &plan, error))
    return FALSE;
  *mode = mode_of(request, &plan);
  /* Of a video that is still to come, the least that it can cost. */
  double least = plan.scene ? plan.seconds : VIDEO_MIN_SECONDS;
  if (!asset_affordable(app, caller->account, render_price(least, request->fast), error) ||
      !take(app, request, &plan, error))
    return FALSE;
  *price = render_price(plan.seconds, request->fast);
  if (!asset_affordable(app, caller->account, *price, error))
    return FALSE;
  return request->dry_run || insert(app, caller, request, &plan, *price, job, error);
}

/* --- the list --- */

static GPtrArray *ids(Session *session, const char *account, int limit, int offset, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error,
                    "SELECT id FROM jobs WHERE account = $1 AND kind = $2 ORDER BY created "
                    "DESC, id DESC LIMIT $3 OFFSET $4",
                    text(account), text(job_kind_name(JOB_RENDER)), integer(limit), integer(offset));
  if (!rows)
    return NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
  while (rows_next(rows, error))
    g_ptr_array_add(list, g_strdup(rows_text(rows, 0)));
  return rows_ended(rows) ? g_steal_pointer(&list) : NULL;
}

static gboolean count(Session *session, const char *account, gint64 *total, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error, "SELECT COUNT(*) FROM jobs WHERE account = $1 AND kind = $2",
                    text(account), text(job_kind_name(JOB_RENDER)));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  *total = rows_integer(rows, 0);
  return TRUE;
}

GPtrArray *render_list(App *app, const char *account, int limit, int offset, gint64 *total, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  if (!session || !count(session, account, total, error))
    return NULL;
  g_autoptr(GPtrArray) names = ids(session, account, limit, offset, error);
  if (!names)
    return NULL;
  g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);
  for (guint i = 0; i < names->len; i++) {
    Job *job = job_get(session, names->pdata[i], account, error);
    if (!job)
      return NULL;
    g_ptr_array_add(jobs, job);
  }
  return g_steal_pointer(&jobs);
}

Job *render_get(App *app, const char *account, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Job) job = session ? job_get(session, id, account, error) : NULL;
  if (job && job->kind != JOB_RENDER)
    return refuse_null(error, REFUSAL_NOT_FOUND, "There is no render %.80s.", id);
  return g_steal_pointer(&job);
}
