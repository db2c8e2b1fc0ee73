/* Landlock by its system calls (Documentation/userspace-api/landlock.rst of Linux): the C library of Debian
 * 12 has no functions for it. What a newer kernel can restrict is restricted there: what this file handles
 * depends on the version that the kernel states. */
#include "engine/sandbox_parts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/landlock.h, which may be older than the kernel. */
enum {
  EXECUTE = 1 << 0,
  WRITE_FILE = 1 << 1,
  READ_FILE = 1 << 2,
  READ_DIR = 1 << 3,
  REMOVE_DIR = 1 << 4,
  REMOVE_FILE = 1 << 5,
  MAKE_CHAR = 1 << 6,
  MAKE_DIR = 1 << 7,
  MAKE_REG = 1 << 8,
  MAKE_SOCK = 1 << 9,
  MAKE_FIFO = 1 << 10,
  MAKE_BLOCK = 1 << 11,
  MAKE_SYM = 1 << 12,
  REFER = 1 << 13,     /* version 2 */
  TRUNCATE = 1 << 14,  /* version 3 */
  IOCTL_DEV = 1 << 15, /* version 5 */
  FILE_RIGHTS =
      EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV, /* what a file that is no folder has */
};
enum { BIND_TCP = 1 << 0, CONNECT_TCP = 1 << 1 };        /* version 4 */
enum { ABSTRACT_UNIX_SOCKET = 1 << 0, SIGNAL = 1 << 1 }; /* version 6 */
enum { CREATE_RULESET_VERSION = 1 << 0, RULE_PATH_BENEATH = 1 };

typedef struct {
  guint64 handled_access_fs, handled_access_net, scoped;
} Ruleset;

typedef struct __attribute__((packed)) {
  guint64 allowed_access;
  gint32 parent_fd;
} PathBeneath;

static const char *const system_paths[] = {"/usr",
                                           "/lib",
                                           "/lib64",
                                           "/etc/ld.so.cache",
                                           "/etc/localtime",
                                           "/dev/null",
                                           "/dev/zero",
                                           "/dev/urandom",
                                           "/proc/cpuinfo",
                                           "/proc/meminfo",
                                           "/sys/fs/cgroup/memory.max",
                                           "/sys/fs/cgroup/memory.current",
                                           "/sys/devices/system/cpu",
                                           "/etc/fonts",
                                           "/var/cache/fontconfig",
                                           NULL};

static Ruleset handled(int version) {
  Ruleset set = {.handled_access_fs = REFER - 1};
  if (version >= 2)
    set.handled_access_fs |= REFER;
  if (version >= 3)
    set.handled_access_fs |= TRUNCATE;
  if (version >= 4)
    set.handled_access_net = BIND_TCP | CONNECT_TCP;
  if (version >= 5)
    set.handled_access_fs |= IOCTL_DEV;
  if (version >= 6)
    set.scoped = ABSTRACT_UNIX_SOCKET | SIGNAL;
  return set;
}

/* A path that is not there cannot be allowed, and need not be. */
static void allow(int ruleset, const Ruleset *set, const char *path, guint64 access) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  struct stat status;
  if (fd < 0)
    return;
  if (fstat(fd, &status) == 0) {
    if (!S_ISDIR(status.st_mode))
      access &= FILE_RIGHTS;
    PathBeneath rule = {.allowed_access = access & set->handled_access_fs, .parent_fd = fd};
    syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
  }
  close(fd);
}

gboolean sandbox_restrict_files(const Sandbox *sandbox) {
  int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
  if (version < 1)
    return FALSE;
  Ruleset set = handled(version);
  /* Fields that the kernel does not know are zero, which it accepts at any size of the struct. */
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &set, sizeof set, 0);
  if (ruleset < 0)
    return FALSE;
  for (const char *const *path = system_paths; *path; path++)
    allow(ruleset, &set, *path, READ_FILE | READ_DIR);
  for (const char *const *path = sandbox->readable; path && *path; path++)
    allow(ruleset, &set, *path, READ_FILE | READ_DIR);
  allow(ruleset, &set, "/dev/null", READ_FILE | WRITE_FILE);
  if (sandbox->writable)
    allow(ruleset, &set, sandbox->writable,
          READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | MAKE_REG | MAKE_DIR | REMOVE_FILE | REMOVE_DIR |
              REFER);
  gboolean good = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  close(ruleset);
  return good;
}
