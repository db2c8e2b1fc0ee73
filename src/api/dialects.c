/* The one place that knows every dialect. */
#include "api/dialects.h"
#include "api/viggle_objects.h"
#include "api/viggle_v1_objects.h"

const Dialect *const dialects[] = {&dialect_own, &dialect_viggle, &dialect_viggle_v1, NULL};

char *dialect_job_body(App *app, const Job *job, gpointer user) {
  g_autoptr(GError) error = NULL;
  json_t *object = g_strcmp0(job->dialect, dialect_viggle_v1.name) == 0
                       ? viggle_v1_job_object(app, job, &error)
                       : viggle_job_object(app, job, &error);
  if (!object)
    return NULL;
  char *body = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
  json_decref(object);
  return body;
}
