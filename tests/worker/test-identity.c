/* Trainings and generations from the request to their end, with real engines on a small random model: what
 * is made and held, charged and given back; a training that is stopped and killed is the one that was not. */
#include "../app/company.h"
#include "toy_model.h"

#include "app/generations.h"
#include "app/trainings.h"
#include "base/files.h"
#include "media/picture.h"
#include "worker/worker.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PICTURES 10
#define PLENTY (10000 * CREDIT)

static char *models;

static int setup_models(void **state) {
  models = g_dir_make_tmp("models-XXXXXX", NULL);
  if (!toy_model_make(models)) {
    puts("skipped: ../shared is absent");
    exit(77);
  }
  g_setenv("TROUPE_MODELS", models, TRUE);
  return !picture_init("test", NULL);
}

static int teardown_models(void **state) {
  files_remove_tree(models);
  g_free(models);
  return 0;
}

/* --- looking --- */

static Job *look(Company *company, const char *id) {
  GError *error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  Job *job = session ? job_get(session, id, NULL, &error) : NULL;
  if (!job)
    fail_msg("%s", error->message);
  return job;
}

static CharacterRow *character(Company *company, const char *id) {
  GError *error = NULL;
  CharacterRow *row = character_get(company->app, company->caller->account, id, &error);
  if (!row)
    fail_msg("%s", error->message);
  return row;
}

static TrainingRow *training(Company *company, const char *id) {
  GError *error = NULL;
  g_autoptr(CharacterRow) row = character(company, id);
  TrainingRow *result = training_get(company->app, row, &error);
  if (!result)
    fail_msg("%s", error ? error->message : "never trained");
  return result;
}

static char *path_of(Company *company, const char *object) {
  GError *error = NULL;
  assert_non_null(object);
  char *path = objects_path(company->app->objects, object, &error);
  assert_null(error);
  return path;
}

static void assert_balanced(Company *company) {
  GError *error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows = session_query(
      session, &error, "SELECT balance, (SELECT SUM(amount) FROM ledger) FROM accounts WHERE id = $1",
      text(company->caller->account));
  assert_true(rows_next(rows, &error));
  assert_int_equal(rows_integer(rows, 0), rows_integer(rows, 1));
}

/* --- making --- */

/* The id of the Character (transfer full). */
static char *train(Company *company, const char *character_id, gint64 seed) {
  GError *error = NULL;
  gint64 price;
  InputSource sources[PICTURES];
  g_autoptr(CharacterRow) row = NULL;
  TrainingRequest request = {.name = "Ada", .character_id = character_id, .trigger = "adaz", .seed = seed};
  if (!character_id) {
    company_pictures(company, PICTURES, sources);
    request.pictures = sources;
    request.picture_count = PICTURES;
  }
  if (!training_create(company->app, company->caller, &request, &row, &price, &error))
    fail_msg("%s", error->message);
  assert_int_equal(price, TRAINING_PRICE);
  company_sources_clear(sources, request.picture_count);
  return g_strdup(row->id);
}

static Worker *hire(Company *company, const char *program) {
  static WorkerOptions options;
  options =
      (WorkerOptions){.pool = POOL_IDENTITY, .program = program, .grace = 0, .quiet = !g_getenv("TEST_LOG")};
  return worker_new(company->app, &options);
}

static void work_once(Company *company) {
  g_autoptr(Worker) worker = hire(company, NULL);
  assert_true(worker_step(worker));
}

static void grant(Company *company) {
  GError *error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  assert_true(ledger_grant(session, company->caller->account, PLENTY - COMPANY_CREDITS, "test", &error));
  assert_true(session_commit(session, &error));
}

static int rich_setup(void **state) {
  company_setup(state);
  grant(*state);
  return 0;
}

/* --- tests --- */

static char *draw(Company *company, const char *id, int count, gint64 seed) {
  GError *error = NULL;
  gint64 price;
  g_autoptr(Job) job = NULL;
  GenerationRequest request = {.prompt = "in a park, smiling",
                               .character_id = id,
                               .aspect = "3:4",
                               .count = count,
                               .seed = seed,
                               .strength = 1};
  if (!generation_create(company->app, company->caller, &request, &job, &price, &error))
    fail_msg("%s", error->message);
  assert_int_equal(price, count * GENERATION_PRICE);
  return g_strdup(job->id);
}

static void assert_pictures(Company *company, const Job *job, int count) {
  const json_t *images = json_object_get(job->result, "images");
  assert_int_equal(json_array_size(images), count);
  for (int i = 0; i < count; i++) {
    GError *error = NULL;
    g_autofree char *path = path_of(company, json_string_value(json_array_get(images, (size_t)i)));
    g_autoptr(Image) image = picture_load(path, &error);
    assert_non_null(image);
    assert_string_equal(picture_type(path), "png");
    assert_int_equal(image->width, json_integer_value(json_object_get(job->result, "width")));
    assert_true(image->width < image->height);
  }
}

static void test_train_and_draw(void **state) {
  Company *company = *state;
  g_autofree char *id = train(company, NULL, 7);
  g_autoptr(TrainingRow) waiting = training(company, id);
  assert_string_equal(waiting->status, "training");
  assert_string_equal(waiting->model, "toy");
  assert_true(isnan(waiting->loss));
  assert_int_equal(waiting->credits, TRAINING_PRICE);
  work_once(company);
  g_autoptr(TrainingRow) ready = training(company, id);
  if (!g_str_equal(ready->status, "ready"))
    fail_msg("%s: %s", ready->status, ready->error);
  assert_true(ready->progress == 100);
  assert_int_equal(ready->steps, 120);
  assert_true(ready->loss > 0);
  g_autofree char *lora = path_of(company, ready->lora), *chart = path_of(company, ready->chart),
                  *previews = path_of(company, ready->previews);
  assert_string_equal(picture_type(chart), "png");
  assert_string_equal(picture_type(previews), "png");
  assert_int_equal(company_balance(company), PLENTY - TRAINING_PRICE);

  g_autofree char *task = draw(company, id, 2, 5), *again = draw(company, id, 1, 6);
  work_once(company);
  work_once(company);
  g_autoptr(Job) drawn = look(company, task);
  g_autoptr(Job) second = look(company, again);
  if (drawn->status != JOB_COMPLETE)
    fail_msg("%s", drawn->error);
  assert_pictures(company, drawn, 2);
  assert_true(drawn->expires > drawn->completed);
  assert_string_equal(drawn->prompt, "in a park, smiling");
  /* picture i of a prompt has the seed `seed + i` */
  assert_string_equal(json_string_value(json_object_get(drawn->result, "image-1")),
                      json_string_value(json_object_get(second->result, "image-0")));
  assert_int_equal(company_balance(company), PLENTY - TRAINING_PRICE - 3 * GENERATION_PRICE);
  assert_balanced(company);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, rich_setup, company_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_train_and_draw),
  };
  cmocka_set_test_filter(g_getenv("TEST_ONLY"));
  return cmocka_run_group_tests(tests, setup_models, teardown_models);
}
