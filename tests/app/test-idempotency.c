/* Idempotency keys: the same request gets the first answer, another is refused, what failed may be tried
 * again. */
#include "company.h"

#include "../must.h"
#include "app/idempotency.h"

#define ACCOUNT "account_1"

typedef struct {
  IdempotencyState state;
  int status;
  char *body;
} Outcome;

static void outcome_clear(Outcome *outcome) {
  g_free(outcome->body);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)

static gboolean begin(Company *company, const char *name, const char *request, Outcome *outcome,
                      GError **error) {
  return idempotency_begin(company->app, ACCOUNT, name, request, &outcome->state, &outcome->status,
                           &outcome->body, error);
}

static void assert_first(Company *company, const char *name, const char *request) {
  g_autoptr(GError) error = NULL;
  g_auto(Outcome) outcome = {.state = IDEMPOTENCY_REPLAY};
  must(begin(company, name, request, &outcome, &error));
  assert_int_equal(outcome.state, IDEMPOTENCY_FIRST);
}

static void end(Company *company, const char *name, int status, const char *body) {
  g_autoptr(GError) error = NULL;
  must(idempotency_end(company->app, ACCOUNT, name, status, body, &error));
}

static void age(Company *company, gint64 seconds) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session &&
       session_run(session, &error, "UPDATE idempotency SET created = created - $1",
                   integer(seconds * 1000)) &&
       session_commit(session, &error));
}

static void the_first_answer_is_given_again(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  assert_first(company, "name", "request");
  end(company, "name", 201, "{\"id\":1}");
  for (int i = 0; i < 2; i++) {
    g_auto(Outcome) outcome = {0};
    must(begin(company, "name", "request", &outcome, &error));
    assert_int_equal(outcome.state, IDEMPOTENCY_REPLAY);
    assert_int_equal(outcome.status, 201);
    assert_string_equal(outcome.body, "{\"id\":1}");
  }
  assert_first(company, "another name", "request");
}

static void another_request_is_refused(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_auto(Outcome) outcome = {0};
  assert_first(company, "name", "request");
  assert_false(begin(company, "name", "another", &outcome, &error));
  company_expect(&error, REFUSAL_CONFLICT, "another request");
  end(company, "name", 200, "{}");
  assert_false(begin(company, "name", "another", &outcome, &error));
  company_expect(&error, REFUSAL_CONFLICT, "another request");
}

static void an_unanswered_request_is_not_done_again(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_auto(Outcome) outcome = {0};
  assert_first(company, "name", "request");
  assert_false(begin(company, "name", "request", &outcome, &error));
  company_expect(&error, REFUSAL_CONFLICT, "still being answered");
  age(company, 3600);
  assert_false(begin(company, "name", "request", &outcome, &error));
  company_expect(&error, REFUSAL_CONFLICT, "interrupted");
}

static void failures_may_be_tried_again(void **state) {
  Company *company = *state;
  const int statuses[] = {500, 503, 429};
  for (gsize i = 0; i < G_N_ELEMENTS(statuses); i++) {
    assert_first(company, "name", "request");
    end(company, "name", statuses[i], "{}");
  }
  assert_first(company, "name", "another request");
}

static void names_live_for_a_day(void **state) {
  Company *company = *state;
  assert_first(company, "name", "request");
  end(company, "name", 200, "{}");
  age(company, 24 * 3600 + 1);
  assert_first(company, "name", "another request");
}

static gpointer race(gpointer user) {
  g_auto(Outcome) outcome = {.state = IDEMPOTENCY_REPLAY};
  return GINT_TO_POINTER(begin(user, "name", "request", &outcome, NULL) &&
                         outcome.state == IDEMPOTENCY_FIRST);
}

static void only_one_is_the_first(void **state) {
  GThread *threads[8];
  int first = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("races", race, *state);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    first += GPOINTER_TO_INT(g_thread_join(threads[i]));
  assert_int_equal(first, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_first_answer_is_given_again),
      TEST(another_request_is_refused),
      TEST(an_unanswered_request_is_not_done_again),
      TEST(failures_may_be_tried_again),
      TEST(names_live_for_a_day),
      TEST(only_one_is_the_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
