/* From what the driver does to what the character does: a Stance for every frame of a track.
 *
 * The character keeps its own proportions. Limbs: turned in the picture plane to the driver's angle exactly,
 * then tilted toward or away from the camera about the normal in the plane, so that the pictured side always
 * faces the camera. Chest and pelvis turn with shoulder line, spine and yaw, the head with ear line and neck.
 * The size follows the driver's, limited so that large heads and wide figures stay sensible. The feet stand
 * where the driver's stand (ground.h).
 *
 * The flat model turns the head in the plane only and shortens limbs less. */
#pragma once
#include "puppet/motion/driver.h"
#include "puppet/motion/stance.h"

typedef struct {
  int first, count; /* video frames [first, first + count) */
  Stance *stances;  /* [count] */
  float
      back_share; /* share of frames in which the driver is turned away further than the puppet can follow */
} Motion;

Motion *motion_new(const Rig *rig, const Track *track, const Tracks *tracks, gboolean flat);
void motion_free(Motion *motion);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Motion, motion_free)
