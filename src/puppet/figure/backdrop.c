/* Iteratively reweighted least squares with Tukey's biweight: the first round starts from the margin's median
 * colour, so that a figure that touches the border is an outlier from the beginning. Later rounds take every
 * pixel of the picture that the surface already explains, which keeps the quadratic from swinging in the
 * middle. Light on paper has more bends than a quadratic: what remains on the ground is blurred over and
 * subtracted. */
#include "puppet/figure/backdrop.h"
#include "puppet/rig/colour.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TERMS 6
#define SAMPLES 40000
#define MARGIN 0.06f     /* of the shorter side */
#define NOISE_FLOOR 0.8f /* of 8-bit colour, in L*a*b* */
#define REACH 18.0f      /* farthest colour that light alone may make of the ground, before a fit is known */
#define EXPLAINED 7.0f   /* within this of the surface a margin pixel counts as ground */
#define FINE_SCALE 0.04f /* of the longer side: the finest unevenness of light that is believed */

typedef struct {
  int n;
  float (*basis)[TERMS];
  float (*colour)[3];
  guint8 *margin;
} Samples;

static void basis_at(float basis[TERMS], int x, int y, int width, int height) {
  float scale = 2.0f / (float)MAX(width, height);
  float u = ((float)x - 0.5f * (float)width) * scale, v = ((float)y - 0.5f * (float)height) * scale;
  basis[0] = 1, basis[1] = u, basis[2] = v, basis[3] = u * u, basis[4] = u * v, basis[5] = v * v;
}

static void samples_take(Samples *samples, Plane *const lab[3]) {
  int w = lab[0]->width, h = lab[0]->height;
  int step = MAX(1, (int)sqrtf((float)w * (float)h / SAMPLES));
  int margin = MAX(2, (int)(MARGIN * (float)MIN(w, h)));
  int capacity = ((w + step - 1) / step) * ((h + step - 1) / step);
  samples->basis = g_malloc((gsize)capacity * sizeof *samples->basis);
  samples->colour = g_malloc((gsize)capacity * sizeof *samples->colour);
  samples->margin = g_new(guint8, capacity);
  samples->n = 0;
  for (int y = 0; y < h; y += step)
    for (int x = 0; x < w; x += step) {
      int i = samples->n++;
      basis_at(samples->basis[i], x, y, w, h);
      for (int c = 0; c < 3; c++)
        samples->colour[i][c] = *plane_at(lab[c], x, y);
      samples->margin[i] = x < margin || y < margin || x >= w - margin || y >= h - margin;
    }
}

static void samples_clear(Samples *samples) {
  g_free(samples->basis);
  g_free(samples->colour);
  g_free(samples->margin);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Samples, samples_clear)

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static float median(float *values, int n) {
  qsort(values, (gsize)n, sizeof *values, by_value);
  return n ? values[n / 2] : 0;
}

/* Solves the symmetric system a x = b for three right sides by Gauss elimination with a little damping, which
 * leaves terms at 0 that the samples cannot tell. */
static void solve(double a[TERMS][TERMS], double b[TERMS][3], float x[3][TERMS]) {
  for (int i = 0; i < TERMS; i++)
    a[i][i] += 1e-3;
  for (int i = 0; i < TERMS; i++)
    for (int j = i + 1; j < TERMS; j++) {
      double f = a[j][i] / a[i][i];
      for (int k = i; k < TERMS; k++)
        a[j][k] -= f * a[i][k];
      for (int c = 0; c < 3; c++)
        b[j][c] -= f * b[i][c];
    }
  for (int c = 0; c < 3; c++)
    for (int i = TERMS - 1; i >= 0; i--) {
      double sum = b[i][c];
      for (int k = i + 1; k < TERMS; k++)
        sum -= a[i][k] * x[c][k];
      x[c][i] = (float)(sum / a[i][i]);
    }
}

typedef float Surface[3][TERMS];

static float residual(const Samples *samples, int i, Surface surface) {
  float sum = 0;
  for (int c = 0; c < 3; c++) {
    float d = samples->colour[i][c];
    for (int k = 0; k < TERMS; k++)
      d -= surface[c][k] * samples->basis[i][k];
    sum += d * d;
  }
  return sqrtf(sum);
}

static void fit_weighted(const Samples *samples, gboolean margin_only, float reach, Surface surface) {
  double a[TERMS][TERMS] = {0}, b[TERMS][3] = {0};
  for (int i = 0; i < samples->n; i++) {
    if (margin_only && !samples->margin[i])
      continue;
    float t = residual(samples, i, surface) / reach;
    if (t >= 1)
      continue;
    double weight = (1 - t * t) * (1 - t * t);
    const float *basis = samples->basis[i];
    for (int j = 0; j < TERMS; j++) {
      for (int k = 0; k < TERMS; k++)
        a[j][k] += weight * basis[j] * basis[k];
      for (int c = 0; c < 3; c++)
        b[j][c] += weight * basis[j] * samples->colour[i][c];
    }
  }
  solve(a, b, surface);
}

/* The median length of a Gaussian in three dimensions is 1.54 standard deviations. */
static float deviation(float *lengths, int n) {
  return MAX(NOISE_FLOOR, 0.65f * median(lengths, n));
}

/* Spread of the residuals below a limit. */
static float spread(const Samples *samples, Surface surface, gboolean margin_only, float limit) {
  g_autofree float *values = g_new(float, samples->n);
  int n = 0;
  for (int i = 0; i < samples->n; i++) {
    float r = margin_only && !samples->margin[i] ? limit : residual(samples, i, surface);
    if (r < limit)
      values[n++] = r;
  }
  return deviation(values, n);
}

static void fit_surface(const Samples *samples, Surface surface) {
  g_autofree float *values = g_new(float, samples->n);
  memset(surface, 0, sizeof(Surface));
  for (int c = 0; c < 3; c++) {
    int n = 0;
    for (int i = 0; i < samples->n; i++)
      if (samples->margin[i])
        values[n++] = samples->colour[i][c];
    surface[c][0] = median(values, n);
  }
  float reach = REACH;
  for (int round = 0; round < 12; round++) {
    gboolean margin_only = round < 6;
    fit_weighted(samples, margin_only, reach, surface);
    reach = CLAMP(5 * spread(samples, surface, margin_only, reach), 5.0f, REACH);
  }
}

/* Subtracts the surface, then the blurred remainder of those pixels that are ground. */
static void subtract_ground(Plane *lab[3], Surface surface, float limit) {
  int w = lab[0]->width, h = lab[0]->height;
  gsize n = (gsize)w * (gsize)h;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float basis[TERMS];
      basis_at(basis, x, y, w, h);
      for (int c = 0; c < 3; c++)
        for (int k = 0; k < TERMS; k++)
          *plane_at(lab[c], x, y) -= surface[c][k] * basis[k];
    }
  g_autoptr(Plane) weight = plane_new(w, h);
  for (gsize i = 0; i < n; i++) {
    float d = sqrtf(lab[0]->v[i] * lab[0]->v[i] + lab[1]->v[i] * lab[1]->v[i] + lab[2]->v[i] * lab[2]->v[i]);
    weight->v[i] = d < limit ? 1.0f : 0.0f;
  }
  float sigma = FINE_SCALE * (float)MAX(w, h);
  g_autoptr(Plane) share = plane_copy(weight);
  plane_blur(share, sigma);
  for (int c = 0; c < 3; c++) {
    g_autoptr(Plane) remainder = plane_copy(lab[c]);
    for (gsize i = 0; i < n; i++)
      remainder->v[i] *= weight->v[i];
    plane_blur(remainder, sigma);
    for (gsize i = 0; i < n; i++) /* far from any ground the correction fades out */
      lab[c]->v[i] -= remainder->v[i] / (share->v[i] + 0.05f);
  }
}

static float plain_share(const Plane *difference, float limit) {
  int w = difference->width, h = difference->height, margin = MAX(2, (int)(MARGIN * (float)MIN(w, h)));
  gint64 all = 0, ground = 0;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      if (x >= margin && y >= margin && x < w - margin && y < h - margin)
        continue;
      all++;
      ground += *plane_at(difference, x, y) < limit;
    }
  return (float)ground / (float)all;
}

void backdrop_fit(Backdrop *backdrop, const Image *rgb) {
  Plane *lab[3];
  g_auto(Samples) samples = {0};
  Surface surface;
  colour_planes(rgb, lab);
  samples_take(&samples, lab);
  fit_surface(&samples, surface);
  float sigma = spread(&samples, surface, FALSE, REACH);
  subtract_ground(lab, surface, MAX(4 * sigma, 5.0f));

  gsize n = (gsize)rgb->width * (gsize)rgb->height;
  Plane *difference = plane_new(rgb->width, rgb->height);
  for (gsize i = 0; i < n; i++)
    difference->v[i] =
        sqrtf(lab[0]->v[i] * lab[0]->v[i] + lab[1]->v[i] * lab[1]->v[i] + lab[2]->v[i] * lab[2]->v[i]);
  gsize step = MAX(1, n / SAMPLES);
  g_autofree float *values = g_new(float, n / step + 1);
  int count = 0;
  for (gsize i = 0; i < n; i += step)
    if (difference->v[i] < REACH)
      values[count++] = difference->v[i];
  backdrop->difference = difference;
  backdrop->noise = deviation(values, count);
  backdrop->plain = plain_share(difference, MAX(EXPLAINED, 4 * backdrop->noise));
  for (int c = 0; c < 3; c++)
    plane_free(lab[c]);
}

void backdrop_clear(Backdrop *backdrop) {
  g_clear_pointer(&backdrop->difference, plane_free);
}
