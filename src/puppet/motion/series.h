/* Series of values over the frames of a track: smoothing without delay inside shots, filling, quantiles. */
#pragma once
#include <glib.h>
#include <math.h>

/* The same direction within half a turn of 0; radians. */
static inline float wrap(float angle) {
  return angle - (float)(2 * G_PI) * rintf(angle / (float)(2 * G_PI));
}

/* values lie stride floats apart. segment: frames of different value never mix. sigma in frames; below 0.3
 * nothing happens. */
void series_gauss(float *values, gsize stride, const int *segment, int count, double sigma);
/* Adds multiples of 2 pi so that no step is larger than pi. */
void series_unwrap(float *values, gsize stride, const int *segment, int count);
/* Frames with known 0 get the linear interpolation of their known neighbours in the same segment, or the
 * nearest one's value at its ends, or, where the segment has none, the nearest of any. FALSE when nothing is
 * known. */
gboolean series_fill(float *values, gsize stride, const guint8 *known, const int *segment, int count);
/* The value below which the share q of the finite values lies; 0 when there are none. */
float series_quantile(const float *values, gsize stride, int count, double q);
/* Runs of a state that are shorter than least frames take the state before them (the first the one after). */
void series_steady(guint8 *state, const int *segment, int count, int least);
