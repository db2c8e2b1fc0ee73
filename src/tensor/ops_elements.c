/* Element by element: memory is read once and written once.
 *
 *   SiLU(g) = g σ(g), SiLU'(g) = σ(g) (1 + g (1 - σ(g)))
 *   y = SiLU(g) u: d_u = d_y SiLU(g), d_g = d_y u SiLU'(g)
 *   x += gate o: d_o = gate d_x, d_gate = Σ d_x o over the rows, in double precision and in their order */
#include "tensor/kernels.h"
#include "tensor/ops.h"

#define BLOCK 4096 /* elements of one piece of work */
#define COLUMNS 64

static inline float sigmoid(float x) {
  return 1.f / (1.f + exp_fast(-x));
}

WIDEST static void swiglu_row(const float *g, const float *u, gint64 width, float *y) {
  for (gint64 i = 0; i < width; i++)
    y[i] = g[i] * sigmoid(g[i]) * u[i];
}

void op_swiglu(const float *x, gint64 n, gint64 width, gint64 stride, float *y, gint64 y_stride) {
  EACH(row, n, 1, n * width,
       swiglu_row(x + row * stride, x + row * stride + width, width, y + row * y_stride));
}

WIDEST static void swiglu_row_d(const float *g, const float *u, const float *d_y, gint64 width, float *d_g,
                                float *d_u) {
  for (gint64 i = 0; i < width; i++) {
    float gate = g[i], s = sigmoid(gate), d = d_y[i], up = u[i];
    d_g[i] = d * up * (s * (1.f + gate * (1.f - s)));
    d_u[i] = d * (gate * s);
  }
}

void op_swiglu_d(const float *x, const float *d_y, gint64 n, gint64 width, gint64 stride, gint64 y_stride,
                 float *d_x) {
  EACH(row, n, 1, n * width,
       swiglu_row_d(x + row * stride, x + row * stride + width, d_y + row * y_stride, width,
                    d_x + row * stride, d_x + row * stride + width));
}

WIDEST static void silu_block(const float *x, gint64 count, float *y) {
  for (gint64 i = 0; i < count; i++)
    y[i] = x[i] * sigmoid(x[i]);
}

void op_silu(const float *x, gint64 n, float *y) {
  EACH(first, n, BLOCK, n, silu_block(x + first, MIN(BLOCK, n - first), y + first));
}

WIDEST static void silu_block_d(const float *x, const float *d_y, gint64 count, gboolean add, float *d_x) {
  for (gint64 i = 0; i < count; i++) {
    float s = sigmoid(x[i]), old = add ? d_x[i] : 0.f;
    d_x[i] = old + d_y[i] * (s * (1.f + x[i] * (1.f - s)));
  }
}

void op_silu_d(const float *x, const float *d_y, gint64 n, gboolean add, float *d_x) {
  EACH(first, n, BLOCK, n, silu_block_d(x + first, d_y + first, MIN(BLOCK, n - first), add, d_x + first));
}

WIDEST static void gate_row(const float *gate, const float *o, gint64 width, float *x) {
  for (gint64 i = 0; i < width; i++)
    x[i] += gate[i] * o[i];
}

void op_gate(const float *gate, const float *o, gint64 n, gint64 width, float *x) {
  EACH(row, n, 1, n * width, gate_row(gate, o + row * width, width, x + row * width));
}

WIDEST static void gate_row_d(const float *gate, const float *d_x, gint64 width, float *d_o) {
  for (gint64 i = 0; i < width; i++)
    d_o[i] = gate[i] * d_x[i];
}

/* d_gate of one block of columns. */
WIDEST static void gate_columns(const float *o, const float *d_x, gint64 n, gint64 width, gint64 first,
                                float *d_gate) {
  double sum[COLUMNS] = {0};
  gint64 count = MIN(COLUMNS, width - first);
  for (gint64 row = 0; row < n; row++)
    for (gint64 i = 0; i < count; i++)
      sum[i] += (double)d_x[row * width + first + i] * o[row * width + first + i];
  for (gint64 i = 0; i < count; i++)
    d_gate[first + i] += (float)sum[i];
}

void op_gate_d(const float *gate, const float *o, const float *d_x, gint64 n, gint64 width, float *d_o,
               float *d_gate) {
  if (d_gate) {
    EACH(first, width, COLUMNS, n * width, gate_columns(o, d_x, n, width, first, d_gate));
  }
  EACH(row, n, 1, n * width, gate_row_d(gate, d_x + row * width, width, d_o + row * width));
}
