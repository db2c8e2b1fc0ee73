/* Norms. With the row's mean and variance (or mean square):
 *
 *   n = (x - mean) / σ, y = (1 + scale) n + shift:
 *     d_n = (1 + scale) d_y, d_x = (d_n - mean(d_n) - n mean(d_n n)) / σ, d_scale = Σ d_y n, d_shift = Σ d_y
 *   r = 1 / sqrt(mean(x²) + eps), y = x r w:
 *     d_x = r (d_y w - x r² mean(d_y w x)), d_w = Σ d_y x r
 *
 * Sums over a row are kept in LANES partial sums. Sums over rows run down a block of columns in double
 * precision, one block per thread, always in the rows' order. */
#include "tensor/kernels.h"
#include "tensor/ops.h"

#define LAYERNORM_EPS 1e-6f
#define COLUMNS 64 /* of a block when rows are summed up */

typedef struct {
  float mean, inverse; /* 1 / σ */
} RowNorm;

static inline float row_sum(const float *x, gint64 width) {
  float lane[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= width; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] += x[i + l];
  for (int l = 0; i + l < width; l++)
    lane[l] += x[i + l];
  return lanes_sum(lane);
}

static inline float row_square(const float *x, gint64 width, float mean) {
  float lane[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= width; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] += (x[i + l] - mean) * (x[i + l] - mean);
  for (int l = 0; i + l < width; l++)
    lane[l] += (x[i + l] - mean) * (x[i + l] - mean);
  return lanes_sum(lane);
}

static inline RowNorm layer_norm_of(const float *x, gint64 width) {
  float mean = row_sum(x, width) / (float)width;
  float variance = row_square(x, width, mean) / (float)width;
  return (RowNorm){mean, 1.f / sqrtf(variance + LAYERNORM_EPS)};
}

WIDEST static void layernorm_statistics(const float *x, gint64 width, RowNorm *norm) {
  *norm = layer_norm_of(x, width);
}

WIDEST static void layernorm_row(const float *x, gint64 width, const float *scale, const float *shift,
                                 float *y) {
  RowNorm norm = layer_norm_of(x, width);
  for (gint64 i = 0; i < width; i++)
    y[i] = (1.f + scale[i]) * ((x[i] - norm.mean) * norm.inverse) + shift[i];
}

void op_layernorm_mod(const float *x, gint64 n, gint64 width, const float *scale, const float *shift,
                      float *y) {
  EACH(row, n, 1, n * width, layernorm_row(x + row * width, width, scale, shift, y + row * width));
}

WIDEST static void layernorm_row_d(const float *x, const float *d_y, gint64 width, const float *scale,
                                   RowNorm norm, gboolean add, float *d_x) {
  float plain[LANES] = {0}, along[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= width; i += LANES)
    for (int l = 0; l < LANES; l++) {
      float d_n = (1.f + scale[i + l]) * d_y[i + l];
      plain[l] += d_n;
      along[l] += d_n * ((x[i + l] - norm.mean) * norm.inverse);
    }
  for (int l = 0; i + l < width; l++) {
    float d_n = (1.f + scale[i + l]) * d_y[i + l];
    plain[l] += d_n;
    along[l] += d_n * ((x[i + l] - norm.mean) * norm.inverse);
  }
  float mean_d = lanes_sum(plain) / (float)width, mean_along = lanes_sum(along) / (float)width;
  for (i = 0; i < width; i++) {
    float d_n = (1.f + scale[i]) * d_y[i], unit = (x[i] - norm.mean) * norm.inverse;
    float old = add ? d_x[i] : 0.f;
    d_x[i] = old + (d_n - mean_d - unit * mean_along) * norm.inverse;
  }
}

/* d_scale and d_shift of one block of columns. */
WIDEST static void layernorm_columns(const float *x, const float *d_y, gint64 n, gint64 width, gint64 first,
                                     const RowNorm *norm, float *d_scale, float *d_shift) {
  double scale[COLUMNS] = {0}, shift[COLUMNS] = {0};
  gint64 count = MIN(COLUMNS, width - first);
  for (gint64 row = 0; row < n; row++) {
    const float *x_row = x + row * width + first, *d_row = d_y + row * width + first;
    for (gint64 i = 0; i < count; i++) {
      scale[i] += d_row[i] * ((x_row[i] - norm[row].mean) * norm[row].inverse);
      shift[i] += d_row[i];
    }
  }
  for (gint64 i = 0; d_scale && i < count; i++)
    d_scale[first + i] += (float)scale[i];
  for (gint64 i = 0; d_shift && i < count; i++)
    d_shift[first + i] += (float)shift[i];
}

void op_layernorm_mod_d(const float *x, const float *d_y, gint64 n, gint64 width, const float *scale,
                        gboolean add, float *d_x, float *d_scale, float *d_shift) {
  /* The sums over rows come first, so that d_x may be d_y. */
  RowNorm *norm = scratch(SCRATCH_ROWS, sizeof(RowNorm) * (gsize)n);
  EACH(row, n, 1, n * width, layernorm_statistics(x + row * width, width, norm + row));
  if (d_scale || d_shift) {
    EACH(first, width, COLUMNS, n * width,
         layernorm_columns(x, d_y, n, width, first, norm, d_scale, d_shift));
  }
  EACH(row, n, 1, n * width,
       layernorm_row_d(x + row * width, d_y + row * width, width, scale, norm[row], add, d_x + row * width));
}

WIDEST static float rmsnorm_inverse(const float *x, gint64 width, float eps) {
  return 1.f / sqrtf(row_square(x, width, 0) / (float)width + eps);
}

WIDEST static void rmsnorm_row(const float *x, gint64 width, const float *w, float eps, float *y) {
  float inverse = 1.f / sqrtf(row_square(x, width, 0) / (float)width + eps);
  for (gint64 i = 0; i < width; i++)
    y[i] = x[i] * inverse * w[i];
}

void op_rmsnorm(const float *x, gint64 runs, gint64 width, gint64 stride, const float *w, float eps,
                float *y) {
  EACH(run, runs, 1, runs * width, rmsnorm_row(x + run * stride, width, w, eps, y + run * stride));
}

WIDEST static void rmsnorm_row_d(const float *x, const float *d_y, gint64 width, const float *w,
                                 float inverse, gboolean add, float *d_x) {
  float along[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= width; i += LANES)
    for (int l = 0; l < LANES; l++)
      along[l] += d_y[i + l] * w[i + l] * x[i + l];
  for (int l = 0; i + l < width; l++)
    along[l] += d_y[i + l] * w[i + l] * x[i + l];
  float pull = lanes_sum(along) / (float)width * inverse * inverse;
  for (i = 0; i < width; i++) {
    float old = add ? d_x[i] : 0.f;
    d_x[i] = old + inverse * (d_y[i] * w[i] - x[i] * pull);
  }
}

/* d_w of one block of columns. */
WIDEST static void rmsnorm_columns(const float *x, const float *d_y, gint64 runs, gint64 width, gint64 stride,
                                   gint64 first, const float *inverse, float *d_w) {
  double sum[COLUMNS] = {0};
  gint64 count = MIN(COLUMNS, width - first);
  for (gint64 run = 0; run < runs; run++) {
    const float *x_run = x + run * stride + first, *d_run = d_y + run * stride + first;
    for (gint64 i = 0; i < count; i++)
      sum[i] += d_run[i] * (x_run[i] * inverse[run]);
  }
  for (gint64 i = 0; i < count; i++)
    d_w[first + i] += (float)sum[i];
}

void op_rmsnorm_d(const float *x, const float *d_y, gint64 runs, gint64 width, gint64 stride, const float *w,
                  float eps, gboolean add, float *d_x, float *d_w) {
  float *inverse = scratch(SCRATCH_ROWS, sizeof(float) * (gsize)runs);
  EACH(run, runs, 1, runs * width, inverse[run] = rmsnorm_inverse(x + run * stride, width, eps));
  if (d_w) {
    EACH(first, width, COLUMNS, runs * width,
         rmsnorm_columns(x, d_y, runs, width, stride, first, inverse, d_w));
  }
  EACH(run, runs, 1, runs * width,
       rmsnorm_row_d(x + run * stride, d_y + run * stride, width, w, inverse[run], add, d_x + run * stride));
}
