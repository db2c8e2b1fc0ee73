/* sprite-refine: trains the small decoder that follows the block transform, against the mosaic of 16-pixel
 * blocks.
 *
 * It begins with noise: the tokens of true pictures get white noise and on the first components, the blocks'
 * mean colours and slopes, as much again and more. With --model it then learns from that model's own errors:
 * a true picture is mixed with noise for a third to two thirds of the way, and the model's sampler, with the
 * caption and its guidance, leads it back to a picture that is drawn over anew by the model but still lies on
 * the true one. The decoder learns to give the true pictures back. What it gained is measured on held-out
 * pictures. */
#include "captions.h"
#include "identity/models/model.h"
#include "identity/network/optimiser.h"
#include "identity/sampling/noise.h"
#include "identity/sampling/sampler.h"
#include "sprite.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIRST_COMPONENTS 9
#define BATCH 8
#define RATE 2e-3
#define WARM_UP 50
#define REPORT_STEPS 50
#define JUDGED 200
#define JUDGED_OWN 60
#define JUDGED_NOISE .2f
#define STREAM_WHITE 101
#define STREAM_FIRST 102
#define STREAM_AMOUNT 103
#define STREAM_OWN 104
#define STREAM_START 105
#define OWN_STEPS 14 /* of the model's sampler */
#define OWN_SKIP 7   /* so many of these, up to OWN_SKIP + OWN_SKIPS - 1, are left out */
#define OWN_SKIPS 5
#define WORKERS 2

typedef struct {
  int size, steps, own_steps, own;
  double white, first; /* most noise on all components, and added on the first */
  gint64 seed;
  char *out, *model;
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

/* --- a model's own errors --- */

typedef struct {
  guint64 seed;
  Part part;
  int count;
  float *tokens; /* [count, numbers] */
} Pool;

typedef struct {
  Sprite *sprite;
  Autoencoder *autoencoder;
  TransformerRun *run;
} Desk;

static void desk_clear(Desk *desk) {
  sprite_free(desk->sprite);
  autoencoder_free(desk->autoencoder);
  transformer_run_free(desk->run);
}

/* Picture `index` mixed with noise, and what the model makes of it. */
static gboolean draw_over(Model *model, Desk *desk, const Pool *pool, guint64 index, const float *text,
                          const float *empty, float *tokens, GError **error) {
  int size = (int)model_facts(model)->resolution;
  gint64 count = numbers(size), side = size / AUTOENCODER_PATCH;
  g_autofree float *picture = g_new(float, (gsize)size *(gsize)size * 3), *noise = g_new(float, (gsize)count);
  float start, sigmas[OWN_STEPS + 1];
  sample(desk->sprite, size, pool->seed, index, pool->part, picture);
  noise_uniform(pool->seed, STREAM_START + (index << 8), 1, &start);
  noise_fill(pool->seed, STREAM_OWN + (index << 8), count, noise);
  const ModelFacts *facts = model_facts(model);
  const SamplerInput input = {.height = side,
                              .width = side,
                              .steps = OWN_STEPS,
                              .guidance = facts->guidance,
                              .shift = facts->shift,
                              .text = text,
                              .empty = empty,
                              .n_text = model_text_length(model),
                              .skip = OWN_SKIP + (int)(start * OWN_SKIPS)};
  sampler_schedule(side * side, OWN_STEPS, facts->shift, sigmas);
  if (!autoencoder_encode(desk->autoencoder, picture, size, size, tokens, error))
    return FALSE;
  for (gint64 i = 0; i < count; i++)
    tokens[i] += sigmas[input.skip] * (noise[i] - tokens[i]);
  return sampler_run(desk->run, model_transformer(model), NULL, &input, tokens, NULL, NULL, error);
}

static gboolean desk_open(Desk *desk, Model *model, const char *blocks, GError **error) {
  gint64 size = model_facts(model)->resolution, side = size / AUTOENCODER_PATCH;
  desk->sprite = sprite_new((int)size);
  return (desk->autoencoder = autoencoder_open(blocks, error)) != NULL &&
         (desk->run = transformer_run_new(model_transformer(model), side * side, model_text_length(model),
                                          FALSE, ARITHMETIC_F32, error)) != NULL;
}

/* The texts of one picture of the pool: its caption, everything said or as in the model's training. */
static gboolean read_text(Model *model, Sprite *sprite, const Pool *pool, guint64 index, guint8 *pixels,
                          float *text, GError **error) {
  Attributes attributes;
  Dice dice = dice_new(pool->seed, 5, index);
  sprite_sample(sprite, pool->seed, index, pool->part, &attributes, pixels);
  g_autofree char *caption = caption_of(&attributes, &caption_whole, NULL, &dice);
  const float *features = model_features(model, caption, NULL, error);
  if (features)
    memcpy(text, features, sizeof *text * (gsize)(model_text_length(model) * model_text_width(model)));
  return features != NULL;
}

static gboolean pool_fill(Pool *pool, Model *model, const char *blocks, GError **error) {
  int size = (int)model_facts(model)->resolution;
  gint64 count = numbers(size), words = model_text_length(model) * model_text_width(model);
  Desk desks[WORKERS] = {0};
  gboolean good = TRUE;
  for (int w = 0; w < WORKERS && good; w++)
    good = desk_open(&desks[w], model, blocks, error);
  g_autofree float *texts = g_new(float, (gsize)(pool->count + 1) * (gsize)words);
  g_autofree guint8 *pixels = g_malloc((gsize)size * (gsize)size * 3);
  for (int i = 0; i < pool->count && good; i++)
    good = read_text(model, desks[0].sprite, pool, (guint64)i, pixels, texts + (i + 1) * words, error);
  const float *empty = good ? model_features(model, "", NULL, error) : NULL;
  if (empty)
    memcpy(texts, empty, sizeof *texts * (gsize)words);
  GError *errors[WORKERS] = {NULL};
  /* A small network's operations are too short to be divided: each worker draws whole pictures. */
#pragma omp parallel for schedule(static, 1) num_threads(WORKERS) if (empty)
  for (int w = 0; w < WORKERS; w++)
    for (int i = w; i < pool->count && empty && !errors[w]; i += WORKERS)
      draw_over(model, &desks[w], pool, (guint64)i, texts + (i + 1) * words, texts, pool->tokens + i * count,
                &errors[w]);
  for (int w = 0; w < WORKERS; w++) {
    desk_clear(&desks[w]);
    if (errors[w] && empty && good) {
      g_propagate_error(error, errors[w]);
      good = FALSE;
    } else
      g_clear_error(&errors[w]);
  }
  return good && empty;
}

/* --- learning --- */

typedef struct {
  const Options *options;
  Autoencoder *linear;
  BlocksRefiner *refiner;
  Sprite *sprite;
  float *pictures, *tokens;
} Lesson;

static gboolean damage_with_noise(Lesson *lesson, guint64 index, float *picture, float *tokens,
                                  GError **error) {
  const Options *o = lesson->options;
  float amount[2];
  sample(lesson->sprite, o->size, (guint64)o->seed, index, PART_LEARN, picture);
  if (!autoencoder_encode(lesson->linear, picture, o->size, o->size, tokens, error))
    return FALSE;
  noise_uniform((guint64)o->seed, STREAM_AMOUNT + (index << 8), 2, amount);
  add_noise((guint64)o->seed, index, numbers(o->size), (float)o->white * amount[0],
            (float)o->first * amount[1], tokens);
  return TRUE;
}

/* pool: what the tokens come from, or NULL for noise. */
static gboolean learn(Lesson *lesson, const Pool *pool, int steps, GError **error) {
  const Options *o = lesson->options;
  gint64 pixels = 3 * (gint64)o->size * o->size, count = numbers(o->size);
  const RateSchedule schedule = {.shape = RATE_COSINE, .warmup = WARM_UP, .steps = steps, .floor = .02};
  double sum = 0;
  for (int step = 0; step < steps; step++) {
    for (int i = 0; i < BATCH; i++) {
      guint64 index = (guint64)step * BATCH + (guint64)i;
      float *picture = lesson->pictures + i * pixels, *tokens = lesson->tokens + i * count;
      if (pool) {
        index %= (guint64)pool->count;
        sample(lesson->sprite, o->size, pool->seed, index, pool->part, picture);
        memcpy(tokens, pool->tokens + (gint64)index * count, sizeof *tokens * (gsize)count);
      } else if (!damage_with_noise(lesson, index, picture, tokens, error))
        return FALSE;
    }
    double mean = blocks_refiner_step(lesson->refiner, lesson->tokens, lesson->pictures, BATCH, o->size,
                                      o->size, RATE * rate_factor(&schedule, step), error);
    if (mean < 0)
      return FALSE;
    sum += mean;
    if ((step + 1) % REPORT_STEPS == 0) {
      printf("step %d: %.5f\n", step + 1, sum / REPORT_STEPS);
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

/* pool: what the tokens come from, or NULL for held-out pictures with noise. */
static gboolean judge(const Options *o, const char *name, Autoencoder *autoencoder, const Pool *pool,
                      float noise, GError **error) {
  gint64 pixels = 3 * (gint64)o->size * o->size, count = numbers(o->size);
  int judged = pool ? pool->count : JUDGED;
  g_autoptr(Sprite) sprite = sprite_new(o->size);
  g_autofree float *picture = g_new(float, (gsize)pixels), *back = g_new(float, (gsize)pixels);
  g_autofree float *tokens = g_new(float, (gsize)count);
  Jump wanted = {0}, found = {0};
  double psnr = 0;
  for (int i = 0; i < judged; i++) {
    double sum = 0;
    sample(sprite, o->size, pool ? pool->seed : (guint64)o->seed, (guint64)i, PART_HOLD_OUT, picture);
    if (!pool && !autoencoder_encode(autoencoder, picture, o->size, o->size, tokens, error))
      return FALSE;
    if (!pool)
      add_noise((guint64)o->seed + 1, (guint64)i, count, noise, 2 * noise, tokens);
    if (!autoencoder_decode(autoencoder, pool ? pool->tokens + i * count : tokens, o->size, o->size, back,
                            error))
      return FALSE;
    for (gint64 k = 0; k < pixels; k++) {
      back[k] = CLAMP(back[k], -1, 1);
      sum += ((double)back[k] - picture[k]) * ((double)back[k] - picture[k]);
    }
    psnr += 10 * log10(4 * (double)pixels / sum) / judged;
    jump_add(&wanted, picture, o->size);
    jump_add(&found, back, o->size);
  }
  printf("%-8s %s %.1f: %.2f dB, border jump %.2f (true pictures %.2f)\n", name,
         pool ? "own errors" : "noise", (double)noise, psnr, jump_ratio(&found), jump_ratio(&wanted));
  return TRUE;
}

static gboolean judge_both(const Options *o, Autoencoder *linear, const Pool *own, GError **error) {
  g_autoptr(Autoencoder) refined = autoencoder_open(o->out, error);
  if (!refined || !judge(o, "before", linear, NULL, 0, error) || !judge(o, "after", refined, NULL, 0, error))
    return FALSE;
  if (own)
    return judge(o, "before", linear, own, 0, error) && judge(o, "after", refined, own, 0, error);
  return judge(o, "before", linear, NULL, JUDGED_NOISE, error) &&
         judge(o, "after", refined, NULL, JUDGED_NOISE, error);
}

/* Without a refinement that may be in the file. */
static char *without_refinement(const char *path, const char *out, GError **error) {
  static const char *const names[] = {"blocks.mean", "blocks.basis", "blocks.scale"};
  g_autoptr(Safetensors) file = safetensors_open(path, error);
  if (!file)
    return NULL;
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    const SafetensorsTensor *tensor = safetensors_find(file, names[i]);
    if (!tensor)
      return fault_null(error, FAULT_INPUT, "%s is no block transform.", path);
    safetensors_add(writer, names[i], tensor->dtype, tensor->shape, tensor->rank, tensor->data);
  }
  g_autofree char *plain = g_strconcat(out, ".plain", NULL);
  return safetensors_write(writer, plain, error) ? g_steal_pointer(&plain) : NULL;
}

static gboolean learn_own(Lesson *lesson, const char *blocks, Pool *held_out, GError **error) {
  const Options *o = lesson->options;
  g_autoptr(Model) model = model_open(o->model, error);
  if (!model)
    return FALSE;
  if (model_facts(model)->resolution != o->size)
    return fault(error, FAULT_USAGE, "%s does not draw pictures of %d pixels.", o->model, o->size);
  g_autofree float *tokens = g_new(float, (gsize)(o->own * numbers(o->size)));
  Pool pool = {(guint64)o->seed + 1, PART_LEARN, o->own, tokens};
  if (!pool_fill(&pool, model, blocks, error) || !pool_fill(held_out, model, blocks, error))
    return FALSE;
  printf("%d pictures drawn over by the model\n", o->own);
  fflush(stdout);
  return learn(lesson, &pool, o->own_steps, error);
}

static gboolean run(const Options *o, const char *path, GError **error) {
  if (o->size % AUTOENCODER_PATCH || o->size < 64 || o->size > 1024 || o->steps < 0 || o->own_steps < 1 ||
      o->own < 1 || o->own > 100000)
    return fault(error, FAULT_USAGE, "--size is a multiple of %d from 64 to 1024, counts at least 1.",
                 AUTOENCODER_PATCH);
  g_autofree char *plain = without_refinement(path, o->out, error);
  g_autoptr(Autoencoder) linear = plain ? autoencoder_open(plain, error) : NULL;
  g_autoptr(BlocksRefiner) refiner = linear ? blocks_refiner_new(path, (guint64)o->seed, error) : NULL;
  if (!refiner)
    return FALSE;
  g_autoptr(Sprite) sprite = sprite_new(o->size);
  g_autofree float *pictures = g_new(float, (gsize)(BATCH * 3 * o->size * o->size));
  g_autofree float *tokens = g_new(float, (gsize)(BATCH * numbers(o->size)));
  g_autofree float *own = g_new(float, (gsize)(JUDGED_OWN * numbers(o->size)));
  Pool held_out = {(guint64)o->seed + 2, PART_HOLD_OUT, JUDGED_OWN, own};
  Lesson lesson = {o, linear, refiner, sprite, pictures, tokens};
  gboolean good = learn(&lesson, NULL, o->steps, error) &&
                  (!o->model || learn_own(&lesson, plain, &held_out, error)) &&
                  blocks_refiner_write(refiner, o->out, error) &&
                  judge_both(o, linear, o->model ? &held_out : NULL, error);
  g_unlink(plain);
  return good;
}

int main(int argc, char **argv) {
  Options o = {.size = 128, .steps = 300, .own_steps = 600, .own = 800, .white = .15, .first = .3, .seed = 1};
  const GOptionEntry entries[] = {
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &o.out, "The transform with its decoder", "FILE"},
      {"steps", 0, 0, G_OPTION_ARG_INT, &o.steps, "Of eight pictures with noise (300)", "N"},
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &o.model, "Then learn from this model's own errors", "FOLDER"},
      {"own-steps", 0, 0, G_OPTION_ARG_INT, &o.own_steps, "Of eight such pictures (600)", "N"},
      {"own", 0, 0, G_OPTION_ARG_INT, &o.own, "So many different ones (800)", "N"},
      {"size", 0, 0, G_OPTION_ARG_INT, &o.size, "Side of the pictures (128)", "PIXELS"},
      {"white", 0, 0, G_OPTION_ARG_DOUBLE, &o.white, "Most noise on all components (.15)", "DEVIATION"},
      {"first", 0, 0, G_OPTION_ARG_DOUBLE, &o.first, "Most noise added on the first nine (.3)", "DEVIATION"},
      {"seed", 0, 0, G_OPTION_ARG_INT64, &o.seed, "Of pictures, noise and weights (1)", "N"},
      {NULL}};
  g_autoptr(GOptionContext) context = g_option_context_new("AUTOENCODER -o FILE");
  g_option_context_set_summary(context,
                               "Trains the decoder that follows a block transform; one that is there "
                               "already is trained on.");
  g_option_context_add_main_entries(context, entries, NULL);
  g_autoptr(GError) error = NULL;
  gboolean good = g_option_context_parse(context, &argc, &argv, &error);
  if (good && (argc != 2 || !o.out))
    good = fault(&error, FAULT_USAGE, "give a block transform and where the result goes: FILE -o FILE.");
  good = good && run(&o, argv[1], &error);
  if (!good)
    fprintf(stderr, "sprite-refine: %s\n", error->message);
  g_free(o.out);
  g_free(o.model);
  return good ? 0 : 1;
}
