/* Free prompts find the words that are known; hostile vocabularies are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "vocabulary.h"
#include <glib/gstdio.h>
#include <string.h>

static void assert_same(const Words *words, const char *a, const char *b) {
  g_autofree gint32 *first = g_new(gint32, words_length(words)), *second = g_new(gint32, words_length(words));
  words_encode(words, a, first, NULL);
  words_encode(words, b, second, NULL);
  for (gint64 i = 0; i < words_length(words); i++)
    if (first[i] != second[i])
      fail_msg("\"%s\" is not \"%s\" at %d", a, b, (int)i);
}

static void free_prompts(void **state) {
  g_autoptr(Words) words = vocabulary_new();
  assert_same(words, "a close-up of a guy with gray hair", "portrait man grey hair");
  assert_same(words, "A Woman, wearing a red T-shirt!", "woman red tshirt");
  assert_same(words, "in the mountains", "mountain");
  assert_same(words, "two dresses", "dress");
  assert_same(words, "beaches", "beach");
  assert_same(words, "blue suits", "blue suit");
  assert_same(words, "the person's hair", "person hair");
  assert_same(words, "", "of the");
}

static void unknown_words(void **state) {
  g_autoptr(Words) words = vocabulary_new();
  g_autofree gint32 *ids = g_new(gint32, words_length(words));
  g_autoptr(GPtrArray) rest = NULL;
  words_encode(words, "a man riding a Dinosaur \xff\xfe <pad> <1>", ids, &rest);
  assert_int_equal(rest->len, 4); /* riding, dinosaur, pad, 1: markers are no words */
  assert_string_equal(rest->pdata[1], "dinosaur");
  assert_int_not_equal(ids[0], 0);
  assert_int_equal(ids[1], 0);
  g_autofree char *note = words_note(rest);
  assert_non_null(strstr(note, "dinosaur"));
  g_autoptr(GString) flood = g_string_new(NULL);
  for (int i = 0; i < 10000; i++)
    g_string_append(flood, "man ");
  g_autoptr(GPtrArray) more = NULL;
  words_encode(words, flood->str, ids, &more);
  assert_int_equal(more->len, 10000 - words_length(words));
}

static void triggers(void **state) {
  g_autoptr(Words) words = vocabulary_new();
  g_autoptr(Words) again = vocabulary_new();
  g_autoptr(GError) error = NULL;
  g_autofree gint32 *a = g_new(gint32, words_length(words)), *b = g_new(gint32, words_length(words));
  assert_true(words_bind(words, "zqx", &error));
  assert_true(words_bind(again, "ZQX", &error));
  words_encode(words, "zqx person", a, NULL);
  words_encode(again, "Zqx person", b, NULL);
  assert_int_equal(a[0], b[0]);
  assert_true(a[0] >= words_count(words) - 32 && a[1] != 0);
  assert_true(words_bind(words, "my-hero", &error));
  words_encode(words, "my-hero", a, NULL);
  assert_true(a[0] >= words_count(words) - 32 && a[1] == 0);
  assert_true(words_bind(words, "man", &error)); /* keeps its meaning */
  words_encode(words, "man", a, NULL);
  assert_true(a[0] < words_count(words) - 32);
  assert_false(words_bind(words, "!?", &error));
  assert_int_equal(error->code, FAULT_USAGE);
}

static void file_round_trip(void **state) {
  g_autofree char *folder = g_dir_make_tmp("words-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(folder, "words.safetensors", NULL);
  g_autoptr(GError) error = NULL;
  assert_true(vocabulary_write(path, &error));
  g_autoptr(Words) read = words_open(path, &error);
  assert_non_null(read);
  g_autoptr(Words) made = vocabulary_new();
  gint64 numbers = words_length(made) * words_width(made);
  g_autofree gint32 *ids = g_new(gint32, words_length(made));
  g_autofree float *a = g_new(float, numbers), *b = g_new(float, numbers);
  words_encode(made, "portrait of a woman", ids, NULL);
  words_features(made, ids, a);
  words_encode(read, "portrait of a woman", ids, NULL);
  words_features(read, ids, b);
  assert_memory_equal(a, b, sizeof(float) * (gsize)numbers);
  assert_memory_not_equal(a, a + words_width(made), 64);
  g_unlink(path);
  g_rmdir(folder);
}

static void hostile_vocabularies(void **state) {
  static const char *const bad[] = {
      "",
      "[]",
      "{}",
      "{\"length\": 4}",
      "{\"length\": 4, \"words\": 7}",
      "{\"length\": 4, \"words\": [\"a\"]}",                      /* fewer than vectors */
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\", \"d\"]}", /* more */
      "{\"length\": 0, \"words\": [\"a\", \"b\", \"c\"]}",
      "{\"length\": -4, \"words\": [\"a\", \"b\", \"c\"]}",
      "{\"length\": 99999999999, \"words\": [\"a\", \"b\", \"c\"]}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"b\"]}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"\"]}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", 3]}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"synonyms\": {\"x\": \"y\"}}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"synonyms\": {\"x\": 1}}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"synonyms\": {\"b\": \"c\"}}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"synonyms\": []}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"silent\": {}}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"silent\": [null]}",
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"reserved\": [\"a\"]}", /* the padding */
      "{\"length\": 4, \"words\": [\"a\", \"b\", \"c\"], \"reserved\": [\"z\"]}"};
  const float vectors[6] = {0};
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    if (words_new(bad[i], vectors, 3, 2, &error))
      fail_msg("accepted: %s", bad[i]);
    assert_int_equal(error->code, FAULT_INPUT);
  }
  g_autoptr(GError) error = NULL;
  const char *good =
      "{\"length\": 4, \"words\": [\"<pad>\", \"b\", \"c\"], \"reserved\": [\"c\"], \"silent\": [\"d\"]}";
  g_autoptr(Words) words = words_new(good, vectors, 3, 2, &error);
  assert_non_null(words);
  assert_null(words_new(good, vectors, 1, 2, NULL));
  assert_null(words_new(good, vectors, 3, 1 << 20, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(free_prompts), cmocka_unit_test(unknown_words),
                                     cmocka_unit_test(triggers), cmocka_unit_test(file_round_trip),
                                     cmocka_unit_test(hostile_vocabularies)};
  return cmocka_run_group_tests_name("sprite-words", tests, NULL, NULL);
}
