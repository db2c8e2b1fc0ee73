/* What the character does against what the driver does: angles, size, feet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "doll.h"
#include "puppet/draw/skin.h"
#include "puppet/motion/retarget.h"
#include <math.h>
#include <string.h>

#define FRAMES 60
#define DEGREE ((float)G_PI / 180)

typedef struct {
  Rig *rig;
  Tracks *tracks;
  Motion *motion;
} Case;

static Case make(const Pose *poses, int count) {
  Case c = {doll_rig(FALSE), person_tracks(poses, count)};
  c.motion = motion_new(c.rig, g_ptr_array_index(c.tracks->tracks, 0), c.tracks, FALSE);
  assert_non_null(c.motion);
  assert_int_equal(c.motion->count, count);
  return c;
}

static void done(Case *c) {
  motion_free(c->motion);
  rig_free(c->rig);
  Track *track = g_ptr_array_index(c->tracks->tracks, 0);
  g_free(track->slot);
  g_free(track->poses);
  g_free(track);
  g_ptr_array_unref(c->tracks->tracks);
  g_array_unref(c->tracks->cuts);
  g_free(c->tracks->time_s);
  g_free(c->tracks);
}

static float angle_between(const float *a, const float *b) {
  return atan2f(b[1] - a[1], b[0] - a[0]);
}

static float apart(float a, float b) {
  return fabsf(remainderf(a - b, 2 * (float)G_PI));
}

static float distance(const float *a, const float *b) {
  return hypotf(a[0] - b[0], a[1] - b[1]);
}

/* Steps in place with waving arms: every limb moves, the feet too. */
static void dance(Pose *poses, int count) {
  for (int i = 0; i < count; i++) {
    Person p = person_standing(270, 480, 400);
    float t = (float)i / 25;
    for (int side = 0; side < 2; side++) {
      float s = side ? -1 : 1;
      p.arm[side][0] += s * (-0.8f + 0.9f * sinf(2 * t + (float)side));
      p.arm[side][1] = p.arm[side][0] - s * (0.9f + 0.6f * cosf(3 * t));
      p.leg[side][0] += 0.35f * sinf(3 * t + 2 * (float)side);
      p.leg[side][1] = p.leg[side][0] + 0.2f * cosf(2 * t);
    }
    p.spine += 0.1f * sinf(2.5f * t);
    poses[i] = person_pose(&p);
  }
}

static void limbs_have_the_drivers_angles(void **state) {
  Pose poses[FRAMES];
  dance(poses, FRAMES);
  Case c = make(poses, FRAMES);
  static const guint8 limb[][4] = {
      {POSE_LEFT_SHOULDER, POSE_LEFT_ELBOW, JOINT_LEFT_SHOULDER, JOINT_LEFT_ELBOW},
      {POSE_LEFT_ELBOW, POSE_LEFT_WRIST, JOINT_LEFT_ELBOW, JOINT_LEFT_WRIST},
      {POSE_LEFT_HIP, POSE_LEFT_KNEE, JOINT_LEFT_HIP, JOINT_LEFT_KNEE},
      {POSE_LEFT_KNEE, POSE_LEFT_ANKLE, JOINT_LEFT_KNEE, JOINT_LEFT_ANKLE}};
  for (int i = 0; i < FRAMES; i++)
    for (int side = 0; side < 2; side++)
      for (gsize k = 0; k < G_N_ELEMENTS(limb); k++) {
        const Landmark *a = &poses[i].image[limb[k][0] + side], *b = &poses[i].image[limb[k][1] + side];
        const Stance *s = &c.motion->stances[i];
        float own = angle_between(s->joint[limb[k][2] + side], s->joint[limb[k][3] + side]);
        assert_true(apart(own, atan2f(b->y - a->y, b->x - a->x)) < 0.5f * DEGREE);
      }
  done(&c);
}

static void spine_and_shoulders_follow(void **state) {
  Pose poses[FRAMES];
  dance(poses, FRAMES);
  Case c = make(poses, FRAMES);
  for (int i = 0; i < FRAMES; i++) {
    const Stance *s = &c.motion->stances[i];
    float top[2] = {(s->joint[JOINT_LEFT_SHOULDER][0] + s->joint[JOINT_RIGHT_SHOULDER][0]) / 2,
                    (s->joint[JOINT_LEFT_SHOULDER][1] + s->joint[JOINT_RIGHT_SHOULDER][1]) / 2};
    float wanted = -(float)G_PI_2 + 0.1f * sinf(2.5f * (float)i / 25);
    assert_true(apart(angle_between(s->joint[JOINT_HIP], top), wanted) < 1.0f * DEGREE);
    assert_true(apart(angle_between(s->joint[JOINT_RIGHT_SHOULDER], s->joint[JOINT_LEFT_SHOULDER]),
                      wanted + (float)G_PI_2) < 1.5f * DEGREE);
  }
  done(&c);
}

/* spine + legs + neck are 0.5 + 0.82 + 0.22 metres, the doll's 120 + 190 + 35 pixels. */
static void size_is_the_drivers(void **state) {
  for (int metre = 200; metre <= 400; metre += 200) {
    Pose poses[FRAMES];
    Person p = person_standing(270, 480, (float)metre);
    for (int i = 0; i < FRAMES; i++)
      poses[i] = person_pose(&p);
    Case c = make(poses, FRAMES);
    assert_float_equal(c.motion->stances[0].scale, 1.54f * (float)metre / 345, 0.03f * (float)metre / 200);
    const Stance *s = &c.motion->stances[FRAMES / 2];
    for (int side = 0; side < 2; side++) /* the feet stand where the driver's stand: hips differ in width */
      assert_true(fabsf(s->joint[JOINT_LEFT_ANKLE + side][0] - poses[0].image[POSE_LEFT_ANKLE + side].x) <
                  0.06f * (float)metre);
    float sole = s->joint[JOINT_LEFT_ANKLE][1] + s->scale * 20;
    assert_float_equal(sole, poses[0].image[POSE_LEFT_FOOT_INDEX].y, 0.02f * (float)metre);
    done(&c);
  }
}

/* Sways and bends the knees over standing feet, with noise as of a network. */
static void standing_feet_do_not_slide(void **state) {
  Pose poses[FRAMES];
  guint32 seed = 7;
  for (int i = 0; i < FRAMES; i++) {
    Person p = person_standing(270 + 8 * sinf((float)i / 9), 480, 400);
    poses[i] = person_pose(&p);
    for (int side = 0; side < 2; side++) {
      int ankle = POSE_LEFT_ANKLE + side;
      float x = 270 + (side ? -60.0f : 60.0f), y = 480 + 322 + (side ? -6.0f : 0.0f);
      float bend = 6 * sinf((float)i / 7);
      poses[i].image[POSE_LEFT_KNEE + side].x = (poses[i].image[POSE_LEFT_HIP + side].x + x) / 2 + bend;
      poses[i].image[POSE_LEFT_KNEE + side].y = (poses[i].image[POSE_LEFT_HIP + side].y + y) / 2;
      poses[i].image[ankle].x = x, poses[i].image[ankle].y = y;
      poses[i].image[POSE_LEFT_HEEL + side].x = x, poses[i].image[POSE_LEFT_HEEL + side].y = y + 16;
      poses[i].image[POSE_LEFT_FOOT_INDEX + side].x = x,
                                            poses[i].image[POSE_LEFT_FOOT_INDEX + side].y = y + 32;
    }
    for (int k = 0; k < POSE_LANDMARKS; k++) {
      seed = seed * 1664525 + 1013904223;
      poses[i].image[k].x += ((float)(seed >> 16 & 255) / 255 - 0.5f) * 0.6f;
    }
  }
  Case c = make(poses, FRAMES);
  for (int side = 0; side < 2; side++)
    for (int i = 1; i < FRAMES; i++)
      assert_true(distance(c.motion->stances[i].joint[JOINT_LEFT_ANKLE + side],
                           c.motion->stances[i - 1].joint[JOINT_LEFT_ANKLE + side]) < 0.05f);
  done(&c);
}

static void feet_that_walk_are_not_held(void **state) {
  Pose poses[FRAMES];
  for (int i = 0; i < FRAMES; i++) {
    Person p = person_standing(150 + 4 * (float)i, 480, 400);
    poses[i] = person_pose(&p);
  }
  Case c = make(poses, FRAMES);
  float way = c.motion->stances[FRAMES - 1].joint[JOINT_LEFT_ANKLE][0] -
              c.motion->stances[0].joint[JOINT_LEFT_ANKLE][0];
  assert_float_equal(way, 4 * (FRAMES - 1), 12);
  done(&c);
}

/* A wrist that is not seen may be anywhere; the forearm keeps its direction. */
static void hidden_limbs_hold_their_direction(void **state) {
  Pose poses[FRAMES];
  Person p = person_standing(270, 480, 400);
  for (int i = 0; i < FRAMES; i++) {
    poses[i] = person_pose(&p);
    if (i >= 20 && i < 40) {
      poses[i].image[POSE_LEFT_WRIST].x += 300, poses[i].image[POSE_LEFT_WRIST].visibility = 0.05f;
    }
  }
  Case c = make(poses, FRAMES);
  for (int i = 0; i < FRAMES; i++) {
    const Stance *s = &c.motion->stances[i];
    assert_true(apart(angle_between(s->joint[JOINT_LEFT_ELBOW], s->joint[JOINT_LEFT_WRIST]), (float)G_PI_2) <
                1.5f * DEGREE);
  }
  done(&c);
}

/* A forearm toward the camera is shorter on the screen, and tilts only so far. */
/* Whatever the network claims to see outside of the frame. */
static void an_arm_out_of_the_frame_hangs_after_a_while(void **state) {
  Pose poses[FRAMES];
  for (int i = 0; i < FRAMES; i++) {
    Person p = person_standing(i < 10 ? 320 : 80, 480, 400);
    p.arm[1][0] = p.arm[1][1] = (float)G_PI; /* straight to the left of the frame */
    poses[i] = person_pose(&p);
  }
  assert_true(poses[0].image[POSE_RIGHT_WRIST].x > 0 && poses[10].image[POSE_RIGHT_ELBOW].x < -54);
  Case c = make(poses, FRAMES);
  for (int i = 0; i < FRAMES; i++) {
    const float(*j)[3] = c.motion->stances[i].joint;
    float raised = apart(angle_between(j[JOINT_RIGHT_SHOULDER], j[JOINT_RIGHT_ELBOW]), (float)G_PI);
    float hanging = apart(angle_between(j[JOINT_RIGHT_SHOULDER], j[JOINT_RIGHT_ELBOW]), (float)G_PI_2);
    if (i < 18)
      assert_true(raised < 3 * DEGREE);
    if (i > 42)
      assert_true(hanging < 10 * DEGREE);
  }
  done(&c);
}

static void foreshortening_has_a_limit(void **state) {
  Pose poses[FRAMES];
  Person p = person_standing(270, 480, 400);
  for (int i = 0; i < FRAMES; i++) {
    p.tilt[0] = i < FRAMES / 2 ? 0 : 80 * DEGREE;
    poses[i] = person_pose(&p);
  }
  Case c = make(poses, FRAMES);
  const Stance *flat = &c.motion->stances[10], *tilted = &c.motion->stances[FRAMES - 10];
  float long_ = distance(flat->joint[JOINT_LEFT_ELBOW], flat->joint[JOINT_LEFT_WRIST]);
  float short_ = distance(tilted->joint[JOINT_LEFT_ELBOW], tilted->joint[JOINT_LEFT_WRIST]);
  assert_true(short_ < 0.75f * long_ && short_ > 0.58f * long_);
  assert_true(tilted->joint[JOINT_LEFT_WRIST][2] > 0.4f * long_);
  assert_true(tilted->arm_toward[0] && !flat->arm_toward[0]);
  done(&c);
}

/* Seen from behind, arms and legs still lie where the driver's lie on the screen. */
static void backs_are_reported_and_mirrored(void **state) {
  Pose poses[FRAMES];
  for (int i = 0; i < FRAMES; i++) {
    Person p = person_standing(270, 480, 400);
    p.turn = i < FRAMES / 2 ? 0 : (float)G_PI;
    p.arm[0][0] = 0.2f; /* the person's left */
    p.arm[0][1] = -0.3f;
    poses[i] = person_pose(&p);
  }
  Case c = make(poses, FRAMES);
  assert_float_equal(c.motion->back_share, 0.5, 0.08);
  const Stance *s = &c.motion->stances[FRAMES - 5];
  const Landmark *a = &poses[FRAMES - 5].image[POSE_LEFT_SHOULDER],
                 *b = &poses[FRAMES - 5].image[POSE_LEFT_ELBOW];
  assert_true(b->x < a->x); /* now to the left on the screen: the character's right arm */
  assert_true(apart(angle_between(s->joint[JOINT_RIGHT_SHOULDER], s->joint[JOINT_RIGHT_ELBOW]),
                    atan2f(b->y - a->y, b->x - a->x)) < 1.0f * DEGREE);
  assert_true(s->joint[JOINT_RIGHT_SHOULDER][0] < s->joint[JOINT_LEFT_SHOULDER][0]);
  done(&c);
}

static void nonsense_gives_a_stance(void **state) {
  Pose poses[FRAMES];
  dance(poses, FRAMES);
  for (int i = 5; i < FRAMES; i += 7)
    for (int k = 0; k < POSE_LANDMARKS; k++) {
      poses[i].image[k].x = k % 2 ? NAN : INFINITY;
      poses[i].world[k].z = k % 3 ? -INFINITY : 1e30f;
    }
  memset(poses[9].image, 0, sizeof poses[9].image);
  Case c = make(poses, FRAMES);
  for (int i = 0; i < FRAMES; i++)
    for (int b = 0; b < BONES; b++)
      for (int k = 0; k < 12; k++)
        assert_true(isfinite((&c.motion->stances[i].matrix[b][0][0])[k]));
  done(&c);
}

static void one_frame_is_enough(void **state) {
  Person p = person_standing(270, 480, 400);
  Pose pose = person_pose(&p);
  Case c = make(&pose, 1);
  assert_true(c.motion->stances[0].scale > 0.5f);
  done(&c);
}

static void the_same_twice(void **state) {
  Pose poses[FRAMES];
  dance(poses, FRAMES);
  Case a = make(poses, FRAMES), b = make(poses, FRAMES);
  assert_memory_equal(a.motion->stances, b.motion->stances, sizeof(Stance) * FRAMES);
  done(&a);
  done(&b);
}

/* Vertices of one bone go where its matrix takes them; shared ones lie between; the back is the mirrored
 * front. */
static void skin_follows_bones(void **state) {
  Pose poses[FRAMES];
  dance(poses, FRAMES);
  Case c = make(poses, FRAMES);
  Layer *arm = NULL;
  for (guint i = 0; i < c.rig->layers->len; i++)
    if (((Layer *)g_ptr_array_index(c.rig->layers, i))->kind == LAYER_LEFT_ARM)
      arm = g_ptr_array_index(c.rig->layers, i);
  arm->rest[0][2] = 5;
  arm->bone[1][0] = BONE_LEFT_UPPER_ARM, arm->bone[1][1] = BONE_LEFT_FOREARM;
  arm->weight[1][0] = 0.5f, arm->weight[1][1] = 0.5f;
  memcpy(arm->rest[1], c.rig->figure.joint[JOINT_LEFT_ELBOW], sizeof(float) * 2);
  g_autoptr(Skin) skin = skin_new(c.rig, arm);
  g_autofree float(*front)[3] = g_malloc_n((gsize)arm->vertices, sizeof *front);
  const Stance *s = &c.motion->stances[17];
  skin_pose(skin, s, 1, front);
  for (int v = 0; v < arm->vertices; v++) {
    if (v == 1)
      continue;
    float at[3];
    stance_apply(s->matrix[arm->bone[v][0]], arm->rest[v], at);
    assert_true(distance(front[v], at) < 1e-3f && fabsf(front[v][2] - at[2]) < 1e-3f);
  }
  assert_true(distance(front[1], s->joint[JOINT_LEFT_ELBOW]) < 0.01f);
  skin_pose(skin, s, 0, front);
  float flat[3] = {arm->rest[0][0], arm->rest[0][1], 0}, at[3];
  stance_apply(s->matrix[arm->bone[0][0]], flat, at);
  assert_true(distance(front[0], at) < 1e-3f);
  done(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(limbs_have_the_drivers_angles),
      cmocka_unit_test(spine_and_shoulders_follow),
      cmocka_unit_test(size_is_the_drivers),
      cmocka_unit_test(standing_feet_do_not_slide),
      cmocka_unit_test(feet_that_walk_are_not_held),
      cmocka_unit_test(hidden_limbs_hold_their_direction),
      cmocka_unit_test(an_arm_out_of_the_frame_hangs_after_a_while),
      cmocka_unit_test(foreshortening_has_a_limit),
      cmocka_unit_test(backs_are_reported_and_mirrored),
      cmocka_unit_test(nonsense_gives_a_stance),
      cmocka_unit_test(one_frame_is_enough),
      cmocka_unit_test(the_same_twice),
      cmocka_unit_test(skin_follows_bones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
