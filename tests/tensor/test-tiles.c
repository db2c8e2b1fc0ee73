/* Results at shapes that no tile divides, with bf16 weights, with padding and causal masks, and whatever the
 * number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "reference.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

static void near(const float *got, const double *expected, gint64 count, double tolerance) {
  double largest = 0;
  for (gint64 i = 0; i < count; i++)
    largest = MAX(largest, fabs(expected[i]));
  for (gint64 i = 0; i < count; i++)
    if (!(fabs(got[i] - expected[i]) <= tolerance * largest))
      fail_msg("element %d is %g instead of %g", (int)i, got[i], expected[i]);
}

static void bf16(void **state) {
  for (guint32 value = 0; value < 65536; value++) {
    float wide = bf16_to_float((guint16)value);
    if (isnan(wide))
      assert_true(isnan(bf16_to_float(bf16_from_float(wide))));
    else
      assert_int_equal(bf16_from_float(wide), value);
  }
  assert_int_equal(bf16_from_float(1.00390625f), 0x3f80); /* half way, to even: down */
  assert_int_equal(bf16_from_float(1.01171875f), 0x3f82); /* half way, to even: up */
  assert_int_equal(bf16_from_float(nextafterf(1.00390625f, 2)), 0x3f81);
  assert_int_equal(bf16_from_float(3.4e38f), 0x7f80); /* past the largest: infinity */
}

typedef struct {
  gint64 n, in, out;
} LinearShape;

static const LinearShape linear_shapes[] = {{1, 33, 70},   {2, 100, 9},   {3, 64, 65},    {17, 130, 801},
                                            {5, 2500, 50}, {800, 40, 30}, {100, 256, 512}};

/* Weights that bf16 holds exactly. */
static guint16 *short_weights(Numbers *numbers, gint64 count, double **wide) {
  guint16 *w = g_new(guint16, count);
  *wide = g_new(double, count);
  for (gint64 i = 0; i < count; i++) {
    w[i] = bf16_from_float((float)numbers_next(numbers));
    (*wide)[i] = bf16_to_float(w[i]);
  }
  return w;
}

static double relative_rms(const float *got, const double *expected, gint64 count) {
  double error = 0, size = 0;
  for (gint64 i = 0; i < count; i++) {
    error += (got[i] - expected[i]) * (got[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return sqrt(error / size);
}

static void linear_shape(LinearShape s, guint64 seed) {
  Numbers numbers = {seed};
  g_autofree float *x = numbers_floats(&numbers, s.n * s.in), *d_y = numbers_floats(&numbers, s.n * s.out);
  g_autofree double *wide = NULL, *x_wide = numbers_widen(x, s.n * s.in),
                    *d_wide = numbers_widen(d_y, s.n * s.out);
  g_autofree guint16 *data = short_weights(&numbers, s.in * s.out, &wide);
  g_autofree double *turned = g_new(double, s.in *s.out);
  for (gint64 i = 0; i < s.in * s.out; i++)
    turned[i % s.in * s.out + i / s.in] = wide[i];
  Weights w = {DTYPE_BF16, s.out, s.in, data};
  g_autofree double *expected = g_new(double, s.n *s.out), *d_expected = g_new(double, s.n *s.in);
  reference_linear(x_wide, wide, s.n, s.in, s.out, expected);
  reference_linear(d_wide, turned, s.n, s.out, s.in, d_expected);
  g_autofree float *y = g_new(float, s.n *s.out), *d_x = g_new0(float, s.n *s.in);
  memset(y, 0xff, sizeof(float) * (gsize)(s.n * s.out)); /* what was there is not read */
  op_linear(x, s.n, &w, ARITHMETIC_F32, y);
  near(y, expected, s.n * s.out, 2e-6);
  op_linear(x, s.n, &w, ARITHMETIC_BF16, y);
  assert_true(relative_rms(y, expected, s.n * s.out) < 0.004);
  op_linear_d_x(d_y, s.n, &w, ARITHMETIC_F32, FALSE, d_x);
  near(d_x, d_expected, s.n * s.in, 2e-6);
  op_linear_d_x(d_y, s.n, &w, ARITHMETIC_F32, TRUE, d_x);
  for (gint64 i = 0; i < s.n * s.in; i++)
    d_expected[i] *= 2;
  near(d_x, d_expected, s.n * s.in, 2e-6);
  op_linear_d_x(d_y, s.n, &w, ARITHMETIC_BF16, TRUE, d_x);
  for (gint64 i = 0; i < s.n * s.in; i++)
    d_expected[i] *= 1.5;
  assert_true(relative_rms(d_x, d_expected, s.n * s.in) < 0.004);
}

static void linear(void **state) {
  for (gsize i = 0; i < G_N_ELEMENTS(linear_shapes); i++)
    linear_shape(linear_shapes[i], i + 1);
}

/* C = alpha · op(A) · op(B) + beta · C with rows further apart than they are long. */
static void product(gint64 m, gint64 n, gint64 k, int transposed, float beta) {
  Numbers numbers = {(guint64)(m * 7 + n * 5 + k + transposed)};
  gboolean turn_a = transposed & 1, turn_b = transposed >> 1;
  gint64 lda = (turn_a ? m : k) + 3, ldb = (turn_b ? k : n) + 1, ldc = n + 2;
  g_autofree float *a = numbers_floats(&numbers, (turn_a ? k : m) * lda);
  g_autofree float *b = numbers_floats(&numbers, (turn_b ? n : k) * ldb),
                   *c = numbers_floats(&numbers, m * ldc);
  g_autofree double *expected = numbers_widen(c, m * ldc);
  for (gint64 i = 0; i < m; i++)
    for (gint64 j = 0; j < n; j++) {
      double sum = 0;
      for (gint64 x = 0; x < k; x++)
        sum +=
            (double)(turn_a ? a[x * lda + i] : a[i * lda + x]) * (turn_b ? b[j * ldb + x] : b[x * ldb + j]);
      expected[i * ldc + j] = 0.5 * sum + beta * expected[i * ldc + j];
    }
  op_gemm(turn_a, turn_b, m, n, k, 0.5f, a, lda, b, ldb, beta, c, ldc);
  near(c, expected, m * ldc, 2e-6);
}

static void products(void **state) {
  const gint64 shapes[][3] = {{1, 1, 1},     {5, 7, 3},      {130, 70, 33}, {50, 401, 20},
                              {801, 16, 40}, {60, 30, 2500}, {4, 5, 0}};
  for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++)
    for (int transposed = 0; transposed < 4; transposed++)
      for (int beta = 0; beta < 3; beta++)
        product(shapes[i][0], shapes[i][1], shapes[i][2], transposed, (float)beta / 2);
}

static void attention_shape(AttentionShape s, guint64 seed) {
  Numbers numbers = {seed};
  gint64 row = s.heads * s.width, kv_row = s.kv_heads * s.width;
  s.q_stride = row + 1, s.k_stride = kv_row + 2, s.v_stride = kv_row + 3, s.y_stride = row + 4;
  g_autofree float *q = numbers_floats(&numbers, s.n * s.q_stride),
                   *k = numbers_floats(&numbers, s.m * s.k_stride),
                   *v = numbers_floats(&numbers, s.m * s.v_stride), *y = g_new0(float, s.n *s.y_stride);
  for (gint64 i = 0; i < s.n * s.q_stride; i++)
    q[i] *= 8; /* some keys matter much more than others, and later ones more than earlier ones */
  g_autofree double *wide_q = numbers_widen(q, s.n * s.q_stride),
                    *wide_k = numbers_widen(k, s.m * s.k_stride),
                    *wide_v = numbers_widen(v, s.m * s.v_stride), *expected = g_new0(double, s.n *s.y_stride);
  op_attention(&s, q, k, v, y, NULL);
  reference_attention(&s, wide_q, wide_k, wide_v, expected);
  near(y, expected, s.n * s.y_stride, 3e-6);
}

static void attention(void **state) {
  attention_shape(
      (AttentionShape){
          .n = 300, .m = 300, .heads = 4, .kv_heads = 2, .width = 16, .causal = TRUE, .key_count = 300},
      1);
  attention_shape(
      (AttentionShape){
          .n = 300, .m = 300, .heads = 2, .kv_heads = 1, .width = 16, .causal = TRUE, .key_count = 40},
      2);
  attention_shape(
      (AttentionShape){.n = 7, .m = 600, .heads = 3, .kv_heads = 3, .width = 20, .key_count = 513}, 3);
  attention_shape(
      (AttentionShape){
          .n = 5, .m = 290, .heads = 2, .kv_heads = 2, .width = 8, .causal = TRUE, .key_count = 290},
      4);
  attention_shape((AttentionShape){.n = 200, .m = 1, .heads = 1, .kv_heads = 1, .width = 64, .key_count = 1},
                  5);
}

static void pictures(void **state) {
  const gint64 shapes[][6] = {{3, 9, 11, 5, 1, FALSE},
                              {2, 1, 1, 1, 1, FALSE},
                              {4, 8, 6, 7, 2, TRUE},
                              {4, 9, 7, 7, 2, FALSE},
                              {40, 70, 66, 3, 1, FALSE}};
  for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
    Numbers numbers = {i + 1};
    gint64 in = shapes[i][0], height = shapes[i][1], width = shapes[i][2], out = shapes[i][3];
    int stride = (int)shapes[i][4];
    g_autofree float *x = numbers_floats(&numbers, in * height * width),
                     *w = numbers_floats(&numbers, out * in * 9);
    g_autofree double *wide_x = numbers_widen(x, in * height * width),
                      *wide_w = numbers_widen(w, out * in * 9);
    gint64 count = out * ((height - 1) / stride + 1) * ((width - 1) / stride + 1);
    g_autofree float *y = g_new0(float, count);
    g_autofree double *expected = g_new0(double, count);
    op_conv3x3(x, in, height, width, w, NULL, out, stride, (gboolean)shapes[i][5], y);
    reference_conv3x3(wide_x, in, height, width, wide_w, NULL, out, stride, (gboolean)shapes[i][5], expected);
    near(y, expected, count, 2e-6);
  }
}

#define MANY 200

/* Everything that runs in parallel, into one long array. */
static float *everything(gsize *count) {
  Numbers numbers = {9};
  const gint64 width = 384, all = MANY * width;
  g_autofree float *x = numbers_floats(&numbers, 2 * all), *o = numbers_floats(&numbers, all),
                   *scale = numbers_floats(&numbers, width), *shift = numbers_floats(&numbers, width);
  g_autofree double *wide = NULL;
  g_autofree guint16 *data = short_weights(&numbers, width * width, &wide);
  Weights w = {DTYPE_BF16, width, width, data};
  AttentionShape shape = {MANY, MANY, 3, 3, 128, width, width, width, width, FALSE, MANY};
  float *y = g_new0(float, 16 * all), *next = y;
  op_linear(x, MANY, &w, ARITHMETIC_F32, next);
  op_linear(x, MANY, &w, ARITHMETIC_BF16, next += all);
  op_linear_d_x(x, MANY, &w, ARITHMETIC_F32, FALSE, next += all);
  op_linear_d_x(x, MANY, &w, ARITHMETIC_BF16, FALSE, next += all);
  op_linear_d_w(x, o, MANY, width, width, FALSE, next += all);
  op_layernorm_mod(x, MANY, width, scale, shift, next += 2 * all);
  op_layernorm_mod_d(x, o, MANY, width, scale, FALSE, next += all, y + 15 * all, y + 15 * all + width);
  op_attention(&shape, x, x + all, o, next += all, y + 14 * all);
  op_attention_d(&shape, x, x + all, o, next, y + 14 * all, x, y + 9 * all, y + 10 * all, y + 11 * all);
  op_swiglu(x, MANY, width, 2 * width, y + 12 * all, width);
  op_gate_d(scale, o, x, MANY, width, y + 13 * all, y + 15 * all + 2 * width);
  *count = (gsize)(16 * all);
  return y;
}

static void threads(void **state) {
  int before = omp_get_max_threads();
  gsize count = 0;
  omp_set_num_threads(1);
  g_autofree float *alone = everything(&count);
  for (int number = 2; number <= 5; number += 3) {
    omp_set_num_threads(number);
    g_autofree float *together = everything(&count);
    assert_memory_equal(together, alone, count * sizeof(float));
  }
  omp_set_num_threads(before);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(bf16),     cmocka_unit_test(linear),
                                     cmocka_unit_test(products), cmocka_unit_test(attention),
                                     cmocka_unit_test(pictures), cmocka_unit_test(threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
