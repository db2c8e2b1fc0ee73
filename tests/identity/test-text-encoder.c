/* Hidden states of a small Qwen3 against the reference, padding included; files that do not fit are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/files.h"
#include "golden.h"
#include "identity/text/text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define HIDDEN 32
#define TOLERANCE 5e-5

static TextEncoder *tiny_qwen(int a, int b, int c) {
  g_autofree char *path = golden_path("qwen_tiny_bf16.safetensors");
  g_autoptr(GError) error = NULL;
  TextEncoder *encoder = text_encoder_open(path, (const int[]){a, b, c}, &error);
  if (!encoder)
    fail_msg("%s", error->message);
  assert_int_equal(text_encoder_width(encoder), 3 * HIDDEN);
  return encoder;
}

/* Features of one of the reference's cases; batch: which of its texts. */
static float *run(TextEncoder *encoder, const Safetensors *golden, const char *which, gint64 batch,
                  gint64 length, Arithmetic arithmetic) {
  g_autofree char *ids_name = g_strconcat(which, ".ids", NULL),
                  *mask_name = g_strconcat(which, ".mask", NULL);
  gint64 total, count = 0;
  const gint32 *ids = golden_ints(golden, ids_name, &total) + batch * length;
  const gint32 *mask = golden_ints(golden, mask_name, NULL) + batch * length;
  assert_true((batch + 1) * length <= total);
  while (count < length && mask[count])
    count++;
  float *features = g_new(float, length * 3 * HIDDEN);
  g_autoptr(GError) error = NULL;
  if (!text_encoder_run(encoder, ids, length, count, arithmetic, features, &error))
    fail_msg("%s", error->message);
  return features;
}

/* Compares one third of the features with a hidden state. */
static void third_is(const Safetensors *golden, const char *name, gint64 batch, gint64 length,
                     const float *features, int third) {
  g_autofree float *state = g_new(float, length *HIDDEN);
  for (gint64 row = 0; row < length; row++)
    memcpy(state + row * HIDDEN, features + (3 * row + third) * HIDDEN, HIDDEN * sizeof *state);
  double worst =
      golden_difference(state, golden_floats(golden, name, NULL) + batch * length * HIDDEN, length * HIDDEN);
  printf("  %s, text %d: %.1e\n", name, (int)batch, worst);
  if (!(worst <= TOLERANCE))
    fail_msg("%s differs by %g", name, worst);
}

static void every_hidden_state_is_the_references(void **state) {
  static const struct {
    const char *name;
    gint64 batch, length;
  } cases[] = {{"c0", 1, 40}, {"c1", 1, 40}, {"c2", 1, 12}, {"c3", 2, 40}};
  g_autoptr(Safetensors) golden = golden_open("qwen_golden.safetensors");
  g_autoptr(TextEncoder) low = tiny_qwen(0, 1, 2), high = tiny_qwen(2, 3, 4);
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
    for (gint64 batch = 0; batch < cases[i].batch; batch++) {
      gint64 length = cases[i].length;
      g_autofree float *first = run(low, golden, cases[i].name, batch, length, ARITHMETIC_F32);
      g_autofree float *last = run(high, golden, cases[i].name, batch, length, ARITHMETIC_F32);
      for (int s = 0; s <= 4; s++) {
        g_autofree char *name = g_strdup_printf("%s.hidden%d", cases[i].name, s);
        third_is(golden, name, batch, length, s < 2 ? first : last, s < 2 ? s : s - 2);
      }
    }
}

static void features_are_the_references(void **state) {
  static const char *const names[] = {"c0", "c1", "c2"};
  static const gint64 lengths[] = {40, 40, 12};
  g_autoptr(Safetensors) golden = golden_open("qwen_golden.safetensors");
  g_autoptr(TextEncoder) encoder = tiny_qwen(1, 2, 3);
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *name = g_strconcat(names[i], ".ctx", NULL);
    g_autofree float *features = run(encoder, golden, names[i], 0, lengths[i], ARITHMETIC_F32);
    golden_near(golden, name, features, TOLERANCE);
  }
}

/* 512 places of which few are real, as the pictures' transformer wants them. */
static void padding_to_512_is_the_references(void **state) {
  g_autoptr(Safetensors) golden = golden_open("qwen_golden.safetensors");
  g_autoptr(TextEncoder) encoder = tiny_qwen(1, 2, 3);
  g_autofree float *features = run(encoder, golden, "c4", 0, 512, ARITHMETIC_F32);
  golden_near(golden, "c4.ctx", features, TOLERANCE);
  golden_near(golden, "c4.ctx_row511", features + 511 * 3 * HIDDEN, TOLERANCE);
}

static void rounded_products_stay_near(void **state) {
  g_autoptr(Safetensors) golden = golden_open("qwen_golden.safetensors");
  g_autoptr(TextEncoder) encoder = tiny_qwen(1, 2, 3);
  g_autofree float *features = run(encoder, golden, "c0", 0, 40, ARITHMETIC_BF16);
  const float *exact = golden_floats(golden, "c0.ctx", NULL);
  double off = 0, all = 0;
  for (int i = 0; i < 40 * 3 * HIDDEN; i++) {
    off += (double)(features[i] - exact[i]) * (double)(features[i] - exact[i]);
    all += (double)exact[i] * (double)exact[i];
  }
  printf("  relative to all: %.2f %%\n", 100 * sqrt(off / all));
  assert_true(off <= all * .02 * .02);
}

/* --- files --- */

/* A folder of its own, gone afterwards. */
typedef struct {
  char *folder;
} Place;

static void place_clear(Place *place) {
  files_remove_tree(place->folder);
  g_free(place->folder);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

/* Writes those of the small model's tensors of which `want` says so. */
static void write_some(const Safetensors *file, const char *path, gboolean (*want)(const char *)) {
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) names = safetensors_names(file);
  for (guint i = 0; i < names->len; i++) {
    const SafetensorsTensor *tensor = safetensors_find(file, names->pdata[i]);
    if (want(names->pdata[i]))
      safetensors_add(writer, names->pdata[i], tensor->dtype, tensor->shape, tensor->rank, tensor->data);
  }
  assert_true(safetensors_write(writer, path, NULL));
}

static gboolean in_second(const char *name) {
  return strstr(name, "layers.1.") || strstr(name, "layers.2.");
}

static gboolean in_first(const char *name) {
  return !in_second(name) && !strstr(name, "layers.3.") && !g_str_equal(name, "model.norm.weight");
}

/* Two files with an index, and nothing after the layers that are needed. */
static void sharded_folders_are_read(void **state) {
  g_autoptr(Safetensors) tiny = golden_open("qwen_tiny_bf16.safetensors");
  g_autoptr(Safetensors) golden = golden_open("qwen_golden.safetensors");
  g_auto(Place) place = {g_dir_make_tmp("encoder-XXXXXX", NULL)};
  g_autofree char *first = g_build_filename(place.folder, "model-00001-of-00002.safetensors", NULL);
  g_autofree char *second = g_build_filename(place.folder, "model-00002-of-00002.safetensors", NULL);
  g_autofree char *index = g_build_filename(place.folder, "model.safetensors.index.json", NULL);
  write_some(tiny, first, in_first);
  write_some(tiny, second, in_second);
  g_autoptr(GString) map = g_string_new("{\"weight_map\": {");
  g_autoptr(GPtrArray) names = safetensors_names(tiny);
  const char *comma = "";
  for (guint i = 0; i < names->len; i++)
    if (in_first(names->pdata[i]) || in_second(names->pdata[i])) {
      g_string_append_printf(map, "%s\"%s\": \"model-0000%d-of-00002.safetensors\"", comma,
                             (const char *)names->pdata[i], in_second(names->pdata[i]) ? 2 : 1);
      comma = ", ";
    }
  g_string_append(map, "}}");
  assert_true(g_file_set_contents(index, map->str, -1, NULL));

  g_autoptr(GError) error = NULL;
  g_autoptr(TextEncoder) encoder = text_encoder_open(place.folder, (const int[]){1, 2, 3}, &error);
  if (!encoder)
    fail_msg("%s", error->message);
  g_autofree float *features = run(encoder, golden, "c0", 0, 40, ARITHMETIC_F32);
  golden_near(golden, "c0.ctx", features, TOLERANCE);

  assert_null(text_encoder_open(place.folder, (const int[]){1, 2, 4}, &error)); /* the layer is not there */
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

/* Writes the small model with one tensor replaced (or left out) and expects it to be refused. */
static void refused(const char *name, Dtype dtype, const gint64 *shape, int rank) {
  static const guint8 zeros[1024 * 1024];
  g_autoptr(Safetensors) tiny = golden_open("qwen_tiny_bf16.safetensors");
  g_auto(Place) place = {g_dir_make_tmp("encoder-XXXXXX", NULL)};
  g_autofree char *path = g_build_filename(place.folder, "model.safetensors", NULL);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) names = safetensors_names(tiny);
  for (guint i = 0; i < names->len; i++) {
    const SafetensorsTensor *tensor = safetensors_find(tiny, names->pdata[i]);
    if (!g_str_equal(names->pdata[i], name))
      safetensors_add(writer, names->pdata[i], tensor->dtype, tensor->shape, tensor->rank, tensor->data);
  }
  if (rank)
    safetensors_add(writer, name, dtype, shape, rank, zeros);
  assert_true(safetensors_write(writer, path, NULL));
  g_autoptr(GError) error = NULL;
  g_autoptr(TextEncoder) encoder = text_encoder_open(path, (const int[]){1, 2, 3}, &error);
  assert_null(encoder);
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

#define SHAPE(...) ((const gint64[]){__VA_ARGS__})

static void weights_that_do_not_fit_are_refused(void **state) {
  refused("model.embed_tokens.weight", DTYPE_F32, NULL, 0);
  refused("model.embed_tokens.weight", DTYPE_BF16, SHAPE(512, 31), 2);
  refused("model.embed_tokens.weight", DTYPE_BF16, SHAPE(0, 32), 2);
  refused("model.embed_tokens.weight", DTYPE_I32, SHAPE(512, 32), 2);
  refused("model.layers.0.self_attn.q_proj.weight", DTYPE_BF16, SHAPE(72, 32), 2);
  refused("model.layers.0.self_attn.q_proj.weight", DTYPE_BF16, SHAPE(48, 32), 2); /* 3 heads, 2 of keys */
  refused("model.layers.0.self_attn.q_norm.weight", DTYPE_BF16, SHAPE(15), 1);
  refused("model.layers.0.self_attn.q_norm.weight", DTYPE_BF16, SHAPE(0), 1);
  refused("model.layers.0.self_attn.k_norm.weight", DTYPE_BF16, SHAPE(8), 1);
  refused("model.layers.1.self_attn.k_proj.weight", DTYPE_BF16, SHAPE(16, 32), 2);
  refused("model.layers.1.self_attn.v_proj.weight", DTYPE_BF16, SHAPE(32, 32, 1), 3);
  refused("model.layers.2.self_attn.o_proj.weight", DTYPE_BF16, SHAPE(64, 32), 2);
  refused("model.layers.2.mlp.down_proj.weight", DTYPE_BF16, SHAPE(32, 81), 2);
  refused("model.layers.2.input_layernorm.weight", DTYPE_BF16, NULL, 0);
}

static void ids_outside_the_vocabulary_are_refused(void **state) {
  g_autoptr(TextEncoder) encoder = tiny_qwen(1, 2, 3);
  float features[2 * 3 * HIDDEN];
  static const gint32 ids[][2] = {{1, 512}, {-1, 1}, {G_MAXINT32, 3}};
  for (gsize i = 0; i < G_N_ELEMENTS(ids); i++) {
    g_autoptr(GError) error = NULL;
    assert_false(text_encoder_run(encoder, ids[i], 2, 2, ARITHMETIC_F32, features, &error));
    assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  }
  g_autoptr(GError) error = NULL;
  assert_false(text_encoder_run(encoder, ids[0], 2, 0, ARITHMETIC_F32, features, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_LIMIT));
  g_clear_error(&error);
  g_autofree char *path = golden_path("qwen_tiny_bf16.safetensors");
  assert_null(text_encoder_open(path, (const int[]){1, -2, 3}, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_hidden_state_is_the_references),
      cmocka_unit_test(features_are_the_references),
      cmocka_unit_test(padding_to_512_is_the_references),
      cmocka_unit_test(rounded_products_stay_near),
      cmocka_unit_test(sharded_folders_are_read),
      cmocka_unit_test(weights_that_do_not_fit_are_refused),
      cmocka_unit_test(ids_outside_the_vocabulary_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
