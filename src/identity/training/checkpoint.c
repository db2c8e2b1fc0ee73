/* A safetensors file; step and recipe are in its metadata. */
#include "identity/training/checkpoint.h"

#include <string.h>

#define RECIPE "troupe.recipe"
#define STEP "troupe.step"

SafetensorsWriter *checkpoint_begin(const Optimiser *optimiser, const char *recipe, gint64 step) {
  SafetensorsWriter *writer = safetensors_writer_new();
  char number[32];
  g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, step);
  safetensors_set_metadata(writer, RECIPE, recipe);
  safetensors_set_metadata(writer, STEP, number);
  optimiser_save(optimiser, writer);
  return writer;
}

gboolean checkpoint_write(SafetensorsWriter *writer, const char *path, GError **error) {
  return safetensors_write(writer, path, error);
}

gboolean checkpoint_open(const char *path, const char *recipe, Optimiser *optimiser, gint64 *step,
                         Safetensors **file, GError **error) {
  *step = 0;
  *file = NULL;
  if (!g_file_test(path, G_FILE_TEST_EXISTS))
    return TRUE;
  g_autoptr(Safetensors) found = safetensors_open(path, error);
  if (!found)
    return FALSE;
  if (g_strcmp0(safetensors_metadata(found, RECIPE), recipe) != 0)
    return fault(
        error, FAULT_INPUT,
        "%s is the checkpoint of another training (other pictures, captions, model or options). Give "
        "the same ones, or remove it to begin anew.",
        path);
  const char *number = safetensors_metadata(found, STEP);
  gint64 next;
  if (!number || !g_ascii_string_to_signed(number, 10, 0, G_MAXINT32, &next, NULL))
    return fault(error, FAULT_INPUT,
                 "%s does not say how far the training had come. Remove it to begin anew.", path);
  if (!optimiser_load(optimiser, found, error))
    return FALSE;
  *step = next;
  *file = g_steal_pointer(&found);
  return TRUE;
}
