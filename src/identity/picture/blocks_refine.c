/* Training of the refinement. With patches P of a layer's input, made and given back band by band:
 *
 *   y = W·P + b;  d_W = d_y·Pᵀ;  d_b = Σ d_y;  d_P = Wᵀ·d_y, which each neighbourhood gives back to its
 * pixels.
 *
 * The loss of a picture that differs from the wanted one by d is the mean of ρ(d) over its numbers and, with
 * weight SLOPE, of ρ over the differences of neighbouring d: what the eye takes for a mosaic is the slope
 * that was not there. ρ(x) = √(x² + ε²) - ε, an absolute value with a round foot, keeps edges sharper than a
 * square does.
 *
 * The batch is divided among workers, each on one thread; gradients are added in their order. */
#include "identity/network/optimiser.h"
#include "identity/picture/blocks_parts.h"

#include <math.h>
#include <string.h>

#define CLIP 1.0 /* norm of all gradients together */
#define SLOPE 2.0f
#define FOOT 0.01f /* ε */
#define WORKERS 2

typedef struct {
  float *weight, *bias;
} Gradients;

typedef struct {
  RefinementMemory memory;
  Buffer picture, out, patches, errors;
  Gradients gradients[REFINEMENT_MAX_LAYERS];
  double loss;
} Worker;

struct BlocksRefiner {
  Safetensors *file;
  Blocks *blocks[WORKERS]; /* each has its own working memory */
  Refinement *refinement;
  GArray *parameters; /* Parameter; their gradients are the first worker's */
  Optimiser *optimiser;
  Worker workers[WORKERS];
};

/* --- life --- */

static void parameter_clear(gpointer data) {
  g_free(((Parameter *)data)->name);
}

static void add_parameter(BlocksRefiner *refiner, char *name, gint64 rows, gint64 cols, float *value,
                          float *gradient) {
  const Parameter parameter = {
      .name = name, .rows = rows, .cols = cols, .value = value, .gradient = gradient};
  g_array_append_val(refiner->parameters, parameter);
}

static void prepare(BlocksRefiner *refiner) {
  for (int i = 0; i < refiner->refinement->layers; i++) {
    const RefinementLayer *layer = &refiner->refinement->layer[i];
    gint64 depth = layer->in * REFINEMENT_TAPS;
    for (int w = 0; w < WORKERS; w++)
      refiner->workers[w].gradients[i] =
          (Gradients){g_new0(float, (gsize)(layer->out * depth)), g_new0(float, (gsize)layer->out)};
    const Gradients *first = &refiner->workers[0].gradients[i];
    add_parameter(refiner, g_strdup_printf("refine.%d.weight", i), layer->out, depth, layer->weight,
                  first->weight);
    add_parameter(refiner, g_strdup_printf("refine.%d.bias", i), 1, layer->out, layer->bias, first->bias);
  }
}

BlocksRefiner *blocks_refiner_new(const char *path, guint64 seed, GError **error) {
  g_autoptr(BlocksRefiner) refiner = g_new0(BlocksRefiner, 1);
  refiner->parameters = g_array_new(FALSE, FALSE, sizeof(Parameter));
  g_array_set_clear_func(refiner->parameters, parameter_clear);
  refiner->file = safetensors_open(path, error);
  if (!refiner->file)
    return NULL;
  for (int w = 0; w < WORKERS; w++) {
    if (!(refiner->blocks[w] = blocks_open(refiner->file, error)))
      return NULL;
    blocks_smooth_borders(refiner->blocks[w]);
  }
  gboolean again = refinement_is_in(refiner->file);
  refiner->refinement = again ? refinement_open(refiner->file, error) : refinement_new(seed);
  if (!refiner->refinement)
    return NULL;
  prepare(refiner);
  refiner->optimiser = optimiser_new(refiner->parameters, &optimiser_defaults);
  return g_steal_pointer(&refiner);
}

static void worker_clear(Worker *worker) {
  Buffer *buffers[] = {&worker->picture, &worker->out, &worker->patches, &worker->errors};
  for (gsize i = 0; i < G_N_ELEMENTS(buffers); i++)
    buffer_clear(buffers[i]);
  refinement_memory_clear(&worker->memory);
  for (int i = 0; i < REFINEMENT_MAX_LAYERS; i++) {
    g_free(worker->gradients[i].weight);
    g_free(worker->gradients[i].bias);
  }
}

void blocks_refiner_free(BlocksRefiner *refiner) {
  if (!refiner)
    return;
  optimiser_free(refiner->optimiser);
  g_array_unref(refiner->parameters);
  refinement_free(refiner->refinement);
  for (int w = 0; w < WORKERS; w++) {
    blocks_free(refiner->blocks[w]);
    worker_clear(&refiner->workers[w]);
  }
  safetensors_free(refiner->file);
  g_free(refiner);
}

gboolean blocks_refiner_write(BlocksRefiner *refiner, const char *path, GError **error) {
  static const char *const transform[] = {"blocks.mean", "blocks.basis", "blocks.scale"};
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  for (gsize i = 0; i < G_N_ELEMENTS(transform); i++) {
    const SafetensorsTensor *tensor = safetensors_find(refiner->file, transform[i]);
    safetensors_add(writer, transform[i], tensor->dtype, tensor->shape, tensor->rank, tensor->data);
  }
  const DeblockSettings settings = blocks_borders(refiner->blocks[0]);
  const float borders[2] = {settings.step, settings.similar};
  safetensors_add(writer, "blocks.borders", DTYPE_F32, (gint64[]){2}, 1, borders);
  refinement_add(refiner->refinement, writer);
  return safetensors_write(writer, path, error);
}

/* --- the way back --- */

/* Adds the layer's gradients; d_x (may be NULL) is added to. */
static void return_layer(const RefinementLayer *layer, const RefinementMap *map, Worker *worker,
                         const Gradients *gradients, float *x, const float *d_y, float *d_x) {
  gint64 pixels = map->rows * map->columns, depth = layer->in * REFINEMENT_TAPS, band = refinement_band(map);
  float *patches = buffer_get(&worker->patches, depth * band * map->columns);
  for (gint64 first = 0; first < map->rows; first += band) {
    gint64 last = MIN(first + band, map->rows), here = (last - first) * map->columns;
    const float *d_here = d_y + first * map->columns;
    refinement_patches(map, x, layer->in, layer->reach, first, last, patches, FALSE);
    op_gemm(FALSE, TRUE, layer->out, depth, here, 1, d_here, pixels, patches, here, 1, gradients->weight,
            depth);
    if (!d_x)
      continue;
    op_gemm(TRUE, FALSE, depth, here, layer->out, 1, layer->weight, depth, d_here, pixels, 0, patches, here);
    refinement_patches(map, d_x, layer->in, layer->reach, first, last, patches, TRUE);
  }
  for (gint64 channel = 0; channel < layer->out; channel++) {
    double sum = 0;
    for (gint64 k = 0; k < pixels; k++)
      sum += (double)d_y[channel * pixels + k];
    gradients->bias[channel] += (float)sum;
  }
}

/* d_out: the loss's gradient at the folded output. */
static void return_all(const Refinement *refinement, const RefinementMap *map, Worker *worker,
                       const float *d_out) {
  int last = refinement->layers - 1;
  gint64 count = refinement->layer[last].in * map->rows * map->columns;
  float *d_map = buffer_get(&worker->errors, 2 * count), *d_raw = d_map + count;
  memset(d_map, 0, sizeof *d_map * (gsize)count);
  return_layer(&refinement->layer[last], map, worker, &worker->gradients[last],
               worker->memory.maps[last].data, d_out, d_map);
  for (int i = last - 1; i >= 0; i--) {
    for (gint64 k = 0; k < count; k++)
      d_raw[k] = worker->memory.raws[i].data[k] > 0 ? d_map[k] : 0;
    /* The skip hands d_map on as it is. */
    return_layer(&refinement->layer[i], map, worker, &worker->gradients[i], worker->memory.maps[i].data,
                 d_raw, i ? d_map : NULL);
  }
}

/* --- a picture --- */

/* Adds weight · ρ(x) to the loss; its slope. */
static float add_loss(double *loss, float x, float weight) {
  float root = sqrtf(x * x + FOOT * FOOT);
  *loss += (double)weight * ((double)root - (double)FOOT);
  return weight * x / root;
}

/* The loss of differences d [3, height, width], and its gradient. */
static double measure(const float *d, gint64 height, gint64 width, float *gradient) {
  double loss = 0;
  memset(gradient, 0, sizeof *gradient * (gsize)(3 * height * width));
  for (gint64 line = 0; line < 3 * height; line++)
    for (gint64 x = 0; x < width; x++) {
      gint64 at = line * width + x;
      gradient[at] += add_loss(&loss, d[at], 1);
      for (int down = 0; down < 2; down++) {
        if (down ? line % height == 0 : x == 0)
          continue;
        gint64 before = at - (down ? width : 1);
        float slope = add_loss(&loss, d[at] - d[before], SLOPE);
        gradient[at] += slope;
        gradient[before] -= slope;
      }
    }
  return loss;
}

/* One picture: its summed loss; adds its share of the gradient of the mean over `count` numbers. */
static double add_picture(const BlocksRefiner *refiner, Blocks *blocks, Worker *worker, const float *tokens,
                          const float *wanted, gint64 height, gint64 width, gint64 count) {
  const RefinementMap map = {height / FOLD, width / FOLD};
  gint64 size = 3 * height * width;
  float *picture = buffer_get(&worker->picture, 2 * size), *gradient = picture + size;
  float *out = buffer_get(&worker->out, size);
  blocks_decode_linear(blocks, tokens, height, width, picture);
  refinement_run(refiner->refinement, &worker->memory, picture, height, width, out);
  refinement_unfold(out, height, width, picture);
  for (gint64 k = 0; k < size; k++)
    picture[k] -= wanted[k];
  double loss = measure(picture, height, width, gradient);
  float *at = out;
  for (gint64 channel = 0; channel < FOLD_CHANNELS; channel++)
    for (gint64 row = 0; row < map.rows; row++)
      for (gint64 column = 0; column < map.columns; column++)
        *at++ = gradient[fold_place(channel, row, column, height, width)] / (float)count;
  return_all(refiner->refinement, &map, worker, out);
  return loss;
}

/* All gradients to the first worker; the others' are cleared. */
static void gather(BlocksRefiner *refiner) {
  for (int i = 0; i < refiner->refinement->layers; i++) {
    const RefinementLayer *layer = &refiner->refinement->layer[i];
    const Gradients *first = &refiner->workers[0].gradients[i];
    for (int w = 1; w < WORKERS; w++) {
      const Gradients *more = &refiner->workers[w].gradients[i];
      for (gint64 k = 0; k < layer->out * layer->in * REFINEMENT_TAPS; k++) {
        first->weight[k] += more->weight[k];
        more->weight[k] = 0;
      }
      for (gint64 k = 0; k < layer->out; k++) {
        first->bias[k] += more->bias[k];
        more->bias[k] = 0;
      }
    }
  }
}

double blocks_refiner_gradient(BlocksRefiner *refiner, const float *tokens, const float *pictures, gint64 n,
                               gint64 height, gint64 width) {
  gint64 size = 3 * height * width,
         numbers = height / BLOCK_SIDE * (width / BLOCK_SIDE) * AUTOENCODER_CHANNELS;
  optimiser_clear(refiner->optimiser);
#pragma omp parallel for schedule(static, 1) num_threads(WORKERS)
  for (int w = 0; w < WORKERS; w++) {
    Worker *worker = &refiner->workers[w];
    worker->loss = 0;
    for (gint64 i = w; i < n; i += WORKERS)
      worker->loss += add_picture(refiner, refiner->blocks[w], worker, tokens + i * numbers,
                                  pictures + i * size, height, width, n * size);
  }
  gather(refiner);
  double sum = 0;
  for (int w = 0; w < WORKERS; w++)
    sum += refiner->workers[w].loss;
  return sum / (double)(n * size);
}

GArray *blocks_refiner_parameters(BlocksRefiner *refiner) {
  return refiner->parameters;
}

double blocks_refiner_step(BlocksRefiner *refiner, const float *tokens, const float *pictures, gint64 n,
                           gint64 height, gint64 width, double rate, GError **error) {
  double mean = blocks_refiner_gradient(refiner, tokens, pictures, n, height, width);
  if (!isfinite(mean) || !isfinite(optimiser_clip(refiner->optimiser, CLIP))) {
    fault(error, FAULT_INPUT, "The refinement's error is not a number; the pictures or tokens are damaged.");
    return -1;
  }
  optimiser_step(refiner->optimiser, rate);
  return mean;
}
