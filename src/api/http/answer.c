#include "api/http/answer.h"
#include "api/http/range.h"
#include "api/http/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_SECONDS 5 /* what a 503 advises */

/* --- making --- */

static Answer *answer_new(int status, const char *type) {
  Answer *answer = g_new0(Answer, 1);
  answer->status = status;
  answer->fd = -1;
  if (type)
    g_strlcpy(answer->type, type, sizeof answer->type);
  return answer;
}

void answer_free(Answer *answer) {
  if (!answer)
    return;
  if (answer->bytes)
    g_bytes_unref(answer->bytes);
  else
    free(answer->text);
  if (answer->fd >= 0)
    close(answer->fd);
  if (answer->listener)
    listener_free(answer->listener);
  if (answer->destroy)
    answer->destroy(answer->user);
  for (guint i = 0; i < answer->header_count; i++) {
    g_free(answer->headers[i].name);
    g_free(answer->headers[i].value);
  }
  g_free(answer);
}

Answer *answer_json_text(int status, char *text) {
  Answer *answer = answer_new(status, "application/json");
  answer->text = text;
  answer->length = strlen(text);
  return answer;
}

Answer *answer_json(int status, json_t *body) {
  char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15));
  json_decref(body);
  if (!text) /* not UTF-8, or not finite: our own mistake */
    return answer_json_text(500, strdup("{}"));
  return answer_json_text(status, text);
}

Answer *answer_bytes(int status, const char *type, GBytes *body) {
  Answer *answer = answer_new(status, type);
  answer->bytes = body;
  answer->text = (char *)g_bytes_get_data(body, &answer->length);
  return answer;
}

void answer_share(Answer *answer) {
  if (!answer->bytes)
    answer->bytes = g_bytes_new_with_free_func(answer->text, answer->length, free, answer->text);
}

Answer *answer_empty(int status) {
  return answer_new(status, NULL);
}

Answer *answer_events(EventsFunc next, gpointer user, GDestroyNotify destroy) {
  Answer *answer = answer_new(200, "text/event-stream");
  answer->listener = listener_new(next, user, destroy);
  answer_header(answer, "Cache-Control", "no-store");
  answer_header(answer, "X-Accel-Buffering", "no"); /* proxies of nginx's kind hold streams back otherwise */
  return answer;
}

void answer_header(Answer *answer, const char *name, const char *value) {
  g_return_if_fail(answer->header_count < G_N_ELEMENTS(answer->headers));
  char *clean = g_strdup(value);
  for (char *c = clean; *c; c++) /* nothing that could begin another line */
    if ((guchar)*c < ' ' || *c == 0x7f)
      *c = ' ';
  for (guint i = 0; i < answer->header_count; i++)
    if (g_ascii_strcasecmp(answer->headers[i].name, name) == 0) {
      g_free(answer->headers[i].value);
      answer->headers[i].value = clean;
      return;
    }
  answer->headers[answer->header_count++] = (AnswerHeader){g_strdup(name), clean};
}

static const char *header_value(const Answer *answer, const char *name) {
  for (guint i = 0; i < answer->header_count; i++)
    if (g_ascii_strcasecmp(answer->headers[i].name, name) == 0)
      return answer->headers[i].value;
  return NULL;
}

/* --- errors --- */

/* What a client is told: a refusal's own words; of a fault only that it happened, because its message may
 * name files of this machine. It is logged. */
static const char *told(Request *request, const GError *error, Refusal why) {
  if (error->domain == REFUSAL && why != REFUSAL_INTERNAL)
    return error->message;
  g_free(request->trouble);
  request->trouble = g_strdup(error->message);
  if (why == REFUSAL_BUSY)
    return "The server cannot store anything at the moment. Try again in a moment.";
  if (error->domain == FAULT && why != REFUSAL_INTERNAL)
    return error->message;
  return "Something went wrong on the server's side. Try again; name the X-Request-Id when you report it.";
}

Answer *answer_error(Request *request, GError *error) {
  Refusal why = refusal_of(error);
  const ErrorRow *row = request->dialect->errors;
  while (row->why != REFUSAL_INTERNAL && row->why != why)
    row++;
  Answer *answer =
      answer_json(row->status, request->dialect->error_body(request, row, told(request, error, why)));
  if (row->status == 401)
    answer_header(answer, "WWW-Authenticate", "Bearer");
  if (row->status == 429 || row->status == 503) {
    int seconds = request->retry_seconds > 0 ? request->retry_seconds : RETRY_SECONDS;
    g_autofree char *text = g_strdup_printf("%d", seconds);
    answer_header(answer, "Retry-After", text);
  }
  g_error_free(error);
  return answer;
}

/* --- sending --- */

typedef void (*Emit)(gpointer to, const char *name, const char *value);

/* Who is not known has the whole day before him. Without a limit the numbers are the largest that every
 * reader of integers can hold. */
static void emit_day(const Request *request, Emit emit, gpointer to) {
  Day day = request->day;
  if (!day.reset)
    day_read(request_app(request), request->caller ? request->caller->account : NULL, &day, NULL);
  gint64 limit = day.limit ? day.limit : G_MAXINT32;
  g_autofree char *most = g_strdup_printf("%" G_GINT64_FORMAT, limit);
  g_autofree char *left = g_strdup_printf("%" G_GINT64_FORMAT, day.limit ? MAX(limit - day.used, 0) : limit);
  g_autofree char *reset = app_time_text(day.reset);
  emit(to, "X-RateLimit-Limit", most);
  emit(to, "X-RateLimit-Remaining", left);
  emit(to, "X-RateLimit-Reset", reset);
}

static void emit_headers(const Request *request, Emit emit, gpointer to) {
  const Answer *answer = request->answer;
  if (*answer->type)
    emit(to, "Content-Type", answer->type);
  emit(to, "X-Request-Id", request->id);
  emit(to, "Access-Control-Allow-Origin", "*");
  if (request->header.origin)
    emit(to, "Access-Control-Expose-Headers",
         "X-Request-Id, Idempotency-Replayed, Retry-After, ETag, Content-Range, Content-Disposition, "
         "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset");
  if (request->dialect && request->dialect->daily)
    emit_day(request, emit, to);
  if (!header_value(answer, "Cache-Control"))
    emit(to, "Cache-Control", "no-store");
  for (guint i = 0; i < answer->header_count; i++)
    emit(to, answer->headers[i].name, answer->headers[i].value);
  if (request->http_close || request->sent_raw || g_atomic_int_get(&request->api->stopping))
    emit(to, "Connection", "close");
}

static void emit_to_response(gpointer to, const char *name, const char *value) {
  MHD_add_response_header(to, name, value);
}

static void unref_bytes(void *bytes) {
  g_bytes_unref(bytes);
}

/* Gives what the answer holds to the response. */
static struct MHD_Response *response_of(Request *request) {
  Answer *answer = request->answer;
  if (answer->listener)
    return listener_response(request->api->events, g_steal_pointer(&answer->listener), request->loop,
                             request->connection);
  if (answer->fd >= 0) {
    int fd = answer->fd;
    answer->fd = -1;
    struct MHD_Response *response =
        MHD_create_response_from_fd_at_offset64((guint64)answer->part, fd, (guint64)answer->first);
    if (!response)
      close(fd);
    return response;
  }
  if (answer->bytes) {
    GBytes *bytes = g_steal_pointer(&answer->bytes);
    return MHD_create_response_from_buffer_with_free_callback_cls(
        answer->length, g_steal_pointer(&answer->text), unref_bytes, bytes);
  }
  return MHD_create_response_from_buffer(answer->length, g_steal_pointer(&answer->text),
                                         MHD_RESPMEM_MUST_FREE);
}

enum MHD_Result answer_queue(Request *request) {
  struct MHD_Response *response = response_of(request);
  if (!response)
    return MHD_NO;
  emit_headers(request, emit_to_response, response);
  request->state = REQUEST_ANSWER;
  enum MHD_Result queued =
      MHD_queue_response(request->connection, (unsigned)request->answer->status, response);
  MHD_destroy_response(response);
  return queued;
}

static void emit_to_text(gpointer to, const char *name, const char *value) {
  g_string_append_printf(to, "%s: %s\r\n", name, value);
}

/* Errors are small: they fit into the socket's buffer, which is empty while a request is coming. */
void answer_send(Request *request) {
  const Answer *answer = request->answer;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  request->sent_raw = TRUE;
  request->state = REQUEST_LINGER;
  GString *out = g_string_new(NULL);
  g_autoptr(GDateTime) now = g_date_time_new_now_utc();
  g_autofree char *date = http_date(g_date_time_to_unix(now));
  g_string_append_printf(out, "HTTP/1.1 %d %s\r\n", answer->status,
                         MHD_get_reason_phrase_for((unsigned)answer->status));
  emit_to_text(out, "Date", date);
  emit_headers(request, emit_to_text, out);
  g_string_append_printf(out, "Content-Length: %" G_GSIZE_FORMAT "\r\n\r\n", answer->length);
  if (answer->text)
    g_string_append_len(out, answer->text, (gssize)answer->length);
  gssize sent = send(info->connect_fd, out->str, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == (gssize)out->len)
    shutdown(info->connect_fd, SHUT_WR);
  g_string_free(out, TRUE);
}
