/* What every create call has beside its own matter. */
#pragma once
#include "app/jobs.h"

/* --- Idempotency-Key --- */

typedef enum { IDEMPOTENCY_FIRST, IDEMPOTENCY_REPLAY } IdempotencyState;
/* Before the work: FIRST claims the name; REPLAY gives the first answer (status, body transfer full).
 * REFUSAL_CONFLICT: another request had this name, or the first is still being answered. request: SHA-256 of
 * method, path and body. Names live for a day. */
gboolean idempotency_begin(App *app, const char *account, const char *name, const char *request,
                           IdempotencyState *state, int *status, char **body, GError **error);
/* After it; an answer of 5xx or 429 frees the name instead. */
gboolean idempotency_end(App *app, const char *account, const char *name, int status, const char *body,
                         GError **error);

/* --- webhooks (Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature) --- */

/* Checked when the job is made. REFUSAL_INVALID. */
gboolean webhook_check(App *app, const char *url, GError **error);
/* Owes one notice, in the transaction that ends the job. */
gboolean webhook_owe(Session *session, const Job *job, GError **error);
/* The body is the object that a GET gives: the API knows how it looks (transfer full). */
typedef char *(*WebhookBodyFunc)(App *app, const Job *job, gpointer user);
/* Sends what is due (claims each delivery, so several processes may call it); how many were sent, or -1.
 * Retried after 5 s, 30 s, 2 min, 10 min, 1 h, 6 h. */
int webhook_send_due(App *app, WebhookBodyFunc body, gpointer user, GError **error);
/* "v1,BASE64" of HMAC-SHA-256 over id.timestamp.body under the account's secret "whsec_BASE64". */
char *webhook_signature(const char *secret, const char *id, gint64 timestamp, const char *body);
/* Deliveries of a job as JSON, newest first. */
json_t *webhook_deliveries(Session *session, const char *account, const char *job, GError **error);

/* --- limits --- */

/* Counts a request of the account in this process; FALSE with REFUSAL_RATE, and the seconds to wait, when
 * there were too many in the last minute. */
gboolean rate_check(App *app, const char *account, int *retry_seconds, GError **error);

/* --- sweeping --- */

/* Removes expired results, old idempotency names, objects that no row holds and scratch folders that nobody
 * uses; how many objects went, or -1. */
int sweep(App *app, GError **error);
