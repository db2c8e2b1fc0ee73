/* The cover lives at the masks' size, the correction on a grid of 8 x 8 pixels; both are read bilinearly, a
 * row at a time.
 *
 * Cells next to the cover may hold what no mask shows: moving captions, hair, motion blur. Their weight falls
 * with the difference, so that a slow change of the light is followed and an object is not; the correction is
 * clamped besides. */
#include "puppet/veil.h"
#include "base/plane.h"
#include <math.h>
#include <string.h>

#define THRESHOLD 61  /* of 255: the mask's faint parts are people, too */
#define REACH 0.0167f /* of the frame's width that the cover goes beyond the mask */
#define SOFT 0.009f   /* half width of its edge */
#define CELL 8        /* pixels */
#define MARGIN 12     /* cells around the cover that are compared */
#define LEVELS 8
#define STRONGEST 40.0f /* levels of 255 */
#define DOUBTFUL 14.0f  /* difference at which a cell's weight has halved */
#define CONFIDENT 0.7f  /* weight above which a cell needs no help from its neighbourhood */

#if defined(__x86_64__) && defined(__gnu_linux__)
#define FASTEST __attribute__((target_clones("avx2", "default")))
#else
#define FASTEST
#endif

/* Where the samples of a finer row lie in a coarser one: between index and index + 1. */
typedef struct {
  int *index;
  guint8 *part; /* of 128 */
} Steps;

typedef struct {
  int width, height;
  float *value[3]; /* weighted sums going up, values coming down */
  float *weight;
} Grid;

struct Veil {
  int width, height;           /* of the frame */
  int mask_width, mask_height; /* of the cover; 0 before the first */
  guint8 *cover;               /* [mask_height][mask_width] */
  guint8 *marked;              /* the same size */
  float *near;                 /* squared distance along the row */
  int range[4];                /* of the cover in mask pixels */
  Grid grid[LEVELS];
  gint16 *correction[3];              /* [grid height][grid width], 1/16 levels */
  int cells[4];                       /* where it is valid */
  Steps mask_steps[2], cell_steps[2]; /* luma, chroma columns */
  gint16 *row;                        /* scratch rows */
};

static Steps steps_new(int fine, int coarse, float ratio) {
  Steps steps = {g_new(int, fine), g_new(guint8, fine)};
  for (int i = 0; i < fine; i++) {
    float at = CLAMP(((float)i + 0.5f) * ratio - 0.5f, 0.0f, (float)(coarse - 1));
    steps.index[i] = MIN((int)at, MAX(coarse - 2, 0));
    steps.part[i] = (guint8)lrintf((at - (float)steps.index[i]) * 128);
  }
  return steps;
}

static void steps_clear(Steps *steps) {
  g_clear_pointer(&steps->index, g_free);
  g_clear_pointer(&steps->part, g_free);
}

Veil *veil_new(const VideoInfo *info) {
  Veil *veil = g_new0(Veil, 1);
  veil->width = info->width;
  veil->height = info->height;
  int w = (info->width + CELL - 1) / CELL, h = (info->height + CELL - 1) / CELL;
  for (int l = 0; l < LEVELS; l++) {
    Grid *grid = &veil->grid[l];
    *grid = (Grid){w, h};
    for (int c = 0; c < 3; c++)
      grid->value[c] = g_new0(float, (gsize)w *(gsize)h);
    grid->weight = g_new0(float, (gsize)w *(gsize)h);
    w = (w + 1) / 2, h = (h + 1) / 2;
  }
  const Grid *finest = &veil->grid[0];
  for (int c = 0; c < 3; c++)
    veil->correction[c] = g_new0(gint16, (gsize)finest->width * (gsize)finest->height);
  for (int chroma = 0; chroma < 2; chroma++)
    veil->cell_steps[chroma] =
        steps_new((info->width + chroma) >> chroma, finest->width, (float)(1 + chroma) / CELL);
  veil->row = g_new(gint16, 4 * ((gsize)info->width + 64));
  return veil;
}

static void drop_cover(Veil *veil) {
  g_clear_pointer(&veil->cover, g_free);
  g_clear_pointer(&veil->marked, g_free);
  g_clear_pointer(&veil->near, g_free);
  for (int chroma = 0; chroma < 2; chroma++)
    steps_clear(&veil->mask_steps[chroma]);
}

void veil_free(Veil *veil) {
  if (!veil)
    return;
  drop_cover(veil);
  for (int l = 0; l < LEVELS; l++) {
    for (int c = 0; c < 3; c++)
      g_free(veil->grid[l].value[c]);
    g_free(veil->grid[l].weight);
  }
  for (int c = 0; c < 3; c++)
    g_free(veil->correction[c]);
  for (int chroma = 0; chroma < 2; chroma++)
    steps_clear(&veil->cell_steps[chroma]);
  g_free(veil->row);
  g_free(veil);
}

/* --- cover --- */

static void fit_cover(Veil *veil, int width, int height) {
  if (veil->mask_width == width && veil->mask_height == height)
    return;
  drop_cover(veil);
  veil->mask_width = width;
  veil->mask_height = height;
  gsize size = (gsize)width * (gsize)height;
  veil->cover = g_malloc0(size);
  veil->marked = g_malloc0(size);
  veil->near = g_new(float, size);
  for (int chroma = 0; chroma < 2; chroma++) {
    int fine = (veil->width + chroma) >> chroma;
    veil->mask_steps[chroma] = steps_new(fine, width, (float)width / (float)fine);
  }
}

/* Marks the people who are taken out; range: where they are. */
static gboolean mark(Veil *veil, const Image *const *replaced, int replaced_count, const Image *const *kept,
                     int kept_count, int range[4]) {
  int w = veil->mask_width, h = veil->mask_height;
  range[0] = w, range[1] = h, range[2] = range[3] = 0;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      gsize at = (gsize)y * (gsize)w + (gsize)x;
      int out = 0, stay = 0;
      for (int i = 0; i < replaced_count; i++)
        out = MAX(out, replaced[i]->pixels[at]);
      for (int i = 0; i < kept_count; i++)
        stay = MAX(stay, kept[i]->pixels[at]);
      veil->marked[at] = out >= THRESHOLD && out >= stay;
      if (!veil->marked[at])
        continue;
      range[0] = MIN(range[0], x), range[1] = MIN(range[1], y), range[2] = MAX(range[2], x + 1),
      range[3] = y + 1;
    }
  return range[0] < range[2];
}

/* Squared distances along the rows to the nearest mark, then the smallest over the rows within reach. */
FASTEST static void spread(Veil *veil, float reach, float soft) {
  int w = veil->mask_width;
  const int *r = veil->range;
  float far = reach + soft + 1;
  int rows = (int)ceilf(reach + soft);
  for (int y = r[1]; y < r[3]; y++) {
    float *near = veil->near + (gsize)y * (gsize)w;
    const guint8 *marked = veil->marked + (gsize)y * (gsize)w;
    float d = far;
    for (int x = r[0]; x < r[2]; x++)
      near[x] = d = marked[x] ? 0 : MIN(d + 1, far);
    d = far;
    for (int x = r[2] - 1; x >= r[0]; x--) {
      d = marked[x] ? 0 : MIN(d + 1, far);
      float least = MIN(near[x], d);
      near[x] = least * least;
    }
  }
  float scale = 255 / (2 * soft);
  for (int y = r[1]; y < r[3]; y++) {
    guint8 *cover = veil->cover + (gsize)y * (gsize)w;
    float best[1024];
    for (int from = r[0]; from < r[2]; from += 1024) {
      int n = MIN(1024, r[2] - from);
      for (int x = 0; x < n; x++)
        best[x] = far * far;
      for (int k = MAX(r[1], y - rows); k < MIN(r[3], y + rows + 1); k++) {
        const float *near = veil->near + (gsize)k * (gsize)w + from;
        float dy = (float)((k - y) * (k - y));
        for (int x = 0; x < n; x++)
          best[x] = MIN(best[x], near[x] + dy);
      }
      for (int x = 0; x < n; x++)
        cover[from + x] = (guint8)CLAMP((reach + soft - sqrtf(best[x])) * scale, 0.0f, 255.0f);
    }
  }
}

gboolean veil_cover(Veil *veil, const Image *const *replaced, int replaced_count, const Image *const *kept,
                    int kept_count, int box[4]) {
  if (replaced_count == 0)
    return FALSE;
  fit_cover(veil, replaced[0]->width, replaced[0]->height);
  for (int i = 0; i < replaced_count + kept_count; i++) {
    const Image *mask = i < replaced_count ? replaced[i] : kept[i - replaced_count];
    g_return_val_if_fail(
        mask->channels == 1 && mask->width == veil->mask_width && mask->height == veil->mask_height, FALSE);
  }
  int w = veil->mask_width, h = veil->mask_height, *r = veil->range;
  for (int y = r[1]; y < r[3] && y < h; y++)
    memset(veil->cover + (gsize)y * (gsize)w, 0, (gsize)w);
  if (!mark(veil, replaced, replaced_count, kept, kept_count, r)) {
    memset(r, 0, sizeof veil->range);
    return FALSE;
  }
  float reach = REACH * (float)w, soft = MAX(1.0f, SOFT * (float)w);
  int grow = (int)ceilf(reach + soft) + 1;
  r[0] = MAX(0, r[0] - grow), r[1] = MAX(0, r[1] - grow), r[2] = MIN(w, r[2] + grow),
  r[3] = MIN(h, r[3] + grow);
  spread(veil, reach, soft);
  for (int i = 0; i < kept_count; i++) /* a soft edge must not reach into who stays */
    for (int y = r[1]; y < r[3]; y++)
      for (int x = r[0]; x < r[2]; x++) {
        gsize at = (gsize)y * (gsize)w + (gsize)x;
        if (!veil->marked[at] && kept[i]->pixels[at] > 127)
          veil->cover[at] = 0;
      }
  float sx = (float)veil->width / (float)w, sy = (float)veil->height / (float)h;
  box[0] = MAX(0, (int)floorf((float)r[0] * sx) - 2) & ~1,
  box[1] = MAX(0, (int)floorf((float)r[1] * sy) - 2) & ~1;
  box[2] = MIN(veil->width, ((int)ceilf((float)r[2] * sx) + 3) & ~1);
  box[3] = MIN(veil->height, ((int)ceilf((float)r[3] * sy) + 3) & ~1);
  return TRUE;
}

/* --- correction --- */

static void cell_range(const Veil *veil, const int box[4], int cells[4]) {
  cells[0] = MAX(0, box[0] / CELL - MARGIN), cells[1] = MAX(0, box[1] / CELL - MARGIN);
  cells[2] = MIN(veil->grid[0].width, (box[2] + CELL - 1) / CELL + MARGIN);
  cells[3] = MIN(veil->grid[0].height, (box[3] + CELL - 1) / CELL + MARGIN);
}

void veil_surroundings(const Veil *veil, const int box[4], int wide[4]) {
  int cells[4];
  cell_range(veil, box, cells);
  wide[0] = cells[0] * CELL, wide[1] = cells[1] * CELL;
  wide[2] = MIN(veil->width, cells[2] * CELL), wide[3] = MIN(veil->height, cells[3] * CELL);
}

/* Whether the cover touches a cell. */
static gboolean covered(const Veil *veil, int cx, int cy) {
  int w = veil->mask_width, h = veil->mask_height;
  int x0 = cx * CELL * w / veil->width - 1, x1 = (cx + 1) * CELL * w / veil->width + 1;
  int y0 = cy * CELL * h / veil->height - 1, y1 = (cy + 1) * CELL * h / veil->height + 1;
  for (int y = MAX(y0, 0); y <= MIN(y1, h - 1); y++)
    for (int x = MAX(x0, 0); x <= MIN(x1, w - 1); x++)
      if (veil->cover[(gsize)y * (gsize)w + (gsize)x])
        return TRUE;
  return FALSE;
}

static float mean_difference(const guint8 *a, gssize a_stride, const guint8 *b, gssize b_stride, int width,
                             int height) {
  int sum = 0;
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      sum += a[y * a_stride + x] - b[y * b_stride + x];
  return (float)sum / (float)(width * height);
}

FASTEST static void compare(Veil *veil, const AVFrame *frame, const BackingView *view, const int cells[4]) {
  Grid *grid = &veil->grid[0];
  for (int cy = cells[1]; cy < cells[3]; cy++)
    for (int cx = cells[0]; cx < cells[2]; cx++) {
      gsize at = (gsize)cy * (gsize)grid->width + (gsize)cx;
      grid->weight[at] = 0;
      for (int c = 0; c < 3; c++)
        grid->value[c][at] = 0;
      if (covered(veil, cx, cy))
        continue;
      float difference[3], largest = 0;
      for (int c = 0; c < 3; c++) {
        int size = c ? CELL / 2 : CELL, x = cx * size, y = cy * size;
        int w = MIN(size, ((veil->width + (c > 0)) >> (c > 0)) - x),
            h = MIN(size, ((veil->height + (c > 0)) >> (c > 0)) - y);
        if (w <= 0 || h <= 0)
          difference[c] = 0;
        else
          difference[c] =
              mean_difference(frame->data[c] + (gssize)y * frame->linesize[c] + x, frame->linesize[c],
                              view->plane[c] + y * view->stride[c] + x, view->stride[c], w, h);
        largest = MAX(largest, fabsf(difference[c]));
      }
      float doubt = largest / DOUBTFUL, weight = 1 / (1 + doubt * doubt);
      grid->weight[at] = weight;
      for (int c = 0; c < 3; c++)
        grid->value[c][at] = weight * difference[c];
    }
}

/* Sums of 2 x 2 cells. range: of the finer level, becomes the coarser's. */
static void pull(const Grid *fine, Grid *coarse, int range[4]) {
  int r[4] = {range[0] / 2, range[1] / 2, (range[2] + 1) / 2, (range[3] + 1) / 2};
  for (int y = r[1]; y < r[3]; y++)
    for (int x = r[0]; x < r[2]; x++) {
      float weight = 0, value[3] = {0};
      for (int k = 0; k < 4; k++) {
        int fx = 2 * x + (k & 1), fy = 2 * y + (k >> 1);
        if (fx < range[0] || fy < range[1] || fx >= range[2] || fy >= range[3])
          continue;
        gsize at = (gsize)fy * (gsize)fine->width + (gsize)fx;
        weight += fine->weight[at];
        for (int c = 0; c < 3; c++)
          value[c] += fine->value[c][at];
      }
      gsize at = (gsize)y * (gsize)coarse->width + (gsize)x;
      coarse->weight[at] = weight;
      for (int c = 0; c < 3; c++)
        coarse->value[c][at] = value[c];
    }
  memcpy(range, r, sizeof r);
}

/* Bilinear value of the coarser level at a cell of the finer one. */
static float from_coarse(const Grid *coarse, const int range[4], int c, int x, int y) {
  int x0 = (x - 1) >> 1, y0 = (y - 1) >> 1;
  float fx = x & 1 ? 0.25f : 0.75f, fy = y & 1 ? 0.25f : 0.75f, sum = 0;
  for (int k = 0; k < 4; k++) {
    int cx = CLAMP(x0 + (k & 1), range[0], range[2] - 1), cy = CLAMP(y0 + (k >> 1), range[1], range[3] - 1);
    float weight = (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy);
    sum += weight * coarse->value[c][(gsize)cy * (gsize)coarse->width + (gsize)cx];
  }
  return sum;
}

static void push(Grid *fine, const int range[4], const Grid *coarse, const int coarse_range[4]) {
  for (int y = range[1]; y < range[3]; y++)
    for (int x = range[0]; x < range[2]; x++) {
      gsize at = (gsize)y * (gsize)fine->width + (gsize)x;
      float weight = fine->weight[at], own = MIN(1.0f, weight / CONFIDENT);
      for (int c = 0; c < 3; c++) {
        float below = coarse ? from_coarse(coarse, coarse_range, c, x, y) : 0;
        float mean = weight > 1e-6f ? fine->value[c][at] / weight : 0;
        fine->value[c][at] = below + (mean - below) * own;
      }
    }
}

void veil_match(Veil *veil, const AVFrame *frame, const BackingView *view, const int box[4]) {
  int range[LEVELS][4];
  cell_range(veil, box, range[0]);
  memcpy(veil->cells, range[0], sizeof veil->cells);
  compare(veil, frame, view, range[0]);
  for (int l = 1; l < LEVELS; l++) {
    memcpy(range[l], range[l - 1], sizeof range[l]);
    pull(&veil->grid[l - 1], &veil->grid[l], range[l]);
  }
  for (int l = LEVELS - 1; l >= 0; l--)
    push(&veil->grid[l], range[l], l + 1 < LEVELS ? &veil->grid[l + 1] : NULL,
         l + 1 < LEVELS ? range[l + 1] : NULL);
  const Grid *grid = &veil->grid[0];
  for (int y = range[0][1]; y < range[0][3]; y++)
    for (int x = range[0][0]; x < range[0][2]; x++) {
      gsize at = (gsize)y * (gsize)grid->width + (gsize)x;
      for (int c = 0; c < 3; c++)
        veil->correction[c][at] = (gint16)lrintf(16 * CLAMP(grid->value[c][at], -STRONGEST, STRONGEST));
    }
}

/* --- laying --- */

typedef struct {
  int row0, row1, part; /* of 128 */
} Between;

static Between between(int y, float ratio, int coarse) {
  float at = CLAMP(((float)y + 0.5f) * ratio - 0.5f, 0.0f, (float)(coarse - 1));
  int row = MIN((int)at, MAX(coarse - 2, 0));
  return (Between){row, MIN(row + 1, coarse - 1), (int)lrintf((at - (float)row) * 128)};
}

/* One row of one plane, columns [x0, x1). cover and light: the coarse rows already mixed between rows, cover
 * 0..255, light in 1/16 levels. */
FASTEST static void lay_row(guint8 *out, const guint8 *plate, int x0, int x1, const gint16 *cover,
                            const Steps *cs, const gint16 *light, const Steps *ls) {
  for (int x = x0; x < x1; x++) {
    int i = cs->index[x], c = cover[i] * (128 - cs->part[x]) + cover[i + 1] * cs->part[x]; /* 255 * 128 */
    int k = ls->index[x], l = light[k] * (128 - ls->part[x]) + light[k + 1] * ls->part[x]; /* 16 * 128 */
    int wanted = CLAMP((plate[x] * 2048 + l + 1024) >> 11, 0, 255);
    out[x] = (guint8)((out[x] * 32640 + (wanted - out[x]) * c + 16320) / 32640);
  }
}

void veil_lay(const Veil *veil, const BackingView *view, const int box[4], AVFrame *frame) {
  int w = veil->mask_width, gw = veil->grid[0].width;
  gint16 *cover = veil->row, *light = veil->row + veil->width + 64;
  for (int p = 0; p < 3; p++) {
    int shift = p > 0, height = (veil->height + shift) >> shift;
    const Steps *cs = &veil->mask_steps[shift], *ls = &veil->cell_steps[shift];
    for (int y = box[1] >> shift; y < box[3] >> shift; y++) {
      Between m = between(y, (float)veil->mask_height / (float)height, veil->mask_height);
      const guint8 *top = veil->cover + (gsize)m.row0 * (gsize)w,
                   *bottom = veil->cover + (gsize)m.row1 * (gsize)w;
      int from = -1, to = -1;
      for (int x = MAX(0, veil->range[0] - 4); x < MIN(w, veil->range[2] + 4); x++) {
        cover[x] = (gint16)((top[x] * (128 - m.part) + bottom[x] * m.part + 64) >> 7);
        if (cover[x])
          from = from < 0 ? x : from, to = x;
      }
      if (from < 0)
        continue;
      cover[w] = cover[w - 1];
      Between g = between(y, (float)(1 + shift) / CELL, veil->grid[0].height);
      g.row0 = CLAMP(g.row0, veil->cells[1], veil->cells[3] - 1),
      g.row1 = CLAMP(g.row1, veil->cells[1], veil->cells[3] - 1);
      const gint16 *a = veil->correction[p] + (gsize)g.row0 * (gsize)gw,
                   *b = veil->correction[p] + (gsize)g.row1 * (gsize)gw;
      for (int x = veil->cells[0]; x < veil->cells[2]; x++)
        light[x] = (gint16)((a[x] * (128 - g.part) + b[x] * g.part + 64) >> 7);
      light[gw] = light[gw - 1];
      float scale = (float)((veil->width + shift) >> shift) / (float)w;
      int x0 = MAX(box[0] >> shift, (int)floorf(((float)from - 1) * scale));
      int x1 = MIN(box[2] >> shift, (int)ceilf(((float)to + 2) * scale));
      lay_row(frame->data[p] + (gssize)y * frame->linesize[p], view->plane[p] + y * view->stride[p], x0, x1,
              cover, cs, light, ls);
    }
  }
}
