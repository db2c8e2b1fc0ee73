/* Weights. The names say whose file it is; a handful of tensors give the sizes; from these follows the list
 * of slots, each with the shape that its tensor must have. What the file holds in the wanted form is used
 * where it lies; split q, k, v, swapped halves, half precision and all trainable weights are copied. */
#include "identity/network/transformer_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BLOCKS_MAX 512
#define WIDTH_MAX 65536
#define ALIGNMENT 64

/* --- names --- */

static void add_linear(GArray *slots, Linear *linear, gint64 rows, gint64 cols, char *name, char *diffusers) {
  linear->name = name;
  Slot slot = {.linear = linear,
               .parameter = g_strconcat(name, ".weight", NULL),
               .diffusers = {diffusers},
               .parts = 1,
               .rows = rows,
               .cols = cols};
  g_array_append_val(slots, slot);
}

static void add_scale(GArray *slots, Scale *scale, gint64 length, char *name, char *diffusers) {
  scale->name = name;
  Slot slot = {
      .scale = scale, .parameter = g_strdup(name), .diffusers = {diffusers}, .parts = 1, .rows = length};
  g_array_append_val(slots, slot);
}

static void add_stream(GArray *slots, const TransformerShape *shape, Stream *stream, int block, int which) {
  static const struct {
    const char *bfl, *q, *k, *v, *norm_q, *norm_k, *out, *ff;
  } names[STREAMS] = {
      [TEXT] = {"txt", "add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k", "to_add_out",
                "ff_context"},
      [IMAGE] = {"img", "to_q", "to_k", "to_v", "norm_q", "norm_k", "to_out.0", "ff"},
  };
  const char *bfl = names[which].bfl, *ff = names[which].ff;
  gint64 h = shape->hidden, m = shape->mlp;
#define BFL(rest) g_strdup_printf("double_blocks.%d.%s_" rest, block, bfl)
#define ATTENTION(rest) g_strdup_printf("transformer_blocks.%d.attn.%s", block, rest)
#define FEED(rest) g_strdup_printf("transformer_blocks.%d.%s." rest, block, ff)
  add_linear(slots, &stream->qkv, 3 * h, h, BFL("attn.qkv"), ATTENTION(names[which].q));
  Slot *fused = &g_array_index(slots, Slot, slots->len - 1);
  fused->diffusers[1] = ATTENTION(names[which].k);
  fused->diffusers[2] = ATTENTION(names[which].v);
  fused->parts = 3;
  add_scale(slots, &stream->query, shape->head, BFL("attn.norm.query_norm.scale"),
            ATTENTION(names[which].norm_q));
  add_scale(slots, &stream->key, shape->head, BFL("attn.norm.key_norm.scale"),
            ATTENTION(names[which].norm_k));
  add_linear(slots, &stream->proj, h, h, BFL("attn.proj"), ATTENTION(names[which].out));
  add_linear(slots, &stream->mlp_in, 2 * m, h, BFL("mlp.0"), FEED("linear_in"));
  add_linear(slots, &stream->mlp_out, h, m, BFL("mlp.2"), FEED("linear_out"));
#undef BFL
#undef ATTENTION
#undef FEED
}

static void add_single(GArray *slots, const TransformerShape *shape, SingleBlock *single, int block) {
  gint64 h = shape->hidden, m = shape->mlp;
#define BFL(rest) g_strdup_printf("single_blocks.%d." rest, block)
#define DIFFUSERS(rest) g_strdup_printf("single_transformer_blocks.%d.attn." rest, block)
  add_linear(slots, &single->linear1, 3 * h + 2 * m, h, BFL("linear1"), DIFFUSERS("to_qkv_mlp_proj"));
  add_linear(slots, &single->linear2, h, h + m, BFL("linear2"), DIFFUSERS("to_out"));
  add_scale(slots, &single->query, shape->head, BFL("norm.query_norm.scale"), DIFFUSERS("norm_q"));
  add_scale(slots, &single->key, shape->head, BFL("norm.key_norm.scale"), DIFFUSERS("norm_k"));
#undef BFL
#undef DIFFUSERS
}

static void slot_clear(gpointer data) {
  Slot *slot = data;
  g_free(slot->parameter);
  for (int i = 0; i < 3; i++)
    g_free(slot->diffusers[i]);
}

static GArray *slots_new(Transformer *t) {
  GArray *slots = g_array_new(FALSE, TRUE, sizeof(Slot));
  g_array_set_clear_func(slots, slot_clear);
  const TransformerShape *shape = &t->shape;
  gint64 h = shape->hidden;
#define ADD(layer, rows, cols, name, diffusers)                                                              \
  add_linear(slots, layer, rows, cols, g_strdup(name), g_strdup(diffusers))
#define TIME "time_guidance_embed.timestep_embedder."
  ADD(&t->image_in, h, shape->channels, "img_in", "x_embedder");
  ADD(&t->time_in, h, TIME_WIDTH, "time_in.in_layer", TIME "linear_1");
  ADD(&t->time_out, h, h, "time_in.out_layer", TIME "linear_2");
  ADD(&t->text_in, h, shape->context, "txt_in", "context_embedder");
  for (int i = 0; i < shape->doubles; i++) {
    add_stream(slots, shape, &t->doubles[i].streams[IMAGE], i, IMAGE);
    add_stream(slots, shape, &t->doubles[i].streams[TEXT], i, TEXT);
  }
  for (int i = 0; i < shape->singles; i++)
    add_single(slots, shape, &t->singles[i], i);
  ADD(&t->modulation[IMAGE], 6 * h, h, "double_stream_modulation_img.lin",
      "double_stream_modulation_img.linear");
  ADD(&t->modulation[TEXT], 6 * h, h, "double_stream_modulation_txt.lin",
      "double_stream_modulation_txt.linear");
  ADD(&t->single_modulation, 3 * h, h, "single_stream_modulation.lin", "single_stream_modulation.linear");
  ADD(&t->final, shape->channels, h, "final_layer.linear", "proj_out");
  ADD(&t->final_modulation, 2 * h, h, "final_layer.adaLN_modulation.1", "norm_out.linear");
  g_array_index(slots, Slot, slots->len - 1).swapped = TRUE;
#undef ADD
#undef TIME
  return slots;
}

/* --- sizes --- */

typedef struct {
  Shards *shards;
  const char *prefix; /* before every name */
  gboolean diffusers;
} Source;

static const SafetensorsTensor *source_find(const Source *source, const char *name, const char *ending) {
  g_autofree char *whole = g_strconcat(source->prefix, name, ending, NULL);
  return shards_find(source->shards, whole);
}

static gboolean source_tell(Source *source, GError **error) {
  static const char *const prefixes[] = {"", "model.diffusion_model.", "diffusion_model.", "transformer."};
  for (gsize i = 0; i < G_N_ELEMENTS(prefixes); i++) {
    source->prefix = prefixes[i];
    source->diffusers = source_find(source, "x_embedder.weight", "") != NULL;
    if (source->diffusers || source_find(source, "img_in.weight", ""))
      break;
    if (i + 1 == G_N_ELEMENTS(prefixes))
      return fault(error, FAULT_INPUT,
                   "%s is not a FLUX.2 transformer: it has neither img_in.weight nor x_embedder.weight.",
                   shards_path(source->shards));
  }
  if (source_find(source, "guidance_in.in_layer.weight", "") ||
      source_find(source, "time_guidance_embed.guidance_embedder.linear_1.weight", ""))
    return fault(error, FAULT_INPUT,
                 "%s has a guidance embedding, as FLUX.2 [dev] has; only [klein] and its like are supported.",
                 shards_path(source->shards));
  return TRUE;
}

/* One more than the highest number after this prefix; -1 where that is beyond reason. */
static int count_blocks(const Source *source, const GPtrArray *names, const char *blocks) {
  g_autofree char *prefix = g_strconcat(source->prefix, blocks, NULL);
  gint64 count = 0;
  for (guint i = 0; i < names->len; i++) {
    const char *name = names->pdata[i];
    if (!g_str_has_prefix(name, prefix))
      continue;
    gint64 number = g_ascii_strtoll(name + strlen(prefix), NULL, 10);
    if (number < 0 || number >= BLOCKS_MAX)
      return -1;
    count = MAX(count, number + 1);
  }
  return (int)count;
}

/* Length of axis `axis` of a tensor that tells a size; 0 when it is not there or not of this rank. */
static gint64 extent(const Source *source, const char *bfl, const char *diffusers, int rank, int axis) {
  const SafetensorsTensor *tensor = source_find(source, source->diffusers ? diffusers : bfl, "");
  return tensor && tensor->rank == rank ? tensor->shape[axis] : 0;
}

/* 0 where a size cannot be told. */
static void read_shape(const Source *source, TransformerShape *shape) {
  g_autoptr(GPtrArray) names = shards_names(source->shards);
  gboolean other = source->diffusers;
  shape->doubles = count_blocks(source, names, other ? "transformer_blocks." : "double_blocks.");
  shape->singles = count_blocks(source, names, other ? "single_transformer_blocks." : "single_blocks.");
  shape->hidden = extent(source, "img_in.weight", "x_embedder.weight", 2, 0);
  shape->channels = extent(source, "img_in.weight", "x_embedder.weight", 2, 1);
  shape->context = extent(source, "txt_in.weight", "context_embedder.weight", 2, 1);
  shape->head = extent(source, "double_blocks.0.img_attn.norm.query_norm.scale",
                       "transformer_blocks.0.attn.norm_q.weight", 1, 0);
  if (!shape->head)
    shape->head = extent(source, "single_blocks.0.norm.query_norm.scale",
                         "single_transformer_blocks.0.attn.norm_q.weight", 1, 0);
  shape->mlp =
      extent(source, "double_blocks.0.img_mlp.2.weight", "transformer_blocks.0.ff.linear_out.weight", 2, 1);
  if (!shape->mlp)
    shape->mlp = extent(source, "single_blocks.0.linear2.weight",
                        "single_transformer_blocks.0.attn.to_out.weight", 2, 1) -
                 shape->hidden;
}

/* Whether there can be such a network; completes the shape. */
static gboolean check_shape(TransformerShape *shape, const char *whose, GError **error) {
  const gint64 widths[] = {shape->hidden, shape->channels, shape->context, shape->head, shape->mlp};
  for (gsize i = 0; i < G_N_ELEMENTS(widths); i++)
    if (widths[i] < 1 || widths[i] > WIDTH_MAX)
      return fault(
          error, FAULT_INPUT,
          "%s: the network has a width that is absent or beyond reason; it is damaged or of another kind.",
          whose);
  if (shape->doubles < 0 || shape->doubles > BLOCKS_MAX || shape->singles < 0 ||
      shape->singles > BLOCKS_MAX || shape->doubles + shape->singles < 1 || shape->head % 8 != 0 ||
      shape->hidden % shape->head != 0)
    return fault(error, FAULT_INPUT, "%s: %d blocks of width %d with heads of %d are not FLUX.2.", whose,
                 (int)(shape->doubles + shape->singles), (int)shape->hidden, (int)shape->head);
  shape->heads = shape->hidden / shape->head;
  return TRUE;
}

Transformer *transformer_alloc(const TransformerShape *shape, const char *whose, gboolean trainable,
                               GError **error) {
  TransformerShape checked = *shape;
  if (!check_shape(&checked, whose, error))
    return NULL;
  Transformer *transformer = g_new0(Transformer, 1);
  transformer->shape = checked;
  transformer->trainable = trainable;
  transformer->copies = g_ptr_array_new_with_free_func(g_aligned_free);
  transformer->doubles = g_new0(DoubleBlock, (gsize)shape->doubles);
  transformer->singles = g_new0(SingleBlock, (gsize)shape->singles);
  transformer->slots = slots_new(transformer);
  transformer->shape.parameters = 0;
  for (guint i = 0; i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    transformer->shape.parameters += slot->rows * MAX(slot->cols, 1);
  }
  return transformer;
}

/* --- reading --- */

static gboolean all_finite(const SafetensorsTensor *tensor) {
  gint64 count = safetensors_count(tensor);
  const guint16 *halves = tensor->data;
  const guint32 *words = tensor->data;
  const double *doubles = tensor->data;
  int bad = 0;
#pragma omp parallel for schedule(static) reduction(| : bad) if (count > 1 << 16)
  for (gint64 i = 0; i < count; i++)
    switch (tensor->dtype) {
    case DTYPE_BF16:
      bad |= (halves[i] & 0x7f80) == 0x7f80;
      break;
    case DTYPE_F16:
      bad |= (halves[i] & 0x7c00) == 0x7c00;
      break;
    case DTYPE_F32:
      bad |= (words[i] & 0x7f800000) == 0x7f800000;
      break;
    default:
      bad |= !isfinite(doubles[i]);
    }
  return !bad;
}

static gboolean is_float(Dtype dtype) {
  return dtype == DTYPE_F32 || dtype == DTYPE_BF16 || dtype == DTYPE_F16 || dtype == DTYPE_F64;
}

static const SafetensorsTensor *read_tensor(const Source *source, const char *name, const char *ending,
                                            gint64 rows, gint64 cols, GError **error) {
  const SafetensorsTensor *tensor = source_find(source, name, ending);
  const char *path = shards_path(source->shards);
  if (!tensor)
    return fault_null(error, FAULT_INPUT, "%s has no tensor %s%s%s.", path, source->prefix, name, ending);
  gboolean fits = cols ? tensor->rank == 2 && tensor->shape[0] == rows && tensor->shape[1] == cols
                       : tensor->rank == 1 && tensor->shape[0] == rows;
  if (!fits || !is_float(tensor->dtype))
    return fault_null(error, FAULT_INPUT, "%s: tensor %s%s%s is not [%d, %d] of a floating type.", path,
                      source->prefix, name, ending, (int)rows, (int)MAX(cols, 1));
  if (!all_finite(tensor))
    return fault_null(error, FAULT_INPUT, "%s: tensor %s%s%s has values that are not numbers.", path,
                      source->prefix, name, ending);
  return tensor;
}

gpointer transformer_copy_new(Transformer *transformer, gsize bytes) {
  gpointer memory = g_aligned_alloc0(bytes, 1, ALIGNMENT);
  g_ptr_array_add(transformer->copies, memory);
  return memory;
}

static gboolean read_scale(Transformer *transformer, const Source *source, const Slot *slot, GError **error) {
  const SafetensorsTensor *tensor =
      source->diffusers ? read_tensor(source, slot->diffusers[0], ".weight", slot->rows, 0, error)
                        : read_tensor(source, slot->scale->name, "", slot->rows, 0, error);
  if (!tensor)
    return FALSE;
  slot->scale->value = transformer_copy_new(transformer, sizeof(float) * (gsize)slot->rows);
  safetensors_floats(tensor, slot->scale->value);
  if (transformer->trainable)
    slot->scale->gradient = transformer_copy_new(transformer, sizeof(float) * (gsize)slot->rows);
  return TRUE;
}

/* Copies the parts one below the other, as fp32 or, where all are that, as bf16. */
static void join(Transformer *transformer, const Slot *slot, const SafetensorsTensor *parts[], int count) {
  gboolean narrow = !transformer->trainable;
  for (int i = 0; i < count; i++)
    narrow = narrow && parts[i]->dtype == DTYPE_BF16;
  Weights *weights = &slot->linear->weights;
  weights->dtype = narrow ? DTYPE_BF16 : DTYPE_F32;
  gsize bytes = dtype_bytes(weights->dtype) * (gsize)slot->rows * (gsize)slot->cols,
        part = bytes / (gsize)count;
  guint8 *data = transformer_copy_new(transformer, bytes);
  for (int i = 0; i < count; i++)
    if (narrow)
      memcpy(data + part * (gsize)i, parts[i]->data, part);
    else
      safetensors_floats(parts[i], (float *)(data + part * (gsize)i));
  weights->data = data;
}

static void swap_halves(void *data, gsize bytes) {
  g_autofree guint8 *first = g_memdup2(data, bytes / 2);
  memcpy(data, (guint8 *)data + bytes / 2, bytes / 2);
  memcpy((guint8 *)data + bytes / 2, first, bytes / 2);
}

static gboolean read_linear(Transformer *transformer, const Source *source, const Slot *slot,
                            GError **error) {
  int count = source->diffusers ? slot->parts : 1;
  const SafetensorsTensor *parts[3];
  for (int i = 0; i < count; i++) {
    const char *name = source->diffusers ? slot->diffusers[i] : slot->linear->name;
    parts[i] = read_tensor(source, name, ".weight", slot->rows / count, slot->cols, error);
    if (!parts[i])
      return FALSE;
  }
  gboolean swapped = source->diffusers && slot->swapped,
           usable = parts[0]->dtype == DTYPE_F32 || parts[0]->dtype == DTYPE_BF16;
  Weights *weights = &slot->linear->weights;
  *weights =
      (Weights){.dtype = parts[0]->dtype, .rows = slot->rows, .cols = slot->cols, .data = parts[0]->data};
  if (transformer->trainable || count > 1 || swapped || !usable)
    join(transformer, slot, parts, count);
  gsize bytes = dtype_bytes(weights->dtype) * (gsize)slot->rows * (gsize)slot->cols;
  if (swapped)
    swap_halves((gpointer)weights->data, bytes);
  if (transformer->trainable)
    slot->linear->gradient = transformer_copy_new(transformer, bytes);
  return TRUE;
}

Transformer *transformer_open(const char *path, gboolean trainable, GError **error) {
  g_autoptr(Shards) shards = shards_open(path, error);
  if (!shards)
    return NULL;
  Source source = {.shards = shards};
  TransformerShape shape = {0};
  if (!source_tell(&source, error))
    return NULL;
  read_shape(&source, &shape);
  g_autoptr(Transformer) transformer = transformer_alloc(&shape, path, trainable, error);
  if (!transformer)
    return NULL;
  transformer->shards = g_steal_pointer(&shards);
  for (guint i = 0; i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    if (!(slot->linear ? read_linear : read_scale)(transformer, &source, slot, error))
      return NULL;
  }
  return g_steal_pointer(&transformer);
}

void transformer_free(Transformer *transformer) {
  if (!transformer)
    return;
  for (guint i = 0; i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    g_free(slot->linear ? slot->linear->name : slot->scale->name);
  }
  g_array_unref(transformer->slots);
  g_free(transformer->doubles);
  g_free(transformer->singles);
  g_ptr_array_unref(transformer->copies);
  shards_free(transformer->shards);
  g_free(transformer);
}

const TransformerShape *transformer_shape(const Transformer *transformer) {
  return &transformer->shape;
}

void parameter_clear(gpointer data) {
  g_free(((Parameter *)data)->name);
}

GArray *transformer_parameters(Transformer *transformer) {
  g_assert(transformer->trainable);
  GArray *parameters = g_array_new(FALSE, FALSE, sizeof(Parameter));
  g_array_set_clear_func(parameters, parameter_clear);
  for (guint i = 0; i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    Parameter parameter = {.name = g_strdup(slot->parameter)};
    if (slot->linear) {
      parameter.rows = slot->rows;
      parameter.cols = slot->cols;
      parameter.value = (float *)slot->linear->weights.data;
      parameter.gradient = slot->linear->gradient;
    } else {
      parameter.rows = 1;
      parameter.cols = slot->rows;
      parameter.value = slot->scale->value;
      parameter.gradient = slot->scale->gradient;
    }
    g_array_append_val(parameters, parameter);
  }
  return parameters;
}
