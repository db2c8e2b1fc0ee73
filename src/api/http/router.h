/* From a method and a path to a route: patterns of segments, of which "{name}" stands for any one that is not
 * empty. Where several fit, the one with literal segments further left wins, then the dialect whose keys
 * begin as the caller's does, then the one that is listed first. */
#pragma once
#include "api/http/http.h"

#define SEGMENTS_MAX 12

typedef struct Router Router;

/* One route, and what belongs to it. */
typedef struct {
  const Dialect *dialect;
  const Route *route;
  guint index; /* among all routes: for the counters */
  guint count;
  const char *segments[SEGMENTS_MAX]; /* of the pattern; names of arguments without braces */
  guint32 arguments;                  /* bit s: segment s is an argument */
} Entry;

Router *router_new(const Dialect *const *dialects);
void router_free(Router *router);
guint router_size(const Router *router);
const Entry *router_entry(const Router *router, guint index);

typedef struct {
  const Entry *entry;     /* NULL: no route */
  const Dialect *dialect; /* who answers, also for a miss */
  char *allow; /* where the path has routes but none for the method (transfer full): "GET, HEAD, OPTIONS" */
} Match;

/* segments: of the path, decoded. HEAD is served by GET's route. key: the caller's, or NULL; only its
 * beginning counts. */
Match router_find(const Router *router, const char *method, const char *path, const char *const *segments,
                  guint count, const char *key);
