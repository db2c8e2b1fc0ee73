/* The matrix library's own peak, and how the benches of the networks take times. */
#pragma once
#include "tensor/ops.h"

#include <omp.h>

/* The shortest of so many rounds, after one to warm up. */
#define BEST(rounds, seconds, call)                                                                          \
  do {                                                                                                       \
    seconds = 1e9;                                                                                           \
    for (int round = 0; round <= (rounds); round++) {                                                        \
      double began = omp_get_wtime();                                                                        \
      call;                                                                                                  \
      seconds = MIN(seconds, omp_get_wtime() - began);                                                       \
    }                                                                                                        \
  } while (0)

/* Memory with something like numbers in it; free() it. */
float *floats(gint64 count);
guint16 *halves(gint64 count); /* bf16 */
void fill_halves(guint16 *x, gint64 count);

/* GFLOP/s of a square product on all threads, operands as the layers' are; 0 where there is none. */
double peak_f32(int rounds);
double peak_bf16(int rounds);
