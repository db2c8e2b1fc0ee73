/* Palettes start with the sample farthest from those chosen already (the first: farthest from the mean), so
 * that small but distinct colours such as a collar get an entry, and then take a few rounds of Lloyd's
 * algorithm over at most SAMPLES pixels. */
#include "puppet/rig/colour.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 3000
#define ROUNDS 8

static float cube_root_of_lab(float t) {
  return t > 0.008856452f ? cbrtf(t) : t * 7.787037f + 16.0f / 116.0f;
}

/* f(t) of L*a*b* over 0..1.1 in so fine steps that the table's error is far below a byte's. */
#define CURVE 4096
static float curve_at(const float *curve, float t) {
  float x = CLAMP(t, 0, 1.0999f) * (CURVE / 1.1f);
  int i = (int)x;
  return curve[i] + (x - (float)i) * (curve[i + 1] - curve[i]);
}

void colour_planes(const Image *picture, Plane *lab[3]) {
  int n = picture->width * picture->height;
  float linear[256];
  g_autofree float *curve = g_new(float, CURVE + 2);
  for (int i = 0; i < 256; i++) {
    float s = (float)i / 255;
    linear[i] = s <= 0.04045f ? s / 12.92f : powf((s + 0.055f) / 1.055f, 2.4f);
  }
  for (int i = 0; i < CURVE + 2; i++)
    curve[i] = cube_root_of_lab((float)i * (1.1f / CURVE));
  for (int c = 0; c < 3; c++)
    lab[c] = plane_new(picture->width, picture->height);
  for (int i = 0; i < n; i++) {
    const guint8 *p = picture->pixels + (gsize)i * (gsize)picture->channels;
    float r = linear[p[0]], g = linear[p[1]], b = linear[p[2]];
    float x = curve_at(curve, (0.4124564f * r + 0.3575761f * g + 0.1804375f * b) / 0.95047f);
    float y = curve_at(curve, 0.2126729f * r + 0.7151522f * g + 0.0721750f * b);
    float z = curve_at(curve, (0.0193339f * r + 0.1191920f * g + 0.9503041f * b) / 1.08883f);
    lab[0]->v[i] = 116 * y - 16;
    lab[1]->v[i] = 500 * (x - y);
    lab[2]->v[i] = 200 * (y - z);
  }
}

float colour_distance(const float a[3], const float b[3], float lightness_weight) {
  float l = lightness_weight * (a[0] - b[0]), x = a[1] - b[1], y = a[2] - b[2];
  return sqrtf(l * l + x * x + y * y);
}

static int nearest(const Palette *palette, const float colour[3], float *distance) {
  int best = -1;
  *distance = FLT_MAX;
  for (int k = 0; k < palette->n; k++) {
    float d = colour_distance(palette->colour[k], colour, 1);
    if (d < *distance) {
      *distance = d;
      best = k;
    }
  }
  return best;
}

static void add_farthest(Palette *palette, float (*sample)[3], int n, const float mean[3]) {
  int best = 0;
  float most = -1;
  for (int i = 0; i < n; i++) {
    float d = colour_distance(sample[i], mean, 1);
    if (palette->n)
      nearest(palette, sample[i], &d);
    if (d > most) {
      most = d;
      best = i;
    }
  }
  memcpy(palette->colour[palette->n++], sample[best], sizeof sample[best]);
}

static void move_to_means(Palette *palette, float (*sample)[3], int n) {
  double sum[PALETTE_MAX][3] = {0};
  memset(palette->count, 0, sizeof palette->count);
  for (int i = 0; i < n; i++) {
    float distance;
    int k = nearest(palette, sample[i], &distance);
    palette->count[k]++;
    for (int c = 0; c < 3; c++)
      sum[k][c] += sample[i][c];
  }
  for (int k = 0; k < palette->n; k++)
    for (int c = 0; c < 3 && palette->count[k]; c++)
      palette->colour[k][c] = (float)(sum[k][c] / palette->count[k]);
}

void palette_learn(Palette *palette, Plane *const lab[3], const guint8 *mask, int n) {
  memset(palette, 0, sizeof *palette);
  int pixels = lab[0]->width * lab[0]->height, inside = 0;
  for (int i = 0; i < pixels; i++)
    inside += mask[i] != 0;
  if (!inside)
    return;
  int step = MAX(1, inside / SAMPLES), count = 0, seen = 0;
  g_autofree float(*sample)[3] = g_malloc(sizeof(float[3]) * (gsize)(inside / step + 1));
  double sum[3] = {0};
  for (int i = 0; i < pixels; i++) {
    if (!mask[i] || seen++ % step)
      continue;
    for (int c = 0; c < 3; c++)
      sum[c] += sample[count][c] = lab[c]->v[i];
    count++;
  }
  float mean[3] = {(float)(sum[0] / count), (float)(sum[1] / count), (float)(sum[2] / count)};
  for (int k = 0; k < MIN(MIN(n, PALETTE_MAX), count); k++)
    add_farthest(palette, sample, count, mean);
  for (int round = 0; round < ROUNDS; round++)
    move_to_means(palette, sample, count);
}

float palette_distance(const Palette *palette, const float colour[3]) {
  float distance;
  nearest(palette, colour, &distance);
  return distance;
}

static int compare_floats(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

gboolean colour_of_disc(Plane *const lab[3], const Plane *alpha, const float centre[2], float radius,
                        float colour[3]) {
  int side = 2 * (int)ceilf(radius) + 3, count = 0;
  g_autofree float *values = g_new(float, 3 * (gsize)side * (gsize)side);
  int x0 = (int)MAX(0, centre[0] - radius), x1 = (int)MIN((float)alpha->width - 1, centre[0] + radius);
  int y0 = (int)MAX(0, centre[1] - radius), y1 = (int)MIN((float)alpha->height - 1, centre[1] + radius);
  for (int y = y0; y <= y1; y++)
    for (int x = x0; x <= x1; x++) {
      float dx = (float)x + 0.5f - centre[0], dy = (float)y + 0.5f - centre[1];
      if (dx * dx + dy * dy > radius * radius || *plane_at(alpha, x, y) < 0.8f)
        continue;
      for (int c = 0; c < 3; c++)
        values[c * side * side + count] = *plane_at(lab[c], x, y);
      count++;
    }
  if (count < 4)
    return FALSE;
  for (int c = 0; c < 3; c++) {
    float *channel = values + c * side * side;
    qsort(channel, (gsize)count, sizeof *channel, compare_floats);
    colour[c] = channel[count / 2];
  }
  return TRUE;
}
