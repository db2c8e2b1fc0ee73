/* The performer's skeleton: what a moment of dance says of it, where its bones then are, and its landmarks.
 *
 * The world has x to the right of the screen, y down and z away from the camera, metres; the floor is y = 0.
 * A performer who faces the camera has the left hand at positive x. Every bone has a frame whose y axis runs
 * along it, away from the trunk (in the trunk: down), and z to the back; hanging arms and standing legs are
 * parallel to the world. */
#pragma once
#include "perception/pose.h"
#include <cglm/struct.h>

typedef enum {
  BONE_PELVIS, /* origin between the hip joints */
  BONE_SPINE,
  BONE_CHEST,
  BONE_NECK,
  BONE_HEAD,      /* origin at the centre of the skull */
  BONE_UPPER_ARM, /* left, then right */
  BONE_FOREARM = BONE_UPPER_ARM + 2,
  BONE_HAND = BONE_FOREARM + 2,
  BONE_THIGH = BONE_HAND + 2,
  BONE_SHIN = BONE_THIGH + 2,
  BONE_FOOT = BONE_SHIN + 2,
  BONES = BONE_FOOT + 2
} Bone;

/* Lengths of bones, metres. */
#define UPPER_ARM_LENGTH 0.275f
#define FOREARM_LENGTH 0.245f
#define THIGH_LENGTH 0.425f
#define SHIN_LENGTH 0.415f
#define ANKLE_HEIGHT 0.085f

typedef struct {
  vec3s at;
  mat3s axes; /* columns */
} BoneFrame;

/* An arm's directions in the chest's frame; x is outwards for both sides. They need not have unit length. */
typedef struct {
  vec3s upper, fore;
  vec3s palm; /* what the palm looks at */
  float curl; /* of the fingers, 0..1 */
} ArmPose;

typedef struct {
  vec3s ankle; /* on the floor plan: x, height above its rest (up positive), z */
  float yaw;   /* outwards */
  float heel;  /* lift of the heel, radians */
} FootPose;

/* All angles in radians: yaw turns the front to the performer's left, pitch bends forwards, roll tips to the
 * performer's left. */
typedef struct {
  float yaw, pitch, roll;
} Turn;

typedef struct {
  vec3s pelvis;           /* x, height above the rest (up positive), z */
  Turn hips, chest, head; /* chest relative to hips, head relative to chest */
  ArmPose arm[2];         /* left, right */
  FootPose foot[2];
} Moment;

typedef struct {
  BoneFrame bone[BONES];
  float curl[2];
} Body;

/* Solves the legs so that the feet are where the moment puts them; lowers the pelvis where they would not
 * reach. */
void body_pose(const Moment *moment, Body *body);

/* A point of a bone's own frame in the world. */
vec3s bone_point(const BoneFrame *bone, float x, float y, float z);

/* The landmarks of BlazePose in the world. radius: how deep each lies under the skin, for tests of
 * visibility. */
void body_landmarks(const Body *body, vec3s points[POSE_LANDMARKS], float radius[POSE_LANDMARKS]);
