/* Everything is measured on bones sampled evenly, in units of the body's own size, so that it means the same
 * for a child in a corner and for a face that fills the picture. */
#include "puppet/figure/evidence.h"
#include <math.h>

enum { SAMPLES = 16, BONES_SEEN = 12 };

typedef struct {
  float a[2], b[2];
  float thickness; /* half, in units of the body's size */
} Bone;

static void middle(const Pose *pose, PoseLandmark a, PoseLandmark b, float p[2]) {
  p[0] = 0.5f * (pose->image[a].x + pose->image[b].x), p[1] = 0.5f * (pose->image[a].y + pose->image[b].y);
}

static int read_bones(const Pose *pose, Bone bones[BONES_SEEN]) {
  static const struct {
    PoseLandmark from[2], to[2];
    float thickness;
  } table[BONES_SEEN] = {
      {{POSE_LEFT_SHOULDER, POSE_LEFT_SHOULDER}, {POSE_RIGHT_SHOULDER, POSE_RIGHT_SHOULDER}, 0.25f},
      {{POSE_LEFT_HIP, POSE_LEFT_HIP}, {POSE_RIGHT_HIP, POSE_RIGHT_HIP}, 0.30f},
      {{POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER}, {POSE_LEFT_HIP, POSE_RIGHT_HIP}, 0.40f},
      {{POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER}, {POSE_NOSE, POSE_NOSE}, 0.40f},
      {{POSE_LEFT_SHOULDER, POSE_LEFT_SHOULDER}, {POSE_LEFT_ELBOW, POSE_LEFT_ELBOW}, 0.20f},
      {{POSE_RIGHT_SHOULDER, POSE_RIGHT_SHOULDER}, {POSE_RIGHT_ELBOW, POSE_RIGHT_ELBOW}, 0.20f},
      {{POSE_LEFT_ELBOW, POSE_LEFT_ELBOW}, {POSE_LEFT_INDEX, POSE_LEFT_INDEX}, 0.20f},
      {{POSE_RIGHT_ELBOW, POSE_RIGHT_ELBOW}, {POSE_RIGHT_INDEX, POSE_RIGHT_INDEX}, 0.20f},
      {{POSE_LEFT_HIP, POSE_LEFT_HIP}, {POSE_LEFT_KNEE, POSE_LEFT_KNEE}, 0.28f},
      {{POSE_RIGHT_HIP, POSE_RIGHT_HIP}, {POSE_RIGHT_KNEE, POSE_RIGHT_KNEE}, 0.28f},
      {{POSE_LEFT_KNEE, POSE_LEFT_KNEE}, {POSE_LEFT_ANKLE, POSE_LEFT_FOOT_INDEX}, 0.25f},
      {{POSE_RIGHT_KNEE, POSE_RIGHT_KNEE}, {POSE_RIGHT_ANKLE, POSE_RIGHT_FOOT_INDEX}, 0.25f},
  };
  for (int i = 0; i < BONES_SEEN; i++) {
    middle(pose, table[i].from[0], table[i].from[1], bones[i].a);
    middle(pose, table[i].to[0], table[i].to[1], bones[i].b);
    bones[i].thickness = table[i].thickness;
  }
  return BONES_SEEN;
}

/* The larger of trunk length and 1.3 shoulder widths: a side view has no shoulders, a bent body no trunk. */
static float body_size(const Pose *pose) {
  float shoulders[2], hips[2];
  middle(pose, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, shoulders);
  middle(pose, POSE_LEFT_HIP, POSE_RIGHT_HIP, hips);
  const Landmark *l = &pose->image[POSE_LEFT_SHOULDER], *r = &pose->image[POSE_RIGHT_SHOULDER];
  return MAX(
      MAX(hypotf(shoulders[0] - hips[0], shoulders[1] - hips[1]), 1.3f * hypotf(l->x - r->x, l->y - r->y)),
      1.0f);
}

/* Whether there is mask within a small reach of the point. */
static gboolean near_mask(const Image *mask, float x, float y, float slack) {
  for (int k = 0; k < 9; k++) {
    float angle = (float)G_PI / 4 * (float)k, r = k == 8 ? 0 : slack;
    int i = (int)floorf(x + r * cosf(angle)), j = (int)floorf(y + r * sinf(angle));
    if (i >= 0 && j >= 0 && i < mask->width && j < mask->height && *image_at(mask, i, j) >= 128)
      return TRUE;
  }
  return FALSE;
}

static float share_inside(const Bone *bones, int n, const Image *mask, float slack, float *shown) {
  double in = 0, visible = 0, all = 0;
  for (int i = 0; i < n; i++) {
    double weight = hypotf(bones[i].a[0] - bones[i].b[0], bones[i].a[1] - bones[i].b[1]) / SAMPLES;
    for (int s = 0; s < SAMPLES; s++) {
      float t = ((float)s + 0.5f) / SAMPLES;
      float x = bones[i].a[0] + t * (bones[i].b[0] - bones[i].a[0]),
            y = bones[i].a[1] + t * (bones[i].b[1] - bones[i].a[1]);
      all += weight;
      if (x < 0 || y < 0 || x >= (float)mask->width || y >= (float)mask->height)
        continue;
      visible += weight;
      in += near_mask(mask, x, y, slack) ? weight : 0;
    }
  }
  *shown = all > 0 ? (float)(visible / all) : 0;
  return visible > 0 ? (float)(in / visible) : 0;
}

static float distance_to(const Bone *bone, float x, float y) {
  float dx = bone->b[0] - bone->a[0], dy = bone->b[1] - bone->a[1], l2 = MAX(dx * dx + dy * dy, 1e-6f);
  float t = CLAMP(((x - bone->a[0]) * dx + (y - bone->a[1]) * dy) / l2, 0.0f, 1.0f);
  return hypotf(x - bone->a[0] - t * dx, y - bone->a[1] - t * dy);
}

/* The head is not a bone: a disc around the nose. */
static float share_covered(const Pose *pose, const Bone *bones, int n, const Image *mask, float size) {
  int step = MAX(1, MAX(mask->width, mask->height) / 200);
  int all = 0, covered = 0;
  for (int y = 0; y < mask->height; y += step)
    for (int x = 0; x < mask->width; x += step) {
      if (*image_at(mask, x, y) < 128)
        continue;
      all++;
      gboolean near =
          hypotf((float)x - pose->image[POSE_NOSE].x, (float)y - pose->image[POSE_NOSE].y) < 0.5f * size;
      for (int i = 0; i < n && !near; i++)
        near = distance_to(&bones[i], (float)x, (float)y) < bones[i].thickness * size;
      covered += near;
    }
  return all ? (float)covered / (float)all : 0;
}

static void compare_masks(const Image *own, const Image *silhouette, Evidence *evidence) {
  gsize both = 0, either = 0, all = 0;
  for (gsize i = 0; i < (gsize)own->width * (gsize)own->height; i++) {
    gboolean p = own->pixels[i] >= 128, q = silhouette->pixels[i] >= 128;
    both += p && q, either += p || q, all += q;
  }
  evidence->overlap = either ? (float)both / (float)either : 0;
  evidence->contained = all ? (float)both / (float)all : 0;
}

/* Length of a limb against its twin: foreshortening makes some difference, nonsense makes more. */
static float alike(const Pose *pose, PoseLandmark a, PoseLandmark b) {
  /* right landmarks follow left ones */
  const Landmark *l = pose->image;
  float left = hypotf(l[a].x - l[b].x, l[a].y - l[b].y),
        right = hypotf(l[a + 1].x - l[b + 1].x, l[a + 1].y - l[b + 1].y);
  float ratio = MIN(left, right) / MAX(MAX(left, right), 1e-3f);
  return smooth_step(0.05f, 0.4f, ratio);
}

static float proportions(const Pose *pose) {
  float shoulders[2], hips[2], size = body_size(pose);
  middle(pose, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, shoulders);
  middle(pose, POSE_LEFT_HIP, POSE_RIGHT_HIP, hips);
  float torso = hypotf(shoulders[0] - hips[0], shoulders[1] - hips[1]);
  float neck = hypotf(pose->image[POSE_NOSE].x - shoulders[0], pose->image[POSE_NOSE].y - shoulders[1]);
  float result = smooth_step(0.1f, 0.4f, torso / size) * smooth_step(0.04f, 0.15f, neck / size);
  result *= 1 - smooth_step(0.9f, 1.8f, neck / size);
  result *= 0.5f + 0.5f * alike(pose, POSE_LEFT_SHOULDER, POSE_LEFT_ELBOW);
  return result * (0.5f + 0.5f * alike(pose, POSE_LEFT_HIP, POSE_LEFT_KNEE));
}

Evidence evidence_weigh(const Pose *pose, const Image *own, const Image *silhouette) {
  Bone bones[BONES_SEEN];
  int n = read_bones(pose, bones);
  float size = body_size(pose), slack = 0.05f * size;
  Evidence evidence = {.bodily = proportions(pose)};
  evidence.own = share_inside(bones, n, own, slack, &evidence.shown);
  if (silhouette) {
    float shown;
    evidence.inside = share_inside(bones, n, silhouette, slack, &shown);
    evidence.covered = share_covered(pose, bones, n, silhouette, size);
    compare_masks(own, silhouette, &evidence);
  }
  return evidence;
}

float evidence_belief(const Evidence *evidence, gboolean has_silhouette) {
  float belief = smooth_step(0.55f, 0.95f, evidence->own) * smooth_step(0.0f, 0.5f, evidence->bodily);
  if (!has_silhouette)
    return belief;
  float agrees = smooth_step(0.6f, 0.95f, evidence->inside) * smooth_step(0.3f, 0.8f, evidence->overlap);
  float explains =
      smooth_step(0.75f, 0.92f, evidence->contained) * smooth_step(0.2f, 0.45f, evidence->overlap);
  return belief * smooth_step(0.3f, 0.8f, evidence->covered) * MAX(agrees, explains);
}
