/* The loop: claim, work, end. While there is nothing to do it looks at a number that changes with every
 * commit, and claims when it has changed, or every second, since a lease can run out without any. Meanwhile
 * an engine loads for the next job. */
#include "worker/worker.h"
#include "worker/kinds.h"

#include <string.h>
#include <unistd.h>

#define LOOK_US (G_USEC_PER_SEC / 20)
#define CLAIM_US G_USEC_PER_SEC
/* After an error of the store: it needs time, not questions. */
#define TROUBLE_US (2 * G_USEC_PER_SEC)
/* Tried so often to write how a job ended, since the work is done. */
#define END_TRIES 5

struct Worker {
  App *app;
  WorkerOptions options;
  char *name;
  Log log;
  ChildSpare *spare;
  volatile gint stopping, walls_told;
};

static const KindFunc kinds[] = {[JOB_CHARACTER] = character_work,
                                 [JOB_SCENE] = scene_work,
                                 [JOB_RENDER] = render_work,
                                 [JOB_TRAINING] = training_work,
                                 [JOB_GENERATION] = generation_work};

Worker *worker_new(App *app, const WorkerOptions *options) {
  Worker *worker = g_new0(Worker, 1);
  g_autofree char *id = app_id("");
  worker->app = app;
  worker->options = *options;
  worker->name = g_strdup_printf("%s:%d:%.8s", g_get_host_name(), (int)getpid(), id);
  worker->spare = child_spare_new(options->program);
  worker->log = (Log){options->pool, worker->name, options->quiet};
  return worker;
}

void worker_free(Worker *worker) {
  if (!worker)
    return;
  child_spare_free(worker->spare);
  g_free(worker->name);
  g_free(worker);
}

void worker_stop(Worker *worker) {
  g_atomic_int_set(&worker->stopping, 1);
}

/* Sleeps in short pieces, so that a stop is seen. */
static void pause_for(Worker *worker, gint64 microseconds) {
  gint64 until = g_get_monotonic_time() + microseconds;
  while (!g_atomic_int_get(&worker->stopping) && g_get_monotonic_time() < until)
    g_usleep(LOOK_US);
}

/* --- the end of a job --- */

static void complete(Worker *worker, const Job *job, const Yield *yield) {
  for (int i = 0; i < END_TRIES; i++) {
    g_autoptr(GError) error = NULL;
    gboolean held = FALSE;
    if (job_complete(worker->app, job, yield->result, yield->objects, yield->charge, &held, &error)) {
      log_say(&worker->log, "info", job->id, held ? "complete" : "was cancelled or lost at the last moment");
      return;
    }
    log_say(&worker->log, "error", job->id, "cannot be completed: %s", error->message);
    pause_for(worker, TROUBLE_US);
  }
  /* Its lease runs out, and another attempt finds the same content in the store. */
}

static void fail(Worker *worker, const Job *job, const GError *why) {
  g_autoptr(GError) error = NULL;
  gboolean held = FALSE;
  log_say(&worker->log, "info", job->id, "failed: %s", why->message);
  if (!job_fail(worker->app, job, (Refusal)why->code, why->message, &held, &error))
    log_say(&worker->log, "error", job->id, "cannot be failed: %s", error->message);
}

static void hand_back(Worker *worker, const Job *job, const char *message, gboolean innocent) {
  g_autoptr(GError) error = NULL;
  log_say(&worker->log, innocent ? "info" : "warning", job->id, "handed back: %s", message);
  if (!job_hand_back(worker->app, job, message, innocent, &error))
    log_say(&worker->log, "error", job->id, "cannot be handed back: %s", error->message);
}

static void end_badly(Worker *worker, Run *run, const Job *job, const GError *why) {
  if (run_lost(run))
    log_say(&worker->log, "info", job->id, "was cancelled or lost");
  else if (run_worker_stops(run))
    hand_back(worker, job, "The worker was stopped.", TRUE);
  else if (why->domain == REFUSAL)
    fail(worker, job, why);
  else if (g_error_matches(why, FAULT, FAULT_STORE) && !objects_writable(worker->app->objects, NULL)) {
    log_say(&worker->log, "error", job->id, "the store cannot be written: %s", why->message);
    pause_for(worker, TROUBLE_US);
    hand_back(worker, job, "The store cannot be written.", TRUE);
  } else {
    log_say(&worker->log, "warning", job->id, "attempt %d: %s", job->attempts, why->message);
    hand_back(worker, job, "The engine failed. Nothing was charged; try again, or with other files.", FALSE);
  }
}

static void work(Worker *worker, const Job *job) {
  RunPlace place = {.app = worker->app,
                    .program = worker->options.program,
                    .spare = worker->spare,
                    .log = &worker->log,
                    .stopping = &worker->stopping,
                    .walls_told = &worker->walls_told,
                    .grace = worker->options.grace};
  g_autoptr(GError) error = NULL;
  Yield yield = {0};
  log_say(&worker->log, "info", job->id, "%s, attempt %d", job_kind_name(job->kind), job->attempts);
  g_autoptr(Run) run = run_begin(&place, job, &error);
  if (!run) {
    log_say(&worker->log, "error", job->id, "%s", error->message);
    pause_for(worker, TROUBLE_US);
    hand_back(worker, job, error->message, TRUE);
  } else if (kinds[job->kind](run, &yield, &error)) {
    complete(worker, job, &yield);
  } else {
    end_badly(worker, run, job, error);
  }
  json_decref(yield.result);
  json_decref(yield.objects);
}

/* --- the loop --- */

/* -1 when the store is in trouble. */
static int claim_and_work(Worker *worker) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Job) job =
      job_claim_kind(worker->app, worker->options.pool, worker->options.kind, worker->name, &error);
  if (error)
    log_say(&worker->log, "error", NULL, "no job can be claimed: %s", error->message);
  if (job)
    work(worker, job);
  return error ? -1 : job != NULL;
}

gboolean worker_step(Worker *worker) {
  return claim_and_work(worker) > 0;
}

void worker_run(Worker *worker) {
  gint64 seen = 0, asked = 0;
  log_say(&worker->log, "info", NULL, "waits for jobs");
  while (!g_atomic_int_get(&worker->stopping)) {
    gint64 version = database_version(worker->app->database), now = g_get_monotonic_time();
    if (version == seen && now - asked < CLAIM_US) {
      child_spare_ready(worker->spare);
      g_usleep(LOOK_US);
      continue;
    }
    seen = version;
    asked = now;
    int found = claim_and_work(worker);
    if (found > 0)
      asked = 0; /* there may be more */
    else if (found < 0)
      pause_for(worker, TROUBLE_US);
  }
  log_say(&worker->log, "info", NULL, "ends");
}
