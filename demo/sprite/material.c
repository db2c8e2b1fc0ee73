/* Each worker has its own canvas and transform; the words are only read. */
#include "material.h"
#include "captions.h"
#include "sprite.h"
#include "vocabulary.h"

#define FIT_SEED 77u /* the fit's pictures are not those of the training */

typedef struct {
  Sprite *sprite;
  Autoencoder *autoencoder;
  guint8 *pixels;
  float *picture;
  gint32 *ids;
} Desk;

struct Material {
  int size;
  guint64 seed;
  char *name;
  Words *words;
  Desk desks[TRAINER_WORKERS];
};

static void to_picture(const guint8 *pixels, int size, float *picture) {
  gsize all = (gsize)size * size;
  for (gsize p = 0; p < all; p++)
    for (int c = 0; c < 3; c++)
      picture[c * all + p] = (float)pixels[3 * p + c] / 127.5f - 1;
}

Material *material_new(const char *blocks, int size, guint64 seed, GError **error) {
  g_autoptr(Material) material = g_new0(Material, 1);
  gsize numbers = (gsize)size * size * 3;
  material->size = size;
  material->seed = seed;
  material->words = vocabulary_new();
  material->name = g_strdup_printf("sprites size=%d seed=%" G_GUINT64_FORMAT, size, seed);
  for (int w = 0; w < TRAINER_WORKERS; w++) {
    Desk *desk = &material->desks[w];
    desk->autoencoder = autoencoder_open(blocks, error);
    if (!desk->autoencoder)
      return NULL;
    desk->sprite = sprite_new(size);
    desk->pixels = g_malloc(numbers);
    desk->picture = g_new(float, numbers);
    desk->ids = g_new(gint32, words_length(material->words));
  }
  return g_steal_pointer(&material);
}

void material_free(Material *material) {
  if (!material)
    return;
  for (int w = 0; w < TRAINER_WORKERS; w++) {
    Desk *desk = &material->desks[w];
    sprite_free(desk->sprite);
    autoencoder_free(desk->autoencoder);
    g_free(desk->pixels);
    g_free(desk->picture);
    g_free(desk->ids);
  }
  words_free(material->words);
  g_free(material->name);
  g_free(material);
}

static void sample(int worker, guint64 index, float *tokens, float *text, gpointer user) {
  Material *material = user;
  Desk *desk = &material->desks[worker];
  g_autoptr(GError) error = NULL;
  Attributes attributes;
  sprite_sample(desk->sprite, material->seed, index, PART_LEARN, &attributes, desk->pixels);
  to_picture(desk->pixels, material->size, desk->picture);
  if (!autoencoder_encode(desk->autoencoder, desk->picture, material->size, material->size, tokens, &error))
    g_error("%s", error->message); /* the size was accepted before */
  Dice dice = dice_new(material->seed, 3, index);
  g_autofree char *caption = caption_of(&attributes, &caption_learn, NULL, &dice);
  words_encode(material->words, caption, desk->ids, NULL);
  words_features(material->words, desk->ids, text);
}

TrainerSource material_source(Material *material) {
  return (TrainerSource){material->size / AUTOENCODER_PATCH,
                         material->size / AUTOENCODER_PATCH,
                         words_length(material->words),
                         material->name,
                         sample,
                         material};
}

const Words *material_words(const Material *material) {
  return material->words;
}

gboolean material_fit_blocks(const char *path, int size, int count, double power, guint64 seed,
                             GError **error) {
  gsize numbers = (gsize)size * size * 3;
  g_autoptr(BlocksFit) fit = blocks_fit_new();
  g_autoptr(Sprite) sprite = sprite_new(size);
  g_autofree guint8 *pixels = g_malloc(numbers);
  g_autofree float *picture = g_new(float, numbers);
  Attributes attributes;
  for (int i = 0; i < count; i++) {
    sprite_sample(sprite, seed + FIT_SEED, (guint64)i, PART_LEARN, &attributes, pixels);
    to_picture(pixels, size, picture);
    blocks_fit_add(fit, picture, size, size);
  }
  return blocks_fit_write(fit, power, path, error);
}
