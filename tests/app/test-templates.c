/* Templates: prompts with gaps, their files, and what a request may put into them. */
#include "company.h"

#include "../must.h"
#include "app/inputs/drafts.h"
#include "app/inputs/uploads.h"
#include "app/links.h"
#include "app/templates/template_prompt.h"
#include "app/templates/template_use.h"
#include "app/templates/templates.h"
#include "base/files.h"

#include <string.h>

/* --- filling --- */

static void filled(const char *prompt, const char *expected) {
  g_autoptr(GHashTable) values = g_hash_table_new(g_str_hash, g_str_equal);
  g_hash_table_insert(values, (gpointer) "a", (gpointer) "Ada");
  g_hash_table_insert(values, (gpointer) "b", (gpointer) "{{a}}, ,x");
  g_hash_table_insert(values, (gpointer) "none", (gpointer) "");
  g_autofree char *got = template_prompt_fill(prompt, values);
  assert_string_equal(got, expected);
}

static void tokens_are_filled(void **state) {
  filled("no token", "no token");
  filled("{{a}}", "Ada");
  filled("{{ a }}{{\ta}}", "AdaAda");
  filled("of {{a}} and {{a}}", "of Ada and Ada");
  filled("{{b}}", "{{a}}, ,x"); /* values are not looked into, and nothing is tidied */
  filled("{a} {{}} {{a b}} {{a", "{a} {{}} {{a b}} {{a");
  filled("{{{a}}}", "{Ada}");
  filled("", "");
}

static void empty_tokens_leave_nothing(void **state) {
  filled("{{none}}", "");
  filled("a {{none}} b", "a b");
  filled("a, {{none}}, b", "a, b");
  filled("a, {{missing}}", "a");
  filled("{{missing}}, b", "b");
  filled("a {{none}}. B", "a. B");
  filled("a, {{none}}. B", "a. B");
  filled("{{none}}, {{missing}}, {{a}}, {{none}}", "Ada");
}

/* --- files --- */

#define VARIABLE(more) "{\"key\": \"k\", \"label\": \"K\", \"type\": \"text\"" more "}"
#define FILE_WITH(variables) "{\"title\": \"T\", \"prompt\": \"p {{k}}\", \"variables\": [" variables "]}"

static void checked(const char *text, const char *word) {
  GError *error = NULL;
  json_auto_t *about = json_loads(text, 0, NULL);
  assert_non_null(about);
  gboolean good = template_prompt_check(about, &error);
  if (good == (word != NULL) || (word && !strstr(error->message, word)))
    fail_msg("%s: %s", text, error ? error->message : "good");
  g_clear_error(&error);
}

static void files_are_checked(void **state) {
  checked(FILE_WITH(VARIABLE("")), NULL);
  checked(FILE_WITH(VARIABLE(", \"required\": true, \"min_length\": 0, \"max_length\": 2000")), NULL);
  checked("[]", "object");
  checked("{\"title\": \"T\", \"prompt\": \"p\"}", "variables");
  checked("{\"title\": \"T\", \"prompt\": 7, \"variables\": []}", "prompt");
  checked("{\"title\": \"T\", \"prompt\": \"p {{x}}\", \"variables\": []}", "{{x}}");
  checked(FILE_WITH("7"), "variable 1");
  checked(FILE_WITH(VARIABLE("") "," VARIABLE("")), "two variables");
  checked(FILE_WITH(VARIABLE(", \"min_length\": -1")), "min_length");
  checked(FILE_WITH(VARIABLE(", \"max_length\": 2001")), "max_length");
  checked(FILE_WITH(VARIABLE(", \"max_length\": \"9\"")), "max_length");
  checked(FILE_WITH(VARIABLE(", \"min_length\": 3, \"max_length\": 2")), "min_length");
  checked(FILE_WITH(VARIABLE(", \"max_length\": 2, \"default_value\": \"abc\"")), "default_value");
  checked(FILE_WITH(VARIABLE(", \"required\": 1")), "required");
  checked(FILE_WITH(VARIABLE(", \"slot\": \"character\"")), "slot");
  checked(FILE_WITH(VARIABLE(", \"colour\": \"red\"")), "colour");
}

static char *add(Company *company, const char *text) {
  GError *error = NULL;
  g_autofree char *path = g_build_filename(company->folder, "template.json", NULL);
  assert_true(g_file_set_contents(path, text, -1, NULL));
  char *id = template_add(company->app, path, NULL, NULL, &error);
  must(id);
  return id;
}

static void those_of_the_program_are_added_once(void **state) {
  Company *company = *state;
  GError *error = NULL;
  gint64 total;
  g_autofree char *folder = g_build_filename(company->folder, "brought", NULL);
  g_autofree char *one = g_build_filename(folder, "one.json", NULL),
                  *two = g_build_filename(folder, "two.json", NULL);
  g_mkdir_with_parents(folder, 0700);
  assert_true(g_file_set_contents(one, FILE_WITH(VARIABLE("")), -1, NULL));
  must(templates_install(company->app, folder, NULL, &error));
  must(templates_install(company->app, folder, NULL, &error));
  g_autoptr(GPtrArray) rows = template_search(company->app, NULL, NULL, 10, 0, &total, &error);
  assert_int_equal(total, 1);
  must(template_remove(company->app, ((TemplateRow *)rows->pdata[0])->id, &error));
  assert_true(g_file_set_contents(two, FILE_WITH(VARIABLE("")), -1, NULL));
  must(templates_install(company->app, folder, NULL, &error)); /* a newer program brings another one */
  g_autoptr(GPtrArray) now = template_list(company->app, &error);
  assert_int_equal(now->len, 1);
}

/* --- using --- */

/* Nothing draws here: a prompt that is right in all else is still refused, before its variables. */
static void a_prompt_needs_a_model(void **state) {
  Company *company = *state;
  GError *error = NULL;
  Job *job;
  gint64 price;
  company->settings->models = g_strdup(company->folder);
  g_autofree char *id = add(company, FILE_WITH(VARIABLE("")));
  TemplateValue unknown = {.key = "nobody", .text = "x"};
  TemplateUse use = {.template_id = id, .values = &unknown, .value_count = 1, .seed = -1};
  assert_false(template_use(company->app, company->caller, &use, &job, &price, &error));
  company_expect(&error, REFUSAL_TEMPLATE_BROKEN, "model");
  use.template_id = "none";
  assert_false(template_use(company->app, company->caller, &use, &job, &price, &error));
  company_expect(&error, REFUSAL_TEMPLATE, "none");
  assert_int_equal(company_count(company, "jobs"), 0);
}

/* --- drafts --- */

static void data_uris_become_drafts(void **state) {
  Company *company = *state;
  GError *error = NULL;
  {
    g_autoptr(DraftFile) draft =
        draft_of_data(company->app, "v", "data:image/png;base64,aGVsbG8=", 5, &error);
    must(draft);
    assert_int_equal(draft->bytes, 5);
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents(draft->path, &text, NULL, NULL));
    assert_string_equal(text, "hello");
    assert_int_equal(company_drafts(company), 1);
  }
  assert_int_equal(company_drafts(company), 0);
  g_autoptr(DraftFile) escaped = draft_of_data(company->app, "v", "DATA:,a%20b", 5, &error);
  must(escaped);
  assert_int_equal(escaped->bytes, 3);
  static const char *const wrong[] = {
      "data:image/png;base64", "data:image/png;base64,", "data:;base64,a", "data:;base64,aGVs\nbG8=",
      "data:;base64,aGVsb=8=", "data:;base64,====",      "data:,%zz"};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    if (draft_of_data(company->app, "v", wrong[i], 100, &error))
      fail_msg("%s was taken", wrong[i]);
    company_expect(&error, REFUSAL_INVALID, "v ");
  }
  assert_null(draft_of_data(company->app, "v", "data:;base64,aGVsbG8gaGVsbG8gaGVsbG8g", 8, &error));
  company_expect(&error, REFUSAL_TOO_LARGE, "8 bytes");
}

static void own_addresses_are_not_fetched(void **state) {
  Company *company = *state;
  GError *error = NULL;
  App *app = company->app;
  g_auto(Input) input = {0};
  InputSource picture = company_picture(company, "image");
  company->settings->public_url = g_strdup("http://127.0.0.1:9");
  must(input_take(app, INPUT_PICTURE, &picture, &input, &error));
  g_autofree char *link = link_make(app, input.object, NULL, "a.png", app_now() / 1000 + 60);
  g_autofree char *late = link_make(app, input.object, NULL, "a.png", app_now() / 1000 - 60);
  InputSource source = {.field = "image", .url = link};
  g_auto(Input) again = {0};
  must(input_take(app, INPUT_PICTURE, &source, &again, &error));
  assert_string_equal(again.object, input.object);
  g_auto(Input) none = {0};
  source.url = late;
  assert_false(input_take(app, INPUT_PICTURE, &source, &none, &error));
  company_expect(&error, REFUSAL_URL, "image_url");
  source.url = "http://127.0.0.1:9/uploads/users/x";
  assert_false(input_take(app, INPUT_PICTURE, &source, &none, &error));
  company_expect(&error, REFUSAL_URL, "no longer");
  source.url = "http://127.0.0.1:9/elsewhere.png"; /* as any other: it is private */
  assert_false(input_take(app, INPUT_PICTURE, &source, &none, &error));
  company_expect(&error, REFUSAL_URL, "image_url");
  assert_int_equal(company_drafts(company), 0);
  g_free((char *)picture.path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens_are_filled), cmocka_unit_test(empty_tokens_leave_nothing),
      cmocka_unit_test(files_are_checked), TEST(those_of_the_program_are_added_once),
      TEST(a_prompt_needs_a_model),        TEST(data_uris_become_drafts),
      TEST(own_addresses_are_not_fetched)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
