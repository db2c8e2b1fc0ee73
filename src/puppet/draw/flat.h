/* The flat puppet: a layer as a sheet that is deformed as rigidly as possible.
 *
 * Minimises the as-rigid-as-possible energy of Sorkine and Alexa (As-Rigid-As-Possible Surface Modeling,
 * 2007) in the plane by its local and global steps: every vertex finds its best rotation, then one sparse
 * linear system gives all positions. The bones of a stance pull as soft constraints: strongly at the vertices
 * that lie along them, hardly elsewhere. Line work keeps its thickness and straightness where skinning would
 * shear it.
 *
 * Every frame starts from the skinned pose, so that the result depends on nothing but the stance. */
#pragma once
#include "puppet/motion/stance.h"

typedef struct Flat Flat; /* the factored system of one layer; immutable, shared by threads */
Flat *flat_new(const Rig *rig, const Layer *layer); /* layer must outlive it */
void flat_free(Flat *flat);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Flat, flat_free)

typedef struct FlatSolver FlatSolver; /* working memory; one for each thread */
FlatSolver *flat_solver_new(const Flat *flat);
void flat_solver_free(FlatSolver *solver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FlatSolver, flat_solver_free)

/* position [vertices]: the skinned pose goes in, the sheet comes out; z becomes 0. Output pixels.
 * rounds: of both steps; FLAT_ROUNDS is what the puppet uses. */
#define FLAT_ROUNDS 4
void flat_solve(FlatSolver *solver, const Stance *stance, int rounds, float (*position)[3]);

/* The energy that flat_solve lowers: rigidity with the best rotations, and the bones' pull. */
double flat_energy(FlatSolver *solver, const Stance *stance, const float (*position)[3]);
