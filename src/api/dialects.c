/* The one place that knows every dialect. */
#include "api/dialects.h"

const Dialect *const dialects[] = {&dialect_own,    &dialect_viggle, &dialect_viggle_v1,
                                   &dialect_vicsee, &dialect_prism,  NULL};

/* The dialect that the job was made in; one that is not served any more speaks as Viggle does. */
static const Dialect *dialect_of(const Job *job) {
  for (const Dialect *const *dialect = dialects; *dialect; dialect++)
    if ((*dialect)->job_object && g_strcmp0((*dialect)->name, job->dialect) == 0)
      return *dialect;
  return &dialect_viggle;
}

char *dialect_job_body(App *app, const Job *job, gpointer user) {
  g_autoptr(GError) error = NULL;
  json_t *object = dialect_of(job)->job_object(app, job, &error);
  if (!object)
    return NULL;
  char *body = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
  json_decref(object);
  return body;
}
