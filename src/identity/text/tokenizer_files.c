/* Two forms of the same thing: tokenizer.json, or vocab.json with merges.txt (and the added tokens in
 * added_tokens.json or tokenizer_config.json). Either is checked to be a byte-level BPE that splits and
 * normalises as Qwen does, because any other would give ids that are wrong without anybody noticing.
 *
 * Tables that are searched later are sorted arrays: no choice of strings can make them slow. */
#include "identity/text/tokenizer_parts.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>

typedef json_t Json;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_decref)

#define SPLIT_PATTERN                                                                                        \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "                                      \
  "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static void clear_added(gpointer data) {
  g_free(((AddedToken *)data)->text);
}

static Tokenizer *empty(const char *name) {
  Tokenizer *tokenizer = g_new0(Tokenizer, 1);
  tokenizer->name = g_strdup(name);
  tokenizer->merges = g_array_new(FALSE, FALSE, sizeof(Merge));
  tokenizer->added = g_array_new(FALSE, FALSE, sizeof(AddedToken));
  g_array_set_clear_func(tokenizer->added, clear_added);
  return tokenizer;
}

/* --- files --- */

static char *read_file(const char *path, gsize *length, GError **error) {
  GStatBuf about;
  g_autoptr(GError) problem = NULL;
  char *text = NULL;
  if (g_stat(path, &about) != 0)
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", path, g_strerror(errno));
  if (!S_ISREG(about.st_mode) || about.st_size > TOKENIZER_MAX_FILE)
    return fault_null(error, FAULT_INPUT, "%s is not a tokenizer's file, or larger than %d MB.", path,
                      TOKENIZER_MAX_FILE >> 20);
  if (!g_file_get_contents(path, &text, length, &problem))
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", path, problem->message);
  return text;
}

static Json *parse_object(const char *text, gsize length, const char *name, GError **error) {
  json_error_t problem;
  g_autoptr(Json) json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
  if (!json)
    return fault_null(error, FAULT_INPUT, "%s is damaged at line %d: %s.", name, problem.line, problem.text);
  if (!json_is_object(json))
    return fault_null(error, FAULT_INPUT, "%s holds no JSON object.", name);
  return g_steal_pointer(&json);
}

/* --- vocabulary --- */

static gboolean id_from(const Json *value, gint32 *id) {
  json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
  if (number < 0 || number >= TOKENIZER_MAX_ID)
    return FALSE;
  *id = (gint32)number;
  return TRUE;
}

/* A token is written with one printable character for each byte: most of Latin-1 stands for itself, the other
 * 68 bytes are U+0100 and on. */
static void byte_names(char names[256][8]) {
  gunichar spare = 0x100;
  for (int b = 0; b < 256; b++) {
    gboolean printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    names[b][g_unichar_to_utf8(printable ? (gunichar)b : spare++, names[b])] = 0;
  }
}

static gboolean read_vocabulary(Tokenizer *tokenizer, Json *vocabulary, GError **error) {
  if (!json_is_object(vocabulary) || json_object_size(vocabulary) > TOKENIZER_MAX_ENTRIES)
    return fault(error, FAULT_INPUT, "%s has no vocabulary, or one of more than %d tokens.", tokenizer->name,
                 TOKENIZER_MAX_ENTRIES);
  const char *token;
  Json *value;
  gint32 id;
  json_object_foreach(vocabulary, token, value) if (!id_from(value, &id)) return fault(
      error, FAULT_INPUT, "%s gives the token %.40s an impossible id.", tokenizer->name, token);
  char names[256][8];
  byte_names(names);
  for (int b = 0; b < 256; b++)
    if (!id_from(json_object_get(vocabulary, names[b]), &tokenizer->byte_id[b]))
      return fault(error, FAULT_INPUT, "%s has no token for byte %d: it is not a byte-level tokenizer.",
                   tokenizer->name, b);
  return TRUE;
}

/* --- merges --- */

static gboolean add_merge(Tokenizer *tokenizer, Json *vocabulary, const char *left, gsize left_length,
                          const char *right, gsize right_length, GError **error) {
  Merge merge = {.rank = tokenizer->merges->len};
  g_autofree char *joined = g_malloc(left_length + right_length + 1);
  memcpy(joined, left, left_length);
  memcpy(joined + left_length, right, right_length);
  if (!left_length || !right_length || merge.rank >= TOKENIZER_MAX_ENTRIES ||
      !id_from(json_object_getn(vocabulary, left, left_length), &merge.left) ||
      !id_from(json_object_getn(vocabulary, right, right_length), &merge.right) ||
      !id_from(json_object_getn(vocabulary, joined, left_length + right_length), &merge.joined))
    return fault(error, FAULT_INPUT, "%s: merge number %u joins or makes a token that the vocabulary lacks.",
                 tokenizer->name, merge.rank);
  g_array_append_val(tokenizer->merges, merge);
  return TRUE;
}

/* "left right" */
static gboolean add_merge_line(Tokenizer *tokenizer, Json *vocabulary, const char *line, gsize length,
                               GError **error) {
  const char *blank = memchr(line, ' ', length);
  if (!blank)
    return fault(error, FAULT_INPUT, "%s: merge number %u is not two tokens.", tokenizer->name,
                 tokenizer->merges->len);
  gsize left = (gsize)(blank - line);
  return add_merge(tokenizer, vocabulary, line, left, blank + 1, length - left - 1, error);
}

static gint compare_merges(gconstpointer a, gconstpointer b) {
  const Merge *p = a, *q = b;
  if (p->left != q->left)
    return p->left < q->left ? -1 : 1;
  if (p->right != q->right)
    return p->right < q->right ? -1 : 1;
  return p->rank < q->rank ? -1 : p->rank > q->rank;
}

/* Sorts by pair; of a pair that is listed twice the later stays, as in a dictionary. */
static void settle_merges(Tokenizer *tokenizer) {
  g_array_sort(tokenizer->merges, compare_merges);
  Merge *merge = (Merge *)tokenizer->merges->data;
  guint kept = 0;
  for (guint i = 0; i < tokenizer->merges->len; i++) {
    if (kept && merge[kept - 1].left == merge[i].left && merge[kept - 1].right == merge[i].right)
      kept--;
    merge[kept++] = merge[i];
  }
  g_array_set_size(tokenizer->merges, kept);
}

static gboolean read_merges(Tokenizer *tokenizer, Json *vocabulary, Json *merges, GError **error) {
  if (!json_is_array(merges))
    return fault(error, FAULT_INPUT, "%s has no list of merges.", tokenizer->name);
  for (gsize i = 0; i < json_array_size(merges); i++) {
    Json *entry = json_array_get(merges, i);
    Json *left = json_array_get(entry, 0), *right = json_array_get(entry, 1);
    gboolean good;
    if (json_is_string(entry))
      good =
          add_merge_line(tokenizer, vocabulary, json_string_value(entry), json_string_length(entry), error);
    else if (json_array_size(entry) == 2 && json_is_string(left) && json_is_string(right))
      good = add_merge(tokenizer, vocabulary, json_string_value(left), json_string_length(left),
                       json_string_value(right), json_string_length(right), error);
    else
      return fault(error, FAULT_INPUT, "%s: merge number %" G_GSIZE_FORMAT " is not two tokens.",
                   tokenizer->name, i);
    if (!good)
      return FALSE;
  }
  settle_merges(tokenizer);
  return TRUE;
}

static gboolean read_merges_text(Tokenizer *tokenizer, Json *vocabulary, const char *text, gsize length,
                                 GError **error) {
  const char *end = text + length;
  for (const char *line = text, *next; line < end; line = next) {
    const char *newline = memchr(line, '\n', (gsize)(end - line));
    next = newline ? newline + 1 : end;
    gsize bytes = (gsize)((newline ? newline : end) - line);
    if (bytes && line[bytes - 1] == '\r')
      bytes--;
    gboolean comment = line == text && bytes >= 8 && memcmp(line, "#version", 8) == 0;
    if (bytes && !comment && !add_merge_line(tokenizer, vocabulary, line, bytes, error))
      return FALSE;
  }
  settle_merges(tokenizer);
  return TRUE;
}

/* --- added tokens --- */

static gint compare_added(gconstpointer a, gconstpointer b) {
  const AddedToken *p = a, *q = b;
  return p->length != q->length ? (p->length > q->length ? -1 : 1) : strcmp(p->text, q->text);
}

static gboolean add_token(Tokenizer *tokenizer, const Json *text, gint32 id, GError **error) {
  gsize length = json_string_length(text);
  if (!length || tokenizer->added->len >= TOKENIZER_MAX_ADDED)
    return fault(error, FAULT_INPUT, "%s has an empty added token, or more than %d of them.", tokenizer->name,
                 TOKENIZER_MAX_ADDED);
  const char *string = json_string_value(text);
  gint32 known = tokenizer_added(tokenizer, string);
  if (known >= 0 && known != id)
    return fault(error, FAULT_INPUT, "%s gives the added token %.40s two ids.", tokenizer->name, string);
  if (known >= 0)
    return TRUE;
  AddedToken token = {g_strdup(string), length, id};
  g_array_append_val(tokenizer->added, token);
  tokenizer->begins[(guchar)*string] = TRUE;
  return TRUE;
}

/* {"content": …, flags}; id: beside it, or the key that it stands under. */
static gboolean add_described(Tokenizer *tokenizer, const Json *entry, const Json *id_value, GError **error) {
  static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
  gint32 id;
  if (!json_is_string(json_object_get(entry, "content")) || !id_from(id_value, &id))
    return fault(error, FAULT_INPUT, "%s has an added token without text or a possible id.", tokenizer->name);
  for (gsize i = 0; i < G_N_ELEMENTS(flags); i++)
    if (json_is_true(json_object_get(entry, flags[i])))
      return fault(error, FAULT_INPUT, "%s has an added token with %s, which Qwen's have not.",
                   tokenizer->name, flags[i]);
  return add_token(tokenizer, json_object_get(entry, "content"), id, error);
}

static gboolean read_added_list(Tokenizer *tokenizer, const Json *list, GError **error) {
  for (gsize i = 0; i < json_array_size(list); i++) {
    const Json *entry = json_array_get(list, i);
    if (!add_described(tokenizer, entry, json_object_get(entry, "id"), error))
      return FALSE;
  }
  return TRUE;
}

/* added_tokens.json: {"text": id} */
static gboolean read_added_file(Tokenizer *tokenizer, Json *file, GError **error) {
  const char *text;
  Json *value;
  json_object_foreach(file, text, value) {
    gint32 id;
    if (!id_from(value, &id))
      return fault(error, FAULT_INPUT, "%s gives the added token %.40s an impossible id.", tokenizer->name,
                   text);
    g_autoptr(Json) string = json_string(text);
    if (!add_token(tokenizer, string, id, error))
      return FALSE;
  }
  return TRUE;
}

/* tokenizer_config.json: {"added_tokens_decoder": {"151643": {"content": …}}} */
static gboolean read_added_config(Tokenizer *tokenizer, Json *file, GError **error) {
  const char *key;
  Json *entry;
  json_object_foreach(json_object_get(file, "added_tokens_decoder"), key, entry) {
    guint64 number = 0;
    g_autoptr(Json) id = NULL;
    if (g_ascii_string_to_unsigned(key, 10, 0, TOKENIZER_MAX_ID, &number, NULL))
      id = json_integer((json_int_t)number);
    if (!add_described(tokenizer, entry, id, error))
      return FALSE;
  }
  return TRUE;
}

static void settle_added(Tokenizer *tokenizer) {
  g_array_sort(tokenizer->added, compare_added);
}

/* --- the two forms --- */

static gboolean is_text(const Json *value, const char *text) {
  return json_is_string(value) && g_str_equal(json_string_value(value), text);
}

static gboolean splits_like_qwen(const Json *pre_tokenizer) {
  const Json *list = json_object_get(pre_tokenizer, "pretokenizers");
  const Json *split = json_array_get(list, 0), *bytes = json_array_get(list, 1);
  return json_array_size(list) == 2 && is_text(json_object_get(split, "type"), "Split") &&
         is_text(json_object_get(json_object_get(split, "pattern"), "Regex"), SPLIT_PATTERN) &&
         is_text(json_object_get(split, "behavior"), "Isolated") &&
         !json_is_true(json_object_get(split, "invert")) &&
         is_text(json_object_get(bytes, "type"), "ByteLevel") &&
         !json_is_true(json_object_get(bytes, "add_prefix_space")) &&
         json_is_false(json_object_get(bytes, "use_regex"));
}

static gboolean merges_like_qwen(const Json *model) {
  const Json *type = json_object_get(model, "type");
  return (!type || is_text(type, "BPE")) && !json_is_true(json_object_get(model, "byte_fallback")) &&
         !json_is_true(json_object_get(model, "ignore_merges")) &&
         !json_string_length(json_object_get(model, "continuing_subword_prefix")) &&
         !json_string_length(json_object_get(model, "end_of_word_suffix"));
}

Tokenizer *tokenizer_parse(const char *text, gsize length, const char *name, GError **error) {
  g_autoptr(Json) file = parse_object(text, length, name, error);
  if (!file)
    return NULL;
  Json *model = json_object_get(file, "model"), *vocabulary = json_object_get(model, "vocab");
  if (!splits_like_qwen(json_object_get(file, "pre_tokenizer")) || !merges_like_qwen(model) ||
      !is_text(json_object_get(json_object_get(file, "normalizer"), "type"), "NFC"))
    return fault_null(error, FAULT_INPUT,
                      "%s does not normalise, split or merge text as Qwen's tokenizer does. Use the one that "
                      "belongs to the model.",
                      name);
  g_autoptr(Tokenizer) tokenizer = empty(name);
  if (!read_vocabulary(tokenizer, vocabulary, error) ||
      !read_merges(tokenizer, vocabulary, json_object_get(model, "merges"), error) ||
      !read_added_list(tokenizer, json_object_get(file, "added_tokens"), error))
    return NULL;
  settle_added(tokenizer);
  return g_steal_pointer(&tokenizer);
}

/* Reads a file that need not be there. */
static gboolean read_optional(Tokenizer *tokenizer, const char *folder, const char *name,
                              gboolean (*read)(Tokenizer *, Json *, GError **), GError **error) {
  g_autofree char *path = g_build_filename(folder, name, NULL);
  if (!g_file_test(path, G_FILE_TEST_EXISTS))
    return TRUE;
  gsize length;
  g_autofree char *text = read_file(path, &length, error);
  g_autoptr(Json) file = text ? parse_object(text, length, path, error) : NULL;
  return file && read(tokenizer, file, error);
}

static Tokenizer *open_pair(const char *folder, GError **error) {
  g_autofree char *vocabulary_path = g_build_filename(folder, "vocab.json", NULL);
  g_autofree char *merges_path = g_build_filename(folder, "merges.txt", NULL);
  gsize vocabulary_length, merges_length;
  g_autofree char *vocabulary_text = read_file(vocabulary_path, &vocabulary_length, error);
  g_autofree char *merges = vocabulary_text ? read_file(merges_path, &merges_length, error) : NULL;
  if (!merges)
    return NULL;
  g_autoptr(Json) vocabulary = parse_object(vocabulary_text, vocabulary_length, vocabulary_path, error);
  if (!vocabulary)
    return NULL;
  g_autoptr(Tokenizer) tokenizer = empty(folder);
  if (!read_vocabulary(tokenizer, vocabulary, error) ||
      !read_merges_text(tokenizer, vocabulary, merges, merges_length, error) ||
      !read_optional(tokenizer, folder, "added_tokens.json", read_added_file, error) ||
      !read_optional(tokenizer, folder, "tokenizer_config.json", read_added_config, error))
    return NULL;
  settle_added(tokenizer);
  return g_steal_pointer(&tokenizer);
}

Tokenizer *tokenizer_open(const char *path, GError **error) {
  g_autofree char *inside = NULL;
  if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
    inside = g_build_filename(path, "tokenizer.json", NULL);
    if (!g_file_test(inside, G_FILE_TEST_EXISTS))
      return open_pair(path, error);
    path = inside;
  }
  gsize length;
  g_autofree char *text = read_file(path, &length, error);
  return text ? tokenizer_parse(text, length, path, error) : NULL;
}
