/* Turned squares over a picture: how they follow from points, and how a network's input is cut out of them.
 *
 * Angles are radians, clockwise on the screen (x right, y down). Pixel k covers [k, k+1). */
#pragma once
#include "perception/pose.h"

typedef enum {
  BORDER_REPLICATE, /* beyond the picture its edge goes on */
  BORDER_BLACK      /* beyond the picture there is black: the detectors were trained so */
} RegionBorder;

/* The greatest integer that is not above x; x within the range of int. The library's floor is a call on
 * processors from before SSE 4.1, which all programs for x86-64 must run on. */
static inline int floor_int(float x) {
  int whole = (int)x;
  return whole - (x < (float)whole);
}

/* The angle in [-pi, pi). */
float angle_wrap(float angle);

/* The whole picture inside the smallest square around its centre. */
Region region_of_picture(int width, int height);

/* The square about `centre` that reaches as far as `scale_point`; `target` is the angle at which the line
 * from the centre to the scale point stands in the upright crop, counter-clockwise from x (pi/2: upwards).
 * Not finite where the points are not. */
Region region_from_line(const float centre[2], const float scale_point[2], float target);

/* The axis-aligned box of n points, turned so that the line from one point to the other is level. */
Region region_from_points(const float (*points)[2], int n, const float from[2], const float to[2]);

/* Moved along its own y axis by `shift` of its height, then made square with its longer side times `scale`.
 */
Region region_grow(Region region, float scale, float shift);

/* All numbers finite and the sides within what a crop can make sense of. */
gboolean region_is_sane(const Region *region);

/* From the crop's own coordinates, 0..1, to the picture's pixels. */
void region_to_picture(const Region *region, float u, float v, float *x, float *y);

/* Fills tensor [size, size, 3] with bilinear samples of the RGB picture, 0..255 mapped to low..high. No
 * smoothing when it shrinks, for the networks were trained on such crops. The region must be sane. */
void region_crop(const Image *rgb, const Region *region, int size, float low, float high, RegionBorder border,
                 float *tensor);

/* How far the region of the frame before may lie from a fresh one and still be kept; see region_holds. */
typedef struct {
  float rotation; /* radians */
  float shift;    /* of the centre, in sides of the fresh region */
  float scale;    /* of the side, likewise */
  float margin;   /* the fresh region's sides times 1 - margin must hold all points */
} RegionLimits;

/* Whether `previous`, made from `points` [n] of the frame before, still agrees with the fresh region: what
 * followed the landmarks is steadier than what was detected anew. */
gboolean region_holds(const Region *previous, const Region *fresh, const float (*points)[2], int n,
                      const RegionLimits *limits);
