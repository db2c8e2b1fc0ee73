/* TAEF2, the tiny autoencoder for FLUX.2 of Ollin Boer Bohan (github.com/madebyollin/taesd, MIT): rows of 3x3
 * convolutions 64 channels wide. Its latent is the transformer's own, already normalised. Each half is a list
 * of layers that stand in the file under their place in it. */
#include "identity/picture/autoencoder_parts.h"
#include <math.h>
#include <string.h>

#define WIDTH 64
#define POOL_WIDTH 256
#define POOL_GROUPS 4
#define POOL_EPS 1e-5f
#define LATENT_RANGE 3.0f /* tanh's range for latents that come in */

typedef enum {
  LAYER_FIRST,      /* convolution with bias to the width */
  LAYER_LAST,       /* with bias from it */
  LAYER_CONV,       /* without */
  LAYER_DOWN,       /* without, every second pixel */
  LAYER_BLOCK,      /* three convolutions and a skip */
  LAYER_POOL_BLOCK, /* the same after a look at the whole map's statistics */
  LAYER_CLAMP,
  LAYER_RELU,
  LAYER_UP /* nearest, twice the size */
} LayerKind;

static const LayerKind encoder_layers[] = {LAYER_FIRST,      LAYER_BLOCK,      LAYER_DOWN, LAYER_BLOCK,
                                           LAYER_BLOCK,      LAYER_BLOCK,      LAYER_DOWN, LAYER_BLOCK,
                                           LAYER_BLOCK,      LAYER_BLOCK,      LAYER_DOWN, LAYER_POOL_BLOCK,
                                           LAYER_POOL_BLOCK, LAYER_POOL_BLOCK, LAYER_LAST};
static const LayerKind decoder_layers[] = {
    LAYER_CLAMP, LAYER_FIRST, LAYER_RELU,  LAYER_POOL_BLOCK, LAYER_POOL_BLOCK, LAYER_POOL_BLOCK, LAYER_UP,
    LAYER_CONV,  LAYER_BLOCK, LAYER_BLOCK, LAYER_BLOCK,      LAYER_UP,         LAYER_CONV,       LAYER_BLOCK,
    LAYER_BLOCK, LAYER_BLOCK, LAYER_UP,    LAYER_CONV,       LAYER_BLOCK,      LAYER_LAST};
#define LAYERS_MAX G_N_ELEMENTS(decoder_layers)

typedef struct {
  Conv convs[3];
  Conv widen, narrow; /* around the pool's norm */
  GroupNorm norm;
} Layer;

typedef struct {
  const LayerKind *kinds;
  gsize count;
  Layer layers[LAYERS_MAX];
} Half;

struct Taef2 {
  Half encoder, decoder;
  Buffer x, y, z, pool, widened;
};

/* --- reading --- */

static gboolean open_pool(Layer *layer, const Safetensors *file, const char *name, GError **error) {
  g_autofree char *widen = g_strconcat(name, ".pool.0", NULL), *norm = g_strconcat(name, ".pool.1", NULL);
  g_autofree char *narrow = g_strconcat(name, ".pool.3", NULL);
  return conv_open(&layer->widen, file, widen, WIDTH, POOL_WIDTH, 1, BIAS_NONE, error) &&
         groupnorm_open(&layer->norm, file, norm, POOL_WIDTH, POOL_GROUPS, POOL_EPS, error) &&
         conv_open(&layer->narrow, file, narrow, POOL_WIDTH, WIDTH, 1, BIAS_NONE, error);
}

static gboolean open_layer(Layer *layer, LayerKind kind, const Safetensors *file, const char *name,
                           gint64 first, gint64 last, GError **error) {
  switch (kind) {
  case LAYER_FIRST:
    return conv_open(&layer->convs[0], file, name, first, WIDTH, 3, BIAS_NEEDED, error);
  case LAYER_LAST:
    return conv_open(&layer->convs[0], file, name, WIDTH, last, 3, BIAS_NEEDED, error);
  case LAYER_CONV:
  case LAYER_DOWN:
    return conv_open(&layer->convs[0], file, name, WIDTH, WIDTH, 3, BIAS_NONE, error);
  case LAYER_BLOCK:
  case LAYER_POOL_BLOCK:
    for (int i = 0; i < 3; i++) {
      g_autofree char *conv = g_strdup_printf("%s.conv.%d", name, 2 * i);
      if (!conv_open(&layer->convs[i], file, conv, WIDTH, WIDTH, 3, BIAS_NEEDED, error))
        return FALSE;
    }
    return kind == LAYER_BLOCK || open_pool(layer, file, name, error);
  case LAYER_CLAMP:
  case LAYER_RELU:
  case LAYER_UP:
    break;
  }
  return TRUE;
}

static gboolean open_half(Half *half, const Safetensors *file, const char *prefix, gint64 first, gint64 last,
                          GError **error) {
  for (gsize i = 0; i < half->count; i++) {
    g_autofree char *name = g_strdup_printf("%s.%" G_GSIZE_FORMAT, prefix, i);
    if (!open_layer(&half->layers[i], half->kinds[i], file, name, first, last, error))
      return FALSE;
  }
  return TRUE;
}

Taef2 *taef2_open(const Safetensors *file, GError **error) {
  g_autoptr(Taef2) network = g_new0(Taef2, 1);
  network->encoder = (Half){.kinds = encoder_layers, .count = G_N_ELEMENTS(encoder_layers)};
  network->decoder = (Half){.kinds = decoder_layers, .count = G_N_ELEMENTS(decoder_layers)};
  if (!open_half(&network->encoder, file, "encoder", 3, LATENT_CHANNELS, error) ||
      !open_half(&network->decoder, file, "decoder", LATENT_CHANNELS, 3, error))
    return NULL;
  return g_steal_pointer(&network);
}

static void half_clear(Half *half) {
  for (gsize i = 0; i < half->count; i++) {
    for (int k = 0; k < 3; k++)
      conv_clear(&half->layers[i].convs[k]);
    groupnorm_clear(&half->layers[i].norm);
  }
}

void taef2_free(Taef2 *network) {
  if (!network)
    return;
  half_clear(&network->encoder);
  half_clear(&network->decoder);
  Buffer *buffers[] = {&network->x, &network->y, &network->z, &network->pool, &network->widened};
  for (gsize i = 0; i < G_N_ELEMENTS(buffers); i++)
    buffer_clear(buffers[i]);
  g_free(network);
}

/* --- running: the map is always in network->x --- */

typedef struct {
  Taef2 *network;
  gint64 channels, height, width;
} Walk;

static gint64 walk_count(const Walk *walk) {
  return walk->channels * walk->height * walk->width;
}

static void relu(float *x, gint64 count) {
  for (gint64 i = 0; i < count; i++)
    x[i] = x[i] > 0 ? x[i] : 0;
}

static void add(const float *from, gint64 count, float *to) {
  for (gint64 i = 0; i < count; i++)
    to[i] += from[i];
}

static void take_y(Walk *walk) {
  Buffer old = walk->network->x;
  walk->network->x = walk->network->y;
  walk->network->y = old;
}

static void run_conv(Walk *walk, const Conv *conv) {
  float *y = buffer_get(&walk->network->y, conv->out * walk->height * walk->width);
  conv_run(conv, &walk->network->widened, walk->network->x.data, walk->height, walk->width, y);
  walk->channels = conv->out;
  take_y(walk);
}

static void run_down(Walk *walk, const Conv *conv) {
  float *y = buffer_get(&walk->network->y, conv->out * walk->height / 2 * walk->width / 2);
  conv_run_down(conv, &walk->network->widened, walk->network->x.data, walk->height, walk->width, FALSE, y);
  walk->height /= 2;
  walk->width /= 2;
  take_y(walk);
}

static void run_up(Walk *walk) {
  float *y = buffer_get(&walk->network->y, walk_count(walk) * 4);
  op_upsample2(walk->network->x.data, walk->channels, walk->height, walk->width, y);
  walk->height *= 2;
  walk->width *= 2;
  take_y(walk);
}

static void run_pool(Walk *walk, const Layer *layer) {
  Taef2 *network = walk->network;
  gint64 pixels = walk->height * walk->width;
  float *wide = buffer_get(&network->pool, 2 * POOL_WIDTH * pixels), *normed = wide + POOL_WIDTH * pixels;
  float *y = buffer_get(&network->y, walk_count(walk));
  conv_run(&layer->widen, &network->widened, network->x.data, walk->height, walk->width, wide);
  groupnorm_run(&layer->norm, wide, pixels, normed);
  relu(normed, POOL_WIDTH * pixels);
  conv_run(&layer->narrow, &network->widened, normed, walk->height, walk->width, y);
  add(y, walk_count(walk), network->x.data);
}

static void run_block(Walk *walk, const Layer *layer) {
  Taef2 *network = walk->network;
  gint64 count = walk_count(walk);
  const float *from = network->x.data;
  float *y = buffer_get(&network->y, count), *z = buffer_get(&network->z, count), *to = y;
  for (int i = 0; i < 3; i++) {
    conv_run(&layer->convs[i], &network->widened, from, walk->height, walk->width, to);
    if (i < 2)
      relu(to, count);
    from = to;
    to = to == y ? z : y;
  }
  add(from, count, network->x.data);
  relu(network->x.data, count);
}

static void clamp(float *x, gint64 count) {
  for (gint64 i = 0; i < count; i++)
    x[i] = LATENT_RANGE * tanhf(x[i] / LATENT_RANGE);
}

static void run_layer(Walk *walk, LayerKind kind, const Layer *layer) {
  switch (kind) {
  case LAYER_FIRST:
  case LAYER_LAST:
  case LAYER_CONV:
    run_conv(walk, &layer->convs[0]);
    break;
  case LAYER_DOWN:
    run_down(walk, &layer->convs[0]);
    break;
  case LAYER_POOL_BLOCK:
    run_pool(walk, layer);
    run_block(walk, layer);
    break;
  case LAYER_BLOCK:
    run_block(walk, layer);
    break;
  case LAYER_CLAMP:
    clamp(walk->network->x.data, walk_count(walk));
    break;
  case LAYER_RELU:
    relu(walk->network->x.data, walk_count(walk));
    break;
  case LAYER_UP:
    run_up(walk);
    break;
  }
}

static void run_half(Walk *walk, const Half *half, const Watcher *watcher, const char *name) {
  for (gsize i = 0; i < half->count; i++) {
    run_layer(walk, half->kinds[i], &half->layers[i]);
    watcher_see(watcher, walk->network->x.data, walk->channels, walk->height * walk->width,
                "%s.%" G_GSIZE_FORMAT, name, i);
  }
}

void taef2_encode(Taef2 *network, const Watcher *watcher, const float *picture, gint64 height, gint64 width,
                  float *latent) {
  Walk walk = {network, 3, height, width};
  float *x = buffer_get(&network->x, walk_count(&walk));
  for (gint64 i = 0; i < walk_count(&walk); i++)
    x[i] = (picture[i] + 1) / 2;
  run_half(&walk, &network->encoder, watcher, "enc");
  memcpy(latent, network->x.data, sizeof(float) * (gsize)walk_count(&walk));
}

void taef2_decode(Taef2 *network, const Watcher *watcher, const float *latent, gint64 height, gint64 width,
                  float *picture) {
  Walk walk = {network, LATENT_CHANNELS, height / LATENT_PIXELS, width / LATENT_PIXELS};
  float *x = buffer_get(&network->x, walk_count(&walk));
  memcpy(x, latent, sizeof(float) * (gsize)walk_count(&walk));
  run_half(&walk, &network->decoder, watcher, "dec");
  for (gint64 i = 0; i < walk_count(&walk); i++)
    picture[i] = network->x.data[i] * 2 - 1;
}

gint64 taef2_room(gint64 height, gint64 width) {
  gint64 small = height / LATENT_PIXELS * (width / LATENT_PIXELS);
  return 3 * WIDTH * height * width + 2 * POOL_WIDTH * small;
}
