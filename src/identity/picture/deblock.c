/* At every pixel of a border the difference d of the two that face each other is shared: each side goes half
 * of the way at the border, and less with each pixel from it, to nothing after half a block. The share falls
 * with
 * (|d| / step)⁴, so that small steps go wholly and true edges stay; and where a block's pixels leave the
 * colour that it has at the border, it does not come back. Half blocks do not overlap: all borders of one
 * direction can be done in place. */
#include "identity/picture/deblock.h"
#include "identity/picture/autoencoder.h"

#define HALF (AUTOENCODER_PATCH / 2)

const DeblockSettings deblock_defaults = {.step = .55f, .similar = .25f};

static float square(float x) {
  return x * x;
}

/* One side: from `pixel` away from the border by `away` at each step; `half` of the difference goes to it. */
static void move_side(const DeblockSettings *settings, float *pixel, gint64 plane, gint64 away,
                      const float half[3], float share) {
  const float at_border[3] = {pixel[0], pixel[plane], pixel[2 * plane]};
  float most = share;
  for (int i = 0; i < HALF; i++, pixel += away) {
    float other = 0;
    for (int c = 0; c < 3; c++)
      other += square(pixel[c * plane] - at_border[c]);
    most = MIN(most, share / (1 + square(other / square(settings->similar))));
    for (int c = 0; c < 3; c++)
      pixel[c * plane] += most * half[c] * (1 - ((float)i + .5f) / HALF);
  }
}

/* pixel: the first one behind the border. */
static void move_both(const DeblockSettings *settings, float *pixel, gint64 plane, gint64 away) {
  float before[3], behind[3], size = 0;
  for (int c = 0; c < 3; c++) {
    before[c] = (pixel[c * plane] - pixel[c * plane - away]) / 2;
    behind[c] = -before[c];
    size += square(2 * before[c]);
  }
  float share = 1 / (1 + square(size / square(settings->step)));
  move_side(settings, pixel - away, plane, -away, before, share);
  move_side(settings, pixel, plane, away, behind, share);
}

void deblock(const DeblockSettings *settings, float *picture, gint64 height, gint64 width) {
  for (gint64 y = 0; y < height; y++)
    for (gint64 x = AUTOENCODER_PATCH; x < width; x += AUTOENCODER_PATCH)
      move_both(settings, picture + y * width + x, height * width, 1);
  for (gint64 y = AUTOENCODER_PATCH; y < height; y += AUTOENCODER_PATCH)
    for (gint64 x = 0; x < width; x++)
      move_both(settings, picture + y * width + x, height * width, width);
}
