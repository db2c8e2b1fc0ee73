/* What can be refused for nothing comes first, the downloads last. The transaction then looks the Character
 * up anew: another request may have begun to train it meanwhile. */
#include "app/making/trainings.h"

#include "app/jobs/holds.h"
#include "app/jobs/webhooks.h"
#include "app/making/assets.h"
#include "app/making/characters_private.h"
#include "app/making/drawing_models.h"
#include "identity/training/recipe.h"
#include <math.h>
#include <string.h>

#define NAME_USUAL "Character"
#define CLASS_USUAL "person"
#define CLASS_MAX 40
#define TRIGGER_MAX 40 /* bytes */
#define TRIGGER_PREFIX "CHAR"
#define TRIGGER_RANDOM 7

void training_row_free(TrainingRow *row) {
  if (!row)
    return;
  char *const texts[] = {row->job,   row->status,     row->trigger, row->class, row->model,
                         row->error, row->error_code, row->lora,    row->chart, row->previews};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(texts[i]);
  g_free(row);
}

/* --- the request --- */

typedef struct {
  char *name, *trigger, *class, *model; /* model NULL: the usual one */
  gint64 seed;
  int before; /* pictures that the Character has */
} Plan;

static void plan_clear(Plan *plan) {
  g_free(plan->name);
  g_free(plan->trigger);
  g_free(plan->class);
  g_free(plan->model);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_clear)

static char *made_up_trigger(void) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  guint32 numbers[TRIGGER_RANDOM];
  app_random(numbers, sizeof numbers);
  GString *word = g_string_new(TRIGGER_PREFIX);
  for (int i = 0; i < TRIGGER_RANDOM; i++)
    g_string_append_c(word, letters[numbers[i] % (sizeof letters - 1)]);
  return g_string_free(word, FALSE);
}

static char *check_trigger(const char *text, GError **error) {
  if (!given(text))
    return made_up_trigger();
  gboolean good = strlen(text) <= TRIGGER_MAX && g_utf8_validate(text, -1, NULL), letters = FALSE;
  for (const char *at = text; good && *at; at = g_utf8_next_char(at)) {
    gboolean letter = g_unichar_isalnum(g_utf8_get_char(at));
    letters |= letter;
    good = letter || *at == '-' || *at == '_';
  }
  return good && letters
             ? g_strdup(text)
             : refuse_null(error, REFUSAL_TRIGGER,
                           "The trigger word \"%.80s\" is not one word of letters, digits, - and _ with at "
                           "most %d bytes. Send another, or none.",
                           text, TRIGGER_MAX);
}

static gboolean check_fields(App *app, const TrainingRequest *request, Plan *plan, GError **error) {
  if (!(plan->name = input_text("name", given(request->name) ? request->name : NAME_USUAL, 1, INPUT_NAME_MAX,
                                error)) ||
      !(plan->trigger = check_trigger(request->trigger, error)) ||
      !(plan->class =
            input_text("class", given(request->class) ? request->class : CLASS_USUAL, 1, CLASS_MAX, error)))
    return FALSE;
  if (request->steps < 0 || request->steps > RECIPE_MAX_STEPS)
    return refuse(error, REFUSAL_INVALID,
                  "steps is %" G_GINT64_FORMAT "; send 1 to %d, or leave it out for the usual number.",
                  request->steps, RECIPE_MAX_STEPS);
  if (request->seed < -1 || request->seed > G_MAXUINT32)
    return refuse(error, REFUSAL_INVALID, "seed must be a whole number from 0 to %u.", G_MAXUINT32);
  plan->seed = request->seed >= 0 ? request->seed : drawing_seed();
  return (!given(request->model) ||
          (plan->model = drawing_model(app, request->model, TRUE, error)) != NULL) &&
         (!given(request->webhook_url) || webhook_check(app, request->webhook_url, error));
}

/* --- the Character --- */

static gboolean is_training(Session *session, const CharacterRow *row, gboolean *training, GError **error) {
  *training = FALSE;
  if (!row->training)
    return TRUE;
  g_autoptr(Job) job = job_get(session, row->training, NULL, error);
  *training = job && (job->status == JOB_QUEUED || job->status == JOB_PROCESSING);
  return job != NULL;
}

/* One that exists and does not train. */
static CharacterRow *find_character(Session *session, const char *account, const char *id, GError **error) {
  gboolean training;
  g_autoptr(CharacterRow) row = character_read(session, account, id, error);
  if (!row || !is_training(session, row, &training, error))
    return NULL;
  if (training)
    return refuse_null(error, REFUSAL_CONFLICT,
                       "Character %s is being trained already. Wait until its training has ended.", row->id);
  return g_steal_pointer(&row);
}

static gboolean check_character(App *app, const Caller *caller, const TrainingRequest *request, Plan *plan,
                                GError **error) {
  if (!request->character_id)
    return TRUE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(CharacterRow) row =
      session ? find_character(session, caller->account, request->character_id, error) : NULL;
  plan->before = row ? (int)json_array_size(row->pictures) : 0;
  return row != NULL;
}

/* --- the pictures --- */

static gboolean check_pictures(const TrainingRequest *request, int before, GError **error) {
  int count = before + request->picture_count;
  if (count < TRAINING_FEW)
    return refuse(error, REFUSAL_PICTURES_FEW,
                  "%d picture%s given; a training takes %d to %d. Add some in which pose, clothes and light "
                  "differ.",
                  count, count == 1 ? " was" : "s were", TRAINING_FEW, TRAINING_MANY);
  if (count > TRAINING_MANY)
    return refuse(error, REFUSAL_PICTURES_MANY,
                  "%d pictures were given; a training takes %d to %d. Keep the best.", count, TRAINING_FEW,
                  TRAINING_MANY);
  for (int i = 0; i < request->picture_count; i++)
    if (!input_glance(&request->pictures[i], error))
      return FALSE;
  return TRUE;
}

/* --- the job --- */

static json_t *spec(const TrainingRequest *request, const Plan *plan, json_t *pictures) {
  json_t *object = json_pack("{s:O, s:s, s:s, s:s, s:I}", "pictures", pictures, "trigger", plan->trigger,
                             "class", plan->class, "model", plan->model, "seed", (json_int_t)plan->seed);
  if (request->steps)
    json_object_set_new(object, "steps", json_integer(request->steps));
  return object;
}

static CharacterRow *character_for(App *app, Session *session, const Caller *caller,
                                   const TrainingRequest *request, const Plan *plan, const Input *pictures,
                                   GError **error) {
  if (request->character_id) {
    g_autoptr(CharacterRow) row = find_character(session, caller->account, request->character_id, error);
    return row && check_pictures(request, (int)json_array_size(row->pictures), error) &&
                   character_extend(session, row, pictures, request->picture_count, error)
               ? g_steal_pointer(&row)
               : NULL;
  }
  const NewCharacter made = {
      .name = plan->name, .pictures = pictures, .count = request->picture_count, .dialect = request->dialect};
  g_autofree char *id = character_insert(app, session, caller, &made, error);
  return id ? character_read(session, caller->account, id, error) : NULL;
}

static gboolean insert(App *app, const Caller *caller, const TrainingRequest *request, const Plan *plan,
                       const Input *pictures, char **id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(CharacterRow) row =
      session ? character_for(app, session, caller, request, plan, pictures, error) : NULL;
  if (!row)
    return FALSE;
  g_autofree char *job_id = app_id("train_");
  g_autoptr(Job) job = asset_job(job_id, JOB_TRAINING, caller, request->dialect, request->webhook_url);
  job->subject = g_strdup(row->id);
  job->pool = g_strdup(POOL_IDENTITY);
  job->price = TRAINING_PRICE;
  job->spec = spec(request, plan, row->pictures);
  if (!job_insert(app, session, job, error) ||
      !session_run(session, error, "UPDATE characters SET training = $1 WHERE id = $2", text(job->id),
                   text(row->id)) ||
      !session_commit(session, error))
    return FALSE;
  *id = g_strdup(row->id);
  return TRUE;
}

static gboolean take(App *app, const Caller *caller, const TrainingRequest *request, const Plan *plan,
                     CharacterRow **row, GError **error) {
  Input pictures[TRAINING_MANY] = {0};
  g_autofree char *id = NULL;
  gboolean (*look)(App *, const InputSource *, int, gint64, Input *, GError **) =
      request->dry_run ? inputs_inspect : inputs_take;
  gboolean good = (!request->picture_count || look(app, request->pictures, request->picture_count,
                                                   TRAINING_PICTURE_BYTES, pictures, error)) &&
                  (request->dry_run || insert(app, caller, request, plan, pictures, &id, error));
  for (int i = 0; i < request->picture_count; i++)
    input_clear(&pictures[i]);
  return good && (!id || (*row = character_get(app, caller->account, id, error)) != NULL);
}

gboolean training_create(App *app, const Caller *caller, const TrainingRequest *request, CharacterRow **row,
                         gint64 *price, GError **error) {
  g_auto(Plan) plan = {0};
  g_autoptr(Job) made = NULL;
  *row = NULL;
  *price = TRAINING_PRICE;
  if (!asset_made(app, caller, JOB_TRAINING, &made, error))
    return FALSE;
  if (made)
    return (*row = character_get(app, caller->account, made->subject, error)) != NULL;
  return check_fields(app, request, &plan, error) && check_character(app, caller, request, &plan, error) &&
         check_pictures(request, plan.before, error) &&
         asset_affordable(app, caller->account, TRAINING_PRICE, error) &&
         (plan.model || (plan.model = drawing_model(app, NULL, TRUE, error))) &&
         take(app, caller, request, &plan, row, error);
}

/* --- reading --- */

static char *spec_text(const Job *job, const char *key) {
  return g_strdup(json_string_value(json_object_get(job->spec, key)));
}

static void read_state(const Job *job, TrainingRow *row) {
  gboolean running = job->status == JOB_QUEUED || job->status == JOB_PROCESSING,
           complete = job->status == JOB_COMPLETE;
  const json_t *loss = json_object_get(job->result, "loss");
  row->job = g_strdup(job->id);
  row->status = g_strdup(running ? "training" : complete ? "ready" : "failed");
  row->trigger = spec_text(job, "trigger");
  row->class = spec_text(job, "class");
  row->model = spec_text(job, "model");
  row->error = g_strdup(job->error);
  row->error_code = g_strdup(job->error_code);
  row->progress = complete ? 100 : job->progress;
  row->step = json_integer_value(json_object_get(job->result, complete ? "steps" : "step"));
  row->steps = json_integer_value(json_object_get(job->result, "steps"));
  row->loss = loss ? json_number_value(loss) : NAN;
  row->credits = job->completed ? job->charged : job->price;
  row->created = job->created;
  row->completed = job->completed;
}

TrainingRow *training_read(Session *session, const CharacterRow *character, GError **error) {
  if (!character->training)
    return NULL;
  g_autoptr(Job) job = job_get(session, character->training, NULL, error);
  if (!job)
    return NULL;
  g_autoptr(TrainingRow) row = g_new0(TrainingRow, 1);
  read_state(job, row);
  if (!holds_get(session, character->id, "lora", &row->lora, error) ||
      !holds_get(session, character->id, "chart", &row->chart, error) ||
      !holds_get(session, character->id, "previews", &row->previews, error))
    return NULL;
  const char *fresh = json_string_value(json_object_get(job->result, "previews"));
  if (fresh) {
    g_free(row->previews);
    row->previews = g_strdup(fresh);
  }
  return g_steal_pointer(&row);
}

TrainingRow *training_get(App *app, const CharacterRow *character, GError **error) {
  if (!character->training)
    return NULL;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session ? training_read(session, character, error) : NULL;
}
