#include "puppet/cutout/alpha.h"

#include <math.h>

/* Shares of the figure's height. */
#define VEIL_HALF_WIDTH 0.0045f /* hair and edges are thinner */
#define ISLAND_GAP 0.01f
#define HOLE_AREA 0.00015f /* of the height squared */

#define ISLAND_AREA 0.0002f /* of the main piece */
#define GLOW_FROM 8.0f      /* 8-bit levels above the ground */
#define GLOW_TO 30.0f

static gsize plane_count(const Plane *plane) {
  return (gsize)plane->width * (gsize)plane->height;
}

void alpha_stretch(Plane *alpha) {
  for (gsize i = 0; i < plane_count(alpha); i++)
    alpha->v[i] = CLAMP((alpha->v[i] - 0.10f) / 0.82f, 0.0f, 1.0f);
}

static float luma(const guint8 *rgb) {
  return 0.2126f * rgb[0] + 0.7152f * rgb[1] + 0.0722f * rgb[2];
}

void alpha_resolve_veils(Plane *alpha, const Image *rgb, const Image *ground, float height) {
  gsize n = plane_count(alpha);
  float half = MAX(1.5f, VEIL_HALF_WIDTH * height);
  g_autoptr(Plane) veil = plane_new(alpha->width, alpha->height);
  g_autoptr(Plane) glow = plane_new(alpha->width, alpha->height);
  for (gsize i = 0; i < n; i++) {
    veil->v[i] = alpha->v[i] > 0.05f && alpha->v[i] < 0.95f;
    glow->v[i] = luma(rgb->pixels + i * 3) - luma(ground->pixels + i * 3);
  }
  plane_open(veil, half);
  plane_dilate(veil, half);
  plane_blur(veil, half / 2);
  plane_blur(glow, half);
  for (gsize i = 0; i < n; i++) {
    float change = veil->v[i] * (1 - smooth_step(GLOW_FROM, GLOW_TO, glow->v[i]));
    alpha->v[i] += change * (smooth_step(0.3f, 0.7f, alpha->v[i]) - alpha->v[i]);
  }
}

void alpha_drop_islands(Plane *alpha, float height) {
  gsize n = plane_count(alpha);
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  int count = plane_regions(alpha, 0.1f, labels, &sizes), main_piece = 0;
  for (int k = 1; k <= count; k++)
    if (main_piece == 0 || sizes[k] > sizes[main_piece])
      main_piece = k;
  if (main_piece == 0)
    return;
  g_autoptr(Plane) body = plane_new(alpha->width, alpha->height);
  for (gsize i = 0; i < n; i++)
    body->v[i] = labels[i] == main_piece;
  g_autoptr(Plane) distance = plane_distance(body, 0.5f, NULL);
  g_autofree guint8 *keep = g_new0(guint8, count + 1);
  for (gsize i = 0; i < n; i++)
    if (distance->v[i] <= ISLAND_GAP * height)
      keep[labels[i]] = (float)sizes[labels[i]] >= ISLAND_AREA * (float)sizes[main_piece];
  for (gsize i = 0; i < n; i++)
    if (!labels[i] ? distance->v[i] > ISLAND_GAP * height : !keep[labels[i]])
      alpha->v[i] = 0;
}

void alpha_close_holes(Plane *alpha, float height) {
  gsize n = plane_count(alpha);
  g_autoptr(Plane) clear = plane_new(alpha->width, alpha->height);
  for (gsize i = 0; i < n; i++)
    clear->v[i] = 1 - alpha->v[i];
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  plane_regions(clear, 0.1f, labels, &sizes);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && (float)sizes[labels[i]] < HOLE_AREA * height * height)
      alpha->v[i] = 1;
}
