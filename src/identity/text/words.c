/* Words are found in one hash table, in which synonyms point to the row of what they mean and silent words to
 * none. A plural is tried only where the word itself is unknown. */
#include "identity/text/words.h"
#include "tensor/ops.h"
#include <jansson.h>
#include <string.h>

#define MAX_WORDS 65536
#define MAX_WIDTH 8192
#define MAX_LENGTH 1024
#define MAX_WORD_BYTES 64
#define SILENT (-1)

struct Words {
  gint64 rows, width, length;
  float *vectors;   /* [rows, width] */
  GHashTable *ids;  /* word → row or SILENT */
  GArray *reserved; /* gint32 */
};

void words_free(Words *words) {
  if (!words)
    return;
  g_free(words->vectors);
  g_clear_pointer(&words->ids, g_hash_table_unref);
  g_clear_pointer(&words->reserved, g_array_unref);
  g_free(words);
}

static gboolean add(Words *words, const char *word, gint32 id, GError **error) {
  if (!word || !*word || strlen(word) > MAX_WORD_BYTES)
    return fault(error, FAULT_INPUT, "The vocabulary has a word that is empty or too long.");
  if (!g_hash_table_insert(words->ids, g_strdup(word), GINT_TO_POINTER(id)))
    return fault(error, FAULT_INPUT, "The vocabulary has \"%s\" twice.", word);
  return TRUE;
}

static gboolean find(const Words *words, const char *word, gint32 *id) {
  gpointer value;
  if (!word || !g_hash_table_lookup_extended(words->ids, word, NULL, &value))
    return FALSE;
  *id = GPOINTER_TO_INT(value);
  return TRUE;
}

static gboolean read_words(Words *words, const json_t *list, GError **error) {
  if (!json_is_array(list) || (gint64)json_array_size(list) != words->rows)
    return fault(error, FAULT_INPUT,
                 "The vocabulary does not have one word for each of its %" G_GINT64_FORMAT " vectors.",
                 words->rows);
  for (gsize i = 0; i < json_array_size(list); i++)
    if (!add(words, json_string_value(json_array_get(list, i)), (gint32)i, error))
      return FALSE;
  return TRUE;
}

static gboolean read_synonyms(Words *words, json_t *map, GError **error) {
  const char *word;
  json_t *meaning;
  if (map && !json_is_object(map))
    return fault(error, FAULT_INPUT, "The vocabulary's synonyms are not a table.");
  json_object_foreach(map, word, meaning) {
    gint32 id;
    if (!find(words, json_string_value(meaning), &id))
      return fault(error, FAULT_INPUT, "The vocabulary explains \"%s\" by a word that it does not have.",
                   word);
    if (!add(words, word, id, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean read_lists(Words *words, const json_t *silent, const json_t *reserved, GError **error) {
  if ((silent && !json_is_array(silent)) || (reserved && !json_is_array(reserved)))
    return fault(error, FAULT_INPUT, "The vocabulary's silent or reserved words are not a list.");
  for (gsize i = 0; i < json_array_size(silent); i++)
    if (!add(words, json_string_value(json_array_get(silent, i)), SILENT, error))
      return FALSE;
  for (gsize i = 0; i < json_array_size(reserved); i++) {
    gint32 id;
    if (!find(words, json_string_value(json_array_get(reserved, i)), &id) || id <= 0)
      return fault(error, FAULT_INPUT, "The vocabulary reserves a word that it does not have.");
    g_array_append_val(words->reserved, id);
  }
  return TRUE;
}

Words *words_new(const char *text, const float *vectors, gint64 rows, gint64 width, GError **error) {
  if (rows < 2 || rows > MAX_WORDS || width < 1 || width > MAX_WIDTH)
    return fault_null(error, FAULT_INPUT, "The word vectors have sizes that make no sense.");
  json_error_t problem;
  json_t *root = json_loads(text, 0, &problem);
  if (!root)
    return fault_null(error, FAULT_INPUT, "The vocabulary cannot be read: %s.", problem.text);
  g_autoptr(Words) words = g_new0(Words, 1);
  words->rows = rows, words->width = width;
  words->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  words->reserved = g_array_new(FALSE, FALSE, sizeof(gint32));
  words->length = json_integer_value(json_object_get(root, "length"));
  gboolean ok =
      words->length >= 1 && words->length <= MAX_LENGTH
          ? read_words(words, json_object_get(root, "words"), error) &&
                read_synonyms(words, json_object_get(root, "synonyms"), error) &&
                read_lists(words, json_object_get(root, "silent"), json_object_get(root, "reserved"), error)
          : fault(error, FAULT_INPUT, "The vocabulary's sentence length is missing or makes no sense.");
  json_decref(root);
  if (!ok)
    return NULL;
  words->vectors = g_memdup2(vectors, sizeof(float) * (gsize)(rows * width));
  return g_steal_pointer(&words);
}

Words *words_open(const char *path, GError **error) {
  g_autoptr(Safetensors) file = safetensors_open(path, error);
  if (!file)
    return NULL;
  const char *json = safetensors_metadata(file, "words");
  if (!json)
    return fault_null(error, FAULT_INPUT, "%s has no vocabulary.", path);
  gint64 shape[2] = {-1, -1};
  const float *vectors = safetensors_get(file, "words.vectors", DTYPE_F32, shape, 2, NULL);
  if (vectors)
    return words_new(json, vectors, shape[0], shape[1], error);
  shape[0] = shape[1] = -1;
  const guint16 *brief = safetensors_get(file, "words.vectors", DTYPE_BF16, shape, 2, error);
  if (!brief)
    return NULL;
  g_autofree float *wide = g_new(float, (gsize)(shape[0] * shape[1]) + 1);
  for (gint64 i = 0; i < shape[0] * shape[1]; i++)
    wide[i] = bf16_to_float(brief[i]);
  return words_new(json, wide, shape[0], shape[1], error);
}

gint64 words_length(const Words *words) {
  return words->length;
}

gint64 words_width(const Words *words) {
  return words->width;
}

gint64 words_count(const Words *words) {
  return words->rows;
}

/* --- from text to ids --- */

#define JOINTS "-_"
static gboolean joins(char c) {
  return c && strchr(JOINTS, c);
}

/* The next run of letters and digits, and of hyphens between them, small; NULL at the end. */
static char *next_token(const char **text) {
  const char *at = *text;
  while (*at && !g_unichar_isalnum(g_utf8_get_char(at)))
    at = g_utf8_next_char(at);
  const char *start = at;
  while (*at && (g_unichar_isalnum(g_utf8_get_char(at)) ||
                 (joins(*at) && at > start && g_unichar_isalnum(g_utf8_get_char(at + 1)))))
    at = g_utf8_next_char(at);
  *text = at;
  return at > start ? g_utf8_strdown(start, at - start) : NULL;
}

/* dresses, stories, suits */
static gboolean find_singular(const Words *words, const char *word, gint32 *id) {
  static const char *const endings[3][2] = {{"ies", "y"}, {"es", ""}, {"s", ""}};
  for (int i = 0; i < 3; i++) {
    if (!g_str_has_suffix(word, endings[i][0]) || strlen(word) < strlen(endings[i][0]) + 2)
      continue;
    g_autofree char *stem = g_strndup(word, strlen(word) - strlen(endings[i][0]));
    g_autofree char *singular = g_strconcat(stem, endings[i][1], NULL);
    if (find(words, singular, id))
      return TRUE;
  }
  return FALSE;
}

gboolean words_bind(Words *words, const char *trigger, GError **error) {
  g_autofree char *valid = g_utf8_make_valid(trigger, -1);
  const char *rest = valid;
  g_autofree char *token = next_token(&rest);
  g_auto(GStrv) parts = g_strsplit_set(token ? token : "", JOINTS, -1);
  g_autofree char *word = g_strjoinv("", parts); /* as words_encode looks for it */
  gint32 id;
  if (!*word || strlen(word) > MAX_WORD_BYTES)
    return fault(error, FAULT_USAGE, "The trigger word \"%s\" must be one short word of letters and digits.",
                 valid);
  if (find(words, word, &id) || words->reserved->len == 0)
    return TRUE;
  guint32 hash = 2166136261u; /* FNV-1a */
  for (const char *c = word; *c; c++)
    hash = (hash ^ (guint8)*c) * 16777619u;
  id = g_array_index(words->reserved, gint32, hash % words->reserved->len);
  g_hash_table_insert(words->ids, g_steal_pointer(&word), GINT_TO_POINTER(id));
  return TRUE;
}

static gboolean understand(const Words *words, const char *word, gint32 *id) {
  return find(words, word, id) || find_singular(words, word, id);
}

typedef struct {
  gint32 *ids;
  gint64 count;
  GPtrArray *rest;
} Sentence;

static void take(const Words *words, const char *word, Sentence *sentence) {
  gint32 id = SILENT;
  gboolean known = understand(words, word, &id);
  if (known && id <= 0)
    return;
  if (known && sentence->count < words->length)
    sentence->ids[sentence->count++] = id;
  else if (*word)
    g_ptr_array_add(sentence->rest, g_strdup(word));
}

void words_encode(const Words *words, const char *text, gint32 *ids, GPtrArray **left_out) {
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  g_autoptr(GPtrArray) rest = g_ptr_array_new_with_free_func(g_free);
  Sentence sentence = {ids, 0, rest};
  const char *at = valid;
  for (char *token; (token = next_token(&at)); g_free(token)) {
    g_auto(GStrv) parts = g_strsplit_set(token, JOINTS, -1);
    g_autofree char *whole = g_strjoinv("", parts); /* close-up, t-shirt */
    gint32 id;
    if (understand(words, whole, &id))
      take(words, whole, &sentence);
    else
      for (char **part = parts; *part; part++)
        take(words, *part, &sentence);
  }
  while (sentence.count < words->length)
    ids[sentence.count++] = 0;
  if (left_out)
    *left_out = g_steal_pointer(&rest);
}

void words_features(const Words *words, const gint32 *ids, float *features) {
  for (gint64 i = 0; i < words->length; i++) {
    gint64 row = ids[i] >= 0 && ids[i] < words->rows ? ids[i] : 0;
    memcpy(features + i * words->width, words->vectors + row * words->width,
           sizeof(float) * (gsize)words->width);
  }
}

char *words_note(const GPtrArray *left_out) {
  if (left_out->len == 0)
    return NULL;
  GString *note = g_string_new("This model does not know or has no room for: ");
  guint shown = MIN(left_out->len, 6);
  for (guint i = 0; i < shown; i++)
    g_string_append_printf(note, "%s%s", i ? ", " : "", (const char *)g_ptr_array_index(left_out, i));
  if (left_out->len > shown)
    g_string_append_printf(note, " and %u more", left_out->len - shown);
  g_string_append_c(note, '.');
  return g_string_free(note, FALSE);
}
