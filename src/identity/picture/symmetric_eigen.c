/* Householder's reflections make the matrix tridiagonal, A = Q T Qᵀ; QL steps with implicit shifts (Bowdler,
 * Martin, Reinsch, Wilkinson: "The QR and QL algorithms for symmetric matrices", 1968) then make T diagonal
 * while each rotation is applied to the vectors. Vectors are kept as rows, so that every inner loop runs
 * along memory. */
#include "identity/picture/blocks_parts.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define ITERATIONS_MAX 60 /* per value; two or three are usual */

static double dot(const double *a, const double *b, int n) {
  double lane[8] = {0}, sum = 0;
  int i = 0;
  for (; i + 8 <= n; i += 8)
    for (int l = 0; l < 8; l++)
      lane[l] += a[i + l] * b[i + l];
  for (; i < n; i++)
    sum += a[i] * b[i];
  for (int l = 0; l < 8; l++)
    sum += lane[l];
  return sum;
}

/* The reflection I - beta v vᵀ that takes row k beyond the diagonal to a multiple of the first unit vector;
 * v is written over that row, beta returned, 0 where there is nothing to do. *off: the multiple. */
static double reflection(double *v, int n, double *off) {
  double norm = sqrt(dot(v, v, n));
  *off = v[0] > 0 ? -norm : norm;
  if (norm == 0 || n < 2) {
    *off = n > 0 ? v[0] : 0;
    return 0;
  }
  v[0] -= *off;
  return 2 / dot(v, v, n);
}

/* A22 := H A22 H for the rest of the matrix beyond row k. */
static void reflect_both(double *a, int n, int k, const double *v, double beta, double *w) {
  int rest = n - k - 1;
  for (int i = 0; i < rest; i++)
    w[i] = beta * dot(a + (gsize)(k + 1 + i) * (gsize)n + k + 1, v, rest);
  double half = beta / 2 * dot(w, v, rest);
  for (int i = 0; i < rest; i++)
    w[i] -= half * v[i];
  for (int i = 0; i < rest; i++) {
    double *row = a + (gsize)(k + 1 + i) * (gsize)n + k + 1;
    for (int j = 0; j < rest; j++)
      row[j] -= v[i] * w[j] + w[i] * v[j];
  }
}

/* diagonal and off[k] = T[k][k+1]; a becomes Qᵀ. */
static void tridiagonalise(double *a, int n, double *diagonal, double *off) {
  g_autofree double *beta = g_new0(double, (gsize)n), *w = g_new0(double, (gsize)n);
  for (int k = 0; k < n; k++) {
    double *row = a + (gsize)k * (gsize)n;
    diagonal[k] = row[k];
    off[k] = 0;
    if (k == n - 1)
      break;
    beta[k] = reflection(row + k + 1, n - k - 1, &off[k]);
    if (beta[k] != 0)
      reflect_both(a, n, k, row + k + 1, beta[k], w);
  }
  /* Q = H0 H1 …, built from the last to the first; the transpose is kept: Qᵀ := Qᵀ Hk. */
  g_autofree double *q = g_new0(double, (gsize)n *(gsize)n);
  for (int i = 0; i < n; i++)
    q[(gsize)i * (gsize)n + i] = 1;
  for (int k = n - 2; k >= 0; k--) {
    const double *v = a + (gsize)k * (gsize)n + k + 1;
    int rest = n - k - 1;
    for (int i = k + 1; i < n && beta[k] != 0; i++) {
      double *row = q + (gsize)i * (gsize)n + k + 1, factor = beta[k] * dot(row, v, rest);
      for (int j = 0; j < rest; j++)
        row[j] -= factor * v[j];
    }
  }
  memcpy(a, q, sizeof *a * (gsize)n * (gsize)n);
}

static void rotate(double *upper, double *lower, int n, double c, double s) {
  for (int k = 0; k < n; k++) {
    double f = lower[k];
    lower[k] = s * upper[k] + c * f;
    upper[k] = c * upper[k] - s * f;
  }
}

/* One QL step on the unreduced piece [first, last]. */
static void ql_step(double *d, double *e, double *vectors, int n, int first, int last) {
  double g = (d[first + 1] - d[first]) / (2 * e[first]), r = hypot(g, 1);
  g = d[last] - d[first] + e[first] / (g + copysign(r, g));
  double s = 1, c = 1, p = 0;
  for (int i = last - 1; i >= first; i--) {
    double f = s * e[i], b = c * e[i];
    e[i + 1] = r = hypot(f, g);
    if (r == 0) { /* the piece falls apart early */
      d[i + 1] -= p;
      e[last] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    rotate(vectors + (gsize)i * (gsize)n, vectors + (gsize)(i + 1) * (gsize)n, n, c, s);
  }
  d[first] -= p;
  e[first] = g;
  e[last] = 0;
}

/* The end of the unreduced piece that begins at first. */
static int piece_end(const double *d, const double *e, int n, int first) {
  int last = first;
  while (last < n - 1 && fabs(e[last]) > DBL_EPSILON * (fabs(d[last]) + fabs(d[last + 1])))
    last++;
  return last;
}

static void turn_positive(double *row, int n) {
  int largest = 0;
  for (int k = 1; k < n; k++)
    if (fabs(row[k]) > fabs(row[largest]))
      largest = k;
  for (int k = 0; k < n && row[largest] < 0; k++)
    row[k] = k == largest ? row[k] : -row[k];
  row[largest] = fabs(row[largest]);
}

void symmetric_eigen(double *matrix, int n, double *values) {
  g_autofree double *off = g_new0(double, (gsize)n);
  tridiagonalise(matrix, n, values, off);
  for (int first = 0; first < n; first++)
    for (int i = 0, last; i < ITERATIONS_MAX && (last = piece_end(values, off, n, first)) != first; i++)
      ql_step(values, off, matrix, n, first, last);
  g_autofree double *swap = g_new(double, (gsize)n);
  for (int i = 0; i < n; i++) { /* selection: n is small against the work above */
    int best = i;
    for (int j = i + 1; j < n; j++)
      best = values[j] > values[best] ? j : best;
    double value = values[i], *row = matrix + (gsize)i * (gsize)n, *other = matrix + (gsize)best * (gsize)n;
    values[i] = values[best];
    values[best] = value;
    memcpy(swap, row, sizeof *swap * (gsize)n);
    memmove(row, other, sizeof *swap * (gsize)n);
    memcpy(other, swap, sizeof *swap * (gsize)n);
    turn_positive(row, n);
  }
}
