/* One sample at a time: noise, the pass, the difference to the target, the pass back. Batches are sums over
 * samples, since the samples of one batch may have different sizes. */
#include "identity/training/flow_loss.h"

#include "identity/sampling/noise.h"
#include <math.h>
#include <string.h>

/* kohya-ss/musubi-tuner's "flux2_shift". */
#define SHIFT_TOKENS_LOW 256.0
#define SHIFT_TOKENS_HIGH 4096.0
#define SHIFT_LOW .5
#define SHIFT_HIGH 1.15

const FlowTimes flow_times_flux = {.mean = 0, .deviation = 1, .shifted = TRUE};
const FlowTimes flow_times_small = {.mean = .5, .deviation = 1, .uniform = .1};

struct FlowLoss {
  TransformerRun *run;
  gint64 channels;
  float *noise, *image, *velocity, *target; /* [n_image, channels] */
  TokenId *image_ids, *text_ids;
};

static guint64 stream_of(guint64 draw, int stream) {
  return draw * FLOW_STREAMS + (guint64)stream;
}

double flow_uniform(guint64 seed, guint64 draw, int stream) {
  float u;
  noise_uniform(seed, stream_of(draw, stream), 1, &u);
  return (double)u;
}

double flow_time(const FlowTimes *times, gint64 tokens, guint64 seed, guint64 draw) {
  float normal, uniform[2];
  noise_fill(seed, stream_of(draw, FLOW_TIME), 1, &normal);
  noise_uniform(seed, stream_of(draw, FLOW_UNIFORM), 2, uniform);
  double u = (double)uniform[0] < times->uniform
                 ? (double)uniform[1]
                 : 1 / (1 + exp(-(times->mean + times->deviation * (double)normal)));
  if (!times->shifted)
    return u;
  double slope = (SHIFT_HIGH - SHIFT_LOW) / (SHIFT_TOKENS_HIGH - SHIFT_TOKENS_LOW);
  double shift = exp(SHIFT_LOW + ((double)tokens - SHIFT_TOKENS_LOW) * slope);
  return shift * u / (1 + (shift - 1) * u);
}

/* --- memory --- */

gint64 flow_bytes(const TransformerShape *shape, gint64 n_image, gint64 n_text) {
  return 4 * n_image * shape->channels * (gint64)sizeof(float) + (n_image + n_text) * (gint64)sizeof(TokenId);
}

FlowLoss *flow_new(TransformerRun *run, const TransformerShape *shape, gint64 n_image, gint64 n_text) {
  FlowLoss *flow = g_new0(FlowLoss, 1);
  gsize count = (gsize)(n_image * shape->channels);
  flow->run = run;
  flow->channels = shape->channels;
  flow->noise = g_new(float, count);
  flow->image = g_new(float, count);
  flow->velocity = g_new(float, count);
  flow->target = g_new(float, count);
  flow->image_ids = g_new0(TokenId, (gsize)n_image);
  flow->text_ids = g_new0(TokenId, (gsize)n_text);
  for (gint64 i = 0; i < n_text; i++)
    flow->text_ids[i][3] = (gint32)i;
  return flow;
}

void flow_free(FlowLoss *flow) {
  if (!flow)
    return;
  g_free(flow->noise);
  g_free(flow->image);
  g_free(flow->velocity);
  g_free(flow->target);
  g_free(flow->image_ids);
  g_free(flow->text_ids);
  g_free(flow);
}

/* --- passes --- */

/* x_t in flow->image, e - x0 in flow->target. */
static TransformerInput prepare(FlowLoss *flow, const FlowSample *sample) {
  gint64 tokens = sample->height * sample->width, count = tokens * flow->channels;
  noise_fill(sample->seed, stream_of(sample->draw, FLOW_NOISE), count, flow->noise);
  float t = (float)sample->t, rest = (float)(1 - sample->t);
  for (gint64 i = 0; i < count; i++) {
    flow->image[i] = rest * sample->tokens[i] + t * flow->noise[i];
    flow->target[i] = flow->noise[i] - sample->tokens[i];
  }
  for (gint64 i = 0; i < tokens; i++) {
    flow->image_ids[i][1] = (gint32)(i / sample->width);
    flow->image_ids[i][2] = (gint32)(i % sample->width);
  }
  return (TransformerInput){.n_image = tokens,
                            .n_target = tokens,
                            .n_text = sample->n_text,
                            .image = flow->image,
                            .image_ids = (const TokenId *)flow->image_ids,
                            .text = sample->text,
                            .text_ids = (const TokenId *)flow->text_ids,
                            .t = sample->t};
}

/* The loss; flow->velocity becomes the gradient of scale · loss. */
static double difference(FlowLoss *flow, const FlowSample *sample, double scale) {
  gint64 tokens = sample->height * sample->width;
  double sum = 0, share = 1 / (double)(tokens * flow->channels);
  for (gint64 i = 0; i < tokens; i++) {
    double weight = sample->weights ? (double)sample->weights[i] : 1, square = 0;
    float *velocity = flow->velocity + i * flow->channels;
    const float *target = flow->target + i * flow->channels;
    float slope = (float)(2 * scale * share * weight);
    for (gint64 k = 0; k < flow->channels; k++) {
      float by = velocity[k] - target[k];
      square += (double)by * (double)by;
      velocity[k] = slope * by;
    }
    sum += weight * square;
  }
  return sum * share;
}

double flow_loss(FlowLoss *flow, const FlowSample *sample, const Lora *lora) {
  TransformerInput input = prepare(flow, sample);
  transformer_forward(flow->run, &input, lora, flow->velocity);
  return difference(flow, sample, 0);
}

static double backward(FlowLoss *flow, const TransformerInput *input, const FlowSample *sample, Lora *lora,
                       double scale) {
  transformer_forward(flow->run, input, lora, flow->velocity);
  double loss = difference(flow, sample, scale);
  if (isfinite(loss))
    transformer_backward(flow->run, input, lora, flow->velocity, NULL);
  return loss;
}

double flow_backward(FlowLoss *flow, const FlowSample *sample, Lora *lora, double scale) {
  TransformerInput input = prepare(flow, sample);
  return backward(flow, &input, sample, lora, scale);
}

double flow_preserve(FlowLoss *flow, const FlowSample *sample, Lora *lora, double scale) {
  TransformerInput input = prepare(flow, sample);
  transformer_forward(flow->run, &input, NULL, flow->target);
  return backward(flow, &input, sample, lora, scale);
}
