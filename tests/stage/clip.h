/* Made-up pictures for the tests of the stage: a textured background, a person of known shape, frames of
 * video. */
#pragma once
#include "base/image.h"
#include "media/video.h"
#include <math.h>
#include <string.h>

/* Repeatable noise. */
static inline guint32 clip_random(guint32 *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static inline float clip_unit(guint32 *state) {
  return (float)(clip_random(state) % 65536) / 65536.0f;
}

/* Smooth value noise of two octaves at any point, 0..1: a texture with corners but without aliasing. */
static inline float clip_lattice(int x, int y) {
  guint32 h = (guint32)x * 374761393u + (guint32)y * 668265263u;
  h = (h ^ (h >> 13)) * 1274126177u;
  return (float)((h ^ (h >> 16)) & 0xffff) / 65535.0f;
}

static inline float clip_noise(float x, float y) {
  int x0 = (int)floorf(x), y0 = (int)floorf(y);
  float fx = x - (float)x0, fy = y - (float)y0;
  fx = fx * fx * (3 - 2 * fx);
  fy = fy * fy * (3 - 2 * fy);
  float top = clip_lattice(x0, y0) * (1 - fx) + clip_lattice(x0 + 1, y0) * fx;
  float bottom = clip_lattice(x0, y0 + 1) * (1 - fx) + clip_lattice(x0 + 1, y0 + 1) * fx;
  return top * (1 - fy) + bottom * fy;
}

static inline float clip_texture(float x, float y) {
  return 0.65f * clip_noise(x / 17, y / 17) + 0.35f * clip_noise(x / 7 + 100, y / 7);
}

/* The background's colour at world point (x, y). */
static inline void clip_background(float x, float y, guint8 rgb[3]) {
  float t = clip_texture(x, y), slow = clip_noise(x / 130, y / 130);
  rgb[0] = (guint8)(40 + 130 * t + 40 * slow);
  rgb[1] = (guint8)(60 + 130 * t + 10 * slow);
  rgb[2] = (guint8)(90 + 130 * t - 40 * slow);
}

static inline VideoInfo clip_info(int width, int height) {
  return (VideoInfo){.width = width,
                     .height = height,
                     .time_base = {1, 25},
                     .frame_rate = {25, 1},
                     .aspect = {1, 1},
                     .frames = 1,
                     .seconds = 1,
                     .range = AVCOL_RANGE_MPEG,
                     .matrix = AVCOL_SPC_BT709,
                     .primaries = AVCOL_PRI_BT709,
                     .transfer = AVCOL_TRC_BT709};
}

static inline AVFrame *clip_frame(ColourConverter *converter, const Image *rgb) {
  AVFrame *frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = rgb->width;
  frame->height = rgb->height;
  if (av_frame_get_buffer(frame, 0) < 0)
    g_error("memory");
  colour_from_rgb(converter, rgb, frame);
  return frame;
}

/* A disc in loud stripes with its mask: somebody at (cx, cy). */
static inline void clip_person(Image *rgb, Image *mask, float cx, float cy, float radius) {
  for (int y = 0; y < rgb->height; y++)
    for (int x = 0; x < rgb->width; x++) {
      if (hypotf((float)x - cx, (float)y - cy) > radius)
        continue;
      guint8 *p = image_at(rgb, x, y);
      p[0] = (x / 4) % 2 ? 250 : 10;
      p[1] = 10;
      p[2] = 20;
      if (mask)
        *image_at(mask, x, y) = 255;
    }
}

/* Peak signal to noise ratio in dB over the pixels where `where` has the value; 99 where they are equal. */
static inline double clip_psnr(const Image *a, const Image *b, const Image *where, int value) {
  double sum = 0;
  gint64 count = 0;
  for (int i = 0; i < a->width * a->height; i++) {
    if (where && where->pixels[i] != value)
      continue;
    for (int c = 0; c < 3; c++) {
      double d = (double)a->pixels[i * 3 + c] - b->pixels[i * 3 + c];
      sum += d * d;
      count++;
    }
  }
  return sum > 0 ? 10 * log10(255.0 * 255.0 * (double)count / sum) : 99;
}
