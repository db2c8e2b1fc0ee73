/* Qwen3 up to the last layer that is asked for; its head and final norm are not read. Weights stay where the
 * file is mapped, in their own type; only the norms' short vectors are widened. All rows are computed,
 * padding too: the transformer of the pictures sees them, and there they differ by their positions.
 *
 * One layer, n rows at a time in the buffers of Work:
 *   rows += o · attention(rope(norm(q · x)), rope(norm(k · x)), v · x),   x = norm(rows)
 *   rows += down · (SiLU(gate · x) ⊙ (up · x)),                          x = norm(rows)
 */
#include "identity/text/text.h"
#include "tensor/shards.h"

#include <math.h>
#include <string.h>

#define EPS 1e-6f
#define THETA 1e6
#define LAYERS_MAX 512
#define SIDE_MAX (1 << 20)   /* of a weight matrix; the vocabulary's is 151,936 */
#define LENGTH_MAX (1 << 15) /* rows of a prompt */

typedef struct {
  Weights q, k, v, o, gate, up, down;
  float *input_norm, *middle_norm, *q_norm, *k_norm;
} Layer;

struct TextEncoder {
  Shards *shards;
  Weights embedding;
  int taps[3];
  int layers; /* as many as the taps need */
  Layer *layer;
  gint64 hidden, heads, kv_heads, head_width, inner;
};

void text_encoder_free(TextEncoder *encoder) {
  if (!encoder)
    return;
  for (int i = 0; encoder->layer && i < encoder->layers; i++) {
    Layer *layer = &encoder->layer[i];
    g_free(layer->input_norm);
    g_free(layer->middle_norm);
    g_free(layer->q_norm);
    g_free(layer->k_norm);
  }
  g_free(encoder->layer);
  g_clear_pointer(&encoder->shards, shards_free);
  g_free(encoder);
}

gint64 text_encoder_width(const TextEncoder *encoder) {
  return 3 * encoder->hidden;
}

/* --- reading --- */

static gboolean is_float(Dtype dtype) {
  return dtype == DTYPE_F32 || dtype == DTYPE_BF16;
}

/* A matrix of the given sides; a side of 0 may be any and is then replaced by the real one. */
static gboolean read_matrix(const TextEncoder *encoder, const char *name, gint64 *rows, gint64 *cols,
                            Weights *weights, GError **error) {
  const char *path = shards_path(encoder->shards);
  const SafetensorsTensor *tensor = shards_find(encoder->shards, name);
  if (!tensor)
    return fault(error, FAULT_INPUT, "%s has no tensor %s: it is not the text encoder (Qwen3).", path, name);
  if (!is_float(tensor->dtype) || tensor->rank != 2)
    return fault(error, FAULT_INPUT, "%s: tensor %s is not a matrix of bf16 or fp32.", path, name);
  gint64 r = tensor->shape[0], c = tensor->shape[1];
  if (r < 1 || c < 1 || r > SIDE_MAX || c > SIDE_MAX || (*rows && r != *rows) || (*cols && c != *cols))
    return fault(error, FAULT_INPUT,
                 "%s: tensor %s is %" G_GINT64_FORMAT " × %" G_GINT64_FORMAT
                 ", which does not fit the other layers.",
                 path, name, r, c);
  *rows = r;
  *cols = c;
  *weights = (Weights){tensor->dtype, r, c, tensor->data};
  return TRUE;
}

/* A vector, widened (transfer full); *width 0: any. */
static float *read_vector(const TextEncoder *encoder, const char *name, gint64 *width, GError **error) {
  const char *path = shards_path(encoder->shards);
  const SafetensorsTensor *tensor = shards_find(encoder->shards, name);
  if (!tensor)
    return fault_null(error, FAULT_INPUT, "%s has no tensor %s: it is not the text encoder (Qwen3).", path,
                      name);
  if (!is_float(tensor->dtype) || tensor->rank != 1 || tensor->shape[0] < 1 || tensor->shape[0] > SIDE_MAX ||
      (*width && tensor->shape[0] != *width))
    return fault_null(error, FAULT_INPUT,
                      "%s: tensor %s is not a vector of bf16 or fp32 of the right length.", path, name);
  *width = tensor->shape[0];
  float *values = g_new(float, *width);
  safetensors_floats(tensor, values);
  return values;
}

static gboolean layer_matrix(TextEncoder *encoder, int index, const char *part, gint64 *rows, gint64 *cols,
                             Weights *weights, GError **error) {
  g_autofree char *name = g_strdup_printf("model.layers.%d.%s.weight", index, part);
  return read_matrix(encoder, name, rows, cols, weights, error);
}

static float *layer_vector(TextEncoder *encoder, int index, const char *part, gint64 *width, GError **error) {
  g_autofree char *name = g_strdup_printf("model.layers.%d.%s.weight", index, part);
  return read_vector(encoder, name, width, error);
}

/* The first layer says how many heads there are; the others must agree. */
static gboolean read_layer(TextEncoder *encoder, int index, GError **error) {
  Layer *layer = &encoder->layer[index];
  gint64 *hidden = &encoder->hidden, *inner = &encoder->inner;
  if (!(layer->input_norm = layer_vector(encoder, index, "input_layernorm", hidden, error)) ||
      !(layer->middle_norm = layer_vector(encoder, index, "post_attention_layernorm", hidden, error)) ||
      !(layer->q_norm = layer_vector(encoder, index, "self_attn.q_norm", &encoder->head_width, error)) ||
      !(layer->k_norm = layer_vector(encoder, index, "self_attn.k_norm", &encoder->head_width, error)))
    return FALSE;
  gint64 q_width = encoder->heads * encoder->head_width, kv_width = encoder->kv_heads * encoder->head_width;
  if (!layer_matrix(encoder, index, "self_attn.q_proj", &q_width, hidden, &layer->q, error) ||
      !layer_matrix(encoder, index, "self_attn.k_proj", &kv_width, hidden, &layer->k, error) ||
      !layer_matrix(encoder, index, "self_attn.v_proj", &kv_width, hidden, &layer->v, error) ||
      !layer_matrix(encoder, index, "self_attn.o_proj", hidden, &q_width, &layer->o, error) ||
      !layer_matrix(encoder, index, "mlp.gate_proj", inner, hidden, &layer->gate, error) ||
      !layer_matrix(encoder, index, "mlp.up_proj", inner, hidden, &layer->up, error) ||
      !layer_matrix(encoder, index, "mlp.down_proj", hidden, inner, &layer->down, error))
    return FALSE;
  encoder->heads = q_width / encoder->head_width;
  encoder->kv_heads = kv_width / encoder->head_width;
  if (encoder->head_width % 2 || q_width % encoder->head_width || kv_width % encoder->head_width ||
      encoder->heads % encoder->kv_heads)
    return fault(error, FAULT_INPUT,
                 "%s: queries of %" G_GINT64_FORMAT " and keys of %" G_GINT64_FORMAT
                 " do not divide into heads of %" G_GINT64_FORMAT ".",
                 shards_path(encoder->shards), q_width, kv_width, encoder->head_width);
  return TRUE;
}

TextEncoder *text_encoder_open(const char *path, const int taps[3], GError **error) {
  g_autoptr(TextEncoder) encoder = g_new0(TextEncoder, 1);
  for (int i = 0; i < 3; i++) {
    if (taps[i] < 0 || taps[i] > LAYERS_MAX)
      return fault_null(error, FAULT_USAGE, "A text encoder has no state %d.", taps[i]);
    encoder->taps[i] = taps[i];
    encoder->layers = MAX(encoder->layers, taps[i]);
  }
  encoder->shards = shards_open(path, error);
  gint64 vocabulary = 0;
  if (!encoder->shards || !read_matrix(encoder, "model.embed_tokens.weight", &vocabulary, &encoder->hidden,
                                       &encoder->embedding, error))
    return NULL;
  encoder->layer = g_new0(Layer, encoder->layers);
  for (int i = 0; i < encoder->layers; i++)
    if (!read_layer(encoder, i, error))
      return NULL;
  return g_steal_pointer(&encoder);
}

/* --- running --- */

/* One allocation, and the places in it. */
typedef struct {
  float *all;
  float *rows, *x, *q, *k, *v, *mixed, *gate, *up, *cos, *sin;
} Work;

static void work_clear(Work *work) {
  g_free(work->all);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

static gboolean work_init(Work *work, const TextEncoder *e, gint64 n, GError **error) {
  gint64 hidden = n * e->hidden, q = n * e->heads * e->head_width, kv = n * e->kv_heads * e->head_width;
  gint64 inner = n * e->inner, turn = n * (e->head_width / 2);
  gsize count = (gsize)(2 * hidden + 2 * q + 2 * kv + 2 * inner + 2 * turn);
  work->all = g_try_new(float, count);
  if (!work->all)
    return fault(error, FAULT_LIMIT,
                 "There is no memory for a prompt of %" G_GINT64_FORMAT " tokens (%" G_GSIZE_FORMAT " MB).",
                 n, count * sizeof(float) >> 20);
  float *at = work->all;
  float **places[] = {&work->rows, &work->x,    &work->q,  &work->mixed, &work->k,
                      &work->v,    &work->gate, &work->up, &work->cos,   &work->sin};
  gint64 sizes[] = {hidden, hidden, q, q, kv, kv, inner, inner, turn, turn};
  for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
    *places[i] = at;
    at += sizes[i];
  }
  return TRUE;
}

/* Positions are 0, 1, …; angles in double, since fp32 is off by 1e-5 at the end of 512. */
static void fill_turns(const TextEncoder *e, gint64 n, float *cosines, float *sines) {
  gint64 half = e->head_width / 2;
  for (gint64 row = 0; row < n; row++)
    for (gint64 i = 0; i < half; i++) {
      double angle = (double)row * pow(THETA, -(double)i / (double)half);
      cosines[row * half + i] = (float)cos(angle);
      sines[row * half + i] = (float)sin(angle);
    }
}

static gboolean embed(const TextEncoder *e, const gint32 *ids, gint64 n, float *rows, GError **error) {
  for (gint64 row = 0; row < n; row++)
    if (ids[row] < 0 || ids[row] >= e->embedding.rows)
      return fault(error, FAULT_INPUT,
                   "Token %d is not in the vocabulary of %" G_GINT64_FORMAT
                   " of the text encoder: tokenizer and encoder do not belong together.",
                   ids[row], e->embedding.rows);
  for (gint64 row = 0; row < n; row++) {
    float *target = rows + row * e->hidden;
    gint64 from = ids[row] * e->hidden;
    if (e->embedding.dtype == DTYPE_F32)
      memcpy(target, (const float *)e->embedding.data + from, (gsize)e->hidden * sizeof *target);
    else
      for (gint64 i = 0; i < e->hidden; i++)
        target[i] = bf16_to_float(((const guint16 *)e->embedding.data)[from + i]);
  }
  return TRUE;
}

static void add_rows(float *rows, const float *more, gint64 count) {
#pragma omp parallel for schedule(static) if (count > 65536)
  for (gint64 i = 0; i < count; i++)
    rows[i] += more[i];
}

static void attend(const TextEncoder *e, const Layer *layer, gint64 n, gint64 count, Arithmetic arithmetic,
                   Work *w) {
  gint64 width = e->head_width, q_width = e->heads * width, kv_width = e->kv_heads * width;
  op_rmsnorm(w->rows, n, e->hidden, e->hidden, layer->input_norm, EPS, w->x);
  op_linear(w->x, n, &layer->q, arithmetic, w->q);
  op_linear(w->x, n, &layer->k, arithmetic, w->k);
  op_linear(w->x, n, &layer->v, arithmetic, w->v);
  op_rmsnorm(w->q, n * e->heads, width, width, layer->q_norm, EPS, w->q);
  op_rmsnorm(w->k, n * e->kv_heads, width, width, layer->k_norm, EPS, w->k);
  op_rope(w->q, n, e->heads, width, q_width, w->cos, w->sin, ROPE_HALVES, FALSE);
  op_rope(w->k, n, e->kv_heads, width, kv_width, w->cos, w->sin, ROPE_HALVES, FALSE);
  const AttentionShape shape = {.n = n,
                                .m = n,
                                .heads = e->heads,
                                .kv_heads = e->kv_heads,
                                .width = width,
                                .q_stride = q_width,
                                .k_stride = kv_width,
                                .v_stride = kv_width,
                                .y_stride = q_width,
                                .causal = TRUE,
                                .key_count = count};
  op_attention(&shape, w->q, w->k, w->v, w->mixed, NULL);
  op_linear(w->mixed, n, &layer->o, arithmetic, w->x);
  add_rows(w->rows, w->x, n * e->hidden);
}

static void feed(const TextEncoder *e, const Layer *layer, gint64 n, Arithmetic arithmetic, Work *w) {
  op_rmsnorm(w->rows, n, e->hidden, e->hidden, layer->middle_norm, EPS, w->x);
  op_linear(w->x, n, &layer->gate, arithmetic, w->gate);
  op_linear(w->x, n, &layer->up, arithmetic, w->up);
  op_silu(w->gate, n * e->inner, w->gate);
#pragma omp parallel for schedule(static) if (n * e->inner > 65536)
  for (gint64 i = 0; i < n * e->inner; i++)
    w->gate[i] *= w->up[i];
  op_linear(w->gate, n, &layer->down, arithmetic, w->x);
  add_rows(w->rows, w->x, n * e->hidden);
}

/* Copies the rows after `state` layers to where they are asked for. */
static void tap(const TextEncoder *e, int state, gint64 n, const float *rows, float *features) {
  for (int i = 0; i < 3; i++)
    if (e->taps[i] == state)
      for (gint64 row = 0; row < n; row++)
        memcpy(features + (3 * row + i) * e->hidden, rows + row * e->hidden, (gsize)e->hidden * sizeof *rows);
}

gboolean text_encoder_run(TextEncoder *encoder, const gint32 *ids, gint64 length, gint64 count,
                          Arithmetic arithmetic, float *features, GError **error) {
  if (length < 1 || length > LENGTH_MAX || count < 1 || count > length)
    return fault(error, FAULT_LIMIT, "A prompt of %" G_GINT64_FORMAT " tokens cannot be encoded.", length);
  g_auto(Work) work = {0};
  if (!work_init(&work, encoder, length, error))
    return FALSE;
  if (!embed(encoder, ids, length, work.rows, error))
    return FALSE;
  fill_turns(encoder, length, work.cos, work.sin);
  tap(encoder, 0, length, work.rows, features);
  for (int i = 0; i < encoder->layers; i++) {
    attend(encoder, &encoder->layer[i], length, count, arithmetic, &work);
    feed(encoder, &encoder->layer[i], length, arithmetic, &work);
    tap(encoder, i + 1, length, work.rows, features);
  }
  return TRUE;
}
