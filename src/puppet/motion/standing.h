/* Who stands before whom. In a picture of people on one ground, the nearer one's feet are lower.
 *
 * Decided for every pair of people over all the frames that they share, with hysteresis, so that the order
 * does not flicker; a frame's answer depends on nothing but its number. Where somebody's feet are not in the
 * picture, they are taken to be where the size of the trunk puts them: then the larger one is nearer. */
#pragma once
#include "perception/track.h"

typedef struct Standing Standing;

/* tracks must outlive it. */
Standing *standing_new(const Tracks *tracks);
void standing_free(Standing *standing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Standing, standing_free)

/* Whether track a (an index) stands before track b in a frame. FALSE where one of them is not there. */
gboolean standing_before(const Standing *standing, guint a, guint b, int frame);

/* Sorts indices of tracks, the farthest first; those who are not in the frame come first of all. */
void standing_sort(const Standing *standing, int frame, guint *tracks, int count);
