/* Between app/templates/templates.c and app/templates/template_add.c. */
#pragma once
#include "app/templates/templates.h"

/* origin: a name under which settings remember that it came with the program, or NULL. */
gboolean template_insert(App *app, const TemplateRow *row, const char *origin, GError **error);
