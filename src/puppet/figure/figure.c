/* Joints from landmarks are a matter of reading them off; only the crown needs thought, since hair hides it:
 * faces tell the size of their head, and the mask tells where it must end at the latest.
 *
 * Given joints pull the others along as if every bone were a spring of its own stiffness and the trunk stuck
 * a little to where it was found: beyond a given joint everything moves rigidly, between two of them in
 * proportion. */
#include "puppet/figure/figure.h"
#include <math.h>
#include <string.h>

const char *const joint_names[JOINTS] = {
    "hip",         "waist",         "neck",           "head",       "crown",       "left_ear",
    "right_ear",   "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_hand",     "right_hand",     "left_hip",   "right_hip",   "left_knee",
    "right_knee",  "left_ankle",    "right_ankle",    "left_toe",   "right_toe"};

/* --- from landmarks
 * -------------------------------------------------------------------------------------------- */

static const struct {
  Joint joint;
  PoseLandmark a, b; /* the middle of two landmarks, or one twice */
} sources[] = {
    {JOINT_HIP, POSE_LEFT_HIP, POSE_RIGHT_HIP},
    {JOINT_HEAD, POSE_NOSE, POSE_NOSE},
    {JOINT_LEFT_EAR, POSE_LEFT_EAR, POSE_LEFT_EAR},
    {JOINT_RIGHT_EAR, POSE_RIGHT_EAR, POSE_RIGHT_EAR},
    {JOINT_LEFT_SHOULDER, POSE_LEFT_SHOULDER, POSE_LEFT_SHOULDER},
    {JOINT_RIGHT_SHOULDER, POSE_RIGHT_SHOULDER, POSE_RIGHT_SHOULDER},
    {JOINT_LEFT_ELBOW, POSE_LEFT_ELBOW, POSE_LEFT_ELBOW},
    {JOINT_RIGHT_ELBOW, POSE_RIGHT_ELBOW, POSE_RIGHT_ELBOW},
    {JOINT_LEFT_WRIST, POSE_LEFT_WRIST, POSE_LEFT_WRIST},
    {JOINT_RIGHT_WRIST, POSE_RIGHT_WRIST, POSE_RIGHT_WRIST},
    {JOINT_LEFT_HAND, POSE_LEFT_INDEX, POSE_LEFT_PINKY},
    {JOINT_RIGHT_HAND, POSE_RIGHT_INDEX, POSE_RIGHT_PINKY},
    {JOINT_LEFT_HIP, POSE_LEFT_HIP, POSE_LEFT_HIP},
    {JOINT_RIGHT_HIP, POSE_RIGHT_HIP, POSE_RIGHT_HIP},
    {JOINT_LEFT_KNEE, POSE_LEFT_KNEE, POSE_LEFT_KNEE},
    {JOINT_RIGHT_KNEE, POSE_RIGHT_KNEE, POSE_RIGHT_KNEE},
    {JOINT_LEFT_ANKLE, POSE_LEFT_ANKLE, POSE_LEFT_ANKLE},
    {JOINT_RIGHT_ANKLE, POSE_RIGHT_ANKLE, POSE_RIGHT_ANKLE},
    {JOINT_LEFT_TOE, POSE_LEFT_FOOT_INDEX, POSE_LEFT_FOOT_INDEX},
    {JOINT_RIGHT_TOE, POSE_RIGHT_FOOT_INDEX, POSE_RIGHT_FOOT_INDEX},
};

static gboolean masked(const Image *mask, float x, float y) {
  int i = (int)floorf(x), j = (int)floorf(y);
  return i >= 0 && j >= 0 && i < mask->width && j < mask->height && *image_at(mask, i, j) >= 128;
}

/* The middle of the head lies between eyes and ears at half its height. Half a head is 1.7 times the way from eyes to mouth
 * and 0.45 times that from the shoulders to the nose: the mean of both, unless the mask ends before. */
static void place_crown(Figure *figure, const Pose *pose, const Image *mask, const float shoulders[2]) {
  float eyes[2], ears[2], mouth[2], middle[2], up[2];
  const float *nose = figure->joint[JOINT_HEAD];
  landmark_middle(pose, POSE_LEFT_EYE, POSE_RIGHT_EYE, eyes);
  landmark_middle(pose, POSE_LEFT_EAR, POSE_RIGHT_EAR, ears);
  landmark_middle(pose, POSE_MOUTH_LEFT, POSE_MOUTH_RIGHT, mouth);
  float face = hypotf(eyes[0] - mouth[0], eyes[1] - mouth[1]);
  float neck = hypotf(nose[0] - shoulders[0], nose[1] - shoulders[1]);
  for (int c = 0; c < 2; c++) {
    middle[c] = 0.25f * eyes[c] + 0.75f * ears[c];
    up[c] = 0.6f * (eyes[c] - mouth[c]) + 0.2f * (ears[c] - shoulders[c]);
  }
  float norm = MAX(hypotf(up[0], up[1]), 1e-3f), end = 0;
  float wanted = CLAMP(0.5f * (1.7f * face + 0.45f * neck), 0.3f * neck, 0.9f * neck);
  while (end < wanted && masked(mask, middle[0] + end * up[0] / norm, middle[1] + end * up[1] / norm))
    end += 0.5f;
  if (end < 0.5f * wanted) /* the mask misses the head */
    end = wanted;
  figure->joint[JOINT_CROWN][0] = middle[0] + end * up[0] / norm;
  figure->joint[JOINT_CROWN][1] = middle[1] + end * up[1] / norm;
  figure->visibility[JOINT_CROWN] = figure->visibility[JOINT_HEAD];
}

/* Height of the mask, or of the body where more of it is known than the picture shows. */
static float height_of(const Figure *figure, const Image *mask) {
  int first = mask->height, last = -1;
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*image_at(mask, x, y) >= 128)
        first = MIN(first, y), last = y;
  float low = figure->joint[JOINT_CROWN][1], high = low;
  for (int i = 0; i < JOINTS; i++)
    low = MIN(low, figure->joint[i][1]), high = MAX(high, figure->joint[i][1]);
  gboolean cut = high > (float)mask->height || low < 0;
  float height = (float)MAX(last - first + 1, 1);
  return cut || last < 0 ? MAX(height, high - low) : height;
}

Figure figure_from_pose(const Pose *pose, const Image *mask) {
  Figure figure = {.source = FIGURE_FROM_POSE};
  for (gsize i = 0; i < G_N_ELEMENTS(sources); i++) {
    landmark_middle(pose, sources[i].a, sources[i].b, figure.joint[sources[i].joint]);
    figure.visibility[sources[i].joint] =
        MIN(pose->image[sources[i].a].visibility, pose->image[sources[i].b].visibility);
  }
  float shoulders[2], *hip = figure.joint[JOINT_HIP];
  landmark_middle(pose, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, shoulders);
  for (int c = 0; c < 2; c++) {
    float spine = shoulders[c] - hip[c];
    figure.joint[JOINT_WAIST][c] = hip[c] + 0.35f * spine;
    figure.joint[JOINT_NECK][c] = shoulders[c] + 0.04f * spine;
  }
  figure.visibility[JOINT_NECK] =
      MIN(figure.visibility[JOINT_LEFT_SHOULDER], figure.visibility[JOINT_RIGHT_SHOULDER]);
  figure.visibility[JOINT_WAIST] = MIN(figure.visibility[JOINT_NECK], figure.visibility[JOINT_HIP]);
  place_crown(&figure, pose, mask, shoulders);
  for (int i = 0; i < JOINTS; i++) {
    float x = figure.joint[i][0], y = figure.joint[i][1];
    if (x < 0 || y < 0 || x > (float)mask->width || y > (float)mask->height)
      figure.visibility[i] = 0;
  }
  figure.height = height_of(&figure, mask);
  return figure;
}

/* --- given joints
 * ---------------------------------------------------------------------------------------------- */

static const gint8 parents[JOINTS] = {
    [JOINT_HIP] = -1,
    [JOINT_WAIST] = JOINT_HIP,
    [JOINT_NECK] = JOINT_WAIST,
    [JOINT_HEAD] = JOINT_NECK,
    [JOINT_CROWN] = JOINT_HEAD,
    [JOINT_LEFT_EAR] = JOINT_HEAD,
    [JOINT_RIGHT_EAR] = JOINT_HEAD,
    [JOINT_LEFT_SHOULDER] = JOINT_NECK,
    [JOINT_RIGHT_SHOULDER] = JOINT_NECK,
    [JOINT_LEFT_ELBOW] = JOINT_LEFT_SHOULDER,
    [JOINT_RIGHT_ELBOW] = JOINT_RIGHT_SHOULDER,
    [JOINT_LEFT_WRIST] = JOINT_LEFT_ELBOW,
    [JOINT_RIGHT_WRIST] = JOINT_RIGHT_ELBOW,
    [JOINT_LEFT_HAND] = JOINT_LEFT_WRIST,
    [JOINT_RIGHT_HAND] = JOINT_RIGHT_WRIST,
    [JOINT_LEFT_HIP] = JOINT_HIP,
    [JOINT_RIGHT_HIP] = JOINT_HIP,
    [JOINT_LEFT_KNEE] = JOINT_LEFT_HIP,
    [JOINT_RIGHT_KNEE] = JOINT_RIGHT_HIP,
    [JOINT_LEFT_ANKLE] = JOINT_LEFT_KNEE,
    [JOINT_RIGHT_ANKLE] = JOINT_RIGHT_KNEE,
    [JOINT_LEFT_TOE] = JOINT_LEFT_ANKLE,
    [JOINT_RIGHT_TOE] = JOINT_RIGHT_ANKLE,
};

/* How firmly a joint stays where it was found, against bones' stiffness of about 1. The trunk does, limbs do
 * not. */
static float anchor_of(Joint joint) {
  switch (joint) {
  case JOINT_HIP:
  case JOINT_NECK:
  case JOINT_LEFT_SHOULDER:
  case JOINT_RIGHT_SHOULDER:
  case JOINT_LEFT_HIP:
  case JOINT_RIGHT_HIP:
    return 4;
  case JOINT_HEAD:
    return 0.5f;
  default:
    return 0;
  }
}

void figure_give(Figure *figure, const GivenJoints *given) {
  enum { ROUNDS = 400 };
  float moved[JOINTS][2] = {0}, stiffness[JOINTS] = {0};
  for (int i = 0; i < JOINTS; i++) {
    if (given->given[i])
      for (int c = 0; c < 2; c++)
        moved[i][c] = given->at[i][c] - figure->joint[i][c];
    if (parents[i] >= 0) {
      const float *a = figure->joint[i], *b = figure->joint[parents[i]];
      stiffness[i] = figure->height / (figure->height * 0.02f + hypotf(a[0] - b[0], a[1] - b[1])) * 0.15f;
    }
  }
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < JOINTS; i++) {
      if (given->given[i])
        continue;
      float weight = anchor_of((Joint)i) + 1e-6f, sum[2] = {0, 0};
      for (int k = 0; k < JOINTS; k++) {
        float s = parents[k] == i ? stiffness[k] : parents[i] == k ? stiffness[i] : 0;
        weight += s;
        sum[0] += s * moved[k][0], sum[1] += s * moved[k][1];
      }
      moved[i][0] = sum[0] / weight, moved[i][1] = sum[1] / weight;
    }
  for (int i = 0; i < JOINTS; i++) {
    figure->joint[i][0] += moved[i][0], figure->joint[i][1] += moved[i][1];
    if (given->given[i])
      figure->given[i] = TRUE, figure->visibility[i] = 1;
  }
}
