/* The order matters. Namespaces come before the death signal, because a change of credentials clears it;
 * files are named to Landlock before capabilities go; the filter of system calls is last, since it forbids
 * what the others need. */
#include "engine/sandbox.h"
#include "engine/sandbox_parts.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 256
/* Threads and processes of one user namespace: those of an engine and of all chunks that it has forked. */
#define MAX_THREADS 4096
/* After this many seconds more, SIGXCPU is followed by SIGKILL. */
#define CPU_GRACE 5

/* The sanitizers reserve terabytes of addresses. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ADDRESSES_COUNT 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define ADDRESSES_COUNT 0
#endif
#endif
#ifndef ADDRESSES_COUNT
#define ADDRESSES_COUNT 1
#endif

static gboolean limit(int resource, gint64 soft, gint64 hard, GError **error) {
  struct rlimit now;
  if (getrlimit(resource, &now) != 0)
    return fault(error, FAULT_INTERNAL, "A limit cannot be read: %s.", g_strerror(errno));
  /* A limit can be lowered by anyone, raised by nobody. */
  rlim_t most = MIN((rlim_t)hard, now.rlim_max);
  struct rlimit wanted = {.rlim_cur = MIN((rlim_t)soft, most), .rlim_max = most};
  return setrlimit(resource, &wanted) == 0 ||
         fault(error, FAULT_INTERNAL, "A limit cannot be set: %s.", g_strerror(errno));
}

static gboolean set_limits(const Sandbox *sandbox, GError **error) {
  signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of writing, not the end */
  if (sandbox->memory && ADDRESSES_COUNT && !limit(RLIMIT_AS, sandbox->memory, sandbox->memory, error))
    return FALSE;
  if (sandbox->cpu_seconds &&
      !limit(RLIMIT_CPU, sandbox->cpu_seconds, sandbox->cpu_seconds + CPU_GRACE, error))
    return FALSE;
  if (sandbox->file_bytes && !limit(RLIMIT_FSIZE, sandbox->file_bytes, sandbox->file_bytes, error))
    return FALSE;
  return limit(RLIMIT_NOFILE, MAX_DESCRIPTORS, MAX_DESCRIPTORS, error) && limit(RLIMIT_CORE, 0, 0, error) &&
         limit(RLIMIT_MEMLOCK, 0, 0, error) && limit(RLIMIT_MSGQUEUE, 0, 0, error);
}

static gboolean left; /* this process, or the one that forked it, has left the namespaces */

/* Outside of a namespace of its own, RLIMIT_NPROC counts everything that the user runs, so it is set inside
 * one only; the filter forbids processes anyway. */
void sandbox_leave_namespaces(void) {
  if (left || unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) != 0)
    return;
  limit(RLIMIT_NPROC, MAX_THREADS, MAX_THREADS, NULL);
  left = TRUE;
}

static void drop_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
  syscall(SYS_capset, &header, none);
}

static void stay_on(const int *cpus, int count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < count; i++)
    if (cpus[i] >= 0 && cpus[i] < CPU_SETSIZE)
      CPU_SET(cpus[i], &set);
  if (CPU_COUNT(&set) > 0)
    sched_setaffinity(0, sizeof set, &set); /* a processor that is gone by now is no reason to fail */
}

static gboolean die_with(int parent, GError **error) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
    return fault(error, FAULT_INTERNAL, "The parent of the engine is gone.");
  return TRUE;
}

/* A thread that is there already would stay outside. */
static gboolean check_alone(GError **error) {
  guint threads = 0;
  g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
  while (tasks && g_dir_read_name(tasks))
    threads++;
  return threads <= 1 ||
         fault(error, FAULT_INTERNAL, "The engine has %u threads before it is locked in.", threads);
}

gboolean sandbox_enter(const Sandbox *sandbox, SandboxLayers *layers, GError **error) {
  int parent = sandbox->parent ? sandbox->parent : getppid();
  *layers = 0;
  if (!check_alone(error))
    return FALSE;
  closefrom(STDERR_FILENO + 1 + sandbox->kept);
  stay_on(sandbox->cpus, sandbox->cpu_count);
  if (!set_limits(sandbox, error))
    return FALSE;
  *layers |= SANDBOX_LIMITS;
  sandbox_leave_namespaces();
  if (left)
    *layers |= SANDBOX_NAMESPACES;
  if (!die_with(parent, error))
    return FALSE;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
    return fault(error, FAULT_INTERNAL, "The engine cannot be locked in: %s.", g_strerror(errno));
  if (sandbox_restrict_files(sandbox))
    *layers |= SANDBOX_FILES;
  drop_capabilities();
  if (!sandbox_restrict_calls(error))
    return FALSE;
  *layers |= SANDBOX_CALLS;
  return TRUE;
}

char *sandbox_describe(SandboxLayers layers) {
  static const struct {
    SandboxLayers layer;
    const char *name;
  } names[] = {{SANDBOX_LIMITS, "limits"},
               {SANDBOX_NAMESPACES, "namespaces"},
               {SANDBOX_FILES, "files"},
               {SANDBOX_CALLS, "calls"}};
  g_autoptr(GString) text = g_string_new(NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    if (layers & names[i].layer)
      g_string_append_printf(text, "%s%s", text->len ? ", " : "", names[i].name);
  return g_string_free(g_steal_pointer(&text), FALSE);
}
