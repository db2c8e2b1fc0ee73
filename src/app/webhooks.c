#include "app/extras.h"

gboolean webhook_owe(Session *session, const Job *job, GError **error) {
  g_autofree char *id = app_id("msg_");
  gint64 now = app_now();
  return session_run(session, error,
                     "INSERT INTO deliveries (id, account, job, url, body, due, created) "
                     "VALUES ($1, $2, $3, $4, '', $5, $6)",
                     text(id), text(job->account), text(job->id), text(job->webhook_url), integer(now),
                     integer(now));
}
