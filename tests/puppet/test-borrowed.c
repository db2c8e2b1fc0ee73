/* What is taken from the performer where the picture ends, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "doll.h"
#include "puppet/draw/borrowed.h"
#include <math.h>
#include <string.h>

#define WIDTH 540
#define HEIGHT 960
#define MASK 4 /* frame pixels for one of the mask */

/* A doll of whose picture only the rows above the given one exist. */
static Rig *cut_doll(float end) {
  Rig *rig = doll_rig(FALSE);
  rig->figure.source = FIGURE_FROM_POSE;
  for (int j = 0; j < JOINTS; j++)
    rig->figure.visibility[j] = rig->figure.joint[j][1] < end ? 1 : 0;
  rig->bottom = MIN(rig->bottom, end);
  return rig;
}

static float between(const Rig *rig, Joint a, Joint b, float share) {
  return rig->figure.joint[a][1] + share * (rig->figure.joint[b][1] - rig->figure.joint[a][1]);
}

static void whole_figures_borrow_nothing(void **state) {
  g_autoptr(Rig) rig = cut_doll(10000);
  Borrowed borrowed = borrowed_find(rig);
  assert_false(borrowed.body);
  assert_false(borrowed.legs);
}

static void where_the_picture_ends_is_found_on_the_legs(void **state) {
  static const struct {
    Joint a, b;
    float share, leg;
  } cuts[] = {{JOINT_LEFT_HIP, JOINT_LEFT_KNEE, 0.5f, 0.5f},
              {JOINT_LEFT_KNEE, JOINT_LEFT_ANKLE, 0.5f, 1.5f},
              {JOINT_LEFT_HIP, JOINT_LEFT_KNEE, 0.02f, 0.02f}};
  for (gsize i = 0; i < G_N_ELEMENTS(cuts); i++) {
    g_autoptr(Rig) whole = cut_doll(10000);
    g_autoptr(Rig) rig = cut_doll(between(whole, cuts[i].a, cuts[i].b, cuts[i].share));
    Borrowed borrowed = borrowed_find(rig);
    assert_true(borrowed.legs && !borrowed.body);
    assert_float_equal(borrowed.leg[0], cuts[i].leg, 0.01f);
  }
}

static void a_portrait_borrows_the_body(void **state) {
  g_autoptr(Rig) whole = cut_doll(10000);
  g_autoptr(Rig) rig = cut_doll(between(whole, JOINT_LEFT_SHOULDER, JOINT_LEFT_HIP, 0.3f));
  Borrowed borrowed = borrowed_find(rig);
  assert_true(borrowed.body && !borrowed.legs);
}

static void guessed_joints_borrow_nothing(void **state) {
  g_autoptr(Rig) whole = cut_doll(10000);
  g_autoptr(Rig) rig = cut_doll(between(whole, JOINT_LEFT_HIP, JOINT_LEFT_KNEE, 0.5f));
  rig->figure.source = FIGURE_FROM_SILHOUETTE;
  Borrowed borrowed = borrowed_find(rig);
  assert_false(borrowed.body || borrowed.legs);
}

/* --- taking --- */

static Image *full_mask(void) {
  Image *mask = image_new(WIDTH / MASK, HEIGHT / MASK, 1);
  memset(mask->pixels, 255, (gsize)mask->width * (gsize)mask->height);
  return mask;
}

static gboolean has(const Image *mask, const Pose *pose, int landmark, float dy) {
  return mask &&
         *image_at(mask, (int)pose->image[landmark].x / MASK, (int)(pose->image[landmark].y + dy) / MASK) > 0;
}

static Pose waving(void) {
  Person p = person_standing(270, 480, 400);
  p.arm[0][0] = 0, p.arm[0][1] = -(float)G_PI_2; /* the left hand beside the head */
  return person_pose(&p);
}

static void legs_are_taken_and_arms_are_not(void **state) {
  Pose pose = waving();
  Borrowed borrowed = {.legs = TRUE, .leg = {0, 0}};
  g_autoptr(Image) mask = full_mask(), behind = NULL, before = NULL;
  borrowed_take(&borrowed, &pose, WIDTH, HEIGHT, mask, &behind, &before);
  assert_null(before);
  assert_true(has(behind, &pose, POSE_LEFT_ANKLE, 0) && has(behind, &pose, POSE_RIGHT_KNEE, 0));
  assert_true(has(mask, &pose, POSE_LEFT_WRIST, 0) && has(mask, &pose, POSE_NOSE, 0));
  assert_true(has(mask, &pose, POSE_LEFT_SHOULDER, 60) && has(mask, &pose, POSE_RIGHT_WRIST, 0));
  for (int i = 0; i < mask->width * mask->height; i++)
    assert_true((mask->pixels[i] > 0) != (behind->pixels[i] > 0));
}

static void shins_are_taken_below_a_picture_that_ends_at_the_knee(void **state) {
  Pose pose = waving();
  Borrowed borrowed = {.legs = TRUE, .leg = {1.3f, 1.3f}};
  g_autoptr(Image) mask = full_mask(), behind = NULL, before = NULL;
  borrowed_take(&borrowed, &pose, WIDTH, HEIGHT, mask, &behind, &before);
  assert_true(has(behind, &pose, POSE_LEFT_ANKLE, 0) && has(mask, &pose, POSE_LEFT_KNEE, 0));
}

static void all_but_the_head_is_taken_for_a_portrait(void **state) {
  Pose pose = waving();
  Borrowed borrowed = {.body = TRUE};
  g_autoptr(Image) mask = full_mask(), behind = NULL, before = NULL;
  borrowed_take(&borrowed, &pose, WIDTH, HEIGHT, mask, &behind, &before);
  assert_true(has(before, &pose, POSE_LEFT_WRIST, 0) && has(before, &pose, POSE_RIGHT_WRIST, 0));
  assert_true(has(behind, &pose, POSE_LEFT_ANKLE, 0) && has(behind, &pose, POSE_LEFT_HIP, -80));
  assert_true(has(mask, &pose, POSE_NOSE, 0) && !has(behind, &pose, POSE_NOSE, 0));
}

static void nothing_is_taken_for_nothing(void **state) {
  Pose pose = waving();
  Borrowed borrowed = {0};
  g_autoptr(Image) mask = full_mask(), behind = NULL, before = NULL;
  borrowed_take(&borrowed, &pose, WIDTH, HEIGHT, mask, &behind, &before);
  assert_null(behind);
  assert_null(before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_figures_borrow_nothing),
      cmocka_unit_test(where_the_picture_ends_is_found_on_the_legs),
      cmocka_unit_test(a_portrait_borrows_the_body),
      cmocka_unit_test(guessed_joints_borrow_nothing),
      cmocka_unit_test(legs_are_taken_and_arms_are_not),
      cmocka_unit_test(shins_are_taken_below_a_picture_that_ends_at_the_knee),
      cmocka_unit_test(all_but_the_head_is_taken_for_a_portrait),
      cmocka_unit_test(nothing_is_taken_for_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
