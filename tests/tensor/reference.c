/* Formulas as in the papers. */
#include "reference.h"
#include <math.h>

void reference_linear(const double *x, const double *w, gint64 n, gint64 in, gint64 out, double *y) {
  for (gint64 i = 0; i < n; i++)
    for (gint64 o = 0; o < out; o++) {
      double sum = 0;
      for (gint64 j = 0; j < in; j++)
        sum += x[i * in + j] * w[o * in + j];
      y[i * out + o] = sum;
    }
}

void reference_layernorm(const double *x, const double *scale, const double *shift, gint64 n, gint64 width,
                         double *y) {
  for (gint64 i = 0; i < n; i++) {
    double mean = 0, variance = 0;
    for (gint64 j = 0; j < width; j++)
      mean += x[i * width + j] / (double)width;
    for (gint64 j = 0; j < width; j++)
      variance += (x[i * width + j] - mean) * (x[i * width + j] - mean) / (double)width;
    for (gint64 j = 0; j < width; j++)
      y[i * width + j] = (1 + scale[j]) * (x[i * width + j] - mean) / sqrt(variance + 1e-6) + shift[j];
  }
}

void reference_rmsnorm(const double *x, const double *w, gint64 runs, gint64 width, double eps, double *y) {
  for (gint64 i = 0; i < runs; i++) {
    double square = 0;
    for (gint64 j = 0; j < width; j++)
      square += x[i * width + j] * x[i * width + j] / (double)width;
    for (gint64 j = 0; j < width; j++)
      y[i * width + j] = x[i * width + j] / sqrt(square + eps) * w[j];
  }
}

double reference_silu(double x) {
  return x / (1 + exp(-x));
}

static void attend(const AttentionShape *s, gint64 head, gint64 row, const double *q, const double *k,
                   const double *v, double *y) {
  gint64 kv = head / (s->heads / s->kv_heads) * s->width;
  gint64 seen = s->causal ? CLAMP(row + s->m - s->n + 1, 0, s->key_count) : s->key_count;
  double *p = g_new0(double, s->m + 1), sum = 0;
  for (gint64 j = 0; j < seen; j++) {
    double dot = 0;
    for (gint64 d = 0; d < s->width; d++)
      dot += q[row * s->q_stride + head * s->width + d] * k[j * s->k_stride + kv + d];
    p[j] = exp(dot / sqrt((double)s->width));
    sum += p[j];
  }
  for (gint64 d = 0; d < s->width; d++) {
    double value = 0;
    for (gint64 j = 0; j < seen; j++)
      value += p[j] / sum * v[j * s->v_stride + kv + d];
    y[row * s->y_stride + head * s->width + d] = value;
  }
  g_free(p);
}

void reference_attention(const AttentionShape *shape, const double *q, const double *k, const double *v,
                         double *y) {
  for (gint64 head = 0; head < shape->heads; head++)
    for (gint64 row = 0; row < shape->n; row++)
      attend(shape, head, row, q, k, v, y);
}

static double at(const double *plane, gint64 height, gint64 width, gint64 y, gint64 x) {
  return y < 0 || x < 0 || y >= height || x >= width ? 0 : plane[y * width + x];
}

void reference_conv3x3(const double *x, gint64 in, gint64 height, gint64 width, const double *w,
                       const double *bias, gint64 out, int stride, gboolean pad_after_only, double *y) {
  gint64 before = pad_after_only ? 0 : 1;
  gint64 rows = (height + before - 2) / stride + 1, cols = (width + before - 2) / stride + 1;
  for (gint64 o = 0; o < out; o++)
    for (gint64 row = 0; row < rows; row++)
      for (gint64 col = 0; col < cols; col++) {
        double sum = bias ? bias[o] : 0;
        for (gint64 c = 0; c < in; c++)
          for (int tap = 0; tap < 9; tap++)
            sum += w[(o * in + c) * 9 + tap] * at(x + c * height * width, height, width,
                                                  row * stride + tap / 3 - before,
                                                  col * stride + tap % 3 - before);
        y[(o * rows + row) * cols + col] = sum;
      }
}

double numbers_next(Numbers *numbers) {
  numbers->state = numbers->state * 6364136223846793005u + 1442695040888963407u;
  return (double)(gint64)numbers->state * 0x1p-63;
}

float *numbers_floats(Numbers *numbers, gint64 count) {
  float *x = g_new(float, count);
  for (gint64 i = 0; i < count; i++)
    x[i] = (float)numbers_next(numbers);
  return x;
}

double *numbers_widen(const float *x, gint64 count) {
  double *y = g_new(double, count);
  for (gint64 i = 0; i < count; i++)
    y[i] = x[i];
  return y;
}
