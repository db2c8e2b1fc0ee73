/* Every surface is coloured in the frame of the bone that carries it, so that a stripe or a fold moves with
 * the limb.
 *
 * Folds of cloth are a relief in the normal only: the outline stays that of the solids, which the mask and
 * the joints are exact for. */
#include "performer_look.h"
#include "base/plane.h"
#include <math.h>

const vec3s look_lamp = {{-0.36f, -0.82f, -0.44f}};
static const vec3s rim_lamp = {{0.80f, -0.42f, 0.43f}};

typedef struct {
  vec3s skin, lips, hair, shirt, trim, trousers, shoe, iris;
} Wardrobe;

/* Linear light. */
static const Wardrobe wardrobes[FLESH_MAX_PEOPLE] = {
    {{{0.70f, 0.41f, 0.285f}},
     {{0.50f, 0.115f, 0.105f}},
     {{0.045f, 0.022f, 0.014f}},
     {{0.70f, 0.165f, 0.085f}},
     {{0.80f, 0.72f, 0.58f}},
     {{0.050f, 0.085f, 0.190f}},
     {{0.68f, 0.66f, 0.62f}},
     {{0.11f, 0.055f, 0.025f}}},
    {{{0.30f, 0.150f, 0.090f}},
     {{0.22f, 0.075f, 0.060f}},
     {{0.012f, 0.010f, 0.010f}},
     {{0.52f, 0.50f, 0.13f}},
     {{0.05f, 0.09f, 0.13f}},
     {{0.060f, 0.058f, 0.062f}},
     {{0.10f, 0.30f, 0.34f}},
     {{0.05f, 0.028f, 0.016f}}},
};

float linear_from_srgb(float v) {
  return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

float srgb_from_linear(float v) {
  v = CLAMP(v, 0.0f, 1.0f);
  return v <= 0.0031308f ? v * 12.92f : 1.055f * powf(v, 1 / 2.4f) - 0.055f;
}

static float lattice(int x, int y, int z) {
  guint h = (guint)x * 374761393u + (guint)y * 668265263u + (guint)z * 2147483647u;
  h = (h ^ (h >> 13)) * 1274126177u;
  return (float)((h ^ (h >> 16)) & 0xffffu) / 32767.5f - 1.0f;
}

float look_noise(float x, float y, float z) {
  float fx = floorf(x), fy = floorf(y), fz = floorf(z);
  int ix = (int)fx, iy = (int)fy, iz = (int)fz;
  float u = smooth_step(0, 1, x - fx), v = smooth_step(0, 1, y - fy), w = smooth_step(0, 1, z - fz), sum = 0;
  for (int c = 0; c < 8; c++) {
    int a = c & 1, b = (c >> 1) & 1, d = c >> 2;
    sum += (a ? u : 1 - u) * (b ? v : 1 - v) * (d ? w : 1 - w) * lattice(ix + a, iy + b, iz + d);
  }
  return sum;
}

static vec3s local_point(const BoneFrame *bone, vec3s p) {
  return glms_mat3_mulv(glms_mat3_transpose(bone->axes), glms_vec3_sub(p, bone->at));
}

static vec3s mix(vec3s a, vec3s b, float t) {
  return glms_vec3_lerp(a, b, CLAMP(t, 0.0f, 1.0f));
}

static float bump(float x, float centre, float width) {
  float t = (x - centre) / width;
  return t * t > 30 ? 0 : expf(-t * t); /* expf is slow where it underflows */
}

/* 1 inside an ellipse, with a soft rim. */
static float spot(float x, float y, float rx, float ry, float soft) {
  float r = sqrtf((x / rx) * (x / rx) + (y / ry) * (y / ry));
  return 1 - smooth_step(1 - soft, 1 + soft, r);
}

static vec3s paint_eye(vec3s base, float x, float y, float turn, const Wardrobe *w) {
  /* x from the inner to the outer corner; lids are two arcs. */
  float half = 0.0168f, across = x / half;
  float upper = -0.0080f * (1 - across * across) - 0.0008f * across,
        lower = 0.0056f * (1 - across * across) - 0.0008f * across;
  float inside = smooth_step(-0.0006f, 0.0006f, y - upper) * smooth_step(-0.0006f, 0.0006f, lower - y) *
                 (fabsf(across) < 1);
  vec3s white = {{0.72f, 0.70f, 0.68f}}, dark = {{0.012f, 0.008f, 0.007f}};
  vec3s eye = mix(white, (vec3s){{0.45f, 0.36f, 0.33f}}, smooth_step(0.5f, 1.0f, fabsf(across)));
  float ix = x - turn;
  eye = mix(eye, w->iris, spot(ix, y + 0.0008f, 0.0074f, 0.0074f, 0.12f));
  eye = mix(eye, dark, spot(ix, y + 0.0008f, 0.0034f, 0.0034f, 0.2f));
  eye = glms_vec3_scale(eye, 0.55f + 0.45f * smooth_step(upper, upper + 0.005f, y));
  eye = mix(eye, (vec3s){{1.2f, 1.2f, 1.2f}}, spot(ix + 0.0022f, y + 0.0026f, 0.0014f, 0.0014f, 0.3f));
  vec3s out = mix(base, glms_vec3_scale(base, 0.62f),
                  bump(y, upper - 0.0040f, 0.0022f) * (fabsf(across) < 1.1f)); /* fold of the lid */
  out = mix(out, eye, inside);
  float lash = bump(y, upper - 0.0003f, 0.0016f) * smooth_step(1.22f, 0.9f, fabsf(across)) +
               0.30f * bump(y, lower, 0.0010f) * (fabsf(across) < 1);
  lash = fabsf(across) < 1.2f ? lash : 0;
  return mix(out, dark, 0.95f * lash);
}

static vec3s paint_face(vec3s p, const Wardrobe *w) {
  vec3s colour = w->skin;
  float tone = 0.04f * look_noise(p.x * 40, p.y * 40, p.z * 40);
  colour = glms_vec3_scale(colour, 1 + tone);
  if (p.z > -0.03f)
    return colour;
  float x = fabsf(p.x);
  vec3s blush = {{colour.x * 1.02f, colour.y * 0.78f, colour.z * 0.76f}};
  colour = mix(colour, blush, 0.5f * spot(x - 0.040f, p.y - 0.036f, 0.026f, 0.022f, 0.9f));
  colour = mix(colour, blush, 0.2f * spot(p.x, p.y - 0.036f, 0.014f, 0.012f, 0.8f));
  colour = mix(colour, glms_vec3_scale(colour, 0.25f),
               0.9f * spot(x - 0.0055f, p.y - 0.0410f, 0.0026f, 0.0016f, 0.4f)); /* nostrils */
  /* Lips: a bow above, an arc below, a dark line between; the corners turn up a little. */
  float smile = p.y - 0.0672f + 4.2f * p.x * p.x, edge = 1 - (x / 0.0255f) * (x / 0.0255f);
  if (edge > 0) {
    float top = -0.0058f * edge * (1 - 0.30f * bump(p.x, 0, 0.004f)), bottom = 0.0080f * edge;
    float lips = smooth_step(top - 0.0008f, top + 0.0008f, smile) *
                 smooth_step(-bottom - 0.0008f, -bottom + 0.0008f, -smile);
    colour = mix(colour, w->lips, 0.85f * lips);
    colour = mix(colour, glms_vec3_scale(w->lips, 0.22f),
                 0.85f * bump(smile, 0, 0.0011f) * smooth_step(0, 0.15f, edge));
  }
  /* Brows. */
  float along = (x - 0.014f) / 0.036f,
        arch = -0.0200f - 0.0060f * sinf((float)G_PI * CLAMP(along, 0, 1) * 0.8f);
  float thick = 0.0028f * (1.15f - 0.75f * along);
  if (along > -0.06f && along < 1.04f) {
    float hairs = 0.85f + 0.15f * look_noise(p.x * 700, p.y * 300, 0);
    colour = mix(colour, glms_vec3_scale(w->hair, 1.3f),
                 hairs * bump(p.y, arch, thick) * smooth_step(-0.06f, 0.05f, along));
  }
  return paint_eye(colour, x - 0.0320f, p.y - 0.0010f, -0.001f, w);
}

/* Height of the folds, metres, at a point of a tube: ridges that run round it, denser where `tight`. */
static float folds(float y, float angle, float tight, float seed) {
  float wave = look_noise(y * 26 + 1.4f * sinf(angle + seed) + seed, cosf(angle) * 1.3f,
                          sinf(angle) * 1.3f + seed * 3);
  float ridge = 1 - fabsf(wave) * 1.6f;
  return 0.0042f * tight * ridge * ridge * (ridge > 0);
}

static float cloth_height(const Body *body, int kind, vec3s p) {
  float fine = 0;
  if (kind == FLESH_SHIRT || kind == FLESH_SLEEVE || kind == FLESH_SLEEVE + 1) {
    vec3s q = local_point(&body->bone[BONE_SPINE], p);
    float waist = bump(q.y, 0.0f, 0.13f);
    fine = folds(q.y * 0.55f + 0.25f * q.x, atan2f(q.x, -q.z), 0.25f + 0.95f * waist, 3.1f);
    for (int side = 0; side < 2; side++) {
      vec3s a = local_point(&body->bone[BONE_UPPER_ARM + side], p);
      float near = bump(a.y, 0.07f, 0.10f) * bump(a.x, 0, 0.12f) * bump(a.z, 0, 0.12f);
      fine += near * folds(a.y * 0.9f, atan2f(a.x, a.z), 0.75f, 1.7f + (float)side);
    }
    return fine;
  }
  for (int side = 0; side < 2; side++) {
    if (kind != FLESH_HIPS && kind != FLESH_LEG + side)
      continue;
    vec3s a = local_point(&body->bone[BONE_THIGH + side], p),
          b = local_point(&body->bone[BONE_SHIN + side], p);
    float below = smooth_step(-0.03f, 0.03f, b.y), crotch = bump(a.y, 0.02f, 0.10f),
          knee = bump(a.y, THIGH_LENGTH, 0.11f);
    float hem = smooth_step(0.26f, 0.38f, b.y), near = kind == FLESH_HIPS ? bump(a.y, 0.0f, 0.12f) * 0.5f : 1;
    fine +=
        near * (1 - below) *
        folds(a.y + 0.3f * a.x, atan2f(a.x, a.z), 0.12f + 0.45f * crotch + 0.4f * knee, 5.3f + (float)side);
    fine +=
        near * below *
        folds(b.y, atan2f(b.x, b.z), 0.12f + 0.4f * bump(b.y, 0.02f, 0.10f) + 0.9f * hem, 8.9f + (float)side);
  }
  return fine;
}

static vec3s cloth_normal(const Body *body, int kind, vec3s p, vec3s n) {
  const float e = 0.002f;
  float h = cloth_height(body, kind, p);
  vec3s gradient;
  for (int c = 0; c < 3; c++) {
    vec3s q = p;
    q.raw[c] += e;
    gradient.raw[c] = (cloth_height(body, kind, q) - h) / e;
  }
  gradient = glms_vec3_sub(gradient, glms_vec3_scale(n, glms_vec3_dot(gradient, n)));
  return glms_vec3_normalize(glms_vec3_sub(n, gradient));
}

static vec3s paint_shirt(const Body *body, int kind, vec3s p, const Wardrobe *w) {
  vec3s q = local_point(&body->bone[BONE_CHEST], p), colour = w->shirt;
  float weave = 1 + 0.03f * look_noise(p.x * 600, p.y * 600, p.z * 600);
  if (kind == FLESH_SHIRT) {
    /* A ring round the neck and a sun on the chest. */
    vec3s neck = local_point(&body->bone[BONE_NECK], p);
    float collar = sqrtf((neck.x / 0.068f) * (neck.x / 0.068f) +
                         ((neck.y + 0.012f) / 0.062f) * ((neck.y + 0.012f) / 0.062f) +
                         ((neck.z + 0.040f) / 0.100f) * ((neck.z + 0.040f) / 0.100f));
    colour = collar < 1.02f ? glms_vec3_scale(colour, 0.6f)
                            : mix(colour, w->trim, smooth_step(1.17f, 1.13f, collar));
    if (q.z < 0) {
      float dx = q.x, dy = q.y + 0.055f, r = sqrtf(dx * dx + dy * dy), a = atan2f(dy, dx);
      float disc = 1 - smooth_step(0.024f, 0.0255f, r);
      float ray = smooth_step(0.15f, 0.35f, cosf(a * 10)) * smooth_step(0.031f, 0.0325f, r) *
                  (1 - smooth_step(0.047f, 0.0485f, r));
      colour = mix(colour, w->trim, fmaxf(disc, ray));
    }
  } else {
    vec3s a = local_point(&body->bone[BONE_UPPER_ARM + kind - FLESH_SLEEVE], p);
    colour = mix(colour, w->trim, smooth_step(0.128f, 0.130f, a.y));
  }
  return glms_vec3_scale(colour, weave);
}

static vec3s paint_trousers(const Body *body, int kind, vec3s p, const Wardrobe *w) {
  float weave = 1 + 0.14f * look_noise(p.x * 420, p.y * 900, p.z * 420), worn = 0;
  vec3s colour = w->trousers;
  float waist = local_point(&body->bone[BONE_PELVIS], p).y;
  if (waist < -0.055f) /* a belt */
    return mix((vec3s){{0.13f, 0.055f, 0.028f}}, (vec3s){{0.05f, 0.02f, 0.01f}},
               bump(waist, -0.0555f, 0.003f));
  if (kind != FLESH_HIPS) {
    int side = kind - FLESH_LEG;
    vec3s a = local_point(&body->bone[BONE_THIGH + side], p),
          b = local_point(&body->bone[BONE_SHIN + side], p);
    worn =
        0.55f * bump(a.y, 0.25f, 0.16f) * smooth_step(0.02f, 0.06f, -a.z) + 0.35f * bump(b.y, 0.02f, 0.06f);
    float angle = atan2f(b.z, b.x), seam = bump(sinf(angle), 0, 0.06f) * (b.y > 0.0f);
    colour = glms_vec3_scale(colour, 1 - 0.35f * seam);
    if (b.y > 0.368f)
      colour = glms_vec3_scale(colour, 1.5f);
  }
  colour = mix(colour, glms_vec3_add(glms_vec3_scale(colour, 1.9f), (vec3s){{0.02f, 0.02f, 0.02f}}), worn);
  return glms_vec3_scale(colour, weave);
}

static vec3s paint_shoe(const Body *body, int side, vec3s p, const Wardrobe *w) {
  vec3s q = local_point(&body->bone[BONE_FOOT + side], p);
  vec3s sole = {{0.80f, 0.79f, 0.76f}}, lace = {{0.85f, 0.85f, 0.85f}}, stripe = {{0.62f, 0.10f, 0.06f}};
  if (q.y > 0.066f)
    return mix(sole, stripe, bump(q.y, 0.073f, 0.002f));
  if (q.z < -0.128f)
    return glms_vec3_scale(sole, 0.9f);
  vec3s colour = w->shoe;
  if (fabsf(q.x) < 0.022f && q.z < -0.015f && q.z > -0.105f)
    colour = mix(glms_vec3_scale(colour, 0.6f), lace, smooth_step(0.1f, 0.5f, sinf(q.z * 330)));
  if (q.y < -0.035f) /* sock */
    colour = glms_vec3_scale(lace, 0.8f);
  return colour;
}

static vec3s hair_normal(vec3s q, vec3s n, const BoneFrame *head, float *strand) {
  /* Strands run from the brow over the head to the bun. */
  float a = atan2f(q.x, q.y + 0.13f) * 34 + look_noise(q.x * 30, q.y * 30, q.z * 30);
  float s = look_noise(a, q.z * 22, 3.0f), t = look_noise(a * 2.7f, q.z * 30, 9.0f);
  *strand = 0.65f * s + 0.35f * t;
  vec3s tilt = glms_mat3_mulv(head->axes, (vec3s){{0.34f * s, 0.05f * t, 0.12f * t}});
  return glms_vec3_normalize(glms_vec3_add(n, tilt));
}

typedef struct {
  vec3s colour;
  float gloss, shine, wrap; /* strength and exponent of the highlight; light that creeps round the edge */
} Surface;

static Surface surface_at(const Flesh *flesh, const Hit *hit, vec3s *normal) {
  int person = hit->group / FLESH_GROUPS, kind = hit->group % FLESH_GROUPS;
  const Body *body = &flesh->body[person];
  const Wardrobe *w = &wardrobes[person];
  switch (kind) {
  case FLESH_SKIN:
    return (Surface){paint_face(local_point(&body->bone[BONE_HEAD], hit->at), w), 0.10f, 24, 0.30f};
  case FLESH_ARM:
  case FLESH_ARM + 1:
    return (Surface){
        glms_vec3_scale(w->skin, 1 + 0.05f * look_noise(hit->at.x * 30, hit->at.y * 30, hit->at.z * 30)),
        0.07f, 20, 0.30f};
  case FLESH_HAIR: {
    const BoneFrame *head = &body->bone[BONE_HEAD];
    float strand;
    *normal = hair_normal(local_point(head, hit->at), *normal, head, &strand);
    return (Surface){glms_vec3_scale(w->hair, 1.1f + 0.5f * strand), 0.12f, 18, 0.1f};
  }
  case FLESH_SHIRT:
  case FLESH_SLEEVE:
  case FLESH_SLEEVE + 1:
    *normal = cloth_normal(body, kind, hit->at, *normal);
    return (Surface){paint_shirt(body, kind, hit->at, w), 0.02f, 8, 0.18f};
  case FLESH_HIPS:
  case FLESH_LEG:
  case FLESH_LEG + 1:
    *normal = cloth_normal(body, kind, hit->at, *normal);
    return (Surface){paint_trousers(body, kind, hit->at, w), 0.02f, 10, 0.12f};
  default:
    return (Surface){paint_shoe(body, kind - FLESH_SHOE, hit->at, w), 0.06f, 16, 0.12f};
  }
}

vec3s look_colour(const Flesh *flesh, const Hit *hit, vec3s normal, float openness, float lit, vec3s to_eye) {
  vec3s smooth = normal;
  Surface s = surface_at(flesh, hit, &normal);
  vec3s lamp = glms_vec3_normalize(look_lamp), rim = glms_vec3_normalize(rim_lamp);
  float toward = glms_vec3_dot(normal, lamp), wrapped = fmaxf((toward + s.wrap) / (1 + s.wrap), 0);
  /* The shadow map cannot tell the side that turns away from the lamp; the smooth normal can. */
  lit *= smooth_step(-0.25f, 0.12f, glms_vec3_dot(smooth, lamp));
  vec3s key = glms_vec3_scale((vec3s){{1.00f, 0.93f, 0.84f}}, 1.02f * wrapped * lit);
  float up = 0.5f - 0.5f * normal.y, front = 0.5f - 0.5f * normal.z;
  vec3s sky =
      glms_vec3_scale((vec3s){{0.66f, 0.74f, 0.86f}}, (0.20f + 0.24f * up + 0.22f * front) * openness);
  vec3s floor_light = glms_vec3_scale((vec3s){{0.55f, 0.40f, 0.28f}}, 0.16f * (1 - up) * openness);
  float edge = fmaxf(glms_vec3_dot(normal, rim), 0) * (0.4f + 0.6f * openness);
  vec3s back = glms_vec3_scale((vec3s){{0.75f, 0.85f, 1.0f}}, 0.42f * edge);
  vec3s light = glms_vec3_add(glms_vec3_add(key, sky), glms_vec3_add(floor_light, back));
  vec3s out = glms_vec3_mul(s.colour, light);
  vec3s half = glms_vec3_normalize(glms_vec3_add(lamp, to_eye));
  float highlight = s.gloss * powf(fmaxf(glms_vec3_dot(normal, half), 0), s.shine) * lit;
  return glms_vec3_adds(out, highlight);
}
