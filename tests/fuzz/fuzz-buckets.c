/* Pictures of any size at any resolution: a bucket that is planned lies within the picture and the area. */
#include "identity/training/buckets.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  gint64 sizes[3]; /* width, height, resolution */
  if (size < sizeof sizes + 1)
    return 0;
  memcpy(sizes, data, sizeof sizes);
  /* Mostly sizes that pass the first look. */
  if (data[sizeof sizes] & 3)
    for (int i = 0; i < 3; i++)
      sizes[i] &= 0x1fff;
  g_autoptr(GError) error = NULL;
  Bucket b;
  if (!bucket_plan(sizes[0], sizes[1], sizes[2], &b, &error)) {
    g_assert(error &&
             (g_error_matches(error, FAULT, FAULT_LIMIT) || g_error_matches(error, FAULT, FAULT_USAGE)));
    return 0;
  }
  g_assert(b.width >= BUCKET_STEP && b.height >= BUCKET_STEP);
  g_assert(b.width % BUCKET_STEP == 0 && b.height % BUCKET_STEP == 0);
  g_assert((gint64)b.width * b.height <= sizes[2] * sizes[2]);
  g_assert(b.scaled_width <= sizes[0] && b.scaled_height <= sizes[1]);
  g_assert(b.x >= 0 && b.y >= 0);
  g_assert(b.width <= b.scaled_width - b.x && b.height <= b.scaled_height - b.y);
  return 0;
}
