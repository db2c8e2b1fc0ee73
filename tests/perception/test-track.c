/* Tracking and the causal filters against the official implementation, and whole tracks of moving pictures
 * made from stills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "golden.h"
#include "perception/body.h"
#include "perception/filter.h"
#include "perception/track.h"
#include <math.h>
#include <vips/vips.h>

static void compare(const Pose *pose, json_t *frame, Spread *pixels, Spread *world, Spread *visibility) {
  double width = golden_number(frame, "width"), height = golden_number(frame, "height");
  json_t *image = json_object_get(frame, "landmarks"), *metres = json_object_get(frame, "world_landmarks");
  for (gsize i = 0; i < POSE_LANDMARKS; i++) {
    json_t *p = json_array_get(image, i), *w = json_array_get(metres, i);
    const Landmark *l = &pose->image[i], *m = &pose->world[i];
    spread_add(pixels, hypot(l->x - golden_at(p, 0) * width, l->y - golden_at(p, 1) * height));
    spread_add(pixels, l->z - golden_at(p, 2) * width);
    spread_add(visibility, l->visibility - golden_at(p, 3));
    spread_add(world, hypot(hypot(m->x - golden_at(w, 0), m->y - golden_at(w, 1)), m->z - golden_at(w, 2)));
  }
}

static Pose pose_of(json_t *frame) {
  Pose pose = {0};
  float width = (float)golden_number(frame, "width"), height = (float)golden_number(frame, "height");
  for (gsize i = 0; i < POSE_LANDMARKS; i++) {
    json_t *p = json_array_get(json_object_get(frame, "landmarks"), i);
    json_t *w = json_array_get(json_object_get(frame, "world_landmarks"), i);
    float visibility = (float)golden_at(p, 3);
    pose.image[i] = (Landmark){(float)golden_at(p, 0) * width, (float)golden_at(p, 1) * height,
                               (float)golden_at(p, 2) * width, visibility};
    pose.world[i] =
        (Landmark){(float)golden_at(w, 0), (float)golden_at(w, 1), (float)golden_at(w, 2), visibility};
  }
  return pose;
}

static double time_of(json_t *frame) {
  return golden_number(frame, "t_us") * 1e-6;
}

static int width_of(json_t *frames) {
  return (int)golden_number(json_array_get(frames, 0), "width");
}

static int height_of(json_t *frames) {
  return (int)golden_number(json_array_get(frames, 0), "height");
}

static void tracking_agrees(void **state) {
  json_t *raw = golden_json("track_raw.json");
  if (!raw)
    skip();
  g_autoptr(GError) error = NULL;
  g_autoptr(Tracker) tracker = tracker_new(POSE_FULL, NULL, width_of(raw), height_of(raw), &error);
  if (!tracker)
    fail_msg("%s", error->message);
  Spread pixels = {0}, world = {0}, visibility = {0};
  size_t index;
  json_t *frame;
  json_array_foreach(raw, index, frame) {
    g_autoptr(Image) rgb = golden_image(json_string_value(json_object_get(frame, "image")), 3);
    g_autoptr(GArray) sightings = NULL;
    assert_true(tracker_add(tracker, rgb, time_of(frame), FALSE, &sightings, &error));
    assert_int_equal(sightings->len, 1);
    const Sighting *sighting = &g_array_index(sightings, Sighting, 0);
    assert_int_equal(sighting->slot, 0);
    g_autoptr(Image) mask = tracker_mask(tracker, sighting);
    assert_int_equal(MAX(mask->width, mask->height), 512);
    compare(&sighting->pose, frame, &pixels, &world, &visibility);
  }
  print_message("figure: tracking, %d frames: worst landmark is %.4f px from the official one (mean %.5f), "
                "world %.5f m\n",
                (int)json_array_size(raw), pixels.worst, spread_mean(&pixels), world.worst);
  assert_true(pixels.worst <= 0.1 && world.worst <= 0.003 && visibility.worst <= 0.005);

  g_autoptr(Tracks) tracks = tracker_finish(tracker, &error);
  assert_non_null(tracks);
  assert_int_equal(tracks->tracks->len, 1);
  const Track *track = tracks->tracks->pdata[0];
  assert_int_equal(track->first, 0);
  assert_int_equal(track->count, json_array_size(raw));
  Spread moved = {0};
  json_array_foreach(raw, index, frame) {
    Pose own = pose_of(frame);
    for (int i = 0; i < POSE_LANDMARKS; i++)
      spread_add(&moved, hypot(track->poses[index].image[i].x - own.image[i].x,
                               track->poses[index].image[i].y - own.image[i].y));
  }
  print_message(
      "figure: smoothing moves a landmark of the dance by %.2f px in the mean, %.1f px at most, of %d\n",
      spread_mean(&moved), moved.worst, height_of(raw));
  assert_true(spread_mean(&moved) < 4);
  json_decref(raw);
}

/* The chain of regions by hand, so that the whole masks and the anchors can be seen. */
static void filters_agree(void **state) {
  json_t *raw = golden_json("track_raw.json"), *smooth = golden_json("track_smooth.json");
  if (!raw || !smooth)
    skip();
  g_autoptr(GError) error = NULL;
  g_autoptr(PoseEstimator) estimator = pose_estimator_new(POSE_FULL, NULL, &error);
  if (!estimator)
    fail_msg("%s", error->message);
  g_autofree BodyReading *reading = g_new0(BodyReading, 1);
  g_autofree PoseFilter *filter = g_new0(PoseFilter, 1), *own_filter = g_new0(PoseFilter, 1);
  g_autoptr(Image) previous = NULL;
  AnchorFilter anchors = {0};
  Region region = {0};
  Spread pixels = {0}, world = {0}, visibility = {0}, own_pixels = {0}, regions = {0};
  size_t index;
  json_t *frame;
  json_array_foreach(raw, index, frame) {
    json_t *expected = json_array_get(smooth, index);
    g_autoptr(Image) rgb = golden_image(json_string_value(json_object_get(frame, "image")), 3);
    if (index == 0) {
      g_autoptr(GArray) detections = NULL;
      assert_true(
          body_detect(estimator, rgb, NULL, DETECTOR_THRESHOLD, DETECTOR_THRESHOLD, &detections, &error));
      assert_true(detections->len > 0);
      region = body_region_from_detection(&g_array_index(detections, Detection, 0));
    }
    assert_true(body_read(estimator, rgb, &region, reading, &error));
    float scale = 2 * hypotf(reading->anchor[1][0] - reading->anchor[0][0],
                             reading->anchor[1][1] - reading->anchor[0][1]);
    Pose pose = pose_of(frame), own = reading->pose;
    pose_filter(filter, time_of(frame), scale, &pose);
    compare(&pose, expected, &pixels, &world, &visibility);
    pose_filter(own_filter, time_of(frame), scale, &own);
    compare(&own, expected, &own_pixels, &world, &visibility);

    g_autoptr(Image) mask = body_mask(reading, rgb->width, rgb->height, rgb->width, rgb->height);
    const char *golden_raw = json_string_value(json_object_get(frame, "mask"));
    if (golden_raw) {
      g_autoptr(Image) golden = golden_image(golden_raw, 1);
      assert_true(mask_iou(mask, golden) >= 0.995 && mask_difference(mask, golden) <= 0.2);
    }
    mask_filter(previous, mask);
    const char *golden_smooth = json_string_value(json_object_get(expected, "mask"));
    if (golden_smooth) {
      g_autoptr(Image) golden = golden_image(golden_smooth, 1);
      print_message("  frame %d: smoothed mask IoU %.5f, mean difference %.4f levels\n", (int)index,
                    mask_iou(mask, golden), mask_difference(mask, golden));
      assert_true(mask_iou(mask, golden) >= 0.995 && mask_difference(mask, golden) <= 0.2);
    }
    image_free(previous);
    previous = g_steal_pointer(&mask);
    anchor_filter(&anchors, time_of(frame), reading->anchor);
    region = body_region_from_anchors(reading->anchor);
    json_t *next = json_object_get(frame, "roi_from_landmarks");
    spread_add(&regions, region.cx - golden_number(next, "x_center") * rgb->width);
    spread_add(&regions, region.cy - golden_number(next, "y_center") * rgb->height);
    spread_add(&regions, region.width - golden_number(next, "width") * rgb->width);
  }
  print_message("figure: filters: %.4f px from the official result on official input, %.4f px with the whole "
                "chain; region "
                "%.4f px; world %.6f m\n",
                pixels.worst, own_pixels.worst, regions.worst, world.worst);
  assert_true(pixels.worst <= 0.01 && own_pixels.worst <= 0.1 && regions.worst <= 0.1);
  assert_true(world.worst <= 0.003 && visibility.worst <= 0.005);
  json_decref(raw);
  json_decref(smooth);
}

/* --- made videos --- */

/* A still put into a wider black picture at x. */
static void place(const Image *picture, Image *stage, int x) {
  for (int row = 0; row < MIN(picture->height, stage->height); row++)
    for (int column = 0; column < picture->width; column++)
      if (x + column >= 0 && x + column < stage->width)
        memcpy(image_at(stage, x + column, row), image_at(picture, column, row), 3);
}

typedef struct {
  int x[2]; /* where the two stand, or -1 where one is away */
  gboolean cut;
} Shown;

static Tracks *track_stage(const Shown *shown, int frames, int *most) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Image) a = golden_image("images/dance_0001.png", 3), b = golden_image("images/demo1.png", 3);
  g_autoptr(Image) left = image_resize(a, 270, 480), right = image_resize(b, 270, 480);
  g_autoptr(Tracker) tracker = tracker_new(POSE_LITE, NULL, 800, 480, &error);
  if (!tracker)
    fail_msg("%s", error->message);
  *most = 0;
  for (int i = 0; i < frames; i++) {
    g_autoptr(Image) stage = image_new(800, 480, 3);
    g_autoptr(GArray) sightings = NULL;
    if (shown[i].x[0] >= 0)
      place(left, stage, shown[i].x[0]);
    if (shown[i].x[1] >= 0)
      place(right, stage, shown[i].x[1]);
    assert_true(tracker_add(tracker, stage, i / 24.0, shown[i].cut, &sightings, &error));
    *most = MAX(*most, (int)sightings->len);
  }
  Tracks *tracks = tracker_finish(tracker, &error);
  if (!tracks)
    assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
  return tracks;
}

static gboolean golden_is_there(void) {
  g_autofree char *path = golden_path("images/dance_0001.png");
  return path != NULL;
}

static void two_people_keep_their_ids(void **state) {
  if (!golden_is_there())
    skip();
  Shown shown[60];
  int most;
  for (int i = 0; i < 60; i++)
    shown[i] = (Shown){{20 + i, 520 - i}, FALSE};
  g_autoptr(Tracks) tracks = track_stage(shown, 60, &most);
  assert_int_equal(most, 2);
  assert_int_equal(tracks->tracks->len, 2);
  for (guint i = 0; i < 2; i++) {
    const Track *track = tracks->tracks->pdata[i];
    assert_int_equal(track->id, i + 1);
    assert_true(track->first <= 13);
    float begin = track->poses[0].image[POSE_NOSE].x, end = track->poses[track->count - 1].image[POSE_NOSE].x;
    assert_float_equal(end - begin, (i == 0 ? 1 : -1) * (track->count - 1), 12);
  }
}

static void a_gap_is_bridged(void **state) {
  if (!golden_is_there())
    skip();
  Shown shown[60];
  int most;
  for (int i = 0; i < 60; i++)
    shown[i] = (Shown){{i >= 25 && i < 37 ? -1 : 100 + 2 * i, -1}, FALSE};
  g_autoptr(Tracks) tracks = track_stage(shown, 60, &most);
  assert_int_equal(most, 1);
  assert_int_equal(tracks->tracks->len, 1);
  const Track *track = tracks->tracks->pdata[0];
  assert_int_equal(track->count, 60);
  for (int i = 0; i < 60; i++)
    assert_true((track->slot[i] >= 0) == !(i >= 25 && i < 39) || (i >= 37 && i < 40));
  for (int i = 1; i < 60; i++)
    assert_float_equal(track->poses[i].image[POSE_LEFT_HIP].x - track->poses[i - 1].image[POSE_LEFT_HIP].x, 2,
                       1.5);
}

static void a_cut_ends_a_track(void **state) {
  if (!golden_is_there())
    skip();
  Shown shown[48];
  int most;
  for (int i = 0; i < 48; i++)
    shown[i] = i < 24 ? (Shown){{100, -1}, FALSE} : (Shown){{-1, 300}, i == 24};
  g_autoptr(Tracks) tracks = track_stage(shown, 48, &most);
  assert_int_equal(tracks->tracks->len, 2);
  assert_int_equal(tracks->cuts->len, 2);
  const Track *first = tracks->tracks->pdata[0], *second = tracks->tracks->pdata[1];
  assert_int_equal(first->first + first->count, 24);
  assert_int_equal(second->first, 24);
  assert_int_equal(second->count, 24);
}

static void a_glimpse_is_nobody(void **state) {
  if (!golden_is_there())
    skip();
  Shown shown[30];
  int most;
  for (int i = 0; i < 30; i++)
    shown[i] = (Shown){{i < 6 ? 100 : -1, -1}, FALSE};
  g_autoptr(Tracks) tracks = track_stage(shown, 30, &most);
  assert_int_equal(most, 1);
  assert_null(tracks);
}

int main(int argc, char **argv) {
  if (VIPS_INIT(argv[0]))
    return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tracking_agrees),           cmocka_unit_test(filters_agree),
      cmocka_unit_test(two_people_keep_their_ids), cmocka_unit_test(a_gap_is_bridged),
      cmocka_unit_test(a_cut_ends_a_track),        cmocka_unit_test(a_glimpse_is_nobody),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
