/* Regular triangle grids over pictures with alpha. */
#pragma once
#include "puppet/rig/rig.h"

/* Which vertex stands at each node of the grid that a layer was made from. */
typedef struct {
  int columns, rows; /* nodes */
  float step;        /* pixels between nodes */
  int *vertex;       /* [rows*columns] index or -1 */
  float *alpha;      /* [vertices] mean alpha 0..1 of the texture around the vertex */
} Grid;

void grid_free(Grid *grid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Grid, grid_free)

/* A mesh of all cells that touch a texture's alpha, and its grid (transfer full). texture: premultiplied,
 * taken over by the layer; left, top: its place in the picture. part of each triangle is the kind. Weights
 * are zero yet. */
Layer *mesh_grid(LayerKind kind, Image *texture, int left, int top, float step, Grid **grid);
void layer_free(Layer *layer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Layer, layer_free)
