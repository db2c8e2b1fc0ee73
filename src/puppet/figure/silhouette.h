/* Joints from a silhouette alone, for drawings and other figures that no pose network knows.
 *
 * The figure is taken to stand upright and to face the viewer: its left is the picture's right. Limbs come
 * from the curve skeleton (branches.h, limbs.h); what does not show in the outline (arms against the body,
 * hips under a skirt, elbows) is placed by the proportions of a body, with a visibility that says so: 1.0 an
 * extremity or a bend that the outline shows; 0.6 by proportion along a limb that shows; 0.3 guessed. */
#pragma once
#include "base/fault.h"
#include "base/image.h"
#include "puppet/figure/figure.h"

/* mask: 1 channel, figure >= 128. given of the figure is cleared, source is FIGURE_FROM_SILHOUETTE.
 * FAULT_NOBODY where the mask is empty, fills the picture or has nothing like a body's limbs. */
gboolean silhouette_joints(const Image *mask, Figure *figure, GError **error);
