#include "app/jobs/holds.h"
#include "store/objects.h"

gboolean holds_set(Session *session, const char *owner, const char *role, const char *object,
                   GError **error) {
  if (!object)
    return session_run(session, error, "DELETE FROM holds WHERE owner = $1 AND role = $2", text(owner),
                       text(role));
  return session_run(session, error,
                     "INSERT INTO holds (object, owner, role) VALUES ($1, $2, $3) "
                     "ON CONFLICT (owner, role) DO UPDATE SET object = excluded.object",
                     text(object), text(owner), text(role));
}

gboolean holds_drop(Session *session, const char *owner, const char *prefix, GError **error) {
  if (!prefix)
    return session_run(session, error, "DELETE FROM holds WHERE owner = $1", text(owner));
  g_autofree char *from = g_strconcat(prefix, "/", NULL),
                  *to = g_strconcat(prefix, "0", NULL); /* '0' follows '/' */
  return session_run(session, error, "DELETE FROM holds WHERE owner = $1 AND role >= $2 AND role < $3",
                     text(owner), text(from), text(to));
}

gboolean holds_get(Session *session, const char *owner, const char *role, char **object, GError **error) {
  *object = NULL;
  g_autoptr(Rows) rows = session_query(
      session, error, "SELECT object FROM holds WHERE owner = $1 AND role = $2", text(owner), text(role));
  if (!rows)
    return FALSE;
  if (rows_next(rows, error))
    *object = g_strdup(rows_text(rows, 0));
  return rows_ended(rows);
}

gboolean holds_named(Session *session, const char *owner, const char *prefix, const json_t *json,
                     GError **error) {
  const char *key, *value = json_string_value(json);
  json_t *within;
  size_t index;
  if (value && objects_id_valid(value)) {
    g_autofree char *role = g_strdup_printf("%s/%s", prefix, value);
    return holds_set(session, owner, role, value, error);
  }
  json_object_foreach((json_t *)json, key, within) {
    if (!holds_named(session, owner, prefix, within, error))
      return FALSE;
  }
  json_array_foreach(json, index, within) {
    if (!holds_named(session, owner, prefix, within, error))
      return FALSE;
  }
  return TRUE;
}
