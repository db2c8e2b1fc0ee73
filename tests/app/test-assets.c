/* Characters and Scenes: making, listing, changing, deleting; and the files that they are made of. */
#include "company.h"

#include <string.h>

static void character_refused(Company *company, const CharacterRequest *request, Refusal why,
                              const char *word) {
  GError *error = NULL;
  gint64 price;
  CharacterRow *row = NULL;
  assert_false(character_create(company->app, company->caller, request, &row, &price, &error));
  company_expect(&error, why, word);
  assert_null(row);
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  assert_int_equal(company_count(company, "characters"), 0);
  assert_int_equal(company_count(company, "jobs"), 0);
  assert_int_equal(company_count(company, "holds"), 0);
}

static void test_character(void **state) {
  Company *company = *state;
  GError *error = NULL;
  gint64 price, total;
  g_autoptr(CharacterRow) row = NULL;
  CharacterRequest request = {.name = " Ada ", .image = company_picture(company, "image")};
  assert_true(character_create(company->app, company->caller, &request, &row, &price, &error));
  assert_int_equal(price, CHARACTER_PRICE);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - CHARACTER_PRICE);
  assert_string_equal(row->name, "Ada");
  assert_string_equal(row->status, "pending");
  assert_int_equal(row->credits, -1);
  g_autofree char *job = g_strdup_printf("char_%.8s%.4s", row->id, row->id + 9);
  assert_string_equal(row->job, job);
  assert_non_null(row->picture);
  assert_int_equal(company_drafts(company), 0);

  g_autoptr(Job) claimed = job_claim(company->app, "V4_Preview", "test", &error);
  assert_string_equal(claimed->id, job);
  g_autoptr(CharacterRow) working = character_get(company->app, company->caller->account, row->id, &error);
  assert_string_equal(working->status, "processing");
  g_autoptr(GPtrArray) list =
      character_list(company->app, company->caller->account, "AD", FALSE, 10, 0, &total, &error);
  assert_int_equal(total, 1);
  assert_int_equal(list->len, 1);

  assert_true(character_delete(company->app, company->caller->account, row->id, &error));
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  assert_int_equal(company_count(company, "holds"), 0);
  assert_null(character_get(company->app, company->caller->account, row->id, &error));
  company_expect(&error, REFUSAL_CHARACTER, row->id);
  g_free((char *)request.image.path);
}

static void test_character_changed(void **state) {
  Company *company = *state;
  GError *error = NULL;
  const char *account = company->caller->account;
  g_autofree char *id = company_character(company);
  g_autoptr(CharacterRow) made = character_get(company->app, account, id, &error);
  assert_string_equal(made->status, "ready");
  assert_non_null(made->folder);
  assert_int_equal(made->credits, CHARACTER_PRICE);
  assert_true(character_update(company->app, account, id, "Eve", NULL, &error));
  assert_true(character_update(company->app, account, id, NULL, "tall", &error));
  assert_false(character_update(company->app, account, id, " ", NULL, &error));
  company_expect(&error, REFUSAL_INVALID, "name");
  assert_false(character_update(company->app, "other", id, "Eve", NULL, &error));
  company_expect(&error, REFUSAL_CHARACTER, id);
  g_autoptr(CharacterRow) changed = character_get(company->app, account, id, &error);
  assert_string_equal(changed->name, "Eve");
  assert_string_equal(changed->description, "tall");
}

static void test_character_refused(void **state) {
  Company *company = *state;
  CharacterRequest request = {.image = {.field = "image"}};
  character_refused(company, &request, REFUSAL_INVALID, "name");
  request.name = "Ada";
  character_refused(company, &request, REFUSAL_PICTURE_MISSING, "image");
  request.image.url = "gopher://example.com/a.png";
  character_refused(company, &request, REFUSAL_URL_FORM, "image_url");
  request.image.url = "http://127.0.0.1:9/a.png"; /* inside */
  character_refused(company, &request, REFUSAL_URL, "image_url");
  request.image.url = NULL;
  request.webhook_url = "ftp://example.com";
  request.image.path = "/nowhere";
  character_refused(company, &request, REFUSAL_INVALID, "webhook_url");
  request.webhook_url = NULL;
  static const char cut[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
  const struct {
    const char *bytes;
    gsize length;
    Refusal why;
  } files[] = {{"", 0, REFUSAL_PICTURE_BROKEN},
               {"<!DOCTYPE html><p>no", 20, REFUSAL_PICTURE_FORMAT},
               {"GIF89a............", 18, REFUSAL_PICTURE_FORMAT},
               {cut, sizeof cut - 1, REFUSAL_PICTURE_BROKEN}};
  for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
    request.image = company_file(company, "image", files[i].bytes, files[i].length);
    character_refused(company, &request, files[i].why, "image");
    assert_int_equal(company_drafts(company), 0);
    g_free((char *)request.image.path);
  }
  request.image = company_file(company, "image", "\x89PNG", 4);
  request.image.bytes = INPUT_PICTURE_BYTES + 1;
  character_refused(company, &request, REFUSAL_PICTURE_TOO_LARGE, "20 MB");
  g_free((char *)request.image.path);
}

static void test_scene(void **state) {
  Company *company = *state;
  GError *error = NULL;
  const char *account = company->caller->account;
  g_autofree char *id = company_scene(company, "V3_Preview", "inpaint");
  g_autoptr(SceneRow) row = scene_get(company->app, account, id, &error);
  assert_string_equal(row->status, "ready");
  assert_string_equal(row->model, "V3_Preview");
  assert_string_equal(row->background, "original");
  assert_int_equal(row->frames, 200);
  assert_true(row->seconds == 6.675);
  assert_int_equal(json_array_size(row->segments), 2);
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  g_autofree char *other = company_scene(company, NULL, NULL);
  gint64 total;
  g_autoptr(GPtrArray) list = scene_list(company->app, account, 1, 0, &total, &error);
  assert_int_equal(total, 2);
  assert_int_equal(list->len, 1);
  assert_true(scene_delete(company->app, account, id, &error));
  g_autoptr(GPtrArray) rest = scene_list(company->app, account, 10, 0, &total, &error);
  assert_int_equal(total, 1);
  assert_string_equal(((SceneRow *)rest->pdata[0])->id, other);
}

static void test_scene_refused(void **state) {
  Company *company = *state;
  GError *error = NULL;
  SceneRow *row = NULL;
  const struct {
    SceneRequest request;
    Refusal why;
    const char *word;
  } cases[] = {
      {{.video = {.field = "video"}}, REFUSAL_INVALID, "name"},
      {{.name = "a", .video = {.field = "video"}}, REFUSAL_VIDEO_MISSING, "video"},
      {{.name = "a", .model = "V9", .video = {.field = "video"}}, REFUSAL_MODEL, "V9"},
      {{.name = "a", .background = "sea", .video = {.field = "video"}}, REFUSAL_BACKGROUND, "sea"},
      {{.name = "a", .video = company_file(company, "video", "GIF89a..........", 16)},
       REFUSAL_VIDEO_FORMAT,
       "video"},
      {{.name = "a",
        .video = company_file(company, "video",
                              "\0\0\0\x10"
                              "ftypisom\0\0\0\0",
                              16)},
       REFUSAL_VIDEO_BROKEN,
       "video"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    assert_false(scene_create(company->app, company->caller, &cases[i].request, &row, &error));
    company_expect(&error, cases[i].why, cases[i].word);
    g_free((char *)cases[i].request.video.path);
  }
  assert_int_equal(company_count(company, "scenes") + company_count(company, "jobs"), 0);
  assert_int_equal(company_drafts(company), 0);
  assert_false(scene_import(company->app, company->caller, "none", NULL, FALSE, &row, &error));
  company_expect(&error, REFUSAL_TEMPLATE, "none");
}

#define WITH_COMPANY(test) cmocka_unit_test_setup_teardown(test, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_COMPANY(test_character),         WITH_COMPANY(test_character_changed),
      WITH_COMPANY(test_character_refused), WITH_COMPANY(test_scene),
      WITH_COMPANY(test_scene_refused),
  };
  return cmocka_run_group_tests_name("app assets", tests, NULL, NULL);
}
