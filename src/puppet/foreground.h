/* The figure's own colours at its edges, where the picture shows a mixture with what lay behind. */
#pragma once
#include "base/image.h"
#include "base/plane.h"

typedef struct {
  Image *figure, *ground; /* RGB */
} Colours;

/* Both colours of every pixel by blur-fusion: means over a wide, then over a narrow window (pixels), each
 * corrected so that the mixture gives the picture. Forte, Approximate Fast Foreground Colour Estimation,
 * 2021. */
void foreground_estimate(Colours *colours, const Image *rgb, const Plane *alpha, int wide, int narrow);
void foreground_clear(Colours *colours);

/* Replaces the colours of pixels with alpha below `trusted` by those of the nearest pixels above it, softly.
 * Beyond the figure they go on for `reach` pixels and are 0 further out. */
void foreground_extend(Image *figure, const Plane *alpha, float trusted, float rim, float reach);
