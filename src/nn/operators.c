/* Each operator has one function that checks and defines it; a table connects codes and functions.
 *
 * A value of the subgraph carries the index of its tensor as external id, so that nothing has to be looked up
 * when the runtime is bound. Constants get ids of their own at each use, since operators want them in
 * different shapes. */
#include "nn/operators.h"
#include <math.h>
#include <string.h>

#define MAX_KERNEL 64
#define MAX_STEP 16

static gboolean refuse(GError **error, const char *what) {
  return fault(error, FAULT_NETWORK, "The network cannot be used: %s.", what);
}

static const TfliteTensor *tensor_of(const Builder *b, int index) {
  return &b->model->tensor[index];
}

/* --- constants --- */

static gboolean folds(TfliteCode code) {
  return code == TFLITE_DEQUANTIZE || code == TFLITE_DENSIFY;
}

/* Follows DEQUANTIZE and DENSIFY back to the tensor that holds data, or -1. Producers come earlier in the
 * file than their users, so this ends. */
static int constant_origin(const Builder *b, int tensor) {
  while (tensor >= 0 && !tensor_of(b, tensor)->data) {
    int producer = b->producer[tensor];
    if (producer < 0 || !folds(b->model->op[producer].code) || b->model->op[producer].inputs != 1)
      return -1;
    tensor = b->model->op[producer].input[0];
  }
  return tensor;
}

gboolean builder_is_constant(const Builder *b, int tensor) {
  return constant_origin(b, tensor) >= 0;
}

static float half_to_float(guint16 half) {
  guint32 sign = (guint32)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023, bits;
  if (exponent == 0) {
    float small = (float)fraction * 0x1p-24f;
    return sign ? -small : small;
  }
  bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void read_floats(const TfliteTensor *tensor, gsize count, float *values) {
  if (tensor->type == TFLITE_F32) {
    memcpy(values, tensor->data, count * sizeof *values);
    return;
  }
  for (gsize i = 0; i < count; i++)
    values[i] = half_to_float((guint16)(tensor->data[2 * i] | tensor->data[2 * i + 1] << 8));
}

static float *floats_new(Builder *b, gsize count) {
  float *values = g_malloc0(count * sizeof *values + XNN_EXTRA_BYTES);
  g_ptr_array_add(b->keep, values);
  return values;
}

/* All values of a constant tensor as floats, or NULL with *error set. */
static const float *constant_floats(Builder *b, int tensor, GError **error) {
  int origin = tensor < 0 ? -1 : constant_origin(b, tensor);
  const TfliteTensor *source = origin < 0 ? NULL : tensor_of(b, origin);
  if (!source || source->type == TFLITE_I32 || source->elements != tensor_of(b, tensor)->elements) {
    refuse(error, "an operator's weights are not a constant");
    return NULL;
  }
  if (b->constant[origin])
    return b->constant[origin];
  float *values = floats_new(b, source->elements);
  if (source->sparse.used) {
    const TfliteSparse *sparse = &source->sparse;
    g_autofree float *stored = g_new(float, MAX(sparse->segments[sparse->rows], 1));
    read_floats(source, (gsize)sparse->segments[sparse->rows], stored);
    for (int row = 0; row < sparse->rows; row++)
      for (int i = sparse->segments[row]; i < sparse->segments[row + 1]; i++)
        values[(gsize)row * (gsize)sparse->columns + (gsize)sparse->indices[i]] = stored[i];
  } else {
    read_floats(source, source->elements, values);
  }
  return b->constant[origin] = values;
}

/* --- values --- */

static gboolean define_static(Builder *b, const float *data, int rank, const size_t *shape, guint32 *id,
                              GError **error) {
  if (xnn_define_tensor_value(b->subgraph, xnn_datatype_fp32, (size_t)rank, shape, data, XNN_INVALID_VALUE_ID,
                              0, id) != xnn_status_success)
    return refuse(error, "a constant was not accepted");
  return TRUE;
}

/* A constant in its own shape or, where rank is given, in that one. */
static gboolean define_constant(Builder *b, int tensor, int rank, const size_t *shape, guint32 *id,
                                GError **error) {
  const float *data = constant_floats(b, tensor, error);
  return data && define_static(b, data, rank, shape, id, error);
}

static gboolean define_computed(Builder *b, int tensor, GError **error) {
  const TfliteTensor *t = tensor_of(b, tensor);
  if (b->defined[tensor])
    return TRUE;
  if (t->type != TFLITE_F32)
    return refuse(error, "a tensor is computed in a type other than float");
  size_t shape[TFLITE_MAX_RANK];
  for (int i = 0; i < t->rank; i++)
    shape[i] = (size_t)t->shape[i];
  guint32 id;
  if (xnn_define_tensor_value(b->subgraph, xnn_datatype_fp32, (size_t)t->rank, shape, NULL, (guint32)tensor,
                              b->role[tensor], &id) != xnn_status_success)
    return refuse(error, "a tensor was not accepted");
  b->defined[tensor] = TRUE;
  return TRUE;
}

/* Input and output of an operator that reads one computed tensor and writes one. */
static gboolean define_ends(Builder *b, const TfliteOperator *op, int inputs, GError **error) {
  if (op->inputs < inputs || op->outputs != 1 || op->input[0] < 0)
    return refuse(error, "an operator has too few inputs or outputs");
  return define_computed(b, op->input[0], error) && define_computed(b, op->output[0], error);
}

static gboolean check(enum xnn_status status, GError **error) {
  return status == xnn_status_success || refuse(error, "XNNPACK did not accept an operator");
}

static gboolean is_map(const TfliteTensor *t) {
  return t->rank == 4 && t->shape[0] == 1;
}

static gboolean has_shape(const TfliteTensor *t, int height, int width, int channels) {
  return is_map(t) && t->shape[1] == height && t->shape[2] == width && t->shape[3] == channels;
}

static gboolean same_shape(const TfliteTensor *a, const TfliteTensor *b) {
  return a->rank == b->rank && memcmp(a->shape, b->shape, (gsize)a->rank * sizeof *a->shape) == 0;
}

static void activation_range(TfliteActivation activation, float *low, float *high) {
  *low = activation == ACTIVATION_NONE ? -INFINITY : activation == ACTIVATION_RELU_1 ? -1.0f : 0.0f;
  *high = activation == ACTIVATION_RELU_6 ? 6.0f : activation == ACTIVATION_RELU_1 ? 1.0f : INFINITY;
}

/* Length of a window's output, 0 where it does not fit. */
static int steps(int size, int window, int dilation, int stride, gboolean same) {
  int reach = (window - 1) * dilation + 1;
  return same ? (size + stride - 1) / stride : size < reach ? 0 : (size - reach) / stride + 1;
}

static gboolean between(int value, int low, int high) {
  return value >= low && value <= high;
}

/* --- convolutions --- */

/* Both kinds read input, filter and an optional bias; depthwise filters are [1, h, w, C], others [O, h, w,
 * I]. */
static gboolean add_convolution(Builder *b, const TfliteOperator *op, GError **error) {
  const TfliteOptions *o = &op->options;
  gboolean depthwise = op->code == TFLITE_DEPTHWISE_CONV_2D;
  if (!define_ends(b, op, 2, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  const TfliteTensor *filter = op->input[1] < 0 ? in : tensor_of(b, op->input[1]);
  if (!is_map(in) || filter->rank != 4 || o->multiplier != 1 || !between(o->stride_x, 1, MAX_STEP) ||
      !between(o->stride_y, 1, MAX_STEP) || !between(o->dilation_x, 1, MAX_STEP) ||
      !between(o->dilation_y, 1, MAX_STEP) || !between(filter->shape[1], 1, MAX_KERNEL) ||
      !between(filter->shape[2], 1, MAX_KERNEL))
    return refuse(error, "a convolution has parameters that are not supported");
  int kernel_y = filter->shape[1], kernel_x = filter->shape[2], channels = in->shape[3];
  int made = depthwise ? channels : filter->shape[0];
  if (filter->shape[3] != channels || (depthwise && filter->shape[0] != 1) ||
      !has_shape(out, steps(in->shape[1], kernel_y, o->dilation_y, o->stride_y, o->same),
                 steps(in->shape[2], kernel_x, o->dilation_x, o->stride_x, o->same), made))
    return refuse(error, "a convolution's shapes contradict each other");
  size_t shape[4] = {(size_t)filter->shape[0], (size_t)kernel_y, (size_t)kernel_x, (size_t)channels};
  size_t bias_shape[1] = {(size_t)made};
  guint32 filter_id, bias_id = XNN_INVALID_VALUE_ID;
  if (!define_constant(b, op->input[1], 4, shape, &filter_id, error))
    return FALSE;
  if (op->inputs > 2 && op->input[2] >= 0) {
    if (tensor_of(b, op->input[2])->elements != (gsize)made)
      return refuse(error, "a convolution's bias has the wrong size");
    if (!define_constant(b, op->input[2], 1, bias_shape, &bias_id, error))
      return FALSE;
  }
  float low, high;
  activation_range(o->activation, &low, &high);
  guint32 flags = o->same ? XNN_FLAG_TENSORFLOW_SAME_PADDING : 0;
  guint32 from = (guint32)op->input[0], to = (guint32)op->output[0];
  if (depthwise)
    return check(xnn_define_depthwise_convolution_2d(
                     b->subgraph, 0, 0, 0, 0, (guint32)kernel_y, (guint32)kernel_x, (guint32)o->stride_y,
                     (guint32)o->stride_x, (guint32)o->dilation_y, (guint32)o->dilation_x, 1,
                     (size_t)channels, low, high, from, filter_id, bias_id, to, flags),
                 error);
  return check(xnn_define_convolution_2d(b->subgraph, 0, 0, 0, 0, (guint32)kernel_y, (guint32)kernel_x,
                                         (guint32)o->stride_y, (guint32)o->stride_x, (guint32)o->dilation_y,
                                         (guint32)o->dilation_x, 1, (size_t)channels, (size_t)made, low, high,
                                         from, filter_id, bias_id, to, flags),
               error);
}

static gboolean add_fully_connected(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 2, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  const TfliteTensor *filter = op->input[1] < 0 ? in : tensor_of(b, op->input[1]);
  if (in->rank != 2 || in->shape[0] != 1 || filter->rank != 2 || filter->shape[1] != in->shape[1] ||
      out->rank != 2 || out->shape[0] != 1 || out->shape[1] != filter->shape[0])
    return refuse(error, "a fully connected layer's shapes contradict each other");
  size_t shape[2] = {(size_t)filter->shape[0], (size_t)filter->shape[1]};
  guint32 filter_id, bias_id = XNN_INVALID_VALUE_ID;
  if (!define_constant(b, op->input[1], 2, shape, &filter_id, error))
    return FALSE;
  if (op->inputs > 2 && op->input[2] >= 0) {
    if (tensor_of(b, op->input[2])->elements != shape[0])
      return refuse(error, "a fully connected layer's bias has the wrong size");
    if (!define_constant(b, op->input[2], 1, shape, &bias_id, error))
      return FALSE;
  }
  float low, high;
  activation_range(op->options.activation, &low, &high);
  return check(xnn_define_fully_connected(b->subgraph, low, high, (guint32)op->input[0], filter_id, bias_id,
                                          (guint32)op->output[0], 0),
               error);
}

/* --- element by element --- */

/* ADD and MUL of equal shapes, or with a constant of the same shape or of one element. */
static gboolean add_binary(Builder *b, const TfliteOperator *op, GError **error) {
  if (op->inputs != 2 || op->outputs != 1 || op->input[0] < 0 || op->input[1] < 0)
    return refuse(error, "an operator has too few inputs or outputs");
  const TfliteTensor *out = tensor_of(b, op->output[0]);
  guint32 id[2];
  for (int i = 0; i < 2; i++) {
    const TfliteTensor *in = tensor_of(b, op->input[i]);
    gboolean constant = builder_is_constant(b, op->input[i]);
    if (!same_shape(in, out) && !(constant && in->elements == 1))
      return refuse(error, "a sum's shapes contradict each other");
    size_t shape[TFLITE_MAX_RANK] = {1, 1, 1, 1};
    for (int k = 0; k < in->rank; k++)
      shape[k] = (size_t)in->shape[k];
    id[i] = (guint32)op->input[i];
    if (constant ? !define_constant(b, op->input[i], MAX(in->rank, 1), shape, &id[i], error)
                 : !define_computed(b, op->input[i], error))
      return FALSE;
  }
  if (!define_computed(b, op->output[0], error))
    return FALSE;
  float low, high;
  activation_range(op->options.activation, &low, &high);
  return check((op->code == TFLITE_ADD ? xnn_define_add2 : xnn_define_multiply2)(
                   b->subgraph, low, high, id[0], id[1], (guint32)op->output[0], 0),
               error);
}

static gboolean add_unary(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 1, error))
    return FALSE;
  if (!same_shape(tensor_of(b, op->input[0]), tensor_of(b, op->output[0])))
    return refuse(error, "an operator's shapes contradict each other");
  guint32 from = (guint32)op->input[0], to = (guint32)op->output[0];
  return check(op->code == TFLITE_LOGISTIC ? xnn_define_sigmoid(b->subgraph, from, to, 0)
                                           : xnn_define_clamp(b->subgraph, 0, INFINITY, from, to, 0),
               error);
}

static gboolean add_prelu(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 2, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]);
  if (in->rank < 1 || op->input[1] < 0 || !same_shape(in, tensor_of(b, op->output[0])) ||
      tensor_of(b, op->input[1])->elements != (gsize)in->shape[in->rank - 1])
    return refuse(error, "a PReLU's shapes contradict each other");
  size_t shape[1] = {(size_t)in->shape[in->rank - 1]};
  guint32 slope;
  return define_constant(b, op->input[1], 1, shape, &slope, error) &&
         check(xnn_define_prelu(b->subgraph, (guint32)op->input[0], slope, (guint32)op->output[0], 0), error);
}

/* --- moving data --- */

static gboolean add_reshape(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 1, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  if (in->elements != out->elements)
    return refuse(error, "a reshape changes the number of elements");
  size_t shape[TFLITE_MAX_RANK];
  for (int i = 0; i < out->rank; i++)
    shape[i] = (size_t)out->shape[i];
  return check(xnn_define_static_reshape(b->subgraph, (size_t)out->rank, shape, (guint32)op->input[0],
                                         (guint32)op->output[0], 0),
               error);
}

static gboolean add_pad(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 2, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  gint32 pads[2 * TFLITE_MAX_RANK];
  if (in->rank < 1 || in->rank != out->rank || op->input[1] < 0 ||
      !tflite_ints(tensor_of(b, op->input[1]), 2 * in->rank, pads))
    return refuse(error, "a padding is not a constant");
  size_t before[TFLITE_MAX_RANK], after[TFLITE_MAX_RANK];
  for (int i = 0; i < in->rank; i++) {
    if (!between(pads[2 * i], 0, 4096) || !between(pads[2 * i + 1], 0, 4096) ||
        out->shape[i] != in->shape[i] + pads[2 * i] + pads[2 * i + 1])
      return refuse(error, "a padding's shapes contradict each other");
    before[i] = (size_t)pads[2 * i];
    after[i] = (size_t)pads[2 * i + 1];
  }
  return check(xnn_define_static_constant_pad(b->subgraph, before, after, 0, (guint32)op->input[0],
                                              (guint32)op->output[0], 0),
               error);
}

static gboolean add_max_pool(Builder *b, const TfliteOperator *op, GError **error) {
  const TfliteOptions *o = &op->options;
  if (!define_ends(b, op, 1, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  if (!is_map(in) || !between(o->window_x, 1, MAX_KERNEL) || !between(o->window_y, 1, MAX_KERNEL) ||
      !between(o->stride_x, 1, MAX_STEP) || !between(o->stride_y, 1, MAX_STEP))
    return refuse(error, "a pooling has parameters that are not supported");
  if (!has_shape(out, steps(in->shape[1], o->window_y, 1, o->stride_y, o->same),
                 steps(in->shape[2], o->window_x, 1, o->stride_x, o->same), in->shape[3]))
    return refuse(error, "a pooling's shapes contradict each other");
  float low, high;
  activation_range(o->activation, &low, &high);
  return check(xnn_define_max_pooling_2d(b->subgraph, 0, 0, 0, 0, (guint32)o->window_y, (guint32)o->window_x,
                                         (guint32)o->stride_y, (guint32)o->stride_x, 1, 1, low, high,
                                         (guint32)op->input[0], (guint32)op->output[0],
                                         o->same ? XNN_FLAG_TENSORFLOW_SAME_PADDING : 0),
               error);
}

/* Flags 0 in XNNPACK mean half-pixel centres; the other conventions are not met. */
static gboolean add_resize(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 2, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  gint32 size[2];
  if (!op->options.half_pixel || op->options.align_corners || op->input[1] < 0 ||
      !tflite_ints(tensor_of(b, op->input[1]), 2, size))
    return refuse(error, "a resizing follows a rule that is not supported");
  if (!is_map(in) || !has_shape(out, size[0], size[1], in->shape[3]))
    return refuse(error, "a resizing's shapes contradict each other");
  return check(xnn_define_static_resize_bilinear_2d(b->subgraph, (size_t)size[0], (size_t)size[1],
                                                    (guint32)op->input[0], (guint32)op->output[0], 0),
               error);
}

static gboolean add_depth_to_space(Builder *b, const TfliteOperator *op, GError **error) {
  int block = op->options.block;
  if (!define_ends(b, op, 1, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]);
  if (!is_map(in) || !between(block, 2, MAX_STEP) || in->shape[3] % (block * block) != 0 ||
      !has_shape(tensor_of(b, op->output[0]), in->shape[1] * block, in->shape[2] * block,
                 in->shape[3] / (block * block)))
    return refuse(error, "a depth-to-space's shapes contradict each other");
  return check(xnn_define_depth_to_space(b->subgraph, (guint32)op->input[0], (guint32)op->output[0],
                                         (guint32)block, 0),
               error);
}

/* The mean over a whole map, [1, H, W, C] to [1, C]. */
static gboolean add_mean(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 2, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  gint32 axes[2];
  if (!is_map(in) || op->input[1] < 0 || !tflite_ints(tensor_of(b, op->input[1]), 2, axes) || axes[0] != 1 ||
      axes[1] != 2 || out->elements != (gsize)in->shape[3])
    return refuse(error, "a mean is not one over height and width");
  size_t pooled[4] = {1, 1, 1, (size_t)in->shape[3]}, shape[TFLITE_MAX_RANK];
  for (int i = 0; i < out->rank; i++)
    shape[i] = (size_t)out->shape[i];
  guint32 id;
  return check(xnn_define_tensor_value(b->subgraph, xnn_datatype_fp32, 4, pooled, NULL, XNN_INVALID_VALUE_ID,
                                       0, &id),
               error) &&
         check(xnn_define_global_average_pooling_2d(b->subgraph, -INFINITY, INFINITY, (guint32)op->input[0],
                                                    id, 0),
               error) &&
         check(
             xnn_define_static_reshape(b->subgraph, (size_t)out->rank, shape, id, (guint32)op->output[0], 0),
             error);
}

/* XNNPACK of Debian 12 has no slice. What is met is a range of channels of a whole map: a 1x1 convolution
 * whose kernel picks them does that exactly, since x*1 + y*0 is x for all finite values. */
static gboolean add_slice(Builder *b, const TfliteOperator *op, GError **error) {
  if (!define_ends(b, op, 4, error))
    return FALSE;
  const TfliteTensor *in = tensor_of(b, op->input[0]), *out = tensor_of(b, op->output[0]);
  gint32 range[3][4]; /* begin, end, step */
  for (int i = 0; i < 3; i++)
    if (!is_map(in) || op->input[i + 1] < 0 || !tflite_ints(tensor_of(b, op->input[i + 1]), 4, range[i]))
      return refuse(error, "a slice is not a constant range of a map");
  gboolean good = op->options.other_masks == 0;
  for (int i = 0; i < 4; i++) {
    int begin = op->options.begin_mask >> i & 1 ? 0 : range[0][i];
    int end = op->options.end_mask >> i & 1 ? in->shape[i] : range[1][i];
    good = good && range[2][i] == 1 && begin >= 0 && (i == 3 || begin == 0) && end > begin &&
           end <= in->shape[i] && (i == 3 || end == in->shape[i]);
    range[0][i] = begin;
    range[1][i] = end;
  }
  if (!good || !has_shape(out, in->shape[1], in->shape[2], range[1][3] - range[0][3]))
    return refuse(error, "a slice is not a range of channels");
  if (out->shape[3] == in->shape[3])
    return add_reshape(b, op, error);
  gsize from = (gsize)in->shape[3], made = (gsize)out->shape[3];
  if (from * made > TFLITE_MAX_ELEMENTS)
    return refuse(error, "a slice is beyond the limits");
  float *pick = floats_new(b, from * made);
  for (gsize i = 0; i < made; i++)
    pick[i * from + (gsize)range[0][3] + i] = 1;
  guint32 id;
  return define_static(b, pick, 4, (size_t[]){made, 1, 1, from}, &id, error) &&
         check(xnn_define_convolution_2d(b->subgraph, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, from, made, -INFINITY,
                                         INFINITY, (guint32)op->input[0], id, XNN_INVALID_VALUE_ID,
                                         (guint32)op->output[0], 0),
               error);
}

gboolean builder_add(Builder *b, const TfliteOperator *op, GError **error) {
  switch (op->code) {
  case TFLITE_CONV_2D:
  case TFLITE_DEPTHWISE_CONV_2D:
    return add_convolution(b, op, error);
  case TFLITE_FULLY_CONNECTED:
    return add_fully_connected(b, op, error);
  case TFLITE_ADD:
  case TFLITE_MUL:
    return add_binary(b, op, error);
  case TFLITE_LOGISTIC:
  case TFLITE_RELU:
    return add_unary(b, op, error);
  case TFLITE_PRELU:
    return add_prelu(b, op, error);
  case TFLITE_RESHAPE:
    return add_reshape(b, op, error);
  case TFLITE_PAD:
    return add_pad(b, op, error);
  case TFLITE_MAX_POOL_2D:
    return add_max_pool(b, op, error);
  case TFLITE_RESIZE_BILINEAR:
    return add_resize(b, op, error);
  case TFLITE_DEPTH_TO_SPACE:
    return add_depth_to_space(b, op, error);
  case TFLITE_MEAN:
    return add_mean(b, op, error);
  case TFLITE_STRIDED_SLICE:
    return add_slice(b, op, error);
  default:
    return fault(error, FAULT_NETWORK, "The network cannot be used: operator %d%s%s is not supported.",
                 op->code, op->custom ? ", " : "", op->custom ? op->custom : "");
  }
}
