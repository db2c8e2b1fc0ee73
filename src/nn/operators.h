/* Operators of a TensorFlow Lite file as nodes of an XNNPACK subgraph. Private to the room.
 *
 * XNNPACK trusts the shapes that it is told. Therefore every operator's output shape is computed here from
 * its inputs and must be the declared one, and every constant must have exactly the size that the operator
 * reads. */
#pragma once
#include "nn/tflite.h"
#include <xnnpack.h>

typedef struct {
  const Tflite *model;
  xnn_subgraph_t subgraph;
  const guint32 *role; /* [tensors] XNN_VALUE_FLAG_… of the tensors that come from or go outside */
  gboolean *defined;   /* [tensors] has a value in the subgraph, under its own index */
  const int *producer; /* [tensors] operator, or -1 */
  float **constant;    /* [tensors] expanded constants, made when first used */
  GPtrArray *keep; /* float arrays that the runtime reads: constants, with XNN_EXTRA_BYTES after their end */
} Builder;

/* The tensor is a constant, given in the file or computed from one by DEQUANTIZE and DENSIFY. */
gboolean builder_is_constant(const Builder *builder, int tensor);

/* Adds one operator. FAULT_NETWORK. */
gboolean builder_add(Builder *builder, const TfliteOperator *op, GError **error);
