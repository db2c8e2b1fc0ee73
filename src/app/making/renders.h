/* Renders: Characters in a Scene.
 *
 * Job spec: {"picture": OBJECT} or {"character": ID, "folder": OBJECT} or {"character": ID, "picture":
 * OBJECT} (of a Character that was still being made: its folder if it is ready when the job begins) or
 * {"roles":
 * [{"person": N, "character": ID, "folder": OBJECT}]};
 * {"video": OBJECT, "seconds": S} or {"scene": ID or "template": ID, "folder_scene": OBJECT, "seconds": S};
 * "model", "background", "colour": [r,g,b], "audio", "fast". The objects are held by the job while it runs,
 * so deleting a Character does not stop its Render. Result: {"video": OBJECT, "mask": OBJECT or absent,
 * "frames", "seconds", "width", "height"}; partial results between attempts: "character", "scene" (objects of
 * the folders made on the way). Checkpoints: ref_done, dri_done, bg_done, render_done. */
#pragma once
#include "app/making/characters.h"
#include "app/making/scenes.h"

#define RENDER_PRICE_SECOND (1 * CREDIT) /* of output; doubled by fast */

typedef struct {
  InputSource ref_image, driving_video;
  const char *character_id, *scene_id;
  const char *scene_field;       /* what messages call scene_id; NULL: that */
  const char *template_id;       /* its Scene, instead of scene_id */
  const char *template_note;     /* a Template that it is only counted to */
  const char *title;             /* what searches show, or NULL */
  gboolean patient;              /* a Character that is still being made may play, where it plays alone */
  const char *character_mapping; /* JSON text, or NULL */
  const char *model, *background_mode, *bg_color; /* NULL: not given */
  gboolean fast, audio;                           /* audio: TRUE usually */
  const char *webhook_url;
  const char *dialect;   /* in which the webhook speaks; NULL: the key's */
  const char *id_prefix; /* of the job; NULL: "job_" */
  gboolean dry_run;
} RenderRequest;

/* What so much output costs, rounded half up to a hundredth of a credit. */
gint64 render_price(double seconds, gboolean fast);

/* *job stays NULL for a dry run. mode: "full_pipeline", "preprocessed", "multi_character" or "fast".
 * REFUSAL_*. */
gboolean render_create(App *app, const Caller *caller, const RenderRequest *request, Job **job, gint64 *price,
                       const char **mode, GError **error);
/* The text of character_mapping as a JSON object from segment uuids to character ids, which need not exist.
 * *mapping (transfer full) may be set on failure too. REFUSAL_MAPPING, REFUSAL_INVALID. */
gboolean render_mapping(const char *text, json_t **mapping, GError **error);
/* FALSE when text is not "R,G,B", each 0..255; spaces around the numbers are passed over. */
gboolean render_colour(const char *text, int colour[3]);

/* One Render; account NULL: anybody's. REFUSAL_NOT_FOUND. */
Job *render_get(App *app, const char *account, const char *id, GError **error);
/* The Renders of an account (Job), newest first. */
GPtrArray *render_list(App *app, const char *account, int limit, int offset, gint64 *total, GError **error);
