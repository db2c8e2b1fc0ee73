/* Training all weights of a transformer from scratch: flow matching on batches that a source makes anew.
 *
 * One step: for every sample x_t = (1 - t)·x0 + t·noise, loss mean((v - (noise - x0))²); t is the logistic of
 * a normal number, or, for a share of the samples, uniform (Esser et al.: "Scaling rectified flow
 * transformers", 2024). Gradients are averaged over the batch, clipped and given to the optimiser; a moving
 * average of the weights is what is written as a model. Every random number follows from seed and sample
 * number alone, so a training that goes on from a checkpoint is bit for bit the one that was never stopped.
 *
 *   g_autoptr(Trainer) trainer = trainer_new(&shape, &settings, &source, &error);
 *   trainer_load(trainer, "checkpoint.safetensors", &error);
 *   while (trainer_steps(trainer) < settings.schedule.steps && trainer_step(trainer, &report, &error)) …
 *   trainer_save(trainer, "checkpoint.safetensors", &error);
 *   trainer_write_model(trainer, "model.safetensors", &error);
 */
#pragma once
#include "identity/network/optimiser.h"
#include "identity/training/flow_loss.h"

#define TRAINER_FIFTHS 5
#define TRAINER_WORKERS                                                                                      \
  2 /* replicas of the weights; part of the result's definition: sums follow their order */

/* Where samples come from. sample is called by several workers at once, each with its own number below
 * TRAINER_WORKERS, and must depend on index alone: tokens [height · width, channels], text [n_text, context].
 */
typedef struct {
  gint64 height, width; /* in tokens */
  gint64 n_text;
  const char *name; /* of the material, all of its settings: a checkpoint belongs to one */
  void (*sample)(int worker, guint64 index, float *tokens, float *text, gpointer user);
  gpointer user;
} TrainerSource;

typedef struct {
  OptimiserSettings optimiser;
  RateSchedule schedule;
  gint64 batch;
  double clip; /* of the gradient's norm */
  FlowTimes times;
  double average; /* of the moving average of the weights: min(average, (1 + step) / (10 + step)) */
  guint64 seed;
} TrainerSettings;
/* Muon, rate 1.8e-3, cosine to .02, 100 steps of warm-up, batch 48, clip 1, flow_times_small, average .9995.
 */
extern const TrainerSettings trainer_defaults;

typedef struct {
  gint64 step, samples; /* done, this one included */
  double loss, rate, norm;
  double fifth_sum[TRAINER_FIFTHS]; /* of the losses by t: 0–.2, … .8–1 */
  int fifth_count[TRAINER_FIFTHS];
} TrainerReport;

#define TRAINER_HEAD 64 /* width of an attention head */
/* Of a small network of this project: heads of TRAINER_HEAD, an MLP three times as wide. hidden: a multiple
 * of TRAINER_HEAD. */
TransformerShape trainer_shape(gint64 hidden, gint64 doubles, gint64 singles, gint64 context);

typedef struct Trainer Trainer;
/* Weights begin as those of transformer_new with the settings' seed. source is not owned. FAULT_USAGE. */
Trainer *trainer_new(const TransformerShape *shape, const TrainerSettings *settings,
                     const TrainerSource *source, GError **error);
void trainer_free(Trainer *trainer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trainer, trainer_free)
gint64 trainer_steps(const Trainer *trainer);
/* FAULT_NETWORK where loss or gradient is not finite: the weights are as before the step. */
gboolean trainer_step(Trainer *trainer, TrainerReport *report, GError **error);
/* Weights, optimiser and average. */
gboolean trainer_save(Trainer *trainer, const char *path, GError **error);
/* Nothing where there is no such file; FAULT_INPUT for a checkpoint of another training. */
gboolean trainer_load(Trainer *trainer, const char *path, GError **error);
/* The averaged weights under BFL's names, in bf16 or fp32. */
gboolean trainer_write_model(Trainer *trainer, Dtype dtype, const char *path, GError **error);
