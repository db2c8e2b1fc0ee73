/* From ten to thirty pictures to a Character's lora.safetensors.
 *
 * The Character's folder is made where it is new. Inside it, in training/, are the log of the loss
 * (loss.csv), what was said of each picture (captions.txt), its chart (loss.png), the previews and their
 * contact sheet (previews.png), and, until the training is complete, the checkpoint: the same call on the
 * same pictures goes on from there.
 *
 *   g_autofree char *replay = NULL;
 *   recipe_of_model(model, &recipe, &replay, error);
 *   const CharacterTraining job = {.pictures = paths, .picture_count = 12, .name = "Ada", .replay_file =
 * replay}; character_train(model, &recipe, &job, "ada", &trained, progress, error);
 */
#pragma once
#include "base/progress.h"
#include "identity/training/lora_training.h"

#define CHARACTER_LORA "lora.safetensors"
#define CHARACTER_TRAINING "training" /* the folder in the Character's folder */

typedef struct {
  const char *const *pictures;
  int picture_count;           /* DATASET_MIN_PICTURES … DATASET_MAX_PICTURES */
  const char *const *captions; /* one for all, or one for each picture, in their order; NULL: the texts beside
                                  the pictures, and where there is none the model's own
                                  (self_caption.h), or a template */
  int caption_count;
  const char *const *masks; /* pictures, white is the figure, one for each in their order; or NULL: alpha */
  int mask_count;
  const char *held_out;        /* a picture that is not learnt from, for the early stop; or NULL */
  const char *const *replay;   /* ordinary pictures, NULL at the end, with texts beside them; or NULL */
  const char *replay_file;     /* the model's own (recipe_of_model), or NULL; taken where replay is NULL */
  const char *name;            /* of the Character; NULL: that of the folder */
  const char *trigger;         /* NULL: CAPTION_TRIGGER */
  const char *class;           /* what the character is, "woman"; NULL: CAPTION_CLASS */
  const char *const *previews; /* prompts, NULL at the end; or NULL: usual ones */
  gint64 memory;               /* bytes that may be used; 0: what the system has */
} CharacterTraining;

typedef struct {
  gint64 steps, best_step;      /* done; those after which the LoRA was taken */
  gboolean stopped;             /* early */
  double first_loss, last_loss; /* means over the first and last tenth */
  gint64 bytes;                 /* planned */
} CharacterTrained;

/* FAULT_USAGE, FAULT_INPUT for pictures that cannot be read, FAULT_LIMIT for their number, FAULT_MEMORY
 * (nothing has been written then), FAULT_NETWORK where the loss broke, FAULT_OUTPUT, FAULT_CANCELLED
 * (the checkpoint is written first). */
gboolean character_train(Model *model, const Recipe *recipe, const CharacterTraining *job, const char *folder,
                         CharacterTrained *trained, Progress *progress, GError **error);
/* Bytes that it will hold, with the model's weights. */
gint64 character_training_bytes(Model *model, const Recipe *recipe, const CharacterTraining *job);
