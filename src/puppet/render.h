/* A Render: Characters in a Scene, as a video. */
#pragma once
#include "puppet/character.h"
#include "puppet/draw/compose.h"
#include "stage/scene.h"

#define RENDER_MODEL_VOLUMETRIC "V4_Preview"
#define RENDER_MODEL_FLAT "V3_Preview"

/* FAULT_USAGE with the list of models when this is none. */
gboolean render_model_known(const char *model, GError **error);

/* Who plays whom. */
typedef struct {
  const Character *character;
  int person; /* id of the Track; 0 for the one who is seen most */
} Role;

typedef struct {
  Background background;
  guint8 colour[3]; /* of BACKGROUND_SOLID, RGB */
  const char *mask; /* where the mask video goes, or NULL for none */
  VideoQuality quality;
  gboolean silent; /* the video's sound is left out */
  /* A run of the Scene's frames, both 0 for all. Its pictures are those that they would be in the whole, at
   * the times they have there; a part has no sound (media/video_join.h makes one video of the parts). */
  int first, count;
  /* 0: as many as there are processors. The encoder's number is fixed, since its choices depend on it. No
   * byte depends on it. */
  int threads;
} RenderOptions;

typedef struct {
  int frames;
  int acted; /* frames in which a character is to be seen */
} RenderResult;

/* people who have no Role keep their own look. All outputs appear at the end together, or none. FAULT_OUTPUT,
 * FAULT_NOBODY (no such person; the message lists those there are), FAULT_CANCELLED. */
gboolean render_video(Scene *scene, const Role *roles, int count, const RenderOptions *options,
                      const char *out, RenderResult *result, Progress *progress, GError **error);
