/* A Character's pictures are drawn by a job in the queue like any other; the client, who expects them in the
 * answer, is given a promise (answer_later), so that no thread waits with him. */
#include "api/vicsee/vicsee_tasks.h"
#include "api/dialects.h"
#include "api/vicsee/vicsee_fields.h"
#include "api/vicsee/vicsee_pictures.h"

#include <string.h>

#define GENERATE_JSON_BYTES (16 * 1000 * 1000)
#define PAGE_USUAL 20
#define PAGE_MOST 100
#define STRENGTH_MOST 2

static const char *const aspects[] = {"1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", NULL};

/* --- fields --- */

static gboolean check_prompt(const char *prompt, GError **error) {
  g_autofree char *words = prompt ? g_strstrip(g_strdup(prompt)) : NULL;
  if (!words || !*words)
    return refuse(error, REFUSAL_PROMPT, "prompt is missing. Describe the scene.");
  glong length = g_utf8_strlen(prompt, -1);
  return length <= GENERATION_PROMPT_MAX ||
         refuse(error, REFUSAL_INVALID, "prompt has %ld characters; at most %d are allowed.", length,
                GENERATION_PROMPT_MAX);
}

static gboolean check_aspect(const json_t *value, const char *name, const char **aspect, GError **error) {
  if (!value || json_is_null(value))
    return TRUE;
  *aspect = json_string_value(value);
  if (*aspect && g_strv_contains(aspects, *aspect))
    return TRUE;
  g_autofree char *list = g_strjoinv(", ", (char **)aspects);
  return refuse(error, REFUSAL_ASPECT, "%s must be one of %s.", name, list);
}

static gboolean read_count(const json_t *object, const char *name, GenerationRequest *drawing,
                           GError **error) {
  gint64 count;
  if (!member_integer(object, name, drawing->count, 1, GENERATION_MANY, &count, error))
    return FALSE;
  drawing->count = (int)count;
  return TRUE;
}

static gboolean read_extensions(const json_t *object, GenerationRequest *drawing, GError **error) {
  return member_integer(object, "seed", drawing->seed, 0, G_MAXUINT32, &drawing->seed, error) &&
         member_number(object, "strength", drawing->strength, 0, STRENGTH_MOST, &drawing->strength, error);
}

#define DRAWING                                                                                              \
  { .count = 1, .seed = -1, .strength = 1, .dialect = dialect_vicsee.name, .id_prefix = "task_" }

/* --- pictures of a Character --- */

static json_t *drawn_object(App *app, const Job *job, gint64 balance) {
  gboolean complete = job->status == JOB_COMPLETE;
  return json_pack("{s:s, s:O, s:s, s:{s:o}, s:o, s:o, s:o, s:O?}", "id", job->id, "character_id",
                   json_object_get(job->spec, "character"), "status", complete ? "completed" : "pending",
                   "output", "images", complete ? vicsee_images(app, job) : json_array(), "credits_used",
                   vicsee_credits(complete ? job->charged : job->price), "credits_remaining",
                   vicsee_credits(balance), "created_at", shape_time(job->created), "seed",
                   json_object_get(job->spec, "seed"));
}

static gboolean balance_of(App *app, const char *account, gint64 *balance, GError **error) {
  Balance whole;
  if (!account_balance(app, account, &whole, error))
    return FALSE;
  *balance = whole.balance;
  return TRUE;
}

typedef struct {
  char *job;
  gint64 version; /* of the tables, when they were last looked at */
  gint64 until;   /* monotonic, microseconds */
} Waiting;

static void waiting_free(gpointer data) {
  Waiting *waiting = data;
  g_free(waiting->job);
  g_free(waiting);
}

/* Also when it has just been given up here: the ledger is settled by whoever ends a job. */
static Answer *failed(const Job *job, GError **error) {
  return refuse_null(error, REFUSAL_FAILED,
                     "The images could not be drawn: %s The credits were given back. See task %s.",
                     job->error ? job->error : "the task was cancelled.", job->id);
}

static Answer *give_up(App *app, const Job *job, GError **error) {
  GError *problem = NULL;
  g_autoptr(Job) cancelled = job_cancel(app, job->id, job->account, &problem);
  g_clear_error(&problem); /* it ended at this very moment, or the tables are away: it is asked again */
  if (!cancelled)
    return NULL;
  return refuse_null(error, REFUSAL_FAILED,
                     "The images were not drawn within %" G_GINT64_FORMAT
                     " s. Task %s was cancelled and the credits were given back. Try again later.",
                     app->settings->answer_seconds, job->id);
}

static Answer *drawn(Api *api, Request *request, gpointer user, GError **error) {
  Waiting *waiting = user;
  App *app = api_app(api);
  gint64 version = database_version(app->database);
  gboolean late = g_get_monotonic_time() > waiting->until;
  if (version == waiting->version && !late)
    return NULL;
  g_autoptr(GError) problem = NULL;
  g_autoptr(Job) job = NULL;
  gint64 balance = 0;
  {
    g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, &problem);
    job = session ? job_get(session, waiting->job, NULL, &problem) : NULL;
  }
  if (!job) /* the tables are away for the moment; it goes on */
    return NULL;
  waiting->version = version;
  if (job->status == JOB_QUEUED || job->status == JOB_PROCESSING)
    return late ? give_up(app, job, error) : NULL;
  if (job->status != JOB_COMPLETE)
    return failed(job, error);
  if (!balance_of(app, job->account, &balance, &problem)) {
    waiting->version = -1;
    return NULL;
  }
  return vicsee_answer(drawn_object(app, job, balance));
}

static Answer *wait_for(const App *app, const Job *job) {
  Waiting *waiting = g_new0(Waiting, 1);
  waiting->job = g_strdup(job->id);
  waiting->version = -1;
  waiting->until = g_get_monotonic_time() + app->settings->answer_seconds * G_USEC_PER_SEC;
  return answer_later(drawn, waiting, waiting_free);
}

/* The request names no model: that the Character's is there no more is not its fault. */
static gboolean create_drawing(Request *request, const GenerationRequest *drawing, Job **job, gint64 *price,
                               GError **error) {
  GError *problem = NULL;
  if (generation_create(request_app(request), request_caller(request), drawing, job, price, &problem))
    return TRUE;
  if (g_error_matches(problem, REFUSAL, REFUSAL_MODEL))
    problem->code = REFUSAL_FAILED;
  g_propagate_error(error, problem);
  return FALSE;
}

Answer *vicsee_draw_character(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  const json_t *body = request_json(request);
  gboolean at_once;
  GenerationRequest drawing = DRAWING;
  drawing.character_id = vicsee_character_id(request);
  if (!member_text(body, "prompt", &drawing.prompt, error) || !check_prompt(drawing.prompt, error) ||
      !check_aspect(json_object_get(body, "aspect_ratio"), "aspect_ratio", &drawing.aspect, error) ||
      !read_count(body, "num_outputs", &drawing, error) || !read_extensions(body, &drawing, error) ||
      !member_text(body, "webhook_url", &drawing.webhook_url, error) ||
      !request_truth(request, "async", FALSE, &at_once, error) ||
      !request_truth(request, "dry_run", FALSE, &drawing.dry_run, error))
    return NULL;
  g_autoptr(Job) job = NULL;
  gint64 price, balance = 0;
  if (!create_drawing(request, &drawing, &job, &price, error))
    return NULL;
  if (!job)
    return vicsee_priced(price);
  if (!at_once)
    return wait_for(app, job);
  if (!balance_of(app, job->account, &balance, error))
    return NULL;
  return vicsee_answer(drawn_object(app, job, balance));
}

/* --- pictures of anything --- */

/* The request in either of its published forms: {"model", "input": {…}}, or {"model", "prompt", "options":
 * {…}} with other spellings. */
typedef struct {
  const json_t *body, *input, *options;
} Form;

static gboolean form_read(const Request *request, Form *form, GError **error) {
  form->body = request_json((Request *)request);
  return member_object(form->body, "input", &form->input, error) &&
         member_object(form->body, "options", &form->options, error);
}

/* A member of the input, of the options under its other name, or of the whole. */
static const json_t *form_member(const Form *form, const char *name, const char *option) {
  const json_t *found[] = {json_object_get(form->input, name), json_object_get(form->options, option),
                           json_object_get(form->body, name)};
  for (gsize i = 0; i < G_N_ELEMENTS(found); i++)
    if (found[i] && !json_is_null(found[i]))
      return found[i];
  return NULL;
}

static gboolean read_form_prompt(const Form *form, GenerationRequest *drawing, GError **error) {
  const json_t *prompt = form_member(form, "prompt", "prompt");
  drawing->prompt = json_string_value(prompt);
  if (prompt && !drawing->prompt)
    return refuse(error, REFUSAL_INVALID, "prompt must be a text in quotes.");
  return check_prompt(drawing->prompt, error);
}

static gboolean read_form_aspect(const Form *form, GenerationRequest *drawing, GError **error) {
  const json_t *aspect = form_member(form, "aspect_ratio", "aspectRatio");
  const char *text = json_string_value(aspect);
  return (text && g_str_equal(text, "auto")) || check_aspect(aspect, "aspect_ratio", &drawing->aspect, error);
}

static const json_t *find_model(App *app, const char *id) {
  const json_t *models = generation_models(app);
  for (gsize i = 0; i < json_array_size(models); i++)
    if (g_strcmp0(json_string_value(json_object_get(json_array_get(models, i), "id")), id) == 0)
      return json_array_get(models, i);
  return NULL;
}

static gboolean read_model(App *app, const Form *form, GenerationRequest *drawing, GError **error) {
  if (!member_text(form->body, "model", &drawing->model, error))
    return FALSE;
  if (!drawing->model || !*drawing->model)
    return refuse(error, REFUSAL_MODEL_MISSING, "model is missing. GET /api/v1/models lists them.");
  return TRUE;
}

static char *resolution_text(const json_t *model) {
  return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(model, "resolution")));
}

/* What the model cannot do is refused rather than passed over. */
static gboolean check_model(App *app, const Form *form, const GenerationRequest *drawing, GError **error) {
  const json_t *model = find_model(app, drawing->model);
  if (!model)
    return refuse(error, REFUSAL_MODEL, "There is no model %.80s here. GET /api/v1/models lists them.",
                  drawing->model);
  if (form_member(form, "duration", "duration"))
    return refuse(error, REFUSAL_INVALID, "duration is for videos, and %s draws images. Leave it out.",
                  drawing->model);
  const json_t *wanted = form_member(form, "resolution", "resolution");
  g_autofree char *own = resolution_text(model);
  if (wanted && g_strcmp0(json_string_value(wanted), own) != 0)
    return refuse(error, REFUSAL_INVALID, "resolution: %s draws at %s. Send that, or leave it out.",
                  drawing->model, own);
  return TRUE;
}

static json_t *started_object(const Job *job, gint64 balance) {
  const json_t *spec = job->spec;
  return json_pack("{s:s, s:s?, s:s, s:o, s:o, s:o, s:{s:O?, s:O?, s:O?}}", "id", job->id, "model",
                   json_string_value(json_object_get(spec, "model")), "status", "pending", "creditsUsed",
                   vicsee_credits(job->price), "creditsRemaining", vicsee_credits(balance), "createdAt",
                   shape_time(job->created), "resolvedParams", "aspect_ratio",
                   json_object_get(spec, "aspect"), "num_outputs", json_object_get(spec, "count"), "seed",
                   json_object_get(spec, "seed"));
}

/* Images may come inside the JSON. */
gboolean vicsee_generate_admit(Request *request, guint64 *most, GError **error) {
  *most = GENERATE_JSON_BYTES;
  return TRUE;
}

Answer *vicsee_generate(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  Form form;
  GenerationRequest drawing = DRAWING;
  if (!form_read(request, &form, error) || !read_model(app, &form, &drawing, error) ||
      !read_form_prompt(&form, &drawing, error) || !check_model(app, &form, &drawing, error) ||
      !read_form_aspect(&form, &drawing, error) || !read_count(form.input, "num_outputs", &drawing, error) ||
      !read_count(form.options, "numOutputs", &drawing, error) ||
      !read_extensions(form.input, &drawing, error) || !read_extensions(form.options, &drawing, error) ||
      !member_text(form.body, "webhook_url", &drawing.webhook_url, error) ||
      !request_truth(request, "dry_run", FALSE, &drawing.dry_run, error))
    return NULL;
  g_auto(Pictures) pictures = {0};
  if (!pictures_read(request, "image_urls", form_member(&form, "image_urls", "image"), TRUE, &pictures,
                     error))
    return NULL;
  drawing.references = pictures.sources;
  drawing.reference_count = pictures.count;
  g_autoptr(Job) job = NULL;
  gint64 price, balance = 0;
  if (!generation_create(app, request_caller(request), &drawing, &job, &price, error))
    return NULL;
  if (!job)
    return vicsee_priced(price);
  if (!balance_of(app, job->account, &balance, error))
    return NULL;
  return vicsee_answer(started_object(job, balance));
}

/* --- models --- */

static json_t *model_object(const json_t *model) {
  json_t *ratios = json_array();
  for (gsize i = 0; aspects[i]; i++)
    json_array_append_new(ratios, json_string(aspects[i]));
  g_autofree char *resolution = resolution_text(model);
  return json_pack("{s:O, s:O, s:s, s:o, s:{s:o, s:[s], s:i}, s:i, s:O?, s:O?}", "id",
                   json_object_get(model, "id"), "name", json_object_get(model, "title"), "type", "image",
                   "credits", vicsee_credits(GENERATION_PRICE), "options", "aspectRatios", ratios,
                   "resolutions", resolution, "maxOutputs", GENERATION_MANY, "maxImages",
                   GENERATION_REFERENCES, "description", json_object_get(model, "about"), "trainable",
                   json_object_get(model, "trainable"));
}

Answer *vicsee_list_models(Api *api, Request *request, GError **error) {
  static const char *const types[] = {"image", "video", "music", NULL};
  const char *type = request_query(request, "type");
  if (type && !g_strv_contains(types, type))
    return refuse_null(error, REFUSAL_INVALID, "type must be image, video or music.");
  json_t *list = json_array();
  const json_t *models = generation_models(request_app(request));
  for (gsize i = 0; i < json_array_size(models) && (!type || g_str_equal(type, "image")); i++)
    json_array_append_new(list, model_object(json_array_get(models, i)));
  return vicsee_answer(json_pack("{s:o}", "models", list));
}

/* --- tasks --- */

static Job *task_of(const Request *request, GError **error) {
  const char *id = request_argument(request, "task_id");
  g_autoptr(Session) session = database_begin(request_app(request)->database, DATABASE_READ, error);
  GError *problem = NULL;
  g_autoptr(Job) job = session ? job_get(session, id, NULL, &problem) : NULL;
  if (problem && !g_error_matches(problem, REFUSAL, REFUSAL_NOT_FOUND)) {
    g_propagate_error(error, problem);
    return NULL;
  }
  g_clear_error(&problem);
  if (!session)
    return NULL;
  if (!job || !vicsee_is_task(job))
    return refuse_null(error, REFUSAL_TASK, "There is no task %.80s.", id);
  if (!g_str_equal(job->account, request_caller(request)->account))
    return refuse_null(error, REFUSAL_TASK_FOREIGN, "Task %.80s is not this account's.", id);
  return g_steal_pointer(&job);
}

Answer *vicsee_get_task(Api *api, Request *request, GError **error) {
  g_autoptr(Job) job = task_of(request, error);
  return job ? vicsee_answer(vicsee_task(request_app(request), job)) : NULL;
}

Answer *vicsee_list_tasks(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  const char *type = request_query(request, "type");
  WorkQuery query = {.account = request_caller(request)->account,
                     .kinds = WORK_RENDERS | WORK_GENERATIONS,
                     .q = request_query(request, "q")};
  if (type && !g_str_equal(type, "image") && !g_str_equal(type, "video"))
    return refuse_null(error, REFUSAL_INVALID, "type must be image or video.");
  if (type)
    query.kinds = g_str_equal(type, "video") ? WORK_RENDERS : WORK_GENERATIONS;
  if (!request_page(request, PAGE_USUAL, PAGE_MOST, FALSE, &query.limit, &query.offset, error))
    return NULL;
  gint64 total;
  g_autoptr(GPtrArray) jobs = work_search(app, &query, &total, error);
  if (!jobs)
    return NULL;
  json_t *list = json_array();
  for (guint i = 0; i < jobs->len; i++)
    json_array_append_new(list, vicsee_task(app, jobs->pdata[i]));
  return vicsee_answer(json_pack("{s:o, s:I, s:i, s:i}", "tasks", list, "total", (json_int_t)total, "limit",
                                 query.limit, "offset", query.offset));
}

/* The bytes themselves, so that a page of another origin may read them. */
static Answer *stream(Request *request, const char *object, const char *name, GError **error) {
  g_autofree char *path = objects_path(request_app(request)->objects, object, error);
  return path ? answer_file(request, path, name, object) : NULL;
}

Answer *vicsee_download(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  const char *mode = request_query(request, "mode"), *which = request_query(request, "index");
  guint64 index = 0;
  if (mode && !g_str_equal(mode, "proxy"))
    return refuse_null(error, REFUSAL_INVALID, "mode must be proxy, or left out.");
  if (which && !g_ascii_string_to_unsigned(which, 10, 0, GENERATION_MANY - 1, &index, NULL))
    return refuse_null(error, REFUSAL_INVALID, "index must be a whole number from 0 to %d.",
                       GENERATION_MANY - 1);
  g_autoptr(Job) job = task_of(request, error);
  if (!job)
    return NULL;
  g_autofree char *name = NULL;
  const char *object = vicsee_result(job, index, &name);
  if (!object)
    return refuse_null(error, REFUSAL_RESULT, "Task %s has no such result: %s.", job->id,
                       job->status == JOB_COMPLETE ? "it is kept no longer, or there never was one"
                                                   : job_status_name(job->status));
  if (mode)
    return stream(request, object, name, error);
  return vicsee_answer(
      json_pack("{s:o, s:s, s:o}", "url", shape_link(app, object, NULL, name, shape_link_seconds(app)),
                "type", job->kind == JOB_RENDER ? "video" : "image", "expiresAt", shape_time(job->expires)));
}
