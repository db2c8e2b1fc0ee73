/* Filling of holes in a picture from what surrounds them: smooth where the surroundings are smooth, with
 * texture and continued edges where they are not.
 *
 * Patch based, coarse to fine: Wexler, Shechtman and Irani, Space-Time Completion of Video, 2007, with the
 * search of Barnes et al., PatchMatch, 2009, and patches that may shift in brightness as in Darabi et al.,
 * Image Melding, 2012. Deterministic: the same input gives the same bytes. */
#pragma once
#include "base/plane.h"

/* rgb: 3 channels. hole: 1 channel of the same size; pixels above 127 are replaced, all others stay as they
 * are and serve as source. Nothing happens where there is no hole; a hole without any source becomes middle
 * grey. */
void inpaint_fill(Image *rgb, const Image *hole);

/* Smooth fill of a field: replaces the values where weight is 0 by the membrane (harmonic function) spanned
 * between those where it is not. Where no weight is set the plane becomes 0. Solved coarse to fine. */
void inpaint_membrane(Plane *plane, const Plane *weight);
