/* The matrix is made square with entries of cost `limit`: to be paired with one of those means to stay alone.
 * Rows are added one after the other; each looks for the cheapest chain of exchanges that makes room for it.
 */
#include "perception/assign.h"
#include <math.h>

typedef struct {
  const float *cost;
  int rows, columns, n;
  double limit;
  double *row_price, *column_price; /* [n + 1]; index 0 is a place outside the matrix */
  int *owner, *way;                 /* [n + 1] row that has the column; column before it in the chain */
} Problem;

static double price(const Problem *p, int row, int column) {
  double cost = p->limit;
  if (row <= p->rows && column <= p->columns)
    cost = MIN((double)p->cost[(gsize)(row - 1) * (gsize)p->columns + (gsize)(column - 1)], p->limit);
  return cost - p->row_price[row] - p->column_price[column];
}

static void add_row(Problem *p, int row, double *nearest, gboolean *used) {
  int column = 0;
  p->owner[0] = row;
  for (int j = 0; j <= p->n; j++)
    nearest[j] = INFINITY, used[j] = FALSE;
  do {
    used[column] = TRUE;
    int from = p->owner[column], next = 0;
    double step = INFINITY;
    for (int j = 1; j <= p->n; j++) {
      if (used[j])
        continue;
      double reduced = price(p, from, j);
      if (reduced < nearest[j])
        nearest[j] = reduced, p->way[j] = column;
      if (nearest[j] < step)
        step = nearest[j], next = j;
    }
    for (int j = 0; j <= p->n; j++) {
      if (used[j])
        p->row_price[p->owner[j]] += step, p->column_price[j] -= step;
      else
        nearest[j] -= step;
    }
    column = next;
  } while (p->owner[column] != 0);
  for (; column != 0; column = p->way[column])
    p->owner[column] = p->owner[p->way[column]];
}

void assign(const float *cost, int rows, int columns, float limit, int *column) {
  int n = MAX(rows, columns);
  gsize places = (gsize)n + 1;
  g_autofree double *row_price = g_new0(double, places), *column_price = g_new0(double, places);
  g_autofree double *nearest = g_new0(double, places);
  g_autofree int *owner = g_new0(int, places), *way = g_new0(int, places);
  g_autofree gboolean *used = g_new0(gboolean, places);
  Problem problem = {cost, rows, columns, n, (double)limit, row_price, column_price, owner, way};
  for (int i = 1; i <= n; i++)
    add_row(&problem, i, nearest, used);
  for (int i = 0; i < rows; i++)
    column[i] = -1;
  for (int j = 1; j <= columns; j++) {
    int row = owner[j] - 1;
    if (row < rows && cost[(gsize)row * (gsize)columns + (gsize)(j - 1)] < limit)
      column[row] = j - 1;
  }
}
