#include "api/http/urlencoded.h"

#include <string.h>

char *urlencoded_decode(const char *text, gsize length, gboolean plus) {
  g_autofree char *out = g_malloc(length + 1);
  gsize n = 0;
  for (gsize i = 0; i < length; i++) {
    char c = text[i];
    if (c == '%') {
      if (length - i < 3 || !g_ascii_isxdigit(text[i + 1]) || !g_ascii_isxdigit(text[i + 2]))
        return NULL;
      c = (char)(g_ascii_xdigit_value(text[i + 1]) << 4 | g_ascii_xdigit_value(text[i + 2]));
      i += 2;
    } else if (c == '+' && plus) {
      c = ' ';
    }
    if (c == '\0')
      return NULL;
    out[n++] = c;
  }
  out[n] = '\0';
  if (!g_utf8_validate(out, (gssize)n, NULL))
    return NULL;
  return g_steal_pointer(&out);
}

static gboolean add_pair(const char *pair, gsize length, const char *what, Fields *fields, GError **error) {
  const char *equals = memchr(pair, '=', length);
  gsize name_length = equals ? (gsize)(equals - pair) : length;
  g_autofree char *name = urlencoded_decode(pair, name_length, TRUE);
  g_autofree char *value =
      equals ? urlencoded_decode(equals + 1, length - name_length - 1, TRUE) : g_strdup("");
  if (!name || !value)
    return refuse(
        error, REFUSAL_INVALID,
        "%s is not encoded correctly: every %% must be followed by two hex digits, and the text must be "
        "UTF-8 without zero bytes.",
        what);
  if (fields->count >= FIELDS_MAX)
    return refuse(error, REFUSAL_INVALID, "%s has more than %d fields.", what, FIELDS_MAX);
  fields_add(fields, g_steal_pointer(&name), g_steal_pointer(&value));
  return TRUE;
}

gboolean urlencoded_parse(const char *text, gsize length, const char *what, Fields *fields, GError **error) {
  const char *at = text, *end = text + length;
  while (at < end) {
    const char *next = memchr(at, '&', (gsize)(end - at));
    if (!next)
      next = end;
    if (next > at && !add_pair(at, (gsize)(next - at), what, fields, error))
      return FALSE;
    at = next + 1;
  }
  return TRUE;
}
