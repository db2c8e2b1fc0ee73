/* troupe work: one worker process, until it is told to stop. */
#include "cli/settings.h"
#include "puppet/render.h"
#include "worker/worker.h"

#include <signal.h>
#include <sys/stat.h>

/* A signal handler can only reach what is global. */
static Worker *working;

static void on_signal(int number) {
  worker_stop(working);
  signal(number, SIG_DFL); /* a second one ends it at once, and its children with it */
}

static void work(App *app, const char *pool, const char *kind) {
  WorkerOptions options = {.pool = pool, .kind = kind, .grace = WORKER_GRACE};
  g_autoptr(Worker) worker = worker_new(app, &options);
  working = worker;
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  worker_run(worker);
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  working = NULL;
}

int command_work(int argc, char **argv) {
  umask(077); /* the data folder is nobody else's business */
  char *pool = NULL, *kind = NULL;
  const GOptionEntry own[] = {{"pool", 0, 0, G_OPTION_ARG_STRING, &pool,
                               "Whose jobs to do: V4_Preview, V3_Preview or identity", "NAME"},
                              {"only", 0, 0, G_OPTION_ARG_STRING, &kind,
                               "Only its jobs of this kind: character, scene, render, training or generation",
                               "KIND"},
                              {NULL}};
  GError *error = NULL;
  g_auto(ServerSettings) settings = {0};
  CommonOptions common = {0};
  g_autoptr(App) app = server_command_open("work", own, &settings, &common, &argc, &argv, &error);
  if (app && argc > 1)
    fault(&error, FAULT_USAGE, "work takes no arguments, only options; `troupe work --help` lists them.");
  else if (app && !pool)
    fault(&error, FAULT_USAGE, "say whose jobs to do: --pool %s, --pool %s or --pool %s.",
          RENDER_MODEL_VOLUMETRIC, RENDER_MODEL_FLAT, POOL_IDENTITY);
  else if (app && kind && !job_kind_known(kind))
    fault(&error, FAULT_USAGE, "--only is character, scene, render, training or generation, not \"%s\".",
          kind);
  else if (app && (g_str_equal(pool, POOL_IDENTITY) || render_model_known(pool, &error)))
    work(app, pool, kind);
  g_free(pool);
  g_free(kind);
  g_free(common.models);
  return cli_finish("work", error);
}
