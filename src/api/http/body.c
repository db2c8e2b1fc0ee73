#include "api/http/body.h"
#include "api/http/multipart.h"
#include "api/http/parameters.h"
#include "api/http/urlencoded.h"
#include "base/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES (256 * 1024)

struct Body {
  Request *request;
  BodyKind kind;
  guint64 limit;
  GByteArray *text; /* of a JSON or urlencoded body, or of the text part that is coming */
  Multipart *multipart;
  guint parts;
  gsize texts; /* bytes of all text parts */
  /* the part that is coming */
  char *name;
  gboolean is_file, named_empty; /* a file input of a browser that was left empty: filename="" and no bytes */
  int fd;
  char *path;
  Checksum *checksum;
  gint64 bytes;
  char *block; /* of BLOCK_BYTES: what is to be written next */
  gsize filled;
};

/* --- parts --- */

static gboolean is_text_type(const char *type) {
  return !type || g_str_has_prefix(type, "text/") || strcmp(type, "application/json") == 0 ||
         strcmp(type, "application/x-www-form-urlencoded") == 0;
}

static gboolean part_begin(gpointer user, const MultipartPart *part, GError **error) {
  Body *body = user;
  if (++body->parts > FIELDS_MAX)
    return refuse(error, REFUSAL_INVALID, "The body has more than %d parts.", FIELDS_MAX);
  g_free(body->name);
  body->name = g_strdup(part->name);
  body->is_file = part->filename || !is_text_type(part->type);
  body->named_empty = part->filename && !*part->filename;
  body->bytes = 0;
  g_byte_array_set_size(body->text, 0);
  return TRUE;
}

static gboolean not_stored(GError **error, const char *path) {
  return fault(error, FAULT_STORE, "%s cannot be written: %s.", path, g_strerror(errno));
}

static gboolean draft_open(Body *body, GError **error) {
  body->path = objects_draft(request_app(body->request)->objects, error);
  if (!body->path)
    return FALSE;
  body->fd = open(body->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (body->fd < 0)
    return not_stored(error, body->path);
  body->checksum = checksum_new();
  return TRUE;
}

static gboolean write_block(Body *body) {
  const char *bytes = body->block;
  while (body->filled > 0) {
    gssize n = write(body->fd, bytes, body->filled);
    if (n < 0 && errno != EINTR)
      return FALSE;
    if (n > 0) {
      bytes += n;
      body->filled -= (gsize)n;
    }
  }
  return TRUE;
}

/* In whole blocks, as pages that are written in pieces cost the kernel twice. */
static gboolean write_bytes(Body *body, const char *bytes, gsize length) {
  if (!body->block)
    body->block = g_malloc(BLOCK_BYTES);
  while (length > 0) {
    gsize n = MIN(length, BLOCK_BYTES - body->filled);
    memcpy(body->block + body->filled, bytes, n);
    body->filled += n;
    bytes += n;
    length -= n;
    if (body->filled == BLOCK_BYTES && !write_block(body))
      return FALSE;
  }
  return TRUE;
}

static gboolean part_data(gpointer user, const char *bytes, gsize length, GError **error) {
  Body *body = user;
  body->bytes += (gint64)length;
  if (!body->is_file) {
    body->texts += length;
    if (body->bytes > BODY_TEXT_MAX || body->texts > BODY_TEXTS_MAX)
      return refuse(error, REFUSAL_TOO_LARGE, "The field %s is longer than %d bytes.", body->name,
                    BODY_TEXT_MAX);
    g_byte_array_append(body->text, (const guint8 *)bytes, (guint)length);
    return TRUE;
  }
  if (body->fd < 0 && !draft_open(body, error))
    return FALSE;
  checksum_update(body->checksum, bytes, length);
  return write_bytes(body, bytes, length) || not_stored(error, body->path);
}

static gboolean add_text_field(Body *body, GError **error) {
  const char *text = (const char *)body->text->data;
  gsize length = body->text->len;
  if (!g_utf8_validate(text ? text : "", (gssize)length, NULL))
    return refuse(error, REFUSAL_INVALID, "The field %s is not UTF-8 text. Send files with a file name.",
                  body->name);
  fields_add(&body->request->fields, g_steal_pointer(&body->name), g_strndup(text ? text : "", length));
  return TRUE;
}

/* Closes the draft, whoever has it now. */
static gboolean draft_close(Body *body) {
  g_clear_pointer(&body->checksum, checksum_free);
  body->filled = 0;
  int closed = body->fd >= 0 ? close(body->fd) : 0;
  body->fd = -1;
  return closed == 0;
}

static gboolean part_end(gpointer user, GError **error) {
  Body *body = user;
  Request *request = body->request;
  if (!body->is_file)
    return add_text_field(body, error);
  if (body->fd < 0 && body->named_empty)
    return TRUE;
  if (body->fd < 0 && !draft_open(body, error))
    return FALSE;
  if (!write_block(body))
    return not_stored(error, body->path);
  FilePart upload = {
      .field = g_steal_pointer(&body->name), .hash = checksum_hex(body->checksum), .bytes = body->bytes};
  gboolean closed = draft_close(body);
  upload.path = g_steal_pointer(&body->path);
  if (!request->uploads)
    request->uploads = g_array_new(FALSE, FALSE, sizeof(FilePart));
  g_array_append_val(request->uploads, upload);
  return closed || not_stored(error, upload.path);
}

static const MultipartSink parts = {part_begin, part_data, part_end};

/* --- the whole --- */

static const char *kinds_text(unsigned bodies) {
  static const char *const texts[] = {
      [BODY_MULTIPART] = "multipart/form-data",
      [BODY_FORM] = "application/x-www-form-urlencoded",
      [BODY_MULTIPART | BODY_FORM] = "multipart/form-data or application/x-www-form-urlencoded",
      [BODY_JSON] = "application/json",
      [BODY_MULTIPART | BODY_JSON] = "multipart/form-data or application/json",
      [BODY_FORM | BODY_JSON] = "application/x-www-form-urlencoded or application/json",
      [BODY_MULTIPART | BODY_FORM | BODY_JSON] =
          "multipart/form-data, application/x-www-form-urlencoded or application/json",
  };
  return texts[bodies & 7];
}

static BodyKind kind_of(const char *content_type) {
  g_autofree char *type = content_type ? parameter_head(content_type) : NULL;
  if (!type)
    return BODY_NONE;
  return strcmp(type, "multipart/form-data") == 0                 ? BODY_MULTIPART
         : strcmp(type, "application/x-www-form-urlencoded") == 0 ? BODY_FORM
         : strcmp(type, "application/json") == 0                  ? BODY_JSON
                                                                  : BODY_NONE;
}

static gboolean too_large(GError **error, guint64 limit) {
  return refuse(error, REFUSAL_TOO_LARGE, "The body is larger than %" G_GUINT64_FORMAT " bytes. Send less.",
                limit);
}

static Body *body_new(Request *request, BodyKind kind, guint64 limit) {
  Body *body = g_new0(Body, 1);
  body->request = request;
  body->kind = kind;
  body->limit = limit;
  body->fd = -1;
  body->text = g_byte_array_new();
  return body;
}

static gboolean open_raw(Request *request, guint64 limit, GError **error) {
  if (request->length != G_MAXUINT64 && request->length > limit)
    return too_large(error, limit);
  request->body = body_new(request, BODY_RAW, limit);
  request->body->name = g_strdup("body");
  request->body->is_file = TRUE;
  return TRUE;
}

gboolean body_open(Request *request, GError **error) {
  const unsigned bodies = request->entry->route->bodies;
  guint64 most = BODY_TEXT_MAX;
  if (request->entry->route->admit && !request->entry->route->admit(request, &most, error))
    return FALSE;
  if (!bodies) /* what comes is dropped, within reason */
    return request->length == G_MAXUINT64 || request->length <= BODY_TEXT_MAX ||
           too_large(error, BODY_TEXT_MAX);
  if (!request->header.content_length && !request->header.transfer_encoding)
    return refuse(error, REFUSAL_LENGTH,
                  "The request needs a body with a Content-Length (or chunked encoding).");
  if (request->length == 0)
    return TRUE; /* no fields at all: the handler says what is missing */
  if (bodies == BODY_RAW)
    return open_raw(request, most, error);
  BodyKind kind = kind_of(request->header.content_type);
  if (!(kind & bodies) || (request->header.content_encoding &&
                           g_ascii_strcasecmp(request->header.content_encoding, "identity") != 0))
    return refuse(error, REFUSAL_CONTENT_TYPE, "The body must be %s, without a Content-Encoding.",
                  kinds_text(bodies));
  guint64 limit = kind == BODY_MULTIPART ? (guint64)request_app(request)->settings->upload_bytes : most;
  if (request->length != G_MAXUINT64 && request->length > limit)
    return too_large(error, limit);
  g_autofree char *boundary = NULL;
  if (kind == BODY_MULTIPART && !(boundary = multipart_boundary(request->header.content_type, error)))
    return FALSE;
  Body *body = request->body = body_new(request, kind, limit);
  if (boundary)
    body->multipart = multipart_new(boundary, &parts, body);
  return TRUE;
}

gboolean body_feed(Request *request, const char *bytes, gsize length, GError **error) {
  Body *body = request->body;
  guint64 limit = body ? body->limit : BODY_TEXT_MAX;
  if (request->received > limit)
    return too_large(error, limit);
  if (!body)
    return TRUE;
  if (body->kind == BODY_RAW)
    return part_data(body, bytes, length, error);
  if (body->multipart)
    return multipart_feed(body->multipart, bytes, length, error);
  g_byte_array_append(body->text, (const guint8 *)bytes, (guint)length);
  return TRUE;
}

/* jansson has no limit of its own that is small enough for the stack of a thread. */
static gboolean depth_is_sane(const char *text, gsize length) {
  int depth = 0;
  gboolean in_string = FALSE;
  for (gsize i = 0; i < length; i++) {
    char c = text[i];
    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = FALSE;
    } else if (c == '"') {
      in_string = TRUE;
    } else if (c == '{' || c == '[') {
      if (++depth > JSON_DEPTH_MAX)
        return FALSE;
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return TRUE;
}

/* A member that comes twice is refused: readers disagree about which one counts. Whole numbers beyond 64 bits
 * become reals. */
static gboolean parse_json(Request *request, const char *text, gsize length, GError **error) {
  if (!depth_is_sane(text, length))
    return refuse(error, REFUSAL_JSON, "The JSON body is nested deeper than %d levels.", JSON_DEPTH_MAX);
  json_error_t why;
  json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
  if (!json && json_error_code(&why) == json_error_numeric_overflow)
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
  if (!json) {
    g_autofree char *told = g_utf8_make_valid(why.text, -1);
    return refuse(error, REFUSAL_JSON, "The body is not valid JSON (line %d, column %d: %s).", why.line,
                  why.column, told);
  }
  request->json = json;
  return json_is_object(json) || refuse(error, REFUSAL_JSON, "The JSON body must be an object.");
}

gboolean body_finish(Request *request, GError **error) {
  Body *body = request->body;
  if (!body)
    return TRUE;
  const char *text = body->text->data ? (const char *)body->text->data : "";
  gboolean good = body->kind == BODY_MULTIPART ? multipart_finish(body->multipart, error)
                  : body->kind == BODY_RAW     ? part_end(body, error)
                  : body->kind == BODY_JSON
                      ? parse_json(request, text, body->text->len, error)
                      : urlencoded_parse(text, body->text->len, "The body", &request->fields, error);
  g_clear_pointer(&request->body, body_free);
  return good;
}

void body_free(Body *body) {
  if (!body)
    return;
  draft_close(body);
  if (body->path)
    unlink(body->path);
  g_free(body->path);
  g_free(body->block);
  g_free(body->name);
  multipart_free(body->multipart);
  g_byte_array_free(body->text, TRUE);
  g_free(body);
}
