/* Brightness and colour drift through a shot: automatic exposure, a fading light, a graded transition. Left
 * alone, a place that was visible only early would stand out from its neighbour that was visible only late.
 *
 * On a coarse grid over the plate, every sample has a mean colour per cell, where the cell is free of people.
 * The plate's own mean per cell is the median over the samples; what a sample differs from it, smoothed
 * robustly over the cells (so that a moving object or a caption does not count as light) and continued into
 * cells that the sample does not show, is the sample's correction. As each depends on the other they are
 * computed in turn. */
#include "base/parallel.h"
#include "stage/plate.h"
#include "stage/plate_samples.h"

#include <math.h>
#include <string.h>

enum {
  CELLS = 48, /* along the longer side */
  POINTS = 6, /* looked at per cell and side */
  ROUNDS = 4,
  CORRECTION_MAX = 48, /* levels */
};

static const float NEGLIGIBLE = 0.3f; /* level; smaller corrections are dropped */

typedef struct {
  int width, height; /* in cells */
  float step;        /* plate pixels per cell */
} Grid;

/* Reorders the values; Hoare's selection. */
static float median_of(float *values, int count) {
  int low = 0, high = count - 1, middle = (count - 1) / 2;
  while (low < high) {
    float pivot = values[middle];
    int i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot)
        i++;
      while (values[j] > pivot)
        j--;
      if (i <= j) {
        float t = values[i];
        values[i++] = values[j];
        values[j--] = t;
      }
    }
    if (j < middle)
      low = i;
    if (i > middle)
      high = j;
  }
  return values[middle];
}

/* Mean y, u, v of the cell in the sample; NAN where too little of it is clear. */
static void measure_cell(const Sample *sample, const Grid *grid, int cx, int cy, float mean[3]) {
  const AVFrame *frame = sample->frame;
  float sum[3] = {0};
  int count = 0;
  for (int k = 0; k < POINTS * POINTS; k++) {
    float x = ((float)cx + ((float)(k % POINTS) + 0.5f) / POINTS) * grid->step;
    float y = ((float)cy + ((float)(k / POINTS) + 0.5f) / POINTS) * grid->step;
    if (!sample->still && !homography_apply(sample->toward, x, y, &x, &y))
      continue;
    if (!(x >= 0 && y >= 0 && x < (float)frame->width && y < (float)frame->height) ||
        sample_tier(sample, x, y) != TIER_CLEAR)
      continue;
    int px = (int)x, py = (int)y;
    sum[0] += frame->data[0][py * frame->linesize[0] + px];
    sum[1] += frame->data[1][py / 2 * frame->linesize[1] + px / 2];
    sum[2] += frame->data[2][py / 2 * frame->linesize[2] + px / 2];
    count++;
  }
  for (int c = 0; c < 3; c++)
    mean[c] = count * 2 >= POINTS * POINTS ? sum[c] / (float)count : NAN;
}

/* The median of the valid differences in the 5 x 5 cells around each. */
static void robust(const Grid *grid, float *difference, const float *original) {
  for (int y = 0; y < grid->height; y++)
    for (int x = 0; x < grid->width; x++) {
      float values[25];
      int count = 0;
      for (int dy = MAX(y - 2, 0); dy <= MIN(y + 2, grid->height - 1); dy++)
        for (int dx = MAX(x - 2, 0); dx <= MIN(x + 2, grid->width - 1); dx++)
          if (!isnan(original[dy * grid->width + dx]))
            values[count++] = original[dy * grid->width + dx];
      gboolean here = !isnan(original[y * grid->width + x]);
      difference[y * grid->width + x] = here ? median_of(values, count) : NAN;
    }
}

/* The correction field from the differences of the cells that the sample shows. */
static void smooth_field(const Grid *grid, const float *difference, Plane *field) {
  int n = grid->width * grid->height, count = 0;
  g_autofree float *values = g_new(float, n), *local = g_new(float, n);
  for (int i = 0; i < n; i++)
    if (!isnan(difference[i]))
      values[count++] = difference[i];
  if (!count) {
    memset(field->v, 0, sizeof *field->v * (gsize)n);
    return;
  }
  float overall = median_of(values, count);
  robust(grid, local, difference);
  g_autoptr(Plane) weight = plane_new(grid->width, grid->height);
  for (int i = 0; i < n; i++) {
    weight->v[i] = isnan(local[i]) ? 0.0f : 1.0f;
    field->v[i] = isnan(local[i]) ? 0.0f : local[i];
  }
  plane_blur(field, 2.0f);
  plane_blur(weight, 2.0f);
  const float prior = 0.02f; /* far from every visible cell the sample's overall difference holds */
  for (int i = 0; i < n; i++) {
    float value = (field->v[i] + prior * overall) / (weight->v[i] + prior);
    field->v[i] = CLAMP(value, (float)-CORRECTION_MAX, (float)CORRECTION_MAX);
  }
}

typedef struct {
  GPtrArray *samples;
  Grid grid;
  float *cells; /* [y, u, v][samples][cells], NAN where unknown */
} Measures;

/* Of some samples. */
static void measure(gpointer user, int begin, int end) {
  Measures *measures = user;
  const Grid *grid = &measures->grid;
  gsize n = (gsize)grid->width * (gsize)grid->height;
  for (int s = begin; s < end; s++)
    for (int cy = 0; cy < grid->height; cy++)
      for (int cx = 0; cx < grid->width; cx++) {
        float mean[3];
        measure_cell(measures->samples->pdata[s], grid, cx, cy, mean);
        for (gsize c = 0; c < 3; c++)
          measures->cells[(c * measures->samples->len + (gsize)s) * n + (gsize)cy * (gsize)grid->width +
                          (gsize)cx] = mean[c];
      }
}

/* One of y, u, v for all samples. cells: [samples][cells]. */
static void balance(GPtrArray *samples, const Grid *grid, const float *cells, int channel) {
  int n = grid->width * grid->height;
  g_autofree float *plate = g_new(float, n), *difference = g_new(float, n),
                   *values = g_new(float, samples->len);
  for (guint s = 0; s < samples->len; s++) {
    Sample *sample = samples->pdata[s];
    sample->gain[channel] = plane_new(grid->width, grid->height);
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < n; i++) {
      int count = 0;
      for (guint s = 0; s < samples->len; s++) {
        const Sample *sample = samples->pdata[s];
        float value = cells[(gsize)s * (gsize)n + (gsize)i];
        if (!isnan(value))
          values[count++] = value + sample->gain[channel]->v[i];
      }
      plate[i] = count ? median_of(values, count) : NAN;
    }
    for (guint s = 0; s < samples->len; s++) {
      Sample *sample = samples->pdata[s];
      for (int i = 0; i < n; i++)
        difference[i] = plate[i] - cells[(gsize)s * (gsize)n + (gsize)i];
      smooth_field(grid, difference, sample->gain[channel]);
    }
  }
  for (guint s = 0; s < samples->len; s++) {
    Sample *sample = samples->pdata[s];
    float largest = 0;
    for (int i = 0; i < n; i++)
      largest = MAX(largest, fabsf(sample->gain[channel]->v[i]));
    if (largest < NEGLIGIBLE)
      g_clear_pointer(&sample->gain[channel], plane_free);
  }
}

static void balance_channels(gpointer user, int begin, int end) {
  const Measures *measures = user;
  gsize n = (gsize)measures->grid.width * (gsize)measures->grid.height * measures->samples->len;
  for (int c = begin; c < end; c++)
    balance(measures->samples, &measures->grid, measures->cells + (gsize)c * n, c);
}

void samples_compensate(GPtrArray *samples, int width, int height) {
  Grid grid = {.step = MAX((float)MAX(width, height) / CELLS, 8.0f)};
  grid.width = (int)ceilf((float)width / grid.step);
  grid.height = (int)ceilf((float)height / grid.step);
  g_autofree float *cells = g_new(float, 3 * (gsize)grid.width * (gsize)grid.height * samples->len);
  Measures measures = {samples, grid, cells};
  for (guint s = 0; s < samples->len; s++)
    ((Sample *)samples->pdata[s])->gain_step = grid.step;
  parallel_spans((int)samples->len, measure, &measures);
  parallel_spans(3, balance_channels, &measures);
}
