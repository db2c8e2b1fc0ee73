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

/* Fades the colours of pixels with little alpha (none of it left at `trusted`, all at 0.3 above) into smooth
 * continuations of those with more. In the outermost `rim` pixels of what is opaque, and as many again, the
 * share of `ground` is taken out of the colours. They go on for `reach` pixels beyond the figure and are 0
 * further out. */
void foreground_extend(Image *figure, const Image *ground, const Plane *alpha, float trusted, float rim,
                       float reach);
