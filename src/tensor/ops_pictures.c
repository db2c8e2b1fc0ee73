/* Pictures: a convolution is a matrix product of the weights with the neighbourhoods of a block of output
 * pixels, laid side by side in the thread's scratch. */
#include "tensor/kernels.h"
#include "tensor/ops.h"

#define TAPS 9
#define PATCH_FLOATS (1 << 18) /* of the neighbourhoods of one block */

typedef struct {
  const float *x;
  gint64 in, height, width, out_width;
  int stride, before; /* rows and columns of zeros above and to the left */
} Convolution;

/* count pixels of an input line from x on, zeros outside. */
static void gather_line(const float *line, gint64 width, gint64 x, gint64 count, int stride, float *to) {
  gint64 i = 0;
  for (; i < count && x + i * stride < 0; i++)
    to[i] = 0;
  gint64 inside = i + (x + i * stride < width ? (width - 1 - x - i * stride) / stride + 1 : 0);
  gint64 end = MIN(count, inside);
  if (stride == 1 && end > i)
    memcpy(to + i, line + x + i, sizeof(float) * (gsize)(end - i));
  else
    for (gint64 j = i; j < end; j++)
      to[j] = line[x + j * stride];
  for (gint64 j = MAX(i, end); j < count; j++)
    to[j] = 0;
}

/* One tap of one channel for output pixels [first, first + count). */
static void gather_tap(const Convolution *c, const float *plane, int tap_y, int tap_x, gint64 first,
                       gint64 count, float *to) {
  for (gint64 done = 0; done < count;) {
    gint64 row = (first + done) / c->out_width, col = (first + done) % c->out_width;
    gint64 run = MIN(count - done, c->out_width - col), y = row * c->stride + tap_y - c->before;
    if (y < 0 || y >= c->height)
      memset(to + done, 0, sizeof(float) * (gsize)run);
    else
      gather_line(plane + y * c->width, c->width, col * c->stride + tap_x - c->before, run, c->stride,
                  to + done);
    done += run;
  }
}

/* Output pixels [first, first + count) of all channels. */
static void convolve(const Convolution *c, const float *w, const float *bias, gint64 out, gint64 pixels,
                     gint64 first, gint64 count, float *y) {
  gint64 depth = c->in * TAPS;
  float *patches = scratch(SCRATCH_PATCHES, sizeof(float) * (gsize)(depth * count));
  for (gint64 channel = 0; channel < c->in; channel++)
    for (int tap = 0; tap < TAPS; tap++)
      gather_tap(c, c->x + channel * c->height * c->width, tap / 3, tap % 3, first, count,
                 patches + (channel * TAPS + tap) * count);
  for (gint64 channel = 0; channel < out; channel++)
    for (gint64 i = 0; i < count; i++)
      y[channel * pixels + first + i] = bias ? bias[channel] : 0.f;
  gemm_here(FALSE, FALSE, out, count, depth, 1, w, depth, patches, count, 1, y + first, pixels);
}

void op_conv3x3(const float *x, gint64 in, gint64 height, gint64 width, const float *w, const float *bias,
                gint64 out, int stride, gboolean pad_after_only, float *y) {
  int before = pad_after_only ? 0 : 1;
  gint64 out_height = (height + before + 1 - 3) / stride + 1,
         out_width = (width + before + 1 - 3) / stride + 1;
  gint64 pixels = out_height * out_width, depth = in * TAPS;
  gint64 block = CLAMP(PATCH_FLOATS / depth / 64 * 64, 64, 4096);
  Convolution c = {x, in, height, width, out_width, stride, before};
  EACH_NEXT(item, (pixels + block - 1) / block, pixels * depth * out / PRODUCTS,
            convolve(&c, w, bias, out, pixels, item * block, MIN(block, pixels - item * block), y));
}

WIDEST static void group_sums(const float *x, gint64 count, double *sum, double *square, double mean) {
  double plain[LANES] = {0}, squared[LANES] = {0};
  gint64 i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int l = 0; l < LANES; l++) {
      double value = x[i + l] - mean;
      plain[l] += value;
      squared[l] += value * value;
    }
  for (int l = 0; i + l < count; l++) {
    plain[l] += x[i + l] - mean;
    squared[l] += (x[i + l] - mean) * (x[i + l] - mean);
  }
  *sum = *square = 0;
  for (int l = 0; l < LANES; l++) {
    *sum += plain[l];
    *square += squared[l];
  }
}

WIDEST static void normalise(const float *x, gint64 count, float factor, float offset, float *y) {
  for (gint64 i = 0; i < count; i++)
    y[i] = x[i] * factor + offset;
}

/* `channels` channels that share their statistics. */
static void normalise_group(const float *x, gint64 channels, gint64 pixels, const float *w, const float *bias,
                            float eps, float *y) {
  double count = (double)(channels * pixels), sum, square, rest;
  group_sums(x, channels * pixels, &sum, &square, 0);
  double mean = sum / count;
  group_sums(x, channels * pixels, &rest, &square, mean);
  double inverse = 1 / sqrt(square / count + eps);
  for (gint64 i = 0; i < channels; i++) {
    double factor = w[i] * inverse;
    normalise(x + i * pixels, pixels, (float)factor, (float)(bias[i] - mean * factor), y + i * pixels);
  }
}

void op_groupnorm(const float *x, gint64 channels, gint64 pixels, gint64 groups, const float *w,
                  const float *bias, float eps, float *y) {
  gint64 each = channels / groups, size = each * pixels;
  EACH(group, groups, 1, channels * pixels,
       normalise_group(x + group * size, each, pixels, w + group * each, bias + group * each, eps,
                       y + group * size));
}

/* One line becomes two. */
static void upsample_line(const float *x, gint64 width, float *y) {
  for (gint64 i = 0; i < 2 * width; i++)
    y[i] = x[i / 2];
  memcpy(y + 2 * width, y, sizeof(float) * (gsize)(2 * width));
}

void op_upsample2(const float *x, gint64 channels, gint64 height, gint64 width, float *y) {
  EACH(row, channels * height, 1, channels * height * width,
       upsample_line(x + row * width, width, y + row * 4 * width));
}
