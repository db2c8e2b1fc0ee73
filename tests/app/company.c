#include "company.h"

#include "base/files.h"
#include <glib/gstdio.h>
#include <string.h>

/* --- files --- */

static GBytes *material(const char *name, const char *make) {
  g_autofree char *folder = g_dir_make_tmp("material-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(folder, name, NULL);
  g_autofree char *command = g_strdup_printf("ffmpeg -v error -f lavfi -i %s %s", make, path);
  char *bytes;
  gsize length;
  assert_int_equal(system(command), 0);
  assert_true(g_file_get_contents(path, &bytes, &length, NULL));
  files_remove_tree(folder);
  return g_bytes_new_take(bytes, length);
}

InputSource company_file(Company *company, const char *field, const void *bytes, gsize length) {
  GError *error = NULL;
  char *path = objects_draft(company->app->objects, &error);
  assert_null(error);
  assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
  return (InputSource){.field = field, .path = path, .bytes = (gint64)length};
}

static InputSource made(Company *company, const char *field, const char *name, const char *make) {
  g_autoptr(GBytes) bytes = material(name, make);
  gsize length;
  const void *data = g_bytes_get_data(bytes, &length);
  return company_file(company, field, data, length);
}

InputSource company_picture(Company *company, const char *field) {
  return made(company, field, "picture.png", "testsrc2=s=128x192:d=0.04 -frames:v 1");
}

void company_pictures(Company *company, int count, InputSource *sources) {
  g_autofree char *folder = g_dir_make_tmp("pictures-XXXXXX", NULL);
  g_autofree char *command = g_strdup_printf(
      "ffmpeg -v error -f lavfi -i testsrc2=s=80x96:r=2 -frames:v %d %s/%%02d.png", count, folder);
  assert_int_equal(system(command), 0);
  for (int i = 0; i < count; i++) {
    g_autofree char *name = g_strdup_printf("%02d.png", i + 1), *bytes = NULL;
    g_autofree char *path = g_build_filename(folder, name, NULL);
    gsize length;
    assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    sources[i] = company_file(company, NULL, bytes, length);
    sources[i].field = g_strdup_printf("images[%d]", i);
  }
  files_remove_tree(folder);
}

void company_sources_clear(InputSource *sources, int count) {
  for (int i = 0; i < count; i++) {
    g_free((char *)sources[i].path);
    g_free((char *)sources[i].field);
  }
}

InputSource company_clip(Company *company, const char *field) {
  return made(company, field, "clip.mp4", "testsrc2=s=128x96:r=20:d=1.5 -pix_fmt yuv420p");
}

/* --- the house --- */

int company_setup(void **state) {
  GError *error = NULL;
  Company *company = g_new0(Company, 1);
  company->folder = g_dir_make_tmp("company-XXXXXX", NULL);
  company->settings = settings_new();
  company->settings->data = g_strdup(company->folder);
  company->app = app_open(company->settings, &error);
  assert_null(error);
  KeyOptions options = {.dialect = "viggle", .credits = COMPANY_CREDITS};
  g_autofree char *key = key_create(company->app, &options, &error);
  assert_null(error);
  company->caller = key_check(company->app, key, &error);
  assert_null(error);
  *state = company;
  return 0;
}

int company_teardown(void **state) {
  Company *company = *state;
  caller_free(company->caller);
  app_free(company->app);
  settings_free(company->settings);
  files_remove_tree(company->folder);
  g_free(company->folder);
  g_free(company);
  return 0;
}

static char *folder_object(Company *company, const char *name) {
  GError *error = NULL;
  g_autofree char *draft = objects_draft(company->app->objects, &error);
  g_autofree char *file = g_build_filename(draft, "thumb.webp", NULL);
  assert_int_equal(g_mkdir(draft, 0700), 0);
  assert_true(g_file_set_contents(file, name, -1, NULL));
  char *object = objects_put(company->app->objects, draft, NULL, NULL, &error);
  assert_null(error);
  return object;
}

static void work(Company *company, const char *pool, json_t *result) {
  GError *error = NULL;
  g_autoptr(Job) job = job_claim(company->app, pool, "test", &error);
  assert_null(error);
  assert_non_null(job);
  g_autofree char *folder = folder_object(company, job->id);
  json_t *objects = json_pack("{s:s}", "folder", folder);
  gboolean held = FALSE;
  assert_true(job_complete(company->app, job, result, objects, job->price, &held, &error));
  assert_true(held);
  json_decref(objects);
  json_decref(result);
}

char *company_character(Company *company) {
  GError *error = NULL;
  gint64 price;
  g_autoptr(CharacterRow) row = NULL;
  CharacterRequest request = {.name = "Ada", .image = company_picture(company, "image")};
  character_create(company->app, company->caller, &request, &row, &price, &error);
  if (error)
    fail_msg("%s", error->message);
  work(company, "V4_Preview", json_object());
  g_free((char *)request.image.path);
  return g_strdup(row->id);
}

char *company_scene(Company *company, const char *model, const char *background) {
  GError *error = NULL;
  g_autoptr(SceneRow) row = NULL;
  SceneRequest request = {
      .name = "Dance", .model = model, .background = background, .video = company_clip(company, "video")};
  scene_create(company->app, company->caller, &request, &row, &error);
  if (error)
    fail_msg("%s", error->message);
  work(company, model ? model : "V4_Preview",
       json_pack("{s:f, s:i, s:i, s:i, s:i, s:[{s:i, s:i}, {s:i, s:i}]}", "seconds", 6.675, "fps", 30,
                 "frames", 200, "width", 1920, "height", 1080, "people", "id", 2, "frames", 200, "id", 1,
                 "frames", 90));
  g_free((char *)request.video.path);
  return g_strdup(row->id);
}

char *company_segment(Company *company, const char *scene, int index) {
  GError *error = NULL;
  g_autoptr(SceneRow) row = scene_get(company->app, company->caller->account, scene, &error);
  assert_null(error);
  return g_strdup(json_string_value(json_object_get(json_array_get(row->segments, (gsize)index), "uuid")));
}

/* --- looking --- */

gint64 company_balance(Company *company) {
  GError *error = NULL;
  Balance balance;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  assert_true(ledger_balance(session, company->caller->account, &balance, &error));
  return balance.balance;
}

gint64 company_count(Company *company, const char *table) {
  GError *error = NULL;
  g_autofree char *sql = g_strdup_printf("SELECT COUNT(*) FROM %s", table);
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows = session_query(session, &error, sql);
  assert_true(rows_next(rows, &error));
  return rows_integer(rows, 0);
}

int company_drafts(Company *company) {
  g_autofree char *path = g_build_filename(company->folder, "objects", "draft", NULL);
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  int count = 0;
  while (dir && g_dir_read_name(dir))
    count++;
  return count;
}

void company_expect(GError **error, Refusal why, const char *word) {
  assert_non_null(*error);
  if (!g_error_matches(*error, REFUSAL, (int)why) || !strstr((*error)->message, word))
    fail_msg("expected %s with \"%s\", got %d: %s", refusal_name(why), word, (*error)->code,
             (*error)->message);
  g_clear_error(error);
}
