/* The way from cutout to rig: parts (which pixel is what), layers (pictures of the parts, hidden places
 * painted), a mesh with relief and weights for each. A drawing skips all that: one flat mesh whose weights
 * come from geodesic distances, because ink lines must not be cut. */
#include "puppet/rig/rig.h"
#include "puppet/rig/drawn_hand.h"
#include "puppet/rig/layers.h"
#include "puppet/rig/mesh.h"
#include "puppet/rig/parts.h"
#include "puppet/rig/relief.h"
#include "puppet/rig/segment.h"
#include "puppet/rig/weights.h"
#include <math.h>

#define STEP 0.007f /* of H between vertices */

const guint8 bone_joints[BONES][2] = {
    [BONE_PELVIS] = {JOINT_HIP, JOINT_WAIST},
    [BONE_CHEST] = {JOINT_WAIST, JOINT_NECK},
    [BONE_HEAD] = {JOINT_NECK, JOINT_HEAD},
    [BONE_LEFT_UPPER_ARM] = {JOINT_LEFT_SHOULDER, JOINT_LEFT_ELBOW},
    [BONE_RIGHT_UPPER_ARM] = {JOINT_RIGHT_SHOULDER, JOINT_RIGHT_ELBOW},
    [BONE_LEFT_FOREARM] = {JOINT_LEFT_ELBOW, JOINT_LEFT_WRIST},
    [BONE_RIGHT_FOREARM] = {JOINT_RIGHT_ELBOW, JOINT_RIGHT_WRIST},
    [BONE_LEFT_HAND] = {JOINT_LEFT_WRIST, JOINT_LEFT_HAND},
    [BONE_RIGHT_HAND] = {JOINT_RIGHT_WRIST, JOINT_RIGHT_HAND},
    [BONE_LEFT_THIGH] = {JOINT_LEFT_HIP, JOINT_LEFT_KNEE},
    [BONE_RIGHT_THIGH] = {JOINT_RIGHT_HIP, JOINT_RIGHT_KNEE},
    [BONE_LEFT_SHIN] = {JOINT_LEFT_KNEE, JOINT_LEFT_ANKLE},
    [BONE_RIGHT_SHIN] = {JOINT_RIGHT_KNEE, JOINT_RIGHT_ANKLE},
    [BONE_LEFT_FOOT] = {JOINT_LEFT_ANKLE, JOINT_LEFT_TOE},
    [BONE_RIGHT_FOOT] = {JOINT_RIGHT_ANKLE, JOINT_RIGHT_TOE},
};

const gint8 bone_parent[BONES] = {
    [BONE_PELVIS] = -1,
    [BONE_CHEST] = BONE_PELVIS,
    [BONE_HEAD] = BONE_CHEST,
    [BONE_LEFT_UPPER_ARM] = BONE_CHEST,
    [BONE_RIGHT_UPPER_ARM] = BONE_CHEST,
    [BONE_LEFT_FOREARM] = BONE_LEFT_UPPER_ARM,
    [BONE_RIGHT_FOREARM] = BONE_RIGHT_UPPER_ARM,
    [BONE_LEFT_HAND] = BONE_LEFT_FOREARM,
    [BONE_RIGHT_HAND] = BONE_RIGHT_FOREARM,
    [BONE_LEFT_THIGH] = BONE_PELVIS,
    [BONE_RIGHT_THIGH] = BONE_PELVIS,
    [BONE_LEFT_SHIN] = BONE_LEFT_THIGH,
    [BONE_RIGHT_SHIN] = BONE_RIGHT_THIGH,
    [BONE_LEFT_FOOT] = BONE_LEFT_SHIN,
    [BONE_RIGHT_FOOT] = BONE_RIGHT_SHIN,
};

void rig_free(Rig *rig) {
  if (!rig)
    return;
  if (rig->layers)
    g_ptr_array_unref(rig->layers);
  g_free(rig);
}

static Rig *rig_new(const Image *cutout, const Figure *figure) {
  Rig *rig = g_new0(Rig, 1);
  rig->width = cutout->width;
  rig->height = cutout->height;
  rig->figure = *figure;
  rig->layers = g_ptr_array_new_with_free_func((GDestroyNotify)layer_free);
  return rig;
}

static void measure_extent(Rig *rig, const Image *cutout) {
  rig->left = rig->top = G_MAXFLOAT;
  for (int y = 0; y < cutout->height; y++)
    for (int x = 0; x < cutout->width; x++)
      if (image_at(cutout, x, y)[3] >= 128) {
        rig->left = MIN(rig->left, (float)x);
        rig->top = MIN(rig->top, (float)y);
        rig->right = MAX(rig->right, (float)(x + 1));
        rig->bottom = (float)(y + 1);
      }
}

/* --- drawings --- */

static Image *premultiplied_crop(const Image *cutout, int x0, int y0, int x1, int y1) {
  Image *crop = image_crop(cutout, x0, y0, x1 - x0, y1 - y0);
  for (int i = 0; i < crop->width * crop->height; i++) {
    guint8 *p = crop->pixels + 4 * (gsize)i;
    for (int c = 0; c < 3; c++)
      p[c] = (guint8)((p[c] * p[3] + 127) / 255);
  }
  return crop;
}

static void build_whole(Rig *rig, const Image *cutout) {
  Grid *made = NULL;
  int margin = 4;
  int x0 = MAX(0, (int)rig->left - margin), y0 = MAX(0, (int)rig->top - margin);
  int x1 = MIN(cutout->width, (int)rig->right + margin), y1 = MIN(cutout->height, (int)rig->bottom + margin);
  float step = MAX(2, STEP * rig->figure.height);
  Layer *layer = mesh_grid(LAYER_WHOLE, premultiplied_crop(cutout, x0, y0, x1, y1), x0, y0, step, &made);
  g_autoptr(Grid) grid = made;
  weights_of_whole(layer, grid, rig);
  g_ptr_array_add(rig->layers, layer);
}

/* --- figures in parts --- */

static float relief_limit(LayerKind kind) {
  return kind == LAYER_BODY ? 0.085f : kind == LAYER_HEAD ? 0.075f : kind >= LAYER_LEFT_HAND ? 0.012f : 0.06f;
}

static void add_layer(Rig *rig, LayerKind kind, Image *texture, int left, int top, float hem) {
  Grid *made = NULL;
  Layer *layer = mesh_grid(kind, texture, left, top, MAX(2, STEP * rig->figure.height), &made);
  g_autoptr(Grid) grid = made;
  if (!layer->triangles) {
    layer_free(layer);
    return;
  }
  relief_inflate(layer, grid, relief_limit(kind) * rig->figure.height);
  weights_of_part(layer, rig, hem);
  g_ptr_array_add(rig->layers, layer);
}

/* Median of the brighter half of the skin between nose and ears. */
static gboolean skin_colour(const Parts *parts, float skin[3]) {
  float centre[2], length;
  const float *nose = parts->figure.joint[JOINT_HEAD];
  parts_head(parts, centre, &length);
  point_mix(nose, centre, 0.5f, centre);
  float radius = 0.018f * parts->unit;
  g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(guint32));
  for (int y = (int)MAX(0, centre[1] - radius); y <= MIN((float)parts->height - 1, centre[1] + radius); y++)
    for (int x = (int)MAX(0, centre[0] - radius); x <= MIN((float)parts->width - 1, centre[0] + radius);
         x++) {
      const guint8 *p = image_at(parts->picture, x, y);
      float d[2] = {(float)x + 0.5f, (float)y + 0.5f};
      if (p[3] < 200 || point_distance(d, centre) > radius)
        continue;
      guint32 luma = (guint32)(p[0] * 2 + p[1] * 4 + p[2]) / 7;
      guint32 key = luma << 24 | (guint32)(y * parts->width + x);
      g_array_append_val(found, key);
    }
  if (found->len < 8)
    return FALSE;
  guint n = found->len;
  for (guint i = 1; i < n; i++) { /* a few hundred values */
    guint32 key = g_array_index(found, guint32, i);
    guint j = i;
    for (; j && g_array_index(found, guint32, j - 1) > key; j--)
      g_array_index(found, guint32, j) = g_array_index(found, guint32, j - 1);
    g_array_index(found, guint32, j) = key;
  }
  double sum[3] = {0};
  guint from = n * 13 / 20, to = n * 17 / 20;
  for (guint i = from; i < to; i++) {
    const guint8 *p = parts->picture->pixels + 4 * (gsize)(g_array_index(found, guint32, i) & 0xffffff);
    for (int c = 0; c < 3; c++)
      sum[c] += p[c];
  }
  for (int c = 0; c < 3; c++)
    skin[c] = (float)(sum[c] / MAX(1, to - from));
  return TRUE;
}

/* Where a sleeve ends: along the forearm, the place that all but a few of its pixels come before. The wrist
 * of a hidden hand is put a little inside. */
static void find_cuff(Rig *rig, const Parts *parts, int side) {
  const float *elbow = parts->figure.joint[JOINT_LEFT_ELBOW + side],
              *wrist = parts->figure.joint[JOINT_LEFT_WRIST + side];
  float length = point_distance(elbow, wrist);
  int count[200] = {0}, total = 0, seen = 0, end = 0;
  if (length < 0.03f * parts->unit)
    return;
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2] = {(float)(i % parts->width) + 0.5f, (float)(i / parts->width) + 0.5f};
    float along = segment_along(elbow, wrist, p);
    if (parts->label[i] != PART_LEFT_ARM + side || parts->alpha->v[i] < 0.5f || along < 0.5f || along >= 2)
      continue;
    count[(int)(along * 100)]++;
    total++;
  }
  while (end < 199 && seen + count[end] < 0.96f * (float)total)
    seen += count[end++];
  float at = (float)end / 100 - 0.012f * parts->unit / length;
  if (total && at > 0.7f && at < 1.5f)
    point_mix(rig->figure.joint[JOINT_LEFT_ELBOW + side], rig->figure.joint[JOINT_LEFT_WRIST + side], at,
              rig->figure.joint[JOINT_LEFT_WRIST + side]);
}

/* Turns the upright hand into the forearm's direction: the texture stays, the mesh and the hand joint are
 * placed. */
static void add_drawn_hand(Rig *rig, const Parts *parts, int side) {
  find_cuff(rig, parts, side);
  float skin[3], origin[2], length = 0.098f * rig->figure.height;
  if (!skin_colour(parts, skin))
    return;
  float *elbow = rig->figure.joint[JOINT_LEFT_ELBOW + side],
        *wrist = rig->figure.joint[JOINT_LEFT_WRIST + side];
  float *hand = rig->figure.joint[JOINT_LEFT_HAND + side], forearm = MAX(1e-3f, point_distance(elbow, wrist));
  float along[2] = {(wrist[0] - elbow[0]) / forearm, (wrist[1] - elbow[1]) / forearm};
  /* Thumbs of hanging arms point forward or inward: to the body's middle. */
  float inward = (rig->figure.joint[JOINT_HIP][0] - wrist[0]) * -along[1] +
                 (rig->figure.joint[JOINT_HIP][1] - wrist[1]) * along[0];
  float across[2] = {inward < 0 ? along[1] : -along[1], inward < 0 ? -along[0] : along[0]};
  Image *texture = drawn_hand(length, skin, origin);
  add_layer(rig, LAYER_LEFT_HAND + side, texture, 0, 0, 0);
  Layer *layer = g_ptr_array_index(rig->layers, rig->layers->len - 1);
  for (int v = 0; v < layer->vertices; v++) {
    float x = layer->uv[v][0] - origin[0], y = origin[1] - layer->uv[v][1];
    layer->rest[v][0] = wrist[0] + across[0] * x + along[0] * y;
    layer->rest[v][1] = wrist[1] + across[1] * x + along[1] * y;
  }
  point_mix(wrist, (float[2]){wrist[0] + along[0] * length, wrist[1] + along[1] * length}, 0.5f, hand);
}

static gboolean build_parts(Rig *rig, const Image *cutout, GError **error) {
  g_autoptr(Parts) parts = parts_find(cutout, &rig->figure, error);
  if (!parts)
    return FALSE;
  float grow = 1 / parts->scale;
  for (int b = 0; b < BONES; b++)
    rig->radius[b] = parts->radius[b] * grow;
  rig->skirt = parts->skirt;
  for (int side = 0; side < 2; side++)
    rig->hand_hidden[side] = parts->hidden[side];
  float hem = parts->hem * grow + (float)parts->top;
  g_autoptr(GPtrArray) cuts = layers_cut(parts, cutout);
  for (guint i = 0; i < cuts->len; i++) {
    Cut *cut = g_ptr_array_index(cuts, i);
    int side = cut->kind - LAYER_LEFT_ARM;
    if ((cut->kind == LAYER_LEFT_ARM || cut->kind == LAYER_RIGHT_ARM) && rig->hand_hidden[side])
      add_drawn_hand(rig, parts, side);
    add_layer(rig, cut->kind, g_steal_pointer(&cut->texture), cut->left, cut->top, hem);
  }
  return TRUE;
}

/* --- */

static gboolean check_figure(const Image *cutout, const Figure *figure, GError **error) {
  if (cutout->channels != 4 || cutout->width < 8 || cutout->height < 8)
    return fault(error, FAULT_INPUT, "The cutout must be an RGBA picture of at least 8 by 8 pixels.");
  for (int j = 0; j < JOINTS; j++)
    for (int c = 0; c < 2; c++)
      if (!isfinite(figure->joint[j][c]) || fabsf(figure->joint[j][c]) > 1e5f)
        return fault(error, FAULT_INPUT, "The joint %d is not at a place in the picture.", j);
  return TRUE;
}

/* Half widths of a drawing's limbs: distance to the outline along the bones. */
static void drawn_radii(Rig *rig, const Image *cutout) {
  g_autoptr(Plane) outside = plane_from_image(cutout, 3);
  for (int i = 0; i < outside->width * outside->height; i++)
    outside->v[i] = outside->v[i] < 0.5f;
  g_autoptr(Plane) distance = plane_distance(outside, 0.5f, NULL);
  for (int b = 0; b < BONES; b++) {
    float from[2], to[2], sorted[9];
    weights_bone_segment(&rig->figure, (Bone)b, from, to);
    for (int i = 0; i < 9; i++) {
      float p[2];
      point_mix(from, to, (float)i / 8, p);
      float d = MIN(plane_sample(distance, p[0] - 0.5f, p[1] - 0.5f), 0.5f * rig->figure.height);
      int j = i;
      for (; j && sorted[j - 1] > d; j--)
        sorted[j] = sorted[j - 1];
      sorted[j] = d;
    }
    rig->radius[b] = CLAMP(sorted[4], 0.012f * rig->figure.height, 0.2f * rig->figure.height);
  }
}

Rig *rig_build(const Image *cutout, const Figure *figure, GError **error) {
  if (!check_figure(cutout, figure, error))
    return NULL;
  g_autoptr(Rig) rig = rig_new(cutout, figure);
  measure_extent(rig, cutout);
  if (rig->right <= rig->left)
    return fault_null(error, FAULT_NOBODY, "The cutout is empty: nothing in the picture is opaque.");
  float extent = rig->bottom - rig->top;
  if (!(figure->height > 0.25f * extent && figure->height < 4 * extent))
    rig->figure.height = extent;
  rig->drawn = figure->source == FIGURE_FROM_SILHOUETTE;
  if (rig->drawn) {
    drawn_radii(rig, cutout);
    build_whole(rig, cutout);
  } else if (!build_parts(rig, cutout, error)) {
    return NULL;
  }
  if (!rig->layers->len)
    return fault_null(error, FAULT_NOBODY, "Nothing of the figure is left to draw.");
  return g_steal_pointer(&rig);
}
