/* What a layer keeps of the picture and where it is painted is decided in hidden.c, at the working scale.
 * Here the texture at full resolution mixes both by the masks' soft edges and takes the cutout's alpha, so
 * that the layers never reach beyond the silhouette. */
#include "puppet/rig/layers.h"
#include "puppet/rig/fill.h"
#include "puppet/rig/hidden.h"
#include <math.h>

void cut_free(Cut *cut) {
  if (!cut)
    return;
  image_free(cut->texture);
  g_free(cut);
}

static void soften(Plane *mask, float sigma) {
  plane_blur(mask, sigma);
  for (int i = 0; i < mask->width * mask->height; i++)
    mask->v[i] = CLAMP((mask->v[i] - 0.5f) * 2 + 0.5f, 0, 1);
}

/* A flower on a lapel or a button must not be smeared along an arm: what is far from the mean of its
 * surroundings, and much farther than they are, is not continued. */
static void forget_ornaments(const Parts *parts, Plane *known) {
  int n = known->width * known->height;
  float reach = 0.04f * parts->unit;
  g_autoptr(Plane) weight = plane_copy(known), off = plane_new(known->width, known->height);
  plane_blur(weight, reach);
  for (int c = 0; c < 3; c++) {
    g_autoptr(Plane) mean = plane_copy(parts->lab[c]);
    for (int i = 0; i < n; i++)
      mean->v[i] *= known->v[i];
    plane_blur(mean, reach);
    for (int i = 0; i < n; i++)
      if (known->v[i] > 0) {
        float d = parts->lab[c]->v[i] - mean->v[i] / MAX(1e-4f, weight->v[i]);
        off->v[i] += d * d;
      }
  }
  for (int i = 0; i < n; i++)
    off->v[i] = sqrtf(off->v[i]);
  g_autoptr(Plane) usual = plane_copy(off), ornament = plane_new(known->width, known->height);
  plane_blur(usual, reach);
  for (int i = 0; i < n; i++)
    ornament->v[i] = known->v[i] > 0 && off->v[i] > MAX(25, 1.4f * usual->v[i] / MAX(1e-4f, weight->v[i]));
  plane_dilate(ornament, 0.008f * parts->unit); /* its soft edge as well */
  for (int i = 0; i < n; i++)
    if (ornament->v[i] > 0.5f)
      known->v[i] = 0;
}

/* The layer's colours everywhere near it: the pixels that it shows, away from other parts (whose shadows lie
 * beside them), continued. A bare shoulder that the torso keeps of the arm is continued as skin. sheer: a
 * fourth plane of alpha is continued likewise. */
static void paint(const Cutting *cutting, Part part, const Plane *keep, gboolean sheer, Plane *colour[4]) {
  const Parts *parts = cutting->parts;
  float margin = (sheer ? 0.025f : part == PART_TORSO ? 0.016f : 0.009f) * parts->unit;
  g_autoptr(Plane) foreign = plane_new(parts->width, parts->height),
                   known = plane_new(parts->width, parts->height);
  for (int i = 0; i < cutting->n; i++)
    foreign->v[i] = parts->label[i] != PART_NONE && parts->label[i] != part && keep->v[i] < 0.5f;
  g_autoptr(Plane) distance = plane_distance(foreign, 0.5f, NULL);
  for (int i = 0; i < cutting->n; i++) {
    float y = (float)(i / parts->width) + 0.5f;
    float apart = parts->label[i] == part ? margin : keep->v[i] > 0.5f ? 0.3f * margin : G_MAXFLOAT;
    known->v[i] = distance->v[i] > apart &&
                  parts->alpha->v[i] > (sheer ? 0.3f : 0.8f) &&
                  (!sheer || y > MIN(parts->leg_hem[0], parts->leg_hem[1]) + 0.03f * parts->unit);
  }
  g_autoptr(Plane) all = plane_copy(known);
  if (!sheer)
    forget_ornaments(parts, known);
  for (int i = 0; i < cutting->n; i++)
    if (parts->label[i] != part)
      known->v[i] = all->v[i];
  int w = MAX(1, parts->width / 2), h = MAX(1, parts->height / 2);
  g_autoptr(Plane) share = plane_resize(known, w, h);
  Plane *small[4] = {NULL};
  for (int c = 0; c < (sheer ? 4 : 3); c++) {
    g_autoptr(Plane) full = plane_from_image(parts->picture, c);
    for (int i = 0; i < cutting->n; i++)
      full->v[i] *= known->v[i];
    small[c] = plane_resize(full, w, h);
    for (int i = 0; i < w * h; i++)
      small[c]->v[i] = share->v[i] >= 0.5f ? small[c]->v[i] / share->v[i] : 0;
  }
  fill_unknown(small, sheer ? 4 : 3, share, sheer ? 0 : 0.2f);
  for (int c = 0; c < 4 && small[c]; c++) {
    colour[c] = plane_resize(small[c], parts->width, parts->height);
    plane_free(small[c]);
  }
}

static gboolean mask_box(const Plane *mask, int box[4]) {
  box[0] = box[1] = G_MAXINT;
  box[2] = box[3] = -1;
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*plane_at(mask, x, y) > 0) {
        box[0] = MIN(box[0], x);
        box[1] = MIN(box[1], y);
        box[2] = MAX(box[2], x);
        box[3] = MAX(box[3], y);
      }
  return box[2] >= 0;
}

/* keep and all are soft; colour is what hidden places show; its fourth plane, where there is one, their
 * alpha. */
static Cut *cut_picture(const Cutting *cutting, const Image *cutout, LayerKind kind, const Plane *keep,
                        const Plane *all, const Plane *shade, Plane *const colour[4]) {
  const Parts *parts = cutting->parts;
  int box[4];
  if (!mask_box(all, box))
    return NULL;
  float grow = 1 / parts->scale;
  int x0 = MAX(0, parts->left + (int)floorf((float)(box[0] - 1) * grow)),
      x1 = MIN(cutout->width, parts->left + (int)ceilf((float)(box[2] + 2) * grow));
  int y0 = MAX(0, parts->top + (int)floorf((float)(box[1] - 1) * grow)),
      y1 = MIN(cutout->height, parts->top + (int)ceilf((float)(box[3] + 2) * grow));
  if (x1 <= x0 || y1 <= y0)
    return NULL;
  Cut *cut = g_new0(Cut, 1);
  *cut = (Cut){kind, x0, y0, image_new(x1 - x0, y1 - y0, 4)};
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      const guint8 *from = image_at(cutout, x, y);
      if (!from[3])
        continue;
      float wx = ((float)(x - parts->left) + 0.5f) * parts->scale - 0.5f,
            wy = ((float)(y - parts->top) + 0.5f) * parts->scale - 0.5f;
      float cover = plane_sample(all, wx, wy);
      if (cover <= 0)
        continue;
      float own = MIN(1, plane_sample(keep, wx, wy) / cover), alpha = cover * (float)from[3] / 255;
      if (colour[3])
        alpha *= own + (1 - own) * plane_sample(colour[3], wx, wy);
      guint8 *to = image_at(cut->texture, x - x0, y - y0);
      float dark = own < 1 ? plane_sample(shade, wx, wy) : 1;
      for (int c = 0; c < 3; c++) {
        float value = (float)from[c];
        if (own < 1)
          value = own * value + (1 - own) * 255 * dark * plane_sample(colour[c], wx, wy);
        to[c] = (guint8)CLAMP(value * alpha + 0.5f, 0, 255);
      }
      to[3] = (guint8)(alpha * 255 + 0.5f);
    }
  return cut;
}

static Cut *finish(const Cutting *cutting, const Image *cutout, LayerKind kind, Part part, Masks *masks) {
  const Parts *parts = cutting->parts;
  Plane *colour[4] = {NULL};
  gboolean any = FALSE;
  g_autoptr(Plane) all = plane_new(parts->width, parts->height);
  for (int i = 0; i < cutting->n; i++)
    any |= (all->v[i] = MAX(masks->keep->v[i], masks->hidden->v[i])) > 0;
  if (!any)
    return NULL;
  paint(cutting, part, masks->keep, kind == LAYER_BACK, colour);
  soften(masks->keep, 0.0018f * parts->unit);
  soften(all, 0.0018f * parts->unit);
  Cut *cut = cut_picture(cutting, cutout, kind, masks->keep, all, masks->shade, colour);
  for (int c = 0; c < 4; c++)
    plane_free(colour[c]);
  return cut;
}
static gboolean is_shown(const Cutting *cutting, Part part) {
  int count = 0;
  for (int i = 0; i < cutting->n; i++)
    count += cutting->parts->label[i] == part && cutting->parts->alpha->v[i] > 0.5f;
  return (float)count > 2e-4f * cutting->parts->unit * cutting->parts->unit;
}
GPtrArray *layers_cut(const Parts *parts, const Image *cutout) {
  static const struct {
    LayerKind kind;
    Part part;
  } order[] = {{LAYER_LEFT_LEG, PART_LEFT_LEG}, {LAYER_RIGHT_LEG, PART_RIGHT_LEG}, {LAYER_BODY, PART_TORSO},
               {LAYER_LEFT_ARM, PART_LEFT_ARM}, {LAYER_RIGHT_ARM, PART_RIGHT_ARM}, {LAYER_HEAD, PART_HEAD}};
  Cutting cutting;
  GPtrArray *cuts = g_ptr_array_new_with_free_func((GDestroyNotify)cut_free);
  cutting_prepare(&cutting, parts);
  g_autoptr(Masks) far_side = parts->skirt ? masks_of_back(&cutting) : NULL;
  Cut *back = far_side ? finish(&cutting, cutout, LAYER_BACK, PART_TORSO, far_side) : NULL;
  if (back)
    g_ptr_array_add(cuts, back);
  for (gsize i = 0; i < G_N_ELEMENTS(order); i++) {
    if (!is_shown(&cutting, order[i].part))
      continue;
    g_autoptr(Masks) masks = masks_of_part(&cutting, order[i].part);
    Cut *cut = finish(&cutting, cutout, order[i].kind, order[i].part, masks);
    if (cut)
      g_ptr_array_add(cuts, cut);
  }
  cutting_clear(&cutting);
  return cuts;
}
