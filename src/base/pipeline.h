/* Items that pass three stages side by side: one thread makes them, several work on them, the calling thread
 * takes them in the order in which they were made.
 *
 * At most `depth` items exist at a time, so memory does not grow with their number. The result does not
 * depend on the number of workers as long as `work` depends on nothing but its item. */
#pragma once
#include "base/fault.h"

typedef struct {
  /* Makes the next item; *item stays NULL at the end. Called on one thread of its own. */
  gboolean (*produce)(gpointer user, gpointer *item, GError **error);
  /* Works on an item; worker is 0..workers-1 and never runs twice at a time. */
  gboolean (*work)(gpointer user, int worker, gpointer item, GError **error);
  /* Takes an item, in order, on the calling thread. */
  gboolean (*consume)(gpointer user, gpointer item, GError **error);
  /* Frees an item; every item that was made is freed once, whatever fails. */
  void (*release)(gpointer item);
} PipelineStages;

/* Runs until produce has come to its end or a stage fails; the first failure is reported. */
gboolean pipeline_run(const PipelineStages *stages, int workers, int depth, gpointer user, GError **error);
