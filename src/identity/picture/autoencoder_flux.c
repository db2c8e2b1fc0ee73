/* The FLUX.2 autoencoder. A half (encoder or decoder) is a row of residual blocks at four sizes with an
 * attention at the smallest. One map walks through it; beside it there are two more of the same size, one for
 * the skip of the block at work and one between its convolutions. The widths of all layers are read off the
 * file, so the small decoder (96 instead of 128 channels at the full size) needs nothing of its own.
 *
 * Sources: BFL, flux2/autoencoder.py; the names of diffusers, scripts/convert_flux2_to_diffusers.py. */
#include "identity/picture/autoencoder_parts.h"
#include <string.h>

#define LEVELS 4
#define DEEPEST (LEVELS - 1)
#define ENCODER_BLOCKS 2
#define DECODER_BLOCKS 3
#define GROUPS 32
#define NORM_EPS 1e-6f
#define MOMENTS (2 * LATENT_CHANNELS) /* means, then logarithms of variances, which nobody uses */

typedef struct {
  GroupNorm norm1, norm2;
  Conv conv1, conv2;
  Conv shortcut; /* weight NULL where the widths are the same */
} Resnet;

typedef struct {
  GroupNorm norm;
  Conv q, k, v, out;
} Attention;

typedef struct {
  Conv conv_in, conv_out;
  Resnet blocks[LEVELS][DECODER_BLOCKS]; /* by level: 0 is the full size */
  Conv samplers[LEVELS];                 /* to the next level on the way; weight NULL where there is none */
  Resnet middle1, middle2;
  Attention attention;
  GroupNorm norm_out;
  Conv quant;
} Half;

struct FluxAutoencoder {
  Half encoder, decoder;
  Buffer x, skip, between, widened; /* the maps, and one convolution's weights */
  Buffer q, k, v, attended;
};

/* --- names --- */

typedef struct {
  const Safetensors *file;
  gboolean diffusers;
  GError **error;
} Reader;

/* prefix "encoder" or "decoder" decides between down and up. */
static char *block_name(const Reader *reader, gboolean down, int level, int block) {
  if (!reader->diffusers)
    return down ? g_strdup_printf("encoder.down.%d.block.%d", level, block)
                : g_strdup_printf("decoder.up.%d.block.%d", level, block);
  return down ? g_strdup_printf("encoder.down_blocks.%d.resnets.%d", level, block)
              : g_strdup_printf("decoder.up_blocks.%d.resnets.%d", DEEPEST - level, block);
}

static char *sampler_name(const Reader *reader, gboolean down, int level) {
  if (!reader->diffusers)
    return down ? g_strdup_printf("encoder.down.%d.downsample.conv", level)
                : g_strdup_printf("decoder.up.%d.upsample.conv", level);
  return down ? g_strdup_printf("encoder.down_blocks.%d.downsamplers.0.conv", level)
              : g_strdup_printf("decoder.up_blocks.%d.upsamplers.0.conv", DEEPEST - level);
}

static char *middle_name(const Reader *reader, gboolean down, int block) {
  const char *half = down ? "encoder" : "decoder";
  return reader->diffusers ? g_strdup_printf("%s.mid_block.resnets.%d", half, block)
                           : g_strdup_printf("%s.mid.block_%d", half, block + 1);
}

static char *attention_name(const Reader *reader, gboolean down, const char *bfl, const char *diffusers) {
  const char *half = down ? "encoder" : "decoder";
  return reader->diffusers ? g_strdup_printf("%s.mid_block.attentions.0.%s", half, diffusers)
                           : g_strdup_printf("%s.mid.attn_1.%s", half, bfl);
}

/* --- reading --- */

static gboolean open_part(const Reader *reader, Conv *conv, const char *block, const char *name, gint64 in,
                          gint64 out, int side) {
  g_autofree char *full = g_strdup_printf("%s.%s", block, name);
  return conv_open(conv, reader->file, full, in, out, side, BIAS_NEEDED, reader->error);
}

static gboolean open_norm(const Reader *reader, GroupNorm *norm, const char *block, const char *name,
                          gint64 channels) {
  g_autofree char *full = g_strdup_printf("%s.%s", block, name);
  return groupnorm_open(norm, reader->file, full, channels, GROUPS, NORM_EPS, reader->error);
}

/* *channels: coming in; then going out. */
static gboolean open_resnet(const Reader *reader, Resnet *resnet, const char *name, gint64 *channels) {
  if (!open_norm(reader, &resnet->norm1, name, "norm1", *channels) ||
      !open_part(reader, &resnet->conv1, name, "conv1", *channels, -1, 3))
    return FALSE;
  gint64 in = *channels, out = *channels = resnet->conv1.out;
  if (!open_norm(reader, &resnet->norm2, name, "norm2", out) ||
      !open_part(reader, &resnet->conv2, name, "conv2", out, out, 3))
    return FALSE;
  return in == out || open_part(reader, &resnet->shortcut, name,
                                reader->diffusers ? "conv_shortcut" : "nin_shortcut", in, out, 1);
}

static gboolean open_attention(const Reader *reader, Attention *attention, gboolean down, gint64 channels) {
  const struct {
    Conv *conv;
    const char *bfl, *diffusers;
  } parts[] = {{&attention->q, "q", "to_q"},
               {&attention->k, "k", "to_k"},
               {&attention->v, "v", "to_v"},
               {&attention->out, "proj_out", "to_out.0"}};
  for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
    g_autofree char *name = attention_name(reader, down, parts[i].bfl, parts[i].diffusers);
    if (!conv_open(parts[i].conv, reader->file, name, channels, channels, 1, BIAS_NEEDED, reader->error))
      return FALSE;
  }
  g_autofree char *norm = attention_name(reader, down, "norm", "group_norm");
  return groupnorm_open(&attention->norm, reader->file, norm, channels, GROUPS, NORM_EPS, reader->error);
}

static gboolean open_middle(const Reader *reader, Half *half, gboolean down, gint64 *channels) {
  g_autofree char *first = middle_name(reader, down, 0), *second = middle_name(reader, down, 1);
  return open_resnet(reader, &half->middle1, first, channels) &&
         open_attention(reader, &half->attention, down, *channels) &&
         open_resnet(reader, &half->middle2, second, channels);
}

static gboolean open_level(const Reader *reader, Half *half, gboolean down, int level, gint64 *channels) {
  int count = down ? ENCODER_BLOCKS : DECODER_BLOCKS, last = down ? DEEPEST : 0;
  for (int i = 0; i < count; i++) {
    g_autofree char *name = block_name(reader, down, level, i);
    if (!open_resnet(reader, &half->blocks[level][i], name, channels))
      return FALSE;
  }
  if (level == last)
    return TRUE;
  g_autofree char *name = sampler_name(reader, down, level);
  return conv_open(&half->samplers[level], reader->file, name, *channels, *channels, 3, BIAS_NEEDED,
                   reader->error);
}

static gboolean open_encoder(const Reader *reader, Half *half) {
  if (!open_part(reader, &half->conv_in, "encoder", "conv_in", 3, -1, 3))
    return FALSE;
  gint64 channels = half->conv_in.out;
  for (int level = 0; level < LEVELS; level++)
    if (!open_level(reader, half, TRUE, level, &channels))
      return FALSE;
  return open_middle(reader, half, TRUE, &channels) &&
         open_norm(reader, &half->norm_out, "encoder", reader->diffusers ? "conv_norm_out" : "norm_out",
                   channels) &&
         open_part(reader, &half->conv_out, "encoder", "conv_out", channels, MOMENTS, 3) &&
         conv_open(&half->quant, reader->file, reader->diffusers ? "quant_conv" : "encoder.quant_conv",
                   MOMENTS, MOMENTS, 1, BIAS_NEEDED, reader->error);
}

static gboolean open_decoder(const Reader *reader, Half *half) {
  if (!conv_open(&half->quant, reader->file,
                 reader->diffusers ? "post_quant_conv" : "decoder.post_quant_conv", LATENT_CHANNELS,
                 LATENT_CHANNELS, 1, BIAS_NEEDED, reader->error) ||
      !open_part(reader, &half->conv_in, "decoder", "conv_in", LATENT_CHANNELS, -1, 3))
    return FALSE;
  gint64 channels = half->conv_in.out;
  if (!open_middle(reader, half, FALSE, &channels))
    return FALSE;
  for (int level = DEEPEST; level >= 0; level--)
    if (!open_level(reader, half, FALSE, level, &channels))
      return FALSE;
  return open_norm(reader, &half->norm_out, "decoder", reader->diffusers ? "conv_norm_out" : "norm_out",
                   channels) &&
         open_part(reader, &half->conv_out, "decoder", "conv_out", channels, 3, 3);
}

FluxAutoencoder *flux_autoencoder_open(const Safetensors *file, GError **error) {
  g_autoptr(FluxAutoencoder) network = g_new0(FluxAutoencoder, 1);
  const Reader reader = {file, safetensors_has(file, "post_quant_conv.weight"), error};
  if (!open_encoder(&reader, &network->encoder) || !open_decoder(&reader, &network->decoder))
    return NULL;
  return g_steal_pointer(&network);
}

static void resnet_clear(Resnet *resnet) {
  groupnorm_clear(&resnet->norm1);
  groupnorm_clear(&resnet->norm2);
  conv_clear(&resnet->conv1);
  conv_clear(&resnet->conv2);
  conv_clear(&resnet->shortcut);
}

static void half_clear(Half *half) {
  for (int level = 0; level < LEVELS; level++) {
    for (int i = 0; i < DECODER_BLOCKS; i++)
      resnet_clear(&half->blocks[level][i]);
    conv_clear(&half->samplers[level]);
  }
  resnet_clear(&half->middle1);
  resnet_clear(&half->middle2);
  groupnorm_clear(&half->attention.norm);
  groupnorm_clear(&half->norm_out);
  Conv *rest[] = {&half->conv_in,     &half->conv_out,    &half->quant,        &half->attention.q,
                  &half->attention.k, &half->attention.v, &half->attention.out};
  for (gsize i = 0; i < G_N_ELEMENTS(rest); i++)
    conv_clear(rest[i]);
}

void flux_autoencoder_free(FluxAutoencoder *network) {
  if (!network)
    return;
  half_clear(&network->encoder);
  half_clear(&network->decoder);
  Buffer *buffers[] = {&network->x, &network->skip, &network->between, &network->widened,
                       &network->q, &network->k,    &network->v,       &network->attended};
  for (gsize i = 0; i < G_N_ELEMENTS(buffers); i++)
    buffer_clear(buffers[i]);
  g_free(network);
}

/* --- running --- */

/* The map that walks: always in network->x. */
typedef struct {
  FluxAutoencoder *network;
  const Watcher *watcher;
  gint64 channels, height, width;
} Walk;

static gint64 walk_pixels(const Walk *walk) {
  return walk->height * walk->width;
}

static void see(const Walk *walk, const char *half, const char *place) {
  watcher_see(walk->watcher, walk->network->x.data, walk->channels, walk_pixels(walk), "%s.%s", half, place);
}

/* What x holds after swapping becomes the map. */
static void swap_maps(FluxAutoencoder *network) {
  Buffer old = network->x;
  network->x = network->between;
  network->between = old;
}

/* Norm and swish of the map, to between. */
static float *walk_norm(const Walk *walk, const GroupNorm *norm) {
  gint64 count = norm->channels * walk_pixels(walk);
  float *between = buffer_get(&walk->network->between, count);
  groupnorm_run(norm, walk->network->x.data, walk_pixels(walk), between);
  op_silu(between, count, between);
  return between;
}

static void walk_conv(Walk *walk, const Conv *conv, const float *from) {
  float *x = buffer_get(&walk->network->x, conv->out * walk_pixels(walk));
  conv_run(conv, &walk->network->widened, from, walk->height, walk->width, x);
  walk->channels = conv->out;
}

static void walk_resnet(Walk *walk, const Resnet *resnet) {
  FluxAutoencoder *network = walk->network;
  gint64 count = resnet->conv1.out * walk_pixels(walk);
  float *skip = buffer_get(&network->skip, count);
  if (resnet->shortcut.weight)
    conv_run(&resnet->shortcut, &network->widened, network->x.data, walk->height, walk->width, skip);
  else
    memcpy(skip, network->x.data, sizeof(float) * (gsize)count);
  walk_conv(walk, &resnet->conv1, walk_norm(walk, &resnet->norm1));
  walk_conv(walk, &resnet->conv2, walk_norm(walk, &resnet->norm2));
  float *x = network->x.data;
  for (gint64 i = 0; i < count; i++)
    x[i] += skip[i];
}

static void walk_attention(Walk *walk, const Attention *attention) {
  FluxAutoencoder *network = walk->network;
  gint64 pixels = walk_pixels(walk), channels = walk->channels, count = pixels * channels;
  float *normed = buffer_get(&network->between, count), *x = network->x.data;
  groupnorm_run(&attention->norm, x, pixels, normed);
  float *q = buffer_get(&network->q, count), *k = buffer_get(&network->k, count);
  float *v = buffer_get(&network->v, count), *attended = buffer_get(&network->attended, count);
  conv_run_turned(&attention->q, &network->widened, normed, pixels, q);
  conv_run_turned(&attention->k, &network->widened, normed, pixels, k);
  conv_run_turned(&attention->v, &network->widened, normed, pixels, v);
  const AttentionShape shape = {.n = pixels,
                                .m = pixels,
                                .heads = 1,
                                .kv_heads = 1,
                                .width = channels,
                                .q_stride = channels,
                                .k_stride = channels,
                                .v_stride = channels,
                                .y_stride = channels,
                                .key_count = pixels};
  op_attention(&shape, q, k, v, attended, NULL);
  conv_run_back(&attention->out, &network->widened, attended, pixels, normed);
  for (gint64 i = 0; i < count; i++)
    x[i] += normed[i];
}

static void walk_middle(Walk *walk, const Half *half, const char *name) {
  walk_resnet(walk, &half->middle1);
  see(walk, name, "mid_block1");
  walk_attention(walk, &half->attention);
  see(walk, name, "mid_attn");
  walk_resnet(walk, &half->middle2);
  see(walk, name, "mid");
}

static void walk_down(Walk *walk, const Conv *conv) {
  FluxAutoencoder *network = walk->network;
  float *y = buffer_get(&network->between, conv->out * (walk->height / 2) * (walk->width / 2));
  conv_run_down(conv, &network->widened, network->x.data, walk->height, walk->width, TRUE, y);
  swap_maps(network);
  walk->height /= 2;
  walk->width /= 2;
}

static void walk_up(Walk *walk, const Conv *conv) {
  FluxAutoencoder *network = walk->network;
  float *large = buffer_get(&network->between, walk->channels * walk_pixels(walk) * 4);
  op_upsample2(network->x.data, walk->channels, walk->height, walk->width, large);
  walk->height *= 2;
  walk->width *= 2;
  walk_conv(walk, conv, large);
}

static void walk_level(Walk *walk, const Half *half, int level, gboolean down) {
  const char *name = down ? "enc" : "dec", *way = down ? "down" : "up";
  for (int i = 0; i < (down ? ENCODER_BLOCKS : DECODER_BLOCKS); i++) {
    walk_resnet(walk, &half->blocks[level][i]);
    watcher_see(walk->watcher, walk->network->x.data, walk->channels, walk_pixels(walk),
                down ? "%s.%s%d.block%d" : "%s.%s%d_block%d", name, way, level, i);
  }
  if (half->samplers[level].weight && down)
    walk_down(walk, &half->samplers[level]);
  else if (half->samplers[level].weight)
    walk_up(walk, &half->samplers[level]);
  watcher_see(walk->watcher, walk->network->x.data, walk->channels, walk_pixels(walk),
              down && level < DEEPEST ? "%s.%s%d.downsample" : "%s.%s%d", name, way, level);
}

void flux_autoencoder_encode(FluxAutoencoder *network, const Watcher *watcher, const float *picture,
                             gint64 height, gint64 width, float *latent) {
  const Half *half = &network->encoder;
  Walk walk = {network, watcher, 3, height, width};
  walk_conv(&walk, &half->conv_in, picture);
  see(&walk, "enc", "conv_in");
  for (int level = 0; level < LEVELS; level++)
    walk_level(&walk, half, level, TRUE);
  walk_middle(&walk, half, "enc");
  walk_conv(&walk, &half->conv_out, walk_norm(&walk, &half->norm_out));
  gint64 pixels = walk_pixels(&walk);
  float *moments = buffer_get(&network->between, MOMENTS * pixels);
  conv_run(&half->quant, &network->widened, network->x.data, walk.height, walk.width, moments);
  watcher_see(watcher, moments, MOMENTS, pixels, "moments");
  memcpy(latent, moments, sizeof(float) * (gsize)(LATENT_CHANNELS * pixels));
}

void flux_autoencoder_decode(FluxAutoencoder *network, const Watcher *watcher, const float *latent,
                             gint64 height, gint64 width, float *picture) {
  const Half *half = &network->decoder;
  Walk walk = {network, watcher, LATENT_CHANNELS, height / LATENT_PIXELS, width / LATENT_PIXELS};
  float *z = buffer_get(&network->between, LATENT_CHANNELS * walk_pixels(&walk));
  conv_run(&half->quant, &network->widened, latent, walk.height, walk.width, z);
  walk_conv(&walk, &half->conv_in, z);
  see(&walk, "dec", "conv_in");
  walk_middle(&walk, half, "dec");
  for (int level = DEEPEST; level >= 0; level--)
    walk_level(&walk, half, level, FALSE);
  const float *normed = walk_norm(&walk, &half->norm_out);
  conv_run(&half->conv_out, &network->widened, normed, height, width, picture);
}

/* --- planning: the largest that each buffer becomes, on the same way --- */

typedef struct {
  gint64 x, skip, between, attention, widened;
} Room;

static void room_for_conv(Room *room, const Conv *conv) {
  room->widened = MAX(room->widened, conv->weight ? safetensors_count(conv->weight) : 0);
}

static void room_for_resnet(Room *room, const Resnet *resnet, gint64 pixels) {
  gint64 in = resnet->conv1.in * pixels, out = resnet->conv1.out * pixels;
  room->x = MAX(room->x, MAX(in, out));
  room->between = MAX(room->between, MAX(in, out));
  room->skip = MAX(room->skip, out);
  room_for_conv(room, &resnet->conv1);
  room_for_conv(room, &resnet->conv2);
}

static void room_for_half(Room *room, const Half *half, gboolean down, gint64 pixels) {
  for (int i = 0; i < LEVELS; i++) {
    int level = down ? i : DEEPEST - i;
    /* Levels of the decoder begin where the encoder's ended. */
    gint64 here = pixels >> (2 * level);
    for (int k = 0; k < (down ? ENCODER_BLOCKS : DECODER_BLOCKS); k++)
      room_for_resnet(room, &half->blocks[level][k], here);
    const Conv *sampler = &half->samplers[level];
    if (!sampler->weight)
      continue;
    gint64 there = down ? here / 4 : here * 4;
    room->between = MAX(room->between, MAX(sampler->in, sampler->out) * there);
    room->x = MAX(room->x, sampler->out * there);
    room_for_conv(room, sampler);
  }
  room_for_resnet(room, &half->middle1, pixels >> (2 * DEEPEST));
  room->attention = MAX(room->attention, 4 * half->attention.q.out * (pixels >> (2 * DEEPEST)));
}

gint64 flux_autoencoder_room(const FluxAutoencoder *network, gint64 height, gint64 width) {
  Room room = {0};
  room_for_half(&room, &network->encoder, TRUE, height * width);
  /* The encoder's halving swaps the two maps, so both grow to the larger. */
  room.x = room.between = MAX(room.x, room.between);
  room_for_half(&room, &network->decoder, FALSE, height * width);
  return room.x + room.skip + room.between + room.attention + room.widened;
}
