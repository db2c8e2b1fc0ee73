#include "worker/run.h"
#include "app/refusal.h"
#include "base/files.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define MAX_PARTS 8
#define TICK_US (G_USEC_PER_SEC / 5)
/* How often progress alone is worth a transaction. */
#define REPORT_US (G_USEC_PER_SEC / 2)

static const char *const checkpoint_names[] = {"ref_done", "dri_done", "bg_done", "render_done"};

typedef struct {
  double weight, done;
} Part;

struct Run {
  RunPlace place;
  const Job *job;
  char *scratch;
  GThread *keeper;
  GMutex saying; /* one renewal at a time, so that an older one never overtakes; taken before lock */
  GMutex lock;   /* all below */
  GCond wake;
  gboolean ended;   /* the keeper should end */
  gboolean lost;    /* the job is not ours any more */
  gboolean stopped; /* the worker ends */
  gboolean failed;  /* a step did: the others need not be finished */
  GPtrArray *live;  /* Progress * of the children that run */
  Part parts[MAX_PARTS];
  int part_count;
  char *stage;
  int reached;  /* flags */
  int reported; /* how many checkpoints the queue knows */
  json_t *partial;
  gboolean unsaid;   /* partial has grown */
  gboolean measured; /* its numbers have changed */
  double told;       /* progress that the queue knows */
  gint64 renewed, stop_since;
};

const Job *run_job(const Run *run) {
  return run->job;
}

App *run_app(const Run *run) {
  return run->place.app;
}

char *run_path(const Run *run, const char *name) {
  return g_build_filename(run->scratch, name, NULL);
}

/* --- stopping --- */

/* With the lock held. */
static void stop_children(Run *run) {
  for (guint i = 0; i < run->live->len; i++)
    progress_cancel(run->live->pdata[i]);
}

static gboolean is_stopped(const Run *run) {
  return run->lost || run->stopped || run->failed;
}

gboolean run_worker_stops(Run *run) {
  g_mutex_lock(&run->lock);
  gboolean stopped = run->stopped && !run->lost;
  g_mutex_unlock(&run->lock);
  return stopped;
}

void run_abandon(Run *run) {
  g_mutex_lock(&run->lock);
  run->failed = TRUE;
  stop_children(run);
  g_mutex_unlock(&run->lock);
}

gboolean run_lost(Run *run) {
  g_mutex_lock(&run->lock);
  gboolean lost = run->lost;
  g_mutex_unlock(&run->lock);
  return lost;
}

/* --- the lease --- */

static double progress_of(const Run *run) {
  double all = 0, done = 0;
  for (int i = 0; i < run->part_count; i++) {
    all += run->parts[i].weight;
    done += run->parts[i].weight * run->parts[i].done;
  }
  return all > 0 ? 99.0 * done / all : 0; /* the last hundredth is the end of the job itself */
}

/* The next checkpoint to report, or -1. */
static int next_checkpoint(const Run *run) {
  int next = run->reported;
  return next < (int)G_N_ELEMENTS(checkpoint_names) && run->reached & 1 << next ? next : -1;
}

/* Tells the queue what is new; with the lock held, which it lets go while it waits for the store. */
static gboolean renew(Run *run, GError **error) {
  g_mutex_unlock(&run->lock);
  g_autoptr(GMutexLocker) saying = g_mutex_locker_new(&run->saying);
  g_mutex_lock(&run->lock);
  int checkpoint = next_checkpoint(run);
  double progress = progress_of(run);
  g_autofree char *stage = g_strdup(run->stage);
  json_auto_t *partial = run->unsaid || run->measured ? json_deep_copy(run->partial) : NULL;
  gboolean held = FALSE;
  run->unsaid = run->measured = FALSE;
  g_mutex_unlock(&run->lock);
  gboolean good = job_renew(run->place.app, run->job, progress, stage,
                            checkpoint >= 0 ? checkpoint_names[checkpoint] : NULL, partial, &held, error);
  g_mutex_lock(&run->lock);
  if (!good) {
    run->unsaid |= partial != NULL;
    return FALSE;
  }
  run->renewed = g_get_monotonic_time();
  run->told = progress;
  if (checkpoint >= 0)
    run->reported = MAX(run->reported, checkpoint + 1);
  run->lost |= !held;
  return TRUE;
}

/* A cheap look whether the job is still ours; a store that cannot be read now says nothing. */
static gboolean still_ours(const Run *run) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(run->place.app->database, DATABASE_READ, &error);
  g_autoptr(Job) job = session ? job_get(session, run->job->id, NULL, &error) : NULL;
  if (!job)
    return !g_error_matches(error, REFUSAL, REFUSAL_NOT_FOUND);
  return job->status == JOB_PROCESSING && job->attempts == run->job->attempts &&
         g_strcmp0(job->worker, run->job->worker) == 0;
}

static gboolean is_due(const Run *run, gint64 now) {
  gint64 age = now - run->renewed;
  return next_checkpoint(run) >= 0 || run->unsaid ||
         age > run->place.app->settings->lease_seconds * G_USEC_PER_SEC / 3 ||
         (age > REPORT_US && (run->measured || progress_of(run) >= run->told + 0.1));
}

/* FALSE when the store is in trouble. */
static gboolean tick(Run *run, gint64 *version) {
  gint64 now = g_get_monotonic_time(), lease = run->place.app->settings->lease_seconds * G_USEC_PER_SEC;
  gboolean well = TRUE;
  if (is_due(run, now)) {
    well = renew(run, NULL);
    if (!well && g_get_monotonic_time() - run->renewed > lease)
      run->lost = TRUE; /* whatever the queue says by now, it may be somebody else's */
  } else {
    g_mutex_unlock(&run->lock);
    gint64 seen = database_version(run->place.app->database);
    gboolean ours = seen == *version || still_ours(run);
    *version = seen;
    g_mutex_lock(&run->lock);
    run->lost |= !ours;
  }
  if (g_atomic_int_get(run->place.stopping)) {
    run->stop_since = run->stop_since ? run->stop_since : now;
    run->stopped = now - run->stop_since >= run->place.grace * G_USEC_PER_SEC;
  }
  if (is_stopped(run))
    stop_children(run);
  return well;
}

static gpointer keep_lease(gpointer data) {
  Run *run = data;
  gint64 version = 0;
  g_mutex_lock(&run->lock);
  while (!run->ended) {
    gboolean well = tick(run, &version);
    gint64 until = g_get_monotonic_time() + TICK_US;
    while (!run->ended && !(well && next_checkpoint(run) >= 0) &&
           g_cond_wait_until(&run->wake, &run->lock, until))
      ;
  }
  g_mutex_unlock(&run->lock);
  return NULL;
}

/* --- beginning and end --- */

Run *run_begin(const RunPlace *place, const Job *job, GError **error) {
  g_autofree char *name = g_strdup_printf("%s.%d", job->id, job->attempts);
  g_autofree char *scratch = g_build_filename(place->app->scratch, name, NULL);
  files_remove_tree(scratch); /* of an attempt that was handed back uncounted */
  if (g_mkdir_with_parents(scratch, 0700) != 0)
    return fault_null(error, FAULT_STORE, "A scratch folder cannot be made: %s.", g_strerror(errno));
  Run *run = g_new0(Run, 1);
  run->place = *place;
  run->job = job;
  run->scratch = g_steal_pointer(&scratch);
  g_mutex_init(&run->saying);
  g_mutex_init(&run->lock);
  g_cond_init(&run->wake);
  run->live = g_ptr_array_new();
  run->partial = job->result ? json_deep_copy(job->result) : json_object();
  run->renewed = g_get_monotonic_time();
  while (run->reported < (int)G_N_ELEMENTS(checkpoint_names) && job->checkpoint &&
         strcmp(checkpoint_names[run->reported], job->checkpoint) != 0)
    run->reported++;
  run->reported =
      run->reported < (int)G_N_ELEMENTS(checkpoint_names) && job->checkpoint ? run->reported + 1 : 0;
  run->keeper = g_thread_new("lease", keep_lease, run);
  return run;
}

void run_end(Run *run) {
  if (!run)
    return;
  g_mutex_lock(&run->lock);
  run->ended = TRUE;
  g_cond_signal(&run->wake);
  g_mutex_unlock(&run->lock);
  g_thread_join(run->keeper);
  files_remove_tree(run->scratch);
  g_ptr_array_unref(run->live);
  json_decref(run->partial);
  g_free(run->stage);
  g_free(run->scratch);
  g_mutex_clear(&run->saying);
  g_mutex_clear(&run->lock);
  g_cond_clear(&run->wake);
  g_free(run);
}

/* --- how far it is --- */

void run_parts(Run *run, const double *weights, int count) {
  g_mutex_lock(&run->lock);
  run->part_count = MIN(count, MAX_PARTS);
  for (int i = 0; i < run->part_count; i++)
    run->parts[i] = (Part){.weight = weights[i]};
  g_mutex_unlock(&run->lock);
}

void run_part_done(Run *run, int part) {
  g_mutex_lock(&run->lock);
  run->parts[part].done = 1;
  g_mutex_unlock(&run->lock);
}

void run_reach(Run *run, int checkpoints) {
  g_mutex_lock(&run->lock);
  run->reached |= checkpoints;
  g_cond_signal(&run->wake);
  g_mutex_unlock(&run->lock);
}

void run_settle(Run *run) {
  g_mutex_lock(&run->lock);
  while (next_checkpoint(run) >= 0 && !run->lost && renew(run, NULL))
    ;
  g_mutex_unlock(&run->lock);
}

/* --- what it has made --- */

char *run_made(Run *run, const char *role) {
  g_mutex_lock(&run->lock);
  g_autofree char *object = g_strdup(json_string_value(json_object_get(run->partial, role)));
  g_mutex_unlock(&run->lock);
  g_autofree char *path = object ? objects_path(run->place.app->objects, object, NULL) : NULL;
  return path ? g_steal_pointer(&object) : NULL;
}

char *run_keep(Run *run, const char *role, const char *path, gboolean remember, GError **error) {
  g_autofree char *object = objects_put(run->place.app->objects, path, NULL, NULL, error);
  if (!object || !remember)
    return g_steal_pointer(&object);
  g_mutex_lock(&run->lock);
  json_object_set_new(run->partial, role, json_string(object));
  run->unsaid = TRUE;
  gboolean good = renew(run, error), lost = run->lost;
  g_mutex_unlock(&run->lock);
  if (!good)
    return NULL;
  if (lost)
    return fault_null(error, FAULT_CANCELLED, "The job is no longer here.");
  return g_steal_pointer(&object);
}

void run_complain(Run *run, const char *format, ...) {
  va_list args;
  va_start(args, format);
  g_autofree char *message = g_strdup_vprintf(format, args);
  va_end(args);
  log_say(run->place.log, "warning", run->job->id, "%s", message);
}

/* --- steps --- */

typedef struct {
  Run *run;
  const Step *step;
  double before; /* the part's progress when it began */
  double done;   /* of this step */
  char *stage;
  Progress *progress;
} Meter;

/* How far the task says it is by its measures; with the lock held. */
static double measured(Meter *meter) {
  static const char *const names[] = {"step", "steps", "loss"};
  double values[G_N_ELEMENTS(names)];
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    if (!progress_measured(meter->progress, names[i], &values[i]) || !isfinite(values[i]))
      return 0;
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    json_object_set_new(meter->run->partial, names[i],
                        i < 2 ? json_integer((json_int_t)CLAMP(values[i], 0, 1e9)) : json_real(values[i]));
  meter->run->measured = TRUE;
  return values[1] > 0 ? CLAMP(values[0] / values[1], 0.0, 1.0) : 0;
}

/* Work whose length is not known goes a third of the way that is left with every new stage. */
static void on_progress(const char *stage, gint64 done, gint64 total, gpointer user) {
  Meter *meter = user;
  Run *run = meter->run;
  g_mutex_lock(&run->lock);
  if (g_strcmp0(stage, run->stage) != 0) {
    g_free(run->stage);
    run->stage = g_strdup(stage);
  }
  double now = meter->done;
  if (meter->step->measured)
    now = measured(meter);
  else if (total > 0)
    now = CLAMP((double)done / (double)total, 0.0, 1.0);
  else if (g_strcmp0(stage, meter->stage) != 0)
    now += (1 - now) / 3;
  if (g_strcmp0(stage, meter->stage) != 0) {
    g_free(meter->stage);
    meter->stage = g_strdup(stage);
  }
  if (meter->step->part >= 0 && now > meter->done)
    run->parts[meter->step->part].done += (now - meter->done) * meter->step->share;
  meter->done = MAX(meter->done, now);
  if (total > 0 && done >= total && meter->step->when_all) {
    run->reached |= meter->step->when_all;
    g_cond_signal(&run->wake);
  }
  g_mutex_unlock(&run->lock);
  if (meter->step->watch)
    meter->step->watch(run, meter->step->user);
}

static gboolean enter(Run *run, Progress *progress, GError **error) {
  g_mutex_lock(&run->lock);
  gboolean stopped = is_stopped(run);
  if (!stopped)
    g_ptr_array_add(run->live, progress);
  g_mutex_unlock(&run->lock);
  return !stopped || fault(error, FAULT_CANCELLED, "The job was stopped.");
}

static void leave(Run *run, Progress *progress) {
  g_mutex_lock(&run->lock);
  g_ptr_array_remove_fast(run->live, progress);
  g_mutex_unlock(&run->lock);
}

/* Once: which layers of the sandbox this system permits. */
static void tell_walls(Run *run, const ChildOutcome *outcome) {
  if (!outcome->sandbox || !g_atomic_int_compare_and_exchange(run->place.walls_told, 0, 1))
    return;
  gboolean all = g_strcmp0(outcome->sandbox, "limits, namespaces, files, calls") == 0;
  log_say(run->place.log, all ? "info" : "warning", NULL, "engines are locked in by: %s%s", outcome->sandbox,
          all ? "" : "; this system does not permit the others");
}

/* Codes that another attempt would say again; what else a child says is about itself. */
static gboolean is_blame(const char *code) {
  return code && (g_str_has_prefix(code, "picture_") || g_str_has_prefix(code, "video_") ||
                  g_str_equal(code, "nobody") || g_str_equal(code, "model") ||
                  g_str_equal(code, "diverged") || g_str_equal(code, "memory"));
}

/* What a child that ran to its end has to say. */
static json_t *judge(Run *run, const Step *step, ChildOutcome *outcome, GError **error) {
  const char *name = json_string_value(json_object_get(step->task, "do"));
  if (outcome->result)
    return g_steal_pointer(&outcome->result);
  log_say(run->place.log, "warning", run->job->id, "%s: %s: %s%s%s", name,
          outcome->code ? outcome->code : "killed", outcome->message, *outcome->murmur ? " / " : "",
          outcome->murmur);
  if (g_strcmp0(outcome->code, "busy") == 0)
    return fault_null(error, FAULT_STORE, "%s", outcome->message);
  if (is_blame(outcome->code))
    return refuse_null(error, refusal_named(outcome->code), "%s", outcome->message);
  return fault_null(error, FAULT_INTERNAL, "%s", outcome->message);
}

json_t *run_step(Run *run, const Step *step, GError **error) {
  const Settings *settings = run->place.app->settings;
  Meter meter = {.run = run, .step = step};
  g_autoptr(Progress) progress = progress_new(on_progress, &meter);
  meter.progress = progress;
  ChildLimits limits = {.program = run->place.program,
                        .spare = run->place.spare,
                        .models = settings->models,
                        .writable = run->scratch,
                        .memory = settings->engine_memory,
                        .cpu_seconds = settings->engine_seconds,
                        .silence = step->silence,
                        .cores = step->cores};
  g_auto(ChildOutcome) outcome = {0};
  if (!enter(run, progress, error))
    return NULL;
  gboolean ran = child_run(step->task, &limits, &outcome, progress, error);
  leave(run, progress);
  g_free(meter.stage);
  if (!ran)
    return NULL;
  tell_walls(run, &outcome);
  return judge(run, step, &outcome, error);
}
