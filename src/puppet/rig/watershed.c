/* The queue has one first-in-first-out list per level of the gradient; a pixel enters it once, so the lists
 * are one array of successors. First-in-first-out makes regions meet half way on plateaus. */
#include "puppet/rig/watershed.h"
#include <math.h>
#include <string.h>

#define LEVELS 256

typedef struct {
  int *next, first[LEVELS], last[LEVELS], level;
} Queue;

static void queue_push(Queue *queue, int pixel, int level) {
  level = MAX(level, queue->level);
  queue->next[pixel] = -1;
  if (queue->first[level] < 0)
    queue->first[level] = pixel;
  else
    queue->next[queue->last[level]] = pixel;
  queue->last[level] = pixel;
}

static int queue_pop(Queue *queue) {
  while (queue->level < LEVELS && queue->first[queue->level] < 0)
    queue->level++;
  if (queue->level == LEVELS)
    return -1;
  int pixel = queue->first[queue->level];
  queue->first[queue->level] = queue->next[pixel];
  return pixel;
}

static float percentile_inside(const Plane *plane, const Plane *alpha, float share) {
  int count[1024] = {0}, n = plane->width * plane->height, inside = 0, seen = 0;
  float most = 1e-6f;
  for (int i = 0; i < n; i++)
    if (alpha->v[i] > 0.5f)
      most = MAX(most, plane->v[i]);
  for (int i = 0; i < n; i++)
    if (alpha->v[i] > 0.5f) {
      count[(int)(plane->v[i] / most * 1023)]++;
      inside++;
    }
  for (int i = 0; i < 1024; i++)
    if ((seen += count[i]) >= share * (float)inside)
      return most * (float)(i + 1) / 1024;
  return most;
}

Plane *watershed_gradient(Plane *const lab[3], const Plane *alpha, float sigma) {
  int w = alpha->width, h = alpha->height;
  Plane *gradient = plane_new(w, h);
  for (int c = 0; c < 3; c++) {
    g_autoptr(Plane) smooth = plane_copy(lab[c]);
    plane_blur(smooth, sigma);
    for (int y = 0; y < h; y++)
      for (int x = 0; x < w; x++) {
        float dx = *plane_at(smooth, MIN(x + 1, w - 1), y) - *plane_at(smooth, MAX(x - 1, 0), y);
        float dy = *plane_at(smooth, x, MIN(y + 1, h - 1)) - *plane_at(smooth, x, MAX(y - 1, 0));
        *plane_at(gradient, x, y) += dx * dx + dy * dy;
      }
  }
  for (int i = 0; i < w * h; i++)
    gradient->v[i] = sqrtf(gradient->v[i]);
  float scale = 1 / percentile_inside(gradient, alpha, 0.95f);
  for (int i = 0; i < w * h; i++)
    gradient->v[i] *= scale;
  return gradient;
}

static void adopt_islands(const Plane *alpha, float floor, guint8 *label) {
  int n = alpha->width * alpha->height;
  g_autoptr(Plane) known = plane_new(alpha->width, alpha->height);
  g_autofree int *nearest = g_new(int, n);
  for (int i = 0; i < n; i++)
    known->v[i] = label[i] != 0;
  plane_free(plane_distance(known, 0.5f, nearest));
  for (int i = 0; i < n; i++)
    if (!label[i] && alpha->v[i] > floor && nearest[i] >= 0)
      label[i] = label[nearest[i]];
}

void watershed_flood(const Plane *gradient, const Plane *alpha, float floor, guint8 *label) {
  int w = alpha->width, h = alpha->height, pixel;
  g_autofree int *next = g_new(int, (gsize)w *(gsize)h);
  g_autofree guint8 *queued = g_new0(guint8, (gsize)w * (gsize)h);
  Queue queue = {.next = next};
  memset(queue.first, -1, sizeof queue.first);
  for (int i = 0; i < w * h; i++) {
    if (!(alpha->v[i] > floor))
      label[i] = 0;
    if (label[i]) {
      queued[i] = 1;
      queue_push(&queue, i, 0);
    }
  }
  while ((pixel = queue_pop(&queue)) >= 0) {
    int x = pixel % w, y = pixel / w;
    int around[4] = {x > 0 ? pixel - 1 : -1, x < w - 1 ? pixel + 1 : -1, y > 0 ? pixel - w : -1,
                     y < h - 1 ? pixel + w : -1};
    for (int k = 0; k < 4; k++) {
      int other = around[k];
      if (other < 0 || queued[other] || !(alpha->v[other] > floor))
        continue;
      queued[other] = 1;
      label[other] = label[pixel];
      queue_push(&queue, other, (int)CLAMP(gradient->v[other] * (LEVELS / 2), 0, LEVELS - 1));
    }
  }
  adopt_islands(alpha, floor, label);
}
