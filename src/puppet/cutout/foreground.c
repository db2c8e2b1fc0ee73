/* The wide means are smooth, so they are taken at a quarter of the size. */
#include "puppet/cutout/foreground.h"

#include <math.h>
#include <string.h>

#define WIDE_SHRINK 4
#define OPAQUE 0.9f
#define RIM_WEIGHT 0.06f /* of the rim's colours where the figure's inside is near enough to ask */
#define SPILL_RIMS 2.0f  /* so many rims deep the ground's colour is looked for */
#define MOST_SPILL 0.6f
#define SPILL_RESIDUAL 12.0f /* colour levels off the line between the two at which it is no spill */
#define EMPTY 1e-4f          /* a window whose mean alpha is below this knows nothing of that side */

static gsize pixel_count(const Image *image) {
  return (gsize)image->width * (gsize)image->height;
}

static guint8 to_byte(float v) {
  return (guint8)CLAMP(v + 0.5f, 0.0f, 255.0f);
}

/* Mean of `image` over the window, weighted by alpha (or 1 - alpha). */
static Image *weighted_mean(const Image *image, const Plane *alpha, gboolean ground, int radius) {
  gsize n = pixel_count(image);
  g_autoptr(Plane) weight = plane_new(image->width, image->height);
  g_autoptr(Plane) channel = plane_new(image->width, image->height);
  Image *result = image_copy(image);
  for (gsize i = 0; i < n; i++)
    weight->v[i] = ground ? 1.0f - alpha->v[i] : alpha->v[i];
  g_autoptr(Plane) total = plane_copy(weight);
  plane_box(total, radius);
  for (gsize c = 0; c < 3; c++) {
    for (gsize i = 0; i < n; i++)
      channel->v[i] = weight->v[i] * image->pixels[i * 3 + c];
    plane_box(channel, radius);
    for (gsize i = 0; i < n; i++)
      if (total->v[i] > EMPTY)
        result->pixels[i * 3 + c] = to_byte(channel->v[i] / total->v[i]);
  }
  return result;
}

/* Moves both colours' share of the error into the figure, so that the mixture gives the picture. */
static void fuse(Image *figure, const Image *ground, const Image *rgb, const Plane *alpha) {
  gsize n = pixel_count(rgb);
  for (gsize i = 0; i < n; i++) {
    float a = alpha->v[i];
    for (gsize k = i * 3; k < i * 3 + 3; k++) {
      float f = figure->pixels[k], b = ground->pixels[k];
      figure->pixels[k] = to_byte(f + a * (rgb->pixels[k] - a * f - (1 - a) * b));
    }
  }
}

/* figure and ground: what to average (transfer full, replaced). */
static void blur_fusion(Colours *colours, const Image *rgb, const Plane *alpha, int radius) {
  Image *figure = weighted_mean(colours->figure, alpha, FALSE, radius);
  Image *ground = weighted_mean(colours->ground, alpha, TRUE, radius);
  fuse(figure, ground, rgb, alpha);
  foreground_clear(colours);
  *colours = (Colours){figure, ground};
}

void foreground_estimate(Colours *colours, const Image *rgb, const Plane *alpha, int wide, int narrow) {
  int w = MAX(1, rgb->width / WIDE_SHRINK), h = MAX(1, rgb->height / WIDE_SHRINK);
  g_autoptr(Image) small = image_resize(rgb, w, h);
  g_autoptr(Plane) small_alpha = plane_resize(alpha, w, h);
  Colours coarse = {weighted_mean(small, small_alpha, FALSE, MAX(1, wide / WIDE_SHRINK)),
                    weighted_mean(small, small_alpha, TRUE, MAX(1, wide / WIDE_SHRINK))};
  *colours = (Colours){image_resize(coarse.figure, rgb->width, rgb->height),
                       image_resize(coarse.ground, rgb->width, rgb->height)};
  foreground_clear(&coarse);
  fuse(colours->figure, colours->ground, rgb, alpha);
  blur_fusion(colours, rgb, alpha, narrow);
}

void foreground_clear(Colours *colours) {
  g_clear_pointer(&colours->figure, image_free);
  g_clear_pointer(&colours->ground, image_free);
}

/* --- extension ----------------------------------------------------------------------------------- */

/* Colours times weight, and weight, one level of a pyramid. */
typedef struct {
  int width, height;
  float (*v)[4];
} Sums;

static Sums sums_new(int width, int height) {
  return (Sums){width, height, g_malloc0_n((gsize)width * (gsize)height, sizeof(float[4]))};
}

static Sums sums_halve(const Sums *fine) {
  Sums sums = sums_new((fine->width + 1) / 2, (fine->height + 1) / 2);
  for (int y = 0; y < fine->height; y++)
    for (int x = 0; x < fine->width; x++) {
      const float *from = fine->v[(gsize)y * (gsize)fine->width + (gsize)x];
      float *to = sums.v[(gsize)(y / 2) * (gsize)sums.width + (gsize)(x / 2)];
      for (int c = 0; c < 4; c++)
        to[c] += from[c];
    }
  for (gsize i = 0; i < (gsize)sums.width * (gsize)sums.height; i++) {
    float scale = 1.0f / MAX(sums.v[i][3], 1.0f);
    for (int c = 0; c < 4; c++)
      sums.v[i][c] *= scale;
  }
  return sums;
}

/* Lets the coarser level answer where the finer one knows less than one full pixel. */
static void sums_fill(Sums *fine, const Sums *coarse) {
  for (int y = 0; y < fine->height; y++) {
    float cy = ((float)y - 0.5f) / 2, fy = cy - floorf(cy);
    int y0 = CLAMP((int)floorf(cy), 0, coarse->height - 1), y1 = MIN((int)floorf(cy) + 1, coarse->height - 1);
    for (int x = 0; x < fine->width; x++) {
      float *to = fine->v[(gsize)y * (gsize)fine->width + (gsize)x];
      float missing = 1.0f - to[3];
      if (missing <= 0)
        continue;
      float cx = ((float)x - 0.5f) / 2, fx = cx - floorf(cx);
      int x0 = CLAMP((int)floorf(cx), 0, coarse->width - 1), x1 = MIN((int)floorf(cx) + 1, coarse->width - 1);
      const float *corner[4] = {coarse->v[(gsize)y0 * (gsize)coarse->width + (gsize)x0],
                                coarse->v[(gsize)y0 * (gsize)coarse->width + (gsize)x1],
                                coarse->v[(gsize)y1 * (gsize)coarse->width + (gsize)x0],
                                coarse->v[(gsize)y1 * (gsize)coarse->width + (gsize)x1]};
      const float share[4] = {(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy};
      for (int k = 0; k < 4; k++)
        for (int c = 0; c < 4; c++)
          to[c] += missing * share[k] * corner[k][c];
    }
  }
}

/* Makes the weight of every pixel 1 if any pixel has weight, by push and pull (Gortler et al., The Lumigraph,
 * 1996). */
static void sums_complete(Sums *fine) {
  if (fine->width > 1 || fine->height > 1) {
    Sums coarse = sums_halve(fine);
    sums_complete(&coarse);
    sums_fill(fine, &coarse);
    g_free(coarse.v);
    return;
  }
  if (fine->v[0][3] > 1e-6f)
    for (int c = 0; c < 4; c++)
      fine->v[0][c] /= fine->v[0][3];
}

/* Takes out of a colour what of it lies on the way from the figure's colour inside to the ground's. Ink that
 * outlines a figure lies elsewhere and stays. */
static void despill(const float inside[3], const guint8 *ground, float colour[3]) {
  float dot = 0, square = 0, left = 0;
  for (int c = 0; c < 3; c++) {
    float d = ground[c] - inside[c];
    dot += d * (colour[c] - inside[c]);
    square += d * d;
  }
  float share = CLAMP(dot / MAX(square, 1.0f), 0.0f, MOST_SPILL);
  for (int c = 0; c < 3; c++) {
    float e = colour[c] - inside[c] - share * (ground[c] - inside[c]);
    left += e * e;
  }
  share *= expf(-sqrtf(left) / SPILL_RESIDUAL);
  for (int c = 0; c < 3; c++)
    colour[c] -= share * (ground[c] - inside[c]);
}

/* Distance from every pixel to the nearest whose alpha is below OPAQUE. */
static Plane *depth_of(const Plane *alpha) {
  g_autoptr(Plane) clear = plane_new(alpha->width, alpha->height);
  for (gsize i = 0; i < (gsize)alpha->width * (gsize)alpha->height; i++)
    clear->v[i] = 1 - alpha->v[i];
  return plane_distance(clear, 1 - OPAQUE, NULL);
}

void foreground_extend(Image *figure, const Image *ground, const Plane *alpha, float trusted, float rim,
                       float reach) {
  gsize n = pixel_count(figure);
  Sums sums = sums_new(figure->width, figure->height);
  g_autoptr(Plane) depth = depth_of(alpha);
  float full = MIN(trusted + 0.3f, 1.0f);
  for (gsize i = 0; i < n; i++) {
    float weight = smooth_step(trusted, full, alpha->v[i]) * (depth->v[i] > rim ? 1 : RIM_WEIGHT);
    for (gsize c = 0; c < 3; c++)
      sums.v[i][c] = weight * figure->pixels[i * 3 + c];
    sums.v[i][3] = weight;
  }
  sums_complete(&sums);
  g_autoptr(Plane) beyond = plane_distance(alpha, 0.02f, NULL);
  for (gsize i = 0; i < n; i++) {
    guint8 *to = figure->pixels + i * 3;
    float inside[3], own[3] = {to[0], to[1], to[2]};
    for (int c = 0; c < 3; c++)
      inside[c] = sums.v[i][c] / MAX(sums.v[i][3], 1e-6f);
    if (depth->v[i] <= SPILL_RIMS * rim)
      despill(inside, ground->pixels + i * 3, own);
    float weight = smooth_step(trusted, full, alpha->v[i]);
    for (int c = 0; c < 3; c++)
      to[c] = beyond->v[i] > reach ? 0 : to_byte(weight * own[c] + (1 - weight) * inside[c]);
  }
  g_free(sums.v);
}
