/* Smoothing without delay, for which the whole of a track must be known.
 *
 * Every coordinate is taken as a particle under random jerk that is measured with noise; the best estimate
 * from all measurements, earlier and later, is that of Rauch, Tung and Striebel (Maximum Likelihood Estimates
 * of Linear Dynamic Systems, 1965). For evenly spaced, equally good measurements this is a filter with the
 * response 1/(1 + (f/cutoff)^6) and no phase; where the network is unsure of a landmark its cutoff falls, and
 * where nothing was measured the motion goes on. */
#pragma once
#include "perception/pose.h"

/* Smooths n values at rising times. trust [n]: 1 for a full measurement, less for a poorer one, 0 for none
 * (the value is then ignored and filled in). At least one trust must be positive. cutoff in Hz. In place. */
void smooth_series(const double *time_s, const float *trust, double cutoff, int n, float *values);

/* Marks in trust (sets to 0) values that jump away for one or two samples and come back, by more than `least`
 * and by more than what is usual around them (Hampel's rule: three times the scaled median deviation). */
void smooth_reject(const float *values, int n, float least, float *trust);

/* A stretch of one person's poses within one shot. seen [n]: FALSE where the pose is to be filled in; the
 * first and the last must be seen. Where the network exchanges left and right the names of the majority hold;
 * outliers are replaced, everything smoothed; the arms less than the rest, depth more. In place. */
void smooth_poses(const double *time_s, const gboolean *seen, int n, Pose *poses);
