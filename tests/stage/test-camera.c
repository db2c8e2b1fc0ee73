#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "clip.h"
#include "stage/camera.h"
#include "stage/motion.h"
#include "stage/plate.h"

enum { W = 960, H = 540, FRAMES = 45 };

/* How a pixel of the frame lies in the world; the first frame's world is its pixels. */
typedef void (*Direct)(int frame, float homography[9]);

/* Rotation and zoom around the middle, then a shift and a perspective. */
static void compose(float turn, float zoom, float dx, float dy, float px, float py, float h[9]) {
  float c = cosf(turn) * zoom, s = sinf(turn) * zoom, mx = W / 2, my = H / 2;
  const float plane[9] = {c, -s, mx - c * mx + s * my + dx, s, c, my - s * mx - c * my + dy, 0, 0, 1};
  const float tilt[9] = {1, 0, 0, 0, 1, 0, px, py, 1};
  homography_multiply(plane, tilt, h);
}

static void paint(const float h[9], int frame, Image *rgb, Image *people, float gain, float noise,
                  guint32 *random) {
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) {
      float u = 0, v = 0;
      homography_apply(h, (float)x, (float)y, &u, &v);
      guint8 *p = image_at(rgb, x, y);
      clip_background(u / 2, v / 2, p);
      for (int c = 0; c < 3 && (gain != 1 || noise > 0); c++)
        p[c] = (guint8)CLAMP((float)p[c] * gain + (clip_unit(random) - 0.5f) * noise, 0.0f, 255.0f);
    }
  memset(people->pixels, 0, W * H);
  clip_person(rgb, people, W / 2 + 180 * sinf((float)frame * 0.3f), H * 0.6f, 110);
}

/* The worst distance at the picture's corners between the found and the true motion, over all frames. */
static float film(Direct direct, float noise, gboolean *still) {
  VideoInfo info = clip_info(W, H);
  g_autoptr(ColourConverter) converter = colour_converter_new(&info);
  g_autoptr(Camera) camera = camera_new(W, H);
  g_autoptr(Image) rgb = image_new(W, H, 3), people = image_new(W, H, 1);
  guint32 random = 7;
  for (int i = 0; i < FRAMES; i++) {
    float h[9];
    direct(i, h);
    paint(h, i, rgb, people, i == 20 && noise > 0 ? 1.3f : 1.0f, noise, &random);
    AVFrame *frame = clip_frame(converter, rgb);
    g_autoptr(Image) grey = camera_grey(frame);
    camera_add(camera, grey, people);
    av_frame_free(&frame);
  }
  assert_int_equal(camera_count(camera), FRAMES);
  float worst = 0;
  for (int i = 0; i < FRAMES; i++) {
    float truth[9], found[9];
    direct(i, truth);
    camera_homography(camera, i, found);
    for (int corner = 0; corner < 4; corner++) {
      float x = corner & 1 ? W - 1 : 0, y = corner & 2 ? H - 1 : 0, u, v, fu, fv;
      homography_apply(truth, x, y, &u, &v);
      homography_apply(found, x, y, &fu, &fv);
      worst = MAX(worst, hypotf(fu - u, fv - v));
    }
  }
  *still = camera_still(camera);
  if (*still)
    for (int i = 0; i < FRAMES; i++) {
      float found[9];
      camera_homography(camera, i, found);
      assert_memory_equal(found, ((float[]){1, 0, 0, 0, 1, 0, 0, 0, 1}), sizeof found);
    }
  print_message("  worst corner %.2f px, trust %.2f\n", worst, camera_trust(camera));
  return worst;
}

static void tripod(int frame, float h[9]) {
  compose(0, 1, 0, 0, 0, 0, h);
}

static void pan(int frame, float h[9]) {
  compose(0, 1, (float)frame * 3.7f, (float)frame * -0.8f, 0, 0, h);
}

static void wide_pan(int frame, float h[9]) {
  compose(0, 1, (float)frame * 20, 0, 0, 0, h);
}

static void zoom(int frame, float h[9]) {
  compose(0, powf(0.994f, (float)frame), 0, 0, 0, 0, h);
}

static void roll(int frame, float h[9]) {
  compose(0.15f * sinf((float)frame * 0.1f), 1, 0, 0, 0, 0, h);
}

static void handheld(int frame, float h[9]) {
  float t = (float)frame;
  compose(0.004f * sinf(t * 0.9f), 1 + 0.004f * sinf(t * 0.5f), 6 * sinf(t * 0.7f), 5 * (1 - cosf(t * 1.1f)),
          0, 0, h);
  if (!frame)
    compose(0, 1, 0, 0, 0, 0, h);
}

static void turn_head(int frame, float h[9]) {
  float t = (float)frame;
  compose(0, 1, t * 2, 0, t * 2e-6f, t * -1e-6f, h);
}

static void jerk(int frame, float h[9]) {
  compose(0, 1, frame < 30 ? 0 : 170, frame < 30 ? 0 : -60, 0, 0, h);
}

static void still_camera_is_identity(void **state) {
  gboolean still;
  assert_true(film(tripod, 0, &still) == 0);
  assert_true(still);
  assert_true(film(tripod, 24, &still) == 0);
  assert_true(still);
}

static void follows(Direct direct, float noise, float most) {
  gboolean still;
  float worst = film(direct, noise, &still);
  assert_false(still);
  assert_true(worst < most);
}

static void follows_pans(void **state) {
  follows(pan, 0, 0.5f);
  follows(pan, 16, 1.0f);
}

static void follows_zooms_and_turns(void **state) {
  follows(zoom, 0, 0.5f);
  follows(roll, 0, 0.5f);
}

static void follows_a_hand(void **state) {
  follows(handheld, 0, 0.5f);
}

static void follows_perspective(void **state) {
  follows(turn_head, 0, 0.5f);
}

static void follows_jerks(void **state) {
  follows(jerk, 0, 0.5f);
}

/* The start is out of view a dozen times over: errors may add up, slowly. */
static void chains_key_frames(void **state) {
  follows(wide_pan, 0, 2.0f);
}

static void blank_walls_are_still(void **state) {
  g_autoptr(Camera) camera = camera_new(W, H);
  g_autoptr(Image) grey = image_new(480, 270, 1);
  memset(grey->pixels, 90, 480 * 270);
  for (int i = 0; i < 5; i++)
    camera_add(camera, grey, NULL);
  assert_true(camera_still(camera));
}

static void fits_among_wrong_matches(void **state) {
  const double truth[9] = {0.98, -0.05, 12, 0.04, 1.01, -7, 2e-5, -1e-5, 1};
  Match matches[200];
  guint32 random = 3;
  for (int i = 0; i < 200; i++) {
    matches[i].from[0] = clip_unit(&random) * 640;
    matches[i].from[1] = clip_unit(&random) * 360;
    motion_apply(truth, matches[i].from, matches[i].to);
    for (int c = 0; c < 2; c++)
      matches[i].to[c] += i % 5 < 2 ? (clip_unit(&random) - 0.5) * 200 : (clip_unit(&random) - 0.5) * 0.2;
  }
  Motion motion =
      motion_fit(matches, 200, (const double[]){1, 0, 0, 0, 1, 0, 0, 0, 1}, 0.7, (int[]){640, 360});
  assert_int_equal(motion.freedom, 8);
  assert_true(motion.inliers >= 118);
  double a[2], b[2], corner[2] = {639, 359};
  motion_apply(truth, corner, a);
  motion_apply(motion.h, corner, b);
  assert_true(hypot(a[0] - b[0], a[1] - b[1]) < 0.3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(still_camera_is_identity), cmocka_unit_test(follows_pans),
      cmocka_unit_test(follows_zooms_and_turns),  cmocka_unit_test(follows_a_hand),
      cmocka_unit_test(follows_perspective),      cmocka_unit_test(follows_jerks),
      cmocka_unit_test(chains_key_frames),        cmocka_unit_test(blank_walls_are_still),
      cmocka_unit_test(fits_among_wrong_matches),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
