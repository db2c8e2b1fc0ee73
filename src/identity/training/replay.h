/* Ordinary pictures of a small model's world, as tokens with their captions: shown beside the character's, so
 * that a LoRA does not turn everybody into the character (rehearsal; "prior preservation" in DreamBooth, Ruiz
 * et al., 2023).
 *
 * A safetensors file: "tokens" [pictures, height, width, channels] (fp32, fp16 or bf16, normalised), and in
 * its metadata under "captions" a JSON array of as many strings. */
#pragma once
#include "identity/training/dataset.h"

#define REPLAY_MAX_PICTURES 4096

/* tokens [count, height, width, channels] to bf16. FAULT_OUTPUT. */
gboolean replay_write(const char *path, const float *tokens, gint64 count, gint64 height, gint64 width,
                      gint64 channels, const char *const *captions, GError **error);
/* All of them, as DATASET_REPLAY. FAULT_INPUT. */
gboolean replay_read(const char *path, Dataset *dataset, GError **error);
