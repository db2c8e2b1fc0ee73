/* Captions that a model gives to pictures that came without.
 *
 * Of each thing that its captions speak of (identity/text/unsaid.h) the model is asked under which clause it
 * predicts the picture best, one thing after the other (Li et al.: "Your diffusion model is secretly a
 * zero-shot classifier", 2023). Looks are left out, so that they are learned with the trigger word instead.
 */
#pragma once
#include "identity/models/model.h"
#include "identity/training/dataset.h"

/* The caption of a picture's tokens, with `class` for who is in it; NULL without an error where the model has
 * no list of what captions speak of (transfer full). FAULT_NETWORK, FAULT_INPUT. */
char *self_caption(Model *model, const DatasetItem *item, const char *class, GError **error);
