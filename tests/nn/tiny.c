#include "tiny.h"
#include <math.h>
#include <string.h>

/* --- FlatBuffers, written top down: every table has room for its fields, four bytes each, and is linked
 * afterwards --- */

typedef GByteArray Flat;

static void put(Flat *flat, gsize at, guint32 value, int bytes) {
  for (int i = 0; i < bytes; i++)
    flat->data[at + (gsize)i] = (guint8)(value >> (8 * i));
}

static gsize room(Flat *flat, gsize bytes) {
  gsize at = flat->len;
  g_byte_array_set_size(flat, (guint)(at + bytes));
  memset(flat->data + at, 0, bytes);
  return at;
}

static gsize table(Flat *flat, int fields) {
  gsize vtable = room(flat, 4 + 2 * (gsize)fields), at = room(flat, 4 + 4 * (gsize)fields);
  put(flat, vtable, (guint32)(4 + 2 * fields), 2);
  put(flat, vtable + 2, (guint32)(4 + 4 * fields), 2);
  put(flat, at, (guint32)(at - vtable), 4);
  return at;
}

static gsize slot(Flat *flat, gsize at, int field) {
  guint32 back = flat->data[at] | (guint32)flat->data[at + 1] << 8 | (guint32)flat->data[at + 2] << 16;
  put(flat, at - back + 4 + 2 * (gsize)field, (guint32)(4 + 4 * field), 2);
  return at + 4 + 4 * (gsize)field;
}

static void set(Flat *flat, gsize at, int field, gint32 value) {
  put(flat, slot(flat, at, field), (guint32)value, 4);
}

static void link_to(Flat *flat, gsize at, int field, gsize target) {
  gsize from = slot(flat, at, field);
  put(flat, from, (guint32)(target - from), 4);
}

static gsize vector(Flat *flat, guint32 count, gsize bytes, const void *data) {
  gsize at = room(flat, 4 + count * bytes);
  put(flat, at, count, 4);
  if (data)
    memcpy(flat->data + at + 4, data, count * bytes);
  return at;
}

static void link_element(Flat *flat, gsize vec, int index, gsize target) {
  gsize from = vec + 4 + 4 * (gsize)index;
  put(flat, from, (guint32)(target - from), 4);
}

/* --- the network --- */

enum {
  INPUT,
  PADS,
  PADDED,
  W1_HALF,
  W1,
  B1_HALF,
  B1,
  CONV1,
  W2,
  B2,
  DEPTHWISE,
  SUM,
  SLOPES,
  PRELU,
  W3_SPARSE,
  W3_HALF,
  W3,
  HEAD,
  HEAD_FLAT,
  POOL,
  POOL_FLAT,
  OUTPUT,
  TENSORS
};

typedef struct {
  int type, rank, shape[4];
} Form;

static const Form forms[TENSORS] = {
    [INPUT] = {0, 4, {1, 6, 6, 3}},
    [PADS] = {2, 2, {4, 2}},
    [PADDED] = {0, 4, {1, 8, 8, 3}},
    [W1_HALF] = {1, 4, {4, 3, 3, 3}},
    [W1] = {0, 4, {4, 3, 3, 3}},
    [B1_HALF] = {1, 1, {4}},
    [B1] = {0, 1, {4}},
    [CONV1] = {0, 4, {1, 3, 3, 4}},
    [W2] = {0, 4, {1, 3, 3, 4}},
    [B2] = {0, 1, {4}},
    [DEPTHWISE] = {0, 4, {1, 3, 3, 4}},
    [SUM] = {0, 4, {1, 3, 3, 4}},
    [SLOPES] = {0, 3, {1, 1, 4}},
    [PRELU] = {0, 4, {1, 3, 3, 4}},
    [W3_SPARSE] = {1, 4, {5, 1, 1, 4}},
    [W3_HALF] = {1, 4, {5, 1, 1, 4}},
    [W3] = {0, 4, {5, 1, 1, 4}},
    [HEAD] = {0, 4, {1, 3, 3, 5}},
    [HEAD_FLAT] = {0, 3, {1, 9, 5}},
    [POOL] = {0, 4, {1, 2, 2, 5}},
    [POOL_FLAT] = {0, 3, {1, 4, 5}},
    [OUTPUT] = {0, 3, {1, 13, 5}},
};

/* Weights are multiples of 1/8 below 2, which half precision holds exactly. */
static float weight(int tensor, int index) {
  return (float)((index * 7 + tensor * 5) % 29 - 14) / 8;
}

static guint16 half(float value) {
  guint32 bits;
  memcpy(&bits, &value, sizeof bits);
  return value == 0
             ? 0
             : (guint16)((bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) | (bits >> 13 & 1023));
}

/* Row r of the sparse weights has its values in the columns r % 4 and, for even rows, 3. */
static const guint8 segments[6] = {0, 2, 3, 5, 6, 8};
static const guint16 columns[8] = {0, 3, 1, 2, 3, 3, 0, 3};
static const float sparse_values[8] = {0.5f, -1, 1.5f, 0.25f, 2, -0.75f, 1, 0.125f};

static gsize write_sparsity(Flat *flat) {
  gsize sparsity = table(flat, 3);
  const gint32 order[4] = {0, 1, 2, 3};
  link_to(flat, sparsity, 0, vector(flat, 4, 4, order));
  gsize list = vector(flat, 4, 4, NULL);
  link_to(flat, sparsity, 2, list);
  for (int i = 0; i < 4; i++) {
    gsize dimension = table(flat, 6);
    link_element(flat, list, i, dimension);
    set(flat, dimension, 0, i == 3);
    if (i < 3)
      set(flat, dimension, 1, forms[W3_SPARSE].shape[i]);
    if (i < 3)
      continue;
    set(flat, dimension, 2, 3); /* uint8 */
    gsize rows = table(flat, 1);
    link_to(flat, dimension, 3, rows);
    link_to(flat, rows, 0, vector(flat, 6, 1, segments));
    set(flat, dimension, 4, 2); /* uint16 */
    gsize places = table(flat, 1);
    link_to(flat, dimension, 5, places);
    link_to(flat, places, 0, vector(flat, 8, 2, columns));
  }
  return sparsity;
}

static int count_of(int tensor) {
  int count = 1;
  for (int i = 0; i < forms[tensor].rank; i++)
    count *= forms[tensor].shape[i];
  return count;
}

static gsize write_buffer(Flat *flat, int tensor) {
  gsize buffer = table(flat, 1);
  guint8 data[512];
  gsize bytes = 0;
  const gint32 pads[8] = {0, 0, 1, 1, 1, 1, 0, 0};
  if (tensor == PADS) {
    memcpy(data, pads, bytes = sizeof pads);
  } else if (tensor == W3_SPARSE) {
    for (int i = 0; i < 8; i++, bytes += 2)
      memcpy(data + bytes, &(guint16){half(sparse_values[i])}, 2);
  } else if (tensor == W1_HALF || tensor == B1_HALF) {
    for (int i = 0; i < count_of(tensor); i++, bytes += 2)
      memcpy(data + bytes, &(guint16){half(weight(tensor, i))}, 2);
  } else if (tensor == W2 || tensor == B2 || tensor == SLOPES) {
    for (int i = 0; i < count_of(tensor); i++, bytes += 4)
      memcpy(data + bytes, &(float){weight(tensor, i)}, 4);
  }
  if (bytes)
    link_to(flat, buffer, 0, vector(flat, (guint32)bytes, 1, data));
  return buffer;
}

typedef struct {
  int code, inputs[3], output;
  int fields, option[8]; /* of the options table, -1 where left out */
} Node;

static const Node nodes[] = {
    {34, {INPUT, PADS, -1}, PADDED, 0, {0}},
    {6, {W1_HALF, -1, -1}, W1, 0, {0}},
    {6, {B1_HALF, -1, -1}, B1, 0, {0}},
    {3, {PADDED, W1, B1}, CONV1, 6, {1, 2, 2, 3, -1, -1}},
    {4, {CONV1, W2, B2}, DEPTHWISE, 7, {0, 1, 1, 1, 0, -1, -1}},
    {0, {CONV1, DEPTHWISE, -1}, SUM, 1, {0}},
    {54, {SUM, SLOPES, -1}, PRELU, 0, {0}},
    {124, {W3_SPARSE, -1, -1}, W3_HALF, 0, {0}},
    {6, {W3_HALF, -1, -1}, W3, 0, {0}},
    {3, {PRELU, W3, -1}, HEAD, 6, {0, 1, 1, 0, -1, -1}},
    {22, {HEAD, -1, -1}, HEAD_FLAT, 0, {0}},
    {17, {HEAD, -1, -1}, POOL, 6, {1, 1, 1, 2, 2, 0}},
    {22, {POOL, -1, -1}, POOL_FLAT, 0, {0}},
    {2, {HEAD_FLAT, POOL_FLAT, -1}, OUTPUT, 1, {1}},
};

static gsize write_operator(Flat *flat, int index) {
  const Node *node = &nodes[index];
  int inputs = node->inputs[1] < 0 ? 1 : node->inputs[2] < 0 ? 2 : 3;
  gsize op = table(flat, 6);
  set(flat, op, 0, index); /* one code for each operator */
  link_to(flat, op, 1, vector(flat, (guint32)inputs, 4, node->inputs));
  link_to(flat, op, 2, vector(flat, 1, 4, &node->output));
  if (node->fields) {
    gsize options = table(flat, node->fields);
    link_to(flat, op, 4, options);
    for (int i = 0; i < node->fields; i++)
      if (node->option[i] >= 0)
        set(flat, options, i, node->option[i]);
  }
  return op;
}

static gsize write_subgraph(Flat *flat) {
  gsize graph = table(flat, 4);
  gsize tensors = vector(flat, TENSORS, 4, NULL), ops = vector(flat, G_N_ELEMENTS(nodes), 4, NULL);
  link_to(flat, graph, 0, tensors);
  link_to(flat, graph, 3, ops);
  link_to(flat, graph, 1, vector(flat, 1, 4, &(gint32){INPUT}));
  link_to(flat, graph, 2, vector(flat, 1, 4, &(gint32){OUTPUT}));
  for (int i = 0; i < TENSORS; i++) {
    gsize tensor = table(flat, 7);
    link_element(flat, tensors, i, tensor);
    link_to(flat, tensor, 0, vector(flat, (guint32)forms[i].rank, 4, forms[i].shape));
    set(flat, tensor, 1, forms[i].type);
    set(flat, tensor, 2, i);
    if (i == W3_SPARSE)
      link_to(flat, tensor, 6, write_sparsity(flat));
  }
  for (gsize i = 0; i < G_N_ELEMENTS(nodes); i++)
    link_element(flat, ops, (int)i, write_operator(flat, (int)i));
  return graph;
}

GBytes *tiny_model(void) {
  Flat *flat = g_byte_array_new();
  room(flat, 8);
  memcpy(flat->data + 4, "TFL3", 4);
  gsize model = table(flat, 5);
  put(flat, 0, (guint32)model, 4);
  gsize codes = vector(flat, G_N_ELEMENTS(nodes), 4, NULL), graphs = vector(flat, 1, 4, NULL);
  gsize buffers = vector(flat, TENSORS, 4, NULL);
  link_to(flat, model, 1, codes);
  link_to(flat, model, 2, graphs);
  link_to(flat, model, 4, buffers);
  for (gsize i = 0; i < G_N_ELEMENTS(nodes); i++) {
    gsize code = table(flat, 4);
    link_element(flat, codes, (int)i, code);
    set(flat, code, 3, nodes[i].code);
  }
  link_element(flat, graphs, 0, write_subgraph(flat));
  for (int i = 0; i < TENSORS; i++)
    link_element(flat, buffers, i, write_buffer(flat, i));
  return g_byte_array_free_to_bytes(flat);
}

/* --- the same by the definitions --- */

static float at(const float *map, int size, int channels, int y, int x, int c) {
  return y < 0 || x < 0 || y >= size || x >= size ? 0 : map[(y * size + x) * channels + c];
}

static void reference_trunk(const float *input, float sum[36]) {
  float conv[36];
  for (int y = 0; y < 3; y++)
    for (int x = 0; x < 3; x++)
      for (int o = 0; o < 4; o++) {
        float v = weight(B1_HALF, o);
        for (int k = 0; k < 27; k++)
          v += weight(W1_HALF, o * 27 + k) * at(input, 6, 3, 2 * y + k / 9 - 1, 2 * x + k / 3 % 3 - 1, k % 3);
        conv[(y * 3 + x) * 4 + o] = CLAMP(v, 0, 6);
      }
  for (int y = 0; y < 3; y++)
    for (int x = 0; x < 3; x++)
      for (int c = 0; c < 4; c++) {
        float v = weight(B2, c);
        for (int k = 0; k < 9; k++)
          v += weight(W2, k * 4 + c) * at(conv, 3, 4, y + k / 3 - 1, x + k % 3 - 1, c);
        v += conv[(y * 3 + x) * 4 + c];
        sum[(y * 3 + x) * 4 + c] = v < 0 ? v * weight(SLOPES, c) : v;
      }
}

void tiny_reference(const float *input, float *output) {
  float trunk[36];
  reference_trunk(input, trunk);
  for (int p = 0; p < 9; p++)
    for (int o = 0; o < 5; o++) {
      output[p * 5 + o] = 0;
      for (int k = segments[o]; k < segments[o + 1]; k++)
        output[p * 5 + o] += sparse_values[k] * trunk[p * 4 + columns[k]];
    }
  for (int y = 0; y < 2; y++)
    for (int x = 0; x < 2; x++)
      for (int o = 0; o < 5; o++) {
        float most = -INFINITY;
        for (int k = 0; k < 4; k++)
          most = MAX(most, output[((y + k / 2) * 3 + x + k % 2) * 5 + o]);
        output[(9 + y * 2 + x) * 5 + o] = most;
      }
}
