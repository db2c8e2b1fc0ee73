/* A layer's vertices moved by the bones of a stance.
 *
 * Two ways are mixed. Optimised centres of rotation (Le, Hodgins, Real-time Skeletal Skinning with Optimized
 * Centers of Rotation, 2016), with the centre put between the joints of the bones that share a vertex: keeps
 * the thickness of bent limbs. And plain linear blending: narrower at bends, which suits sleeves, whose axis
 * is not the bone. */
#pragma once
#include "puppet/stance.h"

typedef struct {
  const Layer *layer; /* must outlive this */
  float (*centre)[2]; /* [vertices] of rotation, at rest */
  float linear;       /* share of linear blending, 0..1 */
} Skin;

Skin *skin_new(const Rig *rig, const Layer *layer);
void skin_free(Skin *skin);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Skin, skin_free)

/* front, back: [vertices] output pixels, z toward the camera. back may be NULL: the same with the relief
 * mirrored at rest z = 0. relief scales the rest z: 1, or 0 for a flat figure. */
void skin_pose(const Skin *skin, const Stance *stance, float relief, float (*front)[3], float (*back)[3]);
