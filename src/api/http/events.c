/* A stream's connection asks for bytes (read_stream) on its event-loop thread; where there are none it is
 * suspended, and the thread of this file resumes it as soon as there are. Suspending and resuming happen
 * under the listener's lock, so that no news falls between the question and the sleep. A listener is held by
 * the list and by its connection; who lets go last frees it. */
#include "api/http/events.h"

#include <string.h>

#define TICK_MS 250
#define COMMENT_MS 15000 /* so that proxies and we notice who is gone */

struct Listener {
  gint references;
  EventsFunc next;
  gpointer user;
  GDestroyNotify destroy;
  Events *events;
  struct MHD_Connection *connection;
  Loop *loop;
  gint64 spoken; /* monotonic ms; the thread's alone */
  GMutex lock;   /* of what follows */
  GString *text;
  gsize read; /* bytes of text that were taken */
  gboolean done, suspended, gone;
};

struct Events {
  Api *api;
  GThread *thread;
  GMutex lock;
  GCond wake;
  GPtrArray *listeners; /* each with a reference */
  gboolean stopping;
};

Listener *listener_new(EventsFunc next, gpointer user, GDestroyNotify destroy) {
  Listener *listener = g_new0(Listener, 1);
  listener->references = 1;
  listener->next = next;
  listener->user = user;
  listener->destroy = destroy;
  listener->text = g_string_new(NULL);
  g_mutex_init(&listener->lock);
  return listener;
}

static void unref(gpointer data) {
  Listener *listener = data;
  if (!g_atomic_int_dec_and_test(&listener->references))
    return;
  if (listener->destroy)
    listener->destroy(listener->user);
  g_string_free(listener->text, TRUE);
  g_mutex_clear(&listener->lock);
  g_free(listener);
}

void listener_free(Listener *listener) {
  unref(listener);
}

/* --- on the connection's thread --- */

static ssize_t read_stream(void *user, uint64_t position, char *out, size_t most) {
  Listener *listener = user;
  g_mutex_lock(&listener->lock);
  gsize n = MIN(listener->text->len - listener->read, most);
  ssize_t result = (ssize_t)n;
  if (n > 0) {
    memcpy(out, listener->text->str + listener->read, n);
    listener->read += n;
    if (listener->read == listener->text->len) {
      g_string_truncate(listener->text, 0);
      listener->read = 0;
    }
  } else if (listener->done) {
    result = MHD_CONTENT_READER_END_OF_STREAM;
  } else {
    listener->suspended = TRUE;
    MHD_suspend_connection(listener->connection);
  }
  g_mutex_unlock(&listener->lock);
  return result;
}

static void stream_gone(void *user) {
  Listener *listener = user;
  g_mutex_lock(&listener->lock);
  listener->gone = TRUE;
  g_mutex_unlock(&listener->lock);
  unref(listener);
}

struct MHD_Response *listener_response(Events *events, Listener *listener, Loop *loop,
                                       struct MHD_Connection *connection) {
  listener->events = events;
  listener->connection = connection;
  listener->loop = loop;
  listener->spoken = g_get_monotonic_time() / 1000;
  g_string_append(listener->text, ": hello\n\n"); /* the headers reach the client with it at once */
  g_mutex_lock(&events->lock);
  if (events->stopping) {
    listener->done = TRUE;
  } else {
    g_atomic_int_inc(&listener->references);
    g_ptr_array_add(events->listeners, listener);
    g_cond_signal(&events->wake);
  }
  g_mutex_unlock(&events->lock);
  return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, read_stream, listener, stream_gone);
}

/* --- on the thread of its own --- */

static void say(Listener *listener, const char *text, gboolean done) {
  g_mutex_lock(&listener->lock);
  g_string_append(listener->text, text);
  listener->done = listener->done || done;
  if (listener->suspended && !listener->gone) {
    listener->suspended = FALSE;
    loop_resume(listener->loop, listener->connection);
  }
  g_mutex_unlock(&listener->lock);
}

/* FALSE when nothing more will come of it. */
static gboolean tend(Events *events, Listener *listener, gboolean stopping) {
  g_mutex_lock(&listener->lock);
  gboolean over = listener->gone || listener->done, waiting = listener->text->len > 0;
  g_mutex_unlock(&listener->lock);
  if (over)
    return FALSE;
  if (stopping) {
    say(listener, "", TRUE);
    return FALSE;
  }
  if (waiting) /* a slow reader: let it read first */
    return TRUE;
  gint64 now = g_get_monotonic_time() / 1000;
  gboolean done = FALSE;
  g_autofree char *text = listener->next(events->api, listener->user, &done);
  if (done || (text && *text)) {
    listener->spoken = now;
    say(listener, text ? text : "", done);
  } else if (now - listener->spoken >= COMMENT_MS) {
    listener->spoken = now;
    say(listener, ": still here\n\n", FALSE);
  }
  return !done;
}

static gpointer run(gpointer user) {
  Events *events = user;
  g_mutex_lock(&events->lock);
  for (;;) {
    gboolean stopping = events->stopping;
    GPtrArray *mine = events->listeners;
    events->listeners = g_ptr_array_new_with_free_func(unref);
    g_mutex_unlock(&events->lock);
    for (guint i = 0; i < mine->len;)
      if (tend(events, mine->pdata[i], stopping))
        i++;
      else
        g_ptr_array_remove_index_fast(mine, i);
    g_mutex_lock(&events->lock);
    g_ptr_array_extend_and_steal(events->listeners, mine);
    if (stopping)
      break;
    gint64 until = g_get_monotonic_time() + TICK_MS * 1000;
    if (!events->stopping && events->listeners->len == 0)
      g_cond_wait(&events->wake, &events->lock);
    else
      while (!events->stopping && g_cond_wait_until(&events->wake, &events->lock, until))
        ;
  }
  g_mutex_unlock(&events->lock);
  return NULL;
}

Events *events_new(Api *api) {
  Events *events = g_new0(Events, 1);
  events->api = api;
  events->listeners = g_ptr_array_new_with_free_func(unref);
  g_mutex_init(&events->lock);
  g_cond_init(&events->wake);
  events->thread = g_thread_new("events", run, events);
  return events;
}

void events_stop(Events *events) {
  g_mutex_lock(&events->lock);
  events->stopping = TRUE;
  g_cond_broadcast(&events->wake);
  g_mutex_unlock(&events->lock);
  g_clear_pointer(&events->thread, g_thread_join);
}

void events_free(Events *events) {
  if (!events)
    return;
  if (events->thread)
    events_stop(events);
  g_ptr_array_free(events->listeners, TRUE);
  g_mutex_clear(&events->lock);
  g_cond_clear(&events->wake);
  g_free(events);
}

guint events_count(Events *events) {
  g_mutex_lock(&events->lock);
  guint count = events->listeners->len;
  g_mutex_unlock(&events->lock);
  return count;
}
