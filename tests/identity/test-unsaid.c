/* What a prompt leaves open is decided once, by the seed, and only where nothing was said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "identity/text/unsaid.h"
#include <string.h>

static const char vocabulary[] =
    "{\"length\": 8, \"words\": [\"<pad>\", \"man\", \"red\", \"blue\", \"day\", "
    "\"night\", \"portrait\"], \"synonyms\": {\"guy\": \"man\"}, \"silent\": [\"a\", "
    "\"of\"], \"reserved\": []}";
static const char groups[] = "[{\"known\": \"man\", \"say\": [\"a man\"], \"front\": true, \"who\": true},"
                             " {\"known\": \"portrait\", \"say\": [\"portrait of\"], \"front\": true},"
                             " {\"known\": \"day night\", \"say\": [\"day\", \"night\"]}]";

static Words *words_of(void) {
  float vectors[7 * 4] = {0};
  GError *error = NULL;
  Words *words = words_new(vocabulary, vectors, 7, 4, &error);
  assert_non_null(words);
  return words;
}

static void what_was_said_stays(void **state) {
  g_autoptr(Words) words = words_of();
  json_t *list = json_loads(groups, 0, NULL);
  g_autofree char *whole = unsaid_complete(list, words, "Portrait of a guy, nights", 5, FALSE);
  assert_string_equal(whole, "Portrait of a guy, nights");
  g_autofree char *place = unsaid_complete(list, words, "red", 5, FALSE);
  assert_true(g_str_has_prefix(place, "portrait of a man red, "));
  json_decref(list);
}

static void looks_are_not_said_of_the_learned(void **state) {
  g_autoptr(Words) words = words_of();
  json_t *list = json_loads(groups, 0, NULL);
  g_autofree char *text = unsaid_complete(list, words, "blue", 5, TRUE);
  assert_null(strstr(text, "man"));
  assert_true(g_str_has_prefix(text, "portrait of blue, "));
  json_decref(list);
}

static void seeds_decide(void **state) {
  g_autoptr(Words) words = words_of();
  json_t *list = json_loads(groups, 0, NULL);
  int days = 0;
  for (guint64 seed = 0; seed < 100; seed++) {
    g_autofree char *one = unsaid_complete(list, words, "blue", seed, FALSE);
    g_autofree char *again = unsaid_complete(list, words, "blue", seed, FALSE);
    assert_string_equal(one, again);
    days += g_str_has_suffix(one, ", day");
  }
  assert_in_range(days, 30, 70);
  json_decref(list);
}

static void bad_lists_are_refused(void **state) {
  static const char *const bad[] = {"{}",
                                    "[1]",
                                    "[{\"known\": \"a\"}]",
                                    "[{\"known\": \"a\", \"say\": []}]",
                                    "[{\"known\": 1, \"say\": [\"a\"]}]",
                                    "[{\"known\": \"a\", \"say\": [\"\"]}]"};
  assert_true(unsaid_check(NULL));
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    json_t *list = json_loads(bad[i], 0, NULL);
    assert_non_null(list);
    assert_false(unsaid_check(list));
    json_decref(list);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_said_stays),
      cmocka_unit_test(looks_are_not_said_of_the_learned),
      cmocka_unit_test(seeds_decide),
      cmocka_unit_test(bad_lists_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
