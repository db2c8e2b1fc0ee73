/* Keys: only their hash is kept; good ones are known, revoked and expired ones are not; limits on requests.
 */
#include "company.h"

#include "../must.h"
#include "app/accounts/rate.h"

#include <string.h>

static char *create(Company *company, const KeyOptions *options) {
  g_autoptr(GError) error = NULL;
  char *key = key_create(company->app, options, &error);
  must(key);
  return key;
}

static void assert_refused(Company *company, const char *key, const char *word) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Caller) caller = key_check(company->app, key, &error);
  assert_null(caller);
  company_expect(&error, REFUSAL_KEY_INVALID, word);
}

static void keys_have_their_dialects_prefix(void **state) {
  Company *company = *state;
  g_autofree char *viggle = create(company, &(KeyOptions){.dialect = "viggle"});
  g_autofree char *prism = create(company, &(KeyOptions){.dialect = "prism", .scopes = "read"});
  assert_true(g_str_has_prefix(viggle, "sk-") && g_str_has_prefix(prism, "prism_sk_"));
  assert_int_equal(strlen(viggle), strlen("sk-") + 43);
  assert_int_equal(strspn(viggle + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 43);
  g_autoptr(GError) error = NULL;
  g_autoptr(Caller) caller = key_check(company->app, prism, &error);
  must(caller);
  assert_string_equal(caller->dialect, "prism");
  assert_string_equal(caller->scopes, "read");
  assert_string_equal(caller->account, company->caller->account);
}

static void the_key_itself_is_nowhere_in_the_tables(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *key = create(company, &(KeyOptions){.dialect = "viggle"});
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows = session_query(session, &error, "SELECT id || hash || hint || account FROM keys");
  must(rows);
  while (rows_next(rows, &error)) {
    assert_null(strstr(rows_text(rows, 0), key));
    assert_null(strstr(rows_text(rows, 0), key + 8));
  }
  assert_true(rows_ended(rows));
}

static void unknown_keys_are_refused(void **state) {
  Company *company = *state;
  g_autofree char *key = create(company, &(KeyOptions){.dialect = "viggle"}),
                  *long_key = g_strnfill(5000, 'k');
  key[10] = key[10] == 'x' ? 'y' : 'x';
  assert_refused(company, key, "known");
  assert_refused(company, "", "known");
  assert_refused(company, "sk-' OR 1=1 --", "known");
  assert_refused(company, long_key, "known");
}

static void a_revoked_key_is_refused(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *key = create(company, &(KeyOptions){.dialect = "viggle"});
  g_autoptr(Caller) caller = key_check(company->app, key, &error);
  must(caller && key_revoke(company->app, key, &error));
  assert_refused(company, key, "revoked");
  assert_false(key_revoke(company->app, key, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  g_clear_error(&error);
  g_autofree char *other = create(company, &(KeyOptions){.dialect = "viggle"});
  g_autoptr(Caller) of_other = key_check(company->app, other, &error);
  must(of_other && key_revoke(company->app, of_other->key, &error));
  assert_refused(company, other, "revoked");
}

/* A key that another process revokes is remembered for a second at most. */
static void a_key_revoked_elsewhere_is_refused_soon(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(App) elsewhere = app_open(company->settings, &error);
  must(elsewhere);
  g_autofree char *key = create(company, &(KeyOptions){.dialect = "viggle"});
  g_autoptr(Caller) caller = key_check(company->app, key, &error);
  must(caller && key_revoke(elsewhere, key, &error));
  g_usleep(1100 * 1000);
  assert_refused(company, key, "revoked");
}

static void an_expired_key_is_refused(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *old = create(company, &(KeyOptions){.dialect = "viggle", .expires = app_now() - 1});
  assert_refused(company, old, "expired");
  g_autofree char *soon = create(company, &(KeyOptions){.dialect = "viggle", .expires = app_now() + 200});
  g_autoptr(Caller) caller = key_check(company->app, soon, &error);
  must(caller);
  g_usleep(250 * 1000);
  assert_refused(company, soon, "expired");
}

static void named_accounts_are_their_own(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *first =
      create(company, &(KeyOptions){.dialect = "viggle", .account = "Ada", .credits = 500});
  g_autofree char *second = create(company, &(KeyOptions){.dialect = "prism", .account = "Ada"});
  g_autoptr(Caller) a = key_check(company->app, first, &error), b = key_check(company->app, second, &error);
  must(a && b);
  assert_string_equal(a->account, b->account);
  assert_string_not_equal(a->account, company->caller->account);
  Balance balance;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  must(ledger_balance(session, a->account, &balance, &error));
  assert_int_equal(balance.balance, 500);
  g_autoptr(GPtrArray) list = key_list(company->app, &error);
  must(list);
  assert_int_equal(list->len, 3);
  assert_string_equal(((Key *)list->pdata[2])->account_name, "Ada");
}

static void wrong_options_are_refused(void **state) {
  Company *company = *state;
  const KeyOptions wrong[] = {{.dialect = "klingon"},
                              {.dialect = NULL},
                              {.dialect = "viggle", .scopes = "everything"},
                              {.dialect = "viggle", .scopes = ""},
                              {.dialect = "viggle", .credits = -5}};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    assert_null(key_create(company->app, &wrong[i], &error));
    assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
  }
  assert_int_equal(company_count(company, "keys"), 1);
}

static void the_account_is_made_once(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  gboolean fresh = TRUE;
  g_autofree char *id = account_default(company->app, &fresh, &error);
  must(id);
  assert_false(fresh);
  assert_string_equal(id, company->caller->account);
}

static void requests_are_counted(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  int wait = 0;
  company->settings->requests_minute = 120;
  for (int i = 0; i < 120; i++)
    must(rate_check(company->app, "one", &wait, &error));
  while (rate_check(company->app, "one", &wait, &error)) /* some came back while they were spent */
    continue;
  assert_int_equal(wait, 1);
  company_expect(&error, REFUSAL_RATE, "120");
  must(rate_check(company->app, "another", &wait, &error));
  g_usleep(600 * 1000);
  must(rate_check(company->app, "one", &wait, &error));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(keys_have_their_dialects_prefix),
      TEST(the_key_itself_is_nowhere_in_the_tables),
      TEST(unknown_keys_are_refused),
      TEST(a_revoked_key_is_refused),
      TEST(a_key_revoked_elsewhere_is_refused_soon),
      TEST(an_expired_key_is_refused),
      TEST(named_accounts_are_their_own),
      TEST(wrong_options_are_refused),
      TEST(the_account_is_made_once),
      TEST(requests_are_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
