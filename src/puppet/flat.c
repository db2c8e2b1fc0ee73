#include "puppet/flat.h"
struct Flat {
  int x;
};
struct FlatSolver {
  int x;
};
Flat *flat_new(const Rig *rig, const Layer *layer) {
  return NULL;
}
void flat_free(Flat *flat) {
}
FlatSolver *flat_solver_new(const Flat *flat) {
  return NULL;
}
void flat_solver_free(FlatSolver *solver) {
}
void flat_solve(FlatSolver *solver, const Stance *stance, float (*position)[3]) {
}
