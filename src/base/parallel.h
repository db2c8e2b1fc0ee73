/* Loops whose rounds do not depend on each other, on all processors. */
#pragma once
#include <glib.h>

/* Does the rounds [begin, end). */
typedef void (*ParallelSpan)(gpointer user, int begin, int end);

/* Does the rounds [0, count) in a few spans side by side; back when all are done. Where the rounds are cut
 * depends on the machine, so a round may depend on nothing that another writes. */
void parallel_spans(int count, ParallelSpan span, gpointer user);
