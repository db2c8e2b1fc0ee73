/* Joints from silhouettes: bodies with known joints, drawings with joints set by hand, and shapes that are no
 * bodies. */
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
#include "puppet/figure/joints_file.h"
#include "puppet/figure/silhouette.h"
#include "shared.h"
#include <math.h>
#include <string.h>

#define BODY_LIMIT 0.045f /* mean over the sixteen joints, of the height */
#define DRAWING_LIMIT 0.06f

static void bodies_are_read(void **state) {
  for (int kind = 0; kind < BODIES; kind++)
    for (int mirrored = 0; mirrored < 2; mirrored++) {
      Figure truth, found;
      g_autoptr(Image) mask = body_draw((BodyKind)kind, mirrored, &truth);
      assert_true(silhouette_joints(mask, &found, NULL));
      float worst;
      const char *joint;
      float mean = body_error(&found, &truth, &worst, &joint);
      printf("%-14s%s mean %4.1f %%, worst %4.1f %% (%s)\n", body_names[kind], mirrored ? " mirrored" : "",
             100 * mean, 100 * worst, joint);
      assert_true(mean < BODY_LIMIT);
      assert_float_equal(found.height, truth.height, 3);
      assert_int_equal(found.source, FIGURE_FROM_SILHOUETTE);
    }
}

static void what_does_not_show_is_less_visible(void **state) {
  Figure truth, free, against;
  g_autoptr(Image) out = body_draw(BODY_ARMS_OUT, FALSE, &truth),
                   hidden = body_draw(BODY_DRESS, FALSE, &truth);
  assert_true(silhouette_joints(out, &free, NULL));
  assert_true(silhouette_joints(hidden, &against, NULL));
  assert_true(against.visibility[JOINT_HIP] < free.visibility[JOINT_HIP]);
  for (int i = 0; i < JOINTS; i++) {
    assert_true(free.visibility[i] > 0 && free.visibility[i] <= 1);
    assert_false(free.given[i]);
  }
}

/* Neither the size of the picture nor the place in it matters. */
static void place_and_size_do_not_matter(void **state) {
  Figure truth, small, large;
  g_autoptr(Image) mask = body_draw(BODY_WAVING, FALSE, &truth);
  const int scale = 3, left = 250, top = 90;
  g_autoptr(Image) wide = image_new(left + scale * mask->width, top + scale * mask->height, 1);
  for (int y = 0; y < scale * mask->height; y++)
    for (int x = 0; x < scale * mask->width; x++)
      *image_at(wide, left + x, top + y) = *image_at(mask, x / scale, y / scale);
  assert_true(silhouette_joints(mask, &small, NULL));
  assert_true(silhouette_joints(wide, &large, NULL));
  for (int i = 0; i < JOINTS; i++)
    for (int c = 0; c < 2; c++)
      assert_float_equal(large.joint[i][c], (c ? top : left) + scale * small.joint[i][c],
                         0.01 * large.height);
}

static void the_same_mask_gives_the_same_joints(void **state) {
  Figure truth, first, second;
  g_autoptr(Image) mask = body_draw(BODY_TAIL, FALSE, &truth);
  assert_true(silhouette_joints(mask, &first, NULL));
  assert_true(silhouette_joints(mask, &second, NULL));
  assert_memory_equal(&first, &second, sizeof first);
}

static void a_head_apart_from_its_body_is_tied_to_it(void **state) {
  Figure truth, found;
  g_autoptr(Image) mask = body_draw(BODY_ARMS_OUT, FALSE, &truth);
  for (int y = 104; y < 107; y++)
    memset(image_at(mask, 0, y), 0, (gsize)mask->width);
  assert_true(silhouette_joints(mask, &found, NULL));
  float worst;
  const char *joint;
  assert_true(body_error(&found, &truth, &worst, &joint) < BODY_LIMIT);
}

static void an_empty_mask_is_nobody(void **state) {
  g_autoptr(Image) mask = image_new(100, 80, 1);
  g_autoptr(GError) error = NULL;
  Figure figure;
  assert_false(silhouette_joints(mask, &figure, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
}

/* Whatever the mask, the answer is a figure with finite joints or FAULT_NOBODY. */
static void any_mask_is_survived(void **state) {
  for (guint32 seed = 0; seed < 60; seed++) {
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    int w = g_rand_int_range(random, 1, 90), h = g_rand_int_range(random, 1, 90);
    g_autoptr(Image) mask = image_new(w, h, 1);
    double share = seed % 3 == 0 ? 1.01 : g_rand_double(random);
    for (int i = 0; i < w * h; i++)
      mask->pixels[i] = g_rand_double(random) < share ? 255 : 0;
    for (int blob = g_rand_int_range(random, 0, 5); blob > 0; blob--) {
      int cx = g_rand_int_range(random, 0, w), cy = g_rand_int_range(random, 0, h),
          r = g_rand_int_range(random, 1, 30);
      guint8 value = g_rand_boolean(random) ? 255 : 0;
      for (int y = MAX(0, cy - r); y < MIN(h, cy + r); y++)
        for (int x = MAX(0, cx - r); x < MIN(w, cx + r); x++)
          *image_at(mask, x, y) = value;
    }
    Figure figure;
    g_autoptr(GError) error = NULL;
    if (!silhouette_joints(mask, &figure, &error)) {
      assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
      continue;
    }
    for (int i = 0; i < JOINTS; i++)
      assert_true(isfinite(figure.joint[i][0]) && isfinite(figure.joint[i][1]));
  }
}

/* The given joints of a drawing as a figure: head where its file says neck, torso as both shoulders' middle.
 */
static void read_truth(const char *name, const Image *mask, Figure *truth) {
  g_autofree char *path = shared_path(name);
  GivenJoints given;
  assert_non_null(path);
  assert_true(joints_read(path, mask->width, mask->height, &given, NULL));
  *truth = (Figure){0};
  int first = mask->height, last = 0;
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*image_at(mask, x, y) >= 128)
        first = MIN(first, y), last = y;
  truth->height = (float)(last - first + 1);
  memcpy(truth->joint, given.at, sizeof truth->joint);
  /* These files know one point for wrist and hand. */
  memcpy(truth->joint[JOINT_LEFT_WRIST], given.at[JOINT_LEFT_HAND], 2 * sizeof(float));
  memcpy(truth->joint[JOINT_RIGHT_WRIST], given.at[JOINT_RIGHT_HAND], 2 * sizeof(float));
}

static float drawing_error(const Image *mask, const Figure *truth, const char *what, int drawing) {
  Figure found;
  float worst;
  const char *joint;
  assert_true(silhouette_joints(mask, &found, NULL));
  float mean = body_error(&found, truth, &worst, &joint);
  printf("drawing %d, %s: mean %.1f %%, worst %.1f %% (%s)\n", drawing, what, 100 * mean, 100 * worst, joint);
  return mean;
}

static void drawings_are_read(void **state) {
  for (int i = 1; i <= 4; i++) {
    g_autofree char *mask_name = g_strdup_printf("media/drawing%d/mask.png", i);
    g_autofree char *picture_name = g_strdup_printf("media/drawing%d/texture.png", i);
    g_autofree char *joints_name = g_strdup_printf("media/drawing%d/joints.yaml", i);
    g_autofree char *mask_path = shared_path(mask_name), *picture_path = shared_path(picture_name);
    if (!mask_path || !picture_path)
      skip();
    g_autoptr(Image) coloured = picture_load(mask_path, NULL), picture = picture_load(picture_path, NULL);
    assert_non_null(coloured);
    assert_non_null(picture);
    g_autoptr(Image) mask = image_convert(coloured, 1), rgb = image_convert(picture, 3);
    g_autoptr(Image) outline = cutout_outline(rgb, NULL);
    assert_non_null(outline);
    Figure truth;
    read_truth(joints_name, mask, &truth);
    assert_true(drawing_error(mask, &truth, "given mask", i) <= DRAWING_LIMIT);
    assert_true(drawing_error(outline, &truth, "own outline", i) <= DRAWING_LIMIT);
  }
}

int main(int argc, char **argv) {
  if (!picture_init(argv[0], NULL))
    return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bodies_are_read),
      cmocka_unit_test(what_does_not_show_is_less_visible),
      cmocka_unit_test(place_and_size_do_not_matter),
      cmocka_unit_test(the_same_mask_gives_the_same_joints),
      cmocka_unit_test(a_head_apart_from_its_body_is_tied_to_it),
      cmocka_unit_test(an_empty_mask_is_nobody),
      cmocka_unit_test(any_mask_is_survived),
      cmocka_unit_test(drawings_are_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
