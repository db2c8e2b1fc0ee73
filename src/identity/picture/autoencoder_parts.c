/* Weights stay mapped in the type of the file; each convolution widens its own just before it runs. Against
 * the convolution itself that costs nothing, and the network takes no memory beyond the file. */
#include "identity/picture/autoencoder_parts.h"
#include <string.h>

/* --- working memory --- */

float *buffer_get(Buffer *buffer, gint64 count) {
  if (buffer->room < (gsize)count) {
    g_free(buffer->data);
    buffer->data = g_new(float, (gsize)count);
    buffer->room = (gsize)count;
  }
  return buffer->data;
}

void buffer_clear(Buffer *buffer) {
  g_clear_pointer(&buffer->data, g_free);
  buffer->room = 0;
}

/* --- reading --- */

static gboolean is_float(Dtype dtype) {
  return dtype == DTYPE_F32 || dtype == DTYPE_BF16 || dtype == DTYPE_F16;
}

float *vector_open(const Safetensors *file, const char *name, gint64 count, GError **error) {
  const SafetensorsTensor *tensor = safetensors_find(file, name);
  if (!tensor)
    return fault_null(error, FAULT_INPUT, "The autoencoder has no tensor %s.", name);
  if (!is_float(tensor->dtype) || tensor->rank != 1 || tensor->shape[0] != count)
    return fault_null(error, FAULT_INPUT,
                      "The autoencoder's tensor %s is not a vector of %" G_GINT64_FORMAT " numbers.", name,
                      count);
  float *values = g_new(float, (gsize)count);
  safetensors_floats(tensor, values);
  return values;
}

static gboolean shape_fits(const Conv *conv, const SafetensorsTensor *tensor) {
  gboolean matrix = tensor->rank == 2 && conv->side == 1;
  gboolean map = tensor->rank == 4 && tensor->shape[2] == conv->side && tensor->shape[3] == conv->side;
  if (!is_float(tensor->dtype) || (!matrix && !map))
    return FALSE;
  gint64 out = tensor->shape[0], in = tensor->shape[1];
  return (conv->in < 0 || conv->in == in) && (conv->out < 0 || conv->out == out) && in > 0 && out > 0 &&
         in <= CHANNELS_MAX && out <= CHANNELS_MAX;
}

gboolean conv_open(Conv *conv, const Safetensors *file, const char *name, gint64 in, gint64 out, int side,
                   ConvBias bias, GError **error) {
  *conv = (Conv){.in = in, .out = out, .side = side};
  g_autofree char *weight = g_strconcat(name, ".weight", NULL);
  const SafetensorsTensor *tensor = safetensors_find(file, weight);
  if (!tensor)
    return fault(error, FAULT_INPUT, "The autoencoder has no tensor %s.", weight);
  if (!shape_fits(conv, tensor))
    return fault(error, FAULT_INPUT, "The autoencoder's tensor %s does not have the expected shape.", weight);
  conv->weight = tensor;
  conv->out = tensor->shape[0];
  conv->in = tensor->shape[1];
  if (bias == BIAS_NONE)
    return TRUE;
  g_autofree char *name_bias = g_strconcat(name, ".bias", NULL);
  return (conv->bias = vector_open(file, name_bias, conv->out, error)) != NULL;
}

void conv_clear(Conv *conv) {
  g_clear_pointer(&conv->bias, g_free);
}

gboolean groupnorm_open(GroupNorm *norm, const Safetensors *file, const char *name, gint64 channels,
                        gint64 groups, float eps, GError **error) {
  *norm = (GroupNorm){.channels = channels, .groups = groups, .eps = eps};
  if (channels % groups != 0)
    return fault(error, FAULT_INPUT,
                 "The autoencoder's %s has %" G_GINT64_FORMAT
                 " channels, which do not divide into %" G_GINT64_FORMAT " groups.",
                 name, channels, groups);
  g_autofree char *weight = g_strconcat(name, ".weight", NULL), *bias = g_strconcat(name, ".bias", NULL);
  return (norm->weight = vector_open(file, weight, channels, error)) != NULL &&
         (norm->bias = vector_open(file, bias, channels, error)) != NULL;
}

void groupnorm_clear(GroupNorm *norm) {
  g_clear_pointer(&norm->weight, g_free);
  g_clear_pointer(&norm->bias, g_free);
}

/* --- running --- */

static const float *widen(const Conv *conv, Buffer *widened) {
  if (conv->weight->dtype == DTYPE_F32)
    return conv->weight->data;
  float *values = buffer_get(widened, safetensors_count(conv->weight));
  safetensors_floats(conv->weight, values);
  return values;
}

static void add_to_rows(const float *bias, gint64 rows, gint64 width, float *y) {
  for (gint64 row = 0; bias && row < rows; row++)
    for (gint64 i = 0; i < width; i++)
      y[row * width + i] += bias[row];
}

static void add_to_columns(const float *bias, gint64 rows, gint64 width, float *y) {
  for (gint64 row = 0; bias && row < rows; row++)
    for (gint64 i = 0; i < width; i++)
      y[row * width + i] += bias[i];
}

void conv_run(const Conv *conv, Buffer *widened, const float *x, gint64 height, gint64 width, float *y) {
  const float *w = widen(conv, widened);
  gint64 pixels = height * width;
  if (conv->side == 3) {
    op_conv3x3(x, conv->in, height, width, w, conv->bias, conv->out, 1, FALSE, y);
    return;
  }
  op_gemm(FALSE, FALSE, conv->out, pixels, conv->in, 1, w, conv->in, x, pixels, 0, y, pixels);
  add_to_rows(conv->bias, conv->out, pixels, y);
}

void conv_run_down(const Conv *conv, Buffer *widened, const float *x, gint64 height, gint64 width,
                   gboolean pad_after_only, float *y) {
  const float *w = widen(conv, widened);
  op_conv3x3(x, conv->in, height, width, w, conv->bias, conv->out, 2, pad_after_only, y);
}

void conv_run_turned(const Conv *conv, Buffer *widened, const float *x, gint64 pixels, float *y) {
  const float *w = widen(conv, widened);
  op_gemm(TRUE, TRUE, pixels, conv->out, conv->in, 1, x, pixels, w, conv->in, 0, y, conv->out);
  add_to_columns(conv->bias, pixels, conv->out, y);
}

void conv_run_back(const Conv *conv, Buffer *widened, const float *x, gint64 pixels, float *y) {
  const float *w = widen(conv, widened);
  op_gemm(FALSE, TRUE, conv->out, pixels, conv->in, 1, w, conv->in, x, conv->in, 0, y, pixels);
  add_to_rows(conv->bias, conv->out, pixels, y);
}

void groupnorm_run(const GroupNorm *norm, const float *x, gint64 pixels, float *y) {
  op_groupnorm(x, norm->channels, pixels, norm->groups, norm->weight, norm->bias, norm->eps, y);
}

/* --- watching --- */

void watcher_see(const Watcher *watcher, const float *map, gint64 channels, gint64 pixels, const char *format,
                 ...) {
  if (!watcher->watch)
    return;
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *name = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  watcher->watch(name, map, channels, pixels, watcher->user);
}
