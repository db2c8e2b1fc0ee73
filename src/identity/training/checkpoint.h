/* The state of a training as one file, from which it goes on as if it had never stopped.
 *
 * Beside the optimiser's parameters and moments a checkpoint knows the step that comes next and the recipe it
 * belongs to. It appears whole or not at all: a process may be killed at any moment.
 *
 *   g_autoptr(SafetensorsWriter) writer = checkpoint_begin(optimiser, recipe, step);
 *   safetensors_add(writer, "ema.img_in.weight", …);
 *   checkpoint_write(writer, path, error);
 *
 *   g_autoptr(Safetensors) file = NULL;
 *   if (!checkpoint_open(path, recipe, optimiser, &step, &file, error)) return FALSE;
 *   if (file) … safetensors_get(file, "ema.img_in.weight", …)
 */
#pragma once
#include "identity/network/optimiser.h"

/* recipe: everything that a resumed training must have in common with the one that was stopped (seed, model,
 * material), in any spelling; it is compared byte for byte. The optimiser must live until the file is
 * written; the caller may add tensors whose names do not clash with parameters'. */
SafetensorsWriter *checkpoint_begin(const Optimiser *optimiser, const char *recipe, gint64 step);
/* FAULT_OUTPUT. */
gboolean checkpoint_write(SafetensorsWriter *writer, const char *path, GError **error);

/* *step becomes the next one and *file the open checkpoint (transfer full); 0 and NULL where there is none,
 * which is no fault. FAULT_INPUT where it is of another recipe or damaged; then nothing is changed. */
gboolean checkpoint_open(const char *path, const char *recipe, Optimiser *optimiser, gint64 *step,
                         Safetensors **file, GError **error);
