/* A process locks itself in, for good, before it looks at what a stranger sent.
 *
 * Layers, from the outside in:
 *   limits      address space, processor time, size of files, descriptors, no core dumps; it dies with its
 *               parent
 *   namespaces  a network without interfaces, where the system lets an unprivileged process have one
 *   files       Landlock: only the named files and folders can be opened, where the kernel has it (5.13)
 *   calls       seccomp: a list of the system calls that decoding and drawing need; every other one fails
 *               with EPERM. No sockets, no other programs, no new processes (threads only; those that it had
 *               before may be waited for), no signals to others
 * Limits and calls are never missing; containers often forbid the other two.
 *
 * Everything the process does before this is trusted; nothing after it need be. */
#pragma once
#include "base/fault.h"

typedef enum {
  SANDBOX_LIMITS = 1 << 0,
  SANDBOX_NAMESPACES = 1 << 1,
  SANDBOX_FILES = 1 << 2,
  SANDBOX_CALLS = 1 << 3,
} SandboxLayers;

typedef struct {
  const char *const *readable; /* files and folders that may be read, NULL at the end; or NULL. The system's
                                  libraries and the description of its processors are always readable */
  const char *writable;        /* folder in which it may read, write, make and remove; or NULL */
  gint64 memory;               /* bytes of address space; 0: no limit */
  gint64 cpu_seconds;          /* 0: no limit */
  gint64 file_bytes;           /* largest file that can be written; 0: no limit */
  const int *cpus;             /* processors to stay on; NULL: all that the process has */
  int cpu_count;
  int kept;   /* descriptors above standard error that stay open: so many from 3 on */
  int parent; /* id of the process with which it dies; 0: the one it has now */
} Sandbox;

/* The layer of namespaces, ahead of the others: it takes the system some 20 ms. Processes that are forked
 * afterwards have it too. Call it while the process has one thread. */
void sandbox_leave_namespaces(void);

/* Call it while the process has one thread. Closes every descriptor above standard error but those to be
 * kept. layers: what is in force now. FAULT_INTERNAL when there are more threads, or limits or calls cannot
 * be put in force: do nothing then. */
gboolean sandbox_enter(const Sandbox *sandbox, SandboxLayers *layers, GError **error);

/* "limits, namespaces, files, calls" (transfer full). */
char *sandbox_describe(SandboxLayers layers);
