/* Who stands before whom: by the feet, steadily, and by size where feet are not in the picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "doll.h"
#include "puppet/motion/standing.h"
#include <math.h>

#define FRAMES 60

/* Two people: where each one's hip is in each frame. */
typedef void (*PlaceFunc)(int person, int frame, Person *out);

static Tracks *film(int people, PlaceFunc place) {
  Tracks *tracks = NULL;
  for (int k = 0; k < people; k++) {
    Pose poses[FRAMES];
    for (int i = 0; i < FRAMES; i++) {
      Person person = person_standing(150 + 120 * (float)k, 400, 150);
      place(k, i, &person);
      poses[i] = person_pose(&person);
    }
    Tracks *own = person_tracks(poses, FRAMES);
    if (!tracks) {
      tracks = own;
      continue;
    }
    Track *track = g_ptr_array_steal_index(own->tracks, 0);
    track->id = k + 1;
    g_ptr_array_add(tracks->tracks, track);
    tracks_free(own);
  }
  return tracks;
}

static void second_is_lower(int person, int frame, Person *p) {
  p->hip[1] = person ? 460 : 400;
}

static void lower_feet_are_nearer(void **state) {
  g_autoptr(Tracks) tracks = film(2, second_is_lower);
  g_autoptr(Standing) standing = standing_new(tracks);
  for (int i = 0; i < FRAMES; i++) {
    guint order[] = {1, 0};
    assert_true(standing_before(standing, 1, 0, i));
    assert_false(standing_before(standing, 0, 1, i));
    standing_sort(standing, i, order, 2);
    assert_int_equal(order[0], 0);
    assert_int_equal(order[1], 1);
  }
  assert_false(standing_before(standing, 1, 0, FRAMES));
  assert_false(standing_before(standing, 1, 1, 3));
}

/* Both on one line, with noise of a few pixels. */
static void side_by_side(int person, int frame, Person *p) {
  p->hip[1] = 400 + (person ? 5 * sinf(2.1f * (float)frame) : 5 * sinf(1.3f * (float)frame + 1));
}

static int changes(const Standing *standing) {
  int n = 0;
  for (int i = 1; i < FRAMES; i++)
    n += standing_before(standing, 1, 0, i) != standing_before(standing, 1, 0, i - 1);
  return n;
}

static void noise_does_not_flicker(void **state) {
  g_autoptr(Tracks) tracks = film(2, side_by_side);
  g_autoptr(Standing) standing = standing_new(tracks);
  assert_int_equal(changes(standing), 0);
}

static void walks_past(int person, int frame, Person *p) {
  p->hip[1] = person ? 360 + 80 * (float)frame / FRAMES : 400;
}

static void the_order_changes_once_when_one_comes_forward(void **state) {
  g_autoptr(Tracks) tracks = film(2, walks_past);
  g_autoptr(Standing) standing = standing_new(tracks);
  assert_false(standing_before(standing, 1, 0, 0));
  assert_true(standing_before(standing, 1, 0, FRAMES - 1));
  assert_int_equal(changes(standing), 1);
}

/* Both cut off at the thighs; hips at the same height, the second twice as large. */
static void close_up(int person, int frame, Person *p) {
  p->hip[1] = 800;
  p->metre = person ? 500 : 250;
}

static void without_feet_the_larger_is_nearer(void **state) {
  g_autoptr(Tracks) tracks = film(2, close_up);
  g_autoptr(Standing) standing = standing_new(tracks);
  assert_true(standing_before(standing, 1, 0, 10));
}

static void in_a_row(int person, int frame, Person *p) {
  p->hip[1] = 400 + 40 * (float)((person + 1) % 3);
}

static void three_are_sorted(void **state) {
  g_autoptr(Tracks) tracks = film(3, in_a_row);
  g_autoptr(Standing) standing = standing_new(tracks);
  guint order[] = {0, 1, 2};
  standing_sort(standing, 20, order, 3);
  assert_int_equal(order[0], 2);
  assert_int_equal(order[1], 0);
  assert_int_equal(order[2], 1);
}

static void rubbish_is_survived(void **state) {
  g_autoptr(Tracks) tracks = film(2, second_is_lower);
  Track *track = tracks->tracks->pdata[0];
  for (int i = 0; i < FRAMES; i++)
    for (int l = 0; l < POSE_LANDMARKS; l++)
      track->poses[i].image[l] = (Landmark){NAN, i % 2 ? INFINITY : NAN, NAN, NAN};
  g_autoptr(Standing) standing = standing_new(tracks);
  assert_true(standing_before(standing, 0, 1, 5) != standing_before(standing, 1, 0, 5));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lower_feet_are_nearer),
      cmocka_unit_test(noise_does_not_flicker),
      cmocka_unit_test(the_order_changes_once_when_one_comes_forward),
      cmocka_unit_test(without_feet_the_larger_is_nearer),
      cmocka_unit_test(three_are_sorted),
      cmocka_unit_test(rubbish_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
