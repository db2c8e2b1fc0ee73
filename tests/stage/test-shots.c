#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "clip.h"
#include "stage/shots.h"

enum { W = 192, H = 108 };

/* What a frame of a test shows: the world around (x, y), brighter by gain, with somebody in the middle. */
typedef struct {
  float x, y, gain;
  int world;
  float person; /* radius, 0 = nobody */
} View;

static void paint(const View *view, int frame, Image *rgb) {
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) {
      guint8 *p = image_at(rgb, x, y);
      clip_background((float)x + view->x + (float)(view->world * 5000), (float)y + view->y, p);
      if (view->world % 3 == 1) { /* another layout and other colours */
        guint8 red = p[0];
        p[0] = (guint8)(p[2] / (y < H / 2 ? 1 : 3));
        p[2] = (guint8)(red / (x < W / 3 ? 4 : 1));
      }
      if (view->world % 3 == 2)
        p[0] = p[1] = p[2] = (guint8)(x < W / 2 ? p[1] / 4 : 200 + p[1] / 6);
    }
  if (view->person > 0)
    clip_person(rgb, NULL, W / 2 + 30 * sinf((float)frame), H / 2, view->person);
  for (int i = 0; i < W * H * 3; i++)
    rgb->pixels[i] = (guint8)CLAMP((float)rgb->pixels[i] * view->gain, 0.0f, 255.0f);
}

/* Feeds n frames; returns how many cuts there are, with the frames in cuts. */
static int find_cuts(void (*direct)(int frame, View *view), int n, int *cuts) {
  g_autoptr(Shots) shots = shots_new();
  g_autoptr(Image) rgb = image_new(W, H, 3);
  int count = 0, next = 0;
  for (int i = 0; i <= n; i++) {
    if (i < n) {
      View view = {.gain = 1};
      direct(i, &view);
      paint(&view, i, rgb);
      shots_add(shots, rgb);
      assert_true(shots_decided(shots) >= i + 1 - SHOTS_LATENCY);
    } else {
      shots_end(shots);
    }
    for (; next < shots_decided(shots); next++)
      if (shots_is_cut(shots, next))
        cuts[count++] = next;
  }
  assert_int_equal(shots_decided(shots), n);
  return count;
}

static void only_first(void (*direct)(int frame, View *view)) {
  int cuts[100];
  int n = find_cuts(direct, 60, cuts);
  for (int i = 1; i < n; i++)
    print_message("false cut at %d\n", cuts[i]);
  assert_int_equal(n, 1);
  assert_int_equal(cuts[0], 0);
}

static void with_cuts(int frame, View *view) {
  view->world = frame < 17 ? 0 : frame < 21 ? 1 : frame < 45 ? 2 : 0;
  view->x = (float)frame;
  view->person = 25;
}

static void finds_cuts(void **state) {
  int cuts[100];
  assert_int_equal(find_cuts(with_cuts, 60, cuts), 4);
  assert_int_equal(cuts[1], 17);
  assert_int_equal(cuts[2], 21);
  assert_int_equal(cuts[3], 45);
}

static void to_another_angle(int frame, View *view) {
  view->world = frame < 30 ? 0 : 3; /* the same colours elsewhere */
  view->person = 20;
}

static void finds_cut_between_alike(void **state) {
  int cuts[100];
  int n = find_cuts(to_another_angle, 60, cuts);
  assert_int_equal(n, 2);
  assert_int_equal(cuts[1], 30);
}

static void flashing(int frame, View *view) {
  view->gain = frame == 10 || frame == 30 || frame == 31 ? 2.6f : 1;
  view->person = 20;
}

static void white_flash(int frame, View *view) {
  view->gain = frame == 20 || frame == 40 || frame == 41 ? 100 : 1;
}

static void lamp(int frame, View *view) {
  view->gain = frame < 30 ? 0.6f : 1.0f;
}

static void fading(int frame, View *view) {
  view->gain = frame < 20 ? 1 : frame < 40 ? 1 - (float)(frame - 20) / 20.0f : (float)(frame - 40) / 20.0f;
}

static void fading_to_another(int frame, View *view) {
  fading(frame, view);
  view->world = frame < 40 ? 0 : 1;
}

static void panning(int frame, View *view) {
  view->x = frame < 15 ? 0 : frame < 45 ? (float)(frame - 15) * 20 : 600; /* a tenth of the width per frame */
}

static void dancing(int frame, View *view) {
  view->person = 48; /* nearly the whole height */
}

static void no_cut_at_flash(void **state) {
  only_first(flashing);
  only_first(white_flash);
}

static void no_cut_at_light(void **state) {
  only_first(lamp);
  only_first(fading);
}

static void finds_another_scene_behind_black(void **state) {
  int cuts[100];
  assert_int_equal(find_cuts(fading_to_another, 60, cuts), 2);
  assert_true(cuts[1] >= 40 && cuts[1] <= 48);
}

static void no_cut_in_motion(void **state) {
  only_first(panning);
  only_first(dancing);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_cuts),       cmocka_unit_test(finds_cut_between_alike),
      cmocka_unit_test(no_cut_at_flash),  cmocka_unit_test(no_cut_at_light),
      cmocka_unit_test(no_cut_in_motion), cmocka_unit_test(finds_another_scene_behind_black),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
