/* The worker processes beside a server: started, started again when they end, stopped together. */
#pragma once
#include "cli/settings.h"

typedef struct ServeWorkers ServeWorkers;

/* One process per pool, and one more that only draws in pool identity, settings->workers of each. Call it on
 * the thread that lives as long as the server: the workers are told to stop when that thread ends, however it
 * ends. Needs a running main loop afterwards.
 */
ServeWorkers *serve_workers_start(const ServerSettings *settings, GError **error);
/* Asks all of them to finish or hand back what they do; waits until they have ended. */
void serve_workers_stop(ServeWorkers *workers);
