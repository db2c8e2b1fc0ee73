/* Each tile of the screen lists the solids whose bounding spheres reach it, so that a ray evaluates ten
 * solids instead of a hundred, and most tiles none. */
#include "performer_trace.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define HIT_DISTANCE 0.0004f
#define MAX_STEPS 96

void camera_project(const Camera *camera, vec3s point, float *x, float *y, float *depth) {
  vec3s p = glms_mat3_mulv(camera->turn, glms_vec3_sub(point, camera->eye));
  float scale = camera->focal > 0 ? camera->focal / p.z : camera->scale;
  *x = camera->cx + p.x * scale;
  *y = camera->cy + p.y * scale;
  *depth = p.z;
}

void camera_ray(const Camera *camera, float x, float y, vec3s *origin, vec3s *direction) {
  mat3s back = glms_mat3_transpose(camera->turn);
  if (camera->focal > 0) {
    vec3s d = {{(x - camera->cx) / camera->focal, (y - camera->cy) / camera->focal, 1}};
    *origin = camera->eye;
    *direction = glms_vec3_normalize(glms_mat3_mulv(back, d));
    return;
  }
  vec3s offset = {{(x - camera->cx) / camera->scale, (y - camera->cy) / camera->scale, 0}};
  *origin = glms_vec3_add(camera->eye, glms_mat3_mulv(back, offset));
  *direction = glms_mat3_mulv(back, (vec3s){{0, 0, 1}});
}

static void tiles_list(Tiles *tiles, int which) {
  const Solid *solid = &tiles->flesh->solid[which];
  float reach = solid->reach + FLESH_MARGIN, x, y, depth;
  vec3s centre = {{solid->centre[0], solid->centre[1], solid->centre[2]}};
  camera_project(tiles->camera, centre, &x, &y, &depth);
  if (tiles->camera->focal > 0 && depth < reach + 0.1f)
    return;
  float around =
      reach * (tiles->camera->focal > 0 ? tiles->camera->focal / (depth - reach) : tiles->camera->scale);
  vec3s line = glms_vec3_sub(centre, tiles->camera->eye);
  float distance = tiles->camera->focal > 0 ? glms_vec3_norm(line) : depth;
  int c0 = MAX((int)floorf((x - around) / TILE_SIDE), 0),
      c1 = MIN((int)floorf((x + around) / TILE_SIDE), tiles->columns - 1);
  int r0 = MAX((int)floorf((y - around) / TILE_SIDE), 0),
      r1 = MIN((int)floorf((y + around) / TILE_SIDE), tiles->rows - 1);
  for (int r = r0; r <= r1; r++)
    for (int c = c0; c <= c1; c++) {
      /* The circle, not its square: the tile's nearest point to the centre must lie in it. */
      float tx = CLAMP(x, (float)(c * TILE_SIDE), (float)((c + 1) * TILE_SIDE)) - x;
      float ty = CLAMP(y, (float)(r * TILE_SIDE), (float)((r + 1) * TILE_SIDE)) - y;
      if (tx * tx + ty * ty > around * around)
        continue;
      int tile = r * tiles->columns + c;
      tiles->list[(gsize)tile * FLESH_MAX_SOLIDS + tiles->count[tile]++] = (guint8)which;
      tiles->near[tile] = fminf(tiles->near[tile], distance - reach);
      tiles->far[tile] = fmaxf(tiles->far[tile], distance + reach);
    }
}

void tiles_make(Tiles *tiles, const Flesh *flesh, const Camera *camera) {
  int columns = (camera->width + TILE_SIDE - 1) / TILE_SIDE,
      rows = (camera->height + TILE_SIDE - 1) / TILE_SIDE;
  gsize n = (gsize)columns * (gsize)rows;
  *tiles = (Tiles){
      flesh,           camera,         columns, rows, g_malloc(n * FLESH_MAX_SOLIDS), g_new0(guint8, n),
      g_new(float, n), g_new(float, n)};
  for (gsize i = 0; i < n; i++) {
    tiles->near[i] = FLT_MAX;
    tiles->far[i] = 0;
  }
  for (int i = 0; i < flesh->count; i++)
    tiles_list(tiles, i);
}

void tiles_clear(Tiles *tiles) {
  g_free(tiles->list);
  g_free(tiles->count);
  g_free(tiles->near);
  g_free(tiles->far);
  memset(tiles, 0, sizeof *tiles);
}

void tiles_trace(const Tiles *tiles, float x, float y, Hit *hit) {
  int column = CLAMP((int)floorf(x / TILE_SIDE), 0, tiles->columns - 1);
  int row = CLAMP((int)floorf(y / TILE_SIDE), 0, tiles->rows - 1), tile = row * tiles->columns + column;
  hit->group = -1;
  hit->count = tiles->count[tile];
  hit->list = tiles->list + (gsize)tile * FLESH_MAX_SOLIDS;
  if (hit->count == 0)
    return;
  vec3s origin, direction;
  camera_ray(tiles->camera, x, y, &origin, &direction);
  float t = MAX(tiles->near[tile], 0), far = tiles->far[tile];
  for (int step = 0; step < MAX_STEPS && t < far; step++) {
    vec3s p = glms_vec3_add(origin, glms_vec3_scale(direction, t));
    int group;
    float d = flesh_distance(tiles->flesh, hit->list, hit->count, p.raw, &group);
    if (d < HIT_DISTANCE) {
      hit->group = group;
      hit->t = t;
      hit->at = p;
      return;
    }
    t += d * 0.95f;
  }
}

vec3s hit_normal(const Flesh *flesh, const Hit *hit) {
  /* Differences at the corners of a tetrahedron. */
  static const float corner[4][3] = {{1, -1, -1}, {-1, -1, 1}, {-1, 1, -1}, {1, 1, 1}};
  vec3s n = {{0, 0, 0}};
  for (int i = 0; i < 4; i++) {
    float p[3];
    for (int c = 0; c < 3; c++)
      p[c] = hit->at.raw[c] + 0.0009f * corner[i][c];
    float d = flesh_distance(flesh, hit->list, hit->count, p, NULL);
    for (int c = 0; c < 3; c++)
      n.raw[c] += d * corner[i][c];
  }
  return glms_vec3_normalize(n);
}

float hit_openness(const Flesh *flesh, const Hit *hit, vec3s normal) {
  float closed = 0;
  static const float reach[3] = {0.008f, 0.018f, 0.032f}, weight[3] = {0.25f, 0.35f, 0.4f};
  for (int i = 0; i < 3; i++) {
    vec3s p = glms_vec3_add(hit->at, glms_vec3_scale(normal, reach[i]));
    float d = flesh_distance(flesh, hit->list, hit->count, p.raw, NULL);
    closed += weight[i] * (1 - CLAMP(d / (reach[i] * 0.85f), 0, 1));
  }
  return 1 - closed;
}
