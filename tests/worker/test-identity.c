/* Trainings and generations from the request to their end, with real engines on a small random model: what
 * is made and held, charged and given back; a training that is stopped and killed is the one that was not. */
#include "../app/company.h"
#include "toy_model.h"

#include "app/making/generations.h"
#include "app/making/trainings.h"
#include "base/files.h"
#include "media/picture.h"
#include "worker/worker.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
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

/* --- stopped, killed, broken --- */

#define LONG 300 /* steps, so that there is time to interrupt it; a checkpoint every 50 */

static char *train_long(Company *company) {
  GError *error = NULL;
  gint64 price;
  InputSource sources[PICTURES];
  g_autoptr(CharacterRow) row = NULL;
  company_pictures(company, PICTURES, sources);
  const TrainingRequest request = {
      .trigger = "adaz", .seed = 3, .steps = LONG, .pictures = sources, .picture_count = PICTURES};
  if (!training_create(company->app, company->caller, &request, &row, &price, &error))
    fail_msg("%s", error->message);
  company_sources_clear(sources, PICTURES);
  return g_strdup(row->id);
}

/* The id of the LoRA's object, which is the hash of its bytes (transfer full). */
static char *uninterrupted(Company *company) {
  g_autofree char *id = train_long(company);
  work_once(company);
  g_autoptr(TrainingRow) row = training(company, id);
  if (!g_str_equal(row->status, "ready"))
    fail_msg("%s", row->error);
  return g_strdup(row->lora);
}

/* Waits until another checkpoint than *known was kept. */
static void await_checkpoint(Company *company, const char *job_id, char **known) {
  for (int i = 0; i < 1200; i++) {
    g_autoptr(Job) job = look(company, job_id);
    const char *checkpoint = json_string_value(json_object_get(job->result, "checkpoint"));
    if (job->status > JOB_PROCESSING)
      fail_msg("it ended before it could be interrupted: %s", job_status_name(job->status));
    if (checkpoint && g_strcmp0(checkpoint, *known) != 0) {
      g_free(*known);
      *known = g_strdup(checkpoint);
      return;
    }
    g_usleep(G_USEC_PER_SEC / 50);
  }
  fail_msg("no checkpoint was kept");
}

static gboolean went_on(const Job *job) {
  const json_t *note;
  size_t i;
  json_array_foreach(json_object_get(job->result, "notes"), i, note) {
    if (strstr(json_string_value(note), "Went on after step"))
      return TRUE;
  }
  return FALSE;
}

static void assert_same_lora(Company *company, const char *id, const char *lora) {
  g_autoptr(TrainingRow) row = training(company, id);
  if (!g_str_equal(row->status, "ready"))
    fail_msg("%s: %s", row->status, row->error ? row->error : "no reason");
  assert_string_equal(row->lora, lora);
  g_autoptr(Job) job = look(company, row->job);
  assert_true(went_on(job));
}

static gpointer step(gpointer worker) {
  return GINT_TO_POINTER(worker_step(worker));
}

static void test_stop_and_go_on(void **state) {
  Company *company = *state;
  g_autofree char *lora = uninterrupted(company), *id = train_long(company), *known = NULL;
  g_autoptr(TrainingRow) row = training(company, id);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  await_checkpoint(company, row->job, &known);
  g_autoptr(TrainingRow) running = training(company, id);
  assert_true(running->step >= 50 && running->steps == LONG && running->loss > 0);
  worker_stop(worker);
  g_thread_join(thread);
  g_autoptr(Job) stopped = look(company, row->job);
  assert_int_equal(stopped->status, JOB_QUEUED);
  assert_int_equal(stopped->attempts, 0);
  work_once(company);
  assert_same_lora(company, id, lora);
  assert_int_equal(company_balance(company), PLENTY - 2 * TRAINING_PRICE);
  assert_balanced(company);
}

/* Another process of this program, which is killed. */
static GPid start_process(Company *company) {
  GError *error = NULL;
  GPid pid = 0;
  g_autofree char *data = g_strdup_printf("--data=%s", company->folder);
  char *arguments[] = {(char *)g_getenv("TROUPE_PROGRAM"),
                       (char *)"work",
                       (char *)"--pool=identity",
                       data,
                       (char *)"--attempts=100",
                       (char *)"--lease-seconds=1",
                       NULL};
  GSpawnFlags quiet = g_getenv("TEST_LOG") ? 0 : G_SPAWN_STDERR_TO_DEV_NULL;
  g_spawn_async(NULL, arguments, NULL, G_SPAWN_DO_NOT_REAP_CHILD | quiet, NULL, NULL, &pid, &error);
  assert_null(error);
  return pid;
}

static void test_killed_again_and_again(void **state) {
  Company *company = *state;
  company->settings->attempts = 100;
  company->settings->lease_seconds = 1;
  g_autofree char *lora = uninterrupted(company), *id = train_long(company), *known = NULL;
  g_autoptr(TrainingRow) row = training(company, id);
  for (int i = 0; i < 3; i++) {
    GPid pid = start_process(company);
    await_checkpoint(company, row->job, &known);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    g_spawn_close_pid(pid);
  }
  g_usleep(G_USEC_PER_SEC * 3 / 2); /* the lease runs out */
  work_once(company);
  assert_same_lora(company, id, lora);
  g_autoptr(Job) job = look(company, row->job);
  assert_true(job->attempts >= 3);
  assert_int_equal(company_balance(company), PLENTY - 2 * TRAINING_PRICE);
  assert_balanced(company);
}

/* Who waits for a picture does not wait for somebody's training. */
static void test_drawing_beside_a_training(void **state) {
  Company *company = *state;
  g_autofree char *id = train(company, NULL, 7), *other = NULL, *known = NULL;
  work_once(company);
  other = train_long(company);
  g_autoptr(TrainingRow) row = training(company, other);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  await_checkpoint(company, row->job, &known);
  const WorkerOptions options = {.pool = POOL_IDENTITY, .kind = "generation", .quiet = TRUE};
  g_autoptr(Worker) artist = worker_new(company->app, &options);
  assert_false(worker_step(artist));
  g_autofree char *task = draw(company, id, 1, 1);
  assert_true(worker_step(artist));
  g_autoptr(Job) drawn = look(company, task);
  g_autoptr(TrainingRow) still = training(company, other);
  assert_int_equal(drawn->status, JOB_COMPLETE);
  assert_string_equal(still->status, "training");
  g_thread_join(thread);
}

static void test_deleted_while_it_trains(void **state) {
  GError *error = NULL;
  Company *company = *state;
  g_autofree char *id = train_long(company), *known = NULL;
  g_autoptr(TrainingRow) row = training(company, id);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  await_checkpoint(company, row->job, &known);
  assert_true(character_delete(company->app, company->caller->account, id, &error));
  g_thread_join(thread);
  g_autoptr(Job) job = look(company, row->job);
  assert_int_equal(job->status, JOB_CANCELLED);
  assert_int_equal(company_balance(company), PLENTY);
  assert_int_equal(company_count(company, "holds"), 0);
  assert_balanced(company);
}

static void test_engine_that_crashes(void **state) {
  Company *company = *state;
  g_autofree char *id = train_long(company);
  g_autoptr(Worker) worker = hire(company, "/bin/false");
  for (int attempt = 1; attempt <= 3; attempt++)
    assert_true(worker_step(worker));
  assert_false(worker_step(worker));
  g_autoptr(TrainingRow) row = training(company, id);
  assert_string_equal(row->status, "failed");
  assert_string_equal(row->error_code, "failed");
  assert_int_equal(company_balance(company), PLENTY);
  assert_balanced(company);
}

/* One of the last weights of the model becomes so large that sums with it are no numbers. */
static void poison(gboolean bad) {
  static char kept[4];
  const float huge = 3e38f;
  g_autofree char *path = g_build_filename(models, "toy", "transformer.safetensors", NULL);
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  fseek(file, -400, SEEK_END);
  if (bad && fread(kept, 1, sizeof kept, file) != sizeof kept)
    fail();
  fseek(file, -400, SEEK_END);
  fwrite(bad ? (const char *)&huge : kept, 1, sizeof kept, file);
  fclose(file);
}

static void test_numbers_that_break(void **state) {
  Company *company = *state;
  g_autofree char *id = train_long(company);
  poison(TRUE);
  work_once(company);
  poison(FALSE);
  g_autoptr(TrainingRow) row = training(company, id);
  assert_string_equal(row->status, "failed");
  assert_string_equal(row->error_code, "diverged");
  assert_null(strchr(row->error, '/'));
  assert_null(row->lora);
  assert_int_equal(company_balance(company), PLENTY);
  assert_balanced(company);
}

/* Of a model that learns larger pictures than an engine here may hold. */
static void enlarge(gboolean large) {
  static char *kept;
  g_autofree char *path = g_build_filename(models, "toy", "model.json", NULL);
  if (large) {
    assert_true(g_file_get_contents(path, &kept, NULL, NULL));
    g_autoptr(GString) text = g_string_new(kept);
    assert_int_equal(g_string_replace(text, "\"resolution\": 48", "\"resolution\": 4096", 0), 1);
    assert_true(g_file_set_contents(path, text->str, -1, NULL));
  } else {
    assert_true(g_file_set_contents(path, kept, -1, NULL));
    g_clear_pointer(&kept, g_free);
  }
}

/* Said at the first attempt, with the figures; nothing is charged. */
static void test_too_little_memory(void **state) {
  Company *company = *state;
  enlarge(TRUE);
  g_autofree char *id = train_long(company);
  work_once(company);
  enlarge(FALSE);
  g_autoptr(TrainingRow) row = training(company, id);
  assert_string_equal(row->status, "failed");
  assert_string_equal(row->error_code, "memory");
  assert_non_null(strstr(row->error, "GB of memory"));
  assert_int_equal(company_balance(company), PLENTY);
  assert_balanced(company);
}

/* A LoRA that does not fit the model is the request's fault, and costs nothing. */
static void test_lora_of_another_model(void **state) {
  GError *error = NULL;
  Company *company = *state;
  g_autofree char *id = train(company, NULL, 1);
  g_autoptr(Job) job = job_claim(company->app, POOL_IDENTITY, "test", &error);
  g_autofree char *draft = objects_draft(company->app->objects, &error);
  assert_true(g_file_set_contents(draft, "no LoRA", -1, NULL));
  g_autofree char *lora = objects_put(company->app->objects, draft, NULL, NULL, &error);
  json_auto_t *objects = json_pack("{s:s, s:s, s:s}", "lora", lora, "chart", lora, "previews", lora);
  gboolean held;
  assert_true(job_complete(company->app, job, NULL, objects, job->price, &held, &error) && held);
  g_autofree char *task = draw(company, id, 1, 1);
  work_once(company);
  g_autoptr(Job) failed = look(company, task);
  assert_int_equal(failed->status, JOB_FAILED);
  assert_string_equal(failed->error_code, "model");
  assert_null(strchr(failed->error, '/'));
  assert_int_equal(company_balance(company), PLENTY - TRAINING_PRICE);
  assert_balanced(company);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, rich_setup, company_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_train_and_draw),          TEST(test_stop_and_go_on),
      TEST(test_killed_again_and_again),  TEST(test_drawing_beside_a_training),
      TEST(test_deleted_while_it_trains), TEST(test_engine_that_crashes),
      TEST(test_numbers_that_break),      TEST(test_too_little_memory),
      TEST(test_lora_of_another_model),
  };
  cmocka_set_test_filter(g_getenv("TEST_ONLY"));
  return cmocka_run_group_tests(tests, setup_models, teardown_models);
}
