/* The plate of a scene against the room without anybody, frame by frame as the camera saw it, apart where the
 * room was ever visible and where it never was. */
#include "stage/plate.h"
#include "truth.h"
#include <math.h>

#define USUAL_STEP 6

static void cubic_weights(float t, float w[4]) {
  w[0] = -0.5f * t + t * t - 0.5f * t * t * t;
  w[1] = 1 - 2.5f * t * t + 1.5f * t * t * t;
  w[2] = 0.5f * t + 2 * t * t - 1.5f * t * t * t;
  w[3] = -0.5f * t * t + 0.5f * t * t * t;
}

/* The room at continuous (u, v) of the background picture. */
static void sample_room(const Image *room, float u, float v, float out[3]) {
  float wx[4], wy[4];
  u -= 0.5f;
  v -= 0.5f;
  int cx = (int)floorf(u + 1e-4f), cy = (int)floorf(v + 1e-4f);
  cubic_weights(u - (float)cx, wx);
  cubic_weights(v - (float)cy, wy);
  out[0] = out[1] = out[2] = 0;
  for (int j = 0; j < 4; j++)
    for (int i = 0; i < 4; i++) {
      const guint8 *p =
          image_at(room, CLAMP(cx + i - 1, 0, room->width - 1), CLAMP(cy + j - 1, 0, room->height - 1));
      for (int c = 0; c < 3; c++)
        out[c] += wx[i] * wy[j] * (float)p[c];
    }
}

typedef struct {
  double error;
  gint64 pixels;
} Sum;

static double psnr(const Sum *sum) {
  double mean = sum->pixels ? sum->error / (3.0 * (double)sum->pixels) : 0;
  return mean > 0 ? 10 * log10(255.0 * 255.0 / mean) : 99;
}

enum { SEEN, LIT, OFTEN, NEVER, SUMS };

static void compare_frame(const Truth *truth, int frame, const Image *plate, Sum sums[SUMS]) {
  const float *h = truth->homography[frame];
  int often = truth->frames / 5;
  for (int y = 0; y < truth->height; y++)
    for (int x = 0; x < truth->width; x++) {
      float fx = (float)x + 0.5f, fy = (float)y + 0.5f, w = h[6] * fx + h[7] * fy + h[8], room[3];
      float u = (h[0] * fx + h[1] * fy + h[2]) / w - (float)truth->x0,
            v = (h[3] * fx + h[4] * fy + h[5]) / w - (float)truth->y0;
      int ux = CLAMP((int)floorf(u), 0, truth->background->width - 1),
          vy = CLAMP((int)floorf(v), 0, truth->background->height - 1);
      int visible = *image_at(truth->visible, ux, vy), lit = *image_at(truth->lit, ux, vy);
      sample_room(truth->background, u, v, room);
      double error = 0;
      for (int c = 0; c < 3; c++) {
        double d = (double)image_at(plate, x, y)[c] - (double)CLAMP(room[c], 0.0f, 255.0f);
        error += d * d;
      }
      const gboolean in[SUMS] = {visible > 0, lit > 0, lit > MIN(often, 200), visible == 0};
      for (int s = 0; s < SUMS; s++)
        if (in[s]) {
          sums[s].error += error;
          sums[s].pixels++;
        }
    }
}

gboolean judge_plate(const char *folder, const Truth *truth, const Limits *limits, json_t *result,
                     gboolean *passed, GError **error) {
  g_autoptr(Scene) scene = scene_load(folder, error);
  if (scene == NULL)
    return FALSE;
  if (scene->info.width != truth->width || scene->info.height != truth->height)
    return fault(error, FAULT_INPUT, "%s is of another size than its truth.", folder);
  g_autoptr(Image) view = image_new(truth->width, truth->height, 3);
  Sum sums[SUMS] = {0};
  for (int f = 0; f < truth->frames; f += limits->step ? limits->step : USUAL_STEP) {
    const Plate *plate = scene_plate(scene, f, error);
    if (plate == NULL)
      return FALSE;
    plate_view(plate, f - plate->first, view);
    compare_frame(truth, f, view, sums);
  }
  gint64 all = sums[SEEN].pixels + sums[NEVER].pixels;
  double seen = psnr(&sums[SEEN]), filled = psnr(&sums[NEVER]);
  json_object_set_new(result, "plates", json_integer((json_int_t)scene->plates->len));
  json_object_set_new(result, "seen_db", json_real(seen));
  json_object_set_new(result, "seen_without_shadow_db", json_real(psnr(&sums[LIT])));
  json_object_set_new(result, "seen_often_db", json_real(psnr(&sums[OFTEN])));
  json_object_set_new(result, "filled_db", json_real(filled));
  json_object_set_new(result, "filled_share", json_real((double)sums[NEVER].pixels / (double)MAX(all, 1)));
  *passed = seen >= limits->min_seen && filled >= limits->min_filled;
  return TRUE;
}
