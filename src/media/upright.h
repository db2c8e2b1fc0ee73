/* Brings decoded frames of any kind into the form that the program works on: upright, of one even size, 8-bit
 * yuv420p. Private to media/. */
#pragma once
#include "media/video.h"

/* One of the eight ways a picture can lie. Transposition (rows become columns) comes first, then the flips.
 */
typedef struct {
  gboolean transpose, flip_x, flip_y;
} Turn;

/* From a display matrix (AVStream side data, 9 values) or NULL. Angles between the quarter turns go to the
 * nearest. */
Turn turn_from_matrix(const gint32 *matrix);

typedef struct Upright Upright;

/* info: size, range and matrix of what comes out. */
Upright *upright_new(Turn turn, const VideoInfo *info);
void upright_free(Upright *upright);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Upright, upright_free)

/* Whether a frame is of high dynamic range and comes out as BT.709, limited range, in all respects. */
gboolean upright_tone_maps(const AVFrame *frame);

/* Takes frame over and returns the converted one (often the same). Frames may change size and format on the
 * way: they are scaled to the size of info. NULL when the frame cannot be converted. */
AVFrame *upright_apply(Upright *upright, AVFrame *frame);
