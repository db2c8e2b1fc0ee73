#include "api/http/request.h"
#include "api/http/answer.h"
#include "api/http/body.h"
#include "api/http/server.h"
#include "api/http/urlencoded.h"
#include "base/checksum.h"
#include "base/files.h"

#include <math.h>
#include <string.h>

/* --- its life --- */

/* 24 hex digits that no other request of this process has: a counter, scattered (splitmix64, Steele et al.
 * 2014), beginning at a random place. */
static void make_id(char *out) {
  static guint64 begin; /* written once */
  static gsize once;
  static gint counter;
  if (g_once_init_enter(&once)) {
    begin = (guint64)g_random_int() << 32 | g_random_int();
    g_once_init_leave(&once, 1);
  }
  guint64 n = (guint32)g_atomic_int_add(&counter, 1), x = begin + n * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  guint32 y = (guint32)(begin >> 16) + (guint32)n * 0x9e3779b1u;
  memcpy(out, "req_", 4);
  for (int i = 0; i < 24; i++)
    out[4 + i] = "0123456789abcdef"[i < 16 ? x >> (4 * i) & 15 : y >> (4 * (i - 16)) & 15];
  out[28] = '\0';
}

void request_begin(Request *request, const char *uri) {
  request->state = REQUEST_HEADERS;
  request->started = g_get_monotonic_time();
  if (!uri)
    uri = "";
  /* The absolute form, as for proxies: the path is what counts. */
  if (g_ascii_strncasecmp(uri, "http://", 7) == 0 || g_ascii_strncasecmp(uri, "https://", 8) == 0) {
    const char *slash = strchr(strchr(uri, '/') + 2, '/');
    uri = slash ? slash : "/";
  }
  request->path = g_strdup(uri);
  make_id(request->id);
}

void request_clear(Request *request) {
  Api *api = request->api;
  struct MHD_Connection *connection = request->connection;
  Loop *loop = request->loop;
  body_free(request->body);
  for (guint i = 0; request->uploads && i < request->uploads->len; i++) {
    FilePart *upload = &g_array_index(request->uploads, FilePart, i);
    files_remove_tree(upload->path); /* nothing is there when somebody took it */
    g_free(upload->field);
    g_free(upload->path);
    g_free(upload->hash);
  }
  if (request->uploads)
    g_array_free(request->uploads, TRUE);
  fields_clear(&request->query);
  fields_clear(&request->fields);
  g_slist_free_full(request->texts, g_free);
  if (request->json)
    json_decref(request->json);
  if (request->caller)
    caller_free(request->caller);
  if (request->answer)
    answer_free(request->answer);
  g_free(request->path);
  g_free(request->words);
  g_free(request->trouble);
  memset(request, 0, sizeof *request);
  request->api = api;
  request->connection = connection;
  request->loop = loop;
}

/* --- its head --- */

static gboolean is(const char *key, gsize length, const char *name) {
  return strlen(name) == length && g_ascii_strncasecmp(key, name, length) == 0;
}

static enum MHD_Result note_header(void *user, enum MHD_ValueKind kind, const char *key, size_t length,
                                   const char *value, size_t value_length) {
  Request *request = user;
  const char **slot = NULL;
  if (!value || strlen(value) != value_length) {
    request->header.doubled = TRUE;
    return MHD_YES;
  }
  switch (length) { /* so that most names are compared with nothing */
  case 4:
    slot = is(key, length, "host") ? &request->header.host : NULL;
    if (slot && *slot)
      request->header.doubled = TRUE;
    break;
  case 6:
    slot = is(key, length, "expect")   ? &request->header.expect
           : is(key, length, "origin") ? &request->header.origin
                                       : NULL;
    break;
  case 9:
    slot = is(key, length, "x-api-key") ? &request->header.api_key : NULL;
    break;
  case 12:
    slot = is(key, length, "content-type")   ? &request->header.content_type
           : is(key, length, "x-request-id") ? &request->header.request_id
                                             : NULL;
    break;
  case 13:
    slot = is(key, length, "authorization") ? &request->header.authorization : NULL;
    break;
  case 14:
    slot = is(key, length, "content-length") ? &request->header.content_length : NULL;
    if (slot && *slot && strcmp(*slot, value) != 0)
      request->header.doubled = TRUE;
    break;
  case 15:
    slot = is(key, length, "idempotency-key") ? &request->header.idempotency_key : NULL;
    break;
  case 16:
    slot = is(key, length, "content-encoding") ? &request->header.content_encoding : NULL;
    break;
  case 17:
    slot = is(key, length, "transfer-encoding") ? &request->header.transfer_encoding : NULL;
    break;
  default:
    break;
  }
  if (slot)
    *slot = value;
  return MHD_YES;
}

static gboolean printable(const char *text, gsize most) {
  gsize n = 0;
  for (; text[n]; n++)
    if (n >= most || text[n] < '!' || text[n] > '~')
      return FALSE;
  return n > 0;
}

/* Cuts the path into decoded segments. */
static gboolean split_path(Request *request, GError **error) {
  if (request->path[0] != '/')
    return refuse(error, REFUSAL_INVALID, "The path must begin with a slash.");
  request->words = g_strdup(request->path + 1);
  char *at = request->words;
  while (at) {
    char *next = strchr(at, '/');
    if (next)
      *next++ = '\0';
    if (request->segment_count == SEGMENTS_MAX) {
      request->segment_count++; /* no route is that deep */
      return TRUE;
    }
    gboolean plain = TRUE;
    for (const char *c = at; *c && plain; c++)
      plain = *c != '%' && (guchar)*c < 0x80;
    if (!plain) {
      g_autofree char *decoded = urlencoded_decode(at, strlen(at), FALSE);
      if (!decoded)
        return refuse(
            error, REFUSAL_INVALID,
            "The path is not encoded correctly: every %% must be followed by two hex digits, and the text "
            "must be UTF-8 without zero bytes.");
      strcpy(at, decoded); /* never longer */
    }
    request->segments[request->segment_count++] = at;
    at = next;
  }
  return TRUE;
}

/* The framing must be beyond doubt: where two readers may disagree about a body's length, one of them can be
 * made to take a body for a request. */
static gboolean read_framing(Request *request, GError **error) {
  const char *length = request->header.content_length, *encoding = request->header.transfer_encoding;
  request->http_close = TRUE;
  if (request->header.doubled || (length && encoding))
    return refuse(error, REFUSAL_INVALID,
                  "Two headers contradict each other about the host or the length of the body.");
  if (encoding && g_ascii_strcasecmp(encoding, "chunked") != 0)
    return refuse(error, REFUSAL_INVALID, "Transfer-Encoding must be chunked or absent.");
  if (encoding)
    request->length = G_MAXUINT64;
  else if (length && !g_ascii_string_to_unsigned(length, 10, 0, G_MAXINT64, &request->length, NULL))
    return refuse(error, REFUSAL_INVALID, "Content-Length is not a number.");
  request->http_close = FALSE;
  return TRUE;
}

/* RFC 9112, 3.2. */
static gboolean check_host(Request *request, const char *version, GError **error) {
  return request->header.host || strcmp(version, "HTTP/1.1") != 0 ||
         refuse(error, REFUSAL_INVALID, "The request has no Host header.");
}

gboolean request_read_headers(Request *request, const char *method, const char *version, GError **error) {
  request->method = method;
  MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, note_header, request);
  const char *id = request->header.request_id;
  if (id && printable(id, 128))
    g_strlcpy(request->id, id, sizeof request->id);
  char *query = strchr(request->path, '?');
  if (query)
    *query++ = '\0';
  request->raw_query = query;
  return read_framing(request, error) && check_host(request, version, error) && split_path(request, error) &&
         (!query || urlencoded_parse(query, strlen(query), "The query", &request->query, error));
}

/* --- what handlers ask --- */

App *request_app(const Request *request) {
  return request->api->app;
}

const char *request_method(const Request *request) {
  return request->method;
}

const char *request_path(const Request *request) {
  return request->path;
}

const char *request_id(const Request *request) {
  return request->id;
}

const Caller *request_caller(const Request *request) {
  Request *asked = (Request *)request; /* what is found out is kept */
  if (!asked->caller_known)
    find_caller(asked, NULL);
  return request->caller;
}

const char *request_argument(const Request *request, const char *name) {
  const Entry *entry = request->entry;
  for (guint s = 0; entry && s < entry->count; s++)
    if (entry->arguments >> s & 1 && strcmp(entry->segments[s], name) == 0)
      return request->segments[s];
  return NULL;
}

const char *request_query(const Request *request, const char *name) {
  return fields_find(&request->query, name);
}

const char *request_header(const Request *request, const char *name) {
  return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

json_t *request_json(const Request *request) {
  return request->json;
}

static const char *keep(const Request *request, char *text) {
  Request *owner = (Request *)request; /* the texts are a cache */
  owner->texts = g_slist_prepend(owner->texts, text);
  return text;
}

/* Whole numbers without a point: beside one that is beyond 64 bits all are read as reals (body.c). */
static char *real_text(double value) {
  if (value == floor(value) && fabs(value) < 1e15)
    return g_strdup_printf("%.0f", value);
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];
  return g_strdup(g_ascii_dtostr(buffer, sizeof buffer, value));
}

/* A member as text; NULL for null. */
static const char *json_as_text(const Request *request, const json_t *value) {
  switch (json_typeof(value)) {
  case JSON_STRING:
    return json_string_value(value);
  case JSON_TRUE:
    return "true";
  case JSON_FALSE:
    return "false";
  case JSON_NULL:
    return NULL;
  case JSON_REAL:
    return keep(request, real_text(json_real_value(value)));
  default: {
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *kept = keep(request, g_strdup(dump));
    free(dump);
    return kept;
  }
  }
}

const char *request_field(const Request *request, const char *name) {
  if (!request->json)
    return fields_find(&request->fields, name);
  const json_t *value = json_object_get(request->json, name);
  return value ? json_as_text(request, value) : NULL;
}

const char *const *request_fields(const Request *request, const char *name) {
  GPtrArray *values = g_ptr_array_new();
  const json_t *value = request->json ? json_object_get(request->json, name) : NULL;
  gsize count = json_is_array(value) ? json_array_size(value) : value ? 1 : 0;
  for (gsize i = 0; i < count; i++) {
    const char *text = json_as_text(request, json_is_array(value) ? json_array_get(value, i) : value);
    if (text)
      g_ptr_array_add(values, (char *)text);
  }
  for (guint i = 0; i < request->fields.count; i++)
    if (strcmp(request->fields.items[i].name, name) == 0)
      g_ptr_array_add(values, request->fields.items[i].value);
  g_ptr_array_add(values, NULL);
  return (const char *const *)keep(request, (char *)g_ptr_array_free(values, FALSE));
}

void request_source(Request *request, const char *name, InputSource *source) {
  const Caller *caller = request_caller(request);
  *source = (InputSource){.field = name, .account = caller ? caller->account : NULL};
  for (guint i = 0; request->uploads && i < request->uploads->len; i++) {
    const FilePart *upload = &g_array_index(request->uploads, FilePart, i);
    if (strcmp(upload->field, name) == 0) {
      source->path = upload->path;
      source->hash = upload->hash;
      source->bytes = upload->bytes;
    }
  }
  g_autofree char *url = g_strconcat(name, "_url", NULL);
  source->url = request_field(request, url);
  if (source->url && !*source->url)
    source->url = NULL; /* forms send empty fields for what was left out */
}

int request_files(Request *request, const char *name, InputSource **sources) {
  const Caller *caller = request_caller(request);
  guint count = 0, parts = request->uploads ? request->uploads->len : 0;
  InputSource *found = g_new0(InputSource, parts + 1);
  for (guint i = 0; i < parts; i++) {
    const FilePart *part = &g_array_index(request->uploads, FilePart, i);
    if (strcmp(part->field, name) == 0)
      found[count++] = (InputSource){.field = name,
                                     .path = part->path,
                                     .hash = part->hash,
                                     .bytes = part->bytes,
                                     .account = caller ? caller->account : NULL};
  }
  *sources = (InputSource *)keep(request, (char *)found);
  return (int)count;
}

static const char *field_or_query(const Request *request, const char *name) {
  const char *value = request_field(request, name);
  return value ? value : request_query(request, name);
}

gboolean request_truth(const Request *request, const char *name, gboolean usual, gboolean *value,
                       GError **error) {
  static const char *const yes[] = {"true", "1", "yes", "on", NULL}, *const no[] = {"false", "0", "no",
                                                                                    "off",   "",  NULL};
  const char *text = field_or_query(request, name);
  *value = usual;
  if (!text)
    return TRUE;
  g_autofree char *lower = g_ascii_strdown(text, -1);
  if (!g_strv_contains(yes, lower) && !g_strv_contains(no, lower))
    return refuse(error, REFUSAL_INVALID, "%s must be true or false.", name);
  *value = *lower ? g_strv_contains(yes, lower) : usual;
  return TRUE;
}

static gboolean page_number(const Request *request, const char *name, int usual, int least, int most,
                            gboolean clamp, int *value, GError **error) {
  const char *text = field_or_query(request, name);
  gint64 number;
  *value = usual;
  if (!text || !*text)
    return TRUE;
  if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &number, NULL) ||
      (!clamp && (number < least || number > most)))
    return refuse(error, REFUSAL_INVALID, "%s must be a whole number from %d to %d.", name, least, most);
  *value = (int)CLAMP(number, least, most);
  return TRUE;
}

gboolean request_page(const Request *request, int usual, int most, gboolean clamp, int *limit, int *offset,
                      GError **error) {
  return page_number(request, "limit", usual, 1, most, clamp, limit, error) &&
         page_number(request, "offset", 0, 0, G_MAXINT, clamp, offset, error);
}

/* --- fingerprint --- */

static void add_text(Checksum *checksum, const char *text) {
  checksum_update(checksum, text, strlen(text) + 1); /* with its end, so that no two lists look alike */
}

static void add_fields(Checksum *checksum, const Fields *fields) {
  for (guint i = 0; i < fields->count; i++) {
    add_text(checksum, fields->items[i].name);
    add_text(checksum, fields->items[i].value);
  }
  add_text(checksum, "");
}

char *request_fingerprint(const Request *request) {
  g_autoptr(Checksum) checksum = checksum_new();
  add_text(checksum, request->method);
  add_text(checksum, request->path);
  add_fields(checksum, &request->query);
  add_fields(checksum, &request->fields);
  for (guint i = 0; request->uploads && i < request->uploads->len; i++) {
    add_text(checksum, g_array_index(request->uploads, FilePart, i).field);
    add_text(checksum, g_array_index(request->uploads, FilePart, i).hash);
  }
  if (request->json) {
    g_autofree char *dump = json_dumps(request->json, JSON_COMPACT | JSON_SORT_KEYS);
    add_text(checksum, dump);
  }
  return checksum_hex(checksum);
}
