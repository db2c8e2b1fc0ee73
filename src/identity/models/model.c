/* The networks of a folder opened together, and what the last prompts became. */
#include "identity/models/model_file.h"
#include "identity/text/prompt_cache.h"
#include "identity/text/text.h"
#include "identity/text/unsaid.h"

#include <glib/gstdio.h>
#include <string.h>

#define PROMPTS_KEPT 16
#define CACHE_BYTES (256 << 20)
/* From this width on the transformer is one of those that were trained and published in bf16; there its dot
 * products in bf16 are a tenth of the error of the published arithmetic and twice as fast. */
#define WIDE_TRANSFORMER 1024

struct Model {
  ModelFile *file;
  Transformer *transformer;
  Autoencoder *autoencoder;
  Words *words;
  Tokenizer *tokenizer;
  TextEncoder *encoder;
  GQueue prompts; /* Prompt *, the latest first */
  PromptCache *cache;
  char *cache_key; /* tells this encoder from others */
};

typedef struct {
  char *text, *note;
  float *features;
} Prompt;

static void prompt_free(gpointer data) {
  Prompt *prompt = data;
  g_free(prompt->text);
  g_free(prompt->note);
  g_free(prompt->features);
  g_free(prompt);
}

void model_free(Model *model) {
  if (!model)
    return;
  g_queue_clear_full(&model->prompts, prompt_free);
  transformer_free(model->transformer);
  autoencoder_free(model->autoencoder);
  words_free(model->words);
  tokenizer_free(model->tokenizer);
  text_encoder_free(model->encoder);
  prompt_cache_free(model->cache);
  g_free(model->cache_key);
  model_file_free(model->file);
  g_free(model);
}

static gboolean open_text(Model *model, GError **error) {
  const ModelFile *file = model->file;
  if (file->text == MODEL_TEXT_WORDS)
    return (model->words = words_open(file->words, error)) != NULL;
  return (model->tokenizer = tokenizer_open(file->tokenizer, error)) != NULL &&
         (model->encoder = text_encoder_open(file->encoder, file->taps, error)) != NULL;
}

static gboolean parts_fit(const Model *model, GError **error) {
  const TransformerShape *shape = transformer_shape(model->transformer);
  const char *folder = model->file->facts.folder;
  if (shape->channels != AUTOENCODER_CHANNELS)
    return fault(error, FAULT_INPUT,
                 "%s: the transformer's tokens have %" G_GINT64_FORMAT " channels, the autoencoder's %d.",
                 folder, shape->channels, AUTOENCODER_CHANNELS);
  if (shape->context != model_text_width(model))
    return fault(error, FAULT_INPUT,
                 "%s: the transformer wants text features %" G_GINT64_FORMAT
                 " wide and the text side makes them %" G_GINT64_FORMAT
                 " wide; they belong to different models.",
                 folder, shape->context, model_text_width(model));
  return TRUE;
}

Model *model_open(const char *folder, GError **error) {
  g_autoptr(Model) model = g_new0(Model, 1);
  g_queue_init(&model->prompts);
  model->file = model_file_read(folder, error);
  if (!model->file || !(model->transformer = transformer_open(model->file->transformer, FALSE, error)) ||
      !(model->autoencoder = autoencoder_open(model->file->autoencoder, error)) || !open_text(model, error) ||
      !parts_fit(model, error))
    return NULL;
  return g_steal_pointer(&model);
}

const ModelFacts *model_facts(const Model *model) {
  return &model->file->facts;
}

Transformer *model_transformer(Model *model) {
  return model->transformer;
}

Autoencoder *model_autoencoder(Model *model) {
  return model->autoencoder;
}

Arithmetic model_arithmetic(const Model *model) {
  return transformer_shape(model->transformer)->hidden >= WIDE_TRANSFORMER ? ARITHMETIC_BF16 : ARITHMETIC_F32;
}

/* --- text --- */

gint64 model_text_length(const Model *model) {
  return model->words ? words_length(model->words) : model->file->length;
}

gint64 model_text_width(const Model *model) {
  return model->words ? words_width(model->words) : text_encoder_width(model->encoder);
}

gboolean model_bind(Model *model, const char *trigger, GError **error) {
  g_queue_clear_full(&model->prompts, prompt_free);
  return !model->words || words_bind(model->words, trigger, error);
}

char *model_complete(const Model *model, const char *prompt, guint64 seed, gboolean learned) {
  return model->words ? unsaid_complete(model->file->unsaid, model->words, prompt, seed, learned)
                      : g_strdup(prompt);
}

const json_t *model_unsaid(const Model *model) {
  return model->file->unsaid;
}

static void features_of_words(const Model *model, Prompt *prompt) {
  g_autofree gint32 *ids = g_new(gint32, (gsize)model_text_length(model));
  GPtrArray *left_out = NULL;
  words_encode(model->words, prompt->text, ids, &left_out);
  words_features(model->words, ids, prompt->features);
  prompt->note = left_out ? words_note(left_out) : NULL;
  if (left_out)
    g_ptr_array_unref(left_out);
}

gboolean model_keep_prompts(Model *model, const char *folder, GError **error) {
  if (model->words || model->cache)
    return TRUE;
  const ModelFile *file = model->file;
  GStatBuf encoder = {0}, tokenizer = {0};
  g_stat(file->encoder, &encoder);
  g_stat(file->tokenizer, &tokenizer);
  g_autofree char *path = g_canonicalize_filename(file->encoder, NULL);
  model->cache_key =
      g_strdup_printf("%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %d %d %d %d", path,
                      (gint64)encoder.st_size, (gint64)encoder.st_mtime, (gint64)tokenizer.st_mtime,
                      file->taps[0], file->taps[1], file->taps[2], (int)model_arithmetic(model));
  return (model->cache = prompt_cache_open(folder, CACHE_BYTES, error)) != NULL;
}

static gboolean features_of_qwen(Model *model, Prompt *prompt, GError **error) {
  gint64 length = model_text_length(model), width = model_text_width(model), count = 0;
  if (model->cache &&
      prompt_cache_get(model->cache, model->cache_key, prompt->text, length, width, prompt->features))
    return TRUE;
  g_autoptr(GArray) ids = tokenizer_prompt(model->tokenizer, prompt->text, length, &count, error);
  if (!ids || !text_encoder_run(model->encoder, (const gint32 *)ids->data, length, count,
                                model_arithmetic(model), prompt->features, error))
    return FALSE;
  /* A full disk is no reason not to draw. */
  if (model->cache)
    prompt_cache_put(model->cache, model->cache_key, prompt->text, length, width, prompt->features, NULL);
  return TRUE;
}

static Prompt *find_prompt(const Model *model, const char *text) {
  for (GList *at = model->prompts.head; at; at = at->next)
    if (g_str_equal(((Prompt *)at->data)->text, text))
      return at->data;
  return NULL;
}

static Prompt *read_prompt(Model *model, const char *text, GError **error) {
  Prompt *prompt = g_new0(Prompt, 1);
  prompt->text = g_strdup(text);
  prompt->features = g_new(float, (gsize)(model_text_length(model) * model_text_width(model)));
  if (model->words) {
    features_of_words(model, prompt);
  } else if (!features_of_qwen(model, prompt, error)) {
    prompt_free(prompt);
    return NULL;
  }
  g_queue_push_head(&model->prompts, prompt);
  if (model->prompts.length > PROMPTS_KEPT)
    prompt_free(g_queue_pop_tail(&model->prompts));
  return prompt;
}

const float *model_features(Model *model, const char *text, char **note, GError **error) {
  if (!g_utf8_validate(text, -1, NULL))
    return fault_null(error, FAULT_INPUT, "The prompt is not UTF-8 text.");
  Prompt *prompt = find_prompt(model, text);
  if (!prompt)
    prompt = read_prompt(model, text, error);
  if (prompt && note)
    *note = g_strdup(prompt->note);
  return prompt ? prompt->features : NULL;
}
