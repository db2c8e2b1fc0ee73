/* From noise to tokens: the shifted schedule, Euler's steps, guidance, references. */
#pragma once
#include "identity/network/lora.h"
#include "identity/sampling/noise.h"

/* sigmas [steps + 1]: 1 … 0 for a picture of `tokens` target tokens. shift > 0: that fixed shift instead of
 * the one computed from the size. */
void sampler_schedule(gint64 tokens, int steps, double shift, float *sigmas);

typedef struct {
  gint64 height, width; /* in tokens */
  int steps;
  double guidance;           /* 1: one pass a step */
  double shift;              /* 0: from the size */
  const float *text, *empty; /* [n_text, context]; empty only where guidance is not 1 */
  gint64 n_text;
  const float *references;            /* tokens of all references, one after the other, or NULL */
  const gint64 (*reference_sizes)[2]; /* height, width in tokens */
  int reference_count;
  int skip; /* of the steps, the first so many are left out: x is a picture's tokens x0 mixed with noise e as
             * (1 - σ) x0 + σ e, σ = sigmas[skip] */
} SamplerInput;

/* x [height · width, channels]: noise at first, the picture's tokens at the end. step is called before each
 * (may be NULL); FALSE from it ends with FAULT_CANCELLED. The run must have room for target, references and
 * text. FAULT_NETWORK where the network's result is not finite. */
typedef gboolean (*SamplerStep)(int step, int steps, const float *x, gpointer user);
gboolean sampler_run(TransformerRun *run, const Transformer *transformer, const Lora *lora,
                     const SamplerInput *input, float *x, SamplerStep step, gpointer user, GError **error);
