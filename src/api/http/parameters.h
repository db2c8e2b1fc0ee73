/* Header values with parameters: "multipart/form-data; boundary=x", "form-data; name=\"a\"; filename=\"b\"".
 */
#pragma once
#include <glib.h>

/* What stands before the first parameter, in lower case, without spaces around it (transfer full). */
char *parameter_head(const char *value);
/* The parameter's value, unquoted (transfer full); NULL where it is absent or not well-formed. A name that
 * ends in * is read as RFC 8187's extended form (UTF-8''percent-encoded). */
char *parameter_value(const char *value, const char *name);
