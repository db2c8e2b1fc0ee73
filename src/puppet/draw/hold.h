/* Whoever stands before a character and keeps his own look holds back what the character would cover of him:
 * nothing is drawn there, so that the video's own pixels stay. */
#pragma once
#include "base/image.h"
#include <libavutil/frame.h>

/* What is left of a drawing at a place of a frame of this size, 0 … 1; soft at the mask's edge. mask: 1
 * channel, 255 = person, of any size; NULL for nobody. */
float hold_at(const Image *mask, float x, float y, int width, int height);

/* The same for the pixels [x0, x1) of a row of premultiplied RGBA; row[x] is the pixel x of the frame. */
void hold_row(const Image *mask, int y, int x0, int x1, int width, int height, guint32 *row);
