/* Idempotency keys: the same request gets the first answer, another is refused, what failed or was
 * interrupted may be tried again and makes nothing twice. */
#include "company.h"

#include "../must.h"
#include "app/accounts/idempotency.h"

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
  return idempotency_begin(company->app, company->caller, name, request, &outcome->state, &outcome->status,
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
  must(idempotency_end(company->app, company->caller->account, name, status, body, &error));
}

static void age(Company *company, gint64 seconds) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session &&
       session_run(session, &error, "UPDATE idempotency SET created = created - $1, begun = begun - $1",
                   integer(seconds * 1000)) &&
       session_commit(session, &error));
}

/* As if another process had claimed all names, and died. */
static void die(Company *company) {
  g_autoptr(GError) error = NULL;
  Presence other = {0};
  presence_begin(&other);
  g_autofree char *name = g_strdup(other.name);
  assert_true(presence_alive(name));
  presence_end(&other);
  assert_false(presence_alive(name));
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session && session_run(session, &error, "UPDATE idempotency SET owner = $1", text(name)) &&
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
  assert_false(company->caller->again);
  age(company, 3600);
  assert_first(company, "name", "request"); /* no request takes so long */
  assert_true(company->caller->again);
}

/* The process that answered is gone: the request is begun anew, by one, and no other request is. */
static void an_interrupted_request_is_begun_anew(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_auto(Outcome) outcome = {0};
  assert_first(company, "name", "request");
  gint64 asked = company->caller->asked;
  die(company);
  assert_false(begin(company, "name", "another", &outcome, &error));
  company_expect(&error, REFUSAL_CONFLICT, "another request");
  assert_first(company, "name", "request");
  assert_true(company->caller->again);
  assert_true(company->caller->asked == asked);
  assert_false(begin(company, "name", "request", &outcome, &error));
  company_expect(&error, REFUSAL_CONFLICT, "still being answered");
  end(company, "name", 200, "{}");
  must(begin(company, "name", "request", &outcome, &error));
  assert_int_equal(outcome.state, IDEMPOTENCY_REPLAY);
}

static void render(Company *company, const RenderRequest *request, Job **job) {
  g_autoptr(GError) error = NULL;
  gint64 price;
  const char *mode;
  must(render_create(company->app, company->caller, request, job, &price, &mode, &error));
  assert_true(price == (*job)->price);
  assert_string_equal(mode, "preprocessed");
}

/* What the first attempt made is found, whatever has become of its inputs and of the balance. */
static void what_was_made_is_not_made_again(void **state) {
  Company *company = *state;
  g_autofree char *character = company_character(company), *scene = company_scene(company, NULL, NULL);
  RenderRequest request = {.character_id = character, .scene_id = scene};
  g_autoptr(Job) first = NULL, second = NULL, third = NULL;
  assert_first(company, "name", "request");
  render(company, &request, &first);
  gint64 balance = company_balance(company), jobs = company_count(company, "jobs");
  die(company);
  assert_first(company, "name", "request");
  render(company, &request, &second);
  assert_string_equal(second->id, first->id);
  assert_true(company_balance(company) == balance);
  assert_true(company_count(company, "jobs") == jobs);

  end(company, "name", 200, "{}");
  age(company, 24 * 3600 + 1); /* another day, another request */
  assert_first(company, "name", "request");
  render(company, &request, &third);
  assert_string_not_equal(third->id, first->id);
}

/* An error that came after the job was made. */
static void what_was_given_up_is_not_made_again(void **state) {
  Company *company = *state;
  g_autofree char *character = company_character(company), *scene = company_scene(company, NULL, NULL);
  RenderRequest request = {.character_id = character, .scene_id = scene};
  g_autoptr(Job) first = NULL, second = NULL;
  assert_first(company, "name", "request");
  render(company, &request, &first);
  end(company, "name", 503, "{}");
  assert_first(company, "name", "request");
  render(company, &request, &second);
  assert_string_equal(second->id, first->id);
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
  Company *company = user;
  Caller caller = {.account = company->caller->account};
  g_auto(Outcome) outcome = {.state = IDEMPOTENCY_REPLAY};
  gboolean first = idempotency_begin(company->app, &caller, "name", "request", &outcome.state,
                                     &outcome.status, &outcome.body, NULL) &&
                   outcome.state == IDEMPOTENCY_FIRST;
  g_free(caller.request);
  return GINT_TO_POINTER(first);
}

static void race_for_it(Company *company) {
  GThread *threads[8];
  int first = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("races", race, company);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    first += GPOINTER_TO_INT(g_thread_join(threads[i]));
  assert_int_equal(first, 1);
}

static void only_one_is_the_first(void **state) {
  race_for_it(*state);
  die(*state);
  race_for_it(*state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_first_answer_is_given_again),
      TEST(another_request_is_refused),
      TEST(an_unanswered_request_is_not_done_again),
      TEST(an_interrupted_request_is_begun_anew),
      TEST(what_was_made_is_not_made_again),
      TEST(what_was_given_up_is_not_made_again),
      TEST(failures_may_be_tried_again),
      TEST(names_live_for_a_day),
      TEST(only_one_is_the_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
