/* What the operations share among themselves: parallelism, scratch memory, lanes, exp. Not for other rooms.
 *
 * Loops that pay are compiled for three levels of x86-64 and chosen when the program is loaded. Sums are kept
 * in LANES partial sums whatever the processor, so that a sum's order does not depend on it; with fused
 * multiply-add the last bit may. */
#pragma once
#include <glib.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDEST
#endif

#define LANES 16

/* What costs less than so many elements' sake is not worth waking the threads for; a product's share of an
 * element is PRODUCTS multiplications. */
#define WORTH_THREADS 32768
#define PRODUCTS 32

/* A statement for `index` from 0 to `count` in steps of `step`, on all threads where the cost is worth it.
 * Where it is not, or where the caller's caller has divided its work among the threads already, OpenMP is not
 * asked: even a team of one takes a while to assemble. EACH gives every thread one stretch, EACH_NEXT whoever
 * is free the next. */
#define EACH(index, count, step, cost, ...) EACH_BY(static, index, count, step, cost, __VA_ARGS__)
#define EACH_NEXT(index, count, cost, ...) EACH_BY(dynamic, index, count, 1, cost, __VA_ARGS__)
#define EACH_BY(how, index, count, step, cost, ...)                                                          \
  do {                                                                                                       \
    if (threads_pay(cost)) {                                                                                 \
      EACH_PRAGMA(omp parallel for schedule(how))                                                            \
      for (gint64 index = 0; index < (count); index += (step))                                               \
        __VA_ARGS__;                                                                                         \
    } else {                                                                                                 \
      for (gint64 index = 0; index < (count); index += (step))                                               \
        __VA_ARGS__;                                                                                         \
    }                                                                                                        \
  } while (0)
#define EACH_PRAGMA(text) _Pragma(#text)

static inline gboolean threads_pay(gint64 cost) {
  return cost > WORTH_THREADS && !omp_in_parallel() && omp_get_max_threads() > 1;
}

/* The calling thread's own memory, kept until the thread ends and grown when needed; 64-byte aligned. What
 * lay there before is lost. One area per use, so that an operation may call another. */
typedef enum {
  SCRATCH_PANEL,
  SCRATCH_ROUNDED,
  SCRATCH_SCORES,
  SCRATCH_ROWS,
  SCRATCH_PATCHES,
  SCRATCH_USES
} ScratchUse;
void *scratch(ScratchUse use, gsize bytes);

/* C = alpha · op(A) · op(B) + beta · C on the calling thread alone. */
void gemm_here(gboolean transpose_a, gboolean transpose_b, gint64 m, gint64 n, gint64 k, float alpha,
               const float *a, gint64 lda, const float *b, gint64 ldb, float beta, float *c, gint64 ldc);

/* to[cols, rows] = fromᵀ; stride: of from's rows. */
void turn(const float *from, gint64 rows, gint64 cols, gint64 stride, float *to);
void turn_bf16(const guint16 *from, gint64 rows, gint64 cols, gint64 stride, float *to);

/* C[m, n] = A · op(B) on the calling thread alone; A and B bf16, C fp32 with rows side by side. FALSE where
 * the processor has no bf16 dot products. */
gboolean gemm_here_bf16(gboolean transpose_b, gint64 m, gint64 n, gint64 k, const guint16 *a, gint64 lda,
                        const guint16 *b, gint64 ldb, float *c);
gboolean gemm_has_bf16(void);

/* How a product's result [m, n] is cut into tiles: by the shape alone, as evenly as may be, into enough for
 * several threads where they do not become tiny. */
typedef struct {
  gint64 rows, cols;   /* of a tile; those at the end may be smaller */
  gint64 down, across; /* tiles */
} Tiling;
Tiling tiling_of(gint64 m, gint64 n, gint64 most_rows, gint64 most_cols);

static inline float lanes_sum(const float *lane) {
  float half[LANES / 2];
  for (int i = 0; i < LANES / 2; i++)
    half[i] = lane[i] + lane[i + LANES / 2];
  return ((half[0] + half[4]) + (half[2] + half[6])) + ((half[1] + half[5]) + (half[3] + half[7]));
}

static inline float lanes_max(const float *lane) {
  float half[LANES / 2];
  for (int i = 0; i < LANES / 2; i++)
    half[i] = MAX(lane[i], lane[i + LANES / 2]);
  return MAX(MAX(MAX(half[0], half[4]), MAX(half[2], half[6])),
             MAX(MAX(half[1], half[5]), MAX(half[3], half[7])));
}

/* exp to 2e-7 relative between -87 and 88, limited to exp's values there outside. x = n ln 2 + r; exp(r) by
 * its series' minimax polynomial (Cephes' expf), 2^n by the exponent's bits. Written so that it vectorises.
 */
static inline float exp_fast(float x) {
  x = x < -87.f ? -87.f : x;
  x = x > 88.f ? 88.f : x;
  const float magic = 12582912.f; /* 1.5 · 2^23: adding it rounds to an integer */
  float shifted = x * 1.44269504088896341f + magic, n = shifted - magic;
  float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  /* n as an integer is what lies below magic's bits: no conversion, which NaN would make undefined. */
  guint32 bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4b400000u + 127u) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return p * power;
}

static inline float bf16_widen(guint16 value) {
  guint32 bits = (guint32)value << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

static inline guint16 bf16_round(float value) {
  guint32 bits;
  memcpy(&bits, &value, sizeof bits);
  guint32 rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
  guint32 quiet = bits >> 16 | 0x40;
  return (guint16)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}
