/* RANSAC draws pairs of matches, each of which fixes a similarity, and counts how many other matches agree
 * within a wide tolerance; the guess and standing still compete too. The winner is refined by Gauss-Newton
 * with Tukey weights whose width shrinks, first as a similarity, then with all eight parameters. The update
 * is H <- (I + sum p_k G_k) H with the generators G of the plane's projective motions, ordered so that the
 * first 2, 4 and 8 are the translations, similarities and homographies: one solver serves all. */
#include "stage/motion.h"

#include <math.h>
#include <string.h>

enum {
  DRAWS = 200,
  WIDE = 4, /* tolerance of RANSAC in tolerances of the result */
  NEED_TRANSLATION = 4,
  NEED_SIMILARITY = 8,
  NEED_HOMOGRAPHY = 24,
  SPREAD = 4,      /* cells per side for the spread of the matches */
  SPREAD_NEED = 7, /* of SPREAD x SPREAD cells must hold matches for a homography */
};

static const double WORTHWHILE = 0.85; /* of a similarity's error must a homography's be */
static const double identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};

void motion_apply(const double h[9], const double from[2], double to[2]) {
  double w = h[6] * from[0] + h[7] * from[1] + h[8];
  w = fabs(w) < 1e-9 ? 1e-9 : w;
  double x = (h[0] * from[0] + h[1] * from[1] + h[2]) / w;
  to[1] = (h[3] * from[0] + h[4] * from[1] + h[5]) / w;
  to[0] = x;
}

void motion_multiply(const double a[9], const double b[9], double product[9]) {
  double result[9];
  for (int row = 0; row < 3; row++)
    for (int column = 0; column < 3; column++)
      result[row * 3 + column] =
          a[row * 3] * b[column] + a[row * 3 + 1] * b[3 + column] + a[row * 3 + 2] * b[6 + column];
  double scale = fabs(result[8]) > 1e-12 ? 1 / result[8] : 1;
  for (int k = 0; k < 9; k++)
    product[k] = result[k] * scale;
}

gboolean motion_invert(const double h[9], double inverse[9]) {
  double c[9] = {h[4] * h[8] - h[5] * h[7], h[2] * h[7] - h[1] * h[8], h[1] * h[5] - h[2] * h[4],
                 h[5] * h[6] - h[3] * h[8], h[0] * h[8] - h[2] * h[6], h[2] * h[3] - h[0] * h[5],
                 h[3] * h[7] - h[4] * h[6], h[1] * h[6] - h[0] * h[7], h[0] * h[4] - h[1] * h[3]};
  double determinant = h[0] * c[0] + h[1] * c[3] + h[2] * c[6];
  if (!(fabs(determinant) > 1e-12) || !(fabs(c[8]) > 1e-12))
    return FALSE;
  for (int k = 0; k < 9; k++)
    inverse[k] = c[k] / c[8];
  return TRUE;
}

static double error_of(const double h[9], const Match *match) {
  double to[2];
  motion_apply(h, match->from, to);
  return hypot(to[0] - match->to[0], to[1] - match->to[1]);
}

static int count_inliers(const double h[9], const Match *matches, int count, double tolerance) {
  int inliers = 0;
  for (int i = 0; i < count; i++)
    inliers += error_of(h, &matches[i]) <= tolerance;
  return inliers;
}

static gboolean similarity_of(const Match *a, const Match *b, double h[9]) {
  double px = b->from[0] - a->from[0], py = b->from[1] - a->from[1], length = px * px + py * py;
  if (length < 100)
    return FALSE; /* too close together to fix an angle */
  double qx = b->to[0] - a->to[0], qy = b->to[1] - a->to[1];
  double c = (px * qx + py * qy) / length, s = (px * qy - py * qx) / length;
  double result[9] = {c, -s, a->to[0] - c * a->from[0] + s * a->from[1],
                      s, c,  a->to[1] - s * a->from[0] - c * a->from[1],
                      0, 0,  1};
  memcpy(h, result, sizeof result);
  return c * c + s * s > 0.1 && c * c + s * s < 10;
}

static guint32 next_random(guint32 *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

/* The best of the guess, standing still and the draws. */
static void consensus(const Match *matches, int count, const double start[9], double tolerance,
                      double best[9]) {
  guint32 random = 12345;
  memcpy(best, start, 9 * sizeof *best);
  int most = count_inliers(start, matches, count, tolerance);
  int still = count_inliers(identity, matches, count, tolerance);
  if (still > most) {
    memcpy(best, identity, sizeof identity);
    most = still;
  }
  for (int draw = 0; draw < DRAWS && most < count * 9 / 10; draw++) {
    double h[9];
    const Match *a = &matches[next_random(&random) % (guint32)count],
                *b = &matches[next_random(&random) % (guint32)count];
    if (!similarity_of(a, b, h))
      continue;
    int inliers = count_inliers(h, matches, count, tolerance);
    if (inliers > most) {
      memcpy(best, h, sizeof h);
      most = inliers;
    }
  }
}

/* Gaussian elimination with partial pivoting; n <= 8. */
static gboolean solve(double a[8][9], int n, double *x) {
  for (int i = 0; i < n; i++) {
    int pivot = i;
    for (int r = i + 1; r < n; r++)
      if (fabs(a[r][i]) > fabs(a[pivot][i]))
        pivot = r;
    if (fabs(a[pivot][i]) < 1e-12)
      return FALSE;
    for (int c = 0; c <= n && pivot != i; c++) {
      double t = a[i][c];
      a[i][c] = a[pivot][c];
      a[pivot][c] = t;
    }
    for (int r = i + 1; r < n; r++) {
      double f = a[r][i] / a[i][i];
      for (int c = i; c <= n; c++)
        a[r][c] -= f * a[i][c];
    }
  }
  for (int i = n - 1; i >= 0; i--) {
    x[i] = a[i][n];
    for (int c = i + 1; c < n; c++)
      x[i] -= a[i][c] * x[c];
    x[i] /= a[i][i];
  }
  return TRUE;
}

/* How the image of a point at (x, y) moves per unit of each generator: translations, turn and growth, the two
 * stretches, the two perspectives. */
static void generators(double x, double y, double jx[8], double jy[8]) {
  const double to_x[8] = {1, 0, -y, x, x, y, -x * x, -x * y};
  const double to_y[8] = {0, 1, x, y, -y, x, -x * y, -y * y};
  memcpy(jx, to_x, sizeof to_x);
  memcpy(jy, to_y, sizeof to_y);
}

static void update(double h[9], const double p[8]) {
  const double step[9] = {
      1 + p[3] + p[4], -p[2] + p[5], p[0], p[2] + p[5], 1 + p[3] - p[4], p[1], p[6], p[7], 1};
  motion_multiply(step, h, h);
}

/* One step; matches and h in units of the picture's size around its centre, width of the weights likewise. */
static gboolean improve(const Match *matches, int count, double h[9], int freedom, double width) {
  double a[8][9] = {{0}};
  for (int i = 0; i < count; i++) {
    double at[2], jx[8], jy[8];
    motion_apply(h, matches[i].from, at);
    double ex = matches[i].to[0] - at[0], ey = matches[i].to[1] - at[1],
           r = (ex * ex + ey * ey) / (width * width);
    if (r >= 1)
      continue;
    double weight = (1 - r) * (1 - r);
    generators(at[0], at[1], jx, jy);
    for (int j = 0; j < freedom; j++) {
      for (int k = 0; k < freedom; k++)
        a[j][k] += weight * (jx[j] * jx[k] + jy[j] * jy[k]);
      a[j][freedom] += weight * (jx[j] * ex + jy[j] * ey);
    }
  }
  double p[8] = {0};
  if (!solve(a, freedom, p))
    return FALSE;
  update(h, p);
  return TRUE;
}

static gboolean refine(const Match *matches, int count, double h[9], int freedom, double width,
                       double narrow) {
  double start[9];
  memcpy(start, h, sizeof start);
  for (int round = 0; round < 12; round++) {
    if (!improve(matches, count, h, freedom, width)) {
      memcpy(h, start, sizeof start);
      return FALSE;
    }
    width = MAX(width * 0.7, narrow);
  }
  return TRUE;
}

/* Are the right matches in enough parts of the picture? */
static gboolean spread_widely(const Match *matches, int count, const double h[9], double tolerance,
                              const int size[2]) {
  gboolean cell[SPREAD * SPREAD] = {0};
  for (int i = 0; i < count; i++) {
    if (error_of(h, &matches[i]) > tolerance)
      continue;
    int cx = CLAMP((int)(matches[i].to[0] * SPREAD / size[0]), 0, SPREAD - 1);
    int cy = CLAMP((int)(matches[i].to[1] * SPREAD / size[1]), 0, SPREAD - 1);
    cell[cy * SPREAD + cx] = TRUE;
  }
  int cells = 0;
  for (int i = 0; i < SPREAD * SPREAD; i++)
    cells += cell[i];
  return cells >= SPREAD_NEED;
}

/* Sum of squared errors, where none counts for more than the tolerance. */
static double capped_error(const double h[9], const Match *matches, int count, double tolerance) {
  double sum = 0;
  for (int i = 0; i < count; i++) {
    double error = MIN(error_of(h, &matches[i]), tolerance);
    sum += error * error;
  }
  return sum;
}

/* The motion with the given freedom in pixels, from a start in pixels. */
static Motion fit_freedom(const Match *matches, int count, const double start[9], int freedom,
                          double tolerance, const int size[2]) {
  double unit = MAX(size[0], size[1]) / 2.0;
  double out[9] = {unit, 0, size[0] / 2.0, 0, unit, size[1] / 2.0, 0, 0, 1}, in[9];
  motion_invert(out, in);
  g_autofree Match *scaled = g_new(Match, count);
  for (int i = 0; i < count; i++) {
    motion_apply(in, matches[i].from, scaled[i].from);
    motion_apply(in, matches[i].to, scaled[i].to);
  }
  Motion motion = {.freedom = freedom};
  motion_multiply(start, out, motion.h);
  motion_multiply(in, motion.h, motion.h);
  if (!refine(scaled, count, motion.h, freedom, WIDE * tolerance / unit, 2 * tolerance / unit))
    return (Motion){.h = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  motion_multiply(out, motion.h, motion.h);
  motion_multiply(motion.h, in, motion.h);
  motion.inliers = count_inliers(motion.h, matches, count, tolerance);
  return motion;
}

Motion motion_fit(const Match *matches, int count, const double start[9], double tolerance,
                  const int size[2]) {
  Motion none = {.h = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  if (count < NEED_TRANSLATION)
    return none;
  double best[9];
  consensus(matches, count, start, WIDE * tolerance, best);
  if (count < NEED_SIMILARITY) {
    Motion translation = fit_freedom(matches, count, best, 2, tolerance, size);
    return translation.inliers >= NEED_TRANSLATION ? translation : none;
  }
  Motion similarity = fit_freedom(matches, count, best, 4, tolerance, size);
  if (count >= NEED_HOMOGRAPHY && spread_widely(matches, count, best, WIDE * tolerance, size)) {
    Motion homography =
        fit_freedom(matches, count, similarity.freedom ? similarity.h : best, 8, tolerance, size);
    /* More freedom must earn its keep: it follows noise, too. */
    if (homography.inliers >= NEED_HOMOGRAPHY &&
        capped_error(homography.h, matches, count, tolerance) <
            WORTHWHILE * capped_error(similarity.h, matches, count, tolerance))
      return homography;
  }
  return similarity.inliers >= NEED_SIMILARITY ? similarity : none;
}
