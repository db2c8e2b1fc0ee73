/* Answers, and how they reach the client: the inside of api/http/http.h. */
#pragma once
#include "api/http/events.h"
#include "api/http/request.h"

typedef struct {
  char *name, *value;
} AnswerHeader;

struct Answer {
  int status;
  char type[96];
  char *text; /* malloc'ed, or within bytes */
  gsize length;
  GBytes *bytes;
  int fd; /* -1: none */
  gint64 first, part;
  Listener *listener;
  LaterFunc next; /* a promise: there is nothing else but user and destroy */
  gpointer user;
  GDestroyNotify destroy;
  AnswerHeader headers[12];
  guint header_count;
};

void answer_free(Answer *answer);
/* Text (malloc'ed, taken) as JSON. */
Answer *answer_json_text(int status, char *text);
Answer *answer_empty(int status);
/* Turns the text into bytes that others may hold too. */
void answer_share(Answer *answer);
/* Hands the answer to libmicrohttpd. */
enum MHD_Result answer_queue(Request *request);
/* Writes the answer to the socket at once, while the client is still sending. */
void answer_send(Request *request);
