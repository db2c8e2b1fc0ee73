/* The trainer's source: pictures drawn, encoded and captioned when they are wanted. */
#pragma once
#include "identity/picture/autoencoder.h"
#include "identity/text/words.h"
#include "identity/training/trainer.h"

typedef struct Material Material;
/* blocks: file of the block transform. FAULT_INPUT. */
Material *material_new(const char *blocks, int size, guint64 seed, GError **error);
void material_free(Material *material);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Material, material_free)
/* Borrows the material. */
TrainerSource material_source(Material *material);
const Words *material_words(const Material *material);

/* Fits the block transform on `count` pictures (blocks_fit_write's power). */
gboolean material_fit_blocks(const char *path, int size, int count, double power, guint64 seed,
                             GError **error);
