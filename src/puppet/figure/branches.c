/* The root is the deepest point near the shape's centre of gravity. One Dijkstra gives lengths, a second one,
 * in which a step is dearer the nearer it is to the edge, gives the paths; both are done once, the branches
 * only read them off. */
#include "puppet/figure/branches.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CENTRING 2.0f   /* power of the depth that makes a step cheap */
#define COVER 1.25f     /* a path covers this many times its depth */
#define COVER_MORE 2.0f /* and so many pixels */

typedef struct {
  float cost;
  int pixel;
} Entry;

typedef struct {
  Entry *entries;
  int n, capacity;
} Heap;

static void heap_push(Heap *heap, float cost, int pixel) {
  if (heap->n == heap->capacity) {
    heap->capacity = MAX(256, 2 * heap->capacity);
    heap->entries = g_renew(Entry, heap->entries, heap->capacity);
  }
  int i = heap->n++;
  while (i > 0 && heap->entries[(i - 1) / 2].cost > cost) {
    heap->entries[i] = heap->entries[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  heap->entries[i] = (Entry){cost, pixel};
}

static Entry heap_pop(Heap *heap) {
  Entry top = heap->entries[0], last = heap->entries[--heap->n];
  int i = 0;
  for (;;) {
    int child = 2 * i + 1;
    if (child >= heap->n)
      break;
    if (child + 1 < heap->n && heap->entries[child + 1].cost < heap->entries[child].cost)
      child++;
    if (heap->entries[child].cost >= last.cost)
      break;
    heap->entries[i] = heap->entries[child];
    i = child;
  }
  heap->entries[i] = last;
  return top;
}

/* Shortest paths from one pixel inside the mask. depth NULL: plain length. */
static void dijkstra(const Plane *mask, const Plane *depth, int from, float *cost, int *previous) {
  int w = mask->width;
  gsize n = (gsize)w * (gsize)mask->height;
  static const int dx[8] = {1, -1, 0, 0, 1, 1, -1, -1}, dy[8] = {0, 0, 1, -1, 1, -1, 1, -1};
  for (gsize i = 0; i < n; i++)
    cost[i] = G_MAXFLOAT;
  Heap heap = {0};
  cost[from] = 0;
  if (previous)
    previous[from] = -1;
  heap_push(&heap, 0, from);
  while (heap.n) {
    Entry entry = heap_pop(&heap);
    if (entry.cost > cost[entry.pixel])
      continue;
    for (int k = 0; k < 8; k++) { /* the empty margin keeps neighbours inside the plane */
      int next = entry.pixel + dy[k] * w + dx[k];
      if (mask->v[next] < 0.5f)
        continue;
      float step = k < 4 ? 1.0f : (float)G_SQRT2;
      if (depth)
        step *= 1.0f / powf(depth->v[next] + 0.5f, CENTRING);
      if (entry.cost + step >= cost[next])
        continue;
      cost[next] = entry.cost + step;
      if (previous)
        previous[next] = entry.pixel;
      heap_push(&heap, cost[next], next);
    }
  }
  g_free(heap.entries);
}

static int find_root(const Plane *mask, const Plane *depth) {
  int w = mask->width, h = mask->height, best = -1;
  double sx = 0, sy = 0, n = 0;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      if (*plane_at(mask, x, y) >= 0.5f)
        sx += x, sy += y, n++;
  sx /= n, sy /= n;
  float best_score = -G_MAXFLOAT;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      if (*plane_at(mask, x, y) < 0.5f)
        continue;
      float score = *plane_at(depth, x, y) - (float)hypot(x - sx, y - sy);
      if (score > best_score)
        best_score = score, best = y * w + x;
    }
  return best;
}

typedef struct {
  const Plane *mask, *depth;
  const int *previous; /* toward the root, by pixel */
  const float *length; /* geodesic, by pixel */
  int *node_of;        /* by pixel, -1 where there is none */
  guint8 *done;        /* by pixel */
  Branches *branches;
  int capacity;
} Growth;

static int add_node(Growth *growth, int pixel, int parent) {
  Branches *b = growth->branches;
  if (b->nodes == growth->capacity) {
    growth->capacity = MAX(1024, 2 * growth->capacity);
    b->at = g_realloc(b->at, (gsize)growth->capacity * sizeof *b->at);
    b->radius = g_renew(float, b->radius, growth->capacity);
    b->parent = g_renew(int, b->parent, growth->capacity);
    b->depth = g_renew(int, b->depth, growth->capacity);
    b->distance = g_renew(float, b->distance, growth->capacity);
  }
  int i = b->nodes++, w = growth->mask->width;
  b->at[i][0] = (float)(pixel % w), b->at[i][1] = (float)(pixel / w);
  b->radius[i] = growth->depth->v[pixel];
  b->parent[i] = parent;
  b->depth[i] = parent < 0 ? 0 : b->depth[parent] + 1;
  b->distance[i] = parent < 0 ? 0
                              : b->distance[parent] +
                                    hypotf(b->at[i][0] - b->at[parent][0], b->at[i][1] - b->at[parent][1]);
  growth->node_of[pixel] = i;
  return i;
}

static void cover(Growth *growth, int node) {
  const Branches *b = growth->branches;
  int w = growth->mask->width, h = growth->mask->height;
  float reach = COVER * b->radius[node] + COVER_MORE;
  int x0 = MAX(0, (int)(b->at[node][0] - reach)), x1 = MIN(w - 1, (int)(b->at[node][0] + reach));
  int y0 = MAX(0, (int)(b->at[node][1] - reach)), y1 = MIN(h - 1, (int)(b->at[node][1] + reach));
  for (int y = y0; y <= y1; y++)
    for (int x = x0; x <= x1; x++)
      if (hypotf((float)x - b->at[node][0], (float)y - b->at[node][1]) <= reach)
        growth->done[y * w + x] = 1;
}

/* The path from a pixel to the tree becomes a branch. */
static Tip add_branch(Growth *growth, int pixel) {
  g_autoptr(GArray) path = g_array_new(FALSE, FALSE, sizeof(int));
  int at = pixel;
  while (growth->node_of[at] < 0) {
    g_array_append_val(path, at);
    at = growth->previous[at];
  }
  int join = growth->node_of[at], node = join;
  for (int i = (int)path->len - 1; i >= 0; i--) {
    node = add_node(growth, g_array_index(path, int, i), node);
    cover(growth, node);
  }
  const Branches *b = growth->branches;
  float length = b->distance[node] - b->distance[join];
  return (Tip){node, join, length, length - b->radius[join]};
}

static int longer_first(const void *a, const void *b) {
  float x = ((const Tip *)a)->protrude, y = ((const Tip *)b)->protrude;
  return (x < y) - (x > y);
}

Branches *branches_new(const Plane *mask, const Plane *depth, float least) {
  gsize n = (gsize)mask->width * (gsize)mask->height;
  g_autofree float *length = g_new(float, n), *cost = g_new(float, n);
  g_autofree int *previous = g_new(int, n), *node_of = g_new(int, n);
  g_autofree guint8 *done = g_new0(guint8, n);
  for (gsize i = 0; i < n; i++)
    node_of[i] = -1;
  int root = find_root(mask, depth);
  g_assert(root >= 0);
  dijkstra(mask, NULL, root, length, NULL);
  dijkstra(mask, depth, root, cost, previous);

  Branches *b = g_new0(Branches, 1);
  Growth growth = {mask, depth, previous, length, node_of, done, b, 0};
  b->tip = g_new0(Tip, BRANCHES_MAX_TIPS);
  cover(&growth, add_node(&growth, root, -1));
  for (int tries = 0; tries < 4 * BRANCHES_MAX_TIPS && b->tips < BRANCHES_MAX_TIPS; tries++) {
    int farthest = -1;
    for (gsize i = 0; i < n; i++)
      if (!done[i] && length[i] < G_MAXFLOAT && (farthest < 0 || length[i] > length[farthest]))
        farthest = (int)i;
    if (farthest < 0)
      break;
    done[farthest] = 1;
    Tip tip = add_branch(&growth, farthest);
    if (tip.protrude >= least)
      b->tip[b->tips++] = tip;
  }
  qsort(b->tip, (gsize)b->tips, sizeof *b->tip, longer_first);
  return b;
}

void branches_free(Branches *b) {
  if (!b)
    return;
  g_free(b->at);
  g_free(b->radius);
  g_free(b->parent);
  g_free(b->depth);
  g_free(b->distance);
  g_free(b->tip);
  g_free(b);
}

int branches_meet(const Branches *b, int i, int j) {
  while (i != j) {
    if (b->depth[i] >= b->depth[j])
      i = b->parent[i];
    else
      j = b->parent[j];
  }
  return i;
}

int branches_median(const Branches *b, int i, int j, int k) {
  int ij = branches_meet(b, i, j), jk = branches_meet(b, j, k), ik = branches_meet(b, i, k);
  int deepest = b->depth[ij] >= b->depth[jk] ? ij : jk;
  return b->depth[deepest] >= b->depth[ik] ? deepest : ik;
}

float branches_between(const Branches *b, int i, int j) {
  return b->distance[i] + b->distance[j] - 2 * b->distance[branches_meet(b, i, j)];
}

int *branches_path(const Branches *b, int i, int j, int *count) {
  int meet = branches_meet(b, i, j), n = b->depth[i] + b->depth[j] - 2 * b->depth[meet] + 1;
  int *path = g_new(int, n), front = 0, back = n - 1;
  for (; i != meet; i = b->parent[i])
    path[front++] = i;
  for (; j != meet; j = b->parent[j])
    path[back--] = j;
  path[front] = meet;
  *count = n;
  return path;
}
