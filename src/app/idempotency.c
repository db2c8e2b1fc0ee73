/* The name is claimed by an INSERT that only one can win. A claim need not outlast a power cut by itself: the
 * log is written in order, so it is on the disk as soon as what was done under it is.
 *
 * When the process dies between the work and its answer nobody can say any more whether the work was done, so
 * such a name is never carried out again: it stays refused for its day. */
#include "app/idempotency.h"

#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT(1000))
#define ANSWER_MS (15 * 60 * G_GINT64_CONSTANT(1000)) /* no request takes longer */

static gboolean claim(Session *session, const char *account, const char *name, const char *request,
                      gboolean *first, GError **error) {
  gint64 now = app_now(), changed = 0;
  if (!session_run(session, error,
                   "DELETE FROM idempotency WHERE account = $1 AND name = $2 AND created < $3", text(account),
                   text(name), integer(now - DAY_MS)) ||
      !session_run_counted(
          session, error, &changed,
          "INSERT INTO idempotency (account, name, request, created) VALUES ($1, $2, $3, $4) "
          "ON CONFLICT (account, name) DO NOTHING",
          text(account), text(name), text(request), integer(now)))
    return FALSE;
  *first = changed == 1;
  return TRUE;
}

static gboolean refuse_unanswered(gint64 created, GError **error) {
  if (app_now() - created < ANSWER_MS)
    return refuse(
        error, REFUSAL_CONFLICT,
        "The first request with this Idempotency-Key is still being answered. Repeat it a little later.");
  return refuse(
      error, REFUSAL_CONFLICT,
      "The first request with this Idempotency-Key was interrupted, perhaps after it was carried out. "
      "Look for what it made, and use another key.");
}

/* The answer that was given under the name. */
static gboolean replay(Session *session, const char *account, const char *name, const char *request,
                       int *status, char **body, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error,
                                       "SELECT request, status, body, created FROM idempotency "
                                       "WHERE account = $1 AND name = $2",
                                       text(account), text(name));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  if (!g_str_equal(rows_text(rows, 0), request))
    return refuse(error, REFUSAL_CONFLICT,
                  "This Idempotency-Key was used for another request. Use a new key for each new request.");
  if (rows_null(rows, 1))
    return refuse_unanswered(rows_integer(rows, 3), error);
  *status = (int)rows_integer(rows, 1);
  *body = g_strdup(rows_text(rows, 2));
  return TRUE;
}

gboolean idempotency_begin(App *app, const char *account, const char *name, const char *request,
                           IdempotencyState *state, int *status, char **body, GError **error) {
  gboolean first = FALSE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  if (!session || !claim(session, account, name, request, &first, error))
    return FALSE;
  *state = first ? IDEMPOTENCY_FIRST : IDEMPOTENCY_REPLAY;
  return first ? session_commit(session, error)
               : replay(session, account, name, request, status, body, error);
}

gboolean idempotency_end(App *app, const char *account, const char *name, int status, const char *body,
                         GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  if (!session)
    return FALSE;
  gboolean again = status >= 500 || status == 429; /* worth another try under the same name */
  gboolean done =
      again ? session_run(session, error,
                          "DELETE FROM idempotency WHERE account = $1 AND name = $2 AND status IS NULL",
                          text(account), text(name))
            : session_run(session, error,
                          "UPDATE idempotency SET status = $1, body = $2 "
                          "WHERE account = $3 AND name = $4 AND status IS NULL",
                          integer(status), text(body), text(account), text(name));
  return done && session_commit(session, error);
}
