#include "api/http/fields.h"

#include <string.h>

void fields_add(Fields *fields, char *name, char *value) {
  /* grows at 0, 4, 8, 16, … */
  if (fields->count == 0 || (fields->count >= 4 && (fields->count & (fields->count - 1)) == 0))
    fields->items = g_renew(Field, fields->items, MAX(4, 2 * fields->count));
  fields->items[fields->count++] = (Field){name, value};
}

const char *fields_find(const Fields *fields, const char *name) {
  for (guint i = fields->count; i-- > 0;)
    if (strcmp(fields->items[i].name, name) == 0)
      return fields->items[i].value;
  return NULL;
}

void fields_clear(Fields *fields) {
  for (guint i = 0; i < fields->count; i++) {
    g_free(fields->items[i].name);
    g_free(fields->items[i].value);
  }
  g_free(fields->items);
  *fields = (Fields){0};
}
