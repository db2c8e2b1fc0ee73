/* Counters, without locks. */
#pragma once
#include "api/http/router.h"

typedef struct Metrics Metrics;

Metrics *metrics_new(const Router *router);
void metrics_free(Metrics *metrics);
/* entry NULL: no route. */
void metrics_count(Metrics *metrics, const Entry *entry, const Dialect *dialect, int status,
                   gint64 microseconds, guint64 in, guint64 out);
/* Appends all of them in Prometheus' text format. */
void metrics_print(const Metrics *metrics, GString *out);
