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

/* Rows side by side: in a wide matrix they are whole pages apart and would share a few cache lines. */
static void gather(const float *from, gint64 rows, gint64 width, gint64 stride, float *to) {
  for (gint64 i = 0; i < rows; i++)
    memcpy(to + i * width, from + i * stride, sizeof(float) * (gsize)width);
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
  float *score =
      scratch(SCRATCH_SCORES, sizeof(float) * (QUERIES * KEYS + (2 * QUERIES + 2 * KEYS) * (gsize)width));
  float *gathered = score + QUERIES * KEYS, *q_tile = gathered + QUERIES * width,
        *k_tile = q_tile + QUERIES * width, *v_tile = k_tile + KEYS * width;
  memset(gathered, 0, sizeof(float) * (gsize)(rows * width));
  for (gint64 i = 0; i < rows; i++)
    top[i] = -INFINITY;
  gather(q + first * s->q_stride + head * width, rows, width, s->q_stride, q_tile);
  gint64 end = keys_seen(s, first + rows - 1);
  for (gint64 key = 0; key < end; key += KEYS) {
    gint64 count = MIN(KEYS, end - key);
    turn(k + key * s->k_stride + kv_head * width, count, width, s->k_stride, k_tile);
    gather(v + key * s->v_stride + kv_head * width, count, width, s->v_stride, v_tile);
    gemm_here(FALSE, FALSE, rows, count, width, 1, q_tile, width, k_tile, count, 0, score, KEYS);
    for (gint64 i = 0; i < rows; i++)
      soften_row(score + i * KEYS, count, CLAMP(keys_seen(s, first + i) - key, 0, count), scale, &top[i],
                 &sum[i], gathered + i * width, width);
    gemm_here(FALSE, FALSE, rows, width, count, 1, score, KEYS, v_tile, width, 1, gathered, width);
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
  EACH_NEXT(item, tiles * shape->heads, shape->n * shape->m * shape->heads * shape->width / PRODUCTS,
            attend_tile(shape, item / tiles, item % tiles * QUERIES, q, k, v, y, lse));
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

static void scatter(const float *from, gint64 rows, gint64 width, gint64 stride, float *to) {
  for (gint64 i = 0; i < rows; i++)
    memcpy(to + i * stride, from + i * width, sizeof(float) * (gsize)width);
}

/* What a head's gradient works on, all of it with rows side by side. */
typedef struct {
  float *q, *d_y, *d_q;       /* [n, width] */
  float *along;               /* [n]: D */
  float *k, *d_k, *d_v;       /* [KEYS, width], of the tile of keys */
  float *k_turned, *v_turned; /* [width, KEYS] */
  float *p, *d_s;             /* [QUERIES, KEYS] */
} HeadGradient;

static HeadGradient head_gradient(gint64 n, gint64 width) {
  float *next = scratch(SCRATCH_SCORES,
                        sizeof(float) * (gsize)(3 * n * width + 5 * KEYS * width + 2 * QUERIES * KEYS + n));
  HeadGradient g;
  g.q = next, next += n * width;
  g.d_y = next, next += n * width;
  g.d_q = next, next += n * width;
  g.k = next, next += KEYS * width;
  g.k_turned = next, next += KEYS * width;
  g.v_turned = next, next += KEYS * width;
  g.d_k = next, next += KEYS * width;
  g.d_v = next, next += KEYS * width;
  g.p = next, next += QUERIES * KEYS;
  g.d_s = next, next += QUERIES * KEYS;
  g.along = next;
  return g;
}

/* What the queries [first, first + rows) add to the gradients of the tile's keys and of themselves. */
static void attend_tile_d(const HeadGradient *g, gint64 first, gint64 rows, gint64 count, gint64 width,
                          const float *lse) {
  float scale = 1.f / sqrtf((float)width);
  const float *q = g->q + first * width, *d_y = g->d_y + first * width;
  gemm_here(FALSE, FALSE, rows, count, width, 1, q, width, g->k_turned, count, 0, g->p, KEYS);
  gemm_here(FALSE, FALSE, rows, count, width, 1, d_y, width, g->v_turned, count, 0, g->d_s, KEYS);
  for (gint64 i = 0; i < rows; i++) {
    row_probability(g->p + i * KEYS, count, scale, lse[first + i]);
    row_d_score(g->p + i * KEYS, g->d_s + i * KEYS, count, scale, g->along[first + i]);
  }
  gemm_here(TRUE, FALSE, count, width, rows, 1, g->p, KEYS, d_y, width, 1, g->d_v, width);
  gemm_here(TRUE, FALSE, count, width, rows, 1, g->d_s, KEYS, q, width, 1, g->d_k, width);
  gemm_here(FALSE, FALSE, rows, width, count, 1, g->d_s, KEYS, g->k, width, 1, g->d_q + first * width, width);
}

static void attend_head_d(const AttentionShape *s, gint64 head, const float *q, const float *k,
                          const float *v, const float *y, const float *lse, const float *d_y, float *d_q,
                          float *d_k, float *d_v) {
  gint64 width = s->width, at = head * width, seen = CLAMP(s->key_count, 0, s->m);
  HeadGradient g = head_gradient(s->n, width);
  gather(q + at, s->n, width, s->q_stride, g.q);
  gather(d_y + at, s->n, width, s->y_stride, g.d_y);
  memset(g.d_q, 0, sizeof(float) * (gsize)(s->n * width));
  for (gint64 i = 0; i < s->n; i++)
    g.along[i] = row_dot(g.d_y + i * width, y + i * s->y_stride + at, width);
  for (gint64 key = 0; key < s->m; key += KEYS) {
    gint64 all = MIN(KEYS, s->m - key), count = CLAMP(seen - key, 0, all);
    gather(k + key * s->k_stride + at, count, width, s->k_stride, g.k);
    turn(k + key * s->k_stride + at, count, width, s->k_stride, g.k_turned);
    turn(v + key * s->v_stride + at, count, width, s->v_stride, g.v_turned);
    memset(g.d_k, 0, sizeof(float) * (gsize)(all * width));
    memset(g.d_v, 0, sizeof(float) * (gsize)(all * width));
    for (gint64 first = 0; count && first < s->n; first += QUERIES)
      attend_tile_d(&g, first, MIN(QUERIES, s->n - first), count, width, lse + head * s->n);
    scatter(g.d_k, all, width, s->k_stride, d_k + key * s->k_stride + at);
    scatter(g.d_v, all, width, s->v_stride, d_v + key * s->v_stride + at);
  }
  scatter(g.d_q, s->n, width, s->q_stride, d_q + at);
}

void op_attention_d(const AttentionShape *shape, const float *q, const float *k, const float *v,
                    const float *y, const float *lse, const float *d_y, float *d_q, float *d_k, float *d_v) {
  g_return_if_fail(!shape->causal && shape->kv_heads == shape->heads);
  EACH_NEXT(head, shape->heads, shape->n * shape->m * shape->heads * shape->width / PRODUCTS,
            attend_head_d(shape, head, q, k, v, y, lse, d_y, d_q, d_k, d_v));
}
