/* Where the plate stands in for the frame, and how its brightness follows the frame's. Small fields over the
 * frame, computed for the neighbourhood of the people who are taken out. */
#pragma once
#include "puppet/draw/backing.h"

typedef struct Veil Veil; /* working memory of one thread */
Veil *veil_new(const VideoInfo *info);
void veil_free(Veil *veil);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Veil, veil_free)

/* replaced, kept: masks of the people who are played and of those who are not (1 channel, all of one size,
 * 255 = person). The cover is everything near a replaced person, with a soft edge, except where a kept one is
 * more certain. FALSE when it is empty; else box receives the frame pixels (x0, y0, x1, y1; even) outside of
 * which it is 0. */
gboolean veil_cover(Veil *veil, const Image *const *replaced, int replaced_count, const Image *const *kept,
                    int kept_count, int box[4]);

/* The box, widened by what veil_match looks at. */
void veil_surroundings(const Veil *veil, const int box[4], int wide[4]);

/* Finds how frame and plate differ around the cover, smoothly continued under it. view must be valid in the
 * wide box. (Pulled up a pyramid of averages and pushed down again: Gortler et al., The Lumigraph, 1996.) */
void veil_match(Veil *veil, const AVFrame *frame, const BackingView *view, const int box[4]);

/* Puts the plate, corrected, over the frame inside the box. */
void veil_lay(const Veil *veil, const BackingView *view, const int box[4], AVFrame *frame);
