/* Training steps: AdamW, Muon, clipping, schedules of the learning rate, and a state that can be kept.
 *
 * AdamW is PyTorch's (Loshchilov, Hutter: "Decoupled weight decay regularization", 2019). Muon (Jordan et
 * al., 2024) turns the momentum of a matrix into the nearest orthogonal one by five Newton-Schulz steps. A
 * state that was saved and loaded goes on bit for bit as if nothing had happened.
 *
 *   g_autoptr(GArray) parameters = lora_parameters(lora);
 *   g_autoptr(Optimiser) optimiser = optimiser_new(parameters, &settings);
 *   … transformer_backward …
 *   double norm = optimiser_clip(optimiser, 1);
 *   if (!isfinite(norm)) stop;
 *   optimiser_step(optimiser, settings.rate * rate_factor(&schedule, step));
 *   optimiser_clear(optimiser);
 */
#pragma once
#include "identity/network/transformer.h"
#include "tensor/safetensors.h"

typedef struct {
  double rate;         /* of AdamW; informative: each step is given its own */
  double beta1, beta2; /* .9, .999 */
  double epsilon;      /* 1e-8 */
  double decay;        /* of the weights, decoupled: p ← p (1 - rate · decay) */
  gboolean muon;       /* for the matrices of the blocks; all others have AdamW */
  double momentum;     /* of Muon, .95 */
  double muon_rate;    /* Muon's rate is that of AdamW times this (10): entries move by twice AdamW's rate */
} OptimiserSettings;
/* .9, .999, 1e-8, no decay, no Muon. */
extern const OptimiserSettings optimiser_defaults;

typedef struct Optimiser Optimiser;
/* parameters (element Parameter, not owned) must live as long as the optimiser. */
Optimiser *optimiser_new(const GArray *parameters, const OptimiserSettings *settings);
void optimiser_free(Optimiser *optimiser);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Optimiser, optimiser_free)
gint64 optimiser_bytes(const Optimiser *optimiser); /* of its state */
gint64 optimiser_steps(const Optimiser *optimiser); /* done so far */

/* The norm of all gradients together; where it is above max (> 0), all are multiplied by max / (norm + 1e-6).
 * Not finite where a gradient is not: then nothing is changed and no step should follow. */
double optimiser_clip(Optimiser *optimiser, double max);
/* Multiplies all gradients: for the mean over samples whose gradients were added up. */
void optimiser_scale(Optimiser *optimiser, double factor);
void optimiser_step(Optimiser *optimiser, double rate);
void optimiser_clear(Optimiser *optimiser); /* gradients to zero */

/* Adds the parameters and the optimiser's state to a checkpoint; all must live until it is written. */
void optimiser_save(const Optimiser *optimiser, SafetensorsWriter *writer);
/* Takes them back. FAULT_INPUT when the checkpoint is of other parameters or damaged; then nothing is
 * changed. */
gboolean optimiser_load(Optimiser *optimiser, const Safetensors *file, GError **error);

/* --- learning rate --- */

typedef enum {
  RATE_CONSTANT,
  RATE_COSINE, /* down to `floor` at the last step */
  RATE_LINEAR, /* constant for the share `hold` of the steps, then a line to `floor` */
} RateShape;

typedef struct {
  RateShape shape;
  gint64 warmup, steps; /* the rate rises from 1 / warmup in the first steps */
  double floor, hold;   /* both shares, 0..1 */
} RateSchedule;
/* What the rate is multiplied by at step 0, 1, … */
double rate_factor(const RateSchedule *schedule, gint64 step);

/* u [rows, cols] replaced by the nearest orthogonal matrix, roughly: its singular values come to lie in about
 * .7 … 1.2. work: room for muon_work(rows, cols) numbers. */
gint64 muon_work(gint64 rows, gint64 cols);
void muon_orthogonalise(float *u, gint64 rows, gint64 cols, float *work);
