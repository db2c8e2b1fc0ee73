/* Every formula here is MediaPipe's for its GPU graphs, half-pixel centres included; results of the networks
 * depend on it to within a percent of the region. */
#include "perception/region.h"
#include "base/simd.h"
#include <math.h>
#include <string.h>

#define AHEAD 3 /* rows of a crop */

float angle_wrap(float angle) {
  return angle - 2 * (float)G_PI * floorf((angle + (float)G_PI) / (2 * (float)G_PI));
}

Region region_of_picture(int width, int height) {
  float side = (float)MAX(width, height);
  return (Region){.cx = 0.5f * (float)width, .cy = 0.5f * (float)height, .width = side, .height = side};
}

Region region_from_line(const float centre[2], const float scale_point[2], float target) {
  float dx = scale_point[0] - centre[0], dy = scale_point[1] - centre[1];
  float side = 2 * hypotf(dx, dy);
  return (Region){.cx = centre[0],
                  .cy = centre[1],
                  .width = side,
                  .height = side,
                  .rotation = angle_wrap(target - atan2f(-dy, dx))};
}

Region region_from_points(const float (*points)[2], int n, const float from[2], const float to[2]) {
  float low[2] = {points[0][0], points[0][1]}, high[2] = {points[0][0], points[0][1]};
  for (int i = 1; i < n; i++)
    for (int k = 0; k < 2; k++) {
      low[k] = MIN(low[k], points[i][k]);
      high[k] = MAX(high[k], points[i][k]);
    }
  return (Region){.cx = 0.5f * (low[0] + high[0]),
                  .cy = 0.5f * (low[1] + high[1]),
                  .width = high[0] - low[0],
                  .height = high[1] - low[1],
                  .rotation = angle_wrap(-atan2f(-(to[1] - from[1]), to[0] - from[0]))};
}

Region region_grow(Region region, float scale, float shift) {
  float side = MAX(region.width, region.height) * scale;
  region.cx -= region.height * shift * sinf(region.rotation);
  region.cy += region.height * shift * cosf(region.rotation);
  region.width = region.height = side;
  return region;
}

gboolean region_is_sane(const Region *r) {
  const float far = 1e5f; /* pixels; the crop's arithmetic stays well inside int and float */
  return fabsf(r->cx) < far && fabsf(r->cy) < far && r->width >= 1 && r->width < far && r->height >= 1 &&
         r->height < far && fabsf(r->rotation) < 10;
}

void region_to_picture(const Region *r, float u, float v, float *x, float *y) {
  float c = cosf(r->rotation), s = sinf(r->rotation);
  float a = (u - 0.5f) * r->width, b = (v - 0.5f) * r->height;
  *x = r->cx + a * c - b * s;
  *y = r->cy + a * s + b * c;
}

typedef gint32 Ints __attribute__((vector_size(16)));
typedef guint32 Words __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));

static inline Ints colour_at(const guint8 *pixel) {
  const Ints places = {0, 8, 16, 24};
  guint32 bytes = pixel[0] | (guint32)pixel[1] << 8 | (guint32)pixel[2] << 16;
  return (Ints)(bytes - (Words){0}) >> places & 255;
}

/* One bilinear sample; outside of the picture its border goes on. x, y relative to pixel centres. ahead:
 * bytes from here to what is read a little later. */
static inline Floats sample(const Image *rgb, float x, float y, gssize ahead) {
  int ix = CLAMP(floor_int(x), 0, MAX(rgb->width - 2, 0)),
      iy = CLAMP(floor_int(y), 0, MAX(rgb->height - 2, 0));
  float ax = CLAMP(x - (float)ix, 0.0f, 1.0f), ay = CLAMP(y - (float)iy, 0.0f, 1.0f);
  gssize right = rgb->width > 1 ? rgb->channels : 0,
         below = rgb->height > 1 ? (gssize)rgb->width * rgb->channels : 0;
  const guint8 *p = image_at(rgb, ix, iy);
  __builtin_prefetch((const guint8 *)((guintptr)p + (guintptr)ahead));
  __builtin_prefetch((const guint8 *)((guintptr)p + (guintptr)(ahead + below)));
  Ints a = colour_at(p), b = colour_at(p + right), c = colour_at(p + below), d = colour_at(p + below + right);
  Floats top = __builtin_convertvector(a, Floats) + ax * __builtin_convertvector(b - a, Floats);
  Floats bottom = __builtin_convertvector(c, Floats) + ax * __builtin_convertvector(d - c, Floats);
  return top + ay * (bottom - top);
}

FASTEST static void crop(const Image *rgb, const Region *r, int size, float low, float high,
                         RegionBorder border, float *tensor) {
  float c = cosf(r->rotation), s = sinf(r->rotation), step = 1.0f / (float)size, gain = (high - low) / 255.0f;
  /* Another thread made the picture, so it is not in this one's cache: where the samples of a row further
   * down lie is asked for early. */
  float down = AHEAD * step * CLAMP(r->height, 0.0f, 1e5f);
  gssize ahead = ((gssize)(c * down) * rgb->width - (gssize)(s * down)) * rgb->channels;
  for (int j = 0; j < size; j++) {
    float v = (((float)j + 0.5f) * step - 0.5f) * r->height;
    for (int i = 0; i < size; i++, tensor += 3) {
      float u = (((float)i + 0.5f) * step - 0.5f) * r->width;
      float x = r->cx + u * c - v * s, y = r->cy + u * s + v * c;
      Floats value = {0};
      if (border == BORDER_REPLICATE ||
          (x >= 0 && x <= (float)rgb->width && y >= 0 && y <= (float)rgb->height))
        value = sample(rgb, x - 0.5f, y - 0.5f, ahead);
      value = value * gain + low;
      memcpy(tensor, &value, 3 * sizeof *tensor);
    }
  }
}

void region_crop(const Image *rgb, const Region *r, int size, float low, float high, RegionBorder border,
                 float *tensor) {
  g_return_if_fail(rgb->channels >= 3);
  crop(rgb, r, size, low, high, border, tensor);
}

/* (dx, dy) as seen by somebody who stands upright in the region. */
static void upright(const Region *r, float dx, float dy, float *x, float *y) {
  float c = cosf(r->rotation), s = sinf(r->rotation);
  *x = dx * c + dy * s;
  *y = -dx * s + dy * c;
}

gboolean region_holds(const Region *previous, const Region *fresh, const float (*points)[2], int n,
                      const RegionLimits *limits) {
  float x, y, half_width = 0.5f * fresh->width * (1 - limits->margin),
              half_height = 0.5f * fresh->height * (1 - limits->margin);
  upright(fresh, previous->cx - fresh->cx, previous->cy - fresh->cy, &x, &y);
  if (fabsf(angle_wrap(previous->rotation - fresh->rotation)) > limits->rotation ||
      fabsf(x) > limits->shift * fresh->width || fabsf(y) > limits->shift * fresh->height ||
      fabsf(previous->width - fresh->width) > limits->scale * fresh->width ||
      fabsf(previous->height - fresh->height) > limits->scale * fresh->height)
    return FALSE;
  for (int i = 0; i < n; i++) {
    upright(fresh, points[i][0] - fresh->cx, points[i][1] - fresh->cy, &x, &y);
    if (fabsf(x) > half_width || fabsf(y) > half_height)
      return FALSE;
  }
  return TRUE;
}
