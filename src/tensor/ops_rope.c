/* Rotary positions: each pair of features is turned by its position's angle. The gradient is the turn back.
 */
#include "tensor/kernels.h"
#include "tensor/ops.h"

WIDEST static void turn_interleaved(float *x, gint64 half, const float *cos, const float *sin, float sign) {
  for (gint64 j = 0; j < half; j++) {
    float a = x[2 * j], b = x[2 * j + 1], s = sign * sin[j];
    x[2 * j] = cos[j] * a - s * b;
    x[2 * j + 1] = s * a + cos[j] * b;
  }
}

WIDEST static void turn_halves(float *x, gint64 half, const float *cos, const float *sin, float sign) {
  for (gint64 j = 0; j < half; j++) {
    float a = x[j], b = x[j + half], s = sign * sin[j];
    x[j] = cos[j] * a - s * b;
    x[j + half] = s * a + cos[j] * b;
  }
}

/* All heads of one row. */
static void turn_row(float *x, gint64 heads, gint64 width, const float *cos, const float *sin,
                     RopeLayout layout, float sign) {
  for (gint64 head = 0; head < heads; head++)
    if (layout == ROPE_INTERLEAVED)
      turn_interleaved(x + head * width, width / 2, cos, sin, sign);
    else
      turn_halves(x + head * width, width / 2, cos, sin, sign);
}

void op_rope(float *x, gint64 n, gint64 heads, gint64 width, gint64 stride, const float *cos,
             const float *sin, RopeLayout layout, gboolean inverse) {
  gint64 half = width / 2;
  float sign = inverse ? -1.f : 1.f;
  EACH(row, n, 1, n * heads * width,
       turn_row(x + row * stride, heads, width, cos + row * half, sin + row * half, layout, sign));
}
