/* A plate in the video's own colours, ready to stand in for the people of each of its frames.
 *
 * Converted once; immutable and shared by threads. A still camera's plate is read as it lies, a moving one's
 * is warped into the part of the frame that is asked for. */
#pragma once
#include "stage/scene.h"

typedef struct Backing Backing;

/* plate->picture must be loaded; the plate is not needed afterwards. */
Backing *backing_new(const Plate *plate, const VideoInfo *info);
void backing_free(Backing *backing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backing, backing_free)

/* Planes of a view: plane[0] luma, [1] [2] chroma at half size. Each points to what would be its pixel (0, 0)
 * of the frame; only pixels inside the box that was asked for may be read. */
typedef struct {
  const guint8 *plane[3];
  gssize stride[3];
} BackingView;

/* What stands in front of everybody in a frame: alpha of 2 x 2 pixels each, from (x, y) on; x and y are even.
 */
typedef struct {
  int x, y, width, height; /* frame pixels */
  const guint8 *alpha;     /* [height / 2][width / 2] */
} BackingFront;

/* FALSE where nothing does. */
gboolean backing_front(const Backing *backing, int frame, BackingFront *front);

/* Memory for views of a moving camera; one for each thread. */
typedef struct BackingRoom BackingRoom;
BackingRoom *backing_room_new(const VideoInfo *info);
void backing_room_free(BackingRoom *room);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackingRoom, backing_room_free)

/* frame: of the video. box: x0, y0, x1, y1 in frame pixels, even, inside the frame. Valid until the room's
 * next view. */
void backing_view(const Backing *backing, int frame, const int box[4], BackingRoom *room, BackingView *view);
