/* Words are compared as the model reads them, so synonyms and plurals count as known. */
#include "identity/text/unsaid.h"

static gboolean clause_good(const json_t *clause) {
  const char *text = json_string_value(clause);
  return text && *text && json_string_length(clause) <= UNSAID_CLAUSE_MAX_BYTES &&
         g_utf8_validate(text, -1, NULL);
}

static gboolean clauses_good(const json_t *list) {
  gboolean good = json_is_array(list) && json_array_size(list) <= UNSAID_CLAUSES_MAX;
  for (size_t i = 0; good && i < json_array_size(list); i++)
    good = clause_good(json_array_get(list, i));
  return good;
}

static gboolean group_good(const json_t *group) {
  const json_t *say = json_object_get(group, "say"), *also = json_object_get(group, "also");
  return clause_good(json_object_get(group, "known")) && clauses_good(say) && json_array_size(say) > 0 &&
         (!also || clauses_good(also));
}

gboolean unsaid_check(const json_t *list) {
  gboolean good = !list || (json_is_array(list) && json_array_size(list) <= UNSAID_GROUPS_MAX);
  for (size_t i = 0; list && good && i < json_array_size(list); i++)
    good = group_good(json_array_get(list, i));
  return good;
}

/* Whether one of the words of `known` is in the text. */
static gboolean speaks_of(const Words *words, const char *text, const char *known) {
  gsize length = (gsize)words_length(words);
  g_autofree gint32 *said = g_new(gint32, length), *asked = g_new(gint32, length);
  words_encode(words, text, said, NULL);
  words_encode(words, known, asked, NULL);
  for (gsize a = 0; a < length && asked[a]; a++)
    for (gsize s = 0; s < length && said[s]; s++)
      if (said[s] == asked[a])
        return TRUE;
  return FALSE;
}

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014. */
static guint64 mix(guint64 x) {
  x += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

char *unsaid_add(char *text, const json_t *group, const char *clause) {
  gboolean front = json_is_true(json_object_get(group, "front"));
  char *longer = g_strdup_printf(front ? "%2$s %1$s" : "%1$s, %2$s", text, clause);
  g_free(text);
  return longer;
}

char *unsaid_complete(const json_t *list, const Words *words, const char *prompt, guint64 seed,
                      gboolean learned) {
  char *text = g_strdup(prompt);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *group = json_array_get(list, i), *say = json_object_get(group, "say");
    if ((learned && json_is_true(json_object_get(group, "who"))) ||
        speaks_of(words, text, json_string_value(json_object_get(group, "known"))))
      continue;
    size_t chosen = mix(seed ^ mix(i)) % json_array_size(say);
    const char *clause = json_string_value(json_array_get(say, chosen));
    text = unsaid_add(text, group, clause);
  }
  return text;
}
