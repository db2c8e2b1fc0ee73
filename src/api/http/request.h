/* A request while it is served: the inside of api/http/http.h, for the files of this room. */
#pragma once
#include "api/http/fields.h"
#include "api/http/http.h"
#include "api/http/loop.h"
#include "api/http/router.h"
#include "app/accounts/days.h"

typedef struct Body Body;

/* A file part that lies in a draft. */
typedef struct {
  char *field, *path, *hash;
  gint64 bytes;
} FilePart;

typedef enum {
  REQUEST_NONE,    /* the connection waits for one */
  REQUEST_HEADERS, /* its headers are coming */
  REQUEST_BODY,    /* its headers were checked; the body, if any, is coming */
  REQUEST_LINGER,  /* it was answered already; what still comes is dropped, then the connection is closed */
  REQUEST_RUNNING, /* a pool thread has it */
  REQUEST_ANSWER,  /* its answer is being sent */
} RequestState;

struct Request {
  Api *api;
  struct MHD_Connection *connection;
  Loop *loop; /* the connection's */
  RequestState state;
  const char *method;    /* libmicrohttpd's, as long as the request */
  char *path;            /* as it came, without the query */
  const char *raw_query; /* as it came; NULL: none */
  char *words;           /* the path's segments, decoded, in one block */
  const char *segments[SEGMENTS_MAX];
  guint segment_count;
  char id[132];
  const Dialect *dialect;
  const Entry *entry;
  Fields query, fields;
  json_t *json;
  GSList *texts;   /* what request_field and request_fields made, freed with the request */
  Body *body;      /* while it is coming */
  GArray *uploads; /* FilePart, or NULL */
  Caller *caller;
  gboolean caller_known; /* the key was looked at */
  Answer *answer;
  gboolean claimed;  /* its Idempotency-Key waits for the answer */
  Day day;           /* of a dialect that counts days, once it was read */
  int retry_seconds; /* with REFUSAL_RATE and REFUSAL_DAY */
  gint64 started;    /* monotonic, microseconds */
  gint64 body_started;
  guint64 length, received; /* of the body; length is G_MAXUINT64 when it is not known */
  gboolean http_close;      /* the connection ends with this request */
  gboolean sent_raw;
  char *trouble; /* what is logged and not told */
  /* headers that are read for every request; libmicrohttpd's */
  struct {
    const char *authorization, *api_key, *content_type, *content_length, *content_encoding,
        *transfer_encoding, *expect, *host, *request_id, *idempotency_key, *origin;
    gboolean doubled; /* two different Content-Lengths, two Hosts, or a value with a zero byte */
  } header;
};

/* The request line has come: uri as it came, NULL when there was none. */
void request_begin(Request *request, const char *uri);
/* The headers have come. FALSE with *error set for a path, query or header that cannot be right. */
gboolean request_read_headers(Request *request, const char *method, const char *version, GError **error);
void request_clear(Request *request);
/* SHA-256 of method, path, query and body (transfer full). */
char *request_fingerprint(const Request *request);
