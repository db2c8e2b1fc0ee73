/* What a training from scratch learns from: pictures as tokens, captions as words; and the block transform
 * and the vocabulary that are made of them. */
#pragma once
#include "base/progress.h"
#include "identity/training/trainer.h"

typedef struct FullMaterial FullMaterial;
/* Reads all pictures and captions. The block transform and the vocabulary are made and written to these files
 * where they are not there yet. FAULT_INPUT, FAULT_OUTPUT, FAULT_CANCELLED. */
FullMaterial *full_material_new(const char *const *pictures, gint64 resolution, guint64 seed,
                                const char *blocks, const char *words, Progress *progress, GError **error);
void full_material_free(FullMaterial *material);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FullMaterial, full_material_free)
/* Which picture a sample shows, and whether its caption is left out, follow from seed and index alone.
 * Borrows the material. */
TrainerSource full_material_source(FullMaterial *material);
gint64 full_material_context(const FullMaterial *material); /* width of the words' vectors */
