/* Figures on plain ground: drawn and coloured bodies on shaded, noisy paper, and grounds that are not plain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/fault.h"
#include "bodies.h"
#include "media/picture.h"
#include "puppet/cutout/cutout.h"
#include "shared.h"
#include <math.h>
#include <string.h>

/* Paper that darkens to one corner, with grain. */
static Image *paper(int width, int height, const guint8 colour[3], float shade, float grain) {
  Image *picture = image_new(width, height, 3);
  g_autoptr(GRand) random = g_rand_new_with_seed(11);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      float u = (float)x / (float)width, v = (float)y / (float)height;
      float light = 1 - shade * (0.6f * u * u + 0.4f * v),
            noise = grain * (float)g_rand_double_range(random, -1, 1);
      for (int c = 0; c < 3; c++)
        image_at(picture, x, y)[c] = (guint8)CLAMP((float)colour[c] * light + noise, 0.0f, 255.0f);
    }
  return picture;
}

static void fill(Image *picture, const Image *mask, const guint8 colour[3]) {
  for (int i = 0; i < mask->width * mask->height; i++)
    if (mask->pixels[i])
      for (int c = 0; c < 3; c++)
        picture->pixels[3 * i + c] = colour[c];
}

/* A pencil line around the mask; `gap` pixels of it are missing at one side of the trunk. */
static void trace(Image *picture, const Image *mask, int gap) {
  g_autoptr(Plane) inside = plane_from_image(mask, 0);
  g_autoptr(Plane) larger = plane_copy(inside);
  plane_dilate(larger, 2);
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++) {
      gboolean missing = x > mask->width / 2 && y >= 220 && y < 220 + gap;
      if (*plane_at(larger, x, y) >= 0.5f && *plane_at(inside, x, y) < 0.5f && !missing)
        for (int c = 0; c < 3; c++)
          image_at(picture, x, y)[c] = (guint8)(70 + 5 * c);
    }
}

static double overlap(const Image *a, const Image *b) {
  int in = 0, un = 0;
  for (int i = 0; i < a->width * a->height; i++) {
    in += a->pixels[i] >= 128 && b->pixels[i] >= 128;
    un += a->pixels[i] >= 128 || b->pixels[i] >= 128;
  }
  return (double)in / un;
}

/* The body together with its line and what the outline is widened by. */
static Image *with_line(const Image *body) {
  g_autoptr(Plane) plane = plane_from_image(body, 0);
  plane_dilate(plane, 4);
  return plane_to_image(plane);
}

static const guint8 white[3] = {244, 242, 236}, green[3] = {90, 170, 110}, red[3] = {190, 40, 50};

static void a_pencil_outline_on_shaded_paper_is_filled(void **state) {
  Figure figure;
  g_autoptr(Image) body = body_draw(BODY_ARMS_OUT, FALSE, &figure);
  g_autoptr(Image) picture = paper(body->width, body->height, white, 0.35f, 4);
  trace(picture, body, 0);
  g_autoptr(Image) found = cutout_outline(picture, NULL);
  assert_non_null(found);
  assert_int_equal(found->channels, 1);
  g_autoptr(Image) drawn = with_line(body);
  printf("IoU %.3f\n", overlap(found, drawn));
  assert_true(overlap(found, drawn) > 0.95);
}

static void a_gap_in_the_outline_is_bridged(void **state) {
  Figure figure;
  g_autoptr(Image) body = body_draw(BODY_ARMS_OUT, FALSE, &figure);
  g_autoptr(Image) picture = paper(body->width, body->height, white, 0.2f, 3);
  trace(picture, body, 9);
  g_autoptr(Image) found = cutout_outline(picture, NULL);
  assert_non_null(found);
  g_autoptr(Image) drawn = with_line(body);
  printf("IoU %.3f\n", overlap(found, drawn));
  assert_true(overlap(found, drawn) > 0.95);
}

static void flat_colour_keeps_the_holes_beside_its_arms(void **state) {
  Figure figure;
  g_autoptr(Image) body = body_draw(BODY_HANDS_ON_HIPS, FALSE, &figure);
  g_autoptr(Image) picture = paper(body->width, body->height, green, 0.1f, 2);
  fill(picture, body, red);
  g_autoptr(Image) found = cutout_outline(picture, NULL);
  assert_non_null(found);
  assert_true(overlap(found, body) > 0.9);
  int holes = 0;
  for (int i = 0; i < body->width * body->height; i++)
    holes += !body->pixels[i] && found->pixels[i] < 128 && i / body->width > 150 && i / body->width < 230;
  g_autoptr(Plane) empty = plane_from_image(found, 0);
  for (int i = 0; i < body->width * body->height; i++)
    empty->v[i] = 1 - empty->v[i];
  g_autofree int *labels = g_new(int, (gsize)body->width *(gsize)body->height);
  assert_int_equal(plane_regions(empty, 0.5f, labels, NULL), 3); /* outside and two holes */
  assert_true(holes > 0);
}

static void a_sheet_on_a_table_is_looked_into(void **state) {
  static const guint8 brown[3] = {110, 70, 45};
  Figure figure;
  g_autoptr(Image) body = body_draw(BODY_WIDE_STANCE, FALSE, &figure);
  g_autoptr(Image) page = paper(body->width, body->height, white, 0.1f, 3);
  trace(page, body, 0);
  g_autoptr(Image) table = paper(body->width + 260, body->height + 140, brown, 0.2f, 3),
                   wanted = with_line(body);
  for (int y = 0; y < page->height; y++)
    memcpy(image_at(table, 130, 70 + y), image_at(page, 0, y), 3 * (gsize)page->width);
  g_autoptr(Image) found = cutout_outline(table, NULL);
  assert_non_null(found);
  g_autoptr(Image) part = image_crop(found, 130, 70, page->width, page->height);
  assert_true(overlap(part, wanted) > 0.93);
}

static void an_empty_page_is_nobody(void **state) {
  g_autoptr(Image) picture = paper(300, 200, white, 0.3f, 4);
  g_autoptr(GError) error = NULL;
  assert_null(cutout_outline(picture, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
}

static void a_busy_ground_is_refused(void **state) {
  g_autoptr(GRand) random = g_rand_new_with_seed(3);
  g_autoptr(Image) picture = image_new(320, 320, 3);
  for (int by = 0; by < 320; by += 20)
    for (int bx = 0; bx < 320; bx += 20) {
      guint8 colour[3] = {(guint8)g_rand_int_range(random, 0, 256), (guint8)g_rand_int_range(random, 0, 256),
                          (guint8)g_rand_int_range(random, 0, 256)};
      for (int y = by; y < by + 20; y++)
        for (int x = bx; x < bx + 20; x++)
          for (int c = 0; c < 3; c++)
            image_at(picture, x, y)[c] = colour[c];
    }
  g_autoptr(GError) error = NULL;
  assert_null(cutout_outline(picture, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
}

static void tiny_pictures_are_refused(void **state) {
  g_autoptr(Image) picture = paper(9, 9, white, 0, 0);
  g_autoptr(GError) error = NULL;
  assert_null(cutout_outline(picture, &error));
  assert_non_null(error);
}

static void real_drawings_are_cut(void **state) {
  static const double least[] = {0.97, 0.88, 0.95, 0.88};
  for (int i = 0; i < 4; i++) {
    g_autofree char *mask_name = g_strdup_printf("media/drawing%d/mask.png", i + 1);
    g_autofree char *picture_name = g_strdup_printf("media/drawing%d/texture.png", i + 1);
    g_autofree char *mask_path = shared_path(mask_name), *picture_path = shared_path(picture_name);
    if (!mask_path || !picture_path)
      skip();
    g_autoptr(Image) coloured = picture_load(mask_path, NULL), picture = picture_load(picture_path, NULL);
    g_autoptr(Image) mask = image_convert(coloured, 1), rgb = image_convert(picture, 3);
    g_autoptr(Image) found = cutout_outline(rgb, NULL);
    assert_non_null(found);
    double share = overlap(found, mask);
    printf("drawing %d: IoU %.3f\n", i + 1, share);
    assert_true(share > least[i]);
  }
}

int main(int argc, char **argv) {
  if (!picture_init(argv[0], NULL))
    return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_pencil_outline_on_shaded_paper_is_filled),
      cmocka_unit_test(a_gap_in_the_outline_is_bridged),
      cmocka_unit_test(flat_colour_keeps_the_holes_beside_its_arms),
      cmocka_unit_test(a_sheet_on_a_table_is_looked_into),
      cmocka_unit_test(an_empty_page_is_nobody),
      cmocka_unit_test(a_busy_ground_is_refused),
      cmocka_unit_test(tiny_pictures_are_refused),
      cmocka_unit_test(real_drawings_are_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
