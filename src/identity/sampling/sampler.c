/* Euler's method from σ = 1 to 0: x += (σ' - σ)·v(x, σ). With guidance the velocity is that of the empty
 * prompt plus g times what the prompt adds to it. References follow the target's tokens in every pass and
 * stay as they are; what the network says about them is thrown away. */
#include "identity/sampling/sampler.h"
#include <math.h>
#include <string.h>

#define REFERENCE_TIME_STEP 10 /* between the t of one reference and the next */

/* --- one run --- */

typedef struct {
  gint64 n_target, n_image, channels;
  float *image, *velocity, *guided; /* guided: of the empty prompt */
  TokenId *image_ids, *text_ids;
} Sampling;

static void sampling_clear(Sampling *sampling) {
  g_free(sampling->image);
  g_free(sampling->velocity);
  g_free(sampling->guided);
  g_free(sampling->image_ids);
  g_free(sampling->text_ids);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sampling, sampling_clear)

static TokenId *place_grid(TokenId *ids, gint32 t, gint64 height, gint64 width) {
  for (gint64 row = 0; row < height; row++)
    for (gint64 column = 0; column < width; column++, ids++) {
      (*ids)[0] = t;
      (*ids)[1] = (gint32)row;
      (*ids)[2] = (gint32)column;
      (*ids)[3] = 0;
    }
  return ids;
}

static void sampling_prepare(Sampling *sampling, const SamplerInput *input, gint64 channels) {
  gint64 references = 0;
  for (int i = 0; i < input->reference_count; i++)
    references += input->reference_sizes[i][0] * input->reference_sizes[i][1];
  sampling->channels = channels;
  sampling->n_target = input->height * input->width;
  sampling->n_image = sampling->n_target + references;
  gsize count = (gsize)(sampling->n_image * channels);
  sampling->image = g_new(float, count);
  sampling->velocity = g_new(float, count);
  if (input->guidance != 1)
    sampling->guided = g_new(float, count);
  sampling->image_ids = g_new(TokenId, (gsize)sampling->n_image);
  sampling->text_ids = g_new0(TokenId, (gsize)input->n_text);
  if (references)
    memcpy(sampling->image + sampling->n_target * channels, input->references,
           sizeof(float) * (gsize)(references * channels));
  TokenId *ids = place_grid(sampling->image_ids, 0, input->height, input->width);
  for (int i = 0; i < input->reference_count; i++)
    ids = place_grid(ids, REFERENCE_TIME_STEP * (i + 1), input->reference_sizes[i][0],
                     input->reference_sizes[i][1]);
  for (gint64 i = 0; i < input->n_text; i++)
    sampling->text_ids[i][3] = (gint32)i;
}

/* The velocity at x, guided, in sampling->velocity. */
static void sampling_velocity(Sampling *sampling, TransformerRun *run, const Lora *lora,
                              const SamplerInput *input, const float *x, double t) {
  gint64 count = sampling->n_target * sampling->channels;
  memcpy(sampling->image, x, sizeof(float) * (gsize)count);
  TransformerInput pass = {.n_image = sampling->n_image,
                           .n_target = sampling->n_target,
                           .n_text = input->n_text,
                           .image = sampling->image,
                           .image_ids = (const TokenId *)sampling->image_ids,
                           .text = input->text,
                           .text_ids = (const TokenId *)sampling->text_ids,
                           .t = t};
  transformer_forward(run, &pass, lora, sampling->velocity);
  if (!sampling->guided)
    return;
  pass.text = input->empty;
  transformer_forward(run, &pass, lora, sampling->guided);
  float guidance = (float)input->guidance;
  for (gint64 i = 0; i < count; i++)
    sampling->velocity[i] = sampling->guided[i] + guidance * (sampling->velocity[i] - sampling->guided[i]);
}

gboolean sampler_run(TransformerRun *run, const Transformer *transformer, const Lora *lora,
                     const SamplerInput *input, float *x, SamplerStep step, gpointer user, GError **error) {
  g_auto(Sampling) sampling = {0};
  sampling_prepare(&sampling, input, transformer_shape(transformer)->channels);
  gint64 count = sampling.n_target * sampling.channels;
  g_autofree float *sigmas = g_new(float, (gsize)input->steps + 1);
  sampler_schedule(sampling.n_target, input->steps, input->shift, sigmas);
  for (int i = input->skip; i < input->steps; i++) {
    if (step && !step(i, input->steps, x, user))
      return fault(error, FAULT_CANCELLED, "The picture was cancelled at step %d of %d.", i, input->steps);
    sampling_velocity(&sampling, run, lora, input, x, (double)sigmas[i]);
    float change = sigmas[i + 1] - sigmas[i];
    double sum = 0;
    for (gint64 j = 0; j < count; j++) {
      x[j] += change * sampling.velocity[j];
      sum += (double)x[j];
    }
    if (!isfinite(sum))
      return fault(error, FAULT_NETWORK,
                   "The network's result is not a number at step %d of %d: its weights or the adapter's are "
                   "damaged. Fetch them again.",
                   i + 1, input->steps);
  }
  return TRUE;
}
