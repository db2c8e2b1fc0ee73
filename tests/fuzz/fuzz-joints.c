/* Joints files from anyone: what is read lies near the picture, everything else is refused with a message. */
#include "puppet/figure/joints_file.h"
#include <math.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  GivenJoints given;
  GError *error = NULL;
  if (!joints_parse((const char *)data, size, "joints", 640, 480, &given, &error)) {
    g_assert(error && error->message[0]);
    g_error_free(error);
    return 0;
  }
  g_assert(!error);
  for (int i = 0; i < JOINTS; i++)
    if (given.given[i])
      g_assert(isfinite(given.at[i][0]) && isfinite(given.at[i][1]) && fabsf(given.at[i][0]) <= 960 &&
               fabsf(given.at[i][1]) <= 720);
  return 0;
}
