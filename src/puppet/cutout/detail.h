/* Carrying a matte and its colours up to a larger version of the same picture, whose edges are sharper than
 * theirs. */
#pragma once
#include "base/image.h"
#include "base/plane.h"
#include "puppet/cutout/foreground.h"

/* The alpha of `rgb`, from a smaller picture's: enlarged, then matted again where it is between 0 and 1, with
 * the mixture of the smaller picture's colours as guess. */
Plane *detail_refine(const Image *rgb, const Plane *alpha, const Colours *colours);

/* RGBA, straight, of a picture of any size, in bounded memory: each pixel's alpha is its own mixture of the
 * enlarged colours, held near the enlarged alpha. colours->figure must have been extended beyond the figure.
 */
Image *detail_assemble(const Image *rgb, const Plane *alpha, const Colours *colours);
