/* The pose of a character in one frame: where every bone of the rig goes, and in which order its parts are
 * drawn.
 *
 * Coordinates are those of the output frame: x right, y down, pixels, continuous (pixel k covers [k, k+1)); z
 * in the same unit, toward the camera. A bone's matrix takes rest points (rig.h) there, scale and
 * foreshortening included. */
#pragma once
#include "puppet/rig/rig.h"

typedef enum {
  ARM_BEHIND_BODY, /* hand on the back, behind the head */
  ARM_BEFORE_BODY, /* the usual place: over the body, under the head and its hair */
  ARM_BEFORE_FACE, /* additionally the forearm and hand over the head */
} ArmPlace;

typedef struct {
  float rotation[BONES][4];  /* unit quaternion x, y, z, w */
  float matrix[BONES][3][4]; /* rows x, y, z; columns x, y, z, 1 */
  float joint[JOINTS][3];
  float scale;            /* output pixels per picture pixel */
  ArmPlace arm[2];        /* left, right */
  gboolean arm_toward[2]; /* the forearm points toward the camera: a drawn hand goes over the sleeve */
  gboolean left_leg_over; /* which of the two is nearer to the camera */
  gboolean left_arm_over;
  float hand_width[2]; /* of a drawn hand, 0.5 edge-on … 1 flat toward the camera */
  float hand_side[2];  /* which way its thumb points: +1 as the rig draws it, -1 mirrored; between while it
                          turns */
  float lift[2]; /* of the feet over their ground: 0 standing … 1 in the air: the contact shadows fade */
} Stance;

/* y = M (p, 1) */
static inline void stance_apply(const float m[3][4], const float p[3], float out[3]) {
  for (int r = 0; r < 3; r++)
    out[r] = m[r][0] * p[0] + m[r][1] * p[1] + m[r][2] * p[2] + m[r][3];
}
