/* Backward: the blocks from the last to the first. Each is computed again from its kept input (the single
 * blocks of small networks have kept what they gave), then taken
 * apart in the opposite order of its forward; the gradient of the stream is one array that is turned from
 * that of the block's output into that of its input in place. Modulations are shared by the blocks, so their
 * gradients add up and go through the conditioning vector once, at the end; where only adapters inside the
 * blocks are trained, none of that is computed. */
#include "identity/network/transformer_private.h"

#include <string.h>

/* --- layers --- */

static void adapter_backward(const Pass *pass, const LoraLayer *layer, const float *x, const float *d_y,
                             gint64 n, float *d_x) {
  float *low = pass->run->low, *d_low = pass->run->d_low, scale = layer->scale * pass->lora->strength;
  for (gint64 first = 0; first < layer->rank; first += LORA_CHUNK) {
    gint64 ranks = MIN(LORA_CHUNK, layer->rank - first), in = layer->in, out = layer->out;
    const float *a = layer->a + first * in, *b = layer->b + first;
    op_gemm(FALSE, FALSE, n, ranks, out, scale, d_y, out, b, layer->rank, 0, d_low, ranks);
    if (layer->d_b) {
      op_gemm(FALSE, TRUE, n, ranks, in, 1, x, in, a, in, 0, low, ranks);
      op_gemm(TRUE, FALSE, out, ranks, n, scale, d_y, out, low, ranks, 1, layer->d_b + first, layer->rank);
    }
    if (layer->d_a)
      op_gemm(TRUE, FALSE, ranks, in, n, 1, d_low, ranks, x, in, 1, layer->d_a + first * in, in);
    if (d_x)
      op_gemm(FALSE, FALSE, n, in, ranks, 1, d_low, ranks, a, in, 1, d_x, in);
  }
}

void linear_backward(const Pass *pass, const Linear *linear, const float *x, const float *d_y, gint64 n,
                     gboolean add, float *d_x) {
  if (n == 0)
    return;
  const Weights *weights = &linear->weights;
  if (linear->gradient)
    op_linear_d_w(x, d_y, n, weights->cols, weights->rows, TRUE, linear->gradient);
  if (d_x)
    op_linear_d_x(d_y, n, weights, pass->run->arithmetic, add, d_x);
  const LoraLayer *layer = pass->lora ? lora_layer(pass->lora, linear->name) : NULL;
  if (layer)
    adapter_backward(pass, layer, x, d_y, n, d_x);
}

/* --- attention with its norms --- */

/* d_qkv of n rows: back through the norms of q and k, to what the projection gave. */
static void norm_backward(const Pass *pass, const Scale *query, const Scale *key, float *d_qkv, gint64 n,
                          gint64 stride, const float *raw, float *qkv) {
  const TransformerShape *shape = &pass->run->transformer->shape;
  gint64 h = shape->hidden, heads = shape->heads, head = shape->head;
  gboolean trained = query->gradient != NULL;
#pragma omp parallel for schedule(static) if (n * h > WORTH_THREADS)
  for (gint64 i = 0; i < n; i++) {
    float *row = qkv + i * stride, *d = d_qkv + i * stride;
    memcpy(row, raw + i * 2 * h, sizeof *raw * (gsize)(2 * h));
    if (trained)
      continue;
    op_rmsnorm_d(row, d, heads, head, head, query->value, TRANSFORMER_EPS, FALSE, d, NULL);
    op_rmsnorm_d(row + h, d + h, heads, head, head, key->value, TRANSFORMER_EPS, FALSE, d + h, NULL);
  }
  /* The scales' gradients are sums over all rows: head by head, so that their order is one. */
  for (gint64 k = 0; trained && k < 2 * heads; k++) {
    const Scale *scale = k < heads ? query : key;
    float *d = d_qkv + k * head;
    op_rmsnorm_d(qkv + k * head, d, n, head, stride, scale->value, TRANSFORMER_EPS, FALSE, d,
                 scale->gradient);
  }
}

static void attend_backward(const Pass *pass, gint64 stride, gint64 y_stride) {
  TransformerRun *run = pass->run;
  const TransformerShape *shape = &run->transformer->shape;
  gint64 h = shape->hidden;
  float *wide = run->wide, *d_wide = run->d_wide;
  AttentionShape attention = block_attention(pass, stride, y_stride);
  op_attention_d(&attention, wide, wide + h, wide + 2 * h, run->joined, run->lse, run->d_joined, d_wide,
                 d_wide + h, d_wide + 2 * h);
  op_rope(d_wide, pass->n, 2 * shape->heads, shape->head, stride, run->cos, run->sin, ROPE_INTERLEAVED, TRUE);
}

/* Where a chunk of a modulation's gradient is added to; NULL where it is not wanted. */
static float *chunk(const Pass *pass, float *gradient, int which) {
  return pass->conditioning ? gradient + which * pass->run->transformer->shape.hidden : NULL;
}

/* --- blocks --- */

void single_backward(const Pass *pass, int block, const float *x, float *d) {
  TransformerRun *run = pass->run;
  const TransformerShape *shape = &run->transformer->shape;
  const SingleBlock *single = &run->transformer->singles[block];
  gint64 h = shape->hidden, m = shape->mlp, n = pass->n, stride = 3 * h + 2 * m;
  const float *modulation = run->single_modulation;
  float *d_modulation = run->d_single_modulation;
  single_again(pass, block, x);
  op_gate_d(modulation + 2 * h, run->out, d, n, h, run->d_out, chunk(pass, d_modulation, 2));
  linear_backward(pass, &single->linear2, run->joined, run->d_out, n, FALSE, run->d_joined);
  op_swiglu_d(run->wide + 3 * h, run->d_joined + h, n, m, stride, h + m, run->d_wide + 3 * h);
  attend_backward(pass, stride, h + m);
  norm_backward(pass, &single->query, &single->key, run->d_wide, n, stride, run->raw, run->wide);
  linear_backward(pass, &single->linear1, run->mod, run->d_wide, n, FALSE, run->d_mod);
  op_layernorm_mod_d(x, run->d_mod, n, h, modulation + h, TRUE, d, chunk(pass, d_modulation, 1),
                     chunk(pass, d_modulation, 0));
  run_use(run, &run->own);
}

/* From the stream's end back to the attention's result. */
static void feed_backward(const Pass *pass, int block, int which, float *d) {
  TransformerRun *run = pass->run;
  const TransformerShape *shape = &run->transformer->shape;
  const Stream *stream = &run->transformer->doubles[block].streams[which];
  gint64 h = shape->hidden, m = shape->mlp, n = which == TEXT ? pass->n_text : pass->n_image;
  gint64 first = which == TEXT ? 0 : pass->n_text, behind = pass->n * 3 * h + first * 2 * m;
  const float *modulation = run->modulation[which];
  float *d_modulation = run->d_modulation[which], *gated = run->joined + pass->n * h + first * m,
        *d_gated = run->d_joined + pass->n * h + first * m, *d_out = run->d_out + first * h,
        *d_mod = run->d_mod + first * h, *middle = run->middle + first * h;
  d += first * h;
  op_gate_d(modulation + 5 * h, run->out2 + first * h, d, n, h, d_out, chunk(pass, d_modulation, 5));
  linear_backward(pass, &stream->mlp_out, gated, d_out, n, FALSE, d_gated);
  op_swiglu_d(run->wide + behind, d_gated, n, m, 2 * m, m, run->d_wide + behind);
  linear_backward(pass, &stream->mlp_in, run->mod2 + first * h, run->d_wide + behind, n, FALSE, d_mod);
  op_layernorm_mod_d(middle, d_mod, n, h, modulation + 4 * h, TRUE, d, chunk(pass, d_modulation, 4),
                     chunk(pass, d_modulation, 3));
  op_gate_d(modulation + 2 * h, run->out + first * h, d, n, h, d_out, chunk(pass, d_modulation, 2));
  linear_backward(pass, &stream->proj, run->joined + first * h, d_out, n, FALSE, run->d_joined + first * h);
}

/* Where nothing before the first block is trained, its input's gradient is not needed. */
static void project_backward(const Pass *pass, int block, int which, const float *x, float *d) {
  TransformerRun *run = pass->run;
  const Stream *stream = &run->transformer->doubles[block].streams[which];
  gint64 h = run->transformer->shape.hidden, n = which == TEXT ? pass->n_text : pass->n_image;
  gint64 first = which == TEXT ? 0 : pass->n_text;
  float *d_qkv = run->d_wide + first * 3 * h, *d_mod = run->d_mod + first * h;
  norm_backward(pass, &stream->query, &stream->key, d_qkv, n, 3 * h, run->raw + first * 2 * h,
                run->wide + first * 3 * h);
  gboolean needed = block > 0 || pass->input;
  linear_backward(pass, &stream->qkv, run->mod + first * h, d_qkv, n, FALSE, needed ? d_mod : NULL);
  if (needed)
    op_layernorm_mod_d(x + first * h, d_mod, n, h, run->modulation[which] + h, TRUE, d + first * h,
                       chunk(pass, run->d_modulation[which], 1), chunk(pass, run->d_modulation[which], 0));
}

void double_backward(const Pass *pass, int block, const float *x, float *d) {
  gint64 h = pass->run->transformer->shape.hidden;
  double_again(pass, block, x);
  for (int which = 0; which < STREAMS; which++)
    feed_backward(pass, block, which, d);
  attend_backward(pass, 3 * h, h);
  for (int which = 0; which < STREAMS; which++)
    project_backward(pass, block, which, x, d);
}

/* --- conditioning --- */

static void conditioning_clear(TransformerRun *run) {
  gsize h = (gsize)run->transformer->shape.hidden * sizeof(float);
  memset(run->d_modulation[IMAGE], 0, 6 * h);
  memset(run->d_modulation[TEXT], 0, 6 * h);
  memset(run->d_single_modulation, 0, 3 * h);
  memset(run->d_final_modulation, 0, 2 * h);
}

static void conditioning_backward(const Pass *pass) {
  TransformerRun *run = pass->run;
  const Transformer *network = run->transformer;
  gint64 h = network->shape.hidden;
  linear_backward(pass, &network->modulation[IMAGE], run->vec_active, run->d_modulation[IMAGE], 1, FALSE,
                  run->d_vec_active);
  linear_backward(pass, &network->modulation[TEXT], run->vec_active, run->d_modulation[TEXT], 1, TRUE,
                  run->d_vec_active);
  linear_backward(pass, &network->single_modulation, run->vec_active, run->d_single_modulation, 1, TRUE,
                  run->d_vec_active);
  linear_backward(pass, &network->final_modulation, run->vec_active, run->d_final_modulation, 1, TRUE,
                  run->d_vec_active);
  op_silu_d(run->vec, run->d_vec_active, h, FALSE, run->d_vec);
  linear_backward(pass, &network->time_out, run->time_active, run->d_vec, 1, FALSE, run->d_time_active);
  op_silu_d(run->time_hidden, run->d_time_active, h, FALSE, run->d_time_hidden);
  linear_backward(pass, &network->time_in, run->sinusoid, run->d_time_hidden, 1, FALSE, NULL);
  transformer_tap(run, run->d_modulation[IMAGE], 1, 6 * h, 0, "d.mod_img");
  transformer_tap(run, run->d_modulation[TEXT], 1, 6 * h, 0, "d.mod_txt");
  transformer_tap(run, run->d_single_modulation, 1, 3 * h, 0, "d.mod_single");
  transformer_tap(run, run->d_vec, 1, h, 0, "d.vec");
}

/* --- the whole --- */

static gboolean trains(const Transformer *network, const Lora *lora, const Linear *linear) {
  const LoraLayer *layer = lora ? lora_layer(lora, linear->name) : NULL;
  return network->trainable || (layer && (layer->d_a || layer->d_b));
}

static gboolean trains_conditioning(const Transformer *network, const Lora *lora) {
  return trains(network, lora, &network->modulation[IMAGE]) ||
         trains(network, lora, &network->modulation[TEXT]) ||
         trains(network, lora, &network->single_modulation) ||
         trains(network, lora, &network->final_modulation) || trains(network, lora, &network->time_in) ||
         trains(network, lora, &network->time_out);
}

static gboolean trains_input(const Transformer *network, const Lora *lora) {
  return trains(network, lora, &network->image_in) || trains(network, lora, &network->text_in);
}

void transformer_backward(TransformerRun *run, const TransformerInput *input, Lora *lora,
                          const float *d_velocity, float *d_text) {
  g_assert(run->training);
  const Transformer *network = run->transformer;
  const TransformerShape *shape = &network->shape;
  gint64 h = shape->hidden;
  Pass pass = {.run = run,
               .lora = lora,
               .n_text = input->n_text,
               .n_image = input->n_image,
               .n = input->n_text + input->n_image,
               .conditioning = trains_conditioning(network, lora)};
  pass.input = d_text || pass.conditioning || trains_input(network, lora) || run->taps;
  conditioning_clear(run);
  int block = (int)(shape->doubles + shape->singles);
  const float *image = run->kept[block] + input->n_text * h;
  float *d = run->d, *d_image = d + input->n_text * h;
  op_layernorm_mod(image, input->n_image, h, run->final_modulation + h, run->final_modulation, run->mod);
  linear_backward(&pass, &network->final, run->mod, d_velocity, input->n_image, FALSE, run->d_mod);
  memset(d, 0, sizeof *d * (gsize)(input->n_text * h));
  op_layernorm_mod_d(image, run->d_mod, input->n_image, h, run->final_modulation + h, FALSE, d_image,
                     chunk(&pass, run->d_final_modulation, 1), chunk(&pass, run->d_final_modulation, 0));
  for (int i = (int)shape->singles - 1; i >= 0; i--) {
    transformer_tap(run, d, pass.n, h, h, "d.single%d", i);
    single_backward(&pass, i, run->kept[--block], d);
  }
  for (int i = (int)shape->doubles - 1; i >= 0; i--) {
    transformer_tap_double(&pass, d, "d.", i);
    double_backward(&pass, i, run->kept[--block], d);
  }
  transformer_tap_streams(&pass, d, "d.", "txt_in", "img_in");
  if (pass.input) {
    linear_backward(&pass, &network->image_in, input->image, d_image, input->n_image, FALSE, NULL);
    linear_backward(&pass, &network->text_in, input->text, d, input->n_text, FALSE, d_text);
  }
  if (pass.conditioning)
    conditioning_backward(&pass);
}
