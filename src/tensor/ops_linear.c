/* Linear layers.
 *
 *   y = x Wᵀ      d_x = d_y W      d_w = d_yᵀ x
 *
 * fp32 weights go to the matrix product as they lie. bf16 weights stay as they are in memory and in the
 * file's pages. In fp32 arithmetic a panel at a time is widened into the thread's scratch and multiplied
 * there. In bf16 arithmetic the activations are rounded once and multiplied with the weights where they lie,
 * into a tile that stays in the cache. One row alone reads each weight once; its sums need no product. */
#include "tensor/kernels.h"
#include "tensor/ops.h"

/* A widened panel of weights fits into the outer cache beside what is multiplied with it. */
#define PANEL_SIDE 384   /* of the result's columns */
#define PANEL_DEPTH 2048 /* of the inner axis */
#define FEW_ROWS 2
/* A bf16 product's tile. */
#define TILE_ROWS 768
#define TILE_COLS 192
#define BLOCK 16384 /* elements of one piece of rounding */

WIDEST static void widen(const guint16 *from, gint64 rows, gint64 cols, gint64 stride, float *to) {
  for (gint64 i = 0; i < rows; i++)
    for (gint64 j = 0; j < cols; j++)
      to[i * cols + j] = bf16_widen(from[i * stride + j]);
}

WIDEST static void narrow(const float *from, gint64 count, guint16 *to) {
  for (gint64 i = 0; i < count; i++)
    to[i] = bf16_round(from[i]);
}

WIDEST static void copy_tile(const float *tile, gint64 rows, gint64 cols, gboolean add, float *to,
                             gint64 stride) {
  for (gint64 i = 0; i < rows; i++)
    for (gint64 j = 0; j < cols; j++) {
      float old = add ? to[i * stride + j] : 0.f;
      to[i * stride + j] = old + tile[i * cols + j];
    }
}

/* --- bf16 arithmetic --- */

static const guint16 *rounded(const float *x, gint64 count) {
  guint16 *narrowed = scratch(SCRATCH_ROUNDED, sizeof *narrowed * (gsize)count);
  EACH(first, count, BLOCK, count, narrow(x + first, MIN(BLOCK, count - first), narrowed + first));
  return narrowed;
}

/* y[n, to] (+)= x[n, from] · op(w); stride: of w's rows. */
typedef struct {
  gint64 n, from, to, stride;
  const guint16 *w;
  gboolean transpose, add;
  Tiling tiles;
} Layer;

static void tile_bf16(const Layer *l, gint64 item, const guint16 *x, float *y) {
  gint64 row = item % l->tiles.down * l->tiles.rows, col = item / l->tiles.down * l->tiles.cols;
  gint64 rows = MIN(l->tiles.rows, l->n - row), cols = MIN(l->tiles.cols, l->to - col);
  float *tile = scratch(SCRATCH_PANEL, sizeof(float) * (gsize)(rows * cols));
  if (!gemm_here_bf16(l->transpose, rows, cols, l->from, x + row * l->from, l->from,
                      l->w + (l->transpose ? col * l->stride : col), l->stride, tile))
    g_error("A matrix product in bf16 failed.");
  copy_tile(tile, rows, cols, l->add, y + row * l->to + col, l->to);
}

static gboolean linear_bf16(Layer l, const float *x, float *y) {
  if (!gemm_has_bf16())
    return FALSE;
  const guint16 *narrowed = rounded(x, l.n * l.from);
  l.tiles = tiling_of(l.n, l.to, TILE_ROWS, TILE_COLS);
  EACH_NEXT(item, l.tiles.down * l.tiles.across, l.n * l.from * l.to / PRODUCTS,
            tile_bf16(&l, item, narrowed, y));
  return TRUE;
}

/* --- one row or two --- */

WIDEST static float dot_bf16(const guint16 *w, const float *x, gint64 count) {
  float lane[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] += bf16_widen(w[i + l]) * x[i + l];
  for (int l = 0; i + l < count; l++)
    lane[l] += bf16_widen(w[i + l]) * x[i + l];
  return lanes_sum(lane);
}

static void linear_few(const float *x, gint64 n, const Weights *w, float *y) {
  const guint16 *data = w->data;
  for (gint64 i = 0; i < n; i++)
    EACH(row, w->rows, 1, w->rows * w->cols,
         y[i * w->rows + row] = dot_bf16(data + row * w->cols, x + i * w->cols, w->cols));
}

/* --- fp32 arithmetic --- */

/* Some columns of y; along the inner axis panels follow one another. */
static void tile_widened(const Layer *l, gint64 item, const float *x, float *y) {
  gint64 first = item * l->tiles.cols, side = MIN(l->tiles.cols, l->to - first);
  float *wide = scratch(SCRATCH_PANEL, sizeof(float) * (gsize)(MIN(l->from, PANEL_DEPTH) * side));
  for (gint64 inner = 0; inner < l->from; inner += PANEL_DEPTH) {
    gint64 depth = MIN(PANEL_DEPTH, l->from - inner);
    if (l->transpose)
      turn_bf16(l->w + first * l->stride + inner, side, depth, l->stride, wide);
    else
      widen(l->w + inner * l->stride + first, depth, side, l->stride, wide);
    gemm_here(FALSE, FALSE, l->n, side, depth, 1, x + inner, l->from, wide, side, l->add || inner ? 1 : 0,
              y + first, l->to);
  }
}

static void linear_widened(Layer l, const float *x, float *y) {
  l.tiles = tiling_of(1, l.to, 1, PANEL_SIDE);
  EACH_NEXT(item, l.tiles.across, l.n * l.from * l.to / PRODUCTS, tile_widened(&l, item, x, y));
}

/* --- the layer --- */

void op_linear(const float *x, gint64 n, const Weights *w, Arithmetic arithmetic, float *y) {
  gint64 out = w->rows, in = w->cols;
  Layer layer = {n, in, out, in, w->data, TRUE, FALSE, {0}};
  if (w->dtype == DTYPE_F32)
    op_gemm(FALSE, TRUE, n, out, in, 1, x, in, w->data, in, 0, y, out);
  else if (n <= FEW_ROWS)
    linear_few(x, n, w, y);
  else if (arithmetic != ARITHMETIC_BF16 || !linear_bf16(layer, x, y))
    linear_widened(layer, x, y);
}

void op_linear_d_x(const float *d_y, gint64 n, const Weights *w, Arithmetic arithmetic, gboolean add,
                   float *d_x) {
  gint64 out = w->rows, in = w->cols;
  Layer layer = {n, out, in, in, w->data, FALSE, add, {0}};
  if (w->dtype == DTYPE_F32)
    op_gemm(FALSE, FALSE, n, in, out, 1, d_y, out, w->data, in, add ? 1 : 0, d_x, in);
  else if (arithmetic != ARITHMETIC_BF16 || !linear_bf16(layer, d_y, d_x))
    linear_widened(layer, d_y, d_x);
}

void op_linear_d_w(const float *x, const float *d_y, gint64 n, gint64 in, gint64 out, gboolean add,
                   float *d_w) {
  op_gemm(TRUE, FALSE, out, in, n, 1, d_y, out, x, in, add ? 1 : 0, d_w, in);
}
