/* What store/database.c asks of a kind of database: connections and their statements. One file fills this in
 * (store/sqlite.c), together with Rows of store/database.h.
 *
 * A Connection is used by one thread at a time. After any error within a transaction nothing more is done
 * there but connection_rollback: what follows is refused, so that half a transaction is never kept. */
#pragma once
#include "store/database.h"

typedef struct Connection Connection;

Connection *connection_open(const char *where, GError **error);
void connection_free(Connection *connection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_free)

/* TRUE when it should be closed and another one opened: the file failed under it, or it was opened
 * while the file could only be read. */
gboolean connection_broken(const Connection *connection);

gboolean connection_begin(Connection *connection, DatabaseAccess access, GError **error);
gboolean connection_commit(Connection *connection, GError **error);
void connection_rollback(Connection *connection); /* nothing where nothing was begun */

gboolean connection_run(Connection *connection, const char *sql, const Value *values, gint64 *changed,
                        GError **error);
Rows *connection_query(Connection *connection, const char *sql, const Value *values, GError **error);
/* Several statements without values, separated by ';'. */
gboolean connection_script(Connection *connection, const char *sql, GError **error);

/* The number of schema steps that were taken; 0 for an empty database. */
gboolean connection_schema(Connection *connection, int *version, GError **error);
gboolean connection_schema_set(Connection *connection, int version, GError **error);

/* Makes it one that only watches: connection_version differs after any other connection has committed, of
 * this process or another. Any thread may ask. */
gboolean connection_watch(Connection *connection, GError **error);
gint64 connection_version(const Connection *connection);
