/* The installation's own account is named by a row of the settings, so that it is made once whoever starts
 * first. */
#include "app/accounts/accounts.h"
#include "app/accounts/accounts_private.h"

void caller_free(Caller *caller) {
  if (!caller)
    return;
  g_free(caller->account);
  g_free(caller->key);
  g_free(caller->dialect);
  g_free(caller->scopes);
  g_free(caller->request);
  g_free(caller);
}

static char *webhook_secret(void) {
  guint8 bytes[32];
  app_random(bytes, sizeof bytes);
  g_autofree char *encoded = g_base64_encode(bytes, sizeof bytes);
  return g_strconcat("whsec_", encoded, NULL);
}

static char *account_make(Session *session, const char *name, GError **error) {
  g_autofree char *id = app_id("account_"), *secret = webhook_secret();
  gint64 now = app_now();
  if (!session_run(
          session, error,
          "INSERT INTO accounts (id, name, updated, webhook_secret, created) VALUES ($1, $2, $3, $4, $5)",
          text(id), text(name), integer(now), text(secret), integer(now)))
    return NULL;
  return g_steal_pointer(&id);
}

/* The text of the first column of the first row; NULL where there is none. */
static gboolean one_text(Session *session, char **found, const char *sql, const char *value, GError **error) {
  *found = NULL;
  g_autoptr(Rows) rows = session_query(session, error, sql, text(value));
  if (!rows)
    return FALSE;
  if (rows_next(rows, error))
    *found = g_strdup(rows_text(rows, 0));
  return rows_ended(rows);
}

char *account_own(Session *session, gboolean *fresh, GError **error) {
  g_autofree char *id = NULL;
  *fresh = FALSE;
  if (!one_text(session, &id, "SELECT value FROM settings WHERE name = $1", "account", error))
    return NULL;
  if (id)
    return g_steal_pointer(&id);
  *fresh = TRUE;
  id = account_make(session, "default", error);
  if (!id ||
      !session_run(session, error, "INSERT INTO settings (name, value) VALUES ('account', $1)", text(id)))
    return NULL;
  return g_steal_pointer(&id);
}

char *account_named(Session *session, const char *name, GError **error) {
  char *id = NULL;
  if (!one_text(session, &id, "SELECT id FROM accounts WHERE name = $1 ORDER BY created LIMIT 1", name,
                error))
    return NULL;
  return id ? id : account_make(session, name, error);
}

char *account_default(App *app, gboolean *fresh, GError **error) {
  {
    g_autofree char *id = NULL;
    g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
    if (!session || !one_text(session, &id, "SELECT value FROM settings WHERE name = $1", "account", error))
      return NULL;
    if (id) {
      *fresh = FALSE;
      return g_steal_pointer(&id);
    }
  }
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autofree char *id = session ? account_own(session, fresh, error) : NULL;
  return id && session_commit(session, error) ? g_steal_pointer(&id) : NULL;
}

char *account_find(App *app, const char *name, GError **error) {
  gboolean fresh;
  if (!name)
    return account_default(app, &fresh, error);
  char *id = NULL;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  if (!session || !one_text(session, &id, "SELECT id FROM accounts WHERE name = $1 ORDER BY created LIMIT 1",
                            name, error))
    return NULL;
  return id ? id : fault_null(error, FAULT_INPUT, "There is no account \"%s\".", name);
}
