/* What a model's folder says of itself, read and checked before any network is opened. */
#pragma once
#include "identity/models/model.h"

typedef enum { MODEL_TEXT_WORDS, MODEL_TEXT_QWEN3 } ModelText;

typedef struct {
  ModelFacts facts;
  char *transformer, *autoencoder; /* paths */
  ModelText text;
  char *words, *encoder, *tokenizer;
  json_t *unsaid; /* identity/text/unsaid.h; or NULL */
  int taps[3];
  gint64 length;
} ModelFile;

#define MODEL_FILE "model.json"
#define MODEL_FILE_DIFFUSERS "model_index.json"

/* FAULT_INPUT. */
ModelFile *model_file_read(const char *folder, GError **error);
void model_file_free(ModelFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ModelFile, model_file_free)
gboolean model_file_is(const char *folder);
