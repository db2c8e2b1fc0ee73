/* Scratch memory belongs to its thread: operations neither allocate in each call nor wait for one another. */
#include "tensor/kernels.h"
#include <stdlib.h>

typedef struct {
  void *memory[SCRATCH_USES];
  gsize bytes[SCRATCH_USES];
} Scratch;

static void scratch_free(gpointer data) {
  Scratch *own = data;
  for (int use = 0; use < SCRATCH_USES; use++)
    free(own->memory[use]);
  g_free(own);
}

void *scratch(ScratchUse use, gsize bytes) {
  static GPrivate key = G_PRIVATE_INIT(scratch_free);
  Scratch *own = g_private_get(&key);
  if (!own) {
    own = g_new0(Scratch, 1);
    g_private_set(&key, own);
  }
  if (own->bytes[use] < bytes) {
    free(own->memory[use]);
    own->bytes[use] = (bytes + bytes / 4 + 4095) & ~(gsize)4095;
    own->memory[use] = aligned_alloc(4096, own->bytes[use]);
    if (!own->memory[use])
      g_error("There is no memory left for %" G_GSIZE_FORMAT " bytes of intermediate results.", bytes);
  }
  return own->memory[use];
}
