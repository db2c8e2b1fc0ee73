/* The workers' side of the queue. A claim is one UPDATE … RETURNING: two workers can never have the same job.
 * The worker's name and the number of the attempt together say whose a job is; every later step names them,
 * so a worker that lost its lease changes nothing any more.
 *
 * An idle worker asks often, so a claim first looks without the right to write. Claims and renewals need not
 * outlast a power cut: after one nobody is working. */
#include "app/jobs/holds.h"
#include "app/jobs/jobs_private.h"

#include <stdlib.h>

#define REAP_AT_ONCE 100
#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT(1000))

/* ---- claiming ---- */

static gboolean anything(Rows *rows, gboolean *found, GError **error) {
  *found = rows && rows_next(rows, error);
  return rows && (*found || rows_ended(rows));
}

static gboolean anything_lost(Session *session, gboolean *lost, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error, "SELECT 1 FROM jobs WHERE status = 'processing' AND lease < $1 LIMIT 1",
                    integer(app_now()));
  return anything(rows, lost, error);
}

static gboolean look(App *app, const char *pool, const char *kind, gboolean *waiting, gboolean *lost,
                     GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  if (!session || !anything_lost(session, lost, error))
    return FALSE;
  g_autoptr(Rows) rows = session_query(
      session, error,
      "SELECT 1 FROM jobs WHERE pool = $1 AND status = 'queued' AND ($2 = '' OR kind = $2) LIMIT 1",
      text(pool), text(kind));
  return anything(rows, waiting, error);
}

static gboolean subject_begins(Session *session, const Job *job, GError **error) {
  if (job->kind == JOB_CHARACTER)
    return session_run(session, error,
                       "UPDATE characters SET status = 'processing' WHERE id = $1 AND status = 'pending'",
                       text(job->subject));
  if (job->kind == JOB_SCENE)
    return session_run(session, error,
                       "UPDATE scenes SET status = 'processing' WHERE id = $1 AND status = 'pending'",
                       text(job->subject));
  return TRUE;
}

static gint64 lease_until(const App *app) {
  return app_now() + app->settings->lease_seconds * 1000;
}

Job *job_claim(App *app, const char *pool, const char *worker, GError **error) {
  return job_claim_kind(app, pool, NULL, worker, error);
}

Job *job_claim_kind(App *app, const char *pool, const char *kind, const char *worker, GError **error) {
  gboolean waiting = FALSE, lost = FALSE;
  if (!kind)
    kind = "";
  if (!look(app, pool, kind, &waiting, &lost, error) || (lost && job_reap(app, error) < 0) ||
      (!waiting && !lost))
    return NULL;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  g_autoptr(Rows) rows =
      session ? session_query(
                    session, error,
                    "UPDATE jobs SET status = 'processing', worker = $1, lease = $2, "
                    "attempts = attempts + 1, started = COALESCE(started, $3) WHERE id = "
                    "(SELECT id FROM jobs WHERE pool = $4 AND status = 'queued' AND ($5 = '' OR kind = $5) "
                    "ORDER BY priority DESC, created LIMIT 1) RETURNING " JOB_COLUMNS,
                    text(worker), integer(lease_until(app)), integer(app_now()), text(pool), text(kind))
              : NULL;
  if (!rows || !rows_next(rows, error))
    return NULL;
  g_autoptr(Job) job = job_of_row(rows, error);
  return job && subject_begins(session, job, error) && session_commit(session, error) ? g_steal_pointer(&job)
                                                                                      : NULL;
}

/* ---- working ---- */

gboolean job_renew(App *app, const Job *job, double progress, const char *stage, const char *checkpoint,
                   json_t *partial, gboolean *held, GError **error) {
  g_autofree char *result = partial ? json_dumps(partial, JSON_COMPACT) : NULL;
  gint64 changed = 0;
  *held = FALSE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  if (!session ||
      !session_run_counted(
          session, error, &changed,
          "UPDATE jobs SET lease = $1, progress = CASE WHEN progress > $2 THEN progress ELSE $2 END, "
          "stage = $3, checkpoint = COALESCE($4, checkpoint), result = COALESCE($5, result) "
          "WHERE id = $6 AND status = 'processing' AND worker = $7 AND attempts = $8",
          integer(lease_until(app)), real(CLAMP(progress, 0.0, 100.0)), text(stage), text(checkpoint),
          text(result), text(job->id), text(job->worker), integer(job->attempts)))
    return FALSE;
  if (changed == 1 && partial &&
      (!holds_drop(session, job->id, "partial", error) ||
       !holds_named(session, job->id, "partial", partial, error)))
    return FALSE;
  if (!session_commit(session, error))
    return FALSE;
  *held = changed == 1;
  return TRUE;
}

/* ---- ending ---- */

static gboolean end_alone(App *app, const Job *job, JobEnd *end, gboolean *held, GError **error) {
  end->keep = app->settings->result_days * DAY_MS;
  gboolean theirs = FALSE;
  *held = FALSE;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session || !job_end(session, job, end, &theirs, error))
    return FALSE;
  if (theirs && !session_commit(session, error))
    return FALSE;
  *held = theirs;
  return TRUE;
}

gboolean job_complete(App *app, const Job *job, json_t *result, json_t *objects, gint64 charge,
                      gboolean *held, GError **error) {
  JobEnd end = {.status = JOB_COMPLETE, .result = result, .objects = objects, .charge = charge};
  return end_alone(app, job, &end, held, error);
}

gboolean job_fail(App *app, const Job *job, Refusal why, const char *message, gboolean *held,
                  GError **error) {
  JobEnd end = {.status = JOB_FAILED, .error = message, .error_code = refusal_name(why)};
  return end_alone(app, job, &end, held, error);
}

/* ---- put back ---- */

/* Back to the queue, or failed after the last attempt. The job's worker and attempt must still be right. */
static gboolean put_back(App *app, Session *session, const Job *job, const char *message, gboolean innocent,
                         GError **error) {
  gboolean held = FALSE;
  if (!innocent && job->attempts >= app->settings->attempts) {
    JobEnd end = {.status = JOB_FAILED, .error = message, .error_code = refusal_name(REFUSAL_FAILED)};
    return job_end(session, job, &end, &held, error);
  }
  return session_run(
      session, error,
      "UPDATE jobs SET status = 'queued', worker = NULL, lease = NULL, attempts = attempts - $1 "
      "WHERE id = $2 AND status = 'processing' AND worker = $3 AND attempts = $4",
      integer(innocent), text(job->id), text(job->worker), integer(job->attempts));
}

gboolean job_hand_back(App *app, const Job *job, const char *message, gboolean innocent, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  return session && put_back(app, session, job, message, innocent, error) && session_commit(session, error);
}

static GPtrArray *lost_jobs(Session *session, GError **error) {
  g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);
  g_autoptr(Rows) rows = session_query(
      session, error,
      "SELECT " JOB_COLUMNS " FROM jobs WHERE status = 'processing' AND lease < $1 ORDER BY lease LIMIT $2",
      integer(app_now()), integer(REAP_AT_ONCE));
  if (!rows)
    return NULL;
  while (rows_next(rows, error)) {
    Job *job = job_of_row(rows, error);
    if (!job)
      return NULL;
    g_ptr_array_add(jobs, job);
  }
  return rows_ended(rows) ? g_steal_pointer(&jobs) : NULL;
}

int job_reap(App *app, GError **error) {
  {
    gboolean lost = FALSE;
    g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
    if (!session || !anything_lost(session, &lost, error))
      return -1;
    if (!lost)
      return 0;
  }
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(GPtrArray) jobs = session ? lost_jobs(session, error) : NULL;
  if (!jobs)
    return -1;
  g_autofree char *message =
      g_strdup_printf("The work was interrupted %d times and is given up. Nothing was charged; try again.",
                      (int)app->settings->attempts);
  for (guint i = 0; i < jobs->len; i++)
    if (!put_back(app, session, jobs->pdata[i], message, FALSE, error))
      return -1;
  return session_commit(session, error) ? (int)jobs->len : -1;
}
