/* What the parts of the queue share: rows, and the end of a job. */
#pragma once
#include "app/jobs/jobs.h"

#define JOB_COLUMNS                                                                                          \
  "id, account, kind, subject, pool, priority, status, mode, dialect, spec, checkpoint, progress, stage, "   \
  "worker, "                                                                                                 \
  "attempts, price, charged, result, error, error_code, webhook_url, created, started, completed, expires, " \
  "prompt, template, published"

/* The row that Rows stands on, of JOB_COLUMNS in this order. */
Job *job_of_row(const Rows *rows, GError **error);

typedef struct {
  JobStatus status; /* complete, failed or cancelled */
  const char *error, *error_code;
  json_t *result, *objects; /* of a complete one */
  gint64 charge;
  gint64 keep;     /* milliseconds that the results of a Render or Generation are kept */
  gboolean anyone; /* also when the job is not (any more) with job->worker in job->attempts */
} JobEnd;

/* Ends the job within the transaction: its row, what it holds, its subject, the ledger, the webhook. held
 * becomes FALSE, and nothing is done, when it has ended already or is somebody else's. */
gboolean job_end(Session *session, const Job *job, const JobEnd *end, gboolean *held, GError **error);
