#include "api/http/router.h"

#include <string.h>

struct Router {
  const Dialect *const *dialects;
  Entry *entries; /* in the order of their indices */
  guint size;
  guint *by_count[SEGMENTS_MAX +
                  1]; /* indices of the routes with so many segments, best first; ends with size */
};

static void entry_fill(Entry *entry, const Dialect *dialect, const Route *route, guint index) {
  *entry = (Entry){.dialect = dialect, .route = route, .index = index};
  g_auto(GStrv) parts = g_strsplit(route->pattern + 1, "/", -1);
  for (char **part = parts; *part; part++) {
    g_assert(entry->count < SEGMENTS_MAX);
    gsize length = strlen(*part);
    gboolean argument = length > 2 && (*part)[0] == '{' && (*part)[length - 1] == '}';
    if (argument)
      entry->arguments |= 1u << entry->count;
    entry->segments[entry->count++] = argument ? g_strndup(*part + 1, length - 2) : g_strdup(*part);
  }
}

/* Bits of arguments with the leftmost segment highest: the smaller number is the more literal pattern. */
static guint32 vagueness(const Entry *entry) {
  guint32 value = 0;
  for (guint s = 0; s < entry->count; s++)
    value = value << 1 | (entry->arguments >> s & 1);
  return value;
}

static int compare(gconstpointer a, gconstpointer b, gpointer entries) {
  const Entry *one = (const Entry *)entries + *(const guint *)a,
              *other = (const Entry *)entries + *(const guint *)b;
  guint32 x = vagueness(one), y = vagueness(other);
  if (x != y)
    return x < y ? -1 : 1;
  return one->index < other->index ? -1 : one->index > other->index;
}

Router *router_new(const Dialect *const *dialects) {
  Router *router = g_new0(Router, 1);
  router->dialects = dialects;
  for (gsize d = 0; dialects[d]; d++)
    router->size += (guint)dialects[d]->route_count;
  router->entries = g_new0(Entry, router->size + 1);
  guint index = 0;
  for (gsize d = 0; dialects[d]; d++)
    for (gsize r = 0; r < dialects[d]->route_count; r++, index++)
      entry_fill(&router->entries[index], dialects[d], &dialects[d]->routes[r], index);
  for (guint count = 0; count <= SEGMENTS_MAX; count++) {
    guint *list = g_new(guint, router->size + 1), n = 0;
    for (guint i = 0; i < router->size; i++)
      if (router->entries[i].count == count)
        list[n++] = i;
    g_qsort_with_data(list, (gint)n, sizeof *list, compare, router->entries);
    list[n] = router->size;
    router->by_count[count] = list;
  }
  return router;
}

void router_free(Router *router) {
  if (!router)
    return;
  for (guint i = 0; i < router->size; i++)
    for (guint s = 0; s < router->entries[i].count; s++)
      g_free((char *)router->entries[i].segments[s]);
  for (guint count = 0; count <= SEGMENTS_MAX; count++)
    g_free(router->by_count[count]);
  g_free(router->entries);
  g_free(router);
}

guint router_size(const Router *router) {
  return router->size;
}

const Entry *router_entry(const Router *router, guint index) {
  return &router->entries[index];
}

static gboolean fits(const Entry *entry, const char *const *segments) {
  for (guint s = 0; s < entry->count; s++) {
    gboolean same =
        entry->arguments >> s & 1 ? segments[s][0] != '\0' : strcmp(entry->segments[s], segments[s]) == 0;
    if (!same)
      return FALSE;
  }
  return TRUE;
}

static gboolean begins(const char *path, const char *prefix) {
  gsize length = strlen(prefix);
  return strncmp(path, prefix, length) == 0 &&
         (prefix[length - 1] == '/' || path[length] == '/' || path[length] == '\0');
}

static const Dialect *dialect_of(const Router *router, const char *path) {
  const Dialect *best = router->dialects[0];
  gsize most = 0;
  for (gsize d = 0; router->dialects[d]; d++)
    for (const char *const *prefix = router->dialects[d]->prefixes; *prefix; prefix++)
      if (strlen(*prefix) > most && begins(path, *prefix)) {
        best = router->dialects[d];
        most = strlen(*prefix);
      }
  return best;
}

/* Whether the other of two entries that fit is meant by this key. */
static gboolean key_prefers(const char *key, const Entry *entry, const Entry *other) {
  const char *own = entry->dialect->key, *others = other->dialect->key;
  return key && vagueness(entry) == vagueness(other) && others && g_str_has_prefix(key, others) &&
         !(own && g_str_has_prefix(key, own));
}

/* The best of those that fit, and have the method where it is not NULL. */
static const Entry *best_entry(const Router *router, const guint *list, const char *method,
                               const char *const *segments, const char *key) {
  const Entry *best = NULL;
  for (const guint *i = list; *i < router->size; i++) {
    const Entry *entry = &router->entries[*i];
    if (fits(entry, segments) && (!method || strcmp(entry->route->method, method) == 0) &&
        (!best || key_prefers(key, best, entry)))
      best = entry;
  }
  return best;
}

static void allow(GString *list, const char *method) {
  if (strstr(list->str, method))
    return;
  g_string_append_printf(list, "%s%s", list->len ? ", " : "", method);
}

Match router_find(const Router *router, const char *method, const char *path, const char *const *segments,
                  guint count, const char *key) {
  const guint *list = count <= SEGMENTS_MAX ? router->by_count[count] : &router->size;
  const Entry *entry = best_entry(router, list, strcmp(method, "HEAD") == 0 ? "GET" : method, segments, key);
  if (entry)
    return (Match){.entry = entry, .dialect = entry->dialect};
  const Entry *any = best_entry(router, list, NULL, segments, key);
  if (!any)
    return (Match){.dialect = dialect_of(router, path)};
  GString *methods = g_string_new(NULL);
  for (const guint *i = list; *i < router->size; i++)
    if (fits(&router->entries[*i], segments)) {
      allow(methods, router->entries[*i].route->method);
      if (strcmp(router->entries[*i].route->method, "GET") == 0)
        allow(methods, "HEAD");
    }
  allow(methods, "OPTIONS");
  return (Match){.dialect = any->dialect, .allow = g_string_free(methods, FALSE)};
}
