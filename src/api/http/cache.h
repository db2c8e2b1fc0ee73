/* Answers that are given again: the same path asked by the same account, while no table has changed (the
 * database tells by its version, which costs nothing to ask) and for a second at most, as answers may hold
 * links that expire. That is what makes a thousand clients that poll a render cheap. */
#pragma once
#include <glib.h>

typedef struct Cache Cache;

Cache *cache_new(void);
void cache_free(Cache *cache);
/* A reference to the kept text (transfer full); NULL when there is none. */
GBytes *cache_get(Cache *cache, const char *account, const char *path, const char *query, gint64 version);
/* version: as it was before the answer was made. */
void cache_put(Cache *cache, const char *account, const char *path, const char *query, gint64 version,
               GBytes *text);
