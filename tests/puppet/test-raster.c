/* The rasteriser against a slow one that follows the definitions, and its rules one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "puppet/draw/raster.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 150
#define HEIGHT 110

static Image *plain(int width, int height, guint8 r, guint8 g, guint8 b, guint8 a) {
  Image *image = image_new(width, height, 4);
  for (int i = 0; i < width * height; i++)
    memcpy(image->pixels + 4 * i, (guint8[]){r, g, b, a}, 4);
  return image;
}

/* A picture that can be indexed by frame pixels; nothing where the box is not. */
static Image *draw(Raster *raster, const RasterMesh *meshes, const int *per_pass, int passes) {
  RasterPass pass[8];
  for (int p = 0, m = 0; p < passes; m += per_pass[p], p++)
    pass[p] = (RasterPass){meshes + m, per_pass[p]};
  Image *out = image_new(WIDTH, HEIGHT, 4);
  RasterBox box;
  if (!raster_draw(raster, pass, passes, &box))
    return out;
  for (int y = MAX(0, box.y); y < MIN(HEIGHT, box.y + box.height); y++) {
    const int *span = box.span[(y - box.y) / box.band];
    for (int x = MAX(0, box.x + span[0]); x < MIN(WIDTH, box.x + span[1]); x++)
      memcpy(image_at(out, x, y), box.rgba + ((gsize)(y - box.y) * (gsize)box.width + (gsize)(x - box.x)) * 4,
             4);
  }
  return out;
}

static Image *draw_one(Raster *raster, const RasterMesh *mesh) {
  return draw(raster, mesh, (const int[]){1}, 1);
}

static guint32 next(guint32 *seed) {
  *seed = *seed * 1664525 + 1013904223;
  return *seed >> 8;
}

static gboolean inside(const double *x, const double *y, double px, double py) {
  double area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]), sign = area < 0 ? -1 : 1;
  for (int i = 0; i < 3; i++) {
    int a = i, b = (i + 1) % 3;
    double dx = (x[b] - x[a]) * sign, dy = (y[b] - y[a]) * sign;
    double e = dx * (py - y[a]) - dy * (px - x[a]);
    gboolean top_left = dy < 0 || (dy == 0 && dx > 0);
    if (e < 0 || (e == 0 && !top_left))
      return FALSE;
  }
  return TRUE;
}

/* Random triangles on the 1/16 grid, with depth: number of samples of each owner, sample by sample. */
static void samples_go_to_the_nearest(void **state) {
  static const double sx[4] = {6, 14, 2, 10}, sy[4] = {2, 6, 10, 14};
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  guint32 seed = 5;
  for (int round = 0; round < 40; round++) {
    enum { N = 6 };
    float position[3 * N][3], uv[3 * N][2] = {{0}};
    guint32 triangle[N][3];
    double plane[N][3];
    for (int t = 0; t < N; t++) {
      for (int k = 0; k < 3; k++) {
        position[3 * t + k][0] = (float)(next(&seed) % (200 * 16)) / 16 - 25;
        position[3 * t + k][1] = (float)(next(&seed) % (160 * 16)) / 16 - 25;
        position[3 * t + k][2] = (float)(next(&seed) % 100);
        triangle[t][k] = (guint32)(3 * t + k);
        uv[3 * t + k][0] = (float)t * 16 + 8, uv[3 * t + k][1] = 8;
      }
      float(*p)[3] = position + 3 * t;
      double ax = p[1][0] - p[0][0], ay = p[1][1] - p[0][1], bx = p[2][0] - p[0][0], by = p[2][1] - p[0][1];
      double area = ax * by - bx * ay, dz1 = p[1][2] - p[0][2], dz2 = p[2][2] - p[0][2];
      plane[t][1] = (dz1 * by - dz2 * ay) / area, plane[t][2] = (dz2 * ax - dz1 * bx) / area;
      plane[t][0] = p[0][2] - plane[t][1] * p[0][0] - plane[t][2] * p[0][1];
    }
    g_autoptr(Image) colours = image_new(16 * N, 16, 4);
    for (int y = 0; y < 16; y++)
      for (int x = 0; x < 16 * N; x++)
        memcpy(image_at(colours, x, y), (guint8[]){(guint8)(40 * (x / 16)), 0, 0, 255}, 4);
    g_autoptr(RasterTexture) texture = raster_texture_new(colours, 1);
    RasterMesh mesh = {texture, N, position, uv, NULL, triangle, NULL, NULL, 1};
    g_autoptr(Image) got = draw_one(raster, &mesh);
    int wrong = 0;
    for (int y = 0; y < HEIGHT; y++)
      for (int x = 0; x < WIDTH; x++) {
        int red = 0, alpha = 0;
        gboolean close = FALSE;
        for (int s = 0; s < 4; s++) {
          double px = x + sx[s] / 16, py = y + sy[s] / 16, best = -1e30;
          int owner = -1;
          for (int t = 0; t < N; t++) {
            double tx[3], ty[3];
            for (int k = 0; k < 3; k++)
              tx[k] = position[3 * t + k][0], ty[k] = position[3 * t + k][1];
            if ((tx[1] - tx[0]) * (ty[2] - ty[0]) == (tx[2] - tx[0]) * (ty[1] - ty[0]) ||
                !inside(tx, ty, px, py))
              continue;
            double z = plane[t][0] + plane[t][1] * px + plane[t][2] * py;
            close |= fabs(z - best) < 0.02; /* floats may decide otherwise */
            if (z > best)
              best = z, owner = t;
          }
          if (owner >= 0)
            red += 40 * owner, alpha += 255;
        }
        const guint8 *p = image_at(got, x, y);
        if (close)
          continue;
        wrong += abs(p[3] - (alpha + 2) / 4) > 0 || abs(p[0] - (red + 2) / 4) > 1;
      }
    assert_int_equal(wrong, 0);
  }
}

/* A bent sheet of many triangles has neither gaps nor doubled edges, and its texture is where it belongs. */
static void sheets_are_tight_and_smooth(void **state) {
  enum { C = 25, R = 17 };
  g_autoptr(Image) ramp = image_new(200, 160, 4);
  for (int y = 0; y < 160; y++)
    for (int x = 0; x < 200; x++)
      memcpy(image_at(ramp, x, y), (guint8[]){(guint8)x, (guint8)y, 99, 255}, 4);
  g_autoptr(RasterTexture) texture = raster_texture_new(ramp, 1);
  float position[C * R][3], uv[C * R][2];
  guint32 triangle[2 * (C - 1) * (R - 1)][3];
  guint32 seed = 3;
  for (int y = 0; y < R; y++)
    for (int x = 0; x < C; x++) {
      gboolean edge = x == 0 || y == 0 || x == C - 1 || y == R - 1;
      float jx = edge ? 0 : (float)(next(&seed) % 100) / 50 - 1,
            jy = edge ? 0 : (float)(next(&seed) % 100) / 50 - 1;
      float *p = position[y * C + x];
      p[0] = 10 + 5 * (float)x + jx, p[1] = 8 + 5 * (float)y + jy, p[2] = 3 * sinf((float)x);
      uv[y * C + x][0] = p[0] * 1.2f, uv[y * C + x][1] = p[1] * 1.3f;
    }
  int n = 0;
  for (int y = 0; y + 1 < R; y++)
    for (int x = 0; x + 1 < C; x++) {
      guint32 a = (guint32)(y * C + x), b = a + 1, c = a + C, d = c + 1;
      memcpy(triangle[n++], (guint32[]){a, b, c}, 12);
      memcpy(triangle[n++], (guint32[]){b, d, c}, 12);
    }
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  RasterMesh mesh = {texture, n, position, uv, NULL, triangle, NULL, NULL, 1};
  g_autoptr(Image) got = draw_one(raster, &mesh);
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++) {
      const guint8 *p = image_at(got, x, y);
      gboolean in = x >= 10 && x < 130 && y >= 8 && y < 88;
      assert_int_equal(p[3], in ? 255 : 0);
      if (in) {
        assert_true(fabsf((float)p[0] - (((float)x + 0.5f) * 1.2f - 0.5f)) < 1.5f);
        assert_true(fabsf((float)p[1] - (((float)y + 0.5f) * 1.3f - 0.5f)) < 1.5f);
      }
    }
}

typedef struct {
  float position[4][3], uv[4][2];
  guint32 triangle[2][3];
} Quad;

static Quad quad(float x0, float y0, float x1, float y1, float z0, float z1) {
  return (Quad){{{x0, y0, z0}, {x1, y0, z1}, {x0, y1, z0}, {x1, y1, z1}},
                {{0, 0}, {32, 0}, {0, 32}, {32, 32}},
                {{0, 1, 2}, {1, 3, 2}}};
}

static RasterMesh mesh_of(const Quad *q, const RasterTexture *texture) {
  return (RasterMesh){texture, 2, q->position, q->uv, NULL, q->triangle, NULL, NULL, 2};
}

static void depth_within_a_pass_order_between(void **state) {
  g_autoptr(Image) red = plain(32, 32, 255, 0, 0, 255), blue = plain(32, 32, 0, 0, 255, 255);
  g_autoptr(RasterTexture) a = raster_texture_new(red, 1), b = raster_texture_new(blue, 1);
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  Quad up = quad(10, 10, 74, 74, 0, 64), level = quad(10, 10, 74, 74, 32, 32);
  RasterMesh meshes[2] = {mesh_of(&up, a), mesh_of(&level, b)};
  g_autoptr(Image) crossing = draw(raster, meshes, (const int[]){2}, 1);
  assert_int_equal(image_at(crossing, 20, 40)[2], 255);
  assert_int_equal(image_at(crossing, 60, 40)[0], 255);
  g_autoptr(Image) painted = draw(raster, meshes, (const int[]){1, 1}, 2);
  assert_int_equal(image_at(painted, 20, 40)[2], 255);
  assert_int_equal(image_at(painted, 60, 40)[2], 255);
  guint8 part[2] = {0, 1};
  const guint8 ranks[2] = {5, 1};
  meshes[1].part = meshes[0].part = part, meshes[1].rank = meshes[0].rank = ranks;
  Quad both = up;
  memcpy(both.triangle[1], both.triangle[0], 12); /* twice the same, the second of lower rank */
  RasterMesh ranked = mesh_of(&both, a);
  ranked.part = part, ranked.rank = ranks;
  g_autoptr(Image) one = draw_one(raster, &ranked);
  assert_int_equal(image_at(one, 20, 20)[0], 255);
}

static void soft_fragments_hide_nothing(void **state) {
  g_autoptr(Image) faint = plain(32, 32, 50, 0, 0, 100), dense = plain(32, 32, 0, 200, 0, 200);
  g_autoptr(RasterTexture) a = raster_texture_new(faint, 1), b = raster_texture_new(dense, 1);
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  Quad front = quad(10, 10, 60, 60, 9, 9), rear = quad(20, 10, 70, 60, 1, 1);
  for (int order = 0; order < 2; order++) {
    RasterMesh meshes[2] = {mesh_of(order ? &front : &rear, order ? a : b),
                            mesh_of(order ? &rear : &front, order ? b : a)};
    g_autoptr(Image) got = draw(raster, meshes, (const int[]){2}, 1);
    assert_int_equal(image_at(got, 15, 30)[3], 100);
    assert_int_equal(image_at(got, 40, 30)[3], 200);
    assert_int_equal(image_at(got, 40, 30)[1], 200);
    assert_int_equal(image_at(got, 40, 30)[0], 0);
  }
}

static void passes_lie_over_each_other(void **state) {
  g_autoptr(Image) below = plain(32, 32, 0, 128, 0, 128), above = plain(32, 32, 64, 0, 0, 64);
  g_autoptr(RasterTexture) a = raster_texture_new(below, 1), b = raster_texture_new(above, 1);
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  Quad q = quad(10, 10, 60, 60, 0, 0);
  RasterMesh meshes[2] = {mesh_of(&q, a), mesh_of(&q, b)};
  g_autoptr(Image) got = draw(raster, meshes, (const int[]){1, 1}, 2);
  const guint8 *p = image_at(got, 30, 30);
  assert_int_equal(p[0], 64);
  assert_in_range(p[1], 95, 97); /* 128 * (1 - 64 / 255) */
  assert_in_range(p[3], 159, 161);
}

static void fading_is_linear(void **state) {
  g_autoptr(Image) white = plain(32, 32, 255, 255, 255, 255);
  g_autoptr(RasterTexture) texture = raster_texture_new(white, 1);
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  Quad q = quad(0, 0, 100, 50, 0, 0);
  RasterMesh mesh = mesh_of(&q, texture);
  mesh.fade = (const float[]){0, 1, 0, 1};
  g_autoptr(Image) got = draw_one(raster, &mesh);
  for (int x = 5; x < 95; x += 10)
    assert_in_range(image_at(got, x, 25)[3], (int)(2.55f * (float)x) - 2, (int)(2.55f * (float)x) + 4);
}

/* Shrunk eight times, a fine chequer is grey, not a moire. */
static void small_pictures_are_averaged(void **state) {
  g_autoptr(Image) chequer = image_new(512, 512, 4);
  for (int y = 0; y < 512; y++)
    for (int x = 0; x < 512; x++)
      memcpy(image_at(chequer, x, y), (x + y) % 2 ? (guint8[]){255, 255, 255, 255} : (guint8[]){0, 0, 0, 255},
             4);
  g_autoptr(RasterTexture) texture = raster_texture_new(chequer, 1);
  g_autoptr(RasterTexture) coarse = raster_texture_new(chequer, 8);
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  Quad q = quad(10, 10, 74, 74, 0, 0);
  for (int i = 0; i < 4; i++)
    q.uv[i][0] *= 16, q.uv[i][1] *= 16;
  for (int k = 0; k < 2; k++) {
    RasterMesh mesh = mesh_of(&q, k ? coarse : texture);
    mesh.scale = 1 / 8.0f;
    g_autoptr(Image) got = draw_one(raster, &mesh);
    for (int x = 20; x < 64; x++)
      assert_in_range(image_at(got, x, 40)[0], 126, 129);
  }
}

static void nonsense_is_left_out(void **state) {
  g_autoptr(Image) white = plain(32, 32, 255, 255, 255, 255);
  g_autoptr(RasterTexture) texture = raster_texture_new(white, 1);
  g_autoptr(Raster) raster = raster_new(WIDTH, HEIGHT);
  static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 5000};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    for (int axis = 0; axis < 3; axis++) {
      Quad q = quad(10, 10, 60, 60, 0, 0);
      q.position[0][axis] = bad[i]; /* the first triangle only */
      RasterMesh mesh = mesh_of(&q, texture);
      g_autoptr(Image) got = draw_one(raster, &mesh);
      assert_int_equal(image_at(got, 58, 58)[3], 255);
    }
  Quad q = quad(10, 10, 60, 60, 0, 0);
  q.uv[0][0] = NAN, q.uv[1][1] = 1e30f, q.uv[2][0] = -INFINITY;
  RasterMesh mesh = mesh_of(&q, texture);
  g_autoptr(Image) got = draw_one(raster, &mesh);
  Quad away = quad(-90, 10, -20, 60, 0, 0);
  RasterMesh outside = mesh_of(&away, texture);
  RasterBox box;
  assert_false(raster_draw(raster, &(RasterPass){&outside, 1}, 1, &box));
  assert_false(raster_draw(raster, NULL, 0, &box));
}

static void what_was_drawn_before_leaves_no_trace(void **state) {
  g_autoptr(Image) white = plain(32, 32, 255, 255, 255, 255);
  g_autoptr(RasterTexture) texture = raster_texture_new(white, 1);
  g_autoptr(Raster) used = raster_new(WIDTH, HEIGHT), fresh = raster_new(WIDTH, HEIGHT);
  Quad big = quad(-20, -20, 170, 130, 3, 3), small = quad(33.3f, 21.7f, 97.1f, 66.6f, 0, 5);
  RasterMesh first = mesh_of(&big, texture), second = mesh_of(&small, texture);
  g_autoptr(Image) ignored = draw_one(used, &first);
  g_autoptr(Image) a = draw_one(used, &second), b = draw_one(fresh, &second);
  assert_memory_equal(a->pixels, b->pixels, WIDTH * HEIGHT * 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(samples_go_to_the_nearest),
      cmocka_unit_test(sheets_are_tight_and_smooth),
      cmocka_unit_test(depth_within_a_pass_order_between),
      cmocka_unit_test(soft_fragments_hide_nothing),
      cmocka_unit_test(passes_lie_over_each_other),
      cmocka_unit_test(fading_is_linear),
      cmocka_unit_test(small_pictures_are_averaged),
      cmocka_unit_test(nonsense_is_left_out),
      cmocka_unit_test(what_was_drawn_before_leaves_no_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
