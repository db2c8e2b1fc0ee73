/* The rules that hold for every route, over a real socket: keys, misses, bodies, limits, files, events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/checksum.h"
#include "probe.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static Probe *probe;
static Probe *small; /* takes bodies of 100 kB, ten requests a minute */

static void make_small(Settings *settings) {
  settings->upload_bytes = 100 * 1000;
  settings->requests_minute = 10;
}

static int setup(void **state) {
  probe = probe_new(NULL);
  small = probe_new(make_small);
  return 0;
}

static int teardown(void **state) {
  probe_free(probe);
  probe_free(small);
  return 0;
}

/* --- helpers --- */

static void check(const Reply *reply, int status, const char *code) {
  g_autofree char *got = reply_text(reply, "error.code"), *id = reply_header(reply, "X-Request-Id");
  g_autofree char *origin = reply_header(reply, "Access-Control-Allow-Origin");
  if (reply->status != status || (code && g_strcmp0(got, code) != 0))
    fail_msg("expected %d %s, got %s%s", status, code ? code : "", reply->head, reply->body);
  assert_non_null(id);
  assert_string_equal(origin, "*");
}

static Reply get(const char *path) {
  return ask(probe->port, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
}

static Reply ask_with(const char *method, const char *path, const char *key) {
  return ask(probe->port, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", method, path, key);
}

static Reply post(const char *path, const char *type, const char *body) {
  return ask(probe->port,
             "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: "
             "%zu\r\n\r\n%s",
             path, probe->key, type, strlen(body), body);
}

#define MULTIPART "multipart/form-data; boundary=XyZ"
#define PART(disposition) "--XyZ\r\nContent-Disposition: form-data; " disposition "\r\n\r\n"

static void assert_text(const Reply *reply, const char *path, const char *expected) {
  g_autofree char *text = reply_text(reply, path);
  if (g_strcmp0(text, expected) != 0)
    fail_msg("%s is %s instead of %s in %s", path, text ? text : "absent", expected ? expected : "absent",
             reply->body);
}

static void assert_header(const Reply *reply, const char *name, const char *expected) {
  g_autofree char *value = reply_header(reply, name);
  if (g_strcmp0(value, expected) != 0)
    fail_msg("%s is %s instead of %s", name, value ? value : "absent", expected ? expected : "absent");
}

/* Nothing half-made stays: waits for the server to notice that a client is gone. */
static void assert_no_drafts(const Probe *where) {
  for (int i = 0; i < 100 && probe_drafts(where) > 0; i++)
    g_usleep(20000);
  assert_int_equal(probe_drafts(where), 0);
}

/* --- routes --- */

static void answers_carry_the_common_headers(void **state) {
  g_auto(Reply) reply = get("/t/hello");
  check(&reply, 200, NULL);
  assert_header(&reply, "Content-Type", "application/json");
  assert_header(&reply, "Cache-Control", "no-store");
  g_autofree char *id = reply_header(&reply, "X-Request-Id"), *date = reply_header(&reply, "Date");
  assert_int_equal(strlen(id), 28);
  assert_true(g_str_has_prefix(id, "req_"));
  assert_non_null(date);
  g_auto(Reply) again = get("/t/hello");
  g_autofree char *next = reply_header(&again, "X-Request-Id");
  assert_string_not_equal(id, next);
  g_auto(Reply) named = ask(probe->port, "GET /t/hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\r\n");
  assert_header(&named, "X-Request-Id", "mine-1");
  g_auto(Reply) wrong = ask(probe->port, "GET /t/hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: a b\r\n\r\n");
  g_autofree char *own = reply_header(&wrong, "X-Request-Id");
  assert_true(g_str_has_prefix(own, "req_"));
}

static void routes_are_found(void **state) {
  g_auto(Reply) one = get("/t/things/a%2Fb%20c+d?q=x+y%26z&q=last");
  check(&one, 200, NULL);
  assert_text(&one, "id", "a/b c+d");
  assert_text(&one, "q", "last");
  g_auto(Reply) literal = get("/t/things/special");
  assert_text(&literal, "special", "true");
  g_auto(Reply) literal_only_for_get =
      ask(probe->port, "DELETE /t/things/special HTTP/1.1\r\nHost: x\r\n\r\n");
  assert_text(&literal_only_for_get, "id", "special");
  g_auto(Reply) escaped = get("/t/%68ello");
  check(&escaped, 200, NULL);
  g_auto(Reply) absolute = get("http://x:80/t/things/9?q=1");
  assert_text(&absolute, "id", "9");
  g_auto(Reply) head = ask(probe->port, "HEAD /t/hello HTTP/1.1\r\nHost: x\r\n\r\n");
  check(&head, 200, NULL);
  g_auto(Reply) body = get("/t/hello");
  g_autofree char *length = reply_header(&body, "Content-Length");
  assert_header(&head, "Content-Length", length);
}

static void a_key_tells_dialects_apart(void **state) {
  g_auto(Reply) none = get("/t/me");
  check(&none, 401, "key_missing");
  g_auto(Reply) usual = ask_with("GET", "/t/me", probe->key);
  check(&usual, 200, NULL);
  g_auto(Reply) wrong = ask_with("GET", "/t/me", "others_are_not_other");
  check(&wrong, 401, "key_invalid");
  g_auto(Reply) others = ask_with("GET", "/t/me", "other_key");
  check(&others, 200, NULL);
  assert_non_null(strstr(others.body, "special"));
  g_auto(Reply) miss = ask_with("DELETE", "/t/me", "other_key");
  assert_int_equal(miss.status, 405);
  assert_text(&miss, "other", "method");
  g_auto(Reply) own = ask_with("GET", "/t/hello", "other_key");
  check(&own, 200, NULL);
}

static void misses_are_told_in_the_dialect(void **state) {
  static const char *const nowhere[] = {"/t/nothing",
                                        "/",
                                        "/elsewhere",
                                        "/t/things/",
                                        "/t/things//",
                                        "/t/hello/",
                                        "/t/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p",
                                        "*",
                                        "/t/things/a/b"};
  for (gsize i = 0; i < G_N_ELEMENTS(nowhere); i++) {
    g_auto(Reply) reply = get(nowhere[i]);
    check(&reply, i == 7 ? 400 : 404, i == 7 ? "invalid" : "not_found");
  }
  g_auto(Reply) other = get("/t/other/nothing");
  assert_int_equal(other.status, 404);
  assert_text(&other, "other", "not_found");
  g_auto(Reply) beside = get("/t/others");
  check(&beside, 404, "not_found");
  g_auto(Reply) method = ask(probe->port, "PATCH /t/things/1 HTTP/1.1\r\nHost: x\r\n\r\n");
  check(&method, 405, "method");
  assert_header(&method, "Allow", "GET, HEAD, DELETE, OPTIONS");
  g_auto(Reply) unheard = ask(probe->port, "FROB /t/echo HTTP/1.1\r\nHost: x\r\n\r\n");
  check(&unheard, 405, "method");
  assert_header(&unheard, "Allow", "POST, OPTIONS");
}

static void browsers_may_ask_first(void **state) {
  g_auto(Reply) reply = ask(probe->port, "OPTIONS /t/echo HTTP/1.1\r\nHost: x\r\nOrigin: http://page\r\n"
                                         "Access-Control-Request-Method: POST\r\n\r\n");
  check(&reply, 204, NULL);
  assert_header(&reply, "Access-Control-Allow-Methods", "POST, OPTIONS");
  g_autofree char *headers = reply_header(&reply, "Access-Control-Allow-Headers");
  assert_non_null(strstr(headers, "Idempotency-Key"));
}

static void broken_encodings_are_refused(void **state) {
  static const char *const bad[] = {"/t/things/%",   "/t/things/%zz",  "/t/things/%ff", "/t/things/a%00b",
                                    "/t/hello?q=%f", "/t/hello?q=%C3", "/t/hello?%00",  "/t/things/\xff"};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_auto(Reply) reply = get(bad[i]);
    check(&reply, 400, "invalid");
  }
}

/* --- keys --- */

static void keys_are_checked(void **state) {
  g_auto(Reply) missing = get("/t/me");
  check(&missing, 401, "key_missing");
  assert_header(&missing, "WWW-Authenticate", "Bearer");
  static const char *const wrong[] = {"Authorization: Bearer sk-nobody", "Authorization: Basic abc",
                                      "x-api-key: what", "Authorization: Bearer \xff\xfe"};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_auto(Reply) reply = ask(probe->port, "GET /t/me HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", wrong[i]);
    check(&reply, 401, "key_invalid");
    g_auto(Reply) open = ask(probe->port, "GET /t/hello HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", wrong[i]);
    check(&open, 200, NULL);
  }
  static const char *const right[] = {"Authorization: Bearer %s", "authorization: bEARER   %s",
                                      "X-API-Key: %s"};
  for (gsize i = 0; i < G_N_ELEMENTS(right); i++) {
    g_autoptr(GString) header = g_string_new(right[i]);
    g_string_replace(header, "%s", probe->key, 1);
    g_auto(Reply) reply = ask(probe->port, "GET /t/me HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", header->str);
    check(&reply, 200, NULL);
    g_autofree char *account = reply_text(&reply, "account");
    assert_string_not_equal(account, "null");
  }
  g_auto(Reply) reading =
      ask(probe->port, "GET /t/me HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n\r\n", probe->read_key);
  check(&reading, 200, NULL);
  g_auto(Reply) writing =
      ask(probe->port, "POST /t/me HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n\r\n", probe->read_key);
  check(&writing, 403, "forbidden");
}

static void a_host_is_needed(void **state) {
  g_auto(Reply) none = ask(probe->port, "GET /t/hello HTTP/1.1\r\n\r\n");
  check(&none, 400, "invalid");
  g_auto(Reply) two = ask(probe->port, "GET /t/hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  check(&two, 400, "invalid");
  g_auto(Reply) old = ask(probe->port, "GET /t/hello HTTP/1.0\r\n\r\n");
  check(&old, 200, NULL);
  assert_true(old.closed);
}

static void rates_are_limited(void **state) {
  g_autofree char *text =
      g_strdup_printf("GET /t/me HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n\r\n", small->read_key);
  int limited = 0;
  for (int i = 0; i < 25; i++) {
    g_auto(Reply) reply = ask(small->port, "%s", text);
    if (reply.status == 429) {
      check(&reply, 429, "rate");
      g_autofree char *after = reply_header(&reply, "Retry-After");
      assert_in_range(g_ascii_strtoll(after, NULL, 10), 1, 60);
      limited++;
    }
  }
  assert_in_range(limited, 15, 17); /* two were asked for by another test */
}

/* --- bodies --- */

static void bodies_of_all_kinds_are_read(void **state) {
  g_auto(Reply) form = post("/t/echo", "application/x-www-form-urlencoded; charset=utf-8",
                            "a=1&a=2&b=x+y&flag=true&limit=5&file_url=http%3A%2F%2Fx");
  check(&form, 200, NULL);
  assert_text(&form, "a", "2");
  assert_text(&form, "as", "[\"1\",\"2\"]");
  assert_text(&form, "b", "x y");
  assert_text(&form, "flag", "true");
  assert_text(&form, "limit", "5");
  assert_text(&form, "url", "http://x");
  g_auto(Reply) json =
      post("/t/echo", "Application/JSON",
           "{\"a\":12345678901234567890123, \"b\":{\"x\":[true]}, \"c\":null, \"text\":\"\\u00e4\","
           "\"flag\":false, \"limit\":7}");
  check(&json, 200, NULL);
  assert_text(&json, "b", "{\"x\":[true]}");
  assert_text(&json, "c", NULL);
  assert_text(&json, "text", "ä");
  assert_text(&json, "limit", "7");
  g_auto(Reply) lists = post("/t/echo", "application/json", "{\"a\":[\"x\",\"y\",3]}");
  assert_text(&lists, "as", "[\"x\",\"y\",\"3\"]");
  g_auto(Reply) parts =
      post("/t/echo", MULTIPART,
           PART("name=a") "first\r\n" PART("name=a") "second\r\n" PART("name=flag") "on\r\n" PART(
               "name=file; filename=\"f.bin\"") "abc\r\n--XyZ--\r\n");
  check(&parts, 200, NULL);
  assert_text(&parts, "as", "[\"first\",\"second\"]");
  assert_text(&parts, "flag", "true");
  assert_text(&parts, "file.bytes", "3");
  assert_text(&parts, "file.hash", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  g_auto(Reply) unnamed =
      post("/t/echo", MULTIPART,
           "--XyZ\r\nContent-Disposition: form-data; name=\"file\"\r\nContent-Type: image/png\r\n\r\n"
           "\xff\xfe\r\n--XyZ--");
  assert_text(&unnamed, "file.bytes", "2");
  g_auto(Reply) left_empty = post("/t/echo", MULTIPART, PART("name=file; filename=\"\"") "\r\n--XyZ--");
  check(&left_empty, 200, NULL);
  assert_text(&left_empty, "file", NULL);
  g_auto(Reply) empty = post("/t/echo", "application/json", "");
  check(&empty, 200, NULL);
  assert_no_drafts(probe);
}

static void broken_bodies_are_refused(void **state) {
  static const struct {
    const char *type, *body;
  } bad[] = {
      {"application/json", "{"},
      {"application/json", "[1]"},
      {"application/json", "{\"a\":1,\"a\":2}"},
      {"application/json", "{\"a\":\"\xff\"}"},
      {"application/json", "{\"a\":\"\\u0000\"}"},
      {"application/json", "{} x"},
      {"application/x-www-form-urlencoded", "a=%ff"},
      {"application/x-www-form-urlencoded", "a=%0"},
      {MULTIPART, "nothing of the kind"},
      {MULTIPART, PART("name=a") "not ended"},
      {MULTIPART, PART("name=file; filename=f") "not ended"},
      {MULTIPART, PART("name=a") "\xff\r\n--XyZ--"},
      {MULTIPART, PART("filename=a") "\r\n--XyZ--"},
      {"multipart/form-data", PART("name=a") "\r\n--XyZ--"},
      {"application/json", "{\"flag\":\"perhaps\"}"},
      {"application/json", "{\"limit\":0}"},
      {"application/json", "{\"limit\":101}"},
      {"application/json", "{\"limit\":\"x\"}"},
      {"application/json", "{\"offset\":-1}"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_auto(Reply) reply = post("/t/echo", bad[i].type, bad[i].body);
    check(&reply, 400, "invalid");
    assert_false(reply.closed);
  }
  g_autofree char *deep = g_strnfill(65, '['), *nested = g_strconcat("{\"a\":", deep, NULL);
  g_auto(Reply) depth = post("/t/echo", "application/json", nested);
  check(&depth, 400, "invalid");
  g_autoptr(GString) many = g_string_new(NULL);
  for (int i = 0; i < 101; i++)
    g_string_append(many, PART("name=a") "\r\n");
  g_string_append(many, "--XyZ--");
  g_auto(Reply) parts = post("/t/echo", MULTIPART, many->str);
  check(&parts, 400, "invalid");
  assert_no_drafts(probe);
}

static void types_and_lengths_are_checked(void **state) {
  static const char *const wrong[] = {"text/plain", "application/xml", "", "multipart/mixed; boundary=x"};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_auto(Reply) reply = post("/t/echo", wrong[i], "a=1");
    check(&reply, 415, "content_type");
  }
  g_auto(Reply) not_this = post("/t/json", "application/x-www-form-urlencoded", "a=1");
  check(&not_this, 415, "content_type");
  g_auto(Reply) squeezed =
      ask(probe->port,
          "POST /t/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
          "Content-Length: 2\r\n\r\n{}");
  check(&squeezed, 415, "content_type");
  g_auto(Reply) none =
      ask(probe->port, "POST /t/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n");
  check(&none, 411, "length");
  g_auto(Reply) both =
      ask(probe->port, "POST /t/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n");
  check(&both, 400, "invalid");
  assert_true(both.closed);
  g_auto(Reply) two = ask(
      probe->port, "POST /t/json HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}");
  check(&two, 400, "invalid");
  g_auto(Reply) chunked =
      ask(probe->port,
          "POST /t/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
          "Transfer-Encoding: chunked\r\n\r\n6\r\n{\"a\": \r\n3;x=y\r\n\"b\"\r\n1\r\n}\r\n0\r\n\r\n");
  check(&chunked, 200, NULL);
  assert_text(&chunked, "a", "b");
}

static void large_bodies_are_refused(void **state) {
  g_autofree char *megabyte = g_strnfill(1000 * 1000 + 1, ' ');
  g_auto(Reply) text = post("/t/echo", "application/json", megabyte);
  check(&text, 413, "too_large");
  g_autofree char *field = g_strconcat(PART("name=a"), megabyte, "\r\n--XyZ--", NULL);
  g_auto(Reply) part = post("/t/echo", MULTIPART, field);
  check(&part, 413, "too_large");
}

/* The answer reaches a client that sends all it has before it reads. */
static void the_answer_reaches_who_still_sends(void **state) {
  const gsize most = 20 * 1000 * 1000;
  g_autofree char *body = g_strnfill(most, 'x');
  static const char *const heads[] = {
      "POST /t/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Type: " MULTIPART
      "\r\nContent-Length: 20000000\r\n\r\n",
      "POST /t/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n",
      "GET /t/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n",
      "POST /t/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
      "20000000\r\n\r\n",
      "POST /t/hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1312D00\r\n",
  };
  static const int statuses[] = {401, 404, 413, 413, 405};
  for (gsize i = 0; i < G_N_ELEMENTS(heads); i++) {
    int fd = client_connect(probe->port);
    client_send(fd, heads[i], -1);
    client_send(fd, body, (gssize)most);
    if (i == 4)
      client_send(fd, "\r\n0\r\n\r\n", -1);
    g_auto(Reply) reply = client_read(fd, FALSE);
    check(&reply, statuses[i], NULL);
    assert_true(client_closed(fd, 5));
    close(fd);
  }
  /* and one that waits is answered before it sends */
  int fd = client_connect(probe->port);
  client_send(fd, heads[0], -1);
  g_auto(Reply) early = client_read(fd, FALSE);
  check(&early, 401, "key_invalid");
  close(fd);
}

static void continue_is_honoured(void **state) {
  int fd = client_connect(probe->port);
  g_autofree char *head = g_strdup_printf("POST /t/echo HTTP/1.1\r\nHost: x\r\nx-api-key: "
                                          "%s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                                          "Content-Length: 7\r\n\r\n",
                                          probe->key);
  client_send(fd, head, -1);
  char line[64] = "";
  assert_int_equal(recv(fd, line, 25, MSG_WAITALL), 25);
  assert_true(g_str_has_prefix(line, "HTTP/1.1 100 "));
  client_send(fd, "{\"a\":1}", -1);
  g_auto(Reply) reply = client_read(fd, FALSE);
  check(&reply, 200, NULL);
  close(fd);
  g_auto(Reply) refused =
      ask(probe->port, "POST /t/echo HTTP/1.1\r\nHost: x\r\nx-api-key: wrong\r\nExpect: 100-continue\r\n"
                       "Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n");
  check(&refused, 401, "key_invalid");
}

static void uploads_are_limited_with_and_without_a_length(void **state) {
  g_autofree char *filler = g_strnfill(100 * 1000, 'x');
  g_autofree char *body = g_strconcat(PART("name=file; filename=f"), filler, "\r\n--XyZ--", NULL);
  g_auto(Reply) known = ask(small->port,
                            "POST /t/store HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: " MULTIPART
                            "\r\nContent-Length: %zu\r\n\r\n%s",
                            small->key, strlen(body), body);
  check(&known, 413, "too_large");
  g_auto(Reply) chunked = ask(small->port,
                              "POST /t/store HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: " MULTIPART
                              "\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                              small->key, strlen(body), body);
  check(&chunked, 413, "too_large");
  assert_no_drafts(small);
}

static void an_upload_becomes_an_object(void **state) {
  const gsize size = 3 * 1000 * 1000 + 17;
  g_autofree char *file = g_malloc(size);
  g_autoptr(GRand) random = g_rand_new_with_seed(1);
  for (gsize i = 0; i < size; i++)
    file[i] = g_rand_int(random) & 7 ? "\r\n--xYz-"[i & 7] : (char)g_rand_int(random);
  g_autoptr(Checksum) checksum = checksum_new();
  checksum_update(checksum, file, size);
  g_autofree char *hash = checksum_hex(checksum);
  static const char before[] = PART("name=a") "1\r\n" PART("name=file; filename=\"f.mp4\""),
                    after[] = "\r\n--XyZ--\r\n";
  int fd = client_connect(probe->port);
  g_autofree char *head =
      g_strdup_printf("POST /t/store HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: " MULTIPART
                      "\r\nContent-Length: %zu\r\n\r\n",
                      probe->key, size + strlen(before) + strlen(after));
  client_send(fd, head, -1);
  client_send(fd, before, -1);
  client_send(fd, file, (gssize)size);
  client_send(fd, after, -1);
  g_auto(Reply) reply = client_read(fd, FALSE);
  check(&reply, 200, NULL);
  assert_text(&reply, "object", hash);
  close(fd);
  g_autofree char *path = objects_path(probe->app->objects, hash, NULL), *kept = NULL;
  gsize kept_size;
  assert_true(g_file_get_contents(path, &kept, &kept_size, NULL));
  assert_int_equal(kept_size, size);
  assert_memory_equal(kept, file, size);
  assert_no_drafts(probe);
}

static void who_stops_halfway_leaves_nothing(void **state) {
  int fd = client_connect(probe->port);
  g_autofree char *head =
      g_strdup_printf("POST /t/store HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: " MULTIPART
                      "\r\nContent-Length: 1000000\r\n\r\n" PART("name=file; filename=f") "begun",
                      probe->key);
  client_send(fd, head, -1);
  for (int i = 0; i < 100 && probe_drafts(probe) == 0; i++)
    g_usleep(20000);
  assert_int_equal(probe_drafts(probe), 1);
  close(fd);
  assert_no_drafts(probe);
}

static void connections_are_kept(void **state) {
  int fd = client_connect(probe->port);
  for (int i = 0; i < 3; i++) {
    client_send(fd, "GET /t/hello HTTP/1.1\r\nHost: x\r\n\r\n", -1);
    g_auto(Reply) one = client_read(fd, FALSE);
    check(&one, 200, NULL);
    client_send(fd,
                "POST /t/json HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Type: text/html\r\n\r\nabc",
                -1);
    g_auto(Reply) refused = client_read(fd, FALSE);
    check(&refused, 415, "content_type");
    client_send(fd, "GET /t/slow?ms=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /t/hello HTTP/1.1\r\nHost: x\r\n\r\n",
                -1);
    g_auto(Reply) slow = client_read(fd, FALSE);
    check(&slow, 200, NULL);
    assert_text(&slow, "slow", "true");
    g_auto(Reply) behind = client_read(fd, FALSE);
    assert_text(&behind, "hello", "true");
  }
  close(fd);
}

/* --- faults --- */

static void faults_keep_their_secrets(void **state) {
  g_auto(Reply) full = get("/t/full");
  check(&full, 503, "busy");
  assert_null(strstr(full.body, "secret"));
  assert_header(&full, "Retry-After", "5");
  g_auto(Reply) fails = post("/t/count", "application/json", "{\"a\":\"fail\"}");
  check(&fails, 500, "internal");
  assert_null(strstr(fails.body, "secret"));
}

static gpointer slow_client(gpointer user) {
  g_auto(Reply) reply = get("/t/slow?ms=150");
  return GINT_TO_POINTER(reply.status);
}

static void many_slow_requests_wait_or_are_refused(void **state) {
  enum { CLIENTS = 320 };
  GThread *threads[CLIENTS];
  for (int i = 0; i < CLIENTS; i++)
    threads[i] = g_thread_new("client", slow_client, NULL);
  gint64 before = g_get_monotonic_time();
  g_auto(Reply) quick = get("/t/hello"); /* is not held up */
  check(&quick, 200, NULL);
  assert_true(g_get_monotonic_time() - before < 2 * G_USEC_PER_SEC);
  int good = 0, busy = 0;
  for (int i = 0; i < CLIENTS; i++) {
    int status = GPOINTER_TO_INT(g_thread_join(threads[i]));
    good += status == 200;
    busy += status == 503;
  }
  assert_int_equal(good + busy, CLIENTS);
  assert_true(good >= 256);
}

/* --- a crowd --- */

/* One of many at the same time, each with a mixture of everything. */
static gpointer one_of_a_crowd(gpointer user) {
  int me = GPOINTER_TO_INT(user), wrong = 0;
  for (int i = 0; i < 12; i++) {
    g_autofree char *json = g_strdup_printf("{\"a\":\"%d\"}", me), *text = g_strdup_printf("%d", me);
    g_autofree char *file = g_strdup_printf(PART("name=file; filename=f") "%d.%d\r\n--XyZ--", me, i);
    g_auto(Reply) plain = get("/t/things/special");
    g_auto(Reply) kept = get("/t/kept/crowd");
    g_auto(Reply) echoed = post("/t/echo", "application/json", json);
    g_auto(Reply) stored = post("/t/store", MULTIPART, file);
    g_auto(Reply) slow = get("/t/slow?ms=2");
    g_auto(Reply) part =
        ask(probe->port, "GET /t/file HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-\r\n\r\n", 99000 + me);
    g_auto(Reply) miss = get("/t/nothing");
    g_autofree char *value = reply_text(&echoed, "a");
    wrong += plain.status != 200 || kept.status != 200 || slow.status != 200 || stored.status != 200 ||
             part.status != 206 || part.length != (gsize)(1000 - me) || miss.status != 404 ||
             g_strcmp0(value, text) != 0;
    if (i == 0) {
      g_auto(Reply) events = get("/t/events?last=2");
      g_auto(Reply) numbers = get("/t/metrics");
      wrong += !strstr(events.body, "data: 2") || numbers.status != 200;
    }
  }
  return GINT_TO_POINTER(wrong);
}

static void a_crowd_is_served(void **state) {
  GThread *threads[16];
  int wrong = 0;
  for (int i = 0; i < 16; i++)
    threads[i] = g_thread_new("client", one_of_a_crowd, GINT_TO_POINTER(i));
  for (int i = 0; i < 16; i++)
    wrong += GPOINTER_TO_INT(g_thread_join(threads[i]));
  assert_int_equal(wrong, 0);
  assert_no_drafts(probe);
}

/* --- idempotency --- */

static Reply post_once(const char *name, const char *type, const char *body) {
  return ask(
      probe->port,
      "POST /t/count HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nIdempotency-Key: %s\r\nContent-Type: %s\r\n"
      "Content-Length: %zu\r\n\r\n%s",
      probe->key, name, type, strlen(body), body);
}

static void a_repetition_gets_the_first_answer(void **state) {
  int before = probe_count();
  g_auto(Reply) first = post_once("once", "application/json", "{\"a\":\"1\",\"b\":2}");
  check(&first, 201, NULL);
  assert_header(&first, "Idempotency-Replayed", NULL);
  g_auto(Reply) again = post_once("once", "application/json", "{\"b\":2, \"a\":\"1\"}");
  check(&again, 201, NULL);
  assert_header(&again, "Idempotency-Replayed", "true");
  assert_string_equal(again.body, first.body);
  assert_int_equal(probe_count(), before + 1);
  g_auto(Reply) other = post_once("once", "application/json", "{\"a\":\"2\"}");
  check(&other, 409, "conflict");
  /* another boundary is the same request */
  g_auto(Reply) parts = post_once("parts", MULTIPART, PART("name=file; filename=f") "abc\r\n--XyZ--");
  check(&parts, 201, NULL);
  g_auto(Reply) same =
      post_once("parts", "multipart/form-data; boundary=Q",
                "--Q\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nabc\r\n--Q--");
  assert_string_equal(same.body, parts.body);
  g_auto(Reply) else_file = post_once("parts", MULTIPART, PART("name=file; filename=f") "abd\r\n--XyZ--");
  check(&else_file, 409, "conflict");
  /* a refusal is kept, our own trouble is not */
  g_auto(Reply) refused = post_once("refused", "application/json", "{\"a\":\"refuse\"}");
  check(&refused, 400, "invalid");
  g_auto(Reply) still = post_once("refused", "application/json", "{\"a\":\"refuse\"}");
  check(&still, 400, "invalid");
  assert_header(&still, "Idempotency-Replayed", "true");
  g_auto(Reply) failed = post_once("failed", "application/json", "{\"a\":\"fail\"}");
  check(&failed, 500, "internal");
  g_auto(Reply) tried = post_once("failed", "application/json", "{\"a\":\"fail\"}");
  check(&tried, 500, "internal");
  assert_header(&tried, "Idempotency-Replayed", NULL);
  g_autofree char *long_name = g_strnfill(256, 'k');
  g_auto(Reply) too_long = post_once(long_name, "application/json", "{}");
  check(&too_long, 400, "invalid");
  g_auto(Reply) empty = post_once("", "application/json", "{}");
  check(&empty, 400, "invalid");
}

/* --- answers that are kept --- */

static void kept_answers_hold_until_a_table_changes(void **state) {
  g_auto(Reply) first = get("/t/kept/1?a=b");
  check(&first, 200, NULL);
  int same = 0;
  for (int i = 0; i < 10; i++) { /* a second may pass between two of them, not between all */
    g_auto(Reply) again = get("/t/kept/1?a=b");
    same += strcmp(again.body, first.body) == 0;
  }
  assert_true(same > 0);
  static const char *const others[] = {"/t/kept/2?a=b", "/t/kept/1?a=c", "/t/kept/1", "/t/kept/1?"};
  for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
    g_auto(Reply) other = get(others[i]);
    assert_string_not_equal(other.body, first.body);
  }
  GError *error = NULL;
  g_auto(Reply) before = get("/t/kept/3");
  g_free(key_create(probe->app, &(KeyOptions){.dialect = "viggle"}, &error));
  assert_null(error);
  g_auto(Reply) after = get("/t/kept/3");
  assert_string_not_equal(after.body, before.body);
}

/* --- files --- */

static Reply get_file(const char *method, const char *headers) {
  return ask(probe->port, "%s /t/file HTTP/1.1\r\nHost: x\r\n%s\r\n", method, headers);
}

static char expected_byte(int at) {
  return (char)(at * 31 >> 3);
}

static void assert_bytes(const Reply *reply, int first, int length) {
  assert_int_equal(reply->length, length);
  for (int i = 0; i < length; i++)
    assert_int_equal(reply->body[i], expected_byte(first + i));
}

static void files_are_served_whole_and_in_parts(void **state) {
  g_auto(Reply) whole = get_file("GET", "");
  check(&whole, 200, NULL);
  assert_bytes(&whole, 0, PROBE_FILE_BYTES);
  assert_header(&whole, "Content-Type", "video/mp4");
  assert_header(&whole, "ETag", "\"abc123\"");
  assert_header(&whole, "Accept-Ranges", "bytes");
  assert_header(&whole, "X-Content-Type-Options", "nosniff");
  assert_header(&whole, "Content-Disposition", "inline; filename=\"probe.mp4\"");
  g_auto(Reply) part = get_file("GET", "Range: bytes=1000-1999\r\n");
  check(&part, 206, NULL);
  assert_bytes(&part, 1000, 1000);
  assert_header(&part, "Content-Range", "bytes 1000-1999/100000");
  g_auto(Reply) last = get_file("GET", "Range: bytes=-10\r\n");
  check(&last, 206, NULL);
  assert_bytes(&last, PROBE_FILE_BYTES - 10, 10);
  g_auto(Reply) beyond = get_file("GET", "Range: bytes=100000-\r\n");
  check(&beyond, 416, NULL);
  assert_header(&beyond, "Content-Range", "bytes */100000");
  g_auto(Reply) several = get_file("GET", "Range: bytes=0-1,3-4\r\n");
  check(&several, 200, NULL);
  g_auto(Reply) head = get_file("HEAD", "Range: bytes=0-1\r\n");
  check(&head, 200, NULL);
  assert_header(&head, "Content-Length", "100000");
}

static void files_are_conditional(void **state) {
  g_auto(Reply) whole = get_file("HEAD", "");
  g_autofree char *modified = reply_header(&whole, "Last-Modified");
  static const char *const same[] = {"If-None-Match: \"abc123\"\r\n", "If-None-Match: W/\"abc123\"\r\n",
                                     "If-None-Match: *\r\n"};
  for (gsize i = 0; i < G_N_ELEMENTS(same); i++) {
    g_auto(Reply) reply = get_file("GET", same[i]);
    check(&reply, 304, NULL);
    assert_header(&reply, "ETag", "\"abc123\"");
  }
  g_autofree char *since = g_strdup_printf("If-Modified-Since: %s\r\n", modified);
  g_auto(Reply) unchanged = get_file("GET", since);
  check(&unchanged, 304, NULL);
  g_auto(Reply) other = get_file("GET", "If-None-Match: \"other\"\r\n");
  check(&other, 200, NULL);
  g_auto(Reply) resumed = get_file("GET", "Range: bytes=5-9\r\nIf-Range: \"abc123\"\r\n");
  check(&resumed, 206, NULL);
  g_auto(Reply) changed = get_file("GET", "Range: bytes=5-9\r\nIf-Range: \"old\"\r\n");
  check(&changed, 200, NULL);
  g_autofree char *dated = g_strdup_printf("Range: bytes=5-9\r\nIf-Range: %s\r\n", modified);
  g_auto(Reply) by_date = get_file("GET", dated);
  check(&by_date, 206, NULL);
}

static void names_of_files_are_safe(void **state) {
  g_auto(Reply) reply = get("/t/file?name=%C3%A4%22%0D%0Ax.html");
  check(&reply, 200, NULL);
  assert_header(&reply, "Content-Type", "application/octet-stream");
  assert_header(&reply, "Content-Disposition",
                "attachment; filename=\"_____x.html\"; filename*=UTF-8''%C3%A4%22%0D%0Ax.html");
}

/* --- events and numbers --- */

static void events_come_as_a_stream(void **state) {
  g_auto(Reply) reply = get("/t/events?last=3");
  check(&reply, 200, NULL);
  assert_header(&reply, "Content-Type", "text/event-stream");
  assert_string_equal(strchr(reply.body, '\n') + 2, "data: 1\n\ndata: 2\n\ndata: 3\n\n");
  /* a listener that goes away is noticed at the end at the latest */
  for (int i = 0; i < 20; i++) {
    int fd = client_connect(probe->port);
    client_send(fd, "GET /t/events?last=-1 HTTP/1.1\r\nHost: x\r\n\r\n", -1);
    char head[16];
    assert_int_equal(recv(fd, head, sizeof head, MSG_WAITALL), sizeof head);
    close(fd);
  }
}

static void numbers_are_counted(void **state) {
  g_auto(Reply) reply = get("/t/metrics");
  check(&reply, 200, NULL);
  assert_non_null(strstr(
      reply.body,
      "troupe_http_requests_total{dialect=\"test\",method=\"GET\",route=\"/t/hello\",status=\"200\"} "));
  assert_non_null(
      strstr(reply.body, "troupe_http_requests_total{dialect=\"\",method=\"\",route=\"\",status=\"404\"} "));
  assert_non_null(strstr(
      reply.body,
      "troupe_http_request_seconds_bucket{dialect=\"test\",method=\"GET\",route=\"/t/hello\",le=\"+Inf\"} "));
  assert_non_null(strstr(reply.body, "troupe_http_connections "));
}

/* --- the end --- */

static gpointer slow_until_the_end(gpointer user) {
  Probe *ending = user;
  g_auto(Reply) reply = ask(ending->port, "GET /t/slow?ms=700 HTTP/1.1\r\nHost: x\r\n\r\n");
  return GINT_TO_POINTER(reply.status);
}

static void stopping_answers_what_runs(void **state) {
  Probe *ending = probe_new(NULL);
  GThread *client = g_thread_new("client", slow_until_the_end, ending);
  int idle = client_connect(ending->port), stream = client_connect(ending->port);
  client_send(stream, "GET /t/events?last=-1 HTTP/1.1\r\nHost: x\r\n\r\n", -1);
  client_send(idle, "GET /t/hello HTTP/1.1\r\nHost: x\r\n\r\n", -1);
  g_auto(Reply) first = client_read(idle, FALSE);
  assert_int_equal(first.status, 200);
  g_usleep(200000);
  gint64 before = g_get_monotonic_time();
  api_stop(ending->api, 10);
  assert_true(g_get_monotonic_time() - before < 5 * G_USEC_PER_SEC);
  assert_int_equal(GPOINTER_TO_INT(g_thread_join(client)), 200);
  g_auto(Reply) events = client_read(stream, FALSE); /* to its end */
  assert_int_equal(events.status, 200);
  close(stream);
  probe_free(ending);
  assert_true(client_closed(idle, 1));
  close(idle);
}

static void addresses_are_checked(void **state) {
  static const char *const bad[] = {
      "", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "no.such.host.invalid:80"};
  static const Dialect *const none[] = {NULL};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    assert_null(api_start(probe->app, &(ApiOptions){bad[i], none, 1, FALSE}, &error));
    assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
  }
  g_autofree char *taken = g_strdup_printf("127.0.0.1:%d", probe->port);
  g_autoptr(GError) error = NULL;
  assert_null(api_start(probe->app, &(ApiOptions){taken, none, 1, FALSE}, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_OUTPUT));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_carry_the_common_headers),
      cmocka_unit_test(routes_are_found),
      cmocka_unit_test(misses_are_told_in_the_dialect),
      cmocka_unit_test(a_key_tells_dialects_apart),
      cmocka_unit_test(browsers_may_ask_first),
      cmocka_unit_test(broken_encodings_are_refused),
      cmocka_unit_test(keys_are_checked),
      cmocka_unit_test(a_host_is_needed),
      cmocka_unit_test(bodies_of_all_kinds_are_read),
      cmocka_unit_test(broken_bodies_are_refused),
      cmocka_unit_test(types_and_lengths_are_checked),
      cmocka_unit_test(large_bodies_are_refused),
      cmocka_unit_test(the_answer_reaches_who_still_sends),
      cmocka_unit_test(continue_is_honoured),
      cmocka_unit_test(uploads_are_limited_with_and_without_a_length),
      cmocka_unit_test(an_upload_becomes_an_object),
      cmocka_unit_test(who_stops_halfway_leaves_nothing),
      cmocka_unit_test(connections_are_kept),
      cmocka_unit_test(faults_keep_their_secrets),
      cmocka_unit_test(many_slow_requests_wait_or_are_refused),
      cmocka_unit_test(a_crowd_is_served),
      cmocka_unit_test(a_repetition_gets_the_first_answer),
      cmocka_unit_test(kept_answers_hold_until_a_table_changes),
      cmocka_unit_test(files_are_served_whole_and_in_parts),
      cmocka_unit_test(files_are_conditional),
      cmocka_unit_test(names_of_files_are_safe),
      cmocka_unit_test(events_come_as_a_stream),
      cmocka_unit_test(numbers_are_counted),
      cmocka_unit_test(stopping_answers_what_runs),
      cmocka_unit_test(addresses_are_checked),
      cmocka_unit_test(rates_are_limited),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
