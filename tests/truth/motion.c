/* Whether the figure in a result moves as the driver does: both videos go through the pose networks in the
 * same way, every frame by itself, and the directions of ten bones on the screen are compared where the
 * driver's joints are visible. */
#include "truth.h"
#include <math.h>

static const PoseLandmark bones[][2] = {
    {POSE_LEFT_SHOULDER, POSE_LEFT_ELBOW},     {POSE_RIGHT_SHOULDER, POSE_RIGHT_ELBOW},
    {POSE_LEFT_ELBOW, POSE_LEFT_WRIST},        {POSE_RIGHT_ELBOW, POSE_RIGHT_WRIST},
    {POSE_LEFT_HIP, POSE_LEFT_KNEE},           {POSE_RIGHT_HIP, POSE_RIGHT_KNEE},
    {POSE_LEFT_KNEE, POSE_LEFT_ANKLE},         {POSE_RIGHT_KNEE, POSE_RIGHT_ANKLE},
    {POSE_RIGHT_SHOULDER, POSE_LEFT_SHOULDER}, {POSE_RIGHT_HIP, POSE_LEFT_HIP},
};
static const char *const bone_names[] = {
    "left_upper_arm", "right_upper_arm", "left_forearm", "right_forearm", "left_thigh",
    "right_thigh",    "left_shin",       "right_shin",   "shoulders",     "hips"};
#define BONE_COUNT G_N_ELEMENTS(bones)

static double bone_direction(const Pose *pose, gsize bone) {
  const Landmark *a = &pose->image[bones[bone][0]], *b = &pose->image[bones[bone][1]];
  return atan2((double)(b->y - a->y), (double)(b->x - a->x));
}

static gboolean bone_visible(const Pose *pose, gsize bone) {
  return pose->image[bones[bone][0]].visibility > 0.5f && pose->image[bones[bone][1]].visibility > 0.5f;
}

void pose_hips(const Pose *pose, double *x, double *y) {
  const Landmark *l = &pose->image[POSE_LEFT_HIP], *r = &pose->image[POSE_RIGHT_HIP];
  *x = 0.5 * (double)(l->x + r->x);
  *y = 0.5 * (double)(l->y + r->y);
}

const Pose *pose_near(const GArray *poses, double x, double y) {
  const Pose *best = NULL;
  double least = INFINITY;
  for (guint i = 0; i < poses->len; i++) {
    const Pose *pose = &g_array_index(poses, Pose, i);
    double px, py;
    pose_hips(pose, &px, &py);
    double d = hypot(px - x, py - y);
    if (d < least) {
      least = d;
      best = pose;
    }
  }
  return best;
}

static int compare_doubles(gconstpointer a, gconstpointer b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(GArray *values, double q) {
  return values->len ? g_array_index(values, double, (guint)(q * (values->len - 1))) : 0;
}

typedef struct {
  double sum[BONE_COUNT];
  gint64 count[BONE_COUNT];
  GArray *all; /* double: degrees */
  int driven, found;
  double hips; /* sum of the hips' distance / driver's box height */
} Fidelity;

static void compare_poses(const Pose *driver, const Pose *made, gboolean each, Fidelity *f) {
  double dx, dy, mx, my;
  pose_hips(driver, &dx, &dy);
  pose_hips(made, &mx, &my);
  f->hips += hypot(dx - mx, dy - my) / MAX((double)driver->box[3], 1);
  for (gsize b = 0; b < BONE_COUNT; b++) {
    if (!bone_visible(driver, b)) {
      if (each)
        g_printerr("      -");
      continue;
    }
    double turn = remainder(bone_direction(made, b) - bone_direction(driver, b), 2 * G_PI);
    double degrees = fabs(turn) * 180 / G_PI;
    f->sum[b] += degrees;
    f->count[b]++;
    g_array_append_val(f->all, degrees);
    if (each)
      g_printerr(" %6.1f", turn * 180 / G_PI);
  }
  if (each)
    g_printerr("\n");
}

static void compare_videos(const Track *track, const GPtrArray *driver, const GPtrArray *made,
                           const Limits *limits, Fidelity *f) {
  for (int i = 0; i < track->count; i++) {
    guint frame = (guint)(track->first + i);
    double x, y;
    pose_hips(&track->poses[i], &x, &y);
    if (track->slot[i] < 0 || frame >= driver->len || frame % (guint)MAX(limits->step, 1))
      continue;
    const Pose *want = pose_near(g_ptr_array_index(driver, frame), x, y);
    if (want == NULL)
      continue;
    f->driven++;
    const Pose *got = frame < made->len ? pose_near(g_ptr_array_index(made, frame), x, y) : NULL;
    if (got == NULL)
      continue;
    f->found++;
    if (limits->each)
      g_printerr("%4u", frame);
    compare_poses(want, got, limits->each, f);
  }
}

static void tell(const Fidelity *f, json_t *result, double *mean, double *missing) {
  double sum = 0;
  json_t *each = json_object();
  for (gsize b = 0; b < BONE_COUNT; b++) {
    sum += f->sum[b];
    json_object_set_new(each, bone_names[b], json_real(f->count[b] ? f->sum[b] / (double)f->count[b] : 0));
  }
  g_array_sort(f->all, compare_doubles);
  *mean = f->all->len ? sum / f->all->len : 180;
  *missing = f->driven ? 1 - (double)f->found / f->driven : 1;
  json_object_set_new(result, "frames", json_integer(f->driven));
  json_object_set_new(result, "degrees", json_real(*mean));
  json_object_set_new(result, "median", json_real(quantile(f->all, 0.5)));
  json_object_set_new(result, "p90", json_real(quantile(f->all, 0.9)));
  json_object_set_new(result, "missing", json_real(*missing));
  json_object_set_new(result, "hips_offset", json_real(f->found ? f->hips / f->found : 0));
  json_object_set_new(result, "bones", each);
}

gboolean judge_motion(const char *driver, const char *made, const Limits *limits, json_t *result,
                      gboolean *passed, GError **error) {
  g_autoptr(Tracks) tracks = video_tracks(driver, limits, error);
  if (tracks == NULL)
    return FALSE;
  if (limits->person < 1 || limits->person > (int)tracks->tracks->len)
    return fault(error, FAULT_USAGE, "The driver has %u people; there is no person %d.", tracks->tracks->len,
                 limits->person);
  g_autoptr(GPtrArray) driver_seen = video_poses(driver, limits, error);
  g_autoptr(GPtrArray) made_seen = driver_seen ? video_poses(made, limits, error) : NULL;
  if (made_seen == NULL)
    return FALSE;
  Fidelity f = {.all = g_array_new(FALSE, FALSE, sizeof(double))};
  compare_videos(g_ptr_array_index(tracks->tracks, (guint)limits->person - 1), driver_seen, made_seen, limits,
                 &f);
  double mean, missing;
  tell(&f, result, &mean, &missing);
  g_array_unref(f.all);
  *passed = (limits->max_degrees < 0 || mean <= limits->max_degrees) &&
            (limits->max_missing < 0 || missing <= limits->max_missing);
  return TRUE;
}
