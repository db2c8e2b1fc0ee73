/* Which rows need which objects: what is held here the sweeper keeps (app/jobs/sweep.h).
 *
 * owner: id of a Character, Scene, Template or Job. role: "picture", "video", "folder", "mask", …; each owner
 * holds one object in a role. A job holds what its spec names ("input/OBJECT") and what it has made so far
 * ("partial/OBJECT") by itself while it is unfinished. All within the caller's transaction.
 *
 * A hold may be taken for an object that was put within the last hour, or that another row holds in the same
 * transaction: an object that was read about earlier may be gone. */
#pragma once
#include "store/database.h"
#include <jansson.h>

/* object NULL: the role is given up. Holding another object in the role replaces it. */
gboolean holds_set(Session *session, const char *owner, const char *role, const char *object, GError **error);
/* Everything that owner holds is given up; roles that begin with `prefix` only, where it is not NULL. */
gboolean holds_drop(Session *session, const char *owner, const char *prefix, GError **error);
/* The object that owner holds in the role (transfer full). FALSE with *error for trouble only; *object stays
 * NULL when there is none. */
gboolean holds_get(Session *session, const char *owner, const char *role, char **object, GError **error);
/* Holds every object that is named anywhere in the JSON, in the role prefix/OBJECT. */
gboolean holds_named(Session *session, const char *owner, const char *prefix, const json_t *json,
                     GError **error);
