/* Capsules with shading across, painted back to front with two-fold smooth edges; the front one's part wins a
 * pixel. */
#include "dressed.h"
#include "puppet/rig/segment.h"
#include <math.h>

static const guint8 skin[3] = {224, 178, 150}, shirt[3] = {170, 40, 50},
                    sleeve[2][3] = {{60, 150, 70}, {60, 90, 180}};
static const guint8 trousers[3] = {70, 74, 84}, waistcoat[3] = {214, 164, 50}, hair[3] = {50, 34, 26},
                    shoe[3] = {235, 232, 225};

typedef struct {
  Dressed *dressed;
  float unit; /* pixels of the whole height */
} Brush;

static void dab(const Brush *brush, int x, int y, float cover, const guint8 colour[3], float light,
                Part part) {
  guint8 *p = image_at(brush->dressed->cutout, x, y);
  float under = (float)p[3] / 255 * (1 - cover), alpha = cover + under;
  for (int c = 0; c < 3; c++)
    p[c] = (guint8)CLAMP((cover * colour[c] * light + under * p[c]) / alpha + 0.5f, 0, 255);
  p[3] = (guint8)(alpha * 255 + 0.5f);
  if (cover > 0.5f)
    brush->dressed->part[y * brush->dressed->cutout->width + x] = (guint8)part;
}

/* In shares of the height; r0 at a, r1 at b. */
static void capsule(const Brush *brush, const float a[2], const float b[2], float r0, float r1,
                    const guint8 colour[3], Part part) {
  const Image *image = brush->dressed->cutout;
  for (int y = 0; y < image->height; y++)
    for (int x = 0; x < image->width; x++) {
      float p[2] = {(float)x + 0.5f, (float)y + 0.5f};
      float t = CLAMP(segment_along(a, b, p), 0, 1), r = (r0 + t * (r1 - r0)) * brush->unit;
      float d = segment_distance(a, b, p), cover = CLAMP(r - d + 0.5f, 0, 1);
      if (cover > 0)
        dab(brush, x, y, cover, colour, 1.06f - 0.3f * (d / r) * (d / r), part);
    }
}

static void skirt(const Brush *brush, float top, float bottom, float middle) {
  const Image *image = brush->dressed->cutout;
  for (int y = (int)top; y < (int)bottom; y++)
    for (int x = 0; x < image->width; x++) {
      float half = brush->unit * (0.07f + 0.13f * ((float)y - top) / (bottom - top)),
            d = fabsf((float)x + 0.5f - middle);
      float cover = CLAMP(half - d + 0.5f, 0, 1);
      if (cover > 0)
        dab(brush, x, y, cover, shirt, 1.05f - 0.25f * (d / half) * (d / half), PART_TORSO);
    }
}

/* Flared from the chest to the hem, in one flat colour, which the sleeves continue. */
static void coat(const Brush *brush, const Figure *f) {
  const Image *image = brush->dressed->cutout;
  float middle = f->joint[JOINT_HIP][0], top = f->joint[JOINT_NECK][1] + 0.02f * brush->unit,
        bottom = f->joint[JOINT_HIP][1] + 0.08f * brush->unit;
  for (int y = (int)top; y < (int)bottom; y++)
    for (int x = 0; x < image->width; x++) {
      float half = brush->unit * (0.1f + 0.04f * ((float)y - top) / (bottom - top)),
            d = fabsf((float)x + 0.5f - middle);
      float cover = CLAMP(half - d + 0.5f, 0, 1), light = d < 0.07f * brush->unit ? 0.95f : 1;
      if (cover > 0)
        dab(brush, x, y, cover, d < 0.07f * brush->unit ? waistcoat : shirt, light, PART_TORSO);
    }
}

/* Without a shade that would tell it from what lies under it. */
static void flat_capsule(const Brush *brush, const float a[2], const float b[2], float radius,
                         const guint8 colour[3], Part part) {
  const Image *image = brush->dressed->cutout;
  for (int y = 0; y < image->height; y++)
    for (int x = 0; x < image->width; x++) {
      float p[2] = {(float)x + 0.5f, (float)y + 0.5f};
      float cover = CLAMP(radius * brush->unit - segment_distance(a, b, p) + 0.5f, 0, 1);
      if (cover > 0)
        dab(brush, x, y, cover, colour, 1, part);
    }
}

static void place(Dressed *dressed, float unit, Joint joint, float x, float y) {
  dressed->figure.joint[joint][0] = 0.5f * (float)dressed->cutout->width + x * unit;
  dressed->figure.joint[joint][1] = 0.05f * unit + y * unit;
  dressed->figure.visibility[joint] = 0.99f;
}

static void place_joints(Dressed *dressed, DressedPose pose, float unit) {
  static const float elbows[6][2] = {{0.165f, 0.34f}, {0.15f, 0.34f},  {0.24f, 0.17f},
                                     {0.24f, 0.27f},  {0.165f, 0.34f}, {0.2f, 0.315f}};
  static const float wrists[6][2] = {{0.185f, 0.48f}, {0.0f, 0.37f},   {0.25f, 0.02f},
                                     {0.34f, 0.36f},  {0.15f, 0.475f}, {0.285f, 0.425f}};
  place(dressed, unit, JOINT_HIP, 0, 0.5f);
  place(dressed, unit, JOINT_WAIST, 0, 0.39f);
  place(dressed, unit, JOINT_NECK, 0, 0.18f);
  place(dressed, unit, JOINT_HEAD, 0, 0.095f);
  place(dressed, unit, JOINT_CROWN, 0, 0.01f);
  for (int side = 0; side < 2; side++) {
    float sign = side ? -1 : 1;
    const float *elbow = elbows[pose], *wrist = wrists[pose];
    if (pose == DRESSED_ARM_OVER_BODY && side == 1)
      elbow = elbows[0], wrist = wrists[0];
    place(dressed, unit, JOINT_LEFT_EAR + side, sign * 0.045f, 0.09f);
    place(dressed, unit, JOINT_LEFT_SHOULDER + side, sign * 0.105f, 0.20f);
    place(dressed, unit, JOINT_LEFT_ELBOW + side, sign * elbow[0], elbow[1]);
    place(dressed, unit, JOINT_LEFT_WRIST + side, sign * wrist[0], wrist[1]);
    place(dressed, unit, JOINT_LEFT_HAND + side, sign * wrist[0] + 0.2f * sign * (wrist[0] - elbow[0]),
          wrist[1] + 0.2f * (wrist[1] - elbow[1]));
    place(dressed, unit, JOINT_LEFT_HIP + side, sign * 0.055f, 0.51f);
    place(dressed, unit, JOINT_LEFT_KNEE + side, sign * 0.07f, 0.74f);
    place(dressed, unit, JOINT_LEFT_ANKLE + side, sign * 0.08f, 0.945f);
    place(dressed, unit, JOINT_LEFT_TOE + side, sign * 0.10f, 0.975f);
  }
}

static void paint_leg(const Brush *brush, const Figure *f, int side, gboolean bare) {
  Part part = PART_LEFT_LEG + side;
  const guint8 *cloth = bare ? skin : trousers;
  const float *knee = f->joint[JOINT_LEFT_KNEE + side], *ankle = f->joint[JOINT_LEFT_ANKLE + side];
  capsule(brush, ankle, f->joint[JOINT_LEFT_TOE + side], 0.022f, 0.02f, shoe, part);
  capsule(brush, f->joint[JOINT_LEFT_HIP + side], knee, bare ? 0.036f : 0.052f, bare ? 0.03f : 0.042f, cloth,
          part);
  capsule(brush, knee, ankle, bare ? 0.03f : 0.042f, 0.03f, cloth, part);
}

static void paint_hand(const Brush *brush, const Figure *f, int side) {
  const float *wrist = f->joint[JOINT_LEFT_WRIST + side];
  float tip[2];
  point_mix(wrist, f->joint[JOINT_LEFT_HAND + side], 1.6f, tip);
  capsule(brush, wrist, tip, 0.02f, 0.016f, skin, PART_LEFT_ARM + side);
}

static void paint_arm(const Brush *brush, const Figure *f, int side, gboolean hand) {
  Part part = PART_LEFT_ARM + side;
  const float *elbow = f->joint[JOINT_LEFT_ELBOW + side], *wrist = f->joint[JOINT_LEFT_WRIST + side];
  if (hand)
    paint_hand(brush, f, side);
  capsule(brush, f->joint[JOINT_LEFT_SHOULDER + side], elbow, 0.036f, 0.03f, sleeve[side], part);
  capsule(brush, elbow, wrist, 0.03f, 0.024f, sleeve[side], part);
}

static void paint_coat(const Brush *brush, const Figure *f) {
  const float *left = f->joint[JOINT_LEFT_SHOULDER], *right = f->joint[JOINT_RIGHT_SHOULDER];
  float yoke[2][2];
  coat(brush, f);
  for (int side = 0; side < 2; side++) {
    const float *elbow = f->joint[JOINT_LEFT_ELBOW + side];
    Part part = PART_LEFT_ARM + side;
    paint_hand(brush, f, side);
    flat_capsule(brush, f->joint[JOINT_LEFT_SHOULDER + side], elbow, 0.036f, shirt, part);
    flat_capsule(brush, elbow, f->joint[JOINT_LEFT_WRIST + side], 0.032f, shirt, part);
  }
  point_mix(left, right, 0.1f, yoke[0]);
  point_mix(right, left, 0.1f, yoke[1]);
  flat_capsule(brush, yoke[0], yoke[1], 0.036f, waistcoat, PART_TORSO);
}

static void paint_torso(const Brush *brush, const Figure *f) {
  float neck[2], hip[2], chest[2] = {f->joint[JOINT_NECK][0], f->joint[JOINT_NECK][1] + 0.075f * brush->unit};
  point_mix(f->joint[JOINT_HIP], f->joint[JOINT_NECK], 0.12f, hip);
  point_mix(f->joint[JOINT_NECK], f->joint[JOINT_HEAD], 0.5f, neck);
  capsule(brush, f->joint[JOINT_LEFT_SHOULDER], f->joint[JOINT_RIGHT_SHOULDER], 0.032f, 0.032f, shirt,
          PART_TORSO);
  capsule(brush, chest, hip, 0.105f, 0.085f, shirt, PART_TORSO);
  capsule(brush, f->joint[JOINT_NECK], neck, 0.028f, 0.028f, skin, PART_HEAD);
}

Dressed *dressed_new(DressedPose pose, int height) {
  Dressed *dressed = g_new0(Dressed, 1);
  float unit = (float)height;
  int w = (int)(0.9f * unit), h = (int)(1.1f * unit);
  dressed->cutout = image_new(w, h, 4);
  dressed->part = g_new0(guint8, (gsize)w * (gsize)h);
  dressed->figure.height = unit;
  place_joints(dressed, pose, unit);
  Brush brush = {dressed, unit};
  Figure *f = &dressed->figure;
  gboolean bare = pose == DRESSED_IN_SKIRT, pockets = pose == DRESSED_HANDS_IN_POCKETS;
  float crown[2], face[2];
  for (int side = 0; side < 2; side++)
    paint_leg(&brush, f, side, bare);
  paint_torso(&brush, f);
  if (bare)
    skirt(&brush, f->joint[JOINT_HIP][1] - 0.1f * unit, f->joint[JOINT_LEFT_KNEE][1] - 0.06f * unit,
          f->joint[JOINT_HIP][0]);
  if (pose == DRESSED_IN_COAT)
    paint_coat(&brush, f);
  for (int side = 0; side < 2 && pose != DRESSED_IN_COAT; side++)
    paint_arm(&brush, f, side, !pockets);
  for (int side = 0; side < 2 && pockets; side++)
    f->visibility[JOINT_LEFT_HAND + side] = 0.3f;
  point_mix(f->joint[JOINT_HEAD], f->joint[JOINT_CROWN], 0.35f, crown);
  point_mix(f->joint[JOINT_HEAD], f->joint[JOINT_CROWN], 0.05f, face);
  capsule(&brush, crown, crown, 0.066f, 0.066f, hair, PART_HEAD);
  capsule(&brush, face, face, 0.05f, 0.05f, skin, PART_HEAD);
  return dressed;
}

void dressed_free(Dressed *dressed) {
  if (!dressed)
    return;
  image_free(dressed->cutout);
  g_free(dressed->part);
  g_free(dressed);
}
