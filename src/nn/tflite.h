/* A TensorFlow Lite file, checked and described: tensors, constants, operators with their options.
 *
 * A model file is hostile input until proven otherwise. tflite_parse follows no offset that it has not
 * compared with the length of the file, accepts no count, rank or size beyond the limits below, and checks
 * that every constant has as many bytes as its type and shape need. What it returns can be used without
 * looking at the file again: indices of tensors lie in range, constants lie inside the bytes (at any
 * alignment: read them with memcpy). Whether the operators fit together is the graph's business (nn/graph.h).
 *
 * Format: tensorflow/lite/schema/schema.fbs, version 3, and the FlatBuffers binary layout. Only files with
 * one subgraph and no quantisation are meant. */
#pragma once
#include "base/fault.h"

#define TFLITE_MAX_BYTES (256 * 1024 * 1024)
#define TFLITE_MAX_TENSORS 8192
#define TFLITE_MAX_OPERATORS 4096
#define TFLITE_MAX_RANK 4
#define TFLITE_MAX_ELEMENTS (16 * 1024 * 1024) /* of one tensor */
#define TFLITE_MAX_OPERANDS 8                  /* inputs or outputs of one operator, or of the model */

typedef enum { TFLITE_F32 = 0, TFLITE_F16 = 1, TFLITE_I32 = 2 } TfliteType;

/* The builtin codes that the reader knows; others are accepted and left to the graph to refuse. */
typedef enum {
  TFLITE_ADD = 0,
  TFLITE_AVERAGE_POOL_2D = 1,
  TFLITE_CONCATENATION = 2,
  TFLITE_CONV_2D = 3,
  TFLITE_DEPTHWISE_CONV_2D = 4,
  TFLITE_DEPTH_TO_SPACE = 5,
  TFLITE_DEQUANTIZE = 6,
  TFLITE_FULLY_CONNECTED = 9,
  TFLITE_LOGISTIC = 14,
  TFLITE_MAX_POOL_2D = 17,
  TFLITE_MUL = 18,
  TFLITE_RELU = 19,
  TFLITE_RESHAPE = 22,
  TFLITE_RESIZE_BILINEAR = 23,
  TFLITE_CUSTOM = 32,
  TFLITE_PAD = 34,
  TFLITE_MEAN = 40,
  TFLITE_STRIDED_SLICE = 45,
  TFLITE_PRELU = 54,
  TFLITE_HARD_SWISH = 117,
  TFLITE_DENSIFY = 124
} TfliteCode;

/* Fused into the operator that they follow; the numbers are the file's. */
typedef enum {
  ACTIVATION_NONE = 0,
  ACTIVATION_RELU = 1,
  ACTIVATION_RELU_1 = 2,
  ACTIVATION_RELU_6 = 3
} TfliteActivation;

/* Compressed sparse rows over the last dimension of a [rows, 1, 1, columns] constant. */
typedef struct {
  gboolean used;
  int rows, columns;
  int *segments; /* [rows + 1], rising from 0 to the number of stored values */
  int *indices;  /* [segments[rows]], each below columns */
} TfliteSparse;

typedef struct {
  TfliteType type;
  int rank, shape[TFLITE_MAX_RANK]; /* every side at least 1 */
  gsize elements;                   /* product of the sides */
  const guint8 *data;  /* constant values, little-endian, unaligned; NULL for a tensor that is computed */
  gsize bytes;         /* of data */
  TfliteSparse sparse; /* where used, data holds only the stored values */
} TfliteTensor;

/* Fields that an operator does not have are 0. */
typedef struct {
  gboolean same; /* padding: SAME rather than VALID */
  int stride_x, stride_y, dilation_x, dilation_y, multiplier, window_x, window_y, block, axis;
  TfliteActivation activation;
  gboolean align_corners, half_pixel, keep_dims;
  int begin_mask, end_mask, other_masks; /* STRIDED_SLICE */
} TfliteOptions;

typedef struct {
  TfliteCode code;
  char *custom; /* the name of a custom operator, or NULL */
  int version;
  int inputs, outputs;
  int input[TFLITE_MAX_OPERANDS]; /* tensor indices; -1 for an optional one that is left out */
  int output[TFLITE_MAX_OPERANDS];
  TfliteOptions options;
} TfliteOperator;

typedef struct {
  GBytes *bytes; /* the file; the constants point into it */
  int tensors, operators;
  TfliteTensor *tensor;
  TfliteOperator *op;
  int inputs, outputs;
  int input[TFLITE_MAX_OPERANDS], output[TFLITE_MAX_OPERANDS];
} Tflite;

/* FAULT_NETWORK with what is wrong. Keeps a reference to bytes. */
Tflite *tflite_parse(GBytes *bytes, GError **error);
void tflite_free(Tflite *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tflite, tflite_free)

/* The n-th (from 0) operator of that custom name, or NULL. */
const TfliteOperator *tflite_custom(const Tflite *model, const char *name, int n);
/* Values of an int32 constant. FALSE when the tensor is no such constant or has another number of elements.
 */
gboolean tflite_ints(const TfliteTensor *tensor, int count, gint32 *values);
