/* Colours in CIE L*a*b* (D65), and small palettes of them: what cloth, skin and hair of one figure look like.
 */
#pragma once
#include "base/image.h"
#include "base/plane.h"

/* Three planes L, a, b of an RGB or RGBA picture; alpha is ignored. */
void colour_planes(const Image *picture, Plane *lab[3]);

/* Distance of two colours. Light varies more over a figure than hue does: lightness is weighted. */
float colour_distance(const float a[3], const float b[3], float lightness_weight);

#define PALETTE_MAX 8
typedef struct {
  int n;
  float colour[PALETTE_MAX][3];
  int count[PALETTE_MAX]; /* samples that are nearest to the colour */
} Palette;

/* At most n colours that stand for those where mask is not 0: k-means from farthest points, always the same
 * for the same input. An empty mask gives an empty palette. */
void palette_learn(Palette *palette, Plane *const lab[3], const guint8 *mask, int n);

/* To the nearest colour; a large number where the palette is empty. */
float palette_distance(const Palette *palette, const float colour[3]);

/* Median colour of the opaque pixels of a disc. FALSE where there are fewer than 4. */
gboolean colour_of_disc(Plane *const lab[3], const Plane *alpha, const float centre[2], float radius,
                        float colour[3]);
