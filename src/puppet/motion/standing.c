/* Feet that are lifted, hidden or guessed would shake the order: levels are averaged over a second, compared
 * in parts of the pair's size, and a lead that does not last is none. Three people can stand in a circle of
 * leads; sorting counts how many of the others each one leads. */
#include "puppet/motion/standing.h"
#include "puppet/motion/series.h"
#include <stdlib.h>
#include <string.h>

#define SEEN 0.5f           /* visibility of an ankle that is in the picture */
#define LEGS_PER_TRUNK 1.7f /* hip to sole over shoulder to hip */
#define LEVEL_SECONDS 0.25  /* sigma of the average */
#define LEAST_SECONDS 0.4
#define LEAD 0.03f /* of the pair's mean trunk and legs */
#define MAX_TRUNK 1e5f

/* One person's feet over the frames of the track. */
typedef struct {
  float *level; /* row of the ground that the person stands on */
  float *size;  /* hip to sole */
} Ground;

/* A pair's common frames [first, first + count). */
typedef struct {
  int first, count;
  guint8 *before; /* [count] whether the one with the lower index stands before the other */
} Pair;

struct Standing {
  const Tracks *tracks;
  guint people;
  Pair *pair; /* [people * people], where the first index is lower */
};

static const Track *track_of(const Tracks *tracks, guint index) {
  return g_ptr_array_index(tracks->tracks, index);
}

static float tame(float value) {
  return isfinite(value) ? CLAMP(value, -MAX_TRUNK, MAX_TRUNK) : 0;
}

static gboolean foot_is_seen(const Pose *pose, int side, int height) {
  const Landmark *ankle = &pose->image[POSE_LEFT_ANKLE + side];
  return ankle->visibility > SEEN && ankle->y < (float)height;
}

static void stand(const Pose *pose, int height, float *level, float *size) {
  const Landmark *l = pose->image;
  float hip = 0.5f * (l[POSE_LEFT_HIP].y + l[POSE_RIGHT_HIP].y);
  float dx =
      0.5f * (l[POSE_LEFT_SHOULDER].x + l[POSE_RIGHT_SHOULDER].x - l[POSE_LEFT_HIP].x - l[POSE_RIGHT_HIP].x);
  float dy = 0.5f * (l[POSE_LEFT_SHOULDER].y + l[POSE_RIGHT_SHOULDER].y) - hip;
  float legs = LEGS_PER_TRUNK * hypotf(dx, dy), lowest = -G_MAXFLOAT;
  for (int side = 0; side < 2; side++)
    if (foot_is_seen(pose, side, height))
      lowest = MAX(lowest, MAX(MAX(l[POSE_LEFT_HEEL + side].y, l[POSE_LEFT_FOOT_INDEX + side].y),
                               l[POSE_LEFT_ANKLE + side].y));
  *level = tame(lowest > -G_MAXFLOAT ? lowest : hip + legs);
  *size = MAX(tame(legs), 1);
}

static double frame_rate(const Tracks *tracks) {
  int last = tracks->frames - 1;
  double seconds = last > 0 && tracks->time_s ? tracks->time_s[last] - tracks->time_s[0] : 0;
  return seconds > 0 ? CLAMP(last / seconds, 4.0, 240.0) : 25;
}

/* Index of the shot of each frame of the video. */
static int *shots(const Tracks *tracks) {
  int *shot = g_new0(int, MAX(tracks->frames, 1));
  for (guint i = 0; tracks->cuts && i < tracks->cuts->len; i++)
    for (int n = MAX(0, g_array_index(tracks->cuts, int, i)); n < tracks->frames; n++)
      shot[n] = (int)i;
  return shot;
}

static Ground find_ground(const Tracks *tracks, const Track *track, const int *shot) {
  Ground ground = {g_new(float, MAX(track->count, 1)), g_new(float, MAX(track->count, 1))};
  for (int i = 0; i < track->count; i++)
    stand(&track->poses[i], tracks->height, &ground.level[i], &ground.size[i]);
  double sigma = LEVEL_SECONDS * frame_rate(tracks);
  series_gauss(ground.level, 1, shot + track->first, track->count, sigma);
  series_gauss(ground.size, 1, shot + track->first, track->count, sigma);
  return ground;
}

static void compare(const Tracks *tracks, guint a, guint b, const Ground *ground, const int *shot,
                    Pair *pair) {
  const Track *p = track_of(tracks, a), *q = track_of(tracks, b);
  int first = MAX(p->first, q->first), end = MIN(p->first + p->count, q->first + q->count);
  if (first >= end)
    return;
  *pair = (Pair){first, end - first, g_new0(guint8, end - first)};
  for (int n = first; n < end; n++) {
    int i = n - first;
    float lead = (ground[a].level[n - p->first] - ground[b].level[n - q->first]) /
                 (0.5f * (ground[a].size[n - p->first] + ground[b].size[n - q->first]));
    gboolean known = i > 0 && shot[n] == shot[n - 1];
    pair->before[i] = lead > (!known ? 0 : pair->before[i - 1] ? -LEAD : LEAD);
  }
  series_steady(pair->before, shot + first, pair->count,
                MAX(3, (int)lrint(LEAST_SECONDS * frame_rate(tracks))));
}

Standing *standing_new(const Tracks *tracks) {
  guint people = tracks->tracks->len;
  Standing *standing = g_new0(Standing, 1);
  *standing = (Standing){tracks, people, g_new0(Pair, (gsize)people * people + 1)};
  g_autofree int *shot = shots(tracks);
  g_autofree Ground *ground = g_new0(Ground, people + 1);
  for (guint i = 0; i < people; i++)
    ground[i] = find_ground(tracks, track_of(tracks, i), shot);
  for (guint a = 0; a < people; a++)
    for (guint b = a + 1; b < people; b++)
      compare(tracks, a, b, ground, shot, &standing->pair[a * people + b]);
  for (guint i = 0; i < people; i++) {
    g_free(ground[i].level);
    g_free(ground[i].size);
  }
  return standing;
}

void standing_free(Standing *standing) {
  if (!standing)
    return;
  for (gsize i = 0; i < (gsize)standing->people * standing->people; i++)
    g_free(standing->pair[i].before);
  g_free(standing->pair);
  g_free(standing);
}

gboolean standing_before(const Standing *standing, guint a, guint b, int frame) {
  g_return_val_if_fail(a < standing->people && b < standing->people, FALSE);
  const Pair *pair = &standing->pair[MIN(a, b) * standing->people + MAX(a, b)];
  int i = frame - pair->first;
  return a != b && i >= 0 && i < pair->count && pair->before[i] == (a < b);
}

static gboolean is_there(const Tracks *tracks, guint index, int frame) {
  const Track *track = track_of(tracks, index);
  return frame >= track->first && frame - track->first < track->count;
}

void standing_sort(const Standing *standing, int frame, guint *tracks, int count) {
  g_autofree int *rank = g_new(int, MAX(count, 1));
  for (int i = 0; i < count; i++) {
    rank[i] = is_there(standing->tracks, tracks[i], frame) ? 0 : -1;
    for (int k = 0; k < count; k++)
      rank[i] += standing_before(standing, tracks[i], tracks[k], frame);
  }
  for (int i = 1; i < count; i++) { /* a handful; equal ones keep their order */
    guint track = tracks[i];
    int own = rank[i], k = i;
    for (; k > 0 && rank[k - 1] > own; k--)
      tracks[k] = tracks[k - 1], rank[k] = rank[k - 1];
    tracks[k] = track, rank[k] = own;
  }
}
