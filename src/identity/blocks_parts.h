/* What running and fitting a block transform share. */
#pragma once
#include "identity/autoencoder.h"

#define BLOCK_SIDE AUTOENCODER_PATCH
#define BLOCK_SIZE (3 * BLOCK_SIDE * BLOCK_SIDE)

/* The refinement: the picture folded 4 x 4 pixels into channels goes through 3x3 convolutions; what they give
 * is added to it. After each but the last comes a ReLU, and round the inner ones a skip. */
#define FOLD 4
#define FOLD_CHANNELS (3 * FOLD * FOLD)
#define REFINE_LAYERS 4
#define REFINE_WIDTH 64 /* of the inner layers of those that are trained here */
/* Where number `channel` of the folded pixel (row, column) lies in a picture [3, height, width]. */
static inline gint64 fold_place(gint64 channel, gint64 row, gint64 column, gint64 height, gint64 width) {
  gint64 plane = channel / (FOLD * FOLD), y = channel / FOLD % FOLD, x = channel % FOLD;
  return (plane * height + row * FOLD + y) * width + column * FOLD + x;
}

/* The picture's blocks one after the other, [n, BLOCK_SIZE], each channel, row, column. */
void blocks_gather(const float *picture, gint64 height, gint64 width, float *rows);

/* Eigenvalues (largest first) and orthonormal eigenvectors of a symmetric matrix [n, n], which is
 * overwritten: row i of it then is the vector of values[i], its largest entry positive. */
void symmetric_eigen(double *matrix, int n, double *values);

/* The error and, in the parameters, its gradient, with nothing changed; for blocks_refiner_step and tests. */
double blocks_refiner_gradient(BlocksRefiner *refiner, const float *tokens, const float *pictures, gint64 n,
                               gint64 height, gint64 width);
/* (transfer none; element Parameter, identity/transformer.h) */
GArray *blocks_refiner_parameters(BlocksRefiner *refiner);
