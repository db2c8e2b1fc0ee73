/* One row for an account and a day, counted up by a statement that cannot pass the limit whoever else counts
 * at the same time. The first count of a day clears the account's days before. */
#include "app/accounts/days.h"

#define DAY_MS G_GINT64_CONSTANT(86400000)

/* "2026-11-21" of now, and where the day ends. */
static char *today(Day *day, const App *app) {
  gint64 now = app_now();
  *day = (Day){.limit = app->settings->requests_day, .reset = (now / DAY_MS + 1) * DAY_MS};
  g_autofree char *moment = app_time_text(now);
  return g_strndup(moment, 10);
}

static gboolean read_used(Session *session, const char *account, const char *name, Day *day, GError **error) {
  g_autoptr(Rows) rows = session_query(
      session, error, "SELECT requests FROM days WHERE account = $1 AND day = $2", text(account), text(name));
  if (!rows)
    return FALSE;
  if (rows_next(rows, error))
    day->used = rows_integer(rows, 0);
  else if (!rows_ended(rows))
    return FALSE;
  return TRUE;
}

gboolean day_read(App *app, const char *account, Day *day, GError **error) {
  g_autofree char *name = today(day, app);
  if (!account || !day->limit)
    return TRUE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session && read_used(session, account, name, day, error);
}

gboolean day_check(const Day *day, GError **error) {
  if (!day->limit || day->used < day->limit)
    return TRUE;
  g_autofree char *reset = app_time_text(day->reset);
  return refuse(error, REFUSAL_DAY,
                "The daily limit of %" G_GINT64_FORMAT " requests is used up. It resets at %s.", day->limit,
                reset);
}

gboolean day_count(App *app, const char *account, Day *day, GError **error) {
  g_autofree char *name = today(day, app);
  if (!day->limit)
    return TRUE;
  gint64 changed = 0;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  if (!session ||
      !session_run_counted(
          session, error, &changed,
          "INSERT INTO days (account, day, requests) VALUES ($1, $2, 1) ON CONFLICT (account, day) "
          "DO UPDATE SET requests = days.requests + 1 WHERE days.requests < $3",
          text(account), text(name), integer(day->limit)) ||
      !read_used(session, account, name, day, error))
    return FALSE;
  if (changed == 0)
    return day_check(day, error);
  return (day->used > 1 || session_run(session, error, "DELETE FROM days WHERE account = $1 AND day < $2",
                                       text(account), text(name))) &&
         session_commit(session, error);
}
