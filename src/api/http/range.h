/* Range requests and their conditions (RFC 9110, 13 and 14). */
#pragma once
#include <glib.h>

typedef enum {
  RANGE_WHOLE,     /* no range, one that is not understood, or several: the whole file, 200 */
  RANGE_PART,      /* 206 */
  RANGE_IMPOSSIBLE /* 416 */
} RangeKind;

/* header: "bytes=0-99", "bytes=100-", "bytes=-5"; NULL is RANGE_WHOLE. first and length are set for all but
 * RANGE_IMPOSSIBLE, and lie within size. */
RangeKind range_parse(const char *header, gint64 size, gint64 *first, gint64 *length);

/* Whether a list of If-None-Match names etag (quoted, strong); weak comparison; "*" names every one. */
gboolean etag_listed(const char *list, const char *etag);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (transfer full) and back (-1: not one). Seconds since 1970. */
char *http_date(gint64 seconds);
gint64 http_date_parse(const char *text);
