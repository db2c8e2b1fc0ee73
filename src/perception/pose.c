/* A still picture is worth a close look: the whole and all its parts. */
#include "perception/pose.h"
#include "perception/people.h"

const char *const pose_landmark_names[POSE_LANDMARKS] = {
    "nose",        "left_eye_inner",  "left_eye",        "left_eye_outer", "right_eye_inner",
    "right_eye",   "right_eye_outer", "left_ear",        "right_ear",      "mouth_left",
    "mouth_right", "left_shoulder",   "right_shoulder",  "left_elbow",     "right_elbow",
    "left_wrist",  "right_wrist",     "left_pinky",      "right_pinky",    "left_index",
    "right_index", "left_thumb",      "right_thumb",     "left_hip",       "right_hip",
    "left_knee",   "right_knee",      "left_ankle",      "right_ankle",    "left_heel",
    "right_heel",  "left_foot_index", "right_foot_index"};

gboolean pose_find(PoseEstimator *estimator, const Image *rgb, GArray **poses, GPtrArray **masks,
                   GError **error) {
  int parts = people_parts(rgb->width, rgb->height);
  g_autoptr(GPtrArray) looks = people_look(estimator, rgb, 0, parts, error);
  g_autoptr(GPtrArray) people = looks ? people_find(estimator, rgb, looks, NULL, 0, error) : NULL;
  if (!people)
    return FALSE;
  GArray *found = g_array_new(FALSE, FALSE, sizeof(Pose));
  GPtrArray *found_masks = masks ? g_ptr_array_new_with_free_func((GDestroyNotify)image_free) : NULL;
  float least = 1;
  for (guint i = 0; i < people->len; i++) {
    Found *person = people->pdata[i];
    if (masks)
      g_ptr_array_add(found_masks,
                      body_mask(&person->reading, rgb->width, rgb->height, rgb->width, rgb->height));
    /* The flag is 1 for almost everybody; so that the order of people is that of their scores, none exceeds
     * the one before. */
    least = person->reading.pose.score = MIN(least, person->reading.pose.score);
    g_array_append_val(found, person->reading.pose);
  }
  *poses = found;
  if (masks)
    *masks = found_masks;
  return TRUE;
}

int pose_mirrored_landmark(int landmark) {
  static const guint8 of[POSE_LANDMARKS] = {0,  4,  5,  6,  1,  2,  3,  8,  7,  10, 9,
                                            12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22,
                                            21, 24, 23, 26, 25, 28, 27, 30, 29, 32, 31};
  return of[landmark];
}
