/* Capsules as domes that melt into each other; light falls from the upper left. */
#include "puppet/rig/drawn_hand.h"
#include "base/plane.h"
#include "puppet/rig/segment.h"

#define PAD 0.12f /* of the length on all sides */
#define HALF_WIDTH 0.42f

typedef struct {
  float from[2], to[2]; /* across (thumb positive), along (0 wrist, 1 longest finger) */
  float radius[2];      /* at both ends */
  float lift[2];        /* of the dome's height, at both ends: fingers grow out of the palm */
} Capsule;

static const Capsule capsules[] = {
    {{-0.060f, -0.06f}, {-0.125f, 0.42f}, {0.070f, 0.085f}, {0.5f, 0.5f}}, /* outer half of the palm */
    {{0.060f, -0.06f}, {0.120f, 0.42f}, {0.075f, 0.085f}, {0.5f, 0.5f}},   /* inner half */
    {{0.000f, -0.08f}, {0.000f, 0.42f}, {0.085f, 0.110f}, {0.6f, 0.5f}},   /* middle, into the sleeve */
    {{-0.155f, 0.34f}, {-0.215f, 0.72f}, {0.052f, 0.037f}, {0.3f, 1}},     /* little finger */
    {{-0.060f, 0.36f}, {-0.085f, 0.87f}, {0.056f, 0.041f}, {0.3f, 1}},     /* ring */
    {{0.040f, 0.36f}, {0.045f, 0.94f}, {0.058f, 0.042f}, {0.3f, 1}},       /* middle */
    {{0.132f, 0.35f}, {0.172f, 0.85f}, {0.056f, 0.041f}, {0.3f, 1}},       /* index */
    {{0.080f, 0.04f}, {0.205f, 0.28f}, {0.090f, 0.066f}, {0.6f, 0.9f}},    /* thumb */
    {{0.205f, 0.28f}, {0.285f, 0.48f}, {0.064f, 0.045f}, {0.9f, 1}},
};

/* Height over a point, and how deep inside the outline it lies (both in lengths). The fourth powers of the
 * domes add up: where they meet there is flesh, not a groove. */
static float dome(const float p[2], float *inside) {
  float sum = 0;
  *inside = -1;
  for (gsize i = 0; i < G_N_ELEMENTS(capsules); i++) {
    const Capsule *c = &capsules[i];
    float t = CLAMP(segment_along(c->from, c->to, p), 0, 1);
    float r = c->radius[0] + t * (c->radius[1] - c->radius[0]), d = segment_distance(c->from, c->to, p);
    *inside = MAX(*inside, r - d);
    if (d >= r)
      continue;
    float square = (c->lift[0] + t * (c->lift[1] - c->lift[0]));
    square *= square * (r * r - d * d);
    sum += square * square;
  }
  return sqrtf(sqrtf(sum));
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
  plane_blur(height, 0.014f * length);
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
