/* The cover lives at the masks' size, the correction on a grid of 8 x 8 pixels; both are read bilinearly, a
 * row at a time.
 *
 * Cells next to the cover may hold what no mask shows: moving captions, hair, motion blur. Their weight falls
 * with the difference, so that a slow change of the light is followed and an object is not; the correction is
 * clamped besides. */
#include "puppet/draw/veil.h"
#include "base/plane.h"
#include "base/simd.h"
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
  gint16 *correction[3];              /* [grid height][grid width], 1/8 levels */
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
  /* What is marked, and a pixel around it, is covered wholly however small the masks are. */
  float soft = MAX(1.0f, SOFT * (float)w), reach = MAX(REACH * (float)w, soft + 1);
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

/* Adds up the differences of some rows, column by column. */
FASTEST static void add_differences(const guint8 *restrict a, gssize a_stride, const guint8 *restrict b,
                                    gssize b_stride, int n, int rows, gint16 *restrict sum) {
  memset(sum, 0, (gsize)n * sizeof *sum);
  for (int y = 0; y < rows; y++, a += a_stride, b += b_stride)
    for (int x = 0; x < n; x++)
      sum[x] = (gint16)(sum[x] + a[x] - b[x]);
}

/* Mean differences of a row of cells in one plane. */
static void compare_row(Veil *veil, const AVFrame *frame, const BackingView *view, int p, int cy,
                        const int cells[4]) {
  int shift = p > 0, size = CELL >> shift, width = (veil->width + shift) >> shift,
      height = (veil->height + shift) >> shift;
  int x0 = cells[0] * size, x1 = MIN(width, cells[2] * size), y0 = cy * size, rows = MIN(size, height - y0);
  float *value = veil->grid[0].value[p] + (gsize)cy * (gsize)veil->grid[0].width;
  if (rows > 0 && x0 < x1)
    add_differences(frame->data[p] + (gssize)y0 * frame->linesize[p] + x0, frame->linesize[p],
                    view->plane[p] + y0 * view->stride[p] + x0, view->stride[p], x1 - x0, rows, veil->row);
  for (int cx = cells[0]; cx < cells[2]; cx++) {
    int from = cx * size, to = MIN(from + size, x1), sum = 0;
    for (int x = from; x < to; x++)
      sum += veil->row[x - x0];
    value[cx] = rows > 0 && from < to ? (float)sum / (float)((to - from) * rows) : 0;
  }
}

static void compare(Veil *veil, const AVFrame *frame, const BackingView *view, const int cells[4]) {
  Grid *grid = &veil->grid[0];
  for (int cy = cells[1]; cy < cells[3]; cy++) {
    for (int p = 0; p < 3; p++)
      compare_row(veil, frame, view, p, cy, cells);
    for (int cx = cells[0]; cx < cells[2]; cx++) {
      gsize at = (gsize)cy * (gsize)grid->width + (gsize)cx;
      float largest = 0;
      for (int p = 0; p < 3; p++)
        largest = MAX(largest, fabsf(grid->value[p][at]));
      float doubt = largest / DOUBTFUL, weight = covered(veil, cx, cy) ? 0 : 1 / (1 + doubt * doubt);
      grid->weight[at] = weight;
      for (int p = 0; p < 3; p++)
        grid->value[p][at] *= weight;
    }
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
        veil->correction[c][at] = (gint16)lrintf(8 * CLAMP(grid->value[c][at], -STRONGEST, STRONGEST));
    }
}

/* --- laying --- */

/* Where row y of a plane lies between the rows of a coarser field; part of 32. */
typedef struct {
  int row[2], part;
} Between;

static Between between(int y, float ratio, int coarse) {
  float at = CLAMP(((float)y + 0.5f) * ratio - 0.5f, 0.0f, (float)(coarse - 1));
  int row = MIN((int)at, MAX(coarse - 2, 0));
  return (Between){{row, MIN(row + 1, coarse - 1)}, (int)lrintf((at - (float)row) * 32)};
}

/* Coarse rows stretched to the plane's columns, the last two of each: a row serves several of the plane's. */
typedef struct {
  gint16 *stretched[2];
  int row[2];  /* which coarse row it is, -1 none */
  int from[2]; /* first and last + 1 column that is not zero; cover only */
  int to[2];
} Stretch;

/* The first of the columns [x0, x1) whose sample lies at or beyond that of the coarse row. */
static int first_column(const Steps *steps, int x0, int x1, int sample) {
  while (x0 < x1) {
    int middle = x0 + (x1 - x0) / 2;
    if (steps->index[middle] >= sample)
      x1 = middle;
    else
      x0 = middle + 1;
  }
  return x0;
}

static void stretch_cover(const Veil *veil, Stretch *s, int slot, int row, int shift, int x0, int x1) {
  const Steps *steps = &veil->mask_steps[shift];
  const guint8 *from = veil->cover + (gsize)row * (gsize)veil->mask_width;
  gint16 *out = s->stretched[slot];
  int begin = veil->range[0], end = veil->range[2], next = veil->mask_width > 1;
  while (begin < end && !from[begin])
    begin++;
  while (end > begin && !from[end - 1])
    end--;
  memset(out + x0, 0, (gsize)(x1 - x0) * sizeof *out);
  x0 = first_column(steps, x0, x1, begin - 1);
  x1 = begin < end ? first_column(steps, x0, x1, end) : x0;
  for (int x = x0; x < x1; x++) {
    int a = from[steps->index[x]], b = from[steps->index[x] + next];
    out[x] = (gint16)((a * 128 + (b - a) * steps->part[x]) * 129 >> 15); /* 0 … 128 */
  }
  s->row[slot] = row, s->from[slot] = x0, s->to[slot] = x1;
}

static void stretch_light(const Veil *veil, Stretch *s, int slot, int plane, int row, int x0, int x1) {
  const Steps *steps = &veil->cell_steps[plane > 0];
  const gint16 *from = veil->correction[plane] + (gsize)row * (gsize)veil->grid[0].width;
  gint16 *out = s->stretched[slot];
  int next = veil->grid[0].width > 1;
  for (int x = x0; x < x1; x++) {
    int a = from[steps->index[x]], b = from[steps->index[x] + next];
    out[x] = (gint16)((a * 128 + (b - a) * steps->part[x] + 64) >> 7);
  }
  s->row[slot] = row;
}

/* The slot of a coarse row, or the one that may be overwritten while the other row is kept; *fresh: it must
 * be made. */
static int slot_of(const Stretch *s, int row, int keep, gboolean *fresh) {
  *fresh = s->row[0] != row && s->row[1] != row;
  if (!*fresh)
    return s->row[0] == row ? 0 : 1;
  return s->row[0] == keep ? 1 : 0;
}

/* cover 0 … 128, light in 1/8 levels, parts of 32: everything fits 16 bits. */
FASTEST static void lay_row(guint8 *restrict out, const guint8 *restrict plate, int n,
                            const gint16 *restrict c0, const gint16 *restrict c1, int c_part,
                            const gint16 *restrict l0, const gint16 *restrict l1, int l_part) {
  gint16 cp = (gint16)c_part, lp = (gint16)l_part;
  for (int x = 0; x < n; x++) {
    gint16 c = (gint16)(c0[x] + ((gint16)((gint16)(c1[x] - c0[x]) * cp + 16) >> 5));
    gint16 l = (gint16)(l0[x] + ((gint16)((gint16)(l1[x] - l0[x]) * lp + 16) >> 5));
    gint16 wanted = (gint16)((gint16)(plate[x] * 8 + l + 4) >> 3);
    wanted = wanted < 0 ? 0 : wanted > 255 ? 255 : wanted;
    out[x] = (guint8)(out[x] + ((gint16)((gint16)(wanted - out[x]) * c + 64) >> 7));
  }
}

static void lay_plane(const Veil *veil, const BackingView *view, int p, const int box[4], AVFrame *frame) {
  int shift = p > 0, height = (veil->height + shift) >> shift, x0 = box[0] >> shift, x1 = box[2] >> shift;
  gsize length = (gsize)veil->width + 64;
  Stretch cover = {{veil->row, veil->row + length}, {-1, -1}};
  Stretch light = {{veil->row + 2 * length, veil->row + 3 * length}, {-1, -1}};
  for (int y = box[1] >> shift; y < box[3] >> shift; y++) {
    Between c = between(y, (float)veil->mask_height / (float)height, veil->mask_height);
    Between l = between(y, (float)(1 + shift) / CELL, veil->grid[0].height);
    int cs[2], ls[2];
    gboolean fresh;
    for (int k = 0; k < 2; k++) {
      cs[k] = slot_of(&cover, c.row[k], c.row[1 - k], &fresh);
      if (fresh)
        stretch_cover(veil, &cover, cs[k], c.row[k], shift, x0, x1);
      ls[k] = slot_of(&light, l.row[k], l.row[1 - k], &fresh);
      if (fresh)
        stretch_light(veil, &light, ls[k], p, l.row[k], x0, x1);
    }
    int from = MIN(cover.from[0], cover.from[1]), to = MAX(cover.to[0], cover.to[1]);
    if (from >= to)
      continue;
    lay_row(frame->data[p] + (gssize)y * frame->linesize[p] + from,
            view->plane[p] + y * view->stride[p] + from, to - from, cover.stretched[cs[0]] + from,
            cover.stretched[cs[1]] + from, c.part, light.stretched[ls[0]] + from,
            light.stretched[ls[1]] + from, l.part);
  }
}

void veil_lay(const Veil *veil, const BackingView *view, const int box[4], AVFrame *frame) {
  for (int p = 0; p < 3; p++)
    lay_plane(veil, view, p, box, frame);
}
