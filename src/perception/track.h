/* People through a video: who is where in every frame, under ids that stay.
 *
 * Frames go in one after the other; what is seen in each comes out at once, and when all are in, tracker_finish joins
 * what belongs together, bridges gaps and smooths without delay, since the whole video is known then. */
#pragma once
#include "perception/pose.h"

#define TRACK_MAX_PEOPLE 8 /* at the same time */

/* One person in the frame just given. slot: 0..TRACK_MAX_PEOPLE-1, the lowest that was free when this person appeared. */
typedef struct {
  int slot;
  Pose pose;   /* unsmoothed */
  float *mask; /* what tracker_mask is made from; owned */
} Sighting;

typedef struct {
  int id;          /* 1, 2, …: by first frame, then left to right */
  int first;       /* index of the first frame */
  int count;       /* frames */
  gint8 *slot;     /* [count] slot of the mask, -1 where the person was not seen and the pose is bridged */
  Pose *poses;     /* [count] smoothed */
} Track;

typedef struct {
  int width, height; /* of the video, pixels */
  int frames;
  double *time_s;    /* [frames] */
  int mask_width, mask_height;
  GArray *cuts;      /* int: first frame of every shot, the first is 0 */
  GPtrArray *tracks; /* Track *, by id */
} Tracks;

void tracks_free(Tracks *tracks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tracks, tracks_free)

typedef struct Tracker Tracker;

Tracker *tracker_new(PoseNetwork network, const char *models, int width, int height, GError **error);
void tracker_free(Tracker *tracker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tracker, tracker_free)
/* The masks' size: the video's, shrunk so that the longer side is at most 512. */
void tracker_mask_size(const Tracker *tracker, int *width, int *height);

/* cut: a new shot begins with this frame. sightings (transfer full): element type Sighting. */
gboolean tracker_add(Tracker *tracker, const Image *rgb, double time_s, gboolean cut, GArray **sightings, GError **error);
/* The person's mask: 1 channel, 255 = person, size of tracker_mask_size (transfer full). For any thread: making masks
 * need not hold up the following. */
Image *tracker_mask(const Tracker *tracker, const Sighting *sighting);
/* FAULT_NOBODY when no person was seen for half a second. */
Tracks *tracker_finish(Tracker *tracker, GError **error);
