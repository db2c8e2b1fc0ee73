/* Samples are the known pixels that line the unknown band, thinned to a regular-looking sixth by a hash of
 * their place. They lie in a grid of buckets; the nearest of each side are looked up once for every 2 x 2
 * block of unknown pixels. */
#include "puppet/cutout/matte.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define NEAREST 12
#define PAIRS (NEAREST * NEAREST)
#define BUCKET 16   /* pixels */
#define LINING 3.0f /* how deep the samples lie behind the band, pixels */
#define THINNING 10
#define DISTANCE_COST                                                                                        \
  0.66f /* colour levels per `unit` that a sample lies further than the nearest of its side */
#define MIXTURE_COST 12.0f   /* colour levels times alpha (1 - alpha): most pixels are not mixtures */
#define SHADE_COST 1.0f      /* colour levels, for taking a pixel for ground in shadow */
#define DEEPEST_SHADE 0.4f   /* of the lit ground's value */
#define RESIDUAL_SCALE 6.0f  /* colour levels at which a mixture stops explaining a pixel */
#define CONTRAST_SCALE 40.0f /* colour levels between figure and ground that make a pair fully telling */

typedef struct {
  float x, y, colour[3];
} Sample;

typedef struct {
  int columns, rows;
  int *start; /* [columns * rows + 1] into samples */
  Sample *samples;
} SampleGrid;

/* The same number for the same place, with no visible pattern. */
static guint32 hash_place(guint32 x, guint32 y) {
  guint32 h = x * 0x9E3779B1u ^ y * 0x85EBCA77u;
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  h = (h ^ (h >> 12)) * 0x297A2D39u;
  return h ^ (h >> 15);
}

static void grid_init(SampleGrid *grid, const Image *rgb, const Plane *trimap, const Plane *to_unknown,
                      float side) {
  int w = rgb->width, h = rgb->height;
  grid->columns = (w + BUCKET - 1) / BUCKET;
  grid->rows = (h + BUCKET - 1) / BUCKET;
  gsize cells = (gsize)grid->columns * (gsize)grid->rows;
  grid->start = g_new0(int, cells + 1);
  g_autofree int *fill = NULL;
  for (int pass = 0; pass < 2; pass++) {
    for (int y = 0; y < h; y++)
      for (int x = 0; x < w; x++) {
        gsize i = (gsize)y * (gsize)w + (gsize)x;
        if (trimap->v[i] != side || to_unknown->v[i] > LINING ||
            hash_place((guint32)x, (guint32)y) % THINNING)
          continue;
        gsize cell = (gsize)(y / BUCKET) * (gsize)grid->columns + (gsize)(x / BUCKET);
        if (pass == 0) {
          grid->start[cell + 1]++;
          continue;
        }
        Sample *sample = &grid->samples[fill[cell]++];
        *sample = (Sample){
            (float)x, (float)y, {rgb->pixels[i * 3], rgb->pixels[i * 3 + 1], rgb->pixels[i * 3 + 2]}};
      }
    if (pass == 1)
      return;
    for (gsize cell = 0; cell < cells; cell++)
      grid->start[cell + 1] += grid->start[cell];
    grid->samples = g_new(Sample, grid->start[cells] + 1);
    fill = g_memdup2(grid->start, (cells + 1) * sizeof(int));
  }
}

static void grid_clear(SampleGrid *grid) {
  g_free(grid->start);
  g_free(grid->samples);
}

typedef struct {
  int count;
  float distance[NEAREST]; /* ascending */
  const Sample *sample[NEAREST];
} Found;

static void found_insert(Found *found, const Sample *sample, float distance) {
  if (found->count == NEAREST && distance >= found->distance[NEAREST - 1])
    return;
  int at = found->count < NEAREST ? found->count++ : NEAREST - 1;
  for (; at > 0 && found->distance[at - 1] > distance; at--) {
    found->distance[at] = found->distance[at - 1];
    found->sample[at] = found->sample[at - 1];
  }
  found->distance[at] = distance;
  found->sample[at] = sample;
}

static void visit_bucket(const SampleGrid *grid, int column, int row, float x, float y, Found *found) {
  if (column < 0 || row < 0 || column >= grid->columns || row >= grid->rows)
    return;
  int cell = row * grid->columns + column;
  for (int k = grid->start[cell]; k < grid->start[cell + 1]; k++) {
    float dx = grid->samples[k].x - x, dy = grid->samples[k].y - y;
    found_insert(found, &grid->samples[k], dx * dx + dy * dy);
  }
}

/* Rings of buckets outwards, until the next ring cannot hold anything nearer. */
static void grid_nearest(const SampleGrid *grid, float x, float y, Found *found) {
  int column = (int)x / BUCKET, row = (int)y / BUCKET, furthest = MAX(grid->columns, grid->rows);
  found->count = 0;
  for (int ring = 0; ring <= furthest; ring++) {
    float clear = (float)((ring - 1) * BUCKET);
    if (found->count == NEAREST && ring > 0 && clear > 0 && found->distance[NEAREST - 1] <= clear * clear)
      break;
    for (int c = column - ring; c <= column + ring; c++) {
      visit_bucket(grid, c, row - ring, x, y, found);
      if (ring > 0)
        visit_bucket(grid, c, row + ring, x, y, found);
    }
    for (int r = row - ring + 1; r < row + ring; r++) {
      visit_bucket(grid, column - ring, r, x, y, found);
      visit_bucket(grid, column + ring, r, x, y, found);
    }
  }
  for (int k = 0; k < found->count; k++)
    found->distance[k] = sqrtf(found->distance[k]);
}

/* One side's colours for a block, and what it costs to use them. */
typedef struct {
  int count;
  float colour[NEAREST][3], penalty[NEAREST];
} Palette;

static void palette_add(Palette *palette, const float colour[3], float shade, float penalty) {
  int k = palette->count++;
  for (int c = 0; c < 3; c++)
    palette->colour[k][c] = colour[c] * shade;
  palette->penalty[k] = penalty;
}

static void palette_init(Palette *palette, const Found *found, float unit) {
  palette->count = 0;
  for (int k = 0; k < found->count; k++)
    palette_add(palette, found->sample[k]->colour, 1,
                DISTANCE_COST / unit * (found->distance[k] - found->distance[0]));
}

/* All pairs of one block, as columns for the inner loop. */
typedef struct {
  int count;
  float ground[3][PAIRS], difference[3][PAIRS]; /* figure - ground */
  float inverse[PAIRS];                         /* 1 / |difference|^2 */
  float penalty[PAIRS];
} Pairs;

static void pairs_init(Pairs *pairs, const Palette *figure, const Palette *ground) {
  pairs->count = 0;
  for (int f = 0; f < figure->count; f++)
    for (int b = 0; b < ground->count; b++) {
      int k = pairs->count++;
      float square = 0;
      for (int c = 0; c < 3; c++) {
        pairs->ground[c][k] = ground->colour[b][c];
        pairs->difference[c][k] = figure->colour[f][c] - ground->colour[b][c];
        square += pairs->difference[c][k] * pairs->difference[c][k];
      }
      pairs->inverse[k] = 1.0f / MAX(square, 1.0f);
      pairs->penalty[k] = figure->penalty[f] + ground->penalty[b];
    }
}

/* Index of the best pair; its mixture and what that leaves over, in colour levels. */
static int pairs_best(const Pairs *pairs, const float colour[3], float *alpha, float *residual,
                      float *least) {
  float cost[PAIRS] = {0}, mixture[PAIRS];
  for (int k = 0; k < pairs->count; k++) {
    float x = colour[0] - pairs->ground[0][k], y = colour[1] - pairs->ground[1][k];
    float z = colour[2] - pairs->ground[2][k];
    float dx = pairs->difference[0][k], dy = pairs->difference[1][k], dz = pairs->difference[2][k];
    float a = (x * dx + y * dy + z * dz) * pairs->inverse[k];
    a = a < 0 ? 0 : a > 1 ? 1 : a;
    x -= a * dx;
    y -= a * dy;
    z -= a * dz;
    mixture[k] = a;
    cost[k] = sqrtf(x * x + y * y + z * z) + pairs->penalty[k] + MIXTURE_COST * a * (1 - a);
  }
  int best = 0;
  for (int k = 1; k < pairs->count; k++)
    if (cost[k] < cost[best])
      best = k;
  *least = cost[best];
  *alpha = mixture[best];
  *residual = cost[best] - pairs->penalty[best] - MIXTURE_COST * mixture[best] * (1 - mixture[best]);
  return best;
}

/* How far the colour is from the nearest ground, darkened as a shadow darkens: all channels alike, or, under
 * a blue sky, red a little more and blue a little less. */
static float shade_residual(const Palette *ground, const float colour[3]) {
  static const float tints[] = {0, 0.05f, 0.1f};
  float best = FLT_MAX;
  for (int k = 0; k < ground->count; k++)
    for (gsize t = 0; t < G_N_ELEMENTS(tints); t++) {
      const float lit[3] = {ground->colour[k][0] * (1 - tints[t]), ground->colour[k][1],
                            ground->colour[k][2] * (1 + tints[t])};
      float dot = colour[0] * lit[0] + colour[1] * lit[1] + colour[2] * lit[2];
      float square = lit[0] * lit[0] + lit[1] * lit[1] + lit[2] * lit[2];
      float shade = CLAMP(dot / MAX(square, 1.0f), DEEPEST_SHADE, 1.0f), left = 0;
      for (int c = 0; c < 3; c++)
        left += (colour[c] - shade * lit[c]) * (colour[c] - shade * lit[c]);
      best = MIN(best, sqrtf(left) + ground->penalty[k]);
    }
  return best;
}

/* What is known around one block of pixels. */
typedef struct {
  Palette figure, ground;
  Pairs pairs;
  gboolean shaded;
} Surroundings;

static void explain_pixel(const Surroundings *around, const guint8 *pixel, float *alpha, float *trust) {
  const float colour[3] = {pixel[0], pixel[1], pixel[2]};
  float residual, cost;
  int k = pairs_best(&around->pairs, colour, alpha, &residual, &cost);
  float contrast = MIN(1.0f, 1.0f / sqrtf(around->pairs.inverse[k]) / CONTRAST_SCALE);
  if (around->shaded) {
    float shade = shade_residual(&around->ground, colour);
    if (shade + SHADE_COST < cost) {
      *alpha = 0;
      residual = shade;
    }
  }
  *trust = expf(-residual / RESIDUAL_SCALE) * contrast;
}

static gboolean is_unknown(float v) {
  return v > 0 && v < 1;
}

static void look_around(Surroundings *around, const SampleGrid grids[2], float x, float y,
                        const MatteScale *scale) {
  Found found;
  grid_nearest(&grids[1], x, y, &found);
  palette_init(&around->figure, &found, scale->unit);
  grid_nearest(&grids[0], x, y, &found);
  palette_init(&around->ground, &found, scale->unit);
  around->shaded = y >= scale->shaded_from;
  pairs_init(&around->pairs, &around->figure, &around->ground);
}

static void explain_block(MattePrior *prior, const Image *rgb, const Plane *trimap, int x, int y,
                          const SampleGrid grids[2], Surroundings *around, const MatteScale *scale) {
  gsize inside[4];
  int n = 0;
  for (int dy = 0; dy < 2; dy++)
    for (int dx = 0; dx < 2; dx++)
      if (x + dx < rgb->width && y + dy < rgb->height) {
        gsize i = (gsize)(y + dy) * (gsize)rgb->width + (gsize)(x + dx);
        if (is_unknown(trimap->v[i]))
          inside[n++] = i;
      }
  if (n == 0)
    return;
  look_around(around, grids, (float)x + 0.5f, (float)y + 0.5f, scale);
  for (int k = 0; k < n; k++) {
    gsize i = inside[k];
    if (around->pairs.count == 0) /* the whole picture is figure, or none of it */
      prior->alpha->v[i] = around->figure.count > 0 ? 1 : 0;
    else
      explain_pixel(around, rgb->pixels + i * 3, &prior->alpha->v[i], &prior->trust->v[i]);
  }
}

MattePrior *matte_prior_new(const Image *rgb, const Plane *trimap, const MatteScale *scale) {
  g_assert(rgb->channels == 3 && rgb->width == trimap->width && rgb->height == trimap->height);
  MattePrior *prior = g_new(MattePrior, 1);
  *prior = (MattePrior){plane_copy(trimap), plane_new(rgb->width, rgb->height)};
  gsize n = (gsize)rgb->width * (gsize)rgb->height;
  g_autoptr(Plane) unknown = plane_new(rgb->width, rgb->height);
  for (gsize i = 0; i < n; i++)
    unknown->v[i] = is_unknown(trimap->v[i]);
  g_autoptr(Plane) to_unknown = plane_distance(unknown, 0.5f, NULL);
  SampleGrid grids[2];
  grid_init(&grids[0], rgb, trimap, to_unknown, 0);
  grid_init(&grids[1], rgb, trimap, to_unknown, 1);
  g_autofree Surroundings *around = g_new(Surroundings, 1);
  for (int y = 0; y < rgb->height; y += 2)
    for (int x = 0; x < rgb->width; x += 2)
      explain_block(prior, rgb, trimap, x, y, grids, around, scale);
  grid_clear(&grids[0]);
  grid_clear(&grids[1]);
  return prior;
}

void matte_prior_free(MattePrior *prior) {
  if (!prior)
    return;
  plane_free(prior->alpha);
  plane_free(prior->trust);
  g_free(prior);
}
