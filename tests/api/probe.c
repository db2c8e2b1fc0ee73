#include "probe.h"
#include "base/files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- routes --- */

static gint count;

int probe_count(void) {
  return g_atomic_int_get(&count);
}

static Answer *hello(Api *api, Request *request, GError **error) {
  const Caller *caller = request_caller(request);
  return answer_json(200, json_pack("{s:b, s:s?}", "hello", 1, "account", caller ? caller->account : NULL));
}

static Answer *thing(Api *api, Request *request, GError **error) {
  const char *id = request_argument(request, "id");
  return answer_json(200, json_pack("{s:s?, s:s?}", "id", id, "q", request_query(request, "q")));
}

static Answer *special(Api *api, Request *request, GError **error) {
  return answer_json(200, json_pack("{s:b}", "special", 1));
}

/* Says what came. */
static Answer *echo(Api *api, Request *request, GError **error) {
  json_t *body = json_object();
  static const char *const names[] = {"a", "b", "c", "text"};
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    const char *value = request_field(request, names[i]);
    if (value)
      json_object_set_new(body, names[i], json_string(value));
    const char *const *all = request_fields(request, names[i]);
    json_t *list = json_array();
    for (; *all; all++)
      json_array_append_new(list, json_string(*all));
    g_autofree char *plural = g_strconcat(names[i], "s", NULL);
    json_object_set_new(body, plural, list);
  }
  InputSource source;
  request_source(request, "file", &source);
  if (source.path)
    json_object_set_new(body, "file",
                        json_pack("{s:s, s:I}", "hash", source.hash, "bytes", (json_int_t)source.bytes));
  if (source.url)
    json_object_set_new(body, "url", json_string(source.url));
  gboolean flag;
  int limit, offset;
  if (!request_truth(request, "flag", FALSE, &flag, error) ||
      !request_page(request, 20, 100, FALSE, &limit, &offset, error)) {
    json_decref(body);
    return NULL;
  }
  json_object_set_new(body, "flag", json_boolean(flag));
  json_object_set_new(body, "limit", json_integer(limit));
  json_object_set_new(body, "offset", json_integer(offset));
  return answer_json(200, body);
}

/* Puts an upload into the store, as a real handler does. */
static Answer *store(Api *api, Request *request, GError **error) {
  InputSource source;
  request_source(request, "file", &source);
  if (!source.path) {
    refuse(error, REFUSAL_INVALID, "file is missing.");
    return NULL;
  }
  g_autofree char *id = objects_put(request_app(request)->objects, source.path, source.hash, NULL, error);
  return id ? answer_json(200, json_pack("{s:s}", "object", id)) : NULL;
}

static Answer *slow(Api *api, Request *request, GError **error) {
  const char *ms = request_query(request, "ms");
  g_usleep((gulong)(ms ? atoi(ms) : 50) * 1000);
  return answer_json(200, json_pack("{s:b}", "slow", 1));
}

static Answer *counted(Api *api, Request *request, GError **error) {
  int n = g_atomic_int_add(&count, 1) + 1;
  const char *fail = request_field(request, "a");
  if (fail && strcmp(fail, "fail") == 0) {
    fault(error, FAULT_INTERNAL, "secret of the house");
    return NULL;
  }
  if (fail && strcmp(fail, "refuse") == 0) {
    refuse(error, REFUSAL_INVALID, "a is refused.");
    return NULL;
  }
  return answer_json(201, json_pack("{s:i}", "count", n));
}

static Answer *served_file(Api *api, Request *request, GError **error) {
  g_autofree char *path = g_build_filename(request_app(request)->settings->data, "probe.mp4", NULL);
  const char *name = request_query(request, "name");
  return answer_file(request, path, name ? name : "probe.mp4", "abc123");
}

/* Counts how often it was asked. */
static Answer *kept(Api *api, Request *request, GError **error) {
  static gint asked;
  return answer_json(200, json_pack("{s:i}", "asked", g_atomic_int_add(&asked, 1)));
}

static Answer *store_fault(Api *api, Request *request, GError **error) {
  fault(error, FAULT_STORE, "/secret/path is full");
  return NULL;
}

static Answer *numbers(Api *api, Request *request, GError **error) {
  char *text = api_metrics(api);
  return answer_bytes(200, "text/plain; version=0.0.4", g_bytes_new_take(text, strlen(text)));
}

typedef struct {
  int next, last;
} Ticker;

static char *tick(Api *api, gpointer user, gboolean *done) {
  Ticker *ticker = user;
  if (ticker->last < 0)
    return g_strdup("");
  *done = ++ticker->next >= ticker->last;
  return g_strdup_printf("data: %d\n\n", ticker->next);
}

static Answer *ticks(Api *api, Request *request, GError **error) {
  Ticker *ticker = g_new0(Ticker, 1);
  const char *last = request_query(request, "last");
  ticker->last = last ? atoi(last) : 3;
  return answer_events(tick, ticker, g_free);
}

/* --- answers that are made later --- */

typedef struct {
  gint64 due; /* monotonic, microseconds; -1: never */
  int number;
  gboolean fail;
} Promise;

static gint promises; /* that were freed */

int probe_promises_freed(void) {
  return g_atomic_int_get(&promises);
}

static void promise_free(gpointer promise) {
  g_atomic_int_inc(&promises);
  g_free(promise);
}

static Answer *keep_promise(Api *api, Request *request, gpointer user, GError **error) {
  const Promise *promise = user;
  if (promise->due < 0 || g_get_monotonic_time() < promise->due)
    return NULL;
  if (promise->fail)
    return refuse_null(error, REFUSAL_CONFLICT, "It failed.");
  return answer_json(200, json_pack("{s:i, s:s}", "count", promise->number, "path", request_path(request)));
}

static Answer *later(Api *api, Request *request, GError **error) {
  const char *ms = request_query(request, "ms");
  Promise *promise = g_new0(Promise, 1);
  promise->due = ms && *ms != '-' ? g_get_monotonic_time() + atoi(ms) * 1000 : -1;
  promise->fail = request_query(request, "fail") != NULL;
  promise->number = g_atomic_int_add(&count, 1) + 1;
  return answer_later(keep_promise, promise, promise_free);
}

#define ANY_BODY (BODY_MULTIPART | BODY_FORM | BODY_JSON)
static const Route routes[] = {
    {"GET", "/t/hello", hello, ROUTE_OPEN, 0, NULL},
    {"GET", "/t/me", hello, 0, 0, "read"},
    {"POST", "/t/me", hello, 0, 0, "write"},
    {"GET", "/t/things/{id}", thing, ROUTE_OPEN, 0, NULL},
    {"DELETE", "/t/things/{id}", thing, ROUTE_OPEN, 0, NULL},
    {"GET", "/t/things/special", special, ROUTE_OPEN, 0, NULL},
    {"POST", "/t/echo", echo, 0, ANY_BODY, "write"},
    {"POST", "/t/store", store, ROUTE_SLOW, BODY_MULTIPART, "write"},
    {"POST", "/t/json", echo, ROUTE_OPEN, BODY_JSON, NULL},
    {"GET", "/t/slow", slow, ROUTE_OPEN | ROUTE_SLOW, 0, NULL},
    {"POST", "/t/count", counted, 0, ANY_BODY, "write"},
    {"GET", "/t/file", served_file, ROUTE_OPEN, 0, NULL},
    {"GET", "/t/kept/{id}", kept, ROUTE_OPEN | ROUTE_KEPT, 0, NULL},
    {"GET", "/t/full", store_fault, ROUTE_OPEN, 0, NULL},
    {"GET", "/t/metrics", numbers, ROUTE_OPEN, 0, NULL},
    {"GET", "/t/events", ticks, ROUTE_OPEN, 0, NULL},
    {"GET", "/t/later", later, ROUTE_OPEN, 0, NULL},
    {"POST", "/t/later", later, ROUTE_SLOW, ANY_BODY, "write"},
};

static const Route other_routes[] = {
    {"GET", "/t/other/hello", hello, ROUTE_OPEN, 0, NULL},
    {"GET", "/t/me", special, ROUTE_OPEN, 0, NULL},
};

static const Route daily_routes[] = {
    {"GET", "/t/daily/me", hello, 0, 0, "read"},
    {"GET", "/t/daily/open", hello, ROUTE_OPEN, 0, NULL},
    {"POST", "/t/daily/me", hello, ROUTE_SLOW, BODY_JSON, "write"},
};

static const ErrorRow errors[] = {
    {REFUSAL_BUSY, 503, "busy", NULL},
    {REFUSAL_INVALID, 400, "invalid", NULL},
    {REFUSAL_KEY_MISSING, 401, "key_missing", NULL},
    {REFUSAL_KEY_FORM, 401, "key_form", NULL},
    {REFUSAL_KEY_INVALID, 401, "key_invalid", NULL},
    {REFUSAL_FORBIDDEN, 403, "forbidden", NULL},
    {REFUSAL_RATE, 429, "rate", NULL},
    {REFUSAL_NOT_FOUND, 404, "not_found", NULL},
    {REFUSAL_JSON, 400, "invalid", NULL},
    {REFUSAL_DAY, 429, "day", NULL},
    {REFUSAL_METHOD, 405, "method", NULL},
    {REFUSAL_CONFLICT, 409, "conflict", NULL},
    {REFUSAL_LENGTH, 411, "length", NULL},
    {REFUSAL_TOO_LARGE, 413, "too_large", NULL},
    {REFUSAL_CONTENT_TYPE, 415, "content_type", NULL},
    {REFUSAL_INTERNAL, 500, "internal", NULL},
};

static json_t *error_body(const Request *request, const ErrorRow *row, const char *message) {
  return json_pack("{s:{s:s, s:s}}", "error", "code", row->code, "message", message);
}

static json_t *other_error_body(const Request *request, const ErrorRow *row, const char *message) {
  return json_pack("{s:s}", "other", row->code);
}

static const Dialect dialect = {"test", {"/t"}, NULL, routes, G_N_ELEMENTS(routes), errors, error_body};
static const Dialect other = {"other", {"/t/other"},    "other_", other_routes, G_N_ELEMENTS(other_routes),
                              errors,  other_error_body};

/* A dialect whose keys have a form, with callers that it does not serve, and a limit for each day. */
static gboolean daily_key(const Request *request, GError **error) {
  const char *key = request_header(request, "Authorization");
  return !key || g_str_has_prefix(key, "Bearer sk-") || refuse(error, REFUSAL_KEY_FORM, "No.");
}

static gboolean daily_caller(App *app, const Caller *caller, GError **error) {
  return !g_str_equal(caller->scopes, "write") || refuse(error, REFUSAL_FORBIDDEN, "Not you.");
}

static const Dialect daily = {.name = "daily",
                              .prefixes = {"/t/daily"},
                              .routes = daily_routes,
                              .route_count = G_N_ELEMENTS(daily_routes),
                              .errors = errors,
                              .error_body = error_body,
                              .check_key = daily_key,
                              .check_caller = daily_caller,
                              .daily = TRUE};
static const Dialect *const dialects[] = {&dialect, &other, &daily, NULL};

/* --- the server --- */

static void fatal(GError *error) {
  if (error)
    g_error("%s", error->message);
}

Probe *probe_new(void (*changes)(Settings *settings)) {
  GError *error = NULL;
  Probe *probe = g_new0(Probe, 1);
  probe->folder = g_dir_make_tmp("api-XXXXXX", &error);
  fatal(error);
  probe->settings = settings_new();
  probe->settings->data = g_strdup(probe->folder);
  probe->settings->requests_minute = 1000000;
  if (changes)
    changes(probe->settings);
  probe->app = app_open(probe->settings, &error);
  fatal(error);
  gboolean fresh;
  g_free(account_default(probe->app, &fresh, &error));
  fatal(error);
  probe->key = key_create(probe->app, &(KeyOptions){.dialect = "viggle"}, &error);
  fatal(error);
  probe->read_key = key_create(probe->app, &(KeyOptions){.dialect = "viggle", .scopes = "read"}, &error);
  fatal(error);
  g_autofree char *path = g_build_filename(probe->folder, "probe.mp4", NULL),
                  *bytes = g_malloc(PROBE_FILE_BYTES);
  for (int i = 0; i < PROBE_FILE_BYTES; i++)
    bytes[i] = (char)(i * 31 >> 3);
  g_file_set_contents(path, bytes, PROBE_FILE_BYTES, &error);
  fatal(error);
  ApiOptions options = {"127.0.0.1:0", dialects, 2, g_getenv("PROBE_LOG") != NULL};
  probe->api = api_start(probe->app, &options, &error);
  fatal(error);
  probe->port = atoi(strrchr(api_url(probe->api), ':') + 1);
  return probe;
}

void probe_free(Probe *probe) {
  api_stop(probe->api, 5);
  api_free(probe->api);
  app_free(probe->app);
  files_remove_tree(probe->folder);
  settings_free(probe->settings);
  g_free(probe->folder);
  g_free(probe->key);
  g_free(probe->read_key);
  g_free(probe);
}

static int files_in(const char *path) {
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  int files = 0;
  while (dir && g_dir_read_name(dir))
    files++;
  return files;
}

int probe_drafts(const Probe *probe) {
  g_autofree char *draft = objects_draft(probe->app->objects, NULL), *folder = g_path_get_dirname(draft);
  return files_in(folder);
}

/* --- the client --- */

int client_connect(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((guint16)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
    g_error("connect: %s", g_strerror(errno));
  struct timeval patience = {.tv_sec = 20};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

void client_send(int fd, const char *bytes, gssize length) {
  gsize left = length < 0 ? strlen(bytes) : (gsize)length;
  while (left > 0) {
    gssize n = send(fd, bytes, left, MSG_NOSIGNAL);
    if (n <= 0)
      return; /* the answer tells why */
    bytes += n;
    left -= (gsize)n;
  }
}

/* Reads until the text has `wanted` bytes or the connection ends. */
static gboolean read_until(int fd, GString *text, gsize wanted) {
  char buffer[16384];
  while (text->len < wanted) {
    gssize n = recv(fd, buffer, MIN(sizeof buffer, wanted - text->len), 0);
    if (n <= 0)
      return FALSE;
    g_string_append_len(text, buffer, n);
  }
  return TRUE;
}

static gboolean read_line(int fd, GString *line) {
  g_string_truncate(line, 0);
  do
    if (!read_until(fd, line, line->len + 1))
      return FALSE;
  while (!g_str_has_suffix(line->str, "\n"));
  return TRUE;
}

static void read_chunks(int fd, GString *body) {
  g_autoptr(GString) line = g_string_new(NULL);
  while (read_line(fd, line)) {
    gsize size = strtoul(line->str, NULL, 16);
    if (!read_until(fd, body, body->len + size) || !read_line(fd, line) || size == 0)
      return;
  }
}

Reply client_read(int fd, gboolean head_only) {
  Reply reply = {0};
  g_autoptr(GString) line = g_string_new(NULL);
  GString *head = g_string_new(NULL), *body = g_string_new(NULL);
  while (read_line(fd, line) && strcmp(line->str, "\r\n") != 0)
    g_string_append(head, line->str);
  reply.head = g_string_free(head, FALSE);
  if (g_str_has_prefix(reply.head, "HTTP/1.1 "))
    reply.status = atoi(reply.head + 9);
  g_autofree char *length = reply_header(&reply, "Content-Length"),
                  *coding = reply_header(&reply, "Transfer-Encoding");
  if (reply.status && reply.status != 304 && reply.status != 204 && !head_only) {
    if (coding)
      read_chunks(fd, body);
    else if (length)
      read_until(fd, body, strtoul(length, NULL, 10));
  }
  reply.length = body->len;
  reply.body = g_string_free(body, FALSE);
  return reply;
}

gboolean client_closed(int fd, int seconds) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  char byte;
  return poll(&wait, 1, seconds * 1000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

Reply ask(int port, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  int fd = client_connect(port);
  client_send(fd, text, -1);
  Reply reply = client_read(fd, g_str_has_prefix(text, "HEAD "));
  g_autofree char *connection = reply_header(&reply, "Connection");
  gboolean last = g_strcmp0(connection, "close") == 0 || strstr(text, " HTTP/1.0\r\n");
  reply.closed = client_closed(fd, last ? 5 : 0);
  close(fd);
  return reply;
}

void reply_clear(Reply *reply) {
  g_free(reply->head);
  g_free(reply->body);
  *reply = (Reply){0};
}

char *reply_header(const Reply *reply, const char *name) {
  g_auto(GStrv) lines = g_strsplit(reply->head, "\r\n", -1);
  gsize length = strlen(name);
  for (char **line = lines; *line; line++)
    if (g_ascii_strncasecmp(*line, name, length) == 0 && (*line)[length] == ':')
      return g_strdup(g_strstrip(*line + length + 1));
  return NULL;
}

char *reply_text(const Reply *reply, const char *path) {
  json_t *root = json_loadb(reply->body, reply->length, 0, NULL), *at = root;
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  for (char **name = names; *name && at; name++)
    at = json_object_get(at, *name);
  char *text = NULL;
  if (json_is_string(at)) {
    text = g_strdup(json_string_value(at));
  } else if (at) {
    char *dump = json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT);
    text = g_strdup(dump);
    free(dump);
  }
  json_decref(root);
  return text;
}
