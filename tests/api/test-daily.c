/* A dialect with its own form of keys, its own idea of who is served, and a limit for each day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "app/accounts/days.h"
#include "probe.h"

#include <stdlib.h>
#include <string.h>

static Probe *probe, *unlimited;

static void three_a_day(Settings *settings) {
  settings->requests_day = 3;
}

static void without_limit(Settings *settings) {
  settings->requests_day = 0;
}

static int setup(void **state) {
  probe = probe_new(three_a_day);
  unlimited = probe_new(without_limit);
  return 0;
}

static int teardown(void **state) {
  probe_free(probe);
  probe_free(unlimited);
  return 0;
}

static Reply call(const Probe *to, const char *method, const char *path, const char *key, const char *body) {
  return ask(to->port,
             "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, path, key, strlen(body), body);
}

static void expect(const Reply *reply, int status, const char *code, const char *limit, const char *left) {
  g_autofree char *got = reply_text(reply, "error.code"), *most = reply_header(reply, "X-RateLimit-Limit"),
                  *remaining = reply_header(reply, "X-RateLimit-Remaining"),
                  *reset = reply_header(reply, "X-RateLimit-Reset");
  if (reply->status != status || (code && g_strcmp0(got, code) != 0))
    fail_msg("expected %d %s, got %s%s", status, code ? code : "", reply->head, reply->body);
  assert_string_equal(most, limit);
  assert_string_equal(remaining, left);
  assert_true(g_str_has_suffix(reset, "T00:00:00.000Z"));
}

static void requests_are_counted_and_reads_are_not(void **state) {
  for (int i = 0; i < 5; i++) {
    g_auto(Reply) read = call(probe, "GET", "/t/daily/me", probe->key, "");
    expect(&read, 200, NULL, "3", "3");
  }
  g_auto(Reply) one = call(probe, "POST", "/t/daily/me", probe->key, "{}");
  expect(&one, 200, NULL, "3", "2");
  g_auto(Reply) bad = call(probe, "POST", "/t/daily/me", probe->key, "{");
  expect(&bad, 400, "invalid", "3", "2"); /* what was not understood was not one */
  g_auto(Reply) two = call(probe, "POST", "/t/daily/me", probe->key, "{}");
  g_auto(Reply) three = call(probe, "POST", "/t/daily/me", probe->key, "{}");
  expect(&three, 200, NULL, "3", "0");
  g_auto(Reply) four = call(probe, "POST", "/t/daily/me", probe->key, "{");
  expect(&four, 429, "day", "3", "0"); /* before the body is read */
  g_autofree char *after = reply_header(&four, "Retry-After");
  assert_in_range(atoi(after), 1, 86401);
  g_auto(Reply) read = call(probe, "GET", "/t/daily/me", probe->key, "");
  expect(&read, 200, NULL, "3", "0");
}

static void the_limit_holds_for_the_account_alone(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *other = key_create(probe->app, &(KeyOptions){.dialect = "viggle", .account = "b"}, &error);
  g_auto(Reply) reply = call(probe, "POST", "/t/daily/me", other, "{}");
  expect(&reply, 200, NULL, "3", "2");
}

static void yesterday_is_over(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *account = account_find(probe->app, NULL, &error);
  {
    g_autoptr(Session) session = database_begin(probe->app->database, DATABASE_WRITE, &error);
    assert_true(
        session_run(session, &error, "UPDATE days SET day = '2020-02-29' WHERE account = $1", text(account)));
    assert_true(session_commit(session, &error));
  }
  Day day;
  assert_true(day_count(probe->app, account, &day, &error));
  assert_int_equal(day.used, 1);
  g_autoptr(Session) session = database_begin(probe->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows =
      session_query(session, &error, "SELECT COUNT(*) FROM days WHERE account = $1", text(account));
  assert_true(rows_next(rows, &error));
  assert_int_equal(rows_integer(rows, 0), 1); /* what is over is forgotten */
}

static gpointer count_often(gpointer user) {
  int good = 0;
  for (int i = 0; i < 20; i++) {
    Day day;
    good += day_count(probe->app, user, &day, NULL);
  }
  return GINT_TO_POINTER(good);
}

static void nobody_slips_through_side_by_side(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *key = key_create(probe->app, &(KeyOptions){.dialect = "viggle", .account = "c"}, &error);
  g_autofree char *account = account_find(probe->app, "c", &error);
  GThread *threads[8];
  int good = 0;
  for (int i = 0; i < 8; i++)
    threads[i] = g_thread_new("count", count_often, account);
  for (int i = 0; i < 8; i++)
    good += GPOINTER_TO_INT(g_thread_join(threads[i]));
  assert_int_equal(good, 3);
}

static void every_answer_says_how_it_stands(void **state) {
  g_auto(Reply) open = ask(probe->port, "GET /t/daily/open HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(&open, 200, NULL, "3", "3");
  g_auto(Reply) missing = ask(probe->port, "GET /t/daily/me HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(&missing, 401, "key_missing", "3", "3");
  g_auto(Reply) nothing = ask(probe->port, "GET /t/daily/nothing HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(&nothing, 404, "not_found", "3", "3");
  for (int i = 0; i < 5; i++) {
    g_auto(Reply) reply = call(unlimited, "POST", "/t/daily/me", unlimited->key, "{}");
    expect(&reply, 200, NULL, "2147483647", "2147483647");
  }
  g_auto(Reply) elsewhere = ask(probe->port, "GET /t/hello HTTP/1.1\r\nHost: x\r\n\r\n");
  g_autofree char *none = reply_header(&elsewhere, "X-RateLimit-Limit");
  assert_null(none);
}

static void keys_and_callers_are_looked_at_in_order(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *writer =
      key_create(probe->app, &(KeyOptions){.dialect = "viggle", .scopes = "write"}, &error);
  g_auto(Reply) form = call(probe, "POST", "/t/daily/me", "other-key", "{");
  expect(&form, 401, "key_form", "3", "3");
  g_auto(Reply) unknown = call(probe, "POST", "/t/daily/me", "sk-unknown", "{");
  expect(&unknown, 401, "key_invalid", "3", "3");
  g_auto(Reply) shut = call(probe, "POST", "/t/daily/me", writer, "{");
  assert_int_equal(shut.status, 403); /* before the body */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_are_counted_and_reads_are_not),
      cmocka_unit_test(the_limit_holds_for_the_account_alone),
      cmocka_unit_test(yesterday_is_over),
      cmocka_unit_test(nobody_slips_through_side_by_side),
      cmocka_unit_test(every_answer_says_how_it_stands),
      cmocka_unit_test(keys_and_callers_are_looked_at_in_order),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
