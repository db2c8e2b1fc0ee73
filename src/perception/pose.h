/* One person's pose in one picture: the 33 landmarks of BlazePose (Bazarevsky et al. 2020) as MediaPipe gives them. */
#pragma once
#include "base/fault.h"
#include "base/image.h"

typedef enum {
  POSE_NOSE, POSE_LEFT_EYE_INNER, POSE_LEFT_EYE, POSE_LEFT_EYE_OUTER, POSE_RIGHT_EYE_INNER, POSE_RIGHT_EYE,
  POSE_RIGHT_EYE_OUTER, POSE_LEFT_EAR, POSE_RIGHT_EAR, POSE_MOUTH_LEFT, POSE_MOUTH_RIGHT, POSE_LEFT_SHOULDER,
  POSE_RIGHT_SHOULDER, POSE_LEFT_ELBOW, POSE_RIGHT_ELBOW, POSE_LEFT_WRIST, POSE_RIGHT_WRIST, POSE_LEFT_PINKY,
  POSE_RIGHT_PINKY, POSE_LEFT_INDEX, POSE_RIGHT_INDEX, POSE_LEFT_THUMB, POSE_RIGHT_THUMB, POSE_LEFT_HIP,
  POSE_RIGHT_HIP, POSE_LEFT_KNEE, POSE_RIGHT_KNEE, POSE_LEFT_ANKLE, POSE_RIGHT_ANKLE, POSE_LEFT_HEEL,
  POSE_RIGHT_HEEL, POSE_LEFT_FOOT_INDEX, POSE_RIGHT_FOOT_INDEX, POSE_LANDMARKS
} PoseLandmark; /* left is the person's left */

extern const char *const pose_landmark_names[POSE_LANDMARKS];
/* The same place on the other side of the body; in the middle, itself. */
int pose_mirrored_landmark(int landmark);

typedef struct {
  float x, y, z, visibility;
} Landmark;

/* A square or rectangle turned about its centre, in pixels; radians, clockwise on the screen. */
typedef struct {
  float cx, cy, width, height, rotation;
} Region;

typedef struct {
  float score;                     /* probability that this is a person: the landmark network's flag */
  float box[4];                    /* x, y, width, height in pixels around the visible body */
  Landmark image[POSE_LANDMARKS];  /* pixels, continuous: pixel k covers [k, k+1); z in the same unit, smaller is nearer, 0 at the hips */
  Landmark world[POSE_LANDMARKS];  /* metres, hips at the origin, y down, z away from the camera */
  Region region;                   /* the crop that the landmark network saw */
} Pose;

typedef enum { POSE_LITE, POSE_FULL, POSE_HEAVY } PoseNetwork;

/* The detector and one landmark network. Not for two threads at once: make one for each thread. */
/* In the picture. */
static inline void landmark_middle(const Pose *pose, PoseLandmark a, PoseLandmark b, float out[2]) {
  out[0] = 0.5f * (pose->image[a].x + pose->image[b].x);
  out[1] = 0.5f * (pose->image[a].y + pose->image[b].y);
}

typedef struct PoseEstimator PoseEstimator;

/* models: the folder tree to look for the networks in, or NULL for the usual places. FAULT_NETWORK. */
PoseEstimator *pose_estimator_new(PoseNetwork network, const char *models, GError **error);
void pose_estimator_free(PoseEstimator *estimator);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoseEstimator, pose_estimator_free)

/* Everybody in a picture, best first: the people that MediaPipe would find, the largest in front, then those that take a
 * closer look (perception/people.h). poses: element type Pose (transfer full). An empty array where nobody is found is not
 * an error. masks, where not NULL, receives as many Image (1 channel, 255 = person, size of the picture). */
gboolean pose_find(PoseEstimator *estimator, const Image *rgb, GArray **poses, GPtrArray **masks, GError **error);
