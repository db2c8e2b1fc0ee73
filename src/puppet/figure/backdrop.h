/* The plain ground behind a figure: paper under uneven light, a wall, a white page.
 *
 * Modelled per L*a*b* channel as a quadratic surface of position, fitted robustly to the picture's margin and
 * grown from there, then corrected by what the backdrop itself shows at finer scale. */
#pragma once
#include "base/plane.h"

typedef struct {
  Plane *difference; /* colour distance of every pixel from the backdrop, in L*a*b* units */
  float noise;       /* standard deviation of that distance on the backdrop itself */
  float plain;       /* share of the picture's margin that the backdrop explains, 0..1 */
} Backdrop;

void backdrop_clear(Backdrop *backdrop);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Backdrop, backdrop_clear)

/* Never fails: a picture without a plain ground gets a low value of plain. */
void backdrop_fit(Backdrop *backdrop, const Image *rgb);
