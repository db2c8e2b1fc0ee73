/* Everybody is read in the region that the detector gives; readings of one body are kept once. */
#include "perception/pose.h"
#include "perception/body.h"
#include <math.h>

const char *const pose_landmark_names[POSE_LANDMARKS] = {
    "nose",        "left_eye_inner",  "left_eye",        "left_eye_outer", "right_eye_inner",
    "right_eye",   "right_eye_outer", "left_ear",        "right_ear",      "mouth_left",
    "mouth_right", "left_shoulder",   "right_shoulder",  "left_elbow",     "right_elbow",
    "left_wrist",  "right_wrist",     "left_pinky",      "right_pinky",    "left_index",
    "right_index", "left_thumb",      "right_thumb",     "left_hip",       "right_hip",
    "left_knee",   "right_knee",      "left_ankle",      "right_ankle",    "left_heel",
    "right_heel",  "left_foot_index", "right_foot_index"};

typedef struct {
  BodyReading reading;
  float rank;
} Candidate;

/* The person that a picture is of is large and certain. */
static float rank_of(const Pose *pose) {
  return pose->score * sqrtf(pose->box[2] * pose->box[3]);
}

static int by_rank(gconstpointer a, gconstpointer b) {
  float x = (*(Candidate *const *)a)->rank, y = (*(Candidate *const *)b)->rank;
  return x < y ? 1 : x > y ? -1 : 0;
}

static GPtrArray *read_all(PoseEstimator *estimator, const Image *rgb, GArray *detections, GError **error) {
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < detections->len; i++) {
    Region region = body_region_from_detection(&g_array_index(detections, Detection, i));
    if (!region_is_sane(&region))
      continue;
    g_autofree Candidate *candidate = g_new0(Candidate, 1);
    if (!body_read(estimator, rgb, &region, &candidate->reading, error))
      return NULL;
    candidate->rank = rank_of(&candidate->reading.pose);
    if (candidate->reading.pose.score > BODY_PRESENT)
      g_ptr_array_add(list, g_steal_pointer(&candidate));
  }
  g_ptr_array_sort(list, by_rank);
  return g_steal_pointer(&list);
}

gboolean pose_find(PoseEstimator *estimator, const Image *rgb, GArray **poses, GPtrArray **masks,
                   GError **error) {
  return pose_search(estimator, rgb, DETECTOR_THRESHOLD, poses, masks, error);
}

gboolean pose_search(PoseEstimator *estimator, const Image *rgb, float threshold, GArray **poses,
                     GPtrArray **masks, GError **error) {
  g_autoptr(GArray) detections = NULL;
  if (!body_detect(estimator, rgb, threshold, &detections, error))
    return FALSE;
  g_autoptr(GPtrArray) list = read_all(estimator, rgb, detections, error);
  if (!list)
    return FALSE;
  GArray *found = g_array_new(FALSE, FALSE, sizeof(Pose));
  GPtrArray *found_masks = masks ? g_ptr_array_new_with_free_func((GDestroyNotify)image_free) : NULL;
  for (guint i = 0; i < list->len; i++) {
    const BodyReading *reading = &((Candidate *)list->pdata[i])->reading;
    gboolean known = FALSE;
    for (guint k = 0; k < found->len && !known; k++)
      known = body_is_same(&g_array_index(found, Pose, k), &reading->pose);
    if (known)
      continue;
    g_array_append_val(found, reading->pose);
    if (masks)
      g_ptr_array_add(found_masks, body_mask(reading, rgb->width, rgb->height, rgb->width, rgb->height));
  }
  *poses = found;
  if (masks)
    *masks = found_masks;
  return TRUE;
}
