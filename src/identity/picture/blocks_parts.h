/* What running and fitting a block transform share. */
#pragma once
#include "identity/picture/autoencoder_parts.h"
#include "identity/picture/deblock.h"
#include "identity/picture/refinement.h"

#define BLOCK_SIDE AUTOENCODER_PATCH
#define BLOCK_SIZE (3 * BLOCK_SIDE * BLOCK_SIDE)

/* The picture's blocks one after the other, [n, BLOCK_SIZE], each channel, row, column. */
void blocks_gather(const float *picture, gint64 height, gint64 width, float *rows);

/* Eigenvalues (largest first) and orthonormal eigenvectors of a symmetric matrix [n, n], which is
 * overwritten: row i of it then is the vector of values[i], its largest entry positive. */
void symmetric_eigen(double *matrix, int n, double *values);

/* From now on the borders are filtered: as the file says, or with the usual settings. */
void blocks_smooth_borders(Blocks *blocks);
DeblockSettings blocks_borders(const Blocks *blocks);

/* The loss and, in the parameters, its gradient, with nothing changed; for blocks_refiner_step and tests. */
double blocks_refiner_gradient(BlocksRefiner *refiner, const float *tokens, const float *pictures, gint64 n,
                               gint64 height, gint64 width);
/* (transfer none; element Parameter, identity/network/transformer.h) */
GArray *blocks_refiner_parameters(BlocksRefiner *refiner);
