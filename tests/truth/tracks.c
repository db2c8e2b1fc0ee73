/* Joints and masks of a scene, or of a video tracked here, against the truth.
 *
 * PCK@0.1: the share of visible joints within a tenth of the longer side of the person's box (Yang and
 * Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, 2013); the stricter share within a
 * tenth of the trunk's diagonal is told beside it. */
#include "media/grey_video.h"
#include "stage/scene.h"
#include "truth.h"
#include <float.h>
#include <math.h>

/* The joints that every data set of the field has. */
static const PoseLandmark judged[] = {
    POSE_NOSE,          POSE_LEFT_EYE,       POSE_RIGHT_EYE,  POSE_LEFT_EAR,    POSE_RIGHT_EAR,
    POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, POSE_LEFT_ELBOW, POSE_RIGHT_ELBOW, POSE_LEFT_WRIST,
    POSE_RIGHT_WRIST,   POSE_LEFT_HIP,       POSE_RIGHT_HIP,  POSE_LEFT_KNEE,   POSE_RIGHT_KNEE,
    POSE_LEFT_ANKLE,    POSE_RIGHT_ANKLE};

static const Pose *track_pose(const Track *track, int frame) {
  return frame < track->first || frame >= track->first + track->count ? NULL
                                                                      : &track->poses[frame - track->first];
}

static double pose_distance(const Pose *pose, const TruthPose *truth) {
  double sum = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(judged); i++)
    sum += hypot((double)(pose->image[judged[i]].x - truth->landmark[judged[i]].x),
                 (double)(pose->image[judged[i]].y - truth->landmark[judged[i]].y));
  return sum / G_N_ELEMENTS(judged);
}

/* The track whose joints are nearest to this person's, mean over the frames; a frame without a pose counts as
 * a whole box away. */
static const Track *nearest_track(const Tracks *tracks, const Truth *truth, int person) {
  const Track *best = NULL;
  double least = DBL_MAX;
  for (guint i = 0; i < tracks->tracks->len; i++) {
    const Track *track = g_ptr_array_index(tracks->tracks, i);
    double sum = 0;
    for (int f = 0; f < truth->frames; f++) {
      const Pose *pose = track_pose(track, f);
      const TruthPose *one = truth_pose(truth, person, f);
      sum += pose ? pose_distance(pose, one) : (double)one->box[3];
    }
    if (sum < least) {
      least = sum;
      best = track;
    }
  }
  return best;
}

/* How often the track that is nearest to this person becomes another one. */
static int count_swaps(const Tracks *tracks, const Truth *truth, int person) {
  const Track *last = NULL;
  int swaps = 0;
  for (int f = 0; f < truth->frames; f++) {
    const Track *best = NULL;
    double least = 0.25 * (double)truth_pose(truth, person, f)->box[3];
    for (guint i = 0; i < tracks->tracks->len; i++) {
      const Track *track = g_ptr_array_index(tracks->tracks, i);
      const Pose *pose = track_pose(track, f);
      double d = pose ? pose_distance(pose, truth_pose(truth, person, f)) : DBL_MAX;
      if (d < least) {
        least = d;
        best = track;
      }
    }
    swaps += best && last && best != last;
    last = best ? best : last;
  }
  return swaps;
}

typedef struct {
  gint64 joints, near_box, near_trunk, missing;
  double error; /* sum of distance / longer side */
  gint64 joint_count[G_N_ELEMENTS(judged)];
  double joint_error[G_N_ELEMENTS(judged)];
} JointScore;

static void score_frame(const Pose *pose, const TruthPose *truth, JointScore *score) {
  const Landmark *l = truth->landmark;
  double side = MAX((double)truth->box[2], (double)truth->box[3]);
  double trunk = hypot((double)(l[POSE_LEFT_SHOULDER].x - l[POSE_RIGHT_HIP].x),
                       (double)(l[POSE_LEFT_SHOULDER].y - l[POSE_RIGHT_HIP].y));
  for (gsize i = 0; i < G_N_ELEMENTS(judged); i++) {
    const Landmark *want = &l[judged[i]];
    if (want->visibility < 0.5f)
      continue;
    score->joints++;
    if (pose == NULL) {
      score->missing++;
      continue;
    }
    double d =
        hypot((double)(pose->image[judged[i]].x - want->x), (double)(pose->image[judged[i]].y - want->y));
    score->near_box += d <= 0.1 * side;
    score->near_trunk += d <= 0.1 * trunk;
    score->error += d / side;
    score->joint_error[i] += d / side;
    score->joint_count[i]++;
  }
}

/* Intersection over union of everybody's masks with the truth at the masks' size, summed over the frames. */
static gboolean score_masks(const char *scene, const Truth *truth, double *iou, GError **error) {
  g_autofree char *path = g_build_filename(scene, "masks.mkv", NULL);
  g_autoptr(GreyVideoIn) in = grey_video_in_open(path, 0, error);
  if (in == NULL)
    return FALSE;
  g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
  g_ptr_array_set_size(all, truth->frames);
  int stream;
  gint64 index;
  g_autoptr(GError) problem = NULL;
  for (Image *mask; (mask = grey_video_in_next(in, &stream, &index, &problem)); image_free(mask)) {
    if (index < 0 || index >= truth->frames)
      continue;
    Image *sum = g_ptr_array_index(all, (guint)index);
    if (sum == NULL)
      all->pdata[index] = sum = image_new(mask->width, mask->height, 1);
    for (gsize i = 0; i < (gsize)mask->width * (gsize)mask->height; i++)
      sum->pixels[i] = MAX(sum->pixels[i], mask->pixels[i]);
  }
  if (problem) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  gint64 both = 0, either = 0;
  for (int f = 0; f < truth->frames; f++) {
    const Image *found = g_ptr_array_index(all, (guint)f);
    g_autoptr(Image) want = NULL;
    for (int p = 0; p < truth->people; p++) {
      g_autoptr(Image) mask = truth_mask(truth, p, f, error);
      if (mask == NULL)
        return FALSE;
      if (want == NULL)
        want = image_new(mask->width, mask->height, 1);
      for (gsize i = 0; i < (gsize)mask->width * (gsize)mask->height; i++)
        want->pixels[i] = (guint8)MIN(want->pixels[i] + mask->pixels[i], 255);
    }
    g_autoptr(Image) small = found ? image_resize(want, found->width, found->height) : image_copy(want);
    for (gsize i = 0; i < (gsize)small->width * (gsize)small->height; i++) {
      gboolean a = small->pixels[i] >= 128, b = found && found->pixels[i] >= 128;
      both += a && b;
      either += a || b;
    }
  }
  *iou = either ? (double)both / (double)either : 1;
  return TRUE;
}

static json_t *joint_figures(const JointScore *score) {
  json_t *joints = json_object();
  for (gsize i = 0; i < G_N_ELEMENTS(judged); i++)
    json_object_set_new(
        joints, pose_landmark_names[judged[i]],
        json_real(score->joint_count[i] ? score->joint_error[i] / (double)score->joint_count[i] : 0));
  return joints;
}

gboolean judge_tracks(const char *scene, const Truth *truth, const Limits *limits, json_t *result,
                      gboolean *passed, GError **error) {
  gboolean folder = g_file_test(scene, G_FILE_TEST_IS_DIR);
  g_autoptr(Scene) loaded = folder ? scene_load(scene, error) : NULL;
  g_autoptr(Tracks) own = folder ? NULL : video_tracks(scene, limits, error);
  const Tracks *tracks = loaded ? loaded->tracks : own;
  if (tracks == NULL)
    return FALSE;
  JointScore score = {0};
  int swaps = 0;
  for (int p = 0; p < truth->people; p++) {
    const Track *track = nearest_track(tracks, truth, p);
    swaps += count_swaps(tracks, truth, p);
    for (int f = 0; f < truth->frames; f++)
      score_frame(track ? track_pose(track, f) : NULL, truth_pose(truth, p, f), &score);
  }
  double all = MAX((double)score.joints, 1), pck = (double)score.near_box / all, iou = -1;
  if (folder && !score_masks(scene, truth, &iou, error))
    return FALSE;
  json_object_set_new(result, "people", json_integer((json_int_t)tracks->tracks->len));
  json_object_set_new(result, "swaps", json_integer(swaps));
  json_object_set_new(result, "joints", json_integer(score.joints));
  json_object_set_new(result, "pck", json_real(pck));
  json_object_set_new(result, "pck_trunk", json_real((double)score.near_trunk / all));
  json_object_set_new(result, "mean_error",
                      json_real(score.error / MAX((double)(score.joints - score.missing), 1)));
  json_object_set_new(result, "missing", json_real((double)score.missing / all));
  json_object_set_new(result, "joint_error", joint_figures(&score));
  if (folder)
    json_object_set_new(result, "mask_iou", json_real(iou));
  *passed = pck >= limits->min_pck && (!folder || iou >= limits->min_iou);
  return TRUE;
}
