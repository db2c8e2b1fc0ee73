/* The order of drawing: legs under a skirt, arms behind the back, body, arms, head with its hair, and the
 * forearms again where they pass the face. A drawn hand lies under its sleeve, or over it when the forearm
 * points at the camera. A drawing in one mesh has the same order as ranks of its triangles. */
#include "puppet/draw/puppet.h"
#include "base/plane.h"
#include "puppet/draw/flat.h"
#include "puppet/draw/skin.h"
#include "puppet/motion/retarget.h"
#include <math.h>
#include <string.h>

#define MAX_PASSES 16
#define FAINT 4 /* of 255: alpha that nobody sees */

/* A layer made ready. */
typedef struct {
  const Layer *layer;
  Skin *skin;
  RasterTexture *texture;
  float *forearm; /* [vertices] how much of it is drawn again over the face; arms only */
  /* The triangles that show anything: the mesh is wider than what its texture paints. */
  int triangles;
  guint32 (*triangle)[3];
  guint8 *part;
} Sheet;

struct Puppet {
  const Rig *rig;
  Motion *motion;
  gboolean flat;
  Flat *shapes[LAYERS]; /* the paper figure's */
  Sheet sheet[LAYERS];  /* by kind; layer NULL where the rig has none */
  Borrowed borrowed;
  /* Of a portrait on a borrowed body: how much of the layers of body and head is drawn; else NULL. */
  float *neck, *head;
};

struct Painter {
  const Puppet *puppet;
  Raster *raster;
  FlatSolver *solver[LAYERS];
  float (*position[LAYERS])[3];
};

static float *forearm_share(const Layer *layer) {
  Bone forearm = layer->kind == LAYER_LEFT_ARM ? BONE_LEFT_FOREARM : BONE_RIGHT_FOREARM, hand = forearm + 2;
  float *share = g_new0(float, layer->vertices);
  for (int v = 0; v < layer->vertices; v++) {
    float sum = 0;
    for (int i = 0; i < 4; i++)
      if (layer->bone[v][i] == forearm || layer->bone[v][i] == hand)
        sum += layer->weight[v][i];
    float t = CLAMP((sum - 0.6f) / 0.4f, 0.0f, 1.0f);
    share[v] = t * t * (3 - 2 * t);
  }
  return share;
}

/* Whether the texture paints anything in a triangle, a pixel around it included. */
static gboolean paints(const Layer *layer, const guint32 *k) {
  const float *a = layer->uv[k[0]], *b = layer->uv[k[1]], *c = layer->uv[k[2]];
  const Image *texture = layer->texture;
  int x0 = (int)CLAMP(MIN(MIN(a[0], b[0]), c[0]) - 2, 0, (float)texture->width - 1);
  int x1 = (int)CLAMP(MAX(MAX(a[0], b[0]), c[0]) + 2, 0, (float)texture->width - 1);
  int y0 = (int)CLAMP(MIN(MIN(a[1], b[1]), c[1]) - 2, 0, (float)texture->height - 1);
  int y1 = (int)CLAMP(MAX(MAX(a[1], b[1]), c[1]) + 2, 0, (float)texture->height - 1);
  for (int y = y0; y <= y1; y++)
    for (int x = x0; x <= x1; x++)
      if (image_at(texture, x, y)[3] > FAINT)
        return TRUE;
  return FALSE;
}

static void choose_triangles(Sheet *sheet) {
  const Layer *layer = sheet->layer;
  sheet->triangle = g_malloc_n((gsize)layer->triangles, sizeof *sheet->triangle);
  sheet->part = g_new(guint8, layer->triangles);
  for (int t = 0; t < layer->triangles; t++) {
    const guint32 *k = layer->triangle[t];
    if (!paints(layer, k))
      continue;
    memcpy(sheet->triangle[sheet->triangles], k, sizeof *sheet->triangle);
    sheet->part[sheet->triangles++] = MIN(layer->part[t], LAYERS - 1);
  }
}

static void prepare_sheet(Puppet *puppet, const Layer *layer, float finest) {
  if ((guint)layer->kind >= LAYERS)
    return;
  Sheet *sheet = &puppet->sheet[layer->kind];
  if (sheet->layer || !layer->texture || !layer->vertices || !layer->triangles)
    return;
  sheet->layer = layer;
  choose_triangles(sheet);
  sheet->texture = raster_texture_new(layer->texture, finest);
  if (puppet->flat && layer->kind != LAYER_LEFT_HAND && layer->kind != LAYER_RIGHT_HAND)
    puppet->shapes[layer->kind] = flat_new(puppet->rig, layer);
  sheet->skin = skin_new(puppet->rig, layer);
  if (layer->kind == LAYER_LEFT_ARM || layer->kind == LAYER_RIGHT_ARM)
    sheet->forearm = forearm_share(layer);
}

/* By vertices: how much of a portrait's layer is drawn on a borrowed body. What turns with the head, and
 * nothing at the end of the picture. NULL without the layer. */
static float *head_share(const Rig *rig, const Layer *layer) {
  float *share = layer ? g_new0(float, layer->vertices) : NULL;
  float soft = 0.05f * (rig->bottom - rig->top);
  for (int v = 0; layer && v < layer->vertices; v++) {
    for (int i = 0; i < 4; i++)
      share[v] += layer->bone[v][i] == BONE_HEAD ? layer->weight[v][i] : 0;
    share[v] = smooth_step(0.2f, 0.7f, share[v]) * smooth_step(0, soft, rig->bottom - layer->rest[v][1]);
  }
  return share;
}

Puppet *puppet_new(const Rig *rig, const Track *track, const Tracks *tracks, gboolean flat, gboolean borrows,
                   Progress *progress) {
  g_return_val_if_fail(track->count > 0, NULL);
  Puppet *puppet = g_new0(Puppet, 1);
  puppet->rig = rig;
  puppet->flat = flat;
  puppet->motion = motion_new(rig, track, tracks, flat || rig->drawn);
  float largest = 0;
  for (int i = 0; i < puppet->motion->count; i++)
    largest = MAX(largest, puppet->motion->stances[i].scale);
  for (guint i = 0; i < rig->layers->len; i++)
    prepare_sheet(puppet, g_ptr_array_index(rig->layers, i), 1 / MAX(largest, 1e-3f));
  if (borrows)
    puppet->borrowed = borrowed_find(rig);
  if (puppet->borrowed.body) {
    puppet->neck = head_share(rig, puppet->sheet[LAYER_BODY].layer);
    puppet->head = head_share(rig, puppet->sheet[LAYER_HEAD].layer);
  }
  if (puppet->motion->back_share > 0.05f)
    progress_note(
        progress,
        "Person %d is turned away from the camera in %.0f %% of the frames; the character keeps facing it.",
        track->id, 100.0 * (double)puppet->motion->back_share);
  return puppet;
}

void puppet_free(Puppet *puppet) {
  if (!puppet)
    return;
  motion_free(puppet->motion);
  g_free(puppet->neck);
  g_free(puppet->head);
  for (int k = 0; k < LAYERS; k++) {
    flat_free(puppet->shapes[k]);
    skin_free(puppet->sheet[k].skin);
    raster_texture_free(puppet->sheet[k].texture);
    g_free(puppet->sheet[k].forearm);
    g_free(puppet->sheet[k].triangle);
    g_free(puppet->sheet[k].part);
  }
  g_free(puppet);
}

const Borrowed *puppet_borrowed(const Puppet *puppet) {
  return &puppet->borrowed;
}

Painter *painter_new(const Puppet *puppet, const VideoInfo *info) {
  Painter *painter = g_new0(Painter, 1);
  painter->puppet = puppet;
  painter->raster = raster_new(info->width, info->height);
  for (int k = 0; k < LAYERS; k++) {
    const Layer *layer = puppet->sheet[k].layer;
    if (!layer)
      continue;
    painter->position[k] = g_malloc_n((gsize)layer->vertices, sizeof **painter->position);
    if (puppet->shapes[k])
      painter->solver[k] = flat_solver_new(puppet->shapes[k]);
  }
  return painter;
}

void painter_free(Painter *painter) {
  if (!painter)
    return;
  for (int k = 0; k < LAYERS; k++) {
    g_free(painter->position[k]);
    flat_solver_free(painter->solver[k]);
  }
  raster_free(painter->raster);
  g_free(painter);
}

static void pose_sheets(Painter *painter, const Stance *stance) {
  const Puppet *puppet = painter->puppet;
  for (int k = 0; k < LAYERS; k++) {
    const Sheet *sheet = &puppet->sheet[k];
    if (!sheet->layer)
      continue;
    skin_pose(sheet->skin, stance, puppet->flat ? 0 : 1, painter->position[k]);
    if (painter->solver[k])
      flat_solve(painter->solver[k], stance, FLAT_ROUNDS, painter->position[k]);
  }
}

/* The list of passes while it grows. */
typedef struct {
  const Painter *painter;
  const Stance *stance;
  RasterPass pass[MAX_PASSES];
  RasterMesh mesh[MAX_PASSES];
  int count;
  guint8 rank[LAYERS];
} Order;

static void add(Order *order, LayerKind kind, const float *fade) {
  const Painter *painter = order->painter;
  const Sheet *sheet = &painter->puppet->sheet[kind];
  if (!sheet->layer || order->count >= MAX_PASSES)
    return;
  RasterMesh *mesh = &order->mesh[order->count];
  *mesh = (RasterMesh){sheet->texture,
                       sheet->triangles,
                       (const float(*)[3])painter->position[kind],
                       (const float(*)[2])sheet->layer->uv,
                       fade,
                       (const guint32(*)[3])sheet->triangle,
                       NULL,
                       NULL,
                       order->stance->scale};
  if (kind == LAYER_WHOLE)
    mesh->part = sheet->part, mesh->rank = order->rank;
  order->pass[order->count++] = (RasterPass){mesh, 1};
}

static void add_arm(Order *order, int side, gboolean again) {
  const float *fade = again ? order->painter->puppet->sheet[LAYER_LEFT_ARM + side].forearm : NULL;
  if (!order->stance->arm_toward[side])
    add(order, LAYER_LEFT_HAND + side, NULL);
  add(order, LAYER_LEFT_ARM + side, fade);
  if (order->stance->arm_toward[side])
    add(order, LAYER_LEFT_HAND + side, NULL);
}

/* The nearer of a pair comes last. */
static void add_arms(Order *order, gboolean behind) {
  for (int i = 0; i < 2; i++) {
    int side = order->stance->left_arm_over ? 1 - i : i;
    if ((order->stance->arm[side] == ARM_BEHIND_BODY) == behind)
      add_arm(order, side, FALSE);
  }
}

static void rank_parts(Order *order) {
  const Stance *s = order->stance;
  guint8 *rank = order->rank;
  rank[LAYER_LEFT_LEG] = s->left_leg_over ? 3 : 2, rank[LAYER_RIGHT_LEG] = s->left_leg_over ? 2 : 3;
  rank[LAYER_BODY] = rank[LAYER_WHOLE] = 4;
  rank[LAYER_HEAD] = 7;
  for (int side = 0; side < 2; side++) {
    gboolean over = s->left_arm_over == (side == 0);
    int arm = s->arm[side] == ARM_BEHIND_BODY ? 0 : s->arm[side] == ARM_BEFORE_FACE ? 8 : 5;
    rank[LAYER_LEFT_ARM + side] = rank[LAYER_LEFT_HAND + side] = (guint8)(arm + (over ? 1 : 0));
  }
}

static void list_passes(Order *order) {
  const Stance *stance = order->stance;
  if (order->painter->puppet->borrowed.body) {
    add(order, LAYER_BODY, order->painter->puppet->neck);
    add(order, LAYER_HEAD, order->painter->puppet->head);
    return;
  }
  rank_parts(order);
  add(order, LAYER_BACK, NULL);
  add(order, stance->left_leg_over ? LAYER_RIGHT_LEG : LAYER_LEFT_LEG, NULL);
  add(order, stance->left_leg_over ? LAYER_LEFT_LEG : LAYER_RIGHT_LEG, NULL);
  add_arms(order, TRUE);
  add(order, LAYER_BODY, NULL);
  add_arms(order, FALSE);
  add(order, LAYER_HEAD, NULL);
  for (int side = 0; side < 2; side++)
    if (stance->arm[side] == ARM_BEFORE_FACE)
      add_arm(order, side, TRUE);
  add(order, LAYER_WHOLE, NULL);
}

static void cast_shadows(const Rig *rig, const Stance *stance, PainterShadow shadow[2]) {
  float height = stance->scale * (rig->bottom - rig->top);
  float ankles = MAX(rig->figure.joint[JOINT_LEFT_ANKLE][1], rig->figure.joint[JOINT_RIGHT_ANKLE][1]);
  float sole =
      stance->scale * CLAMP(rig->bottom - ankles, 0.01f * rig->figure.height, 0.08f * rig->figure.height);
  for (int side = 0; side < 2; side++) {
    const float *ankle = stance->joint[JOINT_LEFT_ANKLE + side], *toe = stance->joint[JOINT_LEFT_TOE + side];
    shadow[side] = (PainterShadow){0.7f * ankle[0] + 0.3f * toe[0], ankle[1] + 0.88f * sole, 0.062f * height,
                                   1 - stance->lift[side]};
  }
}

gboolean painter_draw(Painter *painter, int frame, PainterBox *box) {
  const Puppet *puppet = painter->puppet;
  int index = frame - puppet->motion->first;
  if (index < 0 || index >= puppet->motion->count)
    return FALSE;
  const Stance *stance = &puppet->motion->stances[index];
  pose_sheets(painter, stance);
  Order order = {painter, stance};
  list_passes(&order);
  memset(box->shadow, 0, sizeof box->shadow);
  if (!puppet->borrowed.body && !puppet->borrowed.legs) /* else the performer's own shadow is there */
    cast_shadows(puppet->rig, stance, box->shadow);
  return raster_draw(painter->raster, order.pass, order.count, &box->picture);
}
