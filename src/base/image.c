#include "base/image.h"

#include <math.h>
#include <string.h>

Image *image_new(int width, int height, int channels) {
  g_assert(width > 0 && height > 0 && channels > 0 && channels <= 4);
  Image *image = g_new(Image, 1);
  *image = (Image){width, height, channels, g_malloc0((gsize)width * (gsize)height * (gsize)channels)};
  return image;
}

static gsize image_bytes(const Image *image) {
  return (gsize)image->width * (gsize)image->height * (gsize)image->channels;
}

Image *image_copy(const Image *image) {
  Image *copy = image_new(image->width, image->height, image->channels);
  memcpy(copy->pixels, image->pixels, image_bytes(image));
  return copy;
}

void image_join(Image **sum, const Image *other) {
  if (!other)
    return;
  if (!*sum) {
    *sum = image_copy(other);
    return;
  }
  for (gsize i = 0; i < (gsize)other->width * (gsize)other->height * (gsize)other->channels; i++)
    (*sum)->pixels[i] = MAX((*sum)->pixels[i], other->pixels[i]);
}

void image_free(Image *image) {
  if (!image)
    return;
  g_free(image->pixels);
  g_free(image);
}

static void convert_pixel(const guint8 *from, int from_channels, guint8 *to, int to_channels) {
  guint8 alpha = from_channels == 4 ? from[3] : 255;
  if (to_channels == 1) { /* Rec. 709 luma in 1/256 */
    to[0] = from_channels == 1 ? from[0] : (guint8)((54 * from[0] + 183 * from[1] + 19 * from[2] + 128) >> 8);
    return;
  }
  for (int c = 0; c < 3; c++)
    to[c] = from_channels == 1 ? from[0] : from[c];
  if (to_channels == 4)
    to[3] = alpha;
}

Image *image_convert(const Image *image, int channels) {
  if (channels == image->channels)
    return image_copy(image);
  Image *result = image_new(image->width, image->height, channels);
  gsize count = (gsize)image->width * (gsize)image->height;
  for (gsize i = 0; i < count; i++)
    convert_pixel(image->pixels + i * (gsize)image->channels, image->channels,
                  result->pixels + i * (gsize)channels, channels);
  return result;
}

/* One axis of a separable resampling: output i is the weighted sum of `count[i]` inputs from `first[i]`. */
typedef struct {
  int *first, *count;
  float *weight; /* [length * taps] */
  int taps;
} Axis;

/* Shrinking averages the covered interval exactly, growing interpolates between pixel centres. */
static Axis axis_new(int from, int to) {
  double scale = (double)from / to;
  Axis axis = {.taps = scale > 1 ? (int)ceil(scale) + 2 : 2};
  axis.first = g_new0(int, to);
  axis.count = g_new0(int, to);
  axis.weight = g_new0(float, (gsize)to *(gsize)axis.taps);
  for (int i = 0; i < to; i++) {
    float *weight = axis.weight + (gsize)i * (gsize)axis.taps;
    if (scale > 1) {
      double begin = i * scale, end = MIN((i + 1) * scale, (double)from);
      int first = (int)begin, last = MIN((int)ceil(end) - 1, from - 1);
      axis.first[i] = first;
      axis.count[i] = last - first + 1;
      for (int k = first; k <= last; k++)
        weight[k - first] = (float)((MIN(end, k + 1.0) - MAX(begin, (double)k)) / (end - begin));
    } else {
      double centre = CLAMP((i + 0.5) * scale - 0.5, 0.0, from - 1.0);
      int first = MIN((int)centre, MAX(from - 2, 0));
      axis.first[i] = first;
      axis.count[i] = MIN(2, from);
      weight[1] = (float)(centre - first);
      weight[0] = 1.0f - weight[1];
    }
  }
  return axis;
}

static void axis_clear(Axis *axis) {
  g_free(axis->first);
  g_free(axis->count);
  g_free(axis->weight);
}

static void add_row(const Image *image, int y, float weight, float *sum) {
  const guint8 *row = image_at(image, 0, y);
  int n = image->width * image->channels;
  if (image->channels != 4) {
    for (int i = 0; i < n; i++)
      sum[i] += weight * row[i];
    return;
  }
  for (int i = 0; i < n; i += 4) {
    float alpha = row[i + 3] * weight;
    for (int c = 0; c < 3; c++)
      sum[i + c] += alpha * row[i + c] / 255.0f;
    sum[i + 3] += alpha;
  }
}

static void store_pixel(const float *value, int channels, guint8 *to) {
  float scale = channels == 4 ? (value[3] > 0 ? 255.0f / value[3] : 0) : 1;
  for (int c = 0; c < channels; c++) {
    float v = c == 3 ? value[3] : value[c] * scale;
    to[c] = (guint8)CLAMP(v + 0.5f, 0.0f, 255.0f);
  }
}

Image *image_resize(const Image *image, int width, int height) {
  Image *result = image_new(width, height, image->channels);
  Axis horizontal = axis_new(image->width, width), vertical = axis_new(image->height, height);
  int channels = image->channels, row_length = image->width * channels;
  g_autofree float *row = g_new(float, row_length);
  for (int y = 0; y < height; y++) {
    memset(row, 0, sizeof *row * (gsize)row_length);
    for (int k = 0; k < vertical.count[y]; k++)
      add_row(image, vertical.first[y] + k, vertical.weight[(gsize)y * (gsize)vertical.taps + (gsize)k], row);
    for (int x = 0; x < width; x++) {
      float value[4] = {0};
      for (int k = 0; k < horizontal.count[x]; k++) {
        float weight = horizontal.weight[(gsize)x * (gsize)horizontal.taps + (gsize)k];
        const float *from = row + (horizontal.first[x] + k) * channels;
        for (int c = 0; c < channels; c++)
          value[c] += weight * from[c];
      }
      store_pixel(value, channels, image_at(result, x, y));
    }
  }
  axis_clear(&horizontal);
  axis_clear(&vertical);
  return result;
}

Image *image_crop(const Image *image, int x, int y, int width, int height) {
  gint64 x1 = MIN((gint64)x + width, image->width), y1 = MIN((gint64)y + height, image->height);
  x = MAX(x, 0);
  y = MAX(y, 0);
  if (x1 <= x || y1 <= y)
    return NULL;
  Image *result = image_new((int)x1 - x, (int)y1 - y, image->channels);
  for (int row = 0; row < result->height; row++)
    memcpy(image_at(result, 0, row), image_at(image, x, y + row),
           (gsize)result->width * (gsize)image->channels);
  return result;
}

Image *image_mirrored(const Image *image) {
  Image *mirrored = image_new(image->width, image->height, image->channels);
  for (int y = 0; y < image->height; y++)
    for (int x = 0; x < image->width; x++)
      memcpy(image_at(mirrored, x, y), image_at(image, image->width - 1 - x, y), (gsize)image->channels);
  return mirrored;
}
