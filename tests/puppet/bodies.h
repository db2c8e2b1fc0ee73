/* Silhouettes of bodies whose joints are known: capsules around bones, with whatever makes joints hard to
 * find. */
#pragma once
#include "puppet/figure/figure.h"

typedef enum {
  BODY_T_POSE,
  BODY_ARMS_OUT,     /* 45 degrees down */
  BODY_ARMS_DOWN,    /* beside the body, with a gap */
  BODY_ARMS_AGAINST, /* in one shape with the body */
  BODY_ARMS_UP,
  BODY_ONE_ARM_UP,    /* the character's left; the other hangs free */
  BODY_HANDS_ON_HIPS, /* two holes */
  BODY_SKIRT,
  BODY_DRESS, /* down to the ankles */
  BODY_BIG_HEAD,
  BODY_FAT,
  BODY_NO_NECK, /* the head is the top of a round trunk */
  BODY_STICK,
  BODY_PIGTAILS,
  BODY_CAT_EARS,
  BODY_TAIL,
  BODY_WIDE_STANCE,
  BODY_WAVING, /* the forearm up, the other arm on the hip */
  BODIES
} BodyKind;

extern const char *const body_names[BODIES];

/* 1 channel, 255 inside; figure receives the true joints. mirrored: left and right exchanged. */
Image *body_draw(BodyKind kind, gboolean mirrored, Figure *figure);

/* The sixteen joints that people set by hand on drawings, compared: mean and largest distance in shares of
 * the height. */
float body_error(const Figure *found, const Figure *truth, float *worst, const char **worst_joint);
