/* A low pass keeps a share of its last value; the One Euro filter lets that share fall as the value moves
 * faster. */
#include "perception/filter.h"
#include <math.h>

/* pose_landmark_filtering and pose_landmarks_to_roi of MediaPipe. */
static const OneEuroSettings image_settings = {0.05f, 80, 1};
static const OneEuroSettings world_settings = {0.1f, 40, 1};
static const OneEuroSettings anchor_settings = {0.01f, 10, 1};
#define VISIBILITY_SHARE 0.1f
#define MIN_OBJECT_SCALE 1e-6f
#define MASK_SHARE 0.7f

static float low_pass(float share, float value, float last) {
  return share * value + (1 - share) * last;
}

static float share_of(float cutoff, float rate) {
  return 1 / (1 + rate / (2 * (float)G_PI * cutoff));
}

float one_euro(OneEuro *f, const OneEuroSettings *settings, double time_s, float value, float scale) {
  if (!f->started) {
    *f = (OneEuro){.started = TRUE, .time_s = time_s, .raw = value, .value = value};
    return value;
  }
  if (!(time_s > f->time_s))
    return value;
  float rate = (float)(1 / (time_s - f->time_s));
  float derivative = (value - f->raw) * scale * rate;
  f->derivative = low_pass(share_of(settings->derivative_cutoff, rate), derivative, f->derivative);
  float cutoff = settings->min_cutoff + settings->beta * fabsf(f->derivative);
  f->value = low_pass(share_of(cutoff, rate), value, f->value);
  f->raw = value;
  f->time_s = time_s;
  return f->value;
}

void anchor_filter(AnchorFilter *filter, double time_s, float anchor[2][2]) {
  float side = 2 * hypotf(anchor[1][0] - anchor[0][0], anchor[1][1] - anchor[0][1]);
  if (!(side >= MIN_OBJECT_SCALE))
    return;
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < 2; k++)
      anchor[i][k] = one_euro(&filter->coordinate[i][k], &anchor_settings, time_s, anchor[i][k], 1 / side);
}

static void filter_landmark(OneEuro filter[3], const OneEuroSettings *settings, double time_s, float scale,
                            float visibility, Landmark *l) {
  l->visibility = visibility;
  l->x = one_euro(&filter[0], settings, time_s, l->x, scale);
  l->y = one_euro(&filter[1], settings, time_s, l->y, scale);
  l->z = one_euro(&filter[2], settings, time_s, l->z, scale);
}

void pose_filter(PoseFilter *filter, double time_s, float object_scale, Pose *pose) {
  for (int i = 0; i < POSE_LANDMARKS; i++) {
    float *visibility = &filter->visibility[i], now = pose->image[i].visibility;
    *visibility = filter->started ? low_pass(VISIBILITY_SHARE, now, *visibility) : now;
    filter_landmark(filter->world[i], &world_settings, time_s, 1, *visibility, &pose->world[i]);
    if (object_scale >= MIN_OBJECT_SCALE)
      filter_landmark(filter->image[i], &image_settings, time_s, 1 / object_scale, *visibility,
                      &pose->image[i]);
  }
  filter->started = TRUE;
}

void mask_filter(const Image *previous, Image *mask) {
  if (!previous)
    return;
  g_return_if_fail(previous->width == mask->width && previous->height == mask->height);
  /* How much each level of the mask says about the pixel: a polynomial that approximates the entropy of a
   * coin. */
  float keep[256];
  for (int i = 0; i < 256; i++) {
    float t = (float)i / 255 - 0.5f, q = t * t;
    float sure = q * (5.68842f + q * (-0.748699f + q * (-57.8051f + q * (291.309f - 624.717f * q))));
    keep[i] = (1 - MIN(1, sure)) * MASK_SHARE;
  }
  gsize n = (gsize)mask->width * (gsize)mask->height;
  for (gsize i = 0; i < n; i++) {
    int now = mask->pixels[i];
    float value = (float)now + (float)(previous->pixels[i] - now) * keep[now];
    mask->pixels[i] = (guint8)CLAMP(value + 0.5f, 0, 255);
  }
}
