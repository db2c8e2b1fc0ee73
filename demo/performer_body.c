/* Forward kinematics from the pelvis up, two-bone inverse kinematics from the pelvis down.
 *
 * The feet are the given, not the result, so that a planted foot does not slide; the law of cosines puts the
 * knee in the plane that the foot's heading spans with the line from hip to ankle. The height of the pelvis
 * gives way first: it is lowered smoothly until the farther ankle is within reach. */
#include "performer_body.h"
#include <math.h>

#define HIP_HALF 0.092f
#define PELVIS_HEIGHT (THIGH_LENGTH + SHIN_LENGTH + ANKLE_HEIGHT - 0.012f)

vec3s bone_point(const BoneFrame *bone, float x, float y, float z) {
  return glms_vec3_add(bone->at, glms_mat3_mulv(bone->axes, (vec3s){{x, y, z}}));
}

/* Turns from the local into the outer frame. With z to the back, a positive yaw must bring the front (-z) to
 * +x. */
static mat3s turn_matrix(Turn turn) {
  mat4s m = glms_mat4_identity();
  m = glms_rotate(m, -turn.yaw, (vec3s){{0, 1, 0}});
  m = glms_rotate(m, -turn.pitch, (vec3s){{1, 0, 0}});
  m = glms_rotate(m, turn.roll, (vec3s){{0, 0, 1}});
  return glms_mat4_pick3(m);
}

static Turn turn_scale(Turn turn, float s) {
  return (Turn){turn.yaw * s, turn.pitch * s, turn.roll * s};
}

/* y along `along`, z as near to `back` as it can be. */
static mat3s frame_along(vec3s along, vec3s back) {
  vec3s y = glms_vec3_normalize(along);
  vec3s x = glms_vec3_cross(y, back);
  if (glms_vec3_norm(x) < 1e-4f)
    x = glms_vec3_cross(y, (vec3s){{0.3f, 0.1f, 1}});
  x = glms_vec3_normalize(x);
  return (mat3s){.col = {x, y, glms_vec3_cross(x, y)}};
}

static void pose_trunk(const Moment *m, float height, Body *body) {
  BoneFrame *b = body->bone;
  b[BONE_PELVIS] = (BoneFrame){{{m->pelvis.x, -height, m->pelvis.z}}, turn_matrix(m->hips)};
  Turn half = turn_scale(m->chest, 0.5f);
  b[BONE_SPINE] = (BoneFrame){bone_point(&b[BONE_PELVIS], 0, -0.12f, 0.005f),
                              glms_mat3_mul(b[BONE_PELVIS].axes, turn_matrix(half))};
  b[BONE_CHEST] = (BoneFrame){bone_point(&b[BONE_SPINE], 0, -0.13f, -0.005f),
                              glms_mat3_mul(b[BONE_SPINE].axes, turn_matrix(half))};
  Turn nod = turn_scale(m->head, 0.5f);
  b[BONE_NECK] = (BoneFrame){bone_point(&b[BONE_CHEST], 0, -0.265f, 0.022f),
                             glms_mat3_mul(b[BONE_CHEST].axes, turn_matrix(nod))};
  vec3s atlas = bone_point(&b[BONE_NECK], 0, -0.085f, -0.018f);
  BoneFrame head = {atlas, glms_mat3_mul(b[BONE_NECK].axes, turn_matrix(nod))};
  head.at = bone_point(&head, 0, -0.072f, -0.014f);
  b[BONE_HEAD] = head;
}

static void pose_arm(const Moment *m, int side, Body *body) {
  BoneFrame *b = body->bone;
  float out = side == 0 ? 1.0f : -1.0f;
  const ArmPose *arm = &m->arm[side];
  mat3s chest = b[BONE_CHEST].axes;
  vec3s upper = glms_mat3_mulv(chest, (vec3s){{arm->upper.x * out, arm->upper.y, arm->upper.z}});
  vec3s fore = glms_mat3_mulv(chest, (vec3s){{arm->fore.x * out, arm->fore.y, arm->fore.z}});
  vec3s palm = glms_mat3_mulv(chest, (vec3s){{arm->palm.x * out, arm->palm.y, arm->palm.z}});
  upper = glms_vec3_normalize(upper);
  fore = glms_vec3_normalize(fore);
  /* A raised arm takes the shoulder with it. */
  float lift = CLAMP(-upper.y, -0.5f, 1.0f) + 0.5f;
  vec3s shoulder =
      bone_point(&b[BONE_CHEST], out * (0.156f - 0.012f * lift), -0.218f - 0.040f * lift, 0.012f);
  vec3s back = {{0, 0, 1}};
  b[BONE_UPPER_ARM + side] = (BoneFrame){shoulder, frame_along(upper, back)};
  vec3s elbow = bone_point(&b[BONE_UPPER_ARM + side], 0, UPPER_ARM_LENGTH, 0);
  b[BONE_FOREARM + side] = (BoneFrame){elbow, frame_along(fore, glms_vec3_negate(palm))};
  vec3s wrist = bone_point(&b[BONE_FOREARM + side], 0, FOREARM_LENGTH, 0);
  /* The hand's z is its back. */
  b[BONE_HAND + side] = (BoneFrame){wrist, frame_along(fore, glms_vec3_negate(palm))};
  body->curl[side] = arm->curl;
}

static mat3s foot_axes(const FootPose *foot, float heel, int side) {
  return turn_matrix((Turn){(side == 0 ? 1.0f : -1.0f) * foot->yaw, heel, 0});
}

/* A lifted heel turns the foot about its ball. */
static vec3s ankle_of(const FootPose *foot, int side) {
  vec3s ball = {{0, 0.06f, -0.10f}}, flat = {{foot->ankle.x, -ANKLE_HEIGHT - foot->ankle.y, foot->ankle.z}};
  return glms_vec3_add(flat, glms_vec3_sub(glms_mat3_mulv(foot_axes(foot, 0, side), ball),
                                           glms_mat3_mulv(foot_axes(foot, foot->heel, side), ball)));
}

static void pose_leg(const Moment *m, int side, Body *body) {
  BoneFrame *b = body->bone;
  vec3s hip = bone_point(&b[BONE_PELVIS], side == 0 ? HIP_HALF : -HIP_HALF, 0.0f, 0);
  vec3s ankle = ankle_of(&m->foot[side], side);
  mat3s flat = foot_axes(&m->foot[side], 0, side), foot = foot_axes(&m->foot[side], m->foot[side].heel, side);
  vec3s line = glms_vec3_sub(ankle, hip);
  float reach = THIGH_LENGTH + SHIN_LENGTH, far = glms_vec3_norm(line);
  float length = MIN(far, reach * 0.9995f);
  vec3s axis = glms_vec3_scale(line, 1.0f / far);
  vec3s ahead =
      glms_vec3_normalize(glms_vec3_add(glms_mat3_mulv(flat, (vec3s){{0, 0, -1}}),
                                        glms_mat3_mulv(b[BONE_PELVIS].axes, (vec3s){{0, 0, -0.7f}})));
  ahead = glms_vec3_normalize(glms_vec3_sub(ahead, glms_vec3_scale(axis, glms_vec3_dot(ahead, axis))));
  float along = (THIGH_LENGTH * THIGH_LENGTH - SHIN_LENGTH * SHIN_LENGTH + length * length) / (2 * length);
  float bend = sqrtf(MAX(THIGH_LENGTH * THIGH_LENGTH - along * along, 0));
  vec3s knee = glms_vec3_add(hip, glms_vec3_add(glms_vec3_scale(axis, along), glms_vec3_scale(ahead, bend)));
  vec3s back = glms_vec3_negate(ahead);
  b[BONE_THIGH + side] = (BoneFrame){hip, frame_along(glms_vec3_sub(knee, hip), back)};
  b[BONE_SHIN + side] = (BoneFrame){knee, frame_along(glms_vec3_sub(ankle, knee), back)};
  b[BONE_FOOT + side] = (BoneFrame){ankle, foot};
}

/* The greatest height of the pelvis at which this leg still reaches its ankle, slightly bent. */
static float reachable_height(const Moment *m, int side) {
  vec3s hip = glms_mat3_mulv(turn_matrix(m->hips), (vec3s){{side == 0 ? HIP_HALF : -HIP_HALF, 0, 0}});
  vec3s ankle = ankle_of(&m->foot[side], side);
  float x = m->pelvis.x + hip.x - ankle.x, z = m->pelvis.z + hip.z - ankle.z;
  float reach = 0.996f * (THIGH_LENGTH + SHIN_LENGTH);
  return sqrtf(MAX(reach * reach - x * x - z * z, 0.01f)) - ankle.y + hip.y;
}

static float soft_min(float a, float b, float k) {
  float h = fmaxf(k - fabsf(a - b), 0) / k;
  return fminf(a, b) - h * h * k * 0.25f;
}

void body_pose(const Moment *m, Body *body) {
  float height = PELVIS_HEIGHT + m->pelvis.y;
  for (int side = 0; side < 2; side++)
    height = soft_min(height, reachable_height(m, side), 0.012f);
  pose_trunk(m, height, body);
  for (int side = 0; side < 2; side++) {
    pose_arm(m, side, body);
    pose_leg(m, side, body);
  }
}

static void set_landmark(vec3s points[POSE_LANDMARKS], float radius[POSE_LANDMARKS], PoseLandmark which,
                         vec3s point, float depth) {
  points[which] = point;
  radius[which] = depth;
}

void body_landmarks(const Body *body, vec3s points[POSE_LANDMARKS], float radius[POSE_LANDMARKS]) {
  const BoneFrame *b = body->bone, *head = &b[BONE_HEAD];
  set_landmark(points, radius, POSE_NOSE, bone_point(head, 0, 0.034f, -0.112f), 0.03f);
  for (int side = 0; side < 2; side++) {
    float out = side == 0 ? 1.0f : -1.0f;
    /* The left and right landmarks of a kind follow each other, except round the eyes. */
    int eye = side == 0 ? POSE_LEFT_EYE_INNER : POSE_RIGHT_EYE_INNER;
    set_landmark(points, radius, eye, bone_point(head, out * 0.018f, 0.002f, -0.086f), 0.03f);
    set_landmark(points, radius, eye + 1, bone_point(head, out * 0.032f, 0.001f, -0.085f), 0.03f);
    set_landmark(points, radius, eye + 2, bone_point(head, out * 0.045f, 0.002f, -0.077f), 0.03f);
    set_landmark(points, radius, POSE_LEFT_EAR + side, bone_point(head, out * 0.076f, 0.012f, 0.012f), 0.03f);
    set_landmark(points, radius, POSE_MOUTH_LEFT + side, bone_point(head, out * 0.024f, 0.066f, -0.083f),
                 0.03f);
    const BoneFrame *hand = &b[BONE_HAND + side], *foot = &b[BONE_FOOT + side];
    set_landmark(points, radius, POSE_LEFT_SHOULDER + side, b[BONE_UPPER_ARM + side].at, 0.09f);
    set_landmark(points, radius, POSE_LEFT_ELBOW + side, b[BONE_FOREARM + side].at, 0.07f);
    set_landmark(points, radius, POSE_LEFT_WRIST + side, hand->at, 0.05f);
    set_landmark(points, radius, POSE_LEFT_PINKY + side, bone_point(hand, -out * 0.030f, 0.080f, 0), 0.04f);
    set_landmark(points, radius, POSE_LEFT_INDEX + side, bone_point(hand, out * 0.026f, 0.090f, 0), 0.04f);
    set_landmark(points, radius, POSE_LEFT_THUMB + side, bone_point(hand, out * 0.046f, 0.055f, -0.012f),
                 0.04f);
    set_landmark(points, radius, POSE_LEFT_HIP + side, b[BONE_THIGH + side].at, 0.16f);
    set_landmark(points, radius, POSE_LEFT_KNEE + side, b[BONE_SHIN + side].at, 0.09f);
    set_landmark(points, radius, POSE_LEFT_ANKLE + side, foot->at, 0.08f);
    set_landmark(points, radius, POSE_LEFT_HEEL + side, bone_point(foot, 0, 0.05f, 0.05f), 0.10f);
    set_landmark(points, radius, POSE_LEFT_FOOT_INDEX + side, bone_point(foot, 0, 0.06f, -0.15f), 0.05f);
  }
}
