/* The colours of figure and ground change slowly even where alpha does not, so at any size alpha can be read
 * off a pixel by projecting it on the line between the two. */
#include "puppet/cutout/detail.h"

#include "puppet/cutout/matte.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define SETTLED 0.004f      /* this near to 0 or 1 is 0 or 1 */
#define SURE_COLOUR 0.65f   /* alpha, or its complement, from which a colour counts */
#define TRUST 10.0f         /* in the mixture of these, against that of far samples */
#define EDGE_MARGIN 2.0f    /* pixels around what is not settled */
#define ROUNDS 12           /* the enlarged alpha is a good start */
#define RESIDUAL_SCALE 6.0f /* colour levels, as in the prior */
#define CONTRAST_SCALE 40.0f
#define LARGEST_STEP 0.35f /* how far a single pixel may leave the enlarged alpha */

typedef struct {
  float alpha, trust;
} Mixture;

static Mixture unmix(const guint8 *pixel, const float figure[3], const float ground[3]) {
  float dot = 0, square = 0, left = 0;
  for (int c = 0; c < 3; c++) {
    float d = figure[c] - ground[c];
    dot += d * (pixel[c] - ground[c]);
    square += d * d;
  }
  Mixture mixture = {.alpha = CLAMP(dot / MAX(square, 1.0f), 0.0f, 1.0f)};
  for (int c = 0; c < 3; c++) {
    float e = pixel[c] - ground[c] - mixture.alpha * (figure[c] - ground[c]);
    left += e * e;
  }
  mixture.trust = expf(-sqrtf(left) / RESIDUAL_SCALE) * MIN(1.0f, sqrtf(square) / CONTRAST_SCALE);
  return mixture;
}

Plane *detail_refine(const Image *rgb, const Plane *coarse, const Colours *colours) {
  int w = rgb->width, h = rgb->height;
  g_autoptr(Plane) alpha = plane_resize(coarse, w, h);
  g_autoptr(Image) sure_figure = image_copy(colours->figure), sure_ground = image_copy(colours->ground);
  g_autoptr(Plane) beyond = plane_copy(coarse);
  for (gsize i = 0; i < (gsize)beyond->width * (gsize)beyond->height; i++)
    beyond->v[i] = 1 - beyond->v[i];
  foreground_extend(sure_figure, colours->ground, coarse, SURE_COLOUR, 1, FLT_MAX);
  foreground_extend(sure_ground, colours->figure, beyond, SURE_COLOUR, 1, FLT_MAX);
  g_autoptr(Image) figure = image_resize(sure_figure, w, h), ground = image_resize(sure_ground, w, h);
  g_autoptr(Plane) trimap = plane_new(w, h), guess = plane_new(w, h), trust = plane_new(w, h);
  gsize n = (gsize)w * (gsize)h;
  for (gsize i = 0; i < n; i++)
    trimap->v[i] = alpha->v[i] > SETTLED && alpha->v[i] < 1 - SETTLED;
  plane_dilate(trimap, EDGE_MARGIN);
  for (gsize i = 0; i < n; i++) {
    if (trimap->v[i] < 0.5f) {
      trimap->v[i] = alpha->v[i] < 0.5f ? 0 : 1;
      continue;
    }
    trimap->v[i] = CLAMP(alpha->v[i], MATTE_OPEN, 1 - MATTE_OPEN);
    const guint8 *f = figure->pixels + i * 3, *g = ground->pixels + i * 3;
    Mixture mixture = unmix(rgb->pixels + i * 3, (float[]){f[0], f[1], f[2]}, (float[]){g[0], g[1], g[2]});
    guess->v[i] = mixture.alpha;
    trust->v[i] = TRUST * mixture.trust;
  }
  return matte_solve(rgb, trimap, guess, trust, alpha, ROUNDS);
}

/* Bilinear colour at continuous (x, y), pixel centres at integers. */
static void sample_colour(const Image *image, float x, float y, float colour[3]) {
  x = CLAMP(x, 0.0f, (float)(image->width - 1));
  y = CLAMP(y, 0.0f, (float)(image->height - 1));
  int x0 = (int)x, y0 = (int)y, x1 = MIN(x0 + 1, image->width - 1), y1 = MIN(y0 + 1, image->height - 1);
  float fx = x - (float)x0, fy = y - (float)y0;
  const guint8 *a = image_at(image, x0, y0), *b = image_at(image, x1, y0);
  const guint8 *c = image_at(image, x0, y1), *d = image_at(image, x1, y1);
  for (int k = 0; k < 3; k++)
    colour[k] = (a[k] * (1 - fx) + b[k] * fx) * (1 - fy) + (c[k] * (1 - fx) + d[k] * fx) * fy;
}

/* At its own size the matte is kept; a larger picture gets alpha from its own pixels. */
static void assemble_pixel(const guint8 *pixel, float alpha, const Colours *colours, float x, float y,
                           gboolean larger, guint8 *to) {
  if (alpha >= 1 && larger) {
    memcpy(to, pixel, 3);
    to[3] = 255;
    return;
  }
  float figure[3], ground[3];
  sample_colour(colours->figure, x, y, figure);
  if (larger && alpha > 0) {
    sample_colour(colours->ground, x, y, ground);
    Mixture mixture = unmix(pixel, figure, ground);
    float step = mixture.trust * (mixture.alpha - alpha);
    alpha = CLAMP(alpha + CLAMP(step, -LARGEST_STEP, LARGEST_STEP), 0.0f, 1.0f);
  }
  for (int c = 0; c < 3; c++)
    to[c] = (guint8)(figure[c] + 0.5f);
  to[3] = (guint8)(alpha * 255.0f + 0.5f);
}

Image *detail_assemble(const Image *rgb, const Plane *alpha, const Colours *colours) {
  Image *result = image_new(rgb->width, rgb->height, 4);
  gboolean larger = rgb->width > alpha->width || rgb->height > alpha->height;
  float sx = (float)alpha->width / (float)rgb->width, sy = (float)alpha->height / (float)rgb->height;
  for (int y = 0; y < rgb->height; y++)
    for (int x = 0; x < rgb->width; x++) {
      float ax = ((float)x + 0.5f) * sx - 0.5f, ay = ((float)y + 0.5f) * sy - 0.5f;
      float a = larger ? plane_sample(alpha, ax, ay) : *plane_at(alpha, x, y);
      assemble_pixel(image_at(rgb, x, y), a, colours, ax, ay, larger, image_at(result, x, y));
    }
  return result;
}
