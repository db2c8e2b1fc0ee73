/* How many requests an account may make: Settings.requests_minute at once, and as many evenly over each
 * minute after that, counted in this process alone. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"

#define DOWNLOADS_MOST 16 /* of an account at a time: hanging servers must not occupy all threads */

/* Counts a request; FALSE with REFUSAL_RATE, and the seconds to wait, when there were too many. */
gboolean rate_check(App *app, const char *account, int *retry_seconds, GError **error);

/* Begins and ends a download for an account; FALSE with REFUSAL_RATE when it has too many already. */
gboolean download_begin(App *app, const char *account, GError **error);
void download_end(App *app, const char *account);
