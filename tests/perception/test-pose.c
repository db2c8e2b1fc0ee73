/* One person per still picture against the official implementation, for each of the three networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "golden.h"
#include "perception/body.h"
#include <math.h>
#include <vips/vips.h>

typedef struct {
  Spread pixels, depth, visibility, world, region, rotation;
} Report;

static void compare_region(const Region *region, json_t *expected, int width, int height, Report *report) {
  spread_add(&report->region, region->cx - golden_number(expected, "x_center") * width);
  spread_add(&report->region, region->cy - golden_number(expected, "y_center") * height);
  spread_add(&report->region, region->width - golden_number(expected, "width") * width);
  spread_add(&report->region, region->height - golden_number(expected, "height") * height);
  spread_add(&report->rotation, region->rotation - golden_number(expected, "rotation"));
}

static void compare_pose(const Pose *pose, json_t *expected, int width, int height, Report *report) {
  json_t *image = json_object_get(expected, "landmarks"),
         *world = json_object_get(expected, "world_landmarks");
  for (gsize i = 0; i < POSE_LANDMARKS; i++) {
    json_t *p = json_array_get(image, i), *w = json_array_get(world, i);
    const Landmark *l = &pose->image[i], *m = &pose->world[i];
    spread_add(&report->pixels, hypot(l->x - golden_at(p, 0) * width, l->y - golden_at(p, 1) * height));
    spread_add(&report->depth, l->z / (float)width - golden_at(p, 2));
    spread_add(&report->visibility, l->visibility - golden_at(p, 3));
    spread_add(&report->world,
               hypot(hypot(m->x - golden_at(w, 0), m->y - golden_at(w, 1)), m->z - golden_at(w, 2)));
  }
}

static void compare_detection(const Detection *detection, json_t *expected, int width, int height,
                              Report *report) {
  assert_float_equal(detection->score, golden_number(expected, "score"), 0.002);
  spread_add(&report->region, detection->box[0] - golden_number(expected, "xmin") * width);
  spread_add(&report->region, detection->box[1] - golden_number(expected, "ymin") * height);
  spread_add(&report->region,
             detection->box[2] - detection->box[0] - golden_number(expected, "width") * width);
  for (gsize k = 0; k < 4; k++) {
    json_t *point = json_array_get(json_object_get(expected, "keypoints"), k);
    spread_add(&report->region, detection->keypoint[k][0] - golden_at(point, 0) * width);
    spread_add(&report->region, detection->keypoint[k][1] - golden_at(point, 1) * height);
  }
}

/* Whether the official graph, with these thresholds, finds what it should; differences go into the report. */
static void check_picture(PoseEstimator *estimator, const Image *rgb, json_t *expected, float threshold,
                          float flag, const char *mask, Report *report) {
  g_autoptr(GArray) detections = NULL;
  g_autoptr(GError) error = NULL;
  gboolean wanted = json_is_true(json_object_get(expected, "pose_found"));
  assert_true(body_detect(estimator, rgb, NULL, threshold, threshold, &detections, &error));
  g_autofree BodyReading *reading = g_new0(BodyReading, 1);
  gboolean found = FALSE;
  if (detections->len) {
    const Detection *best = &g_array_index(detections, Detection, 0);
    Region region = body_region_from_detection(best);
    assert_true(body_read(estimator, rgb, &region, reading, &error));
    found = reading->pose.score > flag;
    if (found && wanted) {
      compare_detection(best, json_object_get(expected, "detection"), rgb->width, rgb->height, report);
      compare_region(&region, json_object_get(expected, "roi_from_detection"), rgb->width, rgb->height,
                     report);
    }
  }
  assert_int_equal(found, wanted);
  if (!found)
    return;
  compare_pose(&reading->pose, expected, rgb->width, rgb->height, report);
  Region next = body_region_from_anchors(reading->anchor);
  compare_region(&next, json_object_get(expected, "roi_from_landmarks"), rgb->width, rgb->height, report);
  if (!mask)
    return;
  g_autoptr(Image) golden = golden_image(mask, 1);
  g_autoptr(Image) own = body_mask(reading, rgb->width, rgb->height, rgb->width, rgb->height);
  print_message("  mask IoU %.5f, mean difference %.4f levels\n", mask_iou(own, golden),
                mask_difference(own, golden));
  assert_true(mask_iou(own, golden) >= 0.995);
  assert_true(mask_difference(own, golden) <= 0.2);
}

static void check_report(const Report *r) {
  print_message("  landmarks worst %.4f px, mean %.5f; z %.5f, visibility %.5f, world %.5f m, region %.4f "
                "px, %.2g rad\n",
                r->pixels.worst, spread_mean(&r->pixels), r->depth.worst, r->visibility.worst, r->world.worst,
                r->region.worst, r->rotation.worst);
  assert_true(r->pixels.worst <= 0.5 && spread_mean(&r->pixels) <= 0.05);
  assert_true(r->depth.worst <= 0.005 && r->visibility.worst <= 0.005 && r->world.worst <= 0.003);
}

static void check_network(PoseNetwork network, const char *key, gboolean mask) {
  json_t *pictures = golden_json("static.json");
  if (!pictures)
    skip();
  g_autoptr(GError) error = NULL;
  g_autoptr(PoseEstimator) estimator = pose_estimator_new(network, NULL, &error);
  if (!estimator)
    fail_msg("%s", error->message);
  double worst = 0;
  int compared = 0;
  size_t index;
  json_t *entry;
  json_array_foreach(pictures, index, entry) {
    json_t *expected = json_object_get(entry, key);
    const char *name = json_string_value(json_object_get(entry, "image"));
    if (!expected ||
        (g_str_has_suffix(key, "ungated") && !json_is_true(json_object_get(expected, "pose_found"))))
      continue;
    gboolean ungated = g_str_has_suffix(key, "ungated");
    print_message("%s %s\n", key, name);
    g_autoptr(Image) rgb = golden_image(name, 3);
    Report report = {0};
    check_picture(estimator, rgb, expected, ungated ? 0.02f : DETECTOR_THRESHOLD, ungated ? 0 : BODY_PRESENT,
                  mask ? json_string_value(json_object_get(entry, "mask")) : NULL, &report);
    if (report.pixels.count) {
      check_report(&report);
      assert_true(report.region.worst <= 0.1 && report.rotation.worst <= 1e-4);
      worst = MAX(worst, report.pixels.worst);
      compared++;
    }
  }
  print_message("figure: pose, %s: worst landmark of %d pictures is %.4f px from the official one\n", key,
                compared, worst);
  json_decref(pictures);
}

static void lite_agrees(void **state) {
  check_network(POSE_LITE, "complexity_0", FALSE);
}

static void full_agrees(void **state) {
  check_network(POSE_FULL, "complexity_1", TRUE);
}

static void full_agrees_without_thresholds(void **state) {
  check_network(POSE_FULL, "complexity_1_ungated", FALSE);
}

static void heavy_agrees(void **state) {
  check_network(POSE_HEAVY, "complexity_2", FALSE);
}

static void missing_networks_are_named(void **state) {
  g_autoptr(GError) error = NULL;
  assert_null(pose_estimator_new(POSE_FULL, "/nonexistent", &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
  assert_non_null(strstr(error->message, "npm ci"));
}

static void nobody_is_not_an_error(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(PoseEstimator) estimator = pose_estimator_new(POSE_LITE, NULL, &error);
  if (!estimator)
    fail_msg("%s", error->message);
  g_autoptr(Image) grey = image_new(320, 200, 3);
  memset(grey->pixels, 128, 320 * 200 * 3);
  g_autoptr(GArray) poses = NULL;
  g_autoptr(GPtrArray) masks = NULL;
  assert_true(pose_find(estimator, grey, &poses, &masks, &error));
  assert_int_equal(poses->len, 0);
  assert_int_equal(masks->len, 0);
}

/* How many people the closest look finds in a picture. */
static void check_people(PoseEstimator *estimator, const char *name, guint expected) {
  g_autoptr(GError) error = NULL;
  g_autofree char *there = golden_path(name);
  if (!there)
    return;
  g_autoptr(Image) rgb = golden_image(name, 3);
  g_autoptr(GArray) poses = NULL;
  g_autoptr(GPtrArray) masks = NULL;
  assert_true(pose_find(estimator, rgb, &poses, &masks, &error));
  assert_int_equal(masks->len, poses->len);
  for (guint i = 0; i < poses->len; i++) {
    const Pose *pose = &g_array_index(poses, Pose, i);
    const Image *mask = masks->pdata[i];
    assert_true(pose->score > BODY_PRESENT &&
                (i == 0 || pose->score <= g_array_index(poses, Pose, i - 1).score));
    assert_true(mask->width == rgb->width && mask->height == rgb->height && mask->channels == 1);
    /* The mask holds the chest. */
    float x = 0.5f * (pose->image[POSE_LEFT_SHOULDER].x + pose->image[POSE_RIGHT_HIP].x);
    float y = 0.5f * (pose->image[POSE_LEFT_SHOULDER].y + pose->image[POSE_RIGHT_HIP].y);
    if (x >= 0 && y >= 0 && x < (float)mask->width && y < (float)mask->height)
      assert_true(*image_at(mask, (int)x, (int)y) > 127);
  }
  assert_int_equal(poses->len, expected);
}

static void everybody_is_found_and_nobody_else(void **state) {
  g_autofree char *there = golden_path("images/coco_000000040083.png");
  if (!there)
    skip();
  g_autoptr(GError) error = NULL;
  g_autoptr(PoseEstimator) estimator = pose_estimator_new(POSE_HEAVY, NULL, &error);
  if (!estimator)
    fail_msg("%s", error->message);
  check_people(estimator, "images/coco_000000040083.png", 2);
  check_people(estimator, "images/coco_000000000785.png", 1);
  check_people(estimator, "images/demo1.png", 1);
  check_people(estimator, "images/ref.png", 1);
  check_people(estimator, "images/drawing1.png", 0);
  check_people(estimator, "images/drawing4.png", 0);
}

int main(int argc, char **argv) {
  if (VIPS_INIT(argv[0]))
    return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lite_agrees),
      cmocka_unit_test(full_agrees),
      cmocka_unit_test(full_agrees_without_thresholds),
      cmocka_unit_test(heavy_agrees),
      cmocka_unit_test(everybody_is_found_and_nobody_else),
      cmocka_unit_test(missing_networks_are_named),
      cmocka_unit_test(nobody_is_not_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
