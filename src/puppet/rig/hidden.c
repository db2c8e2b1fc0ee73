/* The hidden side of every part: round caps at the shoulders, the torso's outline under arms and hair, arms
 * under hair, legs under a skirt. What cannot be known is guessed so that it is seldom seen: smooth, a little
 * too small, in the shade. */
#include "puppet/rig/hidden.h"
#include "puppet/rig/segment.h"
#include <string.h>

static Masks *masks_new(const Parts *parts) {
  Masks *masks = g_new(Masks, 1);
  *masks = (Masks){plane_new(parts->width, parts->height), plane_new(parts->width, parts->height),
                   plane_new(parts->width, parts->height)};
  for (int i = 0; i < parts->width * parts->height; i++)
    masks->shade->v[i] = 1;
  return masks;
}

void masks_free(Masks *masks) {
  if (!masks)
    return;
  plane_free(masks->keep);
  plane_free(masks->hidden);
  plane_free(masks->shade);
  g_free(masks);
}

static void point_of(const Cutting *cutting, int i, float p[2]) {
  p[0] = (float)(i % cutting->parts->width) + 0.5f;
  p[1] = (float)(i / cutting->parts->width) + 0.5f;
}

static void colour_of(const Cutting *cutting, int i, float colour[3]) {
  for (int c = 0; c < 3; c++)
    colour[c] = cutting->parts->lab[c]->v[i];
}
static void extend_labels(Cutting *cutting) {
  const Parts *parts = cutting->parts;
  g_autoptr(Plane) known = plane_new(parts->width, parts->height);
  g_autofree int *nearest = g_new(int, cutting->n);
  for (int i = 0; i < cutting->n; i++)
    known->v[i] = parts->label[i] != PART_NONE;
  g_autoptr(Plane) distance = plane_distance(known, 0.5f, nearest);
  cutting->near = g_new0(guint8, cutting->n);
  for (int i = 0; i < cutting->n; i++)
    if (nearest[i] >= 0 && distance->v[i] < 0.015f * parts->unit)
      cutting->near[i] = parts->label[nearest[i]];
}
void cutting_prepare(Cutting *cutting, const Parts *parts) {
  *cutting = (Cutting){.parts = parts, .n = parts->width * parts->height};
  for (int side = 0; side < 2; side++)
    cutting->shoulder[side] =
        CLAMP(1.25f * parts->radius[BONE_LEFT_UPPER_ARM + side], 0.03f * parts->unit, 0.045f * parts->unit);
  extend_labels(cutting);
}

void cutting_clear(Cutting *cutting) {
  g_clear_pointer(&cutting->near, g_free);
}

/* --- round caps at the shoulders --- */

/* The colour of an arm or of the torso around a shoulder. */
static gboolean shoulder_colour(const Cutting *cutting, Part part, const float centre[2], float radius,
                                float colour[3]) {
  const Parts *parts = cutting->parts;
  g_autoptr(Plane) own = plane_new(parts->width, parts->height);
  for (int i = 0; i < cutting->n; i++)
    own->v[i] = parts->label[i] == part ? parts->alpha->v[i] : 0;
  return colour_of_disc(parts->lab, own, centre, radius, colour);
}

/* Gives the layer of `part` a disc: pixels of `other` that look like the part's own are kept, the rest is
 * painted. */
static void add_cap(const Cutting *cutting, Masks *masks, Part part, Part other, const float centre[2],
                    float radius) {
  const Parts *parts = cutting->parts;
  const float *shoulder = centre;
  float own[3];
  gboolean known = shoulder_colour(cutting, part, shoulder, 2 * radius, own);
  for (int i = 0; i < cutting->n; i++) {
    float p[2], colour[3];
    point_of(cutting, i, p);
    if (point_distance(p, centre) > radius || cutting->near[i] == part || parts->alpha->v[i] < 0.05f)
      continue;
    colour_of(cutting, i, colour);
    if (parts->label[i] == other && (part == PART_TORSO || (known && colour_distance(own, colour, 1) < 22)))
      masks->keep->v[i] = 1;
    else
      masks->hidden->v[i] = 1;
  }
}

/* --- what lies under other parts --- */

/* Under the neighbours that are drawn over it a layer goes on a little, so that soft cuts never show the
 * background. */
static void add_rim(const Cutting *cutting, Masks *masks, guint over, float width) {
  g_autoptr(Plane) distance = plane_distance(masks->keep, 0.5f, NULL);
  for (int i = 0; i < cutting->n; i++)
    if ((over >> cutting->near[i] & 1) && distance->v[i] <= width && masks->keep->v[i] < 0.5f &&
        cutting->parts->alpha->v[i] > 0.9f)
      masks->hidden->v[i] = 1;
}

/* Extent of the convex hull of the torso's rows y0..y1: left[y - y0], right[y - y0]. */
static void torso_hull(const Cutting *cutting, int y0, int y1, float *left, float *right) {
  const Parts *parts = cutting->parts;
  g_autoptr(Plane) torso = plane_new(parts->width, parts->height);
  for (int i = 0; i < cutting->n; i++)
    torso->v[i] = parts->label[i] == PART_TORSO && parts->alpha->v[i] > 0.5f;
  plane_open(torso, 0.01f * parts->unit);
  for (int side = 0; side < 2; side++) {
    float sign = side ? -1 : 1, *out = side ? right : left;
    g_autofree float(*hull)[2] = g_malloc(sizeof(float[2]) * (gsize)(y1 - y0 + 2));
    int k = 0;
    for (int y = y0; y <= y1; y++) {
      float extreme = G_MAXFLOAT;
      for (int x = 0; x < parts->width; x++)
        if (*plane_at(torso, x, y) > 0.5f)
          extreme = MIN(extreme, sign * ((float)x + 0.5f));
      if (extreme == G_MAXFLOAT)
        continue;
      while (k >= 2 && (hull[k - 1][0] - hull[k - 2][0]) * ((float)y - hull[k - 2][1]) -
                               (extreme - hull[k - 2][0]) * (hull[k - 1][1] - hull[k - 2][1]) >=
                           0)
        k--;
      hull[k][0] = extreme;
      hull[k++][1] = (float)y;
    }
    for (int y = y0, j = 0; y <= y1; y++) {
      while (j + 2 < k && hull[j + 1][1] < (float)y)
        j++;
      if (!k)
        out[y - y0] = sign * G_MAXFLOAT;
      else if (k == 1)
        out[y - y0] = sign * hull[0][0];
      else
        out[y - y0] =
            sign * (hull[j][0] + (hull[j + 1][0] - hull[j][0]) *
                                     CLAMP(((float)y - hull[j][1]) / (hull[j + 1][1] - hull[j][1]), 0, 1));
    }
  }
}

static void add_torso_under_arms(const Cutting *cutting, Masks *masks) {
  const Parts *parts = cutting->parts;
  const float(*joint)[2] = parts->figure.joint;
  float unit = parts->unit,
        shoulders = 0.5f * (joint[JOINT_LEFT_SHOULDER][1] + joint[JOINT_RIGHT_SHOULDER][1]);
  float caps = MIN(cutting->shoulder[0], cutting->shoulder[1]);
  int y0 = (int)CLAMP(shoulders + 0.6f * caps, 0, (float)parts->height - 1);
  /* Not under a cuff in a pocket: there the arm lies on the trousers. */
  float bottom = joint[JOINT_HIP][1];
  for (int side = 0; side < 2; side++)
    if (parts->hidden[side])
      bottom = MIN(bottom, joint[JOINT_LEFT_WRIST + side][1] - parts->radius[BONE_LEFT_FOREARM + side]);
  int y1 = (int)CLAMP(bottom, 0, (float)parts->height - 1);
  if (y1 - y0 < 4)
    return;
  g_autofree float *left = g_new(float, y1 - y0 + 1), *right = g_new(float, y1 - y0 + 1);
  torso_hull(cutting, y0, y1, left, right);
  float arm = 0.5f * MAX(parts->radius[BONE_LEFT_UPPER_ARM], parts->radius[BONE_RIGHT_UPPER_ARM]);
  for (int y = y0; y <= y1; y++) {
    float fade = CLAMP((float)MIN(y1 - y, y - y0) / (0.08f * unit), 0, 1);
    for (int x = 0; x < parts->width; x++) {
      int i = y * parts->width + x;
      Part part = parts->label[i];
      if (part != PART_LEFT_ARM && part != PART_RIGHT_ARM)
        continue;
      float outside = MAX(left[y - y0] - ((float)x + 0.5f), ((float)x + 0.5f) - right[y - y0]);
      if (outside > arm * fade)
        continue;
      masks->hidden->v[i] = 1;
      float from_edge = arm * fade - outside;
      masks->shade->v[i] = 1 - 0.28f * fade * CLAMP(1 - from_edge / (0.022f * unit), 0, 1);
    }
  }
}

/* A hand or forearm that lies on the body: what is enclosed by the body goes on under it. */
static void add_body_under_limbs(const Cutting *cutting, Masks *masks) {
  const Parts *parts = cutting->parts;
  const float(*joint)[2] = parts->figure.joint;
  g_autoptr(Plane) body = plane_copy(masks->keep);
  plane_close(body, 0.03f * parts->unit);
  for (int i = 0; i < cutting->n; i++) {
    Part part = parts->label[i];
    float p[2];
    if (part != PART_LEFT_ARM && part != PART_RIGHT_ARM)
      continue;
    point_of(cutting, i, p);
    gboolean on_thigh = FALSE;
    for (int side = 0; side < 2 && !parts->skirt; side++)
      on_thigh |= segment_distance(joint[JOINT_LEFT_HIP + side], joint[JOINT_LEFT_KNEE + side], p) <
                  0.95f * parts->radius[BONE_LEFT_THIGH + side];
    if ((body->v[i] > 0.5f || on_thigh) && p[1] > joint[JOINT_WAIST][1])
      masks->hidden->v[i] = 1;
  }
}

/* The torso goes on under hair where its mirror image, a shoulder or the spine says that there is torso. */
static void add_torso_under_hair(const Cutting *cutting, Masks *masks) {
  const Parts *parts = cutting->parts;
  const float(*joint)[2] = parts->figure.joint;
  const float *neck = joint[JOINT_NECK], *hip = joint[JOINT_HIP];
  for (int i = 0; i < cutting->n; i++) {
    float p[2], foot[2];
    if (parts->label[i] != PART_HEAD)
      continue;
    point_of(cutting, i, p);
    if (p[1] < neck[1] || p[1] > hip[1])
      continue;
    point_mix(neck, hip, segment_along(neck, hip, p), foot);
    int x = (int)(2 * foot[0] - p[0]), y = (int)(2 * foot[1] - p[1]);
    gboolean mirrored =
        x >= 0 && y >= 0 && x < parts->width && y < parts->height &&
        (masks->keep->v[y * parts->width + x] > 0.5f || masks->hidden->v[y * parts->width + x] > 0.5f);
    if (mirrored || point_distance(p, foot) < 0.08f * parts->unit)
      masks->hidden->v[i] = 1;
  }
}

static void add_arm_under_hair(const Cutting *cutting, Masks *masks, int side) {
  const Parts *parts = cutting->parts;
  const float(*joint)[2] = parts->figure.joint;
  for (int i = 0; i < cutting->n; i++) {
    float p[2];
    if (parts->label[i] != PART_HEAD)
      continue;
    point_of(cutting, i, p);
    if (segment_distance(joint[JOINT_LEFT_SHOULDER + side], joint[JOINT_LEFT_ELBOW + side], p) <
            1.1f * parts->radius[BONE_LEFT_UPPER_ARM + side] &&
        p[1] > joint[JOINT_LEFT_SHOULDER + side][1] - 0.01f * parts->unit)
      masks->hidden->v[i] = 1;
  }
}

static void add_leg_under_skirt(const Cutting *cutting, Masks *masks, int side) {
  const Parts *parts = cutting->parts;
  const float(*joint)[2] = parts->figure.joint;
  const float *hip = joint[JOINT_LEFT_HIP + side], *knee = joint[JOINT_LEFT_KNEE + side];
  int row = (int)CLAMP(parts->leg_hem[side] + 0.015f * parts->unit, 0, (float)parts->height - 1),
      first = parts->width, last = -1;
  for (int x = 0; x < parts->width; x++)
    if (parts->label[row * parts->width + x] == PART_LEFT_LEG + side &&
        parts->alpha->v[row * parts->width + x] > 0.5f) {
      first = MIN(first, x);
      last = x;
    }
  float half = last > first
                   ? MIN(0.5f * (float)(last - first + 1), 1.6f * parts->radius[BONE_LEFT_THIGH + side])
                   : parts->radius[BONE_LEFT_THIGH + side];
  for (int i = 0; i < cutting->n; i++) {
    float p[2];
    if (parts->label[i] != PART_TORSO)
      continue;
    point_of(cutting, i, p);
    if (segment_distance(hip, knee, p) < half && p[1] > hip[1])
      masks->hidden->v[i] = 1;
  }
}
/* Right beside a part that is drawn over it a layer's pixels show that part's soft edge: paint them. */
static void release_edges(const Cutting *cutting, Masks *masks, guint over) {
  g_autoptr(Plane) upper = plane_new(masks->keep->width, masks->keep->height);
  for (int i = 0; i < cutting->n; i++)
    upper->v[i] = over >> cutting->parts->label[i] & 1;
  g_autoptr(Plane) distance = plane_distance(upper, 0.5f, NULL);
  for (int i = 0; i < cutting->n; i++)
    if (masks->keep->v[i] > 0.5f && cutting->near[i] && distance->v[i] < 0.0025f * cutting->parts->unit &&
        cutting->parts->alpha->v[i] > 0.9f && !(over >> cutting->near[i] & 1)) {
      masks->keep->v[i] = 0;
      masks->hidden->v[i] = 1;
    }
}

/* Under arms the torso's outline is a guess: a smooth one. */
static void smooth_outline(const Cutting *cutting, Masks *masks, guint over) {
  g_autoptr(Plane) all = plane_new(masks->keep->width, masks->keep->height);
  for (int i = 0; i < cutting->n; i++)
    all->v[i] = MAX(masks->keep->v[i], masks->hidden->v[i]);
  plane_blur(all, 0.01f * cutting->parts->unit);
  for (int i = 0; i < cutting->n; i++)
    if (over >> cutting->parts->label[i] & 1 && masks->keep->v[i] < 0.5f)
      masks->hidden->v[i] = all->v[i] > 0.5f;
}
static void own_pixels(const Cutting *cutting, Masks *masks, Part part) {
  for (int i = 0; i < cutting->n; i++)
    masks->keep->v[i] = cutting->near[i] == part;
}
/* The lowest row of the skirt in a column, 0 where it does not hang there. */
static float lowest_cloth(const Cutting *cutting, int x) {
  const Parts *parts = cutting->parts;
  for (int y = MIN(parts->height - 1, (int)(parts->hem + 0.01f * parts->unit)); y > 0 && x >= 0; y--)
    if (x < parts->width && parts->label[y * parts->width + x] == PART_TORSO)
      return (float)y + 1;
  return 0;
}

/* The hem as it goes on behind a leg: straight from the one side of the leg to the other. */
static void hem_behind_leg(const Cutting *cutting, int side, float *hem) {
  const Parts *parts = cutting->parts;
  int first = parts->width, last = -1, beside = MAX(2, (int)(0.006f * parts->unit));
  for (int y = MAX(0, (int)parts->leg_hem[side]); y < MIN(parts->height, (int)parts->hem); y++)
    for (int x = 0; x < parts->width; x++)
      if (parts->label[y * parts->width + x] == PART_LEFT_LEG + side) {
        first = MIN(first, x);
        last = MAX(last, x);
      }
  float from = lowest_cloth(cutting, first - beside), to = lowest_cloth(cutting, last + beside);
  from = from > 0 ? from : to, to = to > 0 ? to : from;
  for (int x = MAX(0, first - beside); x <= MIN(parts->width - 1, last + beside); x++)
    hem[x] = MAX(hem[x], from + (to - from) * (float)(x - first) / (float)MAX(1, last - first));
}

/* Where legs stand before the far side of a skirt, that side behind them. */
Masks *masks_of_back(const Cutting *cutting) {
  const Parts *parts = cutting->parts;
  Masks *masks = masks_new(parts);
  g_autofree float *hem = g_new0(float, parts->width);
  hem_behind_leg(cutting, 0, hem);
  hem_behind_leg(cutting, 1, hem);
  for (int i = 0; i < cutting->n; i++) {
    Part part = parts->label[i];
    float y = (float)(i / parts->width) + 0.5f;
    if (part == PART_LEFT_LEG || part == PART_RIGHT_LEG)
      masks->hidden->v[i] =
          y < hem[i % parts->width] && y > parts->leg_hem[part - PART_LEFT_LEG] - 0.02f * parts->unit;
  }
  plane_dilate(masks->hidden, 0.005f * parts->unit); /* a little under the near side's edges */
  return masks;
}
Masks *masks_of_part(const Cutting *cutting, Part part) {
  const Parts *parts = cutting->parts;
  const float(*joint)[2] = parts->figure.joint;
  Masks *masks = masks_new(parts);
  guint arms = 1u << PART_LEFT_ARM | 1u << PART_RIGHT_ARM, head = 1u << PART_HEAD;
  float rim = 0.01f * parts->unit;
  own_pixels(cutting, masks, part);
  if (part == PART_TORSO) {
    for (int side = 0; side < 2; side++) {
      float centre[2];
      point_mix(joint[JOINT_LEFT_SHOULDER + side], joint[JOINT_RIGHT_SHOULDER - side], 0.06f, centre);
      add_cap(cutting, masks, part, PART_LEFT_ARM + side, centre, 0.9f * cutting->shoulder[side]);
    }
    add_torso_under_arms(cutting, masks);
    add_body_under_limbs(cutting, masks);
    add_torso_under_hair(cutting, masks);
    smooth_outline(cutting, masks, arms);
    release_edges(cutting, masks, arms | head);
    add_rim(cutting, masks, arms, 0.4f * rim);
    add_rim(cutting, masks, head, rim);
  } else if (part == PART_LEFT_ARM || part == PART_RIGHT_ARM) {
    int side = part - PART_LEFT_ARM;
    add_cap(cutting, masks, part, PART_TORSO, joint[JOINT_LEFT_SHOULDER + side], cutting->shoulder[side]);
    add_arm_under_hair(cutting, masks, side);
    release_edges(cutting, masks, head);
    add_rim(cutting, masks, head, 0.5f * rim);
  } else if (part == PART_LEFT_LEG || part == PART_RIGHT_LEG) {
    add_leg_under_skirt(cutting, masks, part - PART_LEFT_LEG);
    add_rim(cutting, masks, arms | head, rim);
    add_rim(cutting, masks, 1u << PART_TORSO, 0.3f * rim);
  }
  return masks;
}
