/* The least of all readings. What is less than certain in it becomes nearly nothing: the matting would
 * otherwise find out by colour whether it belongs to the figure, and people look like people. */
#include "puppet/cutout/agreement.h"

#include <math.h>
#include <string.h>

#define CERTAIN 225
#define DOUBT 0.09f /* what is left of an uncertain value: less than matting takes for possible */
#define HAIR 1.0f   /* of the way from neck to nose: around the middle of the ears, */
#define CHEEK 0.42f /* but not further down than this */

static float neck_to_nose(const Figure *figure) {
  const float(*joint)[2] = figure->joint;
  return hypotf(joint[JOINT_HEAD][0] - (joint[JOINT_LEFT_SHOULDER][0] + joint[JOINT_RIGHT_SHOULDER][0]) / 2,
                joint[JOINT_HEAD][1] - (joint[JOINT_LEFT_SHOULDER][1] + joint[JOINT_RIGHT_SHOULDER][1]) / 2);
}

Image *mask_agreement(const Image *const *masks, int count, const Figure *figure) {
  const float(*joint)[2] = figure->joint;
  float unit = neck_to_nose(figure), x0 = (joint[JOINT_LEFT_EAR][0] + joint[JOINT_RIGHT_EAR][0]) / 2,
        y0 = (joint[JOINT_LEFT_EAR][1] + joint[JOINT_RIGHT_EAR][1]) / 2;
  Image *agreed = image_copy(masks[0]);
  for (int y = 0; y < agreed->height; y++)
    for (int x = 0; x < agreed->width; x++) {
      if (hypotf((float)x - x0, (float)y - y0) < HAIR * unit && (float)y < y0 + CHEEK * unit)
        continue;
      guint8 *value = image_at(agreed, x, y);
      for (int k = 1; k < count; k++)
        *value = MIN(*value, *image_at(masks[k], x, y));
      if (*value < CERTAIN)
        *value = (guint8)(DOUBT * (float)*value);
    }
  return agreed;
}
