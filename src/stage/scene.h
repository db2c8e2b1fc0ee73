/* A driving video, prepared: its people, their masks, and its plates.
 *
 * On disk a folder that other tools can open: scene.json (all that is small), tracks.safetensors (poses,
 * times, camera motion), masks.mkv (FFV1 grey, one stream per slot, pts = frame index), plate-0.png,
 * plate-1.png, … with plate-0-known.png, … (white where the background was seen) and, where captions stand in
 * front of everybody, plate-0-front.png, … (white where they are), source.* (the video itself, with its
 * sound), thumb.webp.
 *
 * A plate is the background of a run of frames in one coordinate system: for a still camera that of the
 * frames themselves, for a moving one that of a key frame, with a homography per frame that leads from the
 * frame into it.
 *
 *   g_autoptr(Scene) scene = scene_load(folder, error);
 *   scene_check_model(scene, "V4_Preview", error);
 *   g_autoptr(SceneMasks) masks = scene_masks_open(scene, 0, error);
 *   for each frame:
 *     const Plate *plate = scene_plate(scene, frame, error);
 *     plate_view(plate, frame - plate->first, background);      (stage/plate.h)
 *     scene_masks_at(masks, frame, track, &mask, &others, error); */
#pragma once
#include "base/progress.h"
#include "media/video.h"
#include "perception/track.h"

/* What stands in front of everybody (captions), in a run of frames whose camera is still. It changes from
 * span to span: span k has the run's frames [begin[k], begin[k + 1]). */
typedef struct {
  int x, y, width, height; /* the rectangle of the frame, even */
  int spans;               /* at least 1 */
  int *begin;              /* [spans + 1] rising, from 0 to the run's count */
  Image *alpha; /* 1 channel, width / 2 x height / 2 x spans: the spans below each other; NULL until
                   scene_plate loads it */
} Front;

#define FRONT_SPANS_MAX 16

void front_free(Front *front);

typedef struct {
  int first, count;       /* frames [first, first + count) */
  gboolean still;         /* all homographies are the identity */
  int width, height;      /* of picture and known */
  float x0, y0;           /* plate pixel (0,0) in key frame coordinates */
  float (*homography)[9]; /* [count] row-major 3x3: frame pixel -> key frame pixel */
  Image *picture;         /* RGB; NULL until scene_plate loads it */
  Image
      *known; /* 1 channel: 255 where the background was ever seen, 0 where it was filled; size of picture */
  Front *front; /* NULL: nothing */
} Plate;

typedef struct {
  char *folder;
  char *model;  /* "V4_Preview" or "V3_Preview" */
  char *source; /* path of the video inside the folder */
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
  gboolean brief;      /* the folder is read once and thrown away: quick to write rather than small */
} SceneOptions;

/* Makes folder (which must not exist, or be empty) from the video. Nothing is left behind on failure. */
Scene *scene_prepare(const char *video, const char *folder, const SceneOptions *options, Progress *progress,
                     GError **error);
/* Checks every number in the folder; pictures and masks are opened when they are asked for. FAULT_INPUT says
 * what is damaged. */
Scene *scene_load(const char *folder, GError **error);
/* FAULT_USAGE when the scene was prepared for another model, with advice. */
gboolean scene_check_model(const Scene *scene, const char *model, GError **error);

/* The plate of a frame with its pictures (owned by the scene). Only the plate asked for last is kept in
 * memory, so one caller at a time, frames in order. FAULT_INPUT. */
const Plate *scene_plate(Scene *scene, int frame, GError **error);

/* The masks, read one frame after the other from the first that is wanted: frames may be asked for again, but
 * not backwards. One caller at a time. */
typedef struct SceneMasks SceneMasks;
SceneMasks *scene_masks_open(const Scene *scene, int first, GError **error);
void scene_masks_free(SceneMasks *masks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SceneMasks, scene_masks_free)

/* mask: of the track (index into tracks->tracks) in the frame; NULL where that person is not seen. others:
 * the union of all other tracks' masks; NULL where there is nobody else. Both 1 channel, 255 = person,
 * tracks->mask_width x mask_height, transfer full; either pointer may be NULL. FAULT_INPUT when the file is
 * damaged. */
gboolean scene_masks_at(SceneMasks *masks, int frame, guint track, Image **mask, Image **others,
                        GError **error);
/* The union of the masks of the tracks whose flag is set ([tracks->tracks->len]); NULL for nobody. */
gboolean scene_masks_union(SceneMasks *masks, int frame, const gboolean *which, Image **people,
                           GError **error);
