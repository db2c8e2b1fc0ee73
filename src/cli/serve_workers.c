/* Each worker is this program as `troupe work`. One that ends is started again after a pause that doubles
 * while it ends early, so that a worker which cannot start (no networks, say) does not spin. */
#include "cli/serve_workers.h"
#include "app/jobs/jobs.h"
#include "puppet/render.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PAUSE_LEAST_MS 500
#define PAUSE_MOST_MS 30000
#define WELL_AFTER_US (10 * G_USEC_PER_SEC) /* one that lived so long had a good start */

typedef struct {
  ServeWorkers *all;
  const char *pool, *kind; /* kind NULL: all jobs of the pool */
  GPid pid;                /* 0 while it is not running */
  guint timer;
  guint pause_ms;
  gint64 started;
} Worker;

struct ServeWorkers {
  GPtrArray *arguments; /* of every worker, without its pool */
  GPtrArray *workers;
  gboolean stopping;
};

/* A training takes minutes; whoever waits for pictures should not wait for it. */
static const struct {
  const char *pool, *kind;
} posts[] = {{RENDER_MODEL_VOLUMETRIC, NULL},
             {RENDER_MODEL_FLAT, NULL},
             {POOL_IDENTITY, NULL},
             {POOL_IDENTITY, "generation"}};

static gboolean worker_start(gpointer data);

static void worker_ended(GPid pid, gint status, gpointer data) {
  Worker *worker = data;
  g_spawn_close_pid(pid);
  worker->pid = 0;
  if (worker->all->stopping)
    return;
  gboolean well = g_get_monotonic_time() - worker->started > WELL_AFTER_US;
  worker->pause_ms = well ? PAUSE_LEAST_MS : MIN(worker->pause_ms * 2, PAUSE_MOST_MS);
  g_printerr("{\"level\":\"warning\",\"message\":\"a worker ended and is started "
             "again\",\"pool\":\"%s\",\"status\":%d}\n",
             worker->pool, status);
  worker->timer = g_timeout_add(worker->pause_ms, worker_start, worker);
}

/* Runs in the new process: only async-signal-safe calls. */
static void in_child(gpointer data) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  setpgid(0, 0); /* Ctrl-C on the terminal reaches the server, which stops its workers in order */
}

static gboolean worker_start(gpointer data) {
  Worker *worker = data;
  worker->timer = 0;
  g_autoptr(GPtrArray) arguments = g_ptr_array_new();
  g_ptr_array_extend(arguments, worker->all->arguments, NULL, NULL);
  g_ptr_array_add(arguments, (gpointer) "--pool");
  g_ptr_array_add(arguments, (gpointer)worker->pool);
  if (worker->kind) {
    g_ptr_array_add(arguments, (gpointer) "--only");
    g_ptr_array_add(arguments, (gpointer)worker->kind);
  }
  g_ptr_array_add(arguments, NULL);
  g_autoptr(GError) error = NULL;
  worker->started = g_get_monotonic_time();
  if (!g_spawn_async(NULL, (char **)arguments->pdata, NULL,
                     G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, in_child, NULL, &worker->pid,
                     &error)) {
    g_printerr("troupe serve: a worker cannot be started: %s\n", error->message);
    worker->pause_ms = MIN(worker->pause_ms * 2, PAUSE_MOST_MS);
    worker->timer = g_timeout_add(worker->pause_ms, worker_start, worker);
    return G_SOURCE_REMOVE;
  }
  g_child_watch_add(worker->pid, worker_ended, worker);
  return G_SOURCE_REMOVE;
}

ServeWorkers *serve_workers_start(const ServerSettings *settings, GError **error) {
  g_autofree char *program = g_file_read_link("/proc/self/exe", error);
  if (!program)
    return NULL;
  ServeWorkers *all = g_new0(ServeWorkers, 1);
  all->arguments = g_ptr_array_new_with_free_func(g_free);
  all->workers = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(all->arguments, g_steal_pointer(&program));
  g_ptr_array_add(all->arguments, g_strdup("work"));
  server_settings_arguments(settings, all->arguments);
  for (gsize post = 0; post < G_N_ELEMENTS(posts); post++)
    for (gint64 i = 0; i < settings->workers; i++) {
      Worker *worker = g_new0(Worker, 1);
      *worker = (Worker){
          .all = all, .pool = posts[post].pool, .kind = posts[post].kind, .pause_ms = PAUSE_LEAST_MS};
      g_ptr_array_add(all->workers, worker);
      worker_start(worker);
    }
  return all;
}

void serve_workers_stop(ServeWorkers *all) {
  if (!all)
    return;
  all->stopping = TRUE;
  for (guint i = 0; i < all->workers->len; i++) {
    Worker *worker = all->workers->pdata[i];
    if (worker->timer)
      g_source_remove(worker->timer);
    if (worker->pid)
      kill(worker->pid, SIGTERM);
  }
  for (guint i = 0; i < all->workers->len; i++) {
    Worker *worker = all->workers->pdata[i];
    while (worker->pid) /* worker_ended clears it */
      g_main_context_iteration(NULL, TRUE);
  }
  g_ptr_array_unref(all->workers);
  g_ptr_array_unref(all->arguments);
  g_free(all);
}
