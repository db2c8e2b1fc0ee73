/* Real pictures that are no part of the repository: $TROUPE_SHARED. */
#pragma once
#include <glib.h>
#include <stdio.h>

/* The path of a file there (transfer full), or NULL after saying that the test is skipped. */
static inline char *shared_path(const char *name) {
  const char *root = g_getenv("TROUPE_SHARED");
  g_autofree char *path = g_build_filename(root ? root : "../shared", name, NULL);
  if (g_file_test(path, G_FILE_TEST_EXISTS))
    return g_steal_pointer(&path);
  printf("skipped: ../shared is absent\n");
  return NULL;
}
