/* What a LoRA draws while it is being trained, as files in the training's folder.
 *
 * A preview is drawn from the same noise at every step, so that nothing but the training changes it:
 * preview-000100-1.png is the first prompt after 100 steps. previews.png shows all so far, one row a step,
 * below the pictures that were learnt from; loss.png is the chart of the loss. */
#pragma once
#include "base/progress.h"
#include "identity/training/loss_chart.h"

#define PREVIEWS_SHEET "previews.png"
#define PREVIEWS_CHART "loss.png"
#define PREVIEWS_MAX_PROMPTS 8

typedef struct {
  const Recipe *recipe;
  const char *folder;
  const char *trigger, *class;
  const char *const *prompts; /* NULL at the end; or NULL: usual ones */
  const char *const *pictures;
  int picture_count;
} PreviewsSetup;

typedef struct Previews Previews;
/* The setup's texts must live as long. fresh: those of an older training are removed. FAULT_USAGE,
 * FAULT_INPUT. */
Previews *previews_new(Model *model, const PreviewsSetup *setup, gboolean fresh, GError **error);
void previews_free(Previews *previews);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Previews, previews_free)
/* Bytes beside the model's weights. */
gint64 previews_bytes(Model *model, const Recipe *recipe);

gboolean previews_draw(Previews *previews, gint64 step, const Lora *lora, Progress *progress, GError **error);
gboolean previews_write_sheet(Previews *previews, GError **error);
gboolean previews_write_chart(Previews *previews, const LoraStep *steps, gint64 count, const char *title,
                              GError **error);
