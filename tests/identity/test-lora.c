/* Adapters of every naming act as the reference's; training them for five steps gives the reference's; what
 * is no LoRA of this model is refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "cases.h"
#include "identity/network/optimiser.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FORWARD_TOLERANCE 2e-5

static char *folder;
static const char *const styles[] = {"a_lora_kohya.safetensors", "a_lora_aitoolkit.safetensors",
                                     "a_lora_diffusers.safetensors"};

static char *place(const char *name) {
  return g_build_filename(folder, name, NULL);
}

/* Greatest difference of a case's output with the adapter from a golden tensor. */
static double difference(const Transformer *transformer, const Lora *lora, const char *name,
                         const char *key) {
  g_autoptr(Safetensors) inputs = golden_open("a_forward.safetensors");
  g_autoptr(Safetensors) outputs = golden_open("a_lora_forward.safetensors");
  int batch = 1;
  double worst = 0;
  for (int sample = 0; sample < batch; sample++) {
    TransformerInput input = case_input(inputs, name, sample, &batch);
    g_autoptr(TransformerRun) run = case_run(transformer, input.n_image, input.n_text, FALSE, ARITHMETIC_F32);
    gint64 count = input.n_image * 128;
    g_autofree float *out = g_new(float, (gsize)count);
    transformer_forward(run, &input, lora, out);
    worst = fmax(worst, golden_difference(out, golden_floats(outputs, key, NULL) + sample * count, count));
  }
  return worst;
}

static void three_styles_act_the_same(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  for (gsize s = 0; s < G_N_ELEMENTS(styles); s++) {
    g_autoptr(Lora) lora = case_lora(styles[s], transformer);
    assert_int_equal(lora->layers->len, 20);
    double worst = 0;
    for (int c = 0; c < 5; c++) {
      g_autofree char *name = g_strdup_printf("c%d", c), *key = g_strdup_printf("out.c%d", c);
      worst = fmax(worst, difference(transformer, lora, name, key));
    }
    lora->strength = .5f;
    double half = difference(transformer, lora, "c0", "out_strength0.5.c0");
    printf("  %s: %.1e, at half strength %.1e (at most %.0e)\n", styles[s], worst, half, FORWARD_TOLERANCE);
    assert_true(worst <= FORWARD_TOLERANCE && half <= FORWARD_TOLERANCE);
  }
}

/* The same first matrix for q, k and v is held once. */
static void a_shared_matrix_stays_one(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Lora) lora = case_lora("a_lora_diffusers.safetensors", transformer);
  assert_int_equal(lora_layer(lora, "double_blocks.0.img_attn.qkv")->rank, 4);
  assert_null(lora_layer(lora, "img_in"));
}

/* --- other spellings, made from the golden files --- */

typedef char *(*Rename)(const char *key); /* NULL: leave out */

static void copy_renamed(const char *from, const char *to, Rename rename, float spoil_a) {
  g_autoptr(Safetensors) file = golden_open(from);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) names = safetensors_names(file), copies = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GError) error = NULL;
  const char *metadata = safetensors_metadata(file, "lora_adapter_metadata");
  if (metadata)
    safetensors_set_metadata(writer, "lora_adapter_metadata", metadata);
  for (guint i = 0; i < names->len; i++) {
    const SafetensorsTensor *tensor = safetensors_find(file, names->pdata[i]);
    g_autofree char *name = rename(names->pdata[i]);
    if (!name)
      continue;
    float *data = g_memdup2(tensor->data, sizeof *data * (gsize)safetensors_count(tensor));
    g_ptr_array_add(copies, data);
    if (i == 0 && spoil_a != 0)
      data[0] = spoil_a;
    safetensors_add(writer, name, tensor->dtype, tensor->shape, tensor->rank, data);
  }
  must(safetensors_write(writer, to, &error));
}

static char *replace(const char *key, const char *const pairs[][2], gsize count) {
  char *out = g_strdup(key);
  for (gsize i = 0; i < count; i++) {
    GString *text = g_string_new(out);
    g_string_replace(text, pairs[i][0], pairs[i][1], 0);
    g_free(out);
    out = g_string_free(text, FALSE);
  }
  return out;
}
#define RENAME(function, ...)                                                                                \
  static char *function(const char *key) {                                                                   \
    static const char *const pairs[][2] = {__VA_ARGS__};                                                     \
    return replace(key, pairs, G_N_ELEMENTS(pairs));                                                         \
  }
RENAME(to_peft, {"diffusion_model.", "base_model.model."})
RENAME(to_peft_default, {"diffusion_model.", "base_model.model."}, {"lora_A.", "lora_A.default."},
       {"lora_B.", "lora_B.default."})
RENAME(to_down_up, {"lora_A", "lora_down"}, {"lora_B", "lora_up"})
RENAME(to_bare, {"diffusion_model.", ""})
RENAME(diffusers_native, {"transformer.", "diffusion_model."})
RENAME(diffusers_bare, {"transformer.", ""})
RENAME(diffusers_cut, {"transformer.single_transformer_blocks", "le_transformer_blocks"},
       {"transformer.transformer_blocks", "sformer_blocks"})
RENAME(diffusers_kohya, {"transformer.", "lora_unet_"}, {".0.", "_0_"}, {".1.", "_1_"}, {"attn.", "attn_"},
       {"ff.", "ff_"}, {"ff_context.", "ff_context_"}, {"to_out_0_lora", "to_out_0.lora"})

static void every_spelling_is_understood(void **state) {
  static const struct {
    const char *from, *what;
    Rename rename;
  } spellings[] = {
      {"a_lora_aitoolkit.safetensors", "peft", to_peft},
      {"a_lora_aitoolkit.safetensors", "peft, default", to_peft_default},
      {"a_lora_aitoolkit.safetensors", "down and up", to_down_up},
      {"a_lora_aitoolkit.safetensors", "no prefix", to_bare},
      {"a_lora_diffusers.safetensors", "diffusion_model", diffusers_native},
      {"a_lora_diffusers.safetensors", "no prefix, diffusers", diffusers_bare},
      {"a_lora_diffusers.safetensors", "cut off", diffusers_cut},
      {"a_lora_diffusers.safetensors", "kohya, diffusers", diffusers_kohya},
  };
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autofree char *path = place("spelling.safetensors");
  for (gsize i = 0; i < G_N_ELEMENTS(spellings); i++) {
    g_autoptr(GError) error = NULL;
    copy_renamed(spellings[i].from, path, spellings[i].rename, 0);
    g_autoptr(Lora) lora = lora_load(path, transformer, &error);
    must(lora);
    double worst = difference(transformer, lora, "c0", "out.c0");
    printf("  %s: %.1e\n", spellings[i].what, worst);
    assert_true(worst <= FORWARD_TOLERANCE);
  }
}

static double product(const float *a, const float *b, gint64 row, gint64 col, gint64 rank, gint64 in) {
  double sum = 0;
  for (gint64 k = 0; k < rank; k++)
    sum += (double)b[row * rank + k] * a[k * in + col];
  return sum;
}

/* Two pieces of a fused layer, for q and for v, with no k. */
typedef struct {
  gint64 rank_q, rank_v;
  float alpha_q, alpha_v;
  gboolean same_a;
} Pieces;

static void expect_joined(const Transformer *transformer, const Pieces *pieces, gint64 rank) {
  g_autofree char *path = place("pieces.safetensors");
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GError) error = NULL;
  float a_q[8 * 64], a_v[8 * 64], b_q[64 * 8], b_v[64 * 8];
  for (int i = 0; i < 8 * 64; i++) {
    a_q[i] = (float)sin(i);
    a_v[i] = pieces->same_a ? a_q[i] : (float)cos(i);
    b_q[i] = (float)sin(2 * i);
    b_v[i] = (float)sin(3 * i);
  }
  gint64 q = pieces->rank_q, v = pieces->rank_v;
#define MODULE "transformer.transformer_blocks.0.attn."
  safetensors_add(writer, MODULE "to_q.lora_A.weight", DTYPE_F32, (gint64[]){q, 64}, 2, a_q);
  safetensors_add(writer, MODULE "to_q.lora_B.weight", DTYPE_F32, (gint64[]){64, q}, 2, b_q);
  safetensors_add(writer, MODULE "to_q.alpha", DTYPE_F32, NULL, 0, &pieces->alpha_q);
  safetensors_add(writer, MODULE "to_v.lora_A.weight", DTYPE_F32, (gint64[]){v, 64}, 2, a_v);
  safetensors_add(writer, MODULE "to_v.lora_B.weight", DTYPE_F32, (gint64[]){64, v}, 2, b_v);
  safetensors_add(writer, MODULE "to_v.alpha", DTYPE_F32, NULL, 0, &pieces->alpha_v);
#undef MODULE
  must(safetensors_write(writer, path, &error));
  g_autoptr(Lora) lora = lora_load(path, transformer, &error);
  must(lora);
  const LoraLayer *layer = lora_layer(lora, "double_blocks.0.img_attn.qkv");
  assert_int_equal(layer->rank, rank);
  double worst = 0;
  for (gint64 row = 0; row < 192; row++)
    for (gint64 col = 0; col < 64; col++) {
      double expected = 0;
      if (row < 64)
        expected = product(a_q, b_q, row, col, q, 64) * pieces->alpha_q / (double)q;
      else if (row >= 128)
        expected = product(a_v, b_v, row - 128, col, v, 64) * pieces->alpha_v / (double)v;
      worst = fmax(worst, fabs(layer->scale * product(layer->a, layer->b, row, col, rank, 64) - expected));
    }
  printf("  joined to rank %d: %.1e (at most 1e-6)\n", (int)rank, worst);
  assert_true(worst <= 1e-6);
}

/* Ranks add up unless matrices and scales are the same; the rows of k are zero; the products are those of the
 * pieces. */
static void pieces_join_exactly(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  expect_joined(transformer, &(Pieces){4, 2, 2, 3, FALSE}, 6);
  expect_joined(transformer, &(Pieces){4, 4, 2, 2, FALSE}, 8);
  expect_joined(transformer, &(Pieces){4, 4, 2, 3, TRUE}, 8);
  expect_joined(transformer, &(Pieces){4, 4, 3, 3, TRUE}, 4);
}

/* Under diffusers' name the final modulation's halves are the other way round. */
static void the_final_modulation_is_turned(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autofree char *path = place("final.safetensors");
  float a[2 * 64], b[128 * 2];
  for (int i = 0; i < 128; i++)
    a[i] = (float)sin(i);
  for (int i = 0; i < 256; i++)
    b[i] = (float)i;
  const char *const names[] = {"diffusion_model.final_layer.adaLN_modulation.1",
                               "transformer.norm_out.linear"};
  for (int style = 0; style < 2; style++) {
    g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *key_a = g_strconcat(names[style], ".lora_A.weight", NULL);
    g_autofree char *key_b = g_strconcat(names[style], ".lora_B.weight", NULL);
    safetensors_add(writer, key_a, DTYPE_F32, (gint64[]){2, 64}, 2, a);
    safetensors_add(writer, key_b, DTYPE_F32, (gint64[]){128, 2}, 2, b);
    must(safetensors_write(writer, path, &error));
    g_autoptr(Lora) lora = lora_load(path, transformer, &error);
    must(lora);
    const LoraLayer *layer = lora_layer(lora, "final_layer.adaLN_modulation.1");
    assert_memory_equal(layer->a, a, sizeof a);
    assert_memory_equal(layer->b, b + (style ? 128 : 0), sizeof b / 2);
    assert_memory_equal(layer->b + 128, b + (style ? 0 : 128), sizeof b / 2);
  }
}

/* --- files of our own --- */

static void what_is_saved_is_loaded(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Lora) lora = case_lora("a_lora_kohya.safetensors", transformer);
  g_autofree char *path = place("saved.safetensors");
  g_autoptr(GError) error = NULL;
  must(lora_save(lora, path, (const char *const[]){"trigger", "ohwx", NULL}, &error));
  g_autoptr(Lora) again = lora_load(path, transformer, &error);
  must(again);
  assert_int_equal(again->layers->len, lora->layers->len);
  for (guint i = 0; i < lora->layers->len; i++) {
    const LoraLayer *a = &g_array_index(lora->layers, LoraLayer, i);
    const LoraLayer *b = &g_array_index(again->layers, LoraLayer, i);
    assert_string_equal(a->name, b->name);
    assert_true(a->scale == 2 && b->scale == 1);
    for (gint64 k = 0; k < a->rank * a->in; k++)
      assert_true(fabs(a->a[k] - b->a[k]) <= fabs(a->a[k]) / 256);
    for (gint64 k = 0; k < a->rank * a->out; k++)
      assert_true(fabs(2 * a->b[k] - b->b[k]) <= fabs(2 * a->b[k]) / 256);
  }
  g_autoptr(Safetensors) file = safetensors_open(path, &error);
  must(file);
  assert_string_equal(safetensors_metadata(file, "trigger"), "ohwx");
  assert_true(safetensors_has(file, "diffusion_model.double_blocks.1.txt_mlp.2.lora_B.weight"));
  assert_int_equal(safetensors_find(file, "diffusion_model.single_blocks.0.linear1.lora_A.weight")->dtype,
                   DTYPE_BF16);
}

static void a_new_one_changes_nothing_yet(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(GError) error = NULL;
  g_autoptr(Lora) lora = lora_new(transformer, 4, 1, &error), same = lora_new(transformer, 4, 1, &error),
                  other = lora_new(transformer, 4, 2, &error);
  must(lora && same && other);
  assert_int_equal(lora->layers->len, 20);
  for (guint i = 0; i < lora->layers->len; i++) {
    const LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
    double bound = 1 / sqrt((double)layer->in), most = 0;
    for (gint64 k = 0; k < layer->rank * layer->in; k++)
      most = fmax(most, fabs(layer->a[k]));
    assert_true(most <= bound && most > .9 * bound);
    for (gint64 k = 0; k < layer->rank * layer->out; k++)
      assert_true(layer->b[k] == 0);
    gsize bytes = sizeof(float) * (gsize)(layer->rank * layer->in);
    assert_memory_equal(layer->a, g_array_index(same->layers, LoraLayer, i).a, bytes);
    assert_memory_not_equal(layer->a, g_array_index(other->layers, LoraLayer, i).a, bytes);
    assert_true(i == 0 || layer->a[0] != g_array_index(lora->layers, LoraLayer, i - 1).a[0]);
  }
  g_autoptr(Safetensors) inputs = golden_open("a_forward.safetensors");
  TransformerInput input = case_input(inputs, "c0", 0, NULL);
  g_autoptr(TransformerRun) run = case_run(transformer, 24, 7, FALSE, ARITHMETIC_F32);
  float with[24 * 128], without[24 * 128];
  transformer_forward(run, &input, lora, with);
  transformer_forward(run, &input, NULL, without);
  assert_memory_equal(with, without, sizeof with);
  assert_null(lora_new(transformer, 0, 1, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
}

/* --- training --- */

/* A B of zeros and the golden A. */
static Lora *initial(const Transformer *transformer, const Safetensors *file) {
  g_autoptr(GError) error = NULL;
  Lora *lora = lora_new(transformer, 4, 1, &error);
  must(lora);
  for (guint i = 0; i < lora->layers->len; i++) {
    LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
    g_autofree char *key = g_strdup_printf("init.%s.lora_A", layer->name);
    memcpy(layer->a, golden_floats(file, key, NULL), sizeof(float) * (gsize)(layer->rank * layer->in));
    layer->scale = 2;
  }
  return lora;
}

/* Shares of the elements that are close, over all matrices. */
typedef struct {
  double worst;
  gint64 close, all;
} Closeness;

static void compare_all(const Safetensors *file, const GArray *parameters, const char *prefix,
                        const char *ending, Closeness *closeness) {
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    if (!g_str_has_suffix(parameter->name, ending))
      continue;
    g_autofree char *key = g_strdup_printf("%s.%s", prefix, parameter->name);
    const float *expected = golden_floats(file, key, NULL);
    for (gint64 k = 0; k < parameter->rows * parameter->cols; k++) {
      double off = fabs((double)parameter->value[k] - expected[k]);
      closeness->worst = off <= closeness->worst ? closeness->worst : off;
      closeness->close += off <= 1e-5;
      closeness->all++;
    }
  }
}

static void five_steps(const char *how, double clip) {
  g_autoptr(Safetensors) file = golden_open("a_lora_train.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(Lora) lora = initial(transformer, file);
  g_autoptr(GArray) parameters = lora_parameters(lora);
  OptimiserSettings settings = optimiser_defaults;
  settings.decay = .01;
  g_autoptr(Optimiser) optimiser = optimiser_new(parameters, &settings);
  g_autoptr(TransformerRun) run = case_run(transformer, 36, 9, TRUE, ARITHMETIC_F32);
  g_autofree char *loss_key = g_strdup_printf("%s.loss", how),
                  *norm_key = g_strdup_printf("%s.grad_norm", how);
  const float *losses = golden_floats(file, loss_key, NULL), *norms = golden_floats(file, norm_key, NULL);
  double worst_loss = 0, worst_norm = 0;
  for (int step = 0; step < 5; step++) {
    g_autofree char *name = g_strdup_printf("s%d", step);
    worst_loss = fmax(worst_loss, fabs(case_step(run, file, name, lora, NULL) - losses[step]));
    worst_norm = fmax(worst_norm, fabs(optimiser_clip(optimiser, clip) / norms[step] - 1));
    optimiser_step(optimiser, 5e-3);
    optimiser_clear(optimiser);
    Closeness first = {0};
    if (step == 0 && clip == 0) {
      compare_all(file, parameters, "plain.step1", ".lora_B", &first);
      assert_true((double)first.close >= .99 * (double)first.all && first.worst <= 1e-3);
    }
  }
  g_autofree char *prefix = g_strdup_printf("%s.final", how);
  Closeness final = {0};
  compare_all(file, parameters, prefix, "", &final);
  double share = (double) final.close / (double) final.all;
  printf(
      "  %s: losses off by %.1e (at most 2e-5), norms by %.1e (at most 1e-4), %.2f %% of the numbers within "
      "1e-5 (at least 99), the worst off by %.1e (at most 1e-3)\n",
      how, worst_loss, worst_norm, 100 * share, final.worst);
  assert_true(worst_loss <= 2e-5 && worst_norm <= 1e-4 && share >= .99 && final.worst <= 1e-3);
}

static void five_steps_are_the_reference_s(void **state) {
  five_steps("plain", 0);
  five_steps("clip", .25);
}

/* --- what is refused --- */

static void refused(const char *path, const Transformer *transformer, const char *words) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Lora) lora = lora_load(path, transformer, &error);
  assert_null(lora);
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  if (!strstr(error->message, words))
    fail_msg("\"%s\" does not say \"%s\"", error->message, words);
}

static char *same_name(const char *key) {
  return g_strdup(key);
}

static char *without_b(const char *key) {
  return strstr(key, "single_blocks.1.linear2.lora_B") ? NULL : g_strdup(key);
}

RENAME(deeper, {"single_blocks.1", "single_blocks.7"})
RENAME(to_lokr, {"linear2.lora_A.weight", "linear2.lokr_w1"})
RENAME(to_dora, {"single_blocks.1.linear2.lora_A.weight", "single_blocks.1.linear2.dora_scale"})
RENAME(to_diff, {"single_blocks.1.linear2.lora_A.weight", "single_blocks.1.linear2.diff"})
RENAME(to_encoder, {"single_blocks.1.linear2.lora_A", "lora_te1_text_model.lora_A"})
RENAME(crossed, {"single_blocks.0.linear1.lora_A", "X"},
       {"single_blocks.0.linear2.lora_A", "single_blocks.0.linear1.lora_A"},
       {"X", "single_blocks.0.linear2.lora_A"})

static void others_are_refused(void **state) {
  static const struct {
    Rename rename;
    float spoil;
    const char *words;
  } bad[] = {
      {same_name, NAN, "not numbers"}, {same_name, INFINITY, "not numbers"},
      {without_b, 0, "missing"},       {deeper, 0, "another model"},
      {to_lokr, 0, "a LoKr"},          {to_dora, 0, "a DoRA"},
      {to_diff, 0, "full difference"}, {to_encoder, 0, "text encoder"},
      {crossed, 0, "another model"},
  };
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autofree char *path = place("bad.safetensors");
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    copy_renamed("a_lora_aitoolkit.safetensors", path, bad[i].rename, bad[i].spoil);
    refused(path, transformer, bad[i].words);
  }
  g_autofree char *model = golden_path("a_model.safetensors");
  refused(model, transformer, "no part of a LoRA");
  g_autoptr(Transformer) wider = case_transformer("b_model_hd128_bf16.safetensors", FALSE);
  g_autofree char *kohya = golden_path(styles[0]), *diffusers = golden_path(styles[2]);
  refused(kohya, wider, "another model");
  refused(diffusers, wider, "another model");
  assert_true(g_file_set_contents(path, "{}", 2, NULL));
  refused(path, transformer, "not a safetensors file");
}

int main(void) {
  folder = g_dir_make_tmp("troupe-XXXXXX", NULL);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(three_styles_act_the_same),
      cmocka_unit_test(a_shared_matrix_stays_one),
      cmocka_unit_test(every_spelling_is_understood),
      cmocka_unit_test(pieces_join_exactly),
      cmocka_unit_test(the_final_modulation_is_turned),
      cmocka_unit_test(what_is_saved_is_loaded),
      cmocka_unit_test(a_new_one_changes_nothing_yet),
      cmocka_unit_test(five_steps_are_the_reference_s),
      cmocka_unit_test(others_are_refused),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  g_autofree char *command = g_strdup_printf("rm -rf %s", folder);
  return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? failed : 1;
}
