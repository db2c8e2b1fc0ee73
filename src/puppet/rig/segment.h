/* Points and line segments in the plane: the bones of a rig over its picture. */
#pragma once
#include <glib.h>
#include <math.h>

static inline float point_distance(const float a[2], const float b[2]) {
  return hypotf(a[0] - b[0], a[1] - b[1]);
}

static inline void point_mix(const float a[2], const float b[2], float t, float out[2]) {
  float x = a[0] + t * (b[0] - a[0]), y = a[1] + t * (b[1] - a[1]);
  out[0] = x;
  out[1] = y;
}

/* How far along a..b the foot of p's perpendicular lies: 0 at a, 1 at b, not clamped. 0 where a equals b. */
static inline float segment_along(const float a[2], const float b[2], const float p[2]) {
  float dx = b[0] - a[0], dy = b[1] - a[1], square = dx * dx + dy * dy;
  return square > 1e-12f ? ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / square : 0;
}

static inline float segment_distance(const float a[2], const float b[2], const float p[2]) {
  float foot[2], t = segment_along(a, b, p);
  point_mix(a, b, CLAMP(t, 0, 1), foot);
  return point_distance(foot, p);
}
