/* How far long work has come, and whether it should stop. Engines report, the caller decides what to show.
 *
 * Safe to call from several threads. All functions accept NULL and then do nothing. */
#pragma once
#include <glib.h>

typedef struct Progress Progress;

/* stage: a few words in the user's language of what is being done; total may be 0 when it is not known. */
typedef void (*ProgressFunc)(const char *stage, gint64 done, gint64 total, gpointer user);

Progress *progress_new(ProgressFunc func, gpointer user);
void progress_free(Progress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Progress, progress_free)

void progress_report(Progress *progress, const char *stage, gint64 done, gint64 total);

/* A number that goes with what is reported, "loss": the last value of each name is kept. May be called, as
 * its reading may, from within a ProgressFunc. Of more than a few names those that are new are passed over.
 */
void progress_measure(Progress *progress, const char *name, double value);
/* FALSE when nothing of that name was measured yet. */
gboolean progress_measured(Progress *progress, const char *name, double *value);
/* Calls func for each. */
typedef void (*ProgressMeasureFunc)(const char *name, double value, gpointer user);
void progress_measures(Progress *progress, ProgressMeasureFunc func, gpointer user);

/* A remark that the user should read, one sentence: what was guessed, what could be better. Kept for
 * progress_notes. */
void progress_note(Progress *progress, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The remarks so far (transfer full, free with g_strfreev). */
char **progress_notes(Progress *progress);

/* Ask the work to stop; async-signal-safe. */
void progress_cancel(Progress *progress);
/* FALSE with FAULT_CANCELLED when the work should stop. Call it at least once a frame. */
gboolean progress_continue(Progress *progress, GError **error);
