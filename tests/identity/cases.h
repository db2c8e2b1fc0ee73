/* Inputs of the transformer as the golden files hold them: batches, which are taken one sample at a time. */
#pragma once
#include "golden.h"
#include "identity/network/lora.h"

Transformer *case_transformer(const char *name, gboolean trainable);
Lora *case_lora(const char *name, const Transformer *transformer);
TransformerRun *case_run(const Transformer *transformer, gint64 n_image, gint64 n_text, gboolean training,
                         Arithmetic arithmetic);

/* One sample of a forward case ("c2"): fields point into the file. batch: how many samples the case has. */
TransformerInput case_input(const Safetensors *file, const char *name, int sample, int *batch);

/* A training sample ("g1"): x_t and references put together, and what the loss needs. */
typedef struct {
  TransformerInput input;
  float *image;  /* [n_image, channels] */
  float *target; /* [n_target, channels] noise - x0 */
  int batch;
} TrainCase;
TrainCase case_training(const Safetensors *file, const char *name, int sample);
void case_training_clear(TrainCase *training);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TrainCase, case_training_clear)
/* Forward, loss and backward of all samples of a case; the mean loss over the batch. d_text: of sample 0. */
double case_step(TransformerRun *run, const Safetensors *file, const char *name, Lora *lora, float *d_text);

/* ‖a - b‖ / ‖b‖ */
double case_relative(const float *a, const float *b, gint64 count);
/* Fails when a differs by more than this relative to the golden tensor. */
void case_close(const Safetensors *file, const char *name, const float *a, double tolerance);
