/* Faces and hands against the official implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "golden.h"
#include "perception/face.h"
#include "perception/hands.h"
#include <math.h>
#include <string.h>
#include <vips/vips.h>

static Pose pose_of(json_t *entry, const Image *rgb) {
  Pose pose = {0};
  for (gsize i = 0; i < POSE_LANDMARKS; i++) {
    json_t *p = json_array_get(json_object_get(entry, "pose_landmarks"), i);
    pose.image[i] = (Landmark){(float)(golden_at(p, 0) * rgb->width), (float)(golden_at(p, 1) * rgb->height),
                               (float)(golden_at(p, 2) * rgb->width), (float)golden_at(p, 3)};
  }
  return pose;
}

static void compare(const float (*points)[3], int n, json_t *expected, const Image *rgb, const char *what,
                    Spread *all) {
  Spread own = {0}, depth = {0};
  assert_int_equal(json_array_size(expected), n);
  for (int i = 0; i < n; i++) {
    json_t *p = json_array_get(expected, (gsize)i);
    double away =
        hypot(points[i][0] - golden_at(p, 0) * rgb->width, points[i][1] - golden_at(p, 1) * rgb->height);
    spread_add(&own, away);
    spread_add(all, away);
    spread_add(&depth, points[i][2] / (double)rgb->width - golden_at(p, 2));
  }
  print_message("  %s: worst %.4f px, mean %.5f; z %.5f\n", what, own.worst, spread_mean(&own), depth.worst);
  assert_true(own.worst <= 0.5 && depth.worst <= 0.005);
}

static void check_faces(gboolean attention, const char *key) {
  json_t *entries = golden_json("holistic.json");
  if (!entries)
    skip();
  g_autoptr(GError) error = NULL;
  g_autoptr(FaceReader) reader = face_reader_new(attention, NULL, &error);
  if (!reader)
    fail_msg("%s", error->message);
  Spread all = {0};
  size_t index;
  json_t *entry;
  json_array_foreach(entries, index, entry) {
    g_autoptr(Image) rgb = golden_image(json_string_value(json_object_get(entry, "image")), 3);
    g_autofree Face *face = g_new0(Face, 1), *again = g_new0(Face, 1);
    Pose pose = pose_of(entry, rgb);
    json_t *expected = json_object_get(entry, key);
    assert_true(face_read(reader, rgb, &pose, NULL, face, &error));
    assert_int_equal(face->found, json_is_array(expected));
    if (!face->found)
      continue;
    compare(face->point, face->count, expected, rgb, key, &all);
    if (!g_str_has_suffix(json_string_value(json_object_get(entry, "image")), "ref.png"))
      continue;
    /* Followed from itself it stays where it is. */
    assert_true(face_read(reader, rgb, &pose, face, again, &error));
    assert_true(again->found && memcmp(&again->region, &face->region, sizeof(Region)) != 0);
    for (int i = 0; i < face->count; i++)
      assert_true(hypotf(again->point[i][0] - face->point[i][0], again->point[i][1] - face->point[i][1]) <
                  0.05f * face->region.width);
  }
  print_message("figure: %s: worst point of %d is %.4f px from the official one\n", key, all.count,
                all.worst);
  json_decref(entries);
}

static void meshes_agree(void **state) {
  check_faces(FALSE, "face_468");
}

static void refined_meshes_agree(void **state) {
  check_faces(TRUE, "face_478_refined");
}

static void hands_agree(void **state) {
  static const char *const keys[] = {"left_hand", "right_hand"};
  json_t *entries = golden_json("holistic.json");
  if (!entries)
    skip();
  g_autoptr(GError) error = NULL;
  g_autoptr(HandReader) reader = hand_reader_new(NULL, &error);
  if (!reader)
    fail_msg("%s", error->message);
  Spread all = {0};
  size_t index;
  json_t *entry;
  json_array_foreach(entries, index, entry) {
    g_autoptr(Image) rgb = golden_image(json_string_value(json_object_get(entry, "image")), 3);
    Pose pose = pose_of(entry, rgb);
    for (int side = HAND_LEFT; side <= HAND_RIGHT; side++) {
      Hand hand, again;
      json_t *expected = json_object_get(entry, keys[side]);
      assert_true(hand_read(reader, rgb, &pose, (HandSide)side, NULL, &hand, &error));
      assert_int_equal(hand.found, json_is_array(expected));
      if (!hand.found)
        continue;
      compare(hand.image, HAND_POINTS, expected, rgb, keys[side], &all);
      if (!g_str_has_suffix(json_string_value(json_object_get(entry, "image")), "ref.png"))
        continue;
      assert_true((hand.right > 0.5f) == (side == HAND_RIGHT));
      assert_true(hand_read(reader, rgb, &pose, (HandSide)side, &hand, &again, &error));
      assert_true(again.found && memcmp(&again.region, &hand.region, sizeof(Region)) != 0);
      for (int i = 0; i < HAND_POINTS; i++)
        assert_true(hypotf(again.image[i][0] - hand.image[i][0], again.image[i][1] - hand.image[i][1]) <
                    0.1f * hand.region.width);
    }
  }
  print_message("figure: hands: worst point of %d is %.4f px from the official one\n", all.count, all.worst);
  json_decref(entries);
}

int main(int argc, char **argv) {
  if (VIPS_INIT(argv[0]))
    return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(meshes_agree),
      cmocka_unit_test(refined_meshes_agree),
      cmocka_unit_test(hands_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
