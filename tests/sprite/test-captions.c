/* A caption says what the picture shows, drops what it is told to drop, and every word of it is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "captions.h"
#include "vocabulary.h"
#include <string.h>

static void whole_caption(void **state) {
  Attributes a = {.framing = FRAMING_FULL,
                  .subject = SUBJECT_MAN,
                  .skin = SKIN_TAN,
                  .face = FACE_LONG,
                  .hair = HAIR_CURLY,
                  .tint = TINT_PINK,
                  .eyewear = EYEWEAR_NONE,
                  .beard = BEARD_NONE,
                  .garment = GARMENT_HOODIE,
                  .cloth = CLOTH_GREEN,
                  .mood = MOOD_SERIOUS,
                  .posture = POSE_HIPS,
                  .place = SCENE_SPACE,
                  .light = LIGHT_NIGHT,
                  .style = STYLE_FLAT};
  Dice dice = {1};
  g_autofree char *text = caption_of(&a, &caption_whole, NULL, &dice);
  assert_string_equal(text,
                      "full body picture of a man tan skin long face curly pink hair no glasses clean shaven "
                      "green hoodie serious hands on hips in space night flat");
  a.framing = FRAMING_PORTRAIT; /* hands cannot be seen */
  g_autofree char *close = caption_of(&a, &caption_whole, NULL, &dice);
  assert_null(strstr(close, "hands"));
  a.hair = HAIR_BALD;
  g_autofree char *bald = caption_of(&a, &caption_whole, NULL, &dice);
  assert_non_null(strstr(bald, " bald "));
  assert_null(strstr(bald, "hair"));
  g_autofree char *named = caption_of(&a, &caption_whole, "zqx", &dice);
  assert_string_equal(named, "portrait of a zqx person green hoodie serious in space night flat");
}

static void shares_of_what_is_dropped(void **state) {
  Dice dice = {4};
  int empty = 0, person = 0, skin = 0, eyes = 0, place = 0, described = 0, spoken = 0, first_skin = 0;
  const int count = 20000;
  for (int i = 0; i < count; i++) {
    Attributes a = attributes_draw(&dice, PART_LEARN);
    a.place = SCENE_DESERT;
    g_autofree char *text = caption_of(&a, &caption_learn, NULL, &dice);
    if (!*text) {
      empty++;
      continue;
    }
    spoken++;
    place += strstr(text, "desert") != NULL;
    if (strstr(text, " person")) {
      person++;
      assert_null(strstr(text, "skin"));
      assert_null(strstr(text, "glasses"));
      continue;
    }
    described++;
    skin += strstr(text, " skin") != NULL;
    eyes += strstr(text, "glasses") != NULL;
    const char *s = strstr(text, " skin"), *f = strstr(text, " face");
    first_skin += s && f && s < f;
    if (a.subject == SUBJECT_MAN)
      assert_true(strstr(text, "beard") || strstr(text, "moustache") || strstr(text, "clean shaven"));
  }
  assert_float_equal((double)empty / count, 0.10, 0.01);
  assert_float_equal((double)person / spoken, 0.15, 0.01);
  assert_float_equal((double)skin / described, 0.90, 0.01);
  assert_float_equal((double)place / spoken, 0.90, 0.01);
  assert_int_equal(eyes, described); /* glasses, or that there are none, are always said */
  assert_float_equal((double)first_skin / described, 0.81 / 2, 0.02);
}

static void every_word_is_known(void **state) {
  g_autoptr(Words) words = vocabulary_new();
  g_autofree gint32 *ids = g_new(gint32, words_length(words));
  Dice dice = {8};
  for (int i = 0; i < 5000; i++) {
    Attributes a = attributes_draw(&dice, PART_LEARN);
    g_autofree char *text = caption_of(&a, i % 2 ? &caption_learn : &caption_whole, NULL, &dice);
    g_autoptr(GPtrArray) rest = NULL;
    words_encode(words, text, ids, &rest);
    if (rest->len > 0)
      fail_msg("\"%s\": %s", text, (const char *)rest->pdata[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(whole_caption),
                                     cmocka_unit_test(shares_of_what_is_dropped),
                                     cmocka_unit_test(every_word_is_known)};
  return cmocka_run_group_tests_name("sprite-captions", tests, NULL, NULL);
}
