/* What the autoencoders share: convolutions and norms as they lie in a file, maps, working memory. */
#pragma once
#include "identity/picture/autoencoder.h"

#define LATENT_CHANNELS 32 /* of the map at an eighth of the picture's size */
#define LATENT_PIXELS 8    /* pixels a side of the picture for one of that map's */

/* --- working memory that grows and is then kept --- */
typedef struct {
  float *data;
  gsize room; /* in floats */
} Buffer;
/* At least count floats; what was there is lost. */
float *buffer_get(Buffer *buffer, gint64 count);
void buffer_clear(Buffer *buffer);

/* --- layers --- */
typedef struct {
  gint64 in, out;
  int side; /* 1 or 3 */
  const SafetensorsTensor *weight;
  float *bias; /* NULL where there is none */
} Conv;
typedef enum { BIAS_NONE, BIAS_NEEDED } ConvBias;
/* in and out: -1 takes what the file has, at most CHANNELS_MAX. A convolution of side 1 may also be stored as
 * the matrix [out, in]. FAULT_INPUT. */
#define CHANNELS_MAX 2048
gboolean conv_open(Conv *conv, const Safetensors *file, const char *name, gint64 in, gint64 out, int side,
                   ConvBias bias, GError **error);
void conv_clear(Conv *conv);
/* widened: working memory for the weights in fp32. y: [out, …], not x. */
void conv_run(const Conv *conv, Buffer *widened, const float *x, gint64 height, gint64 width, float *y);
/* 3x3 only: every second pixel. */
void conv_run_down(const Conv *conv, Buffer *widened, const float *x, gint64 height, gint64 width,
                   gboolean pad_after_only, float *y);
/* 1x1 only, with the map turned round: y [pixels, out] of x [in, pixels]. */
void conv_run_turned(const Conv *conv, Buffer *widened, const float *x, gint64 pixels, float *y);
/* 1x1 only: y [out, pixels] of x [pixels, in]. */
void conv_run_back(const Conv *conv, Buffer *widened, const float *x, gint64 pixels, float *y);

typedef struct {
  gint64 channels, groups;
  float eps;
  float *weight, *bias;
} GroupNorm;
gboolean groupnorm_open(GroupNorm *norm, const Safetensors *file, const char *name, gint64 channels,
                        gint64 groups, float eps, GError **error);
void groupnorm_clear(GroupNorm *norm);
void groupnorm_run(const GroupNorm *norm, const float *x, gint64 pixels, float *y);

/* A float vector of the file in fp32 (transfer full). */
float *vector_open(const Safetensors *file, const char *name, gint64 count, GError **error);

/* --- networks between a picture and a latent map [32, h/8, w/8] --- */
typedef struct {
  AutoencoderWatch watch;
  gpointer user;
} Watcher;
void watcher_see(const Watcher *watcher, const float *map, gint64 channels, gint64 pixels, const char *format,
                 ...) G_GNUC_PRINTF(5, 6);

typedef struct FluxAutoencoder FluxAutoencoder;
FluxAutoencoder *flux_autoencoder_open(const Safetensors *file, GError **error);
void flux_autoencoder_free(FluxAutoencoder *network);
void flux_autoencoder_encode(FluxAutoencoder *network, const Watcher *watcher, const float *picture,
                             gint64 height, gint64 width, float *latent);
void flux_autoencoder_decode(FluxAutoencoder *network, const Watcher *watcher, const float *latent,
                             gint64 height, gint64 width, float *picture);
/* Floats of working memory. */
gint64 flux_autoencoder_room(const FluxAutoencoder *network, gint64 height, gint64 width);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FluxAutoencoder, flux_autoencoder_free)

/* Its pictures are in 0..1. */
typedef struct Taef2 Taef2;
Taef2 *taef2_open(const Safetensors *file, GError **error);
void taef2_free(Taef2 *network);
void taef2_encode(Taef2 *network, const Watcher *watcher, const float *picture, gint64 height, gint64 width,
                  float *latent);
void taef2_decode(Taef2 *network, const Watcher *watcher, const float *latent, gint64 height, gint64 width,
                  float *picture);
gint64 taef2_room(gint64 height, gint64 width);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Taef2, taef2_free)

/* --- between a picture and tokens --- */
typedef struct Blocks Blocks;
Blocks *blocks_open(const Safetensors *file, GError **error);
void blocks_free(Blocks *blocks);
void blocks_encode(Blocks *blocks, const float *picture, gint64 height, gint64 width, float *tokens);
/* Without the network of the refinement. */
void blocks_decode_linear(Blocks *blocks, const float *tokens, gint64 height, gint64 width, float *picture);
void blocks_decode(Blocks *blocks, const Watcher *watcher, const float *tokens, gint64 height, gint64 width,
                   float *picture);
/* Floats of working memory. */
gint64 blocks_room(const Blocks *blocks, gint64 height, gint64 width);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Blocks, blocks_free)
