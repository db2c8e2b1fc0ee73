/* The judge believes true renders, and finds no more than chance where pictures belong to other captions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "judge.h"
#include "sprite.h"

#define SIZE 128
#define COUNT 60

static Tally judge_some(int step) {
  g_autoptr(Judge) judge = judge_new(SIZE);
  g_autoptr(Sprite) sprite = sprite_new(SIZE);
  g_autofree guint8 *pixels = g_malloc(SIZE * SIZE * 3);
  Attributes all[COUNT];
  Tally tally = {0};
  for (int i = 0; i < COUNT; i++)
    sprite_sample(sprite, 99, (guint64)i, PART_HOLD_OUT, &all[i], pixels);
  for (int i = 0; i < COUNT; i++) {
    const Attributes *asked = &all[(i + step) % COUNT];
    Verdict verdict;
    sprite_draw(sprite, &all[i], 4000 + (guint64)i, pixels);
    judge_look(judge, asked, pixels, TRAITS_REQUIRED, &verdict);
    tally_add(&tally, asked, &verdict);
  }
  return tally;
}

static void true_renders_are_right(void **state) {
  Tally tally = judge_some(0);
  for (int t = 0; t < TRAITS_REQUIRED; t++) {
    assert_true(tally.asked[t] >= COUNT * 3 / 4);
    if (tally_share(&tally, (Trait)t) < 0.96)
      fail_msg("%s: %.3f", trait_name((Trait)t), tally_share(&tally, (Trait)t));
  }
  assert_true(tally_jump(&tally) > 0.8 && tally_jump(&tally) < 1.3);
}

static void shuffled_are_chance(void **state) {
  Tally tally = judge_some(31);
  const double most[TRAITS_REQUIRED] = {0.4, 0.3, 0.3, 0.3, 0.6, 0.7};
  for (int t = 0; t < TRAITS_REQUIRED; t++)
    if (tally_share(&tally, (Trait)t) > most[t])
      fail_msg("%s: %.3f", trait_name((Trait)t), tally_share(&tally, (Trait)t));
}

/* A picture of flat tiles of 16 pixels has jumps at their borders only. */
static void mosaic_is_seen(void **state) {
  g_autoptr(Judge) judge = judge_new(SIZE);
  g_autofree guint8 *pixels = g_malloc(SIZE * SIZE * 3);
  Dice dice = {1};
  Attributes asked = attributes_draw(&dice, PART_LEARN);
  Verdict verdict;
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x < SIZE; x++)
      for (int c = 0; c < 3; c++)
        pixels[3 * (y * SIZE + x) + c] = (guint8)((x / 16 + y / 16) % 2 * 100);
  judge_look(judge, &asked, pixels, 0, &verdict);
  assert_float_equal(verdict.border, 100, 0.01);
  assert_float_equal(verdict.inside, 0, 0.01);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(true_renders_are_right),
                                     cmocka_unit_test(shuffled_are_chance), cmocka_unit_test(mosaic_is_seen)};
  return cmocka_run_group_tests_name("sprite-judge", tests, NULL, NULL);
}
