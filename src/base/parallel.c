/* One span for each processor; the calling thread does the first itself. */
#include "base/parallel.h"

enum { THREADS_MAX = 8 };

typedef struct {
  ParallelSpan span;
  gpointer user;
  int begin, end;
} Share;

static gpointer run_share(gpointer data) {
  const Share *share = data;
  share->span(share->user, share->begin, share->end);
  return NULL;
}

void parallel_spans(int count, ParallelSpan span, gpointer user) {
  if (count <= 0)
    return;
  int threads = CLAMP((int)g_get_num_processors(), 1, MIN(count, THREADS_MAX));
  Share share[THREADS_MAX];
  GThread *thread[THREADS_MAX];
  for (int i = 0; i < threads; i++) {
    share[i] =
        (Share){span, user, (int)((gint64)count * i / threads), (int)((gint64)count * (i + 1) / threads)};
    thread[i] = i ? g_thread_new("span", run_share, &share[i]) : NULL;
  }
  run_share(&share[0]);
  for (int i = 1; i < threads; i++)
    g_thread_join(thread[i]);
}
