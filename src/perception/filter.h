/* The causal filters of MediaPipe's graphs, for what has to be steady while the next frame is not known: the
 * region that follows a person, and previews. Whole videos are smoothed without delay (perception/smooth.h).
 *
 * All structs begin zeroed; zero them again to start over. */
#pragma once
#include "perception/pose.h"

/* Casiez, Roussel, Vogel: 1 Euro Filter, 2012. */
typedef struct {
  float min_cutoff, beta, derivative_cutoff;
} OneEuroSettings;

typedef struct {
  gboolean started;
  double time_s;
  float raw, value, derivative;
} OneEuro;

/* The first value passes unchanged; so does one whose time is not later than the last. scale: multiplies the
 * speed, so that beta may be given for bodies of one size. */
float one_euro(OneEuro *filter, const OneEuroSettings *settings, double time_s, float value, float scale);

/* The two points that make the next frame's region. object_scale: side of the region that they would make
 * unfiltered. */
typedef struct {
  OneEuro coordinate[2][2];
} AnchorFilter;
void anchor_filter(AnchorFilter *filter, double time_s, float anchor[2][2]);

/* All landmarks of a pose, as the official solution smooths them. object_scale: side in pixels of the square
 * that the unfiltered anchors of this frame make. */
typedef struct {
  gboolean started;
  OneEuro image[POSE_LANDMARKS][3], world[POSE_LANDMARKS][3];
  float visibility[POSE_LANDMARKS];
} PoseFilter;
void pose_filter(PoseFilter *filter, double time_s, float object_scale, Pose *pose);

/* Draws uncertain pixels of `mask` towards the previous smoothed mask of the same size (which may be NULL).
 */
void mask_filter(const Image *previous, Image *mask);
