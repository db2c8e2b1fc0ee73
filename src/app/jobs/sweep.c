#include "app/jobs/sweep.h"
#include "app/inputs/uploads.h"
#include "app/jobs/holds.h"
#include "app/jobs/jobs.h"
#include "base/files.h"

#include <string.h>
#include <sys/stat.h>

#define DAY_SECONDS (24 * 3600)
#define DAY_MS (DAY_SECONDS * G_GINT64_CONSTANT(1000))
#define DELIVERY_DAYS 30   /* notices that were given, or given up, are listed that long */
#define SCRATCH_SECONDS 60 /* after a job's last write there */

/* ---- rows ---- */

static gboolean sweep_rows(App *app, GError **error) {
  gint64 now = app_now();
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  return session &&
         session_run(session, error,
                     "DELETE FROM holds WHERE owner IN "
                     "(SELECT id FROM jobs WHERE expires IS NOT NULL AND expires <= $1)",
                     integer(now)) &&
         session_run(session, error, "DELETE FROM idempotency WHERE created < $1", integer(now - DAY_MS)) &&
         session_run(session, error, "DELETE FROM deliveries WHERE due IS NULL AND created < $1",
                     integer(now - DELIVERY_DAYS * DAY_MS)) &&
         upload_sweep(session, error) && session_commit(session, error);
}

/* ---- objects ---- */

/* Kept also when the tables cannot be asked. */
static gboolean is_held(const char *id, gpointer user) {
  App *app = user;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, NULL);
  g_autoptr(Rows) rows =
      session ? session_query(session, NULL, "SELECT 1 FROM holds WHERE object = $1 LIMIT 1", text(id))
              : NULL;
  return !rows || rows_next(rows, NULL) || !rows_ended(rows);
}

/* ---- scratch ---- */

static gboolean job_status(App *app, const char *id, gboolean *known, gboolean *running, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session ? session_query(session, error, "SELECT status FROM jobs WHERE id = $1", text(id)) : NULL;
  if (!rows)
    return FALSE;
  *known = rows_next(rows, error);
  *running = *known && g_str_equal(rows_text(rows, 0), job_status_name(JOB_PROCESSING));
  return rows_ended(rows);
}

/* name: "JOB" or "JOB.anything". */
static gboolean sweep_scratch_entry(App *app, const char *name, GError **error) {
  struct stat status;
  gboolean known = FALSE, running = FALSE;
  g_autofree char *path = g_build_filename(app->scratch, name, NULL);
  g_autofree char *job = g_strndup(name, strcspn(name, "."));
  if (lstat(path, &status) != 0)
    return TRUE;
  if (!job_status(app, job, &known, &running, error))
    return FALSE;
  gint64 age = g_get_real_time() / G_USEC_PER_SEC - status.st_mtim.tv_sec;
  gint64 spared = known ? MIN(SCRATCH_SECONDS, app->settings->sweep_age) : DAY_SECONDS;
  if (!running && age >= spared)
    files_remove_tree(path);
  return TRUE;
}

static gboolean sweep_scratch(App *app, GError **error) {
  g_autoptr(GDir) folder = g_dir_open(app->scratch, 0, NULL);
  for (const char *name; folder && (name = g_dir_read_name(folder));)
    if (!sweep_scratch_entry(app, name, error))
      return FALSE;
  return TRUE;
}

int sweep(App *app, GError **error) {
  if (!sweep_rows(app, error) || !sweep_scratch(app, error))
    return -1;
  return objects_sweep(app->objects, app->settings->sweep_age, is_held, app, error);
}
