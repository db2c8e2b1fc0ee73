/* Closed-form matting without the matrix.
 *
 * The energy is a sum over 3 x 3 windows: in each, alpha is fitted by a·I + b, and what the fit leaves over
 * is the cost. Its gradient needs no matrix: fit every window (a, b from the 3 x 3 sums of p and pI), then
 * give every pixel the sum over its windows of p - a·I - b (He, Sun, Tang, Fast Matting Using Large Kernel
 * Matting Laplacian Matrices, 2010). Only windows that hold an unknown pixel take part; they and the unknown
 * pixels are kept as horizontal spans.
 *
 * Conjugate gradients carry information one pixel a round, so the same problem is first solved at half the
 * size, down to a few thousand pixels, and the coarse answer is where the finer one starts. */
#include "puppet/cutout/matte.h"

#include <math.h>
#include <string.h>

#define WINDOW 9.0f
/* Levin's epsilon: variance of colour noise within a window, in squared 8-bit levels. */
#define EPSILON 0.5f
#define PRIOR_WEIGHT 0.1f
#define SMALLEST_SIDE 5 /* below this, windows overlap both borders at once */
#define COARSEST_SIDE 24
#define COARSE_ROUNDS 60
#define RESIDUAL_GOAL 2e-3

typedef struct {
  int y, begin, end; /* x in [begin, end) */
} Span;

typedef struct {
  int width, height;
  float *colour[3]; /* 8-bit levels in opponent axes, see set_colour */
  guint8 *unknown;
  float *alpha; /* known pixels: their value; unknown: the current solution */
  float *guess, *weight;
} Level;

typedef struct {
  const Level *level;
  GArray *windows, *pixels;    /* Span: active window centres, unknown pixels */
  float *mean[3], *inverse[6]; /* per active window, in the order of the spans */
  float *a[3], *b;             /* planes: the fit of the window centred there */
  float *diagonal;             /* plane */
  float *scratch;              /* 4 rows */
} Solver;

static gsize level_count(const Level *level) {
  return (gsize)level->width * (gsize)level->height;
}

static Level *level_new(int width, int height) {
  Level *level = g_new0(Level, 1);
  level->width = width;
  level->height = height;
  gsize n = level_count(level);
  for (int c = 0; c < 3; c++)
    level->colour[c] = g_new(float, n);
  level->unknown = g_new0(guint8, n);
  level->alpha = g_new(float, n);
  level->guess = g_new(float, n);
  level->weight = g_new(float, n);
  return level;
}

static void level_free(Level *level) {
  for (int c = 0; c < 3; c++)
    g_free(level->colour[c]);
  g_free(level->unknown);
  g_free(level->alpha);
  g_free(level->guess);
  g_free(level->weight);
  g_free(level);
}

/* --- the operator -------------------------------------------------------------------------------- */

/* Appends the runs of pixels x in [first, last) of row y for which in_run holds. */
static void add_runs(GArray *spans, const guint8 *flags, int y, int first, int last) {
  for (int x = first; x < last;) {
    if (!flags[x]) {
      x++;
      continue;
    }
    Span span = {y, x, x};
    while (span.end < last && flags[span.end])
      span.end++;
    g_array_append_val(spans, span);
    x = span.end;
  }
}

static void find_spans(Solver *solver) {
  const Level *level = solver->level;
  int w = level->width, h = level->height;
  g_autofree guint8 *active = g_new(guint8, w);
  for (int y = 0; y < h; y++)
    add_runs(solver->pixels, level->unknown + (gsize)y * (gsize)w, y, 0, w);
  for (int y = 1; y < h - 1; y++) {
    const guint8 *row = level->unknown + (gsize)y * (gsize)w;
    memset(active, 0, (gsize)w);
    for (int x = 1; x < w - 1; x++)
      for (int dy = -1; dy <= 1; dy++)
        active[x] |= row[x - 1 + dy * w] | row[x + dy * w] | row[x + 1 + dy * w];
    add_runs(solver->windows, active, y, 1, w - 1);
  }
}

/* Mean and inverse covariance of the colours of the window centred at pixel i. */
static void measure_window(Solver *solver, gsize i, gsize k) {
  const Level *level = solver->level;
  double mean[3] = {0}, cov[6] = {0};
  for (int dy = -1; dy <= 1; dy++)
    for (int dx = -1; dx <= 1; dx++) {
      gsize j = (gsize)((gssize)i + dy * level->width + dx);
      double d[3];
      for (int c = 0; c < 3; c++) {
        d[c] = (double)level->colour[c][j] - level->colour[c][i];
        mean[c] += d[c];
      }
      cov[0] += d[0] * d[0];
      cov[1] += d[0] * d[1];
      cov[2] += d[0] * d[2];
      cov[3] += d[1] * d[1];
      cov[4] += d[1] * d[2];
      cov[5] += d[2] * d[2];
    }
  for (int c = 0; c < 3; c++)
    mean[c] /= WINDOW;
  double xx = cov[0] / WINDOW - mean[0] * mean[0] + EPSILON, xy = cov[1] / WINDOW - mean[0] * mean[1];
  double xz = cov[2] / WINDOW - mean[0] * mean[2], yy = cov[3] / WINDOW - mean[1] * mean[1] + EPSILON;
  double yz = cov[4] / WINDOW - mean[1] * mean[2], zz = cov[5] / WINDOW - mean[2] * mean[2] + EPSILON;
  double c0 = yy * zz - yz * yz, c1 = xz * yz - xy * zz, c2 = xy * yz - xz * yy;
  double scale = 1.0 / (xx * c0 + xy * c1 + xz * c2);
  solver->inverse[0][k] = (float)(c0 * scale);
  solver->inverse[1][k] = (float)(c1 * scale);
  solver->inverse[2][k] = (float)(c2 * scale);
  solver->inverse[3][k] = (float)((xx * zz - xz * xz) * scale);
  solver->inverse[4][k] = (float)((xy * xz - xx * yz) * scale);
  solver->inverse[5][k] = (float)((xx * yy - xy * xy) * scale);
  for (int c = 0; c < 3; c++)
    solver->mean[c][k] = (float)mean[c] + level->colour[c][i];
}

/* Adds the window's share to the diagonal of each of its pixels. */
static void add_diagonal(Solver *solver, gsize i, gsize k) {
  const Level *level = solver->level;
  const float inverse[6] = {solver->inverse[0][k], solver->inverse[1][k], solver->inverse[2][k],
                            solver->inverse[3][k], solver->inverse[4][k], solver->inverse[5][k]};
  for (int dy = -1; dy <= 1; dy++)
    for (int dx = -1; dx <= 1; dx++) {
      gsize j = (gsize)((gssize)i + dy * level->width + dx);
      float x = level->colour[0][j] - solver->mean[0][k], y = level->colour[1][j] - solver->mean[1][k];
      float z = level->colour[2][j] - solver->mean[2][k];
      float spread = x * (inverse[0] * x + 2 * inverse[1] * y + 2 * inverse[2] * z) +
                     y * (inverse[3] * y + 2 * inverse[4] * z) + z * inverse[5] * z;
      solver->diagonal[j] += 1.0f - (1.0f + spread) / WINDOW;
    }
}

static Solver *solver_new(const Level *level) {
  Solver *solver = g_new0(Solver, 1);
  gsize n = level_count(level), windows = 0;
  solver->level = level;
  solver->windows = g_array_new(FALSE, FALSE, sizeof(Span));
  solver->pixels = g_array_new(FALSE, FALSE, sizeof(Span));
  find_spans(solver);
  for (guint s = 0; s < solver->windows->len; s++) {
    Span span = g_array_index(solver->windows, Span, s);
    windows += (gsize)(span.end - span.begin);
  }
  for (int c = 0; c < 3; c++) {
    solver->mean[c] = g_new(float, windows + 1);
    solver->a[c] = g_new0(float, n);
  }
  for (int c = 0; c < 6; c++)
    solver->inverse[c] = g_new(float, windows + 1);
  solver->b = g_new0(float, n);
  solver->diagonal = g_new0(float, n);
  solver->scratch = g_new(float, 4 * (gsize)(level->width + 2));
  gsize k = 0;
  for (guint s = 0; s < solver->windows->len; s++) {
    Span span = g_array_index(solver->windows, Span, s);
    gsize row = (gsize)span.y * (gsize)level->width;
    for (int x = span.begin; x < span.end; x++, k++) {
      measure_window(solver, row + (gsize)x, k);
      add_diagonal(solver, row + (gsize)x, k);
    }
  }
  return solver;
}

static void solver_free(Solver *solver) {
  g_array_unref(solver->windows);
  g_array_unref(solver->pixels);
  for (int c = 0; c < 3; c++) {
    g_free(solver->mean[c]);
    g_free(solver->a[c]);
  }
  for (int c = 0; c < 6; c++)
    g_free(solver->inverse[c]);
  g_free(solver->b);
  g_free(solver->diagonal);
  g_free(solver->scratch);
  g_free(solver);
}

/* a, b of the windows of one span; k is the index of its first window. */
static void fit_span(Solver *solver, const float *p, Span span, gsize k) {
  const Level *level = solver->level;
  gsize w = (gsize)level->width, at = (gsize)span.y * w + (gsize)span.begin;
  int n = span.end - span.begin;
  float *restrict sum = solver->scratch, *restrict sum_r = sum + w + 2, *restrict sum_g = sum_r + w + 2;
  float *restrict sum_b = sum_g + w + 2;
  const float *p1 = p + at - 1, *p0 = p1 - w, *p2 = p1 + w;
  const float *r = level->colour[0] + at - 1, *g = level->colour[1] + at - 1, *b = level->colour[2] + at - 1;
  const float *r0 = r - w, *r2 = r + w, *g0 = g - w, *g2 = g + w, *b0 = b - w, *b2 = b + w;
  for (int i = 0; i < n + 2; i++) {
    sum[i] = p0[i] + p1[i] + p2[i];
    sum_r[i] = p0[i] * r0[i] + p1[i] * r[i] + p2[i] * r2[i];
    sum_g[i] = p0[i] * g0[i] + p1[i] * g[i] + p2[i] * g2[i];
    sum_b[i] = p0[i] * b0[i] + p1[i] * b[i] + p2[i] * b2[i];
  }
  const float *mr = solver->mean[0] + k, *mg = solver->mean[1] + k, *mb = solver->mean[2] + k;
  const float *v0 = solver->inverse[0] + k, *v1 = solver->inverse[1] + k, *v2 = solver->inverse[2] + k;
  const float *v3 = solver->inverse[3] + k, *v4 = solver->inverse[4] + k, *v5 = solver->inverse[5] + k;
  float *restrict ar = solver->a[0] + at, *restrict ag = solver->a[1] + at, *restrict ab = solver->a[2] + at;
  float *restrict bias = solver->b + at;
  for (int i = 0; i < n; i++) {
    float mean = (sum[i] + sum[i + 1] + sum[i + 2]) * (1 / WINDOW);
    float cr = (sum_r[i] + sum_r[i + 1] + sum_r[i + 2]) * (1 / WINDOW) - mr[i] * mean;
    float cg = (sum_g[i] + sum_g[i + 1] + sum_g[i + 2]) * (1 / WINDOW) - mg[i] * mean;
    float cb = (sum_b[i] + sum_b[i + 1] + sum_b[i + 2]) * (1 / WINDOW) - mb[i] * mean;
    float fr = v0[i] * cr + v1[i] * cg + v2[i] * cb;
    float fg = v1[i] * cr + v3[i] * cg + v4[i] * cb;
    float fb = v2[i] * cr + v4[i] * cg + v5[i] * cb;
    ar[i] = fr;
    ag[i] = fg;
    ab[i] = fb;
    bias[i] = mean - fr * mr[i] - fg * mg[i] - fb * mb[i];
  }
}

/* Number of windows that hold row or column i of n. */
static float windows_over(int i, int n) {
  return (float)(MIN(i + 1, n - 2) - MAX(i - 1, 1) + 1);
}

/* q = (Laplacian + weights) p in the unknown pixels of one span, from the fits. */
static void spread_span(Solver *solver, const float *p, float *q, Span span) {
  const Level *level = solver->level;
  gsize w = (gsize)level->width, row = (gsize)span.y * w;
  float *restrict sum = solver->scratch, *restrict sum_r = sum + w + 2, *restrict sum_g = sum_r + w + 2;
  float *restrict sum_b = sum_g + w + 2;
  int first = MAX(span.begin - 1, 0), last = MIN(span.end + 1, level->width);
  gsize above = span.y > 0 ? w : 0, below = span.y < level->height - 1 ? w : 0;
  /* Border rows are no window centres: their fits are 0, so that a row counted twice adds nothing. */
  for (int x = first; x < last; x++) {
    gsize i = row + (gsize)x, u = i - above, d = i + below;
    sum[x + 1] = solver->b[u] + solver->b[i] + solver->b[d];
    sum_r[x + 1] = solver->a[0][u] + solver->a[0][i] + solver->a[0][d];
    sum_g[x + 1] = solver->a[1][u] + solver->a[1][i] + solver->a[1][d];
    sum_b[x + 1] = solver->a[2][u] + solver->a[2][i] + solver->a[2][d];
  }
  if (first == span.begin)
    sum[first] = sum_r[first] = sum_g[first] = sum_b[first] = 0;
  if (last == span.end)
    sum[last + 1] = sum_r[last + 1] = sum_g[last + 1] = sum_b[last + 1] = 0;
  float rows = windows_over(span.y, level->height);
  const float *r = level->colour[0] + row, *g = level->colour[1] + row, *b = level->colour[2] + row;
  const float *weight = level->weight + row;
  const float *restrict in = p + row;
  float *restrict out = q + row;
  for (int x = span.begin; x < span.end; x++) {
    float fit = sum[x] + sum[x + 1] + sum[x + 2] + (sum_r[x] + sum_r[x + 1] + sum_r[x + 2]) * r[x] +
                (sum_g[x] + sum_g[x + 1] + sum_g[x + 2]) * g[x] +
                (sum_b[x] + sum_b[x + 1] + sum_b[x + 2]) * b[x];
    out[x] = (rows * 3.0f + weight[x]) * in[x] - fit;
  }
  /* The two outermost columns on either side lie in fewer windows. */
  const int border[] = {0, 1, level->width - 2, level->width - 1};
  for (gsize k = 0; k < G_N_ELEMENTS(border); k++) {
    int x = border[k];
    if (x >= span.begin && x < span.end)
      out[x] += (windows_over(x, level->width) - 3.0f) * rows * in[x];
  }
}

static void solver_apply(Solver *solver, const float *p, float *q) {
  gsize k = 0;
  for (guint s = 0; s < solver->windows->len; s++) {
    Span span = g_array_index(solver->windows, Span, s);
    fit_span(solver, p, span, k);
    k += (gsize)(span.end - span.begin);
  }
  for (guint s = 0; s < solver->pixels->len; s++)
    spread_span(solver, p, q, g_array_index(solver->pixels, Span, s));
}

/* --- conjugate gradients ------------------------------------------------------------------------- */

#define FOR_UNKNOWN(solver, i)                                                                               \
  for (guint s_ = 0; s_ < (solver)->pixels->len; s_++)                                                       \
    for (gsize i = (gsize)g_array_index((solver)->pixels, Span, s_).y * (gsize)(solver)->level->width +      \
                   (gsize)g_array_index((solver)->pixels, Span, s_).begin,                                   \
               end_ = i + (gsize)(g_array_index((solver)->pixels, Span, s_).end -                            \
                                  g_array_index((solver)->pixels, Span, s_).begin);                          \
         i < end_; i++)

/* Improves level->alpha in the unknown pixels. */
static void relax(Level *level, int rounds) {
  gsize n = level_count(level);
  Solver *solver = solver_new(level);
  g_autofree float *direction = g_new0(float, n), *product = g_new(float, n), *residual = g_new(float, n);
  float *x = level->alpha, *inverse = solver->diagonal;
  solver_apply(solver, x, product);
  double rho = 0, start = 0;
  FOR_UNKNOWN(solver, i) {
    inverse[i] = 1.0f / MAX(solver->diagonal[i] + level->weight[i], 1e-4f);
    residual[i] = level->weight[i] * level->guess[i] - product[i];
    direction[i] = inverse[i] * residual[i];
    rho += (double)residual[i] * direction[i];
    start += (double)level->weight[i] * level->guess[i] * level->guess[i] * inverse[i];
  }
  double goal = RESIDUAL_GOAL * RESIDUAL_GOAL * MAX(start, 1e-12);
  for (int round = 0; round < rounds && rho > goal; round++) {
    solver_apply(solver, direction, product);
    double curvature = 0;
    FOR_UNKNOWN(solver, i)
    curvature += (double)direction[i] * product[i];
    if (!(curvature > 0))
      break;
    float step = (float)(rho / curvature);
    double next = 0;
    FOR_UNKNOWN(solver, i) {
      x[i] += step * direction[i];
      residual[i] -= step * product[i];
      next += (double)residual[i] * residual[i] * inverse[i];
    }
    float keep = (float)(next / rho);
    FOR_UNKNOWN(solver, i)
    direction[i] = inverse[i] * residual[i] + keep * direction[i];
    rho = next;
  }
  FOR_UNKNOWN(solver, i)
  x[i] = CLAMP(x[i], 0.0f, 1.0f);
  solver_free(solver);
}

/* --- levels -------------------------------------------------------------------------------------- */

static Level *level_halve(const Level *fine) {
  int w = (fine->width + 1) / 2, h = (fine->height + 1) / 2;
  Level *level = level_new(w, h);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      gsize to = (gsize)y * (gsize)w + (gsize)x;
      gsize columns[2] = {(gsize)x * 2, (gsize)MIN(2 * x + 1, fine->width - 1)};
      gsize rows[2] = {(gsize)y * 2 * (gsize)fine->width,
                       (gsize)MIN(2 * y + 1, fine->height - 1) * (gsize)fine->width};
      float colour[3] = {0}, alpha = 0, weight = 0;
      guint8 unknown = 0;
      for (int k = 0; k < 4; k++) {
        gsize i = rows[k / 2] + columns[k % 2];
        for (int c = 0; c < 3; c++)
          colour[c] += 0.25f * fine->colour[c][i];
        alpha += 0.25f * fine->guess[i];
        weight += 0.25f * fine->weight[i];
        unknown |= fine->unknown[i];
      }
      for (int c = 0; c < 3; c++)
        level->colour[c][to] = colour[c];
      level->guess[to] = level->alpha[to] = alpha;
      level->weight[to] = weight;
      /* Four known pixels that disagree leave the coarse one open. */
      level->unknown[to] = unknown || (alpha > 0 && alpha < 1);
    }
  return level;
}

static void level_prolong(const Level *coarse, Level *fine) {
  Plane plane = {coarse->width, coarse->height, coarse->alpha};
  for (int y = 0; y < fine->height; y++)
    for (int x = 0; x < fine->width; x++) {
      gsize i = (gsize)y * (gsize)fine->width + (gsize)x;
      if (fine->unknown[i])
        fine->alpha[i] = plane_sample(&plane, ((float)x - 0.5f) / 2, ((float)y - 0.5f) / 2);
    }
}

static void level_solve(Level *level, int rounds) {
  if (MIN(level->width, level->height) >= 2 * COARSEST_SIDE) {
    Level *coarse = level_halve(level);
    level_solve(coarse, COARSE_ROUNDS);
    level_prolong(coarse, level);
    level_free(coarse);
  }
  relax(level, rounds);
}

/* Grey, red-blue and green axes at right angles: the energy does not change by turning the axes, but in these
 * the covariances of real pictures are close to diagonal and survive single precision. */
static void set_colour(Level *level, gsize i, const guint8 *rgb) {
  float r = (float)rgb[0] - 128.0f, g = (float)rgb[1] - 128.0f, b = (float)rgb[2] - 128.0f;
  level->colour[0][i] = (r + g + b) * 0.57735027f;
  level->colour[1][i] = (r - b) * 0.70710678f;
  level->colour[2][i] = (r - 2 * g + b) * 0.40824829f;
}

Plane *matte_solve(const Image *rgb, const Plane *trimap, const Plane *guess, const Plane *trust,
                   const Plane *start, int rounds) {
  g_assert(rgb->channels == 3 && rgb->width == trimap->width && rgb->height == trimap->height);
  Level *level = level_new(rgb->width, rgb->height);
  gsize n = level_count(level);
  for (gsize i = 0; i < n; i++) {
    set_colour(level, i, rgb->pixels + i * 3);
    level->unknown[i] = trimap->v[i] > 0 && trimap->v[i] < 1;
    level->guess[i] = level->alpha[i] = level->unknown[i] ? guess->v[i] : trimap->v[i];
    level->weight[i] = level->unknown[i] ? PRIOR_WEIGHT * trust->v[i] : 0;
  }
  gboolean solvable = rgb->width >= SMALLEST_SIDE && rgb->height >= SMALLEST_SIDE;
  if (solvable && start) {
    for (gsize i = 0; i < n; i++)
      if (level->unknown[i])
        level->alpha[i] = start->v[i];
    relax(level, rounds);
  } else if (solvable) {
    level_solve(level, rounds);
  }
  Plane *alpha = plane_new(rgb->width, rgb->height);
  memcpy(alpha->v, level->alpha, n * sizeof *alpha->v);
  level_free(level);
  return alpha;
}
