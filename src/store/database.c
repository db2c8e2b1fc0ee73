/* A pool of connections, the right to write, and the steps of the schema.
 *
 * A Session takes a connection that is free, the one used last first (its pages and statements are warm), or
 * opens one. A connection whose disk or file failed is closed instead of given back, and all that were opened
 * before that moment with it: they may have been opened while the folder could only be read. So the next
 * Session starts afresh, and nothing has to be restarted once the disk is well.
 *
 * The writers of one process wait for each other at a gate, in turn; between processes the driver waits. */
#include "store/database.h"
#include "store/driver.h"
#include "store/schema.h"

#define GATE_SECONDS 10
#define MAX_FREE 32 /* connections kept open while nobody needs them */

struct Database {
  char *where;
  GMutex lock;
  GCond gate_open;
  gboolean writing;  /* somebody of this process has the right to write */
  GPtrArray *free;   /* Pooled, the last used at the end */
  gint64 generation; /* grows when a connection broke */
  Connection *watch; /* never writes, and is never in the pool */
};

struct Session {
  Database *database;
  Connection *connection;
  gint64 generation;
  gboolean writes;  /* it stands in the gate */
  gboolean running; /* neither committed nor rolled back */
};

/* ---- the schema ---- */

static gboolean bring_up(Connection *connection, GError **error) {
  int version = 0;
  if (!connection_schema(connection, &version, error))
    return FALSE;
  if (version > schema_version)
    return fault(error, FAULT_STORE,
                 "The database was made by a newer version of this program. Use that one.");
  for (; version < schema_version; version++)
    if (!connection_script(connection, schema_steps[version], error) ||
        !connection_schema_set(connection, version + 1, error))
      return FALSE;
  return TRUE;
}

/* Others may be starting too: the version is read again once nobody else can write. */
static gboolean migrate(Connection *connection, GError **error) {
  int version = 0;
  if (!connection_schema(connection, &version, error))
    return FALSE;
  if (version == schema_version)
    return TRUE;
  if (!connection_begin(connection, DATABASE_WRITE, error))
    return FALSE;
  if (bring_up(connection, error) && connection_commit(connection, error))
    return TRUE;
  connection_rollback(connection);
  return FALSE;
}

/* ---- the pool ---- */

static Connection *pool_take(Database *database, gint64 *generation, GError **error) {
  g_autoptr(Connection) found = NULL;
  g_mutex_lock(&database->lock);
  *generation = database->generation;
  if (database->free->len)
    found = g_ptr_array_steal_index(database->free, database->free->len - 1);
  g_mutex_unlock(&database->lock);
  return found ? g_steal_pointer(&found) : connection_open(database->where, error);
}

/* Takes the connection. */
static void pool_give(Database *database, Connection *taken, gint64 generation) {
  g_autoptr(Connection) connection = taken;
  g_autoptr(GPtrArray) stale = g_ptr_array_new_with_free_func((GDestroyNotify)connection_free);
  g_mutex_lock(&database->lock);
  if (connection_broken(connection)) {
    database->generation++;
    g_ptr_array_extend_and_steal(stale, g_steal_pointer(&database->free));
    database->free = g_ptr_array_new_with_free_func((GDestroyNotify)connection_free);
  } else if (generation == database->generation && database->free->len < MAX_FREE) {
    g_ptr_array_add(database->free, g_steal_pointer(&connection));
  }
  g_mutex_unlock(&database->lock);
}

static gboolean gate_enter(Database *database, GError **error) {
  gint64 until = g_get_monotonic_time() + GATE_SECONDS * G_TIME_SPAN_SECOND;
  gboolean mine = TRUE;
  g_mutex_lock(&database->lock);
  while (mine && database->writing)
    mine = g_cond_wait_until(&database->gate_open, &database->lock, until) || !database->writing;
  if (mine)
    database->writing = TRUE;
  g_mutex_unlock(&database->lock);
  if (!mine)
    return fault(error, FAULT_STORE, "%s was in use by others for %d s. Try again.", database->where,
                 GATE_SECONDS);
  return TRUE;
}

static void gate_leave(Database *database) {
  g_mutex_lock(&database->lock);
  database->writing = FALSE;
  g_cond_signal(&database->gate_open);
  g_mutex_unlock(&database->lock);
}

Database *database_open(const char *where, GError **error) {
  g_autoptr(Connection) connection = connection_open(where, error);
  g_autoptr(Connection) watch =
      connection && migrate(connection, error) ? connection_open(where, error) : NULL;
  if (!watch || !connection_watch(watch, error))
    return NULL;
  Database *database = g_new0(Database, 1);
  database->where = g_strdup(where);
  database->watch = g_steal_pointer(&watch);
  g_mutex_init(&database->lock);
  g_cond_init(&database->gate_open);
  database->free = g_ptr_array_new_with_free_func((GDestroyNotify)connection_free);
  pool_give(database, g_steal_pointer(&connection), 0);
  return database;
}

void database_free(Database *database) {
  if (!database)
    return;
  g_ptr_array_unref(database->free);
  connection_free(database->watch);
  g_cond_clear(&database->gate_open);
  g_mutex_clear(&database->lock);
  g_free(database->where);
  g_free(database);
}

gint64 database_version(Database *database) {
  return connection_version(database->watch);
}

/* ---- sessions ---- */

Session *database_begin(Database *database, DatabaseAccess access, GError **error) {
  gboolean writes = access != DATABASE_READ;
  if (writes && !gate_enter(database, error))
    return NULL;
  gint64 generation = 0;
  Connection *connection = pool_take(database, &generation, error);
  if (!connection) {
    if (writes)
      gate_leave(database);
    return NULL;
  }
  Session *session = g_new(Session, 1);
  *session = (Session){database, connection, generation, writes, TRUE};
  if (connection_begin(connection, access, error))
    return session;
  session_free(session);
  return NULL;
}

/* Others may write from here on. The connection stays until the session is freed, for Rows that are freed
 * after the commit. */
static void session_end(Session *session) {
  if (session->running)
    connection_rollback(session->connection);
  if (session->running && session->writes)
    gate_leave(session->database);
  session->running = FALSE;
}

gboolean session_commit(Session *session, GError **error) {
  if (!session->running)
    return fault(error, FAULT_INTERNAL, "The session has ended already.");
  gboolean done = connection_commit(session->connection, error);
  session_end(session);
  return done;
}

void session_free(Session *session) {
  if (!session)
    return;
  session_end(session);
  pool_give(session->database, session->connection, session->generation);
  g_free(session);
}

gboolean session_run_values(Session *session, GError **error, gint64 *changed, const char *sql,
                            const Value *values) {
  if (!session->running)
    return fault(error, FAULT_INTERNAL, "The session has ended already.");
  return connection_run(session->connection, sql, values, changed, error);
}

Rows *session_query_values(Session *session, GError **error, const char *sql, const Value *values) {
  if (!session->running)
    return fault_null(error, FAULT_INTERNAL, "The session has ended already.");
  return connection_query(session->connection, sql, values, error);
}
