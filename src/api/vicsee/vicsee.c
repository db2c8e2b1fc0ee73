/* VicSee's API under /api/v1: its keys and accounts, its Characters, credits and uploads. What it draws is in
 * vicsee_tasks.c. */
#include "api/dialects.h"
#include "api/vicsee/vicsee_fields.h"
#include "api/vicsee/vicsee_pictures.h"
#include "api/vicsee/vicsee_tasks.h"
#include "app/inputs/uploads.h"

#include <string.h>

#define PAGE_USUAL 20
#define PAGE_MOST 100
#define WHOLE_MOST (G_GINT64_CONSTANT(1) << 53) /* what every reader of JSON keeps whole */

Answer *vicsee_answer(json_t *data) {
  return answer_json(200, vicsee_success(data));
}

Answer *vicsee_priced(gint64 price) {
  return vicsee_answer(
      json_pack("{s:b, s:b, s:o}", "dry_run", TRUE, "valid", TRUE, "credits", vicsee_credits(price)));
}

const char *vicsee_character_id(const Request *request) {
  return shape_plain_character(request_argument(request, "character_id"));
}

/* --- who may --- */

/* The order of the checks is the service's: a header, its scheme, the key's form, and only then the key. */
static gboolean check_key(const Request *request, GError **error) {
  const char *value = request_header(request, "Authorization"), *key = request_header(request, "X-Api-Key");
  if (!value && !key)
    return refuse(error, REFUSAL_KEY_MISSING,
                  "The request has no key. Send it in the header Authorization: Bearer sk-...");
  if (value) {
    gboolean bearer = g_ascii_strncasecmp(value, "Bearer ", 7) == 0;
    key = bearer ? value + 7 + strspn(value + 7, " ") : "";
    if (!*key)
      return refuse(error, REFUSAL_KEY_SCHEME,
                    "The header Authorization is not of the form \"Bearer sk-...\". Write it so.");
  }
  return g_str_has_prefix(key, "sk-") ||
         refuse(error, REFUSAL_KEY_FORM, "The key does not begin with \"sk-\". Send a key of this API.");
}

/* The API is for accounts that have had credits at some time. */
static gboolean check_caller(App *app, const Caller *caller, GError **error) {
  Balance balance;
  if (!account_balance(app, caller->account, &balance, error))
    return FALSE;
  return balance.purchased > 0 || refuse(error, REFUSAL_FORBIDDEN,
                                         "This account has never had credits, so it has no access to the "
                                         "API. Add credits to it.");
}

/* --- making and training --- */

static gboolean read_training(const Request *request, TrainingRequest *training, GError **error) {
  const json_t *body = request_json((Request *)request);
  return member_text(body, "name", &training->name, error) &&
         member_text(body, "trigger_word", &training->trigger, error) &&
         member_text(body, "class", &training->class, error) &&
         member_text(body, "model", &training->model, error) &&
         member_text(body, "webhook_url", &training->webhook_url, error) &&
         member_integer(body, "seed", -1, 0, G_MAXUINT32, &training->seed, error) &&
         member_integer(body, "steps", 0, 1, WHOLE_MOST, &training->steps, error) &&
         request_truth(request, "dry_run", FALSE, &training->dry_run, error);
}

/* A text that was sent empty was not sent. */
static void drop_empty(const char **text) {
  if (*text && !**text)
    *text = NULL;
}

static Answer *start_training(Request *request, const char *character, GError **error) {
  App *app = request_app(request);
  const Caller *caller = request_caller(request);
  const json_t *urls = json_object_get(request_json(request), "image_urls");
  TrainingRequest training = {.character_id = character, .dialect = dialect_vicsee.name};
  if (!read_training(request, &training, error))
    return NULL;
  drop_empty(&training.name);
  drop_empty(&training.trigger);
  drop_empty(&training.class);
  drop_empty(&training.model);
  if (urls && !json_is_null(urls) && !json_is_array(urls))
    return refuse_null(error, REFUSAL_PICTURES_FEW, "image_urls must be a list of %d to %d URLs.",
                       TRAINING_FEW, TRAINING_MANY);
  g_auto(Pictures) pictures = {0};
  if (!pictures_read(request, "image_urls", urls, FALSE, &pictures, error))
    return NULL;
  training.pictures = pictures.sources;
  training.picture_count = pictures.count;
  g_autoptr(CharacterRow) row = NULL;
  gint64 price;
  if (!training_create(app, caller, &training, &row, &price, error))
    return NULL;
  if (!row)
    return vicsee_priced(price);
  g_autoptr(TrainingRow) made = training_get(app, row, NULL); /* it is made, whether it can be read or not */
  return vicsee_answer(vicsee_character_started(row, made, price));
}

static Answer *create_character(Api *api, Request *request, GError **error) {
  return start_training(request, NULL, error);
}

static Answer *train_character(Api *api, Request *request, GError **error) {
  return start_training(request, vicsee_character_id(request), error);
}

/* --- reading and changing --- */

static Answer *show_character(Request *request, GError **error) {
  App *app = request_app(request);
  g_autoptr(CharacterRow) row =
      character_get(app, request_caller(request)->account, vicsee_character_id(request), error);
  if (!row)
    return NULL;
  GError *problem = NULL;
  g_autoptr(TrainingRow) training = training_get(app, row, &problem);
  if (!problem)
    return vicsee_answer(vicsee_character(app, row, training));
  g_propagate_error(error, problem);
  return NULL;
}

static Answer *get_character(Api *api, Request *request, GError **error) {
  return show_character(request, error);
}

static Answer *list_characters(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  int limit, offset;
  gint64 total;
  if (!request_page(request, PAGE_USUAL, PAGE_MOST, FALSE, &limit, &offset, error))
    return NULL;
  g_autoptr(GPtrArray) rows =
      character_list(app, request_caller(request)->account, request_query(request, "q"), FALSE, limit, offset,
                     &total, error);
  g_autoptr(Session) session = rows ? database_begin(app->database, DATABASE_READ, error) : NULL;
  if (!session)
    return NULL;
  json_t *list = json_array();
  GError *problem = NULL;
  for (guint i = 0; i < rows->len && !problem; i++) {
    g_autoptr(TrainingRow) training = training_read(session, rows->pdata[i], &problem);
    json_array_append_new(list, vicsee_character(app, rows->pdata[i], training));
  }
  if (!problem)
    return vicsee_answer(json_pack("{s:o, s:I, s:i, s:i}", "characters", list, "total", (json_int_t)total,
                                   "limit", limit, "offset", offset));
  json_decref(list);
  g_propagate_error(error, problem);
  return NULL;
}

static Answer *change_character(Api *api, Request *request, GError **error) {
  const char *name, *description;
  const json_t *body = request_json(request);
  if (!member_text(body, "name", &name, error) || !member_text(body, "description", &description, error))
    return NULL;
  if (!name && !description)
    return refuse_null(error, REFUSAL_INVALID, "Nothing to change. Send name or description.");
  if (!character_update(request_app(request), request_caller(request)->account, vicsee_character_id(request),
                        name, description, error))
    return NULL;
  return show_character(request, error);
}

static Answer *delete_character(Api *api, Request *request, GError **error) {
  const char *id = vicsee_character_id(request);
  if (!character_delete(request_app(request), request_caller(request)->account, id, error))
    return NULL;
  return vicsee_answer(json_pack("{s:s, s:b}", "character_id", id, "deleted", TRUE));
}

/* --- credits and uploads --- */

static Answer *get_credits(Api *api, Request *request, GError **error) {
  Balance balance;
  if (!account_balance(request_app(request), request_caller(request)->account, &balance, error))
    return NULL;
  return vicsee_answer(json_pack("{s:o}", "credits", vicsee_credits(balance.balance)));
}

static Answer *offer_upload(Api *api, Request *request, GError **error) {
  const json_t *body = request_json(request);
  const char *type;
  gint64 bytes;
  if (!member_text(body, "contentType", &type, error) ||
      !member_integer(body, "sizeBytes", -1, 0, WHOLE_MOST, &bytes, error))
    return NULL;
  if (!type || !*type)
    return refuse_null(error, REFUSAL_INVALID,
                       "contentType is missing. Send the type of the file, such as image/png.");
  g_auto(Upload) upload = {0};
  if (!upload_offer(request_app(request), request_caller(request)->account, type, bytes, &upload, error))
    return NULL;
  return vicsee_answer(json_pack("{s:s, s:s, s:s, s:o}", "uploadUrl", upload.put_url, "publicUrl",
                                 upload.public_url, "key", upload.key, "expiresAt",
                                 shape_time(upload.expires)));
}

/* --- the table --- */

static const Route routes[] = {
    {"POST", "/api/v1/characters/create", create_character, ROUTE_SLOW, BODY_JSON, "write"},
    {"GET", "/api/v1/characters", list_characters, 0, BODY_NONE, "read"},
    {"GET", "/api/v1/characters/{character_id}", get_character, ROUTE_KEPT, BODY_NONE, "read"},
    {"PATCH", "/api/v1/characters/{character_id}", change_character, ROUTE_SLOW, BODY_JSON, "write"},
    {"DELETE", "/api/v1/characters/{character_id}", delete_character, ROUTE_SLOW, BODY_NONE, "write"},
    {"POST", "/api/v1/characters/{character_id}/train", train_character, ROUTE_SLOW, BODY_JSON, "write"},
    {"POST", "/api/v1/characters/{character_id}/generate", vicsee_draw_character, ROUTE_SLOW, BODY_JSON,
     "write"},
    {"GET", "/api/v1/credits", get_credits, 0, BODY_NONE, "read"},
    {"POST", "/api/v1/generate", vicsee_generate, ROUTE_SLOW, BODY_JSON, "write", vicsee_generate_admit},
    {"GET", "/api/v1/models", vicsee_list_models, ROUTE_OPEN, BODY_NONE, NULL},
    {"GET", "/api/v1/tasks", vicsee_list_tasks, 0, BODY_NONE, "read"},
    {"GET", "/api/v1/tasks/{task_id}", vicsee_get_task, ROUTE_UNCOUNTED | ROUTE_KEPT, BODY_NONE, "read"},
    {"GET", "/api/v1/tasks/{task_id}/download", vicsee_download, 0, BODY_NONE, "read"},
    {"POST", "/api/v1/upload", offer_upload, ROUTE_SLOW, BODY_JSON, "write"},
};

const Dialect dialect_vicsee = {.name = "vicsee",
                                .prefixes = {"/api/v1/"},
                                .routes = routes,
                                .route_count = G_N_ELEMENTS(routes),
                                .errors = vicsee_errors,
                                .error_body = vicsee_error_body,
                                .job_object = vicsee_job_object,
                                .check_key = check_key,
                                .check_caller = check_caller,
                                .daily = TRUE};
