/* Qwen cuts text with this expression before it merges bytes; nothing is merged across a cut:
 *
 *   (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N} | ?[^\s\p{L}\p{N}]+[\r\n]* |
 *   \s*[\r\n]+ | \s+(?!\S) | \s+
 *
 * The alternatives are tried in this order at every position. Each is a run of one kind of character with at
 * most one character before it, so a look ahead by two characters and the end of a run replace backtracking;
 * a run is walked at most twice. */
#include "identity/text/tokenizer_parts.h"

typedef enum { LETTER, NUMBER, NEWLINE, BLANK, OTHER } Kind;

/* Unicode's White_Space, which \s stands for; g_unichar_isspace leaves some of it out. */
static gboolean is_blank(gunichar c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

static Kind kind_of(gunichar c) {
  if (c == '\r' || c == '\n')
    return NEWLINE;
  if (is_blank(c))
    return BLANK;
  switch (g_unichar_type(c)) {
  case G_UNICODE_UPPERCASE_LETTER:
  case G_UNICODE_LOWERCASE_LETTER:
  case G_UNICODE_TITLECASE_LETTER:
  case G_UNICODE_MODIFIER_LETTER:
  case G_UNICODE_OTHER_LETTER:
    return LETTER;
  case G_UNICODE_DECIMAL_NUMBER:
  case G_UNICODE_LETTER_NUMBER:
  case G_UNICODE_OTHER_NUMBER:
    return NUMBER;
  default:
    return OTHER;
  }
}

static const char *skip(const char *at, const char *end, Kind kind) {
  while (at < end && kind_of(g_utf8_get_char(at)) == kind)
    at = g_utf8_next_char(at);
  return at;
}

/* After an apostrophe: the end of s t re ve m ll d in either case, or NULL. The long s is an s that ignores
 * its case. */
static const char *contraction(const char *at, const char *end) {
  if (at >= end)
    return NULL;
  char first = g_ascii_tolower(*at);
  if (first == 's' || first == 't' || first == 'm' || first == 'd')
    return at + 1;
  if (g_utf8_get_char(at) == 0x17f)
    return g_utf8_next_char(at);
  if (end - at < 2)
    return NULL;
  char second = g_ascii_tolower(at[1]);
  gboolean known = ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
  return known ? at + 2 : NULL;
}

/* A run of whitespace ends behind its last newline, or before the blank that belongs to the word after it. */
static const char *whitespace(const char *text, const char *end) {
  const char *at = text, *last = text, *newline = NULL;
  while (at < end) {
    Kind kind = kind_of(g_utf8_get_char(at));
    if (kind != NEWLINE && kind != BLANK)
      break;
    last = at;
    at = g_utf8_next_char(at);
    if (kind == NEWLINE)
      newline = at;
  }
  if (newline)
    return newline;
  return at == end || last == text ? at : last;
}

const char *split_next(const char *text, const char *end) {
  const char *next = g_utf8_next_char(text);
  if (*text == '\'') {
    const char *short_form = contraction(next, end);
    if (short_form)
      return short_form;
  }
  Kind kind = kind_of(g_utf8_get_char(text));
  if (kind == NUMBER)
    return next;
  if (kind == LETTER)
    return skip(next, end, LETTER);
  Kind following = next < end ? kind_of(g_utf8_get_char(next)) : BLANK;
  if (kind != NEWLINE && following == LETTER)
    return skip(next, end, LETTER);
  if (kind == OTHER || (*text == ' ' && following == OTHER))
    return skip(skip(next, end, OTHER), end, NEWLINE);
  return whitespace(text, end);
}
