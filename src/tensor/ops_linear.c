/* Linear layers.
 *
 *   y = x Wᵀ      d_x = d_y W      d_w = d_yᵀ x
 *
 * fp32 weights go to the matrix product as they lie. Of bf16 weights a panel at a time is widened into the
 * thread's scratch and multiplied there, so that they stay bf16 in memory and in the file's pages. */
#include "tensor/kernels.h"
#include "tensor/ops.h"

/* A widened panel: floats that fit into the outer cache beside what is multiplied with it. */
#define PANEL_FLOATS (1 << 20)
#define PANEL_DEPTH 2048 /* of the inner axis, where that is the weights' rows */

static gint64 panel_side(gint64 depth) {
  gint64 side = PANEL_FLOATS / MAX(depth, 1) / 48 * 48;
  return CLAMP(side, 48, 768);
}

WIDEST static void widen(const guint16 *from, gint64 rows, gint64 cols, gint64 stride, float *to) {
  for (gint64 i = 0; i < rows; i++)
    for (gint64 j = 0; j < cols; j++)
      to[i * cols + j] = bf16_widen(from[i * stride + j]);
}

void op_linear(const float *x, gint64 n, const Weights *w, Arithmetic arithmetic, float *y) {
  gint64 out = w->rows, in = w->cols;
  if (w->dtype == DTYPE_F32) {
    op_gemm(FALSE, TRUE, n, out, in, 1, x, in, w->data, in, 0, y, out);
    return;
  }
  gint64 side = panel_side(in), panels = (out + side - 1) / side;
#pragma omp parallel for schedule(dynamic) if (n * out * in > WORTH_THREADS)
  for (gint64 panel = 0; panel < panels; panel++) {
    gint64 first = panel * side, rows = MIN(side, out - first);
    float *wide = scratch(SCRATCH_PANEL, sizeof(float) * (gsize)(rows * in));
    widen((const guint16 *)w->data + first * in, rows, in, in, wide);
    gemm_here(FALSE, TRUE, n, rows, in, 1, x, in, wide, in, 0, y + first, out);
  }
}

void op_linear_d_x(const float *d_y, gint64 n, const Weights *w, Arithmetic arithmetic, gboolean add,
                   float *d_x) {
  gint64 out = w->rows, in = w->cols;
  if (w->dtype == DTYPE_F32) {
    op_gemm(FALSE, FALSE, n, in, out, 1, d_y, out, w->data, in, add ? 1 : 0, d_x, in);
    return;
  }
  gint64 side = panel_side(PANEL_DEPTH), panels = (in + side - 1) / side;
#pragma omp parallel for schedule(dynamic) if (n * out * in > WORTH_THREADS)
  for (gint64 panel = 0; panel < panels; panel++) {
    gint64 first = panel * side, cols = MIN(side, in - first);
    float *wide = scratch(SCRATCH_PANEL, sizeof(float) * (gsize)(MIN(out, PANEL_DEPTH) * cols));
    for (gint64 row = 0; row < out; row += PANEL_DEPTH) {
      gint64 depth = MIN(PANEL_DEPTH, out - row);
      widen((const guint16 *)w->data + row * in + first, depth, cols, in, wide);
      gemm_here(FALSE, FALSE, n, cols, depth, 1, d_y + row, out, wide, cols, add || row ? 1 : 0, d_x + first,
                in);
    }
  }
}

void op_linear_d_w(const float *x, const float *d_y, gint64 n, gint64 in, gint64 out, gboolean add,
                   float *d_w) {
  op_gemm(TRUE, FALSE, out, in, n, 1, d_y, out, x, in, add ? 1 : 0, d_w, in);
}
