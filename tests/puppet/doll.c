#include "doll.h"
#include <math.h>
#include <string.h>

static void grid(Rig *rig, LayerKind kind, const int box[4], int step, const guint8 rgba[4], int bones,
                 const guint8 *bone, const float (*ends)[4]) {
  int columns = (box[2] - box[0]) / step + 1, rows = (box[3] - box[1]) / step + 1;
  Layer *layer = g_new0(Layer, 1);
  layer->kind = kind;
  layer->vertices = columns * rows;
  layer->rest = g_malloc0_n((gsize)layer->vertices, sizeof *layer->rest);
  layer->uv = g_malloc0_n((gsize)layer->vertices, sizeof *layer->uv);
  layer->bone = g_malloc0_n((gsize)layer->vertices, sizeof *layer->bone);
  layer->weight = g_malloc0_n((gsize)layer->vertices, sizeof *layer->weight);
  for (int v = 0; v < layer->vertices; v++) {
    float x = (float)(box[0] + v % columns * step), y = (float)(box[1] + v / columns * step);
    layer->rest[v][0] = x, layer->rest[v][1] = y;
    layer->uv[v][0] = x - (float)box[0], layer->uv[v][1] = y - (float)box[1];
    int best = 0;
    float least = G_MAXFLOAT;
    for (int b = 0; b < bones; b++) { /* the nearest bone moves it alone */
      const float *e = ends[b];
      float dx = e[2] - e[0], dy = e[3] - e[1], length = dx * dx + dy * dy + 1e-6f;
      float t = CLAMP(((x - e[0]) * dx + (y - e[1]) * dy) / length, 0.0f, 1.0f);
      float d = hypotf(x - e[0] - t * dx, y - e[1] - t * dy);
      if (d < least)
        least = d, best = b;
    }
    layer->bone[v][0] = bone[best];
    layer->weight[v][0] = 1;
  }
  layer->triangles = 2 * (columns - 1) * (rows - 1);
  layer->triangle = g_malloc_n((gsize)layer->triangles, sizeof *layer->triangle);
  layer->part = g_malloc((gsize)layer->triangles);
  int t = 0;
  for (int y = 0; y + 1 < rows; y++)
    for (int x = 0; x + 1 < columns; x++) {
      guint32 a = (guint32)(y * columns + x), b = a + 1, c = a + (guint32)columns, d = c + 1;
      guint32 pair[2][3] = {{a, b, c}, {b, d, c}};
      for (int k = 0; k < 2; k++, t++) {
        memcpy(layer->triangle[t], pair[k], sizeof pair[k]);
        layer->part[t] = kind == LAYER_WHOLE ? LAYER_BODY : kind;
      }
    }
  layer->texture = image_new(box[2] - box[0], box[3] - box[1], 4);
  for (int i = 0; i < layer->texture->width * layer->texture->height; i++)
    memcpy(layer->texture->pixels + 4 * (gsize)i, rgba, 4);
  g_ptr_array_add(rig->layers, layer);
}

static void doll_layer_free(gpointer data) {
  Layer *layer = data;
  g_free(layer->rest);
  g_free(layer->uv);
  g_free(layer->bone);
  g_free(layer->weight);
  g_free(layer->triangle);
  g_free(layer->part);
  image_free(layer->texture);
  g_free(layer);
}

static void layer_of(Rig *rig, LayerKind kind, const int box[4], const guint8 rgba[4], int bones,
                     const guint8 *bone) {
  float ends[BONES][4];
  for (int b = 0; b < bones; b++)
    for (int c = 0; c < 2; c++) {
      ends[b][c] = rig->figure.joint[bone_joints[bone[b]][0]][c];
      ends[b][2 + c] = rig->figure.joint[bone_joints[bone[b]][1]][c];
    }
  grid(rig, kind, box, 10, rgba, bones, bone, (const float(*)[4])ends);
}

Rig *doll_rig(gboolean whole) {
  static const float at[JOINTS][2] = {
      [JOINT_HIP] = {150, 210},         [JOINT_WAIST] = {150, 168},        [JOINT_NECK] = {150, 86},
      [JOINT_HEAD] = {150, 55},         [JOINT_CROWN] = {150, 25},         [JOINT_LEFT_EAR] = {165, 55},
      [JOINT_RIGHT_EAR] = {135, 55},    [JOINT_LEFT_SHOULDER] = {190, 90}, [JOINT_RIGHT_SHOULDER] = {110, 90},
      [JOINT_LEFT_ELBOW] = {195, 150},  [JOINT_RIGHT_ELBOW] = {105, 150},  [JOINT_LEFT_WRIST] = {200, 205},
      [JOINT_RIGHT_WRIST] = {100, 205}, [JOINT_LEFT_HAND] = {201, 222},    [JOINT_RIGHT_HAND] = {99, 222},
      [JOINT_LEFT_HIP] = {170, 210},    [JOINT_RIGHT_HIP] = {130, 210},    [JOINT_LEFT_KNEE] = {170, 305},
      [JOINT_RIGHT_KNEE] = {130, 305},  [JOINT_LEFT_ANKLE] = {170, 400},   [JOINT_RIGHT_ANKLE] = {130, 400},
      [JOINT_LEFT_TOE] = {174, 418},    [JOINT_RIGHT_TOE] = {126, 418},
  };
  Rig *rig = g_new0(Rig, 1);
  rig->width = 300;
  rig->height = 440;
  memcpy(rig->figure.joint, at, sizeof at);
  for (int j = 0; j < JOINTS; j++)
    rig->figure.visibility[j] = 1;
  rig->figure.height = 400;
  for (int b = 0; b < BONES; b++)
    rig->radius[b] = 12;
  rig->radius[BONE_HEAD] = 25;
  rig->drawn = whole;
  rig->left = 85, rig->right = 215, rig->top = 20, rig->bottom = 420;
  rig->layers = g_ptr_array_new_with_free_func(doll_layer_free);
  static const guint8 all[] = {
      BONE_PELVIS,       BONE_CHEST,         BONE_HEAD,       BONE_LEFT_UPPER_ARM, BONE_RIGHT_UPPER_ARM,
      BONE_LEFT_FOREARM, BONE_RIGHT_FOREARM, BONE_LEFT_THIGH, BONE_RIGHT_THIGH,    BONE_LEFT_SHIN,
      BONE_RIGHT_SHIN,   BONE_LEFT_FOOT,     BONE_RIGHT_FOOT};
  static const guint8 body[] = {BONE_PELVIS,    BONE_CHEST,      BONE_LEFT_THIGH, BONE_RIGHT_THIGH,
                                BONE_LEFT_SHIN, BONE_RIGHT_SHIN, BONE_LEFT_FOOT,  BONE_RIGHT_FOOT};
  if (whole) {
    layer_of(rig, LAYER_WHOLE, (const int[]){80, 20, 220, 420}, (const guint8[]){200, 100, 50, 255},
             G_N_ELEMENTS(all), all);
    return rig;
  }
  layer_of(rig, LAYER_BODY, (const int[]){110, 80, 190, 420}, (const guint8[]){40, 60, 200, 255},
           G_N_ELEMENTS(body), body);
  for (int side = 0; side < 2; side++) {
    guint8 arm[] = {(guint8)(BONE_LEFT_UPPER_ARM + side), (guint8)(BONE_LEFT_FOREARM + side),
                    (guint8)(BONE_LEFT_HAND + side)};
    const int x = side ? 85 : 185;
    layer_of(rig, LAYER_LEFT_ARM + side, (const int[]){x, 80, x + 30, 240},
             (const guint8[]){200, 40, 40, 255}, 3, arm);
  }
  layer_of(rig, LAYER_HEAD, (const int[]){125, 20, 175, 90}, (const guint8[]){220, 180, 150, 255}, 1,
           (const guint8[]){BONE_HEAD});
  return rig;
}

Person person_standing(float x, float y, float metre) {
  const float down = (float)G_PI_2;
  return (Person){
      {x, y}, metre, -down, -down, {{down - 0.1f, down}, {down + 0.1f, down}}, {{down, down}, {down, down}}};
}

/* Lengths in metres; x right, y down, z away from the camera. */
Pose person_pose(const Person *p) {
  static const float upper = 0.28f, fore = 0.25f, thigh = 0.42f, shin = 0.40f;
  float at[POSE_LANDMARKS][3] = {{0}};
  float along[2] = {-sinf(p->spine), cosf(p->spine)},
        top[3] = {0.5f * cosf(p->spine), 0.5f * sinf(p->spine), 0};
  float head[3] = {top[0] + 0.22f * cosf(p->neck), top[1] + 0.22f * sinf(p->neck), 0};
  for (int side = 0; side < 2; side++) {
    float s = side ? -1 : 1;
    float *shoulder = at[POSE_LEFT_SHOULDER + side], *elbow = at[POSE_LEFT_ELBOW + side],
          *wrist = at[POSE_LEFT_WRIST + side];
    float *hip = at[POSE_LEFT_HIP + side], *knee = at[POSE_LEFT_KNEE + side],
          *ankle = at[POSE_LEFT_ANKLE + side];
    for (int c = 0; c < 2; c++) {
      shoulder[c] = top[c] + s * 0.18f * along[c];
      hip[c] = s * 0.11f * along[c];
      at[POSE_LEFT_EAR + side][c] = head[c] + s * 0.075f * along[c];
    }
    const float *a = p->arm[side], *l = p->leg[side];
    float f = fore * cosf(p->tilt[side]);
    elbow[0] = shoulder[0] + upper * cosf(a[0]), elbow[1] = shoulder[1] + upper * sinf(a[0]);
    wrist[0] = elbow[0] + f * cosf(a[1]), wrist[1] = elbow[1] + f * sinf(a[1]),
    wrist[2] = -fore * sinf(p->tilt[side]);
    knee[0] = hip[0] + thigh * cosf(l[0]), knee[1] = hip[1] + thigh * sinf(l[0]);
    ankle[0] = knee[0] + shin * cosf(l[1]), ankle[1] = knee[1] + shin * sinf(l[1]);
    for (int k = 0; k < 3; k++) { /* pinky, index, thumb */
      float *finger = at[POSE_LEFT_PINKY + 2 * k + side], across = 0.03f * (float)(k - 1) * s;
      finger[0] = wrist[0] + 0.09f * cosf(a[1]) - across * sinf(a[1]);
      finger[1] = wrist[1] + 0.09f * sinf(a[1]) + across * cosf(a[1]);
      finger[2] = wrist[2];
    }
    float *heel = at[POSE_LEFT_HEEL + side], *toe = at[POSE_LEFT_FOOT_INDEX + side];
    heel[0] = ankle[0], heel[1] = ankle[1] + 0.04f;
    toe[0] = ankle[0] + s * 0.03f, toe[1] = ankle[1] + 0.08f;
  }
  memcpy(at[POSE_NOSE], head, sizeof head);
  for (int i = POSE_LEFT_EYE_INNER; i <= POSE_RIGHT_EYE_OUTER; i++)
    memcpy(at[i], head, sizeof head);
  Pose pose = {.score = 1, .box = {p->hip[0] - p->metre, p->hip[1] - p->metre, 2 * p->metre, 2 * p->metre}};
  float c = cosf(p->turn), s = sinf(p->turn);
  for (int i = 0; i < POSE_LANDMARKS; i++) {
    float x = c * at[i][0] + s * at[i][2], z = c * at[i][2] - s * at[i][0];
    pose.world[i] = (Landmark){x, at[i][1], z, 1};
    pose.image[i] = (Landmark){p->hip[0] + p->metre * x, p->hip[1] + p->metre * at[i][1], p->metre * z, 1};
  }
  return pose;
}

Tracks *person_tracks(const Pose *poses, int count) {
  Tracks *tracks = g_new0(Tracks, 1);
  tracks->width = 540;
  tracks->height = 960;
  tracks->frames = count;
  tracks->time_s = g_new(double, count);
  for (int i = 0; i < count; i++)
    tracks->time_s[i] = i / 25.0;
  tracks->mask_width = 288;
  tracks->mask_height = 512;
  tracks->cuts = g_array_new(FALSE, FALSE, sizeof(int));
  g_array_append_val(tracks->cuts, (int){0});
  Track *track = g_new0(Track, 1);
  *track = (Track){1, 0, count, g_new0(gint8, count), g_memdup2(poses, sizeof(Pose) * (gsize)count)};
  tracks->tracks = g_ptr_array_new();
  g_ptr_array_add(tracks->tracks, track);
  return tracks;
}
