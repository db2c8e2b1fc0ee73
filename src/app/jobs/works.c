/* Renders and Generations as one history. */
#include "app/jobs/jobs_private.h"
#include "app/making/assets.h"
#include "app/making/generations.h"

#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT(1000))

#define FOUND                                                                                                \
  "FROM jobs WHERE (account = $1 OR $2 = 1 OR ($3 = 1 AND published IS NOT NULL)) AND ((kind = 'render' "    \
  "AND $4 = 1) OR (kind = 'generation' AND $5 = 1)) AND LOWER(COALESCE(prompt, '')) LIKE LOWER($6) ESCAPE "  \
  "'\\' AND ($7 = 0 OR published IS NOT NULL) AND ($8 = 0 OR (status = 'complete' AND (expires IS NULL OR "  \
  "expires > $9)))"
#define FOUND_VALUES(query, like)                                                                            \
  text((query)->account ? (query)->account : ""), integer(!(query)->account), integer((query)->others),      \
      integer(((query)->kinds & WORK_RENDERS) != 0), integer(((query)->kinds & WORK_GENERATIONS) != 0),      \
      text(like), integer((query)->published), integer((query)->complete), integer(app_now())

static gboolean count(Session *session, const WorkQuery *query, const char *like, gint64 *total,
                      GError **error) {
  g_autoptr(Rows) rows = session_query(session, error, "SELECT COUNT(*) " FOUND, FOUND_VALUES(query, like));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  *total = rows_integer(rows, 0);
  return TRUE;
}

GPtrArray *work_search(App *app, const WorkQuery *query, gint64 *total, GError **error) {
  g_autofree char *like = asset_pattern(query->q);
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  if (!session || (total && !count(session, query, like, total, error)))
    return NULL;
  g_autoptr(Rows) rows = session_query(
      session, error, "SELECT " JOB_COLUMNS " " FOUND " ORDER BY created DESC, id DESC LIMIT $10 OFFSET $11",
      FOUND_VALUES(query, like), integer(query->limit), integer(query->offset));
  if (!rows)
    return NULL;
  g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);
  while (rows_next(rows, error)) {
    Job *job = job_of_row(rows, error);
    if (!job)
      return NULL;
    g_ptr_array_add(jobs, job);
  }
  return rows_ended(rows) ? g_steal_pointer(&jobs) : NULL;
}

static gboolean check_publishable(const Job *job, GError **error) {
  if (job->kind != JOB_RENDER && job->kind != JOB_GENERATION)
    return refuse(error, REFUSAL_CONFLICT, "%s is a %s; only renders and generations can be published.",
                  job->id, job_kind_name(job->kind));
  if (job->status != JOB_COMPLETE)
    return refuse(error, REFUSAL_CONFLICT, "%s is %s; only what is complete can be published.", job->id,
                  job_status_name(job->status));
  if (job->expires > 0 && job->expires <= app_now())
    return refuse(error, REFUSAL_CONFLICT, "The results of %s are kept no longer.", job->id);
  return TRUE;
}

gboolean work_publish(App *app, const char *account, const char *id, gboolean published, GError **error) {
  gint64 now = app_now(), until = now + app->settings->result_days * DAY_MS;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(Job) job = session ? job_get(session, id, account, error) : NULL;
  if (!job || !check_publishable(job, error))
    return FALSE;
  if (published == (job->published > 0))
    return TRUE;
  return session_run(session, error, "UPDATE jobs SET published = $1, expires = $2 WHERE id = $3",
                     published ? integer(now) : null(), published ? null() : integer(until), text(id)) &&
         session_commit(session, error);
}
