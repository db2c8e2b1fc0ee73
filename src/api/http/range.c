#include "api/http/range.h"

#include <stdio.h>
#include <string.h>

#include <time.h>

/* Decimal digits at *at; FALSE without any. What is larger than a file can be is G_MAXINT64. */
static gboolean take_number(const char **at, gint64 *number) {
  const char *c = *at;
  gint64 n = 0;
  while (g_ascii_isdigit(*c)) {
    int digit = *c++ - '0';
    n = n > (G_MAXINT64 - digit) / 10 ? G_MAXINT64 : n * 10 + digit;
  }
  gboolean any = c > *at;
  *at = c;
  *number = n;
  return any;
}

RangeKind range_parse(const char *header, gint64 size, gint64 *first, gint64 *length) {
  *first = 0;
  *length = size;
  if (!header || g_ascii_strncasecmp(header, "bytes=", 6) != 0)
    return RANGE_WHOLE;
  const char *at = header + 6 + strspn(header + 6, " \t");
  gint64 from, to = G_MAXINT64;
  gboolean has_from = take_number(&at, &from);
  if (*at++ != '-')
    return RANGE_WHOLE;
  gboolean has_to = take_number(&at, &to);
  if (at[strspn(at, " \t")] != '\0' || (!has_from && !has_to) || (has_from && has_to && to < from))
    return RANGE_WHOLE;
  if (!has_from) { /* the last bytes */
    if (to == 0 || size == 0)
      return RANGE_IMPOSSIBLE;
    *length = MIN(to, size);
    *first = size - *length;
    return RANGE_PART;
  }
  if (from >= size)
    return RANGE_IMPOSSIBLE;
  *first = from;
  *length = (has_to ? MIN(to, size - 1) : size - 1) - from + 1;
  return RANGE_PART;
}

gboolean etag_listed(const char *list, const char *etag) {
  gsize length = strlen(etag);
  for (const char *at = list;; at++) {
    at += strspn(at, " \t,");
    if (*at == '*')
      return TRUE;
    if (at[0] == 'W' && at[1] == '/')
      at += 2;
    if (*at != '"')
      return FALSE;
    const char *end = strchr(at + 1, '"');
    if (!end)
      return FALSE;
    if ((gsize)(end + 1 - at) == length && memcmp(at, etag, length) == 0)
      return TRUE;
    at = end;
  }
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

char *http_date(gint64 seconds) {
  time_t moment = (time_t)seconds;
  struct tm tm;
  gmtime_r(&moment, &tm);
  return g_strdup_printf("%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
                         months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

gint64 http_date_parse(const char *text) {
  int day, year, hour, minute, second, used = 0;
  char month[4] = "";
  if (strlen(text) < 29 || sscanf(text + 3, ", %2d %3s %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour,
                                  &minute, &second, &used) != 6)
    return -1;
  const char *found = strlen(month) == 3 ? strstr(months, month) : NULL;
  if (used == 0 || !found || (found - months) % 3 != 0 || year < 1970 || day < 1 || day > 31 || hour < 0 ||
      hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
    return -1;
  struct tm tm = {.tm_mday = day,
                  .tm_mon = (int)(found - months) / 3,
                  .tm_year = year - 1900,
                  .tm_hour = hour,
                  .tm_min = minute,
                  .tm_sec = second};
  return (gint64)timegm(&tm);
}
