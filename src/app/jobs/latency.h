/* How long jobs of a kind took here, from the request to the result: for clients that ask how patient to be.
 */
#pragma once
#include "app/jobs/jobs.h"

typedef struct {
  double typical,
      busy; /* seconds: the middle one of the latest, and the one that nine in ten did not exceed */
} Latency;

/* known FALSE where too few have ended to say. */
gboolean job_latency(App *app, JobKind kind, const char *pool, gboolean *known, Latency *latency,
                     GError **error);
