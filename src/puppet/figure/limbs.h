/* Which branch of a silhouette's skeleton is which limb of an upright body seen from the front.
 *
 * Every assignment of extremities to head, two hands and two feet is scored by how well it agrees with a
 * body: feet low, head above, arms leaving the trunk on both sides below the head, left and right alike, and
 * little of the shape left unexplained. Hands and feet may be missing: arms against the body, legs under a
 * long dress. */
#pragma once
#include "puppet/figure/branches.h"

typedef struct {
  int tip;      /* node of the extremity, -1 where the limb does not show */
  int root;     /* node where it leaves the thickness of the trunk */
  float length; /* of the path between them */
} Limb;

typedef struct {
  int head;            /* node: the middle of a distinct head, or the top of the trunk */
  gboolean round;      /* the head is distinct: there is a neck below it */
  Limb arm[2], leg[2]; /* [0] on the picture's right: the character's left */
  int fork;     /* node where the legs' paths part; the lower end of the trunk where there is one leg */
  float misfit; /* the score: below 1 is a body, above 2.5 hardly */
} Limbs;

/* height: of the silhouette, in pixels. FALSE where there is no extremity at all to stand on. */
gboolean limbs_find(const Branches *branches, float height, Limbs *limbs);
