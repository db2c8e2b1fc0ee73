/* Three readings of one picture: as it is, in a mirror, and 3 % smaller. A network that wavers between left
 * and right in a frame answers differently each time; the median of the three is what it holds, and both
 * videos are read in this way. */
#include "truth.h"
#include <math.h>

#define SMALLER 0.97

static GArray *read_mirrored(PoseEstimator *estimator, const Image *rgb, GError **error) {
  g_autoptr(Image) seen = image_mirrored(rgb);
  GArray *poses = NULL;
  if (!pose_find(estimator, seen, &poses, NULL, error))
    return NULL;
  for (guint p = 0; p < poses->len; p++) {
    Pose *pose = &g_array_index(poses, Pose, p), copy = *pose;
    for (int i = 0; i < POSE_LANDMARKS; i++) {
      pose->image[i] = copy.image[pose_mirrored_landmark(i)];
      pose->image[i].x = (float)rgb->width - pose->image[i].x;
    }
  }
  return poses;
}

static GArray *read_smaller(PoseEstimator *estimator, const Image *rgb, GError **error) {
  g_autoptr(Image) seen =
      image_resize(rgb, (int)lround(rgb->width * SMALLER), (int)lround(rgb->height * SMALLER));
  GArray *poses = NULL;
  if (!pose_find(estimator, seen, &poses, NULL, error))
    return NULL;
  for (guint p = 0; p < poses->len; p++)
    for (int i = 0; i < POSE_LANDMARKS; i++) {
      Landmark *landmark = &g_array_index(poses, Pose, p).image[i];
      landmark->x *= (float)rgb->width / (float)seen->width;
      landmark->y *= (float)rgb->height / (float)seen->height;
    }
  return poses;
}

static float median3(float a, float b, float c) {
  return fmaxf(fminf(a, b), fminf(fmaxf(a, b), c));
}

/* Every pose of the first reading, with the medians of those that the others have of the same person. */
static void settle(GArray *poses, const GArray *second, const GArray *third) {
  for (guint p = 0; p < poses->len; p++) {
    Pose *a = &g_array_index(poses, Pose, p);
    double x, y;
    pose_hips(a, &x, &y);
    const Pose *b = pose_near(second, x, y), *c = pose_near(third, x, y);
    for (int i = 0; b && c && i < POSE_LANDMARKS; i++) {
      Landmark *l = &a->image[i];
      const Landmark *m = &b->image[i], *n = &c->image[i];
      l->x = median3(l->x, m->x, n->x);
      l->y = median3(l->y, m->y, n->y);
      l->visibility = median3(l->visibility, m->visibility, n->visibility);
    }
  }
}

GArray *picture_poses(PoseEstimator *estimator, const Image *rgb, int readings, GError **error) {
  GArray *poses = NULL;
  if (!pose_find(estimator, rgb, &poses, NULL, error) || readings == 1)
    return poses;
  g_autoptr(GArray) mirrored = read_mirrored(estimator, rgb, error);
  g_autoptr(GArray) smaller = mirrored ? read_smaller(estimator, rgb, error) : NULL;
  if (!smaller) {
    g_array_unref(poses);
    return NULL;
  }
  settle(poses, mirrored, smaller);
  return poses;
}
