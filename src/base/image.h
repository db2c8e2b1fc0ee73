/* A picture of bytes in memory: interleaved channels, rows from the top, no padding between rows.
 *
 * channels is 1 (grey or mask), 3 (RGB) or 4 (RGBA). Values are sRGB-encoded; alpha is straight unless a
 * field or parameter says premultiplied. Whoever holds the pointer owns it (image_free); functions that only
 * read take const Image *. */
#pragma once
#include <glib.h>

typedef struct {
  int width, height, channels;
  guint8 *pixels; /* [height][width][channels] */
} Image;

/* The largest picture that is accepted anywhere, in pixels. */
#define IMAGE_MAX_PIXELS (40 * 1000 * 1000)

/* Zeroed. The caller has checked the size against a limit: memory that is missing ends the program, as in
 * GLib. */
Image *image_new(int width, int height, int channels);
Image *image_copy(const Image *image);
/* The larger of both in every sample, into *sum, which is made where it is NULL. other: of the same size, or NULL. */
void image_join(Image **sum, const Image *other);
void image_free(Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

/* The pixel at (x, y), which must lie inside. */
static inline guint8 *image_at(const Image *image, int x, int y) {
  return image->pixels + ((gsize)y * (gsize)image->width + (gsize)x) * (gsize)image->channels;
}

/* A copy with the given channel count: grey is spread, colour is averaged by luma, alpha is 255 where absent
 * and dropped (not composited) where it is not asked for. */
Image *image_convert(const Image *image, int channels);

/* Area average when shrinking, bilinear when growing; premultiplies alpha for the interpolation. */
Image *image_resize(const Image *image, int width, int height);

/* A copy of the rectangle, which is clipped to the image. NULL where nothing is left. */
Image *image_crop(const Image *image, int x, int y, int width, int height);

/* The picture seen in a mirror (transfer full). */
Image *image_mirrored(const Image *image);
