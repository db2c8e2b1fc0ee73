/* Networks without a file: new ones of random weights, and writing one down under BFL's names. */
#include "identity/network/transformer_private.h"
#include "identity/sampling/noise.h"

#include <math.h>
#include <string.h>

#define DEVIATION .8 /* times 1 / √in */

/* What adds to the stream through a gate, and what comes last, begins at zero. */
static gboolean begins_at_zero(const Transformer *transformer, const Linear *linear) {
  return linear == &transformer->modulation[IMAGE] || linear == &transformer->modulation[TEXT] ||
         linear == &transformer->single_modulation || linear == &transformer->final_modulation ||
         linear == &transformer->final;
}

static void fill_linear(Transformer *transformer, const Slot *slot, Dtype dtype, guint64 seed,
                        guint64 stream) {
  gint64 count = slot->rows * slot->cols;
  Weights *weights = &slot->linear->weights;
  *weights = (Weights){.dtype = dtype, .rows = slot->rows, .cols = slot->cols};
  weights->data = transformer_copy_new(transformer, dtype_bytes(dtype) * (gsize)count);
  if (begins_at_zero(transformer, slot->linear))
    return;
  g_autofree float *own = dtype == DTYPE_F32 ? NULL : g_new(float, (gsize)count);
  float *values = own ? own : (float *)weights->data,
        deviation = (float)(DEVIATION / sqrt((double)slot->cols));
  noise_fill(seed, stream, count, values);
  for (gint64 i = 0; i < count; i++)
    values[i] *= deviation;
  for (gint64 i = 0; own && i < count; i++)
    ((guint16 *)weights->data)[i] = bf16_from_float(values[i]);
}

static void fill_scale(Transformer *transformer, const Slot *slot) {
  slot->scale->value = transformer_copy_new(transformer, sizeof(float) * (gsize)slot->rows);
  for (gint64 i = 0; i < slot->rows; i++)
    slot->scale->value[i] = 1;
}

Transformer *transformer_new(const TransformerShape *shape, Dtype dtype, gboolean trainable, guint64 seed,
                             GError **error) {
  if ((dtype != DTYPE_F32 && dtype != DTYPE_BF16) || (trainable && dtype != DTYPE_F32))
    return fault_null(error, FAULT_USAGE,
                      "A new transformer's weights are fp32, or bf16 where nothing is trained.");
  g_autoptr(Transformer) transformer = transformer_alloc(shape, "A new transformer", trainable, error);
  if (!transformer)
    return NULL;
  GArray *slots = transformer->slots;
  for (guint i = 0; i < slots->len; i++) {
    const Slot *slot = &g_array_index(slots, Slot, i);
    gsize bytes = sizeof(float) * (gsize)(slot->rows * MAX(slot->cols, 1));
    if (slot->linear)
      fill_linear(transformer, slot, dtype, seed, i);
    else
      fill_scale(transformer, slot);
    if (trainable)
      *(slot->linear ? &slot->linear->gradient : &slot->scale->gradient) =
          transformer_copy_new(transformer, bytes);
  }
  return g_steal_pointer(&transformer);
}

/* A tensor's numbers as the wanted type; kept owns what had to be made. */
static const void *converted(const Slot *slot, Dtype dtype, GPtrArray *kept) {
  Dtype own = slot->linear ? slot->linear->weights.dtype : DTYPE_F32;
  const void *data = slot->linear ? slot->linear->weights.data : slot->scale->value;
  gint64 count = slot->rows * MAX(slot->cols, 1);
  if (own == dtype)
    return data;
  void *out = g_malloc(dtype_bytes(dtype) * (gsize)count);
  g_ptr_array_add(kept, out);
  if (dtype == DTYPE_BF16)
    for (gint64 i = 0; i < count; i++)
      ((guint16 *)out)[i] = bf16_from_float(((const float *)data)[i]);
  else
    for (gint64 i = 0; i < count; i++)
      ((float *)out)[i] = bf16_to_float(((const guint16 *)data)[i]);
  return out;
}

gboolean transformer_save(const Transformer *transformer, const char *path, Dtype dtype,
                          const char *const *metadata, GError **error) {
  if (dtype != DTYPE_F32 && dtype != DTYPE_BF16)
    return fault(error, FAULT_USAGE, "A transformer is saved in fp32 or in bf16.");
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
  safetensors_set_torch(writer, metadata);
  for (guint i = 0; i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    safetensors_add(writer, slot->parameter, dtype, (gint64[]){slot->rows, slot->cols}, slot->cols ? 2 : 1,
                    converted(slot, dtype, kept));
  }
  return safetensors_write(writer, path, error);
}
