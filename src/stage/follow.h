/* People followed through a video: one thread decodes, converts and finds the cuts, one follows the people,
 * the calling one takes the frames in order. A bounded number of frames exists at a time.
 * What it sees becomes tracks by tracker_finish. */
#pragma once
#include "media/video.h"
#include "perception/track.h"

typedef struct {
  int index;
  const AVFrame *frame;
  const Image *rgb;
  gboolean cut;            /* a shot begins here; the first frame does */
  const GArray *sightings; /* Sighting */
} Followed;

/* FALSE, with *error set, ends the following. */
typedef gboolean (*FollowedFunc)(gpointer user, const Followed *followed, GError **error);

/* How the networks see the frames: by the short way (glance.h), or as people see them, for six times the
 * work. The landmarks differ by a pixel in a height of two thousand. */
typedef enum { FOLLOW_QUICK, FOLLOW_EXACT } FollowColours;

/* Gives every frame of the video, from its first on, to the tracker and then to `take` on the calling thread.
 */
gboolean follow_video(VideoIn *in, Tracker *tracker, FollowColours colours, FollowedFunc take, gpointer user,
                      GError **error);
