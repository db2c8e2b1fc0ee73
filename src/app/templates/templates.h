/* Templates: what the operator has published for all accounts.
 *
 * Of kind "scene": a prepared Scene with a part for each of its people; made into a Render. Any account may
 * also import it. Of kind "prompt": words with gaps (app/templates/template_prompt.h); made into a
 * Generation. Holds: folder. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"
#include "base/progress.h"
#include <jansson.h>

#define TEMPLATE_SCENE "scene"
#define TEMPLATE_PROMPT "prompt"
#define TEMPLATE_CATEGORY_USUAL "general"

typedef struct {
  char *id, *name, *kind;
  char *model;   /* "" of a prompt that names none */
  json_t *about; /* scene: {"seconds", "fps", "frames", "width", "height", "segments", "description",
                    "category"}, the last two perhaps absent; prompt: the file's JSON */
  gint64 created;
  char *folder; /* object; NULL of a prompt */
} TemplateRow;
void template_row_free(TemplateRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TemplateRow, template_row_free)

typedef struct {
  const char *name;                   /* NULL: the file's title, the folder's name */
  const char *description, *category; /* of a Scene; NULL: none */
} TemplateWords;

/* path: the folder of a prepared Scene (troupe scene), which is copied into the store; a video, of which a
 * Scene is made first; or a JSON file: of a prompt (app/templates/template_prompt.h), or of a Scene:
 *
 *   {"scene": "dance.mp4", "title": "Dance", "description": "…", "category": "dance", "model": "V4_Preview"}
 *
 * where scene is a video or a Scene's folder, beside the file unless its path is absolute, and the rest may
 * be left out. words and progress may be NULL. Returns the id (transfer full). FAULT_INPUT, FAULT_USAGE
 * (words), FAULT_STORE. */
char *template_add(App *app, const char *path, const TemplateWords *words, Progress *progress,
                   GError **error);
/* Adds what lies in the folder (NAME.json) and was never added from there to this installation, prompts
 * first. Ends at the first that cannot be added. */
gboolean templates_install(App *app, const char *folder, Progress *progress, GError **error);
/* Newest first. */
GPtrArray *template_list(App *app, GError **error);
/* category: exactly, q: part of name or description without regard to case; both may be NULL. */
GPtrArray *template_search(App *app, const char *category, const char *q, int limit, int offset,
                           gint64 *total, GError **error);
TemplateRow *template_get(Session *session, const char *id, GError **error); /* REFUSAL_TEMPLATE */
/* Scenes that were made from it stay. FAULT_INPUT when there is none. */
gboolean template_remove(App *app, const char *id, GError **error);

/* --- what it wants --- */

const char *template_category(const TemplateRow *row);
const char *template_description(const TemplateRow *row); /* or NULL */
/* What fills it: [{"key", "label", "type": "text" or "image", "required", "slot", "placeholder",
 * "description", "default_value", "min_length", "max_length"}], the last six only where they are there
 * (transfer full). Of a Scene: "character" (with several people "character_1" …, first who is seen most;
 * slot: the segment) and "background". */
json_t *template_variables(const TemplateRow *row);
/* Whether it can be used at all. REFUSAL_TEMPLATE_BROKEN. */
gboolean template_sane(App *app, const TemplateRow *row, GError **error);
