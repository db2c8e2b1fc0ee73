/* A server with routes of its own for the tests of src/api, and a client that says exactly what it is told.
 */
#pragma once
#include "api/http/http.h"

typedef struct {
  char *folder;
  Settings *settings;
  App *app;
  Api *api;
  char *key, *read_key; /* the second has the scope "read" alone */
  int port;
} Probe;

/* changes: NULL, or what is to be different. log: on standard error. */
Probe *probe_new(void (*changes)(Settings *settings));
void probe_free(Probe *probe);
/* How many files lie in the drafts of the object store. */
int probe_drafts(const Probe *probe);
/* How often the handlers of POST /t/count and of /t/later were called. */
int probe_count(void);
/* How many promises of /t/later are gone. */
int probe_promises_freed(void);
/* The file that GET /t/file serves, and its size. */
#define PROBE_FILE_BYTES 100000

/* --- client --- */

typedef struct {
  int status;
  char *head; /* status line and headers */
  char *body;
  gsize length;
  gboolean closed; /* by the server, after the answer */
} Reply;

int client_connect(int port);
void client_send(int fd, const char *bytes, gssize length);
/* Reads one answer (with Content-Length or in chunks); status 0 when the connection ended before one came.
 * head_only: no body comes. */
Reply client_read(int fd, gboolean head_only);
/* TRUE when the server closes within seconds. */
gboolean client_closed(int fd, int seconds);
/* Connects, sends, reads, closes. */
Reply ask(int port, const char *format, ...) G_GNUC_PRINTF(2, 3);
void reply_clear(Reply *reply);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reply, reply_clear)
/* The value of a header (transfer full); NULL when absent. */
char *reply_header(const Reply *reply, const char *name);
/* The text at a path of the JSON body ("error.code") (transfer full); NULL when absent. */
char *reply_text(const Reply *reply, const char *path);
