#include "api/http/parameters.h"
#include "api/http/urlencoded.h"

#include <string.h>

char *parameter_head(const char *value) {
  gsize length = strcspn(value, ";");
  g_autofree char *head = g_strndup(value, length);
  return g_ascii_strdown(g_strstrip(head), -1);
}

static const char *skip_spaces(const char *at) {
  return at + strspn(at, " \t");
}

/* A quoted string or a token at *at, which moves behind it. Only \" and \\ are escapes: browsers of Windows
 * send file names with single backslashes. */
static char *take_value(const char **at) {
  GString *out = g_string_new(NULL);
  const char *c = *at;
  if (*c != '"') {
    gsize length = strcspn(c, "; \t");
    g_string_append_len(out, c, (gssize)length);
    *at = c + length;
    return g_string_free(out, FALSE);
  }
  for (c++; *c && *c != '"'; c++) {
    if (*c == '\\' && (c[1] == '"' || c[1] == '\\'))
      c++;
    g_string_append_c(out, *c);
  }
  if (*c != '"') {
    g_string_free(out, TRUE);
    return NULL;
  }
  *at = c + 1;
  return g_string_free(out, FALSE);
}

static char *extended(const char *text) {
  if (g_ascii_strncasecmp(text, "UTF-8'", 6) != 0)
    return NULL;
  const char *quote = strchr(text + 6, '\'');
  return quote ? urlencoded_decode(quote + 1, strlen(quote + 1), FALSE) : NULL;
}

char *parameter_value(const char *value, const char *name) {
  const char *at = value + strcspn(value, ";");
  while (*at == ';') {
    at = skip_spaces(at + 1);
    gsize length = strcspn(at, "=; \t");
    gboolean wanted = length == strlen(name) && g_ascii_strncasecmp(at, name, length) == 0;
    at = skip_spaces(at + length);
    if (*at == '=') {
      at = skip_spaces(at + 1);
      g_autofree char *found = take_value(&at);
      if (!found)
        return NULL;
      if (wanted)
        return g_str_has_suffix(name, "*") ? extended(found) : g_steal_pointer(&found);
    }
    at += strcspn(at, ";");
  }
  return NULL;
}
