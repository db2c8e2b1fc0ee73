/* Whether two pictures show the same: the same shot saved twice, scaled, brightened, mirrored, or the next
 * one of a burst.
 *
 * The hash is the sign of the lowest 63 cosines of the grey picture against their median (Zauner,
 * Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). It knows nothing of colour, so a
 * tiny colour picture goes with it: two outfits in the same pose are not the same. */
#pragma once
#include "base/image.h"

#define PICTURE_HASH_SIDE 8 /* of the tiny picture */

typedef struct {
  guint64 bits, mirrored; /* of the picture, and of its mirror image */
  guint8 tiny[PICTURE_HASH_SIDE][PICTURE_HASH_SIDE][3];
} PictureHash;

PictureHash picture_hash(const Image *rgb);
/* mirrored: where not NULL, tells whether it is the mirror image that agrees. */
gboolean picture_hash_same(const PictureHash *a, const PictureHash *b, gboolean *mirrored);
