/* Templates: published Scenes, which any account may import. Holds: folder. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"
#include <jansson.h>

typedef struct {
  char *id, *name, *kind, *model; /* kind: "scene" */
  json_t *about;                  /* {"seconds", "fps", "frames", "width", "height", "segments"} */
  gint64 created;
  char *folder; /* object */
} TemplateRow;
void template_row_free(TemplateRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TemplateRow, template_row_free)

/* folder: of a prepared Scene (troupe scene), which is copied into the store. name NULL: the folder's.
 * Returns the id (transfer full). FAULT_INPUT, FAULT_USAGE (name), FAULT_STORE. */
char *template_add(App *app, const char *folder, const char *name, GError **error);
/* Newest first. */
GPtrArray *template_list(App *app, GError **error);
TemplateRow *template_get(Session *session, const char *id, GError **error); /* REFUSAL_TEMPLATE */
/* Scenes that were made from it stay. FAULT_INPUT when there is none. */
gboolean template_remove(App *app, const char *id, GError **error);
