/* Notices of jobs that ended, as standardwebhooks.com describes them.
 *
 * A delivery is owed in the transaction that ends its job, so none is lost. Whoever sends claims it first:
 * the claim counts the attempt and moves its time on by CLAIM_MS, in which nobody else takes it and after
 * which, if the sender died, somebody does. Several are sent side by side, so that one slow receiver holds up
 * few. */
#include "app/jobs/webhooks.h"
#include "media/fetch.h"

#include <string.h>

#define CLAIM_MS 60000
#define POST_SECONDS 15
#define AT_ONCE 8
#define AGAIN_MOST 500 /* rounds in one call; the rest is for the next */
#define SECRET_PREFIX "whsec_"
#define STATUS_GONE 410 /* the receiver wants no more of it */

static const gint64 pauses[] = {5,       30,   2 * 60,
                                10 * 60, 3600, 6 * 3600}; /* seconds, after the first attempt on */

typedef struct {
  char *id, *job, *url, *body, *secret;
  gint64 attempts;
  long status;     /* of the answer, 0 without one */
  GError *trouble; /* why there was none */
  const FetchPolicy *policy;
} Delivery;

static void delivery_free(Delivery *delivery) {
  g_free(delivery->id);
  g_free(delivery->job);
  g_free(delivery->url);
  g_free(delivery->body);
  g_free(delivery->secret);
  g_clear_error(&delivery->trouble);
  g_free(delivery);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Delivery, delivery_free)

/* ---- owing ---- */

gboolean webhook_check(App *app, const char *url, GError **error) {
  g_autoptr(GError) why = NULL;
  return fetch_url_check(url, &why) || refuse(error, REFUSAL_INVALID, "webhook_url: %s", why->message);
}

gboolean webhook_owe(Session *session, const Job *job, GError **error) {
  g_autofree char *id = app_id("msg_");
  gint64 now = app_now();
  return session_run(session, error,
                     "INSERT INTO deliveries (id, account, job, url, body, due, created) "
                     "VALUES ($1, $2, $3, $4, '', $5, $6)",
                     text(id), text(job->account), text(job->id), text(job->webhook_url), integer(now),
                     integer(now));
}

/* ---- signing ---- */

char *webhook_signature(const char *secret, const char *id, gint64 timestamp, const char *body) {
  gsize key_length = 0, digest_length = 32;
  guint8 digest[32];
  const char *encoded = g_str_has_prefix(secret, SECRET_PREFIX) ? secret + strlen(SECRET_PREFIX) : secret;
  g_autofree guchar *key = g_base64_decode(encoded, &key_length);
  g_autofree char *head = g_strdup_printf("%s.%" G_GINT64_FORMAT ".", id, timestamp);
  g_autoptr(GHmac) hmac = g_hmac_new(G_CHECKSUM_SHA256, key, key_length);
  g_hmac_update(hmac, (const guchar *)head, (gssize)strlen(head));
  g_hmac_update(hmac, (const guchar *)body, (gssize)strlen(body));
  g_hmac_get_digest(hmac, digest, &digest_length);
  g_autofree char *signature = g_base64_encode(digest, digest_length);
  return g_strconcat("v1,", signature, NULL);
}

/* ---- sending ---- */

static gboolean any_due(App *app, gboolean *due, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session ? session_query(session, error,
                              "SELECT 1 FROM deliveries WHERE due IS NOT NULL AND due <= $1 LIMIT 1",
                              integer(app_now()))
              : NULL;
  if (!rows)
    return FALSE;
  *due = rows_next(rows, error);
  return rows_ended(rows);
}

/* The one that has waited longest, NULL when there is none. Its job goes to *job. */
static Delivery *claim_row(Session *session, const char *worker, GError **error) {
  gint64 now = app_now();
  g_autoptr(Rows) rows =
      session_query(session, error,
                    "UPDATE deliveries SET worker = $1, due = $2, attempts = attempts + 1 WHERE id = "
                    "(SELECT id FROM deliveries WHERE due IS NOT NULL AND due <= $3 ORDER BY due LIMIT 1) "
                    "RETURNING id, job, url, body, attempts, "
                    "(SELECT webhook_secret FROM accounts WHERE id = deliveries.account)",
                    text(worker), integer(now + CLAIM_MS), integer(now));
  if (!rows || !rows_next(rows, error))
    return NULL;
  Delivery *delivery = g_new(Delivery, 1);
  *delivery = (Delivery){.id = g_strdup(rows_text(rows, 0)),
                         .job = g_strdup(rows_text(rows, 1)),
                         .url = g_strdup(rows_text(rows, 2)),
                         .body = g_strdup(rows_text(rows, 3)),
                         .attempts = rows_integer(rows, 4),
                         .secret = g_strdup(rows_text(rows, 5))};
  return delivery;
}

/* Up to AT_ONCE deliveries and their jobs; those that were never sent get their bodies later. */
static gboolean claim_some(App *app, const char *worker, GPtrArray *deliveries, GPtrArray *jobs,
                           GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE_SOON, error);
  if (!session)
    return FALSE;
  while (deliveries->len < AT_ONCE) {
    GError *trouble = NULL;
    Delivery *delivery = claim_row(session, worker, &trouble);
    if (!delivery && trouble)
      return g_propagate_error(error, trouble), FALSE;
    if (!delivery)
      break;
    g_ptr_array_add(deliveries, delivery);
    Job *job = job_get(session, delivery->job, NULL, error);
    if (!job)
      return FALSE;
    g_ptr_array_add(jobs, job);
  }
  return session_commit(session, error);
}

static gpointer post(gpointer data) {
  Delivery *delivery = data;
  gint64 now = g_get_real_time() / G_USEC_PER_SEC;
  g_autofree char *signature = webhook_signature(delivery->secret, delivery->id, now, delivery->body);
  g_autofree char *id = g_strdup_printf("webhook-id: %s", delivery->id);
  g_autofree char *timestamp = g_strdup_printf("webhook-timestamp: %" G_GINT64_FORMAT, now);
  g_autofree char *signed_by = g_strdup_printf("webhook-signature: %s", signature);
  const char *headers[] = {"Content-Type: application/json", id, timestamp, signed_by, NULL};
  if (!fetch_post(delivery->url, headers, delivery->body, delivery->policy, POST_SECONDS, &delivery->status,
                  &delivery->trouble))
    delivery->status = 0;
  return NULL;
}

static gboolean record(Session *session, const char *worker, const Delivery *delivery, GError **error) {
  gboolean given = delivery->status >= 200 && delivery->status < 300;
  gint64 now = app_now();
  gsize tried = (gsize)MAX(delivery->attempts, 1);
  gboolean again = !given && delivery->status != STATUS_GONE && tried <= G_N_ELEMENTS(pauses);
  g_autofree char *answer = g_strdup_printf("The receiver answered with status %ld.", delivery->status);
  const char *why = given ? NULL : delivery->trouble ? delivery->trouble->message : answer;
  return session_run(session, error,
                     "UPDATE deliveries SET body = $1, due = $2, answer = $3, error = $4, delivered = $5 "
                     "WHERE id = $6 AND worker = $7 AND attempts = $8",
                     text(delivery->body), again ? integer(now + pauses[tried - 1] * 1000) : null(),
                     delivery->status ? integer(delivery->status) : null(), text(why),
                     given ? integer(now) : null(), text(delivery->id), text(worker),
                     integer(delivery->attempts));
}

static gboolean record_all(App *app, const char *worker, GPtrArray *deliveries, GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, error);
  if (!session)
    return FALSE;
  for (guint i = 0; i < deliveries->len; i++)
    if (!record(session, worker, deliveries->pdata[i], error))
      return FALSE;
  return session_commit(session, error);
}

/* One round; how many were sent. */
static int send_some(App *app, const char *worker, const FetchPolicy *policy, WebhookBodyFunc body,
                     gpointer user, GError **error) {
  g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func((GDestroyNotify)delivery_free);
  g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);
  if (!claim_some(app, worker, deliveries, jobs, error))
    return -1;
  GThread *threads[AT_ONCE] = {NULL};
  for (guint i = 0; i < deliveries->len; i++) {
    Delivery *delivery = deliveries->pdata[i];
    delivery->policy = policy;
    if (!*delivery->body) { /* what the job looked like at the first attempt is repeated by the later ones */
      g_free(delivery->body);
      delivery->body = body(app, jobs->pdata[i], user);
      if (!delivery->body)
        delivery->body = g_strdup("{}");
    }
    threads[i] = g_thread_new("webhook", post, delivery);
  }
  for (guint i = 0; i < deliveries->len; i++)
    g_thread_join(threads[i]);
  if (deliveries->len && !record_all(app, worker, deliveries, error))
    return -1;
  return (int)deliveries->len;
}

int webhook_send_due(App *app, WebhookBodyFunc body, gpointer user, GError **error) {
  gboolean due = FALSE;
  if (!any_due(app, &due, error))
    return -1;
  if (!due)
    return 0;
  g_autoptr(FetchPolicy) policy = fetch_policy_new(app->settings->fetch_allow, error);
  if (!policy)
    return -1;
  g_autofree char *worker = app_id("sender_");
  int sent = 0;
  for (int round = 0; round < AGAIN_MOST; round++) {
    int now = send_some(app, worker, policy, body, user, error);
    if (now < 0)
      return -1;
    sent += now;
    if (now < AT_ONCE)
      break;
  }
  return sent;
}

/* ---- listing ---- */

static json_t *time_json(const Rows *rows, int column) {
  g_autofree char *value = rows_null(rows, column) ? NULL : app_time_text(rows_integer(rows, column));
  return value ? json_string(value) : json_null();
}

static json_t *delivery_json(const Rows *rows) {
  const char *status = !rows_null(rows, 7) ? "delivered" : rows_null(rows, 3) ? "failed" : "pending";
  return json_pack("{s:s, s:s, s:s, s:I, s:o, s:s?, s:o, s:o, s:o}", "id", rows_text(rows, 0), "url",
                   rows_text(rows, 1), "status", status, "attempts", (json_int_t)rows_integer(rows, 2),
                   "response_status", rows_null(rows, 4) ? json_null() : json_integer(rows_integer(rows, 4)),
                   "error", rows_text(rows, 5), "created_at", time_json(rows, 6), "delivered_at",
                   time_json(rows, 7), "next_attempt_at", time_json(rows, 3));
}

json_t *webhook_deliveries(Session *session, const char *account, const char *job, GError **error) {
  g_autoptr(Rows) rows =
      session_query(session, error,
                    "SELECT id, url, attempts, due, answer, error, created, delivered "
                    "FROM deliveries WHERE job = $1 AND account = $2 ORDER BY created DESC, id",
                    text(job), text(account));
  if (!rows)
    return NULL;
  json_auto_t *list = json_array();
  while (rows_next(rows, error))
    json_array_append_new(list, delivery_json(rows));
  return rows_ended(rows) ? json_incref(list) : NULL;
}
