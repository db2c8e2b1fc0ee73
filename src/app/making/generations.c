/* A Generation is a job and the pictures that it holds. What it draws with, the LoRA, is held by the job from
 * its beginning, so neither a new training nor the end of the Character changes what was asked for. */
#include "app/making/generations.h"

#include "app/jobs/holds.h"
#include "app/jobs/webhooks.h"
#include "app/making/assets.h"
#include "app/making/drawing_models.h"
#include "identity/sampling/generate.h"
#include <string.h>

#define STRENGTH_MAX 2
G_STATIC_ASSERT(GENERATION_REFERENCES == GENERATE_REFERENCES_MAX);
#define TITLE_MAX 200

typedef struct {
  char *prompt, *title;
  const char *aspect;
  gint64 seed;
  char *model, *lora;
} Plan;

static void plan_clear(Plan *plan) {
  g_free(plan->prompt);
  g_free(plan->title);
  g_free(plan->model);
  g_free(plan->lora);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_clear)

/* --- fields --- */

/* On one line; what is no text becomes a space. */
static char *check_prompt(const char *text, GError **error) {
  if (!text)
    return refuse_null(error, REFUSAL_PROMPT, "prompt is missing. Say what the picture should show.");
  if (!g_utf8_validate(text, -1, NULL))
    return refuse_null(error, REFUSAL_PROMPT, "prompt is not valid UTF-8.");
  g_autofree char *prompt = g_strdup(text);
  for (char *at = prompt; *at; at++)
    if ((guchar)*at < ' ' || *at == 127)
      *at = ' ';
  g_strstrip(prompt);
  glong length = g_utf8_strlen(prompt, -1);
  if (length == 0)
    return refuse_null(error, REFUSAL_PROMPT, "prompt is empty. Say what the picture should show.");
  if (length > GENERATION_PROMPT_MAX)
    return refuse_null(error, REFUSAL_PROMPT, "prompt has %ld characters; at most %d are allowed.", length,
                       GENERATION_PROMPT_MAX);
  return g_steal_pointer(&prompt);
}

static gboolean check_aspect(const char *aspect, GError **error) {
  g_auto(GStrv) offered = g_strsplit(GENERATION_ASPECTS, " ", -1);
  if (g_strv_contains((const char *const *)offered, aspect))
    return TRUE;
  g_autofree char *list = g_strjoinv(", ", offered);
  return refuse(error, REFUSAL_ASPECT, "The aspect ratio \"%.20s\" is not offered. Send one of %s.", aspect,
                list);
}

static gboolean check_fields(App *app, const GenerationRequest *request, Plan *plan, GError **error) {
  plan->aspect = given(request->aspect) ? request->aspect : "1:1";
  if (!(plan->prompt = check_prompt(request->prompt, error)) || !check_aspect(plan->aspect, error))
    return FALSE;
  if (request->count < 1 || request->count > GENERATION_MANY)
    return refuse(error, REFUSAL_INVALID, "The number of pictures is %d; send 1 to %d.", request->count,
                  GENERATION_MANY);
  if (request->seed < -1 || request->seed > G_MAXUINT32)
    return refuse(error, REFUSAL_INVALID, "seed must be a whole number from 0 to %u.", G_MAXUINT32);
  if (!(request->strength >= 0 && request->strength <= STRENGTH_MAX))
    return refuse(error, REFUSAL_INVALID, "strength must be a number from 0 to %d.", STRENGTH_MAX);
  if (request->reference_count > GENERATE_REFERENCES_MAX)
    return refuse(error, REFUSAL_PICTURES_MANY, "%d pictures were sent to draw after; at most %d are taken.",
                  request->reference_count, GENERATE_REFERENCES_MAX);
  for (int i = 0; i < request->reference_count; i++)
    if (!input_glance(&request->references[i], error))
      return FALSE;
  plan->seed = request->seed >= 0 ? request->seed : drawing_seed();
  plan->title = given(request->title) ? input_text("title", request->title, 1, TITLE_MAX, error)
                                      : g_strdup(plan->prompt);
  return plan->title && (!given(request->webhook_url) || webhook_check(app, request->webhook_url, error));
}

/* --- the Character --- */

/* The model that the LoRA was learnt on: the newest training that ended well says it. */
static gboolean model_of(Session *session, const CharacterRow *row, char **model, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error,
                                       "SELECT spec FROM jobs WHERE account = $1 AND kind = 'training' AND "
                                       "subject = $2 AND status = 'complete' ORDER BY completed DESC LIMIT 1",
                                       text(row->account), text(row->id));
  if (!rows)
    return FALSE;
  if (rows_next(rows, error)) {
    json_auto_t *spec = json_loads(rows_text(rows, 0), 0, NULL);
    *model = g_strdup(json_string_value(json_object_get(spec, "model")));
  }
  return *model || rows_ended(rows);
}

static gboolean refuse_untrained(const CharacterRow *row, GError **error) {
  return refuse(error, REFUSAL_NOT_TRAINED,
                row->training
                    ? "Character %s cannot be drawn yet: its training has not ended well. Look at its "
                      "status."
                    : "Character %s cannot be drawn yet: it was never trained. Train it on ten to "
                      "thirty pictures.",
                row->id);
}

static gboolean resolve(App *app, Session *session, const Caller *caller, const GenerationRequest *request,
                        Plan *plan, GError **error) {
  g_autofree char *learnt = NULL;
  g_clear_pointer(&plan->lora, g_free);
  g_clear_pointer(&plan->model, g_free);
  if (request->character_id) {
    g_autoptr(CharacterRow) row = character_usable(session, caller->account, request->character_id, error);
    if (!row || !holds_get(session, row->id, "lora", &plan->lora, error))
      return FALSE;
    if (!plan->lora)
      return refuse_untrained(row, error);
    if (!model_of(session, row, &learnt, error))
      return FALSE;
  }
  const char *model = given(request->model) ? request->model : learnt;
  return (plan->model = drawing_model(app, model, FALSE, error)) != NULL;
}

static gboolean check_rows(App *app, const Caller *caller, const GenerationRequest *request, Plan *plan,
                           GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session && resolve(app, session, caller, request, plan, error);
}

/* --- the job --- */

static json_t *references_of(const GenerationRequest *request, const Input *references) {
  json_t *list = json_array();
  for (const char *const *object = request->reference_objects; object && *object; object++)
    json_array_append_new(list, json_string(*object));
  for (int i = 0; i < request->reference_count; i++)
    json_array_append_new(list, json_string(references[i].object));
  return list;
}

static json_t *spec(const GenerationRequest *request, const Plan *plan, const Input *references) {
  json_t *object =
      json_pack("{s:s, s:s, s:s, s:i, s:I, s:f, s:o}", "prompt", plan->prompt, "model", plan->model, "aspect",
                plan->aspect, "count", request->count, "seed", (json_int_t)plan->seed, "strength",
                request->strength, "references", references_of(request, references));
  if (request->character_id)
    json_object_set_new(object, "character", json_string(request->character_id));
  if (plan->lora)
    json_object_set_new(object, "lora", json_string(plan->lora));
  return object;
}

static gboolean insert(App *app, const Caller *caller, const GenerationRequest *request, Plan *plan,
                       const Input *references, gint64 price, Job **made, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session || !resolve(app, session, caller, request, plan, error))
    return FALSE;
  g_autofree char *id = app_id(request->id_prefix ? request->id_prefix : "task_");
  g_autoptr(Job) job = asset_job(id, JOB_GENERATION, caller, request->dialect, request->webhook_url);
  job->pool = g_strdup(POOL_IDENTITY);
  job->priority = GENERATION_PRIORITY;
  job->price = price;
  job->prompt = g_strdup(plan->title);
  job->template_id = g_strdup(given(request->template_id));
  job->spec = spec(request, plan, references);
  if (!job_insert(app, session, job, error) || !session_commit(session, error))
    return FALSE;
  *made = g_steal_pointer(&job);
  return TRUE;
}

/* What the same request made before. One that failed was told to whoever waited for it and given back: sent
 * again, it is drawn anew. */
static gboolean made_before(App *app, const Caller *caller, Job **job, GError **error) {
  if (!asset_made(app, caller, JOB_GENERATION, job, error))
    return FALSE;
  if (*job && ((*job)->status == JOB_FAILED || (*job)->status == JOB_CANCELLED))
    g_clear_pointer(job, job_free);
  return TRUE;
}

gboolean generation_create(App *app, const Caller *caller, const GenerationRequest *request, Job **job,
                           gint64 *price, GError **error) {
  g_auto(Plan) plan = {0};
  Input references[GENERATE_REFERENCES_MAX] = {0};
  int count = request->reference_count;
  *price = (gint64)GENERATION_PRICE * MAX(request->count, 1);
  if (!made_before(app, caller, job, error) || *job)
    return *job != NULL;
  if (!check_fields(app, request, &plan, error) || !check_rows(app, caller, request, &plan, error) ||
      !asset_affordable(app, caller->account, *price, error))
    return FALSE;
  gboolean (*look)(App *, const InputSource *, int, gint64, Input *, GError **) =
      request->dry_run ? inputs_inspect : inputs_take;
  gboolean good = (!count || look(app, request->references, count, INPUT_PICTURE_BYTES, references, error)) &&
                  (request->dry_run || insert(app, caller, request, &plan, references, *price, job, error));
  for (int i = 0; i < count; i++)
    input_clear(&references[i]);
  return good;
}

const json_t *generation_models(App *app) {
  return drawing_models(app);
}
