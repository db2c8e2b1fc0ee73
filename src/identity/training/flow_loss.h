/* Flow matching (Lipman et al., 2023, "Flow matching for generative modeling"; the rectified form of Esser et
 * al., 2024): between a picture x0 and noise e lies x_t = (1 - t) x0 + t e, and the network learns the
 * velocity e - x0.
 *
 * All that is random comes from counters: the same seed and draw give the same time and the same noise,
 * whatever was drawn before. Draw n owns the streams FLOW_STREAMS · n … of its seed.
 *
 *   FlowSample sample = {.height = 8, .width = 8, .tokens = tokens, .text = features, .n_text = 24,
 *                        .t = flow_time(&flow_times_flux, 64, seed, draw), .seed = seed, .draw = draw};
 *   double loss = flow_backward(flow, &sample, lora, 1.0 / batch);
 */
#pragma once
#include "identity/network/lora.h"

/* How times are chosen: the sigmoid of a normal number, uniform for a share of the samples, shifted towards
 * noise by the picture's size. */
typedef struct {
  double mean, deviation; /* of the normal number */
  double uniform;         /* share, 0..1 */
  gboolean shifted; /* t = e^µ u / (1 + (e^µ - 1) u), µ linear in the tokens: .5 at 256, 1.15 at 4096 */
} FlowTimes;
extern const FlowTimes flow_times_flux;  /* sigmoid(N(0, 1)), shifted */
extern const FlowTimes flow_times_small; /* sigmoid(N(.5, 1)), a tenth uniform */

double flow_time(const FlowTimes *times, gint64 tokens, guint64 seed, guint64 draw);

/* Streams of a draw, for those who need more random numbers beside: FLOW_STREAMS · draw + FLOW_FREE … */
enum { FLOW_NOISE, FLOW_TIME, FLOW_UNIFORM, FLOW_FREE, FLOW_STREAMS = 8 };
/* A uniform number of one of them. */
double flow_uniform(guint64 seed, guint64 draw, int stream);

typedef struct {
  gint64 height, width; /* in tokens */
  const float *tokens;  /* x0 [height · width, channels] */
  const float *weights; /* of each token in the loss [height · width], mean 1; or NULL */
  const float *text;    /* [n_text, context] */
  gint64 n_text;
  double t;
  guint64 seed, draw; /* of the noise */
} FlowSample;

/* The memory of such passes. The run must have room for the samples and belong to a training (flow_loss alone
 * does not need that); it stays the caller's. */
typedef struct FlowLoss FlowLoss;
FlowLoss *flow_new(TransformerRun *run, const TransformerShape *shape, gint64 n_image, gint64 n_text);
void flow_free(FlowLoss *flow);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FlowLoss, flow_free)
gint64 flow_bytes(const TransformerShape *shape, gint64 n_image, gint64 n_text);

/* The mean over tokens and channels of weight · (v - (e - x0))². */
double flow_loss(FlowLoss *flow, const FlowSample *sample, const Lora *lora);
/* The same, and the gradients of scale · loss are added to those of the LoRA and of a trainable transformer.
 * Nothing is added where the loss is not finite. */
double flow_backward(FlowLoss *flow, const FlowSample *sample, Lora *lora, double scale);
/* Prior preservation by output: what the network says without the LoRA takes the place of e - x0, so that
 * only what the LoRA changes costs anything. */
double flow_preserve(FlowLoss *flow, const FlowSample *sample, Lora *lora, double scale);
