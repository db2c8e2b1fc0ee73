/* Matrix products through oneDNN, which writes its kernels for the processor it finds.
 *
 * oneDNN divides a product among threads in ways that depend on their number, sums included. So the division
 * is done here, into tiles that depend on the shape alone, and each tile is a product on one thread: inside a
 * parallel region oneDNN starts no threads of its own. Every tile sums its whole inner axis. */
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include <dnnl.h>

/* Tiles: large enough that packing the operands is little beside multiplying them, small enough that there
 * are several for each thread. */
#define TILE_ROWS 768
#define TILE_COLS 384

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
  dnnl_status_t status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, lda,
                                    b, ldb, beta, c, ldc);
  if (status != dnnl_success)
    g_error("A matrix product %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT " failed: %d.", m,
            n, k, status);
}

void op_gemm(gboolean transpose_a, gboolean transpose_b, gint64 m, gint64 n, gint64 k, float alpha,
             const float *a, gint64 lda, const float *b, gint64 ldb, float beta, float *c, gint64 ldc) {
  gint64 down = (m + TILE_ROWS - 1) / TILE_ROWS, across = (n + TILE_COLS - 1) / TILE_COLS;
#pragma omp parallel for schedule(dynamic) if (m * n * k > WORTH_THREADS)
  for (gint64 tile = 0; tile < down * across; tile++) {
    gint64 row = tile % down * TILE_ROWS, col = tile / down * TILE_COLS;
    gemm_here(transpose_a, transpose_b, MIN(TILE_ROWS, m - row), MIN(TILE_COLS, n - col), k, alpha,
              a + (transpose_a ? row : row * lda), lda, b + (transpose_b ? col * ldb : col), ldb, beta,
              c + row * ldc + col, ldc);
  }
}
