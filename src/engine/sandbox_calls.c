/* The filter of system calls: a list of what is allowed, because what a kernel learns tomorrow is on no list
 * of what is forbidden. Refused calls fail with EPERM rather than kill, since libraries probe for what they
 * can do and then do without. clone3 fails as if it did not exist: its flags lie in memory, where a filter
 * cannot see them, and the C library then uses clone. */
#include "engine/sandbox_parts.h"

#include <errno.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

static const char *const allowed[] = {
    /* memory */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "membarrier", "mincore",
    /* threads */
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "gettid",
    "sched_yield", "sched_getaffinity", "sched_getattr", "sched_setattr", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "getcpu", "exit", "exit_group",
    /* the end of processes that it had before */
    "wait4",
    /* signals to itself */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    /* who and what it is */
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "uname",
    "sysinfo", "getrusage", "getrlimit", "times", "getrandom", "umask",
    /* time */
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    /* reading and writing what is open */
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2",
    "lseek", "_llseek", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "flock", "fsync", "fdatasync",
    "sync_file_range", "ftruncate", "fallocate", "fadvise64", "readahead", "sendfile", "splice",
    "copy_file_range", "pipe", "pipe2", "eventfd2", "poll", "ppoll", "select", "pselect6", "epoll_create1",
    "epoll_ctl", "epoll_wait", "epoll_pwait",
    /* files; which ones is for the other layer to say */
    "open", "openat", "stat", "lstat", "fstat", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs",
    "access", "faccessat", "faccessat2", "getdents", "getdents64", "getcwd", "readlink", "readlinkat",
    "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "chmod", "fchmod",
    "fchmodat", "truncate", "utimensat"};

/* Calls that are allowed with certain arguments. */
static int allow_some(scmp_filter_ctx filter) {
  static const int names[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE};
  static const unsigned long controls[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FICLONE};
  int bad = 0;
  /* Threads yes, processes no. */
  bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                          SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  bad |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  /* abort() and raise() speak to the process itself. */
  bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                          SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
  /* Limits may be read. */
  bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)names[i]));
  for (gsize i = 0; i < G_N_ELEMENTS(controls); i++)
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, controls[i]));
  return bad;
}

static int fill(scmp_filter_ctx filter) {
  int bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
  for (gsize i = 0; i < G_N_ELEMENTS(allowed); i++) {
    int call = seccomp_syscall_resolve_name(allowed[i]);
    if (call != __NR_SCMP_ERROR) /* a name that this architecture or library does not have */
      bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  }
  return bad | allow_some(filter);
}

gboolean sandbox_restrict_calls(GError **error) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  int bad = filter ? fill(filter) : -ENOMEM;
  if (bad == 0)
    bad = seccomp_load(filter);
  seccomp_release(filter);
  return bad == 0 ||
         fault(error, FAULT_INTERNAL, "The system calls of the engine cannot be restricted (%d).", bad);
}
