/* A table of fixed size: an entry's place is its key's hash, and the newer key takes the place of the older.
 */
#include "api/http/cache.h"

#include <string.h>

#define PLACES 2048
#define LOCKS 64
#define KEEP_US (1 * G_USEC_PER_SEC)
#define TEXT_MAX 16384

typedef struct {
  char *key;
  guint hash;
  gint64 version, made;
  GBytes *text;
} Place;

struct Cache {
  GMutex locks[LOCKS]; /* of every LOCKS-th place */
  Place places[PLACES];
};

Cache *cache_new(void) {
  Cache *cache = g_new0(Cache, 1);
  for (int i = 0; i < LOCKS; i++)
    g_mutex_init(&cache->locks[i]);
  return cache;
}

static void place_clear(Place *place) {
  g_free(place->key);
  if (place->text)
    g_bytes_unref(place->text);
  *place = (Place){0};
}

void cache_free(Cache *cache) {
  if (!cache)
    return;
  for (int i = 0; i < PLACES; i++)
    place_clear(&cache->places[i]);
  for (int i = 0; i < LOCKS; i++)
    g_mutex_clear(&cache->locks[i]);
  g_free(cache);
}

/* The parts cannot run into each other: an account and a path hold no line feed. */
static guint hash_of(const char *account, const char *path, const char *query) {
  guint hash = 5381;
  const char *const parts[] = {account, path, query};
  for (int i = 0; i < 3; i++) {
    for (const char *c = parts[i]; c && *c; c++)
      hash = hash * 33 + (guchar)*c;
    hash = hash * 33 + '\n';
  }
  return hash ^ hash >> 15;
}

/* Whether key is account, path and query, each followed by a line feed. */
static gboolean same(const char *key, const char *account, const char *path, const char *query) {
  const char *const parts[] = {account, path, query};
  for (int i = 0; i < 3; i++) {
    gsize length = parts[i] ? strlen(parts[i]) : 0;
    if (strncmp(key, parts[i] ? parts[i] : "", length) != 0 || key[length] != '\n')
      return FALSE;
    key += length + 1;
  }
  return *key == '\0';
}

GBytes *cache_get(Cache *cache, const char *account, const char *path, const char *query, gint64 version) {
  guint hash = hash_of(account, path, query);
  Place *place = &cache->places[hash % PLACES];
  GMutex *lock = &cache->locks[hash % LOCKS];
  GBytes *text = NULL;
  g_mutex_lock(lock);
  if (place->key && place->hash == hash && place->version == version &&
      g_get_monotonic_time() - place->made < KEEP_US && same(place->key, account, path, query))
    text = g_bytes_ref(place->text);
  g_mutex_unlock(lock);
  return text;
}

void cache_put(Cache *cache, const char *account, const char *path, const char *query, gint64 version,
               GBytes *text) {
  if (g_bytes_get_size(text) > TEXT_MAX)
    return;
  guint hash = hash_of(account, path, query);
  Place *place = &cache->places[hash % PLACES];
  GMutex *lock = &cache->locks[hash % LOCKS];
  char *key = g_strdup_printf("%s\n%s\n%s\n", account ? account : "", path, query ? query : "");
  g_mutex_lock(lock);
  place_clear(place);
  *place = (Place){key, hash, version, g_get_monotonic_time(), g_bytes_ref(text)};
  g_mutex_unlock(lock);
}
