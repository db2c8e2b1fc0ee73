/* Regions grown from seeds along the valleys of a picture.
 * Meyer, Topographic Distance and Watershed Lines, 1994: flooding from markers with an ordered queue. */
#pragma once
#include "base/plane.h"

/* How much the colour changes at each pixel: gradient of L*a*b*, blurred by sigma, divided by its 95th
 * percentile inside alpha. */
Plane *watershed_gradient(Plane *const lab[3], const Plane *alpha, float sigma);

/* label [height*width]: seeds are not 0; every pixel with alpha above floor that is connected to a seed gets
 * the label that reaches it over the lowest pass. Pieces without a seed take the label nearest to them. */
void watershed_flood(const Plane *gradient, const Plane *alpha, float floor, guint8 *label);
