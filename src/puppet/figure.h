/* Where the joints of a pictured character are, and how that is known. */
#pragma once
#include "perception/pose.h"

typedef enum {
  JOINT_HIP,   /* middle of the hips, root */
  JOINT_WAIST, /* 35 % of the way from hip to the middle of the shoulders */
  JOINT_NECK,  /* base of the neck */
  JOINT_HEAD,  /* middle of the face: the nose of a frontal face */
  JOINT_CROWN, /* top of the head without hair style */
  JOINT_LEFT_EAR, JOINT_RIGHT_EAR,
  JOINT_LEFT_SHOULDER, JOINT_RIGHT_SHOULDER, JOINT_LEFT_ELBOW, JOINT_RIGHT_ELBOW, JOINT_LEFT_WRIST, JOINT_RIGHT_WRIST,
  JOINT_LEFT_HAND, JOINT_RIGHT_HAND, /* knuckles; finger tips are about twice as far from the wrist */
  JOINT_LEFT_HIP, JOINT_RIGHT_HIP, JOINT_LEFT_KNEE, JOINT_RIGHT_KNEE, JOINT_LEFT_ANKLE, JOINT_RIGHT_ANKLE,
  JOINT_LEFT_TOE, JOINT_RIGHT_TOE,
  JOINTS
} Joint; /* left is the character's own left: on the right of a frontal picture */

extern const char *const joint_names[JOINTS]; /* "hip", "waist", …, "left_ear", …: the names in --joints files */

typedef enum { FIGURE_FROM_POSE, FIGURE_FROM_SILHOUETTE } FigureSource;

typedef struct {
  FigureSource source;
  float joint[JOINTS][2];     /* picture pixels */
  float visibility[JOINTS];   /* 0..1; 1 for given joints */
  gboolean given[JOINTS];     /* set by the user */
  float height;               /* H: of the figure's mask in pixels, the unit of most lengths in puppet/ */
} Figure;
