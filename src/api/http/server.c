/* The glue to libmicrohttpd, and the threads.
 *
 * libmicrohttpd calls on_uri when a request line has come, on_call once when the headers have, once for each
 * piece of the body and once at its end, and on_completed when all is over, always on the event-loop thread
 * of the connection.
 *
 * A request that is refused before its body was read would be answered and closed by libmicrohttpd at once;
 * the bytes that the client still sends would then be met with a reset that can destroy the answer on its
 * way. So, unless the client waits for "100 Continue", a small rest is read before the answer is given (and
 * the connection stays), and for a large one the answer is written to the socket directly, what follows is
 * read and dropped up to a limit, and then the connection is closed. */
#include "api/http/server.h"
#include "api/http/answer.h"
#include "api/http/body.h"
#include "api/http/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 20000
#define CONNECTION_MEMORY                                                                                    \
  (16 * 1024) /* of headers and buffers: 10,000 idle connections hold 160 MB of it                           \
               */
#define IDLE_SECONDS 75
#define HEADERS_SECONDS 30 /* for a request's head, beyond the time that a connection may be idle */
#define BODY_GRACE_SECONDS 20
#define BODY_BYTES_SECOND 1000 /* on average, after the grace */
#define SLOW_THREADS 64
#define SLOW_WAITING 256
#define QUIET_REST (64 * 1024)         /* what is read of a refused body before the answer */
#define LINGER_REST (64 * 1024 * 1024) /* what is dropped after it */
#define WATCH_SECONDS 5

typedef struct {
  GList link; /* in api->connections */
  int fd;
  gint64 idle_since; /* monotonic seconds; 0 while a request is served */
  Request request;
} Connection;

static gint64 seconds_now(void) {
  return g_get_monotonic_time() / G_USEC_PER_SEC;
}

/* --- a request's way --- */

static void refuse_request(Request *request, GError *error) {
  if (request->answer)
    answer_free(request->answer);
  if (!request->dialect)
    request->dialect = guess_dialect(request);
  request->answer = answer_error(request, error);
  g_clear_pointer(&request->body, body_free);
}

/* How much is still to come. */
static guint64 rest(const Request *request) {
  return request->length == G_MAXUINT64 ? G_MAXUINT64
                                        : request->length - MIN(request->received, request->length);
}

static gboolean waits_for_continue(const Request *request) {
  return request->header.expect && g_ascii_strcasecmp(request->header.expect, "100-continue") == 0;
}

/* The answer is known, the body is not there yet. */
static enum MHD_Result answer_early(Request *request) {
  if (rest(request) == 0)
    return MHD_YES; /* the call at the end answers */
  if (request->received == 0 && waits_for_continue(request))
    return answer_queue(request);
  if (rest(request) > QUIET_REST)
    answer_send(request);
  return MHD_YES;
}

static enum MHD_Result headers_came(Request *request, const char *method, const char *version) {
  GError *error = NULL;
  request->state = REQUEST_BODY;
  request->body_started = g_get_monotonic_time();
  g_atomic_int_inc(&request->api->running);
  if (!request_read_headers(request, method, version, &error) || !admit(request, &error))
    refuse_request(request, error);
  return request->answer ? answer_early(request) : MHD_YES;
}

static gboolean too_slow(const Request *request) {
  gint64 seconds = (g_get_monotonic_time() - request->body_started) / G_USEC_PER_SEC;
  return seconds > BODY_GRACE_SECONDS &&
         request->received < (guint64)(seconds - BODY_GRACE_SECONDS) * BODY_BYTES_SECOND;
}

static gboolean take_piece(Request *request, const char *bytes, gsize length, GError **error) {
  if (too_slow(request))
    return refuse(error, REFUSAL_INVALID, "The body came too slowly: at least %d bytes a second are needed.",
                  BODY_BYTES_SECOND);
  return body_feed(request, bytes, length, error);
}

static enum MHD_Result piece_came(Request *request, const char *bytes, size_t *size) {
  gsize length = *size;
  *size = 0;
  request->received += length;
  if (request->state == REQUEST_LINGER)
    return request->received < LINGER_REST && !too_slow(request) ? MHD_YES : MHD_NO;
  if (request->answer)
    return MHD_YES;
  GError *error = NULL;
  if (take_piece(request, bytes, length, &error))
    return MHD_YES;
  gboolean slow = too_slow(request);
  refuse_request(request, error);
  if (slow)
    request->answer->status = 408;
  return answer_early(request);
}

static void refuse_busy(Request *request) {
  GError *error = NULL;
  refuse(&error, REFUSAL_BUSY, "The server is busy. Try again in a moment.");
  refuse_request(request, error);
}

static enum MHD_Result run_slowly(Request *request) {
  Api *api = request->api;
  if (g_thread_pool_unprocessed(api->pool) >= SLOW_WAITING) {
    refuse_busy(request);
    return answer_queue(request);
  }
  request->state = REQUEST_RUNNING;
  MHD_suspend_connection(request->connection);
  g_thread_pool_push(api->pool, request, NULL);
  return MHD_YES;
}

/* On a thread of the pool. */
static void run_one(gpointer data, gpointer user) {
  Request *request = data;
  if (g_atomic_int_get(&request->api->ended)) /* its time is over before it began */
    refuse_busy(request);
  else
    dispatch(request);
  if (request->answer->next)
    laters_add(request->api->laters, request);
  else
    loop_resume(request->loop, request->connection);
}

static enum MHD_Result all_came(Request *request) {
  GError *error = NULL;
  if (request->state == REQUEST_LINGER)
    return MHD_NO; /* closes: the answer is out */
  if (!request->answer && !body_finish(request, &error))
    refuse_request(request, error);
  if (request->answer)
    return answer_queue(request);
  if (request->entry->route->flags & ROUTE_SLOW || (request->caller && request->header.idempotency_key))
    return run_slowly(request);
  dispatch(request);
  if (!request->answer->next)
    return answer_queue(request);
  request->state = REQUEST_RUNNING;
  MHD_suspend_connection(request->connection);
  laters_add(request->api->laters, request);
  return MHD_YES;
}

/* --- libmicrohttpd's calls --- */

static Connection *connection_of(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info->socket_context;
}

static void *on_uri(void *user, const char *uri, struct MHD_Connection *mhd) {
  Connection *connection = connection_of(mhd);
  request_begin(&connection->request, uri);
  return &connection->request;
}

static enum MHD_Result on_call(void *user, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *bytes, size_t *size, void **context) {
  Request *request = *context;
  if (request->state == REQUEST_HEADERS) {
    Connection *connection = connection_of(mhd);
    __atomic_store_n(&connection->idle_since, 0, __ATOMIC_RELAXED);
    return headers_came(request, method, version);
  }
  if (*size > 0)
    return piece_came(request, bytes, size);
  return all_came(request);
}

static guint64 sent_bytes(const Request *request) {
  const Answer *answer = request->answer;
  if (!answer || strcmp(request->method, "HEAD") == 0)
    return 0;
  return answer->part > 0 ? (guint64)answer->part : answer->length;
}

static void on_completed(void *user, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode why) {
  Api *api = user;
  Request *request = *context;
  *context = NULL;
  if (!request || request->state == REQUEST_NONE)
    return;
  gint64 took = g_get_monotonic_time() - request->started;
  gboolean begun = request->state != REQUEST_HEADERS;
  int status = request->answer ? request->answer->status : 0;
  if (!request->answer) /* libmicrohttpd refused the head, or the client is gone (499, as nginx writes it) */
    status = !begun && why == MHD_REQUEST_TERMINATED_WITH_ERROR ? 400 : 499;
  guint64 sent = sent_bytes(request);
  metrics_count(api->metrics, request->entry, request->dialect, status, took, request->received, sent);
  if (api->log)
    log_request(request, status, took, sent);
  request_clear(request);
  __atomic_store_n(&connection_of(mhd)->idle_since, seconds_now(), __ATOMIC_RELAXED);
  if (begun && g_atomic_int_dec_and_test(&api->running) && g_atomic_int_get(&api->stopping)) {
    g_mutex_lock(&api->lock);
    g_cond_broadcast(&api->changed);
    g_mutex_unlock(&api->lock);
  }
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what) {
  Api *api = user;
  Connection *connection = *context;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    connection = g_new0(Connection, 1);
    connection->link.data = connection;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->idle_since = seconds_now();
    connection->request.api = api;
    connection->request.connection = mhd;
    connection->request.loop = loop_current();
    g_mutex_lock(&api->lock);
    g_queue_push_tail_link(&api->connections, &connection->link);
    g_mutex_unlock(&api->lock);
    *context = connection;
    return;
  }
  g_mutex_lock(&api->lock);
  g_queue_unlink(&api->connections, &connection->link);
  g_mutex_unlock(&api->lock);
  request_clear(&connection->request);
  g_free(connection);
}

/* --- who sends too slowly --- */

/* A connection that is idle is closed by libmicrohttpd; one that has been without a complete request for
 * longer sends its head byte by byte. The lock keeps the descriptor from being closed, and so from being
 * another's. */
static gpointer watch(gpointer user) {
  Api *api = user;
  g_mutex_lock(&api->lock);
  while (!api->unwatched) {
    gint64 until = g_get_monotonic_time() + WATCH_SECONDS * G_USEC_PER_SEC;
    if (g_cond_wait_until(&api->changed, &api->lock, until))
      continue;
    gint64 now = seconds_now();
    for (GList *link = api->connections.head; link; link = link->next) {
      const Connection *connection = link->data;
      gint64 since = __atomic_load_n(&connection->idle_since, __ATOMIC_RELAXED);
      if (since && now - since > IDLE_SECONDS + HEADERS_SECONDS)
        shutdown(connection->fd, SHUT_RDWR);
    }
  }
  g_mutex_unlock(&api->lock);
  return NULL;
}

/* --- listening --- */

/* "HOST:PORT", "[V6]:PORT". */
static struct addrinfo *parse_address(const char *listen_at, GError **error) {
  const char *colon = strrchr(listen_at, ':');
  gsize length = colon ? (gsize)(colon - listen_at) : 0;
  gboolean bracketed = length > 2 && listen_at[0] == '[' && listen_at[length - 1] == ']';
  guint64 port;
  if (!colon || (!bracketed && memchr(listen_at, ':', length)) ||
      !g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL))
    return fault_null(error, FAULT_USAGE,
                      "%s is not an address to listen at. Write HOST:PORT, e.g. 127.0.0.1:8080.", listen_at);
  g_autofree char *host = bracketed ? g_strndup(listen_at + 1, length - 2) : g_strndup(listen_at, length);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                  *found = NULL;
  int code = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found);
  if (code != 0)
    return fault_null(error, FAULT_USAGE, "%s is not an address of this machine: %s.", listen_at,
                      gai_strerror(code));
  return found;
}

static int listen_at(const char *address, GError **error) {
  struct addrinfo *where = parse_address(address, error);
  if (!where)
    return -1;
  int yes = 1, fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  gboolean good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                  bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, 1024) == 0;
  int why = errno;
  freeaddrinfo(where);
  if (good)
    return fd;
  if (fd >= 0)
    close(fd);
  fault(error, FAULT_OUTPUT, "Cannot listen at %s: %s. Choose another port with --listen.", address,
        g_strerror(why));
  return -1;
}

static char *url_of(int fd) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
  getsockname(fd, (struct sockaddr *)&address, &length);
  getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
              NI_NUMERICHOST | NI_NUMERICSERV);
  gboolean everywhere = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
  if (everywhere)
    return g_strdup_printf("http://localhost:%s", port);
  return g_strdup_printf(strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

/* As many connections as the system lets us hold; some descriptors are left for files. */
static unsigned connections_allowed(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return 512;
  limit.rlim_cur =
      limit.rlim_max == RLIM_INFINITY ? CONNECTIONS_MAX + 1024 : MIN(limit.rlim_max, CONNECTIONS_MAX + 1024);
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t spare = MIN(limit.rlim_cur / 4, 512);
  return (unsigned)MIN(limit.rlim_cur - spare, CONNECTIONS_MAX);
}

static size_t leave_escapes(void *user, struct MHD_Connection *connection, char *text) {
  return strlen(text); /* paths and queries are decoded in request.c, where a mistake can be refused */
}

static struct MHD_Daemon *start_daemon(Api *api, int fd, unsigned connections) {
  struct MHD_OptionItem options[] = {
      {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
      LOOP_OPTIONS,
      {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)connections, NULL},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
      {MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, NULL},
      {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, api},
      {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, api},
      {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_uri, api},
      {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_escapes, api},
      {MHD_OPTION_END, 0, NULL},
  };
  return MHD_start_daemon(LOOP_FLAGS, 0, NULL, NULL, on_call, api, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

/* One daemon for each thread, all at the same socket. */
static gboolean start_loops(Api *api, int fd, guint threads) {
  unsigned connections = MAX(connections_allowed() / threads, 1);
  api->loops = g_ptr_array_new_with_free_func((GDestroyNotify)loop_free);
  for (guint i = 0; i < threads; i++) {
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct MHD_Daemon *daemon = own >= 0 ? start_daemon(api, own, connections) : NULL;
    if (!daemon && own >= 0)
      close(own);
    if (!daemon)
      return FALSE;
    g_ptr_array_add(api->loops, loop_start(daemon));
  }
  return TRUE;
}

Api *api_start(App *app, const ApiOptions *options, GError **error) {
  int fd = listen_at(options->listen, error);
  if (fd < 0)
    return NULL;
  Api *api = g_new0(Api, 1);
  api->app = app;
  api->url = url_of(fd);
  api->log = options->log;
  api->router = router_new(options->dialects);
  api->metrics = metrics_new(api->router);
  api->cache = cache_new();
  g_mutex_init(&api->lock);
  g_cond_init(&api->changed);
  g_queue_init(&api->connections);
  api->events = events_new(api);
  api->laters = laters_new();
  api->pool = g_thread_pool_new(run_one, api, SLOW_THREADS, FALSE, NULL);
  api->watcher = g_thread_new("watch", watch, api);
  gboolean started =
      start_loops(api, fd, options->threads > 0 ? (guint)options->threads : g_get_num_processors());
  close(fd);
  if (started)
    return api;
  api_free(api);
  return fault_null(error, FAULT_OUTPUT, "The server cannot be started at %s.", options->listen);
}

const char *api_url(const Api *api) {
  return api->url;
}

App *api_app(const Api *api) {
  return api->app;
}

/* --- ending --- */

void api_stop(Api *api, int seconds) {
  if (g_atomic_int_get(&api->stopping))
    return;
  g_atomic_int_set(&api->stopping, 1);
  for (guint i = 0; i < api->loops->len; i++)
    loop_quiesce(api->loops->pdata[i]);
  events_stop(api->events);
  laters_stop(api->laters);
  gint64 until = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
  g_mutex_lock(&api->lock);
  while (g_atomic_int_get(&api->running) > 0 && g_get_monotonic_time() < until)
    g_cond_wait_until(&api->changed, &api->lock, until);
  g_mutex_unlock(&api->lock);
}

/* A suspended connection must not meet the end of the daemon: what runs on the pool is waited for. */
void api_free(Api *api) {
  if (!api)
    return;
  api_stop(api, 0);
  g_atomic_int_set(&api->ended, 1);
  g_thread_pool_free(api->pool, FALSE, TRUE);
  g_ptr_array_free(api->loops, TRUE);
  g_mutex_lock(&api->lock);
  api->unwatched = TRUE;
  g_cond_broadcast(&api->changed);
  g_mutex_unlock(&api->lock);
  g_thread_join(api->watcher);
  events_free(api->events);
  laters_free(api->laters);
  metrics_free(api->metrics);
  cache_free(api->cache);
  router_free(api->router);
  g_mutex_clear(&api->lock);
  g_cond_clear(&api->changed);
  g_free(api->url);
  g_free(api);
}

/* --- numbers --- */

static void print_queue(Api *api, GString *out) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(api->app->database, DATABASE_READ, &error);
  if (!session)
    return;
  g_autoptr(Rows) rows =
      session_query(session, &error,
                    "SELECT pool, status, COUNT(*) FROM jobs WHERE status IN ('queued', 'processing')"
                    " GROUP BY pool, status ORDER BY pool, status");
  g_string_append(out, "# HELP troupe_jobs Jobs that have not ended.\n# TYPE troupe_jobs gauge\n");
  while (rows && rows_next(rows, &error))
    g_string_append_printf(out, "troupe_jobs{pool=\"%s\",status=\"%s\"} %" G_GINT64_FORMAT "\n",
                           rows_text(rows, 0), rows_text(rows, 1), rows_integer(rows, 2));
}

static void print_gauge(GString *out, const char *name, const char *help, guint value) {
  g_string_append_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %u\n", name, help, name, name, value);
}

char *api_metrics(Api *api) {
  GString *out = g_string_sized_new(16384);
  metrics_print(api->metrics, out);
  g_mutex_lock(&api->lock);
  guint connections = api->connections.length;
  g_mutex_unlock(&api->lock);
  print_gauge(out, "troupe_http_connections", "Open connections.", connections);
  print_gauge(out, "troupe_http_running", "Requests that are being served.",
              (guint)g_atomic_int_get(&api->running));
  print_gauge(out, "troupe_http_waiting", "Requests that wait for a thread.",
              g_thread_pool_unprocessed(api->pool));
  print_gauge(out, "troupe_http_listeners", "Streams of events.", events_count(api->events));
  print_gauge(out, "troupe_http_promised", "Requests whose answer is made later.", laters_count(api->laters));
  print_queue(api, out);
  return g_string_free(out, FALSE);
}
