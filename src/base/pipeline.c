/* A ring of slots under one lock. Slot n % depth holds item n: empty, made, being worked on, or ready. The
 * three indices made >= taken >= consumed only rise; consumed + depth bounds made. */
#include "base/pipeline.h"

typedef enum { SLOT_MADE, SLOT_READY } SlotState;

typedef struct {
  gpointer item;
  SlotState state;
} Slot;

typedef struct {
  const PipelineStages *stages;
  gpointer user;
  int depth;
  Slot *ring;
  GMutex lock;
  GCond changed;
  guint64 made, taken, consumed; /* numbers of items */
  gboolean ended;                /* nothing more will be made */
  GError *error;                 /* the first failure; everything stops */
} Pipeline;

typedef struct {
  Pipeline *pipeline;
  int number;
} Worker;

static void keep_first_error(Pipeline *pipeline, GError *error) {
  g_mutex_lock(&pipeline->lock);
  if (pipeline->error)
    g_clear_error(&error);
  else
    pipeline->error = error;
  g_cond_broadcast(&pipeline->changed);
  g_mutex_unlock(&pipeline->lock);
}

static gpointer run_producer(gpointer data) {
  Pipeline *pipeline = data;
  for (;;) {
    g_mutex_lock(&pipeline->lock);
    while (!pipeline->error && pipeline->made - pipeline->consumed >= (guint64)pipeline->depth)
      g_cond_wait(&pipeline->changed, &pipeline->lock);
    gboolean stop = pipeline->error != NULL;
    g_mutex_unlock(&pipeline->lock);
    if (stop)
      return NULL;
    GError *error = NULL;
    gpointer item = NULL;
    if (!pipeline->stages->produce(pipeline->user, &item, &error)) {
      keep_first_error(pipeline, error);
      return NULL;
    }
    g_mutex_lock(&pipeline->lock);
    if (item)
      pipeline->ring[pipeline->made++ % (guint64)pipeline->depth] = (Slot){item, SLOT_MADE};
    else
      pipeline->ended = TRUE;
    g_cond_broadcast(&pipeline->changed);
    g_mutex_unlock(&pipeline->lock);
    if (!item)
      return NULL;
  }
}

static gpointer run_worker(gpointer data) {
  Worker *worker = data;
  Pipeline *pipeline = worker->pipeline;
  for (;;) {
    g_mutex_lock(&pipeline->lock);
    while (!pipeline->error && pipeline->taken == pipeline->made && !pipeline->ended)
      g_cond_wait(&pipeline->changed, &pipeline->lock);
    if (pipeline->error || pipeline->taken == pipeline->made) {
      g_mutex_unlock(&pipeline->lock);
      return NULL;
    }
    Slot *slot = &pipeline->ring[pipeline->taken++ % (guint64)pipeline->depth];
    g_mutex_unlock(&pipeline->lock);
    GError *error = NULL;
    if (!pipeline->stages->work(pipeline->user, worker->number, slot->item, &error)) {
      keep_first_error(pipeline, error);
      return NULL;
    }
    g_mutex_lock(&pipeline->lock);
    slot->state = SLOT_READY;
    g_cond_broadcast(&pipeline->changed);
    g_mutex_unlock(&pipeline->lock);
  }
}

/* The next ready item, or NULL when all is done or something failed. */
static gpointer wait_for_ready(Pipeline *pipeline) {
  gpointer item = NULL;
  g_mutex_lock(&pipeline->lock);
  for (;;) {
    Slot *slot = &pipeline->ring[pipeline->consumed % (guint64)pipeline->depth];
    if (pipeline->error || (pipeline->ended && pipeline->consumed == pipeline->made))
      break;
    if (pipeline->consumed < pipeline->taken && slot->state == SLOT_READY) {
      item = slot->item;
      slot->item = NULL;
      break;
    }
    g_cond_wait(&pipeline->changed, &pipeline->lock);
  }
  g_mutex_unlock(&pipeline->lock);
  return item;
}

static void consume_all(Pipeline *pipeline) {
  for (gpointer item; (item = wait_for_ready(pipeline));) {
    GError *error = NULL;
    gboolean good = pipeline->stages->consume(pipeline->user, item, &error);
    pipeline->stages->release(item);
    if (!good) {
      keep_first_error(pipeline, error);
      return;
    }
    g_mutex_lock(&pipeline->lock);
    pipeline->consumed++;
    g_cond_broadcast(&pipeline->changed);
    g_mutex_unlock(&pipeline->lock);
  }
}

gboolean pipeline_run(const PipelineStages *stages, int workers, int depth, gpointer user, GError **error) {
  g_assert(workers > 0 && depth > 0);
  Pipeline pipeline = {.stages = stages, .user = user, .depth = depth};
  pipeline.ring = g_new0(Slot, depth);
  g_mutex_init(&pipeline.lock);
  g_cond_init(&pipeline.changed);
  GThread *producer = g_thread_new("produce", run_producer, &pipeline);
  g_autofree Worker *crew = g_new0(Worker, workers);
  g_autofree GThread **threads = g_new0(GThread *, workers);
  for (int i = 0; i < workers; i++) {
    crew[i] = (Worker){&pipeline, i};
    threads[i] = g_thread_new("work", run_worker, &crew[i]);
  }
  consume_all(&pipeline);
  g_thread_join(producer);
  for (int i = 0; i < workers; i++)
    g_thread_join(threads[i]);
  for (int i = 0; i < depth; i++)
    if (pipeline.ring[i].item)
      stages->release(pipeline.ring[i].item);
  g_free(pipeline.ring);
  g_mutex_clear(&pipeline.lock);
  g_cond_clear(&pipeline.changed);
  if (!pipeline.error)
    return TRUE;
  g_propagate_error(error, pipeline.error);
  return FALSE;
}
