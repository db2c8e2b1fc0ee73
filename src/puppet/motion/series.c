/* Small and O(count x window): tracks have at most some ten thousand frames. */
#include "puppet/motion/series.h"
#include <math.h>
#include <stdlib.h>

void series_gauss(float *values, gsize stride, const int *segment, int count, double sigma) {
  if (sigma < 0.3 || count < 2)
    return;
  int radius = (int)ceil(3 * sigma);
  g_autofree float *kernel = g_new(float, radius + 1);
  for (int i = 0; i <= radius; i++)
    kernel[i] = (float)exp(-0.5 * i * i / (sigma * sigma));
  g_autofree float *copy = g_new(float, count);
  for (int i = 0; i < count; i++)
    copy[i] = values[(gsize)i * stride];
  for (int i = 0; i < count; i++) {
    float sum = 0, weight = 0;
    for (int j = MAX(0, i - radius); j <= MIN(count - 1, i + radius); j++)
      if (segment[j] == segment[i]) {
        float k = kernel[abs(i - j)];
        sum += k * copy[j], weight += k;
      }
    values[(gsize)i * stride] = sum / weight;
  }
}

void series_unwrap(float *values, gsize stride, const int *segment, int count) {
  for (int i = 1; i < count; i++) {
    float *v = values + (gsize)i * stride;
    if (segment[i] == segment[i - 1])
      *v += (float)(2 * G_PI * rint((v[-(gssize)stride] - *v) / (2 * G_PI)));
  }
}

gboolean series_fill(float *values, gsize stride, const guint8 *known, const int *segment, int count) {
  g_autofree int *before = g_new(int, count), *after = g_new(int, count);
  int last = -1;
  for (int i = 0; i < count; i++)
    before[i] = last = known[i] ? i : last;
  if (last < 0)
    return FALSE;
  last = -1;
  for (int i = count - 1; i >= 0; i--)
    after[i] = last = known[i] ? i : last;
  for (int i = 0; i < count; i++) {
    if (known[i])
      continue;
    int a = before[i], b = after[i];
    gboolean near_a = a >= 0 && segment[a] == segment[i], near_b = b >= 0 && segment[b] == segment[i];
    float *v = values + (gsize)i * stride;
    if (near_a && near_b)
      *v = values[(gsize)a * stride] +
           (values[(gsize)b * stride] - values[(gsize)a * stride]) * (float)(i - a) / (float)(b - a);
    else if (near_a || (a >= 0 && !near_b))
      *v = values[(gsize)a * stride];
    else
      *v = values[(gsize)b * stride];
  }
  return TRUE;
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

float series_quantile(const float *values, gsize stride, int count, double q) {
  g_autofree float *sorted = g_new(float, MAX(count, 1));
  int n = 0;
  for (int i = 0; i < count; i++)
    if (isfinite(values[(gsize)i * stride]))
      sorted[n++] = values[(gsize)i * stride];
  if (n == 0)
    return 0;
  qsort(sorted, (size_t)n, sizeof *sorted, by_value);
  double at = q * (n - 1);
  int low = (int)at, high = MIN(low + 1, n - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (float)(at - low);
}

void series_steady(guint8 *state, const int *segment, int count, int least) {
  for (int start = 0; start < count;) {
    int end = start + 1;
    while (end < count && state[end] == state[start] && segment[end] == segment[start])
      end++;
    gboolean has_before = start > 0 && segment[start - 1] == segment[start];
    gboolean has_after = end < count && segment[end] == segment[start];
    if (end - start < least && (has_before || has_after)) {
      guint8 other = has_before ? state[start - 1] : state[end];
      for (int i = start; i < end; i++)
        state[i] = other;
    }
    start = end;
  }
}
