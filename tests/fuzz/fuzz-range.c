/* Range, If-None-Match and dates from anyone: a part that is served lies within the file. */
#include "api/http/range.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static void check_range(const char *header, gint64 bytes) {
  gint64 first, length;
  RangeKind kind = range_parse(header, bytes, &first, &length);
  if (kind == RANGE_PART)
    g_assert(first >= 0 && length > 0 && first < bytes && length <= bytes - first);
  if (kind == RANGE_WHOLE)
    g_assert(first == 0 && length == bytes);
}

static void check_date(const char *text) {
  gint64 moment = http_date_parse(text);
  if (moment < 0)
    return;
  g_autofree char *again = http_date(moment);
  g_assert(http_date_parse(again) == moment);
}

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  gint64 bytes = 0;
  if (size < sizeof bytes)
    return 0;
  memcpy(&bytes, data, sizeof bytes);
  bytes &= G_MAXINT64;
  g_autofree char *text = g_strndup((const char *)data + sizeof bytes, size - sizeof bytes);
  g_autofree char *range = g_strconcat("bytes=", text, NULL), *date = g_strconcat("Sun, 06 Nov ", text, NULL);
  check_range(text, bytes);
  check_range(range, bytes);
  check_date(text);
  check_date(date);
  etag_listed(text, "\"abc\"");
  return 0;
}
