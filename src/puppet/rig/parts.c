/* The frame and what is measured in it before pixels are assigned: limb radii across the bones, hands that
 * are missing, a skirt. The assignment itself is in labels.c. */
#include "puppet/rig/parts.h"
#include "puppet/rig/segment.h"
#include <stdlib.h>
#include <string.h>

#define MARGIN 0.03f      /* of H around the cutout */
#define CLEAR_CHANGE 0.6f /* of the clearest change of colour along a leg */

/* --- frame --- */

static gboolean opaque_box(const Image *cutout, int box[4]) {
  box[0] = box[1] = G_MAXINT;
  box[2] = box[3] = -1;
  for (int y = 0; y < cutout->height; y++)
    for (int x = 0; x < cutout->width; x++)
      if (image_at(cutout, x, y)[3] > 8) {
        box[0] = MIN(box[0], x);
        box[1] = MIN(box[1], y);
        box[2] = MAX(box[2], x);
        box[3] = MAX(box[3], y);
      }
  return box[2] >= 0;
}

/* The frame may reach beyond the picture: what is not there is clear. */
static Image *padded_crop(const Image *cutout, int left, int top, int width, int height) {
  Image *crop = image_new(width, height, 4);
  int x0 = MAX(0, left), x1 = MIN(cutout->width, left + width);
  for (int y = MAX(0, top); y < MIN(cutout->height, top + height); y++)
    memcpy(image_at(crop, x0 - left, y - top), image_at(cutout, x0, y), (gsize)(x1 - x0) * 4);
  return crop;
}

static gboolean frame_open(Parts *parts, const Image *cutout, const Figure *figure, GError **error) {
  int box[4];
  if (!opaque_box(cutout, box))
    return fault(error, FAULT_NOBODY, "The cutout is empty: nothing in the picture is opaque.");
  float extent = (float)(box[3] - box[1] + 1);
  float height = figure->height > 0.25f * extent && figure->height < 4 * extent ? figure->height : extent;
  int margin = (int)ceilf(MARGIN * height) + 2;
  parts->left = box[0] - margin;
  parts->top = box[1] - margin;
  int width = box[2] - box[0] + 1 + 2 * margin, rows = box[3] - box[1] + 1 + 2 * margin;
  parts->scale = MIN(1, WORKING_HEIGHT / MAX(height, 0.6f * (float)MAX(width, rows)));
  parts->unit = height * parts->scale;
  parts->width = MAX(8, (int)lroundf((float)width * parts->scale));
  parts->height = MAX(8, (int)lroundf((float)rows * parts->scale));
  g_autoptr(Image) crop = padded_crop(cutout, parts->left, parts->top, width, rows);
  g_autoptr(Image) small =
      parts->scale < 1 ? image_resize(crop, parts->width, parts->height) : g_steal_pointer(&crop);
  parts->width = small->width;
  parts->height = small->height;
  parts->alpha = plane_from_image(small, 3);
  colour_planes(small, parts->lab);
  parts->picture = g_steal_pointer(&small);
  parts->figure = *figure;
  for (int j = 0; j < JOINTS; j++) {
    parts->figure.joint[j][0] = (figure->joint[j][0] - (float)parts->left) * parts->scale;
    parts->figure.joint[j][1] = (figure->joint[j][1] - (float)parts->top) * parts->scale;
  }
  return TRUE;
}

gboolean parts_shows(const Parts *parts, Joint joint) {
  const float *p = parts->figure.joint[joint];
  return p[0] >= 0 && p[1] >= 0 && p[0] < (float)parts->width && p[1] < (float)parts->height;
}

static float alpha_at(const Parts *parts, const float p[2]) {
  if (!(p[0] >= 0 && p[1] >= 0 && p[0] < (float)parts->width && p[1] < (float)parts->height))
    return 0;
  return *plane_at(parts->alpha, (int)p[0], (int)p[1]);
}

/* --- lengths --- */

void parts_finger_tips(const Parts *parts, int side, float tip[2]) {
  point_mix(parts->figure.joint[JOINT_LEFT_WRIST + side], parts->figure.joint[JOINT_LEFT_HAND + side], 2,
            tip);
}

float parts_arm_distance(const Parts *parts, int side, const float point[2]) {
  const float(*joint)[2] = parts->figure.joint;
  float upper = segment_distance(joint[JOINT_LEFT_SHOULDER + side], joint[JOINT_LEFT_ELBOW + side], point);
  float fore = segment_distance(joint[JOINT_LEFT_ELBOW + side], joint[JOINT_LEFT_WRIST + side], point);
  float nearest = MIN(upper, fore);
  if (parts->hidden[side])
    return nearest;
  float tip[2];
  parts_finger_tips(parts, side, tip);
  return MIN(nearest, segment_distance(joint[JOINT_LEFT_WRIST + side], tip, point));
}

void parts_head(const Parts *parts, float centre[2], float *length) {
  const float(*joint)[2] = parts->figure.joint;
  float shoulders[2];
  point_mix(joint[JOINT_LEFT_EAR], joint[JOINT_RIGHT_EAR], 0.5f, centre);
  point_mix(joint[JOINT_LEFT_SHOULDER], joint[JOINT_RIGHT_SHOULDER], 0.5f, shoulders);
  *length = CLAMP(point_distance(joint[JOINT_HEAD], shoulders), 0.05f * parts->unit, 0.5f * parts->unit);
}

/* From p along the unit vector until the silhouette ends. */
static float free_length(const Parts *parts, const float p[2], float nx, float ny, float limit) {
  for (float d = 0; d < limit; d += 0.5f)
    if (alpha_at(parts, (float[2]){p[0] + nx * d, p[1] + ny * d}) < 0.5f)
      return d;
  return limit;
}

static int compare_floats(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Median over the bone of the smaller of the two half widths: an arm that touches the body is still measured
 * on its free side. 0 where most of the bone is not in the picture. */
static float limb_radius(const Parts *parts, Bone bone, float from) {
  const float *a = parts->figure.joint[bone_joints[bone][0]], *b = parts->figure.joint[bone_joints[bone][1]];
  float length = point_distance(a, b), half[9];
  int n = 0;
  if (length < 1e-3f)
    return 0;
  float nx = -(b[1] - a[1]) / length, ny = (b[0] - a[0]) / length;
  for (int i = 0; i < 9; i++) {
    float p[2];
    point_mix(a, b, from + (0.95f - from) * (float)i / 8, p);
    if (alpha_at(parts, p) < 0.5f)
      continue;
    float limit = 0.1f * parts->unit;
    half[n++] = MIN(free_length(parts, p, nx, ny, limit), free_length(parts, p, -nx, -ny, limit));
  }
  if (n < 3)
    return 0;
  qsort(half, (gsize)n, sizeof *half, compare_floats);
  return CLAMP(half[n / 2], 0.018f * parts->unit, 0.075f * parts->unit);
}

static void measure_radii(Parts *parts) {
  static const struct {
    Bone left;
    float from, typical;
  } limbs[] = {{BONE_LEFT_UPPER_ARM, 0.3f, 0.03f}, {BONE_LEFT_FOREARM, 0, 0.025f},
               {BONE_LEFT_HAND, 0, 0.025f},        {BONE_LEFT_THIGH, 0.6f, 0.045f},
               {BONE_LEFT_SHIN, 0, 0.035f},        {BONE_LEFT_FOOT, 0, 0.03f}};
  for (gsize i = 0; i < G_N_ELEMENTS(limbs); i++) {
    Bone bone = limbs[i].left;
    float left = limb_radius(parts, bone, limbs[i].from), right = limb_radius(parts, bone + 1, limbs[i].from);
    if (left > 0 && right > 0) {
      left = MIN(left, 1.25f * right);
      right = MIN(right, 1.25f * left);
    }
    float fallback = left > 0 ? left : right > 0 ? right : limbs[i].typical * parts->unit;
    parts->radius[bone] = left > 0 ? left : fallback;
    parts->radius[bone + 1] = right > 0 ? right : fallback;
  }
  float centre[2], length;
  parts_head(parts, centre, &length);
  parts->radius[BONE_HEAD] = 0.62f * length;
}

/* --- what is worn and what is missing --- */

/* A hand in a pocket or behind the back: neither the network nor its colour says that it is there. */
static gboolean hand_is_hidden(const Parts *parts, int side, const float face[3]) {
  Joint hand = JOINT_LEFT_HAND + side;
  float colour[3];
  if (parts->figure.given[hand] || parts->figure.visibility[hand] > 0.85f)
    return FALSE;
  if (!parts_shows(parts, JOINT_LEFT_WRIST + side) ||
      alpha_at(parts, parts->figure.joint[JOINT_LEFT_WRIST + side]) < 0.5f)
    return FALSE;
  if (!colour_of_disc(parts->lab, parts->alpha, parts->figure.joint[hand], 0.008f * parts->unit, colour))
    return parts->figure.visibility[hand] < 0.5f;
  return colour_distance(colour, face, 0.4f) > 22;
}

static gboolean row_is_open(const Parts *parts, float x0, float x1, int y) {
  int a = (int)MAX(0, MIN(x0, x1)), b = (int)MIN((float)parts->width - 1, MAX(x0, x1));
  for (int x = a; x <= b; x++)
    if (*plane_at(parts->alpha, x, y) < 0.3f)
      return TRUE;
  return FALSE;
}

static float silhouette_width(const Parts *parts, int y) {
  int first = parts->width, last = -1;
  for (int x = 0; x < parts->width; x++)
    if (*plane_at(parts->alpha, x, y) > 0.5f) {
      first = MIN(first, x);
      last = x;
    }
  return last < first ? 0 : (float)(last - first + 1);
}

/* Between from and to along a leg (0 hip, 1 knee): the lowest place where the colours above and below differ
 * about as much as they do anywhere. Sheer cloth ends below the opaque one. */
static float first_change(const Parts *parts, const float hip[2], const float knee[2], float from, float to) {
  enum { STEPS = 40 };
  float length = MAX(1, point_distance(hip, knee)), apart = 0.009f * parts->unit / length;
  float difference[STEPS] = {0}, most = 0;
  to = MIN(to, 1);
  for (int i = 0; i < STEPS; i++) {
    float t = to + (from - to) * (float)i / (STEPS - 1), p[2], above[3], below[3];
    point_mix(hip, knee, t - apart, p);
    gboolean known = colour_of_disc(parts->lab, parts->alpha, p, 0.007f * parts->unit, above);
    point_mix(hip, knee, t + apart, p);
    if (!known || !colour_of_disc(parts->lab, parts->alpha, p, 0.007f * parts->unit, below))
      continue;
    difference[i] = colour_distance(above, below, 1);
    most = MAX(most, difference[i]);
  }
  int best = 0;
  while (best + 1 < STEPS &&
         (difference[best] < CLEAR_CHANGE * most || difference[best + 1] > difference[best]))
    best++;
  return to + (from - to) * (float)best / (STEPS - 1);
}

/* Up along a leg from its knee until its colour changes for good: where an opaque skirt begins. */
static float leg_hem(const Parts *parts, int side) {
  const float *hip = parts->figure.joint[JOINT_LEFT_HIP + side],
              *knee = parts->figure.joint[JOINT_LEFT_KNEE + side];
  float length = MAX(1, point_distance(hip, knee)), step = 0.004f * parts->unit / length, p[2], leg[3],
        colour[3];
  float radius = 0.5f * parts->radius[BONE_LEFT_SHIN + side], change = 1;
  int different = 0;
  if (!colour_of_disc(parts->lab, parts->alpha, knee, radius, leg))
    return parts->hem;
  for (float t = 1; t > 0.1f && different < 4; t -= step) {
    point_mix(hip, knee, t, p);
    if (!colour_of_disc(parts->lab, parts->alpha, p, radius, colour))
      continue;
    if (colour_distance(leg, colour, 0.6f) < 20) {
      different = 0;
      change = t;
      for (int c = 0; c < 3; c++) /* light changes slowly along a leg */
        leg[c] += 0.1f * (colour[c] - leg[c]);
    } else {
      different++;
    }
  }
  if (different < 4)
    return parts->hem;
  point_mix(hip, knee,
            first_change(parts, hip, knee, change - 0.01f * parts->unit / length,
                         change + 0.04f * parts->unit / length),
            p);
  return MIN(p[1], parts->hem);
}

/* Down from the hip between the legs: where the gap opens only far down and the silhouette is wider than two
 * legs, cloth hangs there. The hem is the row of the gap. */
static void look_for_skirt(Parts *parts) {
  const float(*joint)[2] = parts->figure.joint;
  if (!parts_shows(parts, JOINT_LEFT_KNEE) || !parts_shows(parts, JOINT_RIGHT_KNEE))
    return;
  float hip = joint[JOINT_HIP][1], knee = 0.5f * (joint[JOINT_LEFT_KNEE][1] + joint[JOINT_RIGHT_KNEE][1]);
  float ankle = 0.5f * (joint[JOINT_LEFT_ANKLE][1] + joint[JOINT_RIGHT_ANKLE][1]);
  int bottom = (int)MIN((float)parts->height - 1, ankle);
  int gap = bottom;
  for (int side = 0; side < 2; side++) {
    const float *from = joint[JOINT_LEFT_HIP + side], *to = joint[JOINT_LEFT_KNEE + side];
    if (to[1] - from[1] < MAX(0.08f * parts->unit, fabsf(to[0] - from[0])))
      return; /* sitting, crouching, kicking: what is between the legs says nothing */
  }
  for (int y = (int)MAX(0, hip); y < bottom; y++) {
    float t = CLAMP(((float)y - hip) / (knee - hip), 0, 1), left[2], right[2];
    point_mix(joint[JOINT_LEFT_HIP], joint[JOINT_LEFT_KNEE], t, left);
    point_mix(joint[JOINT_RIGHT_HIP], joint[JOINT_RIGHT_KNEE], t, right);
    if (row_is_open(parts, left[0], right[0], y)) {
      gap = y;
      break;
    }
  }
  int middle = (int)CLAMP(0.5f * (hip + knee), 0, (float)parts->height - 1);
  float legs = fabsf(joint[JOINT_LEFT_KNEE][0] - joint[JOINT_RIGHT_KNEE][0]) +
               parts->radius[BONE_LEFT_THIGH] + parts->radius[BONE_RIGHT_THIGH];
  if ((float)gap < hip + 0.55f * (knee - hip) || silhouette_width(parts, middle) < 1.25f * legs)
    return;
  parts->skirt = TRUE;
  parts->hem = (float)gap;
  /* What was measured across the thighs was cloth. */
  for (int side = 0; side < 2; side++)
    parts->radius[BONE_LEFT_THIGH + side] =
        MIN(parts->radius[BONE_LEFT_THIGH + side], 1.6f * parts->radius[BONE_LEFT_SHIN + side]);
  for (int side = 0; side < 2; side++)
    parts->leg_hem[side] = leg_hem(parts, side);
}

Parts *parts_find(const Image *cutout, const Figure *figure, GError **error) {
  g_autoptr(Parts) parts = g_new0(Parts, 1);
  float face[3];
  if (!frame_open(parts, cutout, figure, error))
    return NULL;
  measure_radii(parts);
  if (colour_of_disc(parts->lab, parts->alpha, parts->figure.joint[JOINT_HEAD], 0.02f * parts->unit, face))
    for (int side = 0; side < 2; side++)
      parts->hidden[side] = hand_is_hidden(parts, side, face);
  look_for_skirt(parts);
  parts_label(parts);
  return g_steal_pointer(&parts);
}

void parts_free(Parts *parts) {
  if (!parts)
    return;
  image_free(parts->picture);
  plane_free(parts->alpha);
  for (int c = 0; c < 3; c++)
    plane_free(parts->lab[c]);
  g_free(parts->label);
  g_free(parts);
}
