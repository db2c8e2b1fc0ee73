#include "app/app.h"
#include "app/accounts/caches.h"
#include "media/fetch.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/random.h>

#define MEGABYTE G_GINT64_CONSTANT(1000000)

Settings *settings_new(void) {
  Settings *settings = g_new0(Settings, 1);
  *settings = (Settings){
      .result_days = 7,
      .upload_bytes = 510 * MEGABYTE,
      .jobs_unfinished = 100,
      .requests_minute = 1200,
      .requests_day = 500,
      .answer_seconds = 600,
      .lease_seconds = 30,
      .attempts = 3,
      .engine_memory = G_GINT64_CONSTANT(8) << 30,
      .engine_seconds = 3600,
      .fast = TRUE,
      .sweep_age = 3600,
  };
  return settings;
}

void settings_free(Settings *settings) {
  if (!settings)
    return;
  g_free(settings->data);
  g_free(settings->models);
  g_free(settings->public_url);
  g_free(settings->fetch_allow);
  g_free(settings);
}

/* ---- the data folder ---- */

static gboolean make_folder(const char *path, GError **error) {
  if (g_mkdir_with_parents(path, 0700) != 0 && !g_file_test(path, G_FILE_TEST_IS_DIR))
    return fault(error, FAULT_STORE, "The folder %s cannot be made: %s. Choose another one with --data.",
                 path, g_strerror(errno));
  return TRUE;
}

static gboolean read_secret(Session *session, guint8 secret[32], gboolean *found, GError **error) {
  g_autoptr(Rows) rows = session_query(session, error, "SELECT value FROM settings WHERE name = 'secret'");
  if (!rows)
    return FALSE;
  *found = rows_next(rows, error);
  if (!rows_ended(rows))
    return FALSE;
  gsize length = 0;
  g_autofree guchar *bytes = *found ? g_base64_decode(rows_text(rows, 0), &length) : NULL;
  if (*found && length != 32)
    return fault(error, FAULT_STORE, "The secret in the database is damaged. Put a backup in its place.");
  if (*found)
    memcpy(secret, bytes, 32);
  return TRUE;
}

/* What signs links is made by whoever starts first. */
static gboolean take_secret(App *app, GError **error) {
  gboolean found = FALSE;
  {
    g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
    if (!session || !read_secret(session, app->secret, &found, error))
      return FALSE;
  }
  if (found)
    return TRUE;
  guint8 fresh[32];
  app_random(fresh, sizeof fresh);
  g_autofree char *encoded = g_base64_encode(fresh, sizeof fresh);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  return session &&
         session_run(session, error,
                     "INSERT INTO settings (name, value) VALUES ('secret', $1) ON CONFLICT (name) DO NOTHING",
                     text(encoded)) &&
         read_secret(session, app->secret, &found, error) && session_commit(session, error);
}

App *app_open(const Settings *settings, GError **error) {
  if (!settings->data)
    return fault_null(error, FAULT_USAGE, "No data folder is named. Name one with --data.");
  g_autoptr(FetchPolicy) policy =
      fetch_policy_new(settings->fetch_allow, error); /* to tell now if it is wrong */
  if (!policy)
    return NULL;
  g_autoptr(App) app = g_new0(App, 1);
  app->settings = settings;
  presence_begin(&app->presence);
  app->key_cache = key_cache_new();
  app->rates = rate_table_new();
  app->model_table = model_table_new();
  g_autofree char *tables = g_build_filename(settings->data, "troupe.db", NULL);
  g_autofree char *objects = g_build_filename(settings->data, "objects", NULL);
  app->scratch = g_build_filename(settings->data, "scratch", NULL);
  if (!make_folder(settings->data, error) || !make_folder(app->scratch, error))
    return NULL;
  app->database = database_open(tables, error);
  if (!app->database)
    return NULL;
  app->objects = objects_open(objects, error);
  if (!app->objects || !take_secret(app, error))
    return NULL;
  return g_steal_pointer(&app);
}

void app_free(App *app) {
  if (!app)
    return;
  key_cache_free(app->key_cache);
  rate_table_free(app->rates);
  model_table_free(app->model_table);
  database_free(app->database);
  objects_free(app->objects);
  presence_end(&app->presence);
  g_free(app->scratch);
  g_free(app);
}

/* ---- clock and names ---- */

gint64 app_now(void) {
  return g_get_real_time() / 1000;
}

char *app_time_text(gint64 milliseconds) {
  g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(milliseconds / 1000);
  g_autofree char *seconds = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S") : NULL;
  return g_strdup_printf("%s.%03dZ", seconds ? seconds : "1970-01-01T00:00:00", (int)(milliseconds % 1000));
}

char *app_uuid(void) {
  return g_uuid_string_random();
}

void app_random(void *bytes, gsize length) {
  for (gsize done = 0; done < length;) {
    gssize got = getrandom((guint8 *)bytes + done, length - done, 0);
    if (got < 0 && errno != EINTR)
      g_error("The system has no random numbers: %s", g_strerror(errno));
    done += got > 0 ? (gsize)got : 0;
  }
}

char *app_id(const char *prefix) {
  guint8 bytes[12];
  app_random(bytes, sizeof bytes);
  GString *id = g_string_new(prefix);
  for (gsize i = 0; i < sizeof bytes; i++)
    g_string_append_printf(id, "%02x", bytes[i]);
  return g_string_free(id, FALSE);
}
