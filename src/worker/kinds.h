/* What there is to do for each kind of job. Private to worker/. */
#pragma once
#include "worker/run.h"

/* What a job comes to. */
typedef struct {
  json_t *result, *objects; /* of job_complete */
  gint64 charge;
} Yield;

/* FALSE with the errors of run_step (worker/run.h). */
typedef gboolean (*KindFunc)(Run *run, Yield *yield, GError **error);
gboolean character_work(Run *run, Yield *yield, GError **error);
gboolean scene_work(Run *run, Yield *yield, GError **error);
gboolean render_work(Run *run, Yield *yield, GError **error);
gboolean training_work(Run *run, Yield *yield, GError **error);
gboolean generation_work(Run *run, Yield *yield, GError **error);

/* Tasks that more than one kind needs; object: of the picture or video; out: a folder. NULL with FAULT_INPUT
 * when the object is not there. */
json_t *character_task(Run *run, const char *object, const char *out, GError **error);
json_t *scene_task(Run *run, const char *object, const char *model, const char *out, GError **error);

/* A string of the job's spec, or NULL. */
const char *spec_string(Run *run, const char *key);
/* Cores for one child of a job that is not in a hurry. */
int usual_cores(Run *run);
