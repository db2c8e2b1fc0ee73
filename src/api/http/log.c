#include "api/http/log.h"

#include <string.h>
#include <unistd.h>

/* A JSON string: the text is valid UTF-8 or is made so. */
static void append_string(GString *out, const char *text) {
  g_autofree char *valid = g_utf8_validate(text, -1, NULL) ? NULL : g_utf8_make_valid(text, -1);
  g_string_append_c(out, '"');
  for (const char *c = valid ? valid : text; *c; c++)
    if (*c == '"' || *c == '\\')
      g_string_append_printf(out, "\\%c", *c);
    else if ((guchar)*c < ' ')
      g_string_append_printf(out, "\\u%04x", *c);
    else
      g_string_append_c(out, *c);
  g_string_append_c(out, '"');
}

static void append_member(GString *out, const char *name, const char *text) {
  if (!text)
    return;
  g_string_append_printf(out, ",\"%s\":", name);
  append_string(out, text);
}

static GString *line_new(const char *level) {
  GString *out = g_string_sized_new(400);
  g_autoptr(GDateTime) now = g_date_time_new_now_utc();
  g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
  g_string_append_printf(out, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\"", time,
                         g_date_time_get_microsecond(now) / 1000, level);
  return out;
}

/* One write, so that lines of several threads do not mix. */
static void line_write(GString *out) {
  g_string_append(out, "}\n");
  if (write(STDERR_FILENO, out->str, out->len) < 0) {
    /* nobody reads: there is nowhere to say so */
  }
  g_string_free(out, TRUE);
}

void log_request(const Request *request, int status, gint64 microseconds, guint64 sent) {
  GString *out = line_new(status >= 500 ? "error" : "info");
  append_member(out, "id", request->id);
  append_member(out, "method", request->method);
  append_member(out, "path", request->path);
  append_member(out, "dialect", request->dialect ? request->dialect->name : NULL);
  g_string_append_printf(out,
                         ",\"status\":%d,\"ms\":%.3f,\"in\":%" G_GUINT64_FORMAT ",\"out\":%" G_GUINT64_FORMAT,
                         status, (double)microseconds / 1000, request->received, sent);
  append_member(out, "account", request->caller ? request->caller->account : NULL);
  append_member(out, "error", request->trouble);
  line_write(out);
}

void log_trouble(const char *what, const char *message) {
  GString *out = line_new("error");
  append_member(out, "what", what);
  append_member(out, "error", message);
  line_write(out);
}
