/* Frames are compared with the one before on a sparse grid, away from people. Where many places change at
 * once, and neither before nor after, something was laid over the picture or taken away; the looks before and
 * after are kept at half size. Between two such changes lies a span, whose looks are known at its ends.
 *
 * In the end every place that ever changed is judged for every span: it shows a caption where it is far from
 * what its surroundings that never change suggest (a membrane between them). From the places away from people
 * follow the colours of the writing, which of these lie inside its strokes (the core), and how far its
 * outline reaches beyond that core. Over people, where colours may deceive, the core alone is looked for, by
 * colours that came or went at the very change; the outline follows from it.
 */
#include "stage/plate_front.h"
#include "stage/inpaint.h"
#include "stage/plate_samples.h"

#include <math.h>
#include <string.h>

enum {
  CELL = 16,              /* pixels of a row that are looked at together */
  ROW_STEP = 4,           /* every so many rows */
  CELL_LEVEL = 28,        /* levels of luma that count as changed */
  CELL_SHARE = 3,         /* changed pixels that make a changed cell */
  CALM = 4,               /* a change stands out by this factor from the frames around it */
  PEOPLE_BELT = 4,        /* mask pixels around people that are not looked at */
  EVENTS_MAX = 8,         /* more changes in one run are no captions, or too many to keep */
  EVENT_BYTES = 24 << 20, /* of kept looks */
  MARGIN = 24,            /* half pixels around the changes that are judged, too */
  CHANGED = 36,           /* distance of colours of looks before and after */
  AWAY = 44,              /* distance of a caption's colour from the background */
  SETTLED = 28,           /* distance within which a look is that of the background */
  PALETTE = 4096,         /* colours with 4 bits a channel */
  TEXT_MIN = 300,         /* half pixels that make a caption */
  BLUR = 3,               /* half pixels that the border of a change may be blurred by */
  DEPTHS = 64,            /* half pixels: depths that are told apart */
  SPECK = 16,             /* half pixels: smaller cores are noise */
};

static const float EVENT_SHARE = 0.0012f, EVENT_MOST = 0.3f; /* of all cells */
static const float SOMEBODY = 0.1f;
static const float ISLAND = 0.004f;       /* of the frame: unchanged parts smaller than this say nothing */
static const float COLOUR_SHARE = 0.002f; /* of all writing: colours rarer than this are none of it */
static const float CORE_SHARE = 0.01f;    /* of the writing: a colour that may be the core's */
static const float STROKE_MAX = 0.03f;    /* of the frame's height: half the width of a stroke with outline */
static const float THICK = 0.05f;         /* of the writing may be thicker */
static const float MODEL_FIT = 0.7f;      /* overlap of strokes and outline with what was seen */

/* A sudden change between frame - 1 and frame. Looks: y, u, v at half the frame's size. */
typedef struct {
  int frame;
  Image *look[2]; /* before, after */
  Image *people;  /* of both frames; NULL: nobody */
} Event;

struct FrontFinder {
  VideoInfo info;
  AVFrame *before;
  Image *before_people;
  GArray *events; /* Event */
  int count, cells_before, cells_at_event;
  gboolean pending; /* the last event may still turn out to be one of many changes */
  gboolean restless;
};

static void event_clear(gpointer data) {
  Event *event = data;
  image_free(event->look[0]);
  image_free(event->look[1]);
  image_free(event->people);
}

FrontFinder *front_finder_new(const VideoInfo *info) {
  FrontFinder *finder = g_new0(FrontFinder, 1);
  finder->info = *info;
  finder->events = g_array_new(FALSE, TRUE, sizeof(Event));
  g_array_set_clear_func(finder->events, event_clear);
  return finder;
}

void front_finder_free(FrontFinder *finder) {
  if (!finder)
    return;
  av_frame_free(&finder->before);
  image_free(finder->before_people);
  g_array_unref(finder->events);
  g_free(finder);
}

/* --- changes --- */

static gboolean near_people(const Image *people, float u, float v, int belt) {
  if (!people)
    return FALSE;
  int x = (int)(u * (float)people->width), y = (int)(v * (float)people->height);
  for (int j = MAX(y - belt, 0); j <= MIN(y + belt, people->height - 1); j++)
    for (int i = MAX(x - belt, 0); i <= MIN(x + belt, people->width - 1); i++)
      if ((float)*image_at(people, i, j) > SOMEBODY * 255)
        return TRUE;
  return FALSE;
}

/* Cells away from people in which the two frames differ. */
static int changed_cells(const AVFrame *a, const AVFrame *b, const Image *p, const Image *q) {
  int changed = 0;
  for (int y = ROW_STEP / 2; y < a->height; y += ROW_STEP) {
    const guint8 *s = a->data[0] + (gssize)y * a->linesize[0], *t = b->data[0] + (gssize)y * b->linesize[0];
    for (int x = 0; x + CELL <= a->width; x += CELL) {
      int far = 0;
      for (int k = 0; k < CELL; k++)
        far += ABS(s[x + k] - t[x + k]) > CELL_LEVEL;
      if (far < CELL_SHARE)
        continue;
      float u = ((float)x + CELL / 2.0f) / (float)a->width, v = (float)y / (float)a->height;
      changed += !near_people(p, u, v, PEOPLE_BELT) && !near_people(q, u, v, PEOPLE_BELT);
    }
  }
  return changed;
}

/* Of a block of 2 x 2 pixels and the chroma that they share. */
static void look_of(const AVFrame *frame, int x, int y, guint8 *to) {
  const guint8 *a = frame->data[0] + (gssize)(2 * y) * frame->linesize[0] + 2 * x,
               *b = a + frame->linesize[0];
  to[0] = (guint8)((a[0] + a[1] + b[0] + b[1] + 2) / 4);
  to[1] = frame->data[1][(gssize)y * frame->linesize[1] + x];
  to[2] = frame->data[2][(gssize)y * frame->linesize[2] + x];
}

static Image *take_look(const AVFrame *frame) {
  Image *look = image_new(frame->width / 2, frame->height / 2, 3);
  for (int y = 0; y < look->height; y++)
    for (int x = 0; x < look->width; x++)
      look_of(frame, x, y, image_at(look, x, y));
  return look;
}

static Image *join_people(const Image *a, const Image *b) {
  if (!a || !b)
    return a ? image_copy(a) : b ? image_copy(b) : NULL;
  Image *both = image_copy(a);
  for (gsize i = 0; i < (gsize)a->width * (gsize)a->height; i++)
    both->pixels[i] = MAX(a->pixels[i], b->pixels[i]);
  return both;
}

static int events_most(const VideoInfo *info) {
  gint64 bytes = (gint64)info->width * info->height * 3 / 2;
  return (int)CLAMP(EVENT_BYTES / bytes, 2, EVENTS_MAX);
}

static void note_event(FrontFinder *finder, const AVFrame *frame, const Image *people) {
  if ((int)finder->events->len == events_most(&finder->info)) {
    finder->restless = TRUE;
    g_array_set_size(finder->events, 0);
    return;
  }
  Event event = {.frame = finder->count,
                 .look = {take_look(finder->before), take_look(frame)},
                 .people = join_people(finder->before_people, people)};
  g_array_append_val(finder->events, event);
  finder->pending = TRUE;
}

void front_finder_add(FrontFinder *finder, const AVFrame *frame, const Image *people) {
  if (finder->restless)
    return;
  if (finder->before) {
    int all = (frame->width / CELL) * (frame->height / ROW_STEP);
    int cells = changed_cells(finder->before, frame, finder->before_people, people);
    gboolean sudden = (float)cells >= EVENT_SHARE * (float)all && cells > CALM * finder->cells_before;
    if (finder->pending && cells * CALM > finder->cells_at_event)
      g_array_set_size(finder->events, finder->events->len - 1);
    finder->pending = FALSE;
    if (sudden && (float)cells <= EVENT_MOST * (float)all && finder->count > 1)
      note_event(finder, frame, people);
    finder->cells_before = cells;
    finder->cells_at_event = cells;
  }
  av_frame_free(&finder->before);
  finder->before = av_frame_clone(frame);
  g_clear_pointer(&finder->before_people, image_free);
  finder->before_people = people ? image_copy(people) : NULL;
  finder->count++;
}

/* --- judging --- */

/* The rows that are judged, in half pixels; arrays are [height][width]. */
typedef struct {
  const Event *events;
  int count;         /* of events; spans are one more */
  int width, height; /* of the band */
  int top;           /* its first row */
  int frame_height;  /* half pixels */
  guint8 *changed;   /* [events][n] */
  guint8 *look;      /* [spans][n][3] y, u, v of each span */
  guint8 *covered;   /* [spans][n] somebody is always there or near */
  guint8 *hole;      /* [n] changed, or enclosed by what is */
  Plane *ground[3];  /* what the surroundings suggest */
  gboolean *ink;     /* [PALETTE] colours of the writing */
  gboolean *core;    /* [PALETTE] those inside its strokes */
  float reach;       /* from the core to the outline's end */
} Field;

static void field_clear(Field *field) {
  g_free(field->changed);
  g_free(field->look);
  g_free(field->covered);
  g_free(field->hole);
  g_free(field->ink);
  g_free(field->core);
  for (int c = 0; c < 3; c++)
    plane_free(field->ground[c]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Field, field_clear)

static gsize field_size(const Field *field) {
  return (gsize)field->width * (gsize)field->height;
}

static const guint8 *look_at(const Field *field, int event, int side, gsize i) {
  return field->events[event].look[side]->pixels + ((gsize)field->top * (gsize)field->width + i) * 3;
}

static float distance(const guint8 *a, const guint8 *b) {
  return colour_distance((float[]){a[0], a[1], a[2]}, (float[]){b[0], b[1], b[2]});
}

static float distance_to_ground(const Field *field, const guint8 *look, gsize i) {
  float ground[3] = {field->ground[0]->v[i], field->ground[1]->v[i], field->ground[2]->v[i]};
  return colour_distance((float[]){look[0], look[1], look[2]}, ground);
}

static int colour_bin(const guint8 *look) {
  return look[0] >> 4 << 8 | look[1] >> 4 << 4 | look[2] >> 4;
}

static guint8 *span_look(const Field *field, int span, gsize i) {
  return field->look + ((gsize)span * field_size(field) + i) * 3;
}

static gboolean is_free(const Field *field, int span, gsize i) {
  return !field->covered[(gsize)span * field_size(field) + i];
}

static gboolean find_band(Field *field) {
  int w = field->width, first = G_MAXINT, last = -1;
  for (int e = 0; e < field->count; e++)
    for (int y = 0; y < field->frame_height; y++) {
      const guint8 *a = image_at(field->events[e].look[0], 0, y),
                   *b = image_at(field->events[e].look[1], 0, y);
      int far = 0;
      for (int x = 0; x < w; x++) {
        float u = ((float)x + 0.5f) / (float)w, v = ((float)y + 0.5f) / (float)field->frame_height;
        if (distance(a + 3 * x, b + 3 * x) > CHANGED)
          far += !near_people(field->events[e].people, u, v, 1);
      }
      if (far < 4)
        continue;
      first = MIN(first, y);
      last = MAX(last, y);
    }
  if (last < 0)
    return FALSE;
  field->top = MAX(first - MARGIN, 0);
  field->height = MIN(last + MARGIN, field->frame_height - 1) - field->top + 1;
  return TRUE;
}

static void find_changes(Field *field) {
  gsize n = field_size(field);
  g_autoptr(Plane) hole = plane_new(field->width, field->height);
  field->changed = g_malloc0(n * (gsize)field->count);
  field->hole = g_malloc0(n);
  for (int e = 0; e < field->count; e++)
    for (gsize i = 0; i < n; i++) {
      gboolean changed = distance(look_at(field, e, 0, i), look_at(field, e, 1, i)) > CHANGED;
      field->changed[(gsize)e * n + i] = (guint8)changed;
      hole->v[i] += (float)changed;
    }
  plane_dilate(hole, BLUR);
  for (gsize i = 0; i < n; i++)
    field->hole[i] = hole->v[i] > 0;
}

/* The looks beside an event of the span, side 0 before it. */
static void see_beside(Field *field, int span, int event, int side) {
  guint8 *covered = field->covered + (gsize)span * field_size(field);
  for (gsize i = 0; i < field_size(field); i++) {
    float u = ((float)(i % (gsize)field->width) + 0.5f) / (float)field->width,
          v = ((float)(i / (gsize)field->width) + 0.5f + (float)field->top) / (float)field->frame_height;
    if (covered[i] && !near_people(field->events[event].people, u, v, 2)) {
      covered[i] = 0;
      memcpy(span_look(field, span, i), look_at(field, event, side, i), 3);
    }
  }
}

/* The looks of one span: those beside its events, and in samples in which nobody is there. */
static void see_span(Field *field, int span, const GPtrArray *samples, int begin, int end) {
  gsize n = field_size(field);
  guint8 *covered = field->covered + (gsize)span * n;
  int event = span < field->count ? span : span - 1;
  memcpy(span_look(field, span, 0), look_at(field, event, span >= field->count, 0), 3 * n);
  memset(covered, 1, n);
  for (int side = 0; side < 2; side++)
    if (span - side >= 0 && span - side < field->count)
      see_beside(field, span, span - side, side);
  for (guint s = 0; s < samples->len; s++) {
    const Sample *sample = samples->pdata[s];
    if (sample->index < begin || sample->index >= end)
      continue;
    for (gsize i = 0; i < n; i++) {
      int x = (int)(i % (gsize)field->width), y = (int)(i / (gsize)field->width) + field->top;
      if (covered[i] && sample_tier(sample, 2 * (float)x + 0.5f, 2 * (float)y + 0.5f) != TIER_PERSON) {
        covered[i] = 0;
        look_of(sample->frame, x, y, span_look(field, span, i));
      }
    }
  }
}

static void see_spans(Field *field, const GPtrArray *samples) {
  gsize all = field_size(field) * (gsize)(field->count + 1);
  field->look = g_malloc(3 * all);
  field->covered = g_malloc(all);
  for (int span = 0; span <= field->count; span++)
    see_span(field, span, samples, span > 0 ? field->events[span - 1].frame : 0,
             span < field->count ? field->events[span].frame : G_MAXINT);
}

/* Where the surroundings are known: nothing ever changes there, nobody is there, and it is no island. */
static void find_ground(Field *field) {
  gsize n = field_size(field);
  g_autoptr(Plane) rest = plane_new(field->width, field->height);
  for (gsize i = 0; i < n; i++)
    rest->v[i] = !field->hole[i];
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  plane_regions(rest, 0.5f, labels, &sizes);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && (float)sizes[labels[i]] < ISLAND * (float)(field->width * field->frame_height)) {
      rest->v[i] = 0;
      field->hole[i] = 1;
    }
  for (int c = 0; c < 3; c++)
    field->ground[c] = plane_new(field->width, field->height);
  for (gsize i = 0; i < n; i++) {
    int span = 0;
    while (span < field->count && !is_free(field, span, i))
      span++;
    rest->v[i] = rest->v[i] > 0 && is_free(field, span, i);
    for (int c = 0; c < 3; c++)
      field->ground[c]->v[i] = span_look(field, span, i)[c];
  }
  for (int c = 0; c < 3; c++)
    inpaint_membrane(field->ground[c], rest);
}

/* Whether the colour or one beside it is there at least so often. */
static gboolean common_near(const int *seen, int bin, float least) {
  for (int y = MAX((bin >> 8) - 1, 0); y <= MIN((bin >> 8) + 1, 15); y++)
    for (int u = MAX((bin >> 4 & 15) - 1, 0); u <= MIN((bin >> 4 & 15) + 1, 15); u++)
      for (int v = MAX((bin & 15) - 1, 0); v <= MIN((bin & 15) + 1, 15); v++)
        if ((float)seen[y << 8 | u << 4 | v] >= MAX(least, 3))
          return TRUE;
  return FALSE;
}

/* The colours of the writing, from places where one look is surely the background's and the other is not. */
static gboolean find_ink(Field *field) {
  gsize n = field_size(field);
  int total = 0;
  g_autofree int *seen = g_new0(int, PALETTE);
  for (int e = 0; e < field->count; e++)
    for (gsize i = 0; i < n; i++) {
      if (!field->changed[(gsize)e * n + i] || !is_free(field, e, i) || !is_free(field, e + 1, i))
        continue;
      const guint8 *a = span_look(field, e, i), *b = span_look(field, e + 1, i);
      float p = distance_to_ground(field, a, i), q = distance_to_ground(field, b, i);
      const guint8 *written = p <= SETTLED && q > AWAY ? b : q <= SETTLED && p > AWAY ? a : NULL;
      if (!written)
        continue;
      seen[colour_bin(written)]++;
      total++;
    }
  field->ink = g_new0(gboolean, PALETTE);
  for (int k = 0; k < PALETTE; k++)
    field->ink[k] = common_near(seen, k, COLOUR_SHARE * (float)total);
  return total >= TEXT_MIN;
}

/* Where a span shows writing, away from people. */
static Plane *written_in(const Field *field, int span) {
  Plane *written = plane_new(field->width, field->height);
  for (gsize i = 0; i < field_size(field); i++) {
    const guint8 *look = span_look(field, span, i);
    written->v[i] = field->hole[i] && is_free(field, span, i) && field->ink[colour_bin(look)] &&
                    distance_to_ground(field, look, i) > AWAY;
  }
  return written;
}

/* Distance to the nearest place that is seen to show none of the span's writing. */
static Plane *depth_in(const Field *field, int span, const Plane *written) {
  g_autoptr(Plane) rest = plane_new(field->width, field->height);
  for (gsize i = 0; i < field_size(field); i++)
    rest->v[i] = is_free(field, span, i) && !(written->v[i] > 0);
  return plane_distance(rest, 0.5f, NULL);
}

static int compare_floats(gconstpointer a, gconstpointer b) {
  float p = *(const float *)a, q = *(const float *)b;
  return (p > q) - (p < q);
}

/* The depth that all but a tenth of a colour's places have; counts: [DEPTHS]. */
static int usual_depth(const int *counts, int total) {
  int depth = 0;
  for (int below = counts[0]; depth < DEPTHS - 1 && below * 10 < total; below += counts[depth])
    depth++;
  return depth;
}

/* Which colours lie inside the strokes: those that keep nearly as far from the border as the deepest
 * one does. FALSE where strokes are too thick for writing. */
static gboolean find_core(Field *field, Plane *const *written) {
  g_autofree int *depths = g_new0(int, PALETTE *DEPTHS), *all = g_new0(int, PALETTE),
                 *usual = g_new0(int, PALETTE);
  int thick = 0, total = 0, deepest = 0;
  for (int span = 0; span <= field->count; span++) {
    g_autoptr(Plane) depth = depth_in(field, span, written[span]);
    for (gsize i = 0; i < field_size(field); i++) {
      if (!(written[span]->v[i] > 0))
        continue;
      int bin = colour_bin(span_look(field, span, i));
      all[bin]++;
      depths[bin * DEPTHS + (int)MIN(depth->v[i], DEPTHS - 1)]++;
      thick += depth->v[i] > STROKE_MAX * (float)field->frame_height;
      total++;
    }
  }
  for (int k = 0; k < PALETTE; k++) {
    usual[k] = usual_depth(&depths[k * DEPTHS], all[k]);
    if ((float)all[k] >= CORE_SHARE * (float)total)
      deepest = MAX(deepest, usual[k]);
  }
  field->core = g_new0(gboolean, PALETTE);
  for (int k = 0; k < PALETTE; k++)
    field->core[k] = (float)all[k] >= COLOUR_SHARE * (float)total && 5 * usual[k] >= 4 * deepest;
  return total >= TEXT_MIN && (float)thick <= THICK * (float)total;
}

static void drop_specks(Plane *plane) {
  gsize n = (gsize)plane->width * (gsize)plane->height;
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  plane_regions(plane, 0.5f, labels, &sizes);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && sizes[labels[i]] < SPECK)
      plane->v[i] = 0;
}

/* The core in a span: away from people what is written in core colours, over them what came or went in these
 * at one of its ends. */
static Plane *core_in(const Field *field, int span, const Plane *written) {
  gsize n = field_size(field);
  Plane *core = plane_new(field->width, field->height);
  for (gsize i = 0; i < n; i++) {
    core->v[i] = written->v[i] > 0 && field->core[colour_bin(span_look(field, span, i))];
    for (int side = 0; side < 2 && !is_free(field, span, i); side++) {
      int e = span - side; /* the event at its end, then the one at its beginning */
      if (e < 0 || e >= field->count || !field->changed[(gsize)e * n + i])
        continue;
      const guint8 *own = look_at(field, e, side, i), *other = look_at(field, e, !side, i);
      if (field->core[colour_bin(own)] && !field->core[colour_bin(other)])
        core->v[i] = 1;
    }
  }
  drop_specks(core);
  return core;
}

/* How far the outline reaches: the distance of its last places from the core, thin ends of strokes left out.
 */
static float find_reach(const Field *field, Plane *const *written, Plane *const *core) {
  g_autoptr(GArray) far = g_array_new(FALSE, FALSE, sizeof(float));
  for (int span = 0; span <= field->count; span++) {
    g_autoptr(Plane) depth = depth_in(field, span, written[span]),
                     away = plane_distance(core[span], 0.5f, NULL);
    for (gsize i = 0; i < field_size(field); i++)
      if (written[span]->v[i] > 0 && depth->v[i] <= 1.0f &&
          away->v[i] < STROKE_MAX * (float)field->frame_height)
        g_array_append_val(far, away->v[i]);
  }
  if (!far->len)
    return 0;
  g_array_sort(far, compare_floats);
  return g_array_index(far, float, far->len * 3 / 5);
}

/* 1 up to the outline's end, nothing half a pixel later. */
static float alpha_at(const Field *field, float away) {
  return CLAMP(field->reach + 1.5f - away, 0.0f, 1.0f);
}

/* Whether core and outline explain what was seen away from people. */
static gboolean model_fits(const Field *field, Plane *const *written, Plane *const *away) {
  double both = 0, either = 0;
  for (int span = 0; span <= field->count; span++)
    for (gsize i = 0; i < field_size(field); i++) {
      gboolean seen = written[span]->v[i] > 0, said = alpha_at(field, away[span]->v[i]) > 0.5f;
      both += is_free(field, span, i) && seen && said;
      either += is_free(field, span, i) && (seen || said);
    }
  return both > MODEL_FIT * either;
}

static Front *front_of(const Field *field, const FrontFinder *finder, Plane *const *away) {
  Front *front = g_new0(Front, 1);
  front->y = 2 * field->top;
  front->width = 2 * field->width;
  front->height = 2 * field->height;
  front->spans = field->count + 1;
  front->begin = g_new0(int, front->spans + 1);
  for (int e = 0; e < field->count; e++)
    front->begin[e + 1] = field->events[e].frame;
  front->begin[front->spans] = finder->count;
  front->alpha = image_new(field->width, field->height * front->spans, 1);
  gsize n = field_size(field);
  for (int span = 0; span < front->spans; span++)
    for (gsize i = 0; i < n; i++)
      front->alpha->pixels[(gsize)span * n + i] = (guint8)(alpha_at(field, away[span]->v[i]) * 255 + 0.5f);
  return front;
}

static Front *judge(Field *field, const FrontFinder *finder, const GPtrArray *samples) {
  if (!find_band(field))
    return NULL;
  find_changes(field);
  see_spans(field, samples);
  find_ground(field);
  if (!find_ink(field))
    return NULL;
  int spans = field->count + 1;
  Plane *written[EVENTS_MAX + 1] = {0}, *core[EVENTS_MAX + 1] = {0}, *away[EVENTS_MAX + 1] = {0};
  Front *front = NULL;
  for (int span = 0; span < spans; span++)
    written[span] = written_in(field, span);
  if (find_core(field, written)) {
    for (int span = 0; span < spans; span++) {
      core[span] = core_in(field, span, written[span]);
      away[span] = plane_distance(core[span], 0.5f, NULL);
    }
    field->reach = find_reach(field, written, core);
    if (model_fits(field, written, away))
      front = front_of(field, finder, away);
  }
  for (int span = 0; span < spans; span++) {
    plane_free(written[span]);
    plane_free(core[span]);
    plane_free(away[span]);
  }
  return front;
}

Front *front_finder_finish(FrontFinder *finder, const GPtrArray *samples) {
  if (finder->restless || !finder->events->len)
    return NULL;
  const Event *events = (const Event *)(gpointer)finder->events->data;
  g_auto(Field) field = {.events = events,
                         .count = (int)finder->events->len,
                         .width = events[0].look[0]->width,
                         .frame_height = events[0].look[0]->height};
  return judge(&field, finder, samples);
}

void front_free(Front *front) {
  if (!front)
    return;
  g_free(front->begin);
  image_free(front->alpha);
  g_free(front);
}
