/* The room behind the performers: boards and a rug, a wall with panels, pictures, a window, a plant, a lamp
 * and a shelf. Painted by formula, with fine texture, straight edges and broad gradients, which is what a
 * background must have to test whoever recovers it. */
#pragma once
#include "performer_trace.h"

#define ROOM_WALL_Z 1.9f

/* What a ray from the origin meets, sRGB 0..1. */
vec3s room_colour(vec3s origin, vec3s direction);

/* The picture of a still camera, 3 x 3 samples a pixel (transfer full). */
Image *room_picture(const Camera *camera);
