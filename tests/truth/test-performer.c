/* What the numbers of the other tests stand on: that the performer's truth is true. */
#include "performer_dance.h"
#include "performer_pan.h"
#include "performer_stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka last: it wants the four above. */
#include <cmocka.h>
#include <math.h>
#include <string.h>

#define FRAMES 120

static void body_at(double seconds, int variant, Body *body) {
  Moment moment;
  dance_moment(seconds, variant, 0.9f, 0, &moment);
  body_pose(&moment, body);
}

static float distance(vec3s a, vec3s b) {
  return glms_vec3_norm(glms_vec3_sub(a, b));
}

static void test_bones_keep_their_length(void **state) {
  for (int variant = 0; variant < 3; variant++)
    for (int f = 0; f < FRAMES; f++) {
      Body body;
      body_at(f / 24.0, variant, &body);
      const BoneFrame *b = body.bone;
      for (int side = 0; side < 2; side++) {
        assert_float_equal(distance(b[BONE_UPPER_ARM + side].at, b[BONE_FOREARM + side].at), UPPER_ARM_LENGTH,
                           1e-4);
        assert_float_equal(distance(b[BONE_FOREARM + side].at, b[BONE_HAND + side].at), FOREARM_LENGTH, 1e-4);
        assert_float_equal(distance(b[BONE_THIGH + side].at, b[BONE_SHIN + side].at), THIGH_LENGTH, 1e-3);
        assert_float_equal(distance(b[BONE_SHIN + side].at, b[BONE_FOOT + side].at), SHIN_LENGTH, 1e-3);
      }
    }
}

static void test_feet_stand_still(void **state) {
  for (int variant = 0; variant < 3; variant++) {
    int stood = 0;
    for (int f = 1; f < FRAMES; f++) {
      Moment before, now;
      dance_moment((f - 1) / 24.0, variant, 0.9f, 0, &before);
      dance_moment(f / 24.0, variant, 0.9f, 0, &now);
      for (int side = 0; side < 2; side++) {
        const vec3s *a = &before.foot[side].ankle, *b = &now.foot[side].ankle;
        if (a->y > 1e-5f || b->y > 1e-5f)
          continue;
        assert_float_equal(a->x, b->x, 2e-4);
        assert_float_equal(a->z, b->z, 2e-4);
        stood++;
      }
    }
    assert_true(stood > FRAMES / 2);
  }
}

static void test_dance_begins_again(void **state) {
  double round = DANCE_BEATS * 60.0 / DANCE_BEATS_PER_MINUTE;
  for (int f = 0; f < 24; f++) {
    Body first, second;
    body_at(f / 10.0, 0, &first);
    body_at(f / 10.0 + round, 0, &second);
    for (int b = 0; b < BONES; b++)
      assert_true(distance(first.bone[b].at, second.bone[b].at) < 1e-3f);
  }
}

/* A step of the marching must not pass through a surface: nothing lies within the distance that the field
 * tells. */
static void test_distances_are_safe(void **state) {
  Flesh *flesh = g_new0(Flesh, 1);
  flesh->people = 1;
  body_at(2.4, 0, &flesh->body[0]);
  flesh_dress(flesh);
  guint8 all[FLESH_MAX_SOLIDS];
  for (int i = 0; i < flesh->count; i++)
    all[i] = (guint8)i;
  guint32 random = 1;
  for (int i = 0; i < 40000; i++) {
    float p[3], q[3], way = 0;
    for (int c = 0; c < 3; c++) {
      random = random * 1664525u + 1013904223u;
      p[c] = (c == 1 ? -1.9f : 1.2f) * ((float)(random >> 8) / 16777216.0f - (c == 1 ? 0 : 0.5f));
      random = random * 1664525u + 1013904223u;
      q[c] = (float)(random >> 8) / 16777216.0f - 0.5f;
      way += q[c] * q[c];
    }
    float a = flesh_distance(flesh, all, flesh->count, p, NULL);
    if (a <= 0 || way < 1e-6f)
      continue;
    for (int c = 0; c < 3; c++)
      q[c] = p[c] + q[c] / sqrtf(way) * a * 0.95f;
    assert_true(flesh_distance(flesh, all, flesh->count, q, NULL) > -0.002f);
  }
  g_free(flesh);
}

static void test_homographies_follow_the_camera(void **state) {
  Pan pan;
  pan_make(&pan, 96, 160, 48, TRUE);
  for (int f = 0; f < 48; f += 7) {
    Camera camera = pan_camera(&pan, f);
    float h[9], x, y, u, v, depth;
    pan_homography(&pan, f, h);
    vec3s point = {{0.4f, -1.7f, 1.9f}};
    camera_project(&camera, point, &x, &y, &depth);
    camera_project(&pan.key, point, &u, &v, &depth);
    float w = h[6] * x + h[7] * y + h[8];
    assert_float_equal((h[0] * x + h[1] * y + h[2]) / w, u, 0.02);
    assert_float_equal((h[3] * x + h[4] * y + h[5]) / w, v, 0.02);
  }
  pan_clear(&pan);
}

static gboolean covered_near(const Image *mask, float x, float y) {
  for (int dy = -1; dy <= 1; dy++)
    for (int dx = -1; dx <= 1; dx++) {
      int u = CLAMP((int)x + dx, 0, mask->width - 1), v = CLAMP((int)y + dy, 0, mask->height - 1);
      if (*image_at(mask, u, v) >= 128)
        return TRUE;
    }
  return FALSE;
}

/* Landmarks lie on the person that the picture shows, and beyond the person and the shadow the picture is the
 * room. */
static void test_picture_agrees_with_its_truth(void **state) {
  Pan pan;
  pan_make(&pan, 180, 320, 1, FALSE);
  Flesh *flesh = g_new0(Flesh, 1);
  flesh->people = 1;
  for (int f = 0; f < 5; f++) {
    body_at(f * 1.03, 0, &flesh->body[0]);
    flesh_dress(flesh);
    Camera camera = pan_camera(&pan, 0);
    Shot shot;
    stage_shoot(flesh, &camera, pan.canvas, &shot);
    vec3s points[POSE_LANDMARKS];
    float radius[POSE_LANDMARKS];
    body_landmarks(&flesh->body[0], points, radius);
    for (int i = 0; i < POSE_LANDMARKS; i++) {
      float x, y, depth;
      camera_project(&camera, points[i], &x, &y, &depth);
      if (x >= 0 && y >= 0 && x < 180 && y < 320)
        assert_true(covered_near(shot.mask[0], x, y));
    }
    int covered = 0;
    for (int i = 0; i < 180 * 320; i++) {
      covered += shot.mask[0]->pixels[i] >= 128;
      if (shot.mask[0]->pixels[i] == 0 && shot.light->pixels[i] == 255)
        assert_memory_equal(shot.picture->pixels + 3 * i, pan.canvas->pixels + 3 * i, 3);
    }
    assert_in_range(covered, 180 * 320 / 20, 180 * 320 / 5);
    shot_clear(&shot);
  }
  g_free(flesh);
  pan_clear(&pan);
}

static void test_hidden_joints_are_told(void **state) {
  Flesh *flesh = g_new0(Flesh, 1);
  flesh->people = 1;
  Moment moment;
  dance_moment(0, 0, 0.9f, 0, &moment);
  /* The left hand goes behind the back. */
  moment.arm[0].upper = (vec3s){{0.25f, 0.85f, 0.45f}};
  moment.arm[0].fore = (vec3s){{-0.9f, 0.2f, 0.3f}};
  body_pose(&moment, &flesh->body[0]);
  flesh_dress(flesh);
  Camera camera = stage_camera(360, 640, 0, 0, 1);
  vec3s points[POSE_LANDMARKS];
  float radius[POSE_LANDMARKS];
  body_landmarks(&flesh->body[0], points, radius);
  assert_false(stage_sees(flesh, &camera, points[POSE_LEFT_WRIST], radius[POSE_LEFT_WRIST]));
  assert_true(stage_sees(flesh, &camera, points[POSE_RIGHT_WRIST], radius[POSE_RIGHT_WRIST]));
  assert_true(stage_sees(flesh, &camera, points[POSE_NOSE], radius[POSE_NOSE]));
  g_free(flesh);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bones_keep_their_length),
      cmocka_unit_test(test_feet_stand_still),
      cmocka_unit_test(test_dance_begins_again),
      cmocka_unit_test(test_distances_are_safe),
      cmocka_unit_test(test_homographies_follow_the_camera),
      cmocka_unit_test(test_picture_agrees_with_its_truth),
      cmocka_unit_test(test_hidden_joints_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
