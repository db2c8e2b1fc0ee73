/* A field of floats over a picture, and the operations on it that the engines share: blur, morphology by
 * exact distance, nearest neighbour fill, connected regions.
 *
 * Masks are planes with values in 0..1. Distances and radii are in pixels. Borders replicate. */
#pragma once
#include "base/image.h"

typedef struct {
  int width, height;
  float *v; /* [height][width] */
} Plane;

Plane *plane_new(int width, int height); /* zeroed */
Plane *plane_copy(const Plane *plane);
void plane_free(Plane *plane);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plane, plane_free)

static inline float *plane_at(const Plane *plane, int x, int y) {
  return plane->v + (gsize)y * (gsize)plane->width + (gsize)x;
}

/* Bilinear sample at continuous (x, y), pixel centres at integer coordinates, clamped at the border. */
float plane_sample(const Plane *plane, float x, float y);

Plane *plane_from_image(const Image *image, int channel); /* bytes / 255 */
Image *plane_to_image(const Plane *plane);                /* grey bytes, clamped and rounded */
Plane *plane_resize(const Plane *plane, int width,
                    int height); /* area average down, bilinear up, centres aligned */

/* Mean over a (2 radius + 1) square, O(1) per pixel. */
void plane_box(Plane *plane, int radius);
/* Gaussian, as three box passes of the same total variance; sigma below 0.3 does nothing. */
void plane_blur(Plane *plane, float sigma);

/* Exact Euclidean distance from every pixel to the nearest one with v >= threshold (0 there; FLT_MAX when
 * there is none). nearest, where not NULL, receives [height*width] that pixel's index (-1 when there is
 * none). Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, 2012. */
Plane *plane_distance(const Plane *plane, float threshold, int *nearest);

/* Binary morphology with a disc: values >= 0.5 are inside; the result is 0 or 1. */
void plane_dilate(Plane *mask, float radius);
void plane_erode(Plane *mask, float radius); /* what lies outside the picture counts as inside */
void plane_open(Plane *mask, float radius);
void plane_close(Plane *mask, float radius);

/* Connected regions (4-neighbours) of v >= threshold. labels [height*width] receives 0 outside, 1..n inside.
 * Returns n. sizes, where not NULL, receives a newly allocated [n+1] of pixel counts (transfer full). */
int plane_regions(const Plane *plane, float threshold, int *labels, int **sizes);

/* Hermite step: 0 below a, 1 above b (a < b). */
static inline float smooth_step(float a, float b, float x) {
  float t = CLAMP((x - a) / (b - a), 0.0f, 1.0f);
  return t * t * (3.0f - 2.0f * t);
}
