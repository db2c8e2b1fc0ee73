/* How many requests an account may make: Settings.requests_minute at once, and as many evenly over each
 * minute after that, counted in this process alone. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"

/* Counts a request; FALSE with REFUSAL_RATE, and the seconds to wait, when there were too many. */
gboolean rate_check(App *app, const char *account, int *retry_seconds, GError **error);
