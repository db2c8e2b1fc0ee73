/* The batch is divided among TRAINER_WORKERS copies of the network, each on one thread: the operations of a
 * small network are too short to be divided themselves. Worker w takes samples w, w + workers, …; the
 * gradients are then added in the workers' order, whatever number of threads did the work. */
#include "identity/trainer.h"
#include "identity/noise.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_NOISE, STREAM_TIME, STREAMS_PER_SAMPLE };

const TrainerSettings trainer_defaults = {
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
    .t_mean = 0.5,
    .t_std = 1,
    .t_uniform = 0.1,
    .average = 0.9995,
    .seed = 1,
};

typedef struct {
  Transformer *transformer;
  TransformerRun *run;
  GArray *parameters; /* Parameter */
  float *clean, *noise, *mixed, *text, *velocity, *d_velocity;
  TrainerReport report;
} Worker;

struct Trainer {
  TrainerSettings settings;
  TrainerSource source;
  Worker workers[TRAINER_WORKERS];
  Optimiser *optimiser;
  float **average; /* one array a parameter */
  TokenId *image_ids, *text_ids;
  gint64 tokens, channels;
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
  worker->clean = g_new0(float, numbers);
  worker->noise = g_new0(float, numbers);
  worker->mixed = g_new0(float, numbers);
  worker->velocity = g_new0(float, numbers);
  worker->d_velocity = g_new0(float, numbers);
  worker->text = g_new0(float, trainer->source.n_text * shape->context);
  trainer->channels = shape->channels;
  return TRUE;
}

static void worker_close(Worker *worker) {
  g_clear_pointer(&worker->parameters, g_array_unref);
  transformer_run_free(worker->run);
  transformer_free(worker->transformer);
  g_free(worker->clean);
  g_free(worker->noise);
  g_free(worker->mixed);
  g_free(worker->velocity);
  g_free(worker->d_velocity);
  g_free(worker->text);
}

static gsize count_of(const Parameter *parameter) {
  return (gsize)(parameter->rows * parameter->cols);
}

static const Parameter *parameter_at(const Worker *worker, guint i) {
  return &g_array_index(worker->parameters, Parameter, i);
}

static void make_ids(Trainer *trainer) {
  trainer->image_ids = g_new0(TokenId, trainer->tokens);
  trainer->text_ids = g_new0(TokenId, trainer->source.n_text);
  for (gint64 i = 0; i < trainer->tokens; i++) {
    trainer->image_ids[i][1] = (gint32)(i / trainer->source.width);
    trainer->image_ids[i][2] = (gint32)(i % trainer->source.width);
  }
  for (gint64 i = 0; i < trainer->source.n_text; i++)
    trainer->text_ids[i][3] = (gint32)i;
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
  make_ids(trainer);
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
  g_free(trainer->image_ids);
  g_free(trainer->text_ids);
  g_free(trainer);
}

gint64 trainer_steps(const Trainer *trainer) {
  return optimiser_steps(trainer->optimiser);
}

/* --- one step --- */

static double time_of(const TrainerSettings *settings, guint64 index) {
  float uniform[2], normal[1];
  noise_uniform(settings->seed, index * STREAMS_PER_SAMPLE + STREAM_TIME, 2, uniform);
  if (uniform[0] < settings->t_uniform)
    return uniform[1];
  noise_fill(~settings->seed, index * STREAMS_PER_SAMPLE + STREAM_TIME, 1, normal);
  return 1 / (1 + exp(-(settings->t_mean + settings->t_std * normal[0])));
}

static void learn_one(const Trainer *trainer, Worker *worker, int number, guint64 index) {
  gint64 numbers = trainer->tokens * trainer->channels;
  double t = time_of(&trainer->settings, index), loss = 0;
  trainer->source.sample(number, index, worker->clean, worker->text, trainer->source.user);
  noise_fill(trainer->settings.seed, index * STREAMS_PER_SAMPLE + STREAM_NOISE, numbers, worker->noise);
  for (gint64 i = 0; i < numbers; i++)
    worker->mixed[i] = (float)((1 - t) * worker->clean[i] + t * worker->noise[i]);
  const TransformerInput input = {trainer->tokens,
                                  trainer->tokens,
                                  trainer->source.n_text,
                                  worker->mixed,
                                  (const TokenId *)trainer->image_ids,
                                  worker->text,
                                  (const TokenId *)trainer->text_ids,
                                  t};
  transformer_forward(worker->run, &input, NULL, worker->velocity);
  const double share = 2.0 / (double)(numbers * trainer->settings.batch);
  for (gint64 i = 0; i < numbers; i++) {
    double off = worker->velocity[i] - (worker->noise[i] - worker->clean[i]);
    loss += off * off;
    worker->d_velocity[i] = (float)(share * off);
  }
  transformer_backward(worker->run, &input, NULL, worker->d_velocity, NULL);
  loss /= (double)numbers;
  int fifth = CLAMP((int)(t * TRAINER_FIFTHS), 0, TRAINER_FIFTHS - 1);
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
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, trainer->settings.seed);
  const Worker *first = &trainer->workers[0];
  optimiser_save(trainer->optimiser, writer);
  for (guint i = 0; i < first->parameters->len; i++) {
    g_autofree char *name = average_name(parameter_at(first, i));
    safetensors_add(writer, name, DTYPE_F32, (gint64[]){(gint64)count_of(parameter_at(first, i))}, 1,
                    trainer->average[i]);
  }
  safetensors_set_metadata(writer, "trainer.seed", seed);
  return safetensors_write(writer, path, error);
}

gboolean trainer_load(Trainer *trainer, const char *path, GError **error) {
  g_autoptr(Safetensors) file = safetensors_open(path, error);
  if (!file)
    return FALSE;
  const Worker *first = &trainer->workers[0];
  const char *seed = safetensors_metadata(file, "trainer.seed");
  if (!seed || g_ascii_strtoull(seed, NULL, 10) != trainer->settings.seed)
    return fault(error, FAULT_INPUT, "%s is not a checkpoint of a training with this seed.", path);
  const float **averages = g_newa(const float *, first->parameters->len);
  for (guint i = 0; i < first->parameters->len; i++) {
    g_autofree char *name = average_name(parameter_at(first, i));
    gint64 shape[1] = {(gint64)count_of(parameter_at(first, i))};
    averages[i] = safetensors_get(file, name, DTYPE_F32, shape, 1, error);
    if (!averages[i])
      return FALSE;
  }
  if (!optimiser_load(trainer->optimiser, file, error))
    return FALSE;
  for (guint i = 0; i < first->parameters->len; i++)
    memcpy(trainer->average[i], averages[i], sizeof(float) * count_of(parameter_at(first, i)));
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
