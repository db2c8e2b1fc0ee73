/* The membrane is a pyramid: known colours are averaged downwards by weight, holes take the coarser level on
 * the way up (Gortler et al., The Lumigraph, 1996, "pull-push"). One smoothing pass per level removes the
 * blocks. */
#include "puppet/fill.h"

static Plane *half(const Plane *plane) {
  return plane_resize(plane, MAX(1, plane->width / 2), MAX(1, plane->height / 2));
}

/* colours are multiplied by weight; on return they are divided and defined wherever anything was known. */
static void pull_push(Plane *colour[3], Plane *weight) {
  int n = weight->width * weight->height;
  if (weight->width > 2 && weight->height > 2) {
    Plane *coarse[3];
    g_autoptr(Plane) mean = half(weight), coarse_weight = plane_copy(mean);
    /* One known pixel in four is enough to be sure: what is near counts, not what is much. */
    int m = mean->width * mean->height;
    for (int i = 0; i < m; i++)
      coarse_weight->v[i] = MIN(1, 4 * mean->v[i]);
    for (int c = 0; c < 3; c++) {
      coarse[c] = half(colour[c]);
      for (int i = 0; i < m; i++)
        coarse[c]->v[i] *= mean->v[i] > 0 ? coarse_weight->v[i] / mean->v[i] : 0;
    }
    pull_push(coarse, coarse_weight);
    for (int c = 0; c < 3; c++) {
      g_autoptr(Plane) fine = plane_resize(coarse[c], weight->width, weight->height);
      plane_free(coarse[c]);
      for (int i = 0; i < n; i++) {
        float w = MIN(1, weight->v[i]);
        colour[c]->v[i] = (weight->v[i] > 0 ? colour[c]->v[i] / weight->v[i] * w : 0) + (1 - w) * fine->v[i];
      }
    }
    return;
  }
  double sum[4] = {0};
  for (int i = 0; i < n; i++) {
    sum[3] += weight->v[i];
    for (int c = 0; c < 3; c++)
      sum[c] += colour[c]->v[i];
  }
  for (int i = 0; i < n; i++)
    for (int c = 0; c < 3; c++)
      colour[c]->v[i] = sum[3] > 0 ? (float)(sum[c] / sum[3]) : 0;
}

void fill_unknown(Plane *colour[3], const Plane *known, float texture_share) {
  int w = known->width, n = w * known->height;
  g_autofree int *nearest = g_new(int, n);
  plane_free(plane_distance(known, 0.5f, nearest));
  if (!n || nearest[0] < 0)
    return;
  Plane *smooth[3];
  g_autoptr(Plane) weight = plane_copy(known);
  for (int i = 0; i < n; i++)
    weight->v[i] = known->v[i] >= 0.5f;
  for (int c = 0; c < 3; c++) {
    smooth[c] = plane_new(w, known->height);
    for (int i = 0; i < n; i++)
      smooth[c]->v[i] = colour[c]->v[i] * weight->v[i];
  }
  pull_push(smooth, weight);
  for (int c = 0; c < 3; c++) {
    g_autoptr(Plane) copied = plane_new(w, known->height);
    for (int i = 0; i < n; i++)
      copied->v[i] = colour[c]->v[nearest[i]];
    plane_blur(copied, 2);
    for (int i = 0; i < n; i++)
      if (known->v[i] < 0.5f)
        colour[c]->v[i] = (1 - texture_share) * smooth[c]->v[i] + texture_share * copied->v[i];
    plane_free(smooth[c]);
  }
}
