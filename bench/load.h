/* A load generator for HTTP: keep-alive connections on one thread, each with one request under way. */
#pragma once
#include <glib.h>

typedef struct {
  guint64 requests;
  double seconds, rate;  /* rate: requests per second */
  double p50, p99, most; /* milliseconds */
} Load;

/* Sends `request` on `connections` connections for so many seconds. Every answer must be as long as the
 * first. */
Load load_run(int port, const char *request, int connections, double seconds);

/* A connected socket; ends the program when there is none. */
int load_connect(int port);
/* Sends, and reads the whole answer (with a Content-Length) into `answer`; how many bytes it has. */
gsize load_ask(int fd, const char *request, GString *answer);
