/* Expected results of the reference networks: the folder that GOLDEN_IDENTITY names, by default
 * $TROUPE_SHARED/golden-identity. Its README lists tensors and tolerances. */
#pragma once
#include "tensor/safetensors.h"

/* The path of a file in it (transfer full). Where the folder is absent, skips the running test. */
char *golden_path(const char *name);
/* Opens a file of it; fails the test when it cannot. */
Safetensors *golden_open(const char *name);
/* A tensor of any shape: its data and, where count is not NULL, how many elements it has. */
const float *golden_floats(const Safetensors *file, const char *name, gint64 *count);
const gint32 *golden_ints(const Safetensors *file, const char *name, gint64 *count);
const guint8 *golden_bytes(const Safetensors *file, const char *name, gint64 *count);

/* Largest absolute difference; NaN where either has one. */
double golden_difference(const float *a, const float *b, gint64 count);
/* Fails when a differs from the tensor by more than tolerance anywhere; prints what was found. */
void golden_near(const Safetensors *file, const char *name, const float *a, double tolerance);
