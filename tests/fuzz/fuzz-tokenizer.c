/* Before the first NUL a tokenizer.json of any content, behind it a text: the file is refused with an error
 * or encodes the text, and whatever the file is, the text can be split and normalised. */
#include "identity/text/tokenizer_parts.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

/* The pieces are the text again. */
static void split(const char *text) {
  if (!g_utf8_validate(text, -1, NULL))
    return;
  g_autofree char *normal = normalise(text, strlen(text));
  g_assert(g_utf8_validate(normal, -1, NULL));
  const char *end = normal + strlen(normal);
  for (const char *at = normal, *next; at < end; at = next) {
    next = split_next(at, end);
    g_assert(next > at && next <= end);
  }
}

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  const guint8 *nul = memchr(data, 0, size);
  gsize json = nul ? (gsize)(nul - data) : size;
  g_autofree char *text = nul ? g_strndup((const char *)nul + 1, size - json - 1) : g_strdup("");
  split(text);
  g_autoptr(GError) error = NULL;
  g_autoptr(Tokenizer) tokenizer = tokenizer_parse((const char *)data, json, "fuzz", &error);
  g_assert((tokenizer == NULL) == (error != NULL));
  if (!tokenizer)
    return 0;
  gint64 count = 0;
  g_autoptr(GArray) ids = tokenizer_encode(tokenizer, text, NULL);
  g_autoptr(GArray) prompt = tokenizer_prompt(tokenizer, text, 512, &count, NULL);
  g_assert(!ids || ids->len <= strlen(text));
  g_assert(!prompt || (prompt->len == 512 && count <= 512));
  return 0;
}
