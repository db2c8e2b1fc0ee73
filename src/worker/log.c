#include "worker/log.h"
#include "app/app.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

void log_say(const Log *log, const char *level, const char *job, const char *format, ...) {
  if (log->quiet)
    return;
  va_list args;
  va_start(args, format);
  g_autofree char *said = g_strdup_vprintf(format, args);
  va_end(args);
  g_autofree char *message = g_utf8_make_valid(said, -1), *time = app_time_text(app_now());
  json_auto_t *line = json_pack("{s:s, s:s, s:s, s:s, s:s}", "time", time, "level", level, "pool", log->pool,
                                "worker", log->worker, "message", message);
  if (job)
    json_object_set_new(line, "job", json_string(job));
  char *text = json_dumps(line, JSON_COMPACT);
  g_autofree char *ended = g_strconcat(text, "\n", NULL);
  free(text);
  /* At once, so that lines of several threads and processes do not mix. */
  if (write(STDERR_FILENO, ended, strlen(ended)) < 0)
    return;
}
