/* The transformer once more, plainly and in double precision: what the fast one is held against on shapes for
 * which there is no golden data, and what finite differences are taken of. */
#pragma once
#include "identity/network/transformer.h"

/* A weight by its BFL name, [rows, cols] in double; the table's values are double *. */
typedef GHashTable PlainWeights;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlainWeights, g_hash_table_unref)
/* Copies of a trainable transformer's (transfer full). */
PlainWeights *plain_weights(const GArray *parameters);
/* velocity: [n_image, channels] */
void plain_forward(const TransformerShape *shape, PlainWeights *weights, const TransformerInput *input,
                   double *velocity);
