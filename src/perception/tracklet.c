/* What was lost is sought where it was heading: a piece that begins within two seconds after another ended,
 * close to where that one's motion leads and of the same size, is taken for its continuation. All such pairs
 * are tried, the closest first. */
#include "perception/tracklet.h"
#include "perception/body.h"
#include "perception/smooth.h"
#include <math.h>

#define GAP_LONGEST 2.0    /* s */
#define TRACK_SHORTEST 0.5 /* s */
#define JOIN_NEAR 0.20f    /* distance that is allowed at once, in body sizes */
#define JOIN_DRIFT 0.35f   /* and more for each second of the gap */
#define SIZE_RATIO 1.6f
#define TRIM_JUMP 0.12f /* body sizes from one frame to the next; quick dancing stays below 0.04 */
#define TRIM_LONGEST 4
#define SPEED_FRAMES 5
#define SPEED_LASTS 0.4 /* s: a motion is not believed for longer */
#define REPEAT_SHARE 0.5

Tracklet *tracklet_new(int first, int shot) {
  Tracklet *tracklet = g_new0(Tracklet, 1);
  tracklet->first = first;
  tracklet->shot = shot;
  tracklet->poses = g_array_new(FALSE, FALSE, sizeof(Pose));
  tracklet->slots = g_array_new(FALSE, FALSE, sizeof(gint8));
  return tracklet;
}

void tracklet_free(Tracklet *tracklet) {
  if (!tracklet)
    return;
  g_array_unref(tracklet->poses);
  g_array_unref(tracklet->slots);
  g_free(tracklet);
}

void tracklet_add(Tracklet *tracklet, const Pose *pose, gint8 slot) {
  g_array_append_vals(tracklet->poses, pose, 1);
  g_array_append_val(tracklet->slots, slot);
}

int tracklet_end(const Tracklet *tracklet) {
  return tracklet->first + (int)tracklet->poses->len;
}

const Pose *tracklet_pose(const Tracklet *tracklet, int frame) {
  return &g_array_index(tracklet->poses, Pose, frame - tracklet->first);
}

static float size_of(const Pose *pose) {
  return hypotf(pose->box[2], pose->box[3]);
}

/* The hips' middle, which the network knows even when legs are hidden. */
static void middle(const Pose *pose, float *x, float *y) {
  *x = 0.5f * (pose->image[POSE_LEFT_HIP].x + pose->image[POSE_RIGHT_HIP].x);
  *y = 0.5f * (pose->image[POSE_LEFT_HIP].y + pose->image[POSE_RIGHT_HIP].y);
}

/* --- joining --- */

typedef struct {
  Tracklet *before, *after;
  float cost;
} Joint;

/* How far the piece's middle moves within `seconds` beyond its end (or, with step -1, before its beginning).
 */
static void lead(const Tracklet *t, const double *time_s, int step, double seconds, float *dx, float *dy) {
  int edge = step > 0 ? tracklet_end(t) - 1 : t->first;
  int back = CLAMP(edge - step * SPEED_FRAMES, t->first, tracklet_end(t) - 1);
  *dx = *dy = 0;
  if (back == edge)
    return;
  float ax, ay, bx, by;
  middle(tracklet_pose(t, back), &ax, &ay);
  middle(tracklet_pose(t, edge), &bx, &by);
  float share = (float)(MIN(seconds, SPEED_LASTS) / fabs(time_s[edge] - time_s[back]));
  *dx = (bx - ax) * share;
  *dy = (by - ay) * share;
}

/* The better of: the earlier one went on, the later one came from there, it stood still. */
static float join_cost(const Tracklet *a, const Tracklet *b, const double *time_s) {
  const Pose *end = tracklet_pose(a, tracklet_end(a) - 1), *begin = tracklet_pose(b, b->first);
  double gap = time_s[b->first] - time_s[tracklet_end(a) - 1];
  float ratio = MAX(size_of(end), 1) / MAX(size_of(begin), 1);
  if (gap > GAP_LONGEST || ratio > SIZE_RATIO || ratio < 1 / SIZE_RATIO)
    return INFINITY;
  float fx, fy, bx, by;
  lead(a, time_s, 1, gap, &fx, &fy);
  lead(b, time_s, -1, gap, &bx, &by);
  float cost = MIN(body_distance(end, begin, fx, fy), body_distance(end, begin, -bx, -by));
  cost = MIN(cost, body_distance(end, begin, 0, 0));
  return cost < JOIN_NEAR + JOIN_DRIFT * (float)gap ? cost + 0.1f * (float)gap : INFINITY;
}

static int by_cost(gconstpointer a, gconstpointer b) {
  float x = ((const Joint *)a)->cost, y = ((const Joint *)b)->cost;
  return x < y ? -1 : x > y;
}

static GArray *find_joints(GPtrArray *tracklets, const double *time_s) {
  GArray *joints = g_array_new(FALSE, FALSE, sizeof(Joint));
  for (guint i = 0; i < tracklets->len; i++)
    for (guint k = i + 1; k < tracklets->len; k++) { /* they are in order of their first frames */
      Tracklet *a = tracklets->pdata[i], *b = tracklets->pdata[k];
      if (b->shot != a->shot || time_s[b->first] - time_s[tracklet_end(a) - 1] > GAP_LONGEST)
        break;
      if (b->first < tracklet_end(a))
        continue;
      Joint joint = {a, b, join_cost(a, b, time_s)};
      if (joint.cost < INFINITY)
        g_array_append_val(joints, joint);
    }
  g_array_sort(joints, by_cost);
  return joints;
}

static void append(Tracklet *a, const Tracklet *b) {
  Pose last = *tracklet_pose(a, tracklet_end(a) - 1);
  while (tracklet_end(a) < b->first)
    tracklet_add(a, &last, -1); /* filled by the smoothing */
  g_array_append_vals(a->poses, b->poses->data, b->poses->len);
  g_array_append_vals(a->slots, b->slots->data, b->slots->len);
}

/* Before somebody is lost, and just after, the network often grasps at something else: such frames at the
 * ends, told by how far the whole body jumps, are cut off. */
static void trim(Tracklet *t) {
  for (int i = 0; i < TRIM_LONGEST && t->poses->len > 2; i++) {
    int last = tracklet_end(t) - 1;
    if (body_distance(tracklet_pose(t, last), tracklet_pose(t, last - 1), 0, 0) < TRIM_JUMP)
      break;
    g_array_set_size(t->poses, t->poses->len - 1);
    g_array_set_size(t->slots, t->slots->len - 1);
  }
  for (int i = 0; i < TRIM_LONGEST && t->poses->len > 2; i++) {
    if (body_distance(tracklet_pose(t, t->first), tracklet_pose(t, t->first + 1), 0, 0) < TRIM_JUMP)
      break;
    g_array_remove_index(t->poses, 0);
    g_array_remove_index(t->slots, 0);
    t->first++;
  }
}

static void join(GPtrArray *tracklets, const double *time_s) {
  g_autoptr(GArray) joints = find_joints(tracklets, time_s);
  g_autoptr(GHashTable) next = g_hash_table_new(NULL, NULL), has_before = g_hash_table_new(NULL, NULL);
  for (guint i = 0; i < joints->len; i++) {
    Joint *joint = &g_array_index(joints, Joint, i);
    if (g_hash_table_contains(next, joint->before) || g_hash_table_contains(has_before, joint->after))
      continue;
    g_hash_table_insert(next, joint->before, joint->after);
    g_hash_table_add(has_before, joint->after);
  }
  for (guint i = 0; i < tracklets->len; i++) {
    Tracklet *head = tracklets->pdata[i];
    if (g_hash_table_contains(has_before, head))
      continue;
    for (Tracklet *t = g_hash_table_lookup(next, head); t; t = g_hash_table_lookup(next, t))
      append(head, t);
  }
  for (guint i = tracklets->len; i-- > 0;)
    if (g_hash_table_contains(has_before, tracklets->pdata[i]))
      g_ptr_array_remove_index(tracklets, i);
}

/* --- choosing --- */

static int seen_frames(const Tracklet *t) {
  int seen = 0;
  for (guint i = 0; i < t->slots->len; i++)
    seen += g_array_index(t->slots, gint8, i) >= 0;
  return seen;
}

/* b shows the body of a in most of its frames. */
static gboolean repeats(const Tracklet *a, const Tracklet *b) {
  int begin = MAX(a->first, b->first), end = MIN(tracklet_end(a), tracklet_end(b)), same = 0;
  for (int frame = begin; frame < end; frame++)
    same += body_is_same(tracklet_pose(a, frame), tracklet_pose(b, frame));
  return same > REPEAT_SHARE * b->poses->len;
}

static void drop_weak(GPtrArray *tracklets, const double *time_s, int frames) {
  double step = frames > 1 ? (time_s[frames - 1] - time_s[0]) / (frames - 1) : 0;
  for (guint i = tracklets->len; i-- > 0;) {
    Tracklet *t = tracklets->pdata[i];
    gboolean weak = seen_frames(t) * step < TRACK_SHORTEST - 0.5 * step;
    for (guint k = 0; k < tracklets->len && !weak; k++) {
      Tracklet *other = tracklets->pdata[k];
      gboolean longer = other->poses->len > t->poses->len || (other->poses->len == t->poses->len && k < i);
      weak = k != i && other->shot == t->shot && longer && repeats(other, t);
    }
    if (weak)
      g_ptr_array_remove_index(tracklets, i);
  }
}

static int by_appearance(gconstpointer a, gconstpointer b) {
  const Tracklet *s = *(Tracklet *const *)a, *t = *(Tracklet *const *)b;
  if (s->first != t->first)
    return s->first < t->first ? -1 : 1;
  float sx, tx, y;
  middle(tracklet_pose(s, s->first), &sx, &y);
  middle(tracklet_pose(t, t->first), &tx, &y);
  return sx < tx ? -1 : sx > tx;
}

static Track *to_track(Tracklet *t, int id, const double *time_s) {
  Track *track = g_new0(Track, 1);
  track->id = id;
  track->first = t->first;
  track->count = (int)t->poses->len;
  track->slot = (gint8 *)g_array_free(g_steal_pointer(&t->slots), FALSE);
  track->poses = (Pose *)g_array_free(g_steal_pointer(&t->poses), FALSE);
  g_autofree gboolean *seen = g_new(gboolean, (gsize)track->count);
  for (int i = 0; i < track->count; i++)
    seen[i] = track->slot[i] >= 0;
  smooth_poses(time_s + track->first, seen, track->count, track->poses);
  t->slots = g_array_new(FALSE, FALSE, sizeof(gint8));
  t->poses = g_array_new(FALSE, FALSE, sizeof(Pose));
  return track;
}

static void track_free(Track *track) {
  if (!track)
    return;
  g_free(track->slot);
  g_free(track->poses);
  g_free(track);
}

GPtrArray *tracklets_to_tracks(GPtrArray *tracklets, const double *time_s, int frames) {
  GPtrArray *tracks = g_ptr_array_new_with_free_func((GDestroyNotify)track_free);
  for (guint i = 0; i < tracklets->len; i++)
    trim(tracklets->pdata[i]);
  g_ptr_array_sort(tracklets, by_appearance);
  join(tracklets, time_s);
  drop_weak(tracklets, time_s, frames);
  g_ptr_array_sort(tracklets, by_appearance);
  for (guint i = 0; i < tracklets->len; i++)
    g_ptr_array_add(tracks, to_track(tracklets->pdata[i], (int)i + 1, time_s));
  return tracks;
}
