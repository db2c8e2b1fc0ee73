/* Shows long work: a bar on a terminal, a line now and then in a log.
 *
 * The one place in the program with state of its own: a signal handler can only reach what is global. */
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 24
#define TERMINAL_INTERVAL_US (G_USEC_PER_SEC / 10)
#define LOG_STEPS 4 /* lines per stage in a log */

static struct {
  Progress *progress;
  gboolean quiet, terminal, line_open;
  char *stage;
  gint64 stage_began, stage_first, last_drawn; /* stage_first: done when it began */
  int log_step;
} display;

static void on_signal(int number) {
  progress_cancel(display.progress);
  signal(number, SIG_DFL); /* a second one ends the program at once */
}

static void seconds_left(gint64 done, gint64 total, double elapsed, char *text, gsize size) {
  if (done <= 0 || elapsed < 0.5 || total <= done) {
    *text = 0;
    return;
  }
  int left = (int)(elapsed / (double)done * (double)(total - done) + 0.5);
  if (left >= 60)
    g_snprintf(text, size, "  %d:%02d left", left / 60, left % 60);
  else
    g_snprintf(text, size, "  %d s left", left);
}

static void draw_bar(gint64 done, gint64 total) {
  double elapsed = (double)(g_get_monotonic_time() - display.stage_began) / G_USEC_PER_SEC;
  char bar[BAR_WIDTH + 1], left[32], rate[32] = "";
  int filled = (int)(MIN(done, total) * BAR_WIDTH / MAX(total, 1));
  for (int i = 0; i < BAR_WIDTH; i++)
    bar[i] = i < filled ? '#' : '.';
  bar[BAR_WIDTH] = 0;
  gint64 since = done - display.stage_first;
  seconds_left(since, total - display.stage_first, elapsed, left, sizeof left);
  if (elapsed > 0.5 && since > 0)
    g_snprintf(rate, sizeof rate, "  %.1f/s", (double)since / elapsed);
  fprintf(stderr, "\r\033[K%-22s [%s] %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT "%s%s", display.stage, bar,
          done, total, rate, left);
  display.line_open = TRUE;
}

static void draw_log(gint64 done, gint64 total) {
  int step = total ? (int)(done * LOG_STEPS / total) : 0;
  if (step == display.log_step)
    return;
  display.log_step = step;
  double elapsed = (double)(g_get_monotonic_time() - display.stage_began) / G_USEC_PER_SEC;
  fprintf(stderr, "%s: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT ", %.1f/s\n", display.stage, done,
          total, elapsed > 0 ? (double)(done - display.stage_first) / elapsed : 0.0);
}

static void close_line(void) {
  if (display.line_open)
    fputc('\n', stderr);
  display.line_open = FALSE;
}

/* What follows a comma may change within a stage. */
static gboolean same_stage(const char *a, const char *b) {
  gsize length = strcspn(a, ",");
  return b && length == strcspn(b, ",") && strncmp(a, b, length) == 0;
}

/* A stage without a total is told once; one with a total moves a bar. */
static void on_progress(const char *stage, gint64 done, gint64 total, gpointer user) {
  if (display.quiet)
    return;
  if (total <= 0) {
    if (!display.line_open)
      fprintf(stderr, "%s\n", stage);
    return;
  }
  gint64 now = g_get_monotonic_time();
  if (!same_stage(stage, display.stage)) {
    close_line();
    display.stage_began = now;
    display.stage_first = done;
    display.last_drawn = 0;
    display.log_step = 0;
  }
  g_free(display.stage);
  display.stage = g_strdup(stage);
  if (!display.terminal) {
    draw_log(done, total);
  } else if (now - display.last_drawn >= TERMINAL_INTERVAL_US || done >= total) {
    display.last_drawn = now;
    draw_bar(done, total);
  }
}

Progress *cli_progress_begin(const CommonOptions *common) {
  display.progress = progress_new(on_progress, NULL);
  display.quiet = common->quiet;
  display.terminal = isatty(STDERR_FILENO);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  return display.progress;
}

void cli_progress_end(void) {
  if (!display.progress)
    return;
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  close_line();
  if (!display.quiet) {
    g_auto(GStrv) notes = progress_notes(display.progress);
    for (char **note = notes; *note; note++)
      fprintf(stderr, "note: %s\n", *note);
  }
  g_clear_pointer(&display.progress, progress_free);
  g_clear_pointer(&display.stage, g_free);
}
