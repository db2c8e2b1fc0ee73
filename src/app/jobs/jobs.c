#include "app/jobs/jobs.h"
#include "app/jobs/holds.h"
#include "app/jobs/jobs_private.h"

#include <string.h>

static const char *const status_names[] = {"queued", "processing", "complete", "failed", "cancelled"};
static const char *const kind_names[] = {"character", "scene", "render", "training", "generation"};

static gboolean find(const char *const *names, gsize count, const char *name, int *found) {
  for (gsize i = 0; name && i < count; i++)
    if (g_str_equal(names[i], name)) {
      *found = (int)i;
      return TRUE;
    }
  return FALSE;
}

const char *job_status_name(JobStatus status) {
  return status_names[status];
}

const char *job_kind_name(JobKind kind) {
  return kind_names[kind];
}

gboolean job_kind_known(const char *name) {
  int kind;
  return find(kind_names, G_N_ELEMENTS(kind_names), name, &kind);
}

void job_free(Job *job) {
  if (!job)
    return;
  char *const texts[] = {job->id,         job->account,     job->subject, job->pool,        job->mode,
                         job->dialect,    job->checkpoint,  job->stage,   job->worker,      job->error,
                         job->error_code, job->webhook_url, job->prompt,  job->template_id, job->request};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(texts[i]);
  json_decref(job->spec);
  json_decref(job->result);
  g_free(job);
}

/* ---- rows ---- */

static char *copy(const Rows *rows, int column) {
  return g_strdup(rows_text(rows, column));
}

static json_t *parse(const Rows *rows, int column) {
  const char *value = rows_text(rows, column);
  return value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
}

Job *job_of_row(const Rows *rows, GError **error) {
  int kind = 0, status = 0;
  if (!find(kind_names, G_N_ELEMENTS(kind_names), rows_text(rows, 2), &kind) ||
      !find(status_names, G_N_ELEMENTS(status_names), rows_text(rows, 6), &status))
    return fault_null(error, FAULT_STORE,
                      "Job %s was written by a newer version of this program. Use that one.",
                      rows_text(rows, 0));
  Job *job = g_new(Job, 1);
  *job = (Job){
      .id = copy(rows, 0),
      .account = copy(rows, 1),
      .kind = (JobKind)kind,
      .subject = copy(rows, 3),
      .pool = copy(rows, 4),
      .priority = (int)rows_integer(rows, 5),
      .status = (JobStatus)status,
      .mode = copy(rows, 7),
      .dialect = copy(rows, 8),
      .spec = parse(rows, 9),
      .checkpoint = copy(rows, 10),
      .progress = rows_real(rows, 11),
      .stage = copy(rows, 12),
      .worker = copy(rows, 13),
      .attempts = (int)rows_integer(rows, 14),
      .price = rows_integer(rows, 15),
      .charged = rows_integer(rows, 16),
      .result = parse(rows, 17),
      .error = copy(rows, 18),
      .error_code = copy(rows, 19),
      .webhook_url = copy(rows, 20),
      .created = rows_integer(rows, 21),
      .started = rows_integer(rows, 22),
      .completed = rows_integer(rows, 23),
      .expires = rows_integer(rows, 24),
      .prompt = copy(rows, 25),
      .template_id = copy(rows, 26),
      .published = rows_integer(rows, 27),
  };
  return job;
}

Job *job_get(Session *session, const char *id, const char *account, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = $1", text(id));
  if (!rows)
    return NULL;
  if (rows_next(rows, error) && (!account || g_str_equal(account, rows_text(rows, 1))))
    return job_of_row(rows, error);
  if (rows_ended(rows))
    refuse(error, REFUSAL_NOT_FOUND,
           "There is no job with this id. Use the job_id that the create call gave.");
  return NULL;
}

/* ---- made ---- */

static gboolean check_unfinished(App *app, Session *session, const char *account, GError **error) {
  g_autoptr(Rows) rows = session_query(
      session, error, "SELECT COUNT(*) FROM jobs WHERE account = $1 AND completed IS NULL", text(account));
  if (!rows || !rows_next(rows, error))
    return FALSE;
  gint64 most = app->settings->jobs_unfinished;
  return rows_integer(rows, 0) < most ||
         refuse(error, REFUSAL_RATE,
                "The account has %" G_GINT64_FORMAT
                " unfinished jobs, which is the most it may have. Wait for one to "
                "end or cancel one.",
                rows_integer(rows, 0));
}

gboolean job_insert(App *app, Session *session, Job *job, GError **error) {
  if (!check_unfinished(app, session, job->account, error))
    return FALSE;
  if (!job->id)
    job->id = app_id("job_");
  job->status = JOB_QUEUED;
  job->created = app_now();
  g_autofree char *spec = json_dumps(job->spec, JSON_COMPACT);
  return session_run(
             session, error,
             "INSERT INTO jobs (id, account, kind, subject, pool, priority, status, mode, dialect, spec, "
             "price, webhook_url, created, prompt, template, request) VALUES ($1, $2, $3, $4, $5, $6, "
             "'queued', $7, "
             "$8, "
             "$9, $10, $11, $12, $13, $14, $15)",
             text(job->id), text(job->account), text(job_kind_name(job->kind)), text(job->subject),
             text(job->pool), integer(job->priority), text(job->mode), text(job->dialect), text(spec),
             integer(job->price), text(job->webhook_url), integer(job->created), text(job->prompt),
             text(job->template_id), text(job->request)) &&
         holds_named(session, job->id, "input", job->spec, error) &&
         ledger_reserve(session, job->account, job->id, job->price, error);
}

/* ---- cancelled ---- */

static gboolean cancel(Session *session, const Job *job, gboolean *held, GError **error) {
  JobEnd end = {.status = JOB_CANCELLED, .anyone = TRUE, .error = "cancelled"};
  return job_end(session, job, &end, held, error);
}

Job *job_cancel(App *app, const char *id, const char *account, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  g_autoptr(Job) job = session ? job_get(session, id, account, error) : NULL;
  gboolean held = FALSE;
  if (!job || !cancel(session, job, &held, error))
    return NULL;
  if (!held)
    return refuse(error, REFUSAL_CONFLICT,
                  "The job has ended already (%s); only one that is queued or processing "
                  "can be cancelled.",
                  job_status_name(job->status)),
           NULL;
  g_autoptr(Job) now = job_get(session, id, account, error);
  return now && session_commit(session, error) ? g_steal_pointer(&now) : NULL;
}

gboolean job_cancel_within(Session *session, const char *id, GError **error) {
  gboolean held = FALSE;
  g_autoptr(Job) job = job_get(session, id, NULL, error);
  return job && cancel(session, job, &held, error);
}
