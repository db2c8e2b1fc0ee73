/* The tables, as the steps that made them. */
#pragma once
#include <glib.h>

/* schema_steps[n] brings version n to n + 1; statements are separated by ';'. A step that was released is
 * never changed: another one follows it. */
extern const char *const schema_steps[];
extern const int schema_version;
