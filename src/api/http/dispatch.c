/* What happens to every request before and around its handler. */
#include "api/http/answer.h"
#include "api/http/body.h"
#include "api/http/log.h"
#include "api/http/server.h"
#include "app/accounts/idempotency.h"
#include "app/accounts/rate.h"

#include <string.h>

#define IDEMPOTENCY_KEY_MAX 255

/* --- before the body --- */

/* "Bearer KEY" of Authorization, or x-api-key; NULL when there is neither. An Authorization of another scheme
 * is a key that is wrong, not one that is missing. */
static const char *key_of(const Request *request) {
  const char *value = request->header.authorization;
  if (!value)
    return request->header.api_key;
  if (g_ascii_strncasecmp(value, "Bearer ", 7) == 0)
    value += 7;
  return value + strspn(value, " ");
}

gboolean find_caller(Request *request, GError **error) {
  const char *key = key_of(request);
  const Dialect *dialect = request->dialect;
  request->caller_known = TRUE;
  if (dialect->check_key && !dialect->check_key(request, error))
    return FALSE;
  if (!key || !*key)
    return refuse(error, REFUSAL_KEY_MISSING,
                  "The request has no key. Send it in the header Authorization: Bearer KEY.");
  if (!g_utf8_validate(key, -1, NULL))
    return refuse(error, REFUSAL_KEY_INVALID, "The key is wrong, expired or revoked.");
  request->caller = key_check(request_app(request), key, error);
  return request->caller != NULL;
}

static gboolean check_key(Request *request, GError **error) {
  return request->entry->route->flags & ROUTE_OPEN || find_caller(request, error);
}

static gboolean check_scope(const Request *request, GError **error) {
  const char *scope = request->entry->route->scope;
  if (!scope || !request->caller)
    return TRUE;
  g_auto(GStrv) scopes = g_strsplit(request->caller->scopes ? request->caller->scopes : "", " ", -1);
  if (g_strv_contains((const char *const *)scopes, "*") ||
      g_strv_contains((const char *const *)scopes, scope))
    return TRUE;
  return refuse(error, REFUSAL_FORBIDDEN, "The key may not do this: it lacks the scope \"%s\".", scope);
}

static gboolean check_rate(Request *request, GError **error) {
  if (!request->caller || request->entry->route->flags & ROUTE_UNCOUNTED)
    return TRUE;
  return rate_check(request_app(request), request->caller->account, &request->retry_seconds, error);
}

/* Whether the dialect is open to this caller, and today. What is counted is counted before the handler runs,
 * where a thread may wait for the tables. */
static gboolean check_caller(Request *request, GError **error) {
  const Dialect *dialect = request->dialect;
  App *app = request_app(request);
  if (!request->caller)
    return TRUE;
  if (dialect->check_caller && !dialect->check_caller(app, request->caller, error))
    return FALSE;
  return !dialect->daily ||
         (day_read(app, request->caller->account, &request->day, error) &&
          (!strcmp(request->entry->route->method, "GET") || day_check(&request->day, error)));
}

static gboolean count_day(Request *request, GError **error) {
  if (!request->caller || !request->dialect->daily || !strcmp(request->entry->route->method, "GET"))
    return TRUE;
  return day_count(request_app(request), request->caller->account, &request->day, error);
}

/* How long whoever has used up his day is told to wait. */
static void note_retry(Request *request, const GError *error) {
  if (error && g_error_matches(error, REFUSAL, REFUSAL_DAY))
    request->retry_seconds = (int)((request->day.reset - app_now()) / 1000 + 1);
}

static gboolean check_idempotency_key(Request *request, GError **error) {
  const char *key = request->header.idempotency_key;
  if (!key || strcmp(request->method, "POST") != 0) {
    request->header.idempotency_key = NULL;
    return TRUE;
  }
  gsize length = strlen(key);
  for (gsize i = 0; i < length; i++)
    if (key[i] < ' ' || key[i] > '~')
      length = 0;
  if (length < 1 || length > IDEMPOTENCY_KEY_MAX)
    return refuse(error, REFUSAL_INVALID, "Idempotency-Key must be 1 to %d printable ASCII characters.",
                  IDEMPOTENCY_KEY_MAX);
  return TRUE;
}

static void preflight(Request *request, const char *allow) {
  Answer *answer = request->answer = answer_empty(204);
  answer_header(answer, "Allow", allow);
  answer_header(answer, "Access-Control-Allow-Methods", allow);
  answer_header(answer, "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Api-Key, Range, If-Range, "
                "If-None-Match, "
                "Last-Event-ID");
  answer_header(answer, "Access-Control-Max-Age", "86400");
}

/* By as much of the path as could be read. */
const Dialect *guess_dialect(Request *request) {
  guint count = request->segment_count ? request->segment_count : SEGMENTS_MAX + 1;
  Match match =
      router_find(request->api->router, "", request->path, request->segments, count, key_of(request));
  g_free(match.allow);
  return match.dialect;
}

static gboolean find_route(Request *request, GError **error) {
  Match match = router_find(request->api->router, request->method, request->path, request->segments,
                            request->segment_count, key_of(request));
  g_autofree char *allow = match.allow;
  request->entry = match.entry;
  request->dialect = match.dialect;
  if (match.entry)
    return TRUE;
  if (!allow)
    return refuse(error, REFUSAL_NOT_FOUND, "There is nothing at this path.");
  if (strcmp(request->method, "OPTIONS") == 0) {
    preflight(request, allow);
    return TRUE;
  }
  GError *why = NULL;
  refuse(&why, REFUSAL_METHOD, "This path does not know the method %.20s. It knows %s.", request->method,
         allow);
  request->answer = answer_error(request, why);
  answer_header(request->answer, "Allow", allow);
  return TRUE;
}

gboolean admit(Request *request, GError **error) {
  if (!find_route(request, error))
    return FALSE;
  if (request->answer)
    return TRUE;
  GError *problem = NULL;
  if (check_key(request, &problem) && check_scope(request, &problem) && check_caller(request, &problem) &&
      check_rate(request, &problem) && check_idempotency_key(request, &problem) &&
      body_open(request, &problem))
    return TRUE;
  note_retry(request, problem);
  g_propagate_error(error, problem);
  return FALSE;
}

/* --- the handler --- */

static Answer *call(Request *request) {
  GError *error = NULL;
  Answer *answer = request->entry->route->handler(request->api, request, &error);
  if (answer)
    return answer;
  if (!error)
    fault(&error, FAULT_INTERNAL, "The handler of %s gave neither an answer nor an error.",
          request->entry->route->pattern);
  return answer_error(request, error);
}

static Answer *call_once(Request *request) {
  App *app = request_app(request);
  const char *name = request->header.idempotency_key;
  g_autofree char *fingerprint = request_fingerprint(request), *body = NULL;
  IdempotencyState state;
  int status = 0;
  GError *error = NULL;
  if (!idempotency_begin(app, request->caller, name, fingerprint, &state, &status, &body, &error))
    return answer_error(request, error);
  if (state == IDEMPOTENCY_REPLAY) {
    Answer *replay = body ? answer_json_text(status, strdup(body)) : answer_empty(status);
    answer_header(replay, "Idempotency-Replayed", "true");
    return replay;
  }
  request->claimed = TRUE;
  return call(request);
}

/* The work is done and cannot be undone for this: the client has its answer, a repetition finds the job. */
static void keep_answer(Request *request) {
  const Answer *answer = request->answer;
  g_autofree char *text = answer->text ? g_strndup(answer->text, answer->length) : NULL;
  g_autoptr(GError) error = NULL;
  if (request->claimed && !idempotency_end(request_app(request), request->caller->account,
                                           request->header.idempotency_key, answer->status, text, &error))
    log_trouble("idempotency", error->message);
}

/* --- answers that are given again --- */

static Answer *call_kept(Request *request) {
  Api *api = request->api;
  const char *account = request->caller ? request->caller->account : NULL;
  gint64 version = database_version(api->app->database);
  GBytes *kept = cache_get(api->cache, account, request->path, request->raw_query, version);
  if (kept)
    return answer_bytes(200, "application/json", kept);
  Answer *answer = call(request);
  if (answer->status != 200 || !answer->text || answer->header_count)
    return answer;
  answer_share(answer);
  cache_put(api->cache, account, request->path, request->raw_query, version, answer->bytes);
  return answer;
}

void dispatch(Request *request) {
  GError *error = NULL;
  if (!count_day(request, &error)) {
    note_retry(request, error);
    request->answer = answer_error(request, error);
  } else if (request->caller && request->header.idempotency_key)
    request->answer = call_once(request);
  else if (request->entry->route->flags & ROUTE_KEPT)
    request->answer = call_kept(request);
  else
    request->answer = call(request);
  if (!request->answer->next)
    keep_answer(request);
}

void dispatch_answer(Request *request, Answer *answer, gboolean interrupted) {
  answer_free(request->answer);
  request->answer = answer;
  if (!interrupted)
    keep_answer(request);
}
