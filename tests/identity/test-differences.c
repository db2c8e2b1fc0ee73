/* On small networks of random shapes and weights: the forward is that of the plain one in double precision,
 * and every gradient agrees with central differences of it along random directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "identity/network/lora.h"
#include "identity/sampling/noise.h"
#include "plain.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHAPES 24
#define STEP 1e-4               /* of a difference, along a direction of unit length */
#define FORWARD_TOLERANCE 1e-5  /* of the largest output */
#define GRADIENT_TOLERANCE 5e-5 /* of the gradient's norm */

typedef struct {
  Transformer *transformer;
  TransformerInput input;
  float *image, *text, *functional; /* functional: the loss is its product with the output */
  TokenId *ids;
} Problem;

static void problem_clear(Problem *problem) {
  transformer_free(problem->transformer);
  g_free(problem->image);
  g_free(problem->text);
  g_free(problem->functional);
  g_free(problem->ids);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Problem, problem_clear)

static float *normal(guint64 seed, guint64 stream, gint64 count) {
  float *out = g_new(float, (gsize)count + 1);
  noise_fill(seed, stream, count, out);
  return out;
}

/* One of the shapes: blocks of one kind only, no text, a single token, odd widths, all occur. */
static void problem_make(Problem *problem, GRand *rand, guint64 seed) {
  gint64 heads = g_rand_int_range(rand, 1, 4), head = 8 * g_rand_int_range(rand, 1, 4);
  gint64 doubles = g_rand_int_range(rand, 0, 3), singles = g_rand_int_range(rand, doubles ? 0 : 1, 3);
  TransformerShape shape = {.hidden = heads * head,
                            .head = head,
                            .mlp = g_rand_int_range(rand, 3, 70),
                            .context = g_rand_int_range(rand, 1, 40),
                            .channels = g_rand_int_range(rand, 1, 30),
                            .doubles = doubles,
                            .singles = singles};
  g_autoptr(GError) error = NULL;
  problem->transformer = transformer_new(&shape, DTYPE_F32, TRUE, seed, &error);
  must(problem->transformer);
  gint64 n_image = g_rand_int_range(rand, 1, 12), n_text = g_rand_int_range(rand, 0, 8);
  problem->image = normal(seed, 1000, n_image * shape.channels);
  problem->text = normal(seed, 1001, n_text * shape.context);
  problem->functional = normal(seed, 1002, n_image * shape.channels);
  problem->ids = g_new(TokenId, (gsize)(n_image + n_text));
  for (gint64 i = 0; i < 4 * (n_image + n_text); i++)
    problem->ids[i / 4][i % 4] = g_rand_int_range(rand, 0, 30);
  problem->input = (TransformerInput){n_image,
                                      n_image,
                                      n_text,
                                      problem->image,
                                      (const TokenId *)problem->ids,
                                      problem->text,
                                      (const TokenId *)problem->ids + n_image,
                                      g_rand_double(rand)};
  g_autoptr(GArray) parameters = transformer_parameters(problem->transformer);
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    gint64 count = parameter->rows * parameter->cols;
    noise_fill(seed, 2000 + i, count, parameter->value);
    for (gint64 k = 0; k < count; k++)
      parameter->value[k] = parameter->rows == 1 ? 1 + parameter->value[k] / 3
                                                 : parameter->value[k] / sqrtf((float)parameter->cols);
  }
}

static double plain_loss(const Problem *problem, PlainWeights *weights, const TransformerInput *input) {
  const TransformerShape *shape = transformer_shape(problem->transformer);
  gint64 count = input->n_image * shape->channels;
  g_autofree double *velocity = g_new(double, (gsize)count);
  plain_forward(shape, weights, input, velocity);
  double loss = 0;
  for (gint64 i = 0; i < count; i++)
    loss += velocity[i] * problem->functional[i];
  return loss;
}

static double norm_of(const float *x, gint64 count) {
  double sum = 0;
  for (gint64 i = 0; i < count; i++)
    sum += (double)x[i] * x[i];
  return sqrt(sum);
}

/* How far the gradient's product with a random direction is from the difference, as a share of the gradient's
 * norm. The direction has the gradient's own in it, so that the product is not near zero. */
static double off_by(const Problem *problem, PlainWeights *weights, double *value, const float *gradient,
                     gint64 count, guint64 seed) {
  g_autofree float *direction = normal(seed, 3000, count);
  double norm = norm_of(gradient, count), length = norm_of(direction, count), along = 0;
  g_autofree double *original = g_memdup2(value, sizeof *value * (gsize)count),
                    *unit = g_new(double, (gsize)count);
  for (gint64 i = 0; i < count; i++) {
    unit[i] = (direction[i] / length + (norm > 0 ? gradient[i] / norm : 0)) / 2;
    along += unit[i] * gradient[i];
  }
  double losses[2];
  for (int side = 0; side < 2; side++) {
    for (gint64 i = 0; i < count; i++)
      value[i] = original[i] + (side ? STEP : -STEP) * unit[i];
    losses[side] = plain_loss(problem, weights, &problem->input);
  }
  memcpy(value, original, sizeof *value * (gsize)count);
  double difference = (losses[1] - losses[0]) / (2 * STEP);
  return fabs(difference - along) / MAX(norm, 1e-6);
}

static void forward_and_backward(const Problem *problem, Lora *lora, float *velocity, float *d_text) {
  g_autoptr(GError) error = NULL;
  g_autoptr(TransformerRun) run = transformer_run_new(problem->transformer, problem->input.n_image,
                                                      problem->input.n_text, TRUE, ARITHMETIC_F32, &error);
  must(run);
  transformer_forward(run, &problem->input, lora, velocity);
  transformer_backward(run, &problem->input, lora, problem->functional, d_text);
}

static void all_weights_agree_with_differences(void **state) {
  g_autoptr(GRand) rand = g_rand_new_with_seed(4);
  double worst_forward = 0, worst = 0;
  for (guint64 seed = 0; seed < SHAPES; seed++) {
    g_auto(Problem) problem = {0};
    problem_make(&problem, rand, seed);
    const TransformerShape *shape = transformer_shape(problem.transformer);
    gint64 count = problem.input.n_image * shape->channels;
    g_autofree float *velocity = g_new(float, (gsize)count);
    g_autofree double *expected = g_new(double, (gsize)count);
    g_autoptr(GArray) parameters = transformer_parameters(problem.transformer);
    g_autoptr(PlainWeights) weights = plain_weights(parameters);
    forward_and_backward(&problem, NULL, velocity, NULL);
    plain_forward(shape, weights, &problem.input, expected);
    double largest = 0, furthest = 0;
    for (gint64 i = 0; i < count; i++) {
      largest = fmax(largest, fabs(expected[i]));
      furthest = fmax(furthest, fabs(expected[i] - velocity[i]));
    }
    worst_forward = fmax(worst_forward, furthest / largest);
    for (guint i = 0; i < parameters->len; i++) {
      const Parameter *parameter = &g_array_index(parameters, Parameter, i);
      double *value = g_hash_table_lookup(weights, parameter->name);
      double off =
          off_by(&problem, weights, value, parameter->gradient, parameter->rows * parameter->cols, seed);
      if (!(off <= GRADIENT_TOLERANCE))
        fail_msg("shape %d: the gradient of %s is off by %g of its norm", (int)seed, parameter->name, off);
      worst = fmax(worst, off);
    }
  }
  printf("  %d shapes: outputs off by %.1e (at most %.0e), gradients by %.1e of their norm (at most %.0e)\n",
         SHAPES, worst_forward, FORWARD_TOLERANCE, worst, GRADIENT_TOLERANCE);
  assert_true(worst_forward <= FORWARD_TOLERANCE);
}

/* W + s B A for one layer, in double. */
static void merge(PlainWeights *weights, const LoraLayer *layer, const double *original, const double *a,
                  const double *b, double scale) {
  g_autofree char *name = g_strconcat(layer->name, ".weight", NULL);
  double *merged = g_hash_table_lookup(weights, name);
  for (gint64 row = 0; row < layer->out; row++)
    for (gint64 col = 0; col < layer->in; col++) {
      double sum = 0;
      for (gint64 k = 0; k < layer->rank; k++)
        sum += b[row * layer->rank + k] * a[k * layer->in + col];
      merged[row * layer->in + col] = original[row * layer->in + col] + scale * sum;
    }
}

static double *widened(const float *x, gint64 count) {
  double *y = g_new(double, (gsize)count);
  for (gint64 i = 0; i < count; i++)
    y[i] = x[i];
  return y;
}

/* d loss / dA and d loss / dB of one layer along themselves, by merging and differences. */
static double adapter_off_by(const Problem *problem, PlainWeights *weights, const LoraLayer *layer,
                             double scale) {
  g_autofree char *name = g_strconcat(layer->name, ".weight", NULL);
  double *merged = g_hash_table_lookup(weights, name), worst = 0;
  gint64 counts[] = {layer->rank * layer->in, layer->out * layer->rank};
  const float *gradients[] = {layer->d_a, layer->d_b}, *values[] = {layer->a, layer->b};
  g_autofree double *kept = g_memdup2(merged, sizeof *merged * (gsize)(layer->out * layer->in));
  g_autofree double *original = g_memdup2(merged, sizeof *merged * (gsize)(layer->out * layer->in));
  g_autofree double *a = widened(values[0], counts[0]), *b = widened(values[1], counts[1]);
  merge(weights, layer, original, a, b, -scale);
  memcpy(original, merged, sizeof *merged * (gsize)(layer->out * layer->in));
  for (int which = 0; which < 2; which++) {
    double *moved = which ? b : a, norm = norm_of(gradients[which], counts[which]), losses[2];
    for (int side = 0; side < 2; side++) {
      for (gint64 i = 0; i < counts[which]; i++)
        moved[i] = values[which][i] + (side ? STEP : -STEP) * gradients[which][i] / norm;
      merge(weights, layer, original, a, b, scale);
      losses[side] = plain_loss(problem, weights, &problem->input);
    }
    for (gint64 i = 0; i < counts[which]; i++)
      moved[i] = values[which][i];
    worst = fmax(worst, fabs((losses[1] - losses[0]) / (2 * STEP) / norm - 1));
  }
  memcpy(merged, kept, sizeof *merged * (gsize)(layer->out * layer->in));
  return worst;
}

static void adapters_agree_with_differences(void **state) {
  g_autoptr(GRand) rand = g_rand_new_with_seed(5);
  double worst = 0;
  for (guint64 seed = 100; seed < 100 + SHAPES / 2; seed++) {
    g_auto(Problem) problem = {0};
    g_autoptr(GError) error = NULL;
    problem_make(&problem, rand, seed);
    g_autoptr(Lora) lora = lora_new(problem.transformer, 1 + g_rand_int_range(rand, 0, 5), seed, &error);
    must(lora);
    lora->strength = .7f;
    g_autoptr(GArray) parameters = transformer_parameters(problem.transformer);
    g_autoptr(PlainWeights) weights = plain_weights(parameters);
    for (guint i = 0; i < lora->layers->len; i++) {
      LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
      layer->scale = 1.5f;
      noise_fill(seed, 4000 + i, layer->out * layer->rank, layer->b);
      for (gint64 k = 0; k < layer->out * layer->rank; k++)
        layer->b[k] *= .3f;
      g_autofree char *name = g_strconcat(layer->name, ".weight", NULL);
      g_autofree double *original =
          g_memdup2(g_hash_table_lookup(weights, name), sizeof(double) * (gsize)(layer->out * layer->in));
      g_autofree double *a = widened(layer->a, layer->rank * layer->in),
                        *b = widened(layer->b, layer->out * layer->rank);
      merge(weights, layer, original, a, b, (double)(layer->scale * lora->strength));
    }
    g_autofree float *velocity =
        g_new(float, (gsize)(problem.input.n_image * transformer_shape(problem.transformer)->channels));
    forward_and_backward(&problem, lora, velocity, NULL);
    for (guint i = 0; i < lora->layers->len; i++) {
      const LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
      /* Text that no image token sees any more, or that is not there, moves nothing. */
      if (norm_of(layer->d_a, layer->rank * layer->in) < 1e-6)
        continue;
      double off = adapter_off_by(&problem, weights, layer, (double)(layer->scale * lora->strength));
      if (!(off <= GRADIENT_TOLERANCE))
        fail_msg("shape %d: the gradient of %s is off by %g of its norm", (int)seed, layer->name, off);
      worst = fmax(worst, off);
    }
  }
  printf("  adapters of %d shapes: off by %.1e (at most %.0e)\n", SHAPES / 2, worst, GRADIENT_TOLERANCE);
}

/* The text's gradient, along itself. */
static void text_agrees_with_differences(void **state) {
  g_autoptr(GRand) rand = g_rand_new_with_seed(6);
  double worst = 0;
  for (guint64 seed = 200; seed < 200 + SHAPES / 2; seed++) {
    g_auto(Problem) problem = {0};
    problem_make(&problem, rand, seed);
    const TransformerShape *shape = transformer_shape(problem.transformer);
    gint64 count = problem.input.n_text * shape->context;
    g_autofree float *velocity = g_new(float, (gsize)(problem.input.n_image * shape->channels)),
                     *d_text = g_new(float, (gsize)count + 1), *moved = g_new(float, (gsize)count + 1);
    g_autoptr(GArray) parameters = transformer_parameters(problem.transformer);
    g_autoptr(PlainWeights) weights = plain_weights(parameters);
    forward_and_backward(&problem, NULL, velocity, d_text);
    double norm = norm_of(d_text, count), losses[2], along = 0;
    if (count == 0 || norm < 1e-6)
      continue;
    /* Positions are rounded to fp32: the step is larger, and what was really done is what counts. */
    for (int side = 0; side < 2; side++) {
      double done = 0;
      for (gint64 i = 0; i < count; i++) {
        moved[i] = problem.text[i] + (float)((side ? 30 : -30) * STEP * d_text[i] / norm);
        done += ((double)moved[i] - problem.text[i]) * d_text[i];
      }
      TransformerInput input = problem.input;
      input.text = moved;
      losses[side] = plain_loss(&problem, weights, &input);
      along += side ? done : -done;
    }
    worst = fmax(worst, fabs((losses[1] - losses[0]) / along - 1));
  }
  printf("  text: off by %.1e (at most 1e-3)\n", worst);
  assert_true(worst <= 1e-3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_weights_agree_with_differences),
      cmocka_unit_test(adapters_agree_with_differences),
      cmocka_unit_test(text_agrees_with_differences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
