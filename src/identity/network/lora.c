/* The adapter itself: making, finding, saving. lora_load.c reads the files of others. */
#include "identity/network/lora_private.h"

#include "identity/sampling/noise.h"
#include <math.h>
#include <string.h>

static void layer_clear(gpointer data) {
  LoraLayer *layer = data;
  g_free(layer->name);
  g_free(layer->a);
  g_free(layer->b);
  g_free(layer->d_a);
  g_free(layer->d_b);
}

Lora *lora_alloc(void) {
  Lora *lora = g_new0(Lora, 1);
  lora->layers = g_array_new(FALSE, TRUE, sizeof(LoraLayer));
  g_array_set_clear_func(lora->layers, layer_clear);
  lora->strength = 1;
  return lora;
}

void lora_free(Lora *lora) {
  if (!lora)
    return;
  g_array_unref(lora->layers);
  g_free(lora);
}

LoraLayer *lora_add(Lora *lora, const char *name, gint64 in, gint64 out, gint64 rank) {
  LoraLayer layer = {.name = g_strdup(name), .in = in, .out = out, .rank = rank, .scale = 1};
  layer.a = g_new0(float, (gsize)(rank * in));
  layer.b = g_new0(float, (gsize)(out * rank));
  g_array_append_val(lora->layers, layer);
  return &g_array_index(lora->layers, LoraLayer, lora->layers->len - 1);
}

static gboolean in_blocks(const char *name) {
  return g_str_has_prefix(name, "double_blocks.") || g_str_has_prefix(name, "single_blocks.");
}

Lora *lora_new(const Transformer *transformer, gint64 rank, guint64 seed, GError **error) {
  if (rank < 1 || rank > LORA_RANK_MAX)
    return fault_null(error, FAULT_USAGE, "A rank is between 1 and %d.", LORA_RANK_MAX);
  g_autoptr(Lora) lora = lora_alloc();
  for (guint i = 0; i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    if (!slot->linear || !in_blocks(slot->linear->name))
      continue;
    LoraLayer *layer = lora_add(lora, slot->linear->name, slot->cols, slot->rows, rank);
    gint64 count = rank * layer->in;
    float bound = (float)(1 / sqrt((double)layer->in));
    noise_uniform(seed, lora->layers->len - 1, count, layer->a);
    for (gint64 k = 0; k < count; k++)
      layer->a[k] = (2 * layer->a[k] - 1) * bound;
  }
  lora_train(lora);
  return g_steal_pointer(&lora);
}

const LoraLayer *lora_layer(const Lora *lora, const char *name) {
  for (guint i = 0; i < lora->layers->len; i++) {
    const LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
    if (g_str_equal(layer->name, name))
      return layer;
  }
  return NULL;
}

void lora_train(Lora *lora) {
  for (guint i = 0; i < lora->layers->len; i++) {
    LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
    if (!layer->d_a)
      layer->d_a = g_new0(float, (gsize)(layer->rank * layer->in));
    if (!layer->d_b)
      layer->d_b = g_new0(float, (gsize)(layer->rank * layer->out));
  }
}

GArray *lora_parameters(const Lora *lora) {
  GArray *parameters = g_array_new(FALSE, TRUE, sizeof(Parameter));
  g_array_set_clear_func(parameters, parameter_clear);
  for (guint i = 0; i < lora->layers->len; i++) {
    const LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
    Parameter a = {.name = g_strconcat(layer->name, ".lora_A", NULL),
                   .rows = layer->rank,
                   .cols = layer->in,
                   .value = layer->a,
                   .gradient = layer->d_a};
    Parameter b = {.name = g_strconcat(layer->name, ".lora_B", NULL),
                   .rows = layer->out,
                   .cols = layer->rank,
                   .value = layer->b,
                   .gradient = layer->d_b};
    g_array_append_val(parameters, a);
    g_array_append_val(parameters, b);
  }
  return parameters;
}

/* --- saving --- */

static guint16 *narrow(const float *values, gint64 count, float factor) {
  guint16 *out = g_new(guint16, (gsize)count);
  for (gint64 i = 0; i < count; i++)
    out[i] = bf16_from_float(values[i] * factor);
  return out;
}

static void add_matrix(SafetensorsWriter *writer, GPtrArray *kept, const char *layer, const char *which,
                       const float *values, gint64 rows, gint64 cols, float factor) {
  g_autofree char *name = g_strdup_printf("diffusion_model.%s.%s.weight", layer, which);
  guint16 *data = narrow(values, rows * cols, factor);
  g_ptr_array_add(kept, data);
  safetensors_add(writer, name, DTYPE_BF16, (gint64[]){rows, cols}, 2, data);
}

gboolean lora_save(const Lora *lora, const char *path, const char *const *metadata, GError **error) {
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
  safetensors_set_torch(writer, metadata);
  for (guint i = 0; i < lora->layers->len; i++) {
    const LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
    add_matrix(writer, kept, layer->name, "lora_A", layer->a, layer->rank, layer->in, 1);
    add_matrix(writer, kept, layer->name, "lora_B", layer->b, layer->out, layer->rank, layer->scale);
  }
  return safetensors_write(writer, path, error);
}
