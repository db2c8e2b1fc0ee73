/* A form of any content: every name and value that comes out is UTF-8 and no longer than what went in. */
#include "api/http/urlencoded.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  g_autoptr(GError) error = NULL;
  Fields fields = {0};
  gboolean good = urlencoded_parse((const char *)data, size, "The body", &fields, &error);
  g_assert(good ? !error : g_error_matches(error, REFUSAL, REFUSAL_INVALID));
  gsize total = 0;
  g_assert(fields.count <= FIELDS_MAX);
  for (guint i = 0; i < fields.count; i++) {
    g_assert(g_utf8_validate(fields.items[i].name, -1, NULL) &&
             g_utf8_validate(fields.items[i].value, -1, NULL));
    g_assert(fields_find(&fields, fields.items[i].name));
    total += strlen(fields.items[i].name) + strlen(fields.items[i].value);
  }
  g_assert(total <= size);
  fields_clear(&fields);
  return 0;
}
