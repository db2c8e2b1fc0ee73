#include "base/progress.h"

#include "base/fault.h"

#define MEASURES_MOST 8

typedef struct {
  char *name;
  double value;
} Measure;

struct Progress {
  ProgressFunc func;
  gpointer user;
  GMutex lock; /* held while func runs */
  GPtrArray *notes;
  GMutex measuring;
  Measure measures[MEASURES_MOST];
  int measure_count;
  volatile gint cancelled;
};

Progress *progress_new(ProgressFunc func, gpointer user) {
  Progress *progress = g_new0(Progress, 1);
  progress->func = func;
  progress->user = user;
  progress->notes = g_ptr_array_new_with_free_func(g_free);
  g_mutex_init(&progress->lock);
  g_mutex_init(&progress->measuring);
  return progress;
}

void progress_free(Progress *progress) {
  if (!progress)
    return;
  g_mutex_clear(&progress->lock);
  g_mutex_clear(&progress->measuring);
  for (int i = 0; i < progress->measure_count; i++)
    g_free(progress->measures[i].name);
  g_ptr_array_unref(progress->notes);
  g_free(progress);
}

void progress_report(Progress *progress, const char *stage, gint64 done, gint64 total) {
  if (!progress || !progress->func)
    return;
  g_mutex_lock(&progress->lock);
  progress->func(stage, done, total, progress->user);
  g_mutex_unlock(&progress->lock);
}

/* With the lock held. */
static Measure *find_measure(Progress *progress, const char *name) {
  for (int i = 0; i < progress->measure_count; i++)
    if (g_str_equal(progress->measures[i].name, name))
      return &progress->measures[i];
  return NULL;
}

void progress_measure(Progress *progress, const char *name, double value) {
  if (!progress)
    return;
  g_mutex_lock(&progress->measuring);
  Measure *measure = find_measure(progress, name);
  if (!measure && progress->measure_count < MEASURES_MOST) {
    measure = &progress->measures[progress->measure_count++];
    measure->name = g_strdup(name);
  }
  if (measure)
    measure->value = value;
  g_mutex_unlock(&progress->measuring);
}

gboolean progress_measured(Progress *progress, const char *name, double *value) {
  if (!progress)
    return FALSE;
  g_mutex_lock(&progress->measuring);
  const Measure *measure = find_measure(progress, name);
  if (measure)
    *value = measure->value;
  g_mutex_unlock(&progress->measuring);
  return measure != NULL;
}

void progress_measures(Progress *progress, ProgressMeasureFunc func, gpointer user) {
  if (!progress)
    return;
  g_mutex_lock(&progress->measuring);
  for (int i = 0; i < progress->measure_count; i++)
    func(progress->measures[i].name, progress->measures[i].value, user);
  g_mutex_unlock(&progress->measuring);
}

void progress_note(Progress *progress, const char *format, ...) {
  if (!progress)
    return;
  va_list args;
  va_start(args, format);
  char *note = g_strdup_vprintf(format, args);
  va_end(args);
  g_mutex_lock(&progress->lock);
  g_ptr_array_add(progress->notes, note);
  g_mutex_unlock(&progress->lock);
}

char **progress_notes(Progress *progress) {
  if (!progress)
    return g_new0(char *, 1);
  g_mutex_lock(&progress->lock);
  char **notes = g_new0(char *, progress->notes->len + 1);
  for (guint i = 0; i < progress->notes->len; i++)
    notes[i] = g_strdup(progress->notes->pdata[i]);
  g_mutex_unlock(&progress->lock);
  return notes;
}

void progress_cancel(Progress *progress) {
  if (progress)
    g_atomic_int_set(&progress->cancelled, 1);
}

gboolean progress_continue(Progress *progress, GError **error) {
  if (!progress || !g_atomic_int_get(&progress->cancelled))
    return TRUE;
  return fault(error, FAULT_CANCELLED, "Interrupted; nothing was written.");
}
