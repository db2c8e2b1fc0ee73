/* What the performers' surfaces look like: skin, a painted face, hair, shirt, jeans, shoes, under two lamps
 * and the room's light. */
#pragma once
#include "performer_trace.h"

/* Where the main lamp stands: the direction to it, of unit length in effect. */
extern const vec3s look_lamp;

/* Linear light. lit: 0..1, how much of the main lamp reaches the point. */
vec3s look_colour(const Flesh *flesh, const Hit *hit, vec3s normal, float openness, float lit, vec3s to_eye);

/* Smooth noise in -1..1 (value noise on an integer lattice). */
float look_noise(float x, float y, float z);
float linear_from_srgb(float v);
float srgb_from_linear(float v);
