/* The operations of which the identity engine's networks are made, forward and backward.
 *
 * Everything above this header says what is computed, everything below it where: on this processor here;
 * another backend replaces the file behind it. Matrices are row-major; activations are fp32, weights fp32 or
 * bf16 as they are stored. Output pointers come last, names of gradients begin with d_. "add" means that the
 * result is added to what is there. All memory is the caller's. Threads: one pool (OpenMP's) for everything;
 * the results do not depend on the number of threads. Sums over long axes are kept in fp32 with enough
 * partial sums to stay within 1e-6 of the exact value. Formulas of the gradients: the chain rule written out
 * beside each function in ops_*.c. */
#pragma once
#include "tensor/safetensors.h"

/* A linear layer's weights as they lie in the file or in memory: [rows = out, cols = in]. */
typedef struct {
  Dtype dtype; /* DTYPE_F32 or DTYPE_BF16 */
  gint64 rows, cols;
  const void *data;
} Weights;

/* How products with bf16 weights are done: with the weights widened to fp32 (exact but for the sums), or with
 * the activations rounded to bf16 as well (faster where the processor has bf16 dot products; about 1 %
 * relative). */
typedef enum { ARITHMETIC_F32, ARITHMETIC_BF16 } Arithmetic;

/* --- linear layers: y[n, out] = x[n, in] · Wᵀ --- */
void op_linear(const float *x, gint64 n, const Weights *w, Arithmetic arithmetic, float *y);
/* d_x[n, in] (+)= d_y[n, out] · W */
void op_linear_d_x(const float *d_y, gint64 n, const Weights *w, Arithmetic arithmetic, gboolean add,
                   float *d_x);
/* d_w[out, in] (+)= d_yᵀ · x */
void op_linear_d_w(const float *x, const float *d_y, gint64 n, gint64 in, gint64 out, gboolean add,
                   float *d_w);
/* General: C[m, n] = alpha · op(A) · op(B) + beta · C; lda, ldb, ldc are the rows' strides in elements. */
void op_gemm(gboolean transpose_a, gboolean transpose_b, gint64 m, gint64 n, gint64 k, float alpha,
             const float *a, gint64 lda, const float *b, gint64 ldb, float beta, float *c, gint64 ldc);

/* --- norms and modulation; x, y: [n, width] --- */
/* y = (1 + scale) ⊙ LN(x) + shift, eps 1e-6, no learned parameters; scale, shift [width]. */
void op_layernorm_mod(const float *x, gint64 n, gint64 width, const float *scale, const float *shift,
                      float *y);
/* d_scale, d_shift (may be NULL) are added to. */
void op_layernorm_mod_d(const float *x, const float *d_y, gint64 n, gint64 width, const float *scale,
                        gboolean add, float *d_x, float *d_scale, float *d_shift);
/* y = x / sqrt(mean(x²) + eps) ⊙ w over each run of `width`; stride: between runs in x and y (for heads
 * inside a wider row). w [width] fp32. */
void op_rmsnorm(const float *x, gint64 runs, gint64 width, gint64 stride, const float *w, float eps,
                float *y);
void op_rmsnorm_d(const float *x, const float *d_y, gint64 runs, gint64 width, gint64 stride, const float *w,
                  float eps, gboolean add, float *d_x, float *d_w);

/* --- rotary positions --- */
/* cos, sin: [n, width / 2]. Interleaved: pairs (2j, 2j+1) (FLUX.2); half-split: pairs (j, j + width/2)
 * (Qwen3). x: [n, heads, width] with row stride; in place; inverse turns back (for gradients). */
typedef enum { ROPE_INTERLEAVED, ROPE_HALVES } RopeLayout;
void op_rope(float *x, gint64 n, gint64 heads, gint64 width, gint64 stride, const float *cos,
             const float *sin, RopeLayout layout, gboolean inverse);

/* --- attention without the full score matrix --- */
/* q: [n, heads, width], k, v: [m, kv_heads, width] (kv_heads divides heads), each with its own row stride in
 * elements; y: [n, heads, width] with y_stride. scale 1/√width. causal: row i sees keys ≤ i + (m - n).
 * key_count: keys from there on are not seen (padding); m where there is none. lse [heads, n]: log of the
 * rows' sums, kept for the gradient, or NULL. */
typedef struct {
  gint64 n, m, heads, kv_heads, width;
  gint64 q_stride, k_stride, v_stride, y_stride;
  gboolean causal;
  gint64 key_count;
} AttentionShape;
void op_attention(const AttentionShape *shape, const float *q, const float *k, const float *v, float *y,
                  float *lse);
/* d_q, d_k, d_v have the strides of q, k, v; d_y that of y; overwritten. Not for causal, not for grouped
 * heads. */
void op_attention_d(const AttentionShape *shape, const float *q, const float *k, const float *v,
                    const float *y, const float *lse, const float *d_y, float *d_q, float *d_k, float *d_v);

/* --- element by element --- */
/* x: [n, 2·width] with row stride: first half g, second half u; y = SiLU(g) ⊙ u, [n, width] with y_stride. */
void op_swiglu(const float *x, gint64 n, gint64 width, gint64 stride, float *y, gint64 y_stride);
void op_swiglu_d(const float *x, const float *d_y, gint64 n, gint64 width, gint64 stride, gint64 y_stride,
                 float *d_x);
void op_silu(const float *x, gint64 n, float *y);
void op_silu_d(const float *x, const float *d_y, gint64 n, gboolean add, float *d_x);
/* x[n, width] += gate[width] ⊙ o */
void op_gate(const float *gate, const float *o, gint64 n, gint64 width, float *x);
/* d_o = gate ⊙ d_x; d_gate (may be NULL) is added to. */
void op_gate_d(const float *gate, const float *o, const float *d_x, gint64 n, gint64 width, float *d_o,
               float *d_gate);

/* --- pictures: [channels, height, width] fp32 --- */
/* 3x3, weights [out, in, 3, 3] fp32; pad 1 all around, stride 1 or 2. bias may be NULL. */
void op_conv3x3(const float *x, gint64 in, gint64 height, gint64 width, const float *w, const float *bias,
                gint64 out, int stride, gboolean pad_after_only, float *y);
void op_groupnorm(const float *x, gint64 channels, gint64 pixels, gint64 groups, const float *w,
                  const float *bias, float eps, float *y);
void op_upsample2(const float *x, gint64 channels, gint64 height, gint64 width, float *y); /* nearest */

/* --- bf16 --- */
float bf16_to_float(guint16 value);
guint16 bf16_from_float(float value); /* round to nearest, ties to even; NaN stays NaN */
