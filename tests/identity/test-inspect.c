/* Doubles are found and others are not; blur, dusk and fog are told apart; words follow from measures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/plane.h"
#include "identity/inspect/inspect.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SIDE 160

/* A picture of discs on a slope of colour, different for each seed. */
static Image *scene(guint32 seed) {
  Image *image = image_new(SIDE, SIDE, 3);
  float disc[14][6];
  for (int i = 0; i < 14; i++)
    for (int k = 0; k < 6; k++) {
      seed = seed * 1664525 + 1013904223;
      disc[i][k] = (float)(seed >> 8) / (float)(1 << 24);
    }
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      guint8 *pixel = image_at(image, x, y);
      for (int c = 0; c < 3; c++)
        pixel[c] = (guint8)(60 + 100 * (disc[0][c] * (float)x + disc[0][c + 3] * (float)y) / (2 * SIDE));
      for (int i = 1; i < 14; i++)
        if (hypotf((float)x - disc[i][0] * SIDE, (float)y - disc[i][1] * SIDE) < 8 + 26 * disc[i][2])
          for (int c = 0; c < 3; c++)
            pixel[c] = (guint8)(30 + 200 * disc[i][c + 3]);
    }
  return image;
}

static Image *blurred(const Image *image, float sigma) {
  Image *result = image_new(image->width, image->height, 3);
  for (int c = 0; c < 3; c++) {
    g_autoptr(Plane) plane = plane_from_image(image, c);
    plane_blur(plane, sigma);
    g_autoptr(Image) grey = plane_to_image(plane);
    for (gsize i = 0; i < (gsize)image->width * (gsize)image->height; i++)
      result->pixels[3 * i + (gsize)c] = grey->pixels[i];
  }
  return result;
}

/* level · gain + offset */
static Image *levelled(const Image *image, float gain, float offset) {
  Image *result = image_copy(image);
  for (gsize i = 0; i < (gsize)image->width * (gsize)image->height * 3; i++)
    result->pixels[i] = (guint8)CLAMP((float)image->pixels[i] * gain + offset, 0.f, 255.f);
  return result;
}

static Image *mirrored(const Image *image) {
  Image *result = image_new(image->width, image->height, 3);
  for (int y = 0; y < image->height; y++)
    for (int x = 0; x < image->width; x++)
      memcpy(image_at(result, image->width - 1 - x, y), image_at(image, x, y), 3);
  return result;
}

/* Red and blue exchanged: the same grey pattern nearly, other colours. */
static Image *recoloured(const Image *image) {
  Image *result = image_copy(image);
  for (gsize i = 0; i < (gsize)image->width * (gsize)image->height; i++) {
    result->pixels[3 * i] = image->pixels[3 * i + 2];
    result->pixels[3 * i + 2] = image->pixels[3 * i];
  }
  return result;
}

static gboolean same(const Image *a, const Image *b, gboolean *turned) {
  PictureHash p = picture_hash(a), q = picture_hash(b);
  gboolean other, forth = picture_hash_same(&p, &q, turned), back = picture_hash_same(&q, &p, &other);
  assert_int_equal(forth, back);
  return forth;
}

static void copies_are_doubles(void **state) {
  for (guint32 seed = 1; seed <= 20; seed++) {
    g_autoptr(Image) image = scene(seed);
    g_autoptr(Image) small = image_resize(image, 97, 97);
    g_autoptr(Image) large = image_resize(image, 400, 400);
    g_autoptr(Image) soft = blurred(image, 2);
    g_autoptr(Image) dark = levelled(image, .4f, 5);
    g_autoptr(Image) pale = levelled(image, .5f, 120);
    g_autoptr(Image) mirror = mirrored(image);
    g_autoptr(Image) shifted = image_crop(image, 2, 1, SIDE - 2, SIDE - 1);
    const Image *const copies[] = {image, small, large, soft, dark, pale, shifted};
    gboolean turned;
    for (gsize i = 0; i < G_N_ELEMENTS(copies); i++)
      assert_true(same(image, copies[i], &turned) && !turned);
    assert_true(same(image, mirror, &turned) && turned);
  }
}

static void others_are_no_doubles(void **state) {
  PictureHash hash[60];
  for (guint32 i = 0; i < G_N_ELEMENTS(hash); i++) {
    g_autoptr(Image) image = scene(100 + i);
    hash[i] = picture_hash(image);
  }
  for (gsize i = 0; i < G_N_ELEMENTS(hash); i++)
    for (gsize k = 0; k < i; k++)
      assert_false(picture_hash_same(&hash[i], &hash[k], NULL));
  g_autoptr(Image) image = scene(3);
  g_autoptr(Image) other = recoloured(image);
  assert_false(same(image, other, NULL));
}

static void empty_pictures_have_a_hash(void **state) {
  g_autoptr(Image) black = image_new(1, 1, 3);
  g_autoptr(Image) wide = image_new(900, 2, 3);
  assert_true(same(black, wide, NULL));
}

static void sharpness_is_of_blur_alone(void **state) {
  g_autoptr(Image) image = scene(5);
  float sharp = inspect_light(image, NULL).sharpness, last = sharp;
  for (int sigma = 1; sigma <= 4; sigma++) {
    g_autoptr(Image) soft = blurred(image, (float)sigma);
    float now = inspect_light(soft, NULL).sharpness;
    printf("  blur of %d: %.4f\n", sigma, (double)now);
    assert_true(now < last);
    last = now;
  }
  g_autoptr(Image) dusk = levelled(image, .3f, 0);
  g_autoptr(Image) fog = levelled(image, .3f, 170);
  assert_true(fabsf(inspect_light(dusk, NULL).sharpness / sharp - 1) < .15f);
  assert_true(fabsf(inspect_light(fog, NULL).sharpness / sharp - 1) < .15f);
}

/* A sharp figure before a soft ground is sharp; a soft one before a sharp ground is not. */
static void sharpness_is_of_the_figure(void **state) {
  g_autoptr(Image) image = scene(5);
  g_autoptr(Image) soft = blurred(image, 3);
  g_autoptr(Image) mask = image_new(SIDE, SIDE, 1);
  g_autoptr(Image) mixed = image_copy(soft);
  for (int y = 30; y < 130; y++)
    for (int x = 40; x < 120; x++) {
      *image_at(mask, x, y) = 255;
      memcpy(image_at(mixed, x, y), image_at(image, x, y), 3);
    }
  float all = inspect_light(mixed, NULL).sharpness, figure = inspect_light(mixed, mask).sharpness;
  float whole = inspect_light(image, mask).sharpness;
  assert_true(figure > all);
  assert_true(fabsf(figure / whole - 1) < .01f);
}

static void light_is_measured(void **state) {
  g_autoptr(Image) image = scene(5);
  g_autoptr(Image) dark = levelled(image, .25f, 0);
  g_autoptr(Image) washed = levelled(image, .3f, 178);
  Light usual = inspect_light(image, NULL), low = inspect_light(dark, NULL),
        high = inspect_light(washed, NULL);
  assert_true(usual.dark < .4f && usual.bright > .5f && usual.bright <= 1);
  assert_true(low.bright < .3f);
  assert_true(high.dark > .65f);
  g_autoptr(Image) black = image_new(2, 1, 3);
  Light none = inspect_light(black, NULL);
  assert_true(none.sharpness == 0 && none.dark == 0 && none.bright == 0);
}

/* --- words --- */

static PictureReport good_report(guint64 bits) {
  PictureReport report = {.path = g_strdup("p.png"),
                          .readable = TRUE,
                          .width = 900,
                          .height = 1200,
                          .light = {.03f, .1f, .9f},
                          .people = 1,
                          .shown = SHOWN_BUST,
                          .figure = .4f,
                          .face = TRUE,
                          .face_height = 200,
                          .same_as = -1,
                          .remarks = g_ptr_array_new_with_free_func(g_free)};
  report.hash.bits = bits;
  report.hash.mirrored = ~bits;
  return report;
}

static void clear(gpointer data) {
  PictureReport *report = data;
  g_free(report->path);
  g_ptr_array_unref(report->remarks);
}

static gboolean says(const GPtrArray *remarks, const char *words) {
  for (guint i = 0; i < remarks->len; i++)
    if (strstr(remarks->pdata[i], words))
      return TRUE;
  return FALSE;
}

/* Applies the change, judges, and expects the verdict and the words (NULL: none at all). */
#define JUDGED(change, expected, words)                                                                      \
  do {                                                                                                       \
    PictureReport r = good_report(0);                                                                        \
    change;                                                                                                  \
    inspect_judge(&r);                                                                                       \
    assert_int_equal(r.verdict, expected);                                                                   \
    const char *w = words;                                                                                   \
    assert_true(w ? says(r.remarks, w) : r.remarks->len == 0);                                               \
    clear(&r);                                                                                               \
  } while (0)

static void words_follow_from_measures(void **state) {
  JUDGED((void)0, VERDICT_GOOD, NULL);
  JUDGED(r.width = 400, VERDICT_USABLE, "small");
  JUDGED(r.width = 100, VERDICT_REPLACE, "100 x 1200");
  JUDGED(r.light.sharpness = .001f, VERDICT_REPLACE, "blurred");
  JUDGED(r.light.sharpness = .004f, VERDICT_USABLE, "soft");
  JUDGED(r.light.bright = .3f; r.light.dark = 0, VERDICT_REPLACE, "dark");
  JUDGED(r.light.dark = .7f; r.light.bright = .95f, VERDICT_REPLACE, "washed out");
  JUDGED(r.light.dark = .45f; r.light.bright = .55f, VERDICT_REPLACE, "contrast");
  JUDGED(r.people = 3, VERDICT_REPLACE, "3 people");
  JUDGED(r.people = 0, VERDICT_GOOD, "Nobody");
  JUDGED(r.face = FALSE, VERDICT_USABLE, "not seen");
  JUDGED(r.face_height = 20, VERDICT_USABLE, "20 pixels");
  JUDGED(r.cut = CUT_TOP, VERDICT_USABLE, "head is cut off");
  JUDGED(r.cut = CUT_LEFT | CUT_RIGHT, VERDICT_USABLE, "sides");
  JUDGED(r.figure = .01f, VERDICT_USABLE, "1.0 %");
  JUDGED(r.hidden = .8f, VERDICT_USABLE, "hidden");
  JUDGED(r.people = 2; r.width = 100, VERDICT_REPLACE, "2 people");
}

/* count different pictures */
static Inspection *set_of(guint count) {
  Inspection *inspection = g_new0(Inspection, 1);
  inspection->pictures = g_array_new(FALSE, TRUE, sizeof(PictureReport));
  inspection->remarks = g_ptr_array_new_with_free_func(g_free);
  g_array_set_clear_func(inspection->pictures, clear);
  for (guint i = 0; i < count; i++) {
    PictureReport report = good_report(0x0123456789abcdefULL * (2 * i + 1) ^ (guint64)i << 33);
    report.turn = i % 2 ? .6f : 0;
    report.shown = i % 3 ? SHOWN_BUST : SHOWN_WHOLE;
    g_array_append_val(inspection->pictures, report);
  }
  return inspection;
}

static PictureReport *at(Inspection *inspection, guint index) {
  return &g_array_index(inspection->pictures, PictureReport, index);
}

static void good_sets_have_no_remarks(void **state) {
  g_autoptr(Inspection) inspection = set_of(12);
  inspect_set(inspection);
  assert_int_equal(inspection->remarks->len, 0);
}

static void few_and_many_are_remarks(void **state) {
  g_autoptr(Inspection) few = set_of(9), many = set_of(31);
  inspect_set(few);
  inspect_set(many);
  assert_true(says(few->remarks, "9 pictures") && few->remarks->len == 1);
  assert_true(says(many->remarks, "31 pictures") && many->remarks->len == 1);
}

static void the_worse_of_two_doubles_goes(void **state) {
  g_autoptr(Inspection) inspection = set_of(12);
  at(inspection, 4)->hash = at(inspection, 1)->hash;
  at(inspection, 7)->hash = at(inspection, 2)->hash;
  at(inspection, 2)->light.sharpness = .004f;
  inspect_set(inspection);
  assert_int_equal(at(inspection, 4)->same_as, 1);
  assert_int_equal(at(inspection, 1)->same_as, -1);
  assert_int_equal(at(inspection, 2)->same_as, 7);
  assert_int_equal(at(inspection, 7)->verdict, VERDICT_GOOD);
  assert_true(says(at(inspection, 4)->remarks, "picture 2"));
  assert_true(says(inspection->remarks, "Replace pictures 3 and 5."));
}

static void sets_of_one_kind_are_said(void **state) {
  g_autoptr(Inspection) alike = set_of(5), far = set_of(12);
  for (guint i = 1; i < 5; i++)
    at(alike, i)->hash = at(alike, 0)->hash;
  for (guint i = 0; i < 12; i++) {
    at(far, i)->shown = SHOWN_HALF;
    at(far, i)->turn = 0;
  }
  at(far, 3)->readable = FALSE;
  at(far, 3)->verdict = VERDICT_REPLACE;
  inspect_set(alike);
  inspect_set(far);
  assert_true(says(alike->remarks, "all show the same"));
  assert_true(says(far->remarks, "Replace picture 4."));
  assert_true(says(far->remarks, "None is close"));
  assert_true(says(far->remarks, "whole body"));
  assert_true(says(far->remarks, "All faces look into the camera"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_are_doubles),         cmocka_unit_test(others_are_no_doubles),
      cmocka_unit_test(empty_pictures_have_a_hash), cmocka_unit_test(sharpness_is_of_blur_alone),
      cmocka_unit_test(sharpness_is_of_the_figure), cmocka_unit_test(light_is_measured),
      cmocka_unit_test(words_follow_from_measures), cmocka_unit_test(good_sets_have_no_remarks),
      cmocka_unit_test(few_and_many_are_remarks),   cmocka_unit_test(the_worse_of_two_doubles_goes),
      cmocka_unit_test(sets_of_one_kind_are_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
