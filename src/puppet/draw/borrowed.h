/* What a picture does not show of its figure is borrowed from the performer: his own legs go on below a
 * picture that ends at the waist, and a portrait is a new head on his own body. Only the original background
 * has him to borrow from. */
#pragma once
#include "perception/pose.h"
#include "puppet/rig/rig.h"

typedef struct {
  gboolean body; /* all but the head */
  gboolean legs; /* what is further down than leg */
  float leg[2];  /* where the picture ends on the left and right leg: 0 hip, 1 knee, 2 ankle; below 0: above
                    the  hip, in lengths of the thigh */
} Borrowed;

/* From where the picture ends and which joints lie outside of it. */
Borrowed borrowed_find(const Rig *rig);

/* Moves what is borrowed from the mask of the performer (1 channel, 255 = he, of a frame of width x height)
 * into *behind and *before (made where NULL): what the character is drawn over, and what comes before it. */
void borrowed_take(const Borrowed *borrowed, const Pose *pose, int width, int height, Image *mask,
                   Image **behind, Image **before);
