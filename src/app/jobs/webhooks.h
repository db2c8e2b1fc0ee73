/* Webhooks: one signed POST for each job that ended, as Standard Webhooks (standardwebhooks.com) has it:
 * webhook-id, webhook-timestamp, webhook-signature.
 *
 * A notice counts as given with an answer of 2xx; otherwise it is tried again after 5 s, 30 s, 2 min, 10 min,
 * 1 h and 6 h with the same id and body; 410 ends it at once. Receivers may see one twice when a sender died.
 */
#pragma once
#include "app/jobs/jobs.h"

/* Checked when the job is made. REFUSAL_INVALID. */
gboolean webhook_check(App *app, const char *url, GError **error);
/* Owes one notice, in the transaction that ends the job. */
gboolean webhook_owe(Session *session, const Job *job, GError **error);

/* The body is the object that a GET gives: the API knows how it looks (transfer full). */
typedef char *(*WebhookBodyFunc)(App *app, const Job *job, gpointer user);
/* Sends what is due (claims each delivery, so several processes may call it) and waits for the answers; how
 * many were sent, or -1. FAULT_USAGE when Settings.fetch_allow cannot be read. */
int webhook_send_due(App *app, WebhookBodyFunc body, gpointer user, GError **error);

/* "v1,BASE64" of HMAC-SHA-256 over id.timestamp.body under the account's secret "whsec_BASE64". timestamp:
 * seconds since 1970. */
char *webhook_signature(const char *secret, const char *id, gint64 timestamp, const char *body);

/* Deliveries of a job, newest first: [{"id", "url", "status": "pending|delivered|failed", "attempts",
 * "response_status", "error", "created_at", "delivered_at", "next_attempt_at"}]. */
json_t *webhook_deliveries(Session *session, const char *account, const char *job, GError **error);
