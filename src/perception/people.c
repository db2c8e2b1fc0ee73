/* Detections are first set against the people who are known or just found, by the cheapest pairing of
 * regions; what belongs to nobody is read. */
#include "perception/people.h"
#include "perception/assign.h"
#include "perception/tracklet.h"
#include <math.h>

#define FAINT 0.1f       /* detections below are noise */
#define SAME_REGION 0.5f /* misfit up to which a detection belongs to somebody */
#define MIN_PART_SIDE 100
/* A faint one has to stand still under two more looks. True ones move by 0.005 to 0.07 of the body's size and
 * have flags above 0.998; what the network sees in drawings moves by 0.1 to 1 or loses its flag. */
#define FAINT_FLAG 0.99f
#define FAINT_MOVE 0.1f
#define FAINT_LOOKS 2
/* Its mask has to be as certain and to hold its bones: people 0.12 to 0.29 and 0.92 to 1, drawings from 0.42
 * and to 0.87. */
#define FAINT_UNSURE 0.35f
#define FAINT_INSIDE 0.9f
#define MASK_SIDE 256
#define MAX_READS 12  /* faint detections that are looked at in one picture */
#define MIN_SIZE 0.1f /* of a faint person, in parts of the picture's longer side; and in pixels: */
#define MIN_PIXELS 40
#define INSIDE 0.7f /* of the box of somebody bigger: a limb, not a person */

typedef struct {
  Region region;
  float score;
  gboolean plain;
} Lead;

/* --- parts: squares of half the longer side, overlapping by half --- */

static int parts_along(int length, int side) {
  return length <= side ? 1 : 1 + (int)ceil((length - side) / (0.5 * side));
}

static int part_side(int width, int height) {
  return MAX(width, height) / 2;
}

int people_parts(int width, int height) {
  int side = part_side(width, height);
  return side < MIN_PART_SIDE ? 0 : parts_along(width, side) * parts_along(height, side);
}

static float part_centre(int length, int side, int index, int count) {
  return count == 1 ? 0.5f * (float)length
                    : 0.5f * (float)side + (float)(length - side) * (float)index / (float)(count - 1);
}

static Region part(int width, int height, int index) {
  int side = part_side(width, height), across = parts_along(width, side), down = parts_along(height, side);
  return (Region){.cx = part_centre(width, side, index % across, across),
                  .cy = part_centre(height, side, index / across % down, down),
                  .width = (float)side,
                  .height = (float)side};
}

/* --- leads --- */

static gboolean look(PoseEstimator *estimator, const Image *rgb, const Region *where, GArray *leads,
                     GError **error) {
  g_autoptr(GArray) detections = NULL;
  if (!body_detect(estimator, rgb, where, where ? FAINT : DETECTOR_THRESHOLD, FAINT, &detections, error))
    return FALSE;
  for (guint i = 0; i < detections->len; i++) {
    const Detection *d = &g_array_index(detections, Detection, i);
    Lead lead = {body_region_from_detection(d), d->score, !where && d->score >= DETECTOR_THRESHOLD};
    if (region_is_sane(&lead.region))
      g_array_append_val(leads, lead);
  }
  return TRUE;
}

/* How badly a region fits a person's: distance of the middles and difference of the sizes. */
static float misfit(const Region *a, const Region *b) {
  float away = hypotf(a->cx - b->cx, a->cy - b->cy) / (0.5f * (a->width + b->width));
  return 2 * away + 0.5f * fabsf(logf(a->width / b->width));
}

/* Leads that point at somebody known, at most one for each. */
static void strike_known(GArray *leads, const Pose *const *known, int n) {
  int count = (int)leads->len;
  if (n == 0 || count == 0)
    return;
  g_autofree float *cost = g_new(float, (gsize)n * leads->len);
  g_autofree int *column = g_new(int, (gsize)n);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < count; k++)
      cost[i * count + k] = misfit(&g_array_index(leads, Lead, k).region, &known[i]->region);
  assign(cost, n, count, SAME_REGION, column);
  for (int i = 0; i < n; i++)
    if (column[i] >= 0)
      g_array_index(leads, Lead, column[i]).score = 0;
  for (guint k = leads->len; k-- > 0;)
    if (g_array_index(leads, Lead, k).score <= 0)
      g_array_remove_index(leads, k);
}

static int by_score(gconstpointer a, gconstpointer b) {
  const Lead *x = a, *y = b;
  if (x->plain != y->plain)
    return x->plain ? -1 : 1;
  return x->score < y->score ? 1 : x->score > y->score ? -1 : 0;
}

/* --- confirming --- */

/* Reads again in the region that the reading itself gives. FALSE in *steady when the body moved or vanished.
 */
static gboolean look_again(PoseEstimator *estimator, const Image *rgb, BodyReading *reading, float flag,
                           float move, gboolean *steady, GError **error) {
  Pose before = reading->pose;
  Region region = body_region_from_anchors(reading->anchor);
  *steady = FALSE;
  if (!region_is_sane(&region))
    return TRUE;
  if (!body_read(estimator, rgb, &region, reading, error))
    return FALSE;
  *steady = reading->pose.score > flag && body_distance(&before, &reading->pose, 0, 0) < move;
  return TRUE;
}

/* The share of the box of a that lies in the box of b. */
static float share_inside(const float a[4], const float b[4]) {
  float w = MIN(a[0] + a[2], b[0] + b[2]) - MAX(a[0], b[0]),
        h = MIN(a[1] + a[3], b[1] + b[3]) - MAX(a[1], b[1]);
  return w > 0 && h > 0 ? w * h / MAX(a[2] * a[3], 1) : 0;
}

/* The second look may read the pose quite differently, left for right even, where a picture is hard; what
 * must stay is that somebody of that size is there. The first reading is kept. */
static gboolean confirm_plain(PoseEstimator *estimator, const Image *rgb, const BodyReading *reading,
                              gboolean *good, GError **error) {
  Region region = body_region_from_anchors(reading->anchor);
  *good = reading->pose.score > BODY_PRESENT && region_is_sane(&region);
  if (!*good)
    return TRUE;
  g_autofree BodyReading *again = g_new0(BodyReading, 1);
  if (!body_read(estimator, rgb, &region, again, error))
    return FALSE;
  Region settled = body_region_from_anchors(again->anchor);
  *good =
      again->pose.score > BODY_PRESENT && region_is_sane(&settled) && misfit(&region, &settled) < SAME_REGION;
  return TRUE;
}

/* Whether the mask covers the limbs that are seen and knows its own outline. */
static gboolean fits_mask(const BodyReading *reading, const Image *rgb) {
  static const guint8 bones[][2] = {{11, 12}, {11, 13}, {13, 15}, {12, 14}, {14, 16}, {11, 23},
                                    {12, 24}, {23, 24}, {23, 25}, {25, 27}, {24, 26}, {26, 28}};
  float scale = (float)MASK_SIDE / (float)MAX(rgb->width, rgb->height);
  int width = MAX(1, (int)((float)rgb->width * scale)), height = MAX(1, (int)((float)rgb->height * scale));
  g_autoptr(Image) mask = body_mask(reading, rgb->width, rgb->height, width, height);
  int inside = 0, points = 0, certain = 0, unsure = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(bones); i++) {
    const Landmark *a = &reading->pose.image[bones[i][0]], *b = &reading->pose.image[bones[i][1]];
    for (int k = 0; k <= 8 && a->visibility > 0.5f && b->visibility > 0.5f; k++) {
      float x = (a->x + (b->x - a->x) * (float)k / 8) * scale,
            y = (a->y + (b->y - a->y) * (float)k / 8) * scale;
      if (!(x >= 0 && y >= 0 && x < (float)width && y < (float)height))
        continue;
      points++;
      inside += *image_at(mask, (int)x, (int)y) > 127;
    }
  }
  for (int i = 0; i < width * height; i++) {
    certain += mask->pixels[i] > 127;
    unsure += mask->pixels[i] > 25 && mask->pixels[i] < 230;
  }
  return points > 0 && (float)inside >= FAINT_INSIDE * (float)points &&
         (float)unsure <= FAINT_UNSURE * (float)certain;
}

static gboolean is_large_enough(const Pose *pose, const Image *rgb) {
  float size = hypotf(pose->box[2], pose->box[3]);
  return size >= MIN_PIXELS && size >= MIN_SIZE * (float)MAX(rgb->width, rgb->height);
}

/* Leaves the last, best placed reading. */
static gboolean confirm_faint(PoseEstimator *estimator, const Image *rgb, BodyReading *reading,
                              gboolean *good, GError **error) {
  *good = reading->pose.score > FAINT_FLAG;
  for (int i = 0; i < FAINT_LOOKS && *good; i++)
    if (!look_again(estimator, rgb, reading, FAINT_FLAG, FAINT_MOVE, good, error))
      return FALSE;
  *good = *good && is_large_enough(&reading->pose, rgb) && fits_mask(reading, rgb);
  return TRUE;
}

static gboolean is_known(const Pose *pose, gboolean plain, const Pose *const *known, int n,
                         const GPtrArray *found) {
  for (int i = 0; i < n + (int)found->len; i++) {
    const Pose *other = i < n ? known[i] : &((const Found *)found->pdata[i - n])->reading.pose;
    if (body_is_same(other, pose) || (!plain && share_inside(pose->box, other->box) > INSIDE))
      return TRUE;
  }
  return FALSE;
}

/* Whether the lead is near somebody found a moment ago: then it need not be read. */
static gboolean is_found(const Lead *lead, const GPtrArray *found) {
  for (guint i = 0; i < found->len; i++)
    if (!lead->plain &&
        misfit(&lead->region, &((const Found *)found->pdata[i])->reading.pose.region) < SAME_REGION)
      return TRUE;
  return FALSE;
}

static gboolean follow_lead(PoseEstimator *estimator, const Image *rgb, const Lead *lead,
                            const Pose *const *known, int n_known, GPtrArray *found, GError **error) {
  g_autofree Found *person = g_new0(Found, 1);
  gboolean good;
  person->plain = lead->plain;
  if (!body_read(estimator, rgb, &lead->region, &person->reading, error))
    return FALSE;
  if (!(person->reading.pose.score > BODY_PRESENT) ||
      is_known(&person->reading.pose, lead->plain, known, n_known, found))
    return TRUE;
  if (!(lead->plain ? confirm_plain(estimator, rgb, &person->reading, &good, error)
                    : confirm_faint(estimator, rgb, &person->reading, &good, error)))
    return FALSE;
  if (good && !is_known(&person->reading.pose, lead->plain, known, n_known, found))
    g_ptr_array_add(found, g_steal_pointer(&person));
  return TRUE;
}

static int by_size(gconstpointer a, gconstpointer b) {
  const Found *x = *(Found *const *)a, *y = *(Found *const *)b;
  if (x->plain != y->plain)
    return x->plain ? -1 : 1;
  float s = x->reading.pose.score * x->reading.pose.score * x->reading.pose.box[2] * x->reading.pose.box[3];
  float t = y->reading.pose.score * y->reading.pose.score * y->reading.pose.box[2] * y->reading.pose.box[3];
  return s < t ? 1 : s > t ? -1 : 0;
}

GPtrArray *people_look(PoseEstimator *estimator, const Image *rgb, int first, int count, GError **error) {
  g_autoptr(GPtrArray) looks = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
  int parts = people_parts(rgb->width, rgb->height);
  for (int i = -1; i < MIN(count, parts); i++) {
    GArray *leads = g_array_new(FALSE, FALSE, sizeof(Lead));
    g_ptr_array_add(looks, leads);
    Region where = i < 0 ? (Region){0} : part(rgb->width, rgb->height, (first + i) % parts);
    if (!look(estimator, rgb, i < 0 ? NULL : &where, leads, error))
      return NULL;
  }
  return g_steal_pointer(&looks);
}

GPtrArray *people_find(PoseEstimator *estimator, const Image *rgb, const GPtrArray *looks,
                       const Pose *const *known, int n_known, GError **error) {
  g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GArray) leads = g_array_new(FALSE, FALSE, sizeof(Lead));
  int faint = 0;
  for (guint i = 0; i < looks->len; i++) {
    g_autoptr(GArray) seen = g_array_copy(looks->pdata[i]);
    strike_known(seen, known, n_known);
    g_array_append_vals(leads, seen->data, seen->len);
  }
  g_array_sort(leads, by_score);
  for (guint i = 0; i < leads->len; i++) {
    const Lead *lead = &g_array_index(leads, Lead, i);
    if (is_found(lead, found) || (!lead->plain && faint++ >= MAX_READS))
      continue;
    if (!follow_lead(estimator, rgb, lead, known, n_known, found, error))
      return NULL;
  }
  g_ptr_array_sort(found, by_size);
  return g_steal_pointer(&found);
}
