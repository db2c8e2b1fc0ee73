/* Gradients against finite differences in double precision, on random shapes that no tile divides.
 *
 * With a random d_y the loss is L(x) = Σ d_y f(x), f being the formula in double precision. Along a random
 * direction u, (L(x + h u) - L(x - h u)) / 2h must be the operation's gradient times u; each input is asked
 * along directions of its own, one of them a single axis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "reference.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define INPUTS_MAX 3
#define DIRECTIONS 6
#define STEP 1e-4
#define TOLERANCE 2e-6 /* of the gradient's norm times the direction's */

typedef struct Check Check;
struct Check {
  gint64 n, width, out; /* what they mean is the operation's affair */
  AttentionShape attention;
  int inputs;
  gint64 size[INPUTS_MAX], y_size;
  void (*formula)(const Check *check, double *const x[INPUTS_MAX], double *y);
  void (*gradient)(const Check *check, float *const x[INPUTS_MAX], const float *d_y,
                   float *const d[INPUTS_MAX]);
};

static double loss(const Check *check, double *const x[INPUTS_MAX], const float *d_y) {
  double *y = g_new0(double, check->y_size), sum = 0;
  check->formula(check, x, y);
  for (gint64 i = 0; i < check->y_size; i++)
    sum += d_y[i] * y[i];
  g_free(y);
  return sum;
}

/* Moves input `which` by `step` along u, takes the loss, moves it back. */
static double loss_beside(const Check *check, double *const x[INPUTS_MAX], const float *d_y, int which,
                          const float *u, double step) {
  double *moved[INPUTS_MAX];
  memcpy(moved, x, sizeof moved);
  moved[which] = g_memdup2(x[which], sizeof(double) * (gsize)check->size[which]);
  for (gint64 i = 0; i < check->size[which]; i++)
    moved[which][i] += step * u[i];
  double result = loss(check, moved, d_y);
  g_free(moved[which]);
  return result;
}

static double norm(const float *x, gint64 count) {
  double sum = 0;
  for (gint64 i = 0; i < count; i++)
    sum += (double)x[i] * x[i];
  return sqrt(sum);
}

static void along(const Check *check, double *const x[INPUTS_MAX], const float *d_y, int which,
                  const float *d, const float *u) {
  double expected =
      (loss_beside(check, x, d_y, which, u, STEP) - loss_beside(check, x, d_y, which, u, -STEP)) / (2 * STEP);
  double got = 0, limit = TOLERANCE * norm(d, check->size[which]) * norm(u, check->size[which]);
  for (gint64 i = 0; i < check->size[which]; i++)
    got += (double)d[i] * u[i];
  if (!(fabs(got - expected) <= limit + 1e-9))
    fail_msg("input %d: %.9g, by differences %.9g (at most %.2g apart)", which, got, expected, limit);
}

static void run(Check *check, guint64 seed) {
  Numbers numbers = {seed};
  float *x[INPUTS_MAX] = {NULL}, *d[INPUTS_MAX] = {NULL};
  double *wide[INPUTS_MAX] = {NULL};
  for (int i = 0; i < check->inputs; i++) {
    x[i] = numbers_floats(&numbers, check->size[i]);
    wide[i] = numbers_widen(x[i], check->size[i]);
    d[i] = g_new0(float, check->size[i]);
  }
  float *d_y = numbers_floats(&numbers, check->y_size);
  check->gradient(check, x, d_y, d);
  for (int i = 0; i < check->inputs; i++)
    for (int direction = 0; direction < DIRECTIONS; direction++) {
      float *u = numbers_floats(&numbers, check->size[i]);
      if (direction == 0) {
        memset(u, 0, sizeof(float) * (gsize)check->size[i]);
        u[check->size[i] / 3] = 1;
      }
      along(check, wide, d_y, i, d[i], u);
      g_free(u);
    }
  for (int i = 0; i < check->inputs; i++) {
    g_free(x[i]);
    g_free(wide[i]);
    g_free(d[i]);
  }
  g_free(d_y);
}

/* --- linear: x, w --- */

static void linear_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  reference_linear(x[0], x[1], c->n, c->width, c->out, y);
}

static void linear_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                            float *const d[INPUTS_MAX]) {
  Weights w = {DTYPE_F32, c->out, c->width, x[1]};
  op_linear_d_x(d_y, c->n, &w, ARITHMETIC_F32, FALSE, d[0]);
  op_linear_d_w(x[0], d_y, c->n, c->width, c->out, FALSE, d[1]);
}

static void linear(void **state) {
  const gint64 shapes[][3] = {{1, 1, 1}, {7, 12, 5}, {33, 100, 401}, {3, 17, 800}};
  for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
    gint64 n = shapes[i][0], in = shapes[i][1], out = shapes[i][2];
    run(&(Check){n, in, out, {0}, 2, {n * in, in * out}, n * out, linear_formula, linear_gradient}, i + 1);
  }
}

/* --- norms --- */

static void layernorm_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  reference_layernorm(x[0], x[1], x[2], c->n, c->width, y);
}

static void layernorm_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                               float *const d[INPUTS_MAX]) {
  op_layernorm_mod_d(x[0], d_y, c->n, c->width, x[1], FALSE, d[0], d[1], d[2]);
}

static void rmsnorm_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  reference_rmsnorm(x[0], x[1], c->n, c->width, 1e-6, y);
}

static void rmsnorm_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                             float *const d[INPUTS_MAX]) {
  op_rmsnorm_d(x[0], d_y, c->n, c->width, c->width, x[1], 1e-6f, FALSE, d[0], d[1]);
}

static void norms(void **state) {
  const gint64 shapes[][2] = {{1, 5}, {9, 16}, {13, 67}, {150, 300}};
  for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
    gint64 n = shapes[i][0], width = shapes[i][1];
    run(
        &(Check){
            n, width, 0, {0}, 3, {n * width, width, width}, n * width, layernorm_formula, layernorm_gradient},
        i + 1);
    run(&(Check){n, width, 0, {0}, 2, {n * width, width}, n * width, rmsnorm_formula, rmsnorm_gradient},
        i + 11);
  }
}

/* --- element by element --- */

static void silu_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  for (gint64 i = 0; i < c->n; i++)
    y[i] = reference_silu(x[0][i]);
}

static void silu_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                          float *const d[INPUTS_MAX]) {
  op_silu_d(x[0], d_y, c->n, FALSE, d[0]);
}

static void swiglu_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  for (gint64 i = 0; i < c->n; i++)
    for (gint64 j = 0; j < c->width; j++)
      y[i * c->width + j] =
          reference_silu(x[0][i * 2 * c->width + j]) * x[0][i * 2 * c->width + c->width + j];
}

static void swiglu_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                            float *const d[INPUTS_MAX]) {
  op_swiglu_d(x[0], d_y, c->n, c->width, 2 * c->width, c->width, d[0]);
}

/* x, gate, o */
static void gate_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  for (gint64 i = 0; i < c->n * c->width; i++)
    y[i] = x[0][i] + x[1][i % c->width] * x[2][i];
}

static void gate_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                          float *const d[INPUTS_MAX]) {
  memcpy(d[0], d_y, sizeof(float) * (gsize)(c->n * c->width));
  op_gate_d(x[1], x[2], d_y, c->n, c->width, d[2], d[1]);
}

/* Angles that depend on the place. */
static void angles(const Check *c, float *cosine, float *sine) {
  for (gint64 i = 0; i < c->n * c->width / 2; i++) {
    cosine[i] = (float)cos((double)i * 0.37);
    sine[i] = (float)sin((double)i * 0.37);
  }
}

static void rope_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  gint64 half = c->width / 2;
  g_autofree float *cosine = g_new(float, c->n *half), *sine = g_new(float, c->n *half);
  angles(c, cosine, sine);
  for (gint64 i = 0; i < c->n * half; i++) {
    gint64 row = i / half, j = i % half;
    gint64 a = row * c->width + (c->out == ROPE_HALVES ? j : 2 * j);
    gint64 b = c->out == ROPE_HALVES ? a + half : a + 1;
    y[a] = cosine[i] * x[0][a] - sine[i] * x[0][b];
    y[b] = sine[i] * x[0][a] + cosine[i] * x[0][b];
  }
}

static void rope_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                          float *const d[INPUTS_MAX]) {
  gint64 half = c->width / 2;
  g_autofree float *cosine = g_new(float, c->n *half), *sine = g_new(float, c->n *half);
  angles(c, cosine, sine);
  memcpy(d[0], d_y, sizeof(float) * (gsize)c->y_size);
  op_rope(d[0], c->n, 1, c->width, c->width, cosine, sine, (RopeLayout)c->out, TRUE);
}

static void elements(void **state) {
  const gint64 shapes[][2] = {{1, 2}, {5, 18}, {77, 130}, {50, 1000}};
  for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
    gint64 n = shapes[i][0], width = shapes[i][1], all = n * width;
    run(&(Check){all, 0, 0, {0}, 1, {all}, all, silu_formula, silu_gradient}, i + 1);
    run(&(Check){n, width, 0, {0}, 1, {2 * all}, all, swiglu_formula, swiglu_gradient}, i + 11);
    run(&(Check){n, width, 0, {0}, 3, {all, width, all}, all, gate_formula, gate_gradient}, i + 21);
    run(&(Check){n, width, ROPE_INTERLEAVED, {0}, 1, {all}, all, rope_formula, rope_gradient}, i + 31);
    run(&(Check){n, width, ROPE_HALVES, {0}, 1, {all}, all, rope_formula, rope_gradient}, i + 41);
  }
}

/* --- attention: q, k, v --- */

static void attention_formula(const Check *c, double *const x[INPUTS_MAX], double *y) {
  reference_attention(&c->attention, x[0], x[1], x[2], y);
}

static void attention_gradient(const Check *c, float *const x[INPUTS_MAX], const float *d_y,
                               float *const d[INPUTS_MAX]) {
  const AttentionShape *s = &c->attention;
  g_autofree float *y = g_new0(float, c->y_size), *lse = g_new(float, s->heads * s->n);
  op_attention(s, x[0], x[1], x[2], y, lse);
  op_attention_d(s, x[0], x[1], x[2], y, lse, d_y, d[0], d[1], d[2]);
}

static void attention(void **state) {
  const gint64 shapes[][5] = {
      {1, 1, 1, 4, 1}, {6, 6, 3, 8, 6}, {9, 14, 2, 20, 11}, {131, 261, 1, 16, 261}, {40, 270, 2, 8, 259}};
  for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
    gint64 n = shapes[i][0], m = shapes[i][1], heads = shapes[i][2], width = shapes[i][3],
           row = heads * width;
    AttentionShape shape = {n, m, heads, heads, width, row + 3, row, row + 5, row, FALSE, shapes[i][4]};
    run(&(Check){n,
                 width,
                 0,
                 shape,
                 3,
                 {n * (row + 3), m * row, m * (row + 5)},
                 n * row,
                 attention_formula,
                 attention_gradient},
        i + 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(linear), cmocka_unit_test(norms),
                                     cmocka_unit_test(elements), cmocka_unit_test(attention)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
