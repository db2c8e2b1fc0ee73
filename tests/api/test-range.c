/* Ranges, conditions and dates of RFC 9110, and the percent encoding of forms and paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "api/http/parameters.h"
#include "api/http/range.h"
#include "api/http/urlencoded.h"
#include <string.h>

static void ranges_are_read(void **state) {
  static const struct {
    const char *header;
    gint64 size;
    RangeKind kind;
    gint64 first, length;
  } cases[] = {
      {NULL, 100, RANGE_WHOLE, 0, 100},
      {"bytes=0-9", 100, RANGE_PART, 0, 10},
      {"bytes=0-0", 100, RANGE_PART, 0, 1},
      {"bytes=90-", 100, RANGE_PART, 90, 10},
      {"bytes=99-200", 100, RANGE_PART, 99, 1},
      {"bytes=-5", 100, RANGE_PART, 95, 5},
      {"bytes=-500", 100, RANGE_PART, 0, 100},
      {"Bytes= 1-2 ", 100, RANGE_PART, 1, 2},
      {"bytes=0-99999999999999999999999", 100, RANGE_PART, 0, 100},
      {"bytes=100-", 100, RANGE_IMPOSSIBLE, 0, 0},
      {"bytes=99999999999999999999999-", 100, RANGE_IMPOSSIBLE, 0, 0},
      {"bytes=-0", 100, RANGE_IMPOSSIBLE, 0, 0},
      {"bytes=0-", 0, RANGE_IMPOSSIBLE, 0, 0},
      {"bytes=-1", 0, RANGE_IMPOSSIBLE, 0, 0},
      {"bytes=9-1", 100, RANGE_WHOLE, 0, 100},
      {"bytes=0-1,5-6", 100, RANGE_WHOLE, 0, 100},
      {"bytes=-", 100, RANGE_WHOLE, 0, 100},
      {"bytes=a-b", 100, RANGE_WHOLE, 0, 100},
      {"bytes=--5", 100, RANGE_WHOLE, 0, 100},
      {"bytes", 100, RANGE_WHOLE, 0, 100},
      {"items=0-1", 100, RANGE_WHOLE, 0, 100},
      {"", 100, RANGE_WHOLE, 0, 100},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    gint64 first, length;
    RangeKind kind = range_parse(cases[i].header, cases[i].size, &first, &length);
    if (kind != cases[i].kind)
      fail_msg("%s: %d", cases[i].header, kind);
    if (kind == RANGE_IMPOSSIBLE)
      continue;
    assert_int_equal(first, cases[i].first);
    assert_int_equal(length, cases[i].length);
  }
}

static void etags_are_compared(void **state) {
  assert_true(etag_listed("\"a\"", "\"a\""));
  assert_true(etag_listed("W/\"a\"", "\"a\""));
  assert_true(etag_listed("\"b\", \"a,c\" , \"a\"", "\"a\""));
  assert_true(etag_listed("*", "\"a\""));
  assert_false(etag_listed("\"b\"", "\"a\""));
  assert_false(etag_listed("\"ab\"", "\"a\""));
  assert_false(etag_listed("a", "\"a\""));
  assert_false(etag_listed("\"a", "\"a\""));
  assert_false(etag_listed("", "\"a\""));
}

static void dates_go_both_ways(void **state) {
  static const gint64 moments[] = {0, 784111777, 1795273445, 4102444799};
  for (gsize i = 0; i < G_N_ELEMENTS(moments); i++) {
    g_autofree char *text = http_date(moments[i]);
    assert_int_equal(http_date_parse(text), moments[i]);
  }
  g_autofree char *known = http_date(784111777);
  assert_string_equal(known, "Sun, 06 Nov 1994 08:49:37 GMT");
  static const char *const bad[] = {"",
                                    "yesterday",
                                    "Sun, 06 Nov 1994",
                                    "Sun, 06 Mov 1994 08:49:37 GMT",
                                    "Sun, 06 Nov 1994 28:49:37 GMT",
                                    "Sun, 06 ovD 1994 08:49:37 GMT"};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_int_equal(http_date_parse(bad[i]), -1);
}

static void forms_are_decoded(void **state) {
  Fields fields = {0};
  GError *error = NULL;
  const char *form = "a=1&b=x+y%20z&&c&a=%C3%A4&=v&d==";
  assert_true(urlencoded_parse(form, strlen(form), "The body", &fields, &error));
  assert_int_equal(fields.count, 6);
  assert_string_equal(fields_find(&fields, "a"), "ä");
  assert_string_equal(fields.items[0].value, "1");
  assert_string_equal(fields_find(&fields, "b"), "x y z");
  assert_string_equal(fields_find(&fields, "c"), "");
  assert_string_equal(fields_find(&fields, ""), "v");
  assert_string_equal(fields_find(&fields, "d"), "=");
  assert_null(fields_find(&fields, "e"));
  fields_clear(&fields);
  static const char *const bad[] = {"a=%", "a=%1", "a=%zz", "%ff=1", "a=%00", "a=\xc3", "a=%ED%A0%80"};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    assert_false(urlencoded_parse(bad[i], strlen(bad[i]), "The body", &fields, &error));
    assert_true(g_error_matches(error, REFUSAL, REFUSAL_INVALID));
    g_clear_error(&error);
    fields_clear(&fields);
  }
  g_autoptr(GString) many = g_string_new("a=1");
  for (int i = 1; i < FIELDS_MAX; i++)
    g_string_append(many, "&a=1");
  assert_true(urlencoded_parse(many->str, many->len, "The body", &fields, &error));
  fields_clear(&fields);
  g_string_append(many, "&a=1");
  assert_false(urlencoded_parse(many->str, many->len, "The body", &fields, &error));
  g_clear_error(&error);
  fields_clear(&fields);
  g_autofree char *path = urlencoded_decode("a+b%2Fc", 7, FALSE);
  assert_string_equal(path, "a+b/c");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranges_are_read),
      cmocka_unit_test(etags_are_compared),
      cmocka_unit_test(dates_go_both_ways),
      cmocka_unit_test(forms_are_decoded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
