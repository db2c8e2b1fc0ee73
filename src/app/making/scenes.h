/* Scenes of an account. Job spec: {"video": OBJECT, "model": M}; result: {"folder": OBJECT, …as the engine
 * says}; holds: video, folder. A Scene imported from a Template shares the Template's folder and is ready at
 * once. */
#pragma once
#include "app/inputs/inputs.h"
#include "app/jobs/jobs.h"

typedef struct {
  char *id, *account, *name, *model, *background, *template, *status; /* pending, processing, ready, failed */
  char *job, *error, *error_code;
  double seconds, fps;
  gint64 frames;
  int width, height;
  json_t *segments; /* [{"uuid": "person_a1b2c3d4", "type": "human", "person": 1}] */
  gint64 created, completed;
  char *folder, *video; /* objects */
} SceneRow;
void scene_row_free(SceneRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SceneRow, scene_row_free)

typedef struct {
  const char *name, *model, *background; /* model, background NULL: the usual ones */
  InputSource video;
  const char *webhook_url;
  const char *dialect; /* in which the webhook speaks; NULL: the key's */
  gboolean dry_run;    /* validate only: *row stays NULL */
} SceneRequest;

#define SCENE_MODEL_USUAL "V4_Preview"
#define SCENE_BACKGROUND_USUAL "original"
/* "V4_Preview", "V3_Preview"; REFUSAL_MODEL. */
gboolean scene_model_known(const char *model, GError **error);
/* "original", "solid" or "transparent" (static); "inpaint" is original. NULL with REFUSAL_BACKGROUND. */
const char *scene_background(const char *name, GError **error);

gboolean scene_create(App *app, const Caller *caller, const SceneRequest *request, SceneRow **row,
                      GError **error);
/* REFUSAL_TEMPLATE. name NULL: the template's. */
gboolean scene_import(App *app, const Caller *caller, const char *template, const char *name,
                      gboolean dry_run, SceneRow **row, GError **error);
SceneRow *scene_get(App *app, const char *account, const char *id, GError **error); /* REFUSAL_SCENE */
/* The same within a session. */
SceneRow *scene_read(Session *session, const char *account, const char *id, GError **error);
/* The Scene of a Template as if it were imported: id is the Template's. REFUSAL_TEMPLATE,
 * REFUSAL_TEMPLATE_BROKEN. */
SceneRow *scene_of_template(Session *session, const char *template, GError **error);
GPtrArray *scene_list(App *app, const char *account, int limit, int offset, gint64 *total, GError **error);
gboolean scene_delete(App *app, const char *account, const char *id, GError **error);
