/* GLib composes well, but orders combining marks by exchanging neighbours, which takes minutes for a prompt
 * of a million marks in the wrong order. So the marks are put into order here first, by counting: the text is
 * decomposed, each run of marks is sorted by combining class (stable), and GLib then has nothing to exchange.
 */
#include "identity/text/tokenizer_parts.h"

#include <string.h>

#define DECOMPOSED_MAX 32 /* the longest canonical decomposition has four characters */

static void sort_marks(gunichar *marks, gsize count, gunichar *scratch) {
  gsize from[257] = {0};
  for (gsize i = 0; i < count; i++)
    from[(guint8)g_unichar_combining_class(marks[i]) + 1]++;
  for (int c = 0; c < 256; c++)
    from[c + 1] += from[c];
  for (gsize i = 0; i < count; i++)
    scratch[from[(guint8)g_unichar_combining_class(marks[i])]++] = marks[i];
  memcpy(marks, scratch, count * sizeof *marks);
}

static void order(gunichar *text, gsize count) {
  g_autofree gunichar *scratch = NULL;
  for (gsize i = 0; i < count; i++) {
    gsize begin = i;
    while (i < count && g_unichar_combining_class(text[i]))
      i++;
    if (i - begin < 2)
      continue;
    if (!scratch)
      scratch = g_new(gunichar, count);
    sort_marks(text + begin, i - begin, scratch);
  }
}

static gboolean is_ascii(const char *text, gsize length) {
  for (gsize i = 0; i < length; i++)
    if ((guchar)text[i] >= 0x80)
      return FALSE;
  return TRUE;
}

char *normalise(const char *text, gsize length) {
  if (is_ascii(text, length))
    return g_strndup(text, length);
  g_autoptr(GArray) wide = g_array_sized_new(FALSE, FALSE, sizeof(gunichar), (guint)length);
  for (const char *at = text; at < text + length; at = g_utf8_next_char(at)) {
    gunichar parts[DECOMPOSED_MAX];
    gsize count = g_unichar_fully_decompose(g_utf8_get_char(at), FALSE, parts, DECOMPOSED_MAX);
    g_array_append_vals(wide, parts, (guint)MIN(count, DECOMPOSED_MAX));
  }
  order((gunichar *)wide->data, wide->len);
  g_autofree char *ordered = g_ucs4_to_utf8((gunichar *)wide->data, wide->len, NULL, NULL, NULL);
  char *composed = ordered ? g_utf8_normalize(ordered, -1, G_NORMALIZE_NFC) : NULL;
  return composed ? composed : g_strndup(text, length);
}
