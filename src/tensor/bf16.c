/* bf16 is fp32 without its lower 16 bits. */
#include "tensor/kernels.h"
#include "tensor/ops.h"

float bf16_to_float(guint16 value) {
  return bf16_widen(value);
}

guint16 bf16_from_float(float value) {
  return bf16_round(value);
}
