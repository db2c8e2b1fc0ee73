/* Webhooks: the signature of the specification, one notice for each end of a job, tried again when it fails,
 * sent once however many send. */
#include "company.h"

#include "../must.h"
#include "app/jobs/webhooks.h"

#include <gio/gio.h>
#include <string.h>

#define POOL "V4_Preview"

/* ---- somebody who listens ---- */

typedef struct {
  GSocketListener *listener;
  GThread *thread;
  GMutex lock;
  GPtrArray *requests; /* text of each */
  int status;          /* that it answers */
  guint16 port;
  gboolean stop;
} Receiver;

/* The whole request, which is short. */
static char *read_request(GInputStream *in) {
  g_autoptr(GString) request = g_string_new(NULL);
  char buffer[4096];
  for (;;) {
    gssize got = g_input_stream_read(in, buffer, sizeof buffer, NULL, NULL);
    if (got <= 0)
      break;
    g_string_append_len(request, buffer, got);
    const char *end = strstr(request->str, "\r\n\r\n"), *length = strcasestr(request->str, "content-length:");
    if (end && length && strlen(end + 4) >= strtoul(length + 15, NULL, 10))
      break;
  }
  return g_strdup(request->str);
}

static gpointer receive(gpointer user) {
  Receiver *receiver = user;
  for (;;) {
    g_autoptr(GSocketConnection) connection = g_socket_listener_accept(receiver->listener, NULL, NULL, NULL);
    if (!connection || receiver->stop)
      return NULL;
    char *request = read_request(g_io_stream_get_input_stream(G_IO_STREAM(connection)));
    g_mutex_lock(&receiver->lock);
    g_ptr_array_add(receiver->requests, request);
    g_autofree char *answer = g_strdup_printf(
        "HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", receiver->status);
    g_mutex_unlock(&receiver->lock);
    g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(connection)), answer, strlen(answer),
                              NULL, NULL, NULL);
  }
}

static void receiver_start(Receiver *receiver, int status) {
  *receiver = (Receiver){.listener = g_socket_listener_new(), .status = status};
  g_mutex_init(&receiver->lock);
  receiver->requests = g_ptr_array_new_with_free_func(g_free);
  receiver->port = g_socket_listener_add_any_inet_port(receiver->listener, NULL, NULL);
  receiver->thread = g_thread_new("receives", receive, receiver);
}

static void receiver_stop(Receiver *receiver) {
  receiver->stop = TRUE;
  g_autoptr(GSocketClient) client = g_socket_client_new();
  g_autoptr(GSocketConnection) last =
      g_socket_client_connect_to_host(client, "127.0.0.1", receiver->port, NULL, NULL);
  g_thread_join(receiver->thread);
  g_ptr_array_unref(receiver->requests);
  g_object_unref(receiver->listener);
  g_mutex_clear(&receiver->lock);
}

/* ---- jobs that end ---- */

static char *body_of(App *app, const Job *job, gpointer user) {
  return g_strdup_printf("{\"job\":\"%s\",\"status\":\"%s\"}", job->id, job_status_name(job->status));
}

/* A job that ended and owes a notice to the port; its id. */
static char *ended_job(Company *company, guint16 port) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Job) job = g_new0(Job, 1);
  *job = (Job){.kind = JOB_RENDER,
               .account = g_strdup(company->caller->account),
               .pool = g_strdup(POOL),
               .dialect = g_strdup("viggle"),
               .webhook_url = g_strdup_printf("http://127.0.0.1:%u/hook", port),
               .spec = json_object()};
  {
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
    must(session && job_insert(company->app, session, job, &error) && session_commit(session, &error));
  }
  g_autoptr(Job) cancelled = job_cancel(company->app, job->id, NULL, &error);
  must(cancelled);
  return g_strdup(job->id);
}

static int send_due(Company *company) {
  g_autoptr(GError) error = NULL;
  if (!company->settings->fetch_allow)
    company->settings->fetch_allow = g_strdup("127.0.0.0/8");
  int sent = webhook_send_due(company->app, body_of, NULL, &error);
  must(sent >= 0);
  return sent;
}

/* The listed delivery's member. */
static json_t *delivery(Company *company, const char *job) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  json_auto_t *list = webhook_deliveries(session, company->caller->account, job, &error);
  must(list);
  assert_int_equal(json_array_size(list), 1);
  return json_incref(json_array_get(list, 0));
}

static void make_due(Company *company) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session && session_run(session, &error, "UPDATE deliveries SET due = 1 WHERE due IS NOT NULL") &&
       session_commit(session, &error));
}

/* ---- tests ---- */

/* The example of the specification's reference implementations. */
static void the_signature_is_the_specifications(void **state) {
  g_autofree char *signature =
      webhook_signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                        "{\"test\": 2432232314}");
  assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static char *header(const char *request, const char *name) {
  g_autofree char *pattern = g_strdup_printf("^%s: (.*?)\r?$", name);
  g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE | G_REGEX_CASELESS, 0, NULL);
  g_autoptr(GMatchInfo) match = NULL;
  assert_true(g_regex_match(regex, request, 0, &match));
  return g_match_info_fetch(match, 1);
}

static char *secret_of(Company *company) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  g_autoptr(Rows) rows = session_query(session, &error, "SELECT webhook_secret FROM accounts WHERE id = $1",
                                       text(company->caller->account));
  must(rows && rows_next(rows, &error));
  return g_strdup(rows_text(rows, 0));
}

static void a_notice_is_signed_and_given_once(void **state) {
  Company *company = *state;
  Receiver receiver;
  receiver_start(&receiver, 204);
  g_autofree char *job = ended_job(company, receiver.port);
  assert_int_equal(send_due(company), 1);
  assert_int_equal(send_due(company), 0);
  assert_int_equal(receiver.requests->len, 1);
  const char *request = receiver.requests->pdata[0], *body = strstr(request, "\r\n\r\n") + 4;
  assert_true(g_str_has_prefix(request, "POST /hook HTTP/1.1"));
  assert_non_null(strstr(body, job));
  g_autofree char *id = header(request, "webhook-id"), *timestamp = header(request, "webhook-timestamp"),
                  *signature = header(request, "webhook-signature"), *secret = secret_of(company);
  gint64 when = g_ascii_strtoll(timestamp, NULL, 10);
  g_autofree char *expected = webhook_signature(secret, id, when, body);
  assert_string_equal(signature, expected);
  assert_true(ABS(when - g_get_real_time() / G_USEC_PER_SEC) < 60);
  json_auto_t *listed = delivery(company, job);
  assert_string_equal(json_string_value(json_object_get(listed, "status")), "delivered");
  assert_int_equal(json_integer_value(json_object_get(listed, "response_status")), 204);
  receiver_stop(&receiver);
}

static void a_refused_notice_is_tried_seven_times(void **state) {
  Company *company = *state;
  Receiver receiver;
  receiver_start(&receiver, 500);
  g_autofree char *job = ended_job(company, receiver.port);
  for (int i = 1; i <= 7; i++) {
    assert_int_equal(send_due(company), 1);
    json_auto_t *listed = delivery(company, job);
    assert_int_equal(json_integer_value(json_object_get(listed, "attempts")), i);
    assert_string_equal(json_string_value(json_object_get(listed, "status")), i < 7 ? "pending" : "failed");
    assert_int_equal(send_due(company), 0); /* not yet */
    make_due(company);
  }
  assert_int_equal(send_due(company), 0);
  g_autofree char *first = header(receiver.requests->pdata[0], "webhook-id");
  g_autofree char *last = header(receiver.requests->pdata[6], "webhook-id");
  assert_string_equal(first, last);
  receiver_stop(&receiver);
}

static void a_receiver_that_is_gone_is_left_alone(void **state) {
  Company *company = *state;
  Receiver receiver;
  receiver_start(&receiver, 410);
  g_autofree char *job = ended_job(company, receiver.port);
  assert_int_equal(send_due(company), 1);
  json_auto_t *listed = delivery(company, job);
  assert_string_equal(json_string_value(json_object_get(listed, "status")), "failed");
  receiver_stop(&receiver);
}

static void nobody_there_is_an_attempt(void **state) {
  Company *company = *state;
  g_autofree char *job = ended_job(company, 1);
  assert_int_equal(send_due(company), 1);
  json_auto_t *listed = delivery(company, job);
  assert_string_equal(json_string_value(json_object_get(listed, "status")), "pending");
  assert_true(json_is_null(json_object_get(listed, "response_status")));
  assert_true(json_string_length(json_object_get(listed, "error")) > 0);
}

static void private_networks_are_not_reached(void **state) {
  Company *company = *state;
  Receiver receiver;
  receiver_start(&receiver, 200);
  g_autofree char *job = ended_job(company, receiver.port);
  company->settings->fetch_allow = g_strdup("10.0.0.0/8");
  assert_int_equal(send_due(company), 1);
  assert_int_equal(receiver.requests->len, 0);
  receiver_stop(&receiver);
}

static gpointer send_in_thread(gpointer company) {
  return GINT_TO_POINTER(send_due(company));
}

static void many_senders_send_each_once(void **state) {
  Company *company = *state;
  Receiver receiver;
  receiver_start(&receiver, 200);
  company->settings->fetch_allow = g_strdup("127.0.0.0/8");
  for (int i = 0; i < 30; i++) {
    g_autofree char *job = ended_job(company, receiver.port);
  }
  GThread *threads[3];
  int sent = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("sends", send_in_thread, company);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    sent += GPOINTER_TO_INT(g_thread_join(threads[i]));
  assert_int_equal(sent, 30);
  assert_int_equal(receiver.requests->len, 30);
  g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < receiver.requests->len; i++)
    assert_true(g_hash_table_add(ids, header(receiver.requests->pdata[i], "webhook-id")));
  receiver_stop(&receiver);
}

static void addresses_are_checked_when_the_job_is_made(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  must(webhook_check(company->app, "https://example.com/hook?x=1", &error));
  const char *const wrong[] = {"", "example.com/hook", "ftp://example.com/", "file:///etc/passwd",
                               "javascript:alert(1)"};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    assert_false(webhook_check(company->app, wrong[i], &error));
    company_expect(&error, REFUSAL_INVALID, "webhook_url");
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_signature_is_the_specifications),
      TEST(a_notice_is_signed_and_given_once),
      TEST(a_refused_notice_is_tried_seven_times),
      TEST(a_receiver_that_is_gone_is_left_alone),
      TEST(nobody_there_is_an_attempt),
      TEST(private_networks_are_not_reached),
      TEST(many_senders_send_each_once),
      TEST(addresses_are_checked_when_the_job_is_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
