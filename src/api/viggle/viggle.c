/* Viggle's API under /api: its routes, and from each request to an operation of app/ and back. */
#include "api/dialects.h"
#include "api/viggle/viggle_objects.h"

/* Of lists. */
#define PAGE_USUAL 20
#define PAGE_MOST 100

/* In the fields of a render, an unknown Character or Scene is a wrong field (400), not a missing page (404).
 */
static Answer *answer_named(const Request *request, GError *problem, GError **error) {
  if (g_error_matches(problem, REFUSAL, REFUSAL_CHARACTER) ||
      g_error_matches(problem, REFUSAL, REFUSAL_SCENE)) {
    const ErrorRow *row = shape_error_row(viggle_errors, (Refusal)problem->code);
    json_t *body = viggle_error_body(request, row, problem->message);
    g_error_free(problem);
    return answer_json(400, body);
  }
  g_propagate_error(error, problem);
  return NULL;
}

/* --- renders --- */

static Answer *create_render(Api *api, Request *request, GError **error) {
  RenderRequest render = {.character_id = shape_plain_character(request_field(request, "character_id")),
                          .scene_id = request_field(request, "scene_id"),
                          .character_mapping = request_field(request, "character_mapping"),
                          .model = request_field(request, "model"),
                          .background_mode = request_field(request, "background_mode"),
                          .bg_color = request_field(request, "bg_color"),
                          .webhook_url = request_field(request, "webhook_url"),
                          .dialect = dialect_viggle.name};
  request_source(request, "ref_image", &render.ref_image);
  request_source(request, "driving_video", &render.driving_video);
  if (!request_truth(request, "fast", FALSE, &render.fast, error) ||
      !request_truth(request, "audio", TRUE, &render.audio, error) ||
      !request_truth(request, "dry_run", FALSE, &render.dry_run, error))
    return NULL;
  g_autoptr(Job) job = NULL;
  gint64 price;
  const char *mode;
  GError *problem = NULL;
  if (!render_create(request_app(request), request_caller(request), &render, &job, &price, &mode, &problem))
    return answer_named(request, problem, error);
  return job ? answer_json(200, viggle_render_started(job)) : shape_dry_run(price, mode);
}

static Answer *get_render(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(Job) job = render_get(app, NULL, request_argument(request, "job_id"), error);
  return job ? answer_json(200, viggle_render(app, job)) : NULL;
}

static Answer *cancel_render(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  const char *id = request_argument(request, "job_id"), *account = request_caller(request)->account;
  g_autoptr(Job) found = render_get(app, account, id, error);
  g_autoptr(Job) job = found ? job_cancel(app, id, account, error) : NULL;
  return job ? answer_json(200, viggle_render(app, job)) : NULL;
}

/* --- characters --- */

static Answer *create_character(Api *api, Request *request, GError **error) {
  CharacterRequest character = {.name = request_field(request, "name"),
                                .description = request_field(request, "description"),
                                .webhook_url = request_field(request, "webhook_url"),
                                .dialect = dialect_viggle.name};
  request_source(request, "image", &character.image);
  /* Both encodings are made whatever the model; one that does not exist is still a mistake. */
  const char *model = request_field(request, "model");
  if ((model && *model && !scene_model_known(model, error)) ||
      !request_truth(request, "dry_run", FALSE, &character.dry_run, error))
    return NULL;
  g_autoptr(CharacterRow) row = NULL;
  gint64 price;
  if (!character_create(request_app(request), request_caller(request), &character, &row, &price, error))
    return NULL;
  return row ? answer_json(200, viggle_character_started(row, price)) : shape_dry_run(price, NULL);
}

static const char *character_argument(const Request *request) {
  return shape_plain_character(request_argument(request, "character_id"));
}

static Answer *show_character(Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(CharacterRow) row =
      character_get(app, request_caller(request)->account, character_argument(request), error);
  return row ? answer_json(200, viggle_character(app, row)) : NULL;
}

static Answer *get_character(Api *api, Request *request, GError **error) {
  return show_character(request, error);
}

static Answer *change_character(Api *api, Request *request, GError **error) {
  const char *name = request_field(request, "name"), *description = request_field(request, "description");
  if (!name && !description) {
    refuse(error, REFUSAL_INVALID, "Nothing to change. Send name or description.");
    return NULL;
  }
  if (!character_update(request_app(request), request_caller(request)->account, character_argument(request),
                        name, description, error))
    return NULL;
  return show_character(request, error);
}

static Answer *delete_character(Api *api, Request *request, GError **error) {
  if (!character_delete(request_app(request), request_caller(request)->account, character_argument(request),
                        error))
    return NULL;
  return answer_json(200, json_pack("{s:b}", "success", TRUE));
}

static Answer *list_characters(Api *api, Request *request, GError **error) {
  int limit, offset;
  gint64 total;
  if (!request_page(request, PAGE_USUAL, PAGE_MOST, FALSE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) rows =
      character_list(request_app(request), request_caller(request)->account, request_query(request, "q"),
                     FALSE, limit, offset, &total, error);
  if (!rows)
    return NULL;
  json_t *list = json_array();
  for (guint i = 0; i < rows->len; i++)
    json_array_append_new(list, viggle_character_item(rows->pdata[i]));
  return answer_json(200, json_pack("{s:o, s:I}", "characters", list, "total", (json_int_t)total));
}

/* --- scenes --- */

static Answer *create_scene(Api *api, Request *request, GError **error) {
  SceneRequest scene = {.name = request_field(request, "name"),
                        .model = request_field(request, "model"),
                        .background = request_field(request, "background_mode"),
                        .webhook_url = request_field(request, "webhook_url"),
                        .dialect = dialect_viggle.name};
  request_source(request, "video", &scene.video);
  if (!request_truth(request, "dry_run", FALSE, &scene.dry_run, error))
    return NULL;
  g_autoptr(SceneRow) row = NULL;
  if (!scene_create(request_app(request), request_caller(request), &scene, &row, error))
    return NULL;
  return row ? answer_json(200, viggle_scene_started(row)) : shape_dry_run(0, NULL);
}

static Answer *import_scene(Api *api, Request *request, GError **error) {
  g_autoptr(SceneRow) row = NULL;
  if (!shape_import(request, &row, error))
    return NULL;
  return row ? answer_json(200, viggle_scene_imported(row)) : shape_dry_run(0, NULL);
}

static Answer *get_scene(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(SceneRow) row =
      scene_get(app, request_caller(request)->account, request_argument(request, "scene_id"), error);
  return row ? answer_json(200, viggle_scene(app, row)) : NULL;
}

static Answer *delete_scene(Api *api, Request *request, GError **error) {
  if (!scene_delete(request_app(request), request_caller(request)->account,
                    request_argument(request, "scene_id"), error))
    return NULL;
  return answer_json(200, json_pack("{s:b}", "success", TRUE));
}

static Answer *list_scenes(Api *api, Request *request, GError **error) {
  int limit, offset;
  gint64 total;
  if (!request_page(request, PAGE_USUAL, PAGE_MOST, FALSE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) rows =
      scene_list(request_app(request), request_caller(request)->account, limit, offset, &total, error);
  if (!rows)
    return NULL;
  json_t *list = json_array();
  for (guint i = 0; i < rows->len; i++)
    json_array_append_new(list, viggle_scene_item(rows->pdata[i]));
  return answer_json(200, json_pack("{s:o, s:I}", "scenes", list, "total", (json_int_t)total));
}

/* --- credits --- */

static Answer *get_credits(Api *api, Request *request, GError **error) {
  Balance balance;
  if (!account_balance(request_app(request), request_caller(request)->account, &balance, error))
    return NULL;
  return answer_json(200, viggle_credits(&balance));
}

/* --- the table --- */

#define ANY_BODY (BODY_MULTIPART | BODY_FORM | BODY_JSON)

static const Route routes[] = {
    {"POST", "/api/render", create_render, ROUTE_SLOW, ANY_BODY, "write"},
    {"GET", "/api/render/{job_id}", get_render, ROUTE_OPEN | ROUTE_UNCOUNTED | ROUTE_KEPT, BODY_NONE, NULL},
    {"DELETE", "/api/render/{job_id}", cancel_render, ROUTE_SLOW, BODY_NONE, "write"},
    {"POST", "/api/characters/preprocess", create_character, ROUTE_SLOW, ANY_BODY, "write"},
    {"GET", "/api/characters", list_characters, 0, BODY_NONE, "read"},
    {"GET", "/api/characters/{character_id}", get_character, ROUTE_KEPT, BODY_NONE, "read"},
    {"PATCH", "/api/characters/{character_id}", change_character, ROUTE_SLOW, ANY_BODY, "write"},
    {"DELETE", "/api/characters/{character_id}", delete_character, ROUTE_SLOW, BODY_NONE, "write"},
    {"POST", "/api/scenes/preprocess", create_scene, ROUTE_SLOW, ANY_BODY, "write"},
    {"POST", "/api/scenes/import", import_scene, ROUTE_SLOW, ANY_BODY, "write"},
    {"GET", "/api/scenes", list_scenes, 0, BODY_NONE, "read"},
    {"GET", "/api/scenes/{scene_id}", get_scene, ROUTE_KEPT, BODY_NONE, "read"},
    {"DELETE", "/api/scenes/{scene_id}", delete_scene, ROUTE_SLOW, BODY_NONE, "write"},
    {"GET", "/api/credits", get_credits, 0, BODY_NONE, "read"},
};

const Dialect dialect_viggle = {.name = "viggle",
                                .prefixes = {"/api/"},
                                .routes = routes,
                                .route_count = G_N_ELEMENTS(routes),
                                .errors = viggle_errors,
                                .error_body = viggle_error_body,
                                .job_object = viggle_job_object};
