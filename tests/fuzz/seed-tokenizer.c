/* Writes a whole small tokenizer with a text behind it, for the fuzzer to spoil. */
#include "../identity/tiny_tokenizer.h"
#include <string.h>

int main(int argc, char **argv) {
  static const char *const merges[] = {"a b", "ab c", "a a", "\u0120 a", "aa aa", NULL};
  static const char text[] = "it's aab <think>abc  12\n\xc3\xa9 e\xcc\x81</think> aaaa";
  if (argc != 2)
    return 2;
  json_t *json = tiny_tokenizer(merges);
  char *file = json_dumps(json, JSON_COMPACT);
  g_autoptr(GString) whole = g_string_new(file);
  g_string_append_len(whole, "", 1);
  g_string_append(whole, text);
  free(file);
  json_decref(json);
  return g_file_set_contents(argv[1], whole->str, (gssize)whole->len, NULL) ? 0 : 1;
}
