/* The flat puppet: a layer as a sheet that is deformed as rigidly as possible.
 *
 * Minimises the as-rigid-as-possible energy of Sorkine and Alexa (As-Rigid-As-Possible Surface Modeling,
 * 2007) in the plane, with cotangent weights, by their local and global steps: every vertex finds its best
 * rotation, then one sparse system gives all positions. The bones of a stance pull as soft constraints:
 * strongly at the vertices that lie along them. Starting from the skinned pose in every frame, the result
 * depends on nothing but the stance. */
#pragma once
#include "puppet/stance.h"

typedef struct Flat Flat; /* the factored system of one layer; shared by threads */
Flat *flat_new(const Rig *rig, const Layer *layer);
void flat_free(Flat *flat);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Flat, flat_free)

typedef struct FlatSolver FlatSolver; /* working memory; one for each thread */
FlatSolver *flat_solver_new(const Flat *flat);
void flat_solver_free(FlatSolver *solver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FlatSolver, flat_solver_free)

/* position [vertices]: the skinned pose goes in, the sheet's comes out; z becomes 0. Output pixels. */
void flat_solve(FlatSolver *solver, const Stance *stance, float (*position)[3]);

/* For tests: energy of the positions at the stance's scale, rigidity and pull together, rotations at their
 * best. */
double flat_energy(FlatSolver *solver, const Stance *stance, const float (*position)[3]);
