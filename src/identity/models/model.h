/* A Model: all the networks that together turn a prompt into a picture, as one folder.
 *
 * model.json names what is in it:
 *   {"format": 1, "name": "sprite", "title": "Sprite", "about": "One sentence.",
 *    "transformer": "transformer.safetensors",
 *    "autoencoder": "autoencoder.safetensors",
 *    "text": {"kind": "words", "file": "words.safetensors"}
 *        or  {"kind": "qwen3", "encoder": "text_encoder", "tokenizer": "tokenizer", "taps": [9, 18, 27],
 *             "length": 512},
 *    "resolution": 128, "longest": 128, "steps": 20, "guidance": 3, "shift": 1.5, "trainable": true,
 *    "licence": "LICENSE", "card": "README.md"}
 * longest (optional) is the longest side that it can draw.
 * Files are named relative to the folder and lie inside it; a network may be one file or the folder of a
 * sharded one. shift 0 (the default) is FLUX.2's own schedule. licence and card are optional texts.
 *
 * A folder without model.json but with model_index.json is one of FLUX.2 [klein] as it is published for
 * diffusers: transformer, text_encoder, tokenizer and vae, with the steps and guidance of the distilled or
 * the base model.
 *
 *   g_autofree char *folder = model_find("sprite", NULL, error);
 *   g_autoptr(Model) model = folder ? model_open(folder, error) : NULL;
 */
#pragma once
#include "identity/network/transformer.h"
#include "identity/picture/autoencoder.h"
#include <jansson.h>

#define MODEL_DEFAULT "sprite"

typedef struct {
  char *folder, *name, *title, *about;
  char *licence, *card; /* the texts, or NULL */
  gint64 resolution;    /* pixels a side of a square picture */
  gint64 longest;       /* pixels that no side may exceed, where the model has learned no larger ones */
  int steps;
  double guidance, shift;
  gboolean trainable;
} ModelFacts;

typedef struct Model Model;
/* Opens every network of it and checks that they fit each other. FAULT_INPUT. */
Model *model_open(const char *folder, GError **error);
void model_free(Model *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Model, model_free)

const ModelFacts *model_facts(const Model *model);
Transformer *model_transformer(Model *model);
Autoencoder *model_autoencoder(Model *model);

/* How products are done with a network of this size. */
Arithmetic model_arithmetic(const Model *model);

/* Makes a word of the user's one that the text side of the model knows (nothing to do for Qwen, which
 * spells). FAULT_USAGE where it cannot be a word. */
gboolean model_bind(Model *model, const char *trigger, GError **error);
/* The text's shape: features are [length, width]. */
gint64 model_text_length(const Model *model);
gint64 model_text_width(const Model *model);
/* The prompt with what it leaves open decided, where the model wants that (identity/text/unsaid.h), else as
 * it is (transfer full). learned: it is about a Character with a LoRA. */
char *model_complete(const Model *model, const char *prompt, guint64 seed, gboolean learned);
/* What its captions speak of (identity/text/unsaid.h), or NULL. */
const json_t *model_unsaid(const Model *model);
/* Features of a prompt, the model's. The last few prompts' are kept, so they
 * are valid until a dozen others have been asked for. note (may be NULL): what in
 * the prompt meant nothing to the model, a sentence, or NULL (transfer full). FAULT_INPUT. */
const float *model_features(Model *model, const char *prompt, char **note, GError **error);

/* Prompts that an encoder has read are from now on kept in a folder and taken from there
 * (identity/text/prompt_cache.h); words need no such thing. FAULT_OUTPUT. */
gboolean model_keep_prompts(Model *model, const char *folder, GError **error);

/* --- where models are --- */
/* The folder of a model (transfer full): `name` itself where it is such a folder; else the folder of that
 * name in `folder` (nothing else then), in what TROUPE_MODELS names, in the user's data (troupe/models), in
 * the installed share/troupe/models, in the source folder's models. FAULT_USAGE lists what there is. */
char *model_find(const char *name, const char *folder, GError **error);
/* Names of all models there (transfer full; element char *, sorted, freed with the array). */
GPtrArray *model_list(const char *folder);
