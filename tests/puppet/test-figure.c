/* Joints from landmarks, joints given by hand, joints files, and the choice between network and silhouette.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "bodies.h"
#include "media/picture.h"
#include "puppet/figure/evidence.h"
#include "puppet/figure/joints_file.h"
#include "shared.h"
#include <math.h>
#include <string.h>

static void mark(Pose *pose, PoseLandmark landmark, const float p[2], float dx, float dy) {
  pose->image[landmark] = (Landmark){p[0] + dx, p[1] + dy, 0, 0.9f};
}

/* What a network that is always right would read out of a body. */
static Pose perfect_pose(const Figure *f) {
  static const Joint joints[] = {JOINT_LEFT_SHOULDER, JOINT_LEFT_ELBOW, JOINT_LEFT_WRIST,
                                 JOINT_LEFT_HIP,      JOINT_LEFT_KNEE,  JOINT_LEFT_ANKLE};
  static const PoseLandmark landmarks[] = {POSE_LEFT_SHOULDER, POSE_LEFT_ELBOW, POSE_LEFT_WRIST,
                                           POSE_LEFT_HIP,      POSE_LEFT_KNEE,  POSE_LEFT_ANKLE};
  Pose pose = {.score = 1};
  for (int i = 0; i < POSE_LANDMARKS; i++)
    mark(&pose, (PoseLandmark)i, f->joint[JOINT_HEAD], 0, 0);
  for (int side = 0; side < 2; side++) {
    for (gsize i = 0; i < G_N_ELEMENTS(joints); i++)
      mark(&pose, landmarks[i] + (PoseLandmark)side, f->joint[joints[i] + (Joint)side], 0, 0);
    float s = side == 0 ? 1 : -1;
    mark(&pose, POSE_LEFT_INDEX + (PoseLandmark)side, f->joint[JOINT_LEFT_HAND + side], 3, 0);
    mark(&pose, POSE_LEFT_PINKY + (PoseLandmark)side, f->joint[JOINT_LEFT_HAND + side], -3, 0);
    mark(&pose, POSE_LEFT_THUMB + (PoseLandmark)side, f->joint[JOINT_LEFT_HAND + side], 0, -3);
    mark(&pose, POSE_LEFT_HEEL + (PoseLandmark)side, f->joint[JOINT_LEFT_ANKLE + side], 0, 8);
    mark(&pose, POSE_LEFT_FOOT_INDEX + (PoseLandmark)side, f->joint[JOINT_LEFT_TOE + side], 0, 0);
    mark(&pose, POSE_LEFT_EAR + (PoseLandmark)side, f->joint[JOINT_LEFT_EAR + side], 0, -3);
    mark(&pose, side ? POSE_RIGHT_EYE : POSE_LEFT_EYE, f->joint[JOINT_HEAD], s * 10, -6);
    mark(&pose, side ? POSE_MOUTH_RIGHT : POSE_MOUTH_LEFT, f->joint[JOINT_HEAD], s * 7, 11);
  }
  return pose;
}

static void landmarks_become_joints(void **state) {
  Figure truth;
  g_autoptr(Image) mask = body_draw(BODY_ARMS_OUT, FALSE, &truth);
  Pose pose = perfect_pose(&truth);
  Figure found = figure_from_pose(&pose, mask);
  assert_int_equal(found.source, FIGURE_FROM_POSE);
  for (int i = 0; i < JOINTS; i++) {
    float limit = i == JOINT_CROWN                                                 ? 12
                  : i == JOINT_NECK || i == JOINT_LEFT_EAR || i == JOINT_RIGHT_EAR ? 4
                                                                                   : 0.6f;
    assert_true(hypotf(found.joint[i][0] - truth.joint[i][0], found.joint[i][1] - truth.joint[i][1]) < limit);
  }
  assert_float_equal(found.height, truth.height, 1);
}

static void the_crown_ends_with_the_mask(void **state) {
  Figure truth;
  g_autoptr(Image) mask = body_draw(BODY_ARMS_OUT, FALSE, &truth);
  Pose pose = perfect_pose(&truth);
  for (int c = POSE_LEFT_EYE_INNER; c <= POSE_RIGHT_EYE_OUTER; c++)
    pose.image[c].y -= 60; /* a face far larger than the head that is there */
  Figure found = figure_from_pose(&pose, mask);
  assert_true(found.joint[JOINT_CROWN][1] > truth.joint[JOINT_CROWN][1] - 70);
  assert_true(found.joint[JOINT_CROWN][1] < truth.joint[JOINT_HEAD][1]);
}

static void joints_below_the_picture_are_invisible_but_count_for_height(void **state) {
  Figure truth;
  g_autoptr(Image) whole = body_draw(BODY_ARMS_OUT, FALSE, &truth);
  g_autoptr(Image) half = image_crop(whole, 0, 0, whole->width, 260);
  Pose pose = perfect_pose(&truth);
  Figure found = figure_from_pose(&pose, half);
  assert_float_equal(found.visibility[JOINT_LEFT_ANKLE], 0, 0);
  assert_true(found.visibility[JOINT_LEFT_SHOULDER] > 0.5f);
  assert_true(found.height > 0.85f * truth.height);
}

static void a_given_wrist_takes_its_hand_along(void **state) {
  Figure before;
  g_autoptr(Image) mask = body_draw(BODY_ARMS_OUT, FALSE, &before);
  Figure after = before;
  GivenJoints given = {0};
  given.given[JOINT_LEFT_WRIST] = TRUE;
  given.at[JOINT_LEFT_WRIST][0] = before.joint[JOINT_LEFT_WRIST][0] + 30;
  given.at[JOINT_LEFT_WRIST][1] = before.joint[JOINT_LEFT_WRIST][1] - 40;
  figure_give(&after, &given);
  assert_float_equal(after.joint[JOINT_LEFT_WRIST][0], given.at[JOINT_LEFT_WRIST][0], 1e-3);
  assert_float_equal(after.joint[JOINT_LEFT_HAND][0] - before.joint[JOINT_LEFT_HAND][0], 30, 0.5);
  assert_float_equal(after.joint[JOINT_LEFT_HAND][1] - before.joint[JOINT_LEFT_HAND][1], -40, 0.5);
  float elbow = after.joint[JOINT_LEFT_ELBOW][0] - before.joint[JOINT_LEFT_ELBOW][0];
  assert_true(elbow > 5 && elbow < 28);
  assert_true(fabsf(after.joint[JOINT_LEFT_SHOULDER][0] - before.joint[JOINT_LEFT_SHOULDER][0]) < 5);
  assert_true(fabsf(after.joint[JOINT_RIGHT_WRIST][0] - before.joint[JOINT_RIGHT_WRIST][0]) < 1);
  assert_true(after.given[JOINT_LEFT_WRIST] && !after.given[JOINT_LEFT_HAND]);
  assert_float_equal(after.visibility[JOINT_LEFT_WRIST], 1, 0);
}

static void nothing_given_moves_nothing(void **state) {
  Figure before;
  g_autoptr(Image) mask = body_draw(BODY_SKIRT, FALSE, &before);
  Figure after = before;
  GivenJoints given = {0};
  figure_give(&after, &given);
  assert_memory_equal(&after, &before, sizeof after);
}

/* --- joints files
 * ---------------------------------------------------------------------------------------------- */

static gboolean parse(const char *text, GivenJoints *given, GError **error) {
  return joints_parse(text, strlen(text), "joints.json", 200, 100, given, error);
}

static void joints_files_are_read(void **state) {
  GivenJoints given;
  assert_true(parse("{\"joints\": {\"left_wrist\": [12, 34.5], \"nose\": [1, 2]}}", &given, NULL));
  assert_true(given.given[JOINT_LEFT_WRIST] && given.given[JOINT_HEAD] && !given.given[JOINT_HIP]);
  assert_float_equal(given.at[JOINT_LEFT_WRIST][1], 34.5, 1e-6);
  assert_true(parse("{\"right_foot_index\": [-20, 140], \"left_eye\": [3, 3]}", &given, NULL));
  assert_float_equal(given.at[JOINT_RIGHT_TOE][1], 140, 1e-6);
  assert_true(parse("{}", &given, NULL));
}

static void drawings_joints_are_read(void **state) {
  GivenJoints given;
  assert_true(parse("height: 100\nskeleton:\n- loc:\n  - 64\n  - 97\n  name: root\n  parent: null\n"
                    "- loc:\n  - 31\n  - 19\n  name: neck\n  parent: torso\nwidth: 200\n",
                    &given, NULL));
  assert_true(given.given[JOINT_HIP] && given.given[JOINT_HEAD] && !given.given[JOINT_NECK]);
  assert_float_equal(given.at[JOINT_HIP][0], 64, 1e-6);
}

static void bad_joints_files_are_refused(void **state) {
  static const char *const bad[] = {"",
                                    "{",
                                    "[]",
                                    "7",
                                    "{\"joints\": 3}",
                                    "{\"left_wrist\": [1]}",
                                    "{\"left_wrist\": [1, \"2\"]}",
                                    "{\"left_wrist\": {}}",
                                    "{\"left_wrist\": [1, 2, 3, 4]}",
                                    "{\"left_wrist\": [1e9, 2]}",
                                    "{\"left_wrist\": [1, -60]}",
                                    "{\"tail\": [1, 2]}",
                                    "{\"left_wrist\": [1, 2], \"left_wrist\": [1, 2]}",
                                    "skeleton:\n- loc:\n  - x\n",
                                    "skeleton:\n- loc:\n  - 1\n  - 2\n  name: tail\n",
                                    "skeleton:\n- loc:\n  - nan\n  - 2\n  name: root\n"};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    GivenJoints given;
    assert_false(parse(bad[i], &given, &error));
    assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
    assert_non_null(strstr(error->message, "joints.json"));
  }
  g_autoptr(GError) error = NULL;
  GivenJoints given;
  assert_false(parse("{\"tail\": [1, 2]}", &given, &error));
  assert_non_null(strstr(error->message, "left_wrist"));
}

static void large_joints_files_are_refused(void **state) {
  g_autofree char *text = g_malloc(JOINTS_FILE_MAX_BYTES + 1);
  memset(text, ' ', JOINTS_FILE_MAX_BYTES + 1);
  g_autoptr(GError) error = NULL;
  GivenJoints given;
  assert_false(joints_parse(text, JOINTS_FILE_MAX_BYTES + 1, "joints.json", 10, 10, &given, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_LIMIT));
  g_clear_error(&error);
  assert_false(joints_read("/nonexistent/joints.json", 10, 10, &given, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

/* --- the decision
 * ---------------------------------------------------------------------------------------------- */

static void a_true_pose_is_believed_and_a_moved_one_is_not(void **state) {
  Figure truth;
  g_autoptr(Image) mask = body_draw(BODY_ARMS_OUT, FALSE, &truth);
  Pose pose = perfect_pose(&truth);
  Evidence good = evidence_weigh(&pose, mask, mask);
  assert_true(evidence_belief(&good, TRUE) > 0.9f);
  assert_float_equal(good.overlap, 1, 1e-6);
  for (int i = 0; i < POSE_LANDMARKS; i++)
    pose.image[i].x += 90;
  Evidence moved = evidence_weigh(&pose, mask, mask);
  assert_true(evidence_belief(&moved, TRUE) < 0.2f);
}

static void a_pose_of_a_part_is_not_believed(void **state) {
  Figure truth;
  g_autoptr(Image) mask = body_draw(BODY_BIG_HEAD, FALSE, &truth);
  Pose pose = perfect_pose(&truth);
  /* the same body, shrunk into the head: all bones are inside, but they explain little */
  for (int i = 0; i < POSE_LANDMARKS; i++) {
    pose.image[i].x = truth.joint[JOINT_HEAD][0] + 0.25f * (pose.image[i].x - truth.joint[JOINT_HEAD][0]);
    pose.image[i].y = truth.joint[JOINT_HEAD][1] + 0.25f * (pose.image[i].y - truth.joint[JOINT_HEAD][1]);
  }
  Evidence evidence = evidence_weigh(&pose, mask, mask);
  assert_true(evidence.inside > 0.9f);
  assert_true(evidence_belief(&evidence, TRUE) < 0.5f);
}

/* A shirt that cannot be told from the wall: the silhouette lacks the trunk. */
static void a_silhouette_with_holes_does_not_contradict(void **state) {
  Figure truth;
  g_autoptr(Image) mask = body_draw(BODY_ARMS_OUT, FALSE, &truth);
  g_autoptr(Image) holed = image_copy(mask);
  for (int y = 115; y < 265; y++)
    for (int x = 196; x < 284; x++)
      *image_at(holed, x, y) = 0;
  Pose pose = perfect_pose(&truth);
  Evidence evidence = evidence_weigh(&pose, mask, holed);
  assert_true(evidence.inside < 0.9f);
  assert_true(evidence_belief(&evidence, TRUE) > 0.5f);
}

static Image *red_body_on_white(BodyKind kind, Figure *truth, int channels) {
  g_autoptr(Image) body = body_draw(kind, FALSE, truth);
  Image *picture = image_new(body->width, body->height, channels);
  for (int i = 0; i < body->width * body->height; i++) {
    guint8 *p = picture->pixels + (gsize)i * (gsize)channels;
    p[0] = body->pixels[i] ? 200 : 250, p[1] = p[2] = body->pixels[i] ? 40 : 250;
    if (channels == 4)
      p[3] = body->pixels[i];
  }
  return picture;
}

static void without_a_network_the_outline_does(void **state) {
  for (int channels = 3; channels <= 4; channels++) {
    Figure truth, found;
    g_autoptr(Image) picture = red_body_on_white(BODY_ARMS_UP, &truth, channels), mask = NULL;
    Progress *progress = progress_new(NULL, NULL);
    assert_true(figure_find(picture, NULL, NULL, NULL, &found, &mask, progress, NULL));
    float worst;
    const char *joint;
    assert_true(body_error(&found, &truth, &worst, &joint) < 0.05f);
    assert_int_equal(mask->width, picture->width);
    assert_int_equal(mask->channels, 1);
    g_auto(GStrv) notes = progress_notes(progress);
    assert_true(notes && notes[0]); /* it says that joints were guessed */
    progress_free(progress);
  }
}

static void given_joints_win(void **state) {
  Figure truth, found;
  g_autoptr(Image) picture = red_body_on_white(BODY_ARMS_UP, &truth, 3), mask = NULL;
  GivenJoints given = {0};
  given.given[JOINT_HEAD] = TRUE, given.at[JOINT_HEAD][0] = 111, given.at[JOINT_HEAD][1] = 99;
  assert_true(figure_find(picture, NULL, NULL, &given, &found, &mask, NULL, NULL));
  assert_float_equal(found.joint[JOINT_HEAD][0], 111, 1e-3);
  assert_true(found.given[JOINT_HEAD]);
}

static void a_mask_of_another_size_is_refused(void **state) {
  Figure truth, found;
  g_autoptr(Image) picture = red_body_on_white(BODY_ARMS_UP, &truth, 3), mask = image_new(10, 10, 1),
                   coarse = NULL;
  g_autoptr(GError) error = NULL;
  assert_false(figure_find(picture, NULL, mask, NULL, &found, &coarse, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

static void an_empty_picture_is_nobody(void **state) {
  g_autoptr(Image) picture = image_new(64, 64, 3), coarse = NULL;
  g_autoptr(GError) error = NULL;
  Figure found;
  assert_false(figure_find(picture, NULL, NULL, NULL, &found, &coarse, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
}

static void photographs_go_to_the_network_and_drawings_to_the_outline(void **state) {
  static const struct {
    const char *name;
    FigureSource source;
  } cases[] = {{"media/demo1.jpg", FIGURE_FROM_POSE},
               {"media/ref.jpg", FIGURE_FROM_POSE},
               {"golden-perception/images/coco_000000000785.png", FIGURE_FROM_POSE},
               {"golden-perception/images/coco2014_000000000474.png", FIGURE_FROM_POSE},
               {"golden-perception/images/dance_0007.png", FIGURE_FROM_POSE},
               {"media/drawing1/texture.png", FIGURE_FROM_SILHOUETTE},
               {"media/drawing2/texture.png", FIGURE_FROM_SILHOUETTE},
               {"media/drawing3/texture.png", FIGURE_FROM_SILHOUETTE},
               {"media/drawing4/texture.png", FIGURE_FROM_SILHOUETTE}};
  g_autoptr(PoseEstimator) network = pose_estimator_new(POSE_HEAVY, NULL, NULL);
  if (!network) {
    printf("skipped: the networks are absent\n");
    skip();
  }
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *path = shared_path(cases[i].name);
    if (!path)
      skip();
    g_autoptr(Image) picture = picture_load(path, NULL), mask = NULL;
    assert_non_null(picture);
    Figure figure;
    assert_true(figure_find(picture, network, NULL, NULL, &figure, &mask, NULL, NULL));
    printf("%s: %s\n", cases[i].name, figure.source == FIGURE_FROM_POSE ? "network" : "outline");
    assert_int_equal(figure.source, cases[i].source);
  }
}

int main(int argc, char **argv) {
  if (!picture_init(argv[0], NULL))
    return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(landmarks_become_joints),
      cmocka_unit_test(the_crown_ends_with_the_mask),
      cmocka_unit_test(joints_below_the_picture_are_invisible_but_count_for_height),
      cmocka_unit_test(a_given_wrist_takes_its_hand_along),
      cmocka_unit_test(nothing_given_moves_nothing),
      cmocka_unit_test(joints_files_are_read),
      cmocka_unit_test(drawings_joints_are_read),
      cmocka_unit_test(bad_joints_files_are_refused),
      cmocka_unit_test(large_joints_files_are_refused),
      cmocka_unit_test(a_true_pose_is_believed_and_a_moved_one_is_not),
      cmocka_unit_test(a_pose_of_a_part_is_not_believed),
      cmocka_unit_test(a_silhouette_with_holes_does_not_contradict),
      cmocka_unit_test(without_a_network_the_outline_does),
      cmocka_unit_test(given_joints_win),
      cmocka_unit_test(a_mask_of_another_size_is_refused),
      cmocka_unit_test(an_empty_picture_is_nobody),
      cmocka_unit_test(photographs_go_to_the_network_and_drawings_to_the_outline),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
