/* Rows side by side on all processors. The function must write to its own row only, so that the result is the
 * same on any number of them. */
#pragma once
#include <glib.h>

typedef void (*RowFunc)(int row, gpointer user);
void threads_rows(int rows, RowFunc func, gpointer user);
