/* Inputs from the golden files, and a training step as the reference does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "cases.h"
#include <math.h>
#include <string.h>

Transformer *case_transformer(const char *name, gboolean trainable) {
  g_autofree char *path = golden_path(name);
  g_autoptr(GError) error = NULL;
  Transformer *transformer = transformer_open(path, trainable, &error);
  must(transformer);
  return transformer;
}

Lora *case_lora(const char *name, const Transformer *transformer) {
  g_autofree char *path = golden_path(name);
  g_autoptr(GError) error = NULL;
  Lora *lora = lora_load(path, transformer, &error);
  must(lora);
  return lora;
}

TransformerRun *case_run(const Transformer *transformer, gint64 n_image, gint64 n_text, gboolean training,
                         Arithmetic arithmetic) {
  g_autoptr(GError) error = NULL;
  TransformerRun *run = transformer_run_new(transformer, n_image, n_text, training, arithmetic, &error);
  must(run);
  return run;
}

static const SafetensorsTensor *find(const Safetensors *file, const char *name, const char *field) {
  g_autofree char *key = g_strdup_printf("%s.%s", name, field);
  return safetensors_find(file, key);
}

static const float *rows_of(const SafetensorsTensor *tensor, int sample) {
  return (const float *)tensor->data + sample * tensor->shape[1] * tensor->shape[2];
}

TransformerInput case_input(const Safetensors *file, const char *name, int sample, int *batch) {
  const SafetensorsTensor *x = find(file, name, "x"), *ctx = find(file, name, "ctx");
  assert_true(x && ctx);
  if (batch)
    *batch = (int)x->shape[0];
  return (TransformerInput){
      .n_image = x->shape[1],
      .n_target = ((const gint32 *)find(file, name, "n_img")->data)[0],
      .n_text = ctx->shape[1],
      .image = rows_of(x, sample),
      .image_ids = find(file, name, "x_ids")->data,
      .text = rows_of(ctx, sample),
      .text_ids = find(file, name, "ctx_ids")->data,
      .t = ((const float *)find(file, name, "t")->data)[sample],
  };
}

TrainCase case_training(const Safetensors *file, const char *name, int sample) {
  const SafetensorsTensor *x0 = find(file, name, "x0"), *noise = find(file, name, "noise");
  const SafetensorsTensor *ctx = find(file, name, "ctx"), *ref = find(file, name, "ref");
  assert_true(x0 && noise && ctx);
  gint64 channels = x0->shape[2], n_target = x0->shape[1], n_ref = ref ? ref->shape[1] : 0;
  TrainCase training = {
      .input = {.n_image = n_target + n_ref,
                .n_target = n_target,
                .n_text = ctx->shape[1],
                .image_ids = find(file, name, "x_ids")->data,
                .text = rows_of(ctx, sample),
                .text_ids = find(file, name, "ctx_ids")->data,
                .t = ((const float *)find(file, name, "t")->data)[sample]},
      .image = g_new(float, (gsize)((n_target + n_ref) * channels)),
      .target = g_new(float, (gsize)(n_target * channels)),
      .batch = (int)x0->shape[0],
  };
  const float *clean = rows_of(x0, sample), *random = rows_of(noise, sample);
  for (gint64 i = 0; i < n_target * channels; i++) {
    training.image[i] = (float)((1 - training.input.t) * clean[i] + training.input.t * random[i]);
    training.target[i] = random[i] - clean[i];
  }
  if (ref)
    memcpy(training.image + n_target * channels, rows_of(ref, sample),
           sizeof(float) * (gsize)(n_ref * channels));
  training.input.image = training.image;
  return training;
}

void case_training_clear(TrainCase *training) {
  g_free(training->image);
  g_free(training->target);
}

double case_step(TransformerRun *run, const Safetensors *file, const char *name, Lora *lora, float *d_text) {
  double loss = 0;
  int batch = 1;
  for (int sample = 0; sample < batch; sample++) {
    g_auto(TrainCase) training = case_training(file, name, sample);
    const TransformerInput *input = &training.input;
    gint64 channels = find(file, name, "x0")->shape[2], count = input->n_target * channels;
    batch = training.batch;
    g_autofree float *velocity = g_new(float, (gsize)(input->n_image * channels));
    g_autofree float *d = g_new0(float, (gsize)(input->n_image * channels));
    transformer_forward(run, input, lora, velocity);
    double factor = 1.0 / (double)(count * batch);
    for (gint64 i = 0; i < count; i++) {
      double difference = (double)velocity[i] - training.target[i];
      loss += difference * difference * factor;
      d[i] = (float)(2 * difference * factor);
    }
    transformer_backward(run, input, lora, d, sample == 0 ? d_text : NULL);
  }
  return loss;
}

double case_relative(const float *a, const float *b, gint64 count) {
  double difference = 0, norm = 0;
  for (gint64 i = 0; i < count; i++) {
    difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    norm += (double)b[i] * b[i];
  }
  return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

void case_close(const Safetensors *file, const char *name, const float *a, double tolerance) {
  gint64 count = 0;
  const float *expected = golden_floats(file, name, &count);
  double relative = case_relative(a, expected, count);
  if (!(relative <= tolerance))
    fail_msg("%s differs by %g of its norm, more than %g", name, relative, tolerance);
}
