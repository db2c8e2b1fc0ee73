/* HTTP for the dialects: requests taken apart, answers put together, on libmicrohttpd.
 *
 * A dialect is a table of Routes and a table of its errors. A handler sees a Request whose key was checked,
 * whose body was taken in and whose path was matched, and returns an Answer. Everything that is the same for
 * all is done around it: request ids, keys and scopes, rate limits, body limits, idempotency, errors in the
 * dialect's shape, 404 and 405 (with Allow), HEAD, logs, metrics.
 *
 * Event-loop threads (epoll, one per core) parse and run the quick handlers (reads of a row); a handler that
 * may wait - downloads, children, large transactions - is marked ROUTE_SLOW and runs on a pool thread while
 * its connection is suspended. Bodies are streamed: a file part goes to a draft of the object store while its
 * SHA-256 is computed, memory does not grow with it. */
#pragma once
#include "app/inputs/inputs.h"
#include "app/jobs/jobs.h"

typedef struct Api Api;
typedef struct Request Request;
typedef struct Answer Answer;

/* --- requests; all strings live as long as the request --- */

/* BODY_RAW: the bytes of a file, whatever type they claim; they come as the file part "body". */
typedef enum { BODY_NONE = 0, BODY_MULTIPART = 1, BODY_FORM = 2, BODY_JSON = 4, BODY_RAW = 8 } BodyKind;

App *request_app(const Request *request);
const char *request_method(const Request *request);
const char *request_path(const Request *request);
/* "req_" + 24 hex digits, or what the client sent in X-Request-Id when it is 1..128 printable characters. */
const char *request_id(const Request *request);
/* NULL on a ROUTE_OPEN without a (good) key, whose key is looked at when this is called first. */
const Caller *request_caller(const Request *request);
/* A "{name}" of the route's pattern. */
const char *request_argument(const Request *request, const char *name);
const char *request_query(const Request *request, const char *name); /* NULL when absent */
const char *request_header(const Request *request, const char *name);
/* A field of a multipart or urlencoded body, or a member of a JSON body (numbers and truth as text, objects
 * and lists as JSON text); the last one when it comes twice; NULL when absent or null. Always valid UTF-8
 * (another body was refused). */
const char *request_field(const Request *request, const char *name);
/* All the values of a field that may come several times (NULL-terminated, owned by the request). */
const char *const *request_fields(const Request *request, const char *name);
json_t *request_json(const Request *request); /* a JSON body, borrowed; NULL for other bodies */
/* Fills source from the file part `name` (if there is one) and the text field `name_url` (if there is one).
 * The draft belongs to whoever takes it (input_take); drafts that were not taken are removed with the
 * request. */
void request_source(Request *request, const char *name, InputSource *source);
/* All the file parts of that name, in their order; how many. *sources: owned by the request. */
int request_files(Request *request, const char *name, InputSource **sources);

/* Common readings. FALSE/NULL with REFUSAL_INVALID that names the field. */
gboolean request_truth(const Request *request, const char *name, gboolean usual, gboolean *value,
                       GError **error);
gboolean request_page(const Request *request, int usual, int most, gboolean clamp, int *limit, int *offset,
                      GError **error);

/* --- answers --- */

Answer *answer_json(int status, json_t *body);                    /* takes body */
Answer *answer_bytes(int status, const char *type, GBytes *body); /* takes body */
void answer_header(Answer *answer, const char *name, const char *value);
/* An object's file by its path: type by the name's suffix, ETag, Last-Modified, Range (one range; 206, 416),
 * If-None-Match, If-Range, HEAD, sendfile. */
Answer *answer_file(Request *request, const char *path, const char *name, const char *etag);
/* The error in the request's dialect. Takes error. */
Answer *answer_error(Request *request, GError *error);
/* Server-sent events: next is called about every 250 ms on a thread of the server's and returns the text of
 * the next event(s) (transfer full),
 * "" for nothing new; it sets *done with the last one. A comment is sent every 15 s to keep the connection.
 */
typedef char *(*EventsFunc)(Api *api, gpointer user, gboolean *done);
Answer *answer_events(EventsFunc next, gpointer user, GDestroyNotify destroy);
/* An answer that is made later: the connection rests and no thread of the pool is held, while next is asked
 * about every 100 ms on a thread of the server's, until it returns the answer or sets *error (NULL without
 * one: not yet). The request lives until then, whether its client waits or has gone. When the server stops,
 * next is asked once more; where it has no answer the client is told 503, and an Idempotency-Key is not
 * freed by that. Not for HEAD and GET routes that are ROUTE_KEPT. */
typedef Answer *(*LaterFunc)(Api *api, Request *request, gpointer user, GError **error);
Answer *answer_later(LaterFunc next, gpointer user, GDestroyNotify destroy);

/* --- routes and dialects --- */

typedef Answer *(*Handler)(Api *api, Request *request,
                           GError **error); /* NULL with *error set is answer_error */

enum {
  ROUTE_OPEN = 1,      /* needs no key, ignores a wrong one */
  ROUTE_SLOW = 2,      /* runs on a pool thread */
  ROUTE_UNCOUNTED = 4, /* not counted by the rate limit */
  ROUTE_KEPT = 8,      /* a GET whose answer depends on nothing but its path, its query, the account and the
                          tables:      given again for up to a second while no table has changed */
};

typedef struct {
  const char *method, *pattern; /* "GET", "/api/scenes/{scene_id}" */
  Handler handler;
  unsigned flags;
  unsigned bodies;   /* BODY_* that are understood; another type is REFUSAL_CONTENT_TYPE */
  const char *scope; /* "read", "write"; NULL: none needed */
  /* Asked when the head has come: may refuse the body before it is taken, and says how long it may be where
   * it is not multipart. Quick. */
  gboolean (*admit)(Request *request, guint64 *most, GError **error);
} Route;

typedef struct {
  Refusal why;
  int status;
  const char *code, *action; /* action: what the caller can do; may be NULL */
} ErrorRow;

typedef struct Dialect {
  const char *name;
  const char *prefixes[8]; /* of the paths whose misses (404, 405) it answers; the longest that fits wins */
  const char *key; /* how its keys begin: where two dialects serve the same path, such a key means this one.
                      NULL: the one that answers all other keys */
  const Route *routes;
  gsize route_count;
  const ErrorRow *errors; /* ends with a row of REFUSAL_INTERNAL, which stands for all that are not listed */
  /* The body of an error (transfer full). */
  json_t *(*error_body)(const Request *request, const ErrorRow *row, const char *message);
  /* What a GET of the job's subject gives (transfer full), for webhooks of jobs that were made in this
   * dialect; NULL with *error. The field may be NULL: then no job is made in it. */
  json_t *(*job_object)(App *app, const Job *job, GError **error);
  /* What is refused of a key by its looks, before it is looked up; FALSE with *error. May be NULL. */
  gboolean (*check_key)(const Request *request, GError **error);
  /* Whether the caller may use the dialect at all; FALSE with *error. May be NULL. */
  gboolean (*check_caller)(App *app, const Caller *caller, GError **error);
  /* Requests other than GET are counted by the day (app/accounts/days.h), and every answer carries
   * X-RateLimit-Limit, -Remaining and -Reset. */
  gboolean daily;
} Dialect;

/* --- the server --- */

typedef struct {
  const char *listen;             /* "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:80"; port 0: any */
  const Dialect *const *dialects; /* NULL at the end; the first is the one for paths that no prefix fits */
  int threads;                    /* 0: one per core */
  gboolean log;                   /* one JSON line on standard error for each request */
} ApiOptions;

/* Listens. FAULT_USAGE: not an address; FAULT_OUTPUT: the port is taken. */
Api *api_start(App *app, const ApiOptions *options, GError **error);
/* Where it listens: "http://127.0.0.1:8080". */
const char *api_url(const Api *api);
App *api_app(const Api *api);
/* No new connections; waits (at most seconds) until the requests that run are answered, then ends. */
void api_stop(Api *api, int seconds);
void api_free(Api *api);
/* The numbers for /metrics, in Prometheus' text format (transfer full). */
char *api_metrics(Api *api);
