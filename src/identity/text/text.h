/* From a prompt to text features: the tokenizer of Qwen and the Qwen3 encoder, or, for the small model that
 * ships, word vectors. */
#pragma once
#include "tensor/ops.h"

/* --- byte-level BPE --- */
typedef struct Tokenizer Tokenizer;
/* tokenizer.json, or a folder with it or with vocab.json and merges.txt (and added_tokens.json). Everything
 * in it is checked. FAULT_INPUT. */
Tokenizer *tokenizer_open(const char *path, GError **error);
void tokenizer_free(Tokenizer *tokenizer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tokenizer, tokenizer_free)
/* Ids of a text; special tokens in it become single ids (transfer full; element gint32). FAULT_INPUT when it
 * is not UTF-8. */
GArray *tokenizer_encode(const Tokenizer *tokenizer, const char *text, GError **error);
/* The chat template around a prompt, truncated and padded to `length`; count: how many are real. */
GArray *tokenizer_prompt(const Tokenizer *tokenizer, const char *prompt, gint64 length, gint64 *count,
                         GError **error);

/* --- Qwen3 --- */
typedef struct TextEncoder TextEncoder;
/* model.safetensors, or a folder with model.safetensors.index.json. Only the layers up to the last that is
 * used are read. taps: the three hidden states that are concatenated (9, 18, 27 of the real ones; 1, 2, 3 of
 * the toy), counted as in the golden data. FAULT_INPUT. */
TextEncoder *text_encoder_open(const char *path, const int taps[3], GError **error);
void text_encoder_free(TextEncoder *encoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TextEncoder, text_encoder_free)
gint64 text_encoder_width(const TextEncoder *encoder); /* of the features: 3 · hidden */
/* features [length, width]; count: keys from there on are padding. */
gboolean text_encoder_run(TextEncoder *encoder, const gint32 *ids, gint64 length, gint64 count,
                          Arithmetic arithmetic, float *features, GError **error);
