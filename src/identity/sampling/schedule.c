/* The noise levels at which the sampler stops on its way: evenly spaced times, shifted towards the noise by a
 * factor f: σ = f·s / (1 + (f - 1)·s). FLUX.2 takes f = e^μ from the number of tokens and steps. */
#include "identity/sampling/sampler.h"
#include <math.h>

/* FLUX.2's empirical μ: two lines in the number of tokens, at 10 and at 200 steps, between which the number
 * of steps interpolates (BFL, flux2/sampling.py). */
#define MU_10_SLOPE 8.73809524e-5
#define MU_10_OFFSET 1.89833333
#define MU_200_SLOPE 1.6927e-4
#define MU_200_OFFSET .45666666
#define MU_MANY_TOKENS 4300

static double schedule_mu(gint64 tokens, int steps) {
  double at_10 = MU_10_SLOPE * (double)tokens + MU_10_OFFSET;
  double at_200 = MU_200_SLOPE * (double)tokens + MU_200_OFFSET;
  if (tokens > MU_MANY_TOKENS)
    return at_200;
  double slope = (at_200 - at_10) / 190;
  return slope * steps + (at_200 - 200 * slope);
}

void sampler_schedule(gint64 tokens, int steps, double shift, float *sigmas) {
  double factor = shift > 0 ? shift : exp(schedule_mu(tokens, steps));
  for (int i = 0; i < steps; i++) {
    double s = 1 - (double)i / steps;
    sigmas[i] = (float)(factor * s / (1 + (factor - 1) * s));
  }
  sigmas[steps] = 0;
}
