/* The three kinds behind one face. FLUX.2's and TAEF2 make a map [32, h/8, w/8], whose 2x2 patches are the
 * tokens: channel c of row dy and column dx of a patch becomes number 4c + 2dy + dx. FLUX.2's are then
 * normalised with the statistics that lie in the file; TAEF2's are so already. */
#include "identity/picture/autoencoder_parts.h"
#include <math.h>
#include <string.h>

#define STATISTICS_EPS 1e-4f

typedef enum { KIND_FLUX, KIND_TAEF2, KIND_BLOCKS } Kind;

struct Autoencoder {
  Safetensors *file;
  Kind kind;
  FluxAutoencoder *flux;
  Taef2 *taef2;
  Blocks *blocks;
  float mean[AUTOENCODER_CHANNELS], deviation[AUTOENCODER_CHANNELS];
  Watcher watcher;
  Buffer latent;
};

void autoencoder_free(Autoencoder *autoencoder) {
  if (!autoencoder)
    return;
  flux_autoencoder_free(autoencoder->flux);
  taef2_free(autoencoder->taef2);
  blocks_free(autoencoder->blocks);
  buffer_clear(&autoencoder->latent);
  safetensors_free(autoencoder->file);
  g_free(autoencoder);
}

static gboolean open_statistics(Autoencoder *autoencoder, GError **error) {
  g_autofree float *mean = vector_open(autoencoder->file, "bn.running_mean", AUTOENCODER_CHANNELS, error);
  g_autofree float *variance =
      mean ? vector_open(autoencoder->file, "bn.running_var", AUTOENCODER_CHANNELS, error) : NULL;
  if (!variance)
    return FALSE;
  for (int i = 0; i < AUTOENCODER_CHANNELS; i++) {
    autoencoder->mean[i] = mean[i];
    autoencoder->deviation[i] = sqrtf(variance[i] + STATISTICS_EPS);
    if (!isfinite(mean[i]) || !isfinite(variance[i]) || !(variance[i] >= 0))
      return fault(error, FAULT_INPUT, "The autoencoder's statistics of channel %d are damaged.", i);
  }
  return TRUE;
}

static gboolean open_kind(Autoencoder *autoencoder, GError **error) {
  const Safetensors *file = autoencoder->file;
  if (safetensors_has(file, "blocks.basis")) {
    autoencoder->kind = KIND_BLOCKS;
    return (autoencoder->blocks = blocks_open(file, error)) != NULL;
  }
  if (safetensors_has(file, "decoder.1.weight")) {
    autoencoder->kind = KIND_TAEF2;
    for (int i = 0; i < AUTOENCODER_CHANNELS; i++)
      autoencoder->deviation[i] = 1;
    return (autoencoder->taef2 = taef2_open(file, error)) != NULL;
  }
  if (safetensors_has(file, "decoder.conv_in.weight")) {
    autoencoder->kind = KIND_FLUX;
    return open_statistics(autoencoder, error) &&
           (autoencoder->flux = flux_autoencoder_open(file, error)) != NULL;
  }
  return fault(error, FAULT_INPUT,
               "The file holds no autoencoder: neither FLUX.2's, nor TAEF2, nor a block transform.");
}

Autoencoder *autoencoder_open(const char *path, GError **error) {
  g_autoptr(Autoencoder) autoencoder = g_new0(Autoencoder, 1);
  autoencoder->file = safetensors_open(path, error);
  if (!autoencoder->file)
    return NULL;
  if (!open_kind(autoencoder, error)) {
    g_prefix_error(error, "%s: ", path);
    return NULL;
  }
  return g_steal_pointer(&autoencoder);
}

const char *autoencoder_kind(const Autoencoder *autoencoder) {
  static const char *const names[] = {
      [KIND_FLUX] = "FLUX.2", [KIND_TAEF2] = "TAEF2", [KIND_BLOCKS] = "blocks"};
  return names[autoencoder->kind];
}

void autoencoder_watch(Autoencoder *autoencoder, AutoencoderWatch watch, gpointer user) {
  autoencoder->watcher = (Watcher){watch, user};
}

/* --- tokens and maps --- */

/* Token and number in it that hold the map's channel at (row, column), as an index. */
static gint64 token_index(gint64 channel, gint64 row, gint64 column, gint64 map_width) {
  gint64 token = row / 2 * (map_width / 2) + column / 2;
  return token * AUTOENCODER_CHANNELS + channel * 4 + row % 2 * 2 + column % 2;
}

static void patch(const Autoencoder *autoencoder, const float *latent, gint64 height, gint64 width,
                  float *tokens) {
  for (gint64 c = 0; c < LATENT_CHANNELS; c++)
    for (gint64 row = 0; row < height; row++)
      for (gint64 column = 0; column < width; column++) {
        gint64 at = token_index(c, row, column, width), i = at % AUTOENCODER_CHANNELS;
        tokens[at] =
            (latent[(c * height + row) * width + column] - autoencoder->mean[i]) / autoencoder->deviation[i];
      }
}

static void unpatch(const Autoencoder *autoencoder, const float *tokens, gint64 height, gint64 width,
                    float *latent) {
  for (gint64 c = 0; c < LATENT_CHANNELS; c++)
    for (gint64 row = 0; row < height; row++)
      for (gint64 column = 0; column < width; column++) {
        gint64 at = token_index(c, row, column, width), i = at % AUTOENCODER_CHANNELS;
        latent[(c * height + row) * width + column] =
            tokens[at] * autoencoder->deviation[i] + autoencoder->mean[i];
      }
}

static gboolean check_size(gint64 height, gint64 width, GError **error) {
  if (height < AUTOENCODER_PATCH || width < AUTOENCODER_PATCH || height > AUTOENCODER_MAX_SIDE ||
      width > AUTOENCODER_MAX_SIDE || height % AUTOENCODER_PATCH || width % AUTOENCODER_PATCH)
    return fault(error, FAULT_LIMIT,
                 "A picture of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                 " pixels cannot be coded: its sides must be multiples of %d, at most %d.",
                 width, height, AUTOENCODER_PATCH, AUTOENCODER_MAX_SIDE);
  return TRUE;
}

gboolean autoencoder_encode(Autoencoder *autoencoder, const float *picture, gint64 height, gint64 width,
                            float *tokens, GError **error) {
  if (!check_size(height, width, error))
    return FALSE;
  if (autoencoder->kind == KIND_BLOCKS) {
    blocks_encode(autoencoder->blocks, picture, height, width, tokens);
    return TRUE;
  }
  gint64 rows = height / LATENT_PIXELS, columns = width / LATENT_PIXELS;
  float *latent = buffer_get(&autoencoder->latent, LATENT_CHANNELS * rows * columns);
  if (autoencoder->kind == KIND_FLUX)
    flux_autoencoder_encode(autoencoder->flux, &autoencoder->watcher, picture, height, width, latent);
  else
    taef2_encode(autoencoder->taef2, &autoencoder->watcher, picture, height, width, latent);
  patch(autoencoder, latent, rows, columns, tokens);
  return TRUE;
}

gboolean autoencoder_decode(Autoencoder *autoencoder, const float *tokens, gint64 height, gint64 width,
                            float *picture, GError **error) {
  if (!check_size(height, width, error))
    return FALSE;
  if (autoencoder->kind == KIND_BLOCKS) {
    blocks_decode(autoencoder->blocks, &autoencoder->watcher, tokens, height, width, picture);
    return TRUE;
  }
  gint64 rows = height / LATENT_PIXELS, columns = width / LATENT_PIXELS;
  float *latent = buffer_get(&autoencoder->latent, LATENT_CHANNELS * rows * columns);
  unpatch(autoencoder, tokens, rows, columns, latent);
  if (autoencoder->kind == KIND_FLUX)
    flux_autoencoder_decode(autoencoder->flux, &autoencoder->watcher, latent, height, width, picture);
  else
    taef2_decode(autoencoder->taef2, &autoencoder->watcher, latent, height, width, picture);
  return TRUE;
}

gint64 autoencoder_bytes(const Autoencoder *autoencoder, gint64 height, gint64 width) {
  gint64 floats = LATENT_CHANNELS * height * width / (LATENT_PIXELS * LATENT_PIXELS);
  if (autoencoder->kind == KIND_FLUX)
    floats += flux_autoencoder_room(autoencoder->flux, height, width);
  else if (autoencoder->kind == KIND_TAEF2)
    floats += taef2_room(height, width);
  else
    floats += blocks_room(autoencoder->blocks, height, width);
  return floats * (gint64)sizeof(float);
}

/* --- pictures --- */

void autoencoder_from_image(const Image *image, float *picture) {
  gsize pixels = (gsize)image->width * (gsize)image->height, channels = (gsize)image->channels;
  for (gsize c = 0; c < 3; c++)
    for (gsize i = 0; i < pixels; i++)
      picture[c * pixels + i] = (float)image->pixels[i * channels + MIN(c, channels - 1)] / 127.5f - 1;
}

Image *autoencoder_to_image(const float *picture, gint64 height, gint64 width) {
  Image *image = image_new((int)width, (int)height, 3);
  gsize pixels = (gsize)width * (gsize)height;
  for (gsize c = 0; c < 3; c++)
    for (gsize i = 0; i < pixels; i++) {
      float level = (picture[c * pixels + i] + 1) * 127.5f;
      /* Written so that what is not a number becomes black. */
      image->pixels[i * 3 + c] = level > 0 ? (guint8)lrintf(fminf(level, 255)) : 0;
    }
  return image;
}
