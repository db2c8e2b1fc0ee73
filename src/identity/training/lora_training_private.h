/* What training a LoRA and keeping its record share. */
#pragma once
#include "identity/training/lora_training.h"

#include <stdio.h>

#define LORA_TRAINING_WORKERS 2 /* of a small network */

typedef struct {
  TransformerRun *run;
  FlowLoss *flow;
  Lora *lora; /* the matrices of the training's, gradients of its own; the first worker's is the training's */
} Worker;

struct LoraTraining {
  const Dataset *dataset;
  const Recipe *recipe;
  char *identity; /* what a checkpoint must say */
  char *checkpoint, *log_path;
  FILE *log;
  Lora *lora;
  GArray *parameters; /* of lora */
  Optimiser *optimiser;
  Worker workers[LORA_TRAINING_WORKERS];
  int worker_count;
  int replay;      /* a step */
  gint64 step;     /* done */
  gint64 kept;     /* steps of the last checkpoint, -1: none */
  GArray *history; /* LoraStep */
  gboolean broken; /* a step failed: what is in memory is not to be kept */
  /* With held-out pictures: */
  float *best; /* all parameters when it did best */
  double best_held;
  gint64 best_step, looks_since; /* looks without anything better */
  struct {
    guint32 *at;
    gint64 round; /* that is shuffled in it */
  } order[2];
};

/* --- the record: log and checkpoint (lora_record.c) --- */
gint64 lora_record_numbers(const LoraTraining *training); /* of all parameters */
/* All parameters to training->best, or back. */
void lora_record_best(LoraTraining *training, gboolean back);
/* From the checkpoint, where there is one. FAULT_INPUT for that of another training. */
gboolean lora_record_resume(LoraTraining *training, GError **error);
/* The log from its beginning, with what the checkpoint knows: lines of steps that were lost go. FAULT_OUTPUT.
 */
gboolean lora_record_open_log(LoraTraining *training, GError **error);
/* One more step, to history and log. FAULT_OUTPUT. */
gboolean lora_record_add(LoraTraining *training, const LoraStep *line, GError **error);
