#include "api/http/metrics.h"

#include <string.h>

static const int statuses[] = {200, 201, 202, 204, 206, 304, 400, 401, 402, 403, 404, 405, 408, 409,
                               411, 413, 414, 415, 416, 422, 429, 431, 500, 501, 502, 503, 504};
#define STATUSES (G_N_ELEMENTS(statuses) + 1) /* and the others together */

static const gint64 bounds[] = {500,    1000,   2500,    5000,    10000,   25000,   50000, 100000,
                                250000, 500000, 1000000, 2500000, 5000000, 10000000}; /* microseconds */
#define BUCKETS (G_N_ELEMENTS(bounds) + 1)

typedef struct {
  guint64 buckets[BUCKETS], microseconds, in, out;
} Timing;

struct Metrics {
  const Router *router;
  guint64 (*requests)[STATUSES]; /* by route; the last one: without a route */
  Timing *timings;               /* by route, likewise */
};

Metrics *metrics_new(const Router *router) {
  Metrics *metrics = g_new0(Metrics, 1);
  metrics->router = router;
  metrics->requests = g_malloc0_n(router_size(router) + 1, sizeof *metrics->requests);
  metrics->timings = g_new0(Timing, router_size(router) + 1);
  return metrics;
}

void metrics_free(Metrics *metrics) {
  if (!metrics)
    return;
  g_free(metrics->requests);
  g_free(metrics->timings);
  g_free(metrics);
}

static void add(guint64 *counter, guint64 value) {
  __atomic_fetch_add(counter, value, __ATOMIC_RELAXED);
}

static guint64 get(const guint64 *counter) {
  return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void metrics_count(Metrics *metrics, const Entry *entry, const Dialect *dialect, int status,
                   gint64 microseconds, guint64 in, guint64 out) {
  guint route = entry ? entry->index : router_size(metrics->router);
  gsize s = 0, b = 0;
  while (s < G_N_ELEMENTS(statuses) && statuses[s] != status)
    s++;
  while (b < G_N_ELEMENTS(bounds) && microseconds > bounds[b])
    b++;
  Timing *timing = &metrics->timings[route];
  add(&metrics->requests[route][s], 1);
  add(&timing->buckets[b], 1);
  add(&timing->microseconds, (guint64)MAX(microseconds, 0));
  add(&timing->in, in);
  add(&timing->out, out);
}

static char *labels_of(const Metrics *metrics, guint route) {
  if (route == router_size(metrics->router))
    return g_strdup("dialect=\"\",method=\"\",route=\"\"");
  const Entry *entry = router_entry(metrics->router, route);
  return g_strdup_printf("dialect=\"%s\",method=\"%s\",route=\"%s\"", entry->dialect->name,
                         entry->route->method, entry->route->pattern);
}

static void print_timing(GString *out, const char *labels, const Timing *timing) {
  guint64 total = 0;
  for (gsize b = 0; b < BUCKETS; b++) {
    total += get(&timing->buckets[b]);
    if (b < G_N_ELEMENTS(bounds))
      g_string_append_printf(out, "troupe_http_request_seconds_bucket{%s,le=\"%g\"} %" G_GUINT64_FORMAT "\n",
                             labels, (double)bounds[b] / 1e6, total);
    else
      g_string_append_printf(
          out, "troupe_http_request_seconds_bucket{%s,le=\"+Inf\"} %" G_GUINT64_FORMAT "\n", labels, total);
  }
  g_string_append_printf(out, "troupe_http_request_seconds_sum{%s} %.6f\n", labels,
                         (double)get(&timing->microseconds) / 1e6);
  g_string_append_printf(out, "troupe_http_request_seconds_count{%s} %" G_GUINT64_FORMAT "\n", labels, total);
}

static void head(GString *out, const char *name, const char *type, const char *help) {
  g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static gboolean served(const Metrics *metrics, guint route) {
  for (gsize b = 0; b < BUCKETS; b++)
    if (get(&metrics->timings[route].buckets[b]))
      return TRUE;
  return FALSE;
}

/* Routes that were never asked for are left out. */
void metrics_print(const Metrics *metrics, GString *out) {
  guint size = router_size(metrics->router);
  head(out, "troupe_http_requests_total", "counter", "Requests by route and status.");
  for (guint route = 0; route <= size; route++) {
    g_autofree char *labels = labels_of(metrics, route);
    for (gsize s = 0; s < STATUSES; s++) {
      guint64 n = get(&metrics->requests[route][s]);
      g_autofree char *status =
          s < G_N_ELEMENTS(statuses) ? g_strdup_printf("%d", statuses[s]) : g_strdup("other");
      if (n)
        g_string_append_printf(out, "troupe_http_requests_total{%s,status=\"%s\"} %" G_GUINT64_FORMAT "\n",
                               labels, status, n);
    }
  }
  head(out, "troupe_http_request_seconds", "histogram",
       "Time from a request's first line to the end of its answer.");
  for (guint route = 0; route <= size; route++) {
    g_autofree char *labels = labels_of(metrics, route);
    if (served(metrics, route))
      print_timing(out, labels, &metrics->timings[route]);
  }
  head(out, "troupe_http_received_bytes_total", "counter", "Bytes of request bodies.");
  for (guint route = 0; route <= size; route++) {
    g_autofree char *labels = labels_of(metrics, route);
    if (served(metrics, route))
      g_string_append_printf(out, "troupe_http_received_bytes_total{%s} %" G_GUINT64_FORMAT "\n", labels,
                             get(&metrics->timings[route].in));
  }
  head(out, "troupe_http_sent_bytes_total", "counter", "Bytes of answers' bodies.");
  for (guint route = 0; route <= size; route++) {
    g_autofree char *labels = labels_of(metrics, route);
    if (served(metrics, route))
      g_string_append_printf(out, "troupe_http_sent_bytes_total{%s} %" G_GUINT64_FORMAT "\n", labels,
                             get(&metrics->timings[route].out));
  }
}
