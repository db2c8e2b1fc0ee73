/* The parts of a cutout as pictures of their own: each with what the others hide of it, painted in.
 *
 * Composited in order at rest they give the cutout again; moved apart, no gap opens between them. */
#pragma once
#include "puppet/rig/parts.h"

typedef struct {
  LayerKind kind;
  int left, top;  /* of the texture in picture pixels */
  Image *texture; /* RGBA premultiplied, picture's resolution */
} Cut;

void cut_free(Cut *cut);

/* Cut *, back to front: legs (with a skirt), body, arms, head. Parts that the picture does not show are
 * absent. */
GPtrArray *layers_cut(const Parts *parts, const Image *cutout);
