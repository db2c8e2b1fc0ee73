/* Rigs of painted figures: what the parts are, that they make up the picture, that the meshes are sound, and
 * that files are checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "dressed.h"
#include "puppet/rig/layers.h"
#include "puppet/rig/rig.h"
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define SIZE 420

static Rig *build(const Dressed *dressed) {
  g_autoptr(GError) error = NULL;
  Rig *rig = rig_build(dressed->cutout, &dressed->figure, &error);
  assert_null(error);
  return rig;
}

static const Layer *find_layer(const Rig *rig, LayerKind kind) {
  for (guint i = 0; i < rig->layers->len; i++) {
    const Layer *layer = g_ptr_array_index(rig->layers, i);
    if (layer->kind == kind)
      return layer;
  }
  return NULL;
}

/* --- parts --- */

static double overlap(const Dressed *dressed, const Parts *parts, Part part) {
  int both = 0, either = 0;
  for (int y = 0; y < dressed->cutout->height; y++)
    for (int x = 0; x < dressed->cutout->width; x++) {
      int px = (int)(((float)(x - parts->left) + 0.5f) * parts->scale),
          py = (int)(((float)(y - parts->top) + 0.5f) * parts->scale);
      Part found = PART_NONE, truth = dressed->part[y * dressed->cutout->width + x];
      if (px >= 0 && py >= 0 && px < parts->width && py < parts->height)
        found = parts->label[py * parts->width + px];
      if (image_at(dressed->cutout, x, y)[3] < 128)
        continue;
      if (!parts->skirt && (truth == PART_LEFT_LEG || truth == PART_RIGHT_LEG))
        truth = PART_TORSO;
      both += found == part && truth == part;
      either += found == part || truth == part;
    }
  return either ? (double)both / either : 1;
}

static void parts_are_found(void **state) {
  static const DressedPose poses[] = {DRESSED_ARMS_DOWN, DRESSED_ARM_OVER_BODY, DRESSED_ARMS_UP,
                                      DRESSED_IN_SKIRT};
  for (gsize i = 0; i < G_N_ELEMENTS(poses); i++) {
    g_autoptr(Dressed) dressed = dressed_new(poses[i], SIZE);
    g_autoptr(Parts) parts = parts_find(dressed->cutout, &dressed->figure, NULL);
    assert_non_null(parts);
    assert_int_equal(parts->skirt, poses[i] == DRESSED_IN_SKIRT);
    for (Part part = PART_TORSO; part < PARTS; part++) {
      if (!parts->skirt && (part == PART_LEFT_LEG || part == PART_RIGHT_LEG))
        continue;
      double iou = overlap(dressed, parts, part);
      print_message("pose %d part %d: IoU %.3f\n", (int)poses[i], (int)part, iou);
      assert_true(iou > 0.85);
    }
  }
}

/* Nothing but its place tells a sleeve from a coat of the same colour. */
static void sleeves_end_where_the_coat_begins(void **state) {
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_IN_COAT, 2 * SIZE);
  g_autoptr(Parts) parts = parts_find(dressed->cutout, &dressed->figure, NULL);
  float farthest = 0;
  for (Part part = PART_LEFT_ARM; part <= PART_RIGHT_ARM; part++) {
    double iou = overlap(dressed, parts, part);
    print_message("coat, part %d: IoU %.3f\n", (int)part, iou);
    assert_true(iou >= 0.9);
  }
  for (int i = 0; i < parts->width * parts->height; i++) {
    float p[2] = {(float)(i % parts->width) + 0.5f, (float)(i / parts->width) + 0.5f};
    int side = parts->label[i] - PART_LEFT_ARM;
    if (side == 0 || side == 1)
      farthest =
          MAX(farthest, parts_arm_distance(parts, side, p) / parts->radius[BONE_LEFT_UPPER_ARM + side]);
  }
  print_message("coat: an arm reaches %.2f radii from its bones\n", farthest);
  assert_true(farthest < 2.5f);
}

/* --- the picture again --- */

static void composite(const Rig *rig, Image *canvas) {
  for (guint i = 0; i < rig->layers->len; i++) {
    const Layer *layer = g_ptr_array_index(rig->layers, i);
    if (layer->kind == LAYER_LEFT_HAND || layer->kind == LAYER_RIGHT_HAND)
      continue;
    int dx = (int)lroundf(layer->rest[0][0] - layer->uv[0][0]),
        dy = (int)lroundf(layer->rest[0][1] - layer->uv[0][1]);
    for (int y = 0; y < layer->texture->height; y++)
      for (int x = 0; x < layer->texture->width; x++) {
        const guint8 *from = image_at(layer->texture, x, y);
        guint8 *to = image_at(canvas, x + dx, y + dy);
        for (int c = 0; c < 4; c++)
          to[c] = (guint8)MIN(255, from[c] + to[c] * (255 - from[3]) / 255);
      }
  }
}

static void layers_make_up_the_picture(void **state) {
  for (DressedPose pose = DRESSED_ARMS_DOWN; pose <= DRESSED_HANDS_IN_POCKETS; pose++) {
    g_autoptr(Dressed) dressed = dressed_new(pose, SIZE);
    g_autoptr(Rig) rig = build(dressed);
    const Image *cutout = dressed->cutout;
    g_autoptr(Image) canvas = image_new(cutout->width, cutout->height, 4);
    composite(rig, canvas);
    gint64 difference = 0, opaque = 0, uncovered = 0, spilled = 0;
    for (int i = 0; i < cutout->width * cutout->height; i++) {
      const guint8 *a = cutout->pixels + 4 * (gsize)i, *b = canvas->pixels + 4 * (gsize)i;
      spilled += a[3] == 0 && b[3] > 0;
      if (a[3] < 255)
        continue;
      opaque++;
      uncovered += b[3] < 245;
      for (int c = 0; c < 3; c++)
        difference += ABS(a[c] - b[c]);
    }
    print_message("pose %d: mean difference %.3f levels, %.4f %% uncovered\n", (int)pose,
                  (double)difference / (3 * opaque), 100.0 * uncovered / opaque);
    assert_true((double)difference / (3 * opaque) < 1.0);
    assert_true(uncovered < opaque / 1000);
    assert_int_equal(spilled, 0);
  }
}

/* The arm lies over the body: lifted off, there is body behind it, in the shirt's colour. */
static void what_an_arm_hides_is_painted(void **state) {
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_ARM_OVER_BODY, SIZE);
  g_autoptr(Rig) rig = build(dressed);
  const Layer *body = find_layer(rig, LAYER_BODY);
  int dx = (int)lroundf(body->rest[0][0] - body->uv[0][0]),
      dy = (int)lroundf(body->rest[0][1] - body->uv[0][1]);
  const float *elbow = dressed->figure.joint[JOINT_LEFT_ELBOW],
              *wrist = dressed->figure.joint[JOINT_LEFT_WRIST];
  for (float t = 0.5f; t <= 1; t += 0.1f) {
    int x = (int)(elbow[0] + t * (wrist[0] - elbow[0])) - dx,
        y = (int)(elbow[1] + t * (wrist[1] - elbow[1])) - dy;
    const guint8 *p = image_at(body->texture, x, y);
    assert_true(p[3] > 250);
    assert_true(p[0] > 90 && p[1] < 80 &&
                p[2] < 90); /* red as the shirt, neither green nor blue as the sleeves */
  }
}

/* --- meshes --- */

static gboolean is_clear_around(const Image *texture, const float uv[2]) {
  for (int y = (int)uv[1] - 2; y <= (int)uv[1] + 2; y++)
    for (int x = (int)uv[0] - 2; x <= (int)uv[0] + 2; x++)
      if (x >= 0 && y >= 0 && x < texture->width && y < texture->height && image_at(texture, x, y)[3])
        return FALSE;
  return TRUE;
}

static void check_mesh(const Layer *layer, gboolean relief) {
  for (int v = 0; v < layer->vertices; v++) {
    float sum = 0;
    for (int k = 0; k < 4; k++) {
      assert_in_range(layer->bone[v][k], 0, BONES - 1);
      assert_true(layer->weight[v][k] >= 0);
      sum += layer->weight[v][k];
    }
    assert_float_equal(sum, 1, 1e-5);
    assert_true(isfinite(layer->rest[v][0]) && isfinite(layer->rest[v][1]) && layer->rest[v][2] >= 0);
    if (!relief || is_clear_around(layer->texture, layer->uv[v]))
      assert_float_equal(layer->rest[v][2], 0, 0);
  }
  for (int t = 0; t < layer->triangles; t++)
    for (int k = 0; k < 3; k++)
      assert_true(layer->triangle[t][k] < (guint32)layer->vertices);
}

static float highest(const Layer *layer) {
  float z = 0;
  for (int v = 0; v < layer->vertices; v++)
    z = MAX(z, layer->rest[v][2]);
  return z;
}

static void meshes_are_sound(void **state) {
  for (DressedPose pose = DRESSED_ARMS_DOWN; pose <= DRESSED_IN_COAT; pose++) {
    g_autoptr(Dressed) dressed = dressed_new(pose, SIZE);
    g_autoptr(Rig) rig = build(dressed);
    for (guint i = 0; i < rig->layers->len; i++)
      check_mesh(g_ptr_array_index(rig->layers, i), TRUE);
    /* A round sleeve stands out by about its half width, a torso by less than its own. */
    float arm = highest(find_layer(rig, LAYER_LEFT_ARM)) / SIZE,
          body = highest(find_layer(rig, LAYER_BODY)) / SIZE;
    assert_true(arm > 0.02f && arm < 0.05f);
    assert_true(body > 0.05f && body < 0.1f);
  }
}

static float weight_of(const Layer *layer, const float point[2], Bone bone) {
  int best = 0;
  float least = G_MAXFLOAT, sum = 0;
  for (int v = 0; v < layer->vertices; v++) {
    float d = hypotf(layer->rest[v][0] - point[0], layer->rest[v][1] - point[1]);
    if (d < least) {
      least = d;
      best = v;
    }
  }
  for (int k = 0; k < 4; k++)
    if (layer->bone[best][k] == bone)
      sum += layer->weight[best][k];
  return sum;
}

static void weights_follow_the_bones(void **state) {
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_ARMS_DOWN, SIZE);
  g_autoptr(Rig) rig = build(dressed);
  for (int side = 0; side < 2; side++) {
    const Layer *arm = find_layer(rig, LAYER_LEFT_ARM + side), *body = find_layer(rig, LAYER_BODY);
    for (int k = 0; k < 3; k++) {
      Bone bones[3] = {BONE_LEFT_UPPER_ARM + side, BONE_LEFT_FOREARM + side, BONE_LEFT_SHIN + side};
      const float *a = rig->figure.joint[bone_joints[bones[k]][0]],
                  *b = rig->figure.joint[bone_joints[bones[k]][1]];
      float middle[2] = {0.5f * (a[0] + b[0]), 0.5f * (a[1] + b[1])};
      assert_true(weight_of(k < 2 ? arm : body, middle, bones[k]) > 0.9f);
    }
  }
  assert_true(weight_of(find_layer(rig, LAYER_HEAD), rig->figure.joint[JOINT_CROWN], BONE_HEAD) > 0.95f);
}

/* --- what is decided from the picture --- */

static void hidden_hands_are_drawn(void **state) {
  g_autoptr(Dressed) pockets = dressed_new(DRESSED_HANDS_IN_POCKETS, SIZE),
                     down = dressed_new(DRESSED_ARMS_DOWN, SIZE);
  g_autoptr(Rig) hidden = build(pockets), shown = build(down);
  for (int side = 0; side < 2; side++) {
    assert_true(hidden->hand_hidden[side]);
    assert_false(shown->hand_hidden[side]);
    assert_null(find_layer(shown, LAYER_LEFT_HAND + side));
    const Layer *hand = find_layer(hidden, LAYER_LEFT_HAND + side);
    assert_non_null(hand);
    float middle = 0;
    for (int v = 0; v < hand->vertices; v++)
      middle += hand->rest[v][1] / (float)hand->vertices;
    assert_true(middle > hidden->figure.joint[JOINT_LEFT_WRIST + side][1]); /* hangs from the wrist */
    const guint8 *palm = image_at(hand->texture, hand->texture->width / 2, hand->texture->height * 2 / 3);
    assert_true(palm[3] == 255 && palm[0] > palm[1] && palm[1] > palm[2] && palm[0] > 150);
  }
}

static void skirts_part_from_legs(void **state) {
  g_autoptr(Dressed) skirt = dressed_new(DRESSED_IN_SKIRT, SIZE),
                     trousers = dressed_new(DRESSED_ARMS_DOWN, SIZE);
  g_autoptr(Rig) one = build(skirt), other = build(trousers);
  assert_true(one->skirt && find_layer(one, LAYER_LEFT_LEG) && find_layer(one, LAYER_RIGHT_LEG));
  assert_true(!other->skirt && !find_layer(other, LAYER_LEFT_LEG) && !find_layer(other, LAYER_RIGHT_LEG));
}

/* A picture that ends at the hip: the joints below are outside. */
static void half_figures_have_no_legs(void **state) {
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_ARMS_DOWN, SIZE);
  int rows = (int)(0.53f * SIZE);
  Image *half = image_crop(dressed->cutout, 0, 0, dressed->cutout->width, rows);
  image_free(dressed->cutout);
  dressed->cutout = half;
  for (int j = 0; j < JOINTS; j++)
    if (dressed->figure.joint[j][1] > (float)rows)
      dressed->figure.visibility[j] = 0;
  g_autoptr(Rig) rig = build(dressed);
  assert_false(rig->skirt);
  for (guint i = 0; i < rig->layers->len; i++) {
    const Layer *layer = g_ptr_array_index(rig->layers, i);
    check_mesh(layer, TRUE);
    for (int v = 0; v < layer->vertices; v++)
      assert_true(layer->rest[v][1] < (float)rows + 0.03f * SIZE);
  }
}

static void drawings_are_one_flat_mesh(void **state) {
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_ARMS_UP, SIZE);
  dressed->figure.source = FIGURE_FROM_SILHOUETTE;
  g_autoptr(Rig) rig = build(dressed);
  assert_true(rig->drawn);
  assert_int_equal(rig->layers->len, 1);
  const Layer *whole = g_ptr_array_index(rig->layers, 0);
  assert_int_equal(whole->kind, LAYER_WHOLE);
  check_mesh(whole, FALSE);
  assert_float_equal(highest(whole), 0, 0);
  int seen[LAYERS] = {0};
  for (int t = 0; t < whole->triangles; t++)
    seen[whole->part[t]]++;
  static const LayerKind kinds[] = {LAYER_LEFT_LEG, LAYER_RIGHT_LEG, LAYER_BODY,
                                    LAYER_LEFT_ARM, LAYER_RIGHT_ARM, LAYER_HEAD};
  for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
    assert_true(seen[kinds[i]] > whole->triangles / 25);
  for (int side = 0; side < 2; side++) {
    const float *a = rig->figure.joint[JOINT_LEFT_WRIST + side],
                *b = rig->figure.joint[JOINT_LEFT_KNEE + side];
    assert_true(weight_of(whole, a, BONE_LEFT_FOREARM + side) + weight_of(whole, a, BONE_LEFT_HAND + side) >
                0.9f);
    assert_true(weight_of(whole, b, BONE_LEFT_THIGH + side) + weight_of(whole, b, BONE_LEFT_SHIN + side) >
                0.9f);
  }
  g_autoptr(Image) canvas = image_new(dressed->cutout->width, dressed->cutout->height, 4);
  composite(rig, canvas);
  for (int i = 0; i < canvas->width * canvas->height; i++)
    if (dressed->cutout->pixels[4 * i + 3] == 255)
      assert_memory_equal(canvas->pixels + 4 * (gsize)i, dressed->cutout->pixels + 4 * (gsize)i, 4);
}

static void nothing_is_refused(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Image) clear = image_new(64, 64, 4), rgb = image_new(64, 64, 3);
  Figure figure = {.height = 50};
  assert_null(rig_build(clear, &figure, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
  g_clear_error(&error);
  assert_null(rig_build(rgb, &figure, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  g_clear_error(&error);
  figure.joint[JOINT_HIP][0] = NAN;
  assert_null(rig_build(clear, &figure, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

/* Joints that have nothing to do with the picture: a useless rig, but a rig. */
static void senseless_joints_do_no_harm(void **state) {
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_ARMS_DOWN, 200);
  g_autoptr(GRand) random = g_rand_new_with_seed(5);
  for (int round = 0; round < 12; round++) {
    for (int j = 0; j < JOINTS; j++)
      for (int c = 0; c < 2; c++)
        dressed->figure.joint[j][c] = round ? (float)g_rand_double_range(random, -100, 400) : 0;
    dressed->figure.source = round % 2 ? FIGURE_FROM_POSE : FIGURE_FROM_SILHOUETTE;
    dressed->figure.height = round == 3 ? 0 : round == 5 ? NAN : 200;
    g_autoptr(Rig) rig = rig_build(dressed->cutout, &dressed->figure, NULL);
    for (guint i = 0; rig && i < rig->layers->len; i++) {
      const Layer *layer = g_ptr_array_index(rig->layers, i);
      for (int v = 0; v < layer->vertices; v++)
        assert_float_equal(
            layer->weight[v][0] + layer->weight[v][1] + layer->weight[v][2] + layer->weight[v][3], 1, 1e-4);
    }
  }
}

/* --- files --- */

typedef struct {
  char *folder, *path;
} Place;

static int open_place(void **state) {
  Place *place = g_new0(Place, 1);
  place->folder = g_dir_make_tmp("rig-XXXXXX", NULL);
  place->path = g_build_filename(place->folder, "rig.safetensors", NULL);
  *state = place;
  return 0;
}

static int close_place(void **state) {
  Place *place = *state;
  g_unlink(place->path);
  g_rmdir(place->folder);
  g_free(place->path);
  g_free(place->folder);
  g_free(place);
  return 0;
}

static GBytes *saved(const Rig *rig, const Place *place) {
  char *data;
  gsize length;
  assert_true(rig_save(rig, place->path, NULL));
  assert_true(g_file_get_contents(place->path, &data, &length, NULL));
  return g_bytes_new_take(data, length);
}

static void files_give_the_same_rig(void **state) {
  const Place *place = *state;
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_HANDS_IN_POCKETS, 300);
  g_autoptr(Rig) rig = build(dressed), again = build(dressed);
  g_autoptr(GBytes) first = saved(rig, place);
  g_autoptr(Rig) loaded = rig_load(place->path, NULL);
  assert_non_null(loaded);
  g_autoptr(GBytes) second = saved(loaded, place), third = saved(again, place);
  assert_true(g_bytes_equal(first, second)); /* nothing is lost */
  assert_true(g_bytes_equal(first, third));  /* building is deterministic */
  assert_int_equal(loaded->layers->len, rig->layers->len);
  assert_memory_equal(&loaded->figure.joint, &rig->figure.joint, sizeof rig->figure.joint);
}

static void assert_refused(const Place *place) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Rig) rig = rig_load(place->path, &error);
  assert_null(rig);
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

static void damaged_rigs_are_refused(void **state) {
  const Place *place = *state;
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_ARMS_DOWN, 200);
  g_autoptr(Rig) rig = build(dressed);
  Layer *layer = g_ptr_array_index(rig->layers, 0);
#define DAMAGE(field, value)                                                                                 \
  do {                                                                                                       \
    __typeof__(field) kept = field;                                                                          \
    field = value;                                                                                           \
    assert_true(rig_save(rig, place->path, NULL));                                                           \
    assert_refused(place);                                                                                   \
    field = kept;                                                                                            \
  } while (0)
  DAMAGE(layer->triangle[3][1], (guint32)layer->vertices);
  DAMAGE(layer->triangle[0][0], G_MAXUINT32);
  DAMAGE(layer->bone[5][3], BONES);
  DAMAGE(layer->part[2], LAYERS);
  DAMAGE(layer->weight[4][0], NAN);
  DAMAGE(layer->weight[4][0], -1);
  DAMAGE(layer->weight[4][1], layer->weight[4][1] + 0.01f);
  DAMAGE(layer->rest[7][2], INFINITY);
  DAMAGE(layer->uv[7][0], NAN);
  DAMAGE(layer->kind, LAYERS);
  DAMAGE(rig->width, 0);
  DAMAGE(rig->width, 100 * 1000 * 1000);
  DAMAGE(rig->right, rig->left);
  DAMAGE(rig->figure.height, 0);
  DAMAGE(rig->figure.joint[JOINT_HIP][1], NAN);
  DAMAGE(rig->figure.visibility[3], 2);
  DAMAGE(rig->radius[2], -1);
  assert_true(rig_save(rig, place->path, NULL));
  g_autoptr(Rig) healthy = rig_load(place->path, NULL);
  assert_non_null(healthy);
}

static void broken_files_are_refused(void **state) {
  const Place *place = *state;
  g_autoptr(Dressed) dressed = dressed_new(DRESSED_ARMS_DOWN, 160);
  g_autoptr(Rig) rig = build(dressed);
  g_autoptr(GBytes) bytes = saved(rig, place);
  gsize length;
  const guint8 *whole = g_bytes_get_data(bytes, &length);
  for (gsize cut = 0; cut < length; cut += length / 23 + 1) {
    assert_true(g_file_set_contents(place->path, (const char *)whole, (gssize)cut, NULL));
    assert_refused(place);
  }
  g_autoptr(GRand) random = g_rand_new_with_seed(11);
  g_autofree guint8 *copy = g_memdup2(whole, length);
  for (int round = 0; round < 60; round++) { /* anything may come out, except a crash */
    gsize at = round % 2 ? (gsize)g_rand_int_range(random, 0, 2000)
                         : (gsize)g_rand_int_range(random, 0, (gint32)length);
    guint8 kept = copy[at];
    copy[at] = (guint8)g_rand_int_range(random, 0, 256);
    assert_true(g_file_set_contents(place->path, (const char *)copy, (gssize)length, NULL));
    g_autoptr(Rig) loaded = rig_load(place->path, NULL);
    copy[at] = kept;
  }
  assert_int_equal(g_unlink(place->path), 0);
  assert_refused(place);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_are_found),
      cmocka_unit_test(sleeves_end_where_the_coat_begins),
      cmocka_unit_test(layers_make_up_the_picture),
      cmocka_unit_test(what_an_arm_hides_is_painted),
      cmocka_unit_test(meshes_are_sound),
      cmocka_unit_test(weights_follow_the_bones),
      cmocka_unit_test(hidden_hands_are_drawn),
      cmocka_unit_test(skirts_part_from_legs),
      cmocka_unit_test(half_figures_have_no_legs),
      cmocka_unit_test(drawings_are_one_flat_mesh),
      cmocka_unit_test(nothing_is_refused),
      cmocka_unit_test(senseless_joints_do_no_harm),
      cmocka_unit_test_setup_teardown(files_give_the_same_rig, open_place, close_place),
      cmocka_unit_test_setup_teardown(damaged_rigs_are_refused, open_place, close_place),
      cmocka_unit_test_setup_teardown(broken_files_are_refused, open_place, close_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
