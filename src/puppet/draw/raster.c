/* The frame is cut into tiles whose samples stay in the processor's nearest cache. All triangles are first
 * sorted into the tiles that they touch (counting sort, order kept), then each tile is drawn pass by pass:
 * clear, triangles, average of the four samples, over what is there.
 *
 * Coverage is exact integer arithmetic in 1/16 pixels, relative to the triangle's corner so that 32 bits
 * suffice; the top-left rule gives every sample of a shared edge to one triangle. Depth and texture
 * coordinates are planes, evaluated at the samples and at the pixel's middle. The middle can lie outside of a
 * triangle that covers a sample of its pixel: textures have a border wide enough for what ordinary triangles
 * then reach, and slivers, whose planes run away, take a careful way that stays between their corners. */
#include "puppet/draw/raster.h"
#include "base/simd.h"
#include <math.h>
#include <string.h>

#define TILE 32
#define MAX_EXTENT 1000 /* pixels of one triangle: 16 * 1000 squared fits 31 bits */
#define MAX_SIDE 16384  /* of a frame: boxes are kept in 16 bits */
#define RANK_DEPTH 8192.0f
#define NO_DEPTH (-1e30f)
#define MAX_LEVELS 12
#define BORDER 6   /* repeated pixels around a texture */
#define STEEP 2.0f /* texture pixels per pixel; above it a triangle is drawn with care */
#define UNIT_BITS 12
#define UNIT                                                                                                 \
  (1 << UNIT_BITS) /* fixed point of texture coordinates: textures up to 500 thousand pixels wide */

typedef gint32 V4i __attribute__((vector_size(16)));
typedef guint32 V4u __attribute__((vector_size(16)));
typedef float V4f __attribute__((vector_size(16)));
/* Two pixels at a time: as wide as one AVX2 register; elsewhere the compiler makes two of it. */
typedef gint32 V8i __attribute__((vector_size(32)));
typedef guint32 V8u __attribute__((vector_size(32)));
typedef float V8f __attribute__((vector_size(32)));
typedef guint64 V2l __attribute__((vector_size(16)));
typedef guint8 V16b __attribute__((vector_size(16)));
typedef guint16 V16s __attribute__((vector_size(32)));

/* Nothing here is called from other files with such vectors. */
#pragma GCC diagnostic ignored "-Wpsabi"
#define INLINE static inline __attribute__((always_inline))
/* Rotated grid: in every pixel no two samples share a row or column. In 1/16 pixels from the first
 * pixel's corner, for two pixels. */
static const V8i pair_x = {6, 14, 2, 10, 22, 30, 18, 26}, pair_y = {2, 6, 10, 14, 2, 6, 10, 14};

/* --- textures --- */

typedef struct {
  int width, height; /* without the border */
  gsize stride;      /* bytes */
  guint8 *pixels;    /* [height + 2 BORDER][width + 2 BORDER][4] */
} Level;

struct RasterTexture {
  int levels;
  Level level[MAX_LEVELS];
  float factor[MAX_LEVELS]; /* texture pixels of the original per pixel of the level */
};

static Level bordered(const Image *image) {
  gsize stride = ((gsize)image->width + 2 * BORDER) * 4;
  Level level = {image->width, image->height, stride, g_malloc(((gsize)image->height + 2 * BORDER) * stride)};
  for (int y = -BORDER; y < image->height + BORDER; y++) {
    guint8 *row = level.pixels + (gsize)(y + BORDER) * stride;
    const guint8 *from = image_at(image, 0, CLAMP(y, 0, image->height - 1));
    memcpy(row + 4 * BORDER, from, (gsize)image->width * 4);
    for (int x = 0; x < BORDER; x++) {
      memcpy(row + 4 * x, from, 4);
      memcpy(row + stride - 4 * (x + 1), from + ((gsize)image->width - 1) * 4, 4);
    }
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

/* Two texels (lanes 0 and 2), bilinear at fixed-point (u, v) of the bordered level, texel middles at whole
 * numbers. Modulo 2^16 the products may overflow; their sums do not. */
INLINE V4u texels(const Level *level, V4i uv) {
  V4i whole = uv >> UNIT_BITS, part = (uv & (UNIT - 1)) >> (UNIT_BITS - 8);
  const guint8 *p = level->pixels + (gsize)whole[1] * level->stride + (gsize)whole[0] * 4;
  const guint8 *q = level->pixels + (gsize)whole[3] * level->stride + (gsize)whole[2] * 4;
  guint64 a, b, c, d; /* in registers: halves stored and read as a whole would wait for each other */
  memcpy(&a, p, 8), memcpy(&b, q, 8), memcpy(&c, p + level->stride, 8), memcpy(&d, q + level->stride, 8);
  V16b upper = (V16b)(V2l){a, b}, lower = (V16b)(V2l){c, d};
  V16s parts = (V16s)__builtin_shufflevector(part, part, 0, 1, 2, 3, 0, 1, 2, 3);
  V16s fu = __builtin_shufflevector(parts, parts, 0, 0, 0, 0, 0, 0, 0, 0, 12, 12, 12, 12, 12, 12, 12, 12);
  V16s fv = __builtin_shufflevector(parts, parts, 2, 2, 2, 2, 2, 2, 2, 2, 14, 14, 14, 14, 14, 14, 14, 14);
  V16s top = __builtin_convertvector(upper, V16s), bottom = __builtin_convertvector(lower, V16s);
  V16s column = ((top << 8) + (bottom - top) * fv + 128) >> 8;
  V16s right = __builtin_shufflevector(column, column, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  V16s pixel = ((column << 8) + (right - column) * fu + 128) >> 8;
  return (V4u) __builtin_convertvector(pixel, V16b);
}

/* --- triangles --- */

typedef struct {
  V4u colour[TILE * TILE];
  V4f depth[TILE * TILE];
} Samples;

/* The pixels that a triangle may touch; x0 = x1 where none. */
typedef struct {
  gint16 x0, y0, x1, y1;
} Box;

static Box bounds(int width, int height, const RasterMesh *mesh, int t) {
  const guint32 *k = mesh->triangle[t];
  const float *a = mesh->position[k[0]], *b = mesh->position[k[1]], *c = mesh->position[k[2]];
  float x0 = MIN(MIN(a[0], b[0]), c[0]), x1 = MAX(MAX(a[0], b[0]), c[0]);
  float y0 = MIN(MIN(a[1], b[1]), c[1]), y1 = MAX(MAX(a[1], b[1]), c[1]);
  /* Written so that what is not a number fails; a sum is one only if all its parts are. */
  if (!(x1 > 0 && y1 > 0 && x0 < (float)width && y0 < (float)height && x1 - x0 < MAX_EXTENT &&
        y1 - y0 < MAX_EXTENT && fabsf(a[0] + b[0] + c[0] + a[1] + b[1] + c[1]) < 1e6f &&
        fabsf(a[2] + b[2] + c[2]) < 1e6f))
    return (Box){0};
  return (Box){(gint16)MAX(0, (int)floorf(x0)), (gint16)MAX(0, (int)floorf(y0)),
               (gint16)MIN(width, (int)floorf(x1) + 1), (gint16)MIN(height, (int)floorf(y1) + 1)};
}

/* A value over the plane: at the first pixel, per column, per row. */
typedef struct {
  float at, x, y;
} Ramp;

typedef struct {
  V8i edge[3];    /* at the samples of the row's first two pixels; inside where none is negative */
  int highest[3]; /* of the first pixel's */
  int dx[3], dy[3];
  float inverse[3]; /* 1 / dx */
  Ramp z, u, v, fade;
  float least[3], most[3]; /* of z, u, v at the corners */
  gboolean careful;
} Setup;

INLINE int snap(float x) {
  return (int)floorf(x * 16 + 0.5f);
}

/* ex, ey: edges from the first corner. The value at (cx, cy) from it. */
INLINE Ramp ramp(const float ex[2], const float ey[2], float inverse, float a, float b, float c, float cx,
                 float cy) {
  float p = b - a, q = c - a, x = (p * ey[1] - q * ey[0]) * inverse, y = (q * ex[0] - p * ex[1]) * inverse;
  return (Ramp){a + x * cx + y * cy, x, y};
}

/* Texture coordinates to fixed point of the bordered level. */
INLINE void to_level(Setup *s, const Level *level, float factor, const float *const uv[3]) {
  float scale = UNIT / factor;
  Ramp *ramps[2] = {&s->u, &s->v};
  float steepest = 0;
  for (int a = 0; a < 2; a++) {
    Ramp *r = ramps[a];
    *r = (Ramp){r->at * scale + (BORDER - 0.5f) * UNIT, r->x * scale, r->y * scale};
    steepest = MAX(steepest, MAX(fabsf(r->x), fabsf(r->y)));
    float least = 0, most = (float)((a == 0 ? level->width : level->height) + 2 * BORDER - 1) * UNIT - 1;
    float low = MIN(MIN(uv[0][a], uv[1][a]), uv[2][a]) * scale + (BORDER - 0.5f) * UNIT;
    float high = MAX(MAX(uv[0][a], uv[1][a]), uv[2][a]) * scale + (BORDER - 0.5f) * UNIT;
    s->least[1 + a] = CLAMP(low, least, most), s->most[1 + a] = CLAMP(high, least, most);
    s->careful |= !(low >= (BORDER - 1) * UNIT && high <= most - (BORDER - 1) * UNIT);
  }
  s->careful |= !(steepest < STEEP * UNIT);
}

/* px, py: the first pixel. FALSE for triangles without area. */
INLINE gboolean set_up(const RasterMesh *mesh, const Level *level, float factor, int t, int px, int py,
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
    V8i e = dx * (pair_y - y[a]) - dy * (pair_x - x[a]) - (top_left ? 0 : 1);
    s->edge[i] = e;
    s->highest[i] = MAX(MAX(e[0], e[1]), MAX(e[2], e[3]));
    s->dx[i] = -16 * dy, s->dy[i] = 16 * dx;
    s->inverse[i] = dy ? 1 / (float)s->dx[i] : 0;
  }
  /* Planes from the exact corners, so that the texture does not tremble by the snapping. */
  float ex[2] = {p[1][0] - p[0][0], p[2][0] - p[0][0]}, ey[2] = {p[1][1] - p[0][1], p[2][1] - p[0][1]};
  float whole = ex[0] * ey[1] - ex[1] * ey[0];
  s->careful = !(fabsf(whole) > 0.25f) || mesh->fade;
  if (!(fabsf(whole) > 1e-4f))
    whole = (float)area / 256;
  float inverse = 1 / whole, cx = (float)px - p[0][0], cy = (float)py - p[0][1];
  s->z = ramp(ex, ey, inverse, p[0][2], p[1][2], p[2][2], cx, cy);
  s->u = ramp(ex, ey, inverse, uv[0][0], uv[1][0], uv[2][0], cx + 0.5f, cy + 0.5f);
  s->v = ramp(ex, ey, inverse, uv[0][1], uv[1][1], uv[2][1], cx + 0.5f, cy + 0.5f);
  s->least[0] = MIN(MIN(p[0][2], p[1][2]), p[2][2]), s->most[0] = MAX(MAX(p[0][2], p[1][2]), p[2][2]);
  if (mesh->fade)
    s->fade =
        ramp(ex, ey, inverse, mesh->fade[k[0]], mesh->fade[k[1]], mesh->fade[k[2]], cx + 0.5f, cy + 0.5f);
  to_level(s, level, factor, uv);
  s->careful |= !(fabsf(s->z.x) + fabsf(s->z.y) < 8);
  return TRUE;
}

/* Between, also for what is not a number. */
INLINE float hold(float x, float least, float most) {
  x = x > least ? x : least;
  return x < most ? x : most;
}

/* A macro, since passing such vectors to functions depends on the processor. */
#define EITHER(mask, yes, no) ((V8f)(((V8i)(yes) & (mask)) | ((V8i)(no) & ~(mask))))

/* mask: 0 or -1 in every lane */
INLINE gboolean any(V4i mask) {
#ifdef __SSE2__
  return __builtin_ia32_movmskps((V4f)mask) != 0;
#else
  return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

INLINE gboolean any_of_pair(const V8i *mask) {
  typedef gint64 V4l __attribute__((vector_size(32)));
  V4l m = (V4l)*mask;
  return ((m[0] | m[1]) | (m[2] | m[3])) != 0;
}

INLINE guint32 faded(guint32 colour, float fade) {
  guint32 f = (guint32)(hold(fade, 0, 1) * 256);
  return ((colour & 0x00ff00ff) * f >> 8 & 0x00ff00ff) | ((colour >> 8 & 0x00ff00ff) * f & 0xff00ff00);
}

/* The columns [from, to) of a row outside of which no sample can lie inside. */
INLINE void row_span(const Setup *s, int width, int *from, int *to) {
  int first = 0, last = width;
  for (int i = 0; i < 3; i++) {
    int highest = s->highest[i];
    /* One pixel too many is only slow. */
    if (s->dx[i] > 0 && highest < 0)
      first = MAX(first, (int)((float)-highest * s->inverse[i]));
    else if (s->dx[i] < 0)
      last = highest < 0 ? 0 : MIN(last, (int)((float)-highest * s->inverse[i]) + 2);
    else if (highest < 0)
      last = 0;
  }
  *from = first, *to = last;
}

/* careful is a constant where this is used. at: of the first pixel in the tile, even. */
INLINE void draw_rows(Samples *samples, const RasterMesh *mesh, const Level *level, Setup *s, int at,
                      int width, int height, float lift, const gboolean careful) {
  const V8f least = s->least[0] - (V8f){0}, most = s->most[0] - (V8f){0};
  const V8f offset = __builtin_convertvector(pair_x, V8f) * (s->z.x / 16) +
                     __builtin_convertvector(pair_y, V8f) * (s->z.y / 16);
  const V4f uv_step = {s->u.x, s->v.x, s->u.x, s->v.x};
  const V8i step0 = 2 * s->dx[0] - (V8i){0}, step1 = 2 * s->dx[1] - (V8i){0}, step2 = 2 * s->dx[2] - (V8i){0};
  for (int y = 0; y < height; y++) {
    int from, to;
    row_span(s, width, &from, &to);
    from &= ~1;
    V8u *colour = (V8u *)(samples->colour + at + y * TILE);
    V8f *depth = (V8f *)(samples->depth + at + y * TILE);
    V8i e0 = s->edge[0] + s->dx[0] * from, e1 = s->edge[1] + s->dx[1] * from,
        e2 = s->edge[2] + s->dx[2] * from;
    const V4f uv_row = {s->u.at, s->v.at, s->u.at + s->u.x, s->v.at + s->v.x};
    for (int x = from; x < to; x += 2, e0 += step0, e1 += step1, e2 += step2) {
      float fx = (float)x;
      V8f z = offset + (s->z.at + s->z.x * fx);
      if (careful) {
        z = EITHER(z > least, z, least);
        z = EITHER(z < most, z, most);
      }
      z += lift;
      V8i write = ((e0 | e1 | e2) >= 0) & (z > depth[x / 2]);
      if (!any_of_pair(&write))
        continue;
      V4f uv = uv_row + uv_step * fx;
      if (careful)
        for (int i = 0; i < 4; i++)
          uv[i] = hold(uv[i], s->least[1 + i % 2], s->most[1 + i % 2]);
      V4u pair = texels(level, __builtin_convertvector(uv, V4i));
      if (careful && mesh->fade) {
        pair[0] = faded(pair[0], s->fade.at + s->fade.x * fx);
        pair[2] = faded(pair[2], s->fade.at + s->fade.x * (fx + 1));
      }
      V8u texture = __builtin_shufflevector(pair, pair, 0, 0, 0, 0, 2, 2, 2, 2);
      V8i dense = (V8i)texture < 0; /* alpha of one half and more */
      V8i solid = write & dense;
      depth[x / 2] = EITHER(solid, z, depth[x / 2]);
      write = solid | (write & (V8i)(colour[x / 2] >> 24 < texture >> 24));
      colour[x / 2] = (colour[x / 2] & ~(V8u)write) | (texture & (V8u)write);
    }
    for (int i = 0; i < 3; i++)
      s->edge[i] += s->dy[i], s->highest[i] += s->dy[i];
    s->z.at += s->z.y, s->u.at += s->u.y, s->v.at += s->v.y, s->fade.at += s->fade.y;
  }
}

/* One triangle in the part box (pixels) of the tile at tx, ty. */
INLINE void draw_triangle(Samples *samples, const RasterMesh *mesh, int level, int t, Box box, int tx,
                          int ty) {
  Setup s = {0};
  const Level *picture = &mesh->texture->level[level];
  box.x0 = (gint16)(box.x0 & ~1); /* the tile begins with an even pixel, too */
  if (!set_up(mesh, picture, mesh->texture->factor[level], t, box.x0, box.y0, &s))
    return;
  float lift = mesh->part ? (float)mesh->rank[mesh->part[t]] * RANK_DEPTH : 0;
  int at = (box.y0 - ty) * TILE + box.x0 - tx, width = box.x1 - box.x0, height = box.y1 - box.y0;
  if (s.careful)
    draw_rows(samples, mesh, picture, &s, at, width, height, lift, TRUE);
  else
    draw_rows(samples, mesh, picture, &s, at, width, height, lift, FALSE);
}

/* --- tiles --- */

INLINE void clear(Samples *samples, Box used) {
  for (int y = used.y0; y < used.y1; y++)
    for (int x = used.x0; x < used.x1; x++) {
      samples->colour[y * TILE + x] = (V4u){0};
      samples->depth[y * TILE + x] = (V4f){NO_DEPTH, NO_DEPTH, NO_DEPTH, NO_DEPTH};
    }
}

INLINE V4u sum_of_four(const V4u c[4]) {
  V4u a = __builtin_shufflevector(c[0], c[1], 0, 4, 1, 5) + __builtin_shufflevector(c[0], c[1], 2, 6, 3, 7);
  V4u b = __builtin_shufflevector(c[2], c[3], 0, 4, 1, 5) + __builtin_shufflevector(c[2], c[3], 2, 6, 3, 7);
  return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}

/* Means of the samples of four pixels. */
INLINE V4u average(const V4u colour[4]) {
  V4u even[4], odd[4];
  for (int i = 0; i < 4; i++)
    even[i] = colour[i] & 0x00ff00ff, odd[i] = colour[i] >> 8 & 0x00ff00ff;
  V4u e = sum_of_four(even) + 0x00020002, o = sum_of_four(odd) + 0x00020002;
  return (e >> 2 & 0x00ff00ff) | (o << 6 & 0xff00ff00);
}

INLINE guint32 over(guint32 above, guint32 below) {
  guint32 rest = 255 - (above >> 24);
  guint32 even = (below & 0x00ff00ff) * rest + 0x00800080,
          odd = (below >> 8 & 0x00ff00ff) * rest + 0x00800080;
  even = (even + (even >> 8 & 0x00ff00ff)) >> 8 & 0x00ff00ff;
  odd = (odd + (odd >> 8 & 0x00ff00ff)) & 0xff00ff00;
  return above + (even | odd);
}

/* The tile's samples over the picture. used: columns are multiples of four. */
INLINE void resolve(const Samples *samples, Box used, guint32 *out, gsize stride) {
  for (int y = used.y0; y < used.y1; y++)
    for (int x = used.x0; x < used.x1; x += 4) {
      V4u above = average(samples->colour + y * TILE + x);
      guint32 *row = out + (gsize)y * stride + x;
      V4u below;
      memcpy(&below, row, 16);
      if (any((V4i)(below != 0)))
        for (int i = 0; i < 4; i++)
          above[i] = above[i] >> 24 == 255 || below[i] == 0 ? above[i] : over(above[i], below[i]);
      memcpy(row, &above, 16);
    }
}

struct Raster {
  int width, height;
  Samples *samples;
  guint8 *rgba;
  gsize rgba_capacity;
  Box *box; /* of all triangles of all passes */
  gsize box_capacity;
  guint32 *bins; /* triangle numbers within their pass, tile by tile, pass by pass */
  gsize bins_capacity;
  guint32 *start; /* [tiles * passes + 2] */
  gsize start_capacity;
  int (*span)[2];
};

Raster *raster_new(int width, int height) {
  g_return_val_if_fail(width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE, NULL);
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
  g_free(raster->box);
  g_free(raster->bins);
  g_free(raster->start);
  g_free(raster->span);
  g_free(raster);
}

typedef struct {
  int x0, y0, columns, rows; /* tiles that the picture covers */
} Grid;

/* Boxes of all triangles, and the tiles that they cover together. FALSE where there are none. */
static gboolean measure(Raster *raster, const RasterPass *passes, int count, Grid *grid) {
  gsize total = 0;
  for (int p = 0; p < count; p++)
    for (int m = 0; m < passes[p].count; m++)
      total += (gsize)passes[p].meshes[m].triangles;
  if (raster->box_capacity < total) {
    raster->box_capacity = total;
    raster->box = g_renew(Box, raster->box, total);
  }
  Box *box = raster->box;
  int x0 = G_MAXINT, y0 = G_MAXINT, x1 = 0, y1 = 0;
  for (int p = 0; p < count; p++)
    for (int m = 0; m < passes[p].count; m++)
      for (int t = 0; t < passes[p].meshes[m].triangles; t++, box++) {
        *box = bounds(raster->width, raster->height, &passes[p].meshes[m], t);
        if (box->x0 >= box->x1)
          continue;
        x0 = MIN(x0, box->x0), y0 = MIN(y0, box->y0), x1 = MAX(x1, box->x1), y1 = MAX(y1, box->y1);
      }
  if (x0 >= x1)
    return FALSE;
  *grid = (Grid){x0 / TILE, y0 / TILE, (x1 - 1) / TILE - x0 / TILE + 1, (y1 - 1) / TILE - y0 / TILE + 1};
  return TRUE;
}

/* Calls for every (triangle, tile): counts into start[bin + 2], or fills and moves start[bin + 1]. */
static void distribute(Raster *raster, const RasterPass *passes, int count, const Grid *grid, gboolean fill) {
  const Box *box = raster->box;
  for (int p = 0; p < count; p++) {
    int triangles = 0;
    for (int m = 0; m < passes[p].count; m++)
      triangles += passes[p].meshes[m].triangles;
    for (int t = 0; t < triangles; t++, box++) {
      if (box->x0 >= box->x1)
        continue;
      for (int y = box->y0 / TILE; y <= (box->y1 - 1) / TILE; y++)
        for (int x = box->x0 / TILE; x <= (box->x1 - 1) / TILE; x++) {
          gsize tile = (gsize)(y - grid->y0) * (gsize)grid->columns + (gsize)(x - grid->x0);
          guint32 *start = raster->start + tile * (gsize)count + (gsize)p;
          if (fill)
            raster->bins[start[1]++] = (guint32)t;
          else
            start[2]++;
        }
    }
  }
}

/* Counting sort of triangles into (tile, pass) bins; within a bin they stay in order. Afterwards a bin lies
 * between start[bin] and start[bin + 1]. */
static void sort(Raster *raster, const RasterPass *passes, int count, const Grid *grid) {
  gsize bins = (gsize)grid->columns * (gsize)grid->rows * (gsize)count;
  if (raster->start_capacity < bins + 2) {
    raster->start_capacity = bins + 2;
    raster->start = g_renew(guint32, raster->start, raster->start_capacity);
  }
  memset(raster->start, 0, (bins + 2) * sizeof *raster->start);
  distribute(raster, passes, count, grid, FALSE);
  for (gsize i = 2; i < bins + 2; i++)
    raster->start[i] += raster->start[i - 1];
  if (raster->bins_capacity < raster->start[bins + 1]) {
    raster->bins_capacity = raster->start[bins + 1] + raster->start[bins + 1] / 4;
    raster->bins = g_renew(guint32, raster->bins, raster->bins_capacity);
  }
  distribute(raster, passes, count, grid, TRUE);
}

/* A pass in the tile whose first pixel is (tx, ty). box: of the pass's triangles; out: the tile in the
 * picture. */
FASTEST static void draw_pass(Raster *raster, const RasterPass *pass, const Box *box, const guint32 *bin,
                              guint32 n, int tx, int ty, guint32 *out, gsize stride) {
  Box used = {TILE, TILE, 0, 0};
  for (guint32 i = 0; i < n; i++) {
    const Box *b = &box[bin[i]];
    used.x0 = (gint16)MIN(used.x0, MAX(b->x0 - tx, 0)), used.y0 = (gint16)MIN(used.y0, MAX(b->y0 - ty, 0));
    used.x1 = (gint16)MAX(used.x1, MIN(b->x1 - tx, TILE)),
    used.y1 = (gint16)MAX(used.y1, MIN(b->y1 - ty, TILE));
  }
  used.x0 = (gint16)(used.x0 & ~3), used.x1 = (gint16)((used.x1 + 3) & ~3);
  clear(raster->samples, used);
  const RasterMesh *mesh = pass->meshes;
  guint32 first = 0;
  int level = choose_level(mesh->texture, mesh->scale);
  for (guint32 i = 0; i < n; i++) {
    while (bin[i] - first >= (guint32)mesh->triangles) {
      first += (guint32)mesh->triangles, mesh++;
      level = choose_level(mesh->texture, mesh->scale);
    }
    Box b = box[bin[i]];
    b.x0 = (gint16)MAX(b.x0, tx), b.y0 = (gint16)MAX(b.y0, ty);
    b.x1 = (gint16)MIN(b.x1, tx + TILE), b.y1 = (gint16)MIN(b.y1, ty + TILE);
    draw_triangle(raster->samples, mesh, level, (int)(bin[i] - first), b, tx, ty);
  }
  resolve(raster->samples, used, out, stride);
}

static void draw_tile(Raster *raster, const RasterPass *passes, int count, const guint32 *start, int tx,
                      int ty, guint32 *out, gsize stride) {
  const Box *box = raster->box;
  for (int p = 0; p < count; p++) {
    if (start[p + 1] > start[p])
      draw_pass(raster, &passes[p], box, raster->bins + start[p], start[p + 1] - start[p], tx, ty, out,
                stride);
    for (int m = 0; m < passes[p].count; m++)
      box += passes[p].meshes[m].triangles;
  }
}

gboolean raster_draw(Raster *raster, const RasterPass *passes, int count, RasterBox *box) {
  Grid grid;
  if (!measure(raster, passes, count, &grid))
    return FALSE;
  sort(raster, passes, count, &grid);
  /* Whole tiles, so that their rows can be written without clipping. */
  *box = (RasterBox){grid.x0 * TILE, grid.y0 * TILE, grid.columns * TILE,          grid.rows * TILE,
                     NULL,           TILE,           (const int(*)[2])raster->span};
  gsize stride = (gsize)box->width, need = stride * (gsize)box->height * 4;
  if (raster->rgba_capacity < need) {
    g_free(raster->rgba);
    raster->rgba = g_malloc(need);
    raster->rgba_capacity = need;
  }
  box->rgba = raster->rgba;
  for (int y = 0; y < grid.rows; y++) {
    const guint32 *start = raster->start + (gsize)y * (gsize)grid.columns * (gsize)count;
    int *span = raster->span[y];
    span[0] = box->width, span[1] = 0;
    for (int x = 0; x < grid.columns; x++)
      if (start[(x + 1) * count] > start[x * count])
        span[0] = MIN(span[0], x * TILE), span[1] = (x + 1) * TILE;
    if (span[0] >= span[1])
      continue;
    guint32 *row = (guint32 *)raster->rgba + (gsize)(y * TILE) * stride;
    for (int i = 0; i < TILE; i++)
      memset(row + (gsize)i * stride + span[0], 0, (gsize)(span[1] - span[0]) * 4);
    for (int x = 0; x < grid.columns; x++)
      draw_tile(raster, passes, count, start + x * count, (grid.x0 + x) * TILE, (grid.y0 + y) * TILE,
                row + x * TILE, stride);
  }
  return TRUE;
}
