/* The worker's log: one line of JSON on standard error for each thing that an operator may want to know.
 * Private to worker/. */
#pragma once
#include <glib.h>

typedef struct {
  const char *pool, *worker;
  gboolean quiet;
} Log;

/* level: "info", "warning", "error". job: id, or NULL. Thread-safe. */
void log_say(const Log *log, const char *level, const char *job, const char *format, ...) G_GNUC_PRINTF(4, 5);
