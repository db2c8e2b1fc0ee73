/* The masks are smaller than the frame and their edge is soft over several pixels; the middle of that
 * softness is stretched, or a pale double of what lies behind would be seen in the person's outline. */
#include "puppet/draw/hold.h"
#include "base/plane.h"
#include <math.h>

#define PERSON_FROM 0.35f
#define PERSON_TO 0.7f

static float sample(const Image *mask, float x, float y) {
  x = CLAMP(x, 0, (float)mask->width - 1), y = CLAMP(y, 0, (float)mask->height - 1);
  int ix = MIN((int)x, MAX(mask->width - 2, 0)), iy = MIN((int)y, MAX(mask->height - 2, 0));
  int right = mask->width > 1, down = mask->height > 1 ? mask->width : 0;
  float fx = x - (float)ix, fy = y - (float)iy;
  const guint8 *p = image_at(mask, ix, iy);
  float top = p[0] + (float)(p[right] - p[0]) * fx,
        bottom = p[down] + (float)(p[down + right] - p[down]) * fx;
  return top + (bottom - top) * fy;
}

float hold_at(const Image *mask, float x, float y, int width, int height) {
  if (!mask)
    return 1;
  float u = x * (float)mask->width / (float)width - 0.5f, v = y * (float)mask->height / (float)height - 0.5f;
  return 1 - smooth_step(PERSON_FROM, PERSON_TO, sample(mask, u, v) / 255);
}

void hold_row(const Image *mask, int y, int x0, int x1, int width, int height, guint32 *row) {
  for (int x = x0; mask && x < x1; x++) {
    if (!row[x])
      continue;
    guint32 left = (guint32)lrintf(256 * hold_at(mask, (float)x + 0.5f, (float)y + 0.5f, width, height));
    guint32 even = (row[x] & 0xff00ff) * left >> 8, odd = (row[x] >> 8 & 0xff00ff) * left;
    row[x] = (even & 0xff00ff) | (odd & 0xff00ff00);
  }
}
