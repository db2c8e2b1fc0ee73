/* Idempotency-Key: the same request under the same name is carried out once.
 *
 * A name is claimed before the work and keeps the answer after it, for a day. A request that was interrupted
 * in between (the process died) may have been carried out or not; its name stays refused. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"

typedef enum { IDEMPOTENCY_FIRST, IDEMPOTENCY_REPLAY } IdempotencyState;

/* Before the work: FIRST claims the name; REPLAY gives the first answer (status, body transfer full).
 * REFUSAL_CONFLICT: another request had this name, or the first was not answered (yet). request: SHA-256 of
 * method, path and body. */
gboolean idempotency_begin(App *app, const char *account, const char *name, const char *request,
                           IdempotencyState *state, int *status, char **body, GError **error);
/* After it; an answer of 5xx or 429 frees the name instead. */
gboolean idempotency_end(App *app, const char *account, const char *name, int status, const char *body,
                         GError **error);
