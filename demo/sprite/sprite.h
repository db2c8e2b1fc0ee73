/* Captioned pictures of vector characters, made anew whenever one is wanted: the material from which the
 * small model learns.
 *
 *   g_autoptr(Sprite) sprite = sprite_new(128);
 *   sprite_sample(sprite, seed, index, PART_LEARN, &attributes, pixels);
 *
 * The same seed and index give the same bytes. One Sprite is used by one thread at a time. */
#pragma once
#include "attributes.h"

#define SPRITE_LABELS_AGREE 6

typedef struct Sprite Sprite;
Sprite *sprite_new(int size); /* side of the pictures, 64..1024 */
void sprite_free(Sprite *sprite);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sprite, sprite_free)

/* pixels [size][size][3]. jitter: place, scale, small differences of colour and pose. */
void sprite_draw(Sprite *sprite, const Attributes *attributes, guint64 jitter, guint8 *pixels);
/* labels [size][size]: the Region (easel.h) of each pixel. */
void sprite_label(Sprite *sprite, const Attributes *attributes, guint64 jitter, guint8 *labels);
/* The place without the character. */
void sprite_background(Sprite *sprite, Place place, Light light, guint64 jitter, guint8 *pixels);
/* Attributes and picture of one index. */
void sprite_sample(Sprite *sprite, guint64 seed, guint64 index, Part part, Attributes *attributes,
                   guint8 *pixels);
