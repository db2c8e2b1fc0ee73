/* One person followed without interruption, and how such pieces become tracks. Private to the room. */
#pragma once
#include "perception/track.h"

typedef struct {
  int first;     /* frame */
  int shot;      /* index of the shot that it lies in */
  GArray *poses; /* Pose, one for each frame from first on */
  GArray *slots; /* gint8, the same; -1 where a bridge was built */
} Tracklet;

Tracklet *tracklet_new(int first, int shot);
void tracklet_free(Tracklet *tracklet);
void tracklet_add(Tracklet *tracklet, const Pose *pose, gint8 slot);
/* The frame after the last. */
int tracklet_end(const Tracklet *tracklet);
const Pose *tracklet_pose(const Tracklet *tracklet, int frame);

/* Joins tracklets of the same shot where one goes on where another ended, drops those that repeat another or
 * are too short, numbers the rest and smooths them. Takes the poses out of `tracklets`. Element type of the
 * result: Track *. */
GPtrArray *tracklets_to_tracks(GPtrArray *tracklets, const double *time_s, int frames);
