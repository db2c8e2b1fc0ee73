/* Where samples disagree about a place, the majority is not always the background: a caption that stands in
 * front of it for most of the shot wins every vote, and where several captions followed each other their
 * pieces win one by one. But a caption does not go with what lies around it, and the background does.
 *
 * So contested places are settled from the uncontested ones around them inwards: each takes that of its
 * states which is closest in colour to the settled ones near it. What fits with none of its states, and
 * uncontested islands that do not go with their settled surroundings (there, one caption covered the place of
 * another), are left to be filled. */
#include "stage/plate_samples.h"

#include <math.h>
#include <string.h>

enum {
  NEAR = 3,       /* blocks: radius of the window in which settled blocks are looked at */
  SWEEPS = 3,     /* corrections after the first decision */
  MISFIT = 45,    /* distance of colours from the surroundings from which on a state does not belong */
  SAME_PART = 24, /* distance of neighbours' colours within one part */
  TOUCHING = 5,   /* a part is mistrusted where one in so many of its neighbours is contested */
  MAJORITY = 14,  /* by so much must a state of hardly any share fit better than one that has them all */
};

static const float ISLAND = 0.01f;  /* of the plate: uncontested parts smaller than this may not be trusted */
static const float TOO_MUCH = 0.3f; /* of the plate contested: it is the light that changes, not a caption */

typedef enum { OPEN, SETTLED, MISTRUSTED, UNKNOWN } State;

/* The plate in blocks of 2 x 2 pixels. */
typedef struct {
  int width, height;
  float (*colour)[3];
  guint8 *state; /* State */
  int *nearest;  /* the nearest settled block, -1 where there is none */
} Field;

static Field field_of(const AVFrame *plate, const Image *known) {
  Field field = {.width = known->width / 2, .height = known->height / 2};
  gsize n = (gsize)field.width * (gsize)field.height;
  field.colour = g_malloc_n(n, sizeof *field.colour);
  field.state = g_malloc(n);
  field.nearest = g_new(int, n);
  for (int y = 0; y < field.height; y++)
    for (int x = 0; x < field.width; x++) {
      gsize i = (gsize)y * (gsize)field.width + (gsize)x;
      const guint8 *a = plate->data[0] + (gssize)(2 * y) * plate->linesize[0] + 2 * x,
                   *b = a + plate->linesize[0];
      const guint8 *seen = image_at(known, 2 * x, 2 * y), *below = image_at(known, 2 * x, 2 * y + 1);
      field.colour[i][0] = (float)(a[0] + a[1] + b[0] + b[1]) / 4;
      field.colour[i][1] = plate->data[1][(gssize)y * plate->linesize[1] + x];
      field.colour[i][2] = plate->data[2][(gssize)y * plate->linesize[2] + x];
      field.state[i] = seen[0] && seen[1] && below[0] && below[1] ? SETTLED : UNKNOWN;
    }
  return field;
}

/* Mean colour of the settled blocks around and in place; FALSE where there is none. */
static gboolean mean_around(const Field *field, int at, float mean[3]) {
  int x = at % field->width, y = at / field->width, count = 0;
  mean[0] = mean[1] = mean[2] = 0;
  for (int v = MAX(y - NEAR, 0); v <= MIN(y + NEAR, field->height - 1); v++)
    for (int u = MAX(x - NEAR, 0); u <= MIN(x + NEAR, field->width - 1); u++) {
      int i = v * field->width + u;
      if (field->state[i] != SETTLED)
        continue;
      for (int c = 0; c < 3; c++)
        mean[c] += field->colour[i][c];
      count++;
    }
  for (int c = 0; c < 3 && count; c++)
    mean[c] /= (float)count;
  return count > 0;
}

/* The same, or where nothing is settled near, around the nearest block that is. */
static gboolean surroundings(Field *field, int at, float mean[3]) {
  State state = field->state[at];
  field->state[at] = OPEN; /* it does not count for itself */
  gboolean found = mean_around(field, at, mean);
  field->state[at] = (guint8)state;
  int nearest = field->nearest[at];
  return found || (nearest >= 0 && mean_around(field, nearest, mean));
}

/* Notes for every block the nearest settled one; the distance (transfer full). */
static Plane *find_nearest(Field *field) {
  g_autoptr(Plane) settled = plane_new(field->width, field->height);
  for (int i = 0; i < field->width * field->height; i++)
    settled->v[i] = field->state[i] == SETTLED;
  return plane_distance(settled, 0.5f, field->nearest);
}

/* Takes the state that goes best with the surroundings. What goes with none of them stays open, so that it is
 * not taken as an example. */
static void settle(Field *field, Contest *contest, const float around[3]) {
  float best = 1e9f, misfit = 0;
  for (int k = 0; k < contest->count; k++) {
    float colour[3] = {contest->colour[k][0], contest->colour[k][1], contest->colour[k][2]};
    float distance = colour_distance(colour, around), cost = distance + MAJORITY * (1 - contest->share[k]);
    if (cost < best) {
      best = cost;
      misfit = distance;
      contest->chosen = k;
      memcpy(field->colour[contest->at], colour, sizeof colour);
    }
  }
  if (misfit > MISFIT)
    contest->chosen = -1;
  field->state[contest->at] = misfit > MISFIT ? OPEN : SETTLED;
}

static int find_root(int *parent, int i) {
  while (parent[i] != i)
    i = parent[i] = parent[parent[i]];
  return i;
}

/* Parts of like colour among the blocks in a state: for each block the first one of its part, -1 in other
 * states. */
static int *find_parts(const Field *field, State state) {
  int w = field->width, n = w * field->height;
  int *part = g_new(int, n);
  for (int i = 0; i < n; i++) {
    part[i] = i;
    const int before[2] = {i % w ? i - 1 : -1, i - w};
    for (int k = 0; k < 2; k++) {
      if (before[k] < 0 || field->state[i] != state || field->state[before[k]] != state ||
          colour_distance(field->colour[i], field->colour[before[k]]) > SAME_PART)
        continue;
      int a = find_root(part, i), b = find_root(part, before[k]);
      part[MAX(a, b)] = MIN(a, b);
    }
  }
  for (int i = 0; i < n; i++)
    part[i] = find_root(part, i);
  for (int i = 0; i < n; i++)
    part[i] = field->state[i] == state ? part[i] : -1;
  return part;
}

/* A small part beside contested blocks may be what is left of a caption where all others were hidden. */
static void mistrust_islands(Field *field) {
  int w = field->width, n = w * field->height;
  g_autofree int *part = find_parts(field, SETTLED), *size = g_new0(int, n), *open = g_new0(int, n),
                 *border = g_new0(int, n);
  for (int i = 0; i < n; i++) {
    if (part[i] < 0)
      continue;
    size[part[i]]++;
    const int around[4] = {i % w ? i - 1 : -1, i % w < w - 1 ? i + 1 : -1, i - w, i + w < n ? i + w : -1};
    for (int k = 0; k < 4; k++)
      if (around[k] >= 0 && part[around[k]] != part[i]) {
        border[part[i]]++;
        open[part[i]] += field->state[around[k]] == OPEN;
      }
  }
  for (int i = 0; i < n; i++)
    if (part[i] >= 0 && (float)size[part[i]] < ISLAND * (float)n &&
        open[part[i]] * TOUCHING > border[part[i]])
      field->state[i] = MISTRUSTED;
}

/* Contests in the order in which settled blocks reach them: by distance from what was settled at the start.
 */
static int *order_by_distance(Field *field, const Contest *contests, int count) {
  int longest = field->width + field->height;
  g_autoptr(Plane) distance = find_nearest(field);
  g_autofree int *start = g_new0(int, longest + 2); /* counting sort by whole blocks of distance */
  int *order = g_new(int, count);
  for (int i = 0; i < count; i++)
    start[(int)MIN(distance->v[contests[i].at], (float)longest) + 1]++;
  for (int d = 0; d <= longest; d++)
    start[d + 1] += start[d];
  for (int i = 0; i < count; i++)
    order[start[(int)MIN(distance->v[contests[i].at], (float)longest)]++] = i;
  return order;
}

static void forget(const Field *field, int at, Image *known) {
  int x = at % field->width * 2, y = at / field->width * 2;
  memset(image_at(known, x, y), 0, 2);
  memset(image_at(known, x, y + 1), 0, 2);
}

/* Mistrusted parts as wholes: those that do not go with what was settled around them are unknown. */
static void judge_islands(Field *field, Image *known) {
  int n = field->width * field->height;
  g_autofree int *part = find_parts(field, MISTRUSTED), *size = g_new0(int, n);
  g_autofree float *misfit = g_new0(float, n);
  for (int i = 0; i < n; i++) {
    float around[3];
    if (part[i] < 0)
      continue;
    size[part[i]]++;
    misfit[part[i]] +=
        surroundings(field, i, around) ? colour_distance(field->colour[i], around) : MISFIT + 1;
  }
  for (int i = 0; i < n; i++)
    if (part[i] >= 0 && misfit[part[i]] > MISFIT * (float)size[part[i]])
      forget(field, i, known);
}

void contests_settle(Contest *contests, int count, const AVFrame *plate, Image *known) {
  if (!count || (float)count * 4 > TOO_MUCH * (float)known->width * (float)known->height)
    return;
  Field field = field_of(plate, known);
  for (int i = 0; i < count; i++)
    field.state[contests[i].at] = OPEN;
  mistrust_islands(&field);
  g_autofree int *order = order_by_distance(&field, contests, count);
  for (int sweep = 0; sweep <= SWEEPS; sweep++) {
    for (int k = 0; k < count; k++) {
      Contest *contest = &contests[order[k]];
      float around[3];
      if (surroundings(&field, contest->at, around))
        settle(&field, contest, around);
    }
    plane_free(find_nearest(&field));
  }
  judge_islands(&field, known);
  for (int i = 0; i < count; i++)
    if (contests[i].chosen < 0)
      forget(&field, contests[i].at, known);
  g_free(field.colour);
  g_free(field.state);
  g_free(field.nearest);
}
