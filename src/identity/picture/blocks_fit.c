/* Sums of the blocks and of their products are gathered in double precision, a thousand blocks at a time; the
 * principal components are the eigenvectors of the covariance that follows from them. */
#include "identity/picture/blocks_parts.h"
#include <math.h>
#include <string.h>

#define BATCH 1024 /* blocks of one matrix product */

struct BlocksFit {
  float *rows; /* [BATCH, BLOCK_SIZE], waiting */
  gint64 waiting, count;
  double *sum, *products; /* [BLOCK_SIZE], [BLOCK_SIZE, BLOCK_SIZE] */
  float *product;
};

BlocksFit *blocks_fit_new(void) {
  BlocksFit *fit = g_new0(BlocksFit, 1);
  fit->rows = g_new(float, BATCH *BLOCK_SIZE);
  fit->sum = g_new0(double, BLOCK_SIZE);
  fit->products = g_new0(double, BLOCK_SIZE *BLOCK_SIZE);
  fit->product = g_new(float, BLOCK_SIZE *BLOCK_SIZE);
  return fit;
}

void blocks_fit_free(BlocksFit *fit) {
  if (!fit)
    return;
  g_free(fit->rows);
  g_free(fit->sum);
  g_free(fit->products);
  g_free(fit->product);
  g_free(fit);
}

static void take_batch(BlocksFit *fit) {
  if (!fit->waiting)
    return;
  op_gemm(TRUE, FALSE, BLOCK_SIZE, BLOCK_SIZE, fit->waiting, 1, fit->rows, BLOCK_SIZE, fit->rows, BLOCK_SIZE,
          0, fit->product, BLOCK_SIZE);
  for (gint64 i = 0; i < BLOCK_SIZE * BLOCK_SIZE; i++)
    fit->products[i] += (double)fit->product[i];
  for (gint64 row = 0; row < fit->waiting; row++)
    for (gint64 i = 0; i < BLOCK_SIZE; i++)
      fit->sum[i] += (double)fit->rows[row * BLOCK_SIZE + i];
  fit->count += fit->waiting;
  fit->waiting = 0;
}

void blocks_fit_add(BlocksFit *fit, const float *picture, gint64 height, gint64 width) {
  gint64 n = height / BLOCK_SIDE * (width / BLOCK_SIDE);
  g_autofree float *rows = g_new(float, (gsize)(n * BLOCK_SIZE));
  blocks_gather(picture, height, width, rows);
  for (gint64 done = 0; done < n;) {
    gint64 take = MIN(n - done, BATCH - fit->waiting);
    memcpy(fit->rows + fit->waiting * BLOCK_SIZE, rows + done * BLOCK_SIZE,
           sizeof *rows * (gsize)(take * BLOCK_SIZE));
    fit->waiting += take;
    done += take;
    if (fit->waiting == BATCH)
      take_batch(fit);
  }
}

/* deviation^power, times the factor that brings the mean of (deviation / scale)² to 1. */
static void choose_scale(const double *variance, double power, float *scale) {
  double mean = 0;
  /* A component that the pictures do not have must not divide by nothing. */
  double least = variance[0] * 1e-8 + 1e-12;
  for (int i = 0; i < AUTOENCODER_CHANNELS; i++)
    mean += pow(fmax(variance[i], least), 1 - power) / AUTOENCODER_CHANNELS;
  for (int i = 0; i < AUTOENCODER_CHANNELS; i++)
    scale[i] = (float)(pow(fmax(variance[i], least), power / 2) * sqrt(mean));
}

gboolean blocks_fit_write(BlocksFit *fit, double power, const char *path, GError **error) {
  take_batch(fit);
  if (fit->count < BLOCK_SIZE)
    return fault(error, FAULT_USAGE,
                 "A block transform cannot be fitted to %" G_GINT64_FORMAT
                 " blocks; it needs at least %d. Add pictures.",
                 fit->count, BLOCK_SIZE);
  g_autofree double *covariance = g_new(double, BLOCK_SIZE *BLOCK_SIZE);
  g_autofree double *variance = g_new(double, BLOCK_SIZE);
  double count = (double)fit->count;
  for (int i = 0; i < BLOCK_SIZE; i++)
    for (int j = 0; j < BLOCK_SIZE; j++) /* the upper half stands for both, so that they are equal */
      covariance[i * BLOCK_SIZE + j] = fit->products[MIN(i, j) * BLOCK_SIZE + MAX(i, j)] / count -
                                       fit->sum[i] / count * (fit->sum[j] / count);
  symmetric_eigen(covariance, BLOCK_SIZE, variance);
  g_autofree float *mean = g_new(float, BLOCK_SIZE);
  g_autofree float *basis = g_new(float, AUTOENCODER_CHANNELS *BLOCK_SIZE);
  float scale[AUTOENCODER_CHANNELS];
  for (int i = 0; i < BLOCK_SIZE; i++)
    mean[i] = (float)(fit->sum[i] / count);
  for (int i = 0; i < AUTOENCODER_CHANNELS * BLOCK_SIZE; i++)
    basis[i] = (float)covariance[i];
  choose_scale(variance, power, scale);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_add(writer, "blocks.mean", DTYPE_F32, (gint64[]){BLOCK_SIZE}, 1, mean);
  safetensors_add(writer, "blocks.basis", DTYPE_F32, (gint64[]){AUTOENCODER_CHANNELS, BLOCK_SIZE}, 2, basis);
  safetensors_add(writer, "blocks.scale", DTYPE_F32, (gint64[]){AUTOENCODER_CHANNELS}, 1, scale);
  return safetensors_write(writer, path, error);
}
