/* The filter of the blocks' borders: steps between flat blocks become ramps, edges stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "identity/picture/deblock.h"
#include <math.h>
#include <string.h>

enum { H = 48, W = 64, ALL = 3 * H * W };

/* Every block one colour: `base`, and `step` more or less. */
static void paint_blocks(float *picture, float base, float step) {
  for (int i = 0; i < ALL; i++)
    picture[i] = base + ((i / W % H / 16 + i % W / 16) % 2 ? step : -step);
}

static float most_jump(const float *picture) {
  float most = 0;
  for (int i = 0; i < ALL; i++) {
    if (i % W)
      most = fmaxf(most, fabsf(picture[i] - picture[i - 1]));
    if (i / W % H)
      most = fmaxf(most, fabsf(picture[i] - picture[i - W]));
  }
  return most;
}

static void a_mosaic_becomes_ramps(void **state) {
  float picture[ALL];
  paint_blocks(picture, .1f, .05f);
  deblock(&deblock_defaults, picture, H, W);
  /* From the middle of one block to that of the next .1 in sixteen pixels, in both directions at the corners.
   */
  assert_true(most_jump(picture) < .1f / 8);
  assert_true(fabsf(picture[8 * W + 8] - .05f) < .01f); /* the middle of a block hardly moves */
}

static void smooth_pictures_stay(void **state) {
  float picture[ALL], before[ALL];
  for (int i = 0; i < ALL; i++)
    picture[i] = .5f * sinf((float)(i % W) / 20) + .3f * cosf((float)(i / W % H) / 15);
  memcpy(before, picture, sizeof before);
  deblock(&deblock_defaults, picture, H, W);
  for (int i = 0; i < ALL; i++)
    assert_true(fabsf(picture[i] - before[i]) < .02f);
}

static void edges_stay(void **state) {
  float picture[ALL], before[ALL];
  paint_blocks(picture, 0, .9f);
  memcpy(before, picture, sizeof before);
  deblock(&deblock_defaults, picture, H, W);
  for (int i = 0; i < ALL; i++)
    assert_true(fabsf(picture[i] - before[i]) < .01f);
}

/* What lies behind an edge inside a block keeps its colour. */
static void ramps_end_at_edges(void **state) {
  float picture[ALL], before[ALL];
  for (int i = 0; i < ALL; i++) {
    int x = i % W;
    picture[i] = x < 16 ? .1f : x < 20 ? .2f : -.8f;
  }
  memcpy(before, picture, sizeof before);
  deblock(&deblock_defaults, picture, H, W);
  for (int i = 0; i < ALL; i++)
    if (i % W >= 20)
      assert_true(fabsf(picture[i] - before[i]) < 1e-3f);
    else if (i % W == 16)
      assert_true(picture[i] < .16f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_mosaic_becomes_ramps),
      cmocka_unit_test(smooth_pictures_stay),
      cmocka_unit_test(edges_stay),
      cmocka_unit_test(ramps_end_at_edges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
