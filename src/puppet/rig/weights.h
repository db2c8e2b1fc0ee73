/* Which bones move a vertex, and how much. */
#pragma once
#include "puppet/rig/mesh.h"

/* Layers of a figure in parts, from distances to its bones. rig: its figure, radii and skirt are read. hem:
 * picture row. */
void weights_of_part(Layer *layer, const Rig *rig, float hem);

/* The segment that a bone fills: bones of the head and the hands end at joints inside them, their flesh goes
 * on. */
void weights_bone_segment(const Figure *figure, Bone bone, float from[2], float to[2]);

/* A figure in one mesh: geodesic distances through the mesh to every bone. Sets part of the triangles as
 * well. Dionne and de Lasa, Geodesic Voxel Binding for Production Character Meshes, 2013. */
void weights_of_whole(Layer *layer, const Grid *grid, const Rig *rig);
