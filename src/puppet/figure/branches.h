/* The curve skeleton of a silhouette as a rooted tree of centred paths: one branch for each extremity.
 *
 * After Sato et al., TEASAR: Tree-structure Extraction Algorithm for Accurate and Robust Skeletons, 2000:
 * geodesic distance finds the extremities one by one, a path that prefers the middle of the shape leads from
 * each to the tree, and what lies within the thickness of a path is done with. Unlike a thinned medial axis
 * it needs no pruning. */
#pragma once
#include "base/plane.h"

typedef struct {
  int node;       /* the extremity */
  int join;       /* node of the older branches where its path meets them */
  float length;   /* of the path from the tip to the join */
  float protrude; /* by how much it sticks out of the shape's thickness at the join */
} Tip;

typedef struct {
  int nodes;
  float (*at)[2];  /* [nodes] pixel centres */
  float *radius;   /* [nodes] distance to the shape's edge */
  int *parent;     /* [nodes] -1 for the root, node 0 */
  int *depth;      /* [nodes] steps from the root */
  float *distance; /* [nodes] length of the path from the root */
  int tips;
  Tip *tip; /* [tips] longest first */
} Branches;

#define BRANCHES_MAX_TIPS 24

/* mask: one piece, >= 0.5 inside, with a margin of at least one empty pixel. depth: plane_distance to the
 * outside. Extremities that stick out by less than `least` pixels are left out. */
Branches *branches_new(const Plane *mask, const Plane *depth, float least);
void branches_free(Branches *branches);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Branches, branches_free)

/* The deepest node that both paths to the root share. */
int branches_meet(const Branches *branches, int a, int b);
/* The one node that lies on all three paths between a, b and c. */
int branches_median(const Branches *branches, int a, int b, int c);
/* Nodes from a to b, both included (transfer full). */
int *branches_path(const Branches *branches, int a, int b, int *count);
float branches_between(const Branches *branches, int a, int b); /* length of that path */
