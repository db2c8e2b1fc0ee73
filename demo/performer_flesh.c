/* Where every solid sits, and the field that they make.
 *
 * A solid is a round cone (two spheres and their common tangent cone) after Quilez, in the frame of its bone
 * and stretched along its axes, which also gives ellipsoids. The stretched distance times the smallest
 * stretch never overestimates, so marching is safe. */
#include "performer_flesh.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define NO_CUT FLT_MAX
#define BEND_MAX 0.07f /* more than any melt */

typedef struct {
  Flesh *flesh;
  int person;
} Tailor;

static Solid *solid_add(Tailor *t, int group, float melt) {
  g_assert(t->flesh->count < FLESH_MAX_SOLIDS);
  Solid *s = &t->flesh->solid[t->flesh->count++];
  memset(s, 0, sizeof *s);
  s->group = (guint8)(t->person * FLESH_GROUPS + group);
  s->melt = melt;
  s->cut = NO_CUT;
  return s;
}

static void solid_frame(Solid *s, vec3s at, mat3s axes, vec3s stretch) {
  for (int r = 0; r < 3; r++) {
    for (int c = 0; c < 3; c++)
      s->rows[r][c] = axes.col[r].raw[c] / stretch.raw[r];
    s->at[r] = at.raw[r];
  }
  s->thin = fminf(stretch.x, fminf(stretch.y, stretch.z));
  s->cut_scale = stretch.y;
  s->slope = s->h > 0 ? (s->r1 - s->r2) / s->h : 0;
  s->slant = sqrtf(fmaxf(1 - s->slope * s->slope, 0));
  vec3s middle = glms_vec3_add(at, glms_vec3_scale(axes.col[1], 0.5f * s->h * stretch.y));
  float wide = fmaxf(stretch.x, fmaxf(stretch.y, stretch.z));
  memcpy(s->centre, middle.raw, sizeof s->centre);
  s->reach = 0.5f * s->h * stretch.y + fmaxf(s->r1, s->r2) * wide;
}

static Solid *ellipsoid(Tailor *t, int group, float melt, const BoneFrame *bone, vec3s at, vec3s radii) {
  Solid *s = solid_add(t, group, melt);
  s->r1 = s->r2 = 1;
  solid_frame(s, bone_point(bone, at.x, at.y, at.z), bone->axes, radii);
  return s;
}

/* From a to b in the bone's frame; flat squeezes along the bone's z (the cone's own z, as near to it as can
 * be). */
static Solid *cone(Tailor *t, int group, float melt, const BoneFrame *bone, vec3s a, vec3s b, float r1,
                   float r2, float flat) {
  Solid *s = solid_add(t, group, melt);
  vec3s from = bone_point(bone, a.x, a.y, a.z), to = bone_point(bone, b.x, b.y, b.z);
  vec3s y = glms_vec3_sub(to, from);
  s->h = glms_vec3_norm(y);
  s->r1 = r1;
  s->r2 = r2;
  y = glms_vec3_scale(y, 1 / s->h);
  vec3s x = glms_vec3_cross(y, bone->axes.col[2]);
  if (glms_vec3_norm(x) < 0.1f)
    x = glms_vec3_cross(y, bone->axes.col[1]);
  x = glms_vec3_normalize(x);
  solid_frame(s, from, (mat3s){.col = {x, y, glms_vec3_cross(x, y)}}, (vec3s){{1, 1, flat}});
  return s;
}

#define AT(X, Y, Z) ((vec3s){{(X), (Y), (Z)}})

static void dress_head(Tailor *t, const Body *body, gboolean short_hair) {
  const BoneFrame *head = &body->bone[BONE_HEAD], *neck = &body->bone[BONE_NECK],
                  *chest = &body->bone[BONE_CHEST];
  ellipsoid(t, FLESH_SKIN, 0.02f, head, AT(0, -0.020f, 0.008f), AT(0.073f, 0.096f, 0.091f));
  ellipsoid(t, FLESH_SKIN, 0.04f, head, AT(0, 0.036f, -0.026f), AT(0.053f, 0.066f, 0.062f));  /* jaw */
  ellipsoid(t, FLESH_SKIN, 0.03f, head, AT(0, 0.088f, -0.058f), AT(0.020f, 0.018f, 0.022f));  /* chin */
  ellipsoid(t, FLESH_SKIN, 0.03f, head, AT(0, -0.018f, -0.062f), AT(0.050f, 0.016f, 0.020f)); /* brows */
  cone(t, FLESH_SKIN, 0.014f, head, AT(0, -0.004f, -0.084f), AT(0, 0.031f, -0.098f), 0.004f, 0.0070f,
       1); /* nose */
  for (int side = -1; side <= 1; side += 2) {
    float o = (float)side;
    ellipsoid(t, FLESH_SKIN, 0.012f, head, AT(o * 0.0068f, 0.034f, -0.090f), AT(0.0055f, 0.005f, 0.009f));
    ellipsoid(t, FLESH_SKIN, 0.03f, head, AT(o * 0.040f, 0.032f, -0.056f),
              AT(0.021f, 0.022f, 0.020f)); /* cheek */
    ellipsoid(t, FLESH_SKIN, 0.008f, head, AT(o * 0.074f, 0.012f, 0.012f), AT(0.008f, 0.030f, 0.018f));
    ellipsoid(t, FLESH_SKIN, 0.02f, head, AT(o * 0.031f, 0.003f, -0.109f), AT(0.019f, 0.011f, 0.022f))
        ->carve = TRUE;
  }
  ellipsoid(t, FLESH_SKIN, 0.010f, head, AT(0, 0.0635f, -0.082f), AT(0.021f, 0.0055f, 0.010f)); /* lips */
  ellipsoid(t, FLESH_SKIN, 0.010f, head, AT(0, 0.0720f, -0.080f), AT(0.017f, 0.0060f, 0.010f));
  cone(t, FLESH_SKIN, 0.03f, neck, AT(0, 0.03f, 0.004f), AT(0, -0.11f, -0.018f), 0.050f, 0.044f, 1);
  ellipsoid(t, FLESH_SKIN, 0.03f, chest, AT(0, -0.190f, 0.006f), AT(0.105f, 0.075f, 0.074f));
  /* Hair lies over the skull; what frames the face is carved away. */
  Solid *cap = ellipsoid(t, FLESH_HAIR, 0.02f, head, AT(0, -0.026f, 0.014f), AT(0.083f, 0.104f, 0.098f));
  if (short_hair) {
    cap->cut = 0.55f;
    ellipsoid(t, FLESH_HAIR, 0.03f, head, AT(0.012f, -0.105f, -0.030f), AT(0.060f, 0.032f, 0.058f));
    ellipsoid(t, FLESH_HAIR, 0.03f, head, AT(0, 0.01f, 0.062f), AT(0.058f, 0.07f, 0.038f));
  } else {
    ellipsoid(t, FLESH_HAIR, 0.012f, head, AT(0, -0.135f, 0.040f), AT(0.045f, 0.040f, 0.043f)); /* bun */
    ellipsoid(t, FLESH_HAIR, 0.03f, head, AT(0, 0.03f, 0.058f), AT(0.062f, 0.075f, 0.042f));
    for (int side = -1; side <= 1; side += 2) /* locks at the temples */
      cone(t, FLESH_HAIR, 0.02f, head, AT((float)side * 0.070f, -0.04f, -0.030f),
           AT((float)side * 0.074f, 0.030f, -0.024f), 0.014f, 0.006f, 1);
  }
  Solid *face =
      ellipsoid(t, FLESH_HAIR, 0.016f, head, AT(0.010f, 0.050f, -0.105f), AT(0.070f, 0.118f, 0.076f));
  face->carve = TRUE;
}

static void dress_trunk(Tailor *t, const Body *body, gboolean broad) {
  const BoneFrame *chest = &body->bone[BONE_CHEST], *spine = &body->bone[BONE_SPINE],
                  *pelvis = &body->bone[BONE_PELVIS];
  float b = broad ? 1.07f : 1.0f;
  ellipsoid(t, FLESH_SHIRT, 0.05f, chest, AT(0, -0.09f, 0.004f), AT(0.138f * b, 0.180f, 0.100f));
  for (int side = 0; side < 2; side++) {
    float o = side == 0 ? 1.0f : -1.0f;
    vec3s shoulder = glms_mat3_mulv(glms_mat3_transpose(chest->axes),
                                    glms_vec3_sub(body->bone[BONE_UPPER_ARM + side].at, chest->at));
    cone(t, FLESH_SHIRT, 0.03f, chest, AT(o * 0.045f, -0.245f, 0.018f),
         AT(shoulder.x * 0.93f, shoulder.y + 0.004f, shoulder.z), 0.042f, 0.038f, 1);
    if (!broad)
      ellipsoid(t, FLESH_SHIRT, 0.05f, chest, AT(o * 0.062f, -0.085f, -0.062f), AT(0.058f, 0.058f, 0.050f));
  }
  ellipsoid(t, FLESH_SHIRT, 0.06f, spine, AT(0, -0.01f, 0), AT(0.108f * b, 0.150f, 0.084f * b));
  Solid *hem = cone(t, FLESH_SHIRT, 0.05f, pelvis, AT(0, -0.10f, 0), AT(0, 0.02f, 0), 0.120f, 0.122f, 0.72f);
  hem->cut = 0.100f;
  Solid *neckline = ellipsoid(t, FLESH_SHIRT, 0.008f, &body->bone[BONE_NECK], AT(0, -0.012f, -0.040f),
                              AT(0.068f, 0.062f, 0.100f));
  neckline->carve = TRUE;
}

static void dress_arm(Tailor *t, const Body *body, int side) {
  const BoneFrame *upper = &body->bone[BONE_UPPER_ARM + side], *fore = &body->bone[BONE_FOREARM + side];
  float o = side == 0 ? 1.0f : -1.0f;
  Solid *sleeve =
      cone(t, FLESH_SLEEVE + side, 0.03f, upper, AT(0, 0, 0), AT(0, 0.20f, 0), 0.046f, 0.0515f, 1);
  sleeve->cut = 0.140f;
  int arm = FLESH_ARM + side;
  cone(t, arm, 0.014f, upper, AT(0, 0.02f, 0), AT(0, UPPER_ARM_LENGTH, 0), 0.040f, 0.0315f, 1);
  cone(t, arm, 0.014f, fore, AT(0, 0, 0), AT(0, FOREARM_LENGTH, 0), 0.0315f, 0.0215f, 0.92f);
  cone(t, arm, 0.02f, fore, AT(0, 0.05f, 0.004f), AT(0, 0.11f, 0.002f), 0.0295f, 0.026f, 1);
  const BoneFrame *hand = &body->bone[BONE_HAND + side];
  cone(t, arm, 0.02f, hand, AT(0, 0.005f, 0), AT(o * 0.004f, 0.050f, 0), 0.026f, 0.036f, 0.46f);
  cone(t, arm, 0.015f, hand, AT(o * 0.020f, 0.035f, 0), AT(o * 0.024f, 0.084f, 0), 0.014f, 0.0115f, 0.9f);
  cone(t, arm, 0.015f, hand, AT(-o * 0.016f, 0.035f, 0), AT(-o * 0.026f, 0.072f, 0), 0.015f, 0.0105f, 0.9f);
  cone(t, arm, 0.012f, hand, AT(o * 0.020f, 0.022f, -0.008f), AT(o * 0.044f, 0.052f, -0.016f), 0.0145f,
       0.0105f, 1);
  cone(t, arm, 0.006f, hand, AT(o * 0.044f, 0.052f, -0.016f), AT(o * 0.054f, 0.082f, -0.024f), 0.0105f,
       0.0085f, 1);
  static const float root[4][2] = {{0.027f, 0.086f}, {0.009f, 0.090f}, {-0.010f, 0.087f}, {-0.027f, 0.077f}};
  static const float length[4] = {0.070f, 0.078f, 0.071f, 0.056f};
  for (int f = 0; f < 4; f++) {
    /* Two bones per finger; curling turns both towards the palm. */
    float a1 = 0.10f + 0.9f * body->curl[side], a2 = a1 * 2.1f, half = length[f] * 0.52f;
    float fan = root[f][0] * 2.4f * (1 - body->curl[side]);
    vec3s base = AT(o * root[f][0], root[f][1] - 0.014f, 0);
    vec3s middle = AT(base.x + o * fan * half, base.y + half * cosf(a1), base.z - half * sinf(a1));
    vec3s tip = AT(middle.x + o * fan * half * 0.6f, middle.y + half * cosf(a2), middle.z - half * sinf(a2));
    cone(t, arm, 0.004f, hand, base, middle, 0.0098f, 0.0088f, 1);
    cone(t, arm, 0.003f, hand, middle, tip, 0.0088f, 0.0072f, 1);
  }
}

static void dress_leg(Tailor *t, const Body *body, int side) {
  const BoneFrame *thigh = &body->bone[BONE_THIGH + side], *shin = &body->bone[BONE_SHIN + side];
  const BoneFrame *foot = &body->bone[BONE_FOOT + side];
  int leg = FLESH_LEG + side, shoe = FLESH_SHOE + side;
  cone(t, leg, 0.04f, thigh, AT(0, 0.02f, 0.004f), AT(0, THIGH_LENGTH, 0), 0.076f, 0.050f, 1);
  cone(t, leg, 0.04f, thigh, AT(0, 0.10f, -0.006f), AT(0, 0.24f, -0.012f), 0.068f, 0.060f, 1);
  ellipsoid(t, leg, 0.03f, shin, AT(0, 0.0f, -0.010f), AT(0.043f, 0.055f, 0.044f)); /* knee */
  Solid *tube = cone(t, leg, 0.04f, shin, AT(0, 0, 0), AT(0, 0.42f, 0.004f), 0.048f, 0.041f, 1);
  tube->cut = 0.385f;
  ellipsoid(t, leg, 0.05f, shin, AT(0, 0.13f, 0.022f), AT(0.045f, 0.115f, 0.042f)); /* calf */
  cone(t, shoe, 0.02f, shin, AT(0, 0.32f, 0.004f), AT(0, 0.42f, 0), 0.034f, 0.034f, 1);
  cone(t, shoe, 0.03f, foot, AT(0, 0.052f, 0.034f), AT(0, 0.056f, -0.080f), 0.038f, 0.043f, 1);
  cone(t, shoe, 0.03f, foot, AT(0, 0.056f, -0.080f), AT(0, 0.060f, -0.140f), 0.043f, 0.034f, 1);
  cone(t, shoe, 0.03f, foot, AT(0, -0.008f, 0.012f), AT(0, 0.040f, -0.070f), 0.042f, 0.036f, 1);
  Solid *ground = ellipsoid(t, shoe, 0.004f, foot, AT(0, 0.585f, -0.05f), AT(2, 0.5f, 2));
  ground->carve = TRUE;
  ground->reach = 0.2f; /* it matters near the sole only */
  memcpy(ground->centre, foot->at.raw, sizeof ground->centre);
}

static void dress_hips(Tailor *t, const Body *body, gboolean broad) {
  const BoneFrame *pelvis = &body->bone[BONE_PELVIS];
  float b = broad ? 0.95f : 1.0f;
  ellipsoid(t, FLESH_HIPS, 0.05f, pelvis, AT(0, -0.050f, 0.002f), AT(0.128f, 0.11f, 0.096f));
  ellipsoid(t, FLESH_HIPS, 0.05f, pelvis, AT(0, 0.025f, 0.006f), AT(0.156f * b, 0.085f, 0.104f));
  for (int side = 0; side < 2; side++)
    ellipsoid(t, FLESH_HIPS, 0.05f, pelvis, AT(side == 0 ? 0.07f : -0.07f, 0.03f, 0.060f),
              AT(0.078f, 0.085f, 0.066f));
  ellipsoid(t, FLESH_HIPS, 0.05f, pelvis, AT(0, 0.062f, 0.006f), AT(0.048f, 0.075f, 0.060f));
  Solid *above = ellipsoid(t, FLESH_HIPS, 0.004f, pelvis, AT(0, -0.59f, 0), AT(2, 0.5f, 2));
  above->carve = TRUE; /* the trousers end at the waist */
  above->reach = 0.25f;
  memcpy(above->centre, pelvis->at.raw, sizeof above->centre);
}

void flesh_dress(Flesh *flesh) {
  flesh->count = 0;
  for (int person = 0; person < flesh->people; person++) {
    Tailor t = {flesh, person};
    const Body *body = &flesh->body[person];
    gboolean second = flesh->short_hair[person];
    dress_head(&t, body, second);
    dress_trunk(&t, body, second);
    dress_hips(&t, body, second);
    for (int side = 0; side < 2; side++) {
      dress_arm(&t, body, side);
      dress_leg(&t, body, side);
    }
  }
}

static inline float smooth_min(float a, float b, float k) {
  float h = k - fabsf(a - b);
  if (h <= 0)
    return MIN(a, b);
  return MIN(a, b) - h * h * 0.25f / k;
}

static inline float smooth_max(float a, float b, float k) {
  return -smooth_min(-a, -b, k);
}

static inline float solid_distance(const Solid *s, const float p[3]) {
  float dx = p[0] - s->at[0], dy = p[1] - s->at[1], dz = p[2] - s->at[2];
  float x = s->rows[0][0] * dx + s->rows[0][1] * dy + s->rows[0][2] * dz;
  float y = s->rows[1][0] * dx + s->rows[1][1] * dy + s->rows[1][2] * dz;
  float z = s->rows[2][0] * dx + s->rows[2][1] * dy + s->rows[2][2] * dz;
  float r = sqrtf(x * x + z * z), d;
  if (s->h == 0) {
    d = sqrtf(r * r + y * y) - s->r1;
  } else {
    float k = -s->slope * r + s->slant * y;
    if (k < 0)
      d = sqrtf(r * r + y * y) - s->r1;
    else if (k > s->slant * s->h)
      d = sqrtf(r * r + (y - s->h) * (y - s->h)) - s->r2;
    else
      d = r * s->slant + y * s->slope - s->r1;
  }
  d *= s->thin;
  if (s->cut != NO_CUT)
    d = MAX(d, (y - s->cut) * s->cut_scale);
  return d;
}

/* How much two limbs melt at p: wholly at the joint, not at all beyond `far`. */
static float joint_melt(const float p[3], const vec3s *joint, float near, float far, float melt) {
  float x = p[0] - joint->x, y = p[1] - joint->y, z = p[2] - joint->z;
  float t = CLAMP((sqrtf(x * x + y * y + z * z) - near) / (far - near), 0.0f, 1.0f);
  return melt * (1 - t * t * (3 - 2 * t));
}

static void join_limbs(const Flesh *flesh, int person, float *d, const float p[3]) {
  const BoneFrame *bone = flesh->body[person].bone;
  float *g = d + person * FLESH_GROUPS;
  for (int side = 0; side < 2; side++) {
    float *shirt = &g[FLESH_SHIRT], *sleeve = &g[FLESH_SLEEVE + side];
    if (fabsf(*shirt - *sleeve) < 0.07f && *shirt < 0.5f) {
      float k = joint_melt(p, &bone[BONE_UPPER_ARM + side].at, 0.06f, 0.17f, 0.035f);
      if (k > 0)
        *(*shirt < *sleeve ? shirt : sleeve) = smooth_min(*shirt, *sleeve, k);
    }
    float *hips = &g[FLESH_HIPS], *leg = &g[FLESH_LEG + side];
    if (fabsf(*hips - *leg) < 0.07f && *hips < 0.5f) {
      float k = joint_melt(p, &bone[BONE_THIGH + side].at, 0.09f, 0.20f, 0.06f);
      if (k > 0)
        *(*hips < *leg ? hips : leg) = smooth_min(*hips, *leg, k);
    }
  }
}

/* Whether the solid is so far away that it can neither be nearest nor bend what is. */
static inline gboolean solid_idle(const Solid *s, const float p[3], float best) {
  float x = p[0] - s->centre[0], y = p[1] - s->centre[1], z = p[2] - s->centre[2],
        far = best + s->reach + BEND_MAX;
  return x * x + y * y + z * z > far * far;
}

float flesh_distance(const Flesh *flesh, const guint8 *list, int count, const float p[3], int *group) {
  float d[FLESH_ALL_GROUPS] = {1e3f};
  int groups = flesh->people * FLESH_GROUPS;
  for (int g = 0; g < groups; g++)
    d[g] = 1e3f;
  float best = 1e2f; /* of the groups that are complete: a list keeps each group together */
  int last = count > 0 ? flesh->solid[list[0]].group : 0;
  for (int i = 0; i < count; i++) {
    const Solid *s = &flesh->solid[list[i]];
    if (s->group != last) {
      best = MIN(best, d[last]);
      last = s->group;
    }
    float *into = &d[s->group];
    if (s->carve ? *into > 0.3f : solid_idle(s, p, MAX(best, 0)))
      continue;
    float one = solid_distance(s, p);
    *into = s->carve ? smooth_max(*into, -one, s->melt) : smooth_min(*into, one, s->melt);
  }
  for (int person = 0; person < flesh->people; person++)
    join_limbs(flesh, person, d, p);
  int nearest = 0;
  for (int g = 1; g < groups; g++)
    if (d[g] < d[nearest])
      nearest = g;
  if (group)
    *group = d[nearest] < 900.0f ? nearest : -1;
  return d[nearest];
}
