/* The eye stays where it is, so two frames differ by K' R' R^T K^-1 exactly, whatever the depth. */
#include "performer_pan.h"
#include "performer_room.h"
#include "performer_stage.h"
#include "performer_threads.h"
#include <float.h>
#include <math.h>
#include <string.h>

Camera pan_camera(const Pan *pan, int frame) {
  if (!pan->moving)
    return stage_camera(pan->width, pan->height, 0, 0, 1);
  float t = (float)frame / 24.0f, a = (float)G_PI * 2 * t / 7.0f;
  return stage_camera(pan->width, pan->height, 0.030f * sinf(a), 0.010f * sinf(a * 0.7f),
                      1 + 0.05f * (1 - cosf(a * 0.8f)));
}

static mat3s intrinsic(const Camera *camera) {
  return (mat3s){.col = {{{camera->focal, 0, 0}}, {{0, camera->focal, 0}}, {{camera->cx, camera->cy, 1}}}};
}

void pan_homography(const Pan *pan, int frame, float h[9]) {
  Camera camera = pan_camera(pan, frame);
  mat3s turn = glms_mat3_mul(pan->key.turn, glms_mat3_transpose(camera.turn));
  mat3s m = glms_mat3_mul(glms_mat3_mul(intrinsic(&pan->key), turn), glms_mat3_inv(intrinsic(&camera)));
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++)
      h[3 * r + c] = m.col[c].raw[r] / m.col[2].raw[2];
}

static void apply(const float h[9], float x, float y, float *u, float *v) {
  float w = h[6] * x + h[7] * y + h[8];
  *u = (h[0] * x + h[1] * y + h[2]) / w;
  *v = (h[3] * x + h[4] * y + h[5]) / w;
}

void pan_make(Pan *pan, int width, int height, int frames, gboolean moving) {
  *pan = (Pan){.width = width, .height = height, .frames = frames, .moving = moving};
  pan->key = pan_camera(pan, 0);
  float x0 = 0, y0 = 0, x1 = (float)width, y1 = (float)height;
  for (int f = 0; moving && f < frames; f++) {
    float h[9], u, v;
    pan_homography(pan, f, h);
    for (int c = 0; c < 4; c++) {
      apply(h, (float)(c % 2 * width), (float)(c / 2 * height), &u, &v);
      x0 = fminf(x0, u - 3);
      y0 = fminf(y0, v - 3);
      x1 = fmaxf(x1, u + 3);
      y1 = fmaxf(y1, v + 3);
    }
  }
  pan->x0 = (int)floorf(x0);
  pan->y0 = (int)floorf(y0);
  Camera wide = pan->key;
  wide.width = (int)ceilf(x1) - pan->x0;
  wide.height = (int)ceilf(y1) - pan->y0;
  wide.cx -= (float)pan->x0;
  wide.cy -= (float)pan->y0;
  pan->canvas = room_picture(&wide);
}

void pan_clear(Pan *pan) {
  image_free(pan->canvas);
  memset(pan, 0, sizeof *pan);
}

typedef struct {
  const Image *canvas;
  Image *out;
  float h[9];
  float x0, y0;
} Warp;

static void cubic_weights(float t, float w[4]) {
  w[0] = -0.5f * t + t * t - 0.5f * t * t * t;
  w[1] = 1 - 2.5f * t * t + 1.5f * t * t * t;
  w[2] = 0.5f * t + 2 * t * t - 1.5f * t * t * t;
  w[3] = -0.5f * t * t + 0.5f * t * t * t;
}

static void warp_row(int y, gpointer user) {
  Warp *warp = user;
  for (int x = 0; x < warp->out->width; x++) {
    float u, v, wx[4], wy[4], sum[3] = {0};
    apply(warp->h, (float)x + 0.5f, (float)y + 0.5f, &u, &v);
    u -= warp->x0 + 0.5f;
    v -= warp->y0 + 0.5f;
    int cx = (int)floorf(u), cy = (int)floorf(v);
    cubic_weights(u - (float)cx, wx);
    cubic_weights(v - (float)cy, wy);
    for (int j = 0; j < 4; j++)
      for (int i = 0; i < 4; i++) {
        const guint8 *p = image_at(warp->canvas, CLAMP(cx + i - 1, 0, warp->canvas->width - 1),
                                   CLAMP(cy + j - 1, 0, warp->canvas->height - 1));
        for (int c = 0; c < 3; c++)
          sum[c] += wx[i] * wy[j] * (float)p[c];
      }
    for (int c = 0; c < 3; c++)
      image_at(warp->out, x, y)[c] = (guint8)lrintf(CLAMP(sum[c], 0.0f, 255.0f));
  }
}

Image *pan_background(const Pan *pan, int frame) {
  if (!pan->moving)
    return image_copy(pan->canvas);
  Warp warp = {.canvas = pan->canvas,
               .out = image_new(pan->width, pan->height, 3),
               .x0 = (float)pan->x0,
               .y0 = (float)pan->y0};
  pan_homography(pan, frame, warp.h);
  threads_rows(pan->height, warp_row, &warp);
  return warp.out;
}
