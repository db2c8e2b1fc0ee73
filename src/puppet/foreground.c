/* The wide means are smooth, so they are taken at a quarter of the size. */
#include "puppet/foreground.h"

#include <math.h>
#include <string.h>

#define WIDE_SHRINK 4
#define EMPTY 1e-4f /* a window whose mean alpha is below this knows nothing of that side */

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

void foreground_extend(Image *figure, const Plane *alpha, float trusted, float reach) {
  gsize n = pixel_count(figure);
  g_autofree int *nearest = g_new(int, n);
  g_autoptr(Plane) distance = plane_distance(alpha, trusted, nearest);
  g_autoptr(Image) own = image_copy(figure);
  for (gsize i = 0; i < n; i++)
    if (distance->v[i] > reach)
      memset(figure->pixels + i * 3, 0, 3);
    else if (distance->v[i] > 0)
      memcpy(figure->pixels + i * 3, own->pixels + (gsize)nearest[i] * 3, 3);
}
