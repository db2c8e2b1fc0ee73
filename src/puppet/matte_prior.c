/* Samples are the known pixels that line the unknown band, thinned to a regular-looking sixth by a hash of
 * their place. They lie in a grid of buckets; the nearest of each side are looked up once for every 2 x 2
 * block of unknown pixels. */
#include "puppet/matte.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define NEAREST 12
#define BUCKET 16   /* pixels */
#define LINING 3.0f /* how deep the samples lie behind the band, pixels */
#define THINNING 6
#define DISTANCE_COST                                                                                        \
  0.66f /* colour levels per `unit` that a sample lies further than the nearest of its side */
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

/* All pairs of one block, as columns for the inner loop. */
typedef struct {
  int count;
  float ground[3][NEAREST * NEAREST], difference[3][NEAREST * NEAREST]; /* figure - ground */
  float inverse[NEAREST * NEAREST];                                     /* 1 / |difference|^2 */
  float penalty[NEAREST * NEAREST];
  guint8 figure_index[NEAREST * NEAREST], ground_index[NEAREST * NEAREST];
} Pairs;

static void pairs_init(Pairs *pairs, const Found *figure, const Found *ground, float unit) {
  pairs->count = 0;
  for (int f = 0; f < figure->count; f++)
    for (int b = 0; b < ground->count; b++) {
      int k = pairs->count++;
      float square = 0;
      for (int c = 0; c < 3; c++) {
        pairs->ground[c][k] = ground->sample[b]->colour[c];
        pairs->difference[c][k] = figure->sample[f]->colour[c] - ground->sample[b]->colour[c];
        square += pairs->difference[c][k] * pairs->difference[c][k];
      }
      pairs->inverse[k] = 1.0f / MAX(square, 1.0f);
      pairs->penalty[k] =
          DISTANCE_COST / unit *
          (figure->distance[f] - figure->distance[0] + ground->distance[b] - ground->distance[0]);
      pairs->figure_index[k] = (guint8)f;
      pairs->ground_index[k] = (guint8)b;
    }
}

/* Index of the best pair; its mixture and what that leaves over, in colour levels. */
static int pairs_best(const Pairs *pairs, const float colour[3], float *alpha, float *residual) {
  float cost[NEAREST * NEAREST], mixture[NEAREST * NEAREST];
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
    cost[k] = sqrtf(x * x + y * y + z * z) + pairs->penalty[k];
  }
  int best = 0;
  for (int k = 1; k < pairs->count; k++)
    if (cost[k] < cost[best])
      best = k;
  *alpha = mixture[best];
  *residual = cost[best] - pairs->penalty[best];
  return best;
}

static void set_colour(Image *image, gsize i, const float colour[3]) {
  for (int c = 0; c < 3; c++)
    image->pixels[i * 3 + (gsize)c] = (guint8)colour[c];
}

static void explain_pixel(MattePrior *prior, const Image *rgb, gsize i, const Pairs *pairs,
                          const Found *figure, const Found *ground) {
  const guint8 *pixel = rgb->pixels + i * 3;
  const float colour[3] = {pixel[0], pixel[1], pixel[2]};
  float residual;
  int k = pairs_best(pairs, colour, &prior->alpha->v[i], &residual);
  float contrast = 1.0f / sqrtf(pairs->inverse[k]);
  prior->trust->v[i] = expf(-residual / RESIDUAL_SCALE) * MIN(1.0f, contrast / CONTRAST_SCALE);
  set_colour(prior->figure, i, figure->sample[pairs->figure_index[k]]->colour);
  set_colour(prior->ground, i, ground->sample[pairs->ground_index[k]]->colour);
}

static gboolean is_unknown(float v) {
  return v > 0 && v < 1;
}

static void explain_block(MattePrior *prior, const Image *rgb, const Plane *trimap, int x, int y,
                          const SampleGrid grids[2], Pairs *pairs, float unit) {
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
  Found ground, figure;
  grid_nearest(&grids[0], (float)x + 0.5f, (float)y + 0.5f, &ground);
  grid_nearest(&grids[1], (float)x + 0.5f, (float)y + 0.5f, &figure);
  pairs_init(pairs, &figure, &ground, unit);
  for (int k = 0; k < n && pairs->count > 0; k++)
    explain_pixel(prior, rgb, inside[k], pairs, &figure, &ground);
}

MattePrior *matte_prior_new(const Image *rgb, const Plane *trimap, float unit) {
  g_assert(rgb->channels == 3 && rgb->width == trimap->width && rgb->height == trimap->height);
  MattePrior *prior = g_new(MattePrior, 1);
  *prior =
      (MattePrior){plane_copy(trimap), plane_new(rgb->width, rgb->height), image_copy(rgb), image_copy(rgb)};
  gsize n = (gsize)rgb->width * (gsize)rgb->height;
  g_autoptr(Plane) unknown = plane_new(rgb->width, rgb->height);
  for (gsize i = 0; i < n; i++)
    unknown->v[i] = is_unknown(trimap->v[i]);
  g_autoptr(Plane) to_unknown = plane_distance(unknown, 0.5f, NULL);
  SampleGrid grids[2];
  grid_init(&grids[0], rgb, trimap, to_unknown, 0);
  grid_init(&grids[1], rgb, trimap, to_unknown, 1);
  g_autofree Pairs *pairs = g_new(Pairs, 1);
  for (int y = 0; y < rgb->height; y += 2)
    for (int x = 0; x < rgb->width; x += 2)
      explain_block(prior, rgb, trimap, x, y, grids, pairs, unit);
  grid_clear(&grids[0]);
  grid_clear(&grids[1]);
  return prior;
}

void matte_prior_free(MattePrior *prior) {
  if (!prior)
    return;
  plane_free(prior->alpha);
  plane_free(prior->trust);
  image_free(prior->figure);
  image_free(prior->ground);
  g_free(prior);
}
