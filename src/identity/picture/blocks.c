/* The block transform: each 16 x 16 block of a picture, 768 numbers, is described by its 128 largest
 * principal components, so a token is one product with a fixed matrix and its picture another. What
 * neighbouring tokens disagree about shows as a mosaic; against that may follow a filter of the borders
 * (deblock.h, with "blocks.borders" [2] its settings) and a network that has learned to mend what is left
 * (refinement.h). */
#include "identity/picture/blocks_parts.h"
#include "identity/picture/deblock.h"
#include <math.h>

struct Blocks {
  float *mean;  /* [BLOCK_SIZE] */
  float *basis; /* [AUTOENCODER_CHANNELS, BLOCK_SIZE] */
  float *scale; /* [AUTOENCODER_CHANNELS] */
  gboolean smooth;
  DeblockSettings borders;
  Refinement *refinement; /* or NULL */
  RefinementMemory memory;
  Buffer rows, correction;
};

/* --- reading --- */

static gboolean all_finite(const float *values, gint64 count, gboolean positive) {
  for (gint64 i = 0; i < count; i++)
    if (!isfinite(values[i]) || (positive && !(values[i] > 0)))
      return FALSE;
  return TRUE;
}

static float *open_basis(const Safetensors *file, GError **error) {
  const SafetensorsTensor *tensor = safetensors_find(file, "blocks.basis");
  if (!tensor || tensor->rank != 2 || tensor->shape[0] != AUTOENCODER_CHANNELS ||
      tensor->shape[1] != BLOCK_SIZE)
    return fault_null(error, FAULT_INPUT, "The block transform's basis is not a matrix of %d x %d.",
                      AUTOENCODER_CHANNELS, BLOCK_SIZE);
  g_autofree float *basis = g_new(float, AUTOENCODER_CHANNELS *BLOCK_SIZE);
  if (!safetensors_floats(tensor, basis))
    return fault_null(error, FAULT_INPUT, "The block transform's basis does not hold real numbers.");
  return g_steal_pointer(&basis);
}

static gboolean open_borders(Blocks *blocks, const Safetensors *file, GError **error) {
  g_autofree float *values = vector_open(file, "blocks.borders", 2, error);
  if (!values)
    return FALSE;
  if (!all_finite(values, 2, TRUE))
    return fault(error, FAULT_INPUT, "The block transform's filter of borders makes no sense.");
  blocks->smooth = TRUE;
  blocks->borders = (DeblockSettings){values[0], values[1]};
  return TRUE;
}

void blocks_smooth_borders(Blocks *blocks) {
  if (!blocks->smooth)
    blocks->borders = deblock_defaults;
  blocks->smooth = TRUE;
}

DeblockSettings blocks_borders(const Blocks *blocks) {
  return blocks->borders;
}

Blocks *blocks_open(const Safetensors *file, GError **error) {
  g_autoptr(Blocks) blocks = g_new0(Blocks, 1);
  blocks->mean = vector_open(file, "blocks.mean", BLOCK_SIZE, error);
  if (!blocks->mean)
    return NULL;
  blocks->scale = vector_open(file, "blocks.scale", AUTOENCODER_CHANNELS, error);
  if (!blocks->scale || !(blocks->basis = open_basis(file, error)))
    return NULL;
  if (!all_finite(blocks->mean, BLOCK_SIZE, FALSE) ||
      !all_finite(blocks->scale, AUTOENCODER_CHANNELS, TRUE) ||
      !all_finite(blocks->basis, AUTOENCODER_CHANNELS * BLOCK_SIZE, FALSE))
    return fault_null(error, FAULT_INPUT, "The block transform holds values that are no numbers.");
  if (safetensors_has(file, "blocks.borders") && !open_borders(blocks, file, error))
    return NULL;
  if (refinement_is_in(file) && !(blocks->refinement = refinement_open(file, error)))
    return NULL;
  return g_steal_pointer(&blocks);
}

void blocks_free(Blocks *blocks) {
  if (!blocks)
    return;
  refinement_free(blocks->refinement);
  refinement_memory_clear(&blocks->memory);
  g_free(blocks->mean);
  g_free(blocks->basis);
  g_free(blocks->scale);
  buffer_clear(&blocks->rows);
  buffer_clear(&blocks->correction);
  g_free(blocks);
}

/* --- running --- */

/* Where the number `at` of block (row, column) lies in the picture. */
static gint64 place(gint64 row, gint64 column, gint64 at, gint64 height, gint64 width) {
  gint64 channel = at / (BLOCK_SIDE * BLOCK_SIDE), y = at / BLOCK_SIDE % BLOCK_SIDE, x = at % BLOCK_SIDE;
  return (channel * height + row * BLOCK_SIDE + y) * width + column * BLOCK_SIDE + x;
}

void blocks_gather(const float *picture, gint64 height, gint64 width, float *rows) {
  for (gint64 row = 0; row < height / BLOCK_SIDE; row++)
    for (gint64 column = 0; column < width / BLOCK_SIDE; column++)
      for (gint64 i = 0; i < BLOCK_SIZE; i++)
        *rows++ = picture[place(row, column, i, height, width)];
}

void blocks_encode(Blocks *blocks, const float *picture, gint64 height, gint64 width, float *tokens) {
  gint64 n = height / BLOCK_SIDE * (width / BLOCK_SIDE);
  float *rows = buffer_get(&blocks->rows, n * BLOCK_SIZE);
  blocks_gather(picture, height, width, rows);
  for (gint64 i = 0; i < n * BLOCK_SIZE; i++)
    rows[i] -= blocks->mean[i % BLOCK_SIZE];
  op_gemm(FALSE, TRUE, n, AUTOENCODER_CHANNELS, BLOCK_SIZE, 1, rows, BLOCK_SIZE, blocks->basis, BLOCK_SIZE, 0,
          tokens, AUTOENCODER_CHANNELS);
  for (gint64 i = 0; i < n * AUTOENCODER_CHANNELS; i++)
    tokens[i] /= blocks->scale[i % AUTOENCODER_CHANNELS];
}

void blocks_decode_linear(Blocks *blocks, const float *tokens, gint64 height, gint64 width, float *picture) {
  gint64 n = height / BLOCK_SIDE * (width / BLOCK_SIDE);
  float *rows = buffer_get(&blocks->rows, n * (BLOCK_SIZE + AUTOENCODER_CHANNELS));
  float *scaled = rows + n * BLOCK_SIZE;
  for (gint64 i = 0; i < n * AUTOENCODER_CHANNELS; i++)
    scaled[i] = tokens[i] * blocks->scale[i % AUTOENCODER_CHANNELS];
  op_gemm(FALSE, FALSE, n, BLOCK_SIZE, AUTOENCODER_CHANNELS, 1, scaled, AUTOENCODER_CHANNELS, blocks->basis,
          BLOCK_SIZE, 0, rows, BLOCK_SIZE);
  for (gint64 block = 0; block < n; block++)
    for (gint64 i = 0; i < BLOCK_SIZE; i++) {
      gint64 columns = width / BLOCK_SIDE;
      picture[place(block / columns, block % columns, i, height, width)] =
          rows[block * BLOCK_SIZE + i] + blocks->mean[i];
    }
  if (blocks->smooth)
    deblock(&blocks->borders, picture, height, width);
}

void blocks_decode(Blocks *blocks, const Watcher *watcher, const float *tokens, gint64 height, gint64 width,
                   float *picture) {
  blocks_decode_linear(blocks, tokens, height, width, picture);
  watcher_see(watcher, picture, 3, height * width, "linear");
  if (!blocks->refinement)
    return;
  float *correction = buffer_get(&blocks->correction, 3 * height * width);
  refinement_run(blocks->refinement, &blocks->memory, picture, height, width, correction);
  refinement_unfold(correction, height, width, picture);
}

gint64 blocks_room(const Blocks *blocks, gint64 height, gint64 width) {
  gint64 floats = 4 * height * width; /* the blocks and their scaled tokens */
  return blocks->refinement ? floats + 3 * height * width + refinement_room(blocks->refinement, height, width)
                            : floats;
}
