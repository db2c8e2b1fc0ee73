/* The name is claimed by an INSERT that only one can win. A claim need not outlast a power cut by itself: the
 * log is written in order, so it is on the disk as soon as what was done under it is.
 *
 * A claim without an answer belongs to a process. It is taken over when that process is gone, when it gave
 * the request up with an error that is worth another try, or when it has taken longer than any request may.
 */
#include "app/accounts/idempotency.h"

#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT(1000))
#define ANSWER_MS (15 * 60 * G_GINT64_CONSTANT(1000)) /* no request takes longer */

/* Makes the claim the caller's, who asked at that time for the first time. */
static void give(Caller *caller, const char *name, gint64 asked, gboolean again) {
  g_free(caller->request);
  caller->request = g_strdup(name);
  caller->asked = asked;
  caller->again = again;
}

static gboolean claim(App *app, Session *session, Caller *caller, const char *name, const char *request,
                      gboolean *first, GError **error) {
  gint64 now = app_now(), changed = 0;
  if (!session_run(session, error,
                   "DELETE FROM idempotency WHERE account = $1 AND name = $2 AND created < $3",
                   text(caller->account), text(name), integer(now - DAY_MS)) ||
      !session_run_counted(session, error, &changed,
                           "INSERT INTO idempotency (account, name, request, created, owner, begun) "
                           "VALUES ($1, $2, $3, $4, $5, $4) ON CONFLICT (account, name) DO NOTHING",
                           text(caller->account), text(name), text(request), integer(now),
                           text(app->presence.name)))
    return FALSE;
  if ((*first = changed == 1))
    give(caller, name, now, FALSE);
  return TRUE;
}

typedef struct {
  char *request, *owner, *body;
  gboolean answered;
  int status;
  gint64 created, begun;
} Claim;

static void claim_clear(Claim *claim) {
  g_free(claim->request);
  g_free(claim->owner);
  g_free(claim->body);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Claim, claim_clear)

static gboolean read_claim(Session *session, const char *account, const char *name, Claim *claim,
                           GError **error) {
  g_autoptr(Rows) rows = session_query(session, error,
                                       "SELECT request, status, body, created, owner, begun FROM idempotency "
                                       "WHERE account = $1 AND name = $2",
                                       text(account), text(name));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  *claim = (Claim){.request = g_strdup(rows_text(rows, 0)),
                   .answered = !rows_null(rows, 1),
                   .status = (int)rows_integer(rows, 1),
                   .body = g_strdup(rows_text(rows, 2)),
                   .created = rows_integer(rows, 3),
                   .owner = g_strdup(rows_text(rows, 4)),
                   .begun = rows_integer(rows, 5)};
  return TRUE;
}

/* A request that was given up may be followed by another one; one that was interrupted only by itself. */
static gboolean take_over(App *app, Session *session, Caller *caller, const char *name, const char *request,
                          const Claim *claim, GError **error) {
  gint64 now = app_now();
  gboolean same = g_str_equal(claim->request, request);
  give(caller, name, same ? claim->created : now, same);
  return session_run(session, error,
                     "UPDATE idempotency SET request = $1, created = $2, owner = $3, begun = $4 "
                     "WHERE account = $5 AND name = $6",
                     text(request), integer(caller->asked), text(app->presence.name), integer(now),
                     text(caller->account), text(name)) &&
         session_commit(session, error);
}

static gboolean repeat(App *app, Session *session, Caller *caller, const char *name, const char *request,
                       IdempotencyState *state, int *status, char **body, GError **error) {
  g_auto(Claim) claim = {0};
  if (!read_claim(session, caller->account, name, &claim, error))
    return FALSE;
  gboolean given_up = !claim.answered && g_strcmp0(claim.owner, "") == 0;
  if (!given_up && !g_str_equal(claim.request, request))
    return refuse(error, REFUSAL_CONFLICT,
                  "This Idempotency-Key was used for another request. Use a new key for each new request.");
  *state = claim.answered ? IDEMPOTENCY_REPLAY : IDEMPOTENCY_FIRST;
  if (claim.answered) {
    *status = claim.status;
    *body = g_steal_pointer(&claim.body);
    return TRUE;
  }
  if (!given_up && app_now() - claim.begun < ANSWER_MS && presence_alive(claim.owner))
    return refuse(
        error, REFUSAL_CONFLICT,
        "The first request with this Idempotency-Key is still being answered. Repeat it a little later.");
  return take_over(app, session, caller, name, request, &claim, error);
}

gboolean idempotency_begin(App *app, Caller *caller, const char *name, const char *request,
                           IdempotencyState *state, int *status, char **body, GError **error) {
  gboolean first = FALSE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  if (!session || !claim(app, session, caller, name, request, &first, error))
    return FALSE;
  *state = IDEMPOTENCY_FIRST;
  return first ? session_commit(session, error)
               : repeat(app, session, caller, name, request, state, status, body, error);
}

gboolean idempotency_end(App *app, const char *account, const char *name, int status, const char *body,
                         GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  if (!session)
    return FALSE;
  gboolean again = status >= 500 || status == 429; /* worth another try under the same name */
  gboolean done = again ? session_run(session, error,
                                      "UPDATE idempotency SET owner = '' "
                                      "WHERE account = $1 AND name = $2 AND status IS NULL",
                                      text(account), text(name))
                        : session_run(session, error,
                                      "UPDATE idempotency SET status = $1, body = $2 "
                                      "WHERE account = $3 AND name = $4 AND status IS NULL",
                                      integer(status), text(body), text(account), text(name));
  return done && session_commit(session, error);
}
