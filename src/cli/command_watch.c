/* troupe watch JOB: a job's way, as it goes. */
#include "app/jobs/jobs.h"
#include "cli/settings.h"

#include <stdio.h>
#include <unistd.h>

#define LOOK_US 250000

static Job *look(App *app, const char *id, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  return session ? job_get(session, id, NULL, error) : NULL;
}

static void show(const Job *job, gboolean again) {
  gboolean terminal = isatty(STDERR_FILENO);
  fprintf(stderr, "%s%s %s %3.0f %%%s%s%s", terminal && again ? "\r\033[K" : "", job->id,
          job_status_name(job->status), job->progress, job->checkpoint ? ", " : "",
          job->checkpoint ? job->checkpoint : "", terminal ? "" : "\n");
}

static gboolean changed(const Job *old, const Job *new) {
  return !old || old->status != new->status || (int)old->progress != (int)new->progress ||
         g_strcmp0(old->checkpoint, new->checkpoint) != 0;
}

/* Follows until the job has ended. */
static Job *follow(App *app, const char *id, gboolean quiet, GError **error) {
  g_autoptr(Job) last = NULL;
  for (;;) {
    g_autoptr(Job) job = look(app, id, error);
    if (!job)
      return NULL;
    if (!quiet && changed(last, job))
      show(job, last != NULL);
    if (job->status >= JOB_COMPLETE)
      break;
    g_clear_pointer(&last, job_free);
    last = g_steal_pointer(&job);
    g_usleep(LOOK_US);
  }
  if (!quiet && isatty(STDERR_FILENO))
    fputc('\n', stderr);
  return look(app, id, error);
}

int command_watch(int argc, char **argv) {
  GError *error = NULL;
  g_auto(ServerSettings) settings = {0};
  CommonOptions common = {0};
  g_autoptr(App) app = server_command_open("watch", NULL, &settings, &common, &argc, &argv, &error);
  if (app && argc != 2)
    fault(&error, FAULT_USAGE, "It is `troupe watch JOB`, with the job's id.");
  g_autoptr(Job) job = app && !error ? follow(app, argv[1], common.quiet, &error) : NULL;
  if (job && job->status == JOB_FAILED)
    fault(&error, FAULT_INPUT, "%s failed: %s", job->id, job->error);
  else if (job && job->status == JOB_CANCELLED)
    fault(&error, FAULT_INPUT, "%s was cancelled.", job->id);
  g_free(common.models);
  return cli_finish("watch", error);
}
