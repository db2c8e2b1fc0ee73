/* Transposition of a panel, eight by eight in registers: pairs of rows are interleaved, then pairs of pairs,
 * then the halves change places. Two blocks side by side fill whole cache lines. */
#include "tensor/kernels.h"

#define SIDE 8

typedef float Row __attribute__((vector_size(SIDE * sizeof(float))));
typedef guint32 Bits __attribute__((vector_size(SIDE * sizeof(guint32))));
typedef guint16 Halves __attribute__((vector_size(SIDE * sizeof(guint16))));

#define ALWAYS static inline __attribute__((always_inline))

ALWAYS void turn_block(const Row r[SIDE], float *to, gint64 stride) {
  Row a[SIDE], b[SIDE];
  for (int i = 0; i < 4; i++) {
    a[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      b[4 * i + 2 * j] = __builtin_shufflevector(a[4 * i + j], a[4 * i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
      b[4 * i + 2 * j + 1] =
          __builtin_shufflevector(a[4 * i + j], a[4 * i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    Row low = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    Row high = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    memcpy(to + i * stride, &low, sizeof low);
    memcpy(to + (i + 4) * stride, &high, sizeof high);
  }
}

ALWAYS void load(const float *from, Row *row) {
  memcpy(row, from, sizeof *row);
}

ALWAYS void load_bf16(const guint16 *from, Row *row) {
  Halves halves;
  memcpy(&halves, from, sizeof halves);
  Bits bits = __builtin_convertvector(halves, Bits) << 16;
  memcpy(row, &bits, sizeof *row);
}

/* Eight numbers, and one, of either kind. */
ALWAYS void load_row(const void *from, gint64 at, gboolean bf16, Row *row) {
  if (bf16)
    load_bf16((const guint16 *)from + at, row);
  else
    load((const float *)from + at, row);
}

ALWAYS float value_at(const void *from, gint64 at, gboolean bf16) {
  return bf16 ? bf16_widen(((const guint16 *)from)[at]) : ((const float *)from)[at];
}

/* bf16 is a constant wherever this is taken in. */
ALWAYS void turn_panel(const void *from, gboolean bf16, gint64 rows, gint64 cols, gint64 stride, float *to) {
  gint64 i = 0;
  for (; i + 2 * SIDE <= rows; i += 2 * SIDE) {
    gint64 j = 0;
    for (; j + SIDE <= cols; j += SIDE)
      for (int half = 0; half < 2; half++) {
        Row r[SIDE];
        for (int k = 0; k < SIDE; k++)
          load_row(from, (i + half * SIDE + k) * stride + j, bf16, &r[k]);
        turn_block(r, to + j * rows + i + half * SIDE, rows);
      }
    for (; j < cols; j++)
      for (int k = 0; k < 2 * SIDE; k++)
        to[j * rows + i + k] = value_at(from, (i + k) * stride + j, bf16);
  }
  for (; i < rows; i++)
    for (gint64 j = 0; j < cols; j++)
      to[j * rows + i] = value_at(from, i * stride + j, bf16);
}

WIDEST void turn(const float *from, gint64 rows, gint64 cols, gint64 stride, float *to) {
  turn_panel(from, FALSE, rows, cols, stride, to);
}

WIDEST void turn_bf16(const guint16 *from, gint64 rows, gint64 cols, gint64 stride, float *to) {
  turn_panel(from, TRUE, rows, cols, stride, to);
}
