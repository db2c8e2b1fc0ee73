/* The models that draw (identity/models/model.h), as operations know them: by the names of their folders. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"
#include <jansson.h>

/* [{"id", "title", "about", "resolution", "trainable"}], looked for until there are some, then kept. Valid as
 * long as the App. */
const json_t *drawing_models(App *app);
/* The name of the model to use (transfer full): `name` when it is there, the first one for NULL; trainable:
 * one on which a LoRA can be learnt. REFUSAL_MODEL for a name that is not there or cannot be trained;
 * where there is none at all REFUSAL_TRAINER (trainable) or REFUSAL_MODEL. */
char *drawing_model(App *app, const char *name, gboolean trainable, GError **error);
/* A seed that nobody chose: 0..2^32-1. */
gint64 drawing_seed(void);
