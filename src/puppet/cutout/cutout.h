/* The figure cut out of its picture, at the picture's full resolution, hair included, without background colour in its edges. */
#pragma once
#include "base/image.h"
#include "base/plane.h"
#include "puppet/figure/figure.h"

/* How a picture is cut:
 * - coarse: the network's (or the user's) mask at picture size, 1 channel, 255 = figure; refined at the edges by matting.
 * - figure: joints, where known, to treat the head's surroundings (hair) with more care; may be NULL.
 * Returns RGBA, straight alpha, same size as the picture; colours under alpha 0 continue those of the figure for a few
 * pixels, so that filtering never meets background. A picture with a useful alpha channel never comes here. */
Image *cutout_refine(const Image *rgb, const Image *coarse, const Figure *figure, GError **error);

/* A figure on a plain ground (paper, wall) by its outline, without any network: 1 channel, 255 = figure, picture size.
 * FAULT_NOBODY when nothing stands out. */
Image *cutout_outline(const Image *rgb, GError **error);

/* Whether the alpha channel of an RGBA picture already is a cutout: some of it clear, some opaque, one main piece. */
gboolean cutout_has_alpha(const Image *rgba);
