/* The same seed gives the same picture; each attribute changes what it names and nothing leaves the frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "easel.h"
#include "sprite.h"
#include <string.h>

#define SIZE 128
#define BYTES (SIZE * SIZE * 3)

static void same_seed_same_bytes(void **state) {
  g_autoptr(Sprite) one = sprite_new(SIZE);
  g_autoptr(Sprite) other = sprite_new(SIZE);
  g_autofree guint8 *a = g_malloc(BYTES), *b = g_malloc(BYTES);
  Attributes first, second;
  for (guint64 i = 0; i < 40; i++) {
    sprite_sample(one, 5, 39 - i, PART_LEARN, &first, a); /* another order: no state is carried over */
    sprite_sample(one, 5, i, PART_LEARN, &first, a);
    sprite_sample(other, 5, i, PART_LEARN, &second, b);
    assert_memory_equal(&first, &second, sizeof first);
    assert_memory_equal(a, b, BYTES);
  }
  sprite_sample(other, 6, 39, PART_LEARN, &second, b);
  assert_memory_not_equal(a, b, BYTES);
}

static void parts_do_not_meet(void **state) {
  Dice dice = {1};
  int held_out = 0;
  for (int i = 0; i < 4000; i++) {
    Attributes a = attributes_draw(&dice, PART_LEARN);
    assert_int_equal(attributes_part(&a), PART_LEARN);
    assert_false(a.hair == HAIR_SPIKY && a.tint == TINT_WHITE);
    assert_int_equal(a.mark, MARK_NONE);
    Attributes b = attributes_draw(&dice, PART_HOLD_OUT);
    assert_int_equal(attributes_part(&b), PART_HOLD_OUT);
    /* framing and light do not move a person to the other part */
    b.framing = (Framing)((b.framing + 1) % FRAMINGS);
    b.light = (Light)((b.light + 1) % LIGHTS);
    held_out += attributes_part(&b) == PART_HOLD_OUT;
  }
  assert_int_equal(held_out, 4000);
}

static void labels_follow_attributes(void **state) {
  g_autoptr(Sprite) sprite = sprite_new(SIZE);
  g_autofree guint8 *labels = g_malloc(SIZE * SIZE);
  Dice dice = {3};
  for (int i = 0; i < 200; i++) {
    int count[REGIONS] = {0};
    Attributes a = attributes_draw(&dice, PART_LEARN);
    a.mark = i % 5 ? MARK_NONE : (Mark)(1 + i / 5 % (MARKS - 1));
    sprite_label(sprite, &a, (guint64)i, labels);
    for (int p = 0; p < SIZE * SIZE; p++) {
      assert_in_range(labels[p], 0, REGIONS - 1);
      count[labels[p]]++;
    }
    assert_true(count[REGION_SKIN] > 40 && count[REGION_CLOTHES] > 150 && count[REGION_SCENE] > 1500);
    assert_int_equal(count[REGION_HAIR] > 0, a.hair != HAIR_BALD);
    assert_int_equal(count[REGION_EYEWEAR] > 0, a.eyewear != EYEWEAR_NONE);
    assert_int_equal(count[REGION_BEARD] > 0, a.beard != BEARD_NONE);
    assert_int_equal(count[REGION_MARK] > 0, a.mark != MARK_NONE);
  }
}

static void json_round_trip(void **state) {
  Dice dice = {9};
  for (int i = 0; i < 200; i++) {
    Attributes a = attributes_draw(&dice, PART_LEARN), b;
    json_t *object = attributes_to_json(&a);
    assert_true(attributes_from_json(object, &b));
    assert_memory_equal(&a, &b, sizeof a);
    json_object_set_new(object, "hair", json_string("wig"));
    assert_false(attributes_from_json(object, &b));
    json_object_del(object, "hair");
    assert_false(attributes_from_json(object, &b));
    json_decref(object);
  }
}

/* The larger picture is the same picture. */
static void size_is_free(void **state) {
  g_autoptr(Sprite) small = sprite_new(SIZE);
  g_autoptr(Sprite) large = sprite_new(2 * SIZE);
  g_autofree guint8 *a = g_malloc(BYTES), *b = g_malloc(4 * BYTES);
  Attributes attributes;
  for (guint64 i = 0; i < 10; i++) {
    double sum = 0;
    sprite_sample(small, 2, i, PART_LEARN, &attributes, a);
    sprite_sample(large, 2, i, PART_LEARN, &attributes, b);
    for (int y = 0; y < SIZE; y++)
      for (int x = 0; x < SIZE; x++) {
        int mean = 0;
        for (int k = 0; k < 4; k++)
          mean += b[3 * ((2 * y + k / 2) * 2 * SIZE + 2 * x + k % 2)];
        sum += abs(mean / 4 - a[3 * (y * SIZE + x)]);
      }
    assert_true(sum / (SIZE * SIZE) < 4);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_seed_same_bytes),
                                     cmocka_unit_test(parts_do_not_meet),
                                     cmocka_unit_test(labels_follow_attributes),
                                     cmocka_unit_test(json_round_trip), cmocka_unit_test(size_is_free)};
  return cmocka_run_group_tests_name("sprite-pictures", tests, NULL, NULL);
}
