/* The server's parts: the inside of api/http.h. */
#pragma once
#include "api/cache.h"
#include "api/events.h"
#include "api/metrics.h"
#include "api/request.h"

struct Api {
  App *app;
  char *url;
  gboolean log;
  Router *router;
  Metrics *metrics;
  Cache *cache;
  Events *events;
  GThreadPool *pool;
  GPtrArray *loops; /* Loop, one for each event-loop thread */
  gint running;     /* requests between their headers and the end of their answers */
  gint stopping;    /* new requests are the last of their connections */
  gint ended;       /* what still waits for a thread is refused */
  GMutex lock;      /* of what follows */
  GCond changed;
  GQueue connections; /* Connection */
  GThread *watcher;   /* cuts off who sends too slowly */
  gboolean unwatched;
};

/* Fills request->caller by the key that came. FALSE: REFUSAL_KEY_MISSING, REFUSAL_KEY_INVALID. */
gboolean find_caller(Request *request, GError **error);
/* Runs the handler, with idempotency around it; fills request->answer. */
void dispatch(Request *request);
/* Key, scope, rate, route, body: what can be checked before the body comes. FALSE with *error. */
gboolean admit(Request *request, GError **error);
