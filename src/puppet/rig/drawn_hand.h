/* A hand for an arm whose own is not in the picture. */
#pragma once
#include "base/image.h"

/* An open hand as a shaded height field, wrist at the bottom middle, fingers up, thumb on the right: seen
 * from its back it is a left hand. length: pixels from wrist to finger tip; the picture is a little larger on
 * all sides. skin: RGB 0..255. RGBA premultiplied. origin receives the wrist's place in the picture. */
Image *drawn_hand(float length, const float skin[3], float origin[2]);
