/* Where the joints of a pictured character are, and how that is known. */
#pragma once
#include "base/progress.h"
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

/* Joints that the user has set, from a --joints file (joints_file.h). */
typedef struct {
  gboolean given[JOINTS];
  float at[JOINTS][2]; /* picture pixels */
} GivenJoints;

/* From the landmarks of one person. mask: 1 channel, 255 = the person; it tells where the crown is and how high the figure. */
Figure figure_from_pose(const Pose *pose, const Image *mask);

/* Moves joints to where the user wants them; those that hang on them move along: a hand with its wrist, and joints between
 * two moved ones with both. */
void figure_give(Figure *figure, const GivenJoints *given);

/* Finds the figure in a picture (3 or 4 channels): its joints and a coarse mask (1 channel, 255 = figure, picture size).
 *
 * - network: with the heavy landmark network; may be NULL, then the silhouette must do.
 * - mask: the user's, or NULL. An alpha channel that is a cutout serves as mask where none is given.
 * - given: the user's joints, or NULL.
 *
 * The network's pose is taken where the picture bears it out; it can be sure of itself on drawings that it does not
 * understand, so its own score is not asked. Otherwise the joints come from the silhouette: of the mask, of the alpha
 * channel, or of what stands out from a plain ground. What was guessed is noted in progress (may be NULL).
 * FAULT_NOBODY where neither works. */
gboolean figure_find(const Image *picture, PoseEstimator *network, const Image *mask, const GivenJoints *given,
                     Figure *figure, Image **coarse, Progress *progress, GError **error);
