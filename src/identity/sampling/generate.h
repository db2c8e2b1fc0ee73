/* From prompts to pictures.
 *
 * The same model, adapter, prompt, seed, size and steps give the same picture on the same machine, however
 * many are drawn together: picture i of a prompt has the seed `seed + i`.
 *
 *   const char *prompts[] = {"a man in the park", NULL};
 *   const GenerateOptions options = {.prompts = prompts, .count = 4, .seed = 1, .strength = 1};
 *   generate(model, &options, keep, pictures, progress, error);
 */
#pragma once
#include "base/progress.h"
#include "identity/models/model.h"

/* What a Character's lora.safetensors says of itself, in its metadata. */
#define LORA_MODEL "troupe.model"     /* the name of the model it was trained on */
#define LORA_TRIGGER "troupe.trigger" /* the word that calls the character */
#define LORA_CLASS "troupe.class"     /* what the character is, as the captions said it: "person", "woman" */

typedef struct {
  const char *const *prompts; /* NULL at the end */
  int count;                  /* pictures of each prompt */
  guint64 seed;
  double aspect;                  /* width / height; 0: 1 */
  int steps;                      /* 0: the model's */
  double guidance;                /* 0: the model's */
  const char *lora;               /* a LoRA file, or NULL */
  double strength;                /* of it; 1 is as trained */
  const char *trigger, *class;    /* NULL: what the LoRA's file says */
  const Image *const *references; /* pictures to draw after, or NULL */
  int reference_count;
  gint64 memory; /* bytes that may be used; 0: what the system has */
} GenerateOptions;
#define GENERATE_REFERENCES_MAX 16
#define GENERATE_COUNT_MAX 1000

typedef struct {
  int prompt, index; /* which of the prompts, which of its pictures */
  guint64 seed;
  const char *text; /* the prompt with the trigger in its place and what it left open decided */
  int steps;
  double guidance;
  Image *image; /* RGB; the callee may take it by setting it to NULL */
} GeneratedPicture;
/* FALSE ends the work with *error. */
typedef gboolean (*GenerateTake)(GeneratedPicture *picture, gpointer user, GError **error);

/* FAULT_USAGE for options that make no sense, FAULT_MEMORY, FAULT_INPUT for a LoRA of another
 * model, FAULT_CANCELLED. */
gboolean generate(Model *model, const GenerateOptions *options, GenerateTake take, gpointer user,
                  Progress *progress, GError **error);

/* Sides in pixels, multiples of 16, none above `longest`, of at most resolution² pixels, nearest to width /
 * height = aspect. */
void generate_size(gint64 resolution, gint64 longest, double aspect, gint64 *width, gint64 *height);
/* Bytes of working memory beside the model's weights; 0 for options that make no sense. */
gint64 generate_bytes(Model *model, const GenerateOptions *options);
/* The prompt with the trigger in it: where "[trigger]" stands, else before the class word, else in front
 * (transfer full). trigger NULL: as it is. */
char *generate_prompt(const char *prompt, const char *trigger, const char *class);
