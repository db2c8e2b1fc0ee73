/* Judges: how far what the program made is from what is known, or from what it was to follow. Each prints one
 * line of JSON and fails where a figure passes its limit. Not part of the product. */
#pragma once
#include "perception/track.h"
#include <jansson.h>

/* The truth of a performance, as demo-material writes it (demo/performer_truth.h). */
typedef struct {
  float box[4];
  Landmark landmark[POSE_LANDMARKS]; /* pixels; visibility 0 or 1 */
} TruthPose;

typedef struct {
  char *folder;
  int width, height, frames, people;
  TruthPose *pose;                   /* [people][frames] */
  float (*homography)[9];            /* [frames] frame -> frame 0; pixel k covers [k, k+1) */
  Image *background, *visible, *lit; /* as in the folder */
  int x0, y0;                        /* of background's pixel (0, 0) in frame 0 */
} Truth;

Truth *truth_load(const char *folder, GError **error);
void truth_free(Truth *truth);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Truth, truth_free)
static inline const TruthPose *truth_pose(const Truth *truth, int person, int frame) {
  return &truth->pose[(gsize)person * (gsize)truth->frames + (gsize)frame];
}
/* 1 channel, 255 = covered (transfer full). */
Image *truth_mask(const Truth *truth, int person, int frame, GError **error);

/* Limits; each judge knows its own. A negative value is no limit. */
typedef struct {
  double min_pck, min_iou, min_seen, min_filled, max_degrees, max_missing;
  const char *models;
  PoseNetwork network;
  int person;    /* motion: which of the driver's people is followed, from 1 */
  int step;      /* plate, motion: every so many frames; 0: usual */
  int readings;  /* motion: 1, or 3 readings of every frame (readings.c) */
  gboolean each; /* motion: a line for every frame on standard error */
} Limits;

/* Each fills result and returns FALSE with *error when it cannot judge. *passed tells whether the limits are
 * kept. */
gboolean judge_tracks(const char *scene, const Truth *truth, const Limits *limits, json_t *result,
                      gboolean *passed, GError **error);
gboolean judge_plate(const char *scene, const Truth *truth, const Limits *limits, json_t *result,
                     gboolean *passed, GError **error);
gboolean judge_motion(const char *driver, const char *made, const Limits *limits, json_t *result,
                      gboolean *passed, GError **error);

/* Runs the tracker over a video. */
Tracks *video_tracks(const char *video, const Limits *limits, GError **error);
/* Everybody in every limits->step-th frame (0: in each), read by itself, as if it were a picture (transfer
 * full): GArray of Pose by frame, empty for those between. */
GPtrArray *video_poses(const char *video, const Limits *limits, GError **error);
/* The same of one picture, read once or three times (transfer full). */
GArray *picture_poses(PoseEstimator *estimator, const Image *rgb, int readings, GError **error);

void pose_hips(const Pose *pose, double *x, double *y);
/* The pose whose hips are nearest, NULL when there is none. */
const Pose *pose_near(const GArray *poses, double x, double y);
