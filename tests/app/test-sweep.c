/* Sweeping: expired results go and the job stays complete; what any row holds stays; folders of jobs that do
 * not run go. */
#include "company.h"

#include "../must.h"
#include "app/jobs/holds.h"
#include "app/jobs/sweep.h"

#include <glib/gstdio.h>
#include <sys/time.h>

#define POOL "V4_Preview"

static char *put(Company *company, const char *content) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = objects_draft(company->app->objects, &error);
  must(path && g_file_set_contents(path, content, -1, &error));
  char *id = objects_put(company->app->objects, path, NULL, NULL, &error);
  must(id);
  return id;
}

static gboolean is_there(Company *company, const char *id) {
  g_autofree char *path = objects_path(company->app->objects, id, NULL);
  return path != NULL;
}

static void make_old(const char *path) {
  gint64 then = g_get_real_time() / G_USEC_PER_SEC - 7200;
  struct timeval times[2] = {{.tv_sec = then}, {.tv_sec = then}};
  assert_int_equal(utimes(path, times), 0);
}

static void make_object_old(Company *company, const char *id) {
  g_autofree char *path = objects_path(company->app->objects, id, NULL);
  make_old(path);
}

static int sweep_now(Company *company) {
  g_autoptr(GError) error = NULL;
  int removed = sweep(company->app, &error);
  must(removed >= 0);
  return removed;
}

static void run(Company *company, const char *sql) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session && session_run(session, &error, sql) && session_commit(session, &error));
}

/* A Render of the picture that was claimed; ends with job_complete. */
static Job *running_job(Company *company, const char *picture) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Job) job = g_new0(Job, 1);
  *job = (Job){.kind = JOB_RENDER,
               .account = g_strdup(company->caller->account),
               .pool = g_strdup(POOL),
               .dialect = g_strdup("viggle"),
               .spec = json_pack("{s:s}", "picture", picture)};
  {
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
    must(session && job_insert(company->app, session, job, &error) && session_commit(session, &error));
  }
  Job *claimed = job_claim(company->app, POOL, "worker", &error);
  must(claimed);
  return claimed;
}

static void results_live_for_their_days(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *picture = put(company, "picture"), *video = put(company, "video");
  make_object_old(company, picture);
  make_object_old(company, video);
  g_autoptr(Job) job = running_job(company, picture);
  gboolean held = FALSE;
  json_auto_t *partial = json_pack("{s:s}", "video", video);
  must(job_renew(company->app, job, 50, NULL, NULL, partial, &held, &error) && held);
  assert_int_equal(sweep_now(company), 0); /* what a running job needs and has made */
  must(job_complete(company->app, job, NULL, partial, 0, &held, &error) && held);
  assert_int_equal(sweep_now(company), 1); /* the picture */
  assert_true(is_there(company, video));
  assert_false(is_there(company, picture));
  run(company, "UPDATE jobs SET expires = 1 WHERE expires IS NOT NULL");
  assert_int_equal(sweep_now(company), 1);
  assert_false(is_there(company, video));
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Job) now = job_get(session, job->id, NULL, &error);
  must(now);
  assert_int_equal(now->status, JOB_COMPLETE);
}

static void shared_objects_stay_until_the_last_goes(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *object = put(company, "shared");
  make_object_old(company, object);
  {
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
    must(holds_set(session, "one", "folder", object, &error) &&
         holds_set(session, "two", "folder", object, &error) && session_commit(session, &error));
  }
  assert_int_equal(sweep_now(company), 0);
  run(company, "DELETE FROM holds WHERE owner = 'one'");
  assert_int_equal(sweep_now(company), 0);
  run(company, "DELETE FROM holds WHERE owner = 'two'");
  assert_int_equal(sweep_now(company), 1);
  assert_false(is_there(company, object));
}

static char *scratch(Company *company, const char *name) {
  char *path = g_build_filename(company->app->scratch, name, NULL);
  g_autofree char *inside = g_build_filename(path, "frames", NULL);
  assert_int_equal(g_mkdir_with_parents(inside, 0700), 0);
  make_old(path);
  return path;
}

static void scratch_of_jobs_that_do_not_run_goes(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *picture = put(company, "picture");
  g_autoptr(Job) job = running_job(company, picture);
  g_autofree char *second = g_strdup_printf("%s.2", job->id);
  g_autofree char *one = scratch(company, job->id), *two = scratch(company, second),
                  *unknown = scratch(company, "something");
  sweep_now(company);
  assert_true(g_file_test(one, G_FILE_TEST_IS_DIR) && g_file_test(two, G_FILE_TEST_IS_DIR));
  gboolean held = FALSE;
  must(job_complete(company->app, job, NULL, NULL, 0, &held, &error) && held);
  sweep_now(company);
  assert_false(g_file_test(one, G_FILE_TEST_EXISTS) || g_file_test(two, G_FILE_TEST_EXISTS));
  assert_true(g_file_test(unknown, G_FILE_TEST_IS_DIR)); /* for a day */
}

static void old_rows_go(void **state) {
  Company *company = *state;
  run(company, "INSERT INTO idempotency (account, name, request, created) VALUES ('a', 'old', 'r', 1)");
  run(company,
      "INSERT INTO deliveries (id, account, job, url, body, created) VALUES ('d', 'a', 'j', 'u', '', 1)");
  run(company, "INSERT INTO deliveries (id, account, job, url, body, due, created) VALUES ('e', 'a', 'j', "
               "'u', '', 5, 1)");
  sweep_now(company);
  assert_int_equal(company_count(company, "idempotency"), 0);
  assert_int_equal(company_count(company, "deliveries"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(results_live_for_their_days),
      TEST(shared_objects_stay_until_the_last_goes),
      TEST(scratch_of_jobs_that_do_not_run_goes),
      TEST(old_rows_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
