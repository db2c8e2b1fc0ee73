/* A FlatBuffer is a web of relative offsets. A table begins with a signed offset back to its vtable, which
 * lists for each field the distance from the table's start; 0, or a vtable that is too short, means the
 * default. Vectors begin with a count. All of it is little-endian.
 *
 * The reader carries the bytes and the first complaint. Every access goes through u8/u16/u32, which answer 0
 * beyond the end and leave a complaint; code can therefore read straight down and look at the complaint once
 * per object. Loops run over counts that vector() has already compared with the bytes that are left. */
#include "nn/tflite.h"
#include <string.h>

typedef struct {
  const guint8 *data;
  gsize size;
  const char *problem; /* the first one, or NULL */
} Reader;

typedef struct {
  gsize at; /* 0 where absent: no table can begin there, since the root offset does */
  gsize vtable;
  guint vtable_bytes;
} Table;

typedef struct {
  gsize at; /* of the first element */
  guint32 count;
} Vector;

static void complain(Reader *r, const char *problem) {
  if (!r->problem)
    r->problem = problem;
}

static gboolean inside(Reader *r, gsize at, gsize bytes) {
  if (at <= r->size && bytes <= r->size - at)
    return TRUE;
  complain(r, "an offset points outside the file");
  return FALSE;
}

static guint8 u8(Reader *r, gsize at) {
  return inside(r, at, 1) ? r->data[at] : 0;
}

static guint16 u16(Reader *r, gsize at) {
  return inside(r, at, 2) ? (guint16)(r->data[at] | r->data[at + 1] << 8) : 0;
}

static guint32 u32(Reader *r, gsize at) {
  return inside(r, at, 4) ? (guint32)u16(r, at) | (guint32)u16(r, at + 2) << 16 : 0;
}

static gint32 i32(Reader *r, gsize at) {
  return (gint32)u32(r, at);
}

static Table table_at(Reader *r, gsize at) {
  Table table = {0};
  gint64 vtable = (gint64)at - i32(r, at);
  if (at == 0 || r->problem)
    return table;
  if (vtable < 0 || (guint64)vtable > r->size || !inside(r, (gsize)vtable, 4)) {
    complain(r, "a table's description lies outside the file");
    return table;
  }
  guint bytes = u16(r, (gsize)vtable);
  if (bytes < 4 || !inside(r, (gsize)vtable, bytes)) {
    complain(r, "a table's description is cut off");
    return table;
  }
  return (Table){.at = at, .vtable = (gsize)vtable, .vtable_bytes = bytes};
}

/* Where the field stands, 0 where it is left out. */
static gsize field(Reader *r, Table table, guint index) {
  guint entry = 4 + 2 * index;
  if (!table.at || entry + 2 > table.vtable_bytes)
    return 0;
  guint distance = u16(r, table.vtable + entry);
  return distance ? table.at + distance : 0;
}

static gint32 field_i32(Reader *r, Table table, guint index, gint32 absent) {
  gsize at = field(r, table, index);
  return at ? i32(r, at) : absent;
}

static int field_u8(Reader *r, Table table, guint index, int absent) {
  gsize at = field(r, table, index);
  return at ? u8(r, at) : absent;
}

/* Follows an offset stored at `at`. */
static gsize follow(Reader *r, gsize at) {
  if (!at)
    return 0;
  guint32 distance = u32(r, at);
  if (distance == 0 || distance > r->size - MIN(at, r->size)) {
    complain(r, "an offset points outside the file");
    return 0;
  }
  return at + distance;
}

static Table field_table(Reader *r, Table table, guint index) {
  gsize at = follow(r, field(r, table, index));
  return at ? table_at(r, at) : (Table){0};
}

static Vector field_vector(Reader *r, Table table, guint index, gsize element_bytes, guint32 limit) {
  gsize at = follow(r, field(r, table, index));
  if (!at)
    return (Vector){0};
  guint32 count = u32(r, at);
  if (count > limit) {
    complain(r, "a list is longer than the limit");
    return (Vector){0};
  }
  if (!inside(r, at + 4, (gsize)count * element_bytes))
    return (Vector){0};
  return (Vector){.at = at + 4, .count = count};
}

static Table vector_table(Reader *r, Vector vector, guint32 index) {
  return table_at(r, follow(r, vector.at + 4 * (gsize)index));
}

/* segments and indices are unions of vectors of int32, uint16 or uint8. NULL with a complaint. */
static int *read_index_union(Reader *r, Table dimension, guint type_field, guint32 limit, guint32 *count) {
  static const gsize bytes_of[] = {0, 4, 2, 1};
  int type = field_u8(r, dimension, type_field, 0);
  if (type < 1 || type > 3) {
    complain(r, "a sparse dimension has an unknown index type");
    return NULL;
  }
  Vector vector = field_vector(r, field_table(r, dimension, type_field + 1), 0, bytes_of[type], limit);
  if (r->problem)
    return NULL;
  int *values = g_new(int, MAX(vector.count, 1));
  for (guint32 i = 0; i < vector.count; i++) {
    gsize at = vector.at + i * bytes_of[type];
    values[i] = type == 1 ? i32(r, at) : type == 2 ? u16(r, at) : u8(r, at);
  }
  *count = vector.count;
  return values;
}

static void check_rows(Reader *r, TfliteSparse *sparse, guint32 segments, guint32 indices) {
  gboolean good = segments == (guint32)sparse->rows + 1 && sparse->segments[0] == 0 &&
                  sparse->segments[sparse->rows] == (int)indices;
  for (guint32 i = 1; good && i < segments; i++)
    good = sparse->segments[i] >= sparse->segments[i - 1];
  for (guint32 i = 0; good && i < indices; i++)
    good = sparse->indices[i] >= 0 && sparse->indices[i] < sparse->columns;
  if (!good)
    complain(r, "a sparse tensor's rows do not add up");
}

/* The one layout met: dense rows of a [rows, 1, 1, columns] tensor, columns compressed, no blocks. */
static void read_sparse(Reader *r, Table sparsity, TfliteTensor *tensor) {
  Vector order = field_vector(r, sparsity, 0, 4, 16);
  Vector blocks = field_vector(r, sparsity, 1, 4, 16);
  Vector dimensions = field_vector(r, sparsity, 2, 4, 16);
  if (tensor->rank != 4 || tensor->shape[1] != 1 || tensor->shape[2] != 1 || order.count != 4 ||
      blocks.count || dimensions.count != 4) {
    complain(r, "a sparse tensor has a layout that is not supported");
    return;
  }
  for (guint32 i = 0; i < 4; i++) {
    Table dimension = vector_table(r, dimensions, i);
    gboolean dense = i < 3;
    if (i32(r, order.at + 4 * i) != (gint32)i || field_u8(r, dimension, 0, 0) != (dense ? 0 : 1) ||
        (dense && field_i32(r, dimension, 1, 0) != tensor->shape[i])) {
      complain(r, "a sparse tensor has a layout that is not supported");
      return;
    }
  }
  Table columns = vector_table(r, dimensions, 3);
  guint32 segments = 0, indices = 0;
  TfliteSparse *sparse = &tensor->sparse;
  *sparse = (TfliteSparse){.used = TRUE, .rows = tensor->shape[0], .columns = tensor->shape[3]};
  sparse->segments = read_index_union(r, columns, 2, TFLITE_MAX_ELEMENTS, &segments);
  sparse->indices = read_index_union(r, columns, 4, TFLITE_MAX_ELEMENTS, &indices);
  if (!r->problem)
    check_rows(r, sparse, segments, indices);
}

static void read_shape(Reader *r, Table table, TfliteTensor *tensor) {
  Vector shape = field_vector(r, table, 0, 4, TFLITE_MAX_RANK);
  tensor->rank = (int)shape.count;
  tensor->elements = 1;
  for (guint32 i = 0; i < shape.count; i++) {
    gint32 side = i32(r, shape.at + 4 * i);
    if (side < 1 || (gsize)side > TFLITE_MAX_ELEMENTS ||
        tensor->elements > TFLITE_MAX_ELEMENTS / (gsize)side) {
      complain(r, "a tensor's shape is beyond the limits");
      return;
    }
    tensor->shape[i] = side;
    tensor->elements *= (gsize)side;
  }
}

static void read_tensor(Reader *r, Table table, Vector buffers, TfliteTensor *tensor) {
  static const gsize bytes_of[] = {[TFLITE_F32] = 4, [TFLITE_F16] = 2, [TFLITE_I32] = 4};
  read_shape(r, table, tensor);
  int type = field_u8(r, table, 1, 0);
  if (type > TFLITE_I32)
    return complain(r, "a tensor has a type that is not supported");
  tensor->type = (TfliteType)type;
  guint32 buffer = (guint32)field_i32(r, table, 2, 0);
  if (buffer >= buffers.count)
    return complain(r, "a tensor refers to a buffer that does not exist");
  Vector data = field_vector(r, vector_table(r, buffers, buffer), 0, 1, TFLITE_MAX_BYTES);
  Table sparsity = field_table(r, table, 6);
  if (r->problem)
    return;
  if (sparsity.at)
    read_sparse(r, sparsity, tensor);
  if (r->problem || (!data.count && !sparsity.at))
    return; /* a tensor without data is computed */
  gsize stored = tensor->sparse.used ? (gsize)tensor->sparse.segments[tensor->sparse.rows] : tensor->elements;
  if (data.count != stored * bytes_of[type])
    return complain(r, "a constant has more or fewer bytes than its shape needs");
  tensor->data = r->data + data.at;
  tensor->bytes = data.count;
}

static int read_operands(Reader *r, Table table, guint index, int tensors, int lowest, int *operands) {
  Vector list = field_vector(r, table, index, 4, TFLITE_MAX_OPERANDS);
  for (guint32 i = 0; i < list.count; i++) {
    operands[i] = i32(r, list.at + 4 * i);
    if (operands[i] < lowest || operands[i] >= tensors)
      complain(r, "an operator refers to a tensor that does not exist");
  }
  return (int)list.count;
}

/* The numbers are the fields' places in the schema's option tables. */
static void read_options(Reader *r, Table table, TfliteOperator *op) {
  Table t = field_table(r, table, 4);
  TfliteOptions *o = &op->options;
  int activation = 0;
  switch (op->code) {
  case TFLITE_CONV_2D:
  case TFLITE_DEPTHWISE_CONV_2D:
    o->same = field_u8(r, t, 0, 0) == 0;
    o->stride_x = field_i32(r, t, 1, 0);
    o->stride_y = field_i32(r, t, 2, 0);
    o->multiplier = op->code == TFLITE_CONV_2D ? 1 : field_i32(r, t, 3, 0);
    activation = field_u8(r, t, op->code == TFLITE_CONV_2D ? 3 : 4, 0);
    o->dilation_x = field_i32(r, t, op->code == TFLITE_CONV_2D ? 4 : 5, 1);
    o->dilation_y = field_i32(r, t, op->code == TFLITE_CONV_2D ? 5 : 6, 1);
    break;
  case TFLITE_AVERAGE_POOL_2D:
  case TFLITE_MAX_POOL_2D:
    o->same = field_u8(r, t, 0, 0) == 0;
    o->stride_x = field_i32(r, t, 1, 0);
    o->stride_y = field_i32(r, t, 2, 0);
    o->window_x = field_i32(r, t, 3, 0);
    o->window_y = field_i32(r, t, 4, 0);
    activation = field_u8(r, t, 5, 0);
    break;
  case TFLITE_ADD:
  case TFLITE_MUL:
  case TFLITE_FULLY_CONNECTED:
    activation = field_u8(r, t, 0, 0);
    break;
  case TFLITE_CONCATENATION:
    o->axis = field_i32(r, t, 0, 0);
    activation = field_u8(r, t, 1, 0);
    break;
  case TFLITE_RESIZE_BILINEAR:
    o->align_corners = field_u8(r, t, 2, 0) != 0;
    o->half_pixel = field_u8(r, t, 3, 0) != 0;
    break;
  case TFLITE_DEPTH_TO_SPACE:
    o->block = field_i32(r, t, 0, 0);
    break;
  case TFLITE_MEAN:
    o->keep_dims = field_u8(r, t, 0, 0) != 0;
    break;
  case TFLITE_STRIDED_SLICE:
    o->begin_mask = field_i32(r, t, 0, 0);
    o->end_mask = field_i32(r, t, 1, 0);
    o->other_masks = field_i32(r, t, 2, 0) | field_i32(r, t, 3, 0) | field_i32(r, t, 4, 0);
    break;
  default:
    break;
  }
  if (activation > ACTIVATION_RELU_6)
    complain(r, "an operator has an activation that is not supported");
  o->activation = (TfliteActivation)activation;
}

static char *read_name(Reader *r, Table table, guint index) {
  Vector text = field_vector(r, table, index, 1, 256);
  if (!text.at)
    return NULL;
  char *name = g_strndup((const char *)r->data + text.at, text.count);
  return g_str_is_ascii(name) ? name : (g_free(name), NULL);
}

static void read_operator(Reader *r, Table table, Vector codes, int tensors, TfliteOperator *op) {
  guint32 index = (guint32)field_i32(r, table, 0, 0);
  if (index >= codes.count)
    return complain(r, "an operator has a code that does not exist");
  Table code = vector_table(r, codes, index);
  int old_code = (gint8)field_u8(r, code, 0, 0);
  int new_code = field_i32(r, code, 3, 0);
  op->code = (TfliteCode)MAX(old_code, new_code);
  op->version = field_i32(r, code, 2, 1);
  if (op->code == TFLITE_CUSTOM)
    op->custom = read_name(r, code, 1);
  op->inputs = read_operands(r, table, 1, tensors, -1, op->input);
  op->outputs = read_operands(r, table, 2, tensors, 0, op->output);
  read_options(r, table, op);
}

static void read_subgraph(Reader *r, Table root, Tflite *model) {
  Vector codes = field_vector(r, root, 1, 4, TFLITE_MAX_OPERATORS);
  Vector subgraphs = field_vector(r, root, 2, 4, 64);
  Vector buffers = field_vector(r, root, 4, 4, 4 * TFLITE_MAX_TENSORS);
  if (!r->problem && subgraphs.count != 1)
    complain(r, "it does not have exactly one subgraph");
  if (r->problem)
    return;
  Table graph = vector_table(r, subgraphs, 0);
  Vector tensors = field_vector(r, graph, 0, 4, TFLITE_MAX_TENSORS);
  Vector operators = field_vector(r, graph, 3, 4, TFLITE_MAX_OPERATORS);
  model->tensor = g_new0(TfliteTensor, MAX(tensors.count, 1));
  for (; !r->problem && model->tensors < (int)tensors.count; model->tensors++)
    read_tensor(r, vector_table(r, tensors, (guint32)model->tensors), buffers,
                &model->tensor[model->tensors]);
  /* A tensor that was only half read may own memory. */
  if (r->problem) {
    model->tensors = (int)tensors.count;
    return;
  }
  model->inputs = read_operands(r, graph, 1, model->tensors, 0, model->input);
  model->outputs = read_operands(r, graph, 2, model->tensors, 0, model->output);
  model->op = g_new0(TfliteOperator, MAX(operators.count, 1));
  model->operators = (int)operators.count;
  for (guint32 i = 0; !r->problem && i < operators.count; i++)
    read_operator(r, vector_table(r, operators, i), codes, model->tensors, &model->op[i]);
}

Tflite *tflite_parse(GBytes *bytes, GError **error) {
  Reader r = {.size = 0};
  r.data = g_bytes_get_data(bytes, &r.size);
  if (r.size < 16 || r.size > TFLITE_MAX_BYTES || memcmp(r.data + 4, "TFL3", 4) != 0)
    return fault_null(error, FAULT_NETWORK, "The network is damaged: it is not a TensorFlow Lite file.");
  g_autoptr(Tflite) model = g_new0(Tflite, 1);
  model->bytes = g_bytes_ref(bytes);
  read_subgraph(&r, table_at(&r, u32(&r, 0)), model);
  if (r.problem)
    return fault_null(error, FAULT_NETWORK, "The network is damaged: %s.", r.problem);
  return g_steal_pointer(&model);
}

void tflite_free(Tflite *model) {
  if (!model)
    return;
  for (int i = 0; model->tensor && i < model->tensors; i++) {
    g_free(model->tensor[i].sparse.segments);
    g_free(model->tensor[i].sparse.indices);
  }
  for (int i = 0; model->op && i < model->operators; i++)
    g_free(model->op[i].custom);
  g_free(model->tensor);
  g_free(model->op);
  g_clear_pointer(&model->bytes, g_bytes_unref);
  g_free(model);
}

const TfliteOperator *tflite_custom(const Tflite *model, const char *name, int n) {
  for (int i = 0; i < model->operators; i++)
    if (model->op[i].custom && strcmp(model->op[i].custom, name) == 0 && n-- == 0)
      return &model->op[i];
  return NULL;
}

gboolean tflite_ints(const TfliteTensor *tensor, int count, gint32 *values) {
  if (tensor->type != TFLITE_I32 || !tensor->data || tensor->elements != (gsize)count || count < 1)
    return FALSE;
  for (int i = 0; i < count; i++) {
    const guint8 *at = tensor->data + 4 * (gsize)i;
    values[i] = (gint32)((guint32)at[0] | (guint32)at[1] << 8 | (guint32)at[2] << 16 | (guint32)at[3] << 24);
  }
  return TRUE;
}
