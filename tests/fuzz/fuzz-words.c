/* One byte for the number of vectors, then, before the first NUL, a vocabulary of any content, behind it a
 * text: the vocabulary is refused with an error or encodes the text, whatever that is, and binds it as a
 * trigger. */
#include "identity/text/words.h"
#include <string.h>

#define WIDTH 4

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static void encode(const Words *words, const char *text) {
  gint64 length = words_length(words);
  g_autofree gint32 *ids = g_new(gint32, (gsize)length);
  g_autofree float *features = g_new(float, (gsize)(length * WIDTH));
  GPtrArray *left_out = NULL;
  words_encode(words, text, ids, &left_out);
  for (gint64 i = 0; i < length; i++)
    g_assert(ids[i] >= 0 && ids[i] < words_count(words));
  words_features(words, ids, features);
  g_autofree char *note = left_out ? words_note(left_out) : NULL;
  g_assert(!note || g_utf8_validate(note, -1, NULL));
  if (left_out)
    g_ptr_array_unref(left_out);
}

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  static const float vectors[256 * WIDTH];
  if (size < 1)
    return 0;
  gint64 rows = data[0];
  const guint8 *begin = data + 1, *nul = memchr(begin, 0, size - 1);
  gsize length = nul ? (gsize)(nul - begin) : size - 1;
  g_autofree char *json = g_strndup((const char *)begin, length);
  g_autofree char *raw = nul ? g_strndup((const char *)nul + 1, size - 2 - length) : g_strdup("");
  g_autofree char *text = g_utf8_make_valid(raw, -1);
  g_autoptr(GError) error = NULL;
  g_autoptr(Words) words = words_new(json, vectors, rows, WIDTH, &error);
  g_assert((words == NULL) == (error != NULL));
  if (!words)
    return 0;
  encode(words, text);
  if (words_bind(words, text, NULL))
    encode(words, text);
  return 0;
}
