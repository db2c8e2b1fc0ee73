/* A step's pictures are the next of an endless row in which every picture comes once in each round, in an
 * order that is shuffled anew for each. Draw n of the seed (flow_loss.h) belongs to picture n of all that
 * were ever taken, replayed ones included; the held-out pictures have draws that no step reaches.
 *
 * A small network's operations are too small for threads: there the samples of a step are divided among
 * workers, each with gradients of its own, which are added up in the workers' order. How many there are
 * depends on the network alone, so that the sums do too.
 *
 * Log and checkpoint are written by lora_record.c. */
#include "identity/training/lora_training_private.h"

#include "identity/sampling/noise.h"
#include <math.h>
#include <string.h>

#define HELD_TIMES 8 /* at which a held-out picture is looked at */
#define HELD_DRAW (G_GUINT64_CONSTANT(1) << 48)
#define CAPTION_STREAM FLOW_FREE
/* Purposes of the random numbers; each has a seed of its own. */
enum { SEED_SAMPLES, SEED_ORDER, SEED_REPLAY_ORDER };
#define SMOOTH .9        /* of the loss that is shown */
#define LARGE_WIDTH 1024 /* whose operations use all threads by themselves */

typedef enum { PASS_LEARN, PASS_PRESERVE, PASS_LOOK } Pass;
typedef struct {
  FlowSample sample;
  Pass pass;
  double loss;
} Work;

static guint64 seed_for(guint64 seed, guint32 purpose) {
  const guint32 counter[4] = {purpose, 0x6c6f7261, 0, 0}, key[2] = {(guint32)seed, (guint32)(seed >> 32)};
  guint32 out[4];
  philox4x32(counter, key, out);
  return (guint64)out[0] << 32 | out[1];
}

static int worker_count(const TransformerShape *shape) {
  return shape->hidden < LARGE_WIDTH ? LORA_TRAINING_WORKERS : 1;
}

/* --- memory --- */

static gint64 adapter_numbers(const TransformerShape *shape, gint64 rank) {
  gint64 hidden = shape->hidden, mlp = shape->mlp;
  gint64 stream = 4 * hidden + 2 * hidden + (2 * mlp + hidden) + (hidden + mlp);
  gint64 single = (hidden + 3 * hidden + 2 * mlp) + (hidden + mlp + hidden);
  return rank * (2 * shape->doubles * stream + shape->singles * single);
}

gint64 lora_training_bytes(const TransformerShape *shape, const Recipe *recipe, gint64 n_image, gint64 n_text,
                           Arithmetic arithmetic, gboolean held_out) {
  gint64 workers = worker_count(shape);
  gint64 copies = (held_out ? 4 : 3) + workers; /* value, two moments, the best so far; gradients */
  return workers * (transformer_run_bytes(shape, n_image, n_text, TRUE, arithmetic) +
                    flow_bytes(shape, n_image, n_text)) +
         copies * adapter_numbers(shape, recipe->rank) * (gint64)sizeof(float);
}

/* --- opening --- */

/* The matrices are borrowed, the gradients its own. */
static Lora *borrow(const Lora *lora) {
  Lora *view = g_new0(Lora, 1);
  view->strength = lora->strength;
  view->layers = g_array_new(FALSE, TRUE, sizeof(LoraLayer));
  for (guint i = 0; i < lora->layers->len; i++) {
    LoraLayer layer = g_array_index(lora->layers, LoraLayer, i);
    layer.d_a = g_new0(float, (gsize)(layer.rank * layer.in));
    layer.d_b = g_new0(float, (gsize)(layer.rank * layer.out));
    g_array_append_val(view->layers, layer);
  }
  return view;
}

static void worker_clear(Worker *worker, gboolean first) {
  flow_free(worker->flow);
  transformer_run_free(worker->run);
  if (first || !worker->lora)
    return;
  for (guint i = 0; i < worker->lora->layers->len; i++) {
    g_free(g_array_index(worker->lora->layers, LoraLayer, i).d_a);
    g_free(g_array_index(worker->lora->layers, LoraLayer, i).d_b);
  }
  g_array_unref(worker->lora->layers);
  g_free(worker->lora);
}

static gboolean open_workers(LoraTraining *training, const Transformer *transformer, gint64 n_image,
                             gint64 n_text, Arithmetic arithmetic, GError **error) {
  training->worker_count = worker_count(transformer_shape(transformer));
  for (int i = 0; i < training->worker_count; i++) {
    Worker *worker = &training->workers[i];
    worker->lora = i ? borrow(training->lora) : training->lora;
    worker->run = transformer_run_new(transformer, n_image, n_text, TRUE, arithmetic, error);
    if (!worker->run)
      return FALSE;
    worker->flow = flow_new(worker->run, transformer_shape(transformer), n_image, n_text);
  }
  return TRUE;
}

void lora_training_free(LoraTraining *training) {
  if (!training)
    return;
  if (training->log)
    fclose(training->log);
  for (int i = 0; i < training->worker_count; i++)
    worker_clear(&training->workers[i], i == 0);
  optimiser_free(training->optimiser);
  if (training->parameters)
    g_array_unref(training->parameters);
  lora_free(training->lora);
  g_array_unref(training->history);
  g_free(training->identity);
  g_free(training->checkpoint);
  g_free(training->log_path);
  g_free(training->best);
  for (gsize i = 0; i < G_N_ELEMENTS(training->order); i++)
    g_free(training->order[i].at);
  g_free(training);
}

static gboolean check(const Transformer *transformer, const Dataset *dataset, GError **error) {
  const TransformerShape *shape = transformer_shape(transformer);
  if (dataset->channels != shape->channels || dataset->context != shape->context)
    return fault(error, FAULT_INPUT, "The pictures or captions were read for another model.");
  if (!dataset->parts[DATASET_LEARN]->len || !dataset->features->len)
    return fault(error, FAULT_USAGE, "there is nothing to learn from.");
  return TRUE;
}

static void name_files(LoraTraining *training, const LoraTrainingSetup *setup) {
  g_autofree char *recipe = recipe_text(setup->recipe), *material = dataset_checksum(training->dataset);
  training->identity = g_strdup_printf("model %s arithmetic %d %s material %s",
                                       setup->model ? setup->model : "", setup->arithmetic, recipe, material);
  if (!setup->folder)
    return;
  training->checkpoint = g_build_filename(setup->folder, LORA_TRAINING_CHECKPOINT, NULL);
  training->log_path = g_build_filename(setup->folder, LORA_TRAINING_LOG, NULL);
}

LoraTraining *lora_training_open(const Transformer *transformer, const Dataset *dataset,
                                 const LoraTrainingSetup *setup, GError **error) {
  if (!check(transformer, dataset, error))
    return NULL;
  gint64 n_image = dataset_tokens_max(dataset), n_text = dataset->n_text;
  g_autoptr(LoraTraining) training = g_new0(LoraTraining, 1);
  training->dataset = dataset;
  training->recipe = setup->recipe;
  training->kept = -1;
  training->history = g_array_new(FALSE, FALSE, sizeof(LoraStep));
  training->best_held = INFINITY;
  training->replay = dataset->parts[DATASET_REPLAY]->len ? setup->recipe->replay : 0;
  for (gsize i = 0; i < G_N_ELEMENTS(training->order); i++)
    training->order[i].round = -1;
  name_files(training, setup);
  if (!(training->lora = lora_new(transformer, setup->recipe->rank, setup->recipe->seed, error)) ||
      !open_workers(training, transformer, n_image, n_text, setup->arithmetic, error))
    return NULL;
  training->parameters = lora_parameters(training->lora);
  training->optimiser = optimiser_new(training->parameters, &setup->recipe->optimiser);
  if (dataset->parts[DATASET_HELD]->len)
    training->best = g_new0(float, (gsize)lora_record_numbers(training));
  if (!lora_record_resume(training, error) || !lora_record_open_log(training, error))
    return NULL;
  return g_steal_pointer(&training);
}

/* --- pictures of a step --- */

/* The order of one round: Fisher and Yates. */
static void shuffle(guint32 *order, guint count, guint64 seed, guint64 round) {
  g_autofree float *uniform = g_new(float, count);
  noise_uniform(seed, round, count, uniform);
  for (guint i = 0; i < count; i++)
    order[i] = i;
  for (guint i = count - 1; i > 0; i--) {
    guint j = MIN(i, (guint)((double)uniform[i] * (i + 1)));
    guint32 kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

/* Picture `index` of the endless row of a part. */
static const DatasetItem *take(LoraTraining *training, DatasetPart part, gint64 index) {
  const GPtrArray *items = training->dataset->parts[part];
  int which = part == DATASET_REPLAY;
  gint64 round = index / items->len;
  if (!training->order[which].at)
    training->order[which].at = g_new(guint32, items->len);
  if (training->order[which].round != round)
    shuffle(training->order[which].at, items->len,
            seed_for(training->recipe->seed, which ? SEED_REPLAY_ORDER : SEED_ORDER), (guint64)round);
  training->order[which].round = round;
  return items->pdata[training->order[which].at[index % items->len]];
}

static FlowSample sample_of(const LoraTraining *training, const DatasetItem *item, guint64 draw,
                            double dropout) {
  const Dataset *dataset = training->dataset;
  guint64 seed = seed_for(training->recipe->seed, SEED_SAMPLES);
  gboolean silent = flow_uniform(seed, draw, CAPTION_STREAM) < dropout;
  return (FlowSample){.height = item->height,
                      .width = item->width,
                      .tokens = item->tokens,
                      .weights = item->weights,
                      .text = dataset->features->pdata[silent ? 0 : item->features],
                      .n_text = dataset->n_text,
                      .t = flow_time(&training->recipe->times, item->height * item->width, seed, draw),
                      .seed = seed,
                      .draw = draw};
}

/* --- passes --- */

static double pass(const Worker *worker, const Work *work, double scale) {
  switch (work->pass) {
  case PASS_LEARN:
    return flow_backward(worker->flow, &work->sample, worker->lora, scale);
  case PASS_PRESERVE:
    return flow_preserve(worker->flow, &work->sample, worker->lora, scale);
  default:
    return flow_loss(worker->flow, &work->sample, worker->lora);
  }
}

static void add_gradients(Lora *to, Lora *from) {
  for (guint i = 0; i < to->layers->len; i++) {
    const LoraLayer *sum = &g_array_index(to->layers, LoraLayer, i),
                    *part = &g_array_index(from->layers, LoraLayer, i);
    for (gint64 k = 0; k < sum->rank * sum->in; k++)
      sum->d_a[k] += part->d_a[k];
    for (gint64 k = 0; k < sum->rank * sum->out; k++)
      sum->d_b[k] += part->d_b[k];
    memset(part->d_a, 0, sizeof(float) * (gsize)(sum->rank * sum->in));
    memset(part->d_b, 0, sizeof(float) * (gsize)(sum->rank * sum->out));
  }
}

/* All passes; the gradients of scale · loss are then those of the training's LoRA. */
static void run_passes(LoraTraining *training, Work *work, int count, double scale) {
  int workers = training->worker_count;
#pragma omp parallel for schedule(static, 1) num_threads(workers) if (workers > 1)
  for (int w = 0; w < workers; w++)
    for (int i = w; i < count; i += workers)
      work[i].loss = pass(&training->workers[w], &work[i], scale);
  for (int w = 1; w < workers; w++)
    add_gradients(training->lora, training->workers[w].lora);
}

/* Gradients of all pictures of the step; the mean loss of those of the character, or what is wrong with one
 * of the others'. */
static double step_gradients(LoraTraining *training) {
  const Recipe *recipe = training->recipe;
  int all = recipe->batch + training->replay;
  g_autofree Work *work = g_new0(Work, (gsize)all);
  guint64 draw = (guint64)training->step * (guint64)all;
  for (int i = 0; i < all; i++) {
    gboolean learn = i < recipe->batch;
    const DatasetItem *item =
        learn ? take(training, DATASET_LEARN, training->step * recipe->batch + i)
              : take(training, DATASET_REPLAY, training->step * training->replay + i - recipe->batch);
    work[i].sample = sample_of(training, item, draw + (guint64)i, recipe->dropout);
    work[i].pass = !learn && recipe->preserve ? PASS_PRESERVE : PASS_LEARN;
  }
  run_passes(training, work, all, 1.0 / all);
  double learnt = 0, replayed = 0;
  for (int i = 0; i < all; i++)
    *(i < recipe->batch ? &learnt : &replayed) += work[i].loss;
  return isfinite(replayed) ? learnt / recipe->batch : replayed;
}

/* --- held-out pictures --- */

static double held_loss(LoraTraining *training) {
  const GPtrArray *items = training->dataset->parts[DATASET_HELD];
  int count = (int)items->len * HELD_TIMES;
  g_autofree Work *work = g_new0(Work, (gsize)count);
  for (int i = 0; i < count; i++) {
    work[i].sample = sample_of(training, items->pdata[i / HELD_TIMES], HELD_DRAW + (guint64)i, 0);
    work[i].sample.t = (i % HELD_TIMES + .5) / HELD_TIMES;
    work[i].pass = PASS_LOOK;
  }
  run_passes(training, work, count, 0);
  double sum = 0;
  for (int i = 0; i < count; i++)
    sum += work[i].loss;
  return sum / count;
}

static double look(LoraTraining *training) {
  if (!training->best ||
      (training->step % training->recipe->evaluate_every != 0 && training->step != training->recipe->steps))
    return NAN;
  double held = held_loss(training);
  if (held < training->best_held) {
    training->best_held = held;
    training->best_step = training->step;
    training->looks_since = 0;
    lora_record_best(training, FALSE);
  } else {
    training->looks_since++;
  }
  return held;
}

/* --- steps --- */

static gboolean broke(LoraTraining *training, const char *what, GError **error) {
  training->broken = TRUE;
  g_autofree char *kept =
      training->kept >= 0 ? g_strdup_printf("What was learnt up to step %" G_GINT64_FORMAT " is kept in %s",
                                            training->kept, training->checkpoint)
                          : g_strdup("No checkpoint had been written yet");
  return fault(error, FAULT_NETWORK,
               "The training stopped at step %" G_GINT64_FORMAT ": %s no number any more. %s; try a lower "
               "learning rate than %g.",
               training->step + 1, what, kept, training->recipe->rate);
}

static gboolean parameters_finite(const LoraTraining *training) {
  double sum = 0;
  for (guint i = 0; i < training->parameters->len; i++) {
    const Parameter *parameter = &g_array_index(training->parameters, Parameter, i);
    float part[8] = {0};
    gint64 count = parameter->rows * parameter->cols;
    for (gint64 k = 0; k < count; k++)
      part[k % 8] += parameter->value[k] * 0; /* 0, or NaN */
    for (int k = 0; k < 8; k++)
      sum += (double)part[k];
  }
  return isfinite(sum);
}

gboolean lora_training_step(LoraTraining *training, GError **error) {
  const Recipe *recipe = training->recipe;
  if (training->broken)
    return broke(training, "the loss was", error);
  LoraStep line = {.rate = recipe->rate * rate_factor(&recipe->schedule, training->step), .held = NAN};
  optimiser_clear(training->optimiser);
  line.loss = step_gradients(training);
  if (!isfinite(line.loss))
    return broke(training, "the loss is", error);
  line.norm = optimiser_clip(training->optimiser, recipe->clip);
  if (!isfinite(line.norm))
    return broke(training, "a gradient is", error);
  optimiser_step(training->optimiser, line.rate);
  if (!parameters_finite(training))
    return broke(training, "a weight is", error);
  training->step++;
  line.held = look(training);
  return lora_record_add(training, &line, error);
}

gint64 lora_training_steps(const LoraTraining *training) {
  return training->step;
}

gboolean lora_training_stopped(const LoraTraining *training) {
  return training->best && training->recipe->patience && training->looks_since >= training->recipe->patience;
}

gboolean lora_training_done(const LoraTraining *training) {
  return training->step >= training->recipe->steps || lora_training_stopped(training);
}

const Lora *lora_training_lora(const LoraTraining *training) {
  return training->lora;
}

gint64 lora_training_take_best(LoraTraining *training) {
  if (!training->best || !training->best_step)
    return training->step;
  lora_record_best(training, TRUE);
  training->broken = TRUE;
  return training->best_step;
}

const LoraStep *lora_training_history(const LoraTraining *training, gint64 *count) {
  *count = training->history->len;
  return (const LoraStep *)training->history->data;
}

/* --- the whole --- */

static void tell(const LoraTraining *training, double smooth, Progress *progress) {
  char stage[64];
  g_snprintf(stage, sizeof stage, "Training, loss %.3f", smooth);
  progress_measure(progress, "loss", smooth);
  progress_measure(progress, "step", (double)training->step);
  progress_measure(progress, "steps", (double)training->recipe->steps);
  progress_report(progress, stage, training->step, training->recipe->steps);
}

static gboolean is_time(gint64 step, gint64 every) {
  return every > 0 && step % every == 0;
}

gboolean lora_training_run(LoraTraining *training, LoraPreview preview, gpointer user, Progress *progress,
                           GError **error) {
  const Recipe *recipe = training->recipe;
  double smooth = NAN;
  while (!lora_training_done(training)) {
    if (!progress_continue(progress, NULL)) {
      if (!lora_training_save(training, error))
        return FALSE;
      return progress_continue(progress, error);
    }
    if (!lora_training_step(training, error))
      return FALSE;
    double loss = g_array_index(training->history, LoraStep, training->history->len - 1).loss;
    smooth = isnan(smooth) ? loss : SMOOTH * smooth + (1 - SMOOTH) * loss;
    tell(training, smooth, progress);
    gboolean last = lora_training_done(training);
    /* First the preview: what a checkpoint has behind it is never drawn again. */
    if (preview && recipe->preview_every && (last || is_time(training->step, recipe->preview_every)) &&
        !preview(training->step, training->lora, user, error))
      return FALSE;
    if ((last || is_time(training->step, recipe->checkpoint_every)) && !lora_training_save(training, error))
      return FALSE;
  }
  return TRUE;
}
