/* Work is done on a copy of the largest piece at a fixed size, so that all thresholds mean the same for any
 * picture. The joints are found from the outside in: limbs give shoulders and hips, these give the spine, the
 * spine gives neck and head. Proportions where the outline is silent are an adult's, bent toward what the
 * outline does say. */
#include "puppet/figure/silhouette.h"
#include "base/plane.h"
#include "puppet/figure/limbs.h"
#include <math.h>
#include <string.h>

#define WORK_SIDE 320
#define MARGIN 3
#define NO_BODY 3.0f     /* misfit from which on there is no body; true ones stay below 2 */
#define LEAST_LIMB 0.03f /* of the height: what sticks out less is no extremity */

typedef struct {
  Plane *mask;
  float scale, left, top; /* picture = work / scale + (left, top), for pixel centres moved by half */
  float height;           /* of the silhouette, in work pixels */
  Branches *branches;
  Limbs limbs;
  float (*joint)[2];
  float *visibility;
} Work;

/* --- the work copy
 * --------------------------------------------------------------------------------------------- */

static gboolean bounds(const Image *mask, int box[4]) {
  box[0] = mask->width, box[1] = mask->height, box[2] = box[3] = -1;
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*image_at(mask, x, y) >= 128) {
        box[0] = MIN(box[0], x), box[1] = MIN(box[1], y);
        box[2] = MAX(box[2], x), box[3] = MAX(box[3], y);
      }
  return box[2] >= 0;
}

/* The largest piece stays; pieces that are not much smaller are tied to it by a line as wide as a thin limb.
 */
static void join_pieces(Plane *mask) {
  gsize n = (gsize)mask->width * (gsize)mask->height;
  g_autofree int *labels = g_new(int, n);
  for (int tie = 0; tie < 8; tie++) {
    g_autofree int *sizes = NULL;
    int regions = plane_regions(mask, 0.5f, labels, &sizes), largest = 1;
    for (int i = 2; i <= regions; i++)
      if (sizes[i] > sizes[largest])
        largest = i;
    g_autoptr(Plane) piece = plane_new(mask->width, mask->height);
    for (gsize i = 0; i < n; i++) {
      if (labels[i] && labels[i] != largest && sizes[labels[i]] < 0.02 * sizes[largest])
        mask->v[i] = 0;
      piece->v[i] = labels[i] == largest;
    }
    g_autofree int *nearest = g_new(int, n);
    g_autoptr(Plane) distance = plane_distance(piece, 0.5f, nearest);
    int from = -1;
    for (gsize i = 0; i < n; i++)
      if (mask->v[i] >= 0.5f && labels[i] != largest && (from < 0 || distance->v[i] < distance->v[from]))
        from = (int)i;
    if (from < 0)
      return;
    int w = mask->width, x0 = from % w, y0 = from / w, x1 = nearest[from] % w, y1 = nearest[from] / w;
    int steps = 2 * MAX(abs(x1 - x0), abs(y1 - y0)) + 1;
    for (int s = 0; s <= steps; s++) {
      int x = x0 + (x1 - x0) * s / steps, y = y0 + (y1 - y0) * s / steps;
      for (int dy = -2; dy <= 2; dy++)
        for (int dx = -2; dx <= 2; dx++)
          *plane_at(mask, CLAMP(x + dx, 1, w - 2), CLAMP(y + dy, 1, mask->height - 2)) = 1;
    }
  }
}

static void fill_small_holes(Plane *mask, float largest) {
  gsize n = (gsize)mask->width * (gsize)mask->height;
  g_autoptr(Plane) empty = plane_new(mask->width, mask->height);
  for (gsize i = 0; i < n; i++)
    empty->v[i] = mask->v[i] < 0.5f;
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  plane_regions(empty, 0.5f, labels, &sizes);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && labels[i] != labels[0] && (float)sizes[labels[i]] < largest)
      mask->v[i] = 1;
}

/* --- holes
 * ----------------------------------------------------------------------------------------------------- */

typedef enum { CUT_BELOW, CUT_ABOVE, CUT_BY_HEIGHT, CUTS } Cut;

static void cut_line(Plane *mask, int from, int to) {
  int w = mask->width, x0 = from % w, y0 = from / w, x1 = to % w, y1 = to / w;
  int steps = 2 * MAX(abs(x1 - x0), abs(y1 - y0)) + 1;
  for (int s = 0; s <= steps; s++) {
    int x = x0 + (x1 - x0) * s / steps, y = y0 + (y1 - y0) * s / steps;
    for (int k = 0; k < 4; k++) /* two wide, so that no diagonal step bridges it */
      *plane_at(mask, MIN(x + k % 2, w - 1), MIN(y + k / 2, mask->height - 1)) = 0;
  }
}

/* Opens every hole to the outside where what surrounds it is thinnest, in its lower or upper part: a hand
 * leaves the hip or the head that it touches, feet leave each other. Returns the number of holes. */
static int open_holes(Plane *mask, Cut cut) {
  int w = mask->width, h = mask->height;
  gsize n = (gsize)w * (gsize)h;
  g_autoptr(Plane) empty = plane_new(w, h), outside = plane_new(w, h);
  for (gsize i = 0; i < n; i++)
    empty->v[i] = mask->v[i] < 0.5f;
  g_autofree int *labels = g_new(int, n), *nearest = g_new(int, n);
  int regions = plane_regions(empty, 0.5f, labels, NULL);
  for (gsize i = 0; i < n; i++)
    outside->v[i] = labels[i] == labels[0];
  g_autoptr(Plane) distance = plane_distance(outside, 0.5f, nearest);
  for (int region = 1; region <= regions; region++) {
    if (region == labels[0])
      continue;
    int top = h, bottom = 0, best = -1;
    for (gsize i = 0; i < n; i++)
      if (labels[i] == region)
        top = MIN(top, (int)i / w), bottom = MAX(bottom, (int)i / w);
    gboolean below = cut == CUT_BELOW || (cut == CUT_BY_HEIGHT && top + bottom > 0.7f * (float)h);
    float least = G_MAXFLOAT, limit = 0.35f * (float)(bottom - top);
    for (gsize i = 0; i < n; i++) {
      int y = (int)i / w;
      if (labels[i] != region || (below ? (float)(bottom - y) > limit : (float)(y - top) > limit))
        continue;
      float aside = fabsf((float)((int)i % w - nearest[i] % w)) / MAX(distance->v[i], 1.0f);
      float price = distance->v[i] * (1 + 0.5f * aside);
      if (price < least)
        least = price, best = (int)i;
    }
    cut_line(mask, best, nearest[best]);
  }
  return regions - 1;
}

static Plane *edge_depth(const Plane *mask) {
  g_autoptr(Plane) empty = plane_copy(mask);
  for (gsize i = 0; i < (gsize)mask->width * (gsize)mask->height; i++)
    empty->v[i] = 1 - mask->v[i];
  return plane_distance(empty, 0.5f, NULL);
}

static gboolean work_begin(Work *work, const Image *mask, GError **error) {
  int box[4];
  if (mask->channels != 1)
    return fault(error, FAULT_INTERNAL, "A mask has one channel, this one has %d.", mask->channels);
  if (!bounds(mask, box))
    return fault(error, FAULT_NOBODY, "The mask is empty.");
  int bw = box[2] - box[0] + 1, bh = box[3] - box[1] + 1;
  if (MIN(bw, bh) < 8)
    return fault(error, FAULT_NOBODY, "The figure is only %d x %d pixels.", bw, bh);
  work->scale = (float)WORK_SIDE / (float)MAX(bw, bh);
  int w = MAX(4, (int)lroundf((float)bw * work->scale)), h = MAX(4, (int)lroundf((float)bh * work->scale));
  work->left = (float)box[0] - MARGIN / work->scale, work->top = (float)box[1] - MARGIN / work->scale;
  work->height = (float)h;
  g_autoptr(Plane) whole = plane_from_image(mask, 0), cut = plane_new(bw, bh);
  for (int y = 0; y < bh; y++)
    memcpy(plane_at(cut, 0, y), plane_at(whole, box[0], box[1] + y), (gsize)bw * sizeof(float));
  g_autoptr(Plane) small = plane_resize(cut, w, h);
  work->mask = plane_new(w + 2 * MARGIN, h + 2 * MARGIN);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) /* thin strokes must not tear when shrunk */
      *plane_at(work->mask, x + MARGIN, y + MARGIN) = *plane_at(small, x, y) >= 0.4f;
  join_pieces(work->mask);
  fill_small_holes(work->mask, 0.0012f * work->height * work->height);
  return TRUE;
}

/* Reads the limbs of a mask, the work's own or one with its holes opened, and keeps them if they make a
 * better body. */
static void try_mask(Work *work, Plane *mask) {
  Limbs limbs;
  g_autoptr(Plane) depth = edge_depth(mask);
  g_autoptr(Branches) branches = branches_new(mask, depth, LEAST_LIMB * work->height);
  if (!limbs_find(branches, work->height, &limbs) || (work->branches && limbs.misfit >= work->limbs.misfit))
    return;
  branches_free(work->branches);
  work->branches = g_steal_pointer(&branches), work->limbs = limbs;
}

static gboolean find_limbs(Work *work) {
  try_mask(work, work->mask);
  for (Cut cut = CUT_BELOW; cut < CUTS; cut++) {
    g_autoptr(Plane) opened = plane_copy(work->mask);
    if (open_holes(opened, cut) == 0)
      break;
    join_pieces(opened);
    try_mask(work, opened);
  }
  return work->branches != NULL;
}

static void work_clear(Work *work) {
  plane_free(work->mask);
  branches_free(work->branches);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

/* --- small geometry
 * -------------------------------------------------------------------------------------------- */

static void put(Work *work, Joint joint, const float p[2], float visibility) {
  work->joint[joint][0] = p[0], work->joint[joint][1] = p[1];
  work->visibility[joint] = visibility;
}

static void mix(float out[2], const float a[2], const float b[2], float t) {
  float x = a[0] + t * (b[0] - a[0]), y = a[1] + t * (b[1] - a[1]);
  out[0] = x, out[1] = y;
}

static float apart(const float a[2], const float b[2]) {
  return hypotf(a[0] - b[0], a[1] - b[1]);
}

static gboolean inside(const Work *work, float x, float y) {
  int i = (int)lroundf(x), j = (int)lroundf(y);
  return i >= 0 && j >= 0 && i < work->mask->width && j < work->mask->height &&
         *plane_at(work->mask, i, j) >= 0.5f;
}

/* How far the mask goes on from p in a direction. */
static float reach(const Work *work, const float p[2], float dx, float dy) {
  float s = 0, length = hypotf(dx, dy);
  if (length <= 0)
    return 0;
  while (inside(work, p[0] + s * dx / length, p[1] + s * dy / length) && s < 2 * WORK_SIDE)
    s += 0.5f;
  return s;
}

/* --- a limb as a line
 * ------------------------------------------------------------------------------------------ */

#define LINE_POINTS 128
typedef struct {
  int n;
  float at[LINE_POINTS][2], radius[LINE_POINTS], along[LINE_POINTS];
} Line;

/* From start over the nodes between root and tip, evenly thinned and smoothed. */
static void line_make(Line *line, const Work *work, const float start[2], const Limb *limb) {
  const Branches *b = work->branches;
  int count;
  g_autofree int *path = branches_path(b, limb->root, limb->tip, &count);
  line->n = 0;
  line->at[0][0] = start[0], line->at[0][1] = start[1], line->radius[0] = b->radius[limb->root],
  line->along[0] = 0;
  line->n = 1;
  int points = MIN(LINE_POINTS - 1, MAX(2, count / 2));
  for (int i = 0; i < points; i++) {
    int middle = (int)((gint64)i * (count - 1) / (points - 1)),
        window = MIN(4, MIN(middle, count - 1 - middle));
    float p[2] = {0, 0}, r = 0;
    for (int k = middle - window; k <= middle + window; k++)
      p[0] += b->at[path[k]][0], p[1] += b->at[path[k]][1], r += b->radius[path[k]];
    float share = 1.0f / (float)(2 * window + 1);
    int at = line->n++;
    line->at[at][0] = p[0] * share, line->at[at][1] = p[1] * share, line->radius[at] = r * share;
    line->along[at] = line->along[at - 1] + apart(line->at[at], line->at[at - 1]);
  }
}

static void line_at(const Line *line, float along, float p[2]) {
  int i = 1;
  while (i < line->n - 1 && line->along[i] < along)
    i++;
  float step = line->along[i] - line->along[i - 1];
  mix(p, line->at[i - 1], line->at[i], step > 0 ? CLAMP((along - line->along[i - 1]) / step, 0.0f, 1.0f) : 0);
}

static float line_radius(const Line *line, float along) {
  int i = 0;
  while (i < line->n - 1 && line->along[i] < along)
    i++;
  return line->radius[i];
}

/* Where the line bends most between two shares of its length up to `end`: elbow or knee. A straight limb
 * bends in its middle. Sets *bent. */
static float line_bend(const Line *line, float end, float p[2], gboolean *bent) {
  float best = 0, at = 0.5f * end, tail[2], most = 0;
  line_at(line, end, tail);
  float cx = tail[0] - line->at[0][0], cy = tail[1] - line->at[0][1], chord = MAX(hypotf(cx, cy), 1.0f);
  for (int i = 1; i < line->n && line->along[i] < end; i++) {
    float share = line->along[i] / end;
    if (share < 0.33f || share > 0.67f)
      continue;
    float off =
        fabsf(((line->at[i][0] - line->at[0][0]) * cy - (line->at[i][1] - line->at[0][1]) * cx) / chord);
    float centred = off * (1 - 1.2f * fabsf(share - 0.5f)); /* a round arm bends in its middle */
    if (centred > best)
      best = centred, at = line->along[i], most = off;
  }
  *bent = most > 0.08f * end;
  if (!*bent)
    at = 0.5f * end;
  line_at(line, at, p);
  return at;
}

/* Narrowest place before a hand or foot that is wider than it; FALSE where the limb ends without one. */
static gboolean line_narrow(const Line *line, float from, float to, float *along) {
  int narrow = -1;
  for (int i = 1; i < line->n; i++)
    if (line->along[i] >= from && line->along[i] <= to &&
        (narrow < 0 || line->radius[i] <= line->radius[narrow]))
      narrow = i;
  if (narrow < 0)
    return FALSE;
  float widest = 0;
  for (int i = narrow; i < line->n; i++)
    widest = MAX(widest, line->radius[i]);
  *along = line->along[narrow];
  return widest > 1.25f * line->radius[narrow] + 0.5f;
}

/* --- arms
 * ------------------------------------------------------------------------------------------------------ */

static const Joint shoulders[2] = {JOINT_LEFT_SHOULDER, JOINT_RIGHT_SHOULDER},
                   elbows[2] = {JOINT_LEFT_ELBOW, JOINT_RIGHT_ELBOW},
                   wrists[2] = {JOINT_LEFT_WRIST, JOINT_RIGHT_WRIST},
                   hands[2] = {JOINT_LEFT_HAND, JOINT_RIGHT_HAND},
                   hips[2] = {JOINT_LEFT_HIP, JOINT_RIGHT_HIP},
                   knees[2] = {JOINT_LEFT_KNEE, JOINT_RIGHT_KNEE},
                   ankles[2] = {JOINT_LEFT_ANKLE, JOINT_RIGHT_ANKLE},
                   toes[2] = {JOINT_LEFT_TOE, JOINT_RIGHT_TOE}, ears[2] = {JOINT_LEFT_EAR, JOINT_RIGHT_EAR};

static void place_arm(Work *work, int side) {
  const Limb *arm = &work->limbs.arm[side];
  Line line;
  line_make(&line, work, work->joint[shoulders[side]], arm);
  float length = line.along[line.n - 1], wrist = 0.78f * length, p[2];
  gboolean narrow = line_narrow(&line, 0.55f * length, 0.88f * length, &wrist), bent;
  if (!narrow)
    wrist = 0.80f * length;
  line_at(&line, wrist, p);
  put(work, wrists[side], p, narrow ? 1 : 0.6f);
  line_bend(&line, wrist, p, &bent);
  put(work, elbows[side], p, bent ? 1 : 0.6f);
  line_at(&line, wrist + 0.5f * (length - wrist), p);
  put(work, hands[side], p, 0.8f);
}

/* An arm that lies against the body hangs along its side. */
static void hang_arm(Work *work, int side, float arm_length) {
  const float *shoulder = work->joint[shoulders[side]], *hip = work->joint[JOINT_HIP],
              *neck = work->joint[JOINT_NECK];
  float sign = side == 0 ? 1 : -1, spine = MAX(apart(hip, neck), 1.0f);
  float down[2] = {(hip[0] - neck[0]) / spine, (hip[1] - neck[1]) / spine};
  float half = fabsf((shoulder[0] - neck[0]) * down[1] - (shoulder[1] - neck[1]) * down[0]);
  const float shares[3] = {0.42f, 0.80f, 0.92f};
  const Joint joints[3] = {elbows[side], wrists[side], hands[side]};
  for (int i = 0; i < 3; i++) {
    float s = shares[i] * arm_length, middle[2], p[2];
    middle[0] = neck[0] + down[0] * s, middle[1] = neck[1] + down[1] * s;
    float free_side = reach(work, middle, sign * down[1], -sign * down[0]);
    float out = CLAMP(free_side - 0.28f * half, 0.6f * half, 1.25f * half);
    p[0] = middle[0] + sign * down[1] * out, p[1] = middle[1] - sign * down[0] * out;
    put(work, joints[i], p, 0.3f);
  }
}

/* --- legs
 * ------------------------------------------------------------------------------------------------------ */

static void place_leg(Work *work, int side) {
  const Limb *leg = &work->limbs.leg[side];
  Line line;
  line_make(&line, work, work->joint[hips[side]], leg);
  float length = line.along[line.n - 1], p[2], q[2];
  /* The foot is what turns aside at the end; a foot that does not is as long as its leg is thick. */
  float thick = 2 * line_radius(&line, 0.7f * length), foot = CLAMP(thick, 0.05f * length, 0.16f * length);
  line_at(&line, 0.70f * length, p);
  line_at(&line, 0.40f * length, q);
  float dx = p[0] - q[0], dy = p[1] - q[1], d = MAX(hypotf(dx, dy), 1e-3f);
  float ankle = length - foot;
  for (int i = 1; i < line.n; i++) {
    float s = line.along[i];
    if (s < 0.72f * length)
      continue;
    float off = fabsf((line.at[i][0] - p[0]) * dy - (line.at[i][1] - p[1]) * dx) / d;
    if (off > 0.35f * line.radius[i] + 0.02f * length) {
      ankle = MIN(ankle, s);
      break;
    }
  }
  line_at(&line, ankle, p);
  put(work, ankles[side], p, 0.8f);
  put(work, toes[side], line.at[line.n - 1], 1);
  gboolean bent;
  line_bend(&line, ankle, p, &bent);
  put(work, knees[side], p, bent ? 1 : 0.6f);
}

/* Both legs in one shape: side by side in its lower part. */
static void place_merged_legs(Work *work) {
  const float *hip = work->joint[JOINT_HIP], *foot = work->branches->at[work->limbs.leg[0].tip];
  const float shares[3] = {0.5f, 0.92f, 1.0f};
  for (int side = 0; side < 2; side++) {
    const Joint joints[3] = {knees[side], ankles[side], toes[side]};
    float sign = side == 0 ? 1 : -1;
    for (int i = 0; i < 3; i++) {
      float p[2];
      mix(p, hip, foot, shares[i] * 0.98f);
      float half = reach(work, p, sign, 0);
      p[0] += sign * 0.45f * MIN(half, 0.15f * work->height);
      put(work, joints[i], p, 0.3f);
    }
  }
}

/* --- trunk and head
 * -------------------------------------------------------------------------------------------- */

/* Half width of the trunk across its axis at a point, the smaller side. */
static float half_width(const Work *work, const float p[2], const float axis[2]) {
  return MIN(reach(work, p, axis[1], -axis[0]), reach(work, p, -axis[1], axis[0]));
}

/* A skirt is much wider at its hem than at the waist above. */
static gboolean is_flared(const Work *work, const float upper[2], const float hip[2], const float axis[2]) {
  float waist = G_MAXFLOAT, hem = 0;
  for (float t = 0.25f; t <= 0.92f; t += 0.025f) {
    float p[2];
    mix(p, upper, hip, t);
    float half = half_width(work, p, axis);
    if (half < waist)
      waist = hem = half;
    hem = MAX(hem, half);
  }
  return hem > 1.3f * waist;
}

/* Share of the way from the shoulders to the ankles that is leg, where the hips are hidden. An adult's head
 * is small and its legs are long; children and drawings have it the other way round. */
static float leg_share(const Work *work) {
  if (!work->limbs.round)
    return 0.53f;
  float head = work->branches->radius[work->limbs.head] / work->height;
  return 0.62f - 0.10f * smooth_step(0.055f, 0.10f, head);
}

static void place_hips(Work *work, const float upper[2]) {
  const Limbs *limbs = &work->limbs;
  const Branches *b = work->branches;
  float hip[2], spread[2] = {0, 0};
  if (limbs->leg[1].tip < 0) {
    float foot[2] = {b->at[limbs->leg[0].tip][0], b->at[limbs->leg[0].tip][1]};
    mix(hip, upper, foot, 1 - leg_share(work));
    put(work, JOINT_HIP, hip, 0.3f);
    float half = MIN(reach(work, hip, 1, 0), reach(work, hip, -1, 0));
    for (int side = 0; side < 2; side++) {
      float p[2] = {hip[0] + (side == 0 ? 0.5f : -0.5f) * MIN(half, 0.12f * work->height), hip[1]};
      put(work, hips[side], p, 0.3f);
    }
    return;
  }
  const float *left = b->at[limbs->leg[0].root], *right = b->at[limbs->leg[1].root];
  float foot[2];
  mix(hip, left, right, 0.5f);
  mix(foot, b->at[limbs->leg[0].tip], b->at[limbs->leg[1].tip], 0.5f);
  spread[0] = 0.5f * (left[0] - right[0]), spread[1] = 0.5f * (left[1] - right[1]);
  float torso = apart(upper, hip), legs = 0.93f * apart(hip, foot), share = legs / MAX(torso + legs, 1.0f);
  float axis[2] = {(hip[0] - upper[0]) / MAX(torso, 1.0f), (hip[1] - upper[1]) / MAX(torso, 1.0f)};
  gboolean skirt = share < 0.52f && is_flared(work, upper, hip, axis);
  float visibility = 0.8f;
  if (skirt || share > 0.66f) {
    float wanted = skirt ? leg_share(work) : 0.62f;
    float total = torso + legs;
    mix(hip, upper, hip, (1 - wanted) * total / MAX(torso, 1.0f));
    if (skirt) {
      float half = half_width(work, hip, axis), norm = hypotf(spread[0], spread[1]);
      float out = CLAMP(norm, 0.4f * half, 0.8f * half);
      spread[0] = out * axis[1], spread[1] = -out * axis[0];
    }
    visibility = 0.4f;
  }
  /* Legs that part at a point still have a pelvis. */
  float least = 0.035f * work->height, norm = hypotf(spread[0], spread[1]);
  if (norm < least || spread[0] <= 0)
    spread[0] = least * axis[1], spread[1] = -least * axis[0];
  put(work, JOINT_HIP, hip, visibility);
  for (int side = 0; side < 2; side++) {
    float sign = side == 0 ? 1 : -1, p[2] = {hip[0] + sign * spread[0], hip[1] + sign * spread[1]};
    put(work, hips[side], p, visibility);
  }
}

/* Mean of the arms' roots, as far as there are any. */
static gboolean arm_level(const Work *work, float p[2]) {
  int shown = 0;
  p[0] = p[1] = 0;
  for (int side = 0; side < 2; side++)
    if (work->limbs.arm[side].tip >= 0) {
      const float *root = work->branches->at[work->limbs.arm[side].root];
      p[0] += root[0], p[1] += root[1];
      shown++;
    }
  if (shown == 0)
    return FALSE;
  p[0] /= (float)shown, p[1] /= (float)shown;
  return TRUE;
}

/* The path of an arm that hangs leaves the trunk at the armpit; its joint lies above, about an arm's
 * thickness below the top of the shoulder. */
static void lift_shoulder(const Work *work, const Limb *arm, const float axis[2], float p[2]) {
  const Branches *b = work->branches;
  float r = b->radius[arm->root], out[2];
  int count;
  g_autofree int *path = branches_path(b, arm->root, arm->tip, &count);
  const float *ahead = b->at[path[MIN(count - 1, MAX(1, (int)(3 * r)))]];
  out[0] = ahead[0] - b->at[arm->root][0], out[1] = ahead[1] - b->at[arm->root][1];
  float hanging = (out[0] * axis[0] + out[1] * axis[1]) / MAX(hypotf(out[0], out[1]), 1.0f);
  float most = 2.5f * r * smooth_step(0.2f, 0.9f, hanging),
        up = reach(work, p, -axis[0], -axis[1]) - 1.2f * r;
  float lift = CLAMP(up, 0.0f, most);
  p[0] -= lift * axis[0], p[1] -= lift * axis[1];
}

static void place_shoulders(Work *work, const float level[2], const float axis[2]) {
  const Limbs *limbs = &work->limbs;
  float half[2] = {0, 0};
  for (int side = 0; side < 2; side++) {
    if (limbs->arm[side].tip < 0)
      continue;
    const float *root = work->branches->at[limbs->arm[side].root];
    float r = work->branches->radius[limbs->arm[side].root], p[2];
    float beside = (root[0] - level[0]) * axis[1] - (root[1] - level[1]) * axis[0];
    /* The joint lies half a thickness inside the trunk. */
    mix(p, root, level, CLAMP(0.8f * r / MAX(fabsf(beside), 1.0f), 0.0f, 0.3f));
    lift_shoulder(work, &limbs->arm[side], axis, p);
    put(work, shoulders[side], p, 0.9f);
    half[side] = fabsf((p[0] - level[0]) * axis[1] - (p[1] - level[1]) * axis[0]);
  }
  for (int side = 0; side < 2; side++)
    if (limbs->arm[side].tip < 0) {
      float sign = side == 0 ? 1 : -1, out = half[1 - side];
      if (out <= 0)
        out = 0.78f * CLAMP(half_width(work, level, axis), 0.03f * work->height, 0.14f * work->height);
      float p[2] = {level[0] + sign * axis[1] * out, level[1] - sign * axis[0] * out};
      put(work, shoulders[side], p, 0.3f);
    }
}

/* Top of the head over its middle, in the axis' direction. */
static void place_head(Work *work, const float level[2], const float axis[2]) {
  const Branches *b = work->branches;
  const Limbs *limbs = &work->limbs;
  float head[2], crown[2], neck[2], radius, visibility = 1;
  memcpy(head, b->at[limbs->head], sizeof head);
  float top[2] = {head[0], head[1]};
  if (limbs->round) {
    radius = b->radius[limbs->head];
    float d = MAX(apart(head, level), 1.0f), up[2] = {(head[0] - level[0]) / d, (head[1] - level[1]) / d};
    float over = MIN(reach(work, head, up[0], up[1]), 1.3f * radius);
    crown[0] = head[0] + up[0] * over, crown[1] = head[1] + up[1] * over;
    /* The neck: the narrowest place between the chin and the shoulders. */
    float narrowest = G_MAXFLOAT;
    mix(neck, head, level, 0.8f);
    for (float t = 0.5f * radius / d; t <= 0.95f; t += 0.02f) {
      float p[2];
      mix(p, head, level, t);
      float half = half_width(work, p, axis);
      if (half < narrowest - 0.25f)
        narrowest = half, memcpy(neck, p, sizeof neck);
    }
    if (narrowest > 0.8f * radius)
      mix(neck, head, level, 0.8f);
    else
      mix(neck, neck, level, 0.35f);
  } else {
    /* No neck: the head is the upper part of the trunk. */
    float d = apart(top, level);
    mix(head, top, level, 0.55f);
    memcpy(crown, top, sizeof crown);
    mix(neck, top, level, 0.92f);
    radius = MIN(0.45f * d, half_width(work, head, axis));
    visibility = 0.6f;
  }
  put(work, JOINT_HEAD, head, visibility);
  put(work, JOINT_CROWN, crown, visibility);
  put(work, JOINT_NECK, neck, visibility);
  for (int side = 0; side < 2; side++) {
    float sign = side == 0 ? 0.85f : -0.85f;
    float p[2] = {head[0] + sign * axis[1] * radius, head[1] - sign * axis[0] * radius};
    put(work, ears[side], p, 0.5f);
  }
}

static void place_all(Work *work) {
  const Limbs *limbs = &work->limbs;
  const Branches *b = work->branches;
  float level[2], foot[2], *top = b->at[limbs->head];
  gboolean arms = arm_level(work, level);
  if (limbs->leg[1].tip >= 0)
    mix(foot, b->at[limbs->leg[0].tip], b->at[limbs->leg[1].tip], 0.5f);
  else
    memcpy(foot, b->at[limbs->leg[0].tip], sizeof foot);
  if (!arms) { /* the shoulders lie a little below a distinct head, else a quarter down */
    float d = MAX(apart(top, foot), 1.0f);
    mix(level, top, foot, limbs->round ? MIN(0.25f, 1.9f * b->radius[limbs->head] / d) : 0.22f);
  }
  place_hips(work, level);
  const float *hip = work->joint[JOINT_HIP];
  float torso = MAX(apart(level, hip), 1.0f),
        axis[2] = {(hip[0] - level[0]) / torso, (hip[1] - level[1]) / torso};
  if (limbs->arm[0].tip < 0 || limbs->arm[1].tip < 0) { /* one arm tells the height, not the middle */
    float d = MAX(apart(top, hip), 1.0f),
          t = ((level[0] - top[0]) * (hip[0] - top[0]) + (level[1] - top[1]) * (hip[1] - top[1])) / (d * d);
    mix(level, top, hip, CLAMP(t, 0.05f, 0.8f));
    torso = MAX(apart(level, hip), 1.0f);
    axis[0] = (hip[0] - level[0]) / torso, axis[1] = (hip[1] - level[1]) / torso;
  }
  place_shoulders(work, level, axis);
  float middle[2], waist[2];
  mix(middle, work->joint[JOINT_LEFT_SHOULDER], work->joint[JOINT_RIGHT_SHOULDER], 0.5f);
  mix(waist, hip, middle, 0.35f);
  put(work, JOINT_WAIST, waist, 0.6f);
  place_head(work, middle, axis);
  for (int side = 0; side < 2; side++)
    if (limbs->arm[side].tip >= 0)
      place_arm(work, side);
    else
      hang_arm(work, side, limbs->arm[1 - side].tip >= 0 ? limbs->arm[1 - side].length : 1.35f * torso);
  if (limbs->leg[1].tip >= 0)
    for (int side = 0; side < 2; side++)
      place_leg(work, side);
  else
    place_merged_legs(work);
}

gboolean silhouette_joints(const Image *mask, Figure *figure, GError **error) {
  g_auto(Work) work = {0};
  if (!work_begin(&work, mask, error))
    return FALSE;
  if (!find_limbs(&work))
    return fault(error, FAULT_NOBODY,
                 "The figure's outline shows no limbs; give the joints in a --joints file.");
  if (work.limbs.misfit > NO_BODY)
    return fault(error, FAULT_NOBODY,
                 "The figure's outline is not that of a standing body; give the joints in a --joints file.");
  *figure = (Figure){.source = FIGURE_FROM_SILHOUETTE, .height = work.height / work.scale};
  work.joint = figure->joint, work.visibility = figure->visibility;
  place_all(&work);
  for (int i = 0; i < JOINTS; i++) {
    figure->joint[i][0] = (figure->joint[i][0] + 0.5f) / work.scale + work.left;
    figure->joint[i][1] = (figure->joint[i][1] + 0.5f) / work.scale + work.top;
  }
  return TRUE;
}
