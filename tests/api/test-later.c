/* Answers that are made later: they come, hold up nobody, are kept for a repetition, and a server that stops
 * says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "probe.h"

#include <string.h>
#include <unistd.h>

static Probe *probe;

static int setup(void **state) {
  probe = probe_new(NULL);
  return 0;
}

static int teardown(void **state) {
  probe_free(probe);
  return 0;
}

static Reply get(const char *path) {
  return ask(probe->port, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
}

static char *post_text(const Probe *to, const char *path, const char *name) {
  return g_strdup_printf(
      "POST %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n%s%s%sContent-Type: application/json\r\n"
      "Content-Length: 2\r\n\r\n{}",
      path, to->key, name ? "Idempotency-Key: " : "", name ? name : "", name ? "\r\n" : "");
}

static Reply post(const char *path, const char *name) {
  g_autofree char *text = post_text(probe, path, name);
  return ask(probe->port, "%s", text);
}

static void assert_count(const Reply *reply, int count) {
  g_autofree char *text = reply_text(reply, "count"), *wanted = g_strdup_printf("%d", count);
  assert_int_equal(reply->status, 200);
  assert_string_equal(text, wanted);
}

static void the_answer_comes_when_it_is_there(void **state) {
  int before = probe_count(), freed = probe_promises_freed();
  gint64 start = g_get_monotonic_time();
  g_auto(Reply) reply = get("/t/later?ms=300");
  assert_count(&reply, before + 1);
  assert_true(g_get_monotonic_time() - start >= 300000);
  g_autofree char *path = reply_text(&reply, "path"); /* the request is whole */
  assert_string_equal(path, "/t/later");
  g_auto(Reply) posted = post("/t/later?ms=0", NULL);
  assert_count(&posted, before + 2);
  assert_int_equal(probe_promises_freed(), freed + 2);
}

static void a_failure_comes_as_one(void **state) {
  g_auto(Reply) reply = post("/t/later?ms=150&fail=1", NULL);
  assert_int_equal(reply.status, 409);
}

static void the_connection_goes_on(void **state) {
  int fd = client_connect(probe->port);
  for (int i = 0; i < 3; i++) {
    client_send(fd, "GET /t/later?ms=50 HTTP/1.1\r\nHost: x\r\n\r\n", -1);
    g_auto(Reply) reply = client_read(fd, FALSE);
    assert_int_equal(reply.status, 200);
  }
  close(fd);
}

/* Many more than the pool has threads, and what needs the pool is served meanwhile. */
static void no_thread_is_held(void **state) {
  enum { CLIENTS = 200 };
  int fds[CLIENTS];
  g_autofree char *text = post_text(probe, "/t/later?ms=3000", NULL);
  for (int i = 0; i < CLIENTS; i++) {
    fds[i] = client_connect(probe->port);
    client_send(fds[i], text, -1);
  }
  gint64 start = g_get_monotonic_time();
  g_auto(Reply) slow = get("/t/slow?ms=1");
  assert_int_equal(slow.status, 200);
  assert_true(g_get_monotonic_time() - start < 2500 * 1000);
  for (int i = 0; i < CLIENTS; i++) {
    g_auto(Reply) reply = client_read(fds[i], FALSE);
    assert_int_equal(reply.status, 200);
    close(fds[i]);
  }
}

/* The answer that was made is the one that a repetition gets, though nobody was there to hear it. */
static void who_goes_away_finds_the_answer(void **state) {
  int before = probe_count();
  g_autofree char *text = post_text(probe, "/t/later?ms=400", "gone");
  int fd = client_connect(probe->port);
  client_send(fd, text, -1);
  g_usleep(150000);
  close(fd);
  g_auto(Reply) early = post("/t/later?ms=400", "gone");
  assert_int_equal(early.status, 409); /* is still being answered */
  g_usleep(600000);
  g_auto(Reply) again = post("/t/later?ms=400", "gone");
  assert_count(&again, before + 1);
  g_autofree char *replayed = reply_header(&again, "Idempotency-Replayed");
  assert_string_equal(replayed, "true");
}

static gpointer ask_for_ever(gpointer user) {
  const Probe *ending = user;
  g_autofree char *text = post_text(ending, "/t/later?ms=-1", "stopped");
  g_auto(Reply) reply = ask(ending->port, "%s", text);
  return GINT_TO_POINTER(reply.status);
}

static void a_server_that_stops_says_so(void **state) {
  Probe *ending = probe_new(NULL);
  int freed = probe_promises_freed();
  GThread *client = g_thread_new("client", ask_for_ever, ending);
  g_usleep(300000);
  gint64 start = g_get_monotonic_time();
  api_stop(ending->api, 10);
  assert_true(g_get_monotonic_time() - start < 5 * G_USEC_PER_SEC);
  assert_int_equal(GPOINTER_TO_INT(g_thread_join(client)), 503);
  assert_int_equal(probe_promises_freed(), freed + 1);
  /* what it began may still be carried out: its name is not free */
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(ending->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows =
      session_query(session, &error, "SELECT COUNT(*) FROM idempotency WHERE status IS NULL");
  assert_true(rows_next(rows, &error));
  assert_int_equal(rows_integer(rows, 0), 1);
  g_clear_pointer(&rows, rows_free);
  g_clear_pointer(&session, session_free);
  probe_free(ending);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_answer_comes_when_it_is_there),
      cmocka_unit_test(a_failure_comes_as_one),
      cmocka_unit_test(the_connection_goes_on),
      cmocka_unit_test(no_thread_is_held),
      cmocka_unit_test(who_goes_away_finds_the_answer),
      cmocka_unit_test(a_server_that_stops_says_so),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
