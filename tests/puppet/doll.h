/* A doll with known bones, and people who move as they are told: for tests of what drives and draws a rig. */
#pragma once
#include "perception/track.h"
#include "puppet/rig/rig.h"

/* Standing with hanging arms, 400 pixels high in a picture of 300 x 440; every layer a grid of quads of one
 * colour. whole: a single flat mesh (LAYER_WHOLE), else body with legs, two arms, head. */
Rig *doll_rig(gboolean whole);

/* A pose in the picture plane. Angles in radians, clockwise on the screen, 0 to the right. */
typedef struct {
  float hip[2];      /* pixels */
  float metre;       /* pixels per metre */
  float spine, neck; /* upward: -pi / 2 */
  float arm[2][2];   /* left, right; upper arm, forearm */
  float leg[2][2];   /* thigh, shin */
  float tilt[2];     /* of the forearms, toward the camera */
  float turn;        /* of the whole body about the vertical */
} Person;

Person person_standing(float x, float y, float metre);
Pose person_pose(const Person *person);

/* A track over poses (copied) at 25 frames per second in a frame of 540 x 960, without cuts. */
Tracks *person_tracks(const Pose *poses, int count);
