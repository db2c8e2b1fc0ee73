/* The ledger: sums that always agree with the rows, reservations that are given back exactly once, refusals
 * that change nothing. */
#include "company.h"

#include "../must.h"
#include <string.h>

static Session *writing(Company *company) {
  g_autoptr(GError) error = NULL;
  Session *session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session);
  return session;
}

static Balance balance_of(Company *company) {
  g_autoptr(GError) error = NULL;
  Balance balance;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  must(session && ledger_balance(session, company->caller->account, &balance, &error));
  return balance;
}

static gint64 sum_of_rows(Company *company, const char *kind) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows = session_query(session, &error,
                                       "SELECT COALESCE(SUM(amount), 0) FROM ledger WHERE account = $1 AND "
                                       "($2 = '' OR kind = $2)",
                                       text(company->caller->account), text(kind));
  must(rows && rows_next(rows, &error));
  return rows_integer(rows, 0);
}

static void assert_sums(Company *company, gint64 balance, gint64 used, gint64 reserved) {
  Balance now = balance_of(company);
  assert_int_equal(now.balance, balance);
  assert_int_equal(now.used, used);
  assert_int_equal(now.reserved, reserved);
  assert_int_equal(now.balance, now.purchased - now.used - now.reserved);
  assert_int_equal(now.balance, sum_of_rows(company, ""));
  assert_int_equal(now.purchased, sum_of_rows(company, "grant"));
  assert_int_equal(now.used, -sum_of_rows(company, "charge"));
  assert_int_equal(now.reserved, -sum_of_rows(company, "reserve") - sum_of_rows(company, "release"));
}

static gboolean reserve(Company *company, const char *job, gint64 amount, GError **error) {
  g_autoptr(Session) session = writing(company);
  return ledger_reserve(session, company->caller->account, job, amount, error) &&
         session_commit(session, error);
}

static gboolean settle(Company *company, const char *job, gint64 amount, GError **error) {
  g_autoptr(Session) session = writing(company);
  return ledger_settle(session, company->caller->account, job, amount, error) &&
         session_commit(session, error);
}

static void a_job_is_reserved_and_charged(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  assert_sums(company, COMPANY_CREDITS, 0, 0);
  must(reserve(company, "job_1", 1000, &error));
  assert_sums(company, COMPANY_CREDITS - 1000, 0, 1000);
  must(settle(company, "job_1", 700, &error));
  assert_sums(company, COMPANY_CREDITS - 700, 700, 0);
}

static void a_job_is_refunded(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  must(reserve(company, "job_1", 1000, &error) && settle(company, "job_1", 0, &error));
  assert_sums(company, COMPANY_CREDITS, 0, 0);
}

static void what_is_free_leaves_no_rows(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  must(reserve(company, "job_1", 0, &error) && settle(company, "job_1", 0, &error));
  assert_int_equal(company_count(company, "ledger"), 1); /* the grant */
  assert_sums(company, COMPANY_CREDITS, 0, 0);
}

static void more_than_there_is_is_refused(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  assert_false(reserve(company, "job_1", COMPANY_CREDITS + 1, &error));
  company_expect(&error, REFUSAL_CREDITS, "1000.01");
  assert_sums(company, COMPANY_CREDITS, 0, 0);
  must(reserve(company, "job_2", COMPANY_CREDITS, &error));
  assert_false(reserve(company, "job_3", 1, &error));
  company_expect(&error, REFUSAL_CREDITS, "0.00");
  assert_sums(company, 0, 0, COMPANY_CREDITS);
}

static void a_job_is_settled_once(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  must(reserve(company, "job_1", 1000, &error) && settle(company, "job_1", 300, &error));
  const gint64 amounts[] = {0, 300, 1000};
  for (gsize i = 0; i < G_N_ELEMENTS(amounts); i++) {
    assert_false(settle(company, "job_1", amounts[i], &error));
    assert_true(g_error_matches(error, FAULT, FAULT_INTERNAL));
    g_clear_error(&error);
  }
  assert_false(reserve(company, "job_1", 10, &error)); /* nor reserved twice */
  assert_sums(company, COMPANY_CREDITS - 300, 300, 0);
}

static void no_more_is_charged_than_was_reserved(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  must(reserve(company, "job_1", 1000, &error));
  assert_false(settle(company, "job_1", 1001, NULL));
  assert_false(settle(company, "job_1", -1, NULL));
  assert_false(settle(company, "job_2", 1, NULL));
  assert_sums(company, COMPANY_CREDITS - 1000, 0, 1000);
}

static void grants_have_bounds(void **state) {
  Company *company = *state;
  const gint64 amounts[] = {0, -100, G_MAXINT64, LEDGER_MOST + 1};
  for (gsize i = 0; i < G_N_ELEMENTS(amounts); i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Session) session = writing(company);
    assert_false(ledger_grant(session, company->caller->account, amounts[i], "test", &error));
    assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
  }
  assert_sums(company, COMPANY_CREDITS, 0, 0);
}

static gpointer spend(gpointer user) {
  Company *company = user;
  int done = 0;
  for (int i = 0; i < 30; i++) {
    g_autofree char *job = app_id("job_");
    if (reserve(company, job, COMPANY_CREDITS / 50, NULL) && ++done % 3)
      settle(company, job, done % 3 == 1 ? 0 : 100, NULL);
  }
  return NULL;
}

static void a_crowd_never_spends_more_than_there_is(void **state) {
  Company *company = *state;
  GThread *threads[4];
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("spends", spend, company);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  Balance now = balance_of(company);
  assert_true(now.balance >= 0);
  assert_sums(company, now.balance, now.used, now.reserved);
  assert_true(now.reserved > 0 && now.used > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_job_is_reserved_and_charged),
      TEST(a_job_is_refunded),
      TEST(what_is_free_leaves_no_rows),
      TEST(more_than_there_is_is_refused),
      TEST(a_job_is_settled_once),
      TEST(no_more_is_charged_than_was_reserved),
      TEST(grants_have_bounds),
      TEST(a_crowd_never_spends_more_than_there_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
