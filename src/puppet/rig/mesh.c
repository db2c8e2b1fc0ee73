#include "puppet/rig/mesh.h"
#include <math.h>
#include <string.h>

void grid_free(Grid *grid) {
  if (!grid)
    return;
  g_free(grid->vertex);
  g_free(grid->alpha);
  g_free(grid);
}

void layer_free(Layer *layer) {
  if (!layer)
    return;
  g_free(layer->rest);
  g_free(layer->uv);
  g_free(layer->bone);
  g_free(layer->weight);
  g_free(layer->triangle);
  g_free(layer->part);
  image_free(layer->texture);
  g_free(layer);
}

static guint8 alpha_at(const Image *texture, int x, int y) {
  return x < 0 || y < 0 || x >= texture->width || y >= texture->height ? 0 : image_at(texture, x, y)[3];
}

/* A cell counts when anything in it or next to it is visible: bilinear filtering reaches one pixel further.
 */
static gboolean cell_is_used(const Image *texture, float step, int column, int row) {
  int x0 = (int)floorf((float)column * step) - 1, x1 = (int)ceilf((float)(column + 1) * step) + 1;
  int y0 = (int)floorf((float)row * step) - 1, y1 = (int)ceilf((float)(row + 1) * step) + 1;
  for (int y = MAX(0, y0); y <= MIN(y1, texture->height - 1); y++)
    for (int x = MAX(0, x0); x <= MIN(x1, texture->width - 1); x++)
      if (image_at(texture, x, y)[3] > 2)
        return TRUE;
  return FALSE;
}

static float alpha_around(const Image *texture, float x, float y, float radius) {
  int sum = 0, n = 0;
  for (int j = (int)floorf(y - radius); j <= (int)floorf(y + radius); j++)
    for (int i = (int)floorf(x - radius); i <= (int)floorf(x + radius); i++) {
      sum += alpha_at(texture, i, j);
      n++;
    }
  return n ? (float)sum / (255.0f * (float)n) : 0;
}

static int node(Grid *grid, int column, int row, int *vertices) {
  int *vertex = &grid->vertex[row * grid->columns + column];
  if (*vertex < 0)
    *vertex = (*vertices)++;
  return *vertex;
}

static void place_vertices(Layer *layer, Grid *grid, int left, int top) {
  layer->rest = g_malloc0(sizeof *layer->rest * (gsize)MAX(1, layer->vertices));
  layer->uv = g_malloc0(sizeof *layer->uv * (gsize)MAX(1, layer->vertices));
  layer->bone = g_malloc0(sizeof *layer->bone * (gsize)MAX(1, layer->vertices));
  layer->weight = g_malloc0(sizeof *layer->weight * (gsize)MAX(1, layer->vertices));
  grid->alpha = g_new0(float, layer->vertices);
  for (int row = 0; row < grid->rows; row++)
    for (int column = 0; column < grid->columns; column++) {
      int v = grid->vertex[row * grid->columns + column];
      if (v < 0)
        continue;
      float x = (float)column * grid->step, y = (float)row * grid->step;
      layer->uv[v][0] = x;
      layer->uv[v][1] = y;
      layer->rest[v][0] = x + (float)left;
      layer->rest[v][1] = y + (float)top;
      grid->alpha[v] = alpha_around(layer->texture, x, y, 0.3f * grid->step);
    }
}

Layer *mesh_grid(LayerKind kind, Image *texture, int left, int top, float step, Grid **out) {
  Layer *layer = g_new0(Layer, 1);
  Grid *grid = g_new0(Grid, 1);
  grid->step = step;
  grid->columns = (int)ceilf((float)texture->width / step) + 1;
  grid->rows = (int)ceilf((float)texture->height / step) + 1;
  grid->vertex = g_new(int, (gsize)grid->columns *(gsize)grid->rows);
  memset(grid->vertex, -1, sizeof(int) * (gsize)grid->columns * (gsize)grid->rows);
  GArray *triangles = g_array_new(FALSE, FALSE, sizeof(guint32[3]));
  for (int row = 0; row + 1 < grid->rows; row++)
    for (int column = 0; column + 1 < grid->columns; column++) {
      if (!cell_is_used(texture, step, column, row))
        continue;
      guint32 a = (guint32)node(grid, column, row, &layer->vertices),
              b = (guint32)node(grid, column + 1, row, &layer->vertices);
      guint32 c = (guint32)node(grid, column, row + 1, &layer->vertices);
      guint32 d = (guint32)node(grid, column + 1, row + 1, &layer->vertices);
      /* Diagonals alternate, so that the grid bends alike in both directions. */
      guint32 even[2][3] = {{a, b, d}, {a, d, c}}, odd[2][3] = {{a, b, c}, {b, d, c}};
      g_array_append_vals(triangles, (row + column) % 2 ? odd : even, 2);
    }
  layer->kind = kind;
  layer->texture = texture;
  layer->triangles = (int)triangles->len;
  layer->triangle = (guint32(*)[3])(void *)g_array_free(triangles, FALSE);
  layer->part = g_malloc((gsize)layer->triangles + 1);
  memset(layer->part, kind, (gsize)layer->triangles + 1);
  place_vertices(layer, grid, left, top);
  *out = grid;
  return layer;
}
