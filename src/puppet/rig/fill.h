/* Colours for what is hidden, from what is known around it: smooth, without structure, without ringing. */
#pragma once
#include "base/plane.h"

/* Replaces the planes of colour where known is 0 by a membrane between the known pixels, mixed with the
 * nearest known colour, which keeps some of the cloth's texture. Does nothing where no pixel is known. */
void fill_unknown(Plane **colour, int planes, const Plane *known, float texture_share);
