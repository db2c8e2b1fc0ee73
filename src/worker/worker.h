/* A worker: claims the jobs of one pool, one at a time, runs their engines as children, keeps the lease alive
 * meanwhile, and ends each job in the queue.
 *
 * Nothing that it does is lost or doubled when it is killed at any moment: what a job has made so far is
 * content in the object store, named by the job's partial result; the next attempt goes on from there. Its
 * children die with it, and what it leaves in the scratch folder the sweeper removes. */
#pragma once
#include "app/jobs/jobs.h"

typedef struct {
  const char *pool;
  const char *kind;    /* only jobs of this kind ("generation"); NULL: all of the pool */
  const char *program; /* path of troupe for the engines; NULL: this process's own executable */
  gint64 grace;        /* seconds that a running job has to come to its end when the worker is stopped */
  gboolean quiet;      /* no log */
} WorkerOptions;

#define WORKER_GRACE 10

typedef struct Worker Worker;

/* app and options are borrowed. */
Worker *worker_new(App *app, const WorkerOptions *options);
void worker_free(Worker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Worker, worker_free)

/* Works until worker_stop. Errors of the store are logged and waited out. */
void worker_run(Worker *worker);
/* One job, if there is one: TRUE when there was. For tests. */
gboolean worker_step(Worker *worker);
/* Async-signal-safe. */
void worker_stop(Worker *worker);
