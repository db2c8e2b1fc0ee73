/* Where the parts of a body are for certain: the seeds that labels.c grows. Private to the labelling. */
#pragma once
#include "puppet/rig/parts.h"

#define SEEDS_FLOOR 0.08f /* alpha below this is not labelled */

typedef struct {
  Parts *parts;
  const float (*joint)[2];
  float head[2], head_length, head_radius;
  float quad[4][2]; /* torso: shoulders pulled in, hips pushed out; in order around */
  Palette torso, arms;
  guint8
      *hands; /* [height*width] Part of the pixels that are a visible hand for certain; owned by the caller */
} Seeds;

static inline void seeds_colour(const Parts *parts, int i, float colour[3]) {
  for (int c = 0; c < 3; c++)
    colour[c] = parts->lab[c]->v[i];
}

static inline void seeds_point(const Parts *parts, int i, float p[2]) {
  p[0] = (float)(i % parts->width) + 0.5f;
  p[1] = (float)(i / parts->width) + 0.5f;
}

/* Sets the seeds in parts->label and learns the figure's colours. hands: zeroed, [height*width]. */
void seeds_place(Seeds *seeds, Parts *parts, guint8 *hands);

/* Distance to a side's wrist and fingers. */
float seeds_hand_distance(const Seeds *seeds, int side, const float point[2]);
/* Distance to an arm's bones in their half widths; the hand counts when it is shown. */
float seeds_arm_ratio(const Seeds *seeds, int side, const float point[2]);
/* How much nearer a pixel is to hair than to cloth and arms: below 1 it is hair. */
float seeds_hair_ratio(const Seeds *seeds, int pixel);
/* Whether hair may hang there: not on the forearms and hands, not below the hip. */
gboolean seeds_allow_hair(const Seeds *seeds, const float point[2]);
/* 1 where hair lies, connected to the head. ratio: how clearly it must be hair; close, open: shares of H. */
Plane *seeds_find_hair(const Seeds *seeds, float ratio, float close, float open);
