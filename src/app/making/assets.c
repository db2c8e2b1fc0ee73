#include "app/making/assets.h"

#include <string.h>

gboolean asset_affordable(App *app, const char *account, gint64 price, GError **error) {
  Balance balance;
  if (!account_balance(app, account, &balance, error))
    return FALSE;
  if (balance.balance >= price)
    return TRUE;
  return refuse(error, REFUSAL_CREDITS, "This needs %.2f credits and the balance is %.2f. Add credits.",
                (double)price / CREDIT, (double)balance.balance / CREDIT);
}

char *asset_pattern(const char *q) {
  GString *result = g_string_new("%");
  for (const char *c = q ? q : ""; *c; c++) {
    if (strchr("%_\\", *c))
      g_string_append_c(result, '\\');
    g_string_append_c(result, *c);
  }
  g_string_append_c(result, '%');
  return g_string_free(result, FALSE);
}

static gboolean job_taken(Session *session, const char *id, gboolean *taken, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error, "SELECT 1 FROM jobs WHERE id = $1", text(id));
  if (!rows)
    return FALSE;
  *taken = rows_next(rows, error);
  return *taken || rows_ended(rows);
}

gboolean asset_ids(Session *session, const char *prefix, char **id, char **job, GError **error) {
  for (;;) {
    g_autofree char *uuid = app_uuid();
    /* xxxxxxxx-xxxx-…: the first 12 hex digits. */
    g_autofree char *name = g_strdup_printf("%s_%.8s%.4s", prefix, uuid, uuid + 9);
    gboolean taken;
    if (!job_taken(session, name, &taken, error))
      return FALSE;
    if (taken)
      continue;
    *id = g_steal_pointer(&uuid);
    *job = g_steal_pointer(&name);
    return TRUE;
  }
}

gboolean asset_made(App *app, const Caller *caller, JobKind kind, Job **job, GError **error) {
  *job = NULL;
  if (!caller->again)
    return TRUE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows = session ? session_query(session, error,
                                                 "SELECT id FROM jobs WHERE account = $1 AND request = $2 "
                                                 "AND kind = $3 AND created >= $4 ORDER BY created DESC",
                                                 text(caller->account), text(caller->request),
                                                 text(job_kind_name(kind)), integer(caller->asked))
                                 : NULL;
  if (!rows)
    return FALSE;
  if (!rows_next(rows, error))
    return rows_ended(rows);
  g_autofree char *id = g_strdup(rows_text(rows, 0));
  return (*job = job_get(session, id, caller->account, error)) != NULL;
}

Job *asset_job(const char *id, JobKind kind, const Caller *caller, const char *dialect,
               const char *webhook_url) {
  Job *job = g_new0(Job, 1);
  job->id = g_strdup(id);
  job->account = g_strdup(caller->account);
  job->kind = kind;
  job->dialect = g_strdup(dialect ? dialect : caller->dialect);
  job->webhook_url = g_strdup(given(webhook_url));
  job->request = g_strdup(caller->request);
  return job;
}
