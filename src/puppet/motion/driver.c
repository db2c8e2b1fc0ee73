/* Order of the work: turn bodies seen from behind around (their left is then the character's right, as in a
 * mirror), size per frame, bone lengths, then each series on its own.
 *
 * A limb's direction is taken from the image as it is. Only where it is short on the screen (it points to the
 * camera, and its direction is mostly noise) or where the body turns around, a Gaussian average of the vector
 * itself takes over: long vectors count more in it than short ones, which is what one wants. */
#include "puppet/motion/driver.h"
#include "base/plane.h"
#include "puppet/motion/series.h"
#include <math.h>
#include <string.h>

#define VISIBLE 0.2f /* below this the network guesses */
#define SURELY_VISIBLE 0.5f
#define HELD 0.4f        /* seconds for which an arm that is no longer seen stays where it was */
#define FORGOTTEN 1.2f   /* seconds after which it hangs */
#define HANGING 0.12f    /* radians between a hanging arm and the spine */
#define SEEN_SHARE 0.92  /* of the frames show a limb shorter than its length */
#define DEPTH_SIGMA 0.08 /* seconds: depth is noisier than the image */
#define SIZE_SIGMA 0.5   /* seconds */

typedef float Xy[2];

static const guint8 bone_landmarks[BONES][2] = {
    [BONE_LEFT_UPPER_ARM] = {POSE_LEFT_SHOULDER, POSE_LEFT_ELBOW},
    [BONE_RIGHT_UPPER_ARM] = {POSE_RIGHT_SHOULDER, POSE_RIGHT_ELBOW},
    [BONE_LEFT_FOREARM] = {POSE_LEFT_ELBOW, POSE_LEFT_WRIST},
    [BONE_RIGHT_FOREARM] = {POSE_RIGHT_ELBOW, POSE_RIGHT_WRIST},
    [BONE_LEFT_THIGH] = {POSE_LEFT_HIP, POSE_LEFT_KNEE},
    [BONE_RIGHT_THIGH] = {POSE_RIGHT_HIP, POSE_RIGHT_KNEE},
    [BONE_LEFT_SHIN] = {POSE_LEFT_KNEE, POSE_LEFT_ANKLE},
    [BONE_RIGHT_SHIN] = {POSE_RIGHT_KNEE, POSE_RIGHT_ANKLE},
    [BONE_LEFT_FOOT] = {POSE_LEFT_ANKLE, POSE_LEFT_FOOT_INDEX},
    [BONE_RIGHT_FOOT] = {POSE_RIGHT_ANKLE, POSE_RIGHT_FOOT_INDEX},
};

static const Bone limb_pairs[][2] = {
    {BONE_LEFT_UPPER_ARM, BONE_RIGHT_UPPER_ARM}, {BONE_LEFT_FOREARM, BONE_RIGHT_FOREARM},
    {BONE_LEFT_THIGH, BONE_RIGHT_THIGH},         {BONE_LEFT_SHIN, BONE_RIGHT_SHIN},
    {BONE_LEFT_FOOT, BONE_RIGHT_FOOT},
};

/* Working memory of one preparation. */
typedef struct {
  Driver *driver;
  int count;
  const int *segment;
  Pose *poses;         /* [count] own copy, turned around where the back is seen */
  float *turning;      /* [count] 1 at the frame where the body turns around, falling to 0 beside it */
  float width, height; /* of the frames */
} Work;

static gboolean visible(const Pose *pose, int landmark) {
  return pose->image[landmark].visibility >= VISIBLE;
}

static float image_length(const Pose *pose, int a, int b) {
  return hypotf(pose->image[b].x - pose->image[a].x, pose->image[b].y - pose->image[a].y);
}

static float world_length(const Pose *pose, int a, int b) {
  const Landmark *p = &pose->world[a], *q = &pose->world[b];
  return sqrtf((q->x - p->x) * (q->x - p->x) + (q->y - p->y) * (q->y - p->y) + (q->z - p->z) * (q->z - p->z));
}

/* Landmarks are hostile like any input: what is not finite becomes the nearest finite value of the same
 * landmark. */
static void repair(Work *work) {
  g_autofree guint8 *known = g_new(guint8, work->count);
  float *first = (float *)work->poses[0].image;
  G_STATIC_ASSERT(sizeof(Landmark) == 4 * sizeof(float));
  G_STATIC_ASSERT(offsetof(Pose, world) == offsetof(Pose, image) + sizeof work->poses->image);
  const gsize stride = sizeof(Pose) / sizeof(float);
  for (int v = 0; v < 2 * POSE_LANDMARKS * 4; v++) {
    gboolean all = TRUE;
    for (int i = 0; i < work->count; i++)
      all &= known[i] = isfinite(first[v + (gsize)i * stride]) && fabsf(first[v + (gsize)i * stride]) < 1e5f;
    if (!all && !series_fill(first + v, stride, known, work->segment, work->count))
      for (int i = 0; i < work->count; i++)
        first[v + (gsize)i * stride] = 0;
  }
}

/* Yaw of the trunk from shoulders and hips together. */
static void trunk_yaw(const Work *work, int a, int b, float *yaw) {
  int n = work->count;
  g_autofree Xy *v = g_new(Xy, n);
  for (int i = 0; i < n; i++) {
    const Landmark *w = work->poses[i].world;
    v[i][0] = w[a].x - w[b].x, v[i][1] = -(w[a].z - w[b].z);
  }
  series_gauss(&v[0][0], 2, work->segment, n, DEPTH_SIGMA * work->driver->rate);
  series_gauss(&v[0][1], 2, work->segment, n, DEPTH_SIGMA * work->driver->rate);
  for (int i = 0; i < n; i++)
    yaw[i] = atan2f(v[i][1], v[i][0]);
}

static void swap_sides(Pose *pose) {
  static const guint8 sides[][2] = {{1, 4},   {2, 5},   {3, 6},   {7, 8},   {9, 10},  {11, 12},
                                    {13, 14}, {15, 16}, {17, 18}, {19, 20}, {21, 22}, {23, 24},
                                    {25, 26}, {27, 28}, {29, 30}, {31, 32}};
  for (gsize i = 0; i < G_N_ELEMENTS(sides); i++) {
    Landmark image = pose->image[sides[i][0]], world = pose->world[sides[i][0]];
    pose->image[sides[i][0]] = pose->image[sides[i][1]], pose->image[sides[i][1]] = image;
    pose->world[sides[i][0]] = pose->world[sides[i][1]], pose->world[sides[i][1]] = world;
  }
}

static void turn_around(Work *work) {
  int n = work->count;
  g_autofree float *shoulders = g_new(float, n);
  g_autofree float *hips = g_new(float, n);
  g_autofree guint8 *back = g_new0(guint8, n);
  trunk_yaw(work, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, shoulders);
  trunk_yaw(work, POSE_LEFT_HIP, POSE_RIGHT_HIP, hips);
  int turned = 0;
  for (int i = 0; i < n; i++) {
    float yaw = shoulders[i] + 0.5f * wrap(hips[i] - shoulders[i]);
    work->driver->frames[i].facing = wrap(yaw);
    gboolean was = i > 0 && work->segment[i] == work->segment[i - 1] && back[i - 1];
    back[i] = fabsf(wrap(yaw)) > (float)G_PI * (was ? 80 : 100) / 180;
    turned += fabsf(wrap(yaw)) > (float)G_PI_4;
  }
  work->driver->back_share = (float)turned / (float)n;
  series_steady(back, work->segment, n, MAX(3, (int)lrint(0.15 * work->driver->rate)));
  int reach = MAX(1, (int)lrint(0.25 * work->driver->rate));
  for (int i = 0; i < n; i++) {
    if (back[i])
      swap_sides(&work->poses[i]);
    if (i == 0 || back[i] == back[i - 1] || work->segment[i] != work->segment[i - 1])
      continue;
    for (int j = MAX(0, i - reach); j < MIN(n, i + reach); j++)
      if (work->segment[j] == work->segment[i])
        work->turning[j] =
            MAX(work->turning[j], smooth_step(0, 1, 1 - fabsf((float)(j - i) + 0.5f) / (float)reach));
  }
}

/* Pixels per metre from the sizes of image and world landmarks, very smooth. Within some per cent it is taken
 * as constant: then the world landmarks breathe, not the performer. */
static void size(Work *work) {
  static const guint8 pairs[][2] = {
      {POSE_LEFT_SHOULDER, POSE_LEFT_HIP},      {POSE_RIGHT_SHOULDER, POSE_RIGHT_HIP},
      {POSE_LEFT_HIP, POSE_LEFT_KNEE},          {POSE_RIGHT_HIP, POSE_RIGHT_KNEE},
      {POSE_LEFT_KNEE, POSE_LEFT_ANKLE},        {POSE_RIGHT_KNEE, POSE_RIGHT_ANKLE},
      {POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER}};
  int n = work->count;
  g_autofree float *p = g_new(float, n);
  g_autofree guint8 *known = g_new(guint8, n);
  for (int i = 0; i < n; i++) {
    const Pose *pose = &work->poses[i];
    float image = 0, world = 0;
    for (gsize k = 0; k < G_N_ELEMENTS(pairs); k++) {
      int a = pairs[k][0], b = pairs[k][1];
      if (!visible(pose, a) || !visible(pose, b))
        continue;
      image += image_length(pose, a, b);
      world += hypotf(pose->world[b].x - pose->world[a].x, pose->world[b].y - pose->world[a].y);
    }
    known[i] = world > 0.2f && image > 4;
    p[i] = known[i] ? logf(image / world) : 0;
  }
  if (!series_fill(p, 1, known, work->segment, n))
    for (int i = 0; i < n; i++)
      p[i] = logf(MAX(work->poses[i].box[3], 8.0f) / 1.7f);
  series_gauss(p, 1, work->segment, n, SIZE_SIGMA * work->driver->rate);
  int shots = work->segment[n - 1] - work->segment[0] + 1;
  for (int s = 0, at = 0; s < shots && at < n; s++) {
    int end = at;
    while (end < n && work->segment[end] == work->segment[at])
      end++;
    float usual = series_quantile(p + at, 1, end - at, 0.5);
    for (int i = at; i < end; i++) {
      float x = p[i] - usual;
      work->driver->frames[i].pixels_per_metre = expf(usual + x * smooth_step(0.05f, 0.18f, fabsf(x)));
    }
    at = end;
  }
}

static float usual_length(const Work *work, int a, int b, double share, gboolean *known) {
  int n = work->count, seen = 0;
  g_autofree float *image = g_new(float, n);
  g_autofree float *world = g_new(float, n);
  for (int i = 0; i < n; i++) {
    const Pose *pose = &work->poses[i];
    gboolean both = visible(pose, a) && visible(pose, b);
    seen += both;
    image[i] = both ? image_length(pose, a, b) / work->driver->frames[i].pixels_per_metre : NAN;
    world[i] = world_length(pose, a, b);
  }
  *known = seen > 0;
  return MAX(series_quantile(image, 1, n, share), 0.9f * series_quantile(world, 1, n, 0.5));
}

static void lengths(Work *work) {
  Driver *driver = work->driver;
  for (gsize i = 0; i < G_N_ELEMENTS(limb_pairs); i++) {
    float longest = 0.02f;
    for (int side = 0; side < 2; side++) {
      Bone bone = limb_pairs[i][side];
      const guint8 *ends = bone_landmarks[bone];
      longest = MAX(longest, usual_length(work, ends[0], ends[1], SEEN_SHARE, &driver->known[bone]));
    }
    driver->length[limb_pairs[i][0]] = driver->length[limb_pairs[i][1]] = longest;
  }
  gboolean known;
  driver->shoulder_width = usual_length(work, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, SEEN_SHARE, &known);
  float left =
      usual_length(work, POSE_LEFT_WRIST, POSE_LEFT_INDEX, SEEN_SHARE, &driver->known[BONE_LEFT_HAND]);
  float right =
      usual_length(work, POSE_RIGHT_WRIST, POSE_RIGHT_INDEX, SEEN_SHARE, &driver->known[BONE_RIGHT_HAND]);
  driver->length[BONE_LEFT_HAND] = driver->length[BONE_RIGHT_HAND] = MAX(MAX(left, right), 0.02f);
}

/* Direction of a vector over the frames: as measured where it is long, its average where it is short. */
static void directions(const Work *work, Xy *v, const float *usual, double sigma, float *angle,
                       gsize stride) {
  int n = work->count;
  g_autofree Xy *mean = g_new(Xy, n);
  memcpy(mean, v, sizeof(Xy) * (gsize)n);
  series_gauss(&mean[0][0], 2, work->segment, n, sigma);
  series_gauss(&mean[0][1], 2, work->segment, n, sigma);
  for (int i = 0; i < n; i++) {
    float sharp =
        smooth_step(0.12f, 0.4f, hypotf(v[i][0], v[i][1]) / MAX(usual[i], 1e-3f)) * (1 - work->turning[i]);
    float x = mean[i][0] + (v[i][0] - mean[i][0]) * sharp, y = mean[i][1] + (v[i][1] - mean[i][1]) * sharp;
    angle[(gsize)i * stride] = atan2f(y, x + 1e-9f);
  }
  series_unwrap(angle, stride, work->segment, n);
}

#define FRAME_STRIDE (sizeof(DriverFrame) / sizeof(float))

/* Sine of the tilt toward the camera with a soft sign, so that a limb that lies in the picture does not
 * tremble. */
static void tilts(const Work *work, Bone bone, const Xy *v, const guint8 *known) {
  int n = work->count;
  const guint8 *ends = bone_landmarks[bone];
  float *tilt = &work->driver->frames[0].tilt[bone];
  for (int i = 0; i < n; i++) {
    const Landmark *w = work->poses[i].world;
    float whole = work->driver->length[bone] * work->driver->frames[i].pixels_per_metre;
    float flat = acosf(MIN(1.0f, hypotf(v[i][0], v[i][1]) / MAX(0.97f * whole, 1e-3f)));
    float toward = -(w[ends[1]].z - w[ends[0]].z) / work->driver->length[bone];
    tilt[(gsize)i * FRAME_STRIDE] = flat * CLAMP(toward / 0.2f, -1.0f, 1.0f);
  }
  series_fill(tilt, FRAME_STRIDE, known, work->segment, n);
  series_gauss(tilt, FRAME_STRIDE, work->segment, n, DEPTH_SIGMA * work->driver->rate);
}

/* How much of what was last seen still holds, by the seconds from the nearest frame of the shot in which it
 * was seen: 1 at once, 0 after a while. memory: [count]. */
static void remember(const Work *work, const guint8 *known, float *memory) {
  int n = work->count, far = n + (int)(FORGOTTEN * work->driver->rate) + 1, since = far;
  for (int i = 0; i < n; i++) {
    since = known[i] ? 0 : i > 0 && work->segment[i] != work->segment[i - 1] ? far : MIN(since + 1, far);
    memory[i] = (float)since;
  }
  since = far;
  for (int i = n - 1; i >= 0; i--) {
    since = known[i] ? 0 : i + 1 < n && work->segment[i] != work->segment[i + 1] ? far : MIN(since + 1, far);
    memory[i] = 1 - smooth_step(HELD, FORGOTTEN, MIN(memory[i], (float)since) / (float)work->driver->rate);
  }
}

static gboolean inside(const Work *work, const Landmark *l, float margin) {
  return l->x >= -margin && l->x <= work->width + margin && l->y >= -margin && l->y <= work->height + margin;
}

/* The network says of limbs outside of the frame, too, that it sees them. An elbow may be just outside. */
static gboolean arm_seen(const Work *work, const Pose *pose, int side) {
  const Landmark *elbow = &pose->image[POSE_LEFT_ELBOW + side], *wrist = &pose->image[POSE_LEFT_WRIST + side];
  return (elbow->visibility >= VISIBLE && inside(work, elbow, 0.1f * MIN(work->width, work->height))) ||
         (wrist->visibility >= SURELY_VISIBLE && inside(work, wrist, 0));
}

/* An arm that has not been seen for a while hangs beside the body: nobody knows where it is, and it is least
 * in the way there, most often outside of the frame like the driver's own. */
static void let_hang(Work *work, int side) {
  g_autofree float *memory = g_new(float, work->count);
  g_autofree guint8 *known = g_new(guint8, work->count);
  for (int i = 0; i < work->count; i++)
    known[i] = arm_seen(work, &work->poses[i], side);
  remember(work, known, memory);
  const Bone bones[] = {BONE_LEFT_UPPER_ARM + side, BONE_LEFT_FOREARM + side};
  for (int i = 0; i < work->count; i++) {
    DriverFrame *f = &work->driver->frames[i];
    float hanging = f->angle[BONE_PELVIS] + (float)G_PI + (side ? HANGING : -HANGING);
    for (int k = 0; k < 2; k++) {
      f->angle[bones[k]] += (1 - memory[i]) * wrap(hanging - f->angle[bones[k]]);
      f->tilt[bones[k]] *= memory[i];
    }
    f->arm_seen[side] = memory[i];
  }
}

static void limbs(Work *work) {
  int n = work->count;
  g_autofree Xy *v = g_new(Xy, n);
  g_autofree float *usual = g_new(float, n);
  g_autofree guint8 *known = g_new(guint8, n);
  for (int bone = 0; bone < BONES; bone++) {
    const guint8 *ends = bone_landmarks[bone];
    if (ends[1] == 0)
      continue;
    for (int i = 0; i < n; i++) {
      const Pose *pose = &work->poses[i];
      known[i] = visible(pose, ends[0]) && visible(pose, ends[1]) &&
                 (bone > BONE_RIGHT_FOREARM || arm_seen(work, pose, (bone - BONE_LEFT_UPPER_ARM) % 2));
      v[i][0] = pose->image[ends[1]].x - pose->image[ends[0]].x;
      v[i][1] = pose->image[ends[1]].y - pose->image[ends[0]].y;
      usual[i] = work->driver->length[bone] * work->driver->frames[i].pixels_per_metre;
    }
    float *angle = &work->driver->frames[0].angle[bone];
    directions(work, v, usual, 0.08 * work->driver->rate, angle, FRAME_STRIDE);
    tilts(work, bone, (const Xy *)v, known);
    if (series_fill(angle, FRAME_STRIDE, known, work->segment, n) && bone >= BONE_LEFT_FOOT)
      series_gauss(angle, FRAME_STRIDE, work->segment, n, 0.06 * work->driver->rate);
  }
  let_hang(work, 0);
  let_hang(work, 1);
}

/* A line between two landmarks; held where it is too short on the screen to have a direction. */
static void line_angle(const Work *work, int from, int to, double sigma, float *angle) {
  int n = work->count;
  g_autofree guint8 *known = g_new(guint8, n);
  g_autofree float *metres = g_new(float, n);
  for (int i = 0; i < n; i++)
    metres[i] = image_length(&work->poses[i], from, to) / work->driver->frames[i].pixels_per_metre;
  float usual = series_quantile(metres, 1, n, 0.8);
  for (int i = 0; i < n; i++) {
    const Landmark *l = work->poses[i].image;
    /* Left lies right of right on the screen of whoever faces the camera; what is crossed over has turned too
     * far. */
    known[i] = metres[i] > 0.35f * usual && l[to].x > l[from].x;
    angle[(gsize)i * FRAME_STRIDE] = atan2f(l[to].y - l[from].y, l[to].x - l[from].x);
  }
  if (!series_fill(angle, FRAME_STRIDE, known, work->segment, n))
    for (int i = 0; i < n; i++)
      angle[(gsize)i * FRAME_STRIDE] = 0;
  series_gauss(angle, FRAME_STRIDE, work->segment, n, sigma * work->driver->rate);
}

static void trunk(Work *work) {
  int n = work->count;
  Driver *driver = work->driver;
  g_autofree Xy *spine = g_new(Xy, n);
  g_autofree Xy *neck = g_new(Xy, n);
  g_autofree float *length = g_new(float, n);
  g_autofree float *yaw = g_new(float, n);
  for (int i = 0; i < n; i++) {
    DriverFrame *f = &driver->frames[i];
    const Landmark *l = work->poses[i].image;
    landmark_middle(&work->poses[i], POSE_LEFT_HIP, POSE_RIGHT_HIP, f->hip);
    landmark_middle(&work->poses[i], POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, f->shoulders);
    landmark_middle(&work->poses[i], POSE_LEFT_EAR, POSE_RIGHT_EAR, f->ears);
    for (int a = 0; a < 2; a++) {
      spine[i][a] = f->shoulders[a] - f->hip[a];
      neck[i][a] = f->ears[a] - f->shoulders[a];
      for (int side = 0; side < 2; side++) {
        f->ankle[side][a] = (&l[POSE_LEFT_ANKLE + side].x)[a];
        f->wrist[side][a] = (&l[POSE_LEFT_WRIST + side].x)[a];
        f->hand[side][a] = 0.5f * ((&l[POSE_LEFT_INDEX + side].x)[a] + (&l[POSE_LEFT_PINKY + side].x)[a]);
      }
    }
    length[i] = hypotf(spine[i][0], spine[i][1]) / f->pixels_per_metre;
  }
  driver->length[BONE_PELVIS] = MAX(series_quantile(length, 1, n, 0.8), 0.1f);
  for (int i = 0; i < n; i++)
    driver->frames[i].spine = length[i] / driver->length[BONE_PELVIS];
  series_gauss(&driver->frames[0].spine, FRAME_STRIDE, work->segment, n, 0.06 * driver->rate);
  for (int i = 0; i < n; i++)
    length[i] = hypotf(neck[i][0], neck[i][1]) / driver->frames[i].pixels_per_metre;
  driver->length[BONE_HEAD] = MAX(series_quantile(length, 1, n, 0.6), 0.05f);

  for (int i = 0; i < n; i++)
    length[i] = driver->length[BONE_PELVIS] * driver->frames[i].pixels_per_metre;
  directions(work, spine, length, 0.08 * driver->rate, &driver->frames[0].angle[BONE_PELVIS], FRAME_STRIDE);
  for (int i = 0; i < n; i++)
    driver->frames[i].angle[BONE_CHEST] = driver->frames[i].angle[BONE_PELVIS];
  for (int i = 0; i < n; i++)
    length[i] = driver->length[BONE_HEAD] * driver->frames[i].pixels_per_metre;
  directions(work, neck, length, 0.08 * driver->rate, &driver->frames[0].neck, FRAME_STRIDE);

  line_angle(work, POSE_RIGHT_SHOULDER, POSE_LEFT_SHOULDER, 0.04, &driver->frames[0].shoulder_line);
  line_angle(work, POSE_RIGHT_HIP, POSE_LEFT_HIP, 0.06, &driver->frames[0].hip_line);
  line_angle(work, POSE_RIGHT_EAR, POSE_LEFT_EAR, 0.05, &driver->frames[0].ear_line);
  trunk_yaw(work, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, yaw);
  for (int i = 0; i < n; i++)
    driver->frames[i].chest_yaw = yaw[i];
  trunk_yaw(work, POSE_LEFT_HIP, POSE_RIGHT_HIP, yaw);
  for (int i = 0; i < n; i++)
    driver->frames[i].pelvis_yaw = yaw[i];
}

static void head(Work *work) {
  int n = work->count;
  Driver *driver = work->driver;
  g_autofree float *metres = g_new(float, n);
  for (int i = 0; i < n; i++)
    metres[i] =
        image_length(&work->poses[i], POSE_RIGHT_EAR, POSE_LEFT_EAR) / driver->frames[i].pixels_per_metre;
  float usual = MAX(series_quantile(metres, 1, n, 0.8), 0.03f);
  for (int i = 0; i < n; i++) {
    DriverFrame *f = &driver->frames[i];
    const Landmark *nose = &work->poses[i].image[POSE_NOSE];
    float x = nose->x - f->ears[0], y = nose->y - f->ears[1], c = cosf(f->ear_line), s = sinf(f->ear_line);
    float along = x * c + y * s, down = y * c - x * s,
          width = f->pixels_per_metre * MAX(metres[i], 0.4f * usual);
    f->head_yaw = -asinf(CLAMP(1.3f * along / width, -1.0f, 1.0f));
    f->head_pitch = 1.2f * down / (usual * f->pixels_per_metre);
  }
  float level = series_quantile(&driver->frames[0].head_pitch, FRAME_STRIDE, n, 0.5);
  for (int i = 0; i < n; i++)
    driver->frames[i].head_pitch -= level;
  series_gauss(&driver->frames[0].head_yaw, FRAME_STRIDE, work->segment, n, DEPTH_SIGMA * driver->rate);
  series_gauss(&driver->frames[0].head_pitch, FRAME_STRIDE, work->segment, n, DEPTH_SIGMA * driver->rate);
}

/* How far a wrist lies in front of the trunk's plane through the shoulders, in metres. */
static float before_trunk(const Landmark *w, int wrist) {
  float x[3] = {w[POSE_LEFT_SHOULDER].x - w[POSE_RIGHT_SHOULDER].x,
                w[POSE_LEFT_SHOULDER].y - w[POSE_RIGHT_SHOULDER].y,
                w[POSE_LEFT_SHOULDER].z - w[POSE_RIGHT_SHOULDER].z};
  float o[3] = {0.5f * (w[POSE_LEFT_SHOULDER].x + w[POSE_RIGHT_SHOULDER].x),
                0.5f * (w[POSE_LEFT_SHOULDER].y + w[POSE_RIGHT_SHOULDER].y),
                0.5f * (w[POSE_LEFT_SHOULDER].z + w[POSE_RIGHT_SHOULDER].z)};
  float y[3] = {0.5f * (w[POSE_LEFT_HIP].x + w[POSE_RIGHT_HIP].x) - o[0],
                0.5f * (w[POSE_LEFT_HIP].y + w[POSE_RIGHT_HIP].y) - o[1],
                0.5f * (w[POSE_LEFT_HIP].z + w[POSE_RIGHT_HIP].z) - o[2]};
  /* x right, y down, z away: x cross y points away from the camera for who faces it. */
  float z[3] = {x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]};
  float length = sqrtf(z[0] * z[0] + z[1] * z[1] + z[2] * z[2]) + 1e-6f;
  return -((w[wrist].x - o[0]) * z[0] + (w[wrist].y - o[1]) * z[1] + (w[wrist].z - o[2]) * z[2]) / length;
}

static void hands(Work *work, int side) {
  int n = work->count;
  Driver *driver = work->driver;
  DriverFrame *frames = driver->frames;
  int wrist = POSE_LEFT_WRIST + side, index = POSE_LEFT_INDEX + side, pinky = POSE_LEFT_PINKY + side,
      thumb = POSE_LEFT_THUMB + side;
  Bone bone = BONE_LEFT_HAND + side, forearm = BONE_LEFT_FOREARM + side;
  g_autofree guint8 *known = g_new(guint8, n);
  g_autofree guint8 *clockwise = g_new(guint8, n);
  g_autofree Xy *v = g_new(Xy, n);
  for (int i = 0; i < n; i++) {
    const Pose *pose = &work->poses[i];
    const Landmark *l = pose->image, *w = pose->world;
    DriverFrame *f = &frames[i];
    known[i] = visible(pose, wrist) && visible(pose, index) && visible(pose, pinky);
    float knuckle[2];
    landmark_middle(pose, index, pinky, knuckle);
    float x = knuckle[0] - l[wrist].x, y = knuckle[1] - l[wrist].y;
    float c = cosf(f->angle[forearm]), s = sinf(f->angle[forearm]);
    v[i][0] = x * c + y * s, v[i][1] = y * c - x * s;
    float whole = MAX(driver->length[bone] * f->pixels_per_metre, 1e-3f);
    f->hand_span[side] = CLAMP(image_length(pose, index, pinky) / (0.84f * whole), 0.5f, 1.0f);
    float turn = (x * (l[thumb].y - l[wrist].y) - y * (l[thumb].x - l[wrist].x)) / (whole * whole);
    gboolean was = i > 0 && work->segment[i] == work->segment[i - 1] ? clockwise[i - 1] : turn > 0;
    clockwise[i] = turn > (was ? -0.08f : 0.08f);
    f->wrist_depth[side] = before_trunk(w, wrist);
    f->wrist_head_depth[side] = 0.5f * (w[POSE_LEFT_EAR].z + w[POSE_RIGHT_EAR].z) - w[wrist].z;
    f->hand_seen[side] = 0.5f * (l[index].visibility + l[pinky].visibility);
    f->knee_depth[side] = -w[POSE_LEFT_KNEE + side].z;
  }
  /* The vector is averaged before its angle is taken: a hand seen end-on has next to none. */
  for (int a = 0; a < 2; a++) {
    series_fill(&v[0][a], 2, known, work->segment, n);
    series_gauss(&v[0][a], 2, work->segment, n, 0.05 * driver->rate);
  }
  series_steady(clockwise, work->segment, n, MAX(3, (int)lrint(0.2 * driver->rate)));
  for (int i = 0; i < n; i++) {
    frames[i].hand_bend[side] = frames[i].arm_seen[side] * atan2f(v[i][1], v[i][0] + 1e-6f);
    frames[i].thumb_side[side] = clockwise[i] ? 1 : -1;
  }
  series_unwrap(&frames[0].hand_bend[side], FRAME_STRIDE, work->segment, n);
  float *smooth[] = {&frames[0].hand_span[side],   &frames[0].thumb_side[side],
                     &frames[0].wrist_depth[side], &frames[0].wrist_head_depth[side],
                     &frames[0].hand_seen[side],   &frames[0].knee_depth[side]};
  for (gsize k = 0; k < G_N_ELEMENTS(smooth); k++)
    series_gauss(smooth[k], FRAME_STRIDE, work->segment, n, 0.06 * driver->rate);
}

static void feet(Work *work, const Tracks *tracks) {
  int n = work->count;
  Driver *driver = work->driver;
  g_autofree Xy *at = g_new(Xy, n);
  g_autofree float *drop = g_new(float, 2 * (gsize)n);
  for (int side = 0; side < 2; side++) {
    int ankle = POSE_LEFT_ANKLE + side, heel = POSE_LEFT_HEEL + side, toe = POSE_LEFT_FOOT_INDEX + side;
    for (int i = 0; i < n; i++) {
      const Landmark *l = work->poses[i].image;
      at[i][0] = (l[ankle].x + l[heel].x + l[toe].x) / 3, at[i][1] = (l[ankle].y + l[heel].y + l[toe].y) / 3;
      drop[2 * i + side] = (MAX(l[heel].y, l[toe].y) - l[ankle].y) / driver->frames[i].pixels_per_metre;
    }
    series_gauss(&at[0][0], 2, work->segment, n, 0.05 * driver->rate);
    series_gauss(&at[0][1], 2, work->segment, n, 0.05 * driver->rate);
    for (int i = 0; i < n; i++) {
      int a = i > 0 && work->segment[i - 1] == work->segment[i] ? i - 1 : i;
      int b = i + 1 < n && work->segment[i + 1] == work->segment[i] ? i + 1 : i;
      float way = b > a ? hypotf(at[b][0] - at[a][0], at[b][1] - at[a][1]) / (float)(b - a) : 0;
      driver->frames[i].foot_speed[side] = way * (float)driver->rate / driver->frames[i].pixels_per_metre;
    }
  }
  driver->foot_drop = series_quantile(drop, 1, 2 * n, 0.5);
  for (int i = 0; i < n; i++) {
    float best = 0;
    for (int side = 0; side < 2; side++) {
      const Landmark *knee = &work->poses[i].image[POSE_LEFT_KNEE + side], *ankle = knee + 2;
      float seen = MIN(knee->visibility, ankle->visibility);
      best = MAX(best, ankle->y < 1.03f * (float)tracks->height ? seen : 0);
    }
    driver->frames[i].legs_seen = smooth_step(0.2f, 0.5f, best);
  }
  series_gauss(&driver->frames[0].legs_seen, FRAME_STRIDE, work->segment, n, 0.3 * driver->rate);
}

static double frame_rate(const Tracks *tracks) {
  int last = tracks->frames - 1;
  double seconds = last > 0 && tracks->time_s ? tracks->time_s[last] - tracks->time_s[0] : 0;
  return seconds > 0 ? CLAMP(last / seconds, 4.0, 240.0) : 25.0;
}

static int *segments(const Track *track, const Tracks *tracks) {
  int *segment = g_new0(int, track->count);
  guint cut = 0, cuts = tracks->cuts ? tracks->cuts->len : 0;
  for (int i = 0; i < track->count; i++) {
    while (cut < cuts && g_array_index(tracks->cuts, int, cut) <= track->first + i)
      cut++;
    segment[i] = (int)cut;
  }
  return segment;
}

Driver *driver_new(const Track *track, const Tracks *tracks) {
  g_return_val_if_fail(track->count > 0, NULL);
  Driver *driver = g_new0(Driver, 1);
  driver->count = track->count;
  driver->rate = frame_rate(tracks);
  driver->segment = segments(track, tracks);
  driver->frames = g_new0(DriverFrame, track->count);
  g_autofree float *turning = g_new0(float, track->count);
  g_autofree Pose *poses = g_new(Pose, track->count);
  memcpy(poses, track->poses, sizeof(Pose) * (gsize)track->count);
  Work work = {driver,  track->count,         driver->segment,      poses,
               turning, (float)tracks->width, (float)tracks->height};
  repair(&work);
  turn_around(&work);
  size(&work);
  lengths(&work);
  trunk(&work);
  limbs(&work);
  head(&work);
  hands(&work, 0);
  hands(&work, 1);
  feet(&work, tracks);
  return driver;
}

void driver_free(Driver *driver) {
  if (!driver)
    return;
  g_free(driver->segment);
  g_free(driver->frames);
  g_free(driver);
}
