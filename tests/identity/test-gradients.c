/* Gradients are the reference's for all weights and inputs, and finite differences agree on small networks of
 * random shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "cases.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#define GRADIENT_TOLERANCE 1e-4
#define LOSS_TOLERANCE 2e-5

static double norm_of(const float *x, gint64 count) {
  double sum = 0;
  for (gint64 i = 0; i < count; i++)
    sum += (double)x[i] * x[i];
  return sqrt(sum);
}

static void all_weights(void **state) {
  g_autoptr(Safetensors) file = golden_open("a_grad_full.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", TRUE);
  g_autoptr(TransformerRun) run = case_run(transformer, 24, 7, TRUE, ARITHMETIC_F32);
  float d_text[7 * 96];
  double loss = case_step(run, file, "g1", NULL, d_text), worst = 0;
  printf("  g1 loss off by %.1e (at most %.0e)\n", fabs(loss - *golden_floats(file, "g1.loss", NULL)),
         LOSS_TOLERANCE);
  assert_true(fabs(loss - *golden_floats(file, "g1.loss", NULL)) <= LOSS_TOLERANCE);
  g_autoptr(GArray) parameters = transformer_parameters(transformer);
  assert_int_equal(parameters->len, 41);
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    g_autofree char *key = g_strdup_printf("g1.grad.%s", parameter->name);
    case_close(file, key, parameter->gradient, GRADIENT_TOLERANCE);
    worst = fmax(worst, case_relative(parameter->gradient, golden_floats(file, key, NULL),
                                      parameter->rows * parameter->cols));
  }
  printf("  g1: 41 gradients, the worst off by %.1e (at most %.0e)\n", worst, GRADIENT_TOLERANCE);
  double text = case_relative(d_text, golden_floats(file, "g1.d_ctx", NULL), 7 * 96);
  printf("  g1 text: %.1e\n", text);
  assert_true(text <= GRADIENT_TOLERANCE);
}

/* What single blocks kept and what is computed again are the same numbers. */
static void keeping_changes_nothing(void **state) {
  g_autoptr(Safetensors) file = golden_open("a_grad_full.safetensors");
  g_autoptr(GPtrArray) first = g_ptr_array_new_with_free_func(g_free);
  for (int forget = 0; forget < 2; forget++) {
    g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", TRUE);
    g_autoptr(TransformerRun) run = case_run(transformer, 24, 7, TRUE, ARITHMETIC_F32);
    if (forget)
      transformer_run_forget(run);
    case_step(run, file, "g1", NULL, NULL);
    g_autoptr(GArray) parameters = transformer_parameters(transformer);
    for (guint i = 0; i < parameters->len; i++) {
      const Parameter *parameter = &g_array_index(parameters, Parameter, i);
      gsize bytes = sizeof(float) * (gsize)(parameter->rows * parameter->cols);
      if (forget)
        assert_memory_equal(first->pdata[i], parameter->gradient, bytes);
      else
        g_ptr_array_add(first, g_memdup2(parameter->gradient, bytes));
    }
  }
}

static void norms_with_a_reference(void **state) {
  g_autoptr(Safetensors) file = golden_open("a_grad_full.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", TRUE);
  g_autoptr(TransformerRun) run = case_run(transformer, 27, 9, TRUE, ARITHMETIC_F32);
  float d_text[9 * 96];
  double loss = case_step(run, file, "g2", NULL, d_text), worst = 0;
  assert_true(fabs(loss - *golden_floats(file, "g2.loss", NULL)) <= LOSS_TOLERANCE);
  g_autoptr(GArray) parameters = transformer_parameters(transformer);
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    g_autofree char *key = g_strdup_printf("g2.gradnorm.%s", parameter->name);
    double expected = *golden_floats(file, key, NULL);
    worst = fmax(worst, fabs(norm_of(parameter->gradient, parameter->rows * parameter->cols) / expected - 1));
  }
  printf("  g2: 41 norms, the worst off by %.1e (at most %.0e)\n", worst, GRADIENT_TOLERANCE);
  assert_true(worst <= GRADIENT_TOLERANCE);
  case_close(file, "g2.d_ctx", d_text, GRADIENT_TOLERANCE);
}

/* The gradient at every block's output, and at the input: d_x = d_img_in · W. */
static void streams_and_conditioning(void **state) {
  static const char *const whats[] = {"vec",         "mod_img",     "mod_txt",     "mod_single",
                                      "img_in",      "txt_in",      "double0.img", "double0.txt",
                                      "double1.img", "double1.txt", "single0",     "single1"};
  g_autoptr(Safetensors) file = golden_open("a_grad_full.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", TRUE);
  g_autoptr(TransformerRun) run = case_run(transformer, 27, 9, TRUE, ARITHMETIC_F32);
  transformer_run_keep(run);
  case_step(run, file, "g2", NULL, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(whats); i++) {
    g_autofree char *key = g_strdup_printf("g2.dact.%s", whats[i]), *name = g_strdup_printf("d.%s", whats[i]);
    gint64 count = 0;
    golden_floats(file, key, &count);
    g_autofree float *found = g_new(float, (gsize)count);
    assert_true(transformer_activation(run, name, found, count));
    case_close(file, key, found, GRADIENT_TOLERANCE);
  }
  float d_stream[27 * 64], d_x[27 * 128];
  assert_true(transformer_activation(run, "d.img_in", d_stream, 27 * 64));
  g_autoptr(Safetensors) model = golden_open("a_model.safetensors");
  Weights in = {DTYPE_F32, 64, 128, golden_floats(model, "img_in.weight", NULL)};
  op_linear_d_x(d_stream, 27, &in, ARITHMETIC_F32, FALSE, d_x);
  case_close(file, "g2.d_x", d_x, GRADIENT_TOLERANCE);
}

static void adapters(void **state) {
  g_autoptr(Safetensors) file = golden_open("a_grad_full.safetensors");
  g_autoptr(Safetensors) expected = golden_open("a_lora_grad.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", FALSE);
  const char *const names[] = {"g1", "g2"};
  for (gsize g = 0; g < 2; g++) {
    g_autoptr(Lora) lora = case_lora("a_lora_kohya.safetensors", transformer);
    lora_train(lora);
    g_autoptr(TransformerRun) run = case_run(transformer, 27, 9, TRUE, ARITHMETIC_F32);
    double loss = case_step(run, file, names[g], lora, NULL), worst = 0;
    g_autofree char *loss_key = g_strdup_printf("%s.loss", names[g]);
    assert_true(fabs(loss - *golden_floats(expected, loss_key, NULL)) <= LOSS_TOLERANCE);
    g_autoptr(GArray) parameters = lora_parameters(lora);
    assert_int_equal(parameters->len, 40);
    for (guint i = 0; i < parameters->len; i++) {
      const Parameter *parameter = &g_array_index(parameters, Parameter, i);
      g_autofree char *key = g_strdup_printf("%s.grad.%s", names[g], parameter->name);
      case_close(expected, key, parameter->gradient, GRADIENT_TOLERANCE);
      worst = fmax(worst, case_relative(parameter->gradient, golden_floats(expected, key, NULL),
                                        parameter->rows * parameter->cols));
    }
    printf("  %s: 40 gradients of the adapter, the worst off by %.1e (at most %.0e)\n", names[g], worst,
           GRADIENT_TOLERANCE);
  }
}

/* With bf16 arithmetic gradients are near the exact ones. */
static void bf16_arithmetic(void **state) {
  g_autoptr(Safetensors) file = golden_open("a_grad_full.safetensors");
  g_autoptr(Transformer) transformer = case_transformer("a_model_bf16.safetensors", FALSE);
  g_autofree float *gradients[2] = {NULL};
  gint64 count = 0;
  for (int arithmetic = ARITHMETIC_F32; arithmetic <= ARITHMETIC_BF16; arithmetic++) {
    g_autoptr(Lora) lora = case_lora("a_lora_kohya.safetensors", transformer);
    lora_train(lora);
    g_autoptr(TransformerRun) run = case_run(transformer, 24, 7, TRUE, (Arithmetic)arithmetic);
    case_step(run, file, "g1", lora, NULL);
    const LoraLayer *layer = lora_layer(lora, "double_blocks.0.img_attn.qkv");
    count = layer->rank * layer->in;
    gradients[arithmetic] = g_memdup2(layer->d_a, sizeof(float) * (gsize)count);
  }
  double relative = case_relative(gradients[1], gradients[0], count);
  printf("  gradient of the first layer with bf16 arithmetic: %.1f %% (at most 5)\n", 100 * relative);
  assert_true(relative < .05);
  g_free(gradients[1]);
}

static void threads_change_nothing(void **state) {
  g_autoptr(Safetensors) file = golden_open("a_grad_full.safetensors");
  int most = omp_get_max_threads();
  g_autoptr(GArray) first = NULL;
  g_autoptr(Transformer) kept = NULL;
  for (int threads = 1; threads <= 4; threads++) {
    omp_set_num_threads(threads);
    g_autoptr(Transformer) transformer = case_transformer("a_model.safetensors", TRUE);
    g_autoptr(TransformerRun) run = case_run(transformer, 24, 7, TRUE, ARITHMETIC_F32);
    case_step(run, file, "g1", NULL, NULL);
    g_autoptr(GArray) parameters = transformer_parameters(transformer);
    if (!first) {
      first = g_steal_pointer(&parameters);
      kept = g_steal_pointer(&transformer);
      continue;
    }
    for (guint i = 0; i < first->len; i++) {
      const Parameter *p = &g_array_index(first, Parameter, i), *q = &g_array_index(parameters, Parameter, i);
      assert_memory_equal(p->gradient, q->gradient, sizeof(float) * (gsize)(p->rows * p->cols));
    }
  }
  omp_set_num_threads(most);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_weights),
      cmocka_unit_test(keeping_changes_nothing),
      cmocka_unit_test(norms_with_a_reference),
      cmocka_unit_test(streams_and_conditioning),
      cmocka_unit_test(adapters),
      cmocka_unit_test(bf16_arithmetic),
      cmocka_unit_test(threads_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
