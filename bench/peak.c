/* One large product, by the library alone. */
#include "peak.h"

#include <dnnl.h>
#include <stdlib.h>

#define PEAK_SIDE 4096

float *floats(gint64 count) {
  float *x = aligned_alloc(64, sizeof *x * (gsize)((count + 15) / 16 * 16));
  guint32 state = 1;
  for (gint64 i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(gint32)state * 0x1p-31f;
  }
  return x;
}

void fill_halves(guint16 *x, gint64 count) {
  guint32 state = 1;
  for (gint64 i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = bf16_from_float((float)(gint32)state * 0x1p-36f);
  }
}

guint16 *halves(gint64 count) {
  guint16 *x = aligned_alloc(64, sizeof *x * (gsize)((count + 31) / 32 * 32));
  fill_halves(x, count);
  return x;
}

double peak_f32(int rounds) {
  gint64 n = PEAK_SIDE;
  float *a = floats(n * n), *b = floats(n * n), *c = floats(n * n);
  double seconds;
  BEST(rounds, seconds, dnnl_sgemm('N', 'T', n, n, n, 1, a, n, b, n, 0, c, n));
  free(a), free(b), free(c);
  return 2.0 * (double)(n * n * n) / seconds / 1e9;
}

double peak_bf16(int rounds) {
  gint64 n = PEAK_SIDE;
  guint16 *a = halves(n * n), *b = halves(n * n);
  float *c = floats(n * n);
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_memory_desc_t md[3];
  dnnl_memory_t memory[3];
  void *data[3] = {a, b, c};
  dnnl_engine_create(&engine, dnnl_cpu, 0);
  dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  for (int i = 0; i < 3; i++) {
    dnnl_memory_desc_init_by_tag(&md[i], 2, (dnnl_dims_t){n, n}, i < 2 ? dnnl_bf16 : dnnl_f32,
                                 i == 1 ? dnnl_ba : dnnl_ab);
    dnnl_memory_create(&memory[i], &md[i], engine, data[i]);
  }
  dnnl_matmul_desc_t desc;
  dnnl_primitive_desc_t plan;
  dnnl_primitive_t product;
  dnnl_matmul_desc_init(&desc, &md[0], &md[1], NULL, &md[2]);
  double seconds = 0;
  if (dnnl_primitive_desc_create(&plan, &desc, NULL, engine, NULL) == dnnl_success) {
    dnnl_primitive_create(&product, plan);
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, memory[0]}, {DNNL_ARG_WEIGHTS, memory[1]}, {DNNL_ARG_DST, memory[2]}};
    BEST(rounds, seconds, dnnl_primitive_execute(product, stream, 3, args));
    dnnl_primitive_destroy(product);
    dnnl_primitive_desc_destroy(plan);
  }
  for (int i = 0; i < 3; i++)
    dnnl_memory_destroy(memory[i]);
  dnnl_stream_destroy(stream);
  dnnl_engine_destroy(engine);
  free(a), free(b), free(c);
  return seconds > 0 ? 2.0 * (double)(n * n * n) / seconds / 1e9 : 0;
}
