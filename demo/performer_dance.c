/* Key poses on the beats, joined by periodic Catmull-Rom splines: smooth, and on the beat exactly where it
 * was drawn.
 *
 * Arms are interpolated as directions, which keeps the bones' lengths and stays clear of the singularities of
 * angles. Feet follow another rule: a foot stands still from one step to the next and crosses in an arc
 * between two beats. */
#include "performer_dance.h"
#include <math.h>
#include <string.h>

#define DEGREE ((float)(G_PI / 180.0))

typedef struct {
  float upper[3], fore[3], palm[3], curl;
} ArmKey;

enum {
  ARM_DOWN,
  ARM_HIP,
  ARM_HIGH,
  ARM_WAVE_OUT,
  ARM_WAVE_IN,
  ARM_CROSS,
  ARM_ASIDE,
  ARM_CROWN,
  ARM_BENT,
  ARM_FORWARD
};

/* x outwards, y down, z backwards, in the frame of the chest. */
static const ArmKey arm_keys[] = {
    [ARM_DOWN] = {{0.30f, 0.95f, 0.02f}, {0.16f, 0.95f, -0.25f}, {-0.8f, 0.0f, 0.4f}, 0.35f},
    [ARM_HIP] = {{0.74f, 0.62f, 0.24f}, {-0.76f, 0.62f, -0.24f}, {-0.4f, 0.1f, 0.9f}, 0.45f},
    [ARM_HIGH] = {{0.62f, -0.76f, -0.10f}, {0.30f, -0.95f, -0.06f}, {-0.25f, 0.0f, -0.95f}, 0.10f},
    [ARM_WAVE_OUT] = {{0.88f, 0.12f, -0.20f}, {0.42f, -0.90f, -0.12f}, {0.0f, -0.1f, -1.0f}, 0.06f},
    [ARM_WAVE_IN] = {{0.88f, 0.05f, -0.20f}, {-0.30f, -0.94f, -0.14f}, {0.0f, 0.1f, -1.0f}, 0.06f},
    [ARM_CROSS] = {{0.28f, 0.84f, -0.46f}, {-0.80f, -0.22f, -0.56f}, {0.1f, -0.2f, 0.97f}, 0.25f},
    [ARM_ASIDE] = {{0.74f, 0.64f, -0.16f}, {0.56f, -0.68f, -0.46f}, {0.1f, -0.8f, -0.6f}, 0.12f},
    [ARM_CROWN] = {{0.74f, -0.66f, -0.10f}, {-0.42f, -0.88f, -0.14f}, {-0.5f, 0.5f, -0.7f}, 0.2f},
    [ARM_BENT] = {{0.52f, 0.82f, 0.22f}, {0.22f, -0.52f, -0.82f}, {-0.9f, 0.2f, -0.3f}, 0.8f},
    [ARM_FORWARD] = {{0.32f, 0.66f, -0.66f}, {0.12f, -0.62f, -0.76f}, {-0.2f, -0.9f, -0.4f}, 0.1f},
};

typedef struct {
  gint8 left, right;                                             /* arms */
  float x;                                                       /* of the pelvis, metres */
  float hips_yaw, hips_roll, chest_yaw, chest_roll, chest_pitch; /* degrees */
  float head_yaw, head_pitch, head_roll;                         /* degrees */
} Key;

static const Key solo[DANCE_BEATS] = {
    {ARM_DOWN, ARM_DOWN, 0.00f, 0, 0, 0, 0, 2, 0, 0, 0},
    {ARM_ASIDE, ARM_HIP, 0.06f, 8, -4, 8, 5, 1, 12, -2, 4},
    {ARM_HIGH, ARM_HIP, 0.10f, 14, -6, 10, 8, -2, 16, -8, 6},
    {ARM_WAVE_OUT, ARM_HIP, 0.02f, -2, 4, -4, -4, 1, -6, 0, -6},
    {ARM_HIP, ARM_HIGH, -0.10f, -14, 6, -10, -8, -2, -16, -8, -6},
    {ARM_CROSS, ARM_CROSS, -0.03f, 0, -3, 0, 4, 5, 4, 10, 4},
    {ARM_CROWN, ARM_WAVE_IN, 0.06f, 6, 5, 6, -4, -2, 4, -6, -6},
    {ARM_WAVE_OUT, ARM_ASIDE, -0.04f, -6, -5, -6, 4, 2, -8, 2, 4},
};

static const Key partner[DANCE_BEATS] = {
    {ARM_BENT, ARM_ASIDE, 0.00f, 0, 3, 0, -3, 2, 0, 2, -4},
    {ARM_BENT, ARM_DOWN, 0.05f, 6, -3, 8, 4, 3, 8, 4, 4},
    {ARM_FORWARD, ARM_HIP, 0.06f, 8, -4, 6, 4, 2, 6, -2, 2},
    {ARM_HIGH, ARM_HIP, 0.00f, 0, 0, -6, 0, -2, -6, -6, 0},
    {ARM_HIGH, ARM_HIGH, -0.05f, -6, 4, -6, -4, -2, 0, -8, 0},
    {ARM_ASIDE, ARM_BENT, -0.06f, -8, 4, -8, -4, 3, -8, 3, -4},
    {ARM_DOWN, ARM_BENT, 0.00f, 0, -3, 0, 3, 3, 0, 5, 4},
    {ARM_ASIDE, ARM_ASIDE, 0.03f, 4, 3, 4, -3, 0, 6, 0, -3},
};

/* A step arrives on its beat and begins `during` beats before. heel stays lifted until the next step. */
typedef struct {
  float beat, x, z, heel;
} Step;

#define STEP_BEATS 0.62f
/* Each list goes round; its first step's place is where the last one leads. */
static const Step left_steps[] = {
    {1.0f, 0.27f, 0.0f, 0}, {4.0f, -0.02f, 0.02f, 0.45f}, {5.0f, 0.18f, 0, 0}, {8.0f, 0.125f, 0, 0}};
static const Step right_steps[] = {
    {2.0f, 0.02f, 0.02f, 0.45f}, {3.0f, -0.27f, 0.0f, 0}, {7.0f, -0.18f, 0, 0}, {8.0f, -0.125f, 0, 0}};

static float spline(float p0, float p1, float p2, float p3, float t) {
  /* Tension above Catmull-Rom's settles poses on the beat instead of swinging past them. */
  float m1 = 0.36f * (p2 - p0), m2 = 0.36f * (p3 - p1), t2 = t * t, t3 = t2 * t;
  return (2 * t3 - 3 * t2 + 1) * p1 + (t3 - 2 * t2 + t) * m1 + (-2 * t3 + 3 * t2) * p2 + (t3 - t2) * m2;
}

typedef struct {
  const Key *key[4];
  float t;
} Span;

static Span span_at(const Key *keys, float beat) {
  int at = (int)floorf(beat);
  Span span = {.t = beat - (float)at};
  for (int i = 0; i < 4; i++)
    span.key[i] = &keys[((at + i - 1) % DANCE_BEATS + DANCE_BEATS) % DANCE_BEATS];
  return span;
}

#define BETWEEN(span, field)                                                                                 \
  spline((span)->key[0]->field, (span)->key[1]->field, (span)->key[2]->field, (span)->key[3]->field,         \
         (span)->t)

static void blend_arm(const Span *span, gboolean right, ArmPose *arm) {
  const ArmKey *k[4];
  for (int i = 0; i < 4; i++)
    k[i] = &arm_keys[right ? span->key[i]->right : span->key[i]->left];
  for (int c = 0; c < 3; c++) {
    arm->upper.raw[c] = spline(k[0]->upper[c], k[1]->upper[c], k[2]->upper[c], k[3]->upper[c], span->t);
    arm->fore.raw[c] = spline(k[0]->fore[c], k[1]->fore[c], k[2]->fore[c], k[3]->fore[c], span->t);
    arm->palm.raw[c] = spline(k[0]->palm[c], k[1]->palm[c], k[2]->palm[c], k[3]->palm[c], span->t);
  }
  arm->curl = CLAMP(spline(k[0]->curl, k[1]->curl, k[2]->curl, k[3]->curl, span->t), 0, 1);
}

static float ease(float t) {
  return t * t * t * (t * (6 * t - 15) + 10);
}

static void place_foot(const Step *steps, int count, float beat, FootPose *foot) {
  int last = count - 1;
  while (last >= 0 && steps[last].beat - STEP_BEATS > beat)
    last--;
  const Step *to = &steps[last < 0 ? count - 1 : last];
  const Step *from = &steps[((last < 0 ? count - 1 : last) + count - 1) % count];
  float arrive = last < 0 ? to->beat - DANCE_BEATS : to->beat;
  float t = CLAMP((beat - (arrive - STEP_BEATS)) / STEP_BEATS, 0, 1), e = ease(t);
  foot->ankle = (vec3s){{from->x + (to->x - from->x) * e, 0.055f * sinf((float)G_PI * e) * (t < 1),
                         from->z + (to->z - from->z) * e}};
  foot->heel = from->heel + (to->heel - from->heel) * e + 0.28f * sinf((float)G_PI * t) * (t < 1);
  foot->yaw = 14 * DEGREE;
}

/* Two who pass each other: each crosses the stage and comes back once in a round. */
static float passage(float beat, int variant, float spread) {
  float x = spread * cosf(2 * (float)G_PI * beat / (2 * DANCE_BEATS));
  return variant == 1 ? -x : x;
}

/* Small steps on the way: the plan of the feet moves on by stages, so that each foot stands between two
 * stages. */
static void walk_feet(float beat, int variant, float spread, Moment *m) {
  for (int side = 0; side < 2; side++) {
    float phase = beat + (side == 0 ? 0.0f : 1.0f), stage = 2 * floorf(phase / 2), t = (phase - stage) / 2;
    float moving = CLAMP((t - 0.55f) / 0.45f, 0, 1), e = ease(moving);
    float offset = side == 0 ? 0.115f : -0.115f, shift = side == 0 ? 0 : -1;
    float from = passage(stage + shift, variant, spread), to = passage(stage + 2 + shift, variant, spread);
    m->foot[side].ankle.x = from + (to - from) * e + offset;
    m->foot[side].ankle.y = 0.05f * sinf((float)G_PI * e);
    m->foot[side].ankle.z = variant == 1 ? -0.22f : 0.28f;
    m->foot[side].heel = 0.25f * sinf((float)G_PI * moving);
    m->foot[side].yaw = 10 * DEGREE;
  }
}

/* A number in -1..1 that belongs to the seed (Wang's integer hash). */
static float seed_value(guint seed, guint which) {
  guint h = seed * 2654435761u + which * 40503u + 97u;
  h = (h ^ 61u) ^ (h >> 16);
  h *= 9u;
  h ^= h >> 4;
  h *= 0x27d4eb2du;
  h ^= h >> 15;
  return (float)(h & 0xffffu) / 32767.5f - 1.0f;
}

void dance_moment(double seconds, int variant, float spread, guint seed, Moment *m) {
  double beats = seconds * DANCE_BEATS_PER_MINUTE / 60.0;
  float whole = (float)beats, beat = (float)fmod(beats, DANCE_BEATS);
  float size = seed == 0 ? 1.0f : 1.0f + 0.15f * seed_value(seed, 1);
  const Key *keys = variant == 2 ? partner : solo;
  memset(m, 0, sizeof *m);
  Span span = span_at(keys, beat);
  blend_arm(&span, FALSE, &m->arm[0]);
  blend_arm(&span, TRUE, &m->arm[1]);
  /* Lively forearms between the beats. */
  for (int side = 0; side < 2; side++)
    m->arm[side].fore.x += 0.05f * size * sinf(2 * (float)G_PI * beat + (float)side);
  m->hips = (Turn){BETWEEN(&span, hips_yaw) * DEGREE * size, 0.0f, BETWEEN(&span, hips_roll) * DEGREE * size};
  m->chest = (Turn){BETWEEN(&span, chest_yaw) * DEGREE * size, BETWEEN(&span, chest_pitch) * DEGREE,
                    BETWEEN(&span, chest_roll) * DEGREE * size};
  m->head = (Turn){BETWEEN(&span, head_yaw) * DEGREE * size, BETWEEN(&span, head_pitch) * DEGREE,
                   BETWEEN(&span, head_roll) * DEGREE};
  m->pelvis.x = BETWEEN(&span, x);
  m->pelvis.y = -0.014f - 0.014f * cosf(2 * (float)G_PI * beat);
  if (variant == 0) {
    place_foot(left_steps, G_N_ELEMENTS(left_steps), beat, &m->foot[0]);
    place_foot(right_steps, G_N_ELEMENTS(right_steps), beat, &m->foot[1]);
    return;
  }
  m->pelvis.x = passage(whole, variant, spread) + 0.3f * m->pelvis.x;
  m->pelvis.z = variant == 1 ? -0.22f : 0.28f;
  walk_feet(whole, variant, spread, m);
}
