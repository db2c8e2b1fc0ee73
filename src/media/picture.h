/* Pictures from and to files, through libvips: PNG, JPEG and WebP in; PNG, JPEG and WebP out.
 *
 * Reading applies the EXIF orientation and converts an embedded colour profile to sRGB. Limits are checked on
 * the header, before a pixel is decoded. Loaders that are not for untrusted files are blocked. */
#pragma once
#include "base/fault.h"
#include "base/image.h"

#define PICTURE_MAX_BYTES (20 * 1024 * 1024)

/* Once per process, before anything else here. */
gboolean picture_init(const char *program, GError **error);

/* 3 channels, or 4 (straight alpha) where the file has an alpha channel that is not opaque everywhere.
 * FAULT_INPUT: missing, empty, truncated, another type. FAULT_LIMIT: more than 40 megapixels or 20 MB. */
Image *picture_load(const char *path, GError **error);

/* "png", "jpeg" or "webp", by how the file begins; NULL for everything else. */
const char *picture_type(const char *path);
/* Whether the file begins like a PNG, JPEG or WebP picture. */
gboolean picture_is(const char *path);

/* By the suffix of path: .png, .jpg, .webp. Written to a temporary name beside it and renamed. FAULT_OUTPUT.
 */
gboolean picture_save(const Image *image, const char *path, GError **error);
/* The same for what is read once and thrown away: quick to write rather than small. */
gboolean picture_save_quickly(const Image *image, const char *path, GError **error);
