/* An abstract socket name: only one may have it, and the system gives it back when its holder ends. */
#include "app/accounts/presence.h"
#include "app/app.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A descriptor that holds the name, or -1 with errno. */
static int hold(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = g_snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "troupe-%s", name),
      fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                               MIN((gsize)length, sizeof address.sun_path - 2));
  if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0)
    return fd;
  int reason = errno;
  if (fd >= 0)
    close(fd);
  errno = reason;
  return -1;
}

void presence_begin(Presence *presence) {
  presence->name = app_uuid();
  presence->holder = hold(presence->name);
}

void presence_end(Presence *presence) {
  if (!presence->name)
    return;
  if (presence->holder >= 0)
    close(presence->holder);
  g_clear_pointer(&presence->name, g_free);
}

gboolean presence_alive(const char *name) {
  int fd = name ? hold(name) : -1;
  gboolean alive = name && fd < 0 && errno == EADDRINUSE;
  if (fd >= 0)
    close(fd);
  return alive;
}
