/* A request whose connection is suspended stays as it is until somebody resumes it, also when its client has
 * gone: then the answer is made for the Idempotency-Key alone, and the sending fails. So nothing here needs
 * to know who is gone. */
#include "api/http/later.h"
#include "api/http/answer.h"
#include "api/http/server.h"

#define TICK_MS 100

struct Laters {
  GThread *thread;
  GMutex lock; /* of what follows */
  GCond wake;
  GPtrArray *requests; /* Request, not owned */
  guint asked;         /* of them with the thread at this moment */
  gboolean stopping;
};

Answer *answer_later(LaterFunc next, gpointer user, GDestroyNotify destroy) {
  Answer *answer = answer_empty(0);
  answer->next = next;
  answer->user = user;
  answer->destroy = destroy;
  return answer;
}

static Answer *ask(Request *request, gboolean stopping) {
  GError *error = NULL;
  Answer *answer = request->answer->next(request->api, request, request->answer->user, &error);
  if (answer)
    return answer;
  if (!error && stopping)
    refuse(&error, REFUSAL_BUSY,
           "The server is stopping. What the request began goes on; look for it in a moment.");
  return error ? answer_error(request, error) : NULL;
}

/* FALSE when it was answered: the request is not to be touched any more. */
static gboolean tend(Request *request, gboolean stopping) {
  Answer *answer = ask(request, stopping);
  if (!answer)
    return TRUE;
  dispatch_answer(request, answer, stopping && answer->status >= 500);
  loop_resume(request->loop, request->connection);
  return FALSE;
}

void laters_add(Laters *laters, Request *request) {
  g_mutex_lock(&laters->lock);
  gboolean stopping = laters->stopping;
  if (!stopping) {
    g_ptr_array_add(laters->requests, request);
    g_cond_signal(&laters->wake);
  }
  g_mutex_unlock(&laters->lock);
  if (stopping)
    tend(request, TRUE);
}

static void tend_all(Laters *laters, GPtrArray *requests, gboolean stopping) {
  for (guint i = 0; i < requests->len;)
    if (tend(requests->pdata[i], stopping))
      i++;
    else
      g_ptr_array_remove_index_fast(requests, i);
}

static gpointer run(gpointer user) {
  Laters *laters = user;
  g_mutex_lock(&laters->lock);
  for (;;) {
    gboolean stopping = laters->stopping;
    GPtrArray *mine = g_steal_pointer(&laters->requests);
    laters->requests = g_ptr_array_new();
    laters->asked = mine->len;
    g_mutex_unlock(&laters->lock);
    tend_all(laters, mine, stopping);
    g_mutex_lock(&laters->lock);
    g_ptr_array_extend_and_steal(laters->requests, mine);
    laters->asked = 0;
    if (stopping)
      break;
    gint64 until = g_get_monotonic_time() + TICK_MS * G_TIME_SPAN_MILLISECOND;
    while (!laters->stopping && laters->requests->len == 0)
      g_cond_wait(&laters->wake, &laters->lock);
    while (!laters->stopping && g_cond_wait_until(&laters->wake, &laters->lock, until))
      ;
  }
  g_mutex_unlock(&laters->lock);
  return NULL;
}

Laters *laters_new(void) {
  Laters *laters = g_new0(Laters, 1);
  laters->requests = g_ptr_array_new();
  g_mutex_init(&laters->lock);
  g_cond_init(&laters->wake);
  laters->thread = g_thread_new("later", run, laters);
  return laters;
}

void laters_stop(Laters *laters) {
  g_mutex_lock(&laters->lock);
  laters->stopping = TRUE;
  g_cond_broadcast(&laters->wake);
  g_mutex_unlock(&laters->lock);
  g_clear_pointer(&laters->thread, g_thread_join);
}

void laters_free(Laters *laters) {
  if (!laters)
    return;
  if (laters->thread)
    laters_stop(laters);
  g_ptr_array_free(laters->requests, TRUE);
  g_mutex_clear(&laters->lock);
  g_cond_clear(&laters->wake);
  g_free(laters);
}

guint laters_count(Laters *laters) {
  g_mutex_lock(&laters->lock);
  guint count = laters->requests->len + laters->asked;
  g_mutex_unlock(&laters->lock);
  return count;
}
