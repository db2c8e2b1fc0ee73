/* From a prompt to a picture with small random networks, as the reference does it: tokenizer, text encoder,
 * transformer, sampler, autoencoder; without guidance, and with guidance and a reference picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "golden.h"
#include "identity/picture/autoencoder.h"
#include "identity/sampling/sampler.h"
#include "identity/text/text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOLERANCE 2e-4
#define LENGTH 40
#define HEIGHT 64
#define WIDTH 48
#define TOKENS 12
#define STEPS 4

typedef struct {
  Safetensors *golden;
  Tokenizer *tokenizer;
  TextEncoder *encoder;
  Transformer *transformer;
  Autoencoder *autoencoder;
} Pipeline;

static Pipeline *open_all(void) {
  Safetensors *golden = golden_open("pipeline_toy.safetensors"); /* skips where there is none */
  Pipeline *p = g_new0(Pipeline, 1);
  p->golden = golden;
  g_autofree char *tokenizer = golden_path("toy_tokenizer"),
                  *encoder = golden_path("qwen_tiny_bf16.safetensors");
  g_autofree char *transformer = golden_path("a_model.safetensors");
  g_autofree char *autoencoder = golden_path("vae_model_bf16.safetensors");
  g_autoptr(GError) error = NULL;
  must(p->tokenizer = tokenizer_open(tokenizer, &error));
  must(p->encoder = text_encoder_open(encoder, (const int[]){1, 2, 3}, &error));
  must(p->transformer = transformer_open(transformer, FALSE, &error));
  must(p->autoencoder = autoencoder_open(autoencoder, &error));
  return p;
}

static void close_all(Pipeline *p) {
  safetensors_free(p->golden);
  tokenizer_free(p->tokenizer);
  text_encoder_free(p->encoder);
  transformer_free(p->transformer);
  autoencoder_free(p->autoencoder);
  g_free(p);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pipeline, close_all)

/* Features of a prompt; its ids are compared with the golden ones. */
static float *features(const Pipeline *p, const char *prompt, const char *ids_name) {
  g_autoptr(GError) error = NULL;
  gint64 count;
  g_autoptr(GArray) ids = tokenizer_prompt(p->tokenizer, prompt, LENGTH, &count, &error);
  must(ids);
  assert_memory_equal(ids->data, golden_ints(p->golden, ids_name, NULL), LENGTH * sizeof(gint32));
  float *out = g_new(float, LENGTH *(gsize)text_encoder_width(p->encoder));
  must(text_encoder_run(p->encoder, (const gint32 *)ids->data, LENGTH, count, ARITHMETIC_F32, out, &error));
  return out;
}

typedef struct {
  const float *expected;
  double worst;
} Way;

static gboolean compare_step(int step, int steps, const float *x, gpointer user) {
  Way *way = user;
  way->worst = fmax(way->worst, golden_difference(x, way->expected + step * TOKENS * 128, TOKENS * 128));
  return TRUE;
}

static void draw(const Pipeline *p, const SamplerInput *input, const char *latents, const char *name,
                 float *picture) {
  g_autoptr(GError) error = NULL;
  g_autoptr(TransformerRun) run =
      transformer_run_new(p->transformer, 2 * TOKENS, LENGTH, FALSE, ARITHMETIC_F32, &error);
  must(run);
  g_autofree float *x =
      g_memdup2(golden_floats(p->golden, "noise_tokens", NULL), sizeof(float) * TOKENS * 128);
  Way way = {golden_floats(p->golden, latents, NULL)};
  must(sampler_run(run, p->transformer, NULL, input, x, compare_step, &way, &error));
  compare_step(STEPS, STEPS, x, &way);
  printf("  %-28s %.2e (at most %.0e)\n", latents, way.worst, TOLERANCE);
  assert_true(way.worst <= TOLERANCE);
  must(autoencoder_decode(p->autoencoder, x, HEIGHT, WIDTH, picture, &error));
  golden_near(p->golden, name, picture, TOLERANCE);
}

static void a_prompt_becomes_the_picture(void **state) {
  g_autoptr(Pipeline) p = open_all();
  g_autofree float *text = features(p, "a photo of a woman", "ids");
  golden_near(p->golden, "ctx", text, 5e-5);
  const SamplerInput input = {
      .height = 4, .width = 3, .steps = STEPS, .guidance = 1, .text = text, .n_text = LENGTH};
  g_autofree float *picture = g_new(float, 3 * HEIGHT * WIDTH);
  draw(p, &input, "t2i.latents", "t2i.image", picture);
  g_autoptr(Image) image = autoencoder_to_image(picture, HEIGHT, WIDTH);
  gint64 count, off = 0;
  const guint8 *expected = golden_bytes(p->golden, "t2i.image_u8", &count);
  for (gint64 i = 0; i < count; i++) {
    assert_true(abs(image->pixels[i] - expected[i]) <= 1);
    off += image->pixels[i] != expected[i];
  }
  printf("  %d of %d bytes differ by one\n", (int)off, (int)count);
  assert_true(off < count / 100);
}

static void with_guidance_and_a_reference_too(void **state) {
  g_autoptr(Pipeline) p = open_all();
  g_autoptr(GError) error = NULL;
  g_autofree float *text = features(p, "a photo of a woman", "ids");
  g_autofree float *empty = features(p, "", "ids_uncond");
  float reference[TOKENS * 128];
  must(autoencoder_encode(p->autoencoder, golden_floats(p->golden, "ref.image", NULL), HEIGHT, WIDTH,
                          reference, &error));
  golden_near(p->golden, "ref.tokens", reference, 5e-5);
  const gint64 sizes[1][2] = {{4, 3}};
  const SamplerInput input = {.height = 4,
                              .width = 3,
                              .steps = STEPS,
                              .guidance = 4,
                              .text = text,
                              .empty = empty,
                              .n_text = LENGTH,
                              .references = reference,
                              .reference_sizes = sizes,
                              .reference_count = 1};
  g_autofree float *picture = g_new(float, 3 * HEIGHT * WIDTH);
  draw(p, &input, "ref_cfg4.latents", "ref_cfg4.image", picture);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_prompt_becomes_the_picture),
      cmocka_unit_test(with_guidance_and_a_reference_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
