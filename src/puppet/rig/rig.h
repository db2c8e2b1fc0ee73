/* The rig: a cutout made movable. Layers of textured, weighted meshes over one skeleton.
 *
 * Rest pose is the picture itself: x and y in picture pixels, z the relief in the same unit, positive toward the
 * camera, 0 at the silhouette. */
#pragma once
#include "base/fault.h"
#include "base/image.h"
#include "puppet/figure/figure.h"

typedef enum {
  BONE_PELVIS, BONE_CHEST, BONE_HEAD,
  BONE_LEFT_UPPER_ARM, BONE_RIGHT_UPPER_ARM, BONE_LEFT_FOREARM, BONE_RIGHT_FOREARM, BONE_LEFT_HAND, BONE_RIGHT_HAND,
  BONE_LEFT_THIGH, BONE_RIGHT_THIGH, BONE_LEFT_SHIN, BONE_RIGHT_SHIN, BONE_LEFT_FOOT, BONE_RIGHT_FOOT,
  BONES
} Bone;

/* The bone's joints: it turns about the first and points to the second. */
extern const guint8 bone_joints[BONES][2];
extern const gint8 bone_parent[BONES]; /* -1 for the pelvis */

typedef enum {
  LAYER_LEFT_LEG, LAYER_RIGHT_LEG, LAYER_BODY, LAYER_LEFT_ARM, LAYER_RIGHT_ARM, LAYER_HEAD,
  LAYER_LEFT_HAND, LAYER_RIGHT_HAND, /* drawn hands, where the picture shows none */
  LAYER_WHOLE,                       /* a drawing in one mesh: the order of drawing goes by triangle, see part */
  LAYER_BACK,                        /* the far side of a skirt, behind the legs: drawn first */
  LAYERS
} LayerKind;

typedef struct {
  LayerKind kind;
  int vertices, triangles;
  float (*rest)[3];      /* [vertices] picture pixels; z is 0 everywhere in the flat model's use */
  float (*uv)[2];        /* [vertices] texture pixels, continuous */
  guint8 (*bone)[4];     /* [vertices] */
  float (*weight)[4];    /* [vertices] sum 1 */
  guint32 (*triangle)[3];
  guint8 *part;          /* [triangles] LayerKind that this triangle belongs to for the order of drawing */
  Image *texture;        /* RGBA premultiplied sRGB */
} Layer;

typedef struct {
  int width, height;          /* of the picture */
  Figure figure;              /* of a hidden hand: the wrist lies just inside the cuff, the hand is the drawn one's */
  float radius[BONES];        /* half width of the limb in pixels; of the head: its radius; 0 where it has no meaning */
  gboolean drawn;             /* a drawing: one mesh, no relief */
  gboolean skirt;             /* legs are layers of their own, behind the body */
  gboolean hand_hidden[2];    /* left, right: not in the picture, a drawn hand layer replaces it */
  float top, bottom, left, right; /* extent of the opaque cutout in picture pixels */
  GPtrArray *layers;          /* Layer *, in rest order of drawing, back to front */
} Rig;

void rig_free(Rig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

/* cutout: RGBA straight alpha. Everything else is decided from the picture: hidden hands, skirt, long hair. At rest the layers
 * make up the cutout again, drawn hands apart. FAULT_NOBODY when the cutout is empty, FAULT_INPUT when joints are no places. */
Rig *rig_build(const Image *cutout, const Figure *figure, GError **error);

/* rig.safetensors; textures lie in it as u8 tensors. Loading checks every index and size: FAULT_INPUT. */
gboolean rig_save(const Rig *rig, const char *path, GError **error);
Rig *rig_load(const char *path, GError **error);
