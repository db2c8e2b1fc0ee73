/* application/x-www-form-urlencoded and the percent encoding of paths (URL Standard, WHATWG; RFC 3986). */
#pragma once
#include "api/http/fields.h"
#include "app/refusal.h"

/* Decodes %XX, and + as a space where plus says so (transfer full). NULL for a broken escape, a zero byte, or
 * what is not UTF-8. */
char *urlencoded_decode(const char *text, gsize length, gboolean plus);

/* "a=1&b=2"; a name without = has the value "". Adds to fields. REFUSAL_INVALID: broken encoding, or more
 * than FIELDS_MAX; what names the text in the message ("The query"). */
gboolean urlencoded_parse(const char *text, gsize length, const char *what, Fields *fields, GError **error);
