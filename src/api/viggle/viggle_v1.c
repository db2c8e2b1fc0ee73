/* Viggle's newer API under /v1, on the same operations. What it offers beyond putting a character into a
 * motion (videos from text, splats, skeletons) is refused by name. */
#include "api/dialects.h"
#include "api/viggle/viggle_v1_objects.h"

#define PAGE_USUAL 20
#define PAGE_MOST 100

/* --- credits --- */

static Answer *get_credits(Api *api, Request *request, GError **error) {
  Balance balance;
  if (!account_balance(request_app(request), request_caller(request)->account, &balance, error))
    return NULL;
  return answer_json(200,
                     json_pack("{s:o, s:o, s:o}", "balance", shape_credits(balance.balance), "reserved",
                               shape_credits(balance.reserved), "updated_at", shape_time(balance.updated)));
}

/* --- lists --- */

/* {"data", "total", "limit", "offset"} of rows that shape turns into objects. */
static Answer *answer_list(Request *request, GPtrArray *rows, json_t *(*shape)(const App *, gconstpointer),
                           gint64 total, int limit, int offset) {
  json_t *list = json_array();
  for (guint i = 0; i < rows->len; i++)
    json_array_append_new(list, shape(request_app(request), rows->pdata[i]));
  return answer_json(200, json_pack("{s:o, s:I, s:i, s:i}", "data", list, "total", (json_int_t)total, "limit",
                                    limit, "offset", offset));
}

static json_t *character_shape(const App *app, gconstpointer row) {
  return viggle_v1_character(app, row);
}

static json_t *motion_shape(const App *app, gconstpointer row) {
  return viggle_v1_motion(app, row);
}

/* --- characters --- */

static Answer *create_character(Api *api, Request *request, GError **error) {
  const char *name = request_field(request, "name"), *type = request_field(request, "type");
  CharacterRequest character = {.name = name && *name ? name : "Character",
                                .description = request_field(request, "description"),
                                .webhook_url = request_field(request, "webhook_url"),
                                .dialect = dialect_viggle_v1.name};
  if (g_strcmp0(type, "vsplat") == 0) {
    refuse(error, REFUSAL_INVALID,
           "type=vsplat is not offered: characters here are puppets for videos. Leave type out.");
    return NULL;
  }
  request_source(request, "image", &character.image);
  if (!request_truth(request, "dry_run", FALSE, &character.dry_run, error))
    return NULL;
  g_autoptr(CharacterRow) row = NULL;
  gint64 price;
  App *app = request_app(request);
  if (!character_create(app, request_caller(request), &character, &row, &price, error))
    return NULL;
  return row ? answer_json(200, viggle_v1_character(app, row)) : shape_dry_run(price, NULL);
}

static Answer *list_characters(Api *api, Request *request, GError **error) {
  int limit, offset;
  gint64 total;
  if (!request_page(request, PAGE_USUAL, PAGE_MOST, FALSE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) rows =
      character_list(request_app(request), request_caller(request)->account, request_query(request, "q"),
                     FALSE, limit, offset, &total, error);
  return rows ? answer_list(request, rows, character_shape, total, limit, offset) : NULL;
}

static const char *character_argument(const Request *request) {
  return shape_plain_character(request_argument(request, "character_id"));
}

static Answer *get_character(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(CharacterRow) row =
      character_get(app, request_caller(request)->account, character_argument(request), error);
  return row ? answer_json(200, viggle_v1_character(app, row)) : NULL;
}

static Answer *delete_character(Api *api, Request *request, GError **error) {
  if (!character_delete(request_app(request), request_caller(request)->account, character_argument(request),
                        error))
    return NULL;
  return answer_json(200, json_pack("{s:b}", "success", TRUE));
}

static Answer *export_character(Api *api, Request *request, GError **error) {
  refuse(error, REFUSAL_INVALID,
         "Characters here are puppets, not splats, so there is no export of this kind. Use the character in "
         "POST /v1/renders.");
  return NULL;
}

/* --- motions --- */

static Answer *create_motion(Api *api, Request *request, GError **error) {
  const char *name = request_field(request, "name"), *type = request_field(request, "type");
  SceneRequest scene = {.name = name && *name ? name : "Motion",
                        .model = request_field(request, "model"),
                        .background = request_field(request, "background_mode"),
                        .webhook_url = request_field(request, "webhook_url"),
                        .dialect = dialect_viggle_v1.name};
  if (g_strcmp0(type, "glb") == 0) {
    refuse(error, REFUSAL_INVALID, "type=glb is not offered: motions here drive videos. Leave type out.");
    return NULL;
  }
  request_source(request, "motion_video", &scene.video);
  if (!request_truth(request, "dry_run", FALSE, &scene.dry_run, error))
    return NULL;
  g_autoptr(SceneRow) row = NULL;
  App *app = request_app(request);
  if (!scene_create(app, request_caller(request), &scene, &row, error))
    return NULL;
  return row ? answer_json(200, viggle_v1_motion(app, row)) : shape_dry_run(0, NULL);
}

static Answer *import_motion(Api *api, Request *request, GError **error) {
  g_autoptr(SceneRow) row = NULL;
  if (!shape_import(request, &row, error))
    return NULL;
  return row ? answer_json(200, viggle_v1_motion(request_app(request), row)) : shape_dry_run(0, NULL);
}

static Answer *list_motions(Api *api, Request *request, GError **error) {
  int limit, offset;
  gint64 total;
  if (!request_page(request, PAGE_USUAL, PAGE_MOST, FALSE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) rows =
      scene_list(request_app(request), request_caller(request)->account, limit, offset, &total, error);
  return rows ? answer_list(request, rows, motion_shape, total, limit, offset) : NULL;
}

static Answer *get_motion(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(SceneRow) row =
      scene_get(app, request_caller(request)->account, request_argument(request, "motion_id"), error);
  return row ? answer_json(200, viggle_v1_motion(app, row)) : NULL;
}

static Answer *delete_motion(Api *api, Request *request, GError **error) {
  if (!scene_delete(request_app(request), request_caller(request)->account,
                    request_argument(request, "motion_id"), error))
    return NULL;
  return answer_json(200, json_pack("{s:b}", "success", TRUE));
}

static Answer *export_motion(Api *api, Request *request, GError **error) {
  refuse(error, REFUSAL_INVALID,
         "Motions here drive videos and cannot be exported as GLB. Use the motion in POST /v1/renders.");
  return NULL;
}

/* --- renders and videos --- */

static Answer *start_render(Request *request, RenderRequest *render, GError **error) {
  render->model = request_field(request, "model");
  render->background_mode = request_field(request, "background_mode");
  render->bg_color = request_field(request, "bg_color");
  render->webhook_url = request_field(request, "webhook_url");
  render->dialect = dialect_viggle_v1.name;
  render->scene_field = "motion_id";
  if (!request_truth(request, "fast", FALSE, &render->fast, error) ||
      !request_truth(request, "audio", TRUE, &render->audio, error) ||
      !request_truth(request, "dry_run", FALSE, &render->dry_run, error))
    return NULL;
  g_autoptr(Job) job = NULL;
  gint64 price;
  const char *mode;
  App *app = request_app(request);
  if (!render_create(app, request_caller(request), render, &job, &price, &mode, error))
    return NULL;
  return job ? answer_json(200, viggle_v1_render(app, job)) : shape_dry_run(price, mode);
}

static Answer *create_render(Api *api, Request *request, GError **error) {
  RenderRequest render = {.character_id = shape_plain_character(request_field(request, "character_id")),
                          .scene_id = request_field(request, "motion_id"),
                          .character_mapping = request_field(request, "character_mapping"),
                          .id_prefix = "render_"};
  request_source(request, "image", &render.ref_image);
  request_source(request, "motion_video", &render.driving_video);
  return start_render(request, &render, error);
}

/* The mode of this endpoint follows from the fields that are there; only one of its modes is served. */
static Answer *create_video(Api *api, Request *request, GError **error) {
  RenderRequest render = {.character_id = shape_plain_character(request_field(request, "character_id")),
                          .scene_id = request_field(request, "motion_id"),
                          .id_prefix = "anim_"};
  request_source(request, "character_image", &render.ref_image);
  request_source(request, "driving_video", &render.driving_video);
  gboolean acted = input_given(&render.ref_image) || render.character_id;
  gboolean moved = input_given(&render.driving_video) || render.scene_id;
  if (!acted && !moved) {
    refuse(error, REFUSAL_INVALID,
           "Videos from text or still frames are not offered. Send character_image and driving_video: the "
           "character is put into the motion of the video.");
    return NULL;
  }
  return start_render(request, &render, error);
}

static Job *render_job(Request *request, GError **error) {
  return render_get(request_app(request), request_caller(request)->account,
                    request_argument(request, "render_id"), error);
}

static Answer *get_render(Api *api, Request *request, GError **error) {
  g_autoptr(Job) job = render_job(request, error);
  return job ? answer_json(200, viggle_v1_render(request_app(request), job)) : NULL;
}

static Answer *cancel_render(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(Job) found = render_job(request, error);
  g_autoptr(Job) job = found ? job_cancel(app, found->id, found->account, error) : NULL;
  return job ? answer_json(200, viggle_v1_render(app, job)) : NULL;
}

static Answer *download_render(Api *api, Request *request, GError **error) {
  g_autoptr(Job) job = render_job(request, error);
  if (!job)
    return NULL;
  if (job->status != JOB_COMPLETE) {
    refuse(error, REFUSAL_CONFLICT, "Render %s is %s. Download it when it is ready.", job->id,
           job_status_name(job->status));
    return NULL;
  }
  json_t *link = shape_result_link(request_app(request), job, "video", VIGGLE_V1_LINK_SECONDS);
  g_autofree char *url = g_strdup(json_string_value(link));
  json_decref(link);
  if (!url) {
    refuse(error, REFUSAL_NOT_FOUND, "The result of render %s has expired. Render it again.", job->id);
    return NULL;
  }
  Answer *answer = answer_json(302, json_pack("{s:s}", "url", url));
  answer_header(answer, "Location", url);
  return answer;
}

static json_t *render_shape(const App *app, gconstpointer job) {
  return viggle_v1_render(app, job);
}

static Answer *list_renders(Api *api, Request *request, GError **error) {
  int limit, offset;
  gint64 total;
  if (!request_page(request, PAGE_USUAL, PAGE_MOST, FALSE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) jobs =
      render_list(request_app(request), request_caller(request)->account, limit, offset, &total, error);
  return jobs ? answer_list(request, jobs, render_shape, total, limit, offset) : NULL;
}

/* --- the table --- */

#define ANY_BODY (BODY_MULTIPART | BODY_FORM | BODY_JSON)

static const Route routes[] = {
    {"GET", "/v1/credits", get_credits, 0, BODY_NONE, "read"},
    {"POST", "/v1/characters", create_character, ROUTE_SLOW, ANY_BODY, "write"},
    {"GET", "/v1/characters", list_characters, 0, BODY_NONE, "read"},
    {"GET", "/v1/characters/{character_id}", get_character, ROUTE_KEPT, BODY_NONE, "read"},
    {"DELETE", "/v1/characters/{character_id}", delete_character, ROUTE_SLOW, BODY_NONE, "write"},
    {"GET", "/v1/characters/{character_id}/export", export_character, 0, BODY_NONE, "read"},
    {"POST", "/v1/motions", create_motion, ROUTE_SLOW, ANY_BODY, "write"},
    {"POST", "/v1/motions/import", import_motion, ROUTE_SLOW, ANY_BODY, "write"},
    {"GET", "/v1/motions", list_motions, 0, BODY_NONE, "read"},
    {"GET", "/v1/motions/{motion_id}", get_motion, ROUTE_KEPT, BODY_NONE, "read"},
    {"DELETE", "/v1/motions/{motion_id}", delete_motion, ROUTE_SLOW, BODY_NONE, "write"},
    {"GET", "/v1/motions/{motion_id}/export", export_motion, 0, BODY_NONE, "read"},
    {"POST", "/v1/renders", create_render, ROUTE_SLOW, ANY_BODY, "write"},
    {"GET", "/v1/renders", list_renders, 0, BODY_NONE, "read"},
    {"GET", "/v1/renders/{render_id}", get_render, ROUTE_UNCOUNTED | ROUTE_KEPT, BODY_NONE, "read"},
    {"DELETE", "/v1/renders/{render_id}", cancel_render, ROUTE_SLOW, BODY_NONE, "write"},
    {"GET", "/v1/renders/{render_id}/download", download_render, 0, BODY_NONE, "read"},
    {"POST", "/v1/videos", create_video, ROUTE_SLOW, ANY_BODY, "write"},
    {"GET", "/v1/videos/{render_id}", get_render, ROUTE_UNCOUNTED | ROUTE_KEPT, BODY_NONE, "read"},
    {"DELETE", "/v1/videos/{render_id}", cancel_render, ROUTE_SLOW, BODY_NONE, "write"},
};

const Dialect dialect_viggle_v1 = {.name = "viggle_v1",
                                   .prefixes = {"/v1/"},
                                   .routes = routes,
                                   .route_count = G_N_ELEMENTS(routes),
                                   .errors = viggle_v1_errors,
                                   .error_body = viggle_v1_error_body,
                                   .job_object = viggle_v1_job_object};
