/* What rigs are made of, against what is known: colours, regions, fills, relief, meshes, the drawn hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "puppet/rig/colour.h"
#include "puppet/rig/drawn_hand.h"
#include "puppet/rig/fill.h"
#include "puppet/rig/mesh.h"
#include "puppet/rig/relief.h"
#include "puppet/rig/segment.h"
#include "puppet/rig/watershed.h"
#include <math.h>
#include <string.h>

static void free_planes(Plane **planes, int n) {
  for (int i = 0; i < n; i++)
    plane_free(planes[i]);
}

static Image *plain(int width, int height, const guint8 rgb[3]) {
  Image *image = image_new(width, height, 3);
  for (int i = 0; i < width * height; i++)
    memcpy(image->pixels + 3 * (gsize)i, rgb, 3);
  return image;
}

/* --- colours --- */

/* L*a*b* values of sRGB primaries under D65, as published (Lindbloom). */
static void lab_values_are_the_known_ones(void **state) {
  static const struct {
    guint8 rgb[3];
    float lab[3];
  } known[] = {{{255, 255, 255}, {100, 0, 0}},
               {{0, 0, 0}, {0, 0, 0}},
               {{255, 0, 0}, {53.24f, 80.09f, 67.20f}},
               {{0, 255, 0}, {87.73f, -86.18f, 83.18f}},
               {{0, 0, 255}, {32.30f, 79.19f, -107.86f}}};
  for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
    g_autoptr(Image) image = plain(2, 2, known[i].rgb);
    Plane *lab[3];
    colour_planes(image, lab);
    for (int c = 0; c < 3; c++)
      assert_float_equal(lab[c]->v[3], known[i].lab[c], 0.1);
    free_planes(lab, 3);
  }
}

static void palettes_find_the_colours_of_cloth(void **state) {
  static const guint8 colours[3][3] = {{200, 30, 40}, {30, 60, 180}, {240, 240, 235}};
  g_autoptr(Image) image = plain(60, 60, colours[0]);
  g_autoptr(GRand) random = g_rand_new_with_seed(3);
  g_autofree guint8 *mask = g_new0(guint8, 3600);
  for (int i = 0; i < 3600; i++) {
    int k = i % 60 < 25 ? 0 : i % 60 < 56 ? 1 : 2;
    mask[i] = 1;
    for (int c = 0; c < 3; c++)
      image->pixels[3 * i + c] = (guint8)CLAMP(colours[k][c] + g_rand_int_range(random, -6, 7), 0, 255);
  }
  Plane *lab[3], *expected[3];
  Palette palette, again;
  colour_planes(image, lab);
  palette_learn(&palette, lab, mask, 3);
  palette_learn(&again, lab, mask, 3);
  assert_int_equal(palette.n, 3);
  assert_memory_equal(&palette, &again, sizeof palette);
  for (int k = 0; k < 3; k++) {
    g_autoptr(Image) one = plain(1, 1, colours[k]);
    colour_planes(one, expected);
    float colour[3] = {expected[0]->v[0], expected[1]->v[0], expected[2]->v[0]};
    assert_true(palette_distance(&palette, colour) < 3);
    free_planes(expected, 3);
  }
  memset(mask, 0, 3600);
  palette_learn(&palette, lab, mask, 3);
  assert_int_equal(palette.n, 0);
  free_planes(lab, 3);
}

/* --- regions --- */

static void regions_meet_at_the_edge(void **state) {
  static const guint8 red[3] = {180, 40, 40}, blue[3] = {40, 60, 170};
  g_autoptr(Image) image = plain(80, 50, red);
  for (int y = 0; y < 50; y++)
    for (int x = 60; x < 80; x++)
      memcpy(image_at(image, x, y), blue, 3);
  Plane *lab[3];
  colour_planes(image, lab);
  g_autoptr(Plane) alpha = plane_new(80, 50);
  for (int y = 0; y < 50; y++)
    for (int x = 0; x < 80; x++)
      *plane_at(alpha, x, y) =
          !(y > 40 && x < 9) && y != 40 && !(x == 9 && y > 40); /* a piece without a seed, below */
  guint8 label[80 * 50] = {0};
  label[25 * 80 + 3] = 1; /* far from the edge on one side, near to it on the other */
  label[25 * 80 + 63] = 2;
  for (int x = 0; x < 9; x++)
    *plane_at(alpha, x, 45) = 1;
  g_autoptr(Plane) gradient = watershed_gradient(lab, alpha, 0.5f);
  watershed_flood(gradient, alpha, 0.1f, label);
  for (int y = 0; y < 40; y++)
    for (int x = 0; x < 80; x++)
      if (x < 58 || x > 61)
        assert_int_equal(label[y * 80 + x], x < 60 ? 1 : 2);
  assert_int_equal(label[45 * 80 + 4], 1);  /* adopted */
  assert_int_equal(label[40 * 80 + 20], 0); /* outside the alpha */
  free_planes(lab, 3);
}

/* --- fills --- */

static void fills_stay_between_what_is_known(void **state) {
  Plane *colour[3];
  g_autoptr(Plane) known = plane_new(64, 48);
  for (int c = 0; c < 3; c++)
    colour[c] = plane_new(64, 48);
  for (int y = 0; y < 48; y++)
    for (int x = 0; x < 64; x++) {
      gboolean inside = x >= 20 && x < 44 && y >= 12 && y < 36;
      *plane_at(known, x, y) = !inside;
      *plane_at(colour[0], x, y) = inside ? 9 : 0.25f;             /* a constant is continued exactly */
      *plane_at(colour[1], x, y) = inside ? 9 : (float)x / 64;     /* a slope stays one */
      *plane_at(colour[2], x, y) = inside ? -9 : (float)(x >= 32); /* a step is bridged without overshoot */
    }
  fill_unknown(colour, 3, known, 0.2f);
  for (int y = 12; y < 36; y++)
    for (int x = 20; x < 44; x++) {
      assert_float_equal(*plane_at(colour[0], x, y), 0.25, 1e-4);
      assert_float_equal(*plane_at(colour[1], x, y), (float)x / 64, 0.12);
      assert_true(*plane_at(colour[2], x, y) > -1e-4f && *plane_at(colour[2], x, y) < 1.0001f);
    }
  assert_float_equal(*plane_at(colour[1], 3, 3), 3.0f / 64, 0); /* what was known is untouched */
  free_planes(colour, 3);
}

/* --- relief and meshes --- */

static Image *shape(int width, int height, gboolean disc, float radius) {
  Image *image = image_new(width, height, 4);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      float dx = (float)x + 0.5f - 0.5f * (float)width,
            dy = disc ? (float)y + 0.5f - 0.5f * (float)height : 0;
      memset(image_at(image, x, y), hypotf(dx, dy) <= radius ? 255 : 0, 4);
    }
  return image;
}

static float height_at(const Layer *layer, float x, float y) {
  float least = G_MAXFLOAT, z = 0;
  for (int v = 0; v < layer->vertices; v++) {
    float d = hypotf(layer->rest[v][0] - x, layer->rest[v][1] - y);
    if (d < least) {
      least = d;
      z = layer->rest[v][2];
    }
  }
  return z;
}

static void a_strip_is_inflated_to_a_half_cylinder(void **state) {
  Grid *made;
  Layer *strip = mesh_grid(LAYER_LEFT_ARM, shape(80, 400, FALSE, 30), 0, 0, 3, &made);
  g_autoptr(Grid) grid = made;
  relief_inflate(strip, grid, 1e4f);
  for (int x = 18; x <= 62; x += 4) {
    float across = (float)x - 40, expected = sqrtf(MAX(0, 30 * 30 - across * across));
    assert_float_equal(height_at(strip, (float)x, 200), expected, 3.5);
  }
  relief_inflate(strip, grid, 10);
  assert_true(height_at(strip, 40, 200) < 10);
  layer_free(strip);
}

static void a_disc_is_inflated_flatter_than_a_ball(void **state) {
  Grid *made;
  Layer *disc = mesh_grid(LAYER_HEAD, shape(120, 120, TRUE, 50), 0, 0, 3, &made);
  g_autoptr(Grid) grid = made;
  relief_inflate(disc, grid, 1e4f);
  assert_float_equal(height_at(disc, 60, 60), 0.71f * 50, 2.5);
  assert_float_equal(height_at(disc, 60, 8), 0, 8);
  assert_float_equal(height_at(disc, 60, 4), 0, 0);
  layer_free(disc);
}

static void meshes_cover_every_visible_pixel(void **state) {
  Grid *made;
  g_autoptr(GRand) random = g_rand_new_with_seed(9);
  Image *texture = image_new(50, 41, 4);
  for (int i = 0; i < 60; i++)
    image_at(texture, g_rand_int_range(random, 0, 50), g_rand_int_range(random, 0, 41))[3] = 200;
  Layer *layer = mesh_grid(LAYER_BODY, texture, 7, -3, 3.3f, &made);
  g_autoptr(Grid) grid = made;
  for (int y = 0; y < 41; y++)
    for (int x = 0; x < 50; x++) {
      gboolean covered = image_at(texture, x, y)[3] == 0;
      for (int t = 0; t < layer->triangles && !covered; t++) {
        const float *a = layer->uv[layer->triangle[t][0]], *b = layer->uv[layer->triangle[t][1]],
                    *c = layer->uv[layer->triangle[t][2]];
        float px = (float)x + 0.5f, py = (float)y + 0.5f;
        float u = (b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0]),
              v = (c[0] - b[0]) * (py - b[1]) - (c[1] - b[1]) * (px - b[0]);
        float w = (a[0] - c[0]) * (py - c[1]) - (a[1] - c[1]) * (px - c[0]);
        covered = (u >= -1e-3f && v >= -1e-3f && w >= -1e-3f) || (u <= 1e-3f && v <= 1e-3f && w <= 1e-3f);
      }
      assert_true(covered);
    }
  for (int v = 0; v < layer->vertices; v++) {
    assert_float_equal(layer->rest[v][0], layer->uv[v][0] + 7, 1e-4);
    assert_float_equal(layer->rest[v][1], layer->uv[v][1] - 3, 1e-4);
  }
  layer_free(layer);
}

static void segments_know_their_distance(void **state) {
  const float a[2] = {1, 1}, b[2] = {5, 4}, beside[2] = {3 - 3, 2.5f + 4}, beyond[2] = {5 + 4, 4 + 3};
  assert_float_equal(segment_distance(a, b, beside), 5, 1e-5);
  assert_float_equal(segment_along(a, b, beside), 0.5, 1e-5);
  assert_float_equal(segment_distance(a, b, beyond), 5, 1e-5);
  assert_float_equal(segment_along(a, b, beyond), 2, 1e-5);
  assert_float_equal(segment_distance(a, a, b), 5, 1e-5); /* a point is a segment too */
}

/* --- the hand --- */

static void the_hand_has_a_wrist_five_fingers_and_skin(void **state) {
  const float skin[3] = {220, 170, 140};
  float origin[2];
  g_autoptr(Image) hand = drawn_hand(200, skin, origin);
  assert_true(image_at(hand, (int)origin[0], (int)origin[1] - 2)[3] == 255);
  int along = (int)(origin[1] - 0.68f * 200), runs = 0;
  for (int x = 1; x < hand->width; x++)
    runs += image_at(hand, x, along)[3] > 127 && image_at(hand, x - 1, along)[3] <= 127;
  assert_int_equal(runs, 4); /* above the thumb */
  along = (int)(origin[1] - 0.45f * 200);
  gboolean thumb_right = image_at(hand, (int)(origin[0] + 0.28f * 200), along)[3] > 127;
  gboolean thumb_left = image_at(hand, (int)(origin[0] - 0.28f * 200), along)[3] > 127;
  assert_true(thumb_right && !thumb_left);
  const guint8 *palm = image_at(hand, (int)origin[0], (int)origin[1] - 60);
  for (int c = 0; c < 3; c++)
    assert_true(fabsf((float)palm[c] - skin[c]) < 0.2f * skin[c]);
  g_autoptr(Image) tiny = drawn_hand(1, skin, origin);
  assert_non_null(tiny);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lab_values_are_the_known_ones),
      cmocka_unit_test(palettes_find_the_colours_of_cloth),
      cmocka_unit_test(regions_meet_at_the_edge),
      cmocka_unit_test(fills_stay_between_what_is_known),
      cmocka_unit_test(a_strip_is_inflated_to_a_half_cylinder),
      cmocka_unit_test(a_disc_is_inflated_flatter_than_a_ball),
      cmocka_unit_test(meshes_cover_every_visible_pixel),
      cmocka_unit_test(segments_know_their_distance),
      cmocka_unit_test(the_hand_has_a_wrist_five_fingers_and_skin),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
