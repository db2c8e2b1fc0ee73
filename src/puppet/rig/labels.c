/* The seeds are grown by a watershed, which finds the creases between the parts: edges alone know no anatomy,
 * seeds alone no edges. Then a little order: smooth borders, hair to the head, cuffs to their arm, legs
 * before a skirt's far side, light dropped. */
#include "puppet/rig/seeds.h"
#include "puppet/rig/segment.h"
#include "puppet/rig/watershed.h"
#include <string.h>

static void smooth_borders(Parts *parts) {
  int n = parts->width * parts->height;
  g_autoptr(Plane) best = plane_new(parts->width, parts->height);
  g_autofree guint8 *label = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  for (int part = 1; part < PARTS; part++) {
    gboolean any = FALSE;
    g_autoptr(Plane) share = plane_new(parts->width, parts->height);
    for (int i = 0; i < n; i++)
      any |= (share->v[i] = parts->label[i] == part) > 0;
    if (!any)
      continue;
    plane_blur(share, 0.0055f * parts->unit);
    for (int i = 0; i < n; i++)
      if (parts->label[i] && share->v[i] > best->v[i]) {
        best->v[i] = share->v[i];
        label[i] = (guint8)part;
      }
  }
  memcpy(parts->label, label, (gsize)n);
}

static void return_hair(const Seeds *s) {
  Parts *parts = s->parts;
  g_autoptr(Plane) hair = seeds_find_hair(s, 0.7f, 0.006f, 0.003f);
  for (int i = 0; i < parts->width * parts->height; i++)
    if (hair->v[i] > 0.5f && parts->label[i] && parts->alpha->v[i] > SEEDS_FLOOR)
      parts->label[i] = PART_HEAD;
  /* Strands beside it, where the same colour is less certain. */
  g_autoptr(Plane) near = plane_distance(hair, 0.5f, NULL);
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2];
    seeds_point(parts, i, p);
    if (near->v[i] < 0.012f * parts->unit && parts->label[i] && parts->hair.n && seeds_allow_hair(s, p) &&
        seeds_hair_ratio(s, i) < 1)
      parts->label[i] = PART_HEAD;
  }
}

static void return_hands(const Seeds *s) {
  for (int i = 0; i < s->parts->width * s->parts->height; i++)
    if (s->hands[i])
      s->parts->label[i] = s->hands[i];
}

/* What the sleeve's colour continues beyond the wrist of a hidden hand is its cuff. */
static void return_cuff(const Seeds *s, int side) {
  Parts *parts = s->parts;
  int n = parts->width * parts->height;
  const float *elbow = s->joint[JOINT_LEFT_ELBOW + side], *wrist = s->joint[JOINT_LEFT_WRIST + side];
  float length = point_distance(elbow, wrist), reach = 0.06f * parts->unit;
  if (!parts->hidden[side] || length < 1)
    return;
  Part arm = PART_LEFT_ARM + side;
  float end[2];
  point_mix(elbow, wrist, 1 + reach / length, end);
  g_autofree guint8 *sleeve = g_new0(guint8, (gsize)parts->width * (gsize)parts->height),
                    *leg = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  for (int i = 0; i < n; i++) {
    float p[2];
    seeds_point(parts, i, p);
    float along = segment_along(elbow, wrist, p);
    sleeve[i] = parts->label[i] == arm && along > 0.3f && along < 1 && parts->alpha->v[i] > 0.8f;
    leg[i] = parts->label[i] == PART_TORSO && p[1] > wrist[1] + 1.2f * reach && p[1] < wrist[1] + 4 * reach &&
             point_distance(p, wrist) < 5 * reach;
  }
  Palette cloth, other;
  float skin[3];
  gboolean bare = colour_of_disc(parts->lab, parts->alpha, s->joint[JOINT_HEAD], 0.3f * s->head_radius, skin);
  palette_learn(&cloth, parts->lab, sleeve, 5);
  palette_learn(&other, parts->lab, leg, 4);
  if (!cloth.n || !other.n)
    return;
  g_autoptr(Plane) mask = plane_new(parts->width, parts->height);
  for (int i = 0; i < n; i++) {
    float p[2], colour[3];
    seeds_point(parts, i, p);
    float beyond = (segment_along(elbow, wrist, p) - 1) * length;
    if (!parts->label[i] || beyond < 0 || point_distance(p, wrist) > reach ||
        segment_distance(elbow, end, p) > 1.4f * parts->radius[BONE_LEFT_FOREARM + side])
      continue;
    seeds_colour(parts, i, colour);
    float trousers = palette_distance(&other, colour);
    mask->v[i] = parts->label[i] == arm || palette_distance(&cloth, colour) < 0.7f * trousers ||
                 (bare && colour_distance(skin, colour, 0.4f) < MIN(25, 0.7f * trousers));
  }
  parts_keep_connected(parts, mask, arm);
  for (int i = 0; i < n; i++)
    if (mask->v[i] > 0.5f)
      parts->label[i] = (guint8)arm;
}

/* Small pieces that lie apart from their part go to whatever surrounds them. */
static void drop_islands(Parts *parts) {
  int n = parts->width * parts->height;
  g_autofree int *region = g_new(int, (gsize)parts->width *(gsize)parts->height);
  g_autoptr(Plane) known = plane_new(parts->width, parts->height);
  for (int part = 1; part < PARTS; part++) {
    g_autoptr(Plane) mask = plane_new(parts->width, parts->height);
    int *found = NULL, largest = 0;
    for (int i = 0; i < n; i++)
      mask->v[i] = parts->label[i] == part;
    int count = plane_regions(mask, 0.5f, region, &found);
    g_autofree int *size = found;
    for (int k = 1; k <= count; k++)
      largest = MAX(largest, size[k]);
    float small = MIN(0.1f * (float)largest, 0.0015f * parts->unit * parts->unit);
    for (int i = 0; i < n; i++)
      if (region[i] && (float)size[region[i]] < small)
        parts->label[i] = PARTS;
  }
  for (int i = 0; i < n; i++)
    known->v[i] = parts->label[i] != PART_NONE && parts->label[i] != PARTS;
  plane_free(plane_distance(known, 0.5f, region));
  for (int i = 0; i < n; i++)
    if (parts->label[i] == PARTS)
      parts->label[i] = region[i] >= 0 ? parts->label[region[i]] : PART_NONE;
}

static float forearm_distance(const Seeds *s, int side, const float p[2]) {
  return segment_distance(s->joint[JOINT_LEFT_ELBOW + side], s->joint[JOINT_LEFT_WRIST + side], p);
}

/* Pixels that an open hand of this length covers. */
static float hand_area(const Seeds *s, int side) {
  float tip[2];
  parts_finger_tips(s->parts, side, tip);
  float length = point_distance(s->joint[JOINT_LEFT_WRIST + side], tip);
  return 0.45f * length * length;
}

/* Light that a drawn figure sheds would trail behind its arms: what is translucent and far from an arm's
 * bones goes to the head where that is near, and is dropped elsewhere. */
static void drop_glow(const Seeds *s) {
  Parts *parts = s->parts;
  g_autoptr(Plane) head = plane_new(parts->width, parts->height);
  for (int i = 0; i < parts->width * parts->height; i++)
    head->v[i] = parts->label[i] == PART_HEAD;
  g_autoptr(Plane) to_head = plane_distance(head, 0.5f, NULL), hands = plane_new(parts->width, parts->height);
  int found[2] = {0};
  for (int i = 0; i < parts->width * parts->height; i++)
    if (s->hands[i]) {
      hands->v[i] = 1;
      found[s->hands[i] - PART_LEFT_ARM]++;
    }
  g_autoptr(Plane) to_hand = plane_distance(hands, 0.5f, NULL);
  for (int i = 0; i < parts->width * parts->height; i++) {
    Part part = parts->label[i];
    float p[2];
    if (part != PART_LEFT_ARM && part != PART_RIGHT_ARM)
      continue;
    int side = part - PART_LEFT_ARM;
    seeds_point(parts, i, p);
    float away = seeds_arm_ratio(s, side, p), alpha = parts->alpha->v[i];
    float from_hand = parts->hidden[side] ? G_MAXFLOAT : seeds_hand_distance(s, side, p) / parts->unit;
    gboolean sheer = alpha < 0.97f && away > 1.25f && from_hand > 0.03f;
    /* Where the hand's own pixels are known, other things beside it are not the hand. */
    gboolean beside = found[side] > 0.25f * hand_area(s, side) && to_hand->v[i] > 0.006f * parts->unit &&
                      forearm_distance(s, side, p) > 1.3f * parts->radius[BONE_LEFT_FOREARM + side];
    gboolean hair = away > 1.25f && from_hand > 0.015f && parts->hair.n && seeds_hair_ratio(s, i) < 1.5f;
    if ((sheer || hair || (beside && from_hand < 0.08f)) && to_head->v[i] < 0.04f * parts->unit)
      parts->label[i] = PART_HEAD;
    else if (away > 2.2f && alpha < 0.6f && from_hand > 0.05f)
      parts->label[i] = PART_NONE;
  }
}

/* Below a skirt there are only legs. */
static void return_legs(const Seeds *s) {
  Parts *parts = s->parts;
  if (!parts->skirt)
    return;
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2], distance[2];
    seeds_point(parts, i, p);
    if (parts->label[i] != PART_TORSO || p[1] < parts->hem + 0.015f * parts->unit)
      continue;
    for (int side = 0; side < 2; side++)
      distance[side] =
          MIN(segment_distance(s->joint[JOINT_LEFT_HIP + side], s->joint[JOINT_LEFT_KNEE + side], p),
              segment_distance(s->joint[JOINT_LEFT_KNEE + side], s->joint[JOINT_LEFT_ANKLE + side], p));
    int side = distance[0] < distance[1] ? 0 : 1;
    if (distance[side] < 1.8f * parts->radius[BONE_LEFT_THIGH + side])
      parts->label[i] = (guint8)(PART_LEFT_LEG + side);
  }
}

/* What is left of a pocket's edge around a hidden wrist: too thin to be cloth of its own, it goes with the
 * cuff. */
static void return_slivers(const Seeds *s) {
  Parts *parts = s->parts;
  if (!parts->hidden[0] && !parts->hidden[1])
    return;
  g_autoptr(Plane) torso = plane_new(parts->width, parts->height);
  for (int i = 0; i < parts->width * parts->height; i++)
    torso->v[i] = parts->label[i] == PART_TORSO && parts->alpha->v[i] > 0.5f;
  g_autoptr(Plane) thick = plane_copy(torso);
  plane_open(thick, 0.011f * parts->unit);
  for (int side = 0; side < 2; side++) {
    const float *wrist = s->joint[JOINT_LEFT_WRIST + side];
    for (int i = 0; i < parts->width * parts->height && parts->hidden[side]; i++) {
      float p[2];
      seeds_point(parts, i, p);
      if (parts->label[i] == PART_TORSO && thick->v[i] < 0.5f &&
          point_distance(p, wrist) < 0.06f * parts->unit)
        parts->label[i] = (guint8)(PART_LEFT_ARM + side);
    }
  }
}

/* Where a leg stands before the far side of a skirt, its outline and the light on it are its own. */
static void widen_legs(const Seeds *s) {
  Parts *parts = s->parts;
  if (!parts->skirt)
    return;
  g_autoptr(Plane) legs = plane_new(parts->width, parts->height);
  g_autofree int *nearest = g_new(int, (gsize)parts->width *(gsize)parts->height);
  for (int i = 0; i < parts->width * parts->height; i++)
    legs->v[i] = parts->label[i] == PART_LEFT_LEG || parts->label[i] == PART_RIGHT_LEG;
  g_autoptr(Plane) distance = plane_distance(legs, 0.5f, nearest);
  for (int i = 0; i < parts->width * parts->height; i++) {
    float y = (float)(i / parts->width) + 0.5f;
    if (parts->label[i] != PART_TORSO || nearest[i] < 0 || distance->v[i] > 0.005f * parts->unit)
      continue;
    Part leg = parts->label[nearest[i]];
    if (y > parts->leg_hem[leg - PART_LEFT_LEG] + 0.015f * parts->unit)
      parts->label[i] = (guint8)leg;
  }
}

void parts_label(Parts *parts) {
  Seeds s;
  parts->label = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  g_autofree guint8 *hands = g_new0(guint8, (gsize)parts->width * (gsize)parts->height);
  seeds_place(&s, parts, hands);
  g_autoptr(Plane) gradient = watershed_gradient(parts->lab, parts->alpha, 0.0014f * parts->unit);
  watershed_flood(gradient, parts->alpha, SEEDS_FLOOR, parts->label);
  smooth_borders(parts);
  return_hair(&s);
  return_hands(&s);
  return_cuff(&s, 0);
  return_cuff(&s, 1);
  return_slivers(&s);
  return_legs(&s);
  drop_islands(parts);
  smooth_borders(parts);
  widen_legs(&s);
  drop_glow(&s);
  drop_islands(parts);
}
