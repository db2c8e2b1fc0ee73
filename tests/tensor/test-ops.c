/* Every operation and its gradients against the expected results, within 1e-5 of the largest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../identity/golden.h"
#include "tensor/ops.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOLERANCE 1e-5

static Safetensors *file;

static const float *of(const char *op, const char *name) {
  g_autofree char *full = g_strdup_printf("%s.%s", op, name);
  return golden_floats(file, full, NULL);
}

static float *room(const char *op, const char *name) {
  g_autofree char *full = g_strdup_printf("%s.%s", op, name);
  gint64 count = 0;
  golden_floats(file, full, &count);
  return g_new0(float, count);
}

static void near(const char *op, const char *name, const float *got) {
  g_autofree char *full = g_strdup_printf("%s.%s", op, name);
  gint64 count = 0;
  const float *expected = golden_floats(file, full, &count);
  double largest = 0;
  for (gint64 i = 0; i < count; i++)
    largest = MAX(largest, fabs(expected[i]));
  golden_near(file, full, got, TOLERANCE * largest);
}

/* The file's [a, b, width] as [b, a, width], which is how operations with heads lie. */
static float *swapped(const float *x, gint64 a, gint64 b, gint64 width) {
  float *y = g_new(float, a *b *width);
  for (gint64 i = 0; i < a; i++)
    for (gint64 j = 0; j < b; j++)
      memcpy(y + (j * a + i) * width, x + (i * b + j) * width, sizeof(float) * (gsize)width);
  return y;
}

static void open_file(void) {
  if (!file)
    file = golden_open("ops.safetensors");
}

static int tear_down(void **state) {
  g_clear_pointer(&file, safetensors_free);
  return 0;
}

static void linear(void **state) {
  open_file();
  Weights w = {DTYPE_F32, 7, 12, of("linear", "w")};
  g_autofree float *y = room("linear", "out"), *d_x = room("linear", "d_x"), *d_w = room("linear", "d_w");
  op_linear(of("linear", "x"), 10, &w, ARITHMETIC_F32, y);
  near("linear", "out", y);
  op_linear_d_x(of("linear", "d_out"), 10, &w, ARITHMETIC_F32, FALSE, d_x);
  near("linear", "d_x", d_x);
  op_linear_d_w(of("linear", "x"), of("linear", "d_out"), 10, 12, 7, FALSE, d_w);
  near("linear", "d_w", d_w);
}

static void layernorm(void **state) {
  open_file();
  const char *op = "layernorm_mod";
  const float *x = of(op, "x"), *d_y = of(op, "d_out"), *scale = of(op, "scale"), *shift = of(op, "shift");
  g_autofree float *y = room(op, "out"), *d_x = room(op, "d_x"), *d_scale = room(op, "d_scale"),
                   *d_shift = room(op, "d_shift");
  for (int b = 0; b < 2; b++) {
    op_layernorm_mod(x + b * 80, 5, 16, scale + b * 16, shift + b * 16, y + b * 80);
    op_layernorm_mod_d(x + b * 80, d_y + b * 80, 5, 16, scale + b * 16, FALSE, d_x + b * 80, d_scale + b * 16,
                       d_shift + b * 16);
  }
  near(op, "out", y);
  near(op, "d_x", d_x);
  near(op, "d_scale", d_scale);
  near(op, "d_shift", d_shift);
}

static void rmsnorm(void **state) {
  open_file();
  g_autofree float *y = room("rmsnorm", "out"), *d_x = room("rmsnorm", "d_x"), *d_w = room("rmsnorm", "d_w");
  op_rmsnorm(of("rmsnorm", "x"), 30, 8, 8, of("rmsnorm", "w"), 1e-6f, y);
  op_rmsnorm_d(of("rmsnorm", "x"), of("rmsnorm", "d_out"), 30, 8, 8, of("rmsnorm", "w"), 1e-6f, FALSE, d_x,
               d_w);
  near("rmsnorm", "out", y);
  near("rmsnorm", "d_x", d_x);
  near("rmsnorm", "d_w", d_w);
}

static void silu(void **state) {
  open_file();
  g_autofree float *y = room("silu", "out"), *d_x = room("silu", "d_x");
  op_silu(of("silu", "x"), 27, y);
  op_silu_d(of("silu", "x"), of("silu", "d_out"), 27, FALSE, d_x);
  near("silu", "out", y);
  near("silu", "d_x", d_x);
}

static void swiglu(void **state) {
  open_file();
  g_autofree float *y = room("swiglu", "out"), *d_x = room("swiglu", "d_x");
  op_swiglu(of("swiglu", "x"), 12, 6, 12, y, 6);
  op_swiglu_d(of("swiglu", "x"), of("swiglu", "d_out"), 12, 6, 12, 6, d_x);
  near("swiglu", "out", y);
  near("swiglu", "d_x", d_x);
}

static void gate(void **state) {
  open_file();
  const char *op = "gated_residual";
  g_autofree float *x = room(op, "x"), *d_o = room(op, "d_y"), *d_gate = room(op, "d_gate");
  memcpy(x, of(op, "x"), sizeof(float) * 80);
  for (int b = 0; b < 2; b++) {
    op_gate(of(op, "gate") + b * 8, of(op, "y") + b * 40, 5, 8, x + b * 40);
    op_gate_d(of(op, "gate") + b * 8, of(op, "y") + b * 40, of(op, "d_out") + b * 40, 5, 8, d_o + b * 40,
              d_gate + b * 8);
  }
  near(op, "out", x);
  near(op, "d_y", d_o);
  near(op, "d_gate", d_gate);
}

#define HEADS 3
#define LENGTH 6
#define WIDTH 8

static void attention(void **state) {
  open_file();
  const char *op = "attention";
  const gint64 item = HEADS * LENGTH * WIDTH;
  AttentionShape shape = {LENGTH,        LENGTH,        HEADS,         HEADS, WIDTH, HEADS * WIDTH,
                          HEADS * WIDTH, HEADS * WIDTH, HEADS * WIDTH, FALSE, LENGTH};
  g_autofree float *out = room(op, "out"), *d_q = room(op, "d_q"), *d_k = room(op, "d_k"),
                   *d_v = room(op, "d_v");
  for (int b = 0; b < 2; b++) {
    g_autofree float *q = swapped(of(op, "q") + b * item, HEADS, LENGTH, WIDTH);
    g_autofree float *k = swapped(of(op, "k") + b * item, HEADS, LENGTH, WIDTH);
    g_autofree float *v = swapped(of(op, "v") + b * item, HEADS, LENGTH, WIDTH);
    g_autofree float *d_y = swapped(of(op, "d_out") + b * item, HEADS, LENGTH, WIDTH);
    float y[HEADS * LENGTH * WIDTH], lse[HEADS * LENGTH], g[3][HEADS * LENGTH * WIDTH];
    op_attention(&shape, q, k, v, y, lse);
    op_attention_d(&shape, q, k, v, y, lse, d_y, g[0], g[1], g[2]);
    float *const into[] = {out, d_q, d_k, d_v};
    for (int i = 0; i < 4; i++) {
      g_autofree float *back = swapped(i ? g[i - 1] : y, LENGTH, HEADS, WIDTH);
      memcpy(into[i] + b * item, back, sizeof(float) * (gsize)item);
    }
  }
  near(op, "out", out);
  near(op, "d_q", d_q);
  near(op, "d_k", d_k);
  near(op, "d_v", d_v);
}

static void rope_of(const char *op, gint64 width) {
  g_autofree char *name = g_strdup_printf("%s.ids", op);
  const gint32 *ids = golden_ints(file, name, NULL);
  float cosine[5 * 64], sine[5 * 64];
  for (gint64 row = 0; row < 5; row++)
    for (gint64 j = 0; j < width / 2; j++) {
      gint64 axis = width / 4, in_axis = j % (axis / 2);
      double angle = ids[row * 4 + j / (axis / 2)] * pow(2000, -2.0 * (double)in_axis / (double)axis);
      cosine[row * width / 2 + j] = (float)cos(angle);
      sine[row * width / 2 + j] = (float)sin(angle);
    }
  g_autofree float *x = swapped(of(op, "x"), 2, 5, width), *d = swapped(of(op, "d_out"), 2, 5, width);
  op_rope(x, 5, 2, width, 2 * width, cosine, sine, ROPE_INTERLEAVED, FALSE);
  op_rope(d, 5, 2, width, 2 * width, cosine, sine, ROPE_INTERLEAVED, TRUE);
  g_autofree float *y = swapped(x, 5, 2, width), *d_x = swapped(d, 5, 2, width);
  near(op, "out", y);
  near(op, "d_x", d_x);
}

static void rope(void **state) {
  open_file();
  rope_of("rope32", 32);
  rope_of("rope128", 128);
}

static void pictures(void **state) {
  open_file();
  g_autofree float *same = room("conv3x3", "out"), *down = room("conv3x3_down", "out");
  g_autofree float *norm = room("groupnorm32", "out"), *large = room("upsample2", "out");
  op_conv3x3(of("conv3x3", "x"), 3, 6, 5, of("conv3x3", "w"), of("conv3x3", "b"), 4, 1, FALSE, same);
  near("conv3x3", "out", same);
  op_conv3x3(of("conv3x3_down", "x"), 3, 6, 8, of("conv3x3_down", "w"), of("conv3x3_down", "b"), 4, 2, TRUE,
             down);
  near("conv3x3_down", "out", down);
  op_groupnorm(of("groupnorm32", "x"), 64, 12, 32, of("groupnorm32", "w"), of("groupnorm32", "b"), 1e-6f,
               norm);
  near("groupnorm32", "out", norm);
  op_upsample2(of("upsample2", "x"), 2, 3, 4, large);
  near("upsample2", "out", large);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(linear), cmocka_unit_test(layernorm), cmocka_unit_test(rmsnorm),
      cmocka_unit_test(silu),   cmocka_unit_test(swiglu),    cmocka_unit_test(gate),
      cmocka_unit_test(rope),   cmocka_unit_test(attention), cmocka_unit_test(pictures),
  };
  return cmocka_run_group_tests(tests, NULL, tear_down);
}
