/* What happens to every request before and around its handler. */
#include "api/answer.h"
#include "api/body.h"
#include "api/log.h"
#include "api/server.h"
#include "app/idempotency.h"
#include "app/rate.h"

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
  request->caller_known = TRUE;
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

static gboolean find_route(Request *request, GError **error) {
  Match match = router_find(request->api->router, request->method, request->path, request->segments,
                            request->segment_count);
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
  return check_key(request, error) && check_scope(request, error) && check_rate(request, error) &&
         check_idempotency_key(request, error) && body_open(request, error);
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
  const char *account = request->caller->account, *name = request->header.idempotency_key;
  g_autofree char *fingerprint = request_fingerprint(request), *body = NULL;
  IdempotencyState state;
  int status = 0;
  GError *error = NULL;
  if (!idempotency_begin(app, account, name, fingerprint, &state, &status, &body, &error))
    return answer_error(request, error);
  if (state == IDEMPOTENCY_REPLAY) {
    Answer *replay = body ? answer_json_text(status, strdup(body)) : answer_empty(status);
    answer_header(replay, "Idempotency-Replayed", "true");
    return replay;
  }
  Answer *answer = call(request);
  g_autofree char *text = answer->text ? g_strndup(answer->text, answer->length) : NULL;
  /* The work is done and cannot be undone for this: the client has its answer, a repetition is refused. */
  if (!idempotency_end(app, account, name, answer->status, text, &error)) {
    log_trouble("idempotency", error->message);
    g_error_free(error);
  }
  return answer;
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
  if (request->caller && request->header.idempotency_key)
    request->answer = call_once(request);
  else if (request->entry->route->flags & ROUTE_KEPT)
    request->answer = call_kept(request);
  else
    request->answer = call(request);
}
