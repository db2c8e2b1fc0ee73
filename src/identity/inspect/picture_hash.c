/* The grey picture at 32 x 32 and its cosine transform, of which the lowest 8 x 8 waves but the mean give a
 * bit each. */
#include "identity/inspect/picture_hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 32 /* of the grey picture that is transformed */
#define WAVES 8
#define BITS_APART 8 /* unrelated pictures differ in 32 of 63 bits, by 4 more or less */
/* On average over the tiny pictures, both given the same brightness and contrast. */
#define LEVELS_APART 20
#define TINY (PICTURE_HASH_SIDE * PICTURE_HASH_SIDE * 3)
#define USUAL_CONTRAST 50.f /* standard deviation of a photograph's levels */
#define LEAST_CONTRAST 4.f  /* below it is hardly more than rounding */

/* The lowest waves of the grey picture, without the mean. */
static void cosines(const Image *grey, float wave[WAVES][WAVES]) {
  float along[SIDE][WAVES];
  for (int y = 0; y < SIDE; y++)
    for (int u = 0; u < WAVES; u++) {
      along[y][u] = 0;
      for (int x = 0; x < SIDE; x++)
        along[y][u] += (float)*image_at(grey, x, y) * cosf((float)G_PI * (float)u * ((float)x + .5f) / SIDE);
    }
  for (int v = 0; v < WAVES; v++)
    for (int u = 0; u < WAVES; u++) {
      wave[v][u] = 0;
      for (int y = 0; y < SIDE; y++)
        wave[v][u] += along[y][u] * cosf((float)G_PI * (float)v * ((float)y + .5f) / SIDE);
    }
  wave[0][0] = 0;
}

static int compare_floats(const void *a, const void *b) {
  float p = *(const float *)a, q = *(const float *)b;
  return (p > q) - (p < q);
}

static guint64 bits_of(float wave[WAVES][WAVES]) {
  float sorted[WAVES * WAVES];
  memcpy(sorted, wave, sizeof sorted);
  qsort(sorted + 1, WAVES * WAVES - 1, sizeof *sorted, compare_floats);
  float median = sorted[WAVES * WAVES / 2];
  guint64 bits = 0;
  for (int i = 1; i < WAVES * WAVES; i++)
    bits |= (guint64)(wave[i / WAVES][i % WAVES] > median) << i;
  return bits;
}

PictureHash picture_hash(const Image *rgb) {
  PictureHash hash;
  g_autoptr(Image) grey = image_convert(rgb, 1);
  g_autoptr(Image) small = image_resize(grey, SIDE, SIDE);
  g_autoptr(Image) colour = image_resize(rgb, PICTURE_HASH_SIDE, PICTURE_HASH_SIDE);
  float wave[WAVES][WAVES];
  cosines(small, wave);
  hash.bits = bits_of(wave);
  for (int v = 0; v < WAVES; v++) /* a mirror turns the odd waves over */
    for (int u = 1; u < WAVES; u += 2)
      wave[v][u] = -wave[v][u];
  hash.mirrored = bits_of(wave);
  memcpy(hash.tiny, colour->pixels, sizeof hash.tiny);
  return hash;
}

/* The tiny picture with its mean taken away and its contrast brought to the usual. */
static void normal_levels(const PictureHash *hash, float level[TINY]) {
  const guint8 *from = &hash->tiny[0][0][0];
  float sum = 0, squares = 0;
  for (int i = 0; i < TINY; i++)
    sum += from[i];
  for (int i = 0; i < TINY; i++) {
    level[i] = from[i] - sum / TINY;
    squares += level[i] * level[i];
  }
  float gain = USUAL_CONTRAST / MAX(sqrtf(squares / TINY), LEAST_CONTRAST);
  for (int i = 0; i < TINY; i++)
    level[i] *= gain;
}

static float colours_apart(const PictureHash *a, const PictureHash *b, gboolean mirrored) {
  float p[TINY], q[TINY], sum = 0;
  normal_levels(a, p);
  normal_levels(b, q);
  for (int i = 0; i < TINY; i++) {
    int x = i / 3 % PICTURE_HASH_SIDE, turned = i + 3 * (PICTURE_HASH_SIDE - 1 - 2 * x);
    sum += fabsf(p[i] - q[mirrored ? turned : i]);
  }
  return sum / TINY;
}

static gboolean agrees(const PictureHash *a, const PictureHash *b, gboolean mirrored) {
  return __builtin_popcountll(a->bits ^ (mirrored ? b->mirrored : b->bits)) <= BITS_APART &&
         colours_apart(a, b, mirrored) <= LEVELS_APART;
}

gboolean picture_hash_same(const PictureHash *a, const PictureHash *b, gboolean *mirrored) {
  gboolean straight = agrees(a, b, FALSE), turned = !straight && agrees(a, b, TRUE);
  if (mirrored)
    *mirrored = turned;
  return straight || turned;
}
