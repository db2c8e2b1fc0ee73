/* One attempt at one job: its scratch folder, its lease, how far it is, and the children that work for it.
 * Private to worker/.
 *
 * A thread of its own keeps the lease: it reports progress and checkpoints to the queue and finds out when
 * the job was cancelled or lost, or the worker must end; then every child is killed. So work reads straight
 * down and only ever asks for the next step. */
#pragma once
#include "app/jobs/jobs.h"
#include "engine/child.h"
#include "worker/log.h"

typedef struct Run Run;

/* stopping: becomes non-zero when the worker should end; grace seconds later the run is stopped. */
typedef struct {
  App *app;
  const char *program;
  ChildSpare *spare; /* or NULL */
  const Log *log;
  volatile gint *stopping;
  volatile gint *walls_told; /* the log has said what engines are locked in with */
  gint64 grace;
} RunPlace;

Run *run_begin(const RunPlace *place, const Job *job, GError **error);
/* Stops the lease's thread, removes the scratch folder. */
void run_end(Run *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_end)

/* Whether it was stopped because the worker ends (hand the job back), and not because the job is gone. */
gboolean run_worker_stops(Run *run);
/* The attempt has failed: what else runs for it is stopped. */
void run_abandon(Run *run);
/* Whether the job is no longer ours: nothing must be done for it. */
gboolean run_lost(Run *run);

const Job *run_job(const Run *run);
App *run_app(const Run *run);
/* A path in the scratch folder (transfer full). */
char *run_path(const Run *run, const char *name);

/* --- how far it is --- */

/* The job's work in parts of the given weights, which are done side by side or one after the other. */
void run_parts(Run *run, const double *weights, int count);
void run_part_done(Run *run, int part);
/* In this order; each is reported once all before it are reached. */
enum {
  CHECKPOINT_REF = 1 << 0,
  CHECKPOINT_DRIVE = 1 << 1,
  CHECKPOINT_BACKGROUND = 1 << 2,
  CHECKPOINT_RENDER = 1 << 3
};
void run_reach(Run *run, int checkpoints);
/* Waits until the queue knows all that was reached: before the job is completed, after which it hears nothing
 * more. */
void run_settle(Run *run);

/* --- what it has made --- */

/* An object that an earlier attempt made (transfer full), or NULL. */
char *run_made(Run *run, const char *role);
/* Takes what lies at path into the store. remember: also names it in the job's partial result, for the next
 * attempt. Transfer full. FAULT_STORE, FAULT_CANCELLED. */
char *run_keep(Run *run, const char *role, const char *path, gboolean remember, GError **error);

/* A warning for the operator. */
void run_complain(Run *run, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* --- steps --- */

typedef struct {
  json_t *task;      /* transfer full */
  int part;          /* whose progress it is, or -1 */
  int cores;         /* 0: all */
  int when_all;      /* checkpoints that are reached when the task has reported all of its frames, or 0 */
  double share;      /* of the part's work: 1 when it is all of it */
  gboolean measured; /* how far it is are its measures "step" of "steps"; they and "loss" are told in the
                        job's partial result */
  gint64 silence;    /* of ChildLimits */
  void (*watch)(Run *run, gpointer user); /* called with every report, on the thread of run_step; or NULL */
  gpointer user;
} Step;

/* Runs the task as a child. NULL with: REFUSAL, when the input is at fault; FAULT_CANCELLED, when the run was
 * stopped; FAULT_STORE, when the disk is full or read only; any other fault when the engine failed. Otherwise
 * the result (transfer full). */
json_t *run_step(Run *run, const Step *step, GError **error);
