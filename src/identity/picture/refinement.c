/* A convolution is a matrix product with the neighbourhoods of its pixels, patches [channels · 9, pixels],
 * made for a band of rows at a time so that they stay in the cache. */
#include "identity/picture/refinement.h"
#include "identity/sampling/noise.h"

#include <math.h>
#include <string.h>

#define WIDTH 64
#define BAND_PIXELS 512
static const int reaches[] = {1, 1, 2, 4, 2, 1, 1};

/* --- life --- */

static gint64 weights_of(const RefinementLayer *layer) {
  return layer->out * layer->in * REFINEMENT_TAPS;
}

Refinement *refinement_new(guint64 seed) {
  Refinement *refinement = g_new0(Refinement, 1);
  refinement->layers = G_N_ELEMENTS(reaches);
  for (int i = 0; i < refinement->layers; i++) {
    RefinementLayer *layer = &refinement->layer[i];
    gboolean last = i == refinement->layers - 1;
    *layer = (RefinementLayer){.in = i ? WIDTH : FOLD_CHANNELS + FOLD_PLACES,
                               .out = last ? FOLD_CHANNELS : WIDTH,
                               .reach = reaches[i]};
    gint64 count = weights_of(layer);
    refinement->reaches[i] = (float)reaches[i];
    layer->weight = g_new0(float, (gsize)count);
    layer->bias = g_new0(float, (gsize)layer->out);
    if (!last)
      noise_fill(seed, (guint64)i, count, layer->weight);
    float deviation = sqrtf(2.0f / (float)(layer->in * REFINEMENT_TAPS));
    for (gint64 k = 0; k < count; k++)
      layer->weight[k] *= deviation;
  }
  return refinement;
}

void refinement_free(Refinement *refinement) {
  if (!refinement)
    return;
  for (int i = 0; i < REFINEMENT_MAX_LAYERS; i++) {
    g_free(refinement->layer[i].weight);
    g_free(refinement->layer[i].bias);
  }
  g_free(refinement);
}

/* --- files --- */

gboolean refinement_is_in(const Safetensors *file) {
  return safetensors_has(file, "refine.reach");
}

static gboolean open_layer(Refinement *refinement, int i, const Safetensors *file, GError **error) {
  RefinementLayer *layer = &refinement->layer[i];
  g_autofree char *name = g_strdup_printf("refine.%d", i);
  gint64 in = i ? refinement->layer[i - 1].out : FOLD_CHANNELS + FOLD_PLACES;
  /* The skips need inner layers of one width. */
  gint64 out = i == refinement->layers - 1 ? FOLD_CHANNELS : i ? in : -1;
  Conv conv;
  if (!conv_open(&conv, file, name, in, out, 3, BIAS_NEEDED, error))
    return FALSE;
  layer->in = conv.in;
  layer->out = conv.out;
  layer->bias = conv.bias;
  layer->weight = g_new(float, (gsize)weights_of(layer));
  safetensors_floats(conv.weight, layer->weight);
  double sum = 0;
  for (gint64 k = 0; k < weights_of(layer); k++)
    sum += (double)layer->weight[k];
  for (gint64 k = 0; k < layer->out; k++)
    sum += (double)layer->bias[k];
  return isfinite(sum) ||
         fault(error, FAULT_INPUT, "The refinement's %s holds values that are no numbers.", name);
}

Refinement *refinement_open(const Safetensors *file, GError **error) {
  g_autoptr(Refinement) refinement = g_new0(Refinement, 1);
  const SafetensorsTensor *reach = safetensors_find(file, "refine.reach");
  gint64 count = reach && reach->rank == 1 ? reach->shape[0] : 0;
  if (count < 2 || count > REFINEMENT_MAX_LAYERS)
    return fault_null(error, FAULT_INPUT, "The refinement has no list of its 2 to %d layers' reaches.",
                      REFINEMENT_MAX_LAYERS);
  g_autofree float *values = vector_open(file, "refine.reach", count, error);
  if (!values)
    return NULL;
  refinement->layers = (int)count;
  for (int i = 0; i < refinement->layers; i++) {
    if (!(values[i] >= 1 && values[i] <= REFINEMENT_MAX_REACH))
      return fault_null(error, FAULT_INPUT, "The refinement's layer %d does not reach 1 to %d pixels far.", i,
                        REFINEMENT_MAX_REACH);
    refinement->layer[i].reach = (int)values[i];
    refinement->reaches[i] = (float)refinement->layer[i].reach;
    if (!open_layer(refinement, i, file, error))
      return NULL;
  }
  return g_steal_pointer(&refinement);
}

void refinement_add(const Refinement *refinement, SafetensorsWriter *writer) {
  for (int i = 0; i < refinement->layers; i++) {
    const RefinementLayer *layer = &refinement->layer[i];
    g_autofree char *weight = g_strdup_printf("refine.%d.weight", i);
    g_autofree char *bias = g_strdup_printf("refine.%d.bias", i);
    safetensors_add(writer, weight, DTYPE_F32, (gint64[]){layer->out, layer->in, 3, 3}, 4, layer->weight);
    safetensors_add(writer, bias, DTYPE_F32, (gint64[]){layer->out}, 1, layer->bias);
  }
  safetensors_add(writer, "refine.reach", DTYPE_F32, (gint64[]){refinement->layers}, 1, refinement->reaches);
}

/* --- neighbourhoods --- */

/* One tap's row of the patches: each pixel's neighbour (dy, dx) away, zero outside. */
static void move_tap(const RefinementMap *map, float *plane, float *patch, gint64 dy, gint64 dx, gint64 first,
                     gint64 last, gboolean back) {
  gint64 columns = map->columns, from = MIN(MAX(0, -dx), columns), to = MAX(from, columns - MAX(0, dx));
  if (!back)
    memset(patch, 0, sizeof *patch * (gsize)((last - first) * columns));
  for (gint64 line = first; line < last; line++) {
    gint64 row = line + dy;
    if (row < 0 || row >= map->rows)
      continue;
    float *here = patch + (line - first) * columns, *there = plane + row * columns + dx;
    for (gint64 x = from; x < to; x++)
      if (back)
        there[x] += here[x];
      else
        here[x] = there[x];
  }
}

void refinement_patches(const RefinementMap *map, float *planes, gint64 channels, int reach, gint64 first,
                        gint64 last, float *patches, gboolean back) {
  gint64 pixels = map->rows * map->columns, here = (last - first) * map->columns;
  for (gint64 channel = 0; channel < channels; channel++)
    for (int tap = 0; tap < REFINEMENT_TAPS; tap++)
      move_tap(map, planes + channel * pixels, patches + (channel * REFINEMENT_TAPS + tap) * here,
               (tap / 3 - 1) * reach, (tap % 3 - 1) * reach, first, last, back);
}

gint64 refinement_band(const RefinementMap *map) {
  return CLAMP(BAND_PIXELS / map->columns, 1, map->rows);
}

/* --- running --- */

void refinement_memory_clear(RefinementMemory *memory) {
  for (int i = 0; i < REFINEMENT_MAX_LAYERS; i++) {
    buffer_clear(&memory->maps[i]);
    buffer_clear(&memory->raws[i]);
  }
  buffer_clear(&memory->patches);
}

static void fold(const RefinementMap *map, const float *picture, float *folded) {
  gint64 height = map->rows * FOLD, width = map->columns * FOLD;
  for (gint64 channel = 0; channel < FOLD_CHANNELS; channel++)
    for (gint64 row = 0; row < map->rows; row++)
      for (gint64 column = 0; column < map->columns; column++)
        *folded++ = picture[fold_place(channel, row, column, height, width)];
  const gint64 side = AUTOENCODER_PATCH / FOLD;
  for (gint64 place = 0; place < FOLD_PLACES; place++)
    for (gint64 row = 0; row < map->rows; row++)
      for (gint64 column = 0; column < map->columns; column++)
        *folded++ = row % side == place / side && column % side == place % side;
}

static void run_layer(const RefinementLayer *layer, const RefinementMap *map, Buffer *buffer, float *x,
                      float *y) {
  gint64 pixels = map->rows * map->columns, depth = layer->in * REFINEMENT_TAPS, band = refinement_band(map);
  float *patches = buffer_get(buffer, depth * band * map->columns);
  for (gint64 channel = 0; channel < layer->out; channel++)
    for (gint64 k = 0; k < pixels; k++)
      y[channel * pixels + k] = layer->bias[channel];
  for (gint64 first = 0; first < map->rows; first += band) {
    gint64 last = MIN(first + band, map->rows), here = (last - first) * map->columns;
    refinement_patches(map, x, layer->in, layer->reach, first, last, patches, FALSE);
    op_gemm(FALSE, FALSE, layer->out, here, depth, 1, layer->weight, depth, patches, here, 1,
            y + first * map->columns, pixels);
  }
}

void refinement_run(const Refinement *refinement, RefinementMemory *memory, const float *picture,
                    gint64 height, gint64 width, float *out) {
  const RefinementMap map = {height / FOLD, width / FOLD};
  gint64 pixels = map.rows * map.columns;
  float *x = buffer_get(&memory->maps[0], refinement->layer[0].in * pixels);
  fold(&map, picture, x);
  for (int i = 0; i < refinement->layers - 1; i++) {
    const RefinementLayer *layer = &refinement->layer[i];
    gint64 count = layer->out * pixels;
    float *raw = buffer_get(&memory->raws[i], count), *next = buffer_get(&memory->maps[i + 1], count);
    run_layer(layer, &map, &memory->patches, x, raw);
    for (gint64 k = 0; k < count; k++)
      next[k] = fmaxf(raw[k], 0) + (i ? x[k] : 0);
    x = next;
  }
  run_layer(&refinement->layer[refinement->layers - 1], &map, &memory->patches, x, out);
}

gint64 refinement_room(const Refinement *refinement, gint64 height, gint64 width) {
  const RefinementMap map = {height / FOLD, width / FOLD};
  gint64 pixels = map.rows * map.columns, channels = refinement->layer[0].in, most = channels;
  for (int i = 0; i < refinement->layers - 1; i++) {
    channels += 2 * refinement->layer[i].out;
    most = MAX(most, refinement->layer[i].out);
  }
  return channels * pixels + most * REFINEMENT_TAPS * refinement_band(&map) * map.columns;
}

void refinement_unfold(const float *folded, gint64 height, gint64 width, float *picture) {
  for (gint64 channel = 0; channel < FOLD_CHANNELS; channel++)
    for (gint64 row = 0; row < height / FOLD; row++)
      for (gint64 column = 0; column < width / FOLD; column++)
        picture[fold_place(channel, row, column, height, width)] += *folded++;
}
