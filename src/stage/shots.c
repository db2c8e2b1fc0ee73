/* Every frame is boiled down to a signature: for each cell of a coarse grid a soft histogram of luma and one
 * of the two colour differences. Histograms inside cells forgive motion up to a fraction of a cell, the grid
 * keeps the layout, so two pictures of the same colours are still told apart.
 *
 * A cut before frame t is a large distance between t-1 and t
 *  - that stays: every one of the frames before is far from every one of the frames after, which a flash is
 * not;
 *  - that stands out: it is several times the distances between neighbours on either side, which within a
 * fast pan it is not;
 *  - that is one of structure: histograms are compared after the lumas of the frame were normalised for gain
 * and offset as well as before, and the smaller distance counts, so that a lamp being switched on is no cut.
 *
 * A picture that fades to black (or any one colour) and comes back as another has no such frame: there the
 * first frame that is clear again is compared with the last that was clear before. */
#include "stage/shots.h"

#include <math.h>
#include <string.h>

enum {
  GRID = 4,   /* cells per side */
  SIDE = 96,  /* sampled points per side */
  LUMA = 16,  /* bins */
  CHROMA = 8, /* bins for each of the two colour differences */
  BEFORE = 5, /* frames that are compared on either side */
  RING = 16,  /* signatures that are kept */
};

static const float CUT_DISTANCE = 0.28f; /* of 1; neighbours within a shot rarely pass 0.15 */
static const float CUT_STAYS =
    0.75f; /* share of CUT_DISTANCE that must remain between all frames around the cut */
static const float CUT_RATIO = 2.2f; /* over the typical distance of neighbours on either side */

static const float STRUCTURE = 0.03f; /* contrast from which on the normalised luma means something */
static const float BLANK = 0.012f;    /* contrast under which a frame is black, white or of one colour */
static const float CLEAR = 0.032f;    /* contrast that a picture must have again before it is compared */

typedef struct {
  float plain[GRID * GRID][LUMA];  /* each histogram adds up to 1 */
  float normal[GRID * GRID][LUMA]; /* of luma freed from the frame's gain and offset */
  float u[GRID * GRID][CHROMA], v[GRID * GRID][CHROMA];
  float contrast; /* standard deviation of luma */
} Signature;

struct Shots {
  Signature ring[RING];
  gboolean cut[RING];
  int added, decided;
  Signature clear; /* the last frame that was seen clearly */
  gboolean blank;  /* the picture has been blank since */
};

Shots *shots_new(void) {
  return g_new0(Shots, 1);
}

void shots_free(Shots *shots) {
  g_free(shots);
}

/* Adds one observation at position (0..1) to a histogram, shared between the two nearest bins. */
static void observe(float *histogram, int bins, float position, float weight) {
  float at = CLAMP(position * (float)bins - 0.5f, 0.0f, (float)(bins - 1));
  int low = MIN((int)at, bins - 2);
  float f = at - (float)low;
  histogram[low] += weight * (1 - f);
  histogram[low + 1] += weight * f;
}

static void sign(Signature *signature, const Image *rgb) {
  memset(signature, 0, sizeof *signature);
  g_autofree float *luma = g_new(float, SIDE *SIDE);
  const float share = (float)(GRID * GRID) / (SIDE * SIDE);
  float sum = 0, squares = 0;
  for (int j = 0; j < SIDE; j++)
    for (int i = 0; i < SIDE; i++) {
      int x = (int)(((gint64)i * 2 + 1) * rgb->width / (2 * SIDE));
      int y = (int)(((gint64)j * 2 + 1) * rgb->height / (2 * SIDE));
      const guint8 *p = image_at(rgb, x, y),
                   *q = image_at(rgb, MIN(x + 1, rgb->width - 1), MIN(y + 1, rgb->height - 1));
      float r = (float)(p[0] + q[0]) / 510.0f, g = (float)(p[1] + q[1]) / 510.0f,
            b = (float)(p[2] + q[2]) / 510.0f;
      float value = 0.299f * r + 0.587f * g + 0.114f * b;
      int cell = j * GRID / SIDE * GRID + i * GRID / SIDE;
      luma[j * SIDE + i] = value;
      sum += value;
      squares += value * value;
      observe(signature->plain[cell], LUMA, value, share);
      /* Most colours lie within half of the possible range: use the bins there. */
      observe(signature->u[cell], CHROMA, 0.5f + (b - value), share);
      observe(signature->v[cell], CHROMA, 0.5f + (r - value), share);
    }
  float mean = sum / (SIDE * SIDE), deviation = sqrtf(MAX(squares / (SIDE * SIDE) - mean * mean, 0.0f));
  signature->contrast = deviation;
  for (int k = 0; k < SIDE * SIDE; k++)
    observe(signature->normal[k / SIDE * GRID / SIDE * GRID + k % SIDE * GRID / SIDE], LUMA,
            0.5f + (luma[k] - mean) / (5 * MAX(deviation, 0.03f)), share);
}

/* Distance of two histograms, 0..1, by the earth mover's measure blended with the plain difference: the first
 * forgives a small shift of brightness, the second sees that a colour is new. */
static float differ(const float *a, const float *b, int bins) {
  float plain = 0, moved = 0, carry = 0;
  for (int i = 0; i < bins; i++) {
    plain += fabsf(a[i] - b[i]);
    carry += a[i] - b[i];
    moved += fabsf(carry);
  }
  return 0.5f * (0.5f * plain) + 0.5f * MIN(1.0f, 4 * moved / (float)bins);
}

static float compare(const Signature *a, const Signature *b) {
  float plain = 0, normal = 0, colour = 0;
  for (int cell = 0; cell < GRID * GRID; cell++) {
    plain += differ(a->plain[cell], b->plain[cell], LUMA);
    normal += differ(a->normal[cell], b->normal[cell], LUMA);
    colour += 0.5f * (differ(a->u[cell], b->u[cell], CHROMA) + differ(a->v[cell], b->v[cell], CHROMA));
  }
  float luma = MIN(a->contrast, b->contrast) > STRUCTURE ? MIN(plain, normal) : plain;
  return (0.7f * luma + 0.3f * MIN(1.0f, 2 * colour / (GRID * GRID)) * (GRID * GRID)) / (GRID * GRID);
}

static float distance(const Shots *shots, int first, int second) {
  return compare(&shots->ring[first % RING], &shots->ring[second % RING]);
}

/* The second largest distance of neighbours among [from, to): typical for motion, deaf to one flash. */
static float typical(const Shots *shots, int from, int to) {
  float largest = 0, second = 0;
  for (int t = MAX(from, 1); t < to; t++) {
    float d = distance(shots, t - 1, t);
    if (d > largest) {
      second = largest;
      largest = d;
    } else {
      second = MAX(second, d);
    }
  }
  return second;
}

static gboolean begins_shot(const Shots *shots, int t) {
  if (t == 0)
    return TRUE;
  float jump = distance(shots, t - 1, t);
  if (jump < CUT_DISTANCE)
    return FALSE;
  int oldest = MAX(0, t - 1 - SHOTS_FLASH), newest = MIN(shots->added - 1, t + SHOTS_FLASH);
  for (int a = oldest; a < t; a++)
    for (int b = t; b <= newest; b++)
      if (distance(shots, a, b) < CUT_STAYS * CUT_DISTANCE)
        return FALSE;
  /* Frames before the previous cut say nothing about this shot's motion. */
  int from = MAX(0, t - BEFORE);
  for (int s = t - 1; s > from; s--)
    if (shots->cut[s % RING])
      from = s + 1;
  float before = typical(shots, from + 1, t),
        after = typical(shots, t + 1, MIN(shots->added, t + SHOTS_LATENCY + 1));
  return jump > CUT_RATIO * MAX(before, after);
}

/* Whether frame t is the first to be seen clearly after the picture had gone blank, and shows something else
 * than before. */
static gboolean emerges(Shots *shots, int t) {
  const Signature *now = &shots->ring[t % RING];
  if (now->contrast < BLANK) {
    shots->blank = TRUE;
    return FALSE;
  }
  if (shots->blank && now->contrast < CLEAR)
    return FALSE;
  gboolean other = shots->blank && shots->clear.contrast > 0 && compare(&shots->clear, now) > CUT_DISTANCE;
  shots->blank = FALSE;
  if (now->contrast >= CLEAR)
    shots->clear = *now;
  return other;
}

static void decide_until(Shots *shots, int end) {
  for (; shots->decided < end; shots->decided++) {
    gboolean jumps = begins_shot(shots, shots->decided), fades_in = emerges(shots, shots->decided);
    shots->cut[shots->decided % RING] = jumps || fades_in;
  }
}

void shots_add(Shots *shots, const Image *rgb) {
  g_return_if_fail(rgb->channels == 3);
  sign(&shots->ring[shots->added % RING], rgb);
  shots->added++;
  decide_until(shots, shots->added - SHOTS_LATENCY);
}

void shots_end(Shots *shots) {
  decide_until(shots, shots->added);
}

int shots_decided(const Shots *shots) {
  return shots->decided;
}

gboolean shots_is_cut(const Shots *shots, int frame) {
  g_return_val_if_fail(frame >= 0 && frame < shots->decided && frame > shots->decided - RING, FALSE);
  return shots->cut[frame % RING];
}
