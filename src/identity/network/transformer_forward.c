/* Forward: the conditioning vector, the blocks one after the other on one stream of tokens (text first), and
 * the last projection. Nothing is allocated here. */
#include "identity/network/transformer_private.h"

#include <math.h>
#include <string.h>

/* --- layers --- */

/* y[n, out] += scale · (x · Aᵀ) · Bᵀ, some ranks at a time. */
static void adapter_forward(const Pass *pass, const LoraLayer *layer, const float *x, gint64 n, float *y) {
  float *low = pass->run->low;
  for (gint64 first = 0; first < layer->rank; first += LORA_CHUNK) {
    gint64 ranks = MIN(LORA_CHUNK, layer->rank - first);
    op_gemm(FALSE, TRUE, n, ranks, layer->in, 1, x, layer->in, layer->a + first * layer->in, layer->in, 0,
            low, ranks);
    op_gemm(FALSE, TRUE, n, layer->out, ranks, layer->scale * pass->lora->strength, low, ranks,
            layer->b + first, layer->rank, 1, y, layer->out);
  }
}

void linear_forward(const Pass *pass, const Linear *linear, const float *x, gint64 n, float *y) {
  if (n == 0)
    return;
  op_linear(x, n, &linear->weights, pass->run->arithmetic, y);
  const LoraLayer *layer = pass->lora ? lora_layer(pass->lora, linear->name) : NULL;
  if (layer)
    adapter_forward(pass, layer, x, n, y);
}

/* --- conditioning --- */

/* Angles in double: in fp32 they would be off by 4e-5. */
static void fill_sinusoid(double t, float *out) {
  for (int k = 0; k < TIME_WIDTH / 2; k++) {
    double angle = 1000 * t * exp(-log(10000.0) * k / (TIME_WIDTH / 2.0));
    out[k] = (float)cos(angle);
    out[k + TIME_WIDTH / 2] = (float)sin(angle);
  }
}

static void condition(const Pass *pass, double t) {
  TransformerRun *run = pass->run;
  const Transformer *network = run->transformer;
  gint64 h = network->shape.hidden;
  fill_sinusoid(t, run->sinusoid);
  linear_forward(pass, &network->time_in, run->sinusoid, 1, run->time_hidden);
  op_silu(run->time_hidden, h, run->time_active);
  linear_forward(pass, &network->time_out, run->time_active, 1, run->vec);
  op_silu(run->vec, h, run->vec_active);
  linear_forward(pass, &network->modulation[IMAGE], run->vec_active, 1, run->modulation[IMAGE]);
  linear_forward(pass, &network->modulation[TEXT], run->vec_active, 1, run->modulation[TEXT]);
  linear_forward(pass, &network->single_modulation, run->vec_active, 1, run->single_modulation);
  linear_forward(pass, &network->final_modulation, run->vec_active, 1, run->final_modulation);
  transformer_tap(run, run->sinusoid, 1, TIME_WIDTH, 0, "temb");
  transformer_tap(run, run->vec, 1, h, 0, "vec");
  transformer_tap(run, run->modulation[IMAGE], 1, 6 * h, 0, "mod_img");
  transformer_tap(run, run->modulation[TEXT], 1, 6 * h, 0, "mod_txt");
  transformer_tap(run, run->single_modulation, 1, 3 * h, 0, "mod_single");
  transformer_tap(run, run->final_modulation, 1, 2 * h, 0, "mod_final");
}

/* A quarter of each head for each of the four coordinates. */
static void fill_angles(const TokenId *ids, gint64 n, gint64 head, float *cosine, float *sine) {
  gint64 pairs = head / 8; /* of one axis */
#pragma omp parallel for schedule(static)
  for (gint64 i = 0; i < n; i++)
    for (gint64 axis = 0; axis < 4; axis++)
      for (gint64 j = 0; j < pairs; j++) {
        double angle = ids[i][axis] * pow(ROPE_THETA, -(double)j / (double)pairs);
        gint64 at = i * (head / 2) + axis * pairs + j;
        cosine[at] = (float)cos(angle);
        sine[at] = (float)sin(angle);
      }
}

static void prepare(const Pass *pass, const TransformerInput *input) {
  TransformerRun *run = pass->run;
  gint64 head = run->transformer->shape.head, half = head / 2;
  condition(pass, input->t);
  fill_angles(input->text_ids, input->n_text, head, run->cos, run->sin);
  fill_angles(input->image_ids, input->n_image, head, run->cos + input->n_text * half,
              run->sin + input->n_text * half);
  transformer_tap(run, run->cos, pass->n, half, half, "rope_cos");
  transformer_tap(run, run->sin, pass->n, half, half, "rope_sin");
}

/* --- the whole --- */

void transformer_tap_streams(const Pass *pass, const float *x, const char *prefix, const char *text,
                             const char *image) {
  gint64 h = pass->run->transformer->shape.hidden;
  transformer_tap(pass->run, x, pass->n_text, h, h, "%s%s", prefix, text);
  transformer_tap(pass->run, x + pass->n_text * h, pass->n_image, h, h, "%s%s", prefix, image);
}

void transformer_tap_double(const Pass *pass, const float *x, const char *prefix, int block) {
  if (!pass->run->taps)
    return;
  g_autofree char *text = g_strdup_printf("double%d.txt", block),
                  *image = g_strdup_printf("double%d.img", block);
  transformer_tap_streams(pass, x, prefix, text, image);
}

/* Where the stream of block + 1 is: a copy where the block's input must be kept. */
static float *next_state(const Pass *pass, int block) {
  TransformerRun *run = pass->run;
  if (!run->training)
    return run->kept[0];
  gsize bytes = sizeof(float) * (gsize)(pass->n * run->transformer->shape.hidden);
  return memcpy(run->kept[block + 1], run->kept[block], bytes);
}

void transformer_forward(TransformerRun *run, const TransformerInput *input, const Lora *lora,
                         float *velocity) {
  g_assert(input->n_image <= run->n_image && input->n_text <= run->n_text);
  const Transformer *network = run->transformer;
  const TransformerShape *shape = &network->shape;
  gint64 h = shape->hidden;
  Pass pass = {.run = run,
               .lora = lora,
               .n_text = input->n_text,
               .n_image = input->n_image,
               .n = input->n_text + input->n_image};
  prepare(&pass, input);
  float *x = run->kept[0];
  linear_forward(&pass, &network->text_in, input->text, input->n_text, x);
  linear_forward(&pass, &network->image_in, input->image, input->n_image, x + input->n_text * h);
  transformer_tap_streams(&pass, x, "", "txt_in", "img_in");
  int block = 0;
  for (int i = 0; i < shape->doubles; i++) {
    x = next_state(&pass, block++);
    double_forward(&pass, i, x);
    transformer_tap_double(&pass, x, "", i);
  }
  for (int i = 0; i < shape->singles; i++) {
    x = next_state(&pass, block++);
    single_forward(&pass, i, x);
    transformer_tap(run, x, pass.n, h, h, "single%d", i);
  }
  op_layernorm_mod(x + input->n_text * h, input->n_image, h, run->final_modulation + h, run->final_modulation,
                   run->mod);
  transformer_tap(run, run->mod, input->n_image, h, h, "final_mod");
  linear_forward(&pass, &network->final, run->mod, input->n_image, velocity);
}
