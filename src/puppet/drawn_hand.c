/* Capsules as domes, the highest wins, a little blur melts them together; light falls from the upper left. */
#include "puppet/drawn_hand.h"
#include "base/plane.h"
#include "puppet/segment.h"

#define PAD 0.12f /* of the length on all sides */
#define HALF_WIDTH 0.42f

typedef struct {
  float from[2], to[2]; /* across (thumb positive), along (0 wrist, 1 longest finger) */
  float radius[2];      /* at both ends */
  float lift;           /* of the dome's height */
} Capsule;

static const Capsule capsules[] = {
    {{-0.10f, 0.06f}, {-0.125f, 0.46f}, {0.085f, 0.075f}, 0.45f}, /* outer half of the palm */
    {{0.08f, 0.06f}, {0.12f, 0.46f}, {0.090f, 0.080f}, 0.45f},    /* inner half */
    {{0.0f, 0.00f}, {0.0f, 0.44f}, {0.100f, 0.100f}, 0.45f},      /* middle */
    {{-0.165f, 0.44f}, {-0.235f, 0.72f}, {0.048f, 0.038f}, 1},    /* little finger */
    {{-0.065f, 0.48f}, {-0.090f, 0.88f}, {0.052f, 0.041f}, 1},    /* ring */
    {{0.040f, 0.49f}, {0.045f, 0.93f}, {0.054f, 0.042f}, 1},      /* middle */
    {{0.140f, 0.47f}, {0.185f, 0.84f}, {0.052f, 0.041f}, 1},      /* index */
    {{0.10f, 0.12f}, {0.235f, 0.32f}, {0.080f, 0.062f}, 0.8f},    /* thumb */
    {{0.235f, 0.32f}, {0.320f, 0.50f}, {0.058f, 0.044f}, 0.9f},
};

/* Height of the highest dome over a point, and how deep inside the outline it lies (both in lengths). */
static float dome(const float p[2], float *inside) {
  float height = 0;
  *inside = -1;
  for (gsize i = 0; i < G_N_ELEMENTS(capsules); i++) {
    const Capsule *c = &capsules[i];
    float t = CLAMP(segment_along(c->from, c->to, p), 0, 1);
    float r = c->radius[0] + t * (c->radius[1] - c->radius[0]), d = segment_distance(c->from, c->to, p);
    *inside = MAX(*inside, r - d);
    if (d < r)
      height = MAX(height, c->lift * sqrtf(r * r - d * d));
  }
  return height;
}

Image *drawn_hand(float length, const float skin[3], float origin[2]) {
  int w = MAX(8, (int)ceilf(length * 2 * (HALF_WIDTH + PAD))), h = MAX(8, (int)ceilf(length * (1 + 2 * PAD)));
  g_autoptr(Plane) height = plane_new(w, h), cover = plane_new(w, h);
  origin[0] = 0.5f * (float)w;
  origin[1] = length * (1 + PAD);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float inside, p[2] = {((float)x + 0.5f - origin[0]) / length, (origin[1] - (float)y - 0.5f) / length};
      *plane_at(height, x, y) = dome(p, &inside) * length;
      *plane_at(cover, x, y) = CLAMP(inside * length + 0.5f, 0, 1);
    }
  plane_blur(height, 0.008f * length);
  Image *hand = image_new(w, h, 4);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float dx = *plane_at(height, MIN(x + 1, w - 1), y) - *plane_at(height, MAX(x - 1, 0), y);
      float dy = *plane_at(height, x, MIN(y + 1, h - 1)) - *plane_at(height, x, MAX(y - 1, 0));
      float norm = sqrtf(dx * dx + dy * dy + 4), light = (-0.5f * -dx + -0.6f * -dy + 0.62f * 2) / norm;
      float shade = CLAMP(0.62f + 0.46f * CLAMP(0.25f + 0.75f * light, 0, 1), 0.62f, 1.08f),
            alpha = *plane_at(cover, x, y);
      guint8 *to = image_at(hand, x, y);
      for (int c = 0; c < 3; c++)
        to[c] = (guint8)(CLAMP(skin[c] * shade, 0, 255) * alpha + 0.5f);
      to[3] = (guint8)(alpha * 255 + 0.5f);
    }
  return hand;
}
