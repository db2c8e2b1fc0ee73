/* A pyramid of halved pictures is filled from its top down. On the smallest level the hole starts as a
 * membrane; every further level starts from the one before. On each level two steps alternate: search  for
 * every patch that touches the hole the most similar patch that lies wholly in the source. Similar means
 *           after a shift of the mean by at most SHIFT_MAX, so that a patch of sky serves at any height of a
 * gradient; vote    every pixel of the hole becomes the mean of what the patches over it say, weighted by
 * their similarity and by how near to the border of the hole they lie.
 *
 * All pictures here have a margin of PATCH pixels that belongs to nothing, so that no patch leaves the
 * memory. Patches that contain pixels of nothing are compared by the others only. */
#include "stage/inpaint.h"
#include "base/parallel.h"
#include "base/simd.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
  PATCH = 3, /* radius: patches of 7 x 7 */
  SIDE = 2 * PATCH + 1,
  AREA = SIDE * SIDE,
  SHIFT_MAX = 24,                  /* largest shift of a patch's mean, in levels */
  TOP_SIDE = 40,                   /* the smallest level is not much smaller than this */
  SEARCH_MAX_PIXELS = 4000 * 1000, /* larger areas are filled at half their size: memory stays bounded */
  QUARTILE_SAMPLES = 4000,
  SOURCES_FEW = 24, /* with fewer source patches the membrane alone is used */
};

static const float SHIFT_COST =
    0.35f; /* of a squared level of shift, against 1 for a squared level of difference */

typedef enum { NOTHING, SOURCE, HOLE } Kind;

typedef struct {
  int width, height;       /* with the margin */
  guint8 *rgb;             /* [height][width][3] */
  guint8 *kind;            /* [height][width] */
  guint8 *whole;           /* 1 where the patch around the pixel holds only SOURCE */
  guint8 *open;            /* 1 where the patch around the pixel holds no NOTHING */
  float *mean;             /* [height][width][3] mean colour of the patch */
  float *depth;            /* distance to the nearest pixel that is not HOLE */
  int *targets, n_targets; /* pixels whose patch touches the hole and is anchored on HOLE or SOURCE */
  int *sources, n_sources; /* pixels with whole */
  int *match;              /* [height * width] index of the patch chosen for a target, else -1 */
  float *cost;             /* [height * width] its cost */
} Level;

static Level *level_new(int width, int height) {
  Level *level = g_new0(Level, 1);
  gsize n = (gsize)width * (gsize)height;
  level->width = width;
  level->height = height;
  level->rgb = g_malloc0(n * 3 + 8); /* vectors read a little beyond the last patch */
  level->kind = g_malloc0(n);
  return level;
}

static void level_free(Level *level) {
  if (!level)
    return;
  g_free(level->rgb);
  g_free(level->kind);
  g_free(level->whole);
  g_free(level->open);
  g_free(level->mean);
  g_free(level->depth);
  g_free(level->targets);
  g_free(level->sources);
  g_free(level->match);
  g_free(level->cost);
  g_free(level);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Level, level_free)

/* xorshift; the state is part of the work on one picture, so that results repeat. */
static guint32 next_random(guint32 *state) {
  guint32 x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}

/* --- membrane --- */

static void relax(Plane *plane, const Plane *weight, int sweeps) {
  int w = plane->width, h = plane->height;
  const float over = 1.6f; /* successive over-relaxation */
  for (int sweep = 0; sweep < sweeps; sweep++)
    for (int colour = 0; colour < 2; colour++)
      for (int y = 0; y < h; y++) {
        float *row = plane_at(plane, 0, y);
        const float *fixed = plane_at(weight, 0, y);
        const float *above = plane_at(plane, 0, MAX(y - 1, 0)),
                    *below = plane_at(plane, 0, MIN(y + 1, h - 1));
        for (int x = (y + colour) & 1; x < w; x += 2) {
          if (fixed[x] > 0)
            continue;
          float goal = 0.25f * (above[x] + below[x] + row[MAX(x - 1, 0)] + row[MIN(x + 1, w - 1)]);
          row[x] += over * (goal - row[x]);
        }
      }
}

void inpaint_membrane(Plane *plane, const Plane *weight) {
  int w = plane->width, h = plane->height;
  gsize n = (gsize)w * (gsize)h;
  double sum = 0;
  gsize known = 0;
  for (gsize i = 0; i < n; i++)
    if (weight->v[i] > 0) {
      sum += plane->v[i];
      known++;
    }
  if (known == n)
    return;
  float mean = known ? (float)(sum / (double)known) : 0.0f;
  if (!known || MIN(w, h) < 4) {
    for (gsize i = 0; i < n; i++)
      if (!(weight->v[i] > 0))
        plane->v[i] = mean;
    relax(plane, weight, known ? 60 : 0);
    return;
  }
  int w2 = (w + 1) / 2, h2 = (h + 1) / 2;
  g_autoptr(Plane) coarse = plane_new(w2, h2), coarse_weight = plane_new(w2, h2);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float known_here = *plane_at(weight, x, y) > 0 ? 1.0f : 0.0f;
      *plane_at(coarse, x / 2, y / 2) += known_here * *plane_at(plane, x, y);
      *plane_at(coarse_weight, x / 2, y / 2) += known_here;
    }
  for (gsize i = 0; i < (gsize)w2 * (gsize)h2; i++)
    if (coarse_weight->v[i] > 0)
      coarse->v[i] /= coarse_weight->v[i];
  inpaint_membrane(coarse, coarse_weight);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      if (!(*plane_at(weight, x, y) > 0))
        *plane_at(plane, x, y) = plane_sample(coarse, ((float)x - 0.5f) / 2, ((float)y - 0.5f) / 2);
  relax(plane, weight, 24);
}

/* Fills the hole of a level smoothly from its sources. */
static void level_membrane(Level *level) {
  int w = level->width, h = level->height;
  gsize n = (gsize)w * (gsize)h;
  g_autoptr(Plane) weight = plane_new(w, h), value = plane_new(w, h);
  gboolean any = FALSE;
  for (gsize i = 0; i < n; i++) {
    weight->v[i] = level->kind[i] == SOURCE;
    any |= level->kind[i] == SOURCE;
  }
  for (int c = 0; c < 3; c++) {
    for (gsize i = 0; i < n; i++)
      value->v[i] = level->rgb[i * 3 + (gsize)c];
    inpaint_membrane(value, weight);
    for (gsize i = 0; i < n; i++)
      if (level->kind[i] == HOLE)
        level->rgb[i * 3 + (gsize)c] = any ? (guint8)CLAMP(value->v[i] + 0.5f, 0.0f, 255.0f) : 128;
  }
}

/* --- preparation of a level --- */

static void index_patches(Level *level) {
  int w = level->width, h = level->height;
  gsize n = (gsize)w * (gsize)h;
  /* Counts of each kind inside every patch, by summed rows. */
  g_autofree guint8 *row_hole = g_malloc0(n), *row_nothing = g_malloc0(n);
  for (int y = 0; y < h; y++)
    for (int x = PATCH; x < w - PATCH; x++) {
      gsize i = (gsize)y * (gsize)w + (gsize)x;
      for (int d = -PATCH; d <= PATCH; d++) {
        row_hole[i] += level->kind[(gssize)i + d] == HOLE;
        row_nothing[i] += level->kind[(gssize)i + d] == NOTHING;
      }
    }
  level->whole = g_malloc0(n);
  level->open = g_malloc0(n);
  level->mean = g_new0(float, n * 3);
  level->match = g_new(int, n);
  level->cost = g_new(float, n);
  level->targets = g_new(int, n);
  level->sources = g_new(int, n);
  for (gsize i = 0; i < n; i++)
    level->match[i] = -1;
  for (int y = PATCH; y < h - PATCH; y++)
    for (int x = PATCH; x < w - PATCH; x++) {
      gsize i = (gsize)y * (gsize)w + (gsize)x;
      int holes = 0, nothings = 0;
      for (int d = -PATCH; d <= PATCH; d++) {
        holes += row_hole[(gssize)i + (gssize)d * w];
        nothings += row_nothing[(gssize)i + (gssize)d * w];
      }
      level->open[i] = nothings == 0;
      level->whole[i] = nothings == 0 && holes == 0;
      if (level->whole[i])
        level->sources[level->n_sources++] = (int)i;
      if (holes && level->kind[i] != NOTHING)
        level->targets[level->n_targets++] = (int)i;
    }
  g_autoptr(Plane) outside = plane_new(w, h);
  for (gsize i = 0; i < n; i++)
    outside->v[i] = level->kind[i] == SOURCE;
  g_autoptr(Plane) distance = plane_distance(outside, 0.5f, NULL);
  level->depth = g_steal_pointer(&distance->v);
}

/* Mean colours of all patches that are complete; of the others nothing is asked. */
static void patch_mean(Level *level, int i) {
  int sum[3] = {0};
  for (int dy = -PATCH; dy <= PATCH; dy++) {
    const guint8 *p = level->rgb + ((gssize)i + (gssize)dy * level->width - PATCH) * 3;
    for (int dx = 0; dx < SIDE; dx++, p += 3) {
      sum[0] += p[0];
      sum[1] += p[1];
      sum[2] += p[2];
    }
  }
  for (int c = 0; c < 3; c++)
    level->mean[(gsize)i * 3 + (gsize)c] = (float)sum[c] / AREA;
}

/* The picture inside the rectangle of `inner` pixels with the margin around it. */
static Level *level_from_images(const Image *rgb, const Image *hole, int x0, int y0, int width, int height) {
  Level *level = level_new(width + 2 * PATCH, height + 2 * PATCH);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      gsize i = (gsize)(y + PATCH) * (gsize)level->width + (gsize)(x + PATCH);
      memcpy(level->rgb + i * 3, image_at(rgb, x0 + x, y0 + y), 3);
      level->kind[i] = *image_at(hole, x0 + x, y0 + y) > 127 ? HOLE : SOURCE;
    }
  return level;
}

/* Half the size. A pixel is hole where any of its four is, so that no half-filled pixel becomes a source; its
 * colour is the mean of the sources. */
static Level *level_halve(const Level *fine) {
  int inner_w = (fine->width - 2 * PATCH + 1) / 2, inner_h = (fine->height - 2 * PATCH + 1) / 2;
  Level *level = level_new(inner_w + 2 * PATCH, inner_h + 2 * PATCH);
  for (int y = 0; y < inner_h; y++)
    for (int x = 0; x < inner_w; x++) {
      int sum[3] = {0}, sources = 0, holes = 0;
      for (int k = 0; k < 4; k++) {
        int fx = 2 * x + (k & 1) + PATCH, fy = 2 * y + (k >> 1) + PATCH;
        gsize f = (gsize)fy * (gsize)fine->width + (gsize)fx;
        holes += fine->kind[f] == HOLE;
        if (fine->kind[f] != SOURCE)
          continue;
        sources++;
        for (int c = 0; c < 3; c++)
          sum[c] += fine->rgb[f * 3 + (gsize)c];
      }
      gsize i = (gsize)(y + PATCH) * (gsize)level->width + (gsize)(x + PATCH);
      level->kind[i] = holes ? HOLE : sources ? SOURCE : NOTHING;
      for (int c = 0; c < 3 && sources; c++)
        level->rgb[i * 3 + (gsize)c] = (guint8)((sum[c] + sources / 2) / sources);
    }
  return level;
}

/* --- search --- */

static float shifted_cost(float squares, const float *difference, float count) {
  float cost = squares;
  for (int c = 0; c < 3; c++) {
    float shift = CLAMP(difference[c], (float)-SHIFT_MAX, (float)SHIFT_MAX);
    cost += count * (shift * shift * (1 + SHIFT_COST) - 2 * shift * difference[c]);
  }
  return cost / count;
}

typedef guint8 Bytes __attribute__((vector_size(8)));
typedef gint16 Shorts __attribute__((vector_size(16)));
typedef guint16 Squares __attribute__((vector_size(16)));
typedef guint32 Sums __attribute__((vector_size(32)));

/* Adds eight squared differences of bytes; 255 squared just fits. */
static inline __attribute__((always_inline)) void add_squares(Sums *sum, const guint8 *p, const guint8 *q,
                                                              const Shorts *counts) {
  Bytes a, b;
  memcpy(&a, p, sizeof a);
  memcpy(&b, q, sizeof b);
  Squares d = (Squares)((__builtin_convertvector(a, Shorts) - __builtin_convertvector(b, Shorts)) & *counts);
  *sum += __builtin_convertvector(d * d, Sums);
}

/* Sum over two complete patches, given their first bytes. The rows have 21 bytes, so the last three of the
 * third eight do not count. */
static inline __attribute__((always_inline)) int squared_difference(const guint8 *p, const guint8 *q,
                                                                    gssize stride) {
  const Shorts all = {-1, -1, -1, -1, -1, -1, -1, -1}, five = {-1, -1, -1, -1, -1};
  Sums sum = {0};
  for (int dy = 0; dy < SIDE; dy++, p += stride, q += stride) {
    add_squares(&sum, p, q, &all);
    add_squares(&sum, p + 8, q + 8, &all);
    add_squares(&sum, p + 16, q + 16, &five);
  }
  return (int)(sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7]);
}

/* Mean squared difference per pixel of the patches around a (target) and b (source) after the allowed shift.
 */
static inline __attribute__((always_inline)) float patch_cost(const Level *level, int a, int b) {
  gssize stride = (gssize)level->width * 3;
  const guint8 *p = level->rgb + ((gssize)a - PATCH) * 3 - PATCH * stride;
  const guint8 *q = level->rgb + ((gssize)b - PATCH) * 3 - PATCH * stride;
  if (level->open[a]) {
    int squares = squared_difference(p, q, stride);
    float difference[3];
    for (int c = 0; c < 3; c++)
      difference[c] = level->mean[(gsize)a * 3 + (gsize)c] - level->mean[(gsize)b * 3 + (gsize)c];
    return shifted_cost((float)squares, difference, AREA);
  }
  int squares = 0, count = 0, sum[3] = {0};
  for (int dy = -PATCH; dy <= PATCH; dy++)
    for (int dx = -PATCH; dx <= PATCH; dx++) {
      gssize offset = (gssize)dy * level->width + dx;
      if (level->kind[a + offset] == NOTHING)
        continue;
      count++;
      for (int c = 0; c < 3; c++) {
        int d = level->rgb[(a + offset) * 3 + c] - level->rgb[(b + offset) * 3 + c];
        squares += d * d;
        sum[c] += d;
      }
    }
  float difference[3] = {(float)sum[0] / (float)count, (float)sum[1] / (float)count,
                         (float)sum[2] / (float)count};
  return shifted_cost((float)squares, difference, (float)count);
}

static inline __attribute__((always_inline)) void try_match(Level *level, int target, gint64 candidate) {
  if (candidate < 0 || candidate >= (gint64)level->width * level->height || !level->whole[candidate] ||
      (int)candidate == level->match[target])
    return;
  float cost = patch_cost(level, target, (int)candidate);
  if (cost < level->cost[target]) {
    level->cost[target] = cost;
    level->match[target] = (int)candidate;
  }
}

/* Random places around the best match in windows that halve from `reach` on, PatchMatch's second half. */
static inline __attribute__((always_inline)) void search_around(Level *level, int target, int reach,
                                                                guint32 *random) {
  int w = level->width, h = level->height;
  for (; reach >= 1; reach /= 2) {
    int at = level->match[target];
    int x = at % w + (int)(next_random(random) % (guint32)(2 * reach + 1)) - reach;
    int y = at / w + (int)(next_random(random) % (guint32)(2 * reach + 1)) - reach;
    if (x >= PATCH && y >= PATCH && x < w - PATCH && y < h - PATCH)
      try_match(level, target, (gint64)y * w + x);
  }
}

FASTEST static void search(Level *level, int sweep, int reach, guint32 *random) {
  int w = level->width, n = level->n_targets, step = sweep % 2 ? 1 : -1;
  for (int k = 0; k < n; k++) {
    int target = level->targets[sweep % 2 ? n - 1 - k : k];
    const int neighbours[2] = {target + step, target + step * w};
    for (int j = 0; j < 2; j++) {
      int match = level->match[neighbours[j]];
      if (match >= 0)
        try_match(level, target, (gint64)match - (neighbours[j] - target));
    }
    search_around(level, target, reach, random);
  }
}

static void find_source_means(gpointer user, int begin, int end) {
  Level *level = user;
  for (int k = begin; k < end; k++)
    patch_mean(level, level->sources[k]);
}

static void find_target_means(gpointer user, int begin, int end) {
  Level *level = user;
  for (int k = begin; k < end; k++)
    patch_mean(level, level->targets[k]);
}

FASTEST static void find_costs(gpointer user, int begin, int end) {
  Level *level = user;
  for (int k = begin; k < end; k++) {
    int target = level->targets[k];
    level->cost[target] = patch_cost(level, target, level->match[target]);
  }
}

/* After the colours changed: means of the targets and what their matches cost now. */
static void refresh(Level *level) {
  parallel_spans(level->n_targets, find_target_means, level);
  parallel_spans(level->n_targets, find_costs, level);
}

/* --- vote --- */

static int compare_floats(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The cost that three quarters of the targets stay under, judged by some of them. */
static float upper_quartile(const Level *level) {
  int step = level->n_targets / QUARTILE_SAMPLES + 1, count = 0;
  g_autofree float *costs = g_new(float, level->n_targets / step + 1);
  for (int k = 0; k < level->n_targets; k += step)
    costs[count++] = level->cost[level->targets[k]];
  qsort(costs, (gsize)count, sizeof *costs, compare_floats);
  return costs[count * 3 / 4];
}

typedef struct {
  Level *level;
  float scale;
  float *weight; /* [targets] */
} Vote;

static void weigh(gpointer user, int begin, int end) {
  Vote *vote = user;
  const Level *level = vote->level;
  for (int k = begin; k < end; k++) {
    int target = level->targets[k];
    float weight = expf(-0.5f * MIN(level->cost[target] * vote->scale, 60.0f)) *
                   powf(1.2f, -MIN(level->depth[target], 40.0f));
    vote->weight[k] = MAX(weight, 1e-20f);
  }
}

/* Adds what the patch of target k says about the rows [top, bottom); sum: of these rows. */
static void speak(const Vote *vote, int k, int top, int bottom, float *sum) {
  const Level *level = vote->level;
  int w = level->width, target = level->targets[k], match = level->match[target], y = target / w;
  float weight = vote->weight[k], shift[3] = {0};
  if (level->open[target])
    for (int c = 0; c < 3; c++)
      shift[c] = CLAMP(level->mean[(gsize)target * 3 + (gsize)c] - level->mean[(gsize)match * 3 + (gsize)c],
                       (float)-SHIFT_MAX, (float)SHIFT_MAX);
  for (int dy = MAX(-PATCH, top - y); dy <= MIN(PATCH, bottom - 1 - y); dy++)
    for (int dx = -PATCH; dx <= PATCH; dx++) {
      gssize offset = (gssize)dy * w + dx;
      if (level->kind[target + offset] != HOLE)
        continue;
      float *to = sum + (target + offset - (gssize)top * w) * 4;
      const guint8 *from = level->rgb + (match + offset) * 3;
      for (int c = 0; c < 3; c++)
        to[c] += weight * ((float)from[c] + shift[c]);
      to[3] += weight;
    }
}

/* The rows [top, bottom) of the hole. Sources are only read, so what other rows become does not matter. */
static void count_votes(gpointer user, int top, int bottom) {
  const Vote *vote = user;
  Level *level = vote->level;
  int w = level->width;
  gsize first = (gsize)top * (gsize)w, n = (gsize)(bottom - top) * (gsize)w;
  g_autofree float *sum = g_new0(float, n * 4);
  for (int k = 0; k < level->n_targets; k++)
    if (level->targets[k] >= (top - PATCH) * w && level->targets[k] < (bottom + PATCH) * w)
      speak(vote, k, top, bottom, sum);
  for (gsize i = 0; i < n; i++)
    if (level->kind[first + i] == HOLE && sum[i * 4 + 3] > 0)
      for (gsize c = 0; c < 3; c++)
        level->rgb[(first + i) * 3 + c] = (guint8)CLAMP(sum[i * 4 + c] / sum[i * 4 + 3] + 0.5f, 0.0f, 255.0f);
}

/* sharpness: the larger, the more only the best patches count, so that the last levels do not blur. */
static void vote(Level *level, float sharpness) {
  g_autofree float *weight = g_new(float, level->n_targets);
  Vote votes = {level, sharpness / MAX(upper_quartile(level), 4.0f), weight};
  parallel_spans(level->n_targets, weigh, &votes);
  parallel_spans(level->height, count_votes, &votes);
}

static void vote_evenly(Level *level) {
  parallel_spans(level->n_targets, find_target_means, level);
  for (int k = 0; k < level->n_targets; k++)
    level->cost[level->targets[k]] = 0;
  vote(level, 1.0f);
}

/* --- levels --- */

/* Matches from the coarser level, doubled; where those are no whole patches here, a source drawn at random.
 */
static void inherit_matches(Level *level, const Level *coarse, guint32 *random) {
  int w = level->width;
  for (int k = 0; k < level->n_targets; k++) {
    int target = level->targets[k], x = target % w - PATCH, y = target / w - PATCH;
    int match = level->sources[next_random(random) % (guint32)level->n_sources];
    if (coarse) {
      int from = coarse->match[(y / 2 + PATCH) * coarse->width + x / 2 + PATCH];
      if (from >= 0) {
        int mx = (from % coarse->width - PATCH) * 2 + x % 2 + PATCH,
            my = (from / coarse->width - PATCH) * 2 + y % 2 + PATCH;
        if (mx < w && my < level->height && level->whole[my * w + mx])
          match = my * w + mx;
      }
    }
    level->match[target] = match;
  }
}

/* Colours of the hole from the coarser level, bilinear. */
static void inherit_colours(Level *level, const Level *coarse) {
  for (int y = PATCH; y < level->height - PATCH; y++)
    for (int x = PATCH; x < level->width - PATCH; x++) {
      gsize i = (gsize)y * (gsize)level->width + (gsize)x;
      if (level->kind[i] != HOLE)
        continue;
      float fx = CLAMP(((float)(x - PATCH) - 0.5f) / 2, 0.0f, (float)(coarse->width - 2 * PATCH - 1));
      float fy = CLAMP(((float)(y - PATCH) - 0.5f) / 2, 0.0f, (float)(coarse->height - 2 * PATCH - 1));
      float sum[3] = {0}, total = 0;
      for (int k = 0; k < 4; k++) {
        int cx = MIN((int)fx + (k & 1), coarse->width - 2 * PATCH - 1),
            cy = MIN((int)fy + (k >> 1), coarse->height - 2 * PATCH - 1);
        gsize j = (gsize)(cy + PATCH) * (gsize)coarse->width + (gsize)(cx + PATCH);
        float weight = (1 - fabsf(fx - (float)(int)fx - (float)(k & 1))) *
                       (1 - fabsf(fy - (float)(int)fy - (float)(k >> 1)));
        if (coarse->kind[j] == NOTHING)
          continue;
        total += weight;
        for (int c = 0; c < 3; c++)
          sum[c] += weight * coarse->rgb[j * 3 + (gsize)c];
      }
      for (int c = 0; c < 3 && total > 0; c++)
        level->rgb[i * 3 + (gsize)c] = (guint8)(sum[c] / total + 0.5f);
    }
}

/* coarse: the filled coarser level or NULL. depth: 0 is the picture itself; the larger a level, the more is
 * known from the coarser ones and the less is searched. Each round searches twice and votes. */
static void fill_level(Level *level, const Level *coarse, int depth, guint32 *random) {
  if (coarse)
    inherit_colours(level, coarse);
  else
    level_membrane(level);
  index_patches(level);
  if (level->n_sources < SOURCES_FEW || !level->n_targets) {
    level_membrane(level);
    return;
  }
  parallel_spans(level->n_sources, find_source_means, level);
  inherit_matches(level, coarse, random);
  /* The enlarged colours are smooth and would look for smooth patches: texture comes from the enlarged
   * matches. */
  if (coarse)
    vote_evenly(level);
  int side = MAX(level->width, level->height), rounds = coarse ? MIN(1 + depth, 6) : 10;
  int reach = !coarse ? side : depth == 0 ? 2 : depth == 1 ? 8 : MAX(4, side / 8);
  for (int round = 0; round < rounds; round++) {
    refresh(level);
    search(level, 2 * round, reach, random);
    search(level, 2 * round + 1, reach, random);
    vote(level, round == rounds - 1 ? 4.0f : 1.0f);
  }
}

/* How far the hole's innermost pixel is from its border. */
static float deepest_hole(const Level *level) {
  float deepest = 0;
  g_autoptr(Plane) outside = plane_new(level->width, level->height);
  for (gsize i = 0; i < (gsize)level->width * (gsize)level->height; i++)
    outside->v[i] = level->kind[i] == SOURCE;
  g_autoptr(Plane) distance = plane_distance(outside, 0.5f, NULL);
  for (gsize i = 0; i < (gsize)level->width * (gsize)level->height; i++)
    if (level->kind[i] == HOLE)
      deepest = MAX(deepest, distance->v[i]);
  return deepest;
}

static void fill_pyramid(Level *level, int depth, guint32 *random) {
  gboolean huge = (gint64)level->width * level->height > SEARCH_MAX_PIXELS;
  int inner = MIN(level->width, level->height) - 2 * PATCH;
  if (!huge && (inner / 2 < TOP_SIDE || deepest_hole(level) <= PATCH)) {
    fill_level(level, NULL, depth, random);
    return;
  }
  g_autoptr(Level) coarse = level_halve(level);
  fill_pyramid(coarse, huge ? 0 : depth + 1, random);
  if (huge)
    inherit_colours(level, coarse);
  else
    fill_level(level, coarse, depth, random);
}

/* The rectangle around the hole and enough of its surroundings; FALSE without a hole. */
static gboolean working_area(const Image *hole, int *x0, int *y0, int *width, int *height) {
  int left = hole->width, right = -1, top = hole->height, bottom = -1;
  for (int y = 0; y < hole->height; y++) {
    const guint8 *row = image_at(hole, 0, y);
    for (int x = 0; x < hole->width; x++)
      if (row[x] > 127) {
        left = MIN(left, x);
        right = MAX(right, x);
        top = MIN(top, y);
        bottom = MAX(bottom, y);
      }
  }
  if (right < 0)
    return FALSE;
  int margin = MAX(64, MAX(right - left, bottom - top) / 2);
  *x0 = MAX(left - margin, 0);
  *y0 = MAX(top - margin, 0);
  *width = MIN(right + margin + 1, hole->width) - *x0;
  *height = MIN(bottom + margin + 1, hole->height) - *y0;
  return TRUE;
}

void inpaint_fill(Image *rgb, const Image *hole) {
  g_return_if_fail(rgb->channels == 3 && hole->channels == 1);
  g_return_if_fail(rgb->width == hole->width && rgb->height == hole->height);
  int x0, y0, width, height;
  if (!working_area(hole, &x0, &y0, &width, &height))
    return;
  g_autoptr(Level) level = level_from_images(rgb, hole, x0, y0, width, height);
  guint32 random = 0x9e3779b9u;
  fill_pyramid(level, 0, &random);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      gsize i = (gsize)(y + PATCH) * (gsize)level->width + (gsize)(x + PATCH);
      if (level->kind[i] == HOLE)
        memcpy(image_at(rgb, x0 + x, y0 + y), level->rgb + i * 3, 3);
    }
}
