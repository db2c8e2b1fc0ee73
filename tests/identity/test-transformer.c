/* The transformer gives what the reference gives: every activation of every case, whatever names and types
 * the weights have and however many threads work; and it refuses what is not a transformer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "cases.h"
#include "identity/sampling/noise.h"
#include <glib/gstdio.h>
#include <malloc.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#define FORWARD_TOLERANCE 2e-5
#define WIDE_TOLERANCE 1e-4 /* transformer B */

static const char *const cases[] = {"c0", "c1", "c2", "c3", "c4"};

/* Sample's rows of a golden activation [batch, …] against what the run has kept. */
static double compare(const TransformerRun *run, const Safetensors *file, const char *name, const char *what,
                      int sample, int batch) {
  g_autofree char *key = g_strdup_printf("%s.%s", name, what);
  gint64 count = 0;
  const float *expected = golden_floats(file, key, &count);
  count /= batch;
  g_autofree float *found = g_new(float, (gsize)count);
  if (!transformer_activation(run, what, found, count))
    fail_msg("no activation %s of %d numbers", what, (int)count);
  double worst = golden_difference(found, expected + sample * count, count);
  if (!(worst <= FORWARD_TOLERANCE))
    fail_msg("%s differs by %g, more than %g", key, worst, FORWARD_TOLERANCE);
  return worst;
}

static float *forward(TransformerRun *run, const TransformerInput *input, const Lora *lora, gint64 channels) {
  float *out = g_new(float, (gsize)(input->n_image * channels));
  transformer_forward(run, input, lora, out);
  return out;
}

static void every_activation_is_the_reference_s(void **state) {
  static const char *const whats[] = {"temb",        "vec",         "mod_img", "mod_txt",     "mod_single",
                                      "mod_final",   "img_in",      "txt_in",  "double0.img", "double0.txt",
                                      "double1.img", "double1.txt", "single0", "single1",     "final_mod"};
  g_autoptr(Safetensors) file = golden_open("a_forward.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  for (gsize c = 0; c < G_N_ELEMENTS(cases); c++) {
    int batch = 1;
    double worst = 0, worst_out = 0;
    for (int sample = 0; sample < batch; sample++) {
      TransformerInput input = case_input(file, cases[c], sample, &batch);
      g_autoptr(TransformerRun) run = case_run(transformer, 30, 12, FALSE, ARITHMETIC_F32);
      transformer_run_keep(run);
      g_autofree float *out = forward(run, &input, NULL, 128);
      for (gsize i = 0; i < G_N_ELEMENTS(whats); i++)
        worst = fmax(worst, compare(run, file, cases[c], whats[i], sample, batch));
      g_autofree char *key = g_strdup_printf("%s.out", cases[c]);
      gint64 count = input.n_image * 128;
      worst_out =
          fmax(worst_out, golden_difference(out, golden_floats(file, key, NULL) + sample * count, count));
    }
    printf("  %s: activations %.1e, output %.1e (at most %.0e)\n", cases[c], worst, worst_out,
           FORWARD_TOLERANCE);
    assert_true(worst_out <= FORWARD_TOLERANCE);
  }
}

/* Golden [heads, n, width] against rows of [n, stride] numbers that begin with the heads side by side. */
static void compare_heads(const float *rows, gint64 stride, const float *expected, gint64 heads, gint64 n,
                          gint64 width, const char *what) {
  double worst = 0;
  for (gint64 head = 0; head < heads; head++)
    for (gint64 i = 0; i < n; i++)
      worst = fmax(worst, golden_difference(rows + i * stride + head * width,
                                            expected + (head * n + i) * width, width));
  if (!(worst <= FORWARD_TOLERANCE))
    fail_msg("%s differs by %g", what, worst);
}

static float *kept(const TransformerRun *run, const char *name, gint64 count) {
  float *out = g_new(float, (gsize)count);
  if (!transformer_activation(run, name, out, count))
    fail_msg("no activation %s", name);
  return out;
}

static void the_inside_of_the_blocks_is_the_reference_s(void **state) {
  static const char *const whats[] = {"double0.img_mod1",
                                      "double0.img_qkv",
                                      "double0.txt_mod1",
                                      "double0.txt_qkv",
                                      "rope_cos",
                                      "rope_sin",
                                      "double0.img_attn_out",
                                      "double0.img_mod2",
                                      "double0.img_mlp_in",
                                      "double0.img_mlp_gated",
                                      "double0.txt_attn_out",
                                      "single0.mod",
                                      "single0.linear1",
                                      "single0.linear2_in"};
  g_autoptr(Safetensors) file = golden_open("a_forward.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(TransformerRun) run = case_run(transformer, 24, 7, FALSE, ARITHMETIC_F32);
  transformer_run_keep(run);
  TransformerInput input = case_input(file, "c0", 0, NULL);
  g_autofree float *out = forward(run, &input, NULL, 128);
  for (gsize i = 0; i < G_N_ELEMENTS(whats); i++)
    compare(run, file, "c0", whats[i], 0, 1);
  g_autofree float *image = kept(run, "double0.img_normed", 24 * 192),
                   *text = kept(run, "double0.txt_normed", 7 * 192);
  g_autofree float *rope = kept(run, "double0.rope", 31 * 128);
  compare_heads(image, 192, golden_floats(file, "c0.double0.img_q_normed", NULL), 2, 24, 32, "img_q_normed");
  compare_heads(image + 64, 192, golden_floats(file, "c0.double0.img_k_normed", NULL), 2, 24, 32,
                "img_k_normed");
  compare_heads(text, 192, golden_floats(file, "c0.double0.txt_q_normed", NULL), 2, 7, 32, "txt_q_normed");
  compare_heads(text + 64, 192, golden_floats(file, "c0.double0.txt_k_normed", NULL), 2, 7, 32,
                "txt_k_normed");
  compare_heads(rope, 128, golden_floats(file, "c0.double0.q_rope", NULL), 2, 31, 32, "q_rope");
  compare_heads(rope + 64, 128, golden_floats(file, "c0.double0.k_rope", NULL), 2, 31, 32, "k_rope");
}

/* Greatest and relative difference of all cases from a file of outputs, "c0.out" and so on. Second samples go
 * through a run for training, whose forward is the same. */
static double worst_output(const Transformer *transformer, const Safetensors *inputs,
                           const Safetensors *outputs, int count, Arithmetic arithmetic, double *relative) {
  double worst = 0;
  *relative = 0;
  for (int c = 0; c < count; c++) {
    int batch = 1;
    for (int sample = 0; sample < batch; sample++) {
      TransformerInput input = case_input(inputs, cases[c], sample, &batch);
      g_autoptr(TransformerRun) run =
          case_run(transformer, input.n_image, input.n_text, sample == 1, arithmetic);
      g_autofree float *out = forward(run, &input, NULL, 128);
      g_autofree char *key = g_strdup_printf("%s.out", cases[c]);
      gint64 n = input.n_image * 128;
      const float *expected = golden_floats(outputs, key, NULL) + sample * n;
      worst = fmax(worst, golden_difference(out, expected, n));
      *relative = fmax(*relative, case_relative(out, expected, n));
    }
  }
  return worst;
}

static void bf16_weights_in_all_namings(void **state) {
  static const char *const models[] = {"a_model_bf16.safetensors", "a_model_diffusers_bf16.safetensors"};
  g_autoptr(Safetensors) inputs = golden_open("a_forward.safetensors");
  g_autoptr(Safetensors) outputs = golden_open("a_forward_bf16.safetensors");
  for (gsize i = 0; i < G_N_ELEMENTS(models); i++) {
    double relative;
    g_autoptr(Transformer) transformer = case_transformer(models[i], FALSE);
    double worst = worst_output(transformer, inputs, outputs, 5, ARITHMETIC_F32, &relative);
    printf("  %s: %.1e (at most %.0e)\n", models[i], worst, FORWARD_TOLERANCE);
    assert_true(worst <= FORWARD_TOLERANCE);
    worst_output(transformer, inputs, outputs, 5, ARITHMETIC_BF16, &relative);
    printf("  %s, bf16 arithmetic: %.2f %% (at most 2)\n", models[i], 100 * relative);
    assert_true(relative < .02);
  }
}

static void diffusers_names_are_the_identical_network(void **state) {
  g_autoptr(Transformer) bfl = case_transformer("a_model_bf16.safetensors", TRUE);
  g_autoptr(Transformer) diffusers = case_transformer("a_model_diffusers_bf16.safetensors", TRUE);
  assert_memory_equal(transformer_shape(bfl), transformer_shape(diffusers), sizeof(TransformerShape));
  g_autoptr(GArray) a = transformer_parameters(bfl), b = transformer_parameters(diffusers);
  assert_int_equal(a->len, 41);
  assert_int_equal(b->len, 41);
  for (guint i = 0; i < a->len; i++) {
    const Parameter *p = &g_array_index(a, Parameter, i), *q = &g_array_index(b, Parameter, i);
    assert_string_equal(p->name, q->name);
    assert_memory_equal(p->value, q->value, sizeof(float) * (gsize)(p->rows * p->cols));
  }
}

static void heads_of_128(void **state) {
  g_autoptr(Safetensors) file = golden_open("b_forward.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("b_model_hd128_bf16.safetensors", FALSE);
  assert_int_equal(transformer_shape(transformer)->head, 128);
  double relative, worst = worst_output(transformer, file, file, 2, ARITHMETIC_F32, &relative);
  printf("  transformer B: %.1e (at most %.0e)\n", worst, WIDE_TOLERANCE);
  assert_true(worst <= WIDE_TOLERANCE);
}

static void shapes_are_read_off_the_tensors(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  const TransformerShape *shape = transformer_shape(transformer);
  assert_true(shape->hidden == 64 && shape->heads == 2 && shape->head == 32 && shape->mlp == 192);
  assert_true(shape->context == 96 && shape->channels == 128 && shape->doubles == 2 && shape->singles == 2);
}

static void threads_change_nothing(void **state) {
  g_autoptr(Safetensors) file = golden_open("b_forward.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("b_model_hd128_bf16.safetensors", FALSE);
  TransformerInput input = case_input(file, "c1", 0, NULL);
  int most = omp_get_max_threads();
  for (int arithmetic = ARITHMETIC_F32; arithmetic <= ARITHMETIC_BF16; arithmetic++) {
    g_autoptr(TransformerRun) run =
        case_run(transformer, input.n_image, input.n_text, FALSE, (Arithmetic)arithmetic);
    omp_set_num_threads(1);
    g_autofree float *one = forward(run, &input, NULL, 128);
    for (int threads = 2; threads <= 5; threads++) {
      omp_set_num_threads(threads);
      g_autofree float *many = forward(run, &input, NULL, 128);
      assert_memory_equal(one, many, sizeof *one * (gsize)(input.n_image * 128));
    }
  }
  omp_set_num_threads(most);
}

/* --- hostile files --- */

static char *folder;

/* Model A again, with one tensor changed or left out: change tells it what. */
typedef enum { WHOLE, LEAVE_OUT, TURN, SPOIL, AS_BYTES } Change;

static void copy_model(const char *path, const char *only, const char *named, Change change,
                       const char *prefix) {
  g_autoptr(Safetensors) file = golden_open("a_model.safetensors");
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) names = safetensors_names(file), copies = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GError) error = NULL;
  for (guint i = 0; i < names->len; i++) {
    const char *name = names->pdata[i];
    const SafetensorsTensor *tensor = safetensors_find(file, name);
    gboolean changed = g_str_equal(name, named);
    if ((only && g_str_has_prefix(name, "double") != g_str_equal(only, "double")) ||
        (changed && change == LEAVE_OUT))
      continue;
    gint64 shape[2] = {tensor->shape[0], tensor->shape[1]};
    if (changed && change == TURN) {
      shape[0] = tensor->shape[1];
      shape[1] = tensor->shape[0];
    }
    float *data = g_memdup2(tensor->data, sizeof *data * (gsize)safetensors_count(tensor));
    g_ptr_array_add(copies, data);
    if (changed && change == SPOIL)
      data[5] = NAN;
    g_autofree char *prefixed = g_strconcat(prefix, name, NULL);
    safetensors_add(writer, prefixed, changed && change == AS_BYTES ? DTYPE_I32 : DTYPE_F32, shape,
                    tensor->rank, data);
  }
  must(safetensors_write(writer, path, &error));
}

static void refused(const char *path, const char *words) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Transformer) transformer = transformer_open(path, FALSE, &error);
  assert_null(transformer);
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  if (!strstr(error->message, words))
    fail_msg("\"%s\" does not say \"%s\"", error->message, words);
}

static void what_is_damaged_is_refused_by_name(void **state) {
  static const char *const names[] = {"single_blocks.1.linear2.weight", "double_blocks.1.txt_attn.qkv.weight",
                                      "final_layer.adaLN_modulation.1.weight", "time_in.out_layer.weight",
                                      "double_blocks.0.img_attn.norm.key_norm.scale"};
  g_autofree char *path = g_build_filename(folder, "model.safetensors", NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    for (Change change = LEAVE_OUT; change <= AS_BYTES; change++) {
      gboolean square = strstr(names[i], "out_layer") || strstr(names[i], "norm");
      if (change == TURN && square)
        continue;
      copy_model(path, NULL, names[i], change, "");
      refused(path, names[i]);
    }
  copy_model(path, NULL, "img_in.weight", LEAVE_OUT, "");
  refused(path, "img_in.weight");
  copy_model(path, NULL, "double_blocks.0.img_attn.norm.query_norm.scale", AS_BYTES, "");
  refused(path, "query_norm");
}

static void a_lora_or_an_autoencoder_is_no_transformer(void **state) {
  g_autofree char *lora = golden_path("a_lora_kohya.safetensors"),
                  *taef2 = golden_path("taef2_f16.safetensors");
  refused(lora, "not a FLUX.2 transformer");
  refused(taef2, "not a FLUX.2 transformer");
}

static void write_text(const char *name, const char *text) {
  g_autofree char *path = g_build_filename(folder, "shards", name, NULL);
  assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void shards_are_one_network(void **state) {
  g_autofree char *shards = g_build_filename(folder, "shards", NULL);
  g_autofree char *first = g_build_filename(shards, "a-1.safetensors", NULL);
  g_autofree char *second = g_build_filename(shards, "a-2.safetensors", NULL);
  g_autofree char *index = g_build_filename(shards, "a.safetensors.index.json", NULL);
  g_mkdir(shards, 0700);
  refused(shards, "no safetensors file");
  copy_model(first, "double", "", WHOLE, "model.diffusion_model.");
  copy_model(second, "rest", "", WHOLE, "model.diffusion_model.");
  refused(shards, "several safetensors files");
  const char *good = "{\"weight_map\": {\"model.diffusion_model.double_blocks.0.img_mlp.0.weight\": "
                     "\"a-1.safetensors\", \"model.diffusion_model.img_in.weight\": \"a-2.safetensors\"}}";
  write_text("a.safetensors.index.json", good);
  g_autoptr(GError) error = NULL;
  g_autoptr(Transformer) split = transformer_open(shards, TRUE, &error);
  must(split);
  g_autoptr(Transformer) whole = case_transformer("a_model.safetensors", TRUE);
  g_autoptr(GArray) a = transformer_parameters(split), b = transformer_parameters(whole);
  assert_int_equal(a->len, b->len);
  for (guint i = 0; i < a->len; i++) {
    const Parameter *p = &g_array_index(a, Parameter, i), *q = &g_array_index(b, Parameter, i);
    assert_memory_equal(p->value, q->value, sizeof(float) * (gsize)(p->rows * p->cols));
  }
  write_text("a.safetensors.index.json", "{\"weight_map\": {\"x\": \"../a-1.safetensors\"}}");
  refused(shards, "not a plain name");
  write_text("a.safetensors.index.json", "{\"weight_map\": {\"x\": \"a-1.safetensors\"}}");
  refused(shards, "no file has it");
  write_text("a.safetensors.index.json", "{\"weight_map\": {\"x\": \"a-3.safetensors\"}}");
  refused(shards, "a-3.safetensors");
  write_text("a.safetensors.index.json", "[]");
  refused(shards, "weight_map");
}

/* --- memory --- */

/* FLUX.2 [klein] 4B. */
static const TransformerShape klein = {.hidden = 3072,
                                       .heads = 24,
                                       .head = 128,
                                       .mlp = 9216,
                                       .context = 7680,
                                       .channels = 128,
                                       .doubles = 5,
                                       .singles = 20,
                                       .parameters = 3875544576};

static void training_klein_fits_into_14_gigabytes(void **state) {
  const double rank = 16, lora = rank * 1443840 * 16; /* value, gradient and two moments in fp32 */
  double weights = 2.0 * (double)klein.parameters;
  double run = (double)transformer_run_bytes(&klein, 1024, 512, TRUE, ARITHMETIC_BF16);
  printf("  512x512: weights %.2f GB, adapter %.2f GB, pass %.2f GB, all %.2f GB (under 14)\n", weights / 1e9,
         lora / 1e9, run / 1e9, (weights + lora + run) / 1e9);
  assert_true(weights + lora + run < 14e9);
  assert_true(transformer_run_bytes(&klein, 1024, 512, FALSE, ARITHMETIC_BF16) <
              transformer_run_bytes(&klein, 1024, 512, TRUE, ARITHMETIC_BF16) / 2);
}

/* Kilobytes of a line of /proc/self/status. */
static double status_kilobytes(const char *what) {
  g_autofree char *text = NULL;
  assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
  const char *line = strstr(text, what);
  assert_non_null(line);
  return g_ascii_strtod(line + strlen(what), NULL);
}

/* A training step of a network large enough for its pass to outweigh everything else. */
static void the_plan_is_what_is_used(void **state) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip();
#endif
  mallopt(M_MMAP_THRESHOLD, 1 << 20); /* what is freed shall be gone */
  const TransformerShape shape = {
      .hidden = 768, .head = 64, .mlp = 2304, .context = 64, .channels = 128, .doubles = 1, .singles = 1};
  const gint64 n_image = 1024, n_text = 128;
  for (int arithmetic = ARITHMETIC_F32; arithmetic <= ARITHMETIC_BF16; arithmetic++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Transformer) transformer = transformer_new(&shape, DTYPE_BF16, FALSE, 1, &error);
    must(transformer);
    g_autoptr(Lora) lora = lora_new(transformer, 4, 1, &error);
    must(lora);
    g_autofree float *image = g_new0(float, n_image * 128), *text = g_new0(float, n_text * 64),
                     *velocity = g_new0(float, n_image * 128);
    g_autofree TokenId *ids = g_new0(TokenId, n_image);
    const TransformerInput input = {
        n_image, n_image, n_text, image, (const TokenId *)ids, text, (const TokenId *)ids, .5};
    noise_fill(1, 0, n_image * 128, image);
    double before = status_kilobytes("VmRSS:");
    g_autoptr(TransformerRun) run =
        transformer_run_new(transformer, n_image, n_text, TRUE, (Arithmetic)arithmetic, &error);
    must(run);
    transformer_forward(run, &input, lora, velocity);
    transformer_backward(run, &input, lora, image, NULL);
    double used = (status_kilobytes("VmRSS:") - before) * 1024;
    double planned = (double)transformer_run_bytes(&shape, n_image, n_text, TRUE, (Arithmetic)arithmetic);
    printf("  %s: planned %.0f MB, used %.0f MB\n", arithmetic ? "bf16" : "fp32", planned / 1e6, used / 1e6);
    assert_true(fabs(used / planned - 1) < .1);
  }
}

static void a_new_one_is_saved_and_opened(void **state) {
  const TransformerShape shape = {
      .hidden = 48, .head = 16, .mlp = 100, .context = 20, .channels = 12, .doubles = 1, .singles = 2};
  g_autofree char *path = g_build_filename(folder, "new.safetensors", NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(Transformer) made = transformer_new(&shape, DTYPE_F32, TRUE, 7, &error);
  must(made);
  must(transformer_save(made, path, DTYPE_F32, (const char *const[]){"licence", "Apache-2.0", NULL}, &error));
  g_autoptr(Transformer) opened = transformer_open(path, TRUE, &error);
  must(opened);
  assert_memory_equal(transformer_shape(made), transformer_shape(opened), sizeof shape);
  g_autoptr(GArray) a = transformer_parameters(made), b = transformer_parameters(opened);
  for (guint i = 0; i < a->len; i++) {
    const Parameter *p = &g_array_index(a, Parameter, i), *q = &g_array_index(b, Parameter, i);
    gint64 count = p->rows * p->cols;
    double sum = 0;
    assert_string_equal(p->name, q->name);
    assert_memory_equal(p->value, q->value, sizeof(float) * (gsize)count);
    for (gint64 k = 0; k < count; k++)
      sum += (double)p->value[k] * p->value[k];
    double deviation = sqrt(sum / (double)count) * sqrt((double)p->cols);
    if (p->rows > 1 && sum > 0)
      assert_true(fabs(deviation - .8) < .8 * 5 / sqrt(2.0 * (double)count));
  }
  must(transformer_save(opened, path, DTYPE_BF16, NULL, &error));
  g_autoptr(Transformer) narrow = transformer_open(path, FALSE, &error);
  must(narrow);
  assert_null(transformer_new(&shape, DTYPE_BF16, TRUE, 7, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
}

static void what_cannot_be_held_is_refused(void **state) {
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  g_autoptr(GError) error = NULL;
  assert_null(transformer_run_new(transformer, G_MAXINT64 / 4, 7, FALSE, ARITHMETIC_F32, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_LIMIT));
  g_clear_error(&error);
  assert_null(transformer_run_new(transformer, 0, 7, FALSE, ARITHMETIC_F32, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_LIMIT));
}

int main(void) {
  folder = g_dir_make_tmp("troupe-XXXXXX", NULL);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_activation_is_the_reference_s),
      cmocka_unit_test(the_inside_of_the_blocks_is_the_reference_s),
      cmocka_unit_test(bf16_weights_in_all_namings),
      cmocka_unit_test(diffusers_names_are_the_identical_network),
      cmocka_unit_test(heads_of_128),
      cmocka_unit_test(shapes_are_read_off_the_tensors),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(what_is_damaged_is_refused_by_name),
      cmocka_unit_test(a_lora_or_an_autoencoder_is_no_transformer),
      cmocka_unit_test(shards_are_one_network),
      cmocka_unit_test(training_klein_fits_into_14_gigabytes),
      cmocka_unit_test(the_plan_is_what_is_used),
      cmocka_unit_test(a_new_one_is_saved_and_opened),
      cmocka_unit_test(what_cannot_be_held_is_refused),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  g_autofree char *command = g_strdup_printf("rm -rf %s", folder);
  return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? failed : 1;
}
