/* Whether a pose that a network has read out of a picture is really in the picture.
 *
 * Landmark networks give a body for anything, and are sure of it. What they cannot know is where the figure's
 * edge is: bones of a real reading lie inside the silhouette, reach its extremities, and the network's own
 * mask agrees with it. */
#pragma once
#include "base/plane.h"
#include "perception/pose.h"

typedef struct {
  float
      inside; /* share of the bones that lies in the silhouette; bones outside of the picture do not count */
  float covered; /* share of the silhouette that lies within a body's thickness of the bones */
  float overlap; /* intersection over union of the network's mask and the silhouette */
  float contained; /* share of the silhouette that the network\'s mask contains */
  float own;     /* share of the bones in the network's own mask */
  float bodily;  /* 1: proportions of a body; 0: far from any */
  float shown;   /* share of the bones that lies in the picture */
} Evidence;

/* silhouette: 1 channel, 255 = figure, known independently of the network; NULL where there is none (inside,
 * covered and overlap are then 0). own: the network's mask. All of the picture's size. */
Evidence evidence_weigh(const Pose *pose, const Image *own, const Image *silhouette);

/* One number, 0..1; half is the limit of belief. A silhouette that lacks parts (a white shirt before a white
 * wall) speaks against nothing as long as the network explains all of it. */
float evidence_belief(const Evidence *evidence, gboolean has_silhouette);
