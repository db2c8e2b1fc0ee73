/* A camera that pans and zooms slowly, and the one picture of the room that all of its frames are cut from.
 */
#pragma once
#include "performer_trace.h"

typedef struct {
  int width, height, frames;
  gboolean moving;
  Camera key;    /* of frame 0 */
  Image *canvas; /* the room in the coordinates of frame 0, as far as any frame sees it */
  int x0, y0;    /* of canvas pixel (0, 0) there */
} Pan;

void pan_make(Pan *pan, int width, int height, int frames, gboolean moving);
void pan_clear(Pan *pan);

Camera pan_camera(const Pan *pan, int frame);
/* Row-major: pixels of the frame to pixels of frame 0. */
void pan_homography(const Pan *pan, int frame, float h[9]);
/* The room as the frame sees it (transfer full). */
Image *pan_background(const Pan *pan, int frame);
