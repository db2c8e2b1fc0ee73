/* Both ways are affine maps of a vertex's rest position, so they are mixed as matrices. */
#include "puppet/draw/skin.h"
#include <math.h>
#include <string.h>

#define ARM_LINEAR 0.65f
#define SINGLE 0.995f /* a weight above this moves the vertex alone */

/* Where two bones turn against each other. */
static void joint_between(const Rig *rig, int a, int b, float out[2]) {
  const float(*joint)[2] = rig->figure.joint;
  if (bone_parent[a] == b) {
    memcpy(out, joint[bone_joints[a][0]], sizeof(float) * 2);
  } else if (bone_parent[b] == a) {
    memcpy(out, joint[bone_joints[b][0]], sizeof(float) * 2);
  } else {
    const float *p = joint[bone_joints[a][0]], *q = joint[bone_joints[b][0]];
    out[0] = 0.5f * (p[0] + q[0]), out[1] = 0.5f * (p[1] + q[1]);
  }
}

static void find_centre(const Rig *rig, const guint8 bone[4], const float weight[4], float centre[2]) {
  float sum = 0, at[2];
  centre[0] = centre[1] = 0;
  for (int i = 0; i < 4; i++)
    for (int j = i + 1; j < 4; j++) {
      float w = weight[i] * weight[j];
      if (w <= 0 || bone[i] == bone[j])
        continue;
      joint_between(rig, bone[i], bone[j], at);
      centre[0] += w * at[0], centre[1] += w * at[1], sum += w;
    }
  if (sum > 0) {
    centre[0] /= sum, centre[1] /= sum;
  } else {
    memcpy(centre, rig->figure.joint[bone_joints[bone[0]][0]], sizeof(float) * 2);
  }
}

Skin *skin_new(const Rig *rig, const Layer *layer) {
  Skin *skin = g_new0(Skin, 1);
  skin->layer = layer;
  skin->linear = layer->kind == LAYER_LEFT_ARM || layer->kind == LAYER_RIGHT_ARM ? ARM_LINEAR : 0;
  skin->centre = g_malloc_n((gsize)layer->vertices, sizeof *skin->centre);
  for (int v = 0; v < layer->vertices; v++)
    find_centre(rig, layer->bone[v], layer->weight[v], skin->centre[v]);
  return skin;
}

void skin_free(Skin *skin) {
  if (!skin)
    return;
  g_free(skin->centre);
  g_free(skin);
}

static void quaternion_matrix(const float q[4], float scale, float m[3][3]) {
  float x = q[0], y = q[1], z = q[2], w = q[3];
  float n = x * x + y * y + z * z + w * w, s = n > 1e-12f ? 2 / n : 0;
  m[0][0] = scale * (1 - s * (y * y + z * z)), m[0][1] = scale * s * (x * y - w * z),
  m[0][2] = scale * s * (x * z + w * y);
  m[1][0] = scale * s * (x * y + w * z), m[1][1] = scale * (1 - s * (x * x + z * z)),
  m[1][2] = scale * s * (y * z - w * x);
  m[2][0] = scale * s * (x * z - w * y), m[2][1] = scale * s * (y * z + w * x),
  m[2][2] = scale * (1 - s * (x * x + y * y));
}

/* The vertex's own affine map. */
static void blend(const Skin *skin, const Stance *stance, const float *scales, int v, float m[3][4]) {
  const guint8 *bone = skin->layer->bone[v];
  const float *weight = skin->layer->weight[v];
  if (weight[0] > SINGLE) {
    memcpy(m, stance->matrix[bone[0]], sizeof(float) * 12);
    return;
  }
  float linear[3][4] = {{0}}, q[4] = {0}, scale = 0;
  const float *first = stance->rotation[bone[0]];
  for (int i = 0; i < 4; i++) {
    if (weight[i] <= 0)
      continue;
    const float *r = stance->rotation[bone[i]];
    float dot = first[0] * r[0] + first[1] * r[1] + first[2] * r[2] + first[3] * r[3];
    float signed_weight = dot < 0 ? -weight[i] : weight[i];
    for (int a = 0; a < 4; a++)
      q[a] += signed_weight * r[a];
    scale += weight[i] * scales[bone[i]];
    for (int a = 0; a < 12; a++)
      (&linear[0][0])[a] += weight[i] * (&stance->matrix[bone[i]][0][0])[a];
  }
  float turn[3][3];
  quaternion_matrix(q, scale, turn);
  const float *c = skin->centre[v];
  for (int r = 0; r < 3; r++) {
    float at = linear[r][0] * c[0] + linear[r][1] * c[1] + linear[r][3];
    float offset = at - turn[r][0] * c[0] - turn[r][1] * c[1];
    for (int a = 0; a < 3; a++)
      m[r][a] = turn[r][a] + skin->linear * (linear[r][a] - turn[r][a]);
    m[r][3] = offset + skin->linear * (linear[r][3] - offset);
  }
}

void skin_pose(const Skin *skin, const Stance *stance, float relief, float (*position)[3]) {
  float scales[BONES];
  for (int b = 0; b < BONES; b++)
    scales[b] = sqrtf(stance->matrix[b][0][0] * stance->matrix[b][0][0] +
                      stance->matrix[b][1][0] * stance->matrix[b][1][0] +
                      stance->matrix[b][2][0] * stance->matrix[b][2][0]);
  for (int v = 0; v < skin->layer->vertices; v++) {
    const float *rest = skin->layer->rest[v], p[3] = {rest[0], rest[1], relief * rest[2]};
    float m[3][4];
    blend(skin, stance, scales, v, m);
    stance_apply((const float(*)[4])m, p, position[v]);
  }
}
