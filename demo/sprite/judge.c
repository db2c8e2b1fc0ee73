/* Everything is judged from renders of the asked attributes; nothing is learned.
 *
 * Shapes: for every value of the trait, `RENDERS` true renders are laid over the picture with small shifts.
 * Only pixels count in which the values' renders differ under the same jitter. */
#include "judge.h"
#include "easel.h"
#include "sprite.h"
#include <math.h>
#include <string.h>

#define RENDERS 10
#define MAX_VALUES 11 /* of a shape */
#define MAX_SHIFT 2
#define MEAN_RENDERS 12
#define MIN_PIXELS 10 /* of a region, in a picture of 128 */
#define LIT 0.6       /* skin is judged by this quantile of its channels: shade and blush only darken it */
#define DIFFERENT 30  /* of one channel, between two renders */

G_STATIC_ASSERT((int)MARKS <= MAX_VALUES && (int)HAIRS <= MAX_VALUES);

struct Judge {
  int size;
  Sprite *sprite;
  guint8 *labels[SPRITE_LABELS_AGREE];
  float *means[SCENES][LIGHTS]; /* [size][size][3], made when first needed */
  guint8 *renders[MAX_VALUES][RENDERS];
  guint8 *mask;
};

Judge *judge_new(int size) {
  Judge *judge = g_new0(Judge, 1);
  judge->size = size;
  judge->sprite = sprite_new(size);
  for (int i = 0; i < SPRITE_LABELS_AGREE; i++)
    judge->labels[i] = g_malloc((gsize)size * size);
  for (guint v = 0; v < G_N_ELEMENTS(judge->renders); v++)
    for (int i = 0; i < RENDERS; i++)
      judge->renders[v][i] = g_malloc((gsize)size * size * 3);
  judge->mask = g_malloc((gsize)size * size);
  return judge;
}

void judge_free(Judge *judge) {
  if (!judge)
    return;
  for (int i = 0; i < SPRITE_LABELS_AGREE; i++)
    g_free(judge->labels[i]);
  for (guint v = 0; v < G_N_ELEMENTS(judge->renders); v++)
    for (int i = 0; i < RENDERS; i++)
      g_free(judge->renders[v][i]);
  for (int p = 0; p < SCENES; p++)
    for (int l = 0; l < LIGHTS; l++)
      g_free(judge->means[p][l]);
  g_free(judge->mask);
  sprite_free(judge->sprite);
  g_free(judge);
}

/* --- traits --- */

static const char *const names[TRAITS] = {"skin", "tint", "cloth",   "place", "eyewear", "beard",
                                          "hair", "mood", "posture", "face",  "mark"};
static const int counts[TRAITS] = {SKINS, TINTS, CLOTHS, SCENES, EYEWEARS, BEARDS,
                                   HAIRS, MOODS, POSES,  FACES,  MARKS};

const char *trait_name(Trait trait) {
  return names[trait];
}

int trait_value(Trait trait, const Attributes *a) {
  const int values[TRAITS] = {a->skin, a->tint, a->cloth,   a->place, a->eyewear, a->beard,
                              a->hair, a->mood, a->posture, a->face,  a->mark};
  return values[trait];
}

static Attributes with(const Attributes *asked, Trait trait, int value) {
  Attributes a = *asked;
  switch (trait) {
  case TRAIT_EYEWEAR:
    a.eyewear = (Eyewear)value;
    break;
  case TRAIT_BEARD:
    a.beard = (Beard)value;
    break;
  case TRAIT_HAIR:
    a.hair = (Hair)value;
    break;
  case TRAIT_MOOD:
    a.mood = (Mood)value;
    break;
  case TRAIT_POSTURE:
    a.posture = (Posture)value;
    break;
  case TRAIT_FACE:
    a.face = (Face)value;
    break;
  case TRAIT_MARK:
    a.mark = (Mark)value;
    break;
  default:
    g_assert_not_reached();
  }
  return a;
}

/* --- colours --- */

static gboolean agreed(const Judge *judge, gsize p, Region region) {
  for (int i = 0; i < SPRITE_LABELS_AGREE; i++)
    if (judge->labels[i][p] != region)
      return FALSE;
  return TRUE;
}

static int quantile(const int *histogram, int count, double share) {
  int below = 0;
  for (int v = 0; v < 256; v++)
    if ((below += histogram[v]) > count * share)
      return v;
  return 255;
}

static gboolean enough(const Judge *judge, int count) {
  return count >= MIN_PIXELS * judge->size / 128 * judge->size / 128;
}

static gboolean colour_of(const Judge *judge, const guint8 *pixels, Region region, double share,
                          Rgb *colour) {
  int histogram[3][256] = {{0}}, count = 0;
  gsize all = (gsize)judge->size * judge->size;
  for (gsize p = 0; p < all; p++) {
    if (!agreed(judge, p, region))
      continue;
    for (int c = 0; c < 3; c++)
      histogram[c][pixels[3 * p + c]]++;
    count++;
  }
  *colour = (Rgb){quantile(histogram[0], count, share), quantile(histogram[1], count, share),
                  quantile(histogram[2], count, share)};
  return enough(judge, count);
}

static double distance(Rgb a, Rgb b) {
  return (a.r - b.r) * (a.r - b.r) + (a.g - b.g) * (a.g - b.g) + (a.b - b.b) * (a.b - b.b);
}

static int nearest(const Rgb *palette, int count, Light light, Rgb colour) {
  int best = 0;
  for (int i = 1; i < count; i++)
    if (distance(light_on(light, palette[i]), colour) < distance(light_on(light, palette[best]), colour))
      best = i;
  return best;
}

static int look_at_colour(const Judge *judge, const guint8 *pixels, Region region, double share,
                          const Rgb *palette, int count, Light light) {
  Rgb colour;
  return colour_of(judge, pixels, region, share, &colour) ? nearest(palette, count, light, colour) : -1;
}

/* Clothes have trims in their own shade, and stripes that no two jitters put in the same place: every pixel
 * has a vote for the nearest of colours and shades, and those for the stripes' colour do not count. */
static int look_at_clothes(const Judge *judge, const Attributes *asked, const guint8 *pixels) {
  int votes[CLOTHS] = {0}, count = 0, best = 0;
  Rgb palette[2 * CLOTHS];
  for (int i = 0; i < CLOTHS; i++) {
    palette[i] = cloth_colours[i];
    palette[CLOTHS + i] = rgb_dark(cloth_colours[i], 0.22);
  }
  for (gsize p = 0; p < (gsize)judge->size * judge->size; p++) {
    if (!agreed(judge, p, REGION_CLOTHES))
      continue;
    const guint8 *at = pixels + 3 * p;
    votes[nearest(palette, 2 * CLOTHS, asked->light, (Rgb){at[0], at[1], at[2]}) % CLOTHS]++;
    count++;
  }
  if (asked->garment == GARMENT_STRIPED && asked->cloth != CLOTH_WHITE)
    votes[CLOTH_WHITE] = 0;
  for (int i = 1; i < CLOTHS; i++)
    if (votes[i] > votes[best])
      best = i;
  return enough(judge, count) ? best : -1;
}

/* --- place --- */

static const float *mean_background(Judge *judge, Place place, Light light) {
  gsize count = (gsize)judge->size * judge->size * 3;
  if (judge->means[place][light])
    return judge->means[place][light];
  float *mean = g_new0(float, count);
  guint8 *pixels = judge->renders[0][0];
  for (int i = 0; i < MEAN_RENDERS; i++) {
    sprite_background(judge->sprite, place, light, 7000 + i, pixels);
    for (gsize k = 0; k < count; k++)
      mean[k] += pixels[k] / (float)MEAN_RENDERS;
  }
  return judge->means[place][light] = mean;
}

static int look_at_place(Judge *judge, const guint8 *pixels, Light light) {
  int best = -1;
  double least = INFINITY;
  gsize all = (gsize)judge->size * judge->size;
  for (int place = 0; place < SCENES; place++) {
    const float *mean = mean_background(judge, place, light);
    double sum = 0;
    for (gsize p = 0; p < all; p++)
      if (agreed(judge, p, REGION_SCENE))
        for (int c = 0; c < 3; c++) {
          double d = pixels[3 * p + c] - mean[3 * p + c];
          sum += d * d;
        }
    if (sum < least)
      least = sum, best = place;
  }
  return best;
}

/* --- shapes --- */

static void render_values(Judge *judge, const Attributes *asked, Trait trait) {
  gsize all = (gsize)judge->size * judge->size;
  memset(judge->mask, 0, all);
  for (int i = 0; i < RENDERS; i++) {
    for (int v = 0; v < counts[trait]; v++) {
      Attributes a = with(asked, trait, v);
      sprite_draw(judge->sprite, &a, 9000 + i, judge->renders[v][i]);
    }
    for (int v = 1; v < counts[trait]; v++)
      for (gsize p = 0; p < all; p++)
        for (int c = 0; c < 3; c++)
          if (abs(judge->renders[v][i][3 * p + c] - judge->renders[0][i][3 * p + c]) > DIFFERENT)
            judge->mask[p] = 1;
  }
}

/* Squared difference under the mask, given up when it passes `enough`. */
static double misfit(const Judge *judge, const guint8 *pixels, const guint8 *render, int dx, int dy,
                     double enough) {
  double sum = 0;
  int size = judge->size;
  for (int y = MAX(0, dy); y < MIN(size, size + dy) && sum < enough; y++)
    for (int x = MAX(0, dx); x < MIN(size, size + dx); x++) {
      gsize p = (gsize)y * size + x;
      if (!judge->mask[p])
        continue;
      const guint8 *a = pixels + 3 * p, *b = render + 3 * (p - (gsize)dy * size - dx);
      for (int c = 0; c < 3; c++)
        sum += (a[c] - b[c]) * (a[c] - b[c]);
    }
  return sum;
}

static int look_at_shape(Judge *judge, const Attributes *asked, const guint8 *pixels, Trait trait) {
  double least = INFINITY;
  int best = -1;
  render_values(judge, asked, trait);
  gsize any = 0;
  for (gsize p = 0; p < (gsize)judge->size * judge->size; p++)
    any += judge->mask[p];
  if (any < MIN_PIXELS)
    return -1;
  for (int v = 0; v < counts[trait]; v++)
    for (int i = 0; i < RENDERS; i++)
      for (int dy = -MAX_SHIFT; dy <= MAX_SHIFT; dy++)
        for (int dx = -MAX_SHIFT; dx <= MAX_SHIFT; dx++) {
          double sum = misfit(judge, pixels, judge->renders[v][i], dx, dy, least);
          if (sum < least)
            least = sum, best = v;
        }
  return best;
}

/* --- mosaic --- */

static void look_at_borders(const Judge *judge, const guint8 *pixels, Verdict *verdict) {
  double sum[2] = {0};
  gsize count[2] = {0};
  int size = judge->size;
  for (int y = 0; y < size; y++)
    for (int x = 0; x < size; x++)
      for (int axis = 0; axis < 2; axis++) {
        int at = axis ? y : x;
        if (at == 0)
          continue;
        const guint8 *a = pixels + 3 * ((gsize)y * size + x), *b = a - 3 * (axis ? size : 1);
        for (int c = 0; c < 3; c++)
          sum[at % 16 == 0] += abs(a[c] - b[c]);
        count[at % 16 == 0] += 3;
      }
  verdict->border = sum[1] / (double)count[1];
  verdict->inside = sum[0] / (double)count[0];
}

void judge_look(Judge *judge, const Attributes *asked, const guint8 *pixels, int traits, Verdict *verdict) {
  for (int t = 0; t < TRAITS; t++)
    verdict->seen[t] = -1;
  for (int i = 0; i < SPRITE_LABELS_AGREE; i++)
    sprite_label(judge->sprite, asked, 8000 + i, judge->labels[i]);
  verdict->seen[TRAIT_SKIN] =
      look_at_colour(judge, pixels, REGION_SKIN, LIT, skin_colours, SKINS, asked->light);
  if (asked->hair != HAIR_BALD)
    verdict->seen[TRAIT_TINT] =
        look_at_colour(judge, pixels, REGION_HAIR, 0.5, tint_colours, TINTS, asked->light);
  verdict->seen[TRAIT_CLOTH] = look_at_clothes(judge, asked, pixels);
  verdict->seen[TRAIT_PLACE] = look_at_place(judge, pixels, asked->light);
  for (int t = TRAIT_EYEWEAR; t < traits; t++)
    verdict->seen[t] = look_at_shape(judge, asked, pixels, (Trait)t);
  look_at_borders(judge, pixels, verdict);
}

void tally_add(Tally *tally, const Attributes *asked, const Verdict *verdict) {
  for (int t = 0; t < TRAITS; t++) {
    if (verdict->seen[t] < 0)
      continue;
    tally->asked[t]++;
    tally->right[t] += verdict->seen[t] == trait_value((Trait)t, asked);
  }
  tally->border += verdict->border;
  tally->inside += verdict->inside;
}

double tally_share(const Tally *tally, Trait trait) {
  return tally->asked[trait] ? (double)tally->right[trait] / tally->asked[trait] : 0;
}

double tally_jump(const Tally *tally) {
  return tally->inside > 0 ? tally->border / tally->inside : 0;
}
