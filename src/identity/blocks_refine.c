/* Training of the refinement. A convolution is a matrix product with the neighbourhoods of all pixels,
 * patches [channels · 9, h · w]; one picture goes after the other, so that these stay in the cache:
 *
 *   y = W·P + b;  d_W = d_y·Pᵀ;  d_b = Σ d_y;  d_P = Wᵀ·d_y, which each neighbourhood gives back to its
 * pixels.
 *
 * With r_i = ReLU(conv_i(a_i-1)): a_0 = r_0, a_1 = r_1 + a_0, a_2 = r_2 + a_1, and conv_3(a_2) is added. */
#include "identity/autoencoder_parts.h"
#include "identity/blocks_parts.h"
#include "identity/noise.h"
#include "identity/optimiser.h"

#include <math.h>
#include <string.h>

#define TAPS 9
#define CLIP 1.0 /* norm of all gradients together */

static const gint64 widths[REFINE_LAYERS + 1] = {FOLD_CHANNELS, REFINE_WIDTH, REFINE_WIDTH, REFINE_WIDTH,
                                                 FOLD_CHANNELS};

typedef struct {
  float *weight, *bias, *d_weight, *d_bias;
} Layer;

struct BlocksRefiner {
  Safetensors *file;
  Blocks *blocks;
  Layer layers[REFINE_LAYERS];
  GArray *parameters; /* Parameter */
  Optimiser *optimiser;
  Buffer linear, patches, errors[2];
  Buffer activations[REFINE_LAYERS], positive[REFINE_LAYERS]; /* a before each layer; r after it */
};

/* --- life --- */

static gint64 weights_of(int layer) {
  return widths[layer] * widths[layer + 1] * TAPS;
}

static void parameter_clear(gpointer data) {
  g_free(((Parameter *)data)->name);
}

static void add_parameter(BlocksRefiner *refiner, char *name, gint64 rows, gint64 cols, float *value,
                          float *gradient) {
  const Parameter parameter = {
      .name = name, .rows = rows, .cols = cols, .value = value, .gradient = gradient};
  g_array_append_val(refiner->parameters, parameter);
}

/* He's initialisation; the last layer begins at zero, and with it the whole. */
static void begin_layer(BlocksRefiner *refiner, int i, guint64 seed) {
  Layer *layer = &refiner->layers[i];
  gint64 count = weights_of(i);
  *layer = (Layer){g_new0(float, (gsize)count), g_new0(float, (gsize)widths[i + 1]),
                   g_new0(float, (gsize)count), g_new0(float, (gsize)widths[i + 1])};
  if (i < REFINE_LAYERS - 1)
    noise_fill(seed, (guint64)i, count, layer->weight);
  float deviation = sqrtf(2.0f / (float)(widths[i] * TAPS));
  for (gint64 k = 0; k < count; k++)
    layer->weight[k] *= deviation;
  add_parameter(refiner, g_strdup_printf("refine.%d.weight", i), widths[i + 1], widths[i] * TAPS,
                layer->weight, layer->d_weight);
  add_parameter(refiner, g_strdup_printf("refine.%d.bias", i), 1, widths[i + 1], layer->bias, layer->d_bias);
}

static gboolean take_over(BlocksRefiner *refiner, GError **error) {
  for (guint i = 0; i < refiner->parameters->len && safetensors_has(refiner->file, "refine.0.weight"); i++) {
    const Parameter *parameter = &g_array_index(refiner->parameters, Parameter, i);
    const SafetensorsTensor *tensor = safetensors_find(refiner->file, parameter->name);
    if (!tensor || safetensors_count(tensor) != parameter->rows * parameter->cols ||
        !safetensors_floats(tensor, parameter->value))
      return fault(error, FAULT_INPUT, "The refinement's %s does not have the shape that is trained here.",
                   parameter->name);
  }
  return TRUE;
}

BlocksRefiner *blocks_refiner_new(const char *path, guint64 seed, GError **error) {
  g_autoptr(BlocksRefiner) refiner = g_new0(BlocksRefiner, 1);
  refiner->parameters = g_array_new(FALSE, FALSE, sizeof(Parameter));
  g_array_set_clear_func(refiner->parameters, parameter_clear);
  refiner->file = safetensors_open(path, error);
  if (!refiner->file || !(refiner->blocks = blocks_open(refiner->file, error)))
    return NULL;
  for (int i = 0; i < REFINE_LAYERS; i++)
    begin_layer(refiner, i, seed);
  if (!take_over(refiner, error))
    return NULL;
  refiner->optimiser = optimiser_new(refiner->parameters, &optimiser_defaults);
  return g_steal_pointer(&refiner);
}

void blocks_refiner_free(BlocksRefiner *refiner) {
  if (!refiner)
    return;
  optimiser_free(refiner->optimiser);
  g_array_unref(refiner->parameters);
  blocks_free(refiner->blocks);
  safetensors_free(refiner->file);
  for (int i = 0; i < REFINE_LAYERS; i++) {
    float *arrays[] = {refiner->layers[i].weight, refiner->layers[i].bias, refiner->layers[i].d_weight,
                       refiner->layers[i].d_bias};
    for (gsize k = 0; k < G_N_ELEMENTS(arrays); k++)
      g_free(arrays[k]);
    buffer_clear(&refiner->activations[i]);
    buffer_clear(&refiner->positive[i]);
  }
  Buffer *buffers[] = {&refiner->linear, &refiner->patches, &refiner->errors[0], &refiner->errors[1]};
  for (gsize i = 0; i < G_N_ELEMENTS(buffers); i++)
    buffer_clear(buffers[i]);
  g_free(refiner);
}

gboolean blocks_refiner_write(BlocksRefiner *refiner, const char *path, GError **error) {
  static const char *const transform[] = {"blocks.mean", "blocks.basis", "blocks.scale"};
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  for (gsize i = 0; i < G_N_ELEMENTS(transform); i++) {
    const SafetensorsTensor *tensor = safetensors_find(refiner->file, transform[i]);
    safetensors_add(writer, transform[i], tensor->dtype, tensor->shape, tensor->rank, tensor->data);
  }
  for (int i = 0; i < REFINE_LAYERS; i++) {
    g_autofree char *weight = g_strdup_printf("refine.%d.weight", i);
    g_autofree char *bias = g_strdup_printf("refine.%d.bias", i);
    safetensors_add(writer, weight, DTYPE_F32, (gint64[]){widths[i + 1], widths[i], 3, 3}, 4,
                    refiner->layers[i].weight);
    safetensors_add(writer, bias, DTYPE_F32, (gint64[]){widths[i + 1]}, 1, refiner->layers[i].bias);
  }
  return safetensors_write(writer, path, error);
}

/* --- a picture --- */

typedef struct {
  gint64 rows, columns; /* folded */
} Map;

static gint64 map_pixels(const Map *map) {
  return map->rows * map->columns;
}

/* One tap's row of the patches: each pixel's neighbour at (dy, dx), zero outside; or what the patches give
 * back, added to the neighbours. */
static void move_tap(const Map *map, float *plane, float *patch, int dy, int dx, gboolean back) {
  gint64 rows = map->rows, columns = map->columns, first = MAX(0, -dx), last = columns - MAX(0, dx);
  if (!back)
    memset(patch, 0, sizeof *patch * (gsize)map_pixels(map));
  for (gint64 line = 0; line < rows; line++) {
    gint64 row = line + dy;
    if (row < 0 || row >= rows)
      continue;
    float *here = patch + line * columns, *there = plane + (line + dy) * columns + dx;
    for (gint64 x = first; x < last; x++)
      if (back)
        there[x] += here[x];
      else
        here[x] = there[x];
  }
}

static void move_patches(const Map *map, float *planes, gint64 channels, float *patches, gboolean back) {
  gint64 pixels = map_pixels(map);
#pragma omp parallel for schedule(static)
  for (gint64 channel = 0; channel < channels; channel++)
    for (int tap = 0; tap < TAPS; tap++)
      move_tap(map, planes + channel * pixels, patches + (channel * TAPS + tap) * pixels, tap / 3 - 1,
               tap % 3 - 1, back);
}

static void run_conv(BlocksRefiner *refiner, const Map *map, int i, float *x, float *y) {
  gint64 pixels = map_pixels(map), depth = widths[i] * TAPS, out = widths[i + 1];
  float *patches = buffer_get(&refiner->patches, depth * pixels);
  move_patches(map, x, widths[i], patches, FALSE);
  for (gint64 channel = 0; channel < out; channel++)
    for (gint64 k = 0; k < pixels; k++)
      y[channel * pixels + k] = refiner->layers[i].bias[channel];
  op_gemm(FALSE, FALSE, out, pixels, depth, 1, refiner->layers[i].weight, depth, patches, pixels, 1, y,
          pixels);
}

/* Adds the layer's gradients; d_x (may be NULL) is added to. */
static void run_conv_d(BlocksRefiner *refiner, const Map *map, int i, float *x, const float *d_y,
                       float *d_x) {
  gint64 pixels = map_pixels(map), depth = widths[i] * TAPS, out = widths[i + 1];
  const Layer *layer = &refiner->layers[i];
  float *patches = buffer_get(&refiner->patches, depth * pixels);
  move_patches(map, x, widths[i], patches, FALSE);
  op_gemm(FALSE, TRUE, out, depth, pixels, 1, d_y, pixels, patches, pixels, 1, layer->d_weight, depth);
  for (gint64 channel = 0; channel < out; channel++) {
    double sum = 0;
    for (gint64 k = 0; k < pixels; k++)
      sum += (double)d_y[channel * pixels + k];
    layer->d_bias[channel] += (float)sum;
  }
  if (!d_x)
    return;
  op_gemm(TRUE, FALSE, depth, pixels, out, 1, layer->weight, depth, d_y, pixels, 0, patches, pixels);
  move_patches(map, d_x, widths[i], patches, TRUE);
}

static void fold_picture(const Map *map, const float *picture, float *folded) {
  for (gint64 channel = 0; channel < FOLD_CHANNELS; channel++)
    for (gint64 row = 0; row < map->rows; row++)
      for (gint64 column = 0; column < map->columns; column++)
        *folded++ = picture[fold_place(channel, row, column, map->rows * FOLD, map->columns * FOLD)];
}

static void run_forward(BlocksRefiner *refiner, const Map *map, const float *linear, float *out) {
  gint64 pixels = map_pixels(map);
  float *from = buffer_get(&refiner->activations[0], FOLD_CHANNELS * pixels);
  fold_picture(map, linear, from);
  for (int i = 0; i < REFINE_LAYERS - 1; i++) {
    gint64 count = REFINE_WIDTH * pixels;
    float *positive = buffer_get(&refiner->positive[i], count);
    float *to = buffer_get(&refiner->activations[i + 1], count);
    run_conv(refiner, map, i, from, positive);
    for (gint64 k = 0; k < count; k++) {
      positive[k] = fmaxf(positive[k], 0);
      to[k] = positive[k] + (i ? from[k] : 0);
    }
    from = to;
  }
  run_conv(refiner, map, REFINE_LAYERS - 1, from, out);
}

/* d_out: the error's gradient at the output. */
static void run_backward(BlocksRefiner *refiner, const Map *map, const float *d_out) {
  gint64 count = REFINE_WIDTH * map_pixels(map);
  float *d_a = buffer_get(&refiner->errors[1], 2 * count), *d_r = d_a + count;
  memset(d_a, 0, sizeof *d_a * (gsize)count);
  run_conv_d(refiner, map, REFINE_LAYERS - 1, refiner->activations[REFINE_LAYERS - 1].data, d_out, d_a);
  for (int i = REFINE_LAYERS - 2; i >= 0; i--) {
    for (gint64 k = 0; k < count; k++)
      d_r[k] = refiner->positive[i].data[k] > 0 ? d_a[k] : 0;
    /* The skip hands d_a on as it is. */
    run_conv_d(refiner, map, i, refiner->activations[i].data, d_r, i ? d_a : NULL);
  }
}

/* One picture: its sum of squared errors; adds its share of the gradient of the mean over `count` numbers. */
static double add_picture(BlocksRefiner *refiner, const float *tokens, const float *picture, gint64 height,
                          gint64 width, gint64 count) {
  const Map map = {height / FOLD, width / FOLD};
  gint64 size = 3 * height * width;
  float *linear = buffer_get(&refiner->linear, 2 * size), *wanted = linear + size;
  float *out = buffer_get(&refiner->errors[0], size);
  blocks_decode_linear(refiner->blocks, tokens, height, width, linear);
  run_forward(refiner, &map, linear, out);
  fold_picture(&map, picture, wanted);
  double sum = 0;
  for (gint64 k = 0; k < size; k++) { /* the output is folded, and so is the linear picture it is added to */
    float difference = out[k] + refiner->activations[0].data[k] - wanted[k];
    sum += (double)difference * (double)difference;
    out[k] = 2 * difference / (float)count;
  }
  run_backward(refiner, &map, out);
  return sum;
}

double blocks_refiner_gradient(BlocksRefiner *refiner, const float *tokens, const float *pictures, gint64 n,
                               gint64 height, gint64 width) {
  gint64 size = 3 * height * width,
         numbers = height / BLOCK_SIDE * (width / BLOCK_SIDE) * AUTOENCODER_CHANNELS;
  double sum = 0;
  optimiser_clear(refiner->optimiser);
  for (gint64 i = 0; i < n; i++)
    sum += add_picture(refiner, tokens + i * numbers, pictures + i * size, height, width, n * size);
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
