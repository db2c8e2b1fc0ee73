/* Trainings and generations as operations: what is refused and in which order, what a training reserves,
 * holds and gives back, however it ends; what is drawn, found again and published. The worker here only ends
 * jobs. */
#include "company.h"

#include "../must.h"
#include "app/generations.h"
#include "app/holds.h"
#include "app/sweep.h"
#include "app/trainings.h"
#include "base/files.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define LORA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define IMAGE "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34"
#define PLENTY (10000 * CREDIT)

/* ---- a server of pictures: /N.png is a picture, /missing is not there, /page is a page, /large is too large
 * for a training; whatever else hangs up ---- */

static struct {
  GSocketService *service;
  guint16 port;
  char *picture;
  gsize length;
  volatile gint requests;
} server;

static void answer(GOutputStream *out, const char *status, const char *type, const char *body, gsize length) {
  g_autofree char *head =
      g_strdup_printf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                      status, type, length);
  g_output_stream_write_all(out, head, strlen(head), NULL, NULL, NULL);
  g_output_stream_write_all(out, body, length, NULL, NULL, NULL);
}

static gboolean serve(GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
                      gpointer user) {
  char request[2048] = "";
  GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(connection));
  g_input_stream_read(g_io_stream_get_input_stream(G_IO_STREAM(connection)), request, sizeof request - 1,
                      NULL, NULL);
  g_atomic_int_inc(&server.requests);
  g_autofree char *large = g_malloc0(TRAINING_PICTURE_BYTES + 1);
  if (strstr(request, ".png "))
    answer(out, "200 OK", "image/png", server.picture, server.length);
  else if (strstr(request, "/missing "))
    answer(out, "404 Not Found", "text/html", "no", 2);
  else if (strstr(request, "/page "))
    answer(out, "200 OK", "text/html", "<p>no", 5);
  else if (strstr(request, "/large "))
    answer(out, "200 OK", "image/png", large, TRAINING_PICTURE_BYTES + 1);
  return TRUE;
}

static char *models;

static void write_model(const char *name) {
  static const char json[] =
      "{\"format\": 1, \"name\": \"%s\", \"title\": \"Small\", \"about\": \"For tests.\", \"transformer\": "
      "\"a\", \"autoencoder\": \"a\", \"text\": {\"kind\": \"words\", \"file\": \"a\"}, \"resolution\": 128, "
      "\"steps\": 20, \"guidance\": 3, \"trainable\": %s}";
  g_autofree char *folder = g_build_filename(models, name, NULL);
  g_autofree char *file = g_build_filename(folder, "a", NULL),
                  *description = g_build_filename(folder, "model.json", NULL);
  g_autofree char *text = g_strdup_printf(json, name, g_str_equal(name, "sprite") ? "true" : "false");
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_set_contents(file, "", 0, NULL) && g_file_set_contents(description, text, -1, NULL));
}

static int setup_group(void **state) {
  models = g_dir_make_tmp("models-XXXXXX", NULL);
  write_model("sprite");
  write_model("distilled");
  server.service = g_threaded_socket_service_new(8);
  server.port = g_socket_listener_add_any_inet_port(G_SOCKET_LISTENER(server.service), NULL, NULL);
  g_signal_connect(server.service, "run", G_CALLBACK(serve), NULL);
  g_autofree char *path = g_build_filename(models, "picture.png", NULL);
  g_autofree char *command =
      g_strdup_printf("ffmpeg -v error -f lavfi -i testsrc2=s=64x64 -frames:v 1 %s", path);
  return system(command) != 0 || !g_file_get_contents(path, &server.picture, &server.length, NULL);
}

/* The service accepts on the usual main context. */
static gpointer loop(gpointer data) {
  g_main_loop_run(data);
  return NULL;
}

static int teardown_group(void **state) {
  files_remove_tree(models);
  g_free(models);
  g_free(server.picture);
  return 0;
}

static int rich_setup(void **state) {
  g_autoptr(GError) error = NULL;
  company_setup(state);
  Company *company = *state;
  company->settings->models = g_strdup(models);
  company->settings->fetch_allow = g_strdup("127.0.0.0/8,::1/128");
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(ledger_grant(session, company->caller->account, PLENTY - COMPANY_CREDITS, "test", &error) &&
       session_commit(session, &error));
  return 0;
}

/* ---- requests ---- */

/* So many URLs of pictures. */
static InputSource *urls(int count) {
  InputSource *sources = g_new0(InputSource, count);
  for (int i = 0; i < count; i++) {
    sources[i].field = g_strdup_printf("image_urls[%d]", i);
    sources[i].url_field = sources[i].field;
    sources[i].url = g_strdup_printf("http://127.0.0.1:%d/%d.png", server.port, i);
  }
  return sources;
}

static void urls_free(InputSource *sources, int count) {
  for (int i = 0; i < count; i++) {
    g_free((char *)sources[i].field);
    g_free((char *)sources[i].url);
  }
  g_free(sources);
}

static void set_url(InputSource *source, const char *path) {
  g_free((char *)source->url);
  source->url =
      strstr(path, ":") ? g_strdup(path) : g_strdup_printf("http://127.0.0.1:%d/%s", server.port, path);
}

static gboolean create(Company *company, const TrainingRequest *request, CharacterRow **row, GError **error) {
  gint64 price = -1;
  gboolean good = training_create(company->app, company->caller, request, row, &price, error);
  assert_int_equal(price, TRAINING_PRICE);
  return good;
}

/* Nothing stays of a refused request. */
static void refused(Company *company, const TrainingRequest *request, Refusal why, const char *word) {
  GError *error = NULL;
  CharacterRow *row = NULL;
  gint64 characters = company_count(company, "characters"), jobs = company_count(company, "jobs"),
         holds = company_count(company, "holds"), ledger = company_count(company, "ledger");
  assert_false(create(company, request, &row, &error));
  company_expect(&error, why, word);
  assert_null(row);
  assert_int_equal(company_count(company, "characters"), characters);
  assert_int_equal(company_count(company, "jobs"), jobs);
  assert_int_equal(company_count(company, "holds"), holds);
  assert_int_equal(company_count(company, "ledger"), ledger);
  assert_int_equal(company_drafts(company), 0);
}

static CharacterRow *made(Company *company, int count) {
  g_autoptr(GError) error = NULL;
  CharacterRow *row = NULL;
  InputSource *sources = urls(count);
  const TrainingRequest request = {
      .name = "Ada", .pictures = sources, .picture_count = count, .trigger = "adaz", .seed = 7};
  must(create(company, &request, &row, &error));
  urls_free(sources, count);
  return row;
}

static Job *claim(Company *company, const char *pool) {
  g_autoptr(GError) error = NULL;
  Job *job = job_claim(company->app, pool, "test", &error);
  must(job);
  return job;
}

/* Puts an object that is held like any other. */
static char *put(Company *company, const char *content) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = objects_draft(company->app->objects, &error);
  must(path && g_file_set_contents(path, content, -1, &error));
  char *id = objects_put(company->app->objects, path, NULL, NULL, &error);
  must(id);
  return id;
}

static void finish(Company *company, const Job *job, const char *lora) {
  g_autoptr(GError) error = NULL;
  gboolean held = FALSE;
  json_auto_t *result = json_pack("{s:i, s:f}", "steps", 400, "loss", 0.25);
  json_auto_t *objects = json_pack("{s:s, s:s, s:s}", "lora", lora, "chart", IMAGE, "previews", IMAGE);
  must(job_complete(company->app, job, result, objects, job->price, &held, &error) && held);
}

static TrainingRow *training(Company *company, const char *id) {
  g_autoptr(GError) error = NULL;
  g_autoptr(CharacterRow) row = character_get(company->app, company->caller->account, id, &error);
  TrainingRow *result = row ? training_get(company->app, row, &error) : NULL;
  must(result);
  return result;
}

static void assert_books(Company *company) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows =
      session_query(session, &error, "SELECT balance, (SELECT SUM(amount) FROM ledger) FROM accounts");
  must(rows && rows_next(rows, &error));
  assert_int_equal(rows_integer(rows, 0), rows_integer(rows, 1));
}

/* ---- trainings that are refused ---- */

static void test_numbers_of_pictures(void **state) {
  Company *company = *state;
  InputSource *sources = urls(31);
  TrainingRequest request = {.pictures = sources, .seed = -1};
  gint requests = g_atomic_int_get(&server.requests);
  request.picture_count = 9;
  refused(company, &request, REFUSAL_PICTURES_FEW, "9 pictures");
  request.picture_count = 1;
  refused(company, &request, REFUSAL_PICTURES_FEW, "1 picture was");
  request.picture_count = 0;
  refused(company, &request, REFUSAL_PICTURES_FEW, "0 pictures");
  request.picture_count = 31;
  refused(company, &request, REFUSAL_PICTURES_MANY, "31 pictures");
  assert_int_equal(g_atomic_int_get(&server.requests), requests); /* nobody was asked for anything */
  urls_free(sources, 31);
  const int good[] = {10, 30};
  for (int i = 0; i < 2; i++) {
    g_autoptr(CharacterRow) row = made(company, good[i]);
    assert_int_equal(json_array_size(row->pictures), good[i]);
  }
}

/* Each request has everything wrong that is looked at later, too. */
static void test_order_of_refusals(void **state) {
  Company *company = *state;
  InputSource *sources = urls(10);
  set_url(&sources[3], "ftp://example.com/a.png");
  set_url(&sources[6], "missing");
  TrainingRequest request = {
      .pictures = sources, .picture_count = 9, .trigger = "two words", .model = "nosuch", .seed = -1};
  company->settings->models = (g_free(company->settings->models), g_strdup(models));
  refused(company, &request, REFUSAL_TRIGGER, "two words");
  request.trigger = "---";
  refused(company, &request, REFUSAL_TRIGGER, "---");
  request.trigger = "good_one-2";
  request.steps = 1000000;
  refused(company, &request, REFUSAL_INVALID, "steps");
  request.steps = 0;
  refused(company, &request, REFUSAL_MODEL, "nosuch");
  request.model = "distilled";
  refused(company, &request, REFUSAL_MODEL, "distilled");
  request.model = NULL;
  request.name = "\xff";
  refused(company, &request, REFUSAL_INVALID, "name");
  request.name = NULL;
  request.character_id = "nobody";
  refused(company, &request, REFUSAL_CHARACTER, "nobody");
  request.character_id = NULL;
  refused(company, &request, REFUSAL_PICTURES_FEW, "9");
  request.picture_count = 10;
  gint requests = g_atomic_int_get(&server.requests);
  refused(company, &request, REFUSAL_URL_FORM, "image_urls[3]");
  set_url(&sources[3], "3.png");
  assert_int_equal(g_atomic_int_get(&server.requests), requests);
  refused(company, &request, REFUSAL_URL, "image_urls[6]");
  urls_free(sources, 10);
}

static void test_credits_come_before_downloads(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  for (int i = 0; i < PLENTY / TRAINING_PRICE - 1; i++) {
    g_autoptr(CharacterRow) row = made(company, 10);
  }
  InputSource *sources = urls(10);
  set_url(&sources[0], "missing");
  TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  refused(company, &request, REFUSAL_URL, "image_urls[0]");
  g_autoptr(CharacterRow) last = made(company, 10);
  assert_int_equal(company_balance(company), 0);
  gint requests = g_atomic_int_get(&server.requests);
  refused(company, &request, REFUSAL_CREDITS, "500");
  assert_int_equal(g_atomic_int_get(&server.requests), requests);
  urls_free(sources, 10);
  assert_books(company);
}

static void test_one_bad_picture(void **state) {
  Company *company = *state;
  const struct {
    const char *path;
    Refusal why;
  } cases[] = {{"missing", REFUSAL_URL},
               {"page", REFUSAL_PICTURE_FORMAT},
               {"large", REFUSAL_PICTURE_TOO_LARGE},
               {"hangs-up", REFUSAL_URL},
               {"http://10.0.0.1/a.png", REFUSAL_URL}};
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    InputSource *sources = urls(10);
    set_url(&sources[4], cases[i].path);
    const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
    refused(company, &request, cases[i].why, "image_urls[4]");
    urls_free(sources, 10);
  }
  /* What only the engine can see. */
  InputSource *sources = urls(10);
  static const char cut[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR and nothing more";
  InputSource broken = company_file(company, "images[4]", cut, sizeof cut);
  InputSource good = sources[4];
  sources[4] = broken;
  const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  refused(company, &request, REFUSAL_PICTURE_BROKEN, "images[4]");
  g_free((char *)broken.path);
  sources[4] = good;
  urls_free(sources, 10);
}

static void test_nothing_to_train_with(void **state) {
  Company *company = *state;
  g_free(company->settings->models);
  company->settings->models = g_strdup(company->folder);
  InputSource *sources = urls(10);
  const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  refused(company, &request, REFUSAL_TRAINER, "troupe models");
  urls_free(sources, 10);
  assert_int_equal(json_array_size(generation_models(company->app)), 0);
}

static void test_dry_run(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  InputSource *sources = urls(10);
  CharacterRow *row = NULL;
  TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1, .dry_run = TRUE};
  must(create(company, &request, &row, &error));
  assert_null(row);
  assert_int_equal(company_count(company, "characters"), 0);
  assert_int_equal(company_drafts(company), 0);
  assert_int_equal(company_balance(company), PLENTY);
  set_url(&sources[9], "missing");
  refused(company, &request, REFUSAL_URL, "image_urls[9]");
  urls_free(sources, 10);
}

/* ---- the way of a training ---- */

static void test_training(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = made(company, 12);
  assert_string_equal(row->status, "pending");
  assert_int_equal(company_balance(company), PLENTY - TRAINING_PRICE);
  g_autoptr(Job) job = claim(company, POOL_IDENTITY);
  assert_int_equal(job->kind, JOB_TRAINING);
  assert_string_equal(job->subject, row->id);
  assert_int_equal(json_array_size(json_object_get(job->spec, "pictures")), 12);
  assert_string_equal(json_string_value(json_object_get(job->spec, "model")), "sprite");

  gboolean held = FALSE;
  json_auto_t *partial =
      json_pack("{s:i, s:i, s:f, s:s}", "step", 100, "steps", 400, "loss", 0.5, "previews", IMAGE);
  must(job_renew(company->app, job, 25, "Training", NULL, partial, &held, &error) && held);
  g_autoptr(TrainingRow) running = training(company, row->id);
  assert_string_equal(running->status, "training");
  assert_string_equal(running->trigger, "adaz");
  assert_string_equal(running->class, "person");
  assert_int_equal(running->step, 100);
  assert_int_equal(running->steps, 400);
  assert_true(running->loss == 0.5 && running->progress == 25);
  assert_string_equal(running->previews, IMAGE);
  assert_null(running->lora);

  finish(company, job, LORA);
  g_autoptr(TrainingRow) ready = training(company, row->id);
  assert_string_equal(ready->status, "ready");
  assert_string_equal(ready->lora, LORA);
  assert_int_equal(ready->step, 400);
  assert_int_equal(ready->credits, TRAINING_PRICE);
  assert_true(ready->completed > 0 && ready->progress == 100);
  g_autoptr(CharacterRow) still = character_get(company->app, company->caller->account, row->id, &error);
  assert_string_equal(still->status, "pending"); /* its rig is another job */
  assert_int_equal(company_balance(company), PLENTY - TRAINING_PRICE);
  assert_books(company);
}

static void test_made_up_trigger(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  InputSource *sources = urls(10);
  const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  g_autoptr(CharacterRow) row = NULL;
  must(create(company, &request, &row, &error));
  g_autoptr(TrainingRow) state_of = training(company, row->id);
  assert_true(g_regex_match_simple("^CHAR[A-Z0-9]{7}$", state_of->trigger, 0, 0));
  assert_string_equal(row->name, "Character");
  urls_free(sources, 10);
}

static void test_failed_training(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = made(company, 10);
  g_autoptr(Job) job = claim(company, POOL_IDENTITY);
  gboolean held = FALSE;
  must(job_fail(company->app, job, REFUSAL_DIVERGED, "The loss broke.", &held, &error) && held);
  g_autoptr(TrainingRow) failed = training(company, row->id);
  assert_string_equal(failed->status, "failed");
  assert_string_equal(failed->error_code, "diverged");
  assert_int_equal(failed->credits, 0);
  assert_int_equal(company_balance(company), PLENTY);
  assert_books(company);
  g_autoptr(Job) rig = claim(company, "V4_Preview"); /* which the failure does not concern */
  assert_string_equal(rig->subject, row->id);
}

static void test_killed_training(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = made(company, 10);
  for (int i = 0; i < 3; i++) {
    g_autoptr(Job) job = claim(company, POOL_IDENTITY);
    assert_int_equal(job->attempts, i + 1);
    must(job_hand_back(company->app, job, "The engine crashed.", FALSE, &error));
  }
  g_autoptr(TrainingRow) failed = training(company, row->id);
  assert_string_equal(failed->status, "failed");
  assert_int_equal(company_balance(company), PLENTY);
  assert_books(company);
}

static void test_deleted_character(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = made(company, 10);
  g_autoptr(Job) job = claim(company, POOL_IDENTITY);
  must(character_delete(company->app, company->caller->account, row->id, &error));
  assert_int_equal(company_count(company, "holds"), 0);
  assert_int_equal(company_balance(company), PLENTY);
  gboolean held = TRUE;
  must(job_complete(company->app, job, NULL, NULL, TRAINING_PRICE, &held, &error));
  assert_false(held);
  assert_int_equal(company_balance(company), PLENTY);
  assert_books(company);
}

static char *held_as(Company *company, const char *id, const char *role) {
  g_autoptr(GError) error = NULL;
  char *object = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  must(session && holds_get(session, id, role, &object, &error));
  return object;
}

/* More pictures are added; the LoRA is another one only when the new training ended well. */
static void test_trained_again(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = made(company, 28), more = NULL;
  InputSource *sources = urls(3);
  TrainingRequest request = {.character_id = row->id, .pictures = sources, .picture_count = 2, .seed = -1};
  refused(company, &request, REFUSAL_CONFLICT, row->id);
  g_autoptr(Job) first = claim(company, POOL_IDENTITY);
  finish(company, first, LORA);
  request.picture_count = 3;
  refused(company, &request, REFUSAL_PICTURES_MANY, "31");
  request.picture_count = 2;
  must(create(company, &request, &more, &error));
  assert_string_equal(more->id, row->id);
  assert_int_equal(json_array_size(more->pictures), 30);
  g_autofree char *last = held_as(company, row->id, "picture-29");
  assert_non_null(last);
  g_autoptr(Job) second = claim(company, POOL_IDENTITY);
  gboolean held;
  must(job_fail(company->app, second, REFUSAL_DIVERGED, "It broke.", &held, &error));
  g_autoptr(TrainingRow) failed = training(company, row->id);
  assert_string_equal(failed->status, "failed");
  assert_string_equal(failed->lora, LORA);

  g_autoptr(CharacterRow) again = NULL;
  request.picture_count = 0;
  must(create(company, &request, &again, &error));
  g_autoptr(Job) third = claim(company, POOL_IDENTITY);
  g_autofree char *other = put(company, "another LoRA");
  finish(company, third, other);
  g_autoptr(TrainingRow) ready = training(company, row->id);
  assert_string_equal(ready->lora, other);
  assert_int_equal(company_balance(company), PLENTY - 2 * TRAINING_PRICE);
  urls_free(sources, 3);
}

/* ---- Characters of several pictures ---- */

static void test_chosen_picture(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  InputSource *sources = urls(3);
  gint64 price;
  g_autoptr(CharacterRow) row = NULL;
  CharacterRequest request = {
      .name = "Ada", .image = sources[0], .more = sources + 1, .more_count = 2, .free = TRUE};
  must(character_create(company->app, company->caller, &request, &row, &price, &error));
  assert_int_equal(price, 0);
  assert_int_equal(json_array_size(row->pictures), 3);
  assert_null(row->report);
  g_autoptr(Job) job = claim(company, "V4_Preview");
  gboolean held;
  json_auto_t *report =
      json_pack("[{s:s}, {s:s}, {s:s}]", "verdict", "replace", "verdict", "usable", "verdict", "good");
  must(character_inspected(company->app, job, report, 2, &error));
  g_autoptr(CharacterRow) seen = character_get(company->app, company->caller->account, row->id, &error);
  assert_int_equal(json_array_size(seen->report), 3);
  assert_string_equal(seen->status, "processing");
  json_auto_t *objects = json_pack("{s:s, s:s}", "folder", LORA, "picture", IMAGE);
  must(job_complete(company->app, job, NULL, objects, 0, &held, &error) && held);
  g_autoptr(CharacterRow) ready = character_get(company->app, company->caller->account, row->id, &error);
  assert_string_equal(ready->status, "ready");
  assert_int_equal(ready->chosen, 2);
  assert_int_equal(json_array_size(ready->report), 3);
  assert_string_equal(ready->picture, IMAGE);
  request.more_count = 30;
  assert_false(character_create(company->app, company->caller, &request, &row, &price, &error));
  company_expect(&error, REFUSAL_PICTURES_MANY, "31");
  urls_free(sources, 3);
}

/* Rows of the time when a Character had one picture. */
static void test_old_rows(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = company_character(company);
  {
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
    must(session_run(session, &error, "UPDATE characters SET pictures = NULL") &&
         session_run(session, &error, "DELETE FROM holds WHERE role = 'picture-0'") &&
         session_commit(session, &error));
  }
  g_autoptr(CharacterRow) row = character_get(company->app, company->caller->account, id, &error);
  must(row);
  assert_int_equal(json_array_size(row->pictures), 1);
  assert_string_equal(json_string_value(json_array_get(row->pictures, 0)), row->picture);
}

static void test_published_characters(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = company_character(company);
  gint64 total;
  for (int published = 0; published < 2; published++) {
    must(character_publish(company->app, company->caller->account, id, published, &error));
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
    g_autoptr(CharacterRow) theirs = character_usable(session, "another", id, &error);
    assert_int_equal(theirs != NULL, published);
    g_clear_error(&error);
    g_autoptr(GPtrArray) all = character_list(company->app, "another", "AD", TRUE, 5, 0, &total, &error);
    assert_int_equal(total, published);
    g_autoptr(GPtrArray) own = character_list(company->app, "another", NULL, FALSE, 5, 0, &total, &error);
    assert_int_equal(own->len, 0);
  }
  assert_false(character_publish(company->app, "another", id, FALSE, &error));
  company_expect(&error, REFUSAL_CHARACTER, id);
}

/* ---- generations ---- */

static char *trained(Company *company) {
  g_autoptr(CharacterRow) row = made(company, 10);
  g_autoptr(Job) job = claim(company, POOL_IDENTITY);
  g_autofree char *lora = put(company, "a LoRA");
  finish(company, job, lora);
  return g_strdup(row->id);
}

static GenerationRequest wish(const char *prompt) {
  return (GenerationRequest){.prompt = prompt, .count = 1, .seed = -1, .strength = 1};
}

static void generation_refused(Company *company, const GenerationRequest *request, Refusal why,
                               const char *word) {
  GError *error = NULL;
  gint64 price, jobs = company_count(company, "jobs"), balance = company_balance(company);
  Job *job = NULL;
  assert_false(generation_create(company->app, company->caller, request, &job, &price, &error));
  company_expect(&error, why, word);
  assert_null(job);
  assert_int_equal(company_count(company, "jobs"), jobs);
  assert_int_equal(company_balance(company), balance);
  assert_int_equal(company_drafts(company), 0);
}

static void test_refused_generations(void **state) {
  Company *company = *state;
  g_autoptr(CharacterRow) row = made(company, 10);
  GenerationRequest request = wish(NULL);
  request.aspect = "17:2";
  request.count = 5;
  request.character_id = "nobody";
  generation_refused(company, &request, REFUSAL_PROMPT, "prompt");
  request.prompt = " \n\t ";
  generation_refused(company, &request, REFUSAL_PROMPT, "empty");
  g_autofree char *endless = g_strnfill(GENERATION_PROMPT_MAX + 1, 'a');
  request.prompt = endless;
  generation_refused(company, &request, REFUSAL_PROMPT, "5001");
  request.prompt = "in a park";
  generation_refused(company, &request, REFUSAL_ASPECT, "17:2");
  request.aspect = "21:9";
  generation_refused(company, &request, REFUSAL_INVALID, "5");
  request.count = 4;
  request.strength = 3;
  generation_refused(company, &request, REFUSAL_INVALID, "strength");
  request.strength = NAN;
  generation_refused(company, &request, REFUSAL_INVALID, "strength");
  request.strength = 1;
  generation_refused(company, &request, REFUSAL_CHARACTER, "nobody");
  request.character_id = row->id;
  request.model = "nosuch";
  generation_refused(company, &request, REFUSAL_NOT_TRAINED, row->id);
  request.character_id = NULL;
  generation_refused(company, &request, REFUSAL_MODEL, "nosuch");
}

static Job *drawn(Company *company, const GenerationRequest *request) {
  g_autoptr(GError) error = NULL;
  gint64 price;
  g_autoptr(Job) job = NULL;
  must(generation_create(company->app, company->caller, request, &job, &price, &error));
  assert_int_equal(price, request->count * GENERATION_PRICE);
  Job *claimed = claim(company, POOL_IDENTITY);
  assert_string_equal(claimed->id, job->id);
  gboolean held;
  g_autofree char *image = put(company, claimed->id);
  json_auto_t *result = json_pack("{s:[s], s:I}", "images", image, "seed", (json_int_t)1);
  json_auto_t *objects = json_pack("{s:s}", "image-0", image);
  must(job_complete(company->app, claimed, result, objects, price, &held, &error) && held);
  return claimed;
}

static void test_generation(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = trained(company);
  gint64 before = company_balance(company);
  GenerationRequest request = wish("in a\npark");
  request.character_id = id;
  request.count = 2;
  g_autoptr(Job) job = drawn(company, &request);
  assert_true(g_str_has_prefix(job->id, "task_"));
  assert_string_equal(job->prompt, "in a park");
  assert_string_equal(json_string_value(json_object_get(job->spec, "model")), "sprite");
  assert_non_null(json_object_get(job->spec, "lora"));
  assert_true(json_integer_value(json_object_get(job->spec, "seed")) >= 0);
  assert_int_equal(company_balance(company), before - 2 * GENERATION_PRICE);
  g_autofree char *image = held_as(company, job->id, "image-0");
  assert_non_null(image);

  /* One that fails costs nothing. */
  g_autoptr(Job) failing = NULL;
  gint64 price;
  gboolean held;
  must(generation_create(company->app, company->caller, &request, &failing, &price, &error));
  g_autoptr(Job) claimed = claim(company, POOL_IDENTITY);
  must(job_fail(company->app, claimed, REFUSAL_MODEL, "It does not fit.", &held, &error));
  assert_int_equal(company_balance(company), before - 2 * GENERATION_PRICE);
  assert_books(company);
}

static void run(Company *company, const char *sql) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session && session_run(session, &error, sql) && session_commit(session, &error));
}

static gint64 found(Company *company, const WorkQuery *query) {
  g_autoptr(GError) error = NULL;
  gint64 total = -1;
  g_autoptr(GPtrArray) jobs = work_search(company->app, query, &total, &error);
  must(jobs);
  assert_int_equal(jobs->len, MIN(total, query->limit));
  return total;
}

static void test_works(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  const char *account = company->caller->account;
  GenerationRequest park = wish("A 100% green PARK"), sea = wish("the sea");
  sea.title = "Holidays";
  g_autoptr(Job) first = drawn(company, &park);
  g_autoptr(Job) second = drawn(company, &sea);
  WorkQuery query = {.account = account, .kinds = WORK_RENDERS | WORK_GENERATIONS, .limit = 10};
  assert_int_equal(found(company, &query), 2);
  query.q = "park";
  assert_int_equal(found(company, &query), 1);
  query.q = "0%";
  assert_int_equal(found(company, &query), 1);
  query.q = "%";
  assert_int_equal(found(company, &query), 1);
  query.q = "holi";
  assert_int_equal(found(company, &query), 1);
  query = (WorkQuery){.account = "another", .kinds = WORK_GENERATIONS, .limit = 10};
  assert_int_equal(found(company, &query), 0);
  query = (WorkQuery){.account = account, .kinds = WORK_RENDERS, .limit = 10};
  assert_int_equal(found(company, &query), 0);

  /* Published to everybody, and then not gone with time. */
  query = (WorkQuery){.kinds = WORK_GENERATIONS, .published = TRUE, .complete = TRUE, .limit = 1};
  assert_int_equal(found(company, &query), 0);
  assert_false(work_publish(company->app, "another", first->id, TRUE, &error));
  company_expect(&error, REFUSAL_NOT_FOUND, "job");
  must(work_publish(company->app, account, first->id, TRUE, &error));
  must(work_publish(company->app, account, first->id, TRUE, &error));
  assert_int_equal(found(company, &query), 1);
  run(company, "UPDATE jobs SET expires = 1 WHERE expires IS NOT NULL");
  must(sweep(company->app, &error) >= 0);
  g_autofree char *kept = held_as(company, first->id, "image-0"),
                  *gone = held_as(company, second->id, "image-0");
  assert_non_null(kept);
  assert_null(gone);
  assert_false(work_publish(company->app, account, second->id, TRUE, &error));
  company_expect(&error, REFUSAL_CONFLICT, "no longer");
  query = (WorkQuery){.account = account, .kinds = WORK_GENERATIONS, .complete = TRUE, .limit = 10};
  assert_int_equal(found(company, &query), 1);
  must(work_publish(company->app, account, first->id, FALSE, &error));
  run(company, "UPDATE jobs SET expires = 1 WHERE expires IS NOT NULL");
  must(sweep(company->app, &error) >= 0);
  g_autofree char *then = held_as(company, first->id, "image-0");
  assert_null(then);
  g_autoptr(CharacterRow) row = made(company, 10);
  assert_false(work_publish(company->app, account, row->training, TRUE, &error));
  company_expect(&error, REFUSAL_CONFLICT, "training");
}

static void test_models(void **state) {
  Company *company = *state;
  const json_t *list = generation_models(company->app), *usual = json_array_get(list, 0);
  assert_int_equal(json_array_size(list), 2);
  assert_string_equal(json_string_value(json_object_get(usual, "id")), "sprite");
  assert_true(json_is_true(json_object_get(usual, "trainable")));
  assert_ptr_equal(generation_models(company->app), list);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, rich_setup, company_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_numbers_of_pictures),
      TEST(test_order_of_refusals),
      TEST(test_credits_come_before_downloads),
      TEST(test_one_bad_picture),
      TEST(test_nothing_to_train_with),
      TEST(test_dry_run),
      TEST(test_training),
      TEST(test_made_up_trigger),
      TEST(test_failed_training),
      TEST(test_killed_training),
      TEST(test_deleted_character),
      TEST(test_trained_again),
      TEST(test_chosen_picture),
      TEST(test_old_rows),
      TEST(test_published_characters),
      TEST(test_refused_generations),
      TEST(test_generation),
      TEST(test_works),
      TEST(test_models),
  };
  g_autoptr(GMainLoop) main_loop = g_main_loop_new(NULL, FALSE);
  GThread *accepting = g_thread_new("accepts", loop, main_loop);
  cmocka_set_test_filter(g_getenv("TEST_ONLY"));
  int failed = cmocka_run_group_tests(tests, setup_group, teardown_group);
  g_main_loop_quit(main_loop);
  g_thread_join(accepting);
  return failed;
}
