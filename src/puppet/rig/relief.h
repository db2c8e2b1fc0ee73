/* How far a flat part stands out toward the camera: the silhouette inflated. */
#pragma once
#include "puppet/rig/mesh.h"

/* Sets z of the layer's vertices: laplacian u = -4 with u = 0 outside the part, z = 0.71 sqrt(u), which makes
 * a strip a half cylinder, softly limited to `limit` pixels. Igarashi et al., Teddy, 1999, for the idea;
 * Sykora et al., Ink-and-Ray, 2014, for the Poisson equation. */
void relief_inflate(Layer *layer, const Grid *grid, float limit);
