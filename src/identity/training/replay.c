/* One tensor and one string. */
#include "identity/training/replay.h"

#include "tensor/ops.h"
#include "tensor/safetensors.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CAPTIONS "captions"
#define TOKENS "tokens"
#define MAX_SIDE (AUTOENCODER_MAX_SIDE / AUTOENCODER_PATCH)

gboolean replay_write(const char *path, const float *tokens, gint64 count, gint64 height, gint64 width,
                      gint64 channels, const char *const *captions, GError **error) {
  json_t *list = json_array();
  for (gint64 i = 0; i < count; i++)
    json_array_append_new(list, json_string(captions[i]));
  char *text = json_dumps(list, JSON_COMPACT);
  json_decref(list);
  gint64 numbers = count * height * width * channels;
  g_autofree guint16 *narrow = g_new(guint16, (gsize)numbers);
  for (gint64 i = 0; i < numbers; i++)
    narrow[i] = bf16_from_float(tokens[i]);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_set_metadata(writer, CAPTIONS, text);
  free(text);
  safetensors_add(writer, TOKENS, DTYPE_BF16, (gint64[]){count, height, width, channels}, 4, narrow);
  return safetensors_write(writer, path, error);
}

static gboolean add_all(Dataset *dataset, const SafetensorsTensor *tensor, json_t *captions) {
  gint64 height = tensor->shape[1], width = tensor->shape[2], one = height * width * dataset->channels;
  g_autofree float *tokens = g_new(float, (gsize)(tensor->shape[0] * one));
  if (!safetensors_floats(tensor, tokens))
    return FALSE;
  double sum = 0;
  for (gint64 i = 0; i < tensor->shape[0] * one; i++)
    sum += (double)tokens[i] * 0;
  for (gsize i = 0; i < json_array_size(captions); i++)
    if (!json_is_string(json_array_get(captions, i)))
      return FALSE;
  if (!isfinite(sum))
    return FALSE;
  for (gint64 i = 0; i < tensor->shape[0]; i++)
    dataset_add_tokens(dataset, DATASET_REPLAY, tokens + i * one, NULL, height, width,
                       json_string_value(json_array_get(captions, (gsize)i)));
  return TRUE;
}

gboolean replay_read(const char *path, Dataset *dataset, GError **error) {
  g_autoptr(Safetensors) file = safetensors_open(path, error);
  if (!file)
    return FALSE;
  const SafetensorsTensor *tensor = safetensors_find(file, TOKENS);
  const char *text = safetensors_metadata(file, CAPTIONS);
  json_t *captions = text ? json_loads(text, 0, NULL) : NULL;
  gboolean good = tensor && tensor->rank == 4 && json_is_array(captions) && tensor->shape[0] > 0 &&
                  tensor->shape[0] <= REPLAY_MAX_PICTURES &&
                  (gsize)tensor->shape[0] == json_array_size(captions) && tensor->shape[1] > 0 &&
                  tensor->shape[1] <= MAX_SIDE && tensor->shape[2] > 0 && tensor->shape[2] <= MAX_SIDE &&
                  tensor->shape[3] == dataset->channels && add_all(dataset, tensor, captions);
  json_decref(captions);
  return good || fault(error, FAULT_INPUT, "%s does not hold pictures as tokens with their captions.", path);
}
