/* The block transform: each 16 x 16 block of a picture, 768 numbers, is described by its 128 largest
 * principal components, so a token is one product with a fixed matrix and its picture another. What
 * neighbouring tokens disagree about shows as a mosaic; a small network may follow that has learned to smooth
 * it ("refine.*"): 3x3 convolutions on the picture folded 4 x 4 into channels, skips between the inner ones,
 * its output added. */
#include "identity/autoencoder_parts.h"
#include "identity/blocks_parts.h"
#include <math.h>

struct Blocks {
  float *mean;  /* [BLOCK_SIZE] */
  float *basis; /* [AUTOENCODER_CHANNELS, BLOCK_SIZE] */
  float *scale; /* [AUTOENCODER_CHANNELS] */
  gboolean refined;
  Conv refine[REFINE_LAYERS];
  Buffer rows, maps[2], widened;
};

/* --- reading --- */

static gboolean open_refinement(Blocks *blocks, const Safetensors *file, GError **error) {
  gint64 channels = FOLD_CHANNELS;
  for (int i = 0; i < REFINE_LAYERS; i++) {
    g_autofree char *name = g_strdup_printf("refine.%d", i);
    /* The skips need inner layers of one width. */
    gint64 out = i == 0 ? -1 : i == REFINE_LAYERS - 1 ? FOLD_CHANNELS : channels;
    if (!conv_open(&blocks->refine[i], file, name, channels, out, 3, BIAS_NEEDED, error))
      return FALSE;
    channels = blocks->refine[i].out;
  }
  return TRUE;
}

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
  blocks->refined = safetensors_has(file, "refine.0.weight");
  if (blocks->refined && !open_refinement(blocks, file, error))
    return NULL;
  return g_steal_pointer(&blocks);
}

void blocks_free(Blocks *blocks) {
  if (!blocks)
    return;
  for (int i = 0; i < REFINE_LAYERS; i++)
    conv_clear(&blocks->refine[i]);
  g_free(blocks->mean);
  g_free(blocks->basis);
  g_free(blocks->scale);
  buffer_clear(&blocks->rows);
  buffer_clear(&blocks->maps[0]);
  buffer_clear(&blocks->maps[1]);
  buffer_clear(&blocks->widened);
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

/* The picture [3, h, w] as a map [48, h/4, w/4], or its correction added back. */
static void fold(float *picture, gint64 height, gint64 width, float *map, gboolean add_back) {
  for (gint64 channel = 0; channel < FOLD_CHANNELS; channel++)
    for (gint64 row = 0; row < height / FOLD; row++)
      for (gint64 column = 0; column < width / FOLD; column++, map++) {
        float *flat = picture + fold_place(channel, row, column, height, width);
        if (add_back)
          *flat += *map;
        else
          *map = *flat;
      }
}

static void refine(Blocks *blocks, gint64 height, gint64 width, float *picture) {
  gint64 rows = height / FOLD, columns = width / FOLD, pixels = rows * columns;
  gint64 widest = MAX(blocks->refine[0].out, FOLD_CHANNELS);
  float *from = buffer_get(&blocks->maps[0], widest * pixels);
  float *to = buffer_get(&blocks->maps[1], widest * pixels);
  fold(picture, height, width, from, FALSE);
  for (int i = 0; i < REFINE_LAYERS; i++) {
    const Conv *conv = &blocks->refine[i];
    gint64 count = conv->out * pixels;
    conv_run(conv, &blocks->widened, from, rows, columns, to);
    gboolean inner = i > 0 && i < REFINE_LAYERS - 1, last = i == REFINE_LAYERS - 1;
    for (gint64 k = 0; k < count && !last; k++)
      to[k] = fmaxf(to[k], 0) + (inner ? from[k] : 0);
    float *old = from;
    from = to;
    to = old;
  }
  fold(picture, height, width, from, TRUE);
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
}

void blocks_decode(Blocks *blocks, const Watcher *watcher, const float *tokens, gint64 height, gint64 width,
                   float *picture) {
  blocks_decode_linear(blocks, tokens, height, width, picture);
  watcher_see(watcher, picture, 3, height * width, "linear");
  if (blocks->refined)
    refine(blocks, height, width, picture);
}
