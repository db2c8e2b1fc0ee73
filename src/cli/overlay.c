/* Bones are drawn as thick anti-aliased segments by their distance field, joints as dots. */
#include "cli/overlay.h"

#include <math.h>

static const guint8 bones[][2] = {
    {0, 2},   {2, 7},   {0, 5},   {5, 8},   {9, 10},  {11, 12}, {11, 13}, {13, 15},
    {15, 17}, {15, 19}, {15, 21}, {17, 19}, {12, 14}, {14, 16}, {16, 18}, {16, 20},
    {16, 22}, {18, 20}, {11, 23}, {12, 24}, {23, 24}, {23, 25}, {24, 26}, {25, 27},
    {26, 28}, {27, 29}, {28, 30}, {29, 31}, {30, 32}, {27, 31}, {28, 32},
};

/* The person's left has odd landmark numbers from 1 to 3 and 7 on, see PoseLandmark. */
static const guint8 *side_colour(int landmark) {
  static const guint8 left[3] = {255, 140, 0}, right[3] = {0, 180, 255}, middle[3] = {255, 255, 255};
  if (landmark == POSE_NOSE)
    return middle;
  if (landmark <= POSE_RIGHT_EYE_OUTER)
    return landmark <= POSE_LEFT_EYE_OUTER ? left : right;
  return landmark % 2 ? left : right;
}

static void blend(guint8 *pixel, const guint8 *colour, float alpha) {
  for (int c = 0; c < 3; c++)
    pixel[c] = (guint8)((float)pixel[c] + ((float)colour[c] - (float)pixel[c]) * alpha + 0.5f);
}

static void draw_segment(Image *rgb, const Landmark *a, const Landmark *b, float radius, const guint8 *colour,
                         float alpha) {
  if (!(fabsf(a->x) < 1e5f && fabsf(a->y) < 1e5f && fabsf(b->x) < 1e5f && fabsf(b->y) < 1e5f))
    return;
  int x0 = MAX((int)floorf(MIN(a->x, b->x) - radius - 1), 0),
      x1 = MIN((int)(MAX(a->x, b->x) + radius + 1), rgb->width - 1);
  int y0 = MAX((int)floorf(MIN(a->y, b->y) - radius - 1), 0),
      y1 = MIN((int)(MAX(a->y, b->y) + radius + 1), rgb->height - 1);
  float dx = b->x - a->x, dy = b->y - a->y, length2 = dx * dx + dy * dy;
  for (int y = y0; y <= y1; y++)
    for (int x = x0; x <= x1; x++) {
      float px = (float)x + 0.5f - a->x, py = (float)y + 0.5f - a->y;
      float t = length2 > 0 ? CLAMP((px * dx + py * dy) / length2, 0.0f, 1.0f) : 0;
      float distance = hypotf(px - t * dx, py - t * dy);
      float cover = CLAMP(radius + 0.5f - distance, 0.0f, 1.0f);
      if (cover > 0)
        blend(image_at(rgb, x, y), colour, cover * alpha);
    }
}

void overlay_pose(Image *rgb, const Pose *pose) {
  float radius = MAX(1.0f, 0.002f * (float)MAX(rgb->width, rgb->height));
  for (gsize i = 0; i < G_N_ELEMENTS(bones); i++) {
    const Landmark *a = &pose->image[bones[i][0]], *b = &pose->image[bones[i][1]];
    float alpha = 0.25f + 0.75f * MIN(a->visibility, b->visibility);
    draw_segment(rgb, a, b, radius, side_colour(bones[i][1]), alpha);
  }
  for (int i = 0; i < POSE_LANDMARKS; i++)
    draw_segment(rgb, &pose->image[i], &pose->image[i], 1.8f * radius, side_colour(i),
                 0.25f + 0.75f * pose->image[i].visibility);
}
