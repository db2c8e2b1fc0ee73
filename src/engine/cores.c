/* A processor is taken by binding an abstract socket name that carries its number: the system lets only one
 * have it, and gives it back when its holder ends, however it ends. */
#include "engine/cores.h"

#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static GArray *usable(void) {
  GArray *cpus = g_array_new(FALSE, FALSE, sizeof(int));
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; i++)
      if (CPU_ISSET(i, &set))
        g_array_append_val(cpus, i);
  return cpus;
}

/* A descriptor, or -1 when somebody else has this processor. */
static int lock_cpu(int cpu) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int length =
      g_snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "troupe-core-%u-%d", (unsigned)geteuid(), cpu);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (gsize)length);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&name, size) == 0)
    return fd;
  if (fd >= 0)
    close(fd);
  return -1;
}

void cores_take(Cores *cores, int count) {
  g_autoptr(GArray) all = usable();
  cores->cpus = g_array_new(FALSE, FALSE, sizeof(int));
  cores->locks = g_array_new(FALSE, FALSE, sizeof(int));
  if (count <= 0 || (guint)count >= all->len)
    return; /* an empty list: wherever the system likes */
  for (guint i = 0; i < all->len && cores->cpus->len < (guint)count; i++) {
    int fd = lock_cpu(g_array_index(all, int, i));
    if (fd < 0)
      continue;
    g_array_append_val(cores->locks, fd);
    g_array_append_val(cores->cpus, g_array_index(all, int, i));
  }
  /* All are taken: shared ones, differently from process to process and from call to call. */
  guint start = (guint)getpid() + (guint)(g_get_monotonic_time() / 1000);
  for (guint i = 0; i < all->len && cores->cpus->len < (guint)count; i++) {
    int cpu = g_array_index(all, int, (start + i) % all->len);
    gboolean have = FALSE;
    for (guint k = 0; k < cores->cpus->len; k++)
      have |= g_array_index(cores->cpus, int, k) == cpu;
    if (!have)
      g_array_append_val(cores->cpus, cpu);
  }
}

void cores_release(Cores *cores) {
  for (guint i = 0; cores->locks && i < cores->locks->len; i++)
    close(g_array_index(cores->locks, int, i));
  g_clear_pointer(&cores->locks, g_array_unref);
  g_clear_pointer(&cores->cpus, g_array_unref);
}

int cores_of_part(int number) {
  g_autoptr(GArray) all = usable();
  return all->len ? g_array_index(all, int, (guint)number % all->len) : -1;
}
