/* How a model's LoRAs are trained: the numbers that belong to the model and not to the character.
 *
 * A model's folder may say them in model.json; what it leaves out is filled from the small or the large
 * model's defaults:
 *   "training": {"steps": 1400, "rank": 16, "rate": 2e-3, "batch": 8, "replay": 4, "preserve": false,
 *                "resolution": 128, "dropout": 0, "clip": 1, "beta2": 0.99, "decay": 0,
 *                "warmup": 20, "hold": 0.7, "floor": 0.05,
 *                "times": {"mean": 0.5, "deviation": 1, "uniform": 0.1, "shifted": false},
 *                "pictures": "replay.safetensors"}
 * pictures: ordinary pictures of the model's world as tokens, with their captions (replay.h), or none. */
#pragma once
#include "identity/models/model.h"
#include "identity/network/optimiser.h"
#include "identity/training/flow_loss.h"

#define RECIPE_MAX_STEPS 20000
#define RECIPE_MAX_BATCH 64
#define RECIPE_MAX_RANK 1024

typedef struct {
  gint64 steps, rank, resolution;
  double rate;
  int batch;         /* pictures of the character in a step; their gradients are added up one by one */
  int replay;        /* ordinary pictures beside them, where there are any */
  gboolean preserve; /* for those, what the model said before is the target instead of the picture */
  double dropout;    /* share of captions that are left empty */
  double clip;       /* of the gradients' norm */
  FlowTimes times;
  OptimiserSettings optimiser;
  RateSchedule schedule; /* its steps follow those above */
  guint64 seed;
  gint64 checkpoint_every; /* steps */
  gint64 preview_every;    /* steps; 0: none */
  gint64 evaluate_every;   /* steps between looks at a held-out picture */
  int patience;            /* that many looks without anything better end the training; 0: never */
} Recipe;

extern const Recipe recipe_small; /* a model of millions of parameters */
extern const Recipe recipe_large; /* FLUX.2 [klein] */

/* What the model's folder says, over the defaults for its size. FAULT_INPUT. */
gboolean recipe_of_model(const Model *model, Recipe *recipe, char **pictures, GError **error);
/* After the user's changes: every number within its limits, and those that follow from others.
 * FAULT_USAGE. */
gboolean recipe_settle(Recipe *recipe, GError **error);
/* What a resumed training must have in common with the one before: seed, batch, rank and the like, as text.
 * steps and rate may change (transfer full). */
char *recipe_text(const Recipe *recipe);
