/* The two kinds of block, forward. In the working memory of a double block, `wide` holds q, k, v of all
 * tokens and behind them the hidden values of the gated layer; `joined` the attention's result and behind it
 * the gated values. In a single block both are rows: q, k, v, g, u and attention, gated values. */
#include "identity/network/transformer_private.h"

#include <math.h>
#include <string.h>

AttentionShape block_attention(const Pass *pass, gint64 stride, gint64 y_stride) {
  const TransformerShape *shape = &pass->run->transformer->shape;
  return (AttentionShape){.n = pass->n,
                          .m = pass->n,
                          .heads = shape->heads,
                          .kv_heads = shape->heads,
                          .width = shape->head,
                          .q_stride = stride,
                          .k_stride = stride,
                          .v_stride = stride,
                          .y_stride = y_stride,
                          .key_count = pass->n};
}

/* q and k of n rows, each head by itself; in training the unnormed ones are kept for the gradient. */
static void block_norm(const Pass *pass, const Scale *query, const Scale *key, float *qkv, gint64 n,
                       gint64 stride, float *raw) {
  const TransformerShape *shape = &pass->run->transformer->shape;
  gint64 h = shape->hidden, heads = shape->heads, head = shape->head;
  gboolean keep = pass->run->training;
#pragma omp parallel for schedule(static) if (n * h > WORTH_THREADS)
  for (gint64 i = 0; i < n; i++) {
    float *row = qkv + i * stride;
    if (keep)
      memcpy(raw + i * 2 * h, row, sizeof *raw * (gsize)(2 * h));
    op_rmsnorm(row, heads, head, head, query->value, TRANSFORMER_EPS, row);
    op_rmsnorm(row + h, heads, head, head, key->value, TRANSFORMER_EPS, row + h);
  }
}

static void attend(const Pass *pass, float *wide, gint64 stride, float *y, gint64 y_stride) {
  TransformerRun *run = pass->run;
  const TransformerShape *shape = &run->transformer->shape;
  gint64 h = shape->hidden;
  op_rope(wide, pass->n, 2 * shape->heads, shape->head, stride, run->cos, run->sin, ROPE_INTERLEAVED, FALSE);
  AttentionShape attention = block_attention(pass, stride, y_stride);
  op_attention(&attention, wide, wide + h, wide + 2 * h, y, run->training ? run->lse : NULL);
}

/* --- double --- */

static gint64 stream_rows(const Pass *pass, int which) {
  return which == TEXT ? pass->n_text : pass->n_image;
}

static gint64 stream_first(const Pass *pass, int which) {
  return which == TEXT ? 0 : pass->n_text;
}

static void tap_double(const Pass *pass, int block, const float *data, gint64 cols, const char *what) {
  static const char *const names[] = {[TEXT] = "txt", [IMAGE] = "img"};
  for (int which = 0; which < STREAMS; which++)
    transformer_tap(pass->run, data + stream_first(pass, which) * cols, stream_rows(pass, which), cols, cols,
                    "double%d.%s_%s", block, names[which], what);
}

/* Up to the attention's result, before its projection. */
static void double_attend(const Pass *pass, int block, const float *x) {
  TransformerRun *run = pass->run;
  const Transformer *network = run->transformer;
  gint64 h = network->shape.hidden;
  float *qkv = run->wide;
  for (int which = 0; which < STREAMS; which++) {
    const Stream *stream = &network->doubles[block].streams[which];
    gint64 n = stream_rows(pass, which), first = stream_first(pass, which);
    const float *modulation = run->modulation[which];
    op_layernorm_mod(x + first * h, n, h, modulation + h, modulation, run->mod + first * h);
    linear_forward(pass, &stream->qkv, run->mod + first * h, n, qkv + first * 3 * h);
  }
  tap_double(pass, block, run->mod, h, "mod1");
  tap_double(pass, block, qkv, 3 * h, "qkv");
  for (int which = 0; which < STREAMS; which++) {
    const Stream *stream = &network->doubles[block].streams[which];
    gint64 n = stream_rows(pass, which), first = stream_first(pass, which);
    block_norm(pass, &stream->query, &stream->key, qkv + first * 3 * h, n, 3 * h,
               run->training ? run->raw + first * 2 * h : NULL);
  }
  tap_double(pass, block, qkv, 3 * h, "normed");
  attend(pass, qkv, 3 * h, run->joined, h);
  transformer_tap(run, qkv, pass->n, 2 * h, 3 * h, "double%d.rope", block);
  tap_double(pass, block, run->joined, h, "attn_out");
}

/* The gated layer of one stream; mod: where its modulated input goes. */
static void double_feed(const Pass *pass, const Stream *stream, int which, const float *x, float *mod,
                        float *out) {
  TransformerRun *run = pass->run;
  const TransformerShape *shape = &run->transformer->shape;
  gint64 h = shape->hidden, m = shape->mlp, n = stream_rows(pass, which), first = stream_first(pass, which);
  const float *modulation = run->modulation[which];
  float *hidden = run->wide + pass->n * 3 * h + first * 2 * m, *gated = run->joined + pass->n * h + first * m;
  op_layernorm_mod(x + first * h, n, h, modulation + 4 * h, modulation + 3 * h, mod + first * h);
  linear_forward(pass, &stream->mlp_in, mod + first * h, n, hidden);
  op_swiglu(hidden, n, m, 2 * m, gated, m);
  if (out)
    linear_forward(pass, &stream->mlp_out, gated, n, out + first * h);
}

void double_forward(const Pass *pass, int block, float *x) {
  TransformerRun *run = pass->run;
  const Transformer *network = run->transformer;
  gint64 h = network->shape.hidden, m = network->shape.mlp;
  double_attend(pass, block, x);
  for (int which = 0; which < STREAMS; which++) {
    const Stream *stream = &network->doubles[block].streams[which];
    gint64 n = stream_rows(pass, which), first = stream_first(pass, which) * h;
    linear_forward(pass, &stream->proj, run->joined + first, n, run->out + first);
    op_gate(run->modulation[which] + 2 * h, run->out + first, n, h, x + first);
    double_feed(pass, stream, which, x, run->mod, run->out);
    op_gate(run->modulation[which] + 5 * h, run->out + first, n, h, x + first);
  }
  tap_double(pass, block, run->mod, h, "mod2");
  tap_double(pass, block, run->wide + pass->n * 3 * h, 2 * m, "mlp_in");
  tap_double(pass, block, run->joined + pass->n * h, m, "mlp_gated");
}

/* Everything that the backward needs, from the block's input again; the results of the projections before
 * their gates only where the gates' gradients are wanted (the first one always: it leads to the middle). */
void double_again(const Pass *pass, int block, const float *x) {
  TransformerRun *run = pass->run;
  const Transformer *network = run->transformer;
  gint64 h = network->shape.hidden;
  double_attend(pass, block, x);
  memcpy(run->middle, x, sizeof *x * (gsize)(pass->n * h));
  for (int which = 0; which < STREAMS; which++) {
    const Stream *stream = &network->doubles[block].streams[which];
    gint64 n = stream_rows(pass, which), first = stream_first(pass, which) * h;
    linear_forward(pass, &stream->proj, run->joined + first, n, run->out + first);
    op_gate(run->modulation[which] + 2 * h, run->out + first, n, h, run->middle + first);
    double_feed(pass, stream, which, run->middle, run->mod2, pass->conditioning ? run->out2 : NULL);
  }
}

/* --- single --- */

/* Up to what the second linear layer is given. */
static void single_join(const Pass *pass, int block, const float *x) {
  TransformerRun *run = pass->run;
  const TransformerShape *shape = &run->transformer->shape;
  const SingleBlock *single = &run->transformer->singles[block];
  gint64 h = shape->hidden, m = shape->mlp, stride = 3 * h + 2 * m;
  op_layernorm_mod(x, pass->n, h, run->single_modulation + h, run->single_modulation, run->mod);
  linear_forward(pass, &single->linear1, run->mod, pass->n, run->wide);
  transformer_tap(run, run->mod, pass->n, h, h, "single%d.mod", block);
  transformer_tap(run, run->wide, pass->n, stride, stride, "single%d.linear1", block);
  block_norm(pass, &single->query, &single->key, run->wide, pass->n, stride, run->raw);
  attend(pass, run->wide, stride, run->joined, h + m);
  op_swiglu(run->wide + 3 * h, pass->n, m, stride, run->joined + h, h + m);
  transformer_tap(run, run->joined, pass->n, h + m, h + m, "single%d.linear2_in", block);
}

void single_forward(const Pass *pass, int block, float *x) {
  TransformerRun *run = pass->run;
  gint64 h = run->transformer->shape.hidden;
  if (run->singles)
    run_use(run, &run->singles[block]);
  single_join(pass, block, x);
  linear_forward(pass, &run->transformer->singles[block].linear2, run->joined, pass->n, run->out);
  op_gate(run->single_modulation + 2 * h, run->out, pass->n, h, x);
  run_use(run, &run->own);
}

void single_again(const Pass *pass, int block, const float *x) {
  TransformerRun *run = pass->run;
  if (run->singles) {
    run_use(run, &run->singles[block]);
    return;
  }
  single_join(pass, block, x);
  if (pass->conditioning)
    linear_forward(pass, &run->transformer->singles[block].linear2, run->joined, pass->n, run->out);
}
