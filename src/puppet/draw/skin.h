/* A layer's vertices moved by the bones of a stance.
 *
 * Two ways are mixed. Optimised centres of rotation (Le, Hodgins, Real-time Skeletal Skinning with Optimized
 * Centers of Rotation, 2016), with the centre put between the joints of the bones that share a vertex: keeps
 * the thickness of bent limbs. And plain linear blending: narrower at bends, which suits sleeves, whose axis
 * is not the bone. */
#pragma once
#include "puppet/motion/stance.h"

typedef struct {
  const Layer *layer; /* must outlive this */
  float (*centre)[2]; /* [vertices] of rotation, at rest */
  float linear;       /* share of linear blending, 0..1 */
} Skin;

Skin *skin_new(const Rig *rig, const Layer *layer);
void skin_free(Skin *skin);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Skin, skin_free)

/* position: [vertices] output pixels, z toward the camera. relief scales the rest z: 1, or 0 for a flat
 * figure.
 *
 * Only the front of a figure is ever made: as far as limbs tilt it covers its back, and a mirrored back sheet
 * shows as dark crescents beside its soft edges. */
void skin_pose(const Skin *skin, const Stance *stance, float relief, float (*position)[3]);
