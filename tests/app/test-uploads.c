/* Uploads: a place, a link, a file, a key that stands for it, and its end. */
#include "company.h"

#include "../must.h"
#include "app/inputs/uploads.h"
#include "app/jobs/sweep.h"

#include <string.h>

static char *parameter(const char *url, const char *name) {
  g_autofree char *mark = g_strdup_printf("%s=", name);
  const char *at = strstr(url, mark);
  assert_non_null(at);
  at += strlen(mark);
  return g_strndup(at, strcspn(at, "&"));
}

static gboolean open_with(Company *company, const Upload *upload, const char *signature, const char *type,
                          GError **error) {
  gint64 most = 0;
  g_autofree char *expires = parameter(upload->put_url, "expires");
  gboolean good = upload_open(company->app, upload->key, expires, signature, type, &most, error);
  assert_true(!good || most == upload->most);
  return good;
}

static char *put_picture(Company *company) {
  GError *error = NULL;
  g_auto(Upload) upload = {0};
  InputSource draft = company_picture(company, "The file");
  must(upload_offer(company->app, company->caller->account, "image/png", -1, &upload, &error));
  must(upload_finish(company->app, upload.key, &draft, &error));
  g_free((char *)draft.path);
  return g_steal_pointer(&upload.key);
}

static void test_types(void **state) {
  Company *company = *state;
  GError *error = NULL;
  static const struct {
    const char *type, *suffix;
    gint64 most;
  } cases[] = {{"image/png", ".png", 20971520},
               {"IMAGE/JPEG; q=1", ".jpg", 20971520},
               {"video/mp4", ".mp4", 500000000},
               {"audio/mpeg", ".mp3", 20000000}};
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_auto(Upload) upload = {0};
    must(upload_offer(company->app, company->caller->account, cases[i].type, cases[i].most, &upload, &error));
    assert_true(g_str_has_suffix(upload.key, cases[i].suffix));
    assert_int_equal(upload.most, cases[i].most);
    assert_false(upload_offer(company->app, company->caller->account, cases[i].type, cases[i].most + 1,
                              &upload, &error));
    company_expect(&error, REFUSAL_TOO_LARGE, "bytes");
  }
  g_auto(Upload) upload = {0};
  assert_false(upload_offer(company->app, company->caller->account, "text/html", -1, &upload, &error));
  company_expect(&error, REFUSAL_INVALID, "text/html");
}

static void test_link(void **state) {
  Company *company = *state;
  GError *error = NULL;
  g_auto(Upload) upload = {0}, other = {0};
  must(upload_offer(company->app, company->caller->account, "image/png", -1, &upload, &error));
  must(upload_offer(company->app, company->caller->account, "image/png", -1, &other, &error));
  g_autofree char *signature = parameter(upload.put_url, "signature");
  g_autofree char *foreign = parameter(other.put_url, "signature");
  must(open_with(company, &upload, signature, "image/png", &error));
  must(open_with(company, &upload, signature, "Image/PNG; x=y", &error));
  assert_false(open_with(company, &upload, signature, "image/jpeg", &error));
  company_expect(&error, REFUSAL_CONTENT_TYPE, "image/png");
  assert_false(open_with(company, &upload, signature, NULL, &error));
  company_expect(&error, REFUSAL_CONTENT_TYPE, "image/png");
  assert_false(open_with(company, &upload, foreign, "image/png", &error));
  company_expect(&error, REFUSAL_FORBIDDEN, "signed");
  gint64 most;
  assert_false(upload_open(company->app, upload.key, "1", signature, "image/png", &most, &error));
  company_expect(&error, REFUSAL_FORBIDDEN, "signed");
  assert_false(upload_open(company->app, upload.key, NULL, NULL, "image/png", &most, &error));
  company_expect(&error, REFUSAL_FORBIDDEN, "signed");
}

static void test_key(void **state) {
  Company *company = *state;
  GError *error = NULL;
  const char *account = company->caller->account;
  g_autofree char *key = put_picture(company), *type = NULL;
  g_autofree char *object = upload_object(company->app, account, "k", key, INPUT_PICTURE, &error);
  assert_null(error);
  g_autofree char *shown = upload_read(company->app, key, &type, &error);
  assert_string_equal(object, shown);
  assert_string_equal(type, "image/png");
  assert_null(upload_object(company->app, account, "k", key, INPUT_VIDEO, &error));
  company_expect(&error, REFUSAL_INVALID, "a video");
  assert_null(upload_object(company->app, "another", "k", key, INPUT_PICTURE, &error));
  company_expect(&error, REFUSAL_INVALID, "no file");
  assert_null(upload_object(company->app, account, "k", "users/x", INPUT_PICTURE, &error));
  company_expect(&error, REFUSAL_INVALID, "no file");
  static const char *const wrong[] = {
      "generations/a/b",     "generations/a/b.mp4", "generations/a/b-1.png", "generations/a/-1.png",
      "generations/a/-.png", "generations//.mp4",   "generations/a/b/c.mp4", "generations/a/b-11.png"};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    assert_null(upload_object(company->app, account, "k", wrong[i], INPUT_PICTURE, &error));
    company_expect(&error, REFUSAL_INVALID, "no file");
  }
}

static void test_not_put(void **state) {
  Company *company = *state;
  GError *error = NULL;
  char *type;
  g_auto(Upload) upload = {0};
  must(upload_offer(company->app, company->caller->account, "image/png", -1, &upload, &error));
  assert_null(upload_read(company->app, upload.key, &type, &error));
  company_expect(&error, REFUSAL_NOT_FOUND, "uploaded");
  assert_null(upload_object(company->app, company->caller->account, "k", upload.key, INPUT_PICTURE, &error));
  company_expect(&error, REFUSAL_INVALID, "yet");
}

static void put_bad(Company *company, const char *type, const char *bytes, gsize length, Refusal why,
                    const char *word) {
  GError *error = NULL;
  g_auto(Upload) upload = {0};
  InputSource draft = company_file(company, "The file", bytes, length);
  must(upload_offer(company->app, company->caller->account, type, -1, &upload, &error));
  assert_false(upload_finish(company->app, upload.key, &draft, &error));
  company_expect(&error, why, word);
  g_free((char *)draft.path);
}

static void test_bad_files(void **state) {
  Company *company = *state;
  put_bad(company, "image/png", "GIF89a and more bytes", 21, REFUSAL_PICTURE_FORMAT, "PNG");
  put_bad(company, "image/png", "\x89PNG\r\n\x1a\nbroken", 14, REFUSAL_PICTURE_BROKEN, "The file");
  put_bad(company, "video/mp4", "plain text and no video", 23, REFUSAL_VIDEO_FORMAT, "MP4");
  put_bad(company, "audio/wav", "RIFFxxxxAVI fmt and more", 24, REFUSAL_INVALID, "WAV");
  put_bad(company, "audio/mpeg", "", 0, REFUSAL_INVALID, "MP3");
  assert_int_equal(company_drafts(company), 0);
  assert_int_equal(company_count(company, "holds"), 0);
}

static void test_sound(void **state) {
  Company *company = *state;
  GError *error = NULL;
  g_auto(Upload) upload = {0};
  InputSource draft = company_file(company, "The file", "RIFF\x10\x00\x00\x00WAVEfmt ", 16);
  must(upload_offer(company->app, company->caller->account, "audio/wav", -1, &upload, &error));
  must(upload_finish(company->app, upload.key, &draft, &error));
  assert_int_equal(company_count(company, "holds"), 1);
  g_free((char *)draft.path);
}

/* A second file replaces the first, and the row's hold with it. */
static void test_put_again(void **state) {
  Company *company = *state;
  GError *error = NULL;
  g_autofree char *key = put_picture(company);
  InputSource draft = company_picture(company, "The file");
  must(upload_finish(company->app, key, &draft, &error));
  assert_int_equal(company_count(company, "holds"), 1);
  g_free((char *)draft.path);
}

static void age(Company *company, gint64 hours) {
  GError *error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session_run(session, &error, "UPDATE uploads SET created = created - $1",
                   integer(hours * 3600 * 1000)));
  must(session_commit(session, &error));
}

static void test_end(void **state) {
  Company *company = *state;
  GError *error = NULL;
  g_autofree char *key = put_picture(company);
  age(company, UPLOAD_DAYS * 24);
  assert_null(upload_object(company->app, company->caller->account, "k", key, INPUT_PICTURE, &error));
  company_expect(&error, REFUSAL_INVALID, "no file");
  assert_true(sweep(company->app, &error) >= 0);
  assert_int_equal(company_count(company, "uploads"), 1);
  age(company, 2);
  assert_true(sweep(company->app, &error) >= 0);
  assert_int_equal(company_count(company, "uploads"), 0);
  assert_int_equal(company_count(company, "holds"), 0);
  InputSource draft = company_picture(company, "The file");
  assert_false(upload_finish(company->app, key, &draft, &error));
  company_expect(&error, REFUSAL_NOT_FOUND, "new link");
  g_free((char *)draft.path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_types),     TEST(test_link),      TEST(test_key),
                                     TEST(test_not_put),   TEST(test_bad_files), TEST(test_sound),
                                     TEST(test_put_again), TEST(test_end)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
