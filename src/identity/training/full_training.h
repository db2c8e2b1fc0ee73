/* From a folder of captioned pictures to a small model of its own: all weights trained from scratch.
 *
 * The model's folder becomes one that model_open reads: transformer, block transform (fitted to the
 * pictures), a vocabulary of the captions' words with fixed random vectors, and model.json. In its training/
 * are the log of the loss (loss.csv) and, until the training is complete, the checkpoint: the same call on
 * the same pictures goes on from there, bit for bit.
 *
 *   const FullTraining job = {.pictures = paths, .name = "houses", .steps = 5000, …};
 *   full_train(&job, "houses", &trained, progress, &error);
 */
#pragma once
#include "base/progress.h"

#define FULL_MIN_PICTURES 16
#define FULL_MAX_PICTURES 100000
#define FULL_TRAINING "training" /* the folder in the model's folder */

typedef struct {
  const char *const *pictures; /* NULL at the end; each has its caption beside it, NAME.txt */
  const char *name;            /* of the model; NULL: that of the folder */
  gint64 steps, batch;
  gint64 resolution;       /* side of the square to which pictures are cut and shrunk; a multiple of 16 */
  gint64 hidden;           /* width of the network, a multiple of 64 */
  gint64 doubles, singles; /* blocks */
  double rate;
  guint64 seed;
  double minutes; /* between checkpoints */
} FullTraining;
/* What the small model that is shipped was made with: 192 wide, 1 + 5 blocks, batch 48, 128 pixels. */
extern const FullTraining full_training_defaults;

typedef struct {
  gint64 steps;
  double loss; /* mean of the last hundred steps */
} FullTrained;

/* FAULT_USAGE, FAULT_INPUT for pictures or captions that cannot be read, FAULT_LIMIT for their number,
 * FAULT_NETWORK where the loss broke, FAULT_OUTPUT, FAULT_CANCELLED (the checkpoint is written first). */
gboolean full_train(const FullTraining *job, const char *folder, FullTrained *trained, Progress *progress,
                    GError **error);

/* The pictures of a folder in the order of their names (transfer full, g_strfreev). FAULT_INPUT. */
char **full_training_pictures(const char *folder, GError **error);
