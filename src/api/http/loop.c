#include "api/http/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Loop {
  struct MHD_Daemon *daemon;
  GThread *thread;
  int wake;    /* an eventfd: the thread is to look at what follows */
  GMutex lock; /* of what follows */
  GCond changed;
  gboolean quiesce, quiet, end;
};

static GPrivate current; /* each thread's own */

Loop *loop_current(void) {
  return g_private_get(&current);
}

void loop_resume(Loop *loop, struct MHD_Connection *connection) {
  MHD_resume_connection(connection);
  eventfd_write(loop->wake, 1);
}

static int patience(struct MHD_Daemon *daemon) {
  MHD_UNSIGNED_LONG_LONG milliseconds;
  return MHD_get_timeout(daemon, &milliseconds) == MHD_YES ? (int)MIN(milliseconds, G_MAXINT) : -1;
}

/* Called before the daemon runs, so that a connection which is resumed meanwhile wakes the next round. FALSE
 * at the end. */
static gboolean obey(Loop *loop) {
  eventfd_t count;
  eventfd_read(loop->wake, &count);
  g_mutex_lock(&loop->lock);
  if (loop->quiesce && !loop->quiet) {
    int fd = MHD_quiesce_daemon(loop->daemon);
    if (fd >= 0)
      close(fd);
    loop->quiet = TRUE;
    g_cond_broadcast(&loop->changed);
  }
  gboolean end = loop->end;
  g_mutex_unlock(&loop->lock);
  return !end;
}

static gpointer run(gpointer user) {
  Loop *loop = user;
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE); /* sendfile knows no MSG_NOSIGNAL */
  pthread_sigmask(SIG_BLOCK, &pipe, NULL);
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  struct pollfd waits[] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = loop->wake, .events = POLLIN}};
  g_private_set(&current, loop);
  for (;;) {
    poll(waits, G_N_ELEMENTS(waits), patience(loop->daemon));
    if (waits[1].revents && !obey(loop))
      return NULL;
    MHD_run(loop->daemon);
  }
}

Loop *loop_start(struct MHD_Daemon *daemon) {
  Loop *loop = g_new0(Loop, 1);
  loop->daemon = daemon;
  loop->wake = eventfd(0, EFD_CLOEXEC);
  if (loop->wake < 0)
    g_error("eventfd: %s", g_strerror(errno));
  g_mutex_init(&loop->lock);
  g_cond_init(&loop->changed);
  loop->thread = g_thread_new("http", run, loop);
  return loop;
}

void loop_quiesce(Loop *loop) {
  g_mutex_lock(&loop->lock);
  loop->quiesce = TRUE;
  eventfd_write(loop->wake, 1);
  while (!loop->quiet)
    g_cond_wait(&loop->changed, &loop->lock);
  g_mutex_unlock(&loop->lock);
}

void loop_free(Loop *loop) {
  if (!loop)
    return;
  g_mutex_lock(&loop->lock);
  loop->end = TRUE;
  g_mutex_unlock(&loop->lock);
  eventfd_write(loop->wake, 1);
  g_thread_join(loop->thread);
  MHD_stop_daemon(loop->daemon);
  close(loop->wake);
  g_mutex_clear(&loop->lock);
  g_cond_clear(&loop->changed);
  g_free(loop);
}
