/* What a layer shows of the picture and what it must be painted, because other parts cover it. Private to the
 * layers. */
#pragma once
#include "puppet/rig/parts.h"

typedef struct {
  const Parts *parts;
  int n;        /* pixels of the working frame */
  guint8 *near; /* label, continued outward from the silhouette so that its soft edge belongs to a layer */
  float shoulder[2]; /* radius of the round caps */
} Cutting;

/* All at the working scale. */
typedef struct {
  Plane *keep;   /* 1 where the picture's own pixels are shown */
  Plane *hidden; /* 1 where the layer goes on under others and is painted */
  Plane *shade;  /* darkens what is painted */
} Masks;

void cutting_prepare(Cutting *cutting, const Parts *parts);
void cutting_clear(Cutting *cutting);

/* A part's own pixels and what goes on under the others. */
Masks *masks_of_part(const Cutting *cutting, Part part);
/* The far side of a skirt behind the legs. */
Masks *masks_of_back(const Cutting *cutting);
void masks_free(Masks *masks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Masks, masks_free)
