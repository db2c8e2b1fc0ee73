/* The choreography: step-touch to both sides, a hand on the hip, arms raised, waved and crossed before the
 * body. */
#pragma once
#include "performer_body.h"

#define DANCE_BEATS 8              /* then it begins again */
#define DANCE_BEATS_PER_MINUTE 100 /* the sound keeps to it */

/* variant: 0 the solo, 1 and 2 the two who pass each other, from one end of -spread..spread (metres) to the
 * other. seed varies the size of the gestures. */
void dance_moment(double seconds, int variant, float spread, guint seed, Moment *moment);
