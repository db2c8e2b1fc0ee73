#include "tiny_tokenizer.h"

#include <string.h>

#define PATTERN                                                                                              \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "                                      \
  "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static json_t *bytes_vocabulary(void) {
  json_t *vocabulary = json_object();
  gunichar spare = 0x100;
  for (int b = 0; b < 256; b++) {
    gboolean printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    char name[8] = {0};
    g_unichar_to_utf8(printable ? (gunichar)b : spare++, name);
    json_object_set_new(vocabulary, name, json_integer(b));
  }
  return vocabulary;
}

json_t *tiny_tokenizer(const char *const *merges) {
  static const char *const specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>",
                                         "</think>"};
  json_t *vocabulary = bytes_vocabulary(), *list = json_array(), *added = json_array();
  int id = 256;
  for (; merges && *merges; merges++) {
    g_auto(GStrv) sides = g_strsplit(*merges, " ", 2);
    g_autofree char *joined = g_strconcat(sides[0], sides[1], NULL);
    if (!json_object_get(vocabulary, joined))
      json_object_set_new(vocabulary, joined, json_integer(id++));
    json_array_append_new(list, json_string(*merges));
  }
  for (gsize i = 0; i < G_N_ELEMENTS(specials); i++)
    json_array_append_new(added, json_pack("{s:i, s:s}", "id", 1000 + (int)i, "content", specials[i]));
  return json_pack(
      "{s:o, s:{s:s}, s:{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b}]}, s:{s:s, s:o, s:o}}",
      "added_tokens", added, "normalizer", "type", "NFC", "pre_tokenizer", "type", "Sequence",
      "pretokenizers", "type", "Split", "pattern", "Regex", PATTERN, "behavior", "Isolated", "invert", 0,
      "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 0, "model", "type", "BPE", "vocab", vocabulary,
      "merges", list);
}

Tokenizer *tiny_tokenizer_open(json_t *json, GError **error) {
  g_assert_nonnull(json);
  char *text = json_dumps(json, 0);
  Tokenizer *tokenizer = tokenizer_parse(text, strlen(text), "tiny", error);
  free(text);
  json_decref(json);
  return tokenizer;
}
