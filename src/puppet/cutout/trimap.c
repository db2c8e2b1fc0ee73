#include "puppet/cutout/trimap.h"

#include "puppet/cutout/matte.h"

#include <math.h>
#include <string.h>

#define CERTAIN 0.9f /* of the mask's largest value */
#define POSSIBLE 0.1f
#define CORE 0.7f /* of the depth that a thin limb reaches nearby: its middle */

/* Largest value within a square, in place: rows, then columns. */
static void spread_maximum(Plane *plane, int radius) {
  int w = plane->width, h = plane->height;
  g_autoptr(Plane) rows = plane_new(w, h);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float most = 0;
      for (int k = MAX(0, x - radius); k <= MIN(w - 1, x + radius); k++)
        most = MAX(most, *plane_at(plane, k, y));
      *plane_at(rows, x, y) = most;
    }
  for (int y = 0; y < h; y++) {
    float *to = plane_at(plane, 0, y);
    memcpy(to, plane_at(rows, 0, y), sizeof *to * (gsize)w);
    for (int k = MAX(0, y - radius); k <= MIN(h - 1, y + radius); k++) {
      const float *from = plane_at(rows, 0, k);
      for (int x = 0; x < w; x++)
        to[x] = MAX(to[x], from[x]);
    }
  }
}

Plane *trimap_new(const Plane *mask, const TrimapMargins *margins, const TrimapHead *head) {
  gsize n = (gsize)mask->width * (gsize)mask->height;
  float most = 0;
  for (gsize i = 0; i < n; i++)
    most = MAX(most, mask->v[i]);
  float certain = CERTAIN * most;
  g_autoptr(Plane) uncertain = plane_new(mask->width, mask->height);
  for (gsize i = 0; i < n; i++)
    uncertain->v[i] = mask->v[i] > certain ? 0 : 1;
  g_autoptr(Plane) depth = plane_distance(uncertain, 0.5f, NULL);
  g_autoptr(Plane) beyond = plane_distance(mask, POSSIBLE, NULL);
  int reach = MAX(1, (int)lroundf(margins->inner));
  g_autoptr(Plane) deepest = plane_copy(depth);
  for (gsize i = 0; i < n; i++)
    deepest->v[i] = MIN(deepest->v[i], 4 * margins->inner);
  spread_maximum(deepest, reach);
  Plane *trimap = plane_new(mask->width, mask->height);
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++) {
      gsize i = (gsize)y * (gsize)mask->width + (gsize)x;
      gboolean near_head = hypotf((float)x - head->x, (float)y - head->y) < head->radius;
      float inner = near_head ? margins->head_inner : margins->inner;
      float outer = near_head ? margins->head_outer : margins->outer;
      float enough = MIN(inner, MAX(CORE * deepest->v[i], 0.5f * margins->inner));
      trimap->v[i] = depth->v[i] > enough   ? 1
                     : beyond->v[i] > outer ? 0
                                            : CLAMP(mask->v[i], MATTE_OPEN, 1 - MATTE_OPEN);
    }
  return trimap;
}
