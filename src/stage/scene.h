/* A driving video, prepared: its people, their masks, and its plates.
 *
 * On disk a folder: scene.json (all that is small), tracks.safetensors, masks.mkv (FFV1 grey, one stream per slot, pts = frame index),
 * plate-0.png, plate-1.png, …, source.* (the video itself, with its sound), thumb.webp.
 *
 * A plate is the background of a run of frames in one coordinate system: for a still camera that of the frames themselves, for a
 * moving one that of a key frame, with a homography per frame that leads from the frame into it. */
#pragma once
#include "base/progress.h"
#include "media/video.h"
#include "perception/track.h"

typedef struct {
  int first, count;         /* frames [first, first + count) */
  gboolean still;           /* all homographies are the identity */
  float x0, y0;             /* plate pixel (0,0) in key frame coordinates */
  float (*homography)[9];   /* [count] row-major 3x3: frame pixel -> key frame pixel */
  Image *picture;           /* RGB; NULL until scene_plate loads it */
  Image *known;             /* 1 channel: 255 where the background was ever seen, 0 where it was filled; size of picture */
} Plate;

typedef struct {
  char *folder;
  char *model;       /* "V4_Preview" or "V3_Preview" */
  char *source;      /* path of the video inside the folder */
  VideoInfo info;
  Tracks *tracks;
  GPtrArray *plates; /* Plate *, in order, covering all frames */
} Scene;

void scene_free(Scene *scene);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

typedef struct {
  const char *model;   /* required */
  PoseNetwork network; /* POSE_FULL is the usual one */
  const char *models;  /* folder of the networks or NULL */
} SceneOptions;

/* Makes folder (which must not exist, or be empty) from the video. Nothing is left behind on failure. */
Scene *scene_prepare(const char *video, const char *folder, const SceneOptions *options, Progress *progress, GError **error);
Scene *scene_load(const char *folder, GError **error);
