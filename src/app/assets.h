/* What making Characters, Scenes and Renders has in common. */
#pragma once
#include "app/jobs.h"

/* A form field that was sent empty was not sent. */
static inline const char *given(const char *value) {
  return value && *value ? value : NULL;
}

/* Whether the account could pay this much now: asked before anything is downloaded or inspected; the
 * reservation itself decides later. REFUSAL_CREDITS. */
gboolean asset_affordable(App *app, const char *account, gint64 price, GError **error);
/* Ids of a new thing and of its job: a UUID, and "PREFIX_" with the UUID's first 12 hex digits, which no
 * other job has. Both transfer full. */
gboolean asset_ids(Session *session, const char *prefix, char **id, char **job, GError **error);
/* Keeps an object from the sweeper for as long as owner has this role for it. */
gboolean asset_hold(Session *session, const char *object, const char *owner, const char *role,
                    GError **error);
gboolean asset_release(Session *session, const char *owner, GError **error);
/* Cancels the job (NULL: none) if it has not ended yet. */
gboolean asset_cancel_job(App *app, const char *job, const char *account, GError **error);
/* The job row of a request; strings are copied. dialect NULL: the key's. */
Job *asset_job(const char *id, JobKind kind, const Caller *caller, const char *dialect,
               const char *webhook_url);
