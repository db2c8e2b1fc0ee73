/* The file is eight bytes of header length, a JSON object, and the data. Every entry is checked once, on
 * opening; safetensors_get only compares names, dtypes and shapes. */
#include "tensor/safetensors.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MAX_BYTES (16 * 1024 * 1024)
#define RANK_MAX SAFETENSORS_RANK_MAX

static const struct {
  const char *name;
  gsize bytes;
} dtypes[] = {
    [DTYPE_U8] = {"U8", 1},     [DTYPE_I8] = {"I8", 1},   [DTYPE_I32] = {"I32", 4},
    [DTYPE_U32] = {"U32", 4},   [DTYPE_I64] = {"I64", 8}, [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2}, [DTYPE_F32] = {"F32", 4}, [DTYPE_F64] = {"F64", 8},
};

gsize dtype_bytes(Dtype dtype) {
  return dtypes[dtype].bytes;
}

static gboolean dtype_from_name(const char *name, Dtype *dtype) {
  for (gsize i = 0; i < G_N_ELEMENTS(dtypes); i++)
    if (g_str_equal(name, dtypes[i].name)) {
      *dtype = (Dtype)i;
      return TRUE;
    }
  return FALSE;
}

/* --- reading --- */

typedef SafetensorsTensor Tensor;

struct Safetensors {
  char *path;
  GMappedFile *map;
  GHashTable *tensors;  /* char * -> Tensor * */
  GHashTable *metadata; /* char * -> char * */
};

void safetensors_free(Safetensors *file) {
  if (!file)
    return;
  g_free(file->path);
  g_clear_pointer(&file->map, g_mapped_file_unref);
  g_hash_table_unref(file->tensors);
  g_hash_table_unref(file->metadata);
  g_free(file);
}

/* Reads shape and returns the tensor's byte count, or -1 when it is impossible. */
static gint64 read_shape(json_t *shape, Tensor *tensor) {
  if (!json_is_array(shape) || json_array_size(shape) > RANK_MAX)
    return -1;
  tensor->rank = (int)json_array_size(shape);
  gint64 bytes = (gint64)dtype_bytes(tensor->dtype);
  for (int i = 0; i < tensor->rank; i++) {
    json_t *side = json_array_get(shape, (gsize)i);
    tensor->shape[i] = json_is_integer(side) ? json_integer_value(side) : -1;
    if (tensor->shape[i] < 0 || __builtin_mul_overflow(bytes, tensor->shape[i], &bytes))
      return -1;
  }
  return bytes;
}

static gboolean read_tensor(Safetensors *file, const char *name, json_t *entry, const guint8 *data,
                            gint64 length, GError **error) {
  Tensor tensor = {0};
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  if (!dtype || !dtype_from_name(dtype, &tensor.dtype))
    return fault(error, FAULT_INPUT, "%s: tensor %s has the unknown type %s.", file->path, name,
                 dtype ? dtype : "(none)");
  gint64 bytes = read_shape(json_object_get(entry, "shape"), &tensor);
  json_t *offsets = json_object_get(entry, "data_offsets");
  json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
  if (bytes < 0 || json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
    return fault(error, FAULT_INPUT, "%s: tensor %s has no valid shape or place.", file->path, name);
  gint64 begin = json_integer_value(first), end = json_integer_value(last);
  if (begin < 0 || end < begin || end > length || end - begin != bytes)
    return fault(error, FAULT_INPUT,
                 "%s: tensor %s lies at %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT
                 " but the data has %" G_GINT64_FORMAT " bytes and the shape wants %" G_GINT64_FORMAT ".",
                 file->path, name, begin, end, length, bytes);
  tensor.data = data + begin;
  if ((gsize)tensor.data % dtype_bytes(tensor.dtype) != 0)
    return fault(error, FAULT_INPUT, "%s: tensor %s is not aligned.", file->path, name);
  g_hash_table_insert(file->tensors, g_strdup(name), g_memdup2(&tensor, sizeof tensor));
  return TRUE;
}

static gboolean read_header(Safetensors *file, GError **error) {
  const guint8 *bytes = (const guint8 *)g_mapped_file_get_contents(file->map);
  gsize length = g_mapped_file_get_length(file->map);
  guint64 header_length = 0;
  if (length >= 8)
    memcpy(&header_length, bytes, 8);
  header_length = GUINT64_FROM_LE(header_length);
  if (length < 8 || header_length > HEADER_MAX_BYTES || header_length > length - 8)
    return fault(error, FAULT_INPUT, "%s is not a safetensors file, or it is cut short.", file->path);
  json_error_t problem;
  json_t *header = json_loadb((const char *)bytes + 8, header_length, JSON_REJECT_DUPLICATES, &problem);
  if (!json_is_object(header)) {
    json_decref(header);
    return fault(error, FAULT_INPUT, "%s has a damaged header: %s.", file->path, problem.text);
  }
  const guint8 *data = bytes + 8 + header_length;
  gboolean good = TRUE;
  const char *key;
  json_t *entry;
  json_object_foreach(header, key, entry) {
    if (g_str_equal(key, "__metadata__")) {
      const char *name;
      json_t *value;
      json_object_foreach(entry, name, value) if (json_is_string(value))
          g_hash_table_insert(file->metadata, g_strdup(name), g_strdup(json_string_value(value)));
    } else if (!(good = read_tensor(file, key, entry, data, (gint64)(length - 8 - header_length), error))) {
      break;
    }
  }
  json_decref(header);
  return good;
}

Safetensors *safetensors_open(const char *path, GError **error) {
  g_autoptr(Safetensors) file = g_new0(Safetensors, 1);
  file->path = g_strdup(path);
  file->tensors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  file->metadata = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr(GError) problem = NULL;
  file->map = g_mapped_file_new(path, FALSE, &problem);
  if (!file->map)
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", path, problem->message);
  if (!read_header(file, error))
    return NULL;
  return g_steal_pointer(&file);
}

const void *safetensors_get(const Safetensors *file, const char *name, Dtype dtype, gint64 *shape, int rank,
                            GError **error) {
  const Tensor *tensor = g_hash_table_lookup(file->tensors, name);
  if (!tensor)
    return fault_null(error, FAULT_INPUT, "%s has no tensor %s.", file->path, name);
  gboolean fits = tensor->dtype == dtype && tensor->rank == rank;
  for (int i = 0; fits && i < rank; i++)
    fits = shape[i] < 0 || shape[i] == tensor->shape[i];
  if (!fits)
    return fault_null(error, FAULT_INPUT, "%s: tensor %s does not have the expected type and shape.",
                      file->path, name);
  if (rank)
    memcpy(shape, tensor->shape, sizeof *shape * (gsize)rank);
  return tensor->data;
}

gboolean safetensors_has(const Safetensors *file, const char *name) {
  return g_hash_table_contains(file->tensors, name);
}

const char *safetensors_metadata(const Safetensors *file, const char *key) {
  return g_hash_table_lookup(file->metadata, key);
}

const SafetensorsTensor *safetensors_find(const Safetensors *file, const char *name) {
  return g_hash_table_lookup(file->tensors, name);
}

static gint compare_names(gconstpointer a, gconstpointer b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *safetensors_names(const Safetensors *file) {
  GPtrArray *names = g_ptr_array_new();
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init(&iter, file->tensors);
  while (g_hash_table_iter_next(&iter, &name, NULL))
    g_ptr_array_add(names, name);
  g_ptr_array_sort(names, compare_names);
  return names;
}

gint64 safetensors_count(const SafetensorsTensor *tensor) {
  gint64 count = 1; /* cannot overflow: the byte count was checked on opening */
  for (int i = 0; i < tensor->rank; i++)
    count *= tensor->shape[i];
  return count;
}

/* IEEE half precision. */
static float half_to_float(guint16 half) {
  guint32 sign = (guint32)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;
  if (exponent == 0) /* subnormal: fraction · 2⁻²⁴ is exact */
    return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
  guint32 bits = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | fraction << 13;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static float bfloat_to_float(guint16 value) {
  guint32 bits = (guint32)value << 16;
  float out;
  memcpy(&out, &bits, sizeof out);
  return out;
}

gboolean safetensors_floats(const SafetensorsTensor *tensor, float *out) {
  gint64 count = safetensors_count(tensor);
  const guint16 *halves = tensor->data;
  const double *doubles = tensor->data;
  switch (tensor->dtype) {
  case DTYPE_F32:
    if (count)
      memcpy(out, tensor->data, sizeof *out * (gsize)count);
    return TRUE;
  case DTYPE_F16:
    for (gint64 i = 0; i < count; i++)
      out[i] = half_to_float(halves[i]);
    return TRUE;
  case DTYPE_BF16:
    for (gint64 i = 0; i < count; i++)
      out[i] = bfloat_to_float(halves[i]);
    return TRUE;
  case DTYPE_F64:
    for (gint64 i = 0; i < count; i++)
      out[i] = (float)doubles[i];
    return TRUE;
  default:
    return FALSE;
  }
}

/* --- writing --- */

typedef struct {
  char *name;
  Dtype dtype;
  int rank;
  gint64 shape[RANK_MAX];
  const void *data;
  gsize bytes;
} Piece;

struct SafetensorsWriter {
  json_t *metadata;
  GPtrArray *pieces; /* Piece * */
};

static void piece_free(gpointer data) {
  Piece *piece = data;
  g_free(piece->name);
  g_free(piece);
}

SafetensorsWriter *safetensors_writer_new(void) {
  SafetensorsWriter *writer = g_new0(SafetensorsWriter, 1);
  writer->metadata = json_object();
  writer->pieces = g_ptr_array_new_with_free_func(piece_free);
  return writer;
}

void safetensors_writer_free(SafetensorsWriter *writer) {
  if (!writer)
    return;
  json_decref(writer->metadata);
  g_ptr_array_unref(writer->pieces);
  g_free(writer);
}

void safetensors_add(SafetensorsWriter *writer, const char *name, Dtype dtype, const gint64 *shape, int rank,
                     const void *data) {
  g_assert(rank >= 0 && rank <= RANK_MAX);
  Piece *piece = g_new0(Piece, 1);
  *piece = (Piece){
      .name = g_strdup(name), .dtype = dtype, .rank = rank, .data = data, .bytes = dtype_bytes(dtype)};
  for (int i = 0; i < rank; i++) {
    piece->shape[i] = shape[i];
    piece->bytes *= (gsize)shape[i];
  }
  g_ptr_array_add(writer->pieces, piece);
}

void safetensors_set_metadata(SafetensorsWriter *writer, const char *key, const char *value) {
  json_object_set_new(writer->metadata, key, json_string(value));
}

void safetensors_set_torch(SafetensorsWriter *writer, const char *const *more) {
  safetensors_set_metadata(writer, "format", "pt");
  for (gsize i = 0; more && more[i]; i += 2)
    safetensors_set_metadata(writer, more[i], more[i + 1]);
}

/* Wide elements first: with the data at a multiple of eight every tensor is then aligned without gaps, which
 * the format forbids. Within a width the order of adding stays. */
static gint compare_width(gconstpointer a, gconstpointer b) {
  const Piece *first = *(Piece *const *)a, *second = *(Piece *const *)b;
  gsize p = dtype_bytes(first->dtype), q = dtype_bytes(second->dtype);
  return (p < q) - (p > q);
}

static json_t *piece_entry(const Piece *piece, gsize offset) {
  json_t *shape = json_array();
  for (int i = 0; i < piece->rank; i++)
    json_array_append_new(shape, json_integer(piece->shape[i]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[piece->dtype].name, "shape", shape, "data_offsets",
                   (json_int_t)offset, (json_int_t)(offset + piece->bytes));
}

/* The header, padded with spaces so that the data begins at a multiple of eight. */
static char *header_text(SafetensorsWriter *writer) {
  json_t *header = json_object();
  if (json_object_size(writer->metadata))
    json_object_set(header, "__metadata__", writer->metadata);
  gsize offset = 0;
  for (guint i = 0; i < writer->pieces->len; i++) {
    const Piece *piece = writer->pieces->pdata[i];
    json_object_set_new(header, piece->name, piece_entry(piece, offset));
    offset += piece->bytes;
  }
  char *json = json_dumps(header, JSON_COMPACT);
  json_decref(header);
  gsize length = strlen(json), padded = (length + 7) / 8 * 8;
  char *text = g_malloc(padded + 1);
  memcpy(text, json, length);
  memset(text + length, ' ', padded - length);
  text[padded] = 0;
  free(json);
  return text;
}

static gboolean write_all(FILE *out, SafetensorsWriter *writer) {
  g_ptr_array_sort(writer->pieces, compare_width);
  g_autofree char *header = header_text(writer);
  guint64 length = GUINT64_TO_LE(strlen(header));
  gboolean good = fwrite(&length, 8, 1, out) == 1 && fputs(header, out) >= 0;
  for (guint i = 0; good && i < writer->pieces->len; i++) {
    const Piece *piece = writer->pieces->pdata[i];
    good = piece->bytes == 0 || fwrite(piece->data, piece->bytes, 1, out) == 1;
  }
  return good;
}

gboolean safetensors_write(SafetensorsWriter *writer, const char *path, GError **error) {
  g_autofree char *part = g_strconcat(path, ".part", NULL);
  FILE *out = g_fopen(part, "wb");
  if (!out)
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, g_strerror(errno));
  gboolean good = write_all(out, writer);
  good = fclose(out) == 0 && good;
  if (!good || g_rename(part, path) != 0) {
    int reason = errno;
    g_unlink(part);
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, g_strerror(reason));
  }
  return TRUE;
}
