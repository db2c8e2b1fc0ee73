/* One statement moves the sums of the account, another adds the row: within one transaction, so they always
 * agree. The unique index on job and kind makes a second settlement of a job impossible even if two
 * transactions tried. */
#include "app/accounts/accounts.h"

/* Adds a row and moves the account's sums by the same amounts. */
static gboolean enter(Session *session, const char *account, const char *kind, gint64 amount, const char *job,
                      const char *note, GError **error) {
  g_autofree char *id = app_id("ledger_");
  return session_run(session, error,
                     "INSERT INTO ledger (id, account, kind, amount, job, note, created) "
                     "VALUES ($1, $2, $3, $4, $5, $6, $7)",
                     text(id), text(account), text(kind), integer(amount), text(job), text(note),
                     integer(app_now()));
}

static gboolean refuse_credits(Session *session, const char *account, gint64 amount, GError **error) {
  Balance balance;
  if (!ledger_balance(session, account, &balance, error))
    return FALSE;
  return refuse(
      error, REFUSAL_CREDITS,
      "This needs %.2f credits and the account has %.2f. Add credits or wait for running jobs to end.",
      (double)amount / CREDIT, (double)balance.balance / CREDIT);
}

gboolean ledger_reserve(Session *session, const char *account, const char *job, gint64 amount,
                        GError **error) {
  if (amount < 0)
    return fault(error, FAULT_INTERNAL, "A negative amount cannot be reserved.");
  if (amount == 0)
    return TRUE;
  gint64 changed = 0;
  if (!session_run_counted(
          session, error, &changed,
          "UPDATE accounts SET balance = balance - $1, reserved = reserved + $1, updated = $2 "
          "WHERE id = $3 AND balance >= $1",
          integer(amount), integer(app_now()), text(account)))
    return FALSE;
  if (changed == 0)
    return refuse_credits(session, account, amount, error);
  return enter(session, account, "reserve", -amount, job, NULL, error);
}

/* What the job has reserved, and whether that was given back already. */
static gboolean reservation(Session *session, const char *account, const char *job, gint64 *reserved,
                            gboolean *settled, GError **error) {
  *reserved = 0;
  *settled = FALSE;
  g_autoptr(Rows) rows =
      session_query(session, error, "SELECT kind, amount FROM ledger WHERE job = $1 AND account = $2",
                    text(job), text(account));
  if (!rows)
    return FALSE;
  while (rows_next(rows, error)) {
    if (g_str_equal(rows_text(rows, 0), "reserve"))
      *reserved = -rows_integer(rows, 1);
    else
      *settled = TRUE;
  }
  return rows_ended(rows);
}

gboolean ledger_settle(Session *session, const char *account, const char *job, gint64 amount,
                       GError **error) {
  gint64 reserved = 0;
  gboolean settled = FALSE;
  if (!reservation(session, account, job, &reserved, &settled, error))
    return FALSE;
  if (settled || amount < 0 || amount > reserved)
    return fault(error, FAULT_INTERNAL, "Job %s cannot be settled at %" G_GINT64_FORMAT ": %s.", job, amount,
                 settled ? "it was settled before" : "that is more than it has reserved");
  if (reserved == 0)
    return TRUE;
  if (!session_run(session, error,
                   "UPDATE accounts SET balance = balance + $1, reserved = reserved - $2, used = used + $3, "
                   "updated = $4 WHERE id = $5",
                   integer(reserved - amount), integer(reserved), integer(amount), integer(app_now()),
                   text(account)) ||
      !enter(session, account, "release", reserved, job, NULL, error))
    return FALSE;
  return amount == 0 || enter(session, account, "charge", -amount, job, NULL, error);
}

gboolean ledger_grant(Session *session, const char *account, gint64 amount, const char *note,
                      GError **error) {
  if (amount <= 0 || amount > LEDGER_MOST)
    return fault(error, FAULT_USAGE, "Between 0.01 and %d credits can be added at a time.",
                 (int)(LEDGER_MOST / CREDIT));
  gint64 changed = 0;
  if (!session_run_counted(
          session, error, &changed,
          "UPDATE accounts SET balance = balance + $1, purchased = purchased + $1, updated = $2 "
          "WHERE id = $3",
          integer(amount), integer(app_now()), text(account)))
    return FALSE;
  if (changed == 0)
    return fault(error, FAULT_INPUT, "There is no account %s.", account);
  return enter(session, account, "grant", amount, NULL, note, error);
}

gboolean ledger_balance(Session *session, const char *account, Balance *balance, GError **error) {
  *balance = (Balance){0};
  g_autoptr(Rows) rows = session_query(
      session, error, "SELECT balance, purchased, used, reserved, updated FROM accounts WHERE id = $1",
      text(account));
  if (!rows)
    return FALSE;
  if (!rows_next(rows, error))
    return rows_ended(rows) && fault(error, FAULT_INTERNAL, "There is no account %s.", account);
  *balance = (Balance){rows_integer(rows, 0), rows_integer(rows, 1), rows_integer(rows, 2),
                       rows_integer(rows, 3), rows_integer(rows, 4)};
  return TRUE;
}

gboolean account_balance(App *app, const char *account, Balance *balance, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session && ledger_balance(session, account, balance, error);
}
