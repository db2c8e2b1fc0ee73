/* Finds and reads the expected results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "golden.h"
#include <math.h>
#include <stdio.h>

#define RANK_MAX 8

char *golden_path(const char *name) {
  const char *named = g_getenv("GOLDEN_IDENTITY"), *shared = g_getenv("TROUPE_SHARED");
  g_autofree char *folder =
      named ? g_strdup(named) : g_build_filename(shared ? shared : "../shared", "golden-identity", NULL);
  if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
    puts("skipped: ../shared is absent");
    g_clear_pointer(&folder, g_free); /* skip does not come back */
    skip();
  }
  return g_build_filename(folder, name, NULL);
}

Safetensors *golden_open(const char *name) {
  g_autofree char *path = golden_path(name);
  g_autoptr(GError) error = NULL;
  Safetensors *file = safetensors_open(path, &error);
  if (!file)
    fail_msg("%s", error->message);
  return file;
}

static const void *get(const Safetensors *file, const char *name, Dtype dtype, gint64 *count) {
  for (int rank = 0; rank <= RANK_MAX; rank++) {
    gint64 shape[RANK_MAX] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const void *data = safetensors_get(file, name, dtype, shape, rank, NULL);
    if (!data)
      continue;
    gint64 product = 1;
    for (int i = 0; i < rank; i++)
      product *= shape[i];
    if (count)
      *count = product;
    return data;
  }
  fail_msg("there is no tensor %s of the wanted type", name);
  return NULL;
}

const float *golden_floats(const Safetensors *file, const char *name, gint64 *count) {
  return get(file, name, DTYPE_F32, count);
}

const gint32 *golden_ints(const Safetensors *file, const char *name, gint64 *count) {
  return get(file, name, DTYPE_I32, count);
}

const guint8 *golden_bytes(const Safetensors *file, const char *name, gint64 *count) {
  return get(file, name, DTYPE_U8, count);
}

double golden_difference(const float *a, const float *b, gint64 count) {
  double worst = 0;
  for (gint64 i = 0; i < count; i++) {
    double difference = fabs((double)a[i] - (double)b[i]);
    if (!(difference <= worst))
      worst = difference;
    if (isnan(difference))
      return difference;
  }
  return worst;
}

void golden_near(const Safetensors *file, const char *name, const float *a, double tolerance) {
  gint64 count = 0;
  const float *expected = golden_floats(file, name, &count);
  double worst = golden_difference(a, expected, count);
  printf("  %-28s %.2e (at most %.0e)\n", name, worst, tolerance);
  if (!(worst <= tolerance))
    fail_msg("%s differs by %g, more than %g", name, worst, tolerance);
}
