/* Runs are found by speed with hysteresis and cut where the foot has crept too far from the run's mean: a
 * slow slide is a slide. Between two pieces of a cut run a few frames stay free, in which the pin moves on.
 */
#include "puppet/motion/ground.h"
#include "base/plane.h"
#include "puppet/motion/series.h"
#include <math.h>

#define ENTER_SPEED 0.09f /* metres per second */
#define LEAVE_SPEED 0.18f
#define CREEP 0.035f /* metres */
#define LEAST_SECONDS 0.12
#define FREE_SECONDS 0.2

void ground_plants(const Driver *driver, int side, guint8 *planted) {
  int n = driver->count, least = MAX(3, (int)lrint(LEAST_SECONDS * driver->rate)),
      gap = MAX(2, (int)lrint(FREE_SECONDS * driver->rate));
  for (int i = 0; i < n; i++) {
    const DriverFrame *f = &driver->frames[i];
    gboolean was = i > 0 && driver->segment[i] == driver->segment[i - 1] && planted[i - 1];
    planted[i] = f->legs_seen > 0.5f && f->foot_speed[side] < (was ? LEAVE_SPEED : ENTER_SPEED);
  }
  series_steady(planted, driver->segment, n, least);
  float mean[2] = {0};
  for (int i = 0, run = 0; i < n; i++) {
    const DriverFrame *f = &driver->frames[i];
    if (!planted[i] || (i > 0 && driver->segment[i] != driver->segment[i - 1]))
      run = 0;
    if (!planted[i])
      continue;
    if (run > 0 &&
        hypotf(f->ankle[side][0] - mean[0], f->ankle[side][1] - mean[1]) > CREEP * f->pixels_per_metre) {
      for (int j = i; j < MIN(n, i + gap); j++)
        planted[j] = 0;
      i += gap - 1, run = 0;
      continue;
    }
    run++;
    for (int a = 0; a < 2; a++)
      mean[a] += (f->ankle[side][a] - mean[a]) / (float)run;
  }
}

typedef struct {
  int start, end; /* [start, end) */
  float mean[2];
} Run;

static GArray *find_runs(float (*path)[2], const guint8 *planted, const int *segment, int count) {
  GArray *runs = g_array_new(FALSE, FALSE, sizeof(Run));
  for (int i = 0; i < count;) {
    if (!planted[i]) {
      i++;
      continue;
    }
    Run run = {i, i, {0, 0}};
    double sum[2] = {0, 0};
    for (; run.end < count && planted[run.end] && segment[run.end] == segment[i]; run.end++)
      sum[0] += path[run.end][0], sum[1] += path[run.end][1];
    run.mean[0] = (float)(sum[0] / (run.end - run.start)),
    run.mean[1] = (float)(sum[1] / (run.end - run.start));
    g_array_append_val(runs, run);
    i = run.end;
  }
  return runs;
}

void ground_pin(float (*path)[2], const guint8 *planted, const int *segment, int count, int fade) {
  g_autoptr(GArray) runs = find_runs(path, planted, segment, count);
  g_autofree float(*shift)[2] = g_malloc0_n((gsize)count, sizeof *shift);
  for (guint r = 0; r < runs->len; r++) {
    const Run *run = &g_array_index(runs, Run, r);
    const Run *next = r + 1 < runs->len ? run + 1 : NULL;
    if (next && (segment[next->start] != segment[run->start] || next->start - run->end > 2 * fade))
      next = NULL;
    for (int a = 0; a < 2; a++) {
      float out = run->mean[a] - path[run->end - 1][a], in = run->mean[a] - path[run->start][a];
      for (int i = run->start; i < run->end; i++)
        shift[i][a] = run->mean[a] - path[i][a];
      if (next) {
        float to = next->mean[a] - path[next->start][a];
        int span = next->start - run->end + 1;
        for (int i = run->end; i < next->start; i++)
          shift[i][a] = out + (to - out) * smooth_step(0, 1, (float)(i - run->end + 1) / (float)span);
      } else {
        for (int i = run->end; i < MIN(count, run->end + fade) && segment[i] == segment[run->start]; i++)
          shift[i][a] += out * (1 - smooth_step(0, 1, (float)(i - run->end + 1) / (float)(fade + 1)));
      }
      const Run *before = r > 0 ? run - 1 : NULL;
      if (!before || segment[before->start] != segment[run->start] || run->start - before->end > 2 * fade)
        for (int i = run->start - 1; i >= MAX(0, run->start - fade) && segment[i] == segment[run->start]; i--)
          shift[i][a] += in * (1 - smooth_step(0, 1, (float)(run->start - i) / (float)(fade + 1)));
    }
  }
  for (int i = 0; i < count; i++)
    path[i][0] += shift[i][0], path[i][1] += shift[i][1];
}
