/* The kernel's own estimate (MemAvailable counts what it would drop from its caches), and what the control
 * group leaves, version 2. */
#include "base/memory.h"

#include <string.h>

#define GROUP "/sys/fs/cgroup/memory."

static gint64 read_number(const char *path) {
  g_autofree char *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static gint64 left_in_group(void) {
  gint64 most = read_number(GROUP "max"); /* 0 for "max" */
  return most > 0 ? MAX(1, most - read_number(GROUP "current")) : G_MAXINT64;
}

gint64 memory_available(void) {
  g_autofree char *text = NULL;
  if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
    return 0;
  const char *line = strstr(text, "MemAvailable:");
  gint64 there = line ? g_ascii_strtoll(line + strlen("MemAvailable:"), NULL, 10) * 1024 : 0;
  return there ? MIN(there, left_in_group()) : 0;
}
