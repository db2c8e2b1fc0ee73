/* Chroma is warped by the same homography in luma coordinates: its sample (i, j) lies at (2 i + 0.5, 2 j +
 * 0.5). */
#include "puppet/draw/backing.h"
#include <libavutil/frame.h>
#include <math.h>
#include <string.h>

struct Backing {
  AVFrame *picture; /* yuv420p, even size */
  int first, count;
  gboolean direct; /* lies pixel on pixel under every frame */
  float x0, y0;
  float (*homography)[9];
  Front front; /* no spans: nothing stands in front */
};

struct BackingRoom {
  int width, height;
  guint8 *memory[3];
};

static Image *even_sized(const Image *picture) {
  Image *even = image_new((picture->width + 1) & ~1, (picture->height + 1) & ~1, 3);
  for (int y = 0; y < even->height; y++)
    for (int x = 0; x < even->width; x++)
      memcpy(image_at(even, x, y), image_at(picture, MIN(x, picture->width - 1), MIN(y, picture->height - 1)),
             3);
  return even;
}

Backing *backing_new(const Plate *plate, const VideoInfo *info) {
  g_return_val_if_fail(plate->picture && plate->picture->channels == 3, NULL);
  Backing *backing = g_new0(Backing, 1);
  backing->first = plate->first;
  backing->count = plate->count;
  backing->x0 = plate->x0;
  backing->y0 = plate->y0;
  g_autoptr(Image) even = even_sized(plate->picture);
  VideoInfo own = *info;
  own.width = even->width;
  own.height = even->height;
  g_autoptr(ColourConverter) converter = colour_converter_new(&own);
  backing->picture = av_frame_alloc();
  backing->picture->format = AV_PIX_FMT_YUV420P;
  backing->picture->width = even->width;
  backing->picture->height = even->height;
  if (av_frame_get_buffer(backing->picture, 0) < 0)
    g_error("no memory for a plate of %d x %d", even->width, even->height);
  colour_from_rgb(converter, even, backing->picture);
  backing->direct = (plate->still || !plate->homography) && plate->x0 == 0 && plate->y0 == 0 &&
                    even->width >= info->width && even->height >= info->height;
  if (!backing->direct && plate->homography && !plate->still)
    backing->homography = g_memdup2(plate->homography, sizeof *plate->homography * (gsize)plate->count);
  if (plate->front && plate->front->alpha) {
    backing->front = *plate->front;
    backing->front.begin =
        g_memdup2(plate->front->begin, sizeof *plate->front->begin * (gsize)(plate->front->spans + 1));
    backing->front.alpha = image_copy(plate->front->alpha);
  }
  return backing;
}

void backing_free(Backing *backing) {
  if (!backing)
    return;
  av_frame_free(&backing->picture);
  g_free(backing->homography);
  g_free(backing->front.begin);
  image_free(backing->front.alpha);
  g_free(backing);
}

gboolean backing_front(const Backing *backing, int frame, BackingFront *view) {
  const Front *front = &backing->front;
  int span = 0;
  if (!front->spans)
    return FALSE;
  while (span + 1 < front->spans && frame - backing->first >= front->begin[span + 1])
    span++;
  *view = (BackingFront){front->x, front->y, front->width, front->height,
                         image_at(front->alpha, 0, span * (front->height / 2))};
  return TRUE;
}

BackingRoom *backing_room_new(const VideoInfo *info) {
  BackingRoom *room = g_new0(BackingRoom, 1);
  room->width = info->width;
  room->height = info->height;
  return room;
}

void backing_room_free(BackingRoom *room) {
  if (!room)
    return;
  for (int p = 0; p < 3; p++)
    g_free(room->memory[p]);
  g_free(room);
}

/* Bilinear with repeated borders; what is not a number reads the first pixel. */
static guint8 sample(const guint8 *plane, gssize stride, int width, int height, float x, float y) {
  x = x > 0 ? x : 0, y = y > 0 ? y : 0;
  x = x < (float)(width - 1) ? x : (float)(width - 1), y = y < (float)(height - 1) ? y : (float)(height - 1);
  int ix = MIN((int)x, MAX(width - 2, 0)), iy = MIN((int)y, MAX(height - 2, 0));
  float fx = x - (float)ix, fy = y - (float)iy;
  const guint8 *p = plane + iy * stride + ix, *q = p + (height > 1 ? stride : 0);
  int next = width > 1;
  float top = p[0] + (float)(p[next] - p[0]) * fx, bottom = q[0] + (float)(q[next] - q[0]) * fx;
  return (guint8)(top + (bottom - top) * fy + 0.5f);
}

static void warp_plane(const Backing *backing, const float h[9], int plane, const int box[4], guint8 *out,
                       gssize stride) {
  const AVFrame *picture = backing->picture;
  int shift = plane > 0;
  float scale = shift ? 2 : 1, offset = shift ? 0.5f : 0;
  int width = picture->width >> shift, height = picture->height >> shift;
  for (int y = box[1] >> shift; y < box[3] >> shift; y++)
    for (int x = box[0] >> shift; x < box[2] >> shift; x++) {
      float fx = scale * (float)x + offset, fy = scale * (float)y + offset;
      float w = 1 / (h[6] * fx + h[7] * fy + h[8]);
      float u = (h[0] * fx + h[1] * fy + h[2]) * w - backing->x0,
            v = (h[3] * fx + h[4] * fy + h[5]) * w - backing->y0;
      out[y * stride + x] = sample(picture->data[plane], picture->linesize[plane], width, height,
                                   (u - offset) / scale, (v - offset) / scale);
    }
}

void backing_view(const Backing *backing, int frame, const int box[4], BackingRoom *room, BackingView *view) {
  static const float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  if (backing->direct) {
    for (int p = 0; p < 3; p++)
      view->plane[p] = backing->picture->data[p], view->stride[p] = backing->picture->linesize[p];
    return;
  }
  int index = CLAMP(frame - backing->first, 0, backing->count - 1);
  const float *h = backing->homography ? backing->homography[index] : identity;
  for (int p = 0; p < 3; p++) {
    gssize stride = p ? (room->width + 1) / 2 : room->width, rows = p ? (room->height + 1) / 2 : room->height;
    if (!room->memory[p])
      room->memory[p] = g_malloc((gsize)(stride * rows));
    warp_plane(backing, h, p, box, room->memory[p], stride);
    view->plane[p] = room->memory[p], view->stride[p] = stride;
  }
}
