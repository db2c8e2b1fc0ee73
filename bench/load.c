#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  int fd;
  gint64 sent; /* microseconds */
  gsize got;
} Client;

int load_connect(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((guint16)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
    g_error("connect: %s", g_strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

static void send_all(int fd, const char *text, gsize length) {
  while (length > 0) {
    gssize n = send(fd, text, length, MSG_NOSIGNAL);
    if (n <= 0)
      g_error("send: %s", g_strerror(errno));
    text += n;
    length -= (gsize)n;
  }
}

gsize load_ask(int fd, const char *request, GString *answer) {
  send_all(fd, request, strlen(request));
  g_string_truncate(answer, 0);
  gsize wanted = G_MAXSIZE;
  while (answer->len < wanted) {
    char buffer[65536];
    gssize n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0)
      g_error("the server closed the connection");
    g_string_append_len(answer, buffer, n);
    const char *end = strstr(answer->str, "\r\n\r\n"), *length = strstr(answer->str, "Content-Length: ");
    if (end && length && length < end)
      wanted = (gsize)(end + 4 - answer->str) + strtoul(length + 16, NULL, 10);
  }
  return answer->len;
}

static int compare(gconstpointer a, gconstpointer b) {
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  return x < y ? -1 : x > y;
}

static double percentile(const GArray *sorted, double share) {
  return sorted->len ? g_array_index(sorted, guint32, (guint)(share * (sorted->len - 1))) / 1000.0 : 0;
}

/* TRUE when the answer is complete. */
static gboolean receive(Client *client, gsize length) {
  char buffer[16384];
  gssize n = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN))
    g_error("the server closed a connection under load");
  if (n > 0 && client->got == 0 && !g_str_has_prefix(buffer, "HTTP/1.1 200 "))
    g_error("under load: %.*s", (int)n, buffer);
  if (n > 0)
    client->got += (gsize)n;
  if (client->got > length)
    g_error("an answer is longer than the first one");
  return client->got == length;
}

Load load_run(int port, const char *request, int connections, double seconds) {
  g_autofree Client *clients = g_new0(Client, (gsize)connections);
  g_autoptr(GArray) times = g_array_sized_new(FALSE, FALSE, sizeof(guint32), 1 << 20);
  g_autoptr(GString) first = g_string_new(NULL);
  gsize length = 0, request_length = strlen(request);
  int poll = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < connections; i++) {
    clients[i].fd = load_connect(port);
    length = load_ask(clients[i].fd, request, first); /* warm, and checked */
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
    epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event);
  }
  if (!g_str_has_prefix(first->str, "HTTP/1.1 200 "))
    g_error("not 200: %s", first->str);
  gint64 begin = g_get_monotonic_time(), end = begin + (gint64)(seconds * G_USEC_PER_SEC), now = begin;
  for (int i = 0; i < connections; i++) {
    clients[i].sent = g_get_monotonic_time();
    send_all(clients[i].fd, request, request_length);
  }
  int under_way = connections;
  while (under_way > 0) {
    struct epoll_event events[256];
    int n = epoll_wait(poll, events, G_N_ELEMENTS(events), 5000);
    if (n <= 0)
      g_error("port %d: %d of %d answers are missing after five seconds", port, under_way, connections);
    for (int i = 0; i < n; i++) {
      Client *client = events[i].data.ptr;
      if (!receive(client, length))
        continue;
      now = g_get_monotonic_time();
      guint32 took = (guint32)(now - client->sent);
      g_array_append_val(times, took);
      client->got = 0;
      client->sent = now;
      if (now < end)
        send_all(client->fd, request, request_length);
      else
        under_way--;
    }
  }
  for (int i = 0; i < connections; i++)
    close(clients[i].fd);
  close(poll);
  g_array_sort(times, compare);
  double took = (double)(now - begin) / G_USEC_PER_SEC;
  return (Load){.requests = times->len,
                .seconds = took,
                .rate = times->len / took,
                .p50 = percentile(times, 0.5),
                .p99 = percentile(times, 0.99),
                .most = percentile(times, 1)};
}
