/* Who belongs to whom: the cheapest pairing of rows with columns. */
#pragma once
#include <glib.h>

/* cost: [rows][columns]; pairs that cost `limit` or more stay unpaired. column [rows] receives the column of
 * each row or -1. The sum of the costs saved against `limit` is the greatest possible. Kuhn 1955 with the
 * potentials of Jonker and Volgenant 1987, O(n^3). */
void assign(const float *cost, int rows, int columns, float limit, int *column);
