/* A rig as a file of named arrays. What belongs to the whole is under rig. and figure.; layer N of the
 * drawing order under layer.N. A file is input like any other: every number that later serves as an index or
 * a size is checked here, once. */
#include "puppet/rig/mesh.h"
#include "puppet/rig/rig.h"
#include "tensor/safetensors.h"
#include <math.h>
#include <string.h>

#define FORMAT "troupe rig 2"
#define FORMAT_WITH_BACKS "troupe rig 1" /* had a second, unused number for each layer */
#define VERTICES_MAX 1000000
#define TRIANGLES_MAX 2000000
#define FAR 1e6f /* no coordinate is further from the picture, in pixels */

enum { FLAG_DRAWING, FLAG_DRAWN, FLAG_SKIRT, FLAG_LEFT_HIDDEN, FLAG_RIGHT_HIDDEN, FLAGS };
enum { EXTENT_TOP, EXTENT_BOTTOM, EXTENT_LEFT, EXTENT_RIGHT, EXTENT_HEIGHT, EXTENTS };

/* --- saving --- */

static void add(SafetensorsWriter *writer, int layer, const char *name, Dtype dtype, gint64 rows,
                gint64 columns, gint64 depth, const void *data) {
  g_autofree char *full = layer < 0 ? g_strdup(name) : g_strdup_printf("layer.%d.%s", layer, name);
  safetensors_add(writer, full, dtype, (gint64[]){rows, columns, depth}, depth ? 3 : columns ? 2 : 1, data);
}

gboolean rig_save(const Rig *rig, const char *path, GError **error) {
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  gint32 size[2] = {rig->width, rig->height};
  guint8 flags[FLAGS] = {[FLAG_DRAWING] = rig->figure.source == FIGURE_FROM_SILHOUETTE,
                         [FLAG_DRAWN] = rig->drawn != 0,
                         [FLAG_SKIRT] = rig->skirt != 0,
                         [FLAG_LEFT_HIDDEN] = rig->hand_hidden[0] != 0,
                         [FLAG_RIGHT_HIDDEN] = rig->hand_hidden[1] != 0};
  float extent[EXTENTS] = {rig->top, rig->bottom, rig->left, rig->right, rig->figure.height};
  guint8 given[JOINTS], kinds[LAYERS] = {0};
  if (!rig->layers->len || rig->layers->len > LAYERS)
    return fault(error, FAULT_INTERNAL, "The rig has %u layers.", rig->layers->len);
  for (int j = 0; j < JOINTS; j++)
    given[j] = rig->figure.given[j] != 0;
  safetensors_set_metadata(writer, "format", FORMAT);
  add(writer, -1, "rig.size", DTYPE_I32, 2, 0, 0, size);
  add(writer, -1, "rig.flags", DTYPE_U8, FLAGS, 0, 0, flags);
  add(writer, -1, "rig.extent", DTYPE_F32, EXTENTS, 0, 0, extent);
  add(writer, -1, "rig.radius", DTYPE_F32, BONES, 0, 0, rig->radius);
  add(writer, -1, "rig.layers", DTYPE_U8, rig->layers->len, 0, 0, kinds);
  add(writer, -1, "figure.joint", DTYPE_F32, JOINTS, 2, 0, rig->figure.joint);
  add(writer, -1, "figure.visibility", DTYPE_F32, JOINTS, 0, 0, rig->figure.visibility);
  add(writer, -1, "figure.given", DTYPE_U8, JOINTS, 0, 0, given);
  for (int i = 0; i < (int)rig->layers->len; i++) {
    const Layer *layer = g_ptr_array_index(rig->layers, i);
    kinds[i] = (guint8)layer->kind;
    add(writer, i, "rest", DTYPE_F32, layer->vertices, 3, 0, layer->rest);
    add(writer, i, "uv", DTYPE_F32, layer->vertices, 2, 0, layer->uv);
    add(writer, i, "bone", DTYPE_U8, layer->vertices, 4, 0, layer->bone);
    add(writer, i, "weight", DTYPE_F32, layer->vertices, 4, 0, layer->weight);
    add(writer, i, "triangle", DTYPE_U32, layer->triangles, 3, 0, layer->triangle);
    add(writer, i, "part", DTYPE_U8, layer->triangles, 0, 0, layer->part);
    add(writer, i, "texture", DTYPE_U8, layer->texture->height, layer->texture->width, 4,
        layer->texture->pixels);
  }
  return safetensors_write(writer, path, error);
}

/* --- loading --- */

static gboolean damaged(GError **error, const char *what) {
  return fault(error, FAULT_INPUT, "The rig is damaged: %s. Make the character again from its picture.",
               what);
}

/* Copies one array of exactly the given shape. */
static gboolean take(const Safetensors *file, const char *name, Dtype dtype, gint64 rows, gint64 columns,
                     void *to, GError **error) {
  gint64 shape[2] = {rows, columns};
  const void *data = safetensors_get(file, name, dtype, shape, columns ? 2 : 1, error);
  if (!data)
    return FALSE;
  memcpy(to, data, (gsize)rows * (gsize)MAX(1, columns) * dtype_bytes(dtype));
  return TRUE;
}

static gboolean all_near(const float *v, gsize n, float low, float high) {
  for (gsize i = 0; i < n; i++)
    if (!(v[i] >= low && v[i] <= high)) /* not a number fails as well */
      return FALSE;
  return TRUE;
}

static gboolean all_below(const guint8 *v, gsize n, guint8 limit) {
  for (gsize i = 0; i < n; i++)
    if (v[i] >= limit)
      return FALSE;
  return TRUE;
}

static gboolean load_whole(const Safetensors *file, Rig *rig, GError **error) {
  gint32 size[2];
  guint8 flags[FLAGS], given[JOINTS];
  float extent[EXTENTS];
  const char *format = safetensors_metadata(file, "format");
  if (!format || !(g_str_equal(format, FORMAT) || g_str_equal(format, FORMAT_WITH_BACKS)))
    return damaged(error, "it is not in this program's format");
  if (!take(file, "rig.size", DTYPE_I32, 2, 0, size, error) ||
      !take(file, "rig.flags", DTYPE_U8, FLAGS, 0, flags, error) ||
      !take(file, "rig.extent", DTYPE_F32, EXTENTS, 0, extent, error) ||
      !take(file, "rig.radius", DTYPE_F32, BONES, 0, rig->radius, error) ||
      !take(file, "figure.joint", DTYPE_F32, JOINTS, 2, rig->figure.joint, error) ||
      !take(file, "figure.visibility", DTYPE_F32, JOINTS, 0, rig->figure.visibility, error) ||
      !take(file, "figure.given", DTYPE_U8, JOINTS, 0, given, error))
    return FALSE;
  if (size[0] < 1 || size[1] < 1 || (gint64)size[0] * size[1] > IMAGE_MAX_PIXELS)
    return damaged(error, "the picture's size is impossible");
  if (!all_near(extent, EXTENTS, -FAR, FAR) || !(extent[EXTENT_HEIGHT] > 0) ||
      extent[EXTENT_RIGHT] <= extent[EXTENT_LEFT] || extent[EXTENT_BOTTOM] <= extent[EXTENT_TOP])
    return damaged(error, "the figure's extent is impossible");
  if (!all_near(rig->radius, BONES, 0, FAR) || !all_near(&rig->figure.joint[0][0], 2 * JOINTS, -FAR, FAR) ||
      !all_near(rig->figure.visibility, JOINTS, 0, 1))
    return damaged(error, "a joint is not a place");
  if (!all_below(flags, FLAGS, 2) || !all_below(given, JOINTS, 2))
    return damaged(error, "a switch is neither on nor off");
  rig->width = size[0];
  rig->height = size[1];
  rig->figure.source = flags[FLAG_DRAWING] ? FIGURE_FROM_SILHOUETTE : FIGURE_FROM_POSE;
  rig->drawn = flags[FLAG_DRAWN];
  rig->skirt = flags[FLAG_SKIRT];
  rig->hand_hidden[0] = flags[FLAG_LEFT_HIDDEN];
  rig->hand_hidden[1] = flags[FLAG_RIGHT_HIDDEN];
  rig->top = extent[EXTENT_TOP];
  rig->bottom = extent[EXTENT_BOTTOM];
  rig->left = extent[EXTENT_LEFT];
  rig->right = extent[EXTENT_RIGHT];
  rig->figure.height = extent[EXTENT_HEIGHT];
  for (int j = 0; j < JOINTS; j++)
    rig->figure.given[j] = given[j];
  return TRUE;
}

/* An array of a layer whose first size may be anything in 1..limit; *rows receives it, or must match when it
 * is not 0. */
static const void *layer_array(const Safetensors *file, int index, const char *name, Dtype dtype, int columns,
                               int limit, int *rows, GError **error) {
  g_autofree char *full = g_strdup_printf("layer.%d.%s", index, name);
  gint64 shape[2] = {*rows ? *rows : -1, columns};
  const void *data = safetensors_get(file, full, dtype, shape, columns ? 2 : 1, error);
  if (!data)
    return NULL;
  if (shape[0] < 1 || shape[0] > limit) {
    damaged(error, "a mesh is empty or too large");
    return NULL;
  }
  *rows = (int)shape[0];
  return data;
}

static gboolean check_layer(const Layer *layer, GError **error) {
  gsize vertices = (gsize)layer->vertices, triangles = (gsize)layer->triangles;
  if (!all_near(&layer->rest[0][0], 3 * vertices, -FAR, FAR) ||
      !all_near(&layer->uv[0][0], 2 * vertices, -FAR, FAR))
    return damaged(error, "a vertex is not at a place");
  if (!all_below(&layer->bone[0][0], 4 * vertices, BONES) || !all_below(layer->part, triangles, LAYERS))
    return damaged(error, "it names a bone or a part that there is not");
  if (!all_near(&layer->weight[0][0], 4 * vertices, 0, 1))
    return damaged(error, "a weight is not between 0 and 1");
  for (gsize v = 0; v < vertices; v++)
    if (fabsf(layer->weight[v][0] + layer->weight[v][1] + layer->weight[v][2] + layer->weight[v][3] - 1) >
        1e-3f)
      return damaged(error, "weights do not add up to 1");
  for (gsize t = 0; t < triangles; t++)
    for (int k = 0; k < 3; k++)
      if (layer->triangle[t][k] >= vertices)
        return damaged(error, "a triangle has a corner that there is not");
  return TRUE;
}

static gboolean load_texture(const Safetensors *file, int index, Layer *layer, GError **error) {
  g_autofree char *name = g_strdup_printf("layer.%d.texture", index);
  gint64 shape[3] = {-1, -1, 4};
  const void *pixels = safetensors_get(file, name, DTYPE_U8, shape, 3, error);
  if (!pixels)
    return FALSE;
  if (shape[0] < 1 || shape[1] < 1 || shape[0] > IMAGE_MAX_PIXELS || shape[1] > IMAGE_MAX_PIXELS / shape[0])
    return damaged(error, "a texture is empty or too large");
  layer->texture = image_new((int)shape[1], (int)shape[0], 4);
  memcpy(layer->texture->pixels, pixels, (gsize)shape[0] * (gsize)shape[1] * 4);
  return TRUE;
}

static Layer *load_layer(const Safetensors *file, int index, LayerKind kind, GError **error) {
  int vertices = 0, triangles = 0;
  const void *rest, *uv, *bone, *weight, *triangle, *part;
  if (!(rest = layer_array(file, index, "rest", DTYPE_F32, 3, VERTICES_MAX, &vertices, error)) ||
      !(uv = layer_array(file, index, "uv", DTYPE_F32, 2, VERTICES_MAX, &vertices, error)) ||
      !(bone = layer_array(file, index, "bone", DTYPE_U8, 4, VERTICES_MAX, &vertices, error)) ||
      !(weight = layer_array(file, index, "weight", DTYPE_F32, 4, VERTICES_MAX, &vertices, error)) ||
      !(triangle = layer_array(file, index, "triangle", DTYPE_U32, 3, TRIANGLES_MAX, &triangles, error)) ||
      !(part = layer_array(file, index, "part", DTYPE_U8, 0, TRIANGLES_MAX, &triangles, error)))
    return NULL;
  g_autoptr(Layer) layer = g_new0(Layer, 1);
  *layer = (Layer){.kind = kind,
                   .vertices = vertices,
                   .triangles = triangles,
                   .rest = g_memdup2(rest, sizeof(float[3]) * (gsize)vertices),
                   .uv = g_memdup2(uv, sizeof(float[2]) * (gsize)vertices),
                   .bone = g_memdup2(bone, 4 * (gsize)vertices),
                   .weight = g_memdup2(weight, sizeof(float[4]) * (gsize)vertices),
                   .triangle = g_memdup2(triangle, sizeof(guint32[3]) * (gsize)triangles),
                   .part = g_memdup2(part, (gsize)triangles)};
  if (!check_layer(layer, error) || !load_texture(file, index, layer, error))
    return NULL;
  return g_steal_pointer(&layer);
}

Rig *rig_load(const char *path, GError **error) {
  g_autoptr(Safetensors) file = safetensors_open(path, error);
  if (!file)
    return NULL;
  g_autoptr(Rig) rig = g_new0(Rig, 1);
  rig->layers = g_ptr_array_new_with_free_func((GDestroyNotify)layer_free);
  if (!load_whole(file, rig, error))
    return NULL;
  int wide = g_str_equal(safetensors_metadata(file, "format"), FORMAT_WITH_BACKS) ? 2 : 1;
  gint64 shape[2] = {-1, wide};
  const guint8 *kinds = safetensors_get(file, "rig.layers", DTYPE_U8, shape, wide, error);
  if (!kinds)
    return NULL;
  if (shape[0] < 1 || shape[0] > LAYERS)
    return damaged(error, "it has no layers or too many"), NULL;
  for (int i = 0; i < (int)shape[0]; i++) {
    if (kinds[wide * i] >= LAYERS)
      return damaged(error, "a layer is of no known kind"), NULL;
    Layer *layer = load_layer(file, i, (LayerKind)kinds[wide * i], error);
    if (!layer)
      return NULL;
    g_ptr_array_add(rig->layers, layer);
  }
  return g_steal_pointer(&rig);
}
