#include "base/plane.h"

#include <float.h>
#include <math.h>
#include <string.h>

static gsize plane_count(const Plane *plane) {
  return (gsize)plane->width * (gsize)plane->height;
}

Plane *plane_new(int width, int height) {
  g_assert(width > 0 && height > 0);
  Plane *plane = g_new(Plane, 1);
  *plane = (Plane){width, height, g_new0(float, (gsize)width *(gsize)height)};
  return plane;
}

Plane *plane_copy(const Plane *plane) {
  Plane *copy = plane_new(plane->width, plane->height);
  memcpy(copy->v, plane->v, plane_count(plane) * sizeof *copy->v);
  return copy;
}

void plane_free(Plane *plane) {
  if (!plane)
    return;
  g_free(plane->v);
  g_free(plane);
}

float plane_sample(const Plane *plane, float x, float y) {
  x = CLAMP(x, 0.0f, (float)(plane->width - 1));
  y = CLAMP(y, 0.0f, (float)(plane->height - 1));
  int x0 = (int)x, y0 = (int)y, x1 = MIN(x0 + 1, plane->width - 1), y1 = MIN(y0 + 1, plane->height - 1);
  float fx = x - (float)x0, fy = y - (float)y0;
  float top = *plane_at(plane, x0, y0) * (1 - fx) + *plane_at(plane, x1, y0) * fx;
  float bottom = *plane_at(plane, x0, y1) * (1 - fx) + *plane_at(plane, x1, y1) * fx;
  return top * (1 - fy) + bottom * fy;
}

Plane *plane_from_image(const Image *image, int channel) {
  g_assert(channel >= 0 && channel < image->channels);
  Plane *plane = plane_new(image->width, image->height);
  for (gsize i = 0; i < plane_count(plane); i++)
    plane->v[i] = image->pixels[i * (gsize)image->channels + (gsize)channel] * (1.0f / 255.0f);
  return plane;
}

Image *plane_to_image(const Plane *plane) {
  Image *image = image_new(plane->width, plane->height, 1);
  for (gsize i = 0; i < plane_count(plane); i++)
    image->pixels[i] = (guint8)(CLAMP(plane->v[i], 0.0f, 1.0f) * 255.0f + 0.5f);
  return image;
}

/* --- resizing --- */

/* Value of row-like data v[0..n) (stride apart) averaged over [begin, end), or interpolated at the middle
 * when growing. */
static float interval_mean(const float *v, gsize stride, int n, double begin, double end) {
  if (end - begin <= 1.0) {
    double centre = CLAMP((begin + end) / 2 - 0.5, 0.0, n - 1.0);
    int i = (int)centre;
    float f = (float)(centre - i);
    return v[(gsize)i * stride] * (1 - f) + v[(gsize)MIN(i + 1, n - 1) * stride] * f;
  }
  double sum = 0;
  end = MIN(end, (double)n);
  for (int i = (int)begin; i < end; i++)
    sum += v[(gsize)i * stride] * (MIN(end, i + 1.0) - MAX(begin, (double)i));
  return (float)(sum / (end - begin));
}

Plane *plane_resize(const Plane *plane, int width, int height) {
  g_autoptr(Plane) narrow = plane_new(width, plane->height);
  double sx = (double)plane->width / width, sy = (double)plane->height / height;
  for (int y = 0; y < plane->height; y++)
    for (int x = 0; x < width; x++)
      *plane_at(narrow, x, y) = interval_mean(plane_at(plane, 0, y), 1, plane->width, x * sx, (x + 1) * sx);
  Plane *result = plane_new(width, height);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      *plane_at(result, x, y) =
          interval_mean(narrow->v + x, (gsize)width, plane->height, y * sy, (y + 1) * sy);
  return result;
}

/* --- blur --- */

/* Sliding mean along rows with replicated borders. `line` holds width + 2 radius + 1 values. */
static void box_rows(Plane *plane, int radius, float *line) {
  int w = plane->width;
  double scale = 1.0 / (2 * radius + 1);
  for (int y = 0; y < plane->height; y++) {
    float *row = plane_at(plane, 0, y);
    for (int i = -radius; i < w + radius; i++)
      line[i + radius] = row[CLAMP(i, 0, w - 1)];
    double sum = 0;
    for (int i = 0; i < 2 * radius; i++)
      sum += line[i];
    for (int x = 0; x < w; x++) {
      sum += line[x + 2 * radius];
      row[x] = (float)(sum * scale);
      sum -= line[x];
    }
  }
}

/* The same along columns, a whole row at a time so that memory is read in order. The rows that the window
 * still needs after they were overwritten are kept in a ring of 2 radius + 1 copies. */
static void box_columns(Plane *plane, int radius) {
  int w = plane->width, h = plane->height, window = 2 * radius + 1;
  g_autofree double *sum = g_new0(double, w);
  g_autofree float *ring = g_new(float, (gsize)window *(gsize)w);
  double scale = 1.0 / window;
  for (int i = -radius; i <= radius; i++) {
    float *kept = ring + (gsize)((i + window) % window) * (gsize)w;
    memcpy(kept, plane_at(plane, 0, CLAMP(i, 0, h - 1)), sizeof *kept * (gsize)w);
    for (int x = 0; x < w; x++)
      sum[x] += kept[x];
  }
  for (int y = 0; y < h; y++) {
    float *row = plane_at(plane, 0, y);
    for (int x = 0; x < w; x++)
      row[x] = (float)(sum[x] * scale);
    /* row y - radius leaves, row y + radius + 1 enters: they share a place in the ring. */
    float *slot = ring + (gsize)((y - radius + window) % window) * (gsize)w;
    int entering = y + radius + 1;
    const float *next =
        entering < h ? plane_at(plane, 0, entering) : ring + (gsize)((y + radius) % window) * (gsize)w;
    for (int x = 0; x < w; x++) {
      float value = next[x];
      sum[x] += (double)value - slot[x];
      slot[x] = value;
    }
  }
}

void plane_box(Plane *plane, int radius) {
  if (radius <= 0)
    return;
  g_autofree float *line = g_new(float, (gsize)plane->width + 2 * (gsize)radius + 1);
  box_rows(plane, radius, line);
  box_columns(plane, radius);
}

/* The exact kernel, for sigmas at which whole-pixel boxes are too coarse. */
static void blur_small(Plane *plane, float sigma) {
  int radius = (int)ceilf(3 * sigma);
  float kernel[16];
  float total = 0;
  for (int i = 0; i <= radius; i++) {
    kernel[i] = expf(-0.5f * (float)(i * i) / (sigma * sigma));
    total += i ? 2 * kernel[i] : kernel[i];
  }
  for (int i = 0; i <= radius; i++)
    kernel[i] /= total;
  int w = plane->width, h = plane->height;
  g_autoptr(Plane) rows = plane_new(w, h);
  for (int y = 0; y < h; y++) {
    const float *from = plane_at(plane, 0, y);
    float *to = plane_at(rows, 0, y);
    for (int x = 0; x < w; x++) {
      float sum = kernel[0] * from[x];
      for (int i = 1; i <= radius; i++)
        sum += kernel[i] * (from[MAX(x - i, 0)] + from[MIN(x + i, w - 1)]);
      to[x] = sum;
    }
  }
  for (int y = 0; y < h; y++) {
    float *to = plane_at(plane, 0, y);
    const float *middle = plane_at(rows, 0, y);
    for (int x = 0; x < w; x++)
      to[x] = kernel[0] * middle[x];
    for (int i = 1; i <= radius; i++) {
      const float *above = plane_at(rows, 0, MAX(y - i, 0)), *below = plane_at(rows, 0, MIN(y + i, h - 1));
      for (int x = 0; x < w; x++)
        to[x] += kernel[i] * (above[x] + below[x]);
    }
  }
}

void plane_blur(Plane *plane, float sigma) {
  if (sigma < 0.3f)
    return;
  if (sigma < 2.5f) {
    blur_small(plane, sigma);
    return;
  }
  /* Three boxes of widths w and w + 2 whose variances (w^2 - 1)/12 add up to sigma^2. */
  float ideal = sqrtf(4 * sigma * sigma + 1);
  int low = (int)ideal;
  if (low % 2 == 0)
    low--;
  int wide = (int)lroundf((12 * sigma * sigma - 3 * (float)(low * low) - 12 * (float)low - 9) /
                          (-4 * (float)low - 4));
  for (int i = 0; i < 3; i++)
    plane_box(plane, ((i < wide ? low : low + 2) - 1) / 2);
}

/* --- distance and morphology --- */

/* Lower envelope of the parabolas (x - i)^2 + f[i] over one line; writes minimum and minimising i. */
static void envelope(const float *f, int n, float *minimum, int *site, int *hull, float *start) {
  int k = -1;
  for (int q = 0; q < n; q++) {
    if (f[q] == FLT_MAX)
      continue;
    float s = -FLT_MAX;
    while (k >= 0) {
      int p = hull[k];
      s = ((f[q] - f[p]) + (float)(q * q - p * p)) / (float)(2 * (q - p));
      if (s > start[k])
        break;
      k--;
    }
    if (k < 0)
      s = -FLT_MAX;
    hull[++k] = q;
    start[k] = s;
  }
  int last = k, j = 0;
  for (int x = 0; x < n; x++) {
    if (last < 0) {
      minimum[x] = FLT_MAX;
      site[x] = -1;
      continue;
    }
    while (j < last && start[j + 1] < (float)x)
      j++;
    float d = (float)(x - hull[j]);
    minimum[x] = d * d + f[hull[j]];
    site[x] = hull[j];
  }
}

/* Distance to the nearest site along each column, by two sweeps; `row` is that site's row or -1. */
static void column_sites(const Plane *plane, float threshold, int *row) {
  int w = plane->width, h = plane->height;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      gsize i = (gsize)y * (gsize)w + (gsize)x;
      row[i] = plane->v[i] >= threshold ? y : (y ? row[i - (gsize)w] : -1);
    }
  for (int y = h - 2; y >= 0; y--)
    for (int x = 0; x < w; x++) {
      gsize i = (gsize)y * (gsize)w + (gsize)x;
      int below = row[i + (gsize)w];
      if (below >= 0 && (row[i] < 0 || below - y < y - row[i]))
        row[i] = below;
    }
}

Plane *plane_distance(const Plane *plane, float threshold, int *nearest) {
  int w = plane->width, h = plane->height;
  Plane *result = plane_new(w, h);
  g_autofree int *row = g_new(int, plane_count(plane));
  g_autofree float *f = g_new(float, w), *start = g_new(float, w + 1);
  g_autofree int *site = g_new(int, w), *hull = g_new(int, w);
  column_sites(plane, threshold, row);
  for (int y = 0; y < h; y++) {
    const int *rows = row + (gsize)y * (gsize)w;
    float *out = plane_at(result, 0, y);
    for (int x = 0; x < w; x++)
      f[x] = rows[x] < 0 ? FLT_MAX : (float)(y - rows[x]) * (float)(y - rows[x]);
    envelope(f, w, out, site, hull, start);
    for (int x = 0; x < w; x++) {
      if (nearest)
        nearest[(gsize)y * (gsize)w + (gsize)x] = site[x] < 0 ? -1 : rows[site[x]] * w + site[x];
      out[x] = out[x] == FLT_MAX ? FLT_MAX : sqrtf(out[x]);
    }
  }
  return result;
}

void plane_dilate(Plane *mask, float radius) {
  g_autoptr(Plane) distance = plane_distance(mask, 0.5f, NULL);
  for (gsize i = 0; i < plane_count(mask); i++)
    mask->v[i] = distance->v[i] <= radius ? 1.0f : 0.0f;
}

void plane_erode(Plane *mask, float radius) {
  for (gsize i = 0; i < plane_count(mask); i++)
    mask->v[i] = mask->v[i] >= 0.5f ? 0.0f : 1.0f;
  plane_dilate(mask, radius);
  for (gsize i = 0; i < plane_count(mask); i++)
    mask->v[i] = 1.0f - mask->v[i];
}

void plane_open(Plane *mask, float radius) {
  plane_erode(mask, radius);
  plane_dilate(mask, radius);
}

void plane_close(Plane *mask, float radius) {
  plane_dilate(mask, radius);
  plane_erode(mask, radius);
}

/* --- regions --- */

static int find_root(int *parent, int i) {
  while (parent[i] != i) {
    parent[i] = parent[parent[i]];
    i = parent[i];
  }
  return i;
}

int plane_regions(const Plane *plane, float threshold, int *labels, int **sizes) {
  int w = plane->width, h = plane->height, provisional = 0;
  g_autofree int *parent = g_new(int, plane_count(plane) / 2 + 2);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      gsize i = (gsize)y * (gsize)w + (gsize)x;
      labels[i] = 0;
      if (!(plane->v[i] >= threshold))
        continue;
      int left = x ? labels[i - 1] : 0, up = y ? labels[i - (gsize)w] : 0;
      if (!left && !up) {
        labels[i] = ++provisional;
        parent[provisional] = provisional;
        continue;
      }
      labels[i] = left && up ? MIN(left, up) : MAX(left, up);
      if (left && up && left != up) {
        int a = find_root(parent, left), b = find_root(parent, up);
        parent[MAX(a, b)] = MIN(a, b);
      }
    }
  g_autofree int *final = g_new0(int, provisional + 1);
  int n = 0;
  for (int i = 1; i <= provisional; i++)
    if (find_root(parent, i) == i)
      final[i] = ++n;
  int *count = g_new0(int, n + 1);
  for (gsize i = 0; i < plane_count(plane); i++) {
    if (labels[i])
      labels[i] = final[find_root(parent, labels[i])];
    count[labels[i]]++;
  }
  if (sizes)
    *sizes = count;
  else
    g_free(count);
  return n;
}
