/* Signed links from anyone: none is good but those that were made, and what was made is good. */
#include "app/links.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

/* "PATH\nEXPIRES\nSIGNATURE" */
static void strange(const App *app, const guint8 *data, size_t size) {
  g_autofree char *text = g_strndup((const char *)data, size), *object = NULL, *inside = NULL;
  g_auto(GStrv) parts = g_strsplit(text, "\n", 3);
  gboolean expired;
  if (g_strv_length(parts) == 3)
    g_assert(!link_check(app, parts[0], parts[1], parts[2], &object, &inside, &expired) ||
             strlen(parts[2]) == 64);
}

/* The text as the name of a file: its link is good, and no longer when one byte of it differs. */
static void own(const App *app, const guint8 *data, size_t size) {
  g_autofree char *name = g_strndup((const char *)data, size), *object = g_strnfill(64, 'a');
  if (!*name || !g_utf8_validate(name, -1, NULL) || strchr(name, '/'))
    return;
  g_autofree char *url = link_make(app, object, NULL, name, 4000000000);
  const char *path = strstr(url, "/files/"), *query = strchr(url, '?');
  g_assert(path && query);
  g_autofree char *asked = g_strndup(path, (gsize)(query - path)), *expires = NULL, *signature = NULL;
  g_auto(GStrv) pairs = g_strsplit(query + 1, "&", -1);
  for (char **pair = pairs; *pair; pair++) {
    if (g_str_has_prefix(*pair, "expires="))
      expires = g_strdup(*pair + 8);
    if (g_str_has_prefix(*pair, "signature="))
      signature = g_strdup(*pair + 10);
  }
  g_autofree char *found = NULL, *inside = NULL;
  gboolean expired;
  g_assert(link_check(app, asked, expires, signature, &found, &inside, &expired));
  g_assert(strcmp(found, object) == 0 && !inside);
  signature[data[0] % strlen(signature)] ^= 1;
  g_autofree char *other = NULL, *other_inside = NULL;
  g_assert(!link_check(app, asked, expires, signature, &other, &other_inside, &expired));
}

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  Settings settings = {.public_url = (char *)"http://127.0.0.1:8080"};
  App app = {.settings = &settings, .secret = "not much of a secret"};
  strange(&app, data, size);
  own(&app, data, size);
  return 0;
}
