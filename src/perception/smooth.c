/* The state of a coordinate is position, speed and acceleration. Forward, each step predicts and then
 * corrects by the measurement; backward, each estimate is pulled towards what the later ones imply. Only
 * ratios of noise matter: time is counted in 1/omega of the cutoff and the jerk has density 1, so a
 * measurement of full trust that stands for a stretch dt of time has the variance 1/dt. */
#include "perception/smooth.h"
#include <math.h>
#include <string.h>

/* Hz, where the response has fallen to a half. Against the demonstration's truth the error is least at 4 for
 * trunk and feet, 6 for arms, 2 for depth; quicker dancing than that asks for somewhat more. */
#define CUTOFF_BODY 5.0
#define CUTOFF_ARM 7.0
#define CUTOFF_DEPTH 2.5
#define CUTOFF_SLOW 2.5   /* visibility, box */
#define SPIKE_LEAST 0.05f /* of the body's size */
#define SPIKE_REACH 7
#define EXCHANGE_GAP 0.2 /* s */
/* In a longer gap the motion must not run on: the straight line across it counts for something, and the
 * frames at its edges, where the body was about to be lost, for less. */
#define GAP_SHORT 2 /* frames */
#define GAP_TRUST 0.3f
#define EDGE_FRAMES 3
#define EDGE_TRUST 0.4f

typedef struct {
  double x[3], p[3][3];
} State;

typedef struct {
  State predicted, corrected;
  double f[3]; /* transition over the step before: 1, dt, dt^2/2 */
} Step;

/* Covariance of jerk noise over dt, for a spectral density of 1. */
static void jerk_noise(double dt, double q[3][3]) {
  double a = dt * dt, b = a * dt, c = b * dt, d = c * dt;
  q[0][0] = d / 20, q[0][1] = q[1][0] = c / 8, q[0][2] = q[2][0] = b / 6;
  q[1][1] = b / 3, q[1][2] = q[2][1] = a / 2, q[2][2] = dt;
}

/* out = F p F' with F = [1 dt dt^2/2; 0 1 dt; 0 0 1]. */
static void propagate(double dt, const double p[3][3], double out[3][3]) {
  double half = dt * dt / 2, fp[3][3];
  for (int j = 0; j < 3; j++) {
    fp[0][j] = p[0][j] + dt * p[1][j] + half * p[2][j];
    fp[1][j] = p[1][j] + dt * p[2][j];
    fp[2][j] = p[2][j];
  }
  for (int i = 0; i < 3; i++) {
    out[i][0] = fp[i][0] + dt * fp[i][1] + half * fp[i][2];
    out[i][1] = fp[i][1] + dt * fp[i][2];
    out[i][2] = fp[i][2];
  }
}

static State predict(const State *from, double dt, double density) {
  State to;
  double q[3][3];
  to.x[0] = from->x[0] + dt * from->x[1] + dt * dt / 2 * from->x[2];
  to.x[1] = from->x[1] + dt * from->x[2];
  to.x[2] = from->x[2];
  propagate(dt, from->p, to.p);
  jerk_noise(dt, q);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      to.p[i][j] += density * q[i][j];
  return to;
}

/* dt: the stretch of time that the measurement stands for. */
static State correct(const State *from, double value, double trust, double dt) {
  State to = *from;
  if (!(trust > 0))
    return to;
  double variance = from->p[0][0] + 1 / (trust * trust * dt), gain[3];
  for (int i = 0; i < 3; i++)
    gain[i] = from->p[i][0] / variance;
  for (int i = 0; i < 3; i++) {
    to.x[i] += gain[i] * (value - from->x[0]);
    for (int j = 0; j < 3; j++)
      to.p[i][j] -= gain[i] * from->p[0][j];
  }
  for (int i = 0; i < 3; i++) /* rounding must not make it lopsided */
    for (int j = 0; j < i; j++)
      to.p[i][j] = to.p[j][i] = 0.5 * (to.p[i][j] + to.p[j][i]);
  return to;
}

/* Solves a y = b for a symmetric positive definite 3x3, by Cholesky; FALSE where it is not. */
static gboolean solve(const double a[3][3], const double b[3], double y[3]) {
  double l[3][3] = {{0}};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j <= i; j++) {
      double sum = a[i][j];
      for (int k = 0; k < j; k++)
        sum -= l[i][k] * l[j][k];
      if (i == j && !(sum > 0))
        return FALSE;
      l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
    }
  for (int i = 0; i < 3; i++) {
    y[i] = b[i];
    for (int k = 0; k < i; k++)
      y[i] -= l[i][k] * y[k];
    y[i] /= l[i][i];
  }
  for (int i = 2; i >= 0; i--) {
    for (int k = i + 1; k < 3; k++)
      y[i] -= l[k][i] * y[k];
    y[i] /= l[i][i];
  }
  return TRUE;
}

/* Backward step on the means alone: x += P F' Pred^-1 (later - predicted). */
static void pull(const Step *now, const Step *next, double dt, const double later[3], double x[3]) {
  double difference[3], y[3], half = dt * dt / 2;
  for (int i = 0; i < 3; i++)
    difference[i] = later[i] - next->predicted.x[i];
  memcpy(x, now->corrected.x, 3 * sizeof *x);
  if (!solve(next->predicted.p, difference, y))
    return;
  double fty[3] = {y[0], dt * y[0] + y[1], half * y[0] + dt * y[1] + y[2]};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      x[i] += now->corrected.p[i][j] * fty[j];
}

void smooth_series(const double *time_s, const float *trust, double cutoff, int n, float *values) {
  int first = 0;
  while (first < n && !(trust[first] > 0))
    first++;
  if (first >= n)
    return;
  double omega = 2 * G_PI * cutoff, origin = (double)values[first], later[3], x[3];
  double usual = n > 1 ? (time_s[n - 1] - time_s[0]) * omega / (n - 1) : 1;
  g_autofree Step *step = g_new(Step, (gsize)n);
  /* Nothing is known before the first measurement. */
  State state = {.x = {0}, .p = {{1e8, 0, 0}, {0, 1e8, 0}, {0, 0, 1e8}}};
  for (int i = 0; i < n; i++) {
    step[i].predicted = i ? predict(&state, (time_s[i] - time_s[i - 1]) * omega, 1) : state;
    double value = trust[i] > 0 ? (double)values[i] - origin : 0;
    state = step[i].corrected = correct(&step[i].predicted, value, (double)trust[i], usual);
  }
  memcpy(later, state.x, sizeof later);
  values[n - 1] = (float)(later[0] + origin);
  for (int i = n - 2; i >= 0; i--) {
    pull(&step[i], &step[i + 1], (time_s[i + 1] - time_s[i]) * omega, later, x);
    memcpy(later, x, sizeof later);
    values[i] = (float)(x[0] + origin);
  }
}

static int by_size(gconstpointer a, gconstpointer b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

static float median(float *values, int n) {
  qsort(values, (size_t)n, sizeof *values, by_size);
  return values[n / 2];
}

/* How far value i is from the line between its neighbours at distance `before` and `after`. */
static float sag(const float *v, int i, int before, int after) {
  float share = (float)before / (float)(before + after);
  return fabsf(v[i] - (v[i - before] + share * (v[i + after] - v[i - before])));
}

void smooth_reject(const float *values, int n, float least, float *trust) {
  if (n < 5)
    return;
  g_autofree float *usual = g_new0(float, (gsize)n);
  for (int i = 1; i < n - 1; i++)
    usual[i] = sag(values, i, 1, 1);
  for (int i = 1; i < n - 1; i++) {
    float around[2 * SPIKE_REACH + 1];
    int count = 0;
    for (int k = MAX(1, i - SPIKE_REACH); k <= MIN(n - 2, i + SPIKE_REACH); k++)
      around[count++] = usual[k];
    float limit = MAX(least, 3 * 1.4826f * median(around, count));
    float there_and_back = fabsf(values[i + 1] - values[i - 1]);
    if (usual[i] > limit && there_and_back < usual[i])
      trust[i] = 0;
    if (i + 2 >= n)
      continue;
    float a = sag(values, i, 1, 2), b = sag(values, i + 1, 2, 1);
    if (MIN(a, b) > 2 * limit && fabsf(values[i + 2] - values[i - 1]) < 0.5f * MIN(a, b) &&
        fabsf(values[i + 1] - values[i]) < 0.5f * MIN(a, b))
      trust[i] = trust[i + 1] = 0;
  }
}

/* --- poses --- */

static float size_of(const Pose *pose) {
  return hypotf(pose->box[2], pose->box[3]);
}

static void exchange(Pose *pose) {
  for (int i = 1; i < POSE_LANDMARKS; i++) {
    int k = pose_mirrored_landmark(i);
    if (k < i)
      continue;
    Landmark image = pose->image[i], world = pose->world[i];
    pose->image[i] = pose->image[k], pose->world[i] = pose->world[k];
    pose->image[k] = image, pose->world[k] = world;
  }
}

/* Whether the body of b is that of a with left and right exchanged: then its joints travel much less under
 * the other names. */
static gboolean is_exchanged(const Pose *a, const Pose *b) {
  float same = 0, other = 0;
  for (int i = POSE_LEFT_SHOULDER; i <= POSE_RIGHT_ANKLE; i++) {
    if (i >= POSE_LEFT_PINKY && i <= POSE_RIGHT_THUMB)
      continue;
    const Landmark *p = &a->image[i], *q = &b->image[i], *m = &b->image[pose_mirrored_landmark(i)];
    same += hypotf(p->x - q->x, p->y - q->y);
    other += hypotf(p->x - m->x, p->y - m->y);
  }
  return same > 12 * 0.06f * size_of(a) && other < 0.5f * same;
}

/* A body does not change sides from one frame to the next: at every such jump the network has changed its
 * mind, and which frames share their names is then known all along. The names that most frames have are taken
 * for the right ones. Across a longer gap nothing is concluded, since a person may have turned in it: each
 * run between gaps is settled alone. */
static void undo_exchanges(const double *time_s, const gboolean *seen, int n, Pose *poses) {
  g_autofree gboolean *other = g_new0(gboolean, n);
  int last = -1, begin = 0, others = 0, total = 0;
  for (int i = 0; i <= n; i++) {
    if (i < n && !seen[i])
      continue;
    if (i == n || (last >= 0 && time_s[i] - time_s[last] > EXCHANGE_GAP)) {
      for (int k = begin; k < i; k++)
        if (seen[k] && other[k] == (2 * others <= total))
          exchange(&poses[k]);
      begin = i, others = total = 0, last = -1;
    }
    if (i == n)
      break;
    other[i] = last >= 0 && other[last] != is_exchanged(&poses[last], &poses[i]);
    others += other[i];
    total++;
    last = i;
  }
}

/* One coordinate of all poses, gathered for the series functions. */
typedef struct {
  const double *time_s;
  const float *weight; /* [n] trust that a frame deserves as a whole */
  int n;
  Pose *poses;
  float *values, *trust;
} Series;

static float *coordinate(Pose *pose, gboolean world, int landmark, int axis) {
  Landmark *l = world ? &pose->world[landmark] : &pose->image[landmark];
  return axis == 0 ? &l->x : axis == 1 ? &l->y : axis == 2 ? &l->z : &l->visibility;
}

static gboolean is_arm(int landmark) {
  return landmark >= POSE_LEFT_ELBOW && landmark <= POSE_RIGHT_THUMB;
}

static void smooth_coordinate(Series *s, gboolean world, int landmark, int axis, const float *visibility,
                              float least) {
  float total = 0;
  for (int i = 0; i < s->n; i++) {
    s->values[i] = *coordinate(&s->poses[i], world, landmark, axis);
    s->trust[i] = CLAMP(visibility[i], 0.1f, 1) * s->weight[i];
  }
  if (axis < 2)
    smooth_reject(s->values, s->n, least, s->trust);
  for (int i = 0; i < s->n; i++)
    total += s->trust[i];
  if (!(total > 0))
    return;
  double cutoff = axis == 2 ? CUTOFF_DEPTH : is_arm(landmark) ? CUTOFF_ARM : CUTOFF_BODY;
  smooth_series(s->time_s, s->trust, cutoff, s->n, s->values);
  for (int i = 0; i < s->n; i++)
    *coordinate(&s->poses[i], world, landmark, axis) = s->values[i];
}

/* Gathers, smooths and scatters one float of every pose, given by its offset. */
static void smooth_field(Series *s, gsize offset, float low, float high) {
  for (int i = 0; i < s->n; i++) {
    s->values[i] = *(float *)((char *)&s->poses[i] + offset);
    s->trust[i] = s->weight[i];
  }
  smooth_series(s->time_s, s->trust, CUTOFF_SLOW, s->n, s->values);
  for (int i = 0; i < s->n; i++)
    *(float *)((char *)&s->poses[i] + offset) = CLAMP(s->values[i], low, high);
}

/* Poses that were not seen get values between their neighbours', so that outliers are judged against
 * something. */
static void fill_between(const double *time_s, const gboolean *seen, int n, Pose *poses) {
  for (int i = 0, last = -1; i < n; i++) {
    if (!seen[i])
      continue;
    for (int k = last + 1; last >= 0 && k < i; k++) {
      float share = (float)((time_s[k] - time_s[last]) / (time_s[i] - time_s[last]));
      const Pose *a = &poses[last], *b = &poses[i];
      poses[k] = share < 0.5f ? *a : *b;
      for (int m = 0; m < POSE_LANDMARKS; m++)
        for (int world = 0; world < 2; world++)
          for (int axis = 0; axis < 4; axis++) {
            float from = *coordinate((Pose *)a, world, m, axis), to = *coordinate((Pose *)b, world, m, axis);
            *coordinate(&poses[k], world, m, axis) = from + share * (to - from);
          }
      for (int m = 0; m < 4; m++)
        poses[k].box[m] = a->box[m] + share * (b->box[m] - a->box[m]);
    }
    last = i;
  }
}

static void weigh_frames(const gboolean *seen, int n, float *weight) {
  for (int i = 0; i < n; i++)
    weight[i] = seen[i] ? 1 : 0;
  for (int begin = 0, end; begin < n; begin = end + 1) {
    for (end = begin; end < n && !seen[end]; end++)
      ;
    if (end - begin <= GAP_SHORT)
      continue;
    for (int i = MAX(begin - EDGE_FRAMES, 0); i < MIN(end + EDGE_FRAMES, n); i++)
      weight[i] = i < begin || i >= end ? MIN(weight[i], EDGE_TRUST) : GAP_TRUST;
  }
}

void smooth_poses(const double *time_s, const gboolean *seen, int n, Pose *poses) {
  if (n < 1)
    return;
  gsize count = (gsize)n;
  undo_exchanges(time_s, seen, n, poses);
  fill_between(time_s, seen, n, poses);
  g_autofree float *values = g_new(float, count), *trust = g_new(float, count),
                   *visibility = g_new(float, count);
  g_autofree float *sizes = g_new(float, count), *weight = g_new(float, count);
  weigh_frames(seen, n, weight);
  for (int i = 0; i < n; i++)
    sizes[i] = size_of(&poses[i]);
  float size = median(sizes, n);
  Series series = {time_s, weight, n, poses, values, trust};
  for (int landmark = 0; landmark < POSE_LANDMARKS; landmark++) {
    for (int i = 0; i < n; i++)
      visibility[i] = poses[i].image[landmark].visibility;
    for (int axis = 0; axis < 3; axis++) {
      smooth_coordinate(&series, FALSE, landmark, axis, visibility, SPIKE_LEAST * size);
      smooth_coordinate(&series, TRUE, landmark, axis, visibility, SPIKE_LEAST * 1.7f);
    }
    smooth_field(&series,
                 G_STRUCT_OFFSET(Pose, image) + (gsize)landmark * sizeof(Landmark) +
                     G_STRUCT_OFFSET(Landmark, visibility),
                 0, 1);
    for (int i = 0; i < n; i++)
      poses[i].world[landmark].visibility = poses[i].image[landmark].visibility;
  }
  for (gsize k = 0; k < 4; k++)
    smooth_field(&series, G_STRUCT_OFFSET(Pose, box) + k * sizeof(float), k < 2 ? -G_MAXFLOAT : 0,
                 G_MAXFLOAT);
}
