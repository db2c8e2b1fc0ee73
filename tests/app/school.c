#include "school.h"

#include "../must.h"
#include "app/jobs/holds.h"
#include "base/files.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

/* ---- the server of pictures ---- */

static struct {
  GSocketService *service;
  GMainLoop *loop; /* on which it accepts: that of the usual main context */
  GThread *thread;
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

/* ---- the models ---- */

char *school_models;

static void write_model(const char *name) {
  static const char json[] =
      "{\"format\": 1, \"name\": \"%s\", \"title\": \"Small\", \"about\": \"For tests.\", \"transformer\": "
      "\"a\", \"autoencoder\": \"a\", \"text\": {\"kind\": \"words\", \"file\": \"a\"}, \"resolution\": 128, "
      "\"steps\": 20, \"guidance\": 3, \"trainable\": %s}";
  g_autofree char *folder = g_build_filename(school_models, name, NULL);
  g_autofree char *file = g_build_filename(folder, "a", NULL),
                  *description = g_build_filename(folder, "model.json", NULL);
  g_autofree char *text = g_strdup_printf(json, name, g_str_equal(name, "sprite") ? "true" : "false");
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_set_contents(file, "", 0, NULL) && g_file_set_contents(description, text, -1, NULL));
}

static gpointer loop(gpointer data) {
  g_main_loop_run(data);
  return NULL;
}

int school_setup_group(void **state) {
  school_models = g_dir_make_tmp("models-XXXXXX", NULL);
  write_model("sprite");
  write_model("distilled");
  server.service = g_threaded_socket_service_new(8);
  server.port = g_socket_listener_add_any_inet_port(G_SOCKET_LISTENER(server.service), NULL, NULL);
  g_signal_connect(server.service, "run", G_CALLBACK(serve), NULL);
  server.loop = g_main_loop_new(NULL, FALSE);
  server.thread = g_thread_new("accepts", loop, server.loop);
  g_autofree char *path = g_build_filename(school_models, "picture.png", NULL);
  g_autofree char *command =
      g_strdup_printf("ffmpeg -v error -f lavfi -i testsrc2=s=64x64 -frames:v 1 %s", path);
  return system(command) != 0 || !g_file_get_contents(path, &server.picture, &server.length, NULL);
}

int school_requests(void) {
  return g_atomic_int_get(&server.requests);
}

int school_teardown_group(void **state) {
  g_main_loop_quit(server.loop);
  g_thread_join(server.thread);
  g_main_loop_unref(server.loop);
  g_object_unref(server.service);
  files_remove_tree(school_models);
  g_free(school_models);
  g_free(server.picture);
  return 0;
}

int school_setup(void **state) {
  g_autoptr(GError) error = NULL;
  company_setup(state);
  Company *company = *state;
  company->settings->models = g_strdup(school_models);
  company->settings->fetch_allow = g_strdup("127.0.0.0/8,::1/128");
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(ledger_grant(session, company->caller->account, SCHOOL_CREDITS - COMPANY_CREDITS, "test", &error) &&
       session_commit(session, &error));
  return 0;
}

/* ---- requests ---- */

InputSource *school_urls(int count) {
  InputSource *sources = g_new0(InputSource, count);
  for (int i = 0; i < count; i++) {
    sources[i].field = g_strdup_printf("image_urls[%d]", i);
    sources[i].url_field = sources[i].field;
    sources[i].url = g_strdup_printf("http://127.0.0.1:%d/%d.png", server.port, i);
  }
  return sources;
}

void school_urls_free(InputSource *sources, int count) {
  for (int i = 0; i < count; i++) {
    g_free((char *)sources[i].field);
    g_free((char *)sources[i].url);
  }
  g_free(sources);
}

void school_set_url(InputSource *source, const char *path) {
  g_free((char *)source->url);
  source->url =
      strstr(path, ":") ? g_strdup(path) : g_strdup_printf("http://127.0.0.1:%d/%s", server.port, path);
}

gboolean school_create(Company *company, const TrainingRequest *request, CharacterRow **row, GError **error) {
  gint64 price = -1;
  gboolean good = training_create(company->app, company->caller, request, row, &price, error);
  assert_int_equal(price, TRAINING_PRICE);
  return good;
}

void school_refused(Company *company, const TrainingRequest *request, Refusal why, const char *word) {
  GError *error = NULL;
  CharacterRow *row = NULL;
  gint64 characters = company_count(company, "characters"), jobs = company_count(company, "jobs"),
         holds = company_count(company, "holds"), ledger = company_count(company, "ledger");
  assert_false(school_create(company, request, &row, &error));
  company_expect(&error, why, word);
  assert_null(row);
  assert_int_equal(company_count(company, "characters"), characters);
  assert_int_equal(company_count(company, "jobs"), jobs);
  assert_int_equal(company_count(company, "holds"), holds);
  assert_int_equal(company_count(company, "ledger"), ledger);
  assert_int_equal(company_drafts(company), 0);
}

CharacterRow *school_character(Company *company, int count) {
  g_autoptr(GError) error = NULL;
  CharacterRow *row = NULL;
  InputSource *sources = school_urls(count);
  const TrainingRequest request = {
      .name = "Ada", .pictures = sources, .picture_count = count, .trigger = "adaz", .seed = 7};
  must(school_create(company, &request, &row, &error));
  school_urls_free(sources, count);
  return row;
}

Job *school_claim(Company *company, const char *pool) {
  g_autoptr(GError) error = NULL;
  Job *job = job_claim(company->app, pool, "test", &error);
  must(job);
  return job;
}

char *school_put(Company *company, const char *content) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = objects_draft(company->app->objects, &error);
  must(path && g_file_set_contents(path, content, -1, &error));
  char *id = objects_put(company->app->objects, path, NULL, NULL, &error);
  must(id);
  return id;
}

void school_finish(Company *company, const Job *job, const char *lora) {
  g_autoptr(GError) error = NULL;
  gboolean held = FALSE;
  json_auto_t *result = json_pack("{s:i, s:f}", "steps", 400, "loss", 0.25);
  json_auto_t *objects =
      json_pack("{s:s, s:s, s:s}", "lora", lora, "chart", SCHOOL_IMAGE, "previews", SCHOOL_IMAGE);
  must(job_complete(company->app, job, result, objects, job->price, &held, &error) && held);
}

TrainingRow *school_training(Company *company, const char *id) {
  g_autoptr(GError) error = NULL;
  g_autoptr(CharacterRow) row = character_get(company->app, company->caller->account, id, &error);
  TrainingRow *result = row ? training_get(company->app, row, &error) : NULL;
  must(result);
  return result;
}

void school_books(Company *company) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows =
      session_query(session, &error, "SELECT balance, (SELECT SUM(amount) FROM ledger) FROM accounts");
  must(rows && rows_next(rows, &error));
  assert_int_equal(rows_integer(rows, 0), rows_integer(rows, 1));
}

char *school_held(Company *company, const char *id, const char *role) {
  g_autoptr(GError) error = NULL;
  char *object = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  must(session && holds_get(session, id, role, &object, &error));
  return object;
}

/* More pictures are added; the LoRA is another one only when the new training ended well. */
