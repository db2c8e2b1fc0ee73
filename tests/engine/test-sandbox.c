/* From inside the sandbox: each probe runs in a process of its own, locks itself in, and tries what a hostile
 * file would try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/files.h"
#include "engine/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEGABYTE (1024 * 1024)

/* A data folder: the database, an object that the task names, one that it does not, the task's scratch. */
static struct { char *root, *database, *object, *other, *scratch, *outside; } data;

static int setup(void **state) {
  data.root = g_dir_make_tmp("sandbox-XXXXXX", NULL);
  data.database = g_build_filename(data.root, "troupe.db", NULL);
  data.object = g_build_filename(data.root, "object", NULL);
  data.other = g_build_filename(data.root, "other", NULL);
  data.scratch = g_build_filename(data.root, "scratch", NULL);
  data.outside = g_build_filename(data.root, "outside", NULL);
  return g_file_set_contents(data.database, "secret", -1, NULL) &&
                 g_file_set_contents(data.object, "input", -1, NULL) &&
                 g_file_set_contents(data.other, "theirs", -1, NULL) && g_mkdir(data.scratch, 0700) == 0
             ? 0
             : -1;
}

static int teardown(void **state) {
  files_remove_tree(data.root);
  return 0;
}

static SandboxLayers layers;
static int parent_file;

static Sandbox usual(void) {
  static const char *readable[2];
  readable[0] = data.object;
  return (Sandbox){.readable = readable, .writable = data.scratch};
}

/* The wait status of a process that locks itself in and returns what the probe returns (0: as it should be);
 * 99: it could not lock itself in. */
static int status_inside(const Sandbox *sandbox, int (*probe)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    if (!sandbox_enter(sandbox, &layers, NULL))
      _exit(99);
    _exit(probe());
  }
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return status;
}

static void expect_well(int status) {
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void expect_inside(int (*probe)(void)) {
  Sandbox sandbox = usual();
  expect_well(status_inside(&sandbox, probe));
}

/* --- probes: each returns the number of the first thing that is not as it should be --- */

static int refused(long result) {
  return result == -1 && errno == EPERM;
}

static int probe_calls(void) {
  static const long numbers[] = {SYS_ptrace,
                                 SYS_mount,
                                 SYS_umount2,
                                 SYS_keyctl,
                                 SYS_add_key,
                                 SYS_bpf,
                                 SYS_userfaultfd,
                                 SYS_io_uring_setup,
                                 SYS_perf_event_open,
                                 SYS_process_vm_readv,
                                 SYS_process_vm_writev,
                                 SYS_unshare,
                                 SYS_setns,
                                 SYS_chroot,
                                 SYS_pivot_root,
                                 SYS_init_module,
                                 SYS_kexec_load,
                                 SYS_execve,
                                 SYS_execveat,
                                 SYS_vfork,
                                 SYS_socketpair,
                                 SYS_connect,
                                 SYS_bind,
                                 SYS_listen,
                                 SYS_accept4,
                                 SYS_sendto,
                                 SYS_sendmsg,
                                 SYS_setuid,
                                 SYS_capset,
                                 SYS_kill,
                                 SYS_tkill,
                                 SYS_pidfd_open,
                                 SYS_pidfd_send_signal,
                                 SYS_sched_setaffinity,
                                 SYS_personality,
                                 SYS_seccomp,
                                 SYS_mknodat,
                                 SYS_linkat,
                                 SYS_symlinkat,
                                 SYS_shmget,
                                 SYS_msgget,
                                 SYS_name_to_handle_at,
                                 SYS_open_by_handle_at};
  for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
    errno = 0;
    if (!refused(syscall(numbers[i], 0, 0, 0, 0, 0, 0)))
      return 1 + (int)i;
  }
  return 0;
}

static int probe_network(void) {
  static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET};
  for (gsize i = 0; i < G_N_ELEMENTS(families); i++)
    if (!refused(socket(families[i], SOCK_STREAM, 0)) || !refused(socket(families[i], SOCK_RAW, 0)))
      return 1 + (int)i;
  return 0;
}

static int probe_processes(void) {
  char *const arguments[] = {(char *)"true", NULL}, *const nothing[] = {NULL};
  if (!refused(fork()))
    return 1;
  if (!refused(execve("/bin/true", arguments, nothing)))
    return 2;
  if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
    return 3;
  if (!refused(kill(getppid(), SIGTERM)) || !refused(kill(-1, 0)))
    return 4;
  if (!refused(syscall(SYS_tgkill, getppid(), getppid(), SIGTERM)))
    return 5;
  if (prctl(PR_GET_DUMPABLE) != 0)
    return 6;
  return 0;
}

static void *thread_42(void *unused) {
  return GINT_TO_POINTER(42);
}

static int probe_threads(void) {
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, thread_42, NULL) != 0 || pthread_join(thread, &result) != 0 ||
        result != GINT_TO_POINTER(42))
      return 1;
  }
  return 0;
}

static int readable(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static int writable(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static int probe_files(void) {
  if (!readable(data.object))
    return 1;
  g_autofree char *inside = g_build_filename(data.scratch, "out", NULL),
                  *folder = g_build_filename(data.scratch, "folder", NULL),
                  *moved = g_build_filename(data.scratch, "folder", "out", NULL),
                  *link = g_build_filename(data.scratch, "link", NULL);
  if (!writable(inside) || g_mkdir(folder, 0700) != 0 || g_rename(inside, moved) != 0 || !readable(moved) ||
      g_unlink(moved) != 0 || g_rmdir(folder) != 0)
    return 2;
  if (symlink(data.database, link) == 0 || g_file_test(link, G_FILE_TEST_IS_SYMLINK))
    return 3;
  if (!(layers & SANDBOX_FILES))
    return 0; /* a kernel without Landlock */
  if (readable(data.database) || readable(data.other))
    return 4;
  if (writable(data.object) || writable(data.outside) || writable("/tmp/outside-of-the-sandbox"))
    return 5;
  if (g_unlink(data.database) == 0 || g_rename(data.other, moved) == 0 || truncate(data.object, 0) == 0)
    return 6;
  if (readable("/etc/passwd") || readable("/proc/self/environ") || readable("/proc/1/cmdline"))
    return 7;
  g_autofree char *around = g_build_filename(data.scratch, "..", "troupe.db", NULL);
  if (readable(around))
    return 8;
  if (!readable("/usr/lib/os-release") || !readable("/dev/urandom") || !writable("/dev/null"))
    return 9;
  return 0;
}

static int probe_descriptors(void) {
  char byte;
  return read(parent_file, &byte, 1) != -1 || errno != EBADF;
}

static int probe_memory(void) {
  for (int i = 0; i < 2; i++) { /* what fits can be had again and again */
    void *some = mmap(NULL, 64 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (some == MAP_FAILED || munmap(some, 64 * MEGABYTE) != 0)
      return 1;
  }
  void *much = mmap(NULL, (gsize)2048 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return much == MAP_FAILED ? 0 : 2;
}

static int probe_spinning(void) {
  volatile guint64 i = 0;
  while (i < G_MAXUINT64)
    i++;
  return 1;
}

static int probe_file_size(void) {
  g_autofree char *path = g_build_filename(data.scratch, "large", NULL);
  g_autofree char *bytes = g_malloc0(MEGABYTE);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || write(fd, bytes, MEGABYTE) != MEGABYTE)
    return 1;
  if (write(fd, bytes, MEGABYTE) != MEGABYTE / 2) /* as much as fits */
    return 2;
  return write(fd, bytes, MEGABYTE) == -1 && errno == EFBIG ? 0 : 3;
}

static int probe_core(void) {
  abort();
}

static int probe_cpus(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) != 1;
}

/* --- tests --- */

static void test_calls(void **state) {
  expect_inside(probe_calls);
}

static void test_network(void **state) {
  expect_inside(probe_network);
}

static void test_processes(void **state) {
  expect_inside(probe_processes);
}

static void test_threads(void **state) {
  expect_inside(probe_threads);
}

static gpointer stay(gpointer nothing) {
  pause();
  return nothing;
}

/* What is there already would stay outside. */
static void test_threads_before(void **state) {
  Sandbox sandbox = usual();
  pid_t pid = fork();
  if (pid == 0) {
    g_thread_new("early", stay, NULL);
    _exit(sandbox_enter(&sandbox, &layers, NULL));
  }
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  expect_well(status);
}

static int probe_left(void) {
  return probe_network() || probe_processes();
}

/* The same inside, when the namespaces were left ahead of the rest by a process that forks. */
static void test_namespaces_ahead(void **state) {
  pid_t pid = fork();
  if (pid == 0) {
    sandbox_leave_namespaces();
    Sandbox sandbox = usual();
    _exit(status_inside(&sandbox, probe_left));
  }
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  expect_well(status);
}

static void test_files(void **state) {
  expect_inside(probe_files);
}

static void test_nothing_writable(void **state) {
  Sandbox sandbox = usual();
  sandbox.writable = NULL;
  int status = status_inside(&sandbox, probe_files);
  assert_true(WIFEXITED(status));
  assert_int_not_equal(WEXITSTATUS(status), 99);
}

static void test_inherited_descriptors(void **state) {
  parent_file = open(data.database, O_RDONLY);
  assert_true(parent_file > 2);
  expect_inside(probe_descriptors);
  close(parent_file);
}

/* Of two pipes the first is kept; the end of a process from before can be awaited. */
static int inside_with_a_child(void) {
  int kept[2], other[2], status = 0;
  char byte = 0;
  closefrom(3);
  if (pipe(kept) != 0 || pipe(other) != 0 || kept[0] != 3)
    return 1;
  pid_t child = fork();
  if (child == 0)
    _exit(write(kept[1], "x", 1) == 1 ? 7 : 8);
  Sandbox sandbox = usual();
  sandbox.kept = 1;
  if (!sandbox_enter(&sandbox, &layers, NULL))
    return 99;
  if (read(kept[0], &byte, 1) != 1 || byte != 'x' || read(kept[0], &byte, 1) != 0)
    return 2;
  if (fcntl(other[0], F_GETFD) != -1 || fcntl(kept[1], F_GETFD) != -1)
    return 3;
  if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7)
    return 4;
  return probe_processes() ? 5 : 0;
}

static void test_what_it_had_before(void **state) {
  pid_t pid = fork();
  if (pid == 0)
    _exit(inside_with_a_child());
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  expect_well(status);
}

static void test_memory(void **state) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* the sanitizers reserve terabytes */
#endif
  Sandbox sandbox = usual();
  sandbox.memory = 1024 * (gint64)MEGABYTE;
  expect_well(status_inside(&sandbox, probe_memory));
}

static void test_processor_time(void **state) {
  Sandbox sandbox = usual();
  sandbox.cpu_seconds = 1;
  int status = status_inside(&sandbox, probe_spinning);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGXCPU);
}

static void test_file_size(void **state) {
  Sandbox sandbox = usual();
  sandbox.file_bytes = MEGABYTE + MEGABYTE / 2;
  expect_well(status_inside(&sandbox, probe_file_size));
}

static void test_no_core(void **state) {
  Sandbox sandbox = usual();
  int status = status_inside(&sandbox, probe_core);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && !WCOREDUMP(status));
}

static void test_processors(void **state) {
  cpu_set_t set;
  assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &set))
    cpu++;
  Sandbox sandbox = usual();
  sandbox.cpus = &cpu;
  sandbox.cpu_count = 1;
  expect_well(status_inside(&sandbox, probe_cpus));
}

static void test_dies_with_its_parent(void **state) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t middle = fork();
  if (middle == 0) {
    pid_t inner = fork();
    if (inner == 0) {
      Sandbox sandbox = usual();
      pid_t self = getpid();
      if (write(ends[1], &self, sizeof self) < 0 || !sandbox_enter(&sandbox, &layers, NULL))
        _exit(99);
      for (;;)
        pause();
    }
    g_usleep(G_USEC_PER_SEC / 3);
    _exit(0);
  }
  pid_t inner = 0;
  int status = 0;
  assert_int_equal(read(ends[0], &inner, sizeof inner), sizeof inner);
  assert_int_equal(waitpid(middle, &status, 0), middle);
  assert_int_equal(waitpid(inner, &status, 0), inner); /* hangs if it lives on */
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  close(ends[0]);
  close(ends[1]);
}

/* As in a container that permits neither namespaces nor Landlock. */
static int poorer_layers(void) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  Sandbox sandbox = usual();
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) != 0 ||
      seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0) != 0 ||
      seccomp_load(filter) != 0)
    return 1;
  seccomp_release(filter);
  if (!sandbox_enter(&sandbox, &layers, NULL))
    return 2;
  if (layers != (SANDBOX_LIMITS | SANDBOX_CALLS))
    return 3;
  return probe_calls() || probe_network() || probe_processes() || probe_threads() ? 4 : 0;
}

static void test_in_a_container(void **state) {
  pid_t pid = fork();
  if (pid == 0)
    _exit(poorer_layers());
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  expect_well(status);
}

static void test_description(void **state) {
  g_autofree char *all =
                      sandbox_describe(SANDBOX_LIMITS | SANDBOX_NAMESPACES | SANDBOX_FILES | SANDBOX_CALLS),
                  *some = sandbox_describe(SANDBOX_CALLS), *none = sandbox_describe(0);
  assert_string_equal(all, "limits, namespaces, files, calls");
  assert_string_equal(some, "calls");
  assert_string_equal(none, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_calls),
      cmocka_unit_test(test_network),
      cmocka_unit_test(test_processes),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_threads_before),
      cmocka_unit_test(test_namespaces_ahead),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_nothing_writable),
      cmocka_unit_test(test_inherited_descriptors),
      cmocka_unit_test(test_what_it_had_before),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_processor_time),
      cmocka_unit_test(test_file_size),
      cmocka_unit_test(test_no_core),
      cmocka_unit_test(test_processors),
      cmocka_unit_test(test_dies_with_its_parent),
      cmocka_unit_test(test_in_a_container),
      cmocka_unit_test(test_description),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
