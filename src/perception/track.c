/* Each person that is followed has a region, made from the filtered anchors of the frame before; the landmark
 * network looks only there. The detector runs where it can tell something new: on the first frame of a shot,
 * when somebody was lost, when there is nobody, and now and then for newcomers. What it finds is set against
 * the people who are there, and only what belongs to none of them is looked at, so that a person whose region
 * holds is never disturbed.
 *
 * Somebody who is lost and found again is a new piece here; tracklet.c joins the pieces when all are known.
 */
#include "perception/track.h"
#include "perception/filter.h"
#include "perception/people.h"
#include "perception/tracklet.h"
#include <math.h>

#define DETECT_EVERY 12 /* frames */
/* With nobody in sight the detector need not run on every frame. */
#define DETECT_EMPTY_EVERY 3
#define MASK_LONGER_SIDE 512

typedef struct {
  gboolean alive;
  AnchorFilter filter;
  Region region; /* where to look in the next frame */
  Pose last;
  int age; /* frames */
  Tracklet *tracklet;
} Person;

struct Tracker {
  PoseEstimator *estimator;
  int width, height, mask_width, mask_height;
  GArray *time_s; /* double */
  GArray *cuts;   /* int */
  GPtrArray *tracklets;
  Person person[TRACK_MAX_PEOPLE];
  BodyReading *reading[TRACK_MAX_PEOPLE]; /* of this frame */
  int since_detection, next_part;
};

Tracker *tracker_new(PoseNetwork network, const char *models, int width, int height, GError **error) {
  g_autoptr(PoseEstimator) estimator = pose_estimator_new(network, models, error);
  if (!estimator)
    return NULL;
  Tracker *tracker = g_new0(Tracker, 1);
  tracker->estimator = g_steal_pointer(&estimator);
  tracker->width = width;
  tracker->height = height;
  double shrink = MIN(1.0, (double)MASK_LONGER_SIDE / MAX(width, height));
  tracker->mask_width = MAX(1, (int)lround(width * shrink));
  tracker->mask_height = MAX(1, (int)lround(height * shrink));
  tracker->time_s = g_array_new(FALSE, FALSE, sizeof(double));
  tracker->cuts = g_array_new(FALSE, FALSE, sizeof(int));
  tracker->tracklets = g_ptr_array_new_with_free_func((GDestroyNotify)tracklet_free);
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    tracker->reading[i] = g_new0(BodyReading, 1);
  return tracker;
}

void tracker_free(Tracker *tracker) {
  if (!tracker)
    return;
  pose_estimator_free(tracker->estimator);
  g_array_unref(tracker->time_s);
  g_array_unref(tracker->cuts);
  g_ptr_array_unref(tracker->tracklets);
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    g_free(tracker->reading[i]);
  g_free(tracker);
}

void tracker_mask_size(const Tracker *tracker, int *width, int *height) {
  *width = tracker->mask_width;
  *height = tracker->mask_height;
}

/* --- one frame --- */

static void lose(Tracker *tracker, int slot) {
  tracker->person[slot].alive = FALSE;
}

/* Reads everybody who is there. Returns how many were lost. */
static int follow(Tracker *tracker, const Image *rgb, GError **error) {
  int lost = 0;
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++) {
    Person *person = &tracker->person[i];
    if (!person->alive)
      continue;
    if (!region_is_sane(&person->region)) {
      lose(tracker, i);
      lost++;
      continue;
    }
    if (!body_read(tracker->estimator, rgb, &person->region, tracker->reading[i], error))
      return -1;
    if (!(tracker->reading[i]->pose.score > BODY_PRESENT)) {
      lose(tracker, i);
      lost++;
    }
  }
  return lost;
}

/* Two regions that slid onto one body: the one that jumped there goes. */
static int part_doubles(Tracker *tracker) {
  int lost = 0;
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    for (int k = i + 1; k < TRACK_MAX_PEOPLE; k++) {
      Person *a = &tracker->person[i], *b = &tracker->person[k];
      if (!a->alive || !b->alive || !body_is_same(&tracker->reading[i]->pose, &tracker->reading[k]->pose))
        continue;
      float jump_a = body_distance(&a->last, &tracker->reading[i]->pose, 0, 0);
      float jump_b = body_distance(&b->last, &tracker->reading[k]->pose, 0, 0);
      lose(tracker, jump_a > jump_b ? i : k);
      lost++;
    }
  return lost;
}

static int free_slot(const Tracker *tracker) {
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    if (!tracker->person[i].alive)
      return i;
  return -1;
}

/* --- looking around --- */

/* The detector's work on one frame, which needs nothing of what is read in it. */
typedef struct {
  const Tracker *tracker;
  const Image *rgb;
  int parts; /* of the picture that are looked at closely */
  GPtrArray *looks;
  GError *error;
} Glimpse;

static gpointer take_glimpse(gpointer data) {
  Glimpse *glimpse = data;
  const Tracker *tracker = glimpse->tracker;
  glimpse->looks =
      people_look(tracker->estimator, glimpse->rgb, tracker->next_part, glimpse->parts, &glimpse->error);
  return NULL;
}

static void glimpse_clear(Glimpse *glimpse) {
  g_clear_pointer(&glimpse->looks, g_ptr_array_unref);
  g_clear_error(&glimpse->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Glimpse, glimpse_clear)

/* Whoever is there and is not known yet gets the lowest free slot. */
static gboolean welcome(Tracker *tracker, Glimpse *glimpse, int frame, int shot, GError **error) {
  const Pose *known[TRACK_MAX_PEOPLE];
  int n = 0, slot;
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    if (tracker->person[i].alive)
      known[n++] = &tracker->reading[i]->pose;
  tracker->since_detection = 0;
  if (glimpse->error) {
    g_propagate_error(error, g_steal_pointer(&glimpse->error));
    return FALSE;
  }
  g_autoptr(GPtrArray) found = people_find(tracker->estimator, glimpse->rgb, glimpse->looks, known, n, error);
  if (!found)
    return FALSE;
  tracker->next_part += glimpse->parts;
  for (guint i = 0; i < found->len && (slot = free_slot(tracker)) >= 0; i++) {
    *tracker->reading[slot] = ((const Found *)found->pdata[i])->reading;
    tracker->person[slot] = (Person){.alive = TRUE, .tracklet = tracklet_new(frame, shot)};
    g_ptr_array_add(tracker->tracklets, tracker->person[slot].tracklet);
  }
  return TRUE;
}

/* Notes the frame's reading and prepares the next frame's region. */
static void advance(Tracker *tracker, int slot, double time_s) {
  Person *person = &tracker->person[slot];
  BodyReading *reading = tracker->reading[slot];
  tracklet_add(person->tracklet, &reading->pose, (gint8)slot);
  person->last = reading->pose;
  person->age++;
  anchor_filter(&person->filter, time_s, reading->anchor);
  person->region = body_region_from_anchors(reading->anchor);
}

static GArray *report(Tracker *tracker) {
  GArray *sightings = g_array_new(FALSE, TRUE, sizeof(Sighting));
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++) {
    if (!tracker->person[i].alive)
      continue;
    Sighting sighting = {.slot = i, .pose = tracker->reading[i]->pose};
    sighting.mask = g_memdup2(tracker->reading[i]->mask, sizeof tracker->reading[i]->mask);
    g_array_append_val(sightings, sighting);
  }
  return sightings;
}

static void sighting_clear(gpointer sighting) {
  g_free(((Sighting *)sighting)->mask);
}

Image *tracker_mask(const Tracker *tracker, const Sighting *sighting) {
  return body_mask_over(sighting->mask, &sighting->pose.region, tracker->width, tracker->height,
                        tracker->mask_width, tracker->mask_height);
}

static gboolean is_empty(const Tracker *tracker) {
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    if (tracker->person[i].alive)
      return FALSE;
  return TRUE;
}

gboolean tracker_add(Tracker *tracker, const Image *rgb, double time_s, gboolean cut, GArray **sightings,
                     GError **error) {
  g_return_val_if_fail(rgb->width == tracker->width && rgb->height == tracker->height, FALSE);
  int frame = (int)tracker->time_s->len;
  cut = cut || frame == 0;
  if (cut) {
    g_array_append_val(tracker->cuts, frame);
    for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
      lose(tracker, i);
  }
  int shot = (int)tracker->cuts->len - 1;
  g_auto(Glimpse)
      glimpse = {.tracker = tracker, .rgb = rgb, .parts = cut ? people_parts(rgb->width, rgb->height) : 1};
  tracker->since_detection++;
  /* Where it is clear beforehand that the detector is due, it runs beside the reading. */
  gboolean beside = tracker->since_detection >= DETECT_EVERY && !is_empty(tracker);
  GThread *thread = beside ? g_thread_new("look", take_glimpse, &glimpse) : NULL;
  int lost = follow(tracker, rgb, error);
  if (thread)
    g_thread_join(thread);
  if (lost < 0)
    return FALSE;
  lost += part_doubles(tracker);
  gboolean due = tracker->since_detection >= (is_empty(tracker) ? DETECT_EMPTY_EVERY : DETECT_EVERY);
  if (lost && !cut) { /* whoever was just there is seen in the whole picture */
    glimpse.parts = 0;
    if (glimpse.looks)
      g_ptr_array_set_size(glimpse.looks, 1);
  }
  if (cut || lost || due) {
    if (!beside)
      take_glimpse(&glimpse);
    if (!welcome(tracker, &glimpse, frame, shot, error))
      return FALSE;
  }
  g_array_append_val(tracker->time_s, time_s);
  *sightings = report(tracker);
  g_array_set_clear_func(*sightings, sighting_clear);
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    if (tracker->person[i].alive)
      advance(tracker, i, time_s);
  return TRUE;
}

/* --- all frames --- */

void tracks_free(Tracks *tracks) {
  if (!tracks)
    return;
  g_free(tracks->time_s);
  g_array_unref(tracks->cuts);
  g_ptr_array_unref(tracks->tracks);
  g_free(tracks);
}

Tracks *tracker_finish(Tracker *tracker, GError **error) {
  int frames = (int)tracker->time_s->len;
  g_autoptr(GPtrArray) found =
      tracklets_to_tracks(tracker->tracklets, (const double *)(gpointer)tracker->time_s->data, frames);
  if (found->len == 0)
    return fault_null(error, FAULT_NOBODY,
                      "No person was found in the video for half a second or longer. Use a video in which "
                      "one is well visible.");
  Tracks *tracks = g_new0(Tracks, 1);
  *tracks = (Tracks){.width = tracker->width,
                     .height = tracker->height,
                     .frames = frames,
                     .mask_width = tracker->mask_width,
                     .mask_height = tracker->mask_height,
                     .cuts = g_array_ref(tracker->cuts),
                     .tracks = g_steal_pointer(&found)};
  tracks->time_s = (double *)g_memdup2(tracker->time_s->data, (gsize)frames * sizeof(double));
  return tracks;
}
