/* A cutout divided into the parts of a body: which pixel belongs to which, how thick the limbs are, what is
 * worn.
 *
 * All of it happens at a working scale: the figure at most WORKING_HEIGHT pixels high. Lengths and joints
 * here are in working pixels (continuous: pixel k covers [k, k+1)), relative to the frame's corner. */
#pragma once
#include "puppet/rig/colour.h"
#include "puppet/rig/rig.h"

#define WORKING_HEIGHT 820

typedef enum {
  PART_NONE,
  PART_TORSO,
  PART_LEFT_ARM,
  PART_RIGHT_ARM,
  PART_LEFT_LEG,
  PART_RIGHT_LEG,
  PART_HEAD,
  PARTS
} Part;

typedef struct {
  int width, height; /* of the frame: the cutout's extent and a margin */
  int left, top;     /* the frame's corner in picture pixels; may be negative */
  float scale;       /* working pixels per picture pixel, at most 1 */
  float unit;        /* H */
  Figure figure;     /* joints in working pixels */
  Image *picture;    /* RGBA straight, working scale */
  Plane *alpha, *lab[3];
  float radius[BONES]; /* half widths; of the head: its radius; 0 where the limb is not in the picture */
  gboolean hidden[2];  /* left, right hand not in the picture although the arm's end is */
  gboolean skirt;
  float hem;        /* row where the legs part; only with a skirt */
  float leg_hem[2]; /* row above which the skirt covers the left, right leg; at most hem */
  Palette hair;     /* empty where nothing on the head differs from the face */
  guint8 *label;    /* [height*width] Part; legs are PART_TORSO without a skirt */
} Parts;

/* cutout: RGBA straight alpha. figure: joints in picture pixels. FAULT_NOBODY when nothing is opaque. */
Parts *parts_find(const Image *cutout, const Figure *figure, GError **error);
void parts_free(Parts *parts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Parts, parts_free)

/* Whether a joint lies inside the frame, so that there are pixels to look at. */
gboolean parts_shows(const Parts *parts, Joint joint);
/* Distance of a point to the nearer of a side's upper arm and forearm, the hand included when it is shown.
 * side: 0 left, 1 right. */
float parts_arm_distance(const Parts *parts, int side, const float point[2]);
/* Where the fingers end: the hand joint doubled. */
void parts_finger_tips(const Parts *parts, int side, float tip[2]);
/* Middle of the ears and length of nose to middle of the shoulders: the head's size in this pose. */
void parts_head(const Parts *parts, float centre[2], float *length);

/* Keeps of a mask the pieces that touch pixels labelled part. */
void parts_keep_connected(const Parts *parts, Plane *mask, Part part);

/* Fills label. Called by parts_find. */
void parts_label(Parts *parts);
