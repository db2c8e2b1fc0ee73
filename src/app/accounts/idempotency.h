/* Idempotency-Key: the same request under the same name is carried out once.
 *
 * A name is claimed before the work and keeps the answer after it, for a day. The process that answers may
 * die in between, or fail; then the request may be sent again under its name and is begun anew, and what the
 * first attempt has made is not made again: a job is inserted with the name, in the transaction that makes
 * everything else, so the second attempt finds it (asset_made, app/making/assets.h) and answers about that.
 */
#pragma once
#include "app/accounts/accounts.h"

typedef enum { IDEMPOTENCY_FIRST, IDEMPOTENCY_REPLAY } IdempotencyState;

/* Before the work: FIRST claims the name and writes it into the caller, REPLAY gives the first answer
 * (status, body transfer full). REFUSAL_CONFLICT: another request had this name, or the first is still being
 * answered. request: SHA-256 of method, path and body. */
gboolean idempotency_begin(App *app, Caller *caller, const char *name, const char *request,
                           IdempotencyState *state, int *status, char **body, GError **error);
/* After it; an answer of 5xx or 429 lets the name be used again instead. */
gboolean idempotency_end(App *app, const char *account, const char *name, int status, const char *body,
                         GError **error);
