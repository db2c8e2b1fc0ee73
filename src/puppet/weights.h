/* Which bones move a vertex, and how much. */
#pragma once
#include "puppet/mesh.h"

/* Layers of a figure in parts, from distances to its bones. rig: its figure, radii and skirt are read. hem:
 * picture row. */
void weights_of_part(Layer *layer, const Rig *rig, float hem);

/* A figure in one mesh: geodesic distances through the mesh to every bone. Sets part of the triangles as
 * well. Dionne and de Lasa, Geodesic Voxel Binding for Production Character Meshes, 2013. */
void weights_of_whole(Layer *layer, const Grid *grid, const Rig *rig);
