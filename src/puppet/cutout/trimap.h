/* What a rough mask leaves open: everything about as near to its edge as the mask may be wrong. */
#pragma once
#include "base/plane.h"

typedef struct {
  float x, y, radius; /* pixels, around the hair; radius 0 where there is no head */
} TrimapHead;

/* Lengths in pixels: how far inside of certain mask, and beyond possible mask, certainty begins. */
typedef struct {
  float inner, outer;
  float head_inner, head_outer; /* the same near the head, where hair sticks out */
} TrimapMargins;

/* Result: a trimap as puppet/cutout/matte.h has it. Limbs too thin to have anything so deep inside
 * keep the middle of what the mask is certain of. What lies beyond the picture counts as more of the same. */
Plane *trimap_new(const Plane *mask, const TrimapMargins *margins, const TrimapHead *head);
