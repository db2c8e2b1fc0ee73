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
} RenderOptions;

typedef struct {
  int frames;
  int acted; /* frames in which a character is to be seen */
} RenderResult;

/* people who have no Role keep their own look. All outputs appear at the end together, or none. FAULT_OUTPUT,
 * FAULT_NOBODY (no such person; the message lists those there are), FAULT_CANCELLED. */
gboolean render_video(Scene *scene, const Role *roles, int count, const RenderOptions *options,
                      const char *out, RenderResult *result, Progress *progress, GError **error);
