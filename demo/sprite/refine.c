/* sprite-refine: trains the small decoder that follows the block transform, against the mosaic of 16-pixel
 * blocks.
 *
 * A generator errs mostly in the first components, the blocks' mean colours and slopes, so the tokens of true
 * pictures get white noise and on those few as much again and more; the decoder learns to give the pictures
 * back. What it gained is measured on held-out pictures, clean and with noise. */
#include "identity/autoencoder.h"
#include "identity/noise.h"
#include "identity/optimiser.h"
#include "sprite.h"

#include <math.h>
#include <stdio.h>

#define FIRST_COMPONENTS 9
#define BATCH 8
#define RATE 2e-3
#define WARM_UP 50
#define REPORT_STEPS 250
#define JUDGED 200
#define JUDGED_NOISE .2f
#define STREAM_WHITE 101
#define STREAM_FIRST 102
#define STREAM_AMOUNT 103

typedef struct {
  int size, steps;
  double white, first; /* most noise on all components, and added on the first */
  gint64 seed;
  char *out;
} Options;

static gint64 numbers(int size) { /* of a picture's tokens */
  return (gint64)(size / AUTOENCODER_PATCH) * (size / AUTOENCODER_PATCH) * AUTOENCODER_CHANNELS;
}

static void sample(Sprite *sprite, int size, guint64 seed, guint64 index, Part part, float *picture) {
  Attributes attributes;
  g_autoptr(Image) image = image_new(size, size, 3);
  sprite_sample(sprite, seed, index, part, &attributes, image->pixels);
  autoencoder_from_image(image, picture);
}

static void add_noise(guint64 seed, guint64 index, gint64 count, float white, float first, float *tokens) {
  g_autofree float *all = g_new(float, (gsize)count), *some = g_new(float, (gsize)count);
  noise_fill(seed, STREAM_WHITE + (index << 8), count, all);
  noise_fill(seed, STREAM_FIRST + (index << 8), count, some);
  for (gint64 i = 0; i < count; i++)
    tokens[i] += white * all[i] + (i % AUTOENCODER_CHANNELS < FIRST_COMPONENTS ? first * some[i] : 0);
}

/* --- learning --- */

static gboolean learn(const Options *o, Autoencoder *linear, BlocksRefiner *refiner, GError **error) {
  gint64 pixels = 3 * (gint64)o->size * o->size, count = numbers(o->size);
  g_autoptr(Sprite) sprite = sprite_new(o->size);
  g_autofree float *pictures = g_new(float, (gsize)(BATCH * pixels)),
                   *tokens = g_new(float, (gsize)(BATCH * count));
  const RateSchedule schedule = {.shape = RATE_COSINE, .warmup = WARM_UP, .steps = o->steps, .floor = .02};
  double sum = 0;
  for (int step = 0; step < o->steps; step++) {
    for (int i = 0; i < BATCH; i++) {
      guint64 index = (guint64)step * BATCH + (guint64)i;
      float amount[2], *token = tokens + i * count;
      sample(sprite, o->size, (guint64)o->seed, index, PART_LEARN, pictures + i * pixels);
      if (!autoencoder_encode(linear, pictures + i * pixels, o->size, o->size, token, error))
        return FALSE;
      noise_uniform((guint64)o->seed, STREAM_AMOUNT + (index << 8), 2, amount);
      add_noise((guint64)o->seed, index, count, (float)o->white * amount[0], (float)o->first * amount[1],
                token);
    }
    double mean = blocks_refiner_step(refiner, tokens, pictures, BATCH, o->size, o->size,
                                      RATE * rate_factor(&schedule, step), error);
    if (mean < 0)
      return FALSE;
    sum += mean;
    if ((step + 1) % REPORT_STEPS == 0) {
      printf("step %d: %.2f dB\n", step + 1, 10 * log10(4 * REPORT_STEPS / sum));
      fflush(stdout);
      sum = 0;
    }
  }
  return TRUE;
}

/* --- judging --- */

/* Mean jump between neighbours across the borders of blocks, relative to elsewhere. */
typedef struct {
  double border, inside, borders, insides;
} Jump;

static void jump_add(Jump *jump, const float *picture, int size) {
  for (int plane = 0; plane < 3; plane++)
    for (int y = 1; y < size; y++)
      for (int x = 1; x < size; x++) {
        const float *at = picture + ((gint64)plane * size + y) * size + x;
        double across = fabs((double)at[0] - at[-1]), down = fabs((double)at[0] - at[-size]);
        *(x % AUTOENCODER_PATCH ? &jump->inside : &jump->border) += across;
        *(x % AUTOENCODER_PATCH ? &jump->insides : &jump->borders) += 1;
        *(y % AUTOENCODER_PATCH ? &jump->inside : &jump->border) += down;
        *(y % AUTOENCODER_PATCH ? &jump->insides : &jump->borders) += 1;
      }
}

static double jump_ratio(const Jump *jump) {
  return jump->border / jump->borders / (jump->inside / jump->insides);
}

static gboolean judge(const Options *o, const char *name, Autoencoder *autoencoder, float noise,
                      GError **error) {
  gint64 pixels = 3 * (gint64)o->size * o->size, count = numbers(o->size);
  g_autoptr(Sprite) sprite = sprite_new(o->size);
  g_autofree float *picture = g_new(float, (gsize)pixels), *back = g_new(float, (gsize)pixels);
  g_autofree float *tokens = g_new(float, (gsize)count);
  Jump wanted = {0}, found = {0};
  double psnr = 0;
  for (guint64 i = 0; i < JUDGED; i++) {
    double sum = 0;
    sample(sprite, o->size, (guint64)o->seed, i, PART_HOLD_OUT, picture);
    if (!autoencoder_encode(autoencoder, picture, o->size, o->size, tokens, error))
      return FALSE;
    add_noise((guint64)o->seed + 1, i, count, noise, 2 * noise, tokens);
    if (!autoencoder_decode(autoencoder, tokens, o->size, o->size, back, error))
      return FALSE;
    for (gint64 k = 0; k < pixels; k++) {
      back[k] = CLAMP(back[k], -1, 1);
      sum += ((double)back[k] - picture[k]) * ((double)back[k] - picture[k]);
    }
    psnr += 10 * log10(4 * (double)pixels / sum) / JUDGED;
    jump_add(&wanted, picture, o->size);
    jump_add(&found, back, o->size);
  }
  printf("%-8s noise %.1f: %.2f dB, border jump %.2f (true pictures %.2f)\n", name, (double)noise, psnr,
         jump_ratio(&found), jump_ratio(&wanted));
  return TRUE;
}

static gboolean judge_both(const Options *o, const char *path, Autoencoder *linear, GError **error) {
  g_autoptr(Autoencoder) refined = autoencoder_open(path, error);
  return refined && judge(o, "before", linear, 0, error) && judge(o, "after", refined, 0, error) &&
         judge(o, "before", linear, JUDGED_NOISE, error) && judge(o, "after", refined, JUDGED_NOISE, error);
}

static gboolean run(const Options *o, const char *path, GError **error) {
  if (o->size % AUTOENCODER_PATCH || o->size < 64 || o->size > 1024 || o->steps < 1)
    return fault(error, FAULT_USAGE, "--size is a multiple of %d from 64 to 1024, --steps at least 1.",
                 AUTOENCODER_PATCH);
  g_autoptr(Autoencoder) linear = autoencoder_open(path, error);
  g_autoptr(BlocksRefiner) refiner = linear ? blocks_refiner_new(path, (guint64)o->seed, error) : NULL;
  return refiner && learn(o, linear, refiner, error) && blocks_refiner_write(refiner, o->out, error) &&
         judge_both(o, o->out, linear, error);
}

int main(int argc, char **argv) {
  Options o = {.size = 128, .steps = 4000, .white = .3, .first = .6, .seed = 1};
  const GOptionEntry entries[] = {
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &o.out, "The transform with its decoder", "FILE"},
      {"steps", 0, 0, G_OPTION_ARG_INT, &o.steps, "Of eight pictures (4000)", "N"},
      {"size", 0, 0, G_OPTION_ARG_INT, &o.size, "Side of the pictures (128)", "PIXELS"},
      {"white", 0, 0, G_OPTION_ARG_DOUBLE, &o.white, "Most noise on all components (.3)", "DEVIATION"},
      {"first", 0, 0, G_OPTION_ARG_DOUBLE, &o.first, "Most noise added on the first nine (.6)", "DEVIATION"},
      {"seed", 0, 0, G_OPTION_ARG_INT64, &o.seed, "Of pictures, noise and weights (1)", "N"},
      {NULL}};
  g_autoptr(GOptionContext) context = g_option_context_new("AUTOENCODER -o FILE");
  g_option_context_add_main_entries(context, entries, NULL);
  g_autoptr(GError) error = NULL;
  gboolean good = g_option_context_parse(context, &argc, &argv, &error);
  if (good && (argc != 2 || !o.out))
    good = fault(&error, FAULT_USAGE, "give a block transform and where the result goes: FILE -o FILE.");
  good = good && run(&o, argv[1], &error);
  if (!good)
    fprintf(stderr, "sprite-refine: %s\n", error->message);
  g_free(o.out);
  return good ? 0 : 1;
}
