/* Tables: one SQL, two drivers.
 *
 * The statements are written in the SQL that SQLite and PostgreSQL share: parameters $1, $2, … in the order
 * of their first appearance, INSERT … ON CONFLICT, UPDATE … RETURNING. Times are integers (milliseconds since
 * 1970, UTC), credits integers (hundredths of a credit), truth 0 or 1, JSON text.
 *
 *   g_autoptr(Session) session = database_begin(database, DATABASE_WRITE, error);
 *   if (!session)
 *     return FALSE;
 *   if (!session_run(session, error, "UPDATE scenes SET name = $1 WHERE id = $2", text(name), text(id)))
 *     return FALSE;                                      the session rolls back as it goes out of scope
 *   return session_commit(session, error);
 *
 * A Database may be used from any thread; a Session belongs to one thread and should live for one short
 * transaction. Writers wait for each other (up to 10 s), readers for nobody. Errors are FAULT_STORE: the disk
 * is full, the folder is read only, the database is damaged or away; nothing was changed then, and the next
 * call tries anew. A statement that is wrong or breaks a constraint is FAULT_INTERNAL. After any error a
 * Session takes no more statements: free it. */
#pragma once
#include "base/fault.h"

typedef struct Database Database;

/* where: path of the SQLite file, made when absent (its folder must exist). Brings the tables up to date
 * (store/schema.c), safely when several processes start at once. */
Database *database_open(const char *where, GError **error);
void database_free(Database *database);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Database, database_free)

/* --- values --- */

typedef struct {
  enum { VALUE_END, VALUE_NULL, VALUE_TEXT, VALUE_INTEGER, VALUE_REAL } kind;
  const char *text;
  gint64 integer;
  double real;
} Value;

static inline Value text(const char *value) { /* NULL is stored as NULL; must be valid UTF-8 */
  return (Value){.kind = value ? VALUE_TEXT : VALUE_NULL, .text = value};
}
static inline Value integer(gint64 value) {
  return (Value){.kind = VALUE_INTEGER, .integer = value};
}
static inline Value real(double value) {
  return (Value){.kind = VALUE_REAL, .real = value};
}
static inline Value null(void) {
  return (Value){.kind = VALUE_NULL};
}

/* --- sessions --- */

typedef enum {
  DATABASE_READ,  /* one snapshot for all statements */
  DATABASE_WRITE, /* takes the right to write at once, so it never fails half way for another writer; a commit
                     outlasts a power cut */
  DATABASE_WRITE_SOON /* the same, but the disk is not waited for: a commit outlasts the death of any process,
                         a power cut may take the last moments back. For what is worth nothing after one:
                         leases, progress, claims */
} DatabaseAccess;

typedef struct Session Session;
Session *database_begin(Database *database, DatabaseAccess access, GError **error);
/* Makes what was written durable. The session can only be freed after it. */
gboolean session_commit(Session *session, GError **error);
/* Rolls back what was not committed. */
void session_free(Session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

/* One statement without rows. changed (where not NULL): the rows that it touched. */
gboolean session_run_values(Session *session, GError **error, gint64 *changed, const char *sql,
                            const Value *values);
#define session_run(session, error, ...) session_run_(session, error, NULL, __VA_ARGS__, (Value){VALUE_END})
#define session_run_counted(session, error, changed, ...)                                                    \
  session_run_(session, error, changed, __VA_ARGS__, (Value){VALUE_END})
#define session_run_(session, error, changed, sql, ...)                                                      \
  session_run_values(session, error, changed, sql, (const Value[]){__VA_ARGS__})

/* A statement with rows; statements are prepared once for each connection. The Rows must be freed before the
 * next statement of the same text. */
typedef struct Rows Rows;
Rows *session_query_values(Session *session, GError **error, const char *sql, const Value *values);
#define session_query(session, error, ...) session_query_(session, error, __VA_ARGS__, (Value){VALUE_END})
#define session_query_(session, error, sql, ...)                                                             \
  session_query_values(session, error, sql, (const Value[]){__VA_ARGS__})
void rows_free(Rows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rows, rows_free)

/* Steps to the next (at first the first) row; FALSE at the end, or with *error set. */
gboolean rows_next(Rows *rows, GError **error);
/* After rows_next was FALSE: whether that was the end, and no failure.
 *
 *   while (rows_next(rows, error))
 *     …
 *   return rows_ended(rows); */
gboolean rows_ended(const Rows *rows);
gboolean rows_null(const Rows *rows, int column);
/* Valid until the next step; NULL for NULL. */
const char *rows_text(const Rows *rows, int column);
gint64 rows_integer(const Rows *rows, int column); /* 0 for NULL */
double rows_real(const Rows *rows, int column);

/* A number that differs whenever anybody, this process or another, has committed since it was last asked for:
 * a cheap question (no system call, some ten nanoseconds) whether a cached answer still holds. Ask before
 * reading what is to be cached. Any thread may ask. */
gint64 database_version(Database *database);
