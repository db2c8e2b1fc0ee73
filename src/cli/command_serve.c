/* troupe serve: the server, its workers and its housekeeping, until it is told to stop. */
#include "api/dialects.h"
#include "app/jobs/sweep.h"
#include "app/jobs/webhooks.h"
#include "app/templates/templates.h"
#include "cli/serve_workers.h"

#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_CREDITS (10000 * CREDIT)
#define STOP_SECONDS 10
#define REAP_SECONDS 5
#define SWEEP_SECONDS 600
#define WEBHOOK_PAUSE_US (G_USEC_PER_SEC / 2)

/* --- housekeeping: on threads of its own, for it may wait for disks and foreign servers --- */

typedef struct {
  App *app;
  GMutex lock;
  GCond wake;
  gboolean stopping;
} Keeper;

/* Sleeps; FALSE when the server stops. */
static gboolean keeper_pause(Keeper *keeper, gint64 microseconds) {
  gint64 until = g_get_monotonic_time() + microseconds;
  g_mutex_lock(&keeper->lock);
  while (!keeper->stopping && g_cond_wait_until(&keeper->wake, &keeper->lock, until))
    ;
  gboolean goes_on = !keeper->stopping;
  g_mutex_unlock(&keeper->lock);
  return goes_on;
}

static void complain(const char *what, GError *error) {
  if (error)
    g_printerr("{\"level\":\"error\",\"message\":\"%s: %s\"}\n", what, error->message);
  g_clear_error(&error);
}

static gpointer keep_house(gpointer data) {
  Keeper *keeper = data;
  for (gint64 round = 0; keeper_pause(keeper, REAP_SECONDS * G_USEC_PER_SEC); round++) {
    GError *error = NULL;
    job_reap(keeper->app, &error);
    complain("jobs of lost workers cannot be put back", error);
    error = NULL;
    if (round % (SWEEP_SECONDS / REAP_SECONDS) == 0)
      sweep(keeper->app, &error);
    complain("sweeping failed", error);
  }
  return NULL;
}

static gpointer send_webhooks(gpointer data) {
  Keeper *keeper = data;
  while (keeper_pause(keeper, WEBHOOK_PAUSE_US)) {
    GError *error = NULL;
    webhook_send_due(keeper->app, dialect_job_body, NULL, &error);
    complain("webhooks cannot be sent", error);
  }
  return NULL;
}

static void keeper_stop(Keeper *keeper, GThread *threads[2]) {
  g_mutex_lock(&keeper->lock);
  keeper->stopping = TRUE;
  g_cond_broadcast(&keeper->wake);
  g_mutex_unlock(&keeper->lock);
  for (int i = 0; i < 2; i++)
    g_thread_join(threads[i]);
}

/* --- the templates that come with the program: one of them is a scene, which takes a while to make --- */

typedef struct {
  App *app;
  char *folder;
  Progress *progress; /* to stop it */
  GThread *thread;
} Furnisher;

static gpointer furnish(gpointer data) {
  Furnisher *furnisher = data;
  GError *error = NULL;
  if (!templates_install(furnisher->app, furnisher->folder, furnisher->progress, &error) &&
      g_error_matches(error, FAULT, FAULT_CANCELLED))
    g_clear_error(&error); /* at the next start */
  complain("the templates that come with the program cannot be added", error);
  return NULL;
}

static char *templates_folder(const ServerSettings *settings) {
  if (settings->templates && *settings->templates)
    return g_strdup(settings->templates);
  return g_strdup(g_file_test(INSTALLED_TEMPLATES, G_FILE_TEST_IS_DIR) ? INSTALLED_TEMPLATES
                                                                       : SOURCE_TEMPLATES);
}

static void furnisher_start(Furnisher *furnisher, App *app, const ServerSettings *settings) {
  *furnisher =
      (Furnisher){.app = app, .folder = templates_folder(settings), .progress = progress_new(NULL, NULL)};
  if (!g_str_equal(furnisher->folder, "none"))
    furnisher->thread = g_thread_new("templates", furnish, furnisher);
}

static void furnisher_stop(Furnisher *furnisher) {
  progress_cancel(furnisher->progress);
  if (furnisher->thread)
    g_thread_join(furnisher->thread);
  progress_free(furnisher->progress);
  g_free(furnisher->folder);
}

/* --- start and end --- */

/* The first start: an account with a key, shown once. */
static gboolean welcome(App *app, char **key, GError **error) {
  gboolean fresh;
  g_autofree char *account = account_default(app, &fresh, error);
  KeyOptions options = {.dialect = "viggle", .credits = FIRST_CREDITS};
  if (!account)
    return FALSE;
  if (fresh)
    *key = key_create(app, &options, error);
  return !fresh || *key;
}

static void greet(const Api *api, const App *app, const char *key) {
  printf("Troupe listens on %s (data in %s)\n", api_url(api), app->settings->data);
  if (key)
    printf("Your key, shown this once: %s\nTry: curl -H 'Authorization: Bearer %s' %s/api/credits\n", key,
           key, api_url(api));
  fflush(stdout);
}

static gboolean quit(gpointer loop) {
  g_main_loop_quit(loop);
  return G_SOURCE_CONTINUE;
}

static gboolean serve(App *app, ServerSettings *settings, GError **error) {
  g_autofree char *key = NULL;
  ApiOptions options = {.listen = settings->listen, .dialects = dialects, .log = settings->log};
  Api *api = api_start(app, &options, error);
  if (!api)
    return FALSE;
  if (!settings->app->public_url)
    settings->app->public_url = g_strdup(api_url(api));
  g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
  g_unix_signal_add(SIGINT, quit, loop);
  g_unix_signal_add(SIGTERM, quit, loop);
  Keeper keeper = {.app = app};
  GThread *threads[] = {g_thread_new("house", keep_house, &keeper),
                        g_thread_new("webhooks", send_webhooks, &keeper)};
  gboolean good = welcome(app, &key, error);
  ServeWorkers *workers = good ? serve_workers_start(settings, error) : NULL;
  if (workers) {
    Furnisher furnisher;
    furnisher_start(&furnisher, app, settings);
    greet(api, app, key);
    g_main_loop_run(loop);
    furnisher_stop(&furnisher);
  }
  api_stop(api, STOP_SECONDS);
  serve_workers_stop(workers);
  keeper_stop(&keeper, threads);
  api_free(api);
  return good && workers;
}

int command_serve(int argc, char **argv) {
  umask(077); /* the data folder is nobody else's business */
  GError *error = NULL;
  g_auto(ServerSettings) settings = {0};
  CommonOptions common = {0};
  g_autoptr(App) app = server_command_open("serve", NULL, &settings, &common, &argc, &argv, &error);
  if (app && argc > 1)
    fault(&error, FAULT_USAGE, "serve takes no arguments, only options; `troupe serve --help` lists them.");
  else if (app)
    serve(app, &settings, &error);
  g_free(common.models);
  return cli_finish("serve", error);
}
