/* Names with values, in the order in which they came. */
#pragma once
#include <glib.h>

/* Of a query, of a form, of a multipart body. */
#define FIELDS_MAX 100

typedef struct {
  char *name, *value; /* valid UTF-8 */
} Field;

typedef struct {
  Field *items;
  guint count;
} Fields;

void fields_add(Fields *fields, char *name, char *value); /* takes both */
/* The last one of that name; NULL when there is none. */
const char *fields_find(const Fields *fields, const char *name);
void fields_clear(Fields *fields);
