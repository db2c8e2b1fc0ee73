/* Between app/templates.c and app/template_add.c. */
#pragma once
#include "app/templates.h"

/* origin: a name under which settings remember that it came with the program, or NULL. */
gboolean template_insert(App *app, const TemplateRow *row, const char *origin, GError **error);
