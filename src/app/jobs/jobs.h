/* The queue.
 *
 *   queued -> processing -> complete | failed | cancelled
 *
 * A job is inserted with its reservation in one transaction. A worker claims it with a lease, renews the
 * lease while the engine reports, and ends it in one transaction that stores the result, settles the ledger
 * and owes the webhook. A lease that has run out puts the job back (its checkpoint stays), after the last
 * attempt it fails and is refunded. */
#pragma once
#include "app/accounts/accounts.h"
#include <jansson.h>

#define POOL_IDENTITY "identity" /* the other pools are named after the models, RENDER_MODEL_* */

typedef enum { JOB_QUEUED, JOB_PROCESSING, JOB_COMPLETE, JOB_FAILED, JOB_CANCELLED } JobStatus;
typedef enum { JOB_CHARACTER, JOB_SCENE, JOB_RENDER, JOB_TRAINING, JOB_GENERATION } JobKind;

typedef struct {
  char *id, *account, *subject, *pool, *mode, *dialect, *checkpoint, *stage, *worker, *error, *error_code,
      *webhook_url;
  JobKind kind;
  JobStatus status;
  int priority, attempts;
  double progress; /* 0..100, never goes back while the job runs */
  gint64 price, charged, created, started, completed, expires;
  char *prompt;      /* what it is called in searches, or NULL */
  char *template_id; /* that it was made from, or NULL */
  char *request;     /* Idempotency-Key under which it is made, or NULL; only of a job that is inserted */
  gint64 published;  /* when its owner published it; 0: not */
  json_t *spec;      /* what the worker needs, by kind; see app/making/renders.h, characters.h, scenes.h */
  json_t *result;    /* what it made: objects by role, and numbers; NULL before */
} Job;

void job_free(Job *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Job, job_free)
const char *job_status_name(JobStatus status); /* "queued", "processing", … */
const char *job_kind_name(JobKind kind);

/* --- for operations --- */

/* Fills id (where NULL), created and status, holds every object that the spec names, reserves the price
 * (REFUSAL_CREDITS), checks the account's number of unfinished jobs (REFUSAL_RATE). */
gboolean job_insert(App *app, Session *session, Job *job, GError **error);
/* NULL with REFUSAL_NOT_FOUND. account: only a job of this account; NULL: of any. */
Job *job_get(Session *session, const char *id, const char *account, GError **error);
/* Cancels a job that has not ended, with a full refund; REFUSAL_CONFLICT when it has ended,
 * REFUSAL_NOT_FOUND. The Character or Scene that it was making fails with "cancelled". */
Job *job_cancel(App *app, const char *id, const char *account, GError **error);
/* The same within the caller's transaction (whoever deletes a Character or Scene); does nothing to a job that
 * has ended. */
gboolean job_cancel_within(Session *session, const char *id, GError **error);

/* --- for workers --- */

/* The job to work on now (highest priority, then oldest), or NULL without an error when there is none.
 * worker: a name that no other process has. Also puts back what has lost its lease. */
Job *job_claim(App *app, const char *pool, const char *worker, GError **error);
/* The same among the jobs of one kind ("generation"); NULL: of all. */
Job *job_claim_kind(App *app, const char *pool, const char *kind, const char *worker, GError **error);
gboolean job_kind_known(const char *name);
/* Prolongs the lease. checkpoint may be NULL (unchanged), result: what of the result is there already, kept
 * for the next attempt, or NULL. held becomes FALSE when the job is no longer this worker's (cancelled,
 * lost): stop then. */
gboolean job_renew(App *app, const Job *job, double progress, const char *stage, const char *checkpoint,
                   json_t *partial, gboolean *held, GError **error);
/* One transaction: result, objects held (JSON object role -> object id, under the owner: the job, or the
 * subject for characters and scenes), the subject ready, ledger settled at `charge`, webhook owed. held
 * FALSE: somebody else has it; nothing was done. */
gboolean job_complete(App *app, const Job *job, json_t *result, json_t *objects, gint64 charge,
                      gboolean *held, GError **error);
/* The job's own fault (bad input): fails at once, refunded. */
gboolean job_fail(App *app, const Job *job, Refusal why, const char *message, gboolean *held, GError **error);
/* Somebody else's fault (the engine crashed, the machine stops): back to the queue, or failed and refunded
 * after the last attempt; innocent: the attempt is not counted (graceful shutdown). */
gboolean job_hand_back(App *app, const Job *job, const char *message, gboolean innocent, GError **error);
/* Puts back or fails all jobs whose lease has run out; how many (or -1). The server calls it now and then. */
int job_reap(App *app, GError **error);
