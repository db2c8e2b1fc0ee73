/* The text side of the small model: a vocabulary and one fixed vector a word.
 *
 * One safetensors file holds both: "words.vectors" [words, width] (fp32 or bf16) and, in its metadata under
 * "words", JSON:
 *   {"length": 24, "words": ["<pad>", "man", …], "synonyms": {"guy": "man", …}, "silent": ["a", "of", …],
 *    "reserved": ["<1>", "<2>", …]}
 * Row 0 fills what is left of the sentence. Reserved rows belong to no word: a trigger word is bound to one
 * of them. */
#pragma once
#include "tensor/safetensors.h"

typedef struct Words Words;
/* FAULT_INPUT where the file is damaged or its parts do not fit each other. */
Words *words_open(const char *path, GError **error);
void words_free(Words *words);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Words, words_free)
/* vectors [words, width] are copied. FAULT_INPUT. */
Words *words_new(const char *json, const float *vectors, gint64 rows, gint64 width, GError **error);

gint64 words_length(const Words *words); /* of every sentence, padded: n_text of the transformer */
gint64 words_width(const Words *words);  /* of a vector: context of the transformer */
gint64 words_count(const Words *words);

/* From now on this word means a reserved row, always the same one for the same word. A word that the
 * vocabulary knows keeps its meaning. FAULT_USAGE where it has no letter or digit. */
gboolean words_bind(Words *words, const char *trigger, GError **error);

/* ids [length]. Letters are made small; apostrophes part words, hyphens those that are
 * not one word without them; plurals and synonyms become the
 * word that is known. left_out (may be NULL): the words that mean nothing here or found no room, in the order
 * of the text (transfer full, element-type char *, free with g_ptr_array_unref). */
void words_encode(const Words *words, const char *text, gint32 *ids, GPtrArray **left_out);
/* features [length, width] */
void words_features(const Words *words, const gint32 *ids, float *features);
/* "I do not know: purple-ish, and 2 more." for people, NULL where nothing was left out (transfer full). */
char *words_note(const GPtrArray *left_out);
