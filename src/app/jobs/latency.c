#include "app/jobs/latency.h"

#include <math.h>

#define LATEST 50
#define FEWEST 3

static gint by_length(gconstpointer a, gconstpointer b) {
  gint64 one = *(const gint64 *)a, other = *(const gint64 *)b;
  return one < other ? -1 : one > other;
}

gboolean job_latency(App *app, JobKind kind, const char *pool, gboolean *known, Latency *latency,
                     GError **error) {
  g_autoptr(Session) session = database_begin(app->database, DATABASE_READ, error);
  g_autoptr(Rows) rows =
      session
          ? session_query(session, error,
                          "SELECT completed - created FROM jobs WHERE pool = $1 AND kind = $2 AND status = "
                          "'complete' ORDER BY completed DESC LIMIT $3",
                          text(pool), text(job_kind_name(kind)), integer(LATEST))
          : NULL;
  if (!rows)
    return FALSE;
  g_autoptr(GArray) lengths = g_array_new(FALSE, FALSE, sizeof(gint64));
  while (rows_next(rows, error)) {
    gint64 length = rows_integer(rows, 0);
    g_array_append_val(lengths, length);
  }
  *known = lengths->len >= FEWEST;
  g_array_sort(lengths, by_length);
  if (*known)
    *latency = (Latency){.typical = (double)g_array_index(lengths, gint64, lengths->len / 2) / 1000,
                         .busy = (double)g_array_index(lengths, gint64, lengths->len * 9 / 10) / 1000};
  return rows_ended(rows);
}
