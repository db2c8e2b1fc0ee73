/* The calling thread takes its share; the others are started for each picture, which costs less than a row
 * does. */
#include "performer_threads.h"

typedef struct {
  int next, rows; /* next is atomic */
  RowFunc func;
  gpointer user;
} Rows;

static gpointer rows_work(gpointer data) {
  Rows *rows = data;
  for (int row; (row = g_atomic_int_add(&rows->next, 1)) < rows->rows;)
    rows->func(row, rows->user);
  return NULL;
}

void threads_rows(int count, RowFunc func, gpointer user) {
  Rows rows = {0, count, func, user};
  GThread *threads[16];
  int others = MIN((int)g_get_num_processors(), (int)G_N_ELEMENTS(threads)) - 1;
  for (int i = 0; i < others; i++)
    threads[i] = g_thread_new("rows", rows_work, &rows);
  rows_work(&rows);
  for (int i = 0; i < others; i++)
    g_thread_join(threads[i]);
}
