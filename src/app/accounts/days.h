/* How many requests an account may make on one UTC day: Settings.requests_day. The counts are in the tables,
 * so that all processes of an installation share them. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"

typedef struct {
  gint64 limit; /* 0: none */
  gint64 used;
  gint64 reset; /* the next UTC midnight, milliseconds since 1970 */
} Day;

/* How the account stands; NULL: nobody, who has used nothing. */
gboolean day_read(App *app, const char *account, Day *day, GError **error);
/* REFUSAL_DAY when nothing is left; the message carries the limit and the moment of the reset. */
gboolean day_check(const Day *day, GError **error);
/* Counts one more request and reads again. REFUSAL_DAY. */
gboolean day_count(App *app, const char *account, Day *day, GError **error);
