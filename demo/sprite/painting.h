/* Many pictures of a model, several drawn side by side: what a judge wants. */
#pragma once
#include "identity/sampling/generate.h"

typedef struct {
  const char *model;           /* its folder */
  const char *lora;            /* a LoRA file, or NULL */
  gboolean silent;             /* the LoRA's trigger is put into no prompt */
  const char *trigger, *class; /* without a LoRA: what is put into the prompts; or NULL */
  int steps;                   /* 0: the model's */
  double guidance;             /* 0: the model's */
  guint64 seed;                /* picture i is drawn from seed + i */
} PaintOrder;

/* One picture of each prompt (transfer full; element Image). FAULT_INPUT, FAULT_NETWORK. */
GPtrArray *paint_all(const PaintOrder *order, const char *const *prompts, int count, GError **error);
