/* Successive over-relaxation on the grid of the mesh: some ten thousand unknowns in an order that never
 * changes. The factor is the best one for a square as wide as the grid's smaller side. */
#include "puppet/rig/relief.h"
#include <math.h>

#define ROUNDS 160

void relief_inflate(Layer *layer, const Grid *grid, float limit) {
  int columns = grid->columns, rows = grid->rows;
  g_autofree float *u = g_new0(float, (gsize)columns *(gsize)rows);
  g_autofree guint8 *inside = g_new0(guint8, (gsize)columns * (gsize)rows);
  for (int i = 0; i < columns * rows; i++)
    inside[i] = grid->vertex[i] >= 0 && grid->alpha[grid->vertex[i]] >= 0.5f;
  float omega = 2 / (1 + sinf((float)G_PI / (float)(MIN(columns, rows) + 1)));
  float source = 4 * grid->step * grid->step;
  for (int round = 0; round < ROUNDS; round++)
    for (int y = 1; y + 1 < rows; y++)
      for (int x = 1; x + 1 < columns; x++) {
        int i = y * columns + x;
        if (!inside[i])
          continue;
        float wanted = 0.25f * (u[i - 1] + u[i + 1] + u[i - columns] + u[i + columns] + source);
        u[i] += omega * (wanted - u[i]);
      }
  for (int i = 0; i < columns * rows; i++) {
    if (grid->vertex[i] < 0)
      continue;
    float height = 0.71f * sqrtf(MAX(0, u[i]));
    layer->rest[grid->vertex[i]][2] = limit * tanhf(height / limit);
  }
}
