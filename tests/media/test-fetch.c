/* Downloads against a server in this very process that redirects, hangs, lies and leads inside. */
#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/files.h"
#include "media/fetch.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define MEGABYTE 1000000
#define LARGE (3 * MEGABYTE)

static struct {
  GMainContext *context;
  GMainLoop *loop;
  GThread *thread;
  GSocketService *service;
  int port;
  char *folder;
  GMutex lock;
  GString *requests; /* heads of all requests of the test */
  volatile gint stopping;
} server;

/* --- the server --- */

static void reply(GOutputStream *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void reply(GOutputStream *out, const char *format, ...) {
  va_list args;
  va_start(args, format);
  g_autofree char *text = g_strdup_vprintf(format, args);
  va_end(args);
  g_output_stream_write_all(out, text, strlen(text), NULL, NULL, NULL);
}

static void redirect(GOutputStream *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void redirect(GOutputStream *out, const char *format, ...) {
  va_list args;
  va_start(args, format);
  g_autofree char *where = g_strdup_vprintf(format, args);
  va_end(args);
  reply(out, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", where);
}

static void flood(GOutputStream *out, gsize bytes) {
  g_autofree char *block = g_malloc0(MEGABYTE);
  for (gsize sent = 0; sent < bytes; sent += MEGABYTE)
    if (!g_output_stream_write_all(out, block, MEGABYTE, NULL, NULL, NULL))
      return;
}

static void hang(void) {
  while (!g_atomic_int_get(&server.stopping))
    g_usleep(10000);
}

static void answer(const char *path, GOutputStream *out) {
  if (g_str_equal(path, "/file")) {
    reply(out, "HTTP/1.1 200 OK\r\nContent-Type: Image/PNG; charset=x\r\nContent-Length: 5\r\n\r\nhello");
  } else if (g_str_equal(path, "/page")) {
    reply(out, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>");
  } else if (g_str_equal(path, "/untyped")) {
    reply(out, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  } else if (g_str_equal(path, "/empty")) {
    reply(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  } else if (g_str_has_prefix(path, "/loop")) {
    redirect(out, "/loop%d", atoi(path + 5) + 1);
  } else if (g_str_has_prefix(path, "/steps")) {
    int left = atoi(path + 6);
    if (left > 0)
      redirect(out, "/steps%d", left - 1);
    else
      redirect(out, "/file");
  } else if (g_str_has_prefix(path, "/to?")) {
    redirect(out, "%s", path + 4);
  } else if (g_str_has_prefix(path, "/status")) {
    reply(out, "HTTP/1.1 %d Nope\r\nContent-Length: 3\r\n\r\nno!", atoi(path + 7));
  } else if (g_str_equal(path, "/large")) {
    reply(out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LARGE);
    flood(out, LARGE);
  } else if (g_str_equal(path, "/large-unsaid")) {
    reply(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    flood(out, LARGE);
  } else if (g_str_equal(path, "/bomb")) { /* says that it is compressed; we did not ask for that */
    reply(out, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello");
  } else if (g_str_equal(path, "/short")) {
    reply(out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
  } else if (g_str_equal(path, "/hang")) {
    hang();
  } else if (g_str_equal(path, "/hang-half")) {
    reply(out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    hang();
  } else if (g_str_equal(path, "/nonsense")) {
    reply(out, "SSH-2.0-OpenSSH_9.2\r\n");
  } else if (g_str_equal(path, "/cookie")) {
    reply(out, "HTTP/1.1 302 Found\r\nSet-Cookie: a=b\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n");
  }
}

static gboolean serve(GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
                      gpointer user) {
  GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(connection));
  g_autoptr(GDataInputStream) lines = g_data_input_stream_new(in);
  g_autoptr(GString) head = g_string_new(NULL);
  g_filter_input_stream_set_close_base_stream(G_FILTER_INPUT_STREAM(lines), FALSE);
  for (;;) {
    g_autofree char *line = g_data_input_stream_read_line(lines, NULL, NULL, NULL);
    if (!line || !*line || *line == '\r')
      break;
    g_string_append_printf(head, "%s\n", line);
  }
  const char *length = strstr(head->str, "Content-Length: ");
  char body[1000] = "";
  if (length)
    g_input_stream_read_all(G_INPUT_STREAM(lines), body, MIN((gsize)atoi(length + 16), sizeof body - 1), NULL,
                            NULL, NULL);
  g_mutex_lock(&server.lock);
  g_string_append_printf(server.requests, "%s%s\n", head->str, body);
  g_mutex_unlock(&server.lock);
  g_auto(GStrv) words = g_strsplit(head->str, " ", 3);
  if (g_strv_length(words) == 3)
    answer(words[1], g_io_stream_get_output_stream(G_IO_STREAM(connection)));
  g_io_stream_close(G_IO_STREAM(connection), NULL, NULL);
  return TRUE;
}

static gpointer run_loop(gpointer unused) {
  g_main_context_push_thread_default(server.context);
  server.service = g_threaded_socket_service_new(20);
  g_signal_connect(server.service, "run", G_CALLBACK(serve), NULL);
  g_autoptr(GInetAddress) home = g_inet_address_new_from_string("127.0.0.1");
  g_autoptr(GSocketAddress) address = g_inet_socket_address_new(home, 0), got = NULL;
  g_assert_true(g_socket_listener_add_address(G_SOCKET_LISTENER(server.service), address,
                                              G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, &got, NULL));
  g_socket_service_start(server.service);
  g_atomic_int_set(&server.port, g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(got)));
  g_main_loop_run(server.loop);
  g_socket_service_stop(server.service);
  g_object_unref(server.service);
  return NULL;
}

static int setup(void **state) {
  server.context = g_main_context_new();
  server.loop = g_main_loop_new(server.context, FALSE);
  server.requests = g_string_new(NULL);
  server.folder = g_dir_make_tmp("fetch-XXXXXX", NULL);
  server.thread = g_thread_new("server", run_loop, NULL);
  while (!g_atomic_int_get(&server.port))
    g_usleep(1000);
  return 0;
}

static int teardown(void **state) {
  g_atomic_int_set(&server.stopping, 1);
  g_main_loop_quit(server.loop);
  g_thread_join(server.thread);
  files_remove_tree(server.folder);
  g_free(server.folder);
  return 0;
}

/* --- fetching --- */

static char *target(void) {
  return g_build_filename(server.folder, "got", NULL);
}

/* Of a path on the server, or of a whole URL. allow: of the policy. */
static gboolean fetch(const char *what, const char *allow, gint64 bytes, gint64 seconds, Fetched *fetched,
                      GError **error) {
  g_autoptr(FetchPolicy) policy = fetch_policy_new(allow, NULL);
  g_autofree char *url = *what == '/' ? g_strdup_printf("http://127.0.0.1:%d%s", server.port, what)
                                      : g_strdup(what),
                  *path = target();
  FetchLimits limits = {.bytes = bytes, .seconds = seconds};
  g_unlink(path);
  g_mutex_lock(&server.lock);
  g_string_truncate(server.requests, 0);
  g_mutex_unlock(&server.lock);
  return fetch_file(url, path, policy, &limits, fetched, error);
}

static void expect_refused(const char *what, const char *allow, Fault kind, const char *word) {
  g_auto(Fetched) fetched = {0};
  g_autoptr(GError) error = NULL;
  g_autofree char *path = target();
  if (fetch(what, allow, MEGABYTE, 2, &fetched, &error))
    fail_msg("%s was fetched", what);
  if (!g_error_matches(error, FAULT, (int)kind) || !strstr(error->message, word))
    fail_msg("%s: %d: %s", what, error->code, error->message);
  assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void expect_fetched(const char *what, const char *content, const char *type) {
  g_auto(Fetched) fetched = {0};
  g_autoptr(GError) error = NULL;
  g_autofree char *path = target(), *bytes = NULL;
  gsize length = 0;
  if (!fetch(what, "127.0.0.0/8", MEGABYTE, 10, &fetched, &error))
    fail_msg("%s: %s", what, error->message);
  assert_true(g_file_get_contents(path, &bytes, &length, NULL));
  assert_int_equal(length, strlen(content));
  assert_memory_equal(bytes, content, length);
  assert_int_equal(fetched.bytes, length);
  assert_string_equal(fetched.content_type, type);
  g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, content, -1);
  assert_string_equal(fetched.sha256, hash);
}

static void test_files(void **state) {
  expect_fetched("/file", "hello", "image/png");
  expect_fetched("/untyped", "x", "");
  expect_fetched("/empty", "", "");
  expect_fetched("/page", "<html>", "text/html"); /* whoever asked must see what he got */
  expect_fetched("/bomb", "hello", "");
}

static void test_what_is_sent(void **state) {
  g_setenv("http_proxy", "http://127.0.0.1:1/", TRUE);
  expect_fetched("/cookie", "hello", "image/png");
  g_unsetenv("http_proxy");
  assert_null(strcasestr(server.requests->str, "cookie:"));
  assert_null(strcasestr(server.requests->str, "authorization:"));
  assert_null(strcasestr(server.requests->str, "accept-encoding:"));
  assert_null(strcasestr(server.requests->str, "referer:"));
}

static void test_redirects(void **state) {
  expect_fetched("/steps4", "hello", "image/png");
  expect_refused("/steps5", "127.0.0.0/8", FAULT_INPUT, "redirects more than");
  expect_refused("/loop0", "127.0.0.0/8", FAULT_INPUT, "redirects more than");
}

/* The server's own address is allowed; where it sends us is not. */
static void test_redirects_inside(void **state) {
  static const char *const inside[] = {"http://127.0.0.2/",
                                       "http://localhost/",
                                       "http://10.0.0.1/",
                                       "http://169.254.169.254/latest/meta-data/",
                                       "http://[::1]/",
                                       "http://[::ffff:127.0.0.2]/",
                                       "http://[::ffff:169.254.169.254]/",
                                       "http://[64:ff9b::7f00:2]/",
                                       "http://0.0.0.0/",
                                       "http://0/",
                                       "http://2130706434/",
                                       "http://0x7f000002/",
                                       "http://0177.0.0.2/",
                                       "http://0x7f.2/",
                                       "http://127.2/",
                                       "//127.0.0.2/",
                                       "http://192.168.0.1/",
                                       "http://[fe80::1]/",
                                       "http://[fd00::1]/",
                                       "http://100.64.0.1/"};
  for (gsize i = 0; i < G_N_ELEMENTS(inside); i++) {
    g_autofree char *path = g_strconcat("/to?", inside[i], NULL);
    expect_refused(path, "127.0.0.1/32", FAULT_INPUT, "not public");
  }
}

static void test_redirects_elsewhere(void **state) {
  static const char *const schemes[] = {
      "file:///etc/passwd", "ftp://127.0.0.1/",  "gopher://127.0.0.1/",   "dict://127.0.0.1:11211/",
      "scp://127.0.0.1/",   "data:text/plain,x", "http://a:b@127.0.0.1/", "telnet://127.0.0.1/"};
  for (gsize i = 0; i < G_N_ELEMENTS(schemes); i++) {
    g_autofree char *path = g_strconcat("/to?", schemes[i], NULL);
    expect_refused(path, "127.0.0.0/8", FAULT_INPUT, "redirects to one that is not fetched");
  }
}

static void test_inside_at_once(void **state) {
  static const char *const policies[] = {NULL, "", "10.0.0.0/8,::1/128", "127.0.0.2/32"};
  for (gsize i = 0; i < G_N_ELEMENTS(policies); i++) {
    expect_refused("/file", policies[i], FAULT_INPUT, "not public");
    assert_int_equal(server.requests->len, 0); /* not even asked */
  }
}

static void test_statuses(void **state) {
  static const int statuses[] = {204, 206, 300, 304, 400, 401, 403, 404, 410, 429, 500, 503};
  for (gsize i = 0; i < G_N_ELEMENTS(statuses); i++) {
    g_autofree char *path = g_strdup_printf("/status%d", statuses[i]),
                    *word = g_strdup_printf("%d", statuses[i]);
    expect_refused(path, "127.0.0.0/8", FAULT_INPUT, word);
  }
}

static void test_too_large(void **state) {
  expect_refused("/large", "127.0.0.0/8", FAULT_LIMIT, "larger than 1 MB");
  expect_refused("/large-unsaid", "127.0.0.0/8", FAULT_LIMIT, "larger than 1 MB");
}

static void test_broken_transfers(void **state) {
  expect_refused("/short", "127.0.0.0/8", FAULT_INPUT, "broke off");
  expect_refused("/nonsense", "127.0.0.0/8", FAULT_INPUT, "broke off");
  expect_refused("/nothing", "127.0.0.0/8", FAULT_INPUT, "broke off");
  expect_refused("http://127.0.0.1:1/", "127.0.0.0/8", FAULT_INPUT, "cannot be reached");
  expect_refused("http://no-such-host.invalid/", NULL, FAULT_INPUT, "not known");
}

static void test_slow(void **state) {
  gint64 begin = g_get_monotonic_time();
  expect_refused("/hang", "127.0.0.0/8", FAULT_INPUT, "too slowly");
  expect_refused("/hang-half", "127.0.0.0/8", FAULT_INPUT, "too slowly");
  assert_true(g_get_monotonic_time() - begin < 60 * G_USEC_PER_SEC);
}

static void test_disk(void **state) {
  g_auto(Fetched) fetched = {0};
  g_autoptr(GError) error = NULL;
  g_autoptr(FetchPolicy) policy = fetch_policy_new("127.0.0.0/8", NULL);
  g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/file", server.port);
  FetchLimits limits = {.bytes = MEGABYTE, .seconds = 10};
  assert_false(fetch_file(url, "/nonexistent/folder/file", policy, &limits, &fetched, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_STORE));
  g_clear_error(&error);
  if (g_file_test("/dev/full", G_FILE_TEST_EXISTS)) { /* an existing file is never written to */
    assert_false(fetch_file(url, "/dev/full", policy, &limits, &fetched, &error));
    assert_true(g_error_matches(error, FAULT, FAULT_STORE));
  }
}

static void test_urls(void **state) {
  g_autofree char *endless = g_strnfill(2050, 'a'),
                  *too_long = g_strconcat("http://a.example/", endless, NULL);
  const char *const bad[] = {"",
                             "a",
                             "example.com/file",
                             "/file",
                             "ftp://example.com/",
                             "file:///etc/passwd",
                             "javascript:alert(1)",
                             "data:text/plain,x",
                             "http://",
                             "http:///path",
                             "http://user@example.com/",
                             "http://user:password@example.com/",
                             "http://example.com/a b",
                             "http://example.com/\r\nHost: x",
                             "http://example.com/\xff",
                             "http://exa mple.com/",
                             "http://example.com:99999/",
                             too_long};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    if (fetch_url_check(bad[i], &error))
      fail_msg("\"%s\" passes", bad[i]);
    assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
    assert_true(g_str_has_suffix(error->message, "."));
  }
  static const char *const good[] = {"http://example.com",         "https://example.com/a?b=c#d",
                                     "HTTP://EXAMPLE.COM/",        "http://example.com:8080/x",
                                     "https://[2606:4700::1111]/", "http://10.0.0.1/"};
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    assert_true(fetch_url_check(good[i], NULL));
}

static void test_addresses(void **state) {
  static const struct {
    const char *address;
    gboolean public;
  } table[] = {
      {"8.8.8.8", TRUE},
      {"1.1.1.1", TRUE},
      {"93.184.216.34", TRUE},
      {"100.63.255.255", TRUE},
      {"100.128.0.0", TRUE},
      {"172.15.255.255", TRUE},
      {"172.32.0.0", TRUE},
      {"192.167.255.255", TRUE},
      {"192.169.0.0", TRUE},
      {"223.255.255.255", TRUE},
      {"11.0.0.0", TRUE},
      {"9.255.255.255", TRUE},
      {"169.253.255.255", TRUE},
      {"198.17.255.255", TRUE},
      {"198.20.0.0", TRUE},
      {"0.0.0.0", FALSE},
      {"0.1.2.3", FALSE},
      {"10.0.0.0", FALSE},
      {"10.255.255.255", FALSE},
      {"100.64.0.0", FALSE},
      {"100.127.255.255", FALSE},
      {"127.0.0.1", FALSE},
      {"127.255.255.255", FALSE},
      {"169.254.169.254", FALSE},
      {"172.16.0.0", FALSE},
      {"172.31.255.255", FALSE},
      {"192.0.0.1", FALSE},
      {"192.0.2.1", FALSE},
      {"192.88.99.1", FALSE},
      {"192.168.0.0", FALSE},
      {"198.18.0.0", FALSE},
      {"198.19.255.255", FALSE},
      {"198.51.100.7", FALSE},
      {"203.0.113.7", FALSE},
      {"224.0.0.1", FALSE},
      {"239.255.255.255", FALSE},
      {"240.0.0.0", FALSE},
      {"255.255.255.255", FALSE},
      {"2606:4700::1111", TRUE},
      {"2a00:1450:4001::5", TRUE},
      {"2400:cb00::1", TRUE},
      {"::", FALSE},
      {"::1", FALSE},
      {"::2", FALSE},
      {"::7f00:1", FALSE},
      {"::ffff:127.0.0.1", FALSE},
      {"::ffff:10.1.2.3", FALSE},
      {"::ffff:169.254.169.254", FALSE},
      {"::ffff:8.8.8.8", TRUE},
      {"64:ff9b::8.8.8.8", TRUE},
      {"64:ff9b::10.0.0.1", FALSE},
      {"64:ff9b::169.254.169.254", FALSE},
      {"64:ff9b:1::8.8.8.8", FALSE},
      {"100::1", FALSE},
      {"2001::1", FALSE},
      {"2001:10::1", FALSE},
      {"2001:1ff::1", FALSE},
      {"2001:200::1", TRUE},
      {"2001:db8::1", FALSE},
      {"2002:7f00:1::1", FALSE},
      {"2002:808:808::1", FALSE},
      {"3fff::1", FALSE},
      {"3fff:1000::1", TRUE},
      {"4000::1", FALSE},
      {"5f00::1", FALSE},
      {"fc00::1", FALSE},
      {"fd12:3456::1", FALSE},
      {"fe80::1", FALSE},
      {"fec0::1", FALSE},
      {"ff02::1", FALSE},
      {"", FALSE},
      {"localhost", FALSE},
      {"127.1", FALSE},
      {"0x7f.0.0.1", FALSE},
      {"1.2.3.4.5", FALSE},
  };
  g_autoptr(FetchPolicy) nothing = fetch_policy_new(NULL, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
    if (fetch_policy_allows(nothing, table[i].address) != table[i].public)
      fail_msg("%s", table[i].address);
}

static void test_policies(void **state) {
  g_autoptr(FetchPolicy) some = fetch_policy_new("10.1.0.0/16, 127.0.0.1,::1/128,fd00::/8", NULL);
  static const char *const yes[] = {"10.1.2.3", "127.0.0.1", "::1", "fd12::1", "8.8.8.8", "::ffff:10.1.2.3"};
  static const char *const no[] = {"10.2.0.0", "127.0.0.2", "::2", "fc00::1", "169.254.169.254"};
  for (gsize i = 0; i < G_N_ELEMENTS(yes); i++)
    assert_true(fetch_policy_allows(some, yes[i]));
  for (gsize i = 0; i < G_N_ELEMENTS(no); i++)
    assert_false(fetch_policy_allows(some, no[i]));
  static const char *const bad[] = {"10.0.0.0/33", "ten",     "10.0.0.0/",
                                    "10.0.0.1/8",  "::1/129", "10.0.0.0/8;x"};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    if (fetch_policy_new(bad[i], &error))
      fail_msg("%s passes", bad[i]);
    assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
  }
}

static void test_posting(void **state) {
  g_autoptr(FetchPolicy) open = fetch_policy_new("127.0.0.0/8", NULL), closed = fetch_policy_new(NULL, NULL);
  g_autofree char *file = g_strdup_printf("http://127.0.0.1:%d/file", server.port),
                  *moved = g_strdup_printf("http://127.0.0.1:%d/to?/file", server.port),
                  *slow = g_strdup_printf("http://127.0.0.1:%d/hang", server.port),
                  *large = g_strdup_printf("http://127.0.0.1:%d/large", server.port);
  const char *const headers[] = {"Content-Type: application/json", "webhook-id: 7", NULL};
  long status = 0;
  g_autoptr(GError) error = NULL;
  g_string_truncate(server.requests, 0);
  assert_true(fetch_post(file, headers, "{\"a\":1}", open, 10, &status, NULL));
  assert_int_equal(status, 200);
  assert_true(g_str_has_prefix(server.requests->str, "POST /file"));
  assert_non_null(strstr(server.requests->str, "webhook-id: 7\r\n"));
  assert_true(g_str_has_suffix(server.requests->str, "{\"a\":1}\n"));
  assert_true(fetch_post(moved, headers, "{}", open, 10, &status, NULL));
  assert_int_equal(status, 302);
  assert_true(fetch_post(large, headers, "{}", open, 10, &status, NULL));
  assert_int_equal(status, 200);
  assert_false(fetch_post(slow, headers, "{}", open, 1, &status, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  g_clear_error(&error);
  assert_false(fetch_post(file, headers, "{}", closed, 10, &status, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_what_is_sent),
      cmocka_unit_test(test_redirects),
      cmocka_unit_test(test_redirects_inside),
      cmocka_unit_test(test_redirects_elsewhere),
      cmocka_unit_test(test_inside_at_once),
      cmocka_unit_test(test_statuses),
      cmocka_unit_test(test_too_large),
      cmocka_unit_test(test_broken_transfers),
      cmocka_unit_test(test_slow),
      cmocka_unit_test(test_disk),
      cmocka_unit_test(test_urls),
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_policies),
      cmocka_unit_test(test_posting),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
