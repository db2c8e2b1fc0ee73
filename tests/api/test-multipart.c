/* The parser against every way of cutting a body into pieces, and against bodies that are not whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "api/http/multipart.h"
#include <string.h>

/* What was heard, as one text: "name|filename|type=data;" */
static gboolean hear_begin(gpointer user, const MultipartPart *part, GError **error) {
  g_string_append_printf(user, "%s|%s|%s=", part->name, part->filename ? part->filename : "-",
                         part->type ? part->type : "-");
  return TRUE;
}

static gboolean hear_data(gpointer user, const char *bytes, gsize length, GError **error) {
  assert_true(length > 0);
  g_string_append_len(user, bytes, (gssize)length);
  return TRUE;
}

static gboolean hear_end(gpointer user, GError **error) {
  g_string_append_c(user, ';');
  return TRUE;
}

static const MultipartSink sink = {hear_begin, hear_data, hear_end};

static gboolean parse(const char *body, gsize length, gsize step, GString *heard, GError **error) {
  g_autoptr(Multipart) multipart = multipart_new("XyZ", &sink, heard);
  g_string_truncate(heard, 0);
  for (gsize i = 0; i < length; i += step)
    if (!multipart_feed(multipart, body + i, MIN(step, length - i), error))
      return FALSE;
  return multipart_finish(multipart, error);
}

#define PART(disposition) "--XyZ\r\nContent-Disposition: form-data; " disposition "\r\n"
static const char good[] = PART("name=\"a\"") "\r\nhello\r\n" PART("name=\"empty\"") "\r\n\r\n" PART(
    "name=\"file\"; filename=\"x.png\"") "Content-Type: Image/PNG; q=1\r\n\r\n"
                                         "\r\r\n--Xy\r\n--\r\n\r\n--XyQ\r\r\n-\r\n"
                                         "--XyZ "
                                         "\t\r\ncontent-disposition:form-data;filename=\"a\\\"b\";name="
                                         "q\r\n\r\n--XyZ\r\n"
                                         "--XyZ--\r\nepilogue";
static const char good_heard[] =
    "a|-|-=hello;empty|-|-=;file|x.png|image/png=\r\r\n--Xy\r\n--\r\n\r\n--XyQ\r\r\n-;"
    "q|a\"b|-=--XyZ;";

static void every_cut_hears_the_same(void **state) {
  g_autoptr(GString) heard = g_string_new(NULL);
  GError *error = NULL;
  for (gsize step = 1; step <= sizeof good; step++) {
    assert_true(parse(good, sizeof good - 1, step, heard, &error));
    assert_string_equal(heard->str, good_heard);
  }
  for (gsize cut = 0; cut < sizeof good; cut++) { /* two pieces */
    g_autoptr(Multipart) multipart = multipart_new("XyZ", &sink, heard);
    g_string_truncate(heard, 0);
    assert_true(multipart_feed(multipart, good, cut, &error));
    assert_true(multipart_feed(multipart, good + cut, sizeof good - 1 - cut, &error));
    assert_true(multipart_finish(multipart, &error));
    assert_string_equal(heard->str, good_heard);
  }
}

static void every_truncation_is_refused(void **state) {
  g_autoptr(GString) heard = g_string_new(NULL);
  gsize whole = (gsize)(strstr(good, "--XyZ--") - good) + 7;
  for (gsize length = 0; length < whole; length++) {
    g_autoptr(GError) error = NULL;
    assert_false(parse(good, length, 7, heard, &error));
    assert_true(g_error_matches(error, REFUSAL, REFUSAL_INVALID));
  }
  GError *error = NULL;
  assert_true(parse(good, whole, 7, heard, &error));
}

static void random_bytes_come_through(void **state) {
  g_autoptr(GRand) random = g_rand_new_with_seed(4);
  g_autoptr(GString) heard = g_string_new(NULL);
  for (int round = 0; round < 200; round++) {
    g_autoptr(GString) body = g_string_new(PART("name=f; filename=f") "\r\n"),
                       expected = g_string_new("f|f|-=");
    int length = g_rand_int_range(random, 0, 300);
    for (int i = 0; i < length; i++) { /* mostly what boundaries are made of */
      char c = g_rand_int_range(random, 0, 8) ? "\r\n--XyZ"[g_rand_int_range(random, 0, 6)]
                                              : (char)g_rand_int(random);
      g_string_append_c(body, c);
      g_string_append_c(expected, c);
    }
    g_string_append_c(expected, ';');
    g_string_append(body, "\r\n--XyZ--");
    GError *error = NULL;
    assert_true(parse(body->str, body->len, (gsize)g_rand_int_range(random, 1, 40), heard, &error));
    assert_int_equal(heard->len, expected->len);
    assert_memory_equal(heard->str, expected->str, expected->len);
  }
}

static void broken_bodies_are_refused(void **state) {
  static const char *const bad[] = {
      "",
      "hello",
      "\r\n",
      "--XyQ\r\n",
      "\n--XyZ--",
      "preamble\r\n--XyZ--",
      "--XyZ\n",
      "--XyZx\r\n",
      "--XyZ-\r\n",
      "--XyZ\r--",
      "--XyZ\r\n\r\nno headers\r\n--XyZ--",
      "--XyZ\r\nContent-Type: text/plain\r\n\r\nno name\r\n--XyZ--",
      PART("filename=a") "\r\nno name\r\n--XyZ--",
      PART("name=\"unclosed") "\r\nx\r\n--XyZ--",
      "--XyZ\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--XyZ--",
      "--XyZ\r\nno colon\r\n\r\nx\r\n--XyZ--",
      PART("name=a") "Content-Transfer-Encoding: base64\r\n\r\neA==\r\n--XyZ--",
      PART("name=\"\xff\"") "\r\nx\r\n--XyZ--",
      PART("name=a; filename*=UTF-8''%ff") "\r\nx",
      PART("name=a") "\r\nx--XyZ--",
      PART("name=a") "\r\nx\n--XyZ--\n",
  };
  g_autoptr(GString) heard = g_string_new(NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    for (gsize step = 1; step < 60; step += 29) {
      g_autoptr(GError) error = NULL;
      if (parse(bad[i], strlen(bad[i]), step, heard, &error))
        fail_msg("accepted: %s", bad[i]);
      assert_true(g_error_matches(error, REFUSAL, REFUSAL_INVALID));
    }
  g_autofree char *long_header = g_strnfill(9000, 'x'),
                  *body = g_strconcat("--XyZ\r\nA: ", long_header, NULL);
  g_autoptr(GError) error = NULL;
  assert_false(parse(body, strlen(body), 100, heard, &error));
}

static void names_are_read_as_clients_write_them(void **state) {
  static const struct {
    const char *disposition, *heard;
  } cases[] = {
      {"name=plain", "plain|-|-=;"},
      {"name=\"semi;colon\"; filename=\"C:\\dir\\f.png\"", "semi;colon|C:\\dir\\f.png|-=;"},
      {"name=\"a[b][]\"", "a[b][]|-|-=;"},
      {"filename*=UTF-8''na%C3%AFve.png; filename=\"naive.png\"; name=\"f\"", "f|naïve.png|-=;"},
      {"NAME=x; FileName=\"\"", "x||-=;"},
      {"name=\"\"", "|-|-=;"},
      {"name = \"spaced\" ; filename = y", "spaced|y|-=;"},
  };
  g_autoptr(GString) heard = g_string_new(NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *body = g_strconcat("\r\n--XyZ\r\nContent-Disposition: form-data; ", cases[i].disposition,
                                        "\r\n\r\n\r\n--XyZ--", NULL);
    GError *error = NULL;
    assert_true(parse(body, strlen(body), 5, heard, &error));
    assert_string_equal(heard->str, cases[i].heard);
  }
}

static void boundaries_are_checked(void **state) {
  g_autofree char *most = g_strnfill(70, 'b'), *too_long = g_strnfill(71, 'b');
  g_autofree char *long_good = g_strconcat("multipart/form-data; boundary=", most, NULL);
  g_autofree char *long_bad = g_strconcat("multipart/form-data; boundary=", too_long, NULL);
  const char *const types[] = {"multipart/form-data; boundary=XyZ",
                               "multipart/form-data; charset=utf-8; Boundary=\"a b:c\"", long_good};
  const char *const boundaries[] = {"XyZ", "a b:c", most};
  for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
    g_autofree char *boundary = multipart_boundary(types[i], NULL);
    assert_string_equal(boundary, boundaries[i]);
  }
  const char *const bad[] = {"multipart/form-data",
                             "multipart/form-data; boundary=",
                             "multipart/form-data; boundary=\"a \"",
                             "multipart/form-data; boundary=\"\r\n\"",
                             "multipart/form-data; boundary=a@b",
                             long_bad};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    assert_null(multipart_boundary(bad[i], &error));
    assert_true(g_error_matches(error, REFUSAL, REFUSAL_INVALID));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_cut_hears_the_same),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(random_bytes_come_through),
      cmocka_unit_test(broken_bodies_are_refused),
      cmocka_unit_test(names_are_read_as_clients_write_them),
      cmocka_unit_test(boundaries_are_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
