/* A person in plain clothes, painted, of whom every pixel's part is known: the cutout for tests of parts,
 * layers and rigs. */
#pragma once
#include "puppet/rig/parts.h"

typedef enum {
  DRESSED_ARMS_DOWN,
  DRESSED_ARM_OVER_BODY,
  DRESSED_ARMS_UP,
  DRESSED_IN_SKIRT,
  DRESSED_HANDS_IN_POCKETS,
  DRESSED_IN_COAT /* open over a waistcoat, sleeves of its colour and shade, arms 40 degrees off the body */
} DressedPose;

typedef struct {
  Image *cutout; /* RGBA straight */
  guint8 *part;  /* [height*width] Part, legs always apart */
  Figure figure;
} Dressed;

/* height: of the figure in pixels; the picture is a little larger. */
Dressed *dressed_new(DressedPose pose, int height);
void dressed_free(Dressed *dressed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dressed, dressed_free)
