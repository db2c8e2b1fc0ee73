/* libswscale's direct path from yuv420p to packed RGB, which it takes when nothing is scaled and no exact
 * chroma is asked for. The flag keeps its result the same on every processor. */
#include "stage/glance.h"

#include <libswscale/swscale.h>

struct Glance {
  struct SwsContext *scaler;
};

Glance *glance_new(const VideoInfo *info) {
  const int one = 1 << 16; /* contrast and saturation as they are */
  Glance *glance = g_new0(Glance, 1);
  glance->scaler = sws_getContext(info->width, info->height, AV_PIX_FMT_YUV420P, info->width, info->height,
                                  AV_PIX_FMT_RGB24, SWS_BITEXACT, NULL, NULL, NULL);
  if (!glance->scaler)
    g_error("No memory to convert frames of %d x %d.", info->width, info->height);
  const int *matrix = sws_getCoefficients(info->matrix);
  sws_setColorspaceDetails(glance->scaler, matrix, info->range == AVCOL_RANGE_JPEG, matrix, 1, 0, one, one);
  return glance;
}

void glance_free(Glance *glance) {
  if (!glance)
    return;
  sws_freeContext(glance->scaler);
  g_free(glance);
}

/* libswscale writes whole vectors, beyond the end of the last row: there is a row more than the picture has.
 */
Image *glance_image(const VideoInfo *info) {
  Image *image = image_new(info->width, info->height + 1, 3);
  image->height--;
  return image;
}

void glance_rgb(Glance *glance, const AVFrame *frame, Image *rgb) {
  guint8 *rows[4] = {rgb->pixels};
  const int strides[4] = {rgb->width * 3};
  sws_scale(glance->scaler, (const guint8 *const *)frame->data, frame->linesize, 0, frame->height, rows,
            strides);
}
