/* Listeners of server-sent events: one thread asks for the news of all, connections without any are
 * suspended. */
#pragma once
#include "api/http/http.h"
#include "api/http/loop.h"

typedef struct Events Events;
typedef struct Listener Listener;

Events *events_new(Api *api);
/* Ends all streams. */
void events_stop(Events *events);
/* After every connection is gone. */
void events_free(Events *events);

Listener *listener_new(EventsFunc next, gpointer user, GDestroyNotify destroy);
void listener_free(Listener *listener);
/* The stream of a connection; takes the listener. */
struct MHD_Response *listener_response(Events *events, Listener *listener, Loop *loop,
                                       struct MHD_Connection *connection);
guint events_count(Events *events);
