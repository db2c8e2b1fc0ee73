/* Attention in tiles, without the full score matrix (Milakov and Gimelshein 2018, "Online normalizer
 * calculation for softmax"; Dao et al. 2022, "FlashAttention").
 *
 * For a tile of queries, tiles of keys go by: scores by a matrix product, the rows' running maximum m and sum
 * l are brought up to date, what has been gathered is scaled by exp(m_old - m), and exp(scores - m) · V is
 * added. The end divides by l. lse = m + log l is all that the gradient needs:
 *
 *   P = exp(q kᵀ s - lse), D = Σ d_y y over a row
 *   d_v = Pᵀ d_y, d_p = d_y vᵀ, d_s = P (d_p - D), d_q = s d_s k, d_k = s d_sᵀ q
 *
 * Threads take whole tiles of queries (forward) or whole heads (backward), and a tile's work has one order.
 */
#include "tensor/kernels.h"
#include "tensor/ops.h"

#define QUERIES 192 /* of a tile */
#define KEYS 384

/* Exponentials of a row of scores, in place, less `top`; returns their sum. Scores come unscaled. */
WIDEST static float row_exp(float *score, gint64 count, float scale, float top) {
  float lane[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int l = 0; l < LANES; l++) {
      score[i + l] = exp_fast(score[i + l] * scale - top);
      lane[l] += score[i + l];
    }
  for (int l = 0; i + l < count; l++) {
    score[i + l] = exp_fast(score[i + l] * scale - top);
    lane[l] += score[i + l];
  }
  return lanes_sum(lane);
}

WIDEST static float row_max(const float *score, gint64 count) {
  float lane[LANES];
  for (int l = 0; l < LANES; l++)
    lane[l] = -INFINITY;
  gint64 i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] = score[i + l] > lane[l] ? score[i + l] : lane[l];
  for (int l = 0; i + l < count; l++)
    lane[l] = score[i + l] > lane[l] ? score[i + l] : lane[l];
  return lanes_max(lane);
}

WIDEST static void row_scale(float *y, gint64 width, float factor) {
  for (gint64 i = 0; i < width; i++)
    y[i] *= factor;
}

/* Keys that this query sees. */
static gint64 keys_seen(const AttentionShape *s, gint64 query) {
  gint64 seen = MIN(s->key_count, s->m);
  return s->causal ? CLAMP(query + (s->m - s->n) + 1, 0, seen) : seen;
}

/* One row of a tile of scores becomes probabilities relative to the running maximum; what was gathered for
 * that row is brought to the same maximum. `seen` keys of `count` are visible. */
static void soften_row(float *score, gint64 count, gint64 seen, float scale, float *top, float *sum, float *y,
                       gint64 width) {
  if (seen > 0) {
    float tile_top = row_max(score, seen) * scale;
    if (tile_top > *top) {
      float factor = *top == -INFINITY ? 0.f : exp_fast(*top - tile_top);
      row_scale(y, width, factor);
      *sum *= factor;
      *top = tile_top;
    }
    *sum += row_exp(score, seen, scale, *top);
  }
  if (seen < count)
    memset(score + seen, 0, sizeof(float) * (gsize)(count - seen));
}

static void attend_tile(const AttentionShape *s, gint64 head, gint64 first, const float *q, const float *k,
                        const float *v, float *y, float *lse) {
  gint64 rows = MIN(QUERIES, s->n - first), width = s->width, kv_head = head / (s->heads / s->kv_heads);
  float scale = 1.f / sqrtf((float)width), top[QUERIES], sum[QUERIES] = {0};
  float *score = scratch(SCRATCH_SCORES, sizeof(float) * QUERIES * (KEYS + (gsize)width));
  float *gathered = score + QUERIES * KEYS;
  memset(gathered, 0, sizeof(float) * (gsize)(rows * width));
  for (gint64 i = 0; i < rows; i++)
    top[i] = -INFINITY;
  const float *q_tile = q + first * s->q_stride + head * width;
  gint64 end = keys_seen(s, first + rows - 1);
  for (gint64 key = 0; key < end; key += KEYS) {
    gint64 count = MIN(KEYS, end - key);
    gemm_here(FALSE, TRUE, rows, count, width, 1, q_tile, s->q_stride,
              k + key * s->k_stride + kv_head * width, s->k_stride, 0, score, KEYS);
    for (gint64 i = 0; i < rows; i++)
      soften_row(score + i * KEYS, count, CLAMP(keys_seen(s, first + i) - key, 0, count), scale, &top[i],
                 &sum[i], gathered + i * width, width);
    gemm_here(FALSE, FALSE, rows, width, count, 1, score, KEYS, v + key * s->v_stride + kv_head * width,
              s->v_stride, 1, gathered, width);
  }
  for (gint64 i = 0; i < rows; i++) {
    float *to = y + (first + i) * s->y_stride + head * width, inverse = sum[i] > 0 ? 1.f / sum[i] : 0.f;
    for (gint64 j = 0; j < width; j++)
      to[j] = gathered[i * width + j] * inverse;
    if (lse)
      lse[head * s->n + first + i] = top[i] + logf(sum[i]);
  }
}

void op_attention(const AttentionShape *shape, const float *q, const float *k, const float *v, float *y,
                  float *lse) {
  gint64 tiles = (shape->n + QUERIES - 1) / QUERIES;
#pragma omp parallel for schedule(dynamic) if (shape->n * shape->m * shape->heads > WORTH_THREADS)
  for (gint64 item = 0; item < tiles * shape->heads; item++)
    attend_tile(shape, item / tiles, item % tiles * QUERIES, q, k, v, y, lse);
}

/* P in place of scores. */
WIDEST static void row_probability(float *score, gint64 count, float scale, float lse) {
  for (gint64 i = 0; i < count; i++)
    score[i] = exp_fast(score[i] * scale - lse);
}

/* d_s in place of d_p, with the scale of the scores already in it. */
WIDEST static void row_d_score(const float *p, float *d_p, gint64 count, float scale, float along) {
  for (gint64 i = 0; i < count; i++)
    d_p[i] = p[i] * (d_p[i] - along) * scale;
}

WIDEST static float row_dot(const float *a, const float *b, gint64 count) {
  float lane[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] += a[i + l] * b[i + l];
  for (int l = 0; i + l < count; l++)
    lane[l] += a[i + l] * b[i + l];
  return lanes_sum(lane);
}

static void attend_head_d(const AttentionShape *s, gint64 head, const float *q, const float *k,
                          const float *v, const float *y, const float *lse, const float *d_y, float *d_q,
                          float *d_k, float *d_v) {
  gint64 width = s->width, at = head * width, seen = MIN(s->key_count, s->m);
  float scale = 1.f / sqrtf((float)width);
  float *p = scratch(SCRATCH_SCORES, sizeof(float) * (2 * QUERIES * KEYS + (gsize)s->n));
  float *d_s = p + QUERIES * KEYS, *along = d_s + QUERIES * KEYS;
  for (gint64 i = 0; i < s->n; i++) {
    along[i] = row_dot(d_y + i * s->y_stride + at, y + i * s->y_stride + at, width);
    memset(d_q + i * s->q_stride + at, 0, sizeof(float) * (gsize)width);
  }
  for (gint64 j = 0; j < s->m; j++) {
    memset(d_k + j * s->k_stride + at, 0, sizeof(float) * (gsize)width);
    memset(d_v + j * s->v_stride + at, 0, sizeof(float) * (gsize)width);
  }
  for (gint64 key = 0; key < seen; key += KEYS) {
    gint64 count = MIN(KEYS, seen - key);
    const float *k_tile = k + key * s->k_stride + at, *v_tile = v + key * s->v_stride + at;
    for (gint64 first = 0; first < s->n; first += QUERIES) {
      gint64 rows = MIN(QUERIES, s->n - first);
      const float *q_tile = q + first * s->q_stride + at, *d_y_tile = d_y + first * s->y_stride + at;
      gemm_here(FALSE, TRUE, rows, count, width, 1, q_tile, s->q_stride, k_tile, s->k_stride, 0, p, KEYS);
      gemm_here(FALSE, TRUE, rows, count, width, 1, d_y_tile, s->y_stride, v_tile, s->v_stride, 0, d_s, KEYS);
      for (gint64 i = 0; i < rows; i++) {
        row_probability(p + i * KEYS, count, scale, lse[head * s->n + first + i]);
        row_d_score(p + i * KEYS, d_s + i * KEYS, count, scale, along[first + i]);
      }
      gemm_here(TRUE, FALSE, count, width, rows, 1, p, KEYS, d_y_tile, s->y_stride, 1,
                d_v + key * s->v_stride + at, s->v_stride);
      gemm_here(TRUE, FALSE, count, width, rows, 1, d_s, KEYS, q_tile, s->q_stride, 1,
                d_k + key * s->k_stride + at, s->k_stride);
      gemm_here(FALSE, FALSE, rows, width, count, 1, d_s, KEYS, k_tile, s->k_stride, 1,
                d_q + first * s->q_stride + at, s->q_stride);
    }
  }
}

void op_attention_d(const AttentionShape *shape, const float *q, const float *k, const float *v,
                    const float *y, const float *lse, const float *d_y, float *d_q, float *d_k, float *d_v) {
  g_return_if_fail(!shape->causal && shape->kv_heads == shape->heads);
#pragma omp parallel for schedule(dynamic) if (shape->n * shape->m * shape->heads > WORTH_THREADS)
  for (gint64 head = 0; head < shape->heads; head++)
    attend_head_d(shape, head, q, k, v, y, lse, d_y, d_q, d_k, d_v);
}
