/* A block of each kind at the size of FLUX.2 [klein] 4B, forward and one training step of an adapter, against
 * the matrix library's own peak in the same run:
 *
 *   identity [ROUNDS]
 *   identity ROUNDS whole      a whole forward of the 4B shape for 256x256 pixels instead; takes 9 GB
 *
 * Weights are random bf16, the text has 512 rows. A training step is a forward, the block's forward again and
 * its gradients: three times the forward's products with weights and four and a half times its attention. The
 * blocks are called by themselves, through the transformer's private header. */
#include "identity/network/transformer_private.h"
#include "peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HIDDEN 3072
#define MLP (3 * HIDDEN)
#define CONTEXT 7680
#define TEXT_ROWS 512
#define IMAGE_ROWS_MOST 1024
#define RANK 16

static int rounds = 3;

/* Any numbers as weights: normal ones for four thousand million would take minutes. */
static Transformer *random_transformer(const TransformerShape *shape, GError **error) {
  Transformer *transformer = transformer_alloc(shape, "The bench", FALSE, error);
  for (guint i = 0; transformer && i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    gint64 count = slot->rows * MAX(slot->cols, 1);
    if (slot->linear) {
      guint16 *data = transformer_copy_new(transformer, sizeof *data * (gsize)count);
      fill_halves(data, count);
      slot->linear->weights = (Weights){DTYPE_BF16, slot->rows, slot->cols, data};
    } else {
      slot->scale->value = transformer_copy_new(transformer, sizeof(float) * (gsize)count);
      for (gint64 k = 0; k < count; k++)
        slot->scale->value[k] = 1;
    }
  }
  return transformer;
}

typedef struct {
  const char *name;
  void (*forward)(const Pass *pass, int block, float *x);
  void (*backward)(const Pass *pass, int block, const float *x, float *d);
} Kind;

static const Kind kinds[] = {{"double", double_forward, double_backward},
                             {"single", single_forward, single_backward}};

static void row(const Kind *kind, const char *what, const Pass *pass, double flop, double seconds,
                double peak) {
  printf("%s block, %-10s %5d + %d tokens, %s %9.1f ms %7.0f GFLOP/s %5.0f %%\n", kind->name, what,
         (int)pass->n_image, (int)pass->n_text, pass->run->arithmetic == ARITHMETIC_F32 ? "fp32" : "bf16",
         seconds * 1e3, flop / seconds / 1e9, flop / seconds / 1e9 / peak * 100);
  fflush(stdout);
}

static void measure(const Kind *kind, const Pass *pass, double peak) {
  gint64 n = pass->n, size = n * HIDDEN;
  double linear = 26.0 * HIDDEN * HIDDEN * (double)n, attention = 4.0 * (double)n * (double)n * HIDDEN,
         seconds;
  float *input = floats(size), *x = floats(size), *d = floats(size);
  Pass plain = *pass;
  plain.lora = NULL;
  BEST(rounds, seconds, {
    memcpy(x, input, sizeof *x * (gsize)size);
    kind->forward(&plain, 0, x);
  });
  row(kind, "forward", pass, linear + attention, seconds, peak);
  BEST(rounds, seconds, {
    memcpy(x, input, sizeof *x * (gsize)size);
    memcpy(d, input, sizeof *d * (gsize)size);
    kind->forward(pass, 0, x);
    kind->backward(pass, 0, input, d);
  });
  row(kind, "training", pass, 3 * linear + 4.5 * attention, seconds, peak);
  free(input), free(x), free(d);
}

/* Any numbers where a forward of the whole would have left the modulations and angles. */
static void fill_conditioning(TransformerRun *run, gint64 n) {
  g_autofree float *random = floats(6 * HIDDEN);
  memcpy(run->modulation[TEXT], random, sizeof *random * 6 * HIDDEN);
  memcpy(run->modulation[IMAGE], random, sizeof *random * 6 * HIDDEN);
  memcpy(run->single_modulation, random, sizeof *random * 3 * HIDDEN);
  for (gint64 i = 0; i < n * run->transformer->shape.head / 2; i++) {
    run->cos[i] = .6f;
    run->sin[i] = .8f;
  }
}

static gboolean run_all(GError **error) {
  TransformerShape shape = {.hidden = HIDDEN,
                            .head = 128,
                            .mlp = MLP,
                            .context = CONTEXT,
                            .channels = 128,
                            .doubles = 1,
                            .singles = 1};
  g_autoptr(Transformer) transformer = random_transformer(&shape, error);
  g_autoptr(Lora) lora = transformer ? lora_new(transformer, RANK, 1, error) : NULL;
  if (!lora)
    return FALSE;
  double peak[] = {[ARITHMETIC_F32] = peak_f32(rounds), [ARITHMETIC_BF16] = peak_bf16(rounds)};
  printf("%d threads; the library's peak: fp32 %.0f GFLOP/s, bf16 %.0f GFLOP/s\n", omp_get_max_threads(),
         peak[ARITHMETIC_F32], peak[ARITHMETIC_BF16]);
  for (int arithmetic = ARITHMETIC_F32; arithmetic <= ARITHMETIC_BF16; arithmetic++) {
    g_autoptr(TransformerRun) run =
        transformer_run_new(transformer, IMAGE_ROWS_MOST, TEXT_ROWS, TRUE, (Arithmetic)arithmetic, error);
    if (!run)
      return FALSE;
    fill_conditioning(run, IMAGE_ROWS_MOST + TEXT_ROWS);
    for (gint64 n_image = 256; n_image <= IMAGE_ROWS_MOST; n_image *= 4)
      for (gsize kind = 0; kind < G_N_ELEMENTS(kinds); kind++) {
        Pass pass = {
            .run = run, .lora = lora, .n_text = TEXT_ROWS, .n_image = n_image, .n = TEXT_ROWS + n_image};
        measure(&kinds[kind], &pass, peak[arithmetic] > 0 ? peak[arithmetic] : peak[ARITHMETIC_F32]);
      }
  }
  return TRUE;
}

/* What one step of a sampler costs, by the clock and in processor seconds. */
static gboolean run_whole(GError **error) {
  TransformerShape shape = {.hidden = HIDDEN,
                            .head = 128,
                            .mlp = MLP,
                            .context = CONTEXT,
                            .channels = 128,
                            .doubles = 5,
                            .singles = 20};
  const gint64 n_image = 256;
  g_autoptr(Transformer) transformer = random_transformer(&shape, error);
  if (!transformer)
    return FALSE;
  g_autofree float *image = floats(n_image * 128), *text = floats(TEXT_ROWS * CONTEXT),
                   *out = floats(n_image * 128);
  g_autofree TokenId *ids = g_new0(TokenId, TEXT_ROWS);
  const TransformerInput input = {
      n_image, n_image, TEXT_ROWS, image, (const TokenId *)ids, text, (const TokenId *)ids, .5};
  for (int arithmetic = ARITHMETIC_F32; arithmetic <= ARITHMETIC_BF16; arithmetic++) {
    g_autoptr(TransformerRun) run =
        transformer_run_new(transformer, n_image, TEXT_ROWS, FALSE, (Arithmetic)arithmetic, error);
    if (!run)
      return FALSE;
    double seconds;
    clock_t before = clock();
    BEST(rounds, seconds, transformer_forward(run, &input, NULL, out));
    printf("forward of 4B, 256 + 512 tokens, %s: %.1f s, %.1f processor seconds\n",
           arithmetic == ARITHMETIC_F32 ? "fp32" : "bf16", seconds,
           (double)(clock() - before) / CLOCKS_PER_SEC / (rounds + 1));
    fflush(stdout);
  }
  return TRUE;
}

int main(int argc, char **argv) {
  if (argc > 1)
    rounds = CLAMP(atoi(argv[1]), 1, 100);
  g_autoptr(GError) error = NULL;
  if (argc > 2 && g_str_equal(argv[2], "whole") ? run_whole(&error) : run_all(&error))
    return 0;
  fprintf(stderr, "%s\n", error->message);
  return 1;
}
