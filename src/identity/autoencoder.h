/* Between pictures and the transformer's tokens: the FLUX.2 autoencoder, the tiny TAEF2, and the linear block
 * transform of the small model.
 *
 * Tokens are [h/16 · w/16, 128] in row-major order, normalised. Pictures are fp32 [3, h, w] in -1..1, sides
 * multiples of 16. */
#pragma once
#include "tensor/ops.h"

typedef struct Autoencoder Autoencoder;
/* The kind is told from the tensors: FLUX.2's (BFL or diffusers names, also with the small decoder), TAEF2
 * (encoder./decoder. prefixes), or the block transform (blocks.*). FAULT_INPUT. */
Autoencoder *autoencoder_open(const char *path, GError **error);
void autoencoder_free(Autoencoder *autoencoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Autoencoder, autoencoder_free)
gboolean autoencoder_encode(Autoencoder *autoencoder, const float *picture, gint64 height, gint64 width,
                            float *tokens, GError **error);
gboolean autoencoder_decode(Autoencoder *autoencoder, const float *tokens, gint64 height, gint64 width,
                            float *picture, GError **error);
