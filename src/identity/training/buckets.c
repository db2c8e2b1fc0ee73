/* Four candidates: both sides rounded down or up, as far as picture and area allow. */
#include "identity/training/buckets.h"

#include <math.h>

static gint64 round_down(double side) {
  return (gint64)side / BUCKET_STEP * BUCKET_STEP;
}

static gboolean better(gint64 area, double distortion, gint64 best_area, double best_distortion) {
  return area > best_area || (area == best_area && distortion < best_distortion);
}

static gboolean check(gint64 width, gint64 height, gint64 resolution, GError **error) {
  if (resolution < BUCKET_STEP || resolution > BUCKET_MAX_SIDE)
    return fault(error, FAULT_USAGE, "The resolution is between %d and %d pixels.", BUCKET_STEP,
                 BUCKET_MAX_SIDE);
  if (width < BUCKET_STEP || height < BUCKET_STEP)
    return fault(error, FAULT_LIMIT, "A picture must be at least %d pixels wide and high.", BUCKET_STEP);
  if (width > BUCKET_MAX_PICTURE || height > BUCKET_MAX_PICTURE)
    return fault(error, FAULT_LIMIT, "A picture can be at most %d pixels wide and high.", BUCKET_MAX_PICTURE);
  if (MAX(width, height) > BUCKET_MAX_ASPECT * MIN(width, height))
    return fault(error, FAULT_LIMIT,
                 "One side of a picture can be at most %d times the other. Cut out the part that shows the "
                 "character.",
                 BUCKET_MAX_ASPECT);
  return TRUE;
}

gboolean bucket_plan(gint64 width, gint64 height, gint64 resolution, Bucket *bucket, GError **error) {
  if (!check(width, height, resolution, error))
    return FALSE;
  gint64 most = resolution * resolution, best = 0;
  double scale = fmin(1, sqrt((double)most / ((double)width * (double)height))), best_distortion = INFINITY;
  gint64 low_width = MAX(BUCKET_STEP, round_down((double)width * scale)),
         low_height = MAX(BUCKET_STEP, round_down((double)height * scale));
  /* A side that had to be made longer takes it from the other. */
  low_width = CLAMP(round_down((double)most / (double)low_height), BUCKET_STEP, low_width);
  low_height = CLAMP(round_down((double)most / (double)low_width), BUCKET_STEP, low_height);
  for (int i = 0; i < 4; i++) {
    gint64 w = low_width + (i & 1) * BUCKET_STEP, h = low_height + (i >> 1) * BUCKET_STEP;
    double distortion = fabs(log((double)w * (double)height / ((double)h * (double)width)));
    if (w > width || h > height || w > BUCKET_MAX_SIDE || h > BUCKET_MAX_SIDE || w * h > most ||
        !better(w * h, distortion, best, best_distortion))
      continue;
    best = w * h;
    best_distortion = distortion;
    bucket->width = (int)w;
    bucket->height = (int)h;
  }
  if (!best)
    return fault(error, FAULT_LIMIT, "A picture of %d x %d pixels does not fit a resolution of %d.",
                 (int)width, (int)height, (int)resolution);
  double cover =
      fmin(1, fmax((double)bucket->width / (double)width, (double)bucket->height / (double)height));
  bucket->scaled_width = CLAMP((int)lround((double)width * cover), bucket->width, (int)width);
  bucket->scaled_height = CLAMP((int)lround((double)height * cover), bucket->height, (int)height);
  bucket->x = (bucket->scaled_width - bucket->width) / 2;
  bucket->y = (bucket->scaled_height - bucket->height) / 2;
  return TRUE;
}

Image *bucket_cut(const Bucket *bucket, const Image *picture) {
  g_autoptr(Image) small = image_resize(picture, bucket->scaled_width, bucket->scaled_height);
  return image_crop(small, bucket->x, bucket->y, bucket->width, bucket->height);
}
