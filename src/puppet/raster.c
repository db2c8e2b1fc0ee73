/* The frame is cut into tiles whose samples stay in the processor's nearest cache. All triangles are first
 * sorted into the tiles that they touch (counting sort, order kept), then each tile is drawn pass by pass:
 * clear, triangles, average of the four samples, over what is there.
 *
 * Coverage is exact integer arithmetic in 1/16 pixels, relative to the triangle's corner so that 32 bits
 * suffice; the top-left rule gives every sample of a shared edge to one triangle. Depth and texture
 * coordinates are planes in floats, evaluated at the samples and at the pixel's middle. */
#include "puppet/raster.h"
#include <math.h>
#include <string.h>

#define TILE 32
#define MAX_EXTENT 1000 /* pixels of one triangle: 16 * 1000 squared fits 31 bits */
#define RANK_DEPTH 8192.0f
#define NO_DEPTH (-1e30f)
#define MAX_LEVELS 12

typedef gint32 V4i __attribute__((vector_size(16)));
typedef guint32 V4u __attribute__((vector_size(16)));
typedef float V4f __attribute__((vector_size(16)));
typedef guint8 V8b __attribute__((vector_size(8)));
typedef guint16 V8s __attribute__((vector_size(16)));

/* Rotated grid: in every pixel no two samples share a row or column. In 1/16 pixels from the pixel's corner.
 */
static const V4i sample_x = {6, 14, 2, 10}, sample_y = {2, 6, 10, 14};

/* --- textures --- */

typedef struct {
  int width, height; /* without the border of one repeated pixel */
  guint8 *pixels;    /* [height + 2][width + 2][4] */
} Level;

struct RasterTexture {
  int levels;
  Level level[MAX_LEVELS];
  float factor[MAX_LEVELS]; /* texture pixels of the original per pixel of the level */
};

static Level bordered(const Image *image) {
  Level level = {image->width, image->height,
                 g_malloc(((gsize)image->width + 2) * ((gsize)image->height + 2) * 4)};
  gsize stride = ((gsize)image->width + 2) * 4;
  for (int y = -1; y <= image->height; y++) {
    guint8 *row = level.pixels + (gsize)(y + 1) * stride;
    const guint8 *from = image_at(image, 0, CLAMP(y, 0, image->height - 1));
    memcpy(row + 4, from, (gsize)image->width * 4);
    memcpy(row, from, 4);
    memcpy(row + stride - 4, from + ((gsize)image->width - 1) * 4, 4);
  }
  return level;
}

/* Mean of 2 x 2, the last odd row and column repeated. The values are premultiplied, so this is right. */
static Image *half(const Image *image) {
  Image *out = image_new((image->width + 1) / 2, (image->height + 1) / 2, 4);
  for (int y = 0; y < out->height; y++)
    for (int x = 0; x < out->width; x++) {
      int x1 = MIN(2 * x + 1, image->width - 1), y1 = MIN(2 * y + 1, image->height - 1);
      const guint8 *a = image_at(image, 2 * x, 2 * y), *b = image_at(image, x1, 2 * y);
      const guint8 *c = image_at(image, 2 * x, y1), *d = image_at(image, x1, y1);
      guint8 *o = image_at(out, x, y);
      for (int k = 0; k < 4; k++)
        o[k] = (guint8)((a[k] + b[k] + c[k] + d[k] + 2) >> 2);
    }
  return out;
}

RasterTexture *raster_texture_new(const Image *rgba, float finest) {
  RasterTexture *texture = g_new0(RasterTexture, 1);
  g_autoptr(Image) shrunk = NULL;
  const Image *now = rgba;
  float factor = 1;
  while (texture->levels < MAX_LEVELS) {
    if (finest < 2 || (now->width < 2 && now->height < 2)) {
      texture->level[texture->levels] = bordered(now);
      texture->factor[texture->levels++] = factor;
    }
    if (now->width < 8 || now->height < 8)
      break;
    Image *next = half(now);
    g_clear_pointer(&shrunk, image_free);
    now = shrunk = next;
    factor *= 2, finest /= 2;
  }
  if (!texture->levels) {
    texture->level[0] = bordered(now);
    texture->factor[0] = factor;
    texture->levels = 1;
  }
  return texture;
}

void raster_texture_free(RasterTexture *texture) {
  if (!texture)
    return;
  for (int i = 0; i < texture->levels; i++)
    g_free(texture->level[i].pixels);
  g_free(texture);
}

static int choose_level(const RasterTexture *texture, float scale) {
  int best = 0;
  while (best + 1 < texture->levels && texture->factor[best + 1] * scale <= 0.75f)
    best++;
  return best;
}

/* Bilinear at fixed-point (u, v), 1/256 pixels of the bordered level, inside it. */
static inline guint32 texel(const Level *level, int u, int v) {
  gsize stride = ((gsize)level->width + 2) * 4;
  const guint8 *p = level->pixels + (gsize)(v >> 8) * stride + (gsize)(u >> 8) * 4;
  V8b top, bottom;
  memcpy(&top, p, 8);
  memcpy(&bottom, p + stride, 8);
  V8s t = __builtin_convertvector(top, V8s), b = __builtin_convertvector(bottom, V8s);
  guint16 fv = (guint16)(v & 255), fu = (guint16)(u & 255);
  V8s column = (t * (guint16)(256 - fv) + b * fv + 128) >> 8;
  V8s weights = {
      (guint16)(256 - fu), (guint16)(256 - fu), (guint16)(256 - fu), (guint16)(256 - fu), fu, fu, fu, fu};
  V8s product = column * weights;
  V8s swapped = __builtin_shuffle(product, (V8s){4, 5, 6, 7, 0, 1, 2, 3});
  V8s sum = (product + swapped + 128) >> 8;
  V8b bytes = __builtin_convertvector(sum, V8b);
  guint32 out;
  memcpy(&out, &bytes, 4);
  return out;
}

/* --- the raster --- */

typedef struct {
  V4u colour[TILE * TILE];
  V4f depth[TILE * TILE];
} Samples;

typedef struct {
  int x0, y0, x1, y1; /* tiles */
} TileRange;

struct Raster {
  int width, height;
  Samples *samples;
  guint8 *rgba;
  gsize capacity; /* of rgba in bytes */
  guint32 *bins;  /* triangle numbers, tile by tile, of all passes */
  gsize bins_capacity;
  guint32 *start; /* [passes * tiles + 1] */
  gsize start_capacity;
  int (*span)[2];
  int *first; /* by mesh of a pass: number of its first triangle */
};

Raster *raster_new(int width, int height) {
  Raster *raster = g_new0(Raster, 1);
  raster->width = width;
  raster->height = height;
  raster->samples = g_aligned_alloc(1, sizeof(Samples), 64);
  raster->span = g_malloc0_n((gsize)height / TILE + 2, sizeof *raster->span);
  return raster;
}

void raster_free(Raster *raster) {
  if (!raster)
    return;
  g_aligned_free(raster->samples);
  g_free(raster->rgba);
  g_free(raster->bins);
  g_free(raster->start);
  g_free(raster->span);
  g_free(raster);
}

/* Pixel bounds of a triangle, FALSE when it cannot be seen or must not be drawn. */
static gboolean bounds(const Raster *raster, const RasterMesh *mesh, int t, int box[4]) {
  const guint32 *k = mesh->triangle[t];
  const float *a = mesh->position[k[0]], *b = mesh->position[k[1]], *c = mesh->position[k[2]];
  float x0 = MIN(MIN(a[0], b[0]), c[0]), x1 = MAX(MAX(a[0], b[0]), c[0]);
  float y0 = MIN(MIN(a[1], b[1]), c[1]), y1 = MAX(MAX(a[1], b[1]), c[1]);
  /* Written so that NaN fails. */
  if (!(x1 > 0 && y1 > 0 && x0 < (float)raster->width && y0 < (float)raster->height && x1 - x0 < MAX_EXTENT &&
        y1 - y0 < MAX_EXTENT && fabsf(a[2] + b[2] + c[2]) < 1e6f))
    return FALSE;
  box[0] = MAX(0, (int)floorf(x0)), box[1] = MAX(0, (int)floorf(y0));
  box[2] = MIN(raster->width, (int)floorf(x1) + 1), box[3] = MIN(raster->height, (int)floorf(y1) + 1);
  return box[0] < box[2] && box[1] < box[3];
}

typedef struct {
  V4i edge[3]; /* at the samples of the first pixel; inside where none is negative */
  int dx[3], dy[3];
  float z, zx, zy, u, ux, uy, v, vx, vy, f, fx, fy; /* at the first pixel's corner (z) or middle */
  /* A sliver's planes run away beyond its corners: what they give stays between them. */
  float least[3], most[3]; /* z, u, v */
} Setup;

static inline int snap(float x) {
  return (int)floorf(x * 16 + 0.5f);
}

static inline void plane_of(const float *x, const float *y, float inverse, float a, float b, float c,
                            float *base, float *gx, float *gy) {
  float p = b - a, q = c - a;
  *gx = (p * y[1] - q * y[0]) * inverse;
  *gy = (q * x[0] - p * x[1]) * inverse;
  *base = a;
}

/* px, py: the first pixel. FALSE for triangles without area. */
static gboolean set_up(const RasterMesh *mesh, const Level *level, float factor, int t, int px, int py,
                       Setup *s) {
  const guint32 *k = mesh->triangle[t];
  const float *p[3] = {mesh->position[k[0]], mesh->position[k[1]], mesh->position[k[2]]};
  const float *uv[3] = {mesh->uv[k[0]], mesh->uv[k[1]], mesh->uv[k[2]]};
  int x[3], y[3], order[3] = {0, 1, 2};
  for (int i = 0; i < 3; i++)
    x[i] = snap(p[i][0]) - 16 * px, y[i] = snap(p[i][1]) - 16 * py;
  int area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]);
  if (area == 0)
    return FALSE;
  if (area < 0)
    order[1] = 2, order[2] = 1;
  for (int i = 0; i < 3; i++) {
    int a = order[i], b = order[(i + 1) % 3];
    int dx = x[b] - x[a], dy = y[b] - y[a];
    gboolean top_left = dy < 0 || (dy == 0 && dx > 0);
    s->edge[i] = dx * (sample_y - y[a]) - dy * (sample_x - x[a]) - (top_left ? 0 : 1);
    s->dx[i] = -16 * dy, s->dy[i] = 16 * dx;
  }
  /* Planes from the exact corners, so that texture does not tremble by the snapping. */
  float ex[2] = {p[1][0] - p[0][0], p[2][0] - p[0][0]}, ey[2] = {p[1][1] - p[0][1], p[2][1] - p[0][1]};
  float whole = ex[0] * ey[1] - ex[1] * ey[0];
  if (fabsf(whole) < 1e-4f)
    whole = (float)area / 256;
  float inverse = 1 / whole, scale = 1 / factor;
  plane_of(ex, ey, inverse, p[0][2], p[1][2], p[2][2], &s->z, &s->zx, &s->zy);
  plane_of(ex, ey, inverse, uv[0][0], uv[1][0], uv[2][0], &s->u, &s->ux, &s->uy);
  plane_of(ex, ey, inverse, uv[0][1], uv[1][1], uv[2][1], &s->v, &s->vx, &s->vy);
  float cx = (float)px - p[0][0], cy = (float)py - p[0][1];
  s->z += s->zx * cx + s->zy * cy;
  s->u += s->ux * (cx + 0.5f) + s->uy * (cy + 0.5f);
  s->v += s->vx * (cx + 0.5f) + s->vy * (cy + 0.5f);
  s->f = 1, s->fx = s->fy = 0;
  if (mesh->fade) {
    plane_of(ex, ey, inverse, mesh->fade[k[0]], mesh->fade[k[1]], mesh->fade[k[2]], &s->f, &s->fx, &s->fy);
    s->f += s->fx * (cx + 0.5f) + s->fy * (cy + 0.5f);
  }
  /* To 1/256 pixels of the bordered level: texel centres at integers, border adds one. */
  s->u = (s->u * scale + 0.5f) * 256, s->ux *= scale * 256, s->uy *= scale * 256;
  s->v = (s->v * scale + 0.5f) * 256, s->vx *= scale * 256, s->vy *= scale * 256;
  s->least[0] = MIN(MIN(p[0][2], p[1][2]), p[2][2]), s->most[0] = MAX(MAX(p[0][2], p[1][2]), p[2][2]);
  for (int a = 0; a < 2; a++) {
    float most = (float)((a == 0 ? level->width : level->height) + 1) * 256 - 1;
    float low = (MIN(MIN(uv[0][a], uv[1][a]), uv[2][a]) * scale + 0.5f) * 256;
    float high = (MAX(MAX(uv[0][a], uv[1][a]), uv[2][a]) * scale + 0.5f) * 256;
    s->least[1 + a] = CLAMP(low, 0, most), s->most[1 + a] = CLAMP(high, 0, most);
  }
  return TRUE;
}

/* Between, also for what is not a number. */
static inline float hold(float x, float least, float most) {
  x = x > least ? x : least;
  return x < most ? x : most;
}

static inline V4f either(V4i mask, V4f yes, V4f no) {
  return (V4f)(((V4i)yes & mask) | ((V4i)no & ~mask));
}

static inline gboolean any(V4i m) {
  gint64 h[2];
  memcpy(h, &m, 16);
  return (h[0] | h[1]) != 0;
}

static inline guint32 faded(guint32 colour, float fade) {
  int f = (int)(CLAMP(fade, 0.0f, 1.0f) * 256);
  guint32 rb = ((colour & 0x00ff00ff) * (guint32)f >> 8) & 0x00ff00ff;
  guint32 ga = ((colour >> 8 & 0x00ff00ff) * (guint32)f) & 0xff00ff00;
  return rb | ga;
}

/* One triangle in the part box (pixels) of the tile at tx, ty. */
static void draw_triangle(Samples *samples, const RasterMesh *mesh, const Level *level, float factor, int t,
                          const int box[4], int tx, int ty) {
  Setup s;
  if (!set_up(mesh, level, factor, t, box[0], box[1], &s))
    return;
  float lift = mesh->part ? (float)mesh->rank[mesh->part[t]] * RANK_DEPTH : 0;
  const V4f least = {s.least[0], s.least[0], s.least[0], s.least[0]};
  const V4f most = {s.most[0], s.most[0], s.most[0], s.most[0]};
  V4f offset = __builtin_convertvector(sample_x, V4f) * (s.zx / 16) +
               __builtin_convertvector(sample_y, V4f) * (s.zy / 16);
  for (int y = box[1]; y < box[3]; y++) {
    V4i e0 = s.edge[0], e1 = s.edge[1], e2 = s.edge[2];
    V4u *colour = samples->colour + (y - ty) * TILE + box[0] - tx;
    V4f *depth = samples->depth + (y - ty) * TILE + box[0] - tx;
    for (int x = 0; x < box[2] - box[0]; x++, e0 += s.dx[0], e1 += s.dx[1], e2 += s.dx[2]) {
      V4i inside = (e0 | e1 | e2) >= 0;
      if (!any(inside))
        continue;
      float fx = (float)x;
      V4f z = offset + (s.z + s.zx * fx);
      z = either(z > least, z, least);
      z = either(z < most, z, most) + lift;
      V4i nearer = inside & (z > depth[x]);
      if (!any(nearer))
        continue;
      float u = hold(s.u + s.ux * fx, s.least[1], s.most[1]),
            v = hold(s.v + s.vx * fx, s.least[2], s.most[2]);
      guint32 texture = texel(level, (int)u, (int)v);
      if (mesh->fade)
        texture = faded(texture, s.f + s.fx * fx);
      guint32 alpha = texture >> 24;
      if (alpha == 0)
        continue;
      V4i write = nearer;
      if (alpha >= 128)
        depth[x] = either(write, z, depth[x]);
      else
        write &= (V4i)(colour[x] >> 24) < (gint32)alpha;
      colour[x] = (colour[x] & ~(V4u)write) | (texture & (V4u)write);
    }
    for (int i = 0; i < 3; i++)
      s.edge[i] += s.dy[i];
    s.z += s.zy, s.u += s.uy, s.v += s.vy, s.f += s.fy;
  }
}

/* Mean of four samples. */
static inline guint32 average(V4u c) {
  V4u even = c & 0x00ff00ff, odd = c >> 8 & 0x00ff00ff;
  guint32 e = even[0] + even[1] + even[2] + even[3] + 0x00020002,
          o = odd[0] + odd[1] + odd[2] + odd[3] + 0x00020002;
  return (e >> 2 & 0x00ff00ff) | (o << 6 & 0xff00ff00);
}

static inline guint32 over(guint32 above, guint32 below) {
  guint32 rest = 255 - (above >> 24);
  guint32 even = (below & 0x00ff00ff) * rest + 0x00800080,
          odd = (below >> 8 & 0x00ff00ff) * rest + 0x00800080;
  even = (even + (even >> 8 & 0x00ff00ff)) >> 8 & 0x00ff00ff;
  odd = (odd + (odd >> 8 & 0x00ff00ff)) & 0xff00ff00;
  return above + (even | odd);
}

/* The tile's samples over the picture; used: columns and rows of the tile that a triangle touched. */
static void resolve(const Samples *samples, const int used[4], guint32 *out, gsize stride) {
  for (int y = used[1]; y < used[3]; y++) {
    const V4u *colour = samples->colour + y * TILE;
    guint32 *row = out + (gsize)y * stride;
    for (int x = used[0]; x < used[2]; x++) {
      guint32 above = average(colour[x]);
      row[x] = above >> 24 == 255 || row[x] == 0 ? above : over(above, row[x]);
    }
  }
}

static void clear(Samples *samples, const int used[4]) {
  for (int y = used[1]; y < used[3]; y++)
    for (int x = used[0]; x < used[2]; x++) {
      samples->colour[y * TILE + x] = (V4u){0};
      samples->depth[y * TILE + x] = (V4f){NO_DEPTH, NO_DEPTH, NO_DEPTH, NO_DEPTH};
    }
}

typedef struct {
  int x0, y0, columns, rows; /* tiles that the box covers */
} Grid;

/* Bounding box of everything, and whether there is anything. */
static gboolean measure(const Raster *raster, const RasterPass *passes, int count, int all[4]) {
  int box[4];
  all[0] = all[1] = G_MAXINT, all[2] = all[3] = 0;
  for (int p = 0; p < count; p++)
    for (int m = 0; m < passes[p].count; m++)
      for (int t = 0; t < passes[p].meshes[m].triangles; t++)
        if (bounds(raster, &passes[p].meshes[m], t, box)) {
          all[0] = MIN(all[0], box[0]), all[1] = MIN(all[1], box[1]);
          all[2] = MAX(all[2], box[2]), all[3] = MAX(all[3], box[3]);
        }
  return all[0] < all[2];
}

/* Counting sort of triangles into (tile, pass) bins; within a bin they stay in order. */
static void sort(Raster *raster, const RasterPass *passes, int count, const Grid *grid) {
  gsize bins = (gsize)grid->columns * (gsize)grid->rows * (gsize)count;
  if (raster->start_capacity < bins + 2) {
    raster->start_capacity = bins + 2;
    raster->start = g_renew(guint32, raster->start, raster->start_capacity);
  }
  guint32 *start = raster->start;
  memset(start, 0, (bins + 2) * sizeof *start);
  for (int fill = 0; fill < 2; fill++) {
    for (int p = 0; p < count; p++) {
      guint32 number = 0;
      for (int m = 0; m < passes[p].count; m++)
        for (int t = 0; t < passes[p].meshes[m].triangles; t++, number++) {
          int box[4];
          if (!bounds(raster, &passes[p].meshes[m], t, box))
            continue;
          for (int y = box[1] / TILE; y <= (box[3] - 1) / TILE; y++)
            for (int x = box[0] / TILE; x <= (box[2] - 1) / TILE; x++) {
              gsize bin =
                  ((gsize)(y - grid->y0) * (gsize)grid->columns + (gsize)(x - grid->x0)) * (gsize)count +
                  (gsize)p;
              if (fill)
                raster->bins[start[bin + 1]++] = number;
              else
                start[bin + 2]++;
            }
        }
    }
    if (fill)
      break;
    /* start[bin + 1] now becomes where the bin begins, and while filling moves to where it ends. */
    for (gsize i = 2; i < bins + 2; i++)
      start[i] += start[i - 1];
    if (raster->bins_capacity < start[bins + 1]) {
      raster->bins_capacity = start[bins + 1] + start[bins + 1] / 4;
      raster->bins = g_renew(guint32, raster->bins, raster->bins_capacity);
    }
  }
}

static gboolean draw_pass(Raster *raster, const RasterPass *pass, const guint32 *numbers, guint32 n, int tx,
                          int ty, const RasterBox *box) {
  int used[4] = {TILE, TILE, 0, 0};
  for (int round = 0; round < 2; round++) {
    const RasterMesh *mesh = pass->meshes;
    guint32 first = 0;
    int level = choose_level(mesh->texture, mesh->scale);
    for (guint32 i = 0; i < n; i++) {
      while (numbers[i] - first >= (guint32)mesh->triangles) {
        first += (guint32)mesh->triangles, mesh++;
        level = choose_level(mesh->texture, mesh->scale);
      }
      int part[4], t = (int)(numbers[i] - first);
      bounds(raster, mesh, t, part);
      part[0] = MAX(part[0], tx), part[1] = MAX(part[1], ty);
      part[2] = MIN(part[2], tx + TILE), part[3] = MIN(part[3], ty + TILE);
      if (round == 0) {
        used[0] = MIN(used[0], part[0] - tx), used[1] = MIN(used[1], part[1] - ty);
        used[2] = MAX(used[2], part[2] - tx), used[3] = MAX(used[3], part[3] - ty);
      } else {
        draw_triangle(raster->samples, mesh, &mesh->texture->level[level], mesh->texture->factor[level], t,
                      part, tx, ty);
      }
    }
    if (round == 0)
      clear(raster->samples, used);
  }
  guint32 *out = (guint32 *)raster->rgba + (gssize)(ty - box->y) * box->width + (tx - box->x);
  resolve(raster->samples, used, out, (gsize)box->width);
  return TRUE;
}

gboolean raster_draw(Raster *raster, const RasterPass *passes, int count, RasterBox *box) {
  int all[4];
  if (!measure(raster, passes, count, all))
    return FALSE;
  Grid grid = {all[0] / TILE, all[1] / TILE, 0, 0};
  grid.columns = (all[2] - 1) / TILE - grid.x0 + 1;
  grid.rows = (all[3] - 1) / TILE - grid.y0 + 1;
  sort(raster, passes, count, &grid);
  /* Whole tiles, so that their rows can be written without clipping; even, so that chroma has its pairs. */
  *box = (RasterBox){grid.x0 * TILE, grid.y0 * TILE, grid.columns * TILE, grid.rows * TILE,
                     NULL,           TILE,           raster->span};
  gsize need = (gsize)box->width * (gsize)box->height * 4;
  if (raster->capacity < need) {
    g_free(raster->rgba);
    raster->rgba = g_malloc(need);
    raster->capacity = need;
  }
  box->rgba = raster->rgba;
  for (int y = 0; y < grid.rows; y++) {
    int *span = raster->span[y];
    span[0] = box->width, span[1] = 0;
    for (int x = 0; x < grid.columns; x++) {
      const guint32 *start = raster->start + ((gsize)y * (gsize)grid.columns + (gsize)x) * (gsize)count;
      gboolean touched = FALSE;
      for (int p = 0; p < count; p++)
        touched |= start[p + 1] > start[p];
      if (!touched)
        continue;
      span[0] = MIN(span[0], x * TILE), span[1] = MAX(span[1], (x + 1) * TILE);
    }
    for (int row = 0; row < TILE && span[0] < span[1]; row++)
      memset(raster->rgba + ((gsize)(y * TILE + row) * (gsize)box->width + (gsize)span[0]) * 4, 0,
             (gsize)(span[1] - span[0]) * 4);
    for (int x = 0; x < grid.columns; x++) {
      const guint32 *start = raster->start + ((gsize)y * (gsize)grid.columns + (gsize)x) * (gsize)count;
      for (int p = 0; p < count; p++)
        if (start[p + 1] > start[p])
          draw_pass(raster, &passes[p], raster->bins + start[p], start[p + 1] - start[p],
                    (grid.x0 + x) * TILE, (grid.y0 + y) * TILE, box);
    }
  }
  return TRUE;
}
