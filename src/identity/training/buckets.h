/* The sizes at which pictures of any shape are learnt from.
 *
 * A picture keeps its shape and is never made larger: it is shrunk until it has at most resolution² pixels,
 * each side becomes a multiple of 16, of the roundings of both sides the one whose area comes nearest to the
 * wanted area without exceeding it, and what then stands over is cut off on both sides alike. */
#pragma once
#include "base/fault.h"
#include "base/image.h"

#define BUCKET_STEP 16           /* pixels a side of one token */
#define BUCKET_MAX_SIDE 4096     /* of a bucket, and of the resolution */
#define BUCKET_MAX_ASPECT 8      /* longer pictures show no character */
#define BUCKET_MAX_PICTURE 65536 /* side of a picture that is thought about at all */

typedef struct {
  int width, height;               /* of the bucket, multiples of 16 */
  int scaled_width, scaled_height; /* of the whole picture, shrunk: at least the bucket's */
  int x, y;                        /* where in the shrunk picture the bucket begins */
} Bucket;

/* FAULT_LIMIT for pictures of no size, smaller than 16 pixels, or much longer than wide; FAULT_USAGE for a
 * resolution outside 16..4096. */
gboolean bucket_plan(gint64 width, gint64 height, gint64 resolution, Bucket *bucket, GError **error);
/* The picture at the bucket's size (transfer full). */
Image *bucket_cut(const Bucket *bucket, const Image *picture);
