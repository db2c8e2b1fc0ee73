/* Matrix products through oneDNN, which writes its kernels for the processor it finds.
 *
 * oneDNN divides a product among threads in ways that depend on their number, sums included. So the division
 * is done here, into tiles that depend on the shape alone, and each tile is a product on one thread: oneDNN
 * is told that there is no other. Every tile sums its whole inner axis.
 *
 * bf16 products are oneDNN primitives, made anew for each tile: its own cache keeps the machine code, and a
 * primitive's intermediate memory belongs to the thread that makes it. */
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include <dnnl.h>

/* Tiles: large enough that packing the operands is little beside multiplying them, small enough that there
 * are several for each thread. */
#define TILE_ROWS 768
#define TILE_COLS 384
#define TILES 8       /* wanted at least */
#define TILE_LEAST 64 /* side of a tile that is still worth being one */
#define TILE_STEP 16
#define TURN_ROWS 48
#define TURN_DEPTH 2048

/* Rows or columns of a tile when a side is cut into parts. */
static gint64 part_of(gint64 side, gint64 parts) {
  return MAX(((side + parts - 1) / parts + TILE_STEP - 1) / TILE_STEP * TILE_STEP, TILE_STEP);
}

Tiling tiling_of(gint64 m, gint64 n, gint64 most_rows, gint64 most_cols) {
  gint64 down = (m + most_rows - 1) / most_rows, across = (n + most_cols - 1) / most_cols;
  while (down * across < TILES) {
    gint64 rows = part_of(m, down), cols = part_of(n, across);
    if (MAX(rows, cols) < 2 * TILE_LEAST)
      break;
    if (rows >= cols)
      down *= 2;
    else
      across *= 2;
  }
  gint64 rows = MIN(part_of(m, down), most_rows), cols = MIN(part_of(n, across), most_cols);
  return (Tiling){rows, cols, (m + rows - 1) / rows, (n + cols - 1) / cols};
}

static dnnl_status_t multiply(gboolean transpose_a, gboolean transpose_b, gint64 m, gint64 n, gint64 k,
                              float alpha, const float *a, gint64 lda, const float *b, gint64 ldb, float beta,
                              float *c, gint64 ldc) {
  int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  dnnl_status_t status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, lda,
                                    b, ldb, beta, c, ldc);
  omp_set_num_threads(threads);
  return status;
}

static void scale_rows(float *c, gint64 m, gint64 n, gint64 ldc, float beta) {
  for (gint64 i = 0; i < m; i++)
    for (gint64 j = 0; j < n; j++)
      c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void gemm_here(gboolean transpose_a, gboolean transpose_b, gint64 m, gint64 n, gint64 k, float alpha,
               const float *a, gint64 lda, const float *b, gint64 ldb, float beta, float *c, gint64 ldc) {
  if (m <= 0 || n <= 0)
    return;
  if (k <= 0) {
    scale_rows(c, m, n, ldc, beta);
    return;
  }
  dnnl_status_t status = multiply(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  if (status != dnnl_success)
    g_error("A matrix product %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT " failed: %d.", m,
            n, k, status);
}

/* A tile of A · Bᵀ. The kernels take a B that is not transposed as it lies and pack the other slowly, so that
 * it is turned here first, where there are rows enough to pay for it. */
static void gemm_turned(gint64 m, gint64 n, gint64 k, float alpha, const float *a, gint64 lda, const float *b,
                        gint64 ldb, float beta, float *c, gint64 ldc) {
  float *panel = scratch(SCRATCH_PANEL, sizeof(float) * (gsize)(MIN(k, TURN_DEPTH) * n));
  for (gint64 inner = 0; inner < k; inner += TURN_DEPTH) {
    gint64 depth = MIN(TURN_DEPTH, k - inner);
    turn(b + inner, n, depth, ldb, panel);
    gemm_here(FALSE, FALSE, m, n, depth, alpha, a + inner, lda, panel, n, inner ? 1 : beta, c, ldc);
  }
}

typedef struct {
  gboolean transpose_a, transpose_b, turned;
  gint64 m, n, k, lda, ldb, ldc;
  float alpha, beta;
  const float *a, *b;
  Tiling tiles;
} Product;

static void multiply_tile(const Product *p, gint64 item, float *c) {
  gint64 row = item % p->tiles.down * p->tiles.rows, col = item / p->tiles.down * p->tiles.cols;
  gint64 rows = MIN(p->tiles.rows, p->m - row), cols = MIN(p->tiles.cols, p->n - col);
  const float *a = p->a + (p->transpose_a ? row : row * p->lda);
  const float *b = p->b + (p->transpose_b ? col * p->ldb : col);
  c += row * p->ldc + col;
  if (p->turned)
    gemm_turned(rows, cols, p->k, p->alpha, a, p->lda, b, p->ldb, p->beta, c, p->ldc);
  else
    gemm_here(p->transpose_a, p->transpose_b, rows, cols, p->k, p->alpha, a, p->lda, b, p->ldb, p->beta, c,
              p->ldc);
}

void op_gemm(gboolean transpose_a, gboolean transpose_b, gint64 m, gint64 n, gint64 k, float alpha,
             const float *a, gint64 lda, const float *b, gint64 ldb, float beta, float *c, gint64 ldc) {
  if (m <= 0 || n <= 0)
    return;
  Tiling tiles = tiling_of(m, n, TILE_ROWS, TILE_COLS);
  gboolean turned = transpose_b && !transpose_a && tiles.rows >= TURN_ROWS && k > 0;
  Product product = {transpose_a, transpose_b, turned, m, n, k, lda, ldb, ldc, alpha, beta, a, b, tiles};
  EACH_NEXT(item, tiles.down * tiles.across, m * n * k / PRODUCTS, multiply_tile(&product, item, c));
}

/* --- bf16 --- */

gboolean gemm_has_bf16(void) {
  return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

static dnnl_engine_t engine(void) {
  static gsize once;
  static dnnl_engine_t cpu;
  if (g_once_init_enter(&once)) {
    if (dnnl_engine_create(&cpu, dnnl_cpu, 0) != dnnl_success)
      g_error("oneDNN does not start.");
    g_once_init_leave(&once, 1);
  }
  return cpu;
}

typedef struct {
  dnnl_memory_desc_t shape;
  dnnl_memory_t memory;
} Operand;

static dnnl_status_t operand(Operand *operand, gint64 rows, gint64 cols, gint64 row_stride, gint64 col_stride,
                             dnnl_data_type_t type, const void *data) {
  dnnl_dims_t size = {rows, cols}, strides = {row_stride, col_stride};
  dnnl_status_t status = dnnl_memory_desc_init_by_strides(&operand->shape, 2, size, type, strides);
  return status ? status : dnnl_memory_create(&operand->memory, &operand->shape, engine(), (void *)data);
}

static dnnl_status_t run_matmul(const Operand *a, const Operand *b, const Operand *c) {
  dnnl_matmul_desc_t desc;
  dnnl_primitive_desc_t plan = NULL;
  dnnl_primitive_t product = NULL;
  dnnl_stream_t stream = NULL;
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, a->memory}, {DNNL_ARG_WEIGHTS, b->memory}, {DNNL_ARG_DST, c->memory}};
  dnnl_status_t status = dnnl_matmul_desc_init(&desc, &a->shape, &b->shape, NULL, &c->shape);
  status = status ? status : dnnl_primitive_desc_create(&plan, &desc, NULL, engine(), NULL);
  status = status ? status : dnnl_primitive_create(&product, plan);
  status = status ? status : dnnl_stream_create(&stream, engine(), dnnl_stream_default_flags);
  status = status ? status : dnnl_primitive_execute(product, stream, G_N_ELEMENTS(arguments), arguments);
  status = status ? status : dnnl_stream_wait(stream);
  dnnl_stream_destroy(stream);
  dnnl_primitive_destroy(product);
  dnnl_primitive_desc_destroy(plan);
  return status;
}

gboolean gemm_here_bf16(gboolean transpose_b, gint64 m, gint64 n, gint64 k, const guint16 *a, gint64 lda,
                        const guint16 *b, gint64 ldb, float *c) {
  if (!gemm_has_bf16())
    return FALSE;
  Operand left = {0}, right = {0}, result = {0};
  int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  dnnl_status_t status = operand(&left, m, k, lda, 1, dnnl_bf16, a);
  status =
      status ? status : operand(&right, k, n, transpose_b ? 1 : ldb, transpose_b ? ldb : 1, dnnl_bf16, b);
  status = status ? status : operand(&result, m, n, n, 1, dnnl_f32, c);
  status = status ? status : run_matmul(&left, &right, &result);
  omp_set_num_threads(threads);
  dnnl_memory_destroy(left.memory);
  dnnl_memory_destroy(right.memory);
  dnnl_memory_destroy(result.memory);
  return status == dnnl_success;
}
