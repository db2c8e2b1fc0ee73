/* Joints bend over less than a limb's half width: wider looks like a hose, narrower like folded card. A torso
 * bends over three quarters of its length. */
#include "puppet/rig/weights.h"
#include "base/plane.h"
#include "puppet/rig/segment.h"
#include <string.h>

typedef struct {
  float w[BONES];
} Influence;

/* Keeps the four strongest, adding up to 1. */
static void store(Layer *layer, int vertex, const Influence *influence) {
  float w[BONES], sum = 0;
  memcpy(w, influence->w, sizeof w);
  for (int k = 0; k < 4; k++) {
    int best = 0;
    for (int b = 1; b < BONES; b++)
      if (w[b] > w[best])
        best = b;
    layer->bone[vertex][k] = (guint8)best;
    layer->weight[vertex][k] = MAX(0, w[best]);
    sum += layer->weight[vertex][k];
    w[best] = -1;
  }
  for (int k = 0; k < 4; k++)
    layer->weight[vertex][k] = sum > 1e-6f ? layer->weight[vertex][k] / sum : k == 0;
}

static Influence arm_influence(const Rig *rig, int side, const float p[2]) {
  const float(*joint)[2] = rig->figure.joint;
  const float *shoulder = joint[JOINT_LEFT_SHOULDER + side], *elbow = joint[JOINT_LEFT_ELBOW + side];
  const float *wrist = joint[JOINT_LEFT_WRIST + side];
  float upper = rig->radius[BONE_LEFT_UPPER_ARM + side], fore = rig->radius[BONE_LEFT_FOREARM + side];
  float cap = CLAMP(1.25f * upper, 0.03f * rig->figure.height, 0.045f * rig->figure.height),
        k = 0.8f * MAX(upper, 1);
  float f = smooth_step(-k, k, segment_distance(shoulder, elbow, p) - segment_distance(elbow, wrist, p));
  float along = segment_along(shoulder, elbow, p) * point_distance(shoulder, elbow);
  float chest = (1 - smooth_step(-cap, 0.35f * cap, along)) * (1 - f);
  float hand = 0;
  if (!rig->hand_hidden[side]) {
    float beyond = (segment_along(elbow, wrist, p) - 1) * point_distance(elbow, wrist);
    hand = smooth_step(-0.3f * fore, 0.3f * fore, beyond) * f;
  }
  Influence influence = {0};
  influence.w[BONE_CHEST] = chest;
  influence.w[BONE_LEFT_UPPER_ARM + side] = (1 - f) * (1 - chest);
  influence.w[BONE_LEFT_FOREARM + side] = f - hand;
  influence.w[BONE_LEFT_HAND + side] = hand;
  return influence;
}

static Influence head_influence(const Rig *rig, const float p[2]) {
  const float(*joint)[2] = rig->figure.joint;
  float shoulders[2];
  point_mix(joint[JOINT_LEFT_SHOULDER], joint[JOINT_RIGHT_SHOULDER], 0.5f, shoulders);
  float length = MAX(1, point_distance(joint[JOINT_HEAD], shoulders));
  /* Height along the line from the shoulders to the face, so that a tilted head has a tilted neck. */
  float height =
      segment_along(shoulders, joint[JOINT_HEAD], p) * point_distance(joint[JOINT_HEAD], shoulders) / length;
  Influence influence = {0};
  influence.w[BONE_HEAD] = smooth_step(0.05f, 0.62f, height);
  influence.w[BONE_CHEST] = 1 - influence.w[BONE_HEAD];
  return influence;
}

static Influence leg_influence(const Rig *rig, int side, const float p[2]) {
  const float(*joint)[2] = rig->figure.joint;
  const float *hip = joint[JOINT_LEFT_HIP + side], *knee = joint[JOINT_LEFT_KNEE + side],
              *ankle = joint[JOINT_LEFT_ANKLE + side];
  float unit = rig->figure.height, k = 0.045f * unit;
  float shin = smooth_step(-k, k, segment_distance(hip, knee, p) - segment_distance(knee, ankle, p));
  float beyond = (segment_along(knee, ankle, p) - 1) * point_distance(knee, ankle);
  float foot = smooth_step(-0.01f * unit, 0.03f * unit, beyond) * shin;
  Influence influence = {0};
  influence.w[BONE_LEFT_THIGH + side] = 1 - shin;
  influence.w[BONE_LEFT_SHIN + side] = shin - foot;
  influence.w[BONE_LEFT_FOOT + side] = foot;
  return influence;
}

static void mix(Influence *to, const Influence *from, float share) {
  for (int b = 0; b < BONES; b++)
    to->w[b] = (1 - share) * to->w[b] + share * from->w[b];
}

/* A raised arm lifts the muscle above its shoulder. */
static void follow_shoulders(Influence *influence, const Rig *rig, const float p[2]) {
  for (int side = 0; side < 2; side++) {
    float cap = CLAMP(1.25f * rig->radius[BONE_LEFT_UPPER_ARM + side], 0.03f * rig->figure.height,
                      0.045f * rig->figure.height);
    float distance = point_distance(p, rig->figure.joint[JOINT_LEFT_SHOULDER + side]);
    float share = 0.45f * (1 - smooth_step(0.3f * cap, 1.6f * cap, distance)) * influence->w[BONE_CHEST];
    influence->w[BONE_CHEST] -= share;
    influence->w[BONE_LEFT_UPPER_ARM + side] += share;
  }
}

static Influence body_influence(const Rig *rig, const float p[2], float hem) {
  const float(*joint)[2] = rig->figure.joint;
  float unit = rig->figure.height, shoulders[2];
  const float *hip = joint[JOINT_HIP];
  point_mix(joint[JOINT_LEFT_SHOULDER], joint[JOINT_RIGHT_SHOULDER], 0.5f, shoulders);
  Influence influence = {0};
  influence.w[BONE_CHEST] = smooth_step(0.10f, 0.75f, segment_along(hip, shoulders, p));
  influence.w[BONE_PELVIS] = 1 - influence.w[BONE_CHEST];
  follow_shoulders(&influence, rig, p);
  const float *lh = joint[JOINT_LEFT_HIP], *rh = joint[JOINT_RIGHT_HIP];
  /* Which leg: by the line through the crotch; left is where the left hip is. */
  float across = (segment_along(rh, lh, p) - 0.5f) * point_distance(rh, lh);
  if (rig->skirt) {
    float sway = 0.75f * smooth_step(hip[1], MAX(hip[1] + 1, hem), p[1]);
    float left = smooth_step(-0.1f * unit, 0.1f * unit, across);
    Influence thighs = {0};
    thighs.w[BONE_LEFT_THIGH] = left;
    thighs.w[BONE_RIGHT_THIGH] = 1 - left;
    mix(&influence, &thighs, sway);
    return influence;
  }
  Influence legs[2] = {leg_influence(rig, 0, p), leg_influence(rig, 1, p)};
  float share[2];
  for (int side = 0; side < 2; side++)
    share[side] = smooth_step(-0.25f, 0.45f,
                              segment_along(joint[JOINT_LEFT_HIP + side], joint[JOINT_LEFT_KNEE + side], p));
  float left = smooth_step(-0.02f * unit, 0.02f * unit, across);
  /* Further down the legs part from each other, whatever the hips' line says. */
  float dl = MIN(segment_distance(lh, joint[JOINT_LEFT_KNEE], p),
                 segment_distance(joint[JOINT_LEFT_KNEE], joint[JOINT_LEFT_ANKLE], p));
  float dr = MIN(segment_distance(rh, joint[JOINT_RIGHT_KNEE], p),
                 segment_distance(joint[JOINT_RIGHT_KNEE], joint[JOINT_RIGHT_ANKLE], p));
  float nearer = smooth_step(-0.02f * unit, 0.02f * unit, dr - dl);
  float down = smooth_step(
      0.0f, 0.4f,
      MAX(segment_along(lh, joint[JOINT_LEFT_KNEE], p), segment_along(rh, joint[JOINT_RIGHT_KNEE], p)));
  left += down * (nearer - left);
  Influence both = legs[1];
  mix(&both, &legs[0], left);
  mix(&influence, &both, left * share[0] + (1 - left) * share[1]);
  return influence;
}

void weights_of_part(Layer *layer, const Rig *rig, float hem) {
  for (int v = 0; v < layer->vertices; v++) {
    const float *p = layer->rest[v];
    Influence influence = {0};
    switch (layer->kind) {
    case LAYER_LEFT_ARM:
    case LAYER_RIGHT_ARM:
      influence = arm_influence(rig, layer->kind - LAYER_LEFT_ARM, p);
      break;
    case LAYER_LEFT_HAND:
    case LAYER_RIGHT_HAND:
      influence.w[BONE_LEFT_HAND + layer->kind - LAYER_LEFT_HAND] = 1;
      break;
    case LAYER_LEFT_LEG:
    case LAYER_RIGHT_LEG:
      influence = leg_influence(rig, layer->kind - LAYER_LEFT_LEG, p);
      break;
    case LAYER_HEAD:
      influence = head_influence(rig, p);
      break;
    default:
      influence = body_influence(rig, p, hem);
    }
    store(layer, v, &influence);
  }
}

/* --- one mesh --- */

typedef struct {
  float distance;
  int vertex;
} Front;

static void heap_push(GArray *heap, Front front) {
  g_array_append_val(heap, front);
  Front *h = (Front *)(void *)heap->data;
  guint i = heap->len - 1;
  for (; i && h[(i - 1) / 2].distance > front.distance; i = (i - 1) / 2)
    h[i] = h[(i - 1) / 2];
  h[i] = front;
}

static Front heap_pop(GArray *heap) {
  Front *h = (Front *)(void *)heap->data, top = h[0], last = h[heap->len - 1];
  g_array_set_size(heap, heap->len - 1);
  guint n = heap->len, i = 0;
  while (2 * i + 1 < n) {
    guint child = 2 * i + 1;
    if (child + 1 < n && h[child + 1].distance < h[child].distance)
      child++;
    if (h[child].distance >= last.distance)
      break;
    h[i] = h[child];
    i = child;
  }
  if (n)
    h[i] = last;
  return top;
}

/* The eight neighbours of every vertex on the grid. */
static void find_neighbours(const Grid *grid, int (*neighbour)[8]) {
  static const int dx[8] = {-1, 1, 0, 0, -1, 1, -1, 1}, dy[8] = {0, 0, -1, 1, -1, -1, 1, 1};
  for (int y = 0; y < grid->rows; y++)
    for (int x = 0; x < grid->columns; x++) {
      int v = grid->vertex[y * grid->columns + x];
      if (v < 0)
        continue;
      for (int k = 0; k < 8; k++) {
        int nx = x + dx[k], ny = y + dy[k];
        neighbour[v][k] = nx < 0 || ny < 0 || nx >= grid->columns || ny >= grid->rows
                              ? -1
                              : grid->vertex[ny * grid->columns + nx];
      }
    }
}

#define THICKEST 0.09f  /* of H: however fat the body, it has no claim on the hands */
#define THINNEST 0.032f /* of H: a line drawn for a limb holds on to its hand as if it were this thick */
#define OUTSIDE_COST 6  /* a step beside the ink is this much longer: limbs that nearly touch stay apart */

/* Distance through the mesh from a bone. A drawn limb may be curved where its bone is straight: every point
 * of the bone counts as lying on the mesh where the mesh is nearest to it. */
static void spread(const Layer *layer, const Grid *grid, int (*neighbour)[8], const float a[2],
                   const float b[2], float *distance) {
  g_autoptr(GArray) heap = g_array_new(FALSE, FALSE, sizeof(Front));
  int points = CLAMP((int)(point_distance(a, b) / grid->step) + 1, 1, 200);
  for (int v = 0; v < layer->vertices; v++)
    distance[v] = G_MAXFLOAT;
  for (int i = 0; i <= points; i++) {
    float p[2], least = G_MAXFLOAT;
    int nearest = 0;
    point_mix(a, b, (float)i / (float)points, p);
    for (int v = 0; v < layer->vertices; v++) {
      float d = point_distance(p, layer->rest[v]) + (grid->alpha[v] < 0.5f ? grid->step : 0);
      if (d < least) {
        least = d;
        nearest = v;
      }
    }
    if (distance[nearest] > 0) {
      distance[nearest] = 0;
      heap_push(heap, (Front){0, nearest});
    }
  }
  while (heap->len) {
    Front front = heap_pop(heap);
    if (front.distance > distance[front.vertex])
      continue;
    for (int k = 0; k < 8; k++) {
      int other = neighbour[front.vertex][k];
      if (other < 0)
        continue;
      float length = grid->step * (k < 4 ? 1 : (float)G_SQRT2);
      if (grid->alpha[other] < 0.5f || grid->alpha[front.vertex] < 0.5f)
        length *= OUTSIDE_COST;
      if (front.distance + length < distance[other]) {
        distance[other] = front.distance + length;
        heap_push(heap, (Front){distance[other], other});
      }
    }
  }
}

void weights_bone_segment(const Figure *figure, Bone bone, float from[2], float to[2]) {
  const float *start = figure->joint[bone_joints[bone][0]], *end = figure->joint[bone_joints[bone][1]];
  if (bone == BONE_HEAD) {
    point_mix(start, end, 0.4f, from);
    point_mix(end, figure->joint[JOINT_CROWN], 0.8f, to);
    return;
  }
  point_mix(start, end, 0, from);
  point_mix(start, end, bone == BONE_LEFT_HAND || bone == BONE_RIGHT_HAND ? 1.7f : 1, to);
}

static LayerKind kind_of_bone(Bone bone) {
  switch (bone) {
  case BONE_LEFT_UPPER_ARM:
  case BONE_LEFT_FOREARM:
  case BONE_LEFT_HAND:
    return LAYER_LEFT_ARM;
  case BONE_RIGHT_UPPER_ARM:
  case BONE_RIGHT_FOREARM:
  case BONE_RIGHT_HAND:
    return LAYER_RIGHT_ARM;
  case BONE_LEFT_THIGH:
  case BONE_LEFT_SHIN:
  case BONE_LEFT_FOOT:
    return LAYER_LEFT_LEG;
  case BONE_RIGHT_THIGH:
  case BONE_RIGHT_SHIN:
  case BONE_RIGHT_FOOT:
    return LAYER_RIGHT_LEG;
  case BONE_HEAD:
    return LAYER_HEAD;
  default:
    return LAYER_BODY;
  }
}

static void smooth_weights(const Layer *layer, int (*neighbour)[8], Influence *influence, int rounds) {
  g_autofree Influence *next = g_new(Influence, layer->vertices);
  for (int round = 0; round < rounds; round++) {
    for (int v = 0; v < layer->vertices; v++) {
      int n = 0;
      float sum[BONES] = {0};
      for (int k = 0; k < 4; k++) {
        int other = neighbour[v][k];
        if (other < 0)
          continue;
        n++;
        for (int b = 0; b < BONES; b++)
          sum[b] += influence[other].w[b];
      }
      for (int b = 0; b < BONES; b++)
        next[v].w[b] = n ? 0.5f * influence[v].w[b] + 0.5f * sum[b] / (float)n : influence[v].w[b];
    }
    memcpy(influence, next, sizeof *next * (gsize)layer->vertices);
  }
}

static LayerKind part_of(const Influence *influence) {
  float sum[LAYERS] = {0};
  int best = LAYER_BODY;
  for (int b = 0; b < BONES; b++)
    sum[kind_of_bone((Bone)b)] += influence->w[b];
  for (int kind = 0; kind < LAYERS; kind++)
    if (sum[kind] > sum[best])
      best = kind;
  return (LayerKind)best;
}

/* Two limbs, or a limb and the head: the figure holds them together elsewhere. */
static gboolean are_apart(LayerKind a, LayerKind b) {
  return a != b && a != LAYER_BODY && b != LAYER_BODY;
}

/* Where limbs pass close by each other the grid bridges the gap. Beside the ink such bridges are cut. */
static void cut_bridges(Layer *layer, const Grid *grid, const Influence *influence, int (*neighbour)[8]) {
  g_autofree guint8 *part = g_new0(guint8, layer->vertices + 1);
  for (int v = 0; v < layer->vertices; v++)
    part[v] = (guint8)part_of(&influence[v]);
  for (int v = 0; v < layer->vertices; v++)
    for (int k = 0; k < 8; k++) {
      int other = neighbour[v][k];
      if (other >= 0 && are_apart(part[v], part[other]) && MIN(grid->alpha[v], grid->alpha[other]) < 0.5f)
        neighbour[v][k] = -1;
    }
  int kept = 0;
  for (int t = 0; t < layer->triangles; t++) {
    const guint32 *c = layer->triangle[t];
    gboolean bridge = are_apart(part[c[0]], part[c[1]]) || are_apart(part[c[1]], part[c[2]]) ||
                      are_apart(part[c[2]], part[c[0]]);
    if (bridge && grid->alpha[c[0]] + grid->alpha[c[1]] + grid->alpha[c[2]] < 1.5f)
      continue;
    memcpy(layer->triangle[kept], c, sizeof layer->triangle[kept]);
    layer->part[kept++] = layer->part[t];
  }
  layer->triangles = kept;
}

static void name_parts(Layer *layer, const Influence *influence) {
  for (int t = 0; t < layer->triangles; t++) {
    Influence sum = {0};
    for (int k = 0; k < 3; k++)
      for (int b = 0; b < BONES; b++)
        sum.w[b] += influence[layer->triangle[t][k]].w[b];
    layer->part[t] = (guint8)part_of(&sum);
  }
}

void weights_of_whole(Layer *layer, const Grid *grid, const Rig *rig) {
  g_autofree int(*neighbour)[8] = g_malloc(sizeof(int[8]) * (gsize)MAX(1, layer->vertices));
  g_autofree float *distance = g_new(float, layer->vertices + 1);
  g_autofree Influence *influence = g_new0(Influence, layer->vertices + 1);
  find_neighbours(grid, neighbour);
  for (int b = 0; b < BONES; b++) {
    float start[2], end[2];
    if (rig->radius[b] <= 0)
      continue;
    weights_bone_segment(&rig->figure, (Bone)b, start, end);
    spread(layer, grid, neighbour, start, end, distance);
    for (int v = 0; v < layer->vertices; v++) {
      float d = MIN(1e4f, distance[v] / CLAMP(rig->radius[b], THINNEST * rig->figure.height,
                                              THICKEST * rig->figure.height));
      influence[v].w[b] = 1 / (0.001f + d * d * d * d);
    }
  }
  for (int v = 0; v < layer->vertices; v++) {
    float sum = 0;
    for (int b = 0; b < BONES; b++)
      sum += influence[v].w[b];
    for (int b = 0; b < BONES; b++)
      influence[v].w[b] = sum > 0 ? influence[v].w[b] / sum : b == BONE_PELVIS;
  }
  cut_bridges(layer, grid, influence, neighbour);
  float reach = 0.028f * rig->figure.height / grid->step;
  smooth_weights(layer, neighbour, influence, CLAMP((int)(2 * reach * reach), 1, 60));
  name_parts(layer, influence);
  for (int v = 0; v < layer->vertices; v++)
    store(layer, v, &influence[v]);
}
