/* SQLite behind store/driver.h.
 *
 * The write-ahead log lets readers go on while one writes; synchronous=FULL puts every commit on the disk
 * before it is reported (FULL in WAL mode is one fsync of the log), except in DATABASE_WRITE_SOON, which
 * leaves that to the next full commit. A read transaction is two locks on the log's index and no system call
 * for data as long as its pages are in the connection's cache.
 *
 * Statements are kept prepared by their text. $1, $2, … are names to SQLite, numbered as they appear, so each
 * statement keeps which value each of its parameters means.
 *
 * Some errors (a full disk, an I/O error) make SQLite roll the transaction back on its own, and a statement
 * after that would be committed by itself. So the connection remembers the failure and refuses all but a
 * rollback. */
#include "store/driver.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_SECONDS 10
#define MAX_PARAMETERS 48
#define MAX_STATEMENTS 400 /* prepared ones a connection keeps */
#define CACHE_KIB 8192

/* In the header of the log's index, in words of 32 bits: a counter of transactions, and two words of checksum
 * over the header with its place in the log and that frame's checksum. */
#define INDEX_BYTES 32768
#define INDEX_CHANGE 2
#define INDEX_CHECKSUM 10

struct Connection {
  sqlite3 *db;
  char *where;
  GHashTable *statements;        /* SQL -> Rows, of which it is the key */
  const volatile guint32 *index; /* of one that watches */
  gint64 waiting;                /* since when it waits for another writer */
  gboolean broken;               /* see connection_broken */
  gboolean failed;               /* something failed in this transaction */
  gboolean soon;                 /* commits do not wait for the disk now */
};

struct Rows {
  Connection *connection;
  sqlite3_stmt *statement;
  char *sql;
  int count, values[MAX_PARAMETERS], most; /* the number of the value of each parameter; the largest */
  gboolean busy, kept;
};

/* ---- errors ---- */

static gboolean disk_full(Connection *connection, int code) {
  int system = sqlite3_system_errno(connection->db);
  return code == SQLITE_FULL || (code == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT));
}

static gboolean failure(Connection *connection, GError **error) {
  int extended = sqlite3_extended_errcode(connection->db), code = extended & 0xff;
  const char *where = connection->where;
  connection->failed = TRUE;
  if (disk_full(connection, code)) /* the connection is as good as before */
    return fault(error, FAULT_STORE, "The disk that holds %s is full. Make room on it and try again.", where);
  switch (code) {
  case SQLITE_READONLY:
  case SQLITE_CANTOPEN:
  case SQLITE_PERM:
  case SQLITE_AUTH:
    connection->broken = TRUE;
    return fault(error, FAULT_STORE,
                 "%s cannot be written. Make sure that its folder exists, that this user may write there and "
                 "that the disk is not mounted read-only, then try again.",
                 where);
  case SQLITE_IOERR:
    connection->broken = TRUE;
    return fault(error, FAULT_STORE, "%s cannot be read or written (%s, error %d). Look after its disk.",
                 where, sqlite3_errmsg(connection->db), extended);
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    connection->broken = TRUE;
    return fault(error, FAULT_STORE, "%s is damaged. Put a copy of it from a backup in its place.", where);
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return fault(error, FAULT_STORE, "%s was in use by others for %d s. Try again.", where, BUSY_SECONDS);
  case SQLITE_NOMEM:
    return fault(error, FAULT_STORE, "There is no memory left to work on %s.", where);
  default:
    return fault(error, FAULT_INTERNAL, "%s: %s", where, sqlite3_errmsg(connection->db));
  }
}

/* Another process writes: look again soon, since most transactions are shorter than SQLite's own pauses. */
static int wait_for_writer(void *user, int tries) {
  Connection *connection = user;
  gint64 now = g_get_monotonic_time();
  if (tries == 0)
    connection->waiting = now;
  if (now - connection->waiting > BUSY_SECONDS * G_USEC_PER_SEC)
    return 0;
  g_usleep(tries < 20 ? 250 : 2000);
  return 1;
}

/* ---- statements ---- */

static void rows_destroy(gpointer data) {
  Rows *rows = data;
  sqlite3_finalize(rows->statement);
  g_free(rows->sql);
  g_free(rows);
}

static Rows *rows_prepare(Connection *connection, const char *sql, GError **error) {
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
    return failure(connection, error), NULL;
  Rows *rows = g_new0(Rows, 1);
  *rows = (Rows){.connection = connection, .statement = statement, .sql = g_strdup(sql)};
  rows->count = sqlite3_bind_parameter_count(statement);
  for (int i = 0; i < rows->count && i < MAX_PARAMETERS; i++) {
    const char *name = sqlite3_bind_parameter_name(statement, i + 1);
    rows->values[i] = name && name[0] == '$' ? atoi(name + 1) : 0;
    rows->most = MAX(rows->most, rows->values[i]);
    if (rows->values[i] < 1)
      rows->count = MAX_PARAMETERS + 1;
  }
  if (rows->count > MAX_PARAMETERS) {
    rows_destroy(rows);
    connection->failed = TRUE;
    return fault_null(error, FAULT_INTERNAL, "Parameters must be $1 to $%d: %s", MAX_PARAMETERS, sql);
  }
  return rows;
}

static gboolean is_idle(gpointer key, gpointer value, gpointer user) {
  return !((Rows *)value)->busy;
}

/* The statement of this text, ready for its values. One that is being stepped through already is prepared
 * once more. */
static Rows *rows_of(Connection *connection, const char *sql, GError **error) {
  Rows *rows = g_hash_table_lookup(connection->statements, sql);
  if (rows && !rows->busy)
    return rows;
  gboolean keep = rows == NULL;
  rows = rows_prepare(connection, sql, error);
  if (!rows || !keep)
    return rows;
  if (g_hash_table_size(connection->statements) >= MAX_STATEMENTS)
    g_hash_table_foreach_remove(connection->statements, is_idle, NULL);
  rows->kept = TRUE;
  g_hash_table_insert(connection->statements, rows->sql, rows);
  return rows;
}

static int bind_value(sqlite3_stmt *statement, int index, const Value *value) {
  switch (value->kind) {
  case VALUE_TEXT:
    return sqlite3_bind_text(statement, index, value->text, -1, SQLITE_TRANSIENT);
  case VALUE_INTEGER:
    return sqlite3_bind_int64(statement, index, value->integer);
  case VALUE_REAL:
    return sqlite3_bind_double(statement, index, value->real);
  default:
    return sqlite3_bind_null(statement, index);
  }
}

static gboolean rows_bind(Rows *rows, const Value *values, GError **error) {
  int given = 0;
  while (values && values[given].kind != VALUE_END)
    given++;
  if (given != rows->most) {
    rows->connection->failed = TRUE;
    return fault(error, FAULT_INTERNAL, "%d values for %d parameters: %s", given, rows->most, rows->sql);
  }
  for (int i = 0; i < rows->count; i++)
    if (bind_value(rows->statement, i + 1, &values[rows->values[i] - 1]) != SQLITE_OK)
      return failure(rows->connection, error);
  return TRUE;
}

Rows *connection_query(Connection *connection, const char *sql, const Value *values, GError **error) {
  if (connection->failed)
    return fault_null(error, FAULT_INTERNAL, "A statement follows one that failed: %s", sql);
  Rows *rows = rows_of(connection, sql, error);
  if (!rows)
    return NULL;
  rows->busy = TRUE;
  if (!rows_bind(rows, values, error)) {
    rows_free(rows);
    return NULL;
  }
  return rows;
}

void rows_free(Rows *rows) {
  if (!rows)
    return;
  sqlite3_reset(rows->statement);
  if (rows->most)
    sqlite3_clear_bindings(rows->statement);
  rows->busy = FALSE;
  if (!rows->kept)
    rows_destroy(rows);
}

gboolean rows_next(Rows *rows, GError **error) {
  if (rows->connection->failed)
    return fault(error, FAULT_INTERNAL, "A step follows a statement that failed: %s", rows->sql);
  int code = sqlite3_step(rows->statement);
  if (code == SQLITE_ROW)
    return TRUE;
  if (code != SQLITE_DONE)
    return failure(rows->connection, error);
  return FALSE;
}

gboolean rows_ended(const Rows *rows) {
  return !rows->connection->failed;
}

gboolean rows_null(const Rows *rows, int column) {
  return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}

const char *rows_text(const Rows *rows, int column) {
  return (const char *)sqlite3_column_text(rows->statement, column);
}

gint64 rows_integer(const Rows *rows, int column) {
  return sqlite3_column_int64(rows->statement, column);
}

double rows_real(const Rows *rows, int column) {
  return sqlite3_column_double(rows->statement, column);
}

gboolean connection_run(Connection *connection, const char *sql, const Value *values, gint64 *changed,
                        GError **error) {
  g_autoptr(Rows) rows = connection_query(connection, sql, values, error);
  if (!rows)
    return FALSE;
  while (rows_next(rows, error))
    continue;
  if (changed)
    *changed = sqlite3_changes64(connection->db);
  return !connection->failed;
}

gboolean connection_script(Connection *connection, const char *sql, GError **error) {
  if (sqlite3_exec(connection->db, sql, NULL, NULL, NULL) != SQLITE_OK)
    return failure(connection, error);
  return TRUE;
}

/* ---- connections ---- */

/* The first to come turns the file to write-ahead logging and needs it for himself; SQLite does not always
 * wait for that. */
static gboolean use_log(Connection *connection, GError **error) {
  gint64 until = g_get_monotonic_time() + BUSY_SECONDS * G_USEC_PER_SEC;
  for (;;) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (code == SQLITE_OK)
      code = sqlite3_step(statement);
    gboolean done =
        code == SQLITE_ROW && g_strcmp0((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    gboolean refused = code == SQLITE_ROW && !done;
    int again = code & 0xff;
    if (!done && !refused && again != SQLITE_BUSY && again != SQLITE_LOCKED) {
      failure(connection, error);
      sqlite3_finalize(statement);
      return FALSE;
    }
    sqlite3_finalize(statement);
    if (done)
      return TRUE;
    if (refused)
      return fault(error, FAULT_STORE,
                   "%s lies where SQLite cannot keep a log beside it. Choose a local disk.",
                   connection->where);
    if (g_get_monotonic_time() > until)
      return fault(error, FAULT_STORE, "%s was in use by others for %d s. Try again.", connection->where,
                   BUSY_SECONDS);
    g_usleep(2000);
  }
}

Connection *connection_open(const char *where, GError **error) {
  g_autoptr(Connection) connection = g_new0(Connection, 1);
  connection->where = g_strdup(where);
  connection->statements = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, rows_destroy);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(where, &connection->db, flags, NULL) != SQLITE_OK)
    return failure(connection, error), NULL;
  sqlite3_extended_result_codes(connection->db, 1);
  sqlite3_busy_handler(connection->db, wait_for_writer, connection);
  if (!use_log(connection, error))
    return NULL;
  g_autofree char *settings = g_strdup_printf("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                                              "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%d;"
                                              "PRAGMA journal_size_limit = 67108864;",
                                              CACHE_KIB);
  if (!connection_script(connection, settings, error))
    return NULL;
  connection->broken = sqlite3_db_readonly(connection->db, "main") == 1;
  return g_steal_pointer(&connection);
}

void connection_free(Connection *connection) {
  if (!connection)
    return;
  g_hash_table_unref(connection->statements);
  sqlite3_close_v2(connection->db);
  g_free(connection->where);
  g_free(connection);
}

gboolean connection_broken(const Connection *connection) {
  return connection->broken;
}

static const Value nothing[] = {{VALUE_END}};

static gboolean be_durable(Connection *connection, gboolean durable, GError **error) {
  if (connection->soon == !durable)
    return TRUE;
  if (!connection_run(connection, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
                      nothing, NULL, error))
    return FALSE;
  connection->soon = !durable;
  return TRUE;
}

gboolean connection_begin(Connection *connection, DatabaseAccess access, GError **error) {
  connection->failed = FALSE;
  if (access == DATABASE_READ)
    return connection_run(connection, "BEGIN", nothing, NULL, error);
  return be_durable(connection, access == DATABASE_WRITE, error) &&
         connection_run(connection, "BEGIN IMMEDIATE", nothing, NULL, error);
}

/* Rows that were not stepped to their end, and will be freed only after the commit, must not stand in its
 * way. */
static void finish_rows(Connection *connection) {
  for (sqlite3_stmt *statement = NULL; (statement = sqlite3_next_stmt(connection->db, statement));)
    if (sqlite3_stmt_busy(statement))
      sqlite3_reset(statement);
}

gboolean connection_commit(Connection *connection, GError **error) {
  finish_rows(connection);
  return connection_run(connection, "COMMIT", nothing, NULL, error);
}

void connection_rollback(Connection *connection) {
  connection->failed = FALSE;
  if (sqlite3_get_autocommit(connection->db))
    return;
  finish_rows(connection);
  connection_run(connection, "ROLLBACK", nothing, NULL, NULL);
  if (!sqlite3_get_autocommit(connection->db))
    connection->broken = TRUE;
}

gboolean connection_schema(Connection *connection, int *version, GError **error) {
  g_autoptr(Rows) rows = connection_query(connection, "PRAGMA user_version", nothing, error);
  if (!rows || !rows_next(rows, error))
    return FALSE;
  *version = (int)rows_integer(rows, 0);
  return TRUE;
}

gboolean connection_schema_set(Connection *connection, int version, GError **error) {
  g_autofree char *sql = g_strdup_printf("PRAGMA user_version = %d", version);
  return connection_script(connection, sql, error);
}

/* The header of the log's index lies in memory that all processes share; a commit changes its counter, its
 * place in the log and its checksum (sqlite.org/walformat.html, "WAL-Index Header"). Reading it there costs
 * no system call, where PRAGMA data_version, which compares the same bytes, takes and gives back a lock. */
static const volatile guint32 *index_header(Connection *connection) {
  sqlite3_file *file = NULL;
  volatile void *map = NULL;
  if (sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file ||
      !file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap)
    return NULL;
  return file->pMethods->xShmMap(file, 0, INDEX_BYTES, 0, &map) == SQLITE_OK ? map : NULL;
}

gboolean connection_watch(Connection *connection, GError **error) {
  if (!connection_run(connection, "SELECT 1 FROM sqlite_master", nothing, NULL, error)) /* opens the log */
    return FALSE;
  connection->index = index_header(connection);
  return connection->index != NULL ||
         fault(error, FAULT_STORE, "%s lies where SQLite cannot keep a log beside it. Choose a local disk.",
               connection->where);
}

gint64 connection_version(const Connection *connection) {
  const volatile guint32 *header = connection->index;
  guint64 change = __atomic_load_n(&header[INDEX_CHANGE], __ATOMIC_ACQUIRE);
  guint64 sum = (guint64)__atomic_load_n(&header[INDEX_CHECKSUM], __ATOMIC_ACQUIRE) << 32 |
                __atomic_load_n(&header[INDEX_CHECKSUM + 1], __ATOMIC_ACQUIRE);
  return (gint64)(sum ^ change * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15));
}
