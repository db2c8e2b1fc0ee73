/* Tells the thread sanitizer what GLib's locks order.
 *
 * GLib of the distribution is not built with the sanitizer and makes its mutexes of bare futexes, so to the
 * sanitizer everything behind a GMutex looks like a race. This library, loaded before GLib, calls GLib's own
 * functions and says on the way which one lets go and which one takes over:
 *
 *   meson setup build-tsan -Db_sanitize=thread && ninja -C build-tsan
 *   TSAN_OPTIONS=suppressions=tests/thread/glib.supp G_SLICE=always-malloc \
 *     LD_PRELOAD=build-tsan/tests/thread/libglib-threads.so build-tsan/tests/api/test-api-http */
#include <dlfcn.h>
#include <glib.h>
#include <pthread.h>

void __tsan_acquire(void *address) __attribute__((weak));
void __tsan_release(void *address) __attribute__((weak));

static void take_over(void *address) {
  if (__tsan_acquire)
    __tsan_acquire(address);
}

static void let_go(void *address) {
  if (__tsan_release)
    __tsan_release(address);
}

/* GLib's function of this name. */
#define REAL(name)                                                                                           \
  static __typeof__(&name) real;                                                                             \
  if (!real)                                                                                                 \
  real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#undef g_mutex_lock
void g_mutex_lock(GMutex *mutex) {
  REAL(g_mutex_lock);
  real(mutex);
  take_over(mutex);
}

#undef g_mutex_trylock
gboolean g_mutex_trylock(GMutex *mutex) {
  REAL(g_mutex_trylock);
  gboolean locked = real(mutex);
  if (locked)
    take_over(mutex);
  return locked;
}

#undef g_mutex_unlock
void g_mutex_unlock(GMutex *mutex) {
  REAL(g_mutex_unlock);
  let_go(mutex);
  real(mutex);
}

void g_cond_wait(GCond *cond, GMutex *mutex) {
  REAL(g_cond_wait);
  let_go(mutex);
  real(cond, mutex);
  take_over(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time) {
  REAL(g_cond_wait_until);
  let_go(mutex);
  gboolean signalled = real(cond, mutex, end_time);
  take_over(mutex);
  return signalled;
}

void g_async_queue_push(GAsyncQueue *queue, gpointer data) {
  REAL(g_async_queue_push);
  let_go(queue);
  real(queue, data);
}

gpointer g_async_queue_pop(GAsyncQueue *queue) {
  REAL(g_async_queue_pop);
  gpointer data = real(queue);
  take_over(queue);
  return data;
}

gpointer g_async_queue_try_pop(GAsyncQueue *queue) {
  REAL(g_async_queue_try_pop);
  gpointer data = real(queue);
  take_over(queue);
  return data;
}

/* A pool's work begins after it was pushed: the pool's own function is wrapped, its item is the place. */
typedef struct {
  GFunc func;
  gpointer user;
} Work;

static void work(gpointer data, gpointer user) {
  Work *wrapped = user;
  take_over(data);
  wrapped->func(data, wrapped->user);
}

GThreadPool *g_thread_pool_new(GFunc func, gpointer user, gint most, gboolean exclusive, GError **error) {
  REAL(g_thread_pool_new);
  Work *wrapped = g_new(Work, 1); /* for as long as the program */
  *wrapped = (Work){func, user};
  return real(work, wrapped, most, exclusive, error);
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error) {
  REAL(g_thread_pool_push);
  let_go(data);
  return real(pool, data, error);
}

/* Who lets go of bytes last frees what the others have read: they come after one another here, by a lock that
 * the sanitizer knows. */
void g_bytes_unref(GBytes *bytes) {
  REAL(g_bytes_unref);
  static pthread_mutex_t one = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  pthread_mutex_lock(&one);
  real(bytes);
  pthread_mutex_unlock(&one);
}
