/* The as-rigid-as-possible sheet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "doll.h"
#include "puppet/draw/flat.h"
#include "puppet/draw/skin.h"
#include <math.h>
#include <string.h>

/* All bones moved by one similarity. */
static void move_all(Stance *s, float angle, float scale, float x, float y) {
  memset(s, 0, sizeof *s);
  s->scale = scale;
  for (int b = 0; b < BONES; b++) {
    float c = scale * cosf(angle), n = scale * sinf(angle);
    const float m[3][4] = {{c, -n, 0, x}, {n, c, 0, y}, {0, 0, scale, 0}};
    memcpy(s->matrix[b], m, sizeof m);
    s->rotation[b][2] = sinf(angle / 2), s->rotation[b][3] = cosf(angle / 2);
  }
}

/* The same, but a forearm turned about its elbow. */
static void bend(const Rig *rig, Stance *s, Bone bone, float angle) {
  move_all(s, 0, 1.5f, 20, 30);
  const float *o = rig->figure.joint[bone_joints[bone][0]];
  for (int b = (int)bone; b <= (int)bone + 2; b += 2) {
    float c = 1.5f * cosf(angle), n = 1.5f * sinf(angle);
    const float m[3][4] = {{c, -n, 0, 20 + 1.5f * o[0] - c * o[0] + n * o[1]},
                           {n, c, 0, 30 + 1.5f * o[1] - n * o[0] - c * o[1]},
                           {0, 0, 1.5f, 0}};
    memcpy(s->matrix[b], m, sizeof m);
    s->rotation[b][2] = sinf(angle / 2), s->rotation[b][3] = cosf(angle / 2);
  }
}

typedef struct {
  Rig *rig;
  const Layer *layer;
  Flat *flat;
  FlatSolver *solver;
  Skin *skin;
  float (*at)[3];
} Sheet;

static Sheet sheet_new(void) {
  Sheet s = {doll_rig(TRUE)};
  s.layer = g_ptr_array_index(s.rig->layers, 0);
  s.flat = flat_new(s.rig, s.layer);
  s.solver = flat_solver_new(s.flat);
  s.skin = skin_new(s.rig, s.layer);
  s.at = g_malloc0_n((gsize)s.layer->vertices, sizeof *s.at);
  return s;
}

static void sheet_clear(Sheet *s) {
  g_free(s->at);
  skin_free(s->skin);
  flat_solver_free(s->solver);
  flat_free(s->flat);
  rig_free(s->rig);
}

static void solve(Sheet *s, const Stance *stance, int rounds) {
  skin_pose(s->skin, stance, 0, s->at);
  flat_solve(s->solver, stance, rounds, s->at);
}

static void rigid_motion_is_reproduced(void **state) {
  Sheet s = sheet_new();
  for (int k = 0; k < 8; k++) {
    Stance stance;
    move_all(&stance, 0.9f * (float)k, 0.5f + 0.4f * (float)k, 30 * (float)k, 100 - 20 * (float)k);
    solve(&s, &stance, FLAT_ROUNDS);
    for (int v = 0; v < s.layer->vertices; v++) {
      float p[3] = {s.layer->rest[v][0], s.layer->rest[v][1], 0}, wanted[3];
      stance_apply(stance.matrix[0], p, wanted);
      assert_true(hypotf(s.at[v][0] - wanted[0], s.at[v][1] - wanted[1]) < 0.02f);
      assert_true(s.at[v][2] == 0);
    }
  }
  sheet_clear(&s);
}

static void energy_only_falls(void **state) {
  Sheet s = sheet_new();
  Stance stance;
  bend(s.rig, &stance, BONE_LEFT_FOREARM, -1.6f);
  double last = G_MAXDOUBLE, first = 0;
  for (int rounds = 0; rounds <= 8; rounds++) {
    solve(&s, &stance, rounds);
    double energy = flat_energy(s.solver, &stance, (const float(*)[3])s.at);
    if (rounds == 0)
      first = energy;
    assert_true(energy <= last * (1 + 1e-5));
    last = energy;
  }
  assert_true(last < 0.8 * first);
  sheet_clear(&s);
}

/* A bent arm: its bones' vertices go where the bones go, and the rest of the body stays. */
static void bones_pull(void **state) {
  Sheet s = sheet_new();
  Stance stance;
  bend(s.rig, &stance, BONE_LEFT_FOREARM, -0.8f);
  solve(&s, &stance, FLAT_ROUNDS);
  int seen = 0;
  for (int v = 0; v < s.layer->vertices; v++) {
    const float *p = s.layer->rest[v];
    float flat[3] = {p[0], p[1], 0}, wanted[3];
    int bone = s.layer->bone[v][0];
    stance_apply(stance.matrix[bone], flat, wanted);
    float off = hypotf(s.at[v][0] - wanted[0], s.at[v][1] - wanted[1]);
    if (bone == BONE_LEFT_FOREARM && p[1] > 165 && p[1] < 200 && fabsf(p[0] - 200) <= 5) {
      seen++;
      /* The doll's arm is part of one stiff sheet: it gives way, but most of the way it goes. */
      float way = hypotf(wanted[0] - 20 - 1.5f * p[0], wanted[1] - 30 - 1.5f * p[1]);
      assert_true(off < 0.4f * way);
    }
    if (p[1] > 330 || p[0] < 120) {
      seen++;
      assert_true(off < 1.5f);
    }
  }
  assert_true(seen > 50);
  sheet_clear(&s);
}

static void every_frame_stands_alone(void **state) {
  Sheet a = sheet_new(), b = sheet_new();
  Stance other, stance;
  move_all(&other, 2, 3, 50, 60);
  bend(a.rig, &stance, BONE_RIGHT_FOREARM, 1.2f);
  solve(&a, &other, FLAT_ROUNDS);
  solve(&a, &stance, FLAT_ROUNDS);
  solve(&b, &stance, FLAT_ROUNDS);
  assert_memory_equal(a.at, b.at, sizeof *a.at * (gsize)a.layer->vertices);
  sheet_clear(&a);
  sheet_clear(&b);
}

/* A triangle that no other touches, and one without area. */
static void loose_pieces_have_a_place(void **state) {
  Sheet s = sheet_new();
  Layer *layer = g_ptr_array_index(s.rig->layers, 0);
  int n = layer->triangles;
  memcpy(layer->triangle[n - 1], (guint32[]){0, 0, 1}, 12);
  g_autoptr(Flat) flat = flat_new(s.rig, layer);
  g_autoptr(FlatSolver) solver = flat_solver_new(flat);
  Stance stance;
  bend(s.rig, &stance, BONE_LEFT_FOREARM, -0.8f);
  skin_pose(s.skin, &stance, 0, s.at);
  flat_solve(solver, &stance, FLAT_ROUNDS, s.at);
  for (int v = 0; v < layer->vertices; v++)
    assert_true(isfinite(s.at[v][0]) && isfinite(s.at[v][1]));
  sheet_clear(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rigid_motion_is_reproduced),
      cmocka_unit_test(energy_only_falls),
      cmocka_unit_test(bones_pull),
      cmocka_unit_test(every_frame_stands_alone),
      cmocka_unit_test(loose_pieces_have_a_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
