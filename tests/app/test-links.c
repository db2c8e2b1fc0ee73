/* Links: what was made is good until it expires, and nothing else is. */
#include "company.h"

#include "../must.h"
#include "app/links.h"

#include <string.h>

#define OBJECT "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

typedef struct {
  char *path, *expires, *signature;
} Parts;

static void parts_clear(Parts *parts) {
  g_free(parts->path);
  g_free(parts->expires);
  g_free(parts->signature);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parts, parts_clear)

static gint64 later(void) {
  return g_get_real_time() / G_USEC_PER_SEC + 60;
}

static Parts parts_of(Company *company, const char *inside, const char *name, gint64 expires) {
  if (!company->settings->public_url)
    company->settings->public_url = g_strdup("http://127.0.0.1:8080");
  g_autofree char *link = link_make(company->app, OBJECT, inside, name, expires);
  g_autoptr(GError) error = NULL;
  g_autoptr(GUri) uri = g_uri_parse(link, G_URI_FLAGS_ENCODED, &error);
  must(uri);
  assert_true(g_str_has_prefix(link, company->settings->public_url));
  g_autoptr(GHashTable) query = g_uri_parse_params(g_uri_get_query(uri), -1, "&", G_URI_PARAMS_NONE, NULL);
  return (Parts){g_strdup(g_uri_get_path(uri)), g_strdup(g_hash_table_lookup(query, "expires")),
                 g_strdup(g_hash_table_lookup(query, "signature"))};
}

static gboolean check(Company *company, const Parts *parts, const char *inside) {
  g_autofree char *object = NULL, *within = NULL;
  gboolean expired = FALSE;
  if (!link_check(company->app, parts->path, parts->expires, parts->signature, &object, &within, &expired))
    return FALSE;
  assert_string_equal(object, OBJECT);
  assert_true(g_strcmp0(within, inside) == 0);
  return TRUE;
}

static void a_link_is_good(void **state) {
  Company *company = *state;
  const char *const names[] = {"render.mp4", "Zoë tanzt ☃ (1).mp4", "a/b\\c%41?#\"<>.mp4", "..", "",
                               ".hidden"};
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_auto(Parts) parts = parts_of(company, NULL, names[i], later());
    assert_true(check(company, &parts, NULL));
    g_auto(Parts) inner = parts_of(company, "thumb.webp", names[i], later());
    assert_true(check(company, &inner, "thumb.webp"));
    g_auto(Parts) deeper = parts_of(company, "in/thumb.webp", names[i], later());
    assert_true(check(company, &deeper, "in/thumb.webp"));
  }
}

/* Servers hand paths on decoded or not. */
static void percent_signs_do_not_matter(void **state) {
  Company *company = *state;
  g_auto(Parts) parts = parts_of(company, NULL, "Zoë tanzt.mp4", later());
  assert_non_null(strchr(parts.path, '%'));
  g_autofree char *plain = g_uri_unescape_string(parts.path, NULL);
  g_free(parts.path);
  parts.path = g_steal_pointer(&plain);
  assert_non_null(strstr(parts.path, "Zoë tanzt.mp4"));
  assert_true(check(company, &parts, NULL));
}

static void every_changed_character_is_refused(void **state) {
  Company *company = *state;
  g_auto(Parts) parts = parts_of(company, NULL, "r.mp4", later());
  char *const texts[] = {parts.path, parts.expires, parts.signature};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    for (char *c = texts[i]; *c; c++) {
      char was = *c;
      *c = was == '1' ? '2' : '1';
      assert_false(check(company, &parts, NULL));
      *c = was;
    }
  assert_true(check(company, &parts, NULL));
  parts.signature[63] = 0;
  assert_false(check(company, &parts, NULL));
}

static void an_expired_link_says_so(void **state) {
  Company *company = *state;
  g_auto(Parts) parts = parts_of(company, NULL, "r.mp4", later() - 120);
  g_autofree char *object = NULL, *inside = NULL;
  gboolean expired = FALSE;
  assert_false(
      link_check(company->app, parts.path, parts.expires, parts.signature, &object, &inside, &expired));
  assert_true(expired);
  parts.signature[0] = parts.signature[0] == '0' ? '1' : '0';
  assert_false(
      link_check(company->app, parts.path, parts.expires, parts.signature, &object, &inside, &expired));
  assert_false(expired);
}

static void nonsense_is_refused(void **state) {
  Company *company = *state;
  g_autofree char *object = NULL, *inside = NULL, *long_path = g_strnfill(100000, 'a');
  gboolean expired = FALSE;
  const char *const texts[] = {NULL,
                               "",
                               "/",
                               "/files/",
                               "/files//",
                               "%",
                               "%00",
                               "-1",
                               "1e9",
                               "99999999999999999999",
                               "/files/../../etc/passwd",
                               long_path};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    for (gsize j = 0; j < G_N_ELEMENTS(texts); j++)
      assert_false(link_check(company->app, texts[i], texts[j], texts[(i + j) % G_N_ELEMENTS(texts)], &object,
                              &inside, &expired));
}

static void another_installation_signs_otherwise(void **state) {
  Company *company = *state;
  g_auto(Parts) parts = parts_of(company, NULL, "r.mp4", later());
  company->app->secret[31] ^= 1;
  assert_false(check(company, &parts, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_link_is_good),
      TEST(percent_signs_do_not_matter),
      TEST(every_changed_character_is_refused),
      TEST(an_expired_link_says_so),
      TEST(nonsense_is_refused),
      TEST(another_installation_signs_otherwise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
