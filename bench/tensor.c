/* The operations at klein's layer sizes against the matrix library's own peak in the same run:
 *
 *   tensor [ROUNDS]
 *
 * Best of the rounds; a layer in fp32 arithmetic is compared with the library's fp32 peak, one in bf16 with
 * its bf16 peak. Weights are bf16 and random. */
#include "peak.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADS 24
#define HEAD 128

static int rounds = 3;

static void row(const char *what, double flop, double seconds, double peak) {
  printf("%-46s %9.1f ms %8.0f GFLOP/s %6.0f %%\n", what, seconds * 1e3, flop / seconds / 1e9,
         peak > 0 ? flop / seconds / 1e9 / peak * 100 : 0.0);
  fflush(stdout);
}

static void layer(gint64 n, gint64 out, gint64 in, double peak[2]) {
  float *x = floats(n * in), *y = floats(n * out);
  guint16 *data = halves(out * in);
  Weights w = {DTYPE_BF16, out, in, data};
  const char *const arithmetic[] = {"fp32", "bf16"};
  for (int a = 0; a < 2; a++) {
    double seconds, flop = 2.0 * (double)n * (double)out * (double)in;
    char what[80];
    BEST(rounds, seconds, op_linear(x, n, &w, a ? ARITHMETIC_BF16 : ARITHMETIC_F32, y));
    snprintf(what, sizeof what, "linear %dx%dx%d %s", (int)n, (int)out, (int)in, arithmetic[a]);
    row(what, flop, seconds, peak[a]);
    BEST(rounds, seconds, op_linear_d_x(y, n, &w, a ? ARITHMETIC_BF16 : ARITHMETIC_F32, FALSE, x));
    snprintf(what, sizeof what, "  gradient of x %s", arithmetic[a]);
    row(what, flop, seconds, peak[a]);
  }
  free(x), free(y), free(data);
}

static void attention(gint64 n, double peak) {
  gint64 width = HEADS * HEAD;
  AttentionShape shape = {n, n, HEADS, HEADS, HEAD, width, width, width, width, FALSE, n};
  float *t[8];
  for (int i = 0; i < 8; i++)
    t[i] = floats(n * width);
  float *lse = floats(n * HEADS);
  double seconds, product = 2.0 * (double)(n * n * width);
  char what[80];
  BEST(rounds, seconds, op_attention(&shape, t[0], t[1], t[2], t[3], lse));
  snprintf(what, sizeof what, "attention, %d tokens, %d heads", (int)n, HEADS);
  row(what, 2 * product, seconds, peak);
  BEST(rounds, seconds, op_attention_d(&shape, t[0], t[1], t[2], t[3], lse, t[4], t[5], t[6], t[7]));
  row("  its gradient", 5 * product, seconds, peak);
  for (int i = 0; i < 8; i++)
    free(t[i]);
  free(lse);
}

static void elements(gint64 n, gint64 width) {
  float *x = floats(n * 2 * width), *y = floats(n * width), *shift = floats(width), *scale = floats(width);
  double seconds;
  char what[80];
  const double gigabyte = 1e9;
  BEST(rounds, seconds, op_layernorm_mod(x, n, width, scale, shift, y));
  snprintf(what, sizeof what, "norm and modulation %dx%d", (int)n, (int)width);
  printf("%-46s %9.1f ms %8.1f GB/s\n", what, seconds * 1e3, 8.0 * (double)(n * width) / seconds / gigabyte);
  BEST(rounds, seconds, op_swiglu(x, n, width, 2 * width, y, width));
  snprintf(what, sizeof what, "SwiGLU %dx%d", (int)n, (int)width);
  printf("%-46s %9.1f ms %8.1f GB/s\n", what, seconds * 1e3, 12.0 * (double)(n * width) / seconds / gigabyte);
  BEST(rounds, seconds, op_gate(scale, y, n, width, x));
  snprintf(what, sizeof what, "gate %dx%d", (int)n, (int)width);
  printf("%-46s %9.1f ms %8.1f GB/s\n", what, seconds * 1e3, 12.0 * (double)(n * width) / seconds / gigabyte);
  free(x), free(y), free(shift), free(scale);
}

int main(int argc, char **argv) {
  if (argc > 1)
    rounds = CLAMP(atoi(argv[1]), 1, 100);
  double peak[2] = {peak_f32(rounds), peak_bf16(rounds)};
  printf("%d threads\n", omp_get_max_threads());
  printf("%-46s %12s %8.0f GFLOP/s\n", "the library's peak, 4096^3, fp32", "", peak[0]);
  printf("%-46s %12s %8.0f GFLOP/s\n", "the library's peak, 4096^3, bf16", "", peak[1]);
  layer(768, 27648, 3072, peak);
  layer(768, 3072, 12288, peak);
  layer(256, 18432, 3072, peak);
  attention(768, peak[0]);
  attention(1536, peak[0]);
  elements(768, 3072);
  elements(768, 9216);
  return 0;
}
