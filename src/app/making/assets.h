/* What making Characters, Scenes and Renders has in common. */
#pragma once
#include "app/jobs/jobs.h"

/* A form field that was sent empty was not sent. */
static inline const char *given(const char *value) {
  return value && *value ? value : NULL;
}

/* Whether the account could pay this much now: asked before anything is downloaded or inspected; the
 * reservation itself decides later. REFUSAL_CREDITS. */
gboolean asset_affordable(App *app, const char *account, gint64 price, GError **error);
/* A LIKE pattern (ESCAPE '\\') for texts with q in them, whose own wildcards count as characters; NULL: any
 * text (transfer full). */
char *asset_pattern(const char *q);
/* Ids of a new thing and of its job: a UUID, and "PREFIX_" with the UUID's first 12 hex digits, which no
 * other job has. Both transfer full. */
gboolean asset_ids(Session *session, const char *prefix, char **id, char **job, GError **error);
/* The newest job of this kind that the same request has made already, when its first attempt got no answer;
 * else NULL without an error. Whoever makes a job asks this before all else. */
gboolean asset_made(App *app, const Caller *caller, JobKind kind, Job **job, GError **error);
/* The job row of a request; strings are copied. dialect NULL: the key's. */
Job *asset_job(const char *id, JobKind kind, const Caller *caller, const char *dialect,
               const char *webhook_url);
