/* The operations' formulas written out in double precision, without any thought of speed. */
#pragma once
#include "tensor/ops.h"

void reference_linear(const double *x, const double *w, gint64 n, gint64 in, gint64 out, double *y);
void reference_layernorm(const double *x, const double *scale, const double *shift, gint64 n, gint64 width,
                         double *y);
/* Runs side by side. */
void reference_rmsnorm(const double *x, const double *w, gint64 runs, gint64 width, double eps, double *y);
double reference_silu(double x);
/* Strides from the shape. */
void reference_attention(const AttentionShape *shape, const double *q, const double *k, const double *v,
                         double *y);
void reference_conv3x3(const double *x, gint64 in, gint64 height, gint64 width, const double *w,
                       const double *bias, gint64 out, int stride, gboolean pad_after_only, double *y);

/* Numbers from -1 to 1 that are the same everywhere. */
typedef struct {
  guint64 state;
} Numbers;
double numbers_next(Numbers *numbers);
float *numbers_floats(Numbers *numbers, gint64 count); /* transfer full */
double *numbers_widen(const float *x, gint64 count);   /* transfer full */
