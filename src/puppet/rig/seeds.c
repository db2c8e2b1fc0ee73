/* Seeds claim only the core of each limb: a skeleton alone is wrong by a third of a sleeve. Then colours drop
 * those that lie on something else (hair over a shoulder), and add what is certain by colour: hair that hangs
 * from the head, fingers beside it. */
#include "puppet/rig/seeds.h"
#include "puppet/rig/segment.h"
#include <string.h>

/* --- places --- */

static gboolean on_arm(const Seeds *s, int side, const float p[2]) {
  const float *shoulder = s->joint[JOINT_LEFT_SHOULDER + side], *elbow = s->joint[JOINT_LEFT_ELBOW + side];
  const float *wrist = s->joint[JOINT_LEFT_WRIST + side], *radius = s->parts->radius;
  if (segment_along(shoulder, elbow, p) > 0.12f &&
      segment_distance(shoulder, elbow, p) < 0.5f * radius[BONE_LEFT_UPPER_ARM + side])
    return TRUE;
  if (segment_distance(elbow, wrist, p) < 0.5f * radius[BONE_LEFT_FOREARM + side])
    return !s->parts->hidden[side] || segment_along(elbow, wrist, p) < 1;
  if (s->parts->hidden[side])
    return FALSE;
  float tip[2];
  parts_finger_tips(s->parts, side, tip);
  return segment_distance(wrist, tip, p) < 0.5f * radius[BONE_LEFT_HAND + side];
}

/* Smallest distance to the sides of the quadrilateral, negative outside. */
static float inside_quad(const float quad[4][2], const float p[2]) {
  float area = 0, least = G_MAXFLOAT;
  for (int i = 0; i < 4; i++) {
    const float *a = quad[i], *b = quad[(i + 1) % 4];
    area += a[0] * b[1] - a[1] * b[0];
  }
  for (int i = 0; i < 4; i++) {
    const float *a = quad[i], *b = quad[(i + 1) % 4];
    float length = MAX(1e-3f, point_distance(a, b));
    float side = ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])) / length;
    least = MIN(least, area > 0 ? side : -side);
  }
  return least;
}

static Part on_leg(const Seeds *s, const float p[2]) {
  for (int side = 0; side < 2; side++) {
    Bone bones[3] = {BONE_LEFT_THIGH + side, BONE_LEFT_SHIN + side, BONE_LEFT_FOOT + side};
    for (int k = 0; k < 3; k++) {
      const guint8 *joints = bone_joints[bones[k]];
      if (segment_distance(s->joint[joints[0]], s->joint[joints[1]], p) < 0.55f * s->parts->radius[bones[k]])
        return PART_LEFT_LEG + side;
    }
  }
  return PART_NONE;
}

/* Of a hand in a pocket the picture shows nothing: below the cuff everything is trousers. */
static gboolean below_hidden_hand(const Seeds *s, const float p[2]) {
  int side =
      fabsf(p[0] - s->joint[JOINT_LEFT_WRIST][0]) < fabsf(p[0] - s->joint[JOINT_RIGHT_WRIST][0]) ? 0 : 1;
  const float *wrist = s->joint[JOINT_LEFT_WRIST + side];
  return s->parts->hidden[side] && wrist[1] > s->joint[JOINT_LEFT_ELBOW + side][1] &&
         wrist[1] > s->joint[JOINT_WAIST][1] && p[1] > wrist[1] + 0.055f * s->parts->unit;
}

static float arm_clearance(const Seeds *s, const float p[2]) {
  float least = G_MAXFLOAT;
  for (int side = 0; side < 2; side++) {
    float r = MAX(s->parts->radius[BONE_LEFT_FOREARM + side], s->parts->radius[BONE_LEFT_UPPER_ARM + side]);
    least = MIN(least, parts_arm_distance(s->parts, side, p) / r);
  }
  return least;
}

float seeds_hand_distance(const Seeds *s, int side, const float p[2]) {
  float tip[2];
  parts_finger_tips(s->parts, side, tip);
  return segment_distance(s->joint[JOINT_LEFT_WRIST + side], tip, p);
}

float seeds_arm_ratio(const Seeds *s, int side, const float p[2]) {
  const float *shoulder = s->joint[JOINT_LEFT_SHOULDER + side], *elbow = s->joint[JOINT_LEFT_ELBOW + side];
  const float *radius = s->parts->radius;
  float upper = segment_distance(shoulder, elbow, p) / radius[BONE_LEFT_UPPER_ARM + side];
  float fore =
      segment_distance(elbow, s->joint[JOINT_LEFT_WRIST + side], p) / radius[BONE_LEFT_FOREARM + side];
  float hand =
      s->parts->hidden[side] ? fore : seeds_hand_distance(s, side, p) / radius[BONE_LEFT_HAND + side];
  return MIN(MIN(upper, fore), hand);
}

/* The slope from the neck to a shoulder, bare or clothed. */
static gboolean on_shoulder_line(const Seeds *s, const float p[2]) {
  for (int side = 0; side < 2; side++) {
    float from[2], to[2];
    point_mix(s->joint[JOINT_NECK], s->joint[JOINT_LEFT_SHOULDER + side], 0.45f, from);
    point_mix(s->joint[JOINT_NECK], s->joint[JOINT_LEFT_SHOULDER + side], 0.85f, to);
    if (segment_distance(from, to, p) < 0.007f * s->parts->unit)
      return TRUE;
  }
  return FALSE;
}

/* With a skirt: beside the legs nothing is a leg. */
static gboolean beside_legs(const Seeds *s, const float p[2]) {
  float nearest = G_MAXFLOAT;
  for (int side = 0; side < 2; side++) {
    const float *knee = s->joint[JOINT_LEFT_KNEE + side];
    float thigh = segment_distance(s->joint[JOINT_LEFT_HIP + side], knee, p);
    float shin = segment_distance(knee, s->joint[JOINT_LEFT_ANKLE + side], p);
    nearest = MIN(nearest, MIN(thigh, shin) / s->parts->radius[BONE_LEFT_THIGH + side]);
    if (p[1] > knee[1] + 0.05f * s->parts->unit)
      return FALSE;
  }
  return nearest > 1.25f;
}

static Part seed_at(const Seeds *s, const float p[2]) {
  const Parts *parts = s->parts;
  float unit = parts->unit, from_head = point_distance(p, s->head);
  if (from_head < 0.8f * s->head_radius)
    return PART_HEAD;
  for (int side = 0; side < 2; side++)
    if (on_arm(s, side, p))
      return PART_LEFT_ARM + side;
  float clear = arm_clearance(s, p);
  if (p[1] < s->head[1] && from_head < 1.6f * s->head_radius && clear > 1.8f)
    return PART_HEAD;
  if (below_hidden_hand(s, p))
    return PART_TORSO;
  float below_hip = p[1] - s->joint[JOINT_HIP][1];
  if (parts->skirt) {
    Part leg = on_leg(s, p);
    if (leg && p[1] > parts->leg_hem[leg - PART_LEFT_LEG] + 0.008f * unit)
      return leg;
    float hem =
        leg ? parts->leg_hem[leg - PART_LEFT_LEG] - 0.008f * unit : MIN(parts->leg_hem[0], parts->leg_hem[1]);
    if (below_hip > 0 && p[1] < hem)
      return clear > 1.6f ? PART_TORSO : PART_NONE;
    if (below_hip > 0)
      return beside_legs(s, p) && clear > 1.6f ? PART_TORSO : PART_NONE;
  } else if (below_hip > 0.1f * unit && on_leg(s, p) && clear > 1.2f)
    return PART_TORSO;
  if (on_shoulder_line(s, p))
    return PART_TORSO;
  return inside_quad(s->quad, p) > 0.015f * unit && clear > 1.2f ? PART_TORSO : PART_NONE;
}

static void place_seeds(const Seeds *s) {
  const Parts *parts = s->parts;
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2];
    if (parts->alpha->v[i] <= SEEDS_FLOOR)
      continue;
    seeds_point(parts, i, p);
    parts->label[i] = (guint8)seed_at(s, p);
  }
}

/* --- colours --- */

/* Hair is what is on the head, outside the face, and unlike the face. */
static void learn_hair(Seeds *s) {
  Parts *parts = s->parts;
  int n = parts->width * parts->height, total = 0;
  g_autofree guint8 *mask = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  float face[3];
  parts->hair.n = 0;
  if (!colour_of_disc(parts->lab, parts->alpha, s->joint[JOINT_HEAD], 0.3f * s->head_radius, face))
    return;
  for (int i = 0; i < n; i++) {
    float p[2];
    seeds_point(parts, i, p);
    mask[i] = parts->label[i] == PART_HEAD && parts->alpha->v[i] > 0.7f &&
              point_distance(p, s->joint[JOINT_HEAD]) > 0.75f * s->head_radius;
  }
  Palette all;
  palette_learn(&all, parts->lab, mask, 6);
  for (int k = 0; k < all.n; k++)
    total += all.count[k];
  for (int k = 0; k < all.n; k++) {
    if (all.count[k] < 0.03f * (float)total || colour_distance(all.colour[k], face, 0.6f) < 16)
      continue;
    memcpy(parts->hair.colour[parts->hair.n], all.colour[k], sizeof all.colour[k]);
    parts->hair.count[parts->hair.n++] = all.count[k];
  }
}

static void learn_torso(Seeds *s) {
  Parts *parts = s->parts;
  int n = parts->width * parts->height;
  float shoulders = 0.5f * (s->joint[JOINT_LEFT_SHOULDER][1] + s->joint[JOINT_RIGHT_SHOULDER][1]);
  float middle = 0.5f * (shoulders + s->joint[JOINT_HIP][1]);
  g_autofree guint8 *mask = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  for (int i = 0; i < n; i++) {
    float y = (float)(i / parts->width) + 0.5f;
    mask[i] = parts->label[i] == PART_TORSO && y > middle && y < s->joint[JOINT_HIP][1] + 0.02f * parts->unit;
  }
  palette_learn(&s->torso, parts->lab, mask, 4);
}

/* Forearms and hands, where hair seldom hangs. */
static void learn_arms(Seeds *s) {
  Parts *parts = s->parts;
  g_autofree guint8 *mask = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2];
    if (parts->alpha->v[i] < 0.7f || parts->label[i] == PART_HEAD)
      continue;
    seeds_point(parts, i, p);
    for (int side = 0; side < 2; side++)
      mask[i] |= segment_distance(s->joint[JOINT_LEFT_ELBOW + side], s->joint[JOINT_LEFT_WRIST + side], p) <
                 1.1f * parts->radius[BONE_LEFT_FOREARM + side];
  }
  palette_learn(&s->arms, parts->lab, mask, 5);
}

/* How much nearer a pixel is to hair than to cloth and arms: below 1 it is hair. */
float seeds_hair_ratio(const Seeds *s, int i) {
  float colour[3];
  seeds_colour(s->parts, i, colour);
  float hair = palette_distance(&s->parts->hair, colour);
  float other = MIN(palette_distance(&s->torso, colour), palette_distance(&s->arms, colour));
  return hair > 30 ? 9 : hair / MAX(1e-3f, other);
}

void parts_keep_connected(const Parts *parts, Plane *mask, Part part) {
  int n = parts->width * parts->height;
  g_autofree int *region = g_new(int, n);
  int count = plane_regions(mask, 0.5f, region, NULL);
  g_autofree guint8 *touched = g_new0(guint8, count + 1);
  for (int i = 0; i < n; i++)
    if (parts->label[i] == part)
      touched[region[i]] = 1;
  touched[0] = 0;
  for (int i = 0; i < n; i++)
    mask->v[i] = touched[region[i]];
}

/* Hair that may hang there: not on the forearms and hands, not below the hip. */
gboolean seeds_allow_hair(const Seeds *s, const float p[2]) {
  if (p[1] > s->joint[JOINT_HIP][1])
    return FALSE;
  for (int side = 0; side < 2; side++) {
    float tip[2], r = s->parts->radius[BONE_LEFT_FOREARM + side];
    parts_finger_tips(s->parts, side, tip);
    const float *elbow = s->joint[JOINT_LEFT_ELBOW + side], *wrist = s->joint[JOINT_LEFT_WRIST + side];
    if (MIN(segment_distance(elbow, wrist, p), segment_distance(wrist, tip, p)) < 1.2f * r)
      return FALSE;
  }
  return TRUE;
}

/* 1 where hair lies, connected to the head. ratio: how clearly it must be hair. */
Plane *seeds_find_hair(const Seeds *s, float ratio, float close, float open) {
  const Parts *parts = s->parts;
  Plane *mask = plane_new(parts->width, parts->height);
  if (!parts->hair.n)
    return mask;
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2];
    if (parts->alpha->v[i] < 0.3f)
      continue;
    seeds_point(parts, i, p);
    if (parts->label[i] == PART_HEAD)
      mask->v[i] = 1;
    else
      mask->v[i] = seeds_allow_hair(s, p) && seeds_hair_ratio(s, i) < ratio;
  }
  if (close > 0)
    plane_close(mask, close * parts->unit);
  if (open > 0)
    plane_open(mask, open * parts->unit);
  parts_keep_connected(parts, mask, PART_HEAD);
  return mask;
}

static void prune_seeds(const Seeds *s) {
  Parts *parts = s->parts;
  float shoulders = 0.5f * (s->joint[JOINT_LEFT_SHOULDER][1] + s->joint[JOINT_RIGHT_SHOULDER][1]);
  float collar = shoulders + 0.25f * (s->joint[JOINT_HIP][1] - shoulders);
  float face[3];
  gboolean has_face =
      colour_of_disc(parts->lab, parts->alpha, s->joint[JOINT_HEAD], 0.3f * s->head_radius, face);
  g_autoptr(Plane) hair = seeds_find_hair(s, 0.6f, 0, 0);
  g_autoptr(Plane) core = plane_copy(hair);
  plane_erode(core, 0.0035f * parts->unit);
  for (int i = 0; i < parts->width * parts->height; i++) {
    if (!parts->label[i] || parts->label[i] == PART_HEAD)
      continue;
    float colour[3], p[2];
    seeds_point(parts, i, p);
    seeds_colour(parts, i, colour);
    float cloth = palette_distance(&s->torso, colour);
    if (hair->v[i] > 0.5f)
      parts->label[i] = PART_NONE;
    else if (parts->label[i] == PART_TORSO && p[1] < collar && has_face &&
             fabsf(p[0] - s->joint[JOINT_NECK][0]) < 0.7f * s->head_radius &&
             colour_distance(face, colour, 1) < cloth)
      parts->label[i] = PART_NONE;
  }
  for (int i = 0; i < parts->width * parts->height; i++)
    if (core->v[i] > 0.5f && parts->label[i] == PART_NONE)
      parts->label[i] = PART_HEAD;
}

/* A visible hand beside the hair: what is coloured like the palm and connected to it, as far as fingers
 * reach. */
static void seed_hand(const Seeds *s, int side) {
  Parts *parts = s->parts;
  float palm[3], tip[2], half[2];
  const float *wrist = s->joint[JOINT_LEFT_WRIST + side];
  if (parts->hidden[side] || !parts_shows(parts, JOINT_LEFT_HAND + side))
    return;
  parts_finger_tips(parts, side, tip);
  point_mix(wrist, tip, 0.5f, half);
  float length = point_distance(wrist, tip);
  if (!colour_of_disc(parts->lab, parts->alpha, s->joint[JOINT_LEFT_HAND + side], 0.012f * parts->unit, palm))
    return;
  g_autoptr(Plane) mask = plane_new(parts->width, parts->height);
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2], colour[3];
    seeds_point(parts, i, p);
    if (parts->alpha->v[i] < 0.5f || point_distance(p, half) > 0.85f * length ||
        point_distance(p, s->head) < 0.8f * s->head_radius)
      continue;
    seeds_colour(parts, i, colour);
    float d = colour_distance(palm, colour, 0.6f);
    mask->v[i] = d < 18 && (!parts->hair.n || d < palette_distance(&parts->hair, colour));
  }
  plane_open(mask, 0.0015f * parts->unit);
  parts_keep_connected(parts, mask, PART_LEFT_ARM + side);
  for (int i = 0; i < parts->width * parts->height; i++)
    if (mask->v[i] > 0.5f)
      parts->label[i] = s->hands[i] = (guint8)(PART_LEFT_ARM + side);
}

/* --- a sheer skirt --- */

static gboolean is_leg(guint label) {
  return label == PART_LEFT_LEG || label == PART_RIGHT_LEG;
}

/* Behind bare legs the far side of a sheer skirt shows. Close to their bones, which are not their axes, its
 * colour tells it from them. */
static void seed_sheer(const Seeds *s) {
  Parts *parts = s->parts;
  if (!parts->skirt)
    return;
  g_autofree guint8 *bare = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  g_autoptr(Plane) mask = plane_new(parts->width, parts->height);
  Palette skin;
  for (int i = 0; i < parts->width * parts->height; i++)
    bare[i] = is_leg(parts->label[i]) && (float)(i / parts->width) > parts->hem &&
              (float)(i / parts->width) < parts->hem + 0.1f * parts->unit;
  palette_learn(&skin, parts->lab, bare, 5);
  if (!skin.n)
    return;
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2], colour[3];
    seeds_point(parts, i, p);
    if ((parts->label[i] && !is_leg(parts->label[i])) || parts->alpha->v[i] < 0.3f || p[1] > parts->hem ||
        p[1] < MIN(parts->leg_hem[0], parts->leg_hem[1]) || arm_clearance(s, p) < 1.6f)
      continue;
    seeds_colour(parts, i, colour);
    mask->v[i] = palette_distance(&skin, colour) > 18;
  }
  plane_open(mask, 0.003f * parts->unit);
  for (int i = 0; i < parts->width * parts->height; i++)
    if (mask->v[i] > 0.5f)
      parts->label[i] = PART_TORSO;
}

/* --- the body's cloth --- */

/* The bone of the body that p hangs on, as the nearest point of it, where p is near enough in half widths.
 * Cloth reaches the wider beside the body the lower it hangs. */
static gboolean body_bone(const Seeds *s, const float p[2], float foot[2]) {
  const float *neck = s->joint[JOINT_NECK], *hip = s->joint[JOINT_HIP];
  float unit = s->parts->unit;
  float along = segment_along(neck, hip, p);
  if (along < 0.05f)
    return FALSE;
  if (along < 1) {
    float shoulders = 0.5f * point_distance(s->joint[JOINT_LEFT_SHOULDER], s->joint[JOINT_RIGHT_SHOULDER]);
    float hips = 0.62f * point_distance(s->joint[JOINT_LEFT_HIP], s->joint[JOINT_RIGHT_HIP]);
    float half = MAX(shoulders + along * (hips - shoulders), 0.05f * unit);
    point_mix(neck, hip, along, foot);
    return point_distance(foot, p) < half * (0.9f + 0.2f * along + along * along);
  }
  float nearest = G_MAXFLOAT;
  for (int side = 0; side < 2 && !s->parts->skirt; side++) {
    const float *from = s->joint[JOINT_LEFT_HIP + side], *to = s->joint[JOINT_LEFT_KNEE + side];
    float distance = segment_distance(from, to, p) / s->parts->radius[BONE_LEFT_THIGH + side];
    if (distance > MIN(nearest, 2.2f))
      continue;
    nearest = distance;
    point_mix(from, to, CLAMP(segment_along(from, to, p), 0, 1), foot);
  }
  return nearest < 2.2f;
}

/* Whether the way from p to foot leads neither through the air nor over an arm. */
static gboolean hangs_on(const Seeds *s, const float p[2], const float foot[2]) {
  const Parts *parts = s->parts;
  int steps = (int)ceilf(point_distance(p, foot));
  for (int i = 0; i <= steps; i++) {
    float q[2];
    point_mix(p, foot, (float)i / (float)MAX(1, steps), q);
    int x = (int)floorf(q[0]), y = (int)floorf(q[1]);
    if (x < 0 || y < 0 || x >= parts->width || y >= parts->height)
      return FALSE;
    Part part = parts->label[y * parts->width + x];
    if (part == PART_TORSO)
      return TRUE;
    if (part == PART_LEFT_ARM || part == PART_RIGHT_ARM || *plane_at(parts->alpha, x, y) < 0.5f)
      return FALSE;
  }
  return TRUE;
}

static gboolean beyond_arms(const Seeds *s, const float p[2]) {
  for (int side = 0; side < 2; side++) {
    const float *wrist = s->joint[JOINT_LEFT_WRIST + side];
    float tip[2], half[2];
    parts_finger_tips(s->parts, side, tip);
    point_mix(wrist, tip, 0.5f, half);
    if (seeds_arm_ratio(s, side, p) < 1.7f ||
        (!s->parts->hidden[side] && point_distance(half, p) < 0.75f * point_distance(wrist, tip)))
      return FALSE;
  }
  return TRUE;
}

/* The arm whose reach p lies in, clear of the head, or none. */
static Part arm_around(const Seeds *s, const float p[2]) {
  if (point_distance(p, s->head) < 1.6f * s->head_radius)
    return PART_NONE;
  for (int side = 0; side < 2; side++)
    if (seeds_arm_ratio(s, side, p) < 1.3f &&
        segment_along(s->joint[JOINT_LEFT_SHOULDER + side], s->joint[JOINT_LEFT_ELBOW + side], p) > 0.12f)
      return PART_LEFT_ARM + side;
  return PART_NONE;
}

/* A coat is wider than the bones of the body, and its sleeves have its colour: beside the torso everything
 * out of an arm's reach is the body's, or the flood would run down from the sleeve to the hem; away from the
 * torso everything in reach is the arm's. Hair and what shows of the neck are left to the flood. */
static void spread_cloth(const Seeds *s) {
  Parts *parts = s->parts;
  float collar = s->joint[JOINT_NECK][1] + 0.25f * (s->joint[JOINT_HIP][1] - s->joint[JOINT_NECK][1]);
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2], foot[2] = {0, 0};
    if (parts->label[i] || parts->alpha->v[i] < 0.5f)
      continue;
    seeds_point(parts, i, p);
    if (parts->hair.n && seeds_allow_hair(s, p) && seeds_hair_ratio(s, i) < 1.2f)
      continue;
    if (!body_bone(s, p, foot)) {
      parts->label[i] = (guint8)arm_around(s, p);
      continue;
    }
    gboolean neck = p[1] < collar && fabsf(p[0] - s->joint[JOINT_NECK][0]) < 0.7f * s->head_radius;
    if (!neck && beyond_arms(s, p) && hangs_on(s, p, foot))
      parts->label[i] = PART_TORSO;
  }
}

static void seeds_prepare(Seeds *s, Parts *parts) {
  *s = (Seeds){.parts = parts, .joint = (const float(*)[2])parts->figure.joint};
  parts_head(parts, s->head, &s->head_length);
  s->head_radius = parts->radius[BONE_HEAD];
  const float *ls = s->joint[JOINT_LEFT_SHOULDER], *rs = s->joint[JOINT_RIGHT_SHOULDER];
  const float *lh = s->joint[JOINT_LEFT_HIP], *rh = s->joint[JOINT_RIGHT_HIP];
  point_mix(ls, rs, 0.14f, s->quad[0]);
  point_mix(rs, ls, 0.14f, s->quad[1]);
  point_mix(rh, lh, -0.05f, s->quad[2]);
  point_mix(lh, rh, -0.05f, s->quad[3]);
}

void seeds_place(Seeds *s, Parts *parts, guint8 *hands) {
  seeds_prepare(s, parts);
  s->hands = hands;
  place_seeds(s);
  learn_hair(s);
  learn_torso(s);
  learn_arms(s);
  prune_seeds(s);
  seed_sheer(s);
  spread_cloth(s);
  seed_hand(s, 0);
  seed_hand(s, 1);
}
