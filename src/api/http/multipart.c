/* A machine with five states. A boundary inside data begins with CR LF, and CR cannot come again within it,
 * so a partial match that fails can only begin anew at the byte that broke it: no table of failures is
 * needed, and what was held back of an earlier piece is known to be the boundary's own first bytes. */
#include "api/http/multipart.h"
#include "api/http/parameters.h"

#include <string.h>

#define HEADERS_MAX 8192 /* bytes of one part's headers */
#define BOUNDARY_MAX 70

typedef enum {
  AT_START,    /* before the first boundary */
  AFTER_LINE,  /* behind a boundary: "--", or spaces and CR LF */
  IN_HEADERS,  /* of a part */
  IN_DATA,     /* of a part */
  IN_EPILOGUE, /* behind the closing boundary: dropped */
} State;

struct Multipart {
  const MultipartSink *sink;
  gpointer user;
  char *delimiter; /* CR LF -- boundary */
  gsize length, matched;
  State state;
  GString *line; /* what is gathered: headers, or what follows a boundary */
};

Multipart *multipart_new(const char *boundary, const MultipartSink *sink, gpointer user) {
  Multipart *m = g_new0(Multipart, 1);
  m->sink = sink;
  m->user = user;
  m->delimiter = g_strconcat("\r\n--", boundary, NULL);
  m->length = strlen(m->delimiter);
  m->matched = 2; /* the first boundary has no line before it */
  m->line = g_string_new(NULL);
  return m;
}

void multipart_free(Multipart *m) {
  if (!m)
    return;
  g_free(m->delimiter);
  g_string_free(m->line, TRUE);
  g_free(m);
}

static gboolean broken(GError **error, const char *what) {
  return refuse(error, REFUSAL_INVALID, "The multipart body is broken: %s.", what);
}

char *multipart_boundary(const char *content_type, GError **error) {
  g_autofree char *boundary = parameter_value(content_type, "boundary");
  gsize length = boundary ? strlen(boundary) : 0;
  if (length < 1 || length > BOUNDARY_MAX || boundary[length - 1] == ' ')
    return refuse_null(error, REFUSAL_INVALID,
                       "The Content-Type header has no valid boundary. Let your HTTP library set it.");
  for (const char *c = boundary; *c; c++)
    if (!g_ascii_isalnum(*c) && !strchr("'()+_,-./:=? ", *c))
      return refuse_null(error, REFUSAL_INVALID,
                         "The boundary in the Content-Type header has a wrong character.");
  return g_steal_pointer(&boundary);
}

/* --- headers of a part --- */

/* Takes one "Name: value" line apart; FALSE when there is no colon. */
static gboolean header_of(char *line, const char **name, const char **value) {
  char *colon = strchr(line, ':');
  if (!colon || colon == line)
    return FALSE;
  *colon = '\0';
  *name = line;
  *value = g_strstrip(colon + 1);
  return TRUE;
}

static gboolean transfer_encoding_is_plain(const char *value) {
  return g_ascii_strcasecmp(value, "binary") == 0 || g_ascii_strcasecmp(value, "8bit") == 0 ||
         g_ascii_strcasecmp(value, "7bit") == 0;
}

static gboolean begin_part(Multipart *m, GError **error) {
  if (strlen(m->line->str) != m->line->len || !g_utf8_validate(m->line->str, -1, NULL))
    return broken(error, "the header of a part is not UTF-8 text");
  g_auto(GStrv) lines = g_strsplit(m->line->str, "\r\n", -1);
  g_autofree char *disposition = NULL, *type = NULL;
  for (char **line = lines; *line; line++) {
    const char *name, *value;
    if (!**line)
      continue;
    if (!header_of(*line, &name, &value))
      return broken(error, "the header of a part has a line without a colon");
    if (g_ascii_strcasecmp(name, "Content-Disposition") == 0) {
      g_free(disposition);
      disposition = g_strdup(value);
    } else if (g_ascii_strcasecmp(name, "Content-Type") == 0) {
      g_free(type);
      type = parameter_head(value);
    } else if (g_ascii_strcasecmp(name, "Content-Transfer-Encoding") == 0 &&
               !transfer_encoding_is_plain(value)) {
      return broken(error, "a part has a Content-Transfer-Encoding; send its bytes as they are");
    }
  }
  g_autofree char *head = disposition ? parameter_head(disposition) : NULL;
  g_autofree char *name = disposition ? parameter_value(disposition, "name") : NULL;
  g_autofree char *filename = disposition ? parameter_value(disposition, "filename*") : NULL;
  if (disposition && !filename)
    filename = parameter_value(disposition, "filename");
  if (!head || strcmp(head, "form-data") != 0 || !name)
    return broken(error, "a part has no Content-Disposition: form-data with a name");
  MultipartPart part = {name, filename, type};
  return m->sink->begin(m->user, &part, error);
}

/* --- the machine --- */

/* Behind "--boundary". */
static gboolean after_line(Multipart *m, const char **bytes, gsize *length, GError **error) {
  while (*length > 0) {
    char c = **bytes;
    (*bytes)++;
    (*length)--;
    g_string_append_c(m->line, c);
    if (strcmp(m->line->str, "--") == 0) {
      m->state = IN_EPILOGUE;
      return TRUE;
    }
    gboolean padding = c == ' ' || c == '\t';
    gsize n = m->line->len;
    if (c == '\n' && n >= 2 && m->line->str[n - 2] == '\r') {
      g_string_truncate(m->line, 0);
      m->state = IN_HEADERS;
      return TRUE;
    }
    if (n > 64 || (!padding && c != '\r' && !(c == '-' && n == 1)) ||
        (n >= 2 && m->line->str[n - 2] == '\r') || (n == 2 && m->line->str[0] == '-'))
      return broken(error, "a boundary is followed by something else than a line's end");
  }
  return TRUE;
}

/* A part may have no headers at all; it has no name then, and is refused by begin_part. */
static gboolean headers_complete(const GString *line) {
  return (line->len == 2 && memcmp(line->str, "\r\n", 2) == 0) ||
         (line->len >= 4 && memcmp(line->str + line->len - 4, "\r\n\r\n", 4) == 0);
}

static gboolean in_headers(Multipart *m, const char **bytes, gsize *length, GError **error) {
  while (*length > 0) {
    g_string_append_c(m->line, **bytes);
    (*bytes)++;
    (*length)--;
    if (headers_complete(m->line)) {
      gboolean good = begin_part(m, error);
      g_string_truncate(m->line, 0);
      m->state = IN_DATA;
      return good;
    }
    if (m->line->len >= HEADERS_MAX)
      return broken(error, "the header of a part is too long");
  }
  return TRUE;
}

static gboolean emit(Multipart *m, const char *bytes, gsize length, GError **error) {
  return length == 0 || m->sink->data(m->user, bytes, length, error);
}

/* Up to the next boundary, whose bytes may lie in several pieces. */
static gboolean in_data(Multipart *m, const char **bytes, gsize *length, GError **error) {
  const char *start = *bytes, *end = *bytes + *length, *at = start;
  gsize carried = m->matched; /* matched bytes that lie in earlier pieces */
  while (at < end) {
    if (m->matched == 0) {
      const char *cr = memchr(at, '\r', (gsize)(end - at));
      at = cr ? cr + 1 : end;
      m->matched = cr ? 1 : 0;
    } else if (*at == m->delimiter[m->matched]) {
      at++;
      if (++m->matched == m->length) {
        gsize here = m->length - carried;
        *bytes = at;
        *length = (gsize)(end - at);
        m->matched = 0;
        m->state = AFTER_LINE;
        return emit(m, start, (gsize)(at - start) - here, error) && m->sink->end(m->user, error);
      }
    } else {
      if (carried > 0 && !emit(m, m->delimiter, carried, error))
        return FALSE;
      carried = 0;
      m->matched = 0;
    }
  }
  *bytes = end;
  *length = 0;
  return emit(m, start, (gsize)(end - start) - (m->matched - carried), error);
}

static gboolean at_start(Multipart *m, const char **bytes, gsize *length, GError **error) {
  while (*length > 0) {
    /* One empty line before the first boundary is tolerated, as some clients send it. */
    if (m->matched == 2 && **bytes == '\r' && m->line->len == 0) {
      g_string_append_c(m->line, '\r');
    } else if (m->matched == 2 && **bytes == '\n' && m->line->len == 1) {
      g_string_append_c(m->line, '\n');
    } else if (**bytes == m->delimiter[m->matched] && m->line->len != 1) {
      m->matched++;
    } else {
      return broken(error, "it does not begin with the boundary that the Content-Type header names");
    }
    (*bytes)++;
    (*length)--;
    if (m->matched == m->length) {
      g_string_truncate(m->line, 0);
      m->matched = 0;
      m->state = AFTER_LINE;
      return TRUE;
    }
  }
  return TRUE;
}

gboolean multipart_feed(Multipart *m, const char *bytes, gsize length, GError **error) {
  while (length > 0) {
    gboolean good = TRUE;
    switch (m->state) {
    case AT_START:
      good = at_start(m, &bytes, &length, error);
      break;
    case AFTER_LINE:
      good = after_line(m, &bytes, &length, error);
      break;
    case IN_HEADERS:
      good = in_headers(m, &bytes, &length, error);
      break;
    case IN_DATA:
      good = in_data(m, &bytes, &length, error);
      break;
    case IN_EPILOGUE:
      return TRUE;
    }
    if (!good)
      return FALSE;
  }
  return TRUE;
}

gboolean multipart_finish(Multipart *m, GError **error) {
  return m->state == IN_EPILOGUE || broken(error, "it ends before the closing boundary");
}
