/* Reading and writing of safetensors files: a JSON header and plain arrays, little-endian.
 *
 * Reading maps the file and checks everything before it hands out a pointer: header length, JSON, dtype,
 * shape against byte count, overlap and bounds. FAULT_INPUT names what is wrong.
 *
 *   g_autoptr(Safetensors) file = safetensors_open("rig.safetensors", error);
 *   const float *rest = safetensors_get(file, "body.rest", DTYPE_F32, (gint64[]){-1, 3}, 2, &rows, error);
 */
#pragma once
#include "base/fault.h"

typedef enum {
  DTYPE_U8,
  DTYPE_I8,
  DTYPE_I32,
  DTYPE_U32,
  DTYPE_I64,
  DTYPE_F16,
  DTYPE_BF16,
  DTYPE_F32,
  DTYPE_F64
} Dtype;
gsize dtype_bytes(Dtype dtype);

typedef struct Safetensors Safetensors;
Safetensors *safetensors_open(const char *path, GError **error);
void safetensors_free(Safetensors *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Safetensors, safetensors_free)

/* A tensor's data, valid as long as the file is open. shape: rank entries that must match; -1 matches
 * anything and is then replaced by the real size. FAULT_INPUT when it is absent or differs. */
const void *safetensors_get(const Safetensors *file, const char *name, Dtype dtype, gint64 *shape, int rank,
                            GError **error);
gboolean safetensors_has(const Safetensors *file, const char *name);
/* The string under __metadata__, or NULL. */
const char *safetensors_metadata(const Safetensors *file, const char *key);

/* A tensor as it lies in the file, for readers that must look before they know what to expect. */
#define SAFETENSORS_RANK_MAX 8
typedef struct {
  Dtype dtype;
  int rank;
  gint64 shape[SAFETENSORS_RANK_MAX];
  const void *data;
} SafetensorsTensor;
const SafetensorsTensor *safetensors_find(const Safetensors *file, const char *name); /* NULL when absent */
/* All names, sorted (transfer container; element const char *, valid as long as the file is open). */
GPtrArray *safetensors_names(const Safetensors *file);
gint64 safetensors_count(const SafetensorsTensor *tensor); /* of its elements */
/* The elements of an F16, BF16, F32 or F64 tensor as fp32; FALSE for the other types. */
gboolean safetensors_floats(const SafetensorsTensor *tensor, float *out);

/* Tensors are written in the order in which they were added; data is not copied and must live until the
 * write. */
typedef struct SafetensorsWriter SafetensorsWriter;
SafetensorsWriter *safetensors_writer_new(void);
void safetensors_writer_free(SafetensorsWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SafetensorsWriter, safetensors_writer_free)
void safetensors_add(SafetensorsWriter *writer, const char *name, Dtype dtype, const gint64 *shape, int rank,
                     const void *data);
void safetensors_set_metadata(SafetensorsWriter *writer, const char *key, const char *value);
/* For tools that tell by it that tensors lie as PyTorch's do. more: key, value, key, value, …, NULL; or NULL.
 */
void safetensors_set_torch(SafetensorsWriter *writer, const char *const *more);
/* To a temporary name, then renamed. FAULT_OUTPUT. */
gboolean safetensors_write(SafetensorsWriter *writer, const char *path, GError **error);
