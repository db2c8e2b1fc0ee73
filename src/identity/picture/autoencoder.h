/* Between pictures and the transformer's tokens: the FLUX.2 autoencoder, the tiny TAEF2, and the linear block
 * transform of the small model.
 *
 * Tokens are [h/16 · w/16, 128] in row-major order, normalised. Pictures are fp32 [3, h, w] in -1..1, sides
 * multiples of 16 and at most AUTOENCODER_MAX_SIDE. Decoded pictures may go a little beyond -1..1;
 * autoencoder_to_image clamps them. An Autoencoder keeps its working memory from one picture to the next and
 * serves one caller at a time. */
#pragma once
#include "base/image.h"
#include "tensor/ops.h"

#define AUTOENCODER_PATCH 16     /* pixels a side that one token stands for */
#define AUTOENCODER_CHANNELS 128 /* numbers in a token */
#define AUTOENCODER_MAX_SIDE 4096

typedef struct Autoencoder Autoencoder;
/* The kind is told from the tensors: FLUX.2's (BFL or diffusers names, also with the small decoder), TAEF2
 * (encoder./decoder. prefixes), or the block transform (blocks.*). FAULT_INPUT. */
Autoencoder *autoencoder_open(const char *path, GError **error);
void autoencoder_free(Autoencoder *autoencoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Autoencoder, autoencoder_free)
/* "FLUX.2", "TAEF2" or "blocks". */
const char *autoencoder_kind(const Autoencoder *autoencoder);
/* FAULT_LIMIT where a side is not a multiple of 16, or too long. */
gboolean autoencoder_encode(Autoencoder *autoencoder, const float *picture, gint64 height, gint64 width,
                            float *tokens, GError **error);
gboolean autoencoder_decode(Autoencoder *autoencoder, const float *tokens, gint64 height, gint64 width,
                            float *picture, GError **error);

/* Working memory for pictures of that size, beside the file. */
gint64 autoencoder_bytes(const Autoencoder *autoencoder, gint64 height, gint64 width);

/* The first three channels of an image of height · width pixels as a picture, and back (transfer full, RGB).
 */
void autoencoder_from_image(const Image *image, float *picture);
Image *autoencoder_to_image(const float *picture, gint64 height, gint64 width);

/* Called with every map that a network makes on its way ("enc.conv_in", "dec.up3", …), [channels, pixels];
 * for tests. NULL ends it. */
typedef void (*AutoencoderWatch)(const char *name, const float *map, gint64 channels, gint64 pixels,
                                 gpointer user);
void autoencoder_watch(Autoencoder *autoencoder, AutoencoderWatch watch, gpointer user);

/* --- fitting a block transform --- */
/* Gathers the blocks of many pictures of the same kind and finds the 128 directions that hold most of them:
 * their principal components. Deterministic. */
typedef struct BlocksFit BlocksFit;
BlocksFit *blocks_fit_new(void);
void blocks_fit_free(BlocksFit *fit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlocksFit, blocks_fit_free)
/* A picture, sides multiples of 16. */
void blocks_fit_add(BlocksFit *fit, const float *picture, gint64 height, gint64 width);
/* Tensors blocks.mean [768], blocks.basis [128, 768], blocks.scale [128] (fp32) to a file. A block is ordered
 * channel, row, column; token i = basis i · (block - mean) / scale i. scale is the component's standard
 * deviation to the power `power`, times one factor so that the tokens' mean variance is 1: 1 makes all alike,
 * 0 leaves their proportions. FAULT_USAGE where there were fewer than 768 blocks; FAULT_OUTPUT. */
gboolean blocks_fit_write(BlocksFit *fit, double power, const char *path, GError **error);

/* --- learning a refinement --- */
/* Trains the small network that follows a block transform. The caller makes the damage: tokens as a generator
 * would give them, noise and all, and the pictures that they should have been. It begins as if it were not
 * there; the filter of the blocks' borders (deblock.h) goes before it and is in the file that is written. */
typedef struct BlocksRefiner BlocksRefiner;
/* path: a block transform; a refinement that is in it already is trained on. FAULT_INPUT. */
BlocksRefiner *blocks_refiner_new(const char *path, guint64 seed, GError **error);
void blocks_refiner_free(BlocksRefiner *refiner);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlocksRefiner, blocks_refiner_free)
/* One step of AdamW on n pictures [n, 3, height, width] and their tokens [n, height/16 · width/16, 128];
 * returns the loss before it: mean |difference| of the pixels, and of what they differ by from their
 * neighbours. rate: 2e-3 at first. FAULT_INPUT, with nothing changed, where the loss is not finite: then a
 * negative number is returned. */
double blocks_refiner_step(BlocksRefiner *refiner, const float *tokens, const float *pictures, gint64 n,
                           gint64 height, gint64 width, double rate, GError **error);
/* The transform and the refinement as one file; FAULT_OUTPUT. */
gboolean blocks_refiner_write(BlocksRefiner *refiner, const char *path, GError **error);
