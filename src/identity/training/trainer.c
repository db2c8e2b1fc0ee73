/* The batch is divided among TRAINER_WORKERS copies of the network, each on one thread: the operations of a
 * small network are too short to be divided themselves. Worker w takes samples w, w + workers, …; the
 * gradients are then added in the workers' order, whatever number of threads did the work. */
#include "identity/training/trainer.h"
#include "identity/picture/autoencoder.h"
#include "identity/training/checkpoint.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const TrainerSettings trainer_defaults = {
    .times = {.mean = 0.5, .deviation = 1, .uniform = 0.1},
    .optimiser = {.rate = 1.8e-3,
                  .beta1 = 0.9,
                  .beta2 = 0.99,
                  .epsilon = 1e-8,
                  .decay = 0.01,
                  .muon = TRUE,
                  .momentum = 0.95,
                  .muon_rate = 10},
    .schedule = {.shape = RATE_COSINE, .warmup = 100, .steps = 20000, .floor = 0.02},
    .batch = 48,
    .clip = 1,
    .average = 0.9995,
    .seed = 1,
};

typedef struct {
  Transformer *transformer;
  TransformerRun *run;
  GArray *parameters; /* Parameter */
  FlowLoss *flow;
  float *tokens, *text;
  TrainerReport report;
} Worker;

struct Trainer {
  TrainerSettings settings;
  TrainerSource source;
  Worker workers[TRAINER_WORKERS];
  Optimiser *optimiser;
  float **average; /* one array a parameter */
  char *recipe;
  gint64 tokens;
};

/* --- making --- */

static gboolean worker_open(Trainer *trainer, Worker *worker, const TransformerShape *sizes, GError **error) {
  worker->transformer = transformer_new(sizes, DTYPE_F32, TRUE, trainer->settings.seed, error);
  if (!worker->transformer)
    return FALSE;
  const TransformerShape *shape = transformer_shape(worker->transformer);
  gint64 numbers = trainer->tokens * shape->channels;
  worker->run = transformer_run_new(worker->transformer, trainer->tokens, trainer->source.n_text, TRUE,
                                    ARITHMETIC_F32, error);
  if (!worker->run)
    return FALSE;
  worker->parameters = transformer_parameters(worker->transformer);
  worker->flow = flow_new(worker->run, shape, trainer->tokens, trainer->source.n_text);
  worker->tokens = g_new0(float, numbers);
  worker->text = g_new0(float, trainer->source.n_text * shape->context);
  return TRUE;
}

static void worker_close(Worker *worker) {
  g_clear_pointer(&worker->parameters, g_array_unref);
  flow_free(worker->flow);
  transformer_run_free(worker->run);
  transformer_free(worker->transformer);
  g_free(worker->tokens);
  g_free(worker->text);
}

static gsize count_of(const Parameter *parameter) {
  return (gsize)(parameter->rows * parameter->cols);
}

static const Parameter *parameter_at(const Worker *worker, guint i) {
  return &g_array_index(worker->parameters, Parameter, i);
}

/* Everything that two halves of one training must have in common. */
static char *describe(const TransformerShape *shape, const TrainerSettings *s, const TrainerSource *source) {
  const OptimiserSettings *o = &s->optimiser;
  return g_strdup_printf(
      "full hidden=%" G_GINT64_FORMAT " head=%" G_GINT64_FORMAT " mlp=%" G_GINT64_FORMAT
      " blocks=%" G_GINT64_FORMAT "+%" G_GINT64_FORMAT " batch=%" G_GINT64_FORMAT " steps=%" G_GINT64_FORMAT
      " warmup=%" G_GINT64_FORMAT " shape=%d floor=%.17g hold=%.17g rate=%.17g betas=%.17g,%.17g "
      "epsilon=%.17g decay=%.17g muon=%d,%.17g,%.17g"
      " clip=%.17g times=%.17g,%.17g,%.17g,%d average=%.17g seed=%" G_GUINT64_FORMAT " source=%s",
      shape->hidden, shape->head, shape->mlp, shape->doubles, shape->singles, s->batch, s->schedule.steps,
      s->schedule.warmup, s->schedule.shape, s->schedule.floor, s->schedule.hold, o->rate, o->beta1, o->beta2,
      o->epsilon, o->decay, o->muon, o->momentum, o->muon_rate, s->clip, s->times.mean, s->times.deviation,
      s->times.uniform, s->times.shifted, s->average, s->seed, source->name);
}

TransformerShape trainer_shape(gint64 hidden, gint64 doubles, gint64 singles, gint64 context) {
  return (TransformerShape){.hidden = hidden,
                            .heads = hidden / TRAINER_HEAD,
                            .head = TRAINER_HEAD,
                            .mlp = 3 * hidden,
                            .context = context,
                            .channels = AUTOENCODER_CHANNELS,
                            .doubles = doubles,
                            .singles = singles};
}

Trainer *trainer_new(const TransformerShape *shape, const TrainerSettings *settings,
                     const TrainerSource *source, GError **error) {
  if (settings->batch < 1 || source->height < 1 || source->width < 1 || source->n_text < 1)
    return fault_null(error, FAULT_USAGE, "A training needs a batch, a picture size and a text length.");
  g_autoptr(Trainer) trainer = g_new0(Trainer, 1);
  trainer->settings = *settings;
  trainer->source = *source;
  trainer->tokens = source->height * source->width;
  for (int w = 0; w < TRAINER_WORKERS; w++)
    if (!worker_open(trainer, &trainer->workers[w], shape, error))
      return NULL;
  trainer->recipe = describe(shape, settings, source);
  const Worker *first = &trainer->workers[0];
  trainer->optimiser = optimiser_new(first->parameters, &settings->optimiser);
  trainer->average = g_new0(float *, first->parameters->len + 1);
  for (guint i = 0; i < first->parameters->len; i++)
    trainer->average[i] =
        g_memdup2(parameter_at(first, i)->value, sizeof(float) * count_of(parameter_at(first, i)));
  return g_steal_pointer(&trainer);
}

void trainer_free(Trainer *trainer) {
  if (!trainer)
    return;
  for (guint i = 0; trainer->average && trainer->average[i]; i++)
    g_free(trainer->average[i]);
  g_free(trainer->average);
  optimiser_free(trainer->optimiser);
  for (int w = 0; w < TRAINER_WORKERS; w++)
    worker_close(&trainer->workers[w]);
  g_free(trainer->recipe);
  g_free(trainer);
}

gint64 trainer_steps(const Trainer *trainer) {
  return optimiser_steps(trainer->optimiser);
}

/* --- one step --- */

static void learn_one(const Trainer *trainer, Worker *worker, int number, guint64 index) {
  const TrainerSettings *settings = &trainer->settings;
  const TrainerSource *source = &trainer->source;
  source->sample(number, index, worker->tokens, worker->text, source->user);
  const FlowSample sample = {.height = source->height,
                             .width = source->width,
                             .tokens = worker->tokens,
                             .text = worker->text,
                             .n_text = source->n_text,
                             .t = flow_time(&settings->times, trainer->tokens, settings->seed, index),
                             .seed = settings->seed,
                             .draw = index};
  double loss = flow_backward(worker->flow, &sample, NULL, 1.0 / (double)settings->batch);
  int fifth = CLAMP((int)(sample.t * TRAINER_FIFTHS), 0, TRAINER_FIFTHS - 1);
  worker->report.loss += loss;
  worker->report.fifth_sum[fifth] += loss;
  worker->report.fifth_count[fifth]++;
}

/* All gradients to the first worker; the others' are cleared. */
static void gather(Trainer *trainer, TrainerReport *report) {
  const Worker *first = &trainer->workers[0];
  *report = first->report;
  for (int w = 1; w < TRAINER_WORKERS; w++) {
    const Worker *worker = &trainer->workers[w];
    for (guint i = 0; i < first->parameters->len; i++) {
      float *sum = parameter_at(first, i)->gradient, *more = parameter_at(worker, i)->gradient;
      gsize count = count_of(parameter_at(first, i));
      for (gsize k = 0; k < count; k++)
        sum[k] += more[k];
      memset(more, 0, sizeof(float) * count);
    }
    report->loss += worker->report.loss;
    for (int f = 0; f < TRAINER_FIFTHS; f++) {
      report->fifth_sum[f] += worker->report.fifth_sum[f];
      report->fifth_count[f] += worker->report.fifth_count[f];
    }
  }
  report->loss /= (double)trainer->settings.batch;
}

static void spread(Trainer *trainer) {
  const Worker *first = &trainer->workers[0];
  for (int w = 1; w < TRAINER_WORKERS; w++)
    for (guint i = 0; i < first->parameters->len; i++)
      memcpy(parameter_at(&trainer->workers[w], i)->value, parameter_at(first, i)->value,
             sizeof(float) * count_of(parameter_at(first, i)));
}

static void follow(Trainer *trainer, gint64 step) {
  const Worker *first = &trainer->workers[0];
  double keep = fmin(trainer->settings.average, (1.0 + (double)step) / (10.0 + (double)step));
  for (guint i = 0; i < first->parameters->len; i++) {
    const float *value = parameter_at(first, i)->value;
    gsize count = count_of(parameter_at(first, i));
    for (gsize k = 0; k < count; k++)
      trainer->average[i][k] += (float)(1 - keep) * (value[k] - trainer->average[i][k]);
  }
}

gboolean trainer_step(Trainer *trainer, TrainerReport *report, GError **error) {
  const TrainerSettings *settings = &trainer->settings;
  gint64 step = trainer_steps(trainer);
#pragma omp parallel for schedule(static, 1) num_threads(TRAINER_WORKERS)
  for (int w = 0; w < TRAINER_WORKERS; w++) {
    memset(&trainer->workers[w].report, 0, sizeof(TrainerReport));
    for (gint64 k = w; k < settings->batch; k += TRAINER_WORKERS)
      learn_one(trainer, &trainer->workers[w], w, (guint64)(step * settings->batch + k));
  }
  gather(trainer, report);
  report->norm = optimiser_clip(trainer->optimiser, settings->clip);
  report->rate = settings->optimiser.rate * rate_factor(&settings->schedule, step);
  report->step = step + 1;
  report->samples = (step + 1) * settings->batch;
  if (!isfinite(report->norm) || !isfinite(report->loss)) {
    optimiser_clear(trainer->optimiser);
    return fault(error, FAULT_NETWORK, "The loss is no longer a number at step %" G_GINT64_FORMAT ".",
                 step + 1);
  }
  optimiser_step(trainer->optimiser, report->rate);
  optimiser_clear(trainer->optimiser);
  follow(trainer, step);
  spread(trainer);
  return TRUE;
}

/* --- files --- */

static char *average_name(const Parameter *parameter) {
  return g_strconcat("average.", parameter->name, NULL);
}

gboolean trainer_save(Trainer *trainer, const char *path, GError **error) {
  const Worker *first = &trainer->workers[0];
  g_autoptr(SafetensorsWriter) writer =
      checkpoint_begin(trainer->optimiser, trainer->recipe, trainer_steps(trainer));
  for (guint i = 0; i < first->parameters->len; i++) {
    g_autofree char *name = average_name(parameter_at(first, i));
    safetensors_add(writer, name, DTYPE_F32, (gint64[]){(gint64)count_of(parameter_at(first, i))}, 1,
                    trainer->average[i]);
  }
  return checkpoint_write(writer, path, error);
}

gboolean trainer_load(Trainer *trainer, const char *path, GError **error) {
  g_autoptr(Safetensors) file = NULL;
  gint64 step = 0;
  if (!checkpoint_open(path, trainer->recipe, trainer->optimiser, &step, &file, error))
    return FALSE;
  const Worker *first = &trainer->workers[0];
  for (guint i = 0; file && i < first->parameters->len; i++) {
    g_autofree char *name = average_name(parameter_at(first, i));
    gint64 shape[1] = {(gint64)count_of(parameter_at(first, i))};
    const float *average = safetensors_get(file, name, DTYPE_F32, shape, 1, error);
    if (!average)
      return FALSE;
    memcpy(trainer->average[i], average, sizeof(float) * count_of(parameter_at(first, i)));
  }
  spread(trainer);
  return TRUE;
}

static void add_tensor(SafetensorsWriter *writer, GPtrArray *kept, const char *name, gint64 rows, gint64 cols,
                       gboolean vector, Dtype dtype, const float *values) {
  gint64 shape[2] = {vector ? cols : rows, cols};
  gsize count = (gsize)(rows * cols);
  const void *data = values;
  if (dtype == DTYPE_BF16) {
    guint16 *brief = g_new(guint16, count);
    for (gsize i = 0; i < count; i++)
      brief[i] = bf16_from_float(values[i]);
    g_ptr_array_add(kept, brief);
    data = brief;
  }
  safetensors_add(writer, name, dtype, shape, vector ? 1 : 2, data);
}

gboolean trainer_write_model(Trainer *trainer, Dtype dtype, const char *path, GError **error) {
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
  const Worker *first = &trainer->workers[0];
  for (guint i = 0; i < first->parameters->len; i++) {
    const Parameter *p = parameter_at(first, i);
    add_tensor(writer, kept, p->name, p->rows, p->cols, g_str_has_suffix(p->name, ".scale"), dtype,
               trainer->average[i]);
  }
  return safetensors_write(writer, path, error);
}
