/* Pictures become the tokens that the reference networks give, and tokens their pictures; a fitted block
 * transform keeps what it was fitted to; damaged files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "golden.h"
#include "identity/network/transformer.h"
#include "identity/picture/autoencoder.h"
#include "identity/picture/blocks_parts.h"
#include "identity/sampling/noise.h"
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOLERANCE 5e-5

static char *folder;

static Autoencoder *open_golden(const char *name) {
  g_autofree char *path = golden_path(name);
  g_autoptr(GError) error = NULL;
  Autoencoder *autoencoder = autoencoder_open(path, &error);
  must(autoencoder);
  return autoencoder;
}

/* The golden [channels, tokens] as tokens of ours. */
static float *tokens_of_map(const float *map, gint64 tokens) {
  float *out = g_new(float, (gsize)(tokens * AUTOENCODER_CHANNELS));
  for (gint64 i = 0; i < tokens; i++)
    for (gint64 c = 0; c < AUTOENCODER_CHANNELS; c++)
      out[i * AUTOENCODER_CHANNELS + c] = map[c * tokens + i];
  return out;
}

static double difference_to_map(const float *tokens, const float *map, gint64 count) {
  g_autofree float *expected = tokens_of_map(map, count);
  return golden_difference(tokens, expected, count * AUTOENCODER_CHANNELS);
}

/* --- maps on the way --- */

typedef struct {
  const Safetensors *golden;
  const char *suffix;
  int seen;
} Watching;

static void compare_map(const char *name, const float *map, gint64 channels, gint64 pixels, gpointer user) {
  Watching *watching = user;
  g_autofree char *expected = g_strconcat(name, watching->suffix, NULL);
  if (!safetensors_has(watching->golden, expected))
    return;
  gint64 count;
  golden_floats(watching->golden, expected, &count);
  assert_true(count <= channels * pixels);
  golden_near(watching->golden, expected, map, TOLERANCE);
  watching->seen++;
}

/* --- FLUX.2 --- */

static void flux_gives_the_reference_latent_and_maps(void **state) {
  g_autoptr(Safetensors) golden = golden_open("vae_golden.safetensors");
  g_autoptr(Autoencoder) autoencoder = open_golden("vae_model_bf16.safetensors");
  g_autoptr(GError) error = NULL;
  assert_string_equal(autoencoder_kind(autoencoder), "FLUX.2");
  Watching watching = {golden, ""};
  autoencoder_watch(autoencoder, compare_map, &watching);
  float tokens[12 * AUTOENCODER_CHANNELS];
  must(autoencoder_encode(autoencoder, golden_floats(golden, "x", NULL), 64, 48, tokens, &error));
  assert_int_equal(watching.seen, 7); /* six maps and the moments */
  double worst = difference_to_map(tokens, golden_floats(golden, "latent", NULL), 12);
  printf("  latent %.2e\n", worst);
  assert_true(worst <= TOLERANCE);
}

static void flux_gives_the_reference_picture_and_maps(void **state) {
  g_autoptr(Safetensors) golden = golden_open("vae_golden.safetensors");
  g_autoptr(Autoencoder) autoencoder = open_golden("vae_model_bf16.safetensors");
  g_autoptr(GError) error = NULL;
  Watching watching = {golden, ""};
  autoencoder_watch(autoencoder, compare_map, &watching);
  g_autofree float *tokens = tokens_of_map(golden_floats(golden, "latent", NULL), 12);
  g_autofree float *picture = g_new(float, 3 * 80 * 64);
  must(autoencoder_decode(autoencoder, tokens, 64, 48, picture, &error));
  assert_int_equal(watching.seen, 7);
  golden_near(golden, "decoded", picture, TOLERANCE);
  /* Another size through the same memory. */
  autoencoder_watch(autoencoder, NULL, NULL);
  g_autofree float *random = tokens_of_map(golden_floats(golden, "rand_latent", NULL), 15);
  must(autoencoder_decode(autoencoder, random, 48, 80, picture, &error));
  golden_near(golden, "rand_decoded", picture, TOLERANCE);
  must(autoencoder_decode(autoencoder, tokens, 64, 48, picture, &error));
  golden_near(golden, "decoded", picture, TOLERANCE);
}

/* --- the same network under diffusers' names --- */

static const char *const renames[][2] = {
    {"encoder.quant_conv", "quant_conv"},
    {"decoder.post_quant_conv", "post_quant_conv"},
    {"mid.block_1", "mid_block.resnets.0"},
    {"mid.block_2", "mid_block.resnets.1"},
    {"mid.attn_1.norm", "mid_block.attentions.0.group_norm"},
    {"mid.attn_1.q", "mid_block.attentions.0.to_q"},
    {"mid.attn_1.k", "mid_block.attentions.0.to_k"},
    {"mid.attn_1.v", "mid_block.attentions.0.to_v"},
    {"mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"},
    {"norm_out", "conv_norm_out"},
    {"nin_shortcut", "conv_shortcut"},
    {"downsample.conv", "downsamplers.0.conv"},
    {"upsample.conv", "upsamplers.0.conv"},
    {".block.", ".resnets."},
    {"encoder.down.", "encoder.down_blocks."},
    {"decoder.up.0", "decoder.up_blocks.3"},
    {"decoder.up.1", "decoder.up_blocks.2"},
    {"decoder.up.2", "decoder.up_blocks.1"},
    {"decoder.up.3", "decoder.up_blocks.0"},
};

static char *diffusers_name(const char *name) {
  g_autoptr(GString) text = g_string_new(name);
  for (gsize i = 0; i < G_N_ELEMENTS(renames); i++)
    if (g_string_replace(text, renames[i][0], renames[i][1], 0) && i >= 15)
      break;
  return g_strdup(text->str);
}

/* A copy of a file: tensors renamed by `rename` (NULL keeps them), one left out, one cut to half its first
 * side. */
static char *rewrite(const char *from, const char *to, char *(*rename)(const char *), const char *without,
                     const char *halved) {
  g_autoptr(Safetensors) file = golden_open(from);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) names = safetensors_names(file);
  for (guint i = 0; i < names->len; i++) {
    const char *name = names->pdata[i];
    if (g_strcmp0(name, without) == 0)
      continue;
    SafetensorsTensor tensor = *safetensors_find(file, name);
    if (g_strcmp0(name, halved) == 0)
      tensor.shape[0] /= 2;
    g_autofree char *renamed = rename ? rename(name) : g_strdup(name);
    if (rename && strstr(renamed, ".to_"))
      tensor.rank = MIN(tensor.rank, 2); /* matrices there */
    safetensors_add(writer, renamed, tensor.dtype, tensor.shape, tensor.rank, tensor.data);
  }
  char *path = g_build_filename(folder, to, NULL);
  g_autoptr(GError) error = NULL;
  must(safetensors_write(writer, path, &error));
  return path;
}

static void diffusers_names_give_the_same_network(void **state) {
  g_autoptr(Safetensors) golden = golden_open("vae_golden.safetensors");
  g_autofree char *path =
      rewrite("vae_model_bf16.safetensors", "diffusers.safetensors", diffusers_name, NULL, NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(Autoencoder) autoencoder = autoencoder_open(path, &error);
  must(autoencoder);
  g_autofree float *picture = g_new(float, 3 * 64 * 48);
  float tokens[12 * AUTOENCODER_CHANNELS];
  must(autoencoder_encode(autoencoder, golden_floats(golden, "x", NULL), 64, 48, tokens, &error));
  assert_true(difference_to_map(tokens, golden_floats(golden, "latent", NULL), 12) <= TOLERANCE);
  must(autoencoder_decode(autoencoder, tokens, 64, 48, picture, &error));
  golden_near(golden, "decoded", picture, 2 * TOLERANCE);
}

/* --- TAEF2 --- */

static void taef2_gives_the_reference_latent_of_a_photograph(void **state) {
  g_autoptr(Safetensors) golden = golden_open("taef2_golden.safetensors");
  g_autoptr(Autoencoder) autoencoder = open_golden("taef2_f16.safetensors");
  g_autoptr(GError) error = NULL;
  assert_string_equal(autoencoder_kind(autoencoder), "TAEF2");
  const Image photograph = {128, 128, 3, (guint8 *)golden_bytes(golden, "image_u8", NULL)};
  g_autofree float *picture = g_new(float, 3 * 128 * 128);
  autoencoder_from_image(&photograph, picture);
  Watching watching = {golden, ".first4"};
  autoencoder_watch(autoencoder, compare_map, &watching);
  g_autofree float *tokens = g_new(float, 64 * AUTOENCODER_CHANNELS);
  must(autoencoder_encode(autoencoder, picture, 128, 128, tokens, &error));
  assert_int_equal(watching.seen, 5);
  double worst = difference_to_map(tokens, golden_floats(golden, "latent128", NULL), 64);
  printf("  latent %.2e\n", worst);
  assert_true(worst <= TOLERANCE);
}

static double psnr(const Image *a, const Image *b) {
  double sum = 0;
  gsize count = (gsize)a->width * (gsize)a->height * 3;
  for (gsize i = 0; i < count; i++)
    sum += (a->pixels[i] - b->pixels[i]) * (a->pixels[i] - b->pixels[i]);
  return 10 * log10(255.0 * 255.0 * (double)count / sum);
}

static void taef2_gives_the_photograph_back(void **state) {
  g_autoptr(Safetensors) golden = golden_open("taef2_golden.safetensors");
  g_autoptr(Autoencoder) autoencoder = open_golden("taef2_f16.safetensors");
  g_autoptr(GError) error = NULL;
  Watching watching = {golden, ".first4"};
  autoencoder_watch(autoencoder, compare_map, &watching);
  g_autofree float *tokens = tokens_of_map(golden_floats(golden, "latent128", NULL), 64);
  g_autofree float *picture = g_new(float, 3 * 128 * 128), *shifted = g_new(float, 3 * 128 * 128);
  must(autoencoder_decode(autoencoder, tokens, 128, 128, picture, &error));
  assert_int_equal(watching.seen, 4);
  for (int i = 0; i < 3 * 128 * 128; i++)
    shifted[i] = (picture[i] + 1) / 2; /* its own range */
  golden_near(golden, "decoded", shifted, TOLERANCE);
  g_autoptr(Image) image = autoencoder_to_image(picture, 128, 128);
  gint64 bytes, off = 0;
  const guint8 *expected = golden_bytes(golden, "decoded_u8", &bytes);
  for (gint64 i = 0; i < bytes; i++)
    off += image->pixels[i] != expected[i];
  const Image photograph = {128, 128, 3, (guint8 *)golden_bytes(golden, "image_u8", NULL)};
  printf("  u8: %d of %d differ; %.2f dB\n", (int)off, (int)bytes, psnr(image, &photograph));
  assert_true(off < bytes / 1000); /* values that lie on the border between two */
  assert_true(psnr(image, &photograph) > 32.7);
}

static void taef2_decodes_other_shapes(void **state) {
  g_autoptr(Safetensors) golden = golden_open("taef2_golden.safetensors");
  g_autoptr(Autoencoder) autoencoder = open_golden("taef2_f16.safetensors");
  g_autoptr(GError) error = NULL;
  const float *latent = golden_floats(golden, "rand_latent32", NULL); /* [32, 6, 10] */
  g_autofree float *tokens = g_new(float, 15 * AUTOENCODER_CHANNELS);
  for (int c = 0; c < 32; c++)
    for (int y = 0; y < 6; y++)
      for (int x = 0; x < 10; x++)
        tokens[(y / 2 * 5 + x / 2) * 128 + c * 4 + y % 2 * 2 + x % 2] = latent[(c * 6 + y) * 10 + x];
  g_autofree float *picture = g_new(float, 3 * 48 * 80);
  must(autoencoder_decode(autoencoder, tokens, 48, 80, picture, &error));
  for (int i = 0; i < 3 * 48 * 80; i++)
    picture[i] = (picture[i] + 1) / 2;
  golden_near(golden, "rand_decoded", picture, TOLERANCE);
}

/* --- blocks --- */

/* Eigenvectors of a made matrix: the equation, orthonormality, order. */
static void eigenvectors_solve_their_equation(void **state) {
  enum { N = 97 };
  g_autofree double *a = g_new(double, N *N), *v = g_new(double, N *N), *values = g_new(double, N);
  g_autofree float *numbers = g_new(float, N *N);
  noise_fill(3, 0, N * N, numbers);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      a[i * N + j] = numbers[MIN(i, j) * N + MAX(i, j)] * (i == 40 || j == 40 ? 0 : 1) + (i == j ? 2 : 0);
  memcpy(v, a, sizeof *a * N * N);
  symmetric_eigen(v, N, values);
  double equation = 0, orthonormal = 0;
  for (int i = 0; i < N; i++) {
    assert_true(i == 0 || values[i] <= values[i - 1]);
    for (int row = 0; row < N; row++) {
      double product = 0, inner = 0;
      for (int k = 0; k < N; k++) {
        product += a[row * N + k] * v[i * N + k];
        inner += v[row * N + k] * v[i * N + k];
      }
      equation = fmax(equation, fabs(product - values[i] * v[i * N + row]));
      orthonormal = fmax(orthonormal, fabs(inner - (row == i)));
    }
  }
  printf("  equation %.1e, orthonormality %.1e\n", equation, orthonormal);
  assert_true(equation < 1e-11 && orthonormal < 1e-12);
}

static void eigenvectors_of_plain_matrices(void **state) {
  double one[1] = {4}, zero[9] = {0}, equal[9] = {2, 0, 0, 0, 2, 0, 0, 0, 2}, values[3];
  symmetric_eigen(one, 1, values);
  assert_true(values[0] == 4 && one[0] == 1);
  symmetric_eigen(zero, 3, values);
  assert_true(values[0] == 0 && zero[0] == 1 && zero[4] == 1);
  symmetric_eigen(equal, 3, values);
  assert_true(values[2] == 2 && fabs(equal[0]) == 1);
}

/* A made picture: a slope and a few discs and bars in plain colours, different for every number. */
static void draw_made(guint64 number, int height, int width, float *picture) {
  float r[64];
  noise_uniform(number, 11, 64, r);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      float colour[3] = {r[0] + r[1] * (float)y / (float)height, r[2] + r[3] * (float)x / (float)width, r[4]};
      for (int shape = 0; shape < 6; shape++) {
        const float *s = r + 8 + shape * 8;
        float dx = (float)x - s[0] * (float)width, dy = (float)y - s[1] * (float)height;
        gboolean inside = shape % 2 ? hypotf(dx, dy) < 8 + 24 * s[2]
                                    : fabsf(dx) < 6 + 30 * s[2] && fabsf(dy) < 6 + 30 * s[6];
        for (int c = 0; c < 3 && inside; c++)
          colour[c] = s[3 + c];
      }
      for (int c = 0; c < 3; c++)
        picture[(c * height + y) * width + x] = CLAMP(colour[c] * 2 - 1, -1, 1);
    }
}

#define FITTED 300

static void fit_made(const char *path, double power) {
  g_autoptr(BlocksFit) fit = blocks_fit_new();
  g_autofree float *picture = g_new(float, 3 * 128 * 128);
  for (guint64 i = 0; i < FITTED; i++) {
    draw_made(i, 128, 128, picture);
    blocks_fit_add(fit, picture, 128, 128);
  }
  g_autoptr(GError) error = NULL;
  gint64 begin = g_get_monotonic_time();
  must(blocks_fit_write(fit, power, path, &error));
  printf("  fitted in %.2f s\n", (double)(g_get_monotonic_time() - begin) / 1e6);
}

/* One for all tests that only want to have one. */
static char *fitted(void) {
  char *path = g_build_filename(folder, "fitted.safetensors", NULL);
  if (!g_file_test(path, G_FILE_TEST_EXISTS))
    fit_made(path, .7);
  return path;
}

static double plain_psnr(const float *a, const float *b, gint64 count) {
  double sum = 0;
  for (gint64 i = 0; i < count; i++)
    sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
  return 10 * log10(4 * (double)count / sum);
}

static void blocks_keep_made_pictures(void **state) {
  g_autofree char *path = fitted();
  g_autoptr(GError) error = NULL;
  g_autoptr(Autoencoder) autoencoder = autoencoder_open(path, &error);
  must(autoencoder);
  assert_string_equal(autoencoder_kind(autoencoder), "blocks");
  enum { H = 96, W = 128, N = H / 16 * W / 16 };
  g_autofree float *picture = g_new(float, 3 * H * W), *back = g_new(float, 3 * H * W);
  g_autofree float *tokens = g_new(float, N *AUTOENCODER_CHANNELS), *again = g_new(float, N * 128);
  double total = 0, square = 0;
  for (guint64 i = 0; i < 20; i++) { /* of the same kind, not among those fitted */
    draw_made(1000 + i, H, W, picture);
    must(autoencoder_encode(autoencoder, picture, H, W, tokens, &error));
    must(autoencoder_decode(autoencoder, tokens, H, W, back, &error));
    total += plain_psnr(picture, back, 3 * H * W) / 20;
    for (int k = 0; k < N * AUTOENCODER_CHANNELS; k++)
      square += (double)tokens[k] * tokens[k] / (20.0 * N * AUTOENCODER_CHANNELS);
    /* What has once been decoded is kept as it is. */
    must(autoencoder_encode(autoencoder, back, H, W, again, &error));
    assert_true(golden_difference(tokens, again, N * AUTOENCODER_CHANNELS) < 2e-4);
  }
  printf("  %.2f dB on average, mean square of the tokens %.2f\n", total, square);
  assert_true(total > 28);
  assert_true(square > .8 && square < 1.25);
}

static void fitting_twice_gives_the_same_bytes(void **state) {
  g_autofree char *first = fitted(), *second = g_build_filename(folder, "second.safetensors", NULL);
  fit_made(second, .7);
  g_autofree char *a = NULL, *b = NULL;
  gsize a_length, b_length;
  assert_true(g_file_get_contents(first, &a, &a_length, NULL));
  assert_true(g_file_get_contents(second, &b, &b_length, NULL));
  assert_int_equal(a_length, b_length);
  assert_memory_equal(a, b, a_length);
}

static void too_few_blocks_are_refused(void **state) {
  g_autoptr(BlocksFit) fit = blocks_fit_new();
  g_autofree float *picture = g_new0(float, 3 * 128 * 128);
  blocks_fit_add(fit, picture, 128, 128);
  g_autofree char *path = g_build_filename(folder, "few.safetensors", NULL);
  g_autoptr(GError) error = NULL;
  assert_false(blocks_fit_write(fit, 1, path, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
  assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* Adds a refinement to a fitted file: one inner layer that hands through, weights that undo each other. */
static char *refined(const char *plain, float last) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Safetensors) file = safetensors_open(plain, &error);
  must(file);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) names = safetensors_names(file);
  for (guint i = 0; i < names->len; i++) {
    const SafetensorsTensor *tensor = safetensors_find(file, names->pdata[i]);
    safetensors_add(writer, names->pdata[i], tensor->dtype, tensor->shape, tensor->rank, tensor->data);
  }
  /* Channel 0 (the reds of each 4 x 4's first pixel), of the neighbour two folded pixels to the right, made
   * positive, through; inner layers only skip. To it the mark of each block's first folded pixel. */
  const gint64 width[5] = {64, 64, 64, 64, 48};
  const float reach[4] = {2, 1, 3, 1};
  g_autofree float *weights = g_new0(float, 4 * 64 * 64 * 9), *biases = g_new0(float, 4 * 64);
  weights[5] = 1;
  weights[48 * 9 + 4] = 3;
  biases[0] = 10;
  weights[3 * 64 * 64 * 9 + 4] = last;
  for (int i = 0; i < 4; i++) {
    g_autofree char *weight = g_strdup_printf("refine.%d.weight", i);
    g_autofree char *bias = g_strdup_printf("refine.%d.bias", i);
    safetensors_add(writer, weight, DTYPE_F32, (gint64[]){width[i + 1], width[i], 3, 3}, 4,
                    weights + i * 64 * 64 * 9);
    safetensors_add(writer, bias, DTYPE_F32, (gint64[]){width[i + 1]}, 1, biases + (gint64)i * 64);
  }
  safetensors_add(writer, "refine.reach", DTYPE_F32, (gint64[]){4}, 1, reach);
  char *path = g_build_filename(folder, "refined.safetensors", NULL);
  must(safetensors_write(writer, path, &error));
  return path;
}

static void a_refinement_adds_its_output(void **state) {
  g_autofree char *plain = fitted(), *path = refined(plain, .5f);
  g_autoptr(GError) error = NULL;
  g_autoptr(Autoencoder) without = autoencoder_open(plain, &error);
  must(without);
  g_autoptr(Autoencoder) with = autoencoder_open(path, &error);
  must(with);
  enum { H = 32, W = 48 };
  float tokens[6 * AUTOENCODER_CHANNELS], linear[3 * H * W], picture[3 * H * W];
  noise_fill(4, 4, 6 * AUTOENCODER_CHANNELS, tokens);
  must(autoencoder_decode(without, tokens, H, W, linear, &error));
  must(autoencoder_decode(with, tokens, H, W, picture, &error));
  for (int c = 0; c < 3; c++)
    for (int y = 0; y < H; y++)
      for (int x = 0; x < W; x++) {
        int at = (c * H + y) * W + x;
        float neighbour = x + 8 < W ? linear[at + 8] : 0, first = y % 16 == 0 && x % 16 == 0 ? 3 : 0;
        float added = c == 0 && y % 4 == 0 && x % 4 == 0 ? .5f * (neighbour + 10 + first) : 0;
        assert_true(fabsf(picture[at] - linear[at] - added) < 1e-5f);
      }
}

static void a_damaged_refinement_is_refused(void **state) {
  g_autofree char *plain = fitted(), *path = refined(plain, NAN);
  g_autoptr(GError) error = NULL;
  assert_null(autoencoder_open(path, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

/* --- learning a refinement --- */

#define BATCH 3
#define SIDE 64
#define BATCH_TOKENS (BATCH * 16)

/* Pictures, and their tokens with noise. */
static void make_batch(Autoencoder *autoencoder, guint64 number, float noise, float *pictures,
                       float *tokens) {
  g_autoptr(GError) error = NULL;
  g_autofree float *damage = g_new(float, BATCH_TOKENS *AUTOENCODER_CHANNELS);
  noise_fill(number, 21, BATCH_TOKENS * AUTOENCODER_CHANNELS, damage);
  for (int i = 0; i < BATCH; i++) {
    draw_made(number * BATCH + (guint64)i, SIDE, SIDE, pictures + i * 3 * SIDE * SIDE);
    must(autoencoder_encode(autoencoder, pictures + i * 3 * SIDE * SIDE, SIDE, SIDE,
                            tokens + i * 16 * AUTOENCODER_CHANNELS, &error));
  }
  for (int i = 0; i < BATCH_TOKENS * AUTOENCODER_CHANNELS; i++)
    tokens[i] += noise * damage[i];
}

/* Along random directions the error changes as its gradient says. */
static void the_refinement_has_the_right_gradient(void **state) {
  g_autofree char *path = fitted();
  g_autoptr(GError) error = NULL;
  g_autoptr(Autoencoder) autoencoder = autoencoder_open(path, &error);
  must(autoencoder);
  g_autoptr(BlocksRefiner) refiner = blocks_refiner_new(path, 3, &error);
  must(refiner);
  g_autofree float *pictures = g_new(float, BATCH * 3 * SIDE * SIDE);
  g_autofree float *tokens = g_new(float, BATCH_TOKENS *AUTOENCODER_CHANNELS);
  make_batch(autoencoder, 1, .3f, pictures, tokens);
  const GArray *parameters = blocks_refiner_parameters(refiner);
  assert_int_equal(parameters->len % 2, 0);
  const Parameter *last = &g_array_index(parameters, Parameter, parameters->len - 2);
  noise_fill(5, 5, last->rows * last->cols, last->value); /* begins at zero */
  for (gint64 k = 0; k < last->rows * last->cols; k++)
    last->value[k] *= .02f;
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    gint64 count = parameter->rows * parameter->cols;
    g_autofree float *direction = g_new(float, (gsize)count);
    g_autofree float *before = g_memdup2(parameter->value, sizeof(float) * (gsize)count);
    noise_fill(i, 6, count, direction);
    blocks_refiner_gradient(refiner, tokens, pictures, BATCH, SIDE, SIDE);
    /* Many weights at once: far away the ReLUs switch. */
    double slope = 0, sides[2], step = parameter->rows > 1 ? 2e-5 : 2e-4;
    for (gint64 k = 0; k < count; k++)
      slope += (double)parameter->gradient[k] * direction[k];
    for (int side = 0; side < 2; side++) {
      for (gint64 k = 0; k < count; k++)
        parameter->value[k] = before[k] + (float)(side ? step : -step) * direction[k];
      sides[side] = blocks_refiner_gradient(refiner, tokens, pictures, BATCH, SIDE, SIDE);
    }
    memcpy(parameter->value, before, sizeof(float) * (gsize)count);
    double found = (sides[1] - sides[0]) / (2 * step);
    printf("  %-16s %+.6f, by differences %+.6f\n", parameter->name, slope, found);
    assert_true(fabs(found - slope) < .01 * fabs(slope) + (parameter->rows > 1 ? .01 : 1e-3));
  }
}

static double rounded(double x) {
  return sqrt(x * x + 1e-4) - .01;
}

/* Of one picture: differences, and with weight 2 the differences of neighbouring differences. */
static double plain_loss(const float *wanted, const float *found) {
  double sum = 0;
  for (int line = 0; line < 3 * SIDE; line++)
    for (int x = 0; x < SIDE; x++) {
      int at = line * SIDE + x;
      double here = (double)found[at] - wanted[at];
      sum += rounded(here);
      if (x)
        sum += 2 * rounded(here - ((double)found[at - 1] - wanted[at - 1]));
      if (line % SIDE)
        sum += 2 * rounded(here - ((double)found[at - SIDE] - wanted[at - SIDE]));
    }
  return sum / (3 * SIDE * SIDE);
}

static void a_refinement_learns_to_take_noise_out(void **state) {
  g_autofree char *path = fitted(), *out = g_build_filename(folder, "r.safetensors", NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(Autoencoder) plain = autoencoder_open(path, &error);
  must(plain);
  g_autoptr(BlocksRefiner) refiner = blocks_refiner_new(path, 3, &error);
  must(refiner);
  g_autofree float *pictures = g_new(float, BATCH * 3 * SIDE * SIDE);
  g_autofree float *tokens = g_new(float, BATCH_TOKENS *AUTOENCODER_CHANNELS);
  make_batch(plain, 1000, .4f, pictures, tokens);
  for (int step = 0; step < 40; step++)
    assert_true(blocks_refiner_step(refiner, tokens, pictures, BATCH, SIDE, SIDE, 3e-3, &error) >= 0);
  must(blocks_refiner_write(refiner, out, &error));
  g_autoptr(Autoencoder) refined = autoencoder_open(out, &error);
  must(refined);
  g_autofree float *back = g_new(float, 3 * SIDE * SIDE);
  double without = 0, with = 0;
  for (int i = 0; i < BATCH; i++) {
    const float *picture = pictures + i * 3 * SIDE * SIDE, *token = tokens + i * 16 * AUTOENCODER_CHANNELS;
    must(autoencoder_decode(plain, token, SIDE, SIDE, back, &error));
    without += plain_psnr(picture, back, 3 * SIDE * SIDE) / BATCH;
    must(autoencoder_decode(refined, token, SIDE, SIDE, back, &error));
    with += plain_psnr(picture, back, 3 * SIDE * SIDE) / BATCH;
  }
  printf("  %.2f dB without, %.2f dB with it\n", without, with);
  assert_true(with > without + .3);
  /* Going on from the file: the error is that of the file's pictures. */
  g_autoptr(BlocksRefiner) further = blocks_refiner_new(out, 9, &error);
  must(further);
  double there =
      blocks_refiner_gradient(further, tokens + 2 * 16 * 128, pictures + 2 * 3 * SIDE * SIDE, 1, SIDE, SIDE);
  assert_true(fabs(there - plain_loss(pictures + 2 * 3 * SIDE * SIDE, back)) < 1e-4 * there);
  tokens[7] = NAN;
  assert_true(blocks_refiner_step(further, tokens, pictures, BATCH, SIDE, SIDE, 2e-3, &error) < 0);
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

/* --- pictures in bytes --- */

static void bytes_come_back_exactly(void **state) {
  g_autoptr(Image) image = image_new(16, 16, 4);
  for (int i = 0; i < 16 * 16 * 4; i++)
    image->pixels[i] = (guint8)(i % 4 == 3 ? 0 : (i / 4 + i % 4 * 80) % 256);
  float picture[3 * 256];
  autoencoder_from_image(image, picture);
  g_autoptr(Image) back = autoencoder_to_image(picture, 16, 16);
  for (int i = 0; i < 256; i++)
    assert_memory_equal(back->pixels + 3 * i, image->pixels + 4 * i, 3);
  picture[0] = NAN;
  picture[1] = 7;
  picture[2] = -7;
  g_autoptr(Image) odd = autoencoder_to_image(picture, 16, 16);
  assert_true(odd->pixels[0] == 0 && odd->pixels[3] == 255 && odd->pixels[6] == 0);
}

/* --- what is refused --- */

static void refused(const char *path) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Autoencoder) autoencoder = autoencoder_open(path, &error);
  if (autoencoder || !g_error_matches(error, FAULT, FAULT_INPUT))
    fail_msg("%s was accepted", path);
  g_unlink(path);
}

static void files_with_missing_or_misshapen_tensors_are_refused(void **state) {
  static const char *const flux[] = {"bn.running_var",
                                     "encoder.conv_in.weight",
                                     "encoder.down.1.block.0.nin_shortcut.weight",
                                     "encoder.mid.attn_1.v.bias",
                                     "decoder.up.3.block.2.norm2.bias",
                                     "decoder.up.1.upsample.conv.weight",
                                     "decoder.post_quant_conv.weight",
                                     "decoder.conv_out.bias"};
  for (gsize i = 0; i < G_N_ELEMENTS(flux); i++) {
    g_autofree char *without = rewrite("vae_model_bf16.safetensors", "a.safetensors", NULL, flux[i], NULL);
    refused(without);
    g_autofree char *halved = rewrite("vae_model_bf16.safetensors", "a.safetensors", NULL, NULL, flux[i]);
    refused(halved);
  }
  static const char *const taef2[] = {"encoder.0.bias", "encoder.11.pool.1.weight",
                                      "encoder.12.pool.3.weight", "decoder.19.weight",
                                      "decoder.8.conv.4.bias"};
  for (gsize i = 0; i < G_N_ELEMENTS(taef2); i++) {
    g_autofree char *without = rewrite("taef2_f16.safetensors", "a.safetensors", NULL, taef2[i], NULL);
    refused(without);
    g_autofree char *halved = rewrite("taef2_f16.safetensors", "a.safetensors", NULL, NULL, taef2[i]);
    refused(halved);
  }
  g_autofree char *other = golden_path("ops.safetensors");
  g_autoptr(GError) error = NULL;
  assert_null(autoencoder_open(other, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

static void blocks_that_cannot_be_are_refused(void **state) {
  g_autofree float *mean = g_new0(float, 768), *basis = g_new0(float, 128 * 768), *scale = g_new0(float, 128);
  for (int kind = 0; kind < 5; kind++) {
    for (int i = 0; i < 128; i++)
      scale[i] = 1;
    scale[5] = kind == 0 ? 0 : kind == 1 ? NAN : 1;
    basis[9] = kind == 2 ? INFINITY : 0;
    g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
    safetensors_add(writer, "blocks.mean", DTYPE_F32, (gint64[]){kind == 3 ? 767 : 768}, 1, mean);
    safetensors_add(writer, "blocks.basis", DTYPE_F32, (gint64[]){kind == 4 ? 127 : 128, 768}, 2, basis);
    safetensors_add(writer, "blocks.scale", DTYPE_F32, (gint64[]){128}, 1, scale);
    g_autofree char *path = g_build_filename(folder, "b.safetensors", NULL);
    assert_true(safetensors_write(writer, path, NULL));
    refused(path);
  }
}

static void odd_sizes_are_refused(void **state) {
  g_autoptr(Autoencoder) autoencoder = open_golden("taef2_f16.safetensors");
  static const gint64 sizes[][2] = {{0, 16},  {16, -16},  {17, 16},
                                    {16, 24}, {4112, 16}, {G_MAXINT64 - 15, 16}};
  for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autoptr(GError) error = NULL;
    float nothing[1];
    assert_false(autoencoder_decode(autoencoder, nothing, sizes[i][0], sizes[i][1], nothing, &error));
    assert_true(g_error_matches(error, FAULT, FAULT_LIMIT));
  }
}

static int make_folder(void **state) {
  folder = g_dir_make_tmp("autoencoder-XXXXXX", NULL);
  return folder == NULL;
}

static int remove_folder(void **state) {
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_unlink(path);
  }
  g_rmdir(folder);
  g_free(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(flux_gives_the_reference_latent_and_maps),
      cmocka_unit_test(flux_gives_the_reference_picture_and_maps),
      cmocka_unit_test(diffusers_names_give_the_same_network),
      cmocka_unit_test(taef2_gives_the_reference_latent_of_a_photograph),
      cmocka_unit_test(taef2_gives_the_photograph_back),
      cmocka_unit_test(taef2_decodes_other_shapes),
      cmocka_unit_test(eigenvectors_solve_their_equation),
      cmocka_unit_test(eigenvectors_of_plain_matrices),
      cmocka_unit_test(blocks_keep_made_pictures),
      cmocka_unit_test(fitting_twice_gives_the_same_bytes),
      cmocka_unit_test(too_few_blocks_are_refused),
      cmocka_unit_test(a_refinement_adds_its_output),
      cmocka_unit_test(a_damaged_refinement_is_refused),
      cmocka_unit_test(the_refinement_has_the_right_gradient),
      cmocka_unit_test(a_refinement_learns_to_take_noise_out),
      cmocka_unit_test(bytes_come_back_exactly),
      cmocka_unit_test(files_with_missing_or_misshapen_tensors_are_refused),
      cmocka_unit_test(blocks_that_cannot_be_are_refused),
      cmocka_unit_test(odd_sizes_are_refused),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
