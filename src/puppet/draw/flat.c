/* With weights w over edges and pulls c toward targets t the energy is
 *
 *   sum over i, j of w |(p'i - p'j) - Ri (pi - pj)|^2  +  sum over i of ci |p'i - ti|^2
 *
 * and for given rotations its minimum solves (2 L + C) p' = b, L the Laplacian of w: constant, so it is
 * factored once. The factor is simplicial: small enough to be fast, and without a BLAS whose threads could
 * change the last bit.
 *
 * The pull is felt everywhere a little, so that pieces of the mesh without a bone have a place, too. */
#include "puppet/draw/flat.h"
#include <math.h>
#include <string.h>
#include <suitesparse/cholmod.h>

#define LEAST_WEIGHT 0.05 /* of an edge; cotangents of right angles are 0 */
#define PULL 1.5f         /* of a bone on its own line, in units of an edge */
#define FAINT_PULL 0.004f
#define NARROW 0.45f /* of the limb's radius: width of the pull's bell */

typedef struct {
  guint32 a, b;
  float weight;
} Edge;

struct Flat {
  const Layer *layer;
  int edges;
  Edge *edge;
  float (*pull)[4]; /* [vertices] by bone slot */
  float *total;     /* [vertices] sum of pull and FAINT_PULL */
  cholmod_factor *factor;
  cholmod_common common;
};

struct FlatSolver {
  const Flat *flat;
  cholmod_common common;
  cholmod_dense *right, *x, *y, *e;
  float (*target)[2];
  float (*rotation)[2]; /* cosine, sine */
};

/* --- building --- */

static int by_ends(const void *p, const void *q) {
  const Edge *a = p, *b = q;
  if (a->a != b->a)
    return a->a < b->a ? -1 : 1;
  return a->b < b->b ? -1 : a->b > b->b;
}

/* Half the cotangent of the angle at o. */
static float half_cotangent(const float *o, const float *a, const float *b) {
  float x0 = a[0] - o[0], y0 = a[1] - o[1], x1 = b[0] - o[0], y1 = b[1] - o[1];
  float cross = fabsf(x0 * y1 - x1 * y0), dot = x0 * x1 + y0 * y1;
  return cross > 1e-6f ? CLAMP(0.5f * dot / cross, -5.0f, 5.0f) : 0;
}

static void find_edges(Flat *flat) {
  const Layer *layer = flat->layer;
  flat->edge = g_new(Edge, 3 * (gsize)layer->triangles + 1);
  int n = 0;
  for (int t = 0; t < layer->triangles; t++)
    for (int k = 0; k < 3; k++) {
      guint32 a = layer->triangle[t][k], b = layer->triangle[t][(k + 1) % 3],
              o = layer->triangle[t][(k + 2) % 3];
      if (a == b)
        continue;
      flat->edge[n++] =
          (Edge){MIN(a, b), MAX(a, b), half_cotangent(layer->rest[o], layer->rest[a], layer->rest[b])};
    }
  qsort(flat->edge, (size_t)n, sizeof *flat->edge, by_ends);
  for (int i = 0; i < n; i++) {
    Edge *last = flat->edges ? &flat->edge[flat->edges - 1] : NULL;
    if (last && last->a == flat->edge[i].a && last->b == flat->edge[i].b)
      last->weight += flat->edge[i].weight;
    else
      flat->edge[flat->edges++] = flat->edge[i];
  }
  for (int i = 0; i < flat->edges; i++)
    flat->edge[i].weight = MAX(flat->edge[i].weight, (float)LEAST_WEIGHT);
}

static float distance_to_bone(const Rig *rig, int bone, const float *p) {
  const float *a = rig->figure.joint[bone_joints[bone][0]], *b = rig->figure.joint[bone_joints[bone][1]];
  float dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy;
  float t = length > 0 ? CLAMP(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length, 0.0f, 1.0f) : 0;
  return hypotf(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

static void find_pulls(Flat *flat, const Rig *rig) {
  const Layer *layer = flat->layer;
  flat->pull = g_malloc_n((gsize)layer->vertices, sizeof *flat->pull);
  flat->total = g_new(float, layer->vertices);
  float least = MAX(0.012f * rig->figure.height, 1.0f);
  for (int v = 0; v < layer->vertices; v++) {
    flat->total[v] = FAINT_PULL;
    for (int i = 0; i < 4; i++) {
      int bone = layer->bone[v][i];
      float weight = layer->weight[v][i];
      float d = distance_to_bone(rig, bone, layer->rest[v]) / (NARROW * MAX(rig->radius[bone], least));
      flat->pull[v][i] = weight > 0.05f ? PULL * weight * weight * expf(-d * d) : 0;
      flat->total[v] += flat->pull[v][i];
    }
  }
}

static void factor(Flat *flat) {
  int n = flat->layer->vertices;
  cholmod_common *common = &flat->common;
  common->supernodal = CHOLMOD_SIMPLICIAL;
  cholmod_triplet *triplet =
      cholmod_allocate_triplet((size_t)n, (size_t)n, (size_t)(n + 3 * flat->edges), 1, CHOLMOD_REAL, common);
  int *row = triplet->i, *column = triplet->j;
  double *value = triplet->x;
  size_t k = 0;
  for (int v = 0; v < n; v++)
    row[k] = column[k] = v, value[k++] = flat->total[v];
  for (int e = 0; e < flat->edges; e++) {
    const Edge *edge = &flat->edge[e];
    int a = (int)edge->a, b = (int)edge->b;
    double w = 2.0 * (double)edge->weight;
    row[k] = column[k] = a, value[k++] = w;
    row[k] = column[k] = b, value[k++] = w;
    row[k] = a, column[k] = b, value[k++] = -w; /* a < b: the upper triangle */
  }
  triplet->nnz = k;
  cholmod_sparse *matrix = cholmod_triplet_to_sparse(triplet, k, common);
  flat->factor = cholmod_analyze(matrix, common);
  cholmod_factorize(matrix, flat->factor, common);
  cholmod_free_sparse(&matrix, common);
  cholmod_free_triplet(&triplet, common);
}

Flat *flat_new(const Rig *rig, const Layer *layer) {
  Flat *flat = g_new0(Flat, 1);
  flat->layer = layer;
  find_edges(flat);
  find_pulls(flat, rig);
  cholmod_start(&flat->common);
  flat->common.print = 0;
  factor(flat);
  return flat;
}

void flat_free(Flat *flat) {
  if (!flat)
    return;
  cholmod_free_factor(&flat->factor, &flat->common);
  cholmod_finish(&flat->common);
  g_free(flat->edge);
  g_free(flat->pull);
  g_free(flat->total);
  g_free(flat);
}

/* --- solving --- */

FlatSolver *flat_solver_new(const Flat *flat) {
  FlatSolver *solver = g_new0(FlatSolver, 1);
  solver->flat = flat;
  cholmod_start(&solver->common);
  solver->common.print = 0;
  size_t n = (size_t)flat->layer->vertices;
  solver->right = cholmod_zeros(n, 2, CHOLMOD_REAL, &solver->common);
  solver->target = g_malloc_n(n, sizeof *solver->target);
  solver->rotation = g_malloc_n(n, sizeof *solver->rotation);
  return solver;
}

void flat_solver_free(FlatSolver *solver) {
  if (!solver)
    return;
  cholmod_common *common = &solver->common;
  cholmod_free_dense(&solver->right, common);
  cholmod_free_dense(&solver->x, common);
  cholmod_free_dense(&solver->y, common);
  cholmod_free_dense(&solver->e, common);
  cholmod_finish(common);
  g_free(solver->target);
  g_free(solver->rotation);
  g_free(solver);
}

/* Where the pulls together want a vertex; the faint one wants it where the bones' common blend has it. */
static void find_targets(FlatSolver *solver, const Stance *stance) {
  const Flat *flat = solver->flat;
  const Layer *layer = flat->layer;
  for (int v = 0; v < layer->vertices; v++) {
    float sum[2] = {0, 0};
    for (int i = 0; i < 4; i++) {
      float weight = flat->pull[v][i] + FAINT_PULL * layer->weight[v][i], at[3];
      if (weight <= 0)
        continue;
      const float p[3] = {layer->rest[v][0], layer->rest[v][1], 0};
      stance_apply(stance->matrix[layer->bone[v][i]], p, at);
      sum[0] += weight * at[0], sum[1] += weight * at[1];
    }
    solver->target[v][0] = sum[0] / flat->total[v], solver->target[v][1] = sum[1] / flat->total[v];
  }
}

/* The rotation that carries a vertex's edges best. In the plane it is the direction of a sum. */
static void rotate(FlatSolver *solver, const float (*position)[3]) {
  const Flat *flat = solver->flat;
  const Layer *layer = flat->layer;
  memset(solver->rotation, 0, sizeof *solver->rotation * (gsize)layer->vertices);
  for (int e = 0; e < flat->edges; e++) {
    const Edge *edge = &flat->edge[e];
    const float *p = layer->rest[edge->a], *q = layer->rest[edge->b], *u = position[edge->a],
                *v = position[edge->b];
    float x0 = q[0] - p[0], y0 = q[1] - p[1], x1 = v[0] - u[0], y1 = v[1] - u[1];
    float c = edge->weight * (x0 * x1 + y0 * y1), s = edge->weight * (x0 * y1 - y0 * x1);
    solver->rotation[edge->a][0] += c, solver->rotation[edge->a][1] += s;
    solver->rotation[edge->b][0] += c, solver->rotation[edge->b][1] += s;
  }
  for (int v = 0; v < layer->vertices; v++) {
    float *r = solver->rotation[v], length = hypotf(r[0], r[1]);
    r[0] = length > 1e-12f ? r[0] / length : 1, r[1] = length > 1e-12f ? r[1] / length : 0;
  }
}

static void right_side(FlatSolver *solver, float scale) {
  const Flat *flat = solver->flat;
  const Layer *layer = flat->layer;
  int n = layer->vertices;
  double *x = solver->right->x, *y = x + n;
  for (int v = 0; v < n; v++) {
    x[v] = (double)(flat->total[v] * solver->target[v][0]);
    y[v] = (double)(flat->total[v] * solver->target[v][1]);
  }
  for (int e = 0; e < flat->edges; e++) {
    const Edge *edge = &flat->edge[e];
    const float *p = layer->rest[edge->a], *q = layer->rest[edge->b];
    float dx = scale * (p[0] - q[0]), dy = scale * (p[1] - q[1]);
    float c = edge->weight * (solver->rotation[edge->a][0] + solver->rotation[edge->b][0]);
    float s = edge->weight * (solver->rotation[edge->a][1] + solver->rotation[edge->b][1]);
    double bx = (double)(c * dx - s * dy), by = (double)(s * dx + c * dy);
    x[edge->a] += bx, x[edge->b] -= bx;
    y[edge->a] += by, y[edge->b] -= by;
  }
}

void flat_solve(FlatSolver *solver, const Stance *stance, int rounds, float (*position)[3]) {
  int n = solver->flat->layer->vertices;
  find_targets(solver, stance);
  for (int round = 0; round < rounds; round++) {
    rotate(solver, (const float(*)[3])position);
    right_side(solver, stance->scale);
    if (!cholmod_solve2(CHOLMOD_A, solver->flat->factor, solver->right, NULL, &solver->x, NULL, &solver->y,
                        &solver->e, &solver->common))
      g_error("CHOLMOD has no memory for %d vertices", n);
    const double *x = solver->x->x, *y = x + n;
    for (int v = 0; v < n; v++)
      position[v][0] = (float)x[v], position[v][1] = (float)y[v];
  }
  for (int v = 0; v < n; v++)
    position[v][2] = 0;
}

double flat_energy(FlatSolver *solver, const Stance *stance, const float (*position)[3]) {
  const Flat *flat = solver->flat;
  const Layer *layer = flat->layer;
  find_targets(solver, stance);
  rotate(solver, position);
  double sum = 0;
  for (int e = 0; e < flat->edges; e++) {
    const Edge *edge = &flat->edge[e];
    const float *p = layer->rest[edge->a], *q = layer->rest[edge->b], *u = position[edge->a],
                *v = position[edge->b];
    float dx = stance->scale * (p[0] - q[0]), dy = stance->scale * (p[1] - q[1]);
    for (int k = 0; k < 2; k++) {
      const float *r = solver->rotation[k ? edge->b : edge->a];
      float x = u[0] - v[0] - (r[0] * dx - r[1] * dy), y = u[1] - v[1] - (r[1] * dx + r[0] * dy);
      sum += (double)(edge->weight * (x * x + y * y));
    }
  }
  for (int v = 0; v < layer->vertices; v++) {
    float x = position[v][0] - solver->target[v][0], y = position[v][1] - solver->target[v][1];
    sum += (double)(flat->total[v] * (x * x + y * y));
  }
  return sum;
}
