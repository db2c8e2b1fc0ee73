/* One run of the transformer serves all pictures of a call; text features are read once a prompt, references
 * once a call. */
#include "identity/sampling/generate.h"
#include "base/memory.h"
#include "identity/sampling/sampler.h"
#include "tensor/safetensors.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#define ASPECT_MAX 4 /* longer pictures are not what any model has seen */
#define STRENGTH_MAX 4
#define STEPS_MAX 1000
#define NOISE_STREAM 0
#define TRIGGER_PLACE "[trigger]"
/* As the reference does it: FLUX.2, flux2/sampling.py. */
#define REFERENCE_MIN_SIDE 64
#define REFERENCE_MAX_ASPECT 8

/* --- sizes --- */

void generate_size(gint64 resolution, gint64 longest, double aspect, gint64 *width, gint64 *height) {
  double best = INFINITY, area = (double)resolution * (double)resolution;
  *width = *height = AUTOENCODER_PATCH;
  for (gint64 h = AUTOENCODER_PATCH; h <= longest; h += AUTOENCODER_PATCH) {
    gint64 most = (gint64)(area / (double)h) / AUTOENCODER_PATCH * AUTOENCODER_PATCH;
    gint64 wanted = (gint64)llround((double)h * aspect / AUTOENCODER_PATCH) * AUTOENCODER_PATCH;
    gint64 w = MIN(MIN(most, wanted), longest);
    if (w < AUTOENCODER_PATCH)
      continue;
    /* A wrong shape costs as much as the same share of pixels left out. */
    double cost = fabs(log((double)w / (double)h / aspect)) + .5 * log(area / (double)(w * h));
    if (cost < best) {
      best = cost;
      *width = w;
      *height = h;
    }
  }
}

/* --- prompts --- */

static gboolean is_word_end(const char *text, const char *at) {
  return at == text || !g_unichar_isalnum(g_utf8_get_char(g_utf8_prev_char(at)));
}

/* Where `word` stands by itself in the text, whatever its case, or NULL. */
static const char *find_word(const char *text, const char *word) {
  gsize length = strlen(word);
  for (const char *at = text; *word && *at; at = g_utf8_next_char(at))
    if (g_ascii_strncasecmp(at, word, length) == 0 && is_word_end(text, at) &&
        !g_unichar_isalnum(g_utf8_get_char(at + length)))
      return at;
  return NULL;
}

char *generate_prompt(const char *prompt, const char *trigger, const char *class) {
  if (!trigger || !*trigger)
    return g_strdup(prompt);
  g_autoptr(GString) text = g_string_new(prompt);
  if (g_string_replace(text, TRIGGER_PLACE, trigger, 0) || find_word(prompt, trigger))
    return g_strdup(text->str);
  const char *place = class ? find_word(prompt, class) : NULL;
  if (place)
    return g_strdup_printf("%.*s%s %s", (int)(place - prompt), prompt, trigger, place);
  return class && *class ? g_strdup_printf("%s %s, %s", trigger, class, prompt)
                         : g_strdup_printf("%s, %s", trigger, prompt);
}

/* --- one call --- */

typedef struct {
  Model *model;
  const GenerateOptions *options;
  GenerateTake take;
  gpointer user;
  Progress *progress;
  GError **error;

  int steps, prompts;
  double guidance;
  gint64 width, height; /* pixels */
  char *trigger, *class;
  Lora *lora;
  TransformerRun *run;
  float *references;
  gint64 (*reference_sizes)[2]; /* tokens */
  gint64 reference_tokens;
  float *x, *picture;
  int done; /* pictures */
} Generation;

static void generation_clear(Generation *g) {
  g_free(g->trigger);
  g_free(g->class);
  lora_free(g->lora);
  transformer_run_free(g->run);
  g_free(g->references);
  g_free(g->reference_sizes);
  g_free(g->x);
  g_free(g->picture);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Generation, generation_clear)

static gboolean check_options(Generation *g) {
  const GenerateOptions *o = g->options;
  double aspect = o->aspect > 0 ? o->aspect : 1;
  g->prompts = o->prompts ? (int)g_strv_length((char **)o->prompts) : 0;
  if (!g->prompts)
    return fault(g->error, FAULT_USAGE, "there is no prompt: say what should be drawn.");
  if (o->count < 1 || o->count > GENERATE_COUNT_MAX)
    return fault(g->error, FAULT_USAGE, "between 1 and %d pictures can be drawn, not %d.", GENERATE_COUNT_MAX,
                 o->count);
  if (o->steps < 0 || o->steps > STEPS_MAX)
    return fault(g->error, FAULT_USAGE, "a picture takes between 1 and %d steps, not %d.", STEPS_MAX,
                 o->steps);
  if (!(aspect <= ASPECT_MAX && aspect >= 1.0 / ASPECT_MAX))
    return fault(g->error, FAULT_USAGE, "the aspect ratio must lie between 1:%d and %d:1.", ASPECT_MAX,
                 ASPECT_MAX);
  if (!(fabs(o->strength) <= STRENGTH_MAX))
    return fault(g->error, FAULT_USAGE, "the strength must lie between %d and %d; 1 is as trained.",
                 -STRENGTH_MAX, STRENGTH_MAX);
  if (!(o->guidance >= 0 && o->guidance <= 100))
    return fault(g->error, FAULT_USAGE, "the guidance must lie between 0 and 100.");
  if (o->reference_count < 0 || o->reference_count > GENERATE_REFERENCES_MAX)
    return fault(g->error, FAULT_USAGE, "at most %d reference pictures can be used.",
                 GENERATE_REFERENCES_MAX);
  const ModelFacts *facts = model_facts(g->model);
  g->steps = o->steps ? o->steps : facts->steps;
  g->guidance = o->guidance > 0 ? o->guidance : facts->guidance;
  generate_size(facts->resolution, facts->longest, aspect, &g->width, &g->height);
  return TRUE;
}

/* --- the adapter --- */

static char *either(const char *given, const char *from_file) {
  return g_strdup(given ? given : from_file);
}

static gboolean open_lora(Generation *g) {
  const GenerateOptions *o = g->options;
  if (o->lora) {
    g_autoptr(Safetensors) file = safetensors_open(o->lora, g->error);
    if (!file)
      return FALSE;
    g->trigger = either(o->trigger, safetensors_metadata(file, LORA_TRIGGER));
    g->class = either(o->class, safetensors_metadata(file, LORA_CLASS));
    g->lora = lora_load(o->lora, model_transformer(g->model), g->error);
    if (!g->lora)
      return FALSE;
    g->lora->strength = (float)o->strength;
  } else {
    g->trigger = g_strdup(o->trigger);
    g->class = g_strdup(o->class);
  }
  return !g->trigger || !*g->trigger || model_bind(g->model, g->trigger, g->error);
}

/* --- references --- */

/* Sides in pixels at which a reference is used: as it is or smaller, multiples of 16. */
static gboolean reference_size(const Generation *g, const Image *image, double *scale, gint64 size[2]) {
  double longer = MAX(image->width, image->height), shorter = MIN(image->width, image->height);
  if (shorter < REFERENCE_MIN_SIDE || longer > REFERENCE_MAX_ASPECT * shorter)
    return fault(g->error, FAULT_LIMIT,
                 "A reference of %d x %d pixels cannot be used: its sides must have %d pixels and one be at "
                 "most %d times the other.",
                 image->width, image->height, REFERENCE_MIN_SIDE, REFERENCE_MAX_ASPECT);
  double most = (double)model_facts(g->model)->resolution;
  *scale = MIN(1, most / sqrt(longer * shorter));
  const int sides[2] = {image->height, image->width};
  for (int i = 0; i < 2; i++)
    size[i] = MAX(1, (gint64)(sides[i] * *scale + 1e-9) / AUTOENCODER_PATCH);
  return TRUE;
}

/* Shrunk, and cut to the middle; its tokens to `tokens`. */
static gboolean encode_reference(const Generation *g, const Image *image, double scale, const gint64 size[2],
                                 float *tokens) {
  int height = (int)size[0] * AUTOENCODER_PATCH, width = (int)size[1] * AUTOENCODER_PATCH;
  int scaled_width = MAX(width, (int)lround(image->width * scale));
  int scaled_height = MAX(height, (int)lround(image->height * scale));
  g_autoptr(Image) small = image_resize(image, scaled_width, scaled_height);
  g_autoptr(Image) middle =
      image_crop(small, (scaled_width - width) / 2, (scaled_height - height) / 2, width, height);
  g_autofree float *picture = g_new(float, (gsize)width *(gsize)height * 3);
  autoencoder_from_image(middle, picture);
  return autoencoder_encode(model_autoencoder(g->model), picture, height, width, tokens, g->error);
}

static gboolean open_references(Generation *g) {
  int count = g->options->reference_count;
  g_autofree double *scales = g_new0(double, (gsize)count + 1);
  g->reference_sizes = g_malloc0(sizeof *g->reference_sizes * (gsize)(count + 1));
  for (int i = 0; i < count; i++) {
    if (!reference_size(g, g->options->references[i], &scales[i], g->reference_sizes[i]))
      return FALSE;
    g->reference_tokens += g->reference_sizes[i][0] * g->reference_sizes[i][1];
  }
  g->references = g_new(float, (gsize)(g->reference_tokens * AUTOENCODER_CHANNELS) + 1);
  float *at = g->references;
  for (int i = 0; i < count; i++) {
    progress_report(g->progress, "Reading the references", i, count);
    if (!progress_continue(g->progress, g->error) ||
        !encode_reference(g, g->options->references[i], scales[i], g->reference_sizes[i], at))
      return FALSE;
    at += g->reference_sizes[i][0] * g->reference_sizes[i][1] * AUTOENCODER_CHANNELS;
  }
  return TRUE;
}

/* --- drawing --- */

static gint64 target_tokens(const Generation *g) {
  return g->height / AUTOENCODER_PATCH * (g->width / AUTOENCODER_PATCH);
}

static gboolean open_run(Generation *g) {
  gint64 tokens = target_tokens(g) + g->reference_tokens;
  g->run = transformer_run_new(model_transformer(g->model), tokens, model_text_length(g->model), FALSE,
                               model_arithmetic(g->model), g->error);
  g->x = g_new(float, (gsize)(target_tokens(g) * AUTOENCODER_CHANNELS));
  g->picture = g_new(float, (gsize)(3 * g->width * g->height));
  return g->run != NULL;
}

static gboolean on_step(int step, int steps, const float *x, gpointer user) {
  Generation *g = user;
  gint64 all = (gint64)g->prompts * g->options->count * steps;
  progress_report(g->progress, "Drawing", (gint64)g->done * steps + step, all);
  return progress_continue(g->progress, NULL);
}

static gboolean draw(Generation *g, const SamplerInput *input, GeneratedPicture *picture) {
  noise_fill(picture->seed, NOISE_STREAM, target_tokens(g) * AUTOENCODER_CHANNELS, g->x);
  if (!sampler_run(g->run, model_transformer(g->model), g->lora, input, g->x, on_step, g, g->error) ||
      !autoencoder_decode(model_autoencoder(g->model), g->x, g->height, g->width, g->picture, g->error))
    return FALSE;
  picture->image = autoencoder_to_image(g->picture, g->height, g->width);
  g->done++;
  on_step(0, g->steps, NULL, g);
  gboolean good = g->take(picture, g->user, g->error);
  image_free(picture->image);
  return good;
}

/* What the prompt leaves open is decided by the picture's own seed. */
static gboolean draw_one(Generation *g, SamplerInput *input, const char *prompt, GeneratedPicture *picture) {
  gboolean learned = g->trigger && *g->trigger;
  g_autofree char *text = model_complete(g->model, prompt, picture->seed, learned);
  picture->text = text;
  input->text = model_features(g->model, text, NULL, g->error);
  input->empty = input->text && g->guidance != 1 ? model_features(g->model, "", NULL, g->error) : input->text;
  return input->text && input->empty && draw(g, input, picture);
}

static gboolean draw_prompt(Generation *g, int prompt) {
  g_autofree char *note = NULL;
  g_autofree char *text = generate_prompt(g->options->prompts[prompt], g->trigger, g->class);
  SamplerInput input = {.height = g->height / AUTOENCODER_PATCH,
                        .width = g->width / AUTOENCODER_PATCH,
                        .steps = g->steps,
                        .guidance = g->guidance,
                        .shift = model_facts(g->model)->shift,
                        .n_text = model_text_length(g->model),
                        .references = g->references,
                        .reference_sizes = (const gint64(*)[2])g->reference_sizes,
                        .reference_count = g->options->reference_count};
  progress_report(g->progress, "Reading the prompt", 0, 0);
  if (!model_features(g->model, text, &note, g->error))
    return FALSE;
  if (note)
    progress_note(g->progress, "%s", note);
  for (int i = 0; i < g->options->count; i++) {
    GeneratedPicture picture = {.prompt = prompt,
                                .index = i,
                                .seed = g->options->seed + (guint64)i,
                                .steps = g->steps,
                                .guidance = g->guidance};
    if (!draw_one(g, &input, text, &picture))
      return FALSE;
  }
  return TRUE;
}

static gboolean generate_all(Generation *g) {
  if (!check_options(g) || !open_lora(g) || !open_references(g) || !open_run(g))
    return FALSE;
  for (int i = 0; i < g->prompts; i++)
    if (!draw_prompt(g, i))
      return FALSE;
  return TRUE;
}

static gboolean check_memory(Model *model, const GenerateOptions *options, GError **error) {
  gint64 wanted = generate_bytes(model, options),
         there = options->memory ? options->memory : memory_available();
  return wanted <= there || there == 0 ||
         fault(
             error, FAULT_MEMORY,
             "This needs %.1f GB of memory and %.1f GB may be used. Close other programs, or take a smaller "
             "model.",
             (double)wanted / 1e9, (double)there / 1e9);
}

gboolean generate(Model *model, const GenerateOptions *options, GenerateTake take, gpointer user,
                  Progress *progress, GError **error) {
  g_auto(Generation) g = {
      .model = model, .options = options, .take = take, .user = user, .progress = progress, .error = error};
  if (!check_memory(model, options, error))
    return FALSE;
  /* A small network's operations are too short to be divided: on a busy machine two threads wait for each
   * other ten times longer than one takes. What is drawn does not depend on their number. */
  int threads = omp_get_max_threads();
  if (model_arithmetic(model) == ARITHMETIC_F32)
    omp_set_num_threads(1);
  gboolean good = generate_all(&g);
  omp_set_num_threads(threads);
  return good;
}

gint64 generate_bytes(Model *model, const GenerateOptions *options) {
  Generation g = {.model = model, .options = options};
  g_autoptr(GError) error = NULL;
  g.error = &error;
  if (!check_options(&g))
    return 0;
  double scale;
  for (int i = 0; i < options->reference_count; i++) {
    gint64 size[2] = {0};
    if (reference_size(&g, options->references[i], &scale, size))
      g.reference_tokens += size[0] * size[1];
  }
  gint64 tokens = target_tokens(&g), text = model_text_length(model);
  return transformer_run_bytes(transformer_shape(model_transformer(model)), tokens + g.reference_tokens, text,
                               FALSE, model_arithmetic(model)) +
         autoencoder_bytes(model_autoencoder(model), g.height, g.width);
}
