/* Putting a matte in order: what matting leaves behind that a figure does not have. Lengths in pixels;
 * `height` is the figure's. */
#pragma once
#include "base/image.h"
#include "base/plane.h"

/* The ends of alpha, where matting leaves a veil, to 0 and 1. */
void alpha_stretch(Plane *alpha);

/* Decides broad half-transparent stretches for one side, as people and their clothes are opaque; except where
 * the picture is brighter than the ground behind it: there something glows, and may. Hair is thin, and stays.
 */
void alpha_resolve_veils(Plane *alpha, const Image *rgb, const Image *ground, float height);

/* Clears pieces that are small or lie apart from the main one. */
void alpha_drop_islands(Plane *alpha, float height);

/* Fills gaps that are too small to be looked through. */
void alpha_close_holes(Plane *alpha, float height);
