/* A thread that runs a libmicrohttpd daemon.
 *
 * libmicrohttpd's own threads wait again when exactly 128 events have come at once (or a multiple of it),
 * before they look at them: whoever sent them waits until something else happens (MHD_epoll, 0.9.75 and
 * before). So the daemons run without threads of theirs, and the waiting is done here. */
#pragma once
#include <glib.h>
#include <microhttpd.h>

typedef struct Loop Loop;

/* What a daemon for a loop is started with, beside the caller's own flags and options. */
#define LOOP_FLAGS (MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME)
#define LOOP_OPTIONS                                                                                         \
  { MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL }

/* Takes the daemon. */
Loop *loop_start(struct MHD_Daemon *daemon);
/* The loop on whose thread this is called. */
Loop *loop_current(void);
/* Lets a suspended connection of this loop go on; from any thread. */
void loop_resume(Loop *loop, struct MHD_Connection *connection);
/* No new connections from the return on. */
void loop_quiesce(Loop *loop);
/* Ends the thread, closes all connections and stops the daemon. No connection may be suspended. */
void loop_free(Loop *loop);
