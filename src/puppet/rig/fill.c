/* The membrane is a pyramid: known colours are averaged downwards by weight, holes take the coarser level on
 * the way up (Gortler et al., The Lumigraph, 1996, "pull-push"). One smoothing pass per level removes the
 * blocks. */
#include "puppet/rig/fill.h"

#define PLANES_MAX 4

static Plane *half(const Plane *plane) {
  return plane_resize(plane, MAX(1, plane->width / 2), MAX(1, plane->height / 2));
}

/* colours are multiplied by weight; on return they are divided and defined wherever anything was known. */
static void pull_push(Plane **colour, int planes, Plane *weight) {
  int n = weight->width * weight->height;
  if (weight->width > 2 && weight->height > 2) {
    Plane *coarse[PLANES_MAX];
    g_autoptr(Plane) mean = half(weight), coarse_weight = plane_copy(mean);
    /* One known pixel in four is enough to be sure: what is near counts, not what is much. */
    int m = mean->width * mean->height;
    for (int i = 0; i < m; i++)
      coarse_weight->v[i] = MIN(1, 4 * mean->v[i]);
    for (int c = 0; c < planes; c++) {
      coarse[c] = half(colour[c]);
      for (int i = 0; i < m; i++)
        coarse[c]->v[i] *= mean->v[i] > 0 ? coarse_weight->v[i] / mean->v[i] : 0;
    }
    pull_push(coarse, planes, coarse_weight);
    for (int c = 0; c < planes; c++) {
      g_autoptr(Plane) fine = plane_resize(coarse[c], weight->width, weight->height);
      plane_free(coarse[c]);
      for (int i = 0; i < n; i++) {
        float w = MIN(1, weight->v[i]);
        colour[c]->v[i] = (weight->v[i] > 0 ? colour[c]->v[i] / weight->v[i] * w : 0) + (1 - w) * fine->v[i];
      }
    }
    return;
  }
  double sum[PLANES_MAX] = {0}, total = 0;
  for (int i = 0; i < n; i++) {
    total += weight->v[i];
    for (int c = 0; c < planes; c++)
      sum[c] += colour[c]->v[i];
  }
  for (int i = 0; i < n; i++)
    for (int c = 0; c < planes; c++)
      colour[c]->v[i] = total > 0 ? (float)(sum[c] / total) : 0;
}

void fill_unknown(Plane **colour, int planes, const Plane *known, float texture_share) {
  g_assert(planes <= PLANES_MAX);
  int w = known->width, n = w * known->height;
  g_autofree int *nearest = g_new(int, n);
  plane_free(plane_distance(known, 0.5f, nearest));
  if (!n || nearest[0] < 0)
    return;
  Plane *smooth[PLANES_MAX];
  g_autoptr(Plane) weight = plane_copy(known);
  for (int i = 0; i < n; i++)
    weight->v[i] = known->v[i] >= 0.5f;
  for (int c = 0; c < planes; c++) {
    smooth[c] = plane_new(w, known->height);
    for (int i = 0; i < n; i++)
      smooth[c]->v[i] = colour[c]->v[i] * weight->v[i];
  }
  pull_push(smooth, planes, weight);
  for (int c = 0; c < planes; c++) {
    g_autoptr(Plane) copied = plane_new(w, known->height);
    for (int i = 0; i < n; i++)
      copied->v[i] = colour[c]->v[nearest[i]];
    plane_blur(copied, 3);
    for (int i = 0; i < n; i++)
      if (known->v[i] < 0.5f)
        colour[c]->v[i] = (1 - texture_share) * smooth[c]->v[i] + texture_share * copied->v[i];
    plane_free(smooth[c]);
  }
}
