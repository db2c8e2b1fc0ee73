/* The server's parts: the inside of api/http/http.h. */
#pragma once
#include "api/http/cache.h"
#include "api/http/events.h"
#include "api/http/later.h"
#include "api/http/metrics.h"
#include "api/http/request.h"

struct Api {
  App *app;
  char *url;
  gboolean log;
  Router *router;
  Metrics *metrics;
  Cache *cache;
  Events *events;
  Laters *laters;
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
/* Runs the handler, with idempotency around it; fills request->answer, perhaps with a promise. */
void dispatch(Request *request);
/* Keeps the promise: takes the answer. interrupted: what was begun goes on without it, so that an
 * Idempotency-Key must not be free for another try. */
void dispatch_answer(Request *request, Answer *answer, gboolean interrupted);
/* Who answers a request that was refused before its route was known. */
const Dialect *guess_dialect(Request *request);
/* Key, scope, rate, route, body: what can be checked before the body comes. FALSE with *error. */
gboolean admit(Request *request, GError **error);
