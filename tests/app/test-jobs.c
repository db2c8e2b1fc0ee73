/* The queue: the way of a job, leases that are lost, workers that come too late, many workers at once, and
 * processes that are killed in the middle of anything. */
#include "company.h"

#include "../must.h"
#include "app/jobs/holds.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL "V4_Preview"
#define PICTURE "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define VIDEO "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34"
#define PRICE (10 * CREDIT)

/* ---- making and looking ---- */

static char *insert_job(App *app, const char *account, int priority, const char *webhook) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Job) job = g_new0(Job, 1);
  *job = (Job){.kind = JOB_RENDER,
               .account = g_strdup(account),
               .pool = g_strdup(POOL),
               .priority = priority,
               .mode = g_strdup("full_pipeline"),
               .dialect = g_strdup("viggle"),
               .price = PRICE,
               .webhook_url = g_strdup(webhook),
               .spec = json_pack("{s:s, s:[{s:s}]}", "picture", PICTURE, "roles", "folder", VIDEO)};
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, &error);
  if (!session || !job_insert(app, session, job, &error) || !session_commit(session, &error))
    return NULL;
  return g_strdup(job->id);
}

static char *insert(Company *company) {
  char *id = insert_job(company->app, company->caller->account, 0, NULL);
  assert_non_null(id);
  return id;
}

static Job *claim(Company *company, const char *worker) {
  g_autoptr(GError) error = NULL;
  Job *job = job_claim(company->app, POOL, worker, &error);
  assert_null(error);
  return job;
}

static Job *get(Company *company, const char *id) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  Job *job = session ? job_get(session, id, NULL, &error) : NULL;
  must(job);
  return job;
}

static void assert_status(Company *company, const char *id, JobStatus status) {
  g_autoptr(Job) job = get(company, id);
  assert_string_equal(job_status_name(job->status), job_status_name(status));
}

static int holds_of(Company *company, const char *owner, const char *role) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows =
      session_query(session, &error, "SELECT COUNT(*) FROM holds WHERE owner = $1 AND ($2 = '' OR role = $2)",
                    text(owner), text(role));
  must(rows && rows_next(rows, &error));
  return (int)rows_integer(rows, 0);
}

/* ---- the way of a job ---- */

static void a_job_goes_its_way(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = insert(company);
  assert_status(company, id, JOB_QUEUED);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - PRICE);
  assert_int_equal(holds_of(company, id, ""), 2);

  g_autoptr(Job) job = claim(company, "worker 1");
  assert_non_null(job);
  assert_string_equal(job->id, id);
  assert_int_equal(job->attempts, 1);
  assert_true(job->started >= job->created);
  assert_string_equal(json_string_value(json_object_get(job->spec, "picture")), PICTURE);
  assert_status(company, id, JOB_PROCESSING);
  g_autoptr(Job) second = claim(company, "worker 2");
  assert_null(second);

  gboolean held = FALSE;
  must(job_renew(company->app, job, 40, "Drawing", "ref_done", NULL, &held, &error) && held);
  must(job_renew(company->app, job, 30, "Drawing", NULL, NULL, &held, &error) && held);
  g_autoptr(Job) seen = get(company, id);
  assert_true(seen->progress == 40);
  assert_string_equal(seen->checkpoint, "ref_done");
  assert_string_equal(seen->stage, "Drawing");

  json_auto_t *result = json_pack("{s:i, s:f}", "frames", 60, "seconds", 2.0);
  json_auto_t *objects = json_pack("{s:s}", "video", VIDEO);
  must(job_complete(company->app, job, result, objects, 2 * CREDIT, &held, &error) && held);
  g_autoptr(Job) done = get(company, id);
  assert_int_equal(done->status, JOB_COMPLETE);
  assert_true(done->progress == 100);
  assert_int_equal(done->charged, 2 * CREDIT);
  assert_int_equal(done->expires, done->completed + 7 * 24 * 3600 * G_GINT64_CONSTANT(1000));
  assert_string_equal(json_string_value(json_object_get(done->result, "video")), VIDEO);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - 2 * CREDIT);
  assert_int_equal(holds_of(company, id, ""), 1);
  assert_int_equal(holds_of(company, id, "video"), 1);
}

static void a_failed_job_is_refunded(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = insert(company);
  g_autoptr(Job) job = claim(company, "worker");
  gboolean held = FALSE;
  must(job_fail(company->app, job, REFUSAL_VIDEO_BROKEN, "It cannot be read.", &held, &error) && held);
  g_autoptr(Job) failed = get(company, id);
  assert_int_equal(failed->status, JOB_FAILED);
  assert_string_equal(failed->error, "It cannot be read.");
  assert_string_equal(failed->error_code, "video_broken");
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  assert_int_equal(holds_of(company, id, ""), 0);
}

/* However it ended: nobody can end it again. */
static void assert_over(Company *company, const Job *job, JobStatus status) {
  g_autoptr(GError) error = NULL;
  gint64 balance = company_balance(company);
  gboolean held = TRUE;
  must(job_renew(company->app, job, 50, NULL, NULL, NULL, &held, &error));
  assert_false(held);
  held = TRUE;
  must(job_complete(company->app, job, NULL, NULL, PRICE, &held, &error));
  assert_false(held);
  held = TRUE;
  must(job_fail(company->app, job, REFUSAL_FAILED, "Too late.", &held, &error));
  assert_false(held);
  must(job_hand_back(company->app, job, "Too late.", FALSE, &error));
  assert_status(company, job->id, status);
  assert_int_equal(company_balance(company), balance);
}

static void a_job_is_cancelled(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *waiting = insert(company), *running = insert(company);
  g_autoptr(Job) job = claim(company, "worker");
  assert_string_equal(job->id, waiting);
  const char *const ids[] = {running, waiting};
  for (gsize i = 0; i < 2; i++) {
    g_autoptr(Job) nobody = job_cancel(company->app, ids[i], "account_other", &error);
    assert_null(nobody);
    company_expect(&error, REFUSAL_NOT_FOUND, "job");
    g_autoptr(Job) cancelled = job_cancel(company->app, ids[i], company->caller->account, &error);
    must(cancelled);
    assert_int_equal(cancelled->status, JOB_CANCELLED);
    g_autoptr(Job) again = job_cancel(company->app, ids[i], company->caller->account, &error);
    assert_null(again);
    company_expect(&error, REFUSAL_CONFLICT, "cancelled");
  }
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  assert_over(company, job, JOB_CANCELLED);
  g_autoptr(Job) none = claim(company, "worker");
  assert_null(none);
}

static void unknown_jobs_are_not_found(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(Job) job = job_cancel(company->app, "job_nothing", NULL, &error);
  assert_null(job);
  company_expect(&error, REFUSAL_NOT_FOUND, "job");
}

static void the_queue_is_in_order(void **state) {
  Company *company = *state;
  g_autofree char *first = insert(company);
  g_usleep(2000);
  g_autofree char *second = insert(company);
  g_usleep(2000);
  g_autofree char *fast = insert_job(company->app, company->caller->account, 10, NULL);
  const char *const order[] = {fast, first, second};
  for (gsize i = 0; i < G_N_ELEMENTS(order); i++) {
    g_autoptr(Job) job = claim(company, "worker");
    assert_string_equal(job->id, order[i]);
  }
  g_autoptr(GError) error = NULL;
  g_autofree char *other = insert(company);
  g_autoptr(Job) none = job_claim(company->app, "another pool", "worker", &error);
  assert_null(none);
  assert_null(error);
}

static void jobs_of_one_kind(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = insert(company);
  g_autoptr(Job) none = job_claim_kind(company->app, POOL, "generation", "worker", &error);
  assert_null(none);
  assert_null(error);
  g_autoptr(Job) job = job_claim_kind(company->app, POOL, "render", "worker", &error);
  must(job);
  assert_string_equal(job->id, id);
  assert_true(job_kind_known("training"));
  assert_false(job_kind_known("dance"));
}

static void nothing_is_left_of_what_cannot_be_paid(void **state) {
  Company *company = *state;
  gint64 most = COMPANY_CREDITS / PRICE;
  company->settings->jobs_unfinished = 1000;
  for (gint64 i = 0; i < most; i++) {
    g_autofree char *id = insert(company);
  }
  assert_null(insert_job(company->app, company->caller->account, 0, NULL));
  assert_int_equal(company_count(company, "jobs"), most);
  assert_int_equal(company_count(company, "holds"), 2 * most);
}

static void unfinished_jobs_are_counted(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  company->settings->jobs_unfinished = 2;
  g_autofree char *first = insert(company), *second = insert(company);
  assert_null(insert_job(company->app, company->caller->account, 0, NULL));
  g_autoptr(Job) cancelled = job_cancel(company->app, first, NULL, &error);
  must(cancelled);
  g_autofree char *third = insert(company);
}

/* ---- leases ---- */

static void lose_leases(Company *company) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session && session_run(session, &error, "UPDATE jobs SET lease = 1 WHERE status = 'processing'") &&
       session_commit(session, &error));
}

static void a_lost_lease_puts_the_job_back(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = insert(company);
  g_autoptr(Job) slow = claim(company, "slow worker");
  gboolean held = FALSE;
  json_auto_t *partial = json_pack("{s:s}", "character", VIDEO);
  must(job_renew(company->app, slow, 60, "Drawing", "dri_done", partial, &held, &error) && held);
  assert_int_equal(job_reap(company->app, &error), 0);
  lose_leases(company);

  g_autoptr(Job) next = claim(company, "next worker");
  assert_non_null(next);
  assert_string_equal(next->id, id);
  assert_int_equal(next->attempts, 2);
  assert_string_equal(next->checkpoint, "dri_done");
  assert_true(next->progress == 60);
  assert_string_equal(json_string_value(json_object_get(next->result, "character")), VIDEO);
  assert_int_equal(holds_of(company, id, "partial/" VIDEO), 1);
  must(job_renew(company->app, slow, 70, NULL, NULL, NULL, &held, &error));
  assert_false(held);
  must(job_complete(company->app, slow, NULL, NULL, PRICE, &held, &error));
  assert_false(held);
  must(job_complete(company->app, next, NULL, NULL, PRICE, &held, &error) && held);
  assert_over(company, slow, JOB_COMPLETE);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - PRICE);
}

/* A worker that has the job again is told apart from its own earlier attempt. */
static void an_earlier_attempt_is_over(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = insert(company);
  g_autoptr(Job) first = claim(company, "worker");
  lose_leases(company);
  g_autoptr(Job) second = claim(company, "worker");
  assert_string_equal(second->id, id);
  assert_over(company, first, JOB_PROCESSING);
  gboolean held = FALSE;
  must(job_complete(company->app, second, NULL, NULL, PRICE, &held, &error) && held);
}

static void the_last_attempt_fails(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = insert(company);
  for (int i = 1; i <= 3; i++) {
    g_autoptr(Job) job = claim(company, "worker");
    assert_non_null(job);
    assert_int_equal(job->attempts, i);
    lose_leases(company);
  }
  g_autoptr(Job) none = claim(company, "worker");
  assert_null(none);
  g_autoptr(Job) failed = get(company, id);
  assert_int_equal(failed->status, JOB_FAILED);
  assert_string_equal(failed->error_code, "failed");
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  assert_over(company, failed, JOB_FAILED);
}

static void handing_back(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = insert(company);
  for (int i = 0; i < 10; i++) { /* machines that stop are nobody's fault */
    g_autoptr(Job) job = claim(company, "worker");
    assert_int_equal(job->attempts, 1);
    must(job_hand_back(company->app, job, "The machine stops.", TRUE, &error));
    assert_status(company, id, JOB_QUEUED);
  }
  for (int i = 1; i <= 3; i++) {
    g_autoptr(Job) job = claim(company, "worker");
    assert_int_equal(job->attempts, i);
    must(job_hand_back(company->app, job, "The engine crashed.", FALSE, &error));
    assert_status(company, id, i < 3 ? JOB_QUEUED : JOB_FAILED);
  }
  g_autoptr(Job) failed = get(company, id);
  assert_string_equal(failed->error, "The engine crashed.");
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
}

/* ---- Characters and Scenes ---- */

static void a_scene_takes_over_what_was_found(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = company_scene(company, NULL, NULL);
  g_autoptr(SceneRow) scene = scene_get(company->app, company->caller->account, id, &error);
  must(scene);
  assert_string_equal(scene->status, "ready");
  assert_int_equal(scene->width, 1920);
  assert_int_equal(scene->frames, 200);
  assert_int_equal(json_array_size(scene->segments), 2);
  for (int i = 0; i < 2; i++) {
    json_t *segment = json_array_get(scene->segments, (size_t)i);
    const char *uuid = json_string_value(json_object_get(segment, "uuid"));
    assert_true(g_regex_match_simple("^person_[0-9a-f]{8}$", uuid, 0, 0));
    assert_int_equal(json_integer_value(json_object_get(segment, "person")), i == 0 ? 2 : 1);
  }
  assert_int_equal(holds_of(company, id, "folder"), 1);
}

static void a_deleted_character_is_not_made(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  CharacterRequest request = {.name = "Ada", .image = company_picture(company, "image")};
  g_autoptr(CharacterRow) row = NULL;
  gint64 price = 0;
  must(character_create(company->app, company->caller, &request, &row, &price, &error));
  g_free((char *)request.image.path);
  g_autoptr(Job) job = claim(company, "worker");
  assert_string_equal(job->subject, row->id);
  g_autoptr(CharacterRow) at_work = character_get(company->app, company->caller->account, row->id, &error);
  must(at_work);
  assert_string_equal(at_work->status, "processing");
  must(character_delete(company->app, company->caller->account, row->id, &error));
  assert_over(company, job, JOB_CANCELLED);
  assert_int_equal(holds_of(company, row->id, ""), 0);
  assert_int_equal(holds_of(company, job->id, ""), 0);
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
}

/* ---- many workers ---- */

#define CROWD_JOBS 60

static GMutex seen_lock;
static GHashTable *seen;

static gpointer work_until_empty(gpointer user) {
  App *app = user;
  g_autofree char *name = app_id("worker_");
  for (;;) {
    gboolean held = FALSE;
    g_autoptr(Job) job = job_claim(app, POOL, name, NULL);
    if (!job)
      return NULL;
    g_mutex_lock(&seen_lock);
    gboolean fresh = !seen || g_hash_table_add(seen, g_strdup(job->id));
    g_mutex_unlock(&seen_lock);
    if (!fresh || job->attempts != 1 || !job_complete(app, job, NULL, NULL, CREDIT, &held, NULL) || !held)
      return GINT_TO_POINTER(1);
  }
}

static int work_in_threads(App *app) {
  GThread *threads[4];
  int failed = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("works", work_until_empty, app);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    failed += GPOINTER_TO_INT(g_thread_join(threads[i]));
  return failed;
}

/* Another process is this program again: tables must not be used after a fork. */
static pid_t start_process(const Company *company, const char *what) {
  pid_t child = fork();
  if (child == 0)
    execl("/proc/self/exe", "test-jobs", what, company->folder, company->caller->account, NULL);
  return child;
}

static void no_job_is_done_twice(void **state) {
  Company *company = *state;
  for (int i = 0; i < CROWD_JOBS; i++) {
    g_autofree char *id = insert(company);
  }
  seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  pid_t child = start_process(company, "work");
  int failed = work_in_threads(company->app), status = -1;
  waitpid(child, &status, 0);
  g_clear_pointer(&seen, g_hash_table_unref);
  assert_int_equal(failed, 0);
  assert_int_equal(status, 0);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - CROWD_JOBS * CREDIT);
}

/* ---- processes that are killed ---- */

static void do_something(App *app, const char *account, const char *worker, GRand *dice) {
  gboolean held = FALSE;
  if (g_rand_boolean(dice)) {
    g_autofree char *id = insert_job(app, account, 0, "http://127.0.0.1:1/hook");
    g_autoptr(Job) cancelled =
        id && g_rand_int_range(dice, 0, 4) == 0 ? job_cancel(app, id, NULL, NULL) : NULL;
    return;
  }
  g_autoptr(Job) job = job_claim(app, POOL, worker, NULL);
  if (!job)
    return;
  json_auto_t *objects = json_pack("{s:s}", "video", VIDEO);
  job_renew(app, job, g_rand_double_range(dice, 0, 100), "Drawing", "ref_done", objects, &held, NULL);
  switch (g_rand_int_range(dice, 0, 4)) {
  case 0:
    job_fail(app, job, REFUSAL_NOBODY, "Nobody is there.", &held, NULL);
    break;
  case 1:
    job_hand_back(app, job, "The engine crashed.", g_rand_boolean(dice), NULL);
    break;
  case 2:
    job_complete(app, job, NULL, objects, g_rand_int_range(dice, 0, PRICE), &held, NULL);
    break;
  default: /* as if it had died */
    break;
  }
}

static gpointer live(gpointer user) {
  Company *company = user;
  g_autofree char *worker = app_id("worker_");
  g_autoptr(GRand) dice = g_rand_new();
  for (;;)
    do_something(company->app, company->caller->account, worker, dice);
  return NULL;
}

static void assert_number(Company *company, const char *sql, gint64 expected) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows = session_query(session, &error, sql);
  must(rows && rows_next(rows, &error));
  if (rows_integer(rows, 0) != expected)
    fail_msg("%" G_GINT64_FORMAT " instead of %" G_GINT64_FORMAT ": %s", rows_integer(rows, 0), expected,
             sql);
}

/* What holds between any two transactions. */
static void assert_sound(Company *company) {
  assert_number(
      company,
      "SELECT COUNT(*) FROM accounts a WHERE balance <> (SELECT SUM(amount) FROM ledger WHERE account = "
      "a.id) OR balance <> purchased - used - reserved",
      0);
  assert_number(company,
                "SELECT COUNT(*) FROM jobs j WHERE (SELECT COUNT(*) FROM ledger WHERE job = j.id AND kind = "
                "'release') <> (completed IS NOT NULL)",
                0);
  assert_number(company,
                "SELECT COUNT(*) FROM jobs j WHERE (SELECT COUNT(*) FROM ledger WHERE job = j.id AND kind = "
                "'reserve') <> 1",
                0);
  assert_number(
      company,
      "SELECT COUNT(*) FROM jobs WHERE (status IN ('complete', 'failed', 'cancelled')) <> (completed IS "
      "NOT NULL)",
      0);
  assert_number(
      company,
      "SELECT COUNT(*) FROM jobs j WHERE (SELECT COUNT(*) FROM deliveries WHERE job = j.id) <> (completed "
      "IS NOT NULL)",
      0);
  assert_number(company,
                "SELECT COUNT(*) FROM holds WHERE owner IN (SELECT id FROM jobs WHERE status IN ('failed', "
                "'cancelled'))",
                0);
}

static void killed_processes_leave_nothing_half_done(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(GRand) dice = g_rand_new_with_seed(7);
  for (int round = 0; round < 12; round++) {
    pid_t child = start_process(company, "live");
    g_usleep((gulong)g_rand_int_range(dice, 50, 250) * 1000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_sound(company);
  }
  for (int turn = 0; turn < 5; turn++) { /* enough for three attempts of each */
    lose_leases(company);
    while (job_reap(company->app, &error) > 0)
      continue;
    assert_null(error);
    g_autoptr(Job) job = NULL;
    while ((job = claim(company, "the last worker"))) {
      gboolean held = FALSE;
      must(job_complete(company->app, job, NULL, NULL, CREDIT, &held, &error) && held);
      g_clear_pointer(&job, job_free);
    }
  }
  assert_sound(company);
  assert_number(company, "SELECT COUNT(*) FROM jobs WHERE completed IS NULL", 0);
  assert_number(company, "SELECT SUM(reserved) FROM accounts", 0);
  assert_true(company_count(company, "jobs") > 0);
}

/* What start_process starts. */
static int be_process(const char *what, char *folder, char *account) {
  Settings *settings = settings_new();
  settings->data = folder;
  g_autoptr(App) app = app_open(settings, NULL);
  if (!app)
    return 2;
  if (g_str_equal(what, "work"))
    return work_in_threads(app);
  Caller caller = {.account = account};
  Company company = {.app = app, .settings = settings, .caller = &caller};
  g_thread_new("lives", live, &company);
  live(&company);
  return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(int count, char **arguments) {
  if (count == 4)
    return be_process(arguments[1], arguments[2], arguments[3]);
  const struct CMUnitTest tests[] = {
      TEST(a_job_goes_its_way),
      TEST(a_failed_job_is_refunded),
      TEST(a_job_is_cancelled),
      TEST(unknown_jobs_are_not_found),
      TEST(the_queue_is_in_order),
      TEST(jobs_of_one_kind),
      TEST(nothing_is_left_of_what_cannot_be_paid),
      TEST(unfinished_jobs_are_counted),
      TEST(a_lost_lease_puts_the_job_back),
      TEST(an_earlier_attempt_is_over),
      TEST(the_last_attempt_fails),
      TEST(handing_back),
      TEST(a_scene_takes_over_what_was_found),
      TEST(a_deleted_character_is_not_made),
      TEST(no_job_is_done_twice),
      TEST(killed_processes_leave_nothing_half_done),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
