/* Training a LoRA on a Dataset: steps, log, checkpoints, early stop.
 *
 * Everything random follows from the recipe's seed and the number of the step, and every sum has a fixed
 * order, so that a training that was killed at any moment and goes on from its checkpoint gives the same
 * LoRA, bit for bit, as one that was not.
 *
 * Three files are kept in its folder: checkpoint.safetensors (checkpoint.h), loss.csv (one line a step), and,
 * with a held-out picture, nothing more: the best adapter so far is part of the checkpoint.
 *
 *   g_autoptr(LoraTraining) training = lora_training_open(transformer, dataset, &setup, error);
 *   if (!training || !lora_training_run(training, NULL, NULL, progress, error)) return FALSE;
 *   lora_save(lora_training_result(training), …);
 */
#pragma once
#include "base/progress.h"
#include "identity/training/dataset.h"
#include "identity/training/recipe.h"

#define LORA_TRAINING_CHECKPOINT "checkpoint.safetensors"
#define LORA_TRAINING_LOG "loss.csv"

typedef struct {
  const Recipe *recipe; /* settled */
  Arithmetic arithmetic;
  const char *model;  /* name of the model, part of what a checkpoint belongs to */
  const char *folder; /* exists; for checkpoint and log; NULL: nothing is kept */
} LoraTrainingSetup;

/* What one step was like. held: the loss on the held-out pictures after it, NaN where nobody looked. */
typedef struct {
  double loss, rate, norm, held;
} LoraStep;

typedef struct LoraTraining LoraTraining;
/* Begins, or goes on where the folder's checkpoint ends. transformer, dataset (with its captions read) and
 * recipe must live as long. FAULT_USAGE, FAULT_INPUT for the checkpoint of another training, FAULT_OUTPUT. */
LoraTraining *lora_training_open(const Transformer *transformer, const Dataset *dataset,
                                 const LoraTrainingSetup *setup, GError **error);
void lora_training_free(LoraTraining *training);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoraTraining, lora_training_free)

/* One step: the loss and its gradients over the step's pictures, clipping, AdamW; a look at the held-out
 * pictures where it is time. FAULT_NETWORK where loss, gradients or weights stop being numbers: the
 * checkpoint before it is what remains. */
gboolean lora_training_step(LoraTraining *training, GError **error);
/* Writes the checkpoint. FAULT_OUTPUT; FAULT_NETWORK after a step that failed so. */
gboolean lora_training_save(LoraTraining *training, GError **error);
gint64 lora_training_steps(const LoraTraining *training);     /* done, those before the resumption included */
gboolean lora_training_done(const LoraTraining *training);    /* all steps, or stopped early */
gboolean lora_training_stopped(const LoraTraining *training); /* early, for want of progress */

/* As it is now. */
const Lora *lora_training_lora(const LoraTraining *training);
/* Makes it what it was when it did best on the held-out picture, where there is one; no step may follow.
 * Returns after how many steps that was. */
gint64 lora_training_take_best(LoraTraining *training);
/* All steps so far; valid until the next one. */
const LoraStep *lora_training_history(const LoraTraining *training, gint64 *count);

/* Called after every preview_every steps and after the last. FALSE ends the training with *error. */
typedef gboolean (*LoraPreview)(gint64 step, const Lora *lora, gpointer user, GError **error);
/* All steps that are left, with checkpoints. When it is cancelled the checkpoint is written first. */
gboolean lora_training_run(LoraTraining *training, LoraPreview preview, gpointer user, Progress *progress,
                           GError **error);

/* Bytes that a training holds beside the model's weights. */
gint64 lora_training_bytes(const TransformerShape *shape, const Recipe *recipe, gint64 n_image, gint64 n_text,
                           Arithmetic arithmetic, gboolean held_out);
