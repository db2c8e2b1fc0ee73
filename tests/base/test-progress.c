/* What long work says of itself: reports, remarks, measures, and that it stops when it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/fault.h"
#include "base/progress.h"

#include <stdio.h>

static void test_measures(void **state) {
  g_autoptr(Progress) progress = progress_new(NULL, NULL);
  double value = 5;
  assert_false(progress_measured(progress, "loss", &value));
  progress_measure(progress, "loss", 0.5);
  progress_measure(progress, "loss", 0.25);
  assert_true(progress_measured(progress, "loss", &value) && value == 0.25);
  for (int i = 0; i < 100; i++) { /* whoever talks nonsense cannot fill the memory */
    char name[16];
    g_snprintf(name, sizeof name, "m%d", i);
    progress_measure(progress, name, i);
  }
  assert_true(progress_measured(progress, "m0", &value) && value == 0);
  assert_false(progress_measured(progress, "m99", &value));
  progress_measure(NULL, "loss", 1);
  assert_false(progress_measured(NULL, "loss", &value));
}

/* Within a report measures may be made and read. */
static void report(const char *stage, gint64 done, gint64 total, gpointer user) {
  double value = 0;
  Progress *progress = *(Progress **)user;
  progress_measure(progress, "seen", (double)done);
  assert_true(progress_measured(progress, "seen", &value));
  assert_true(value == (double)done);
}

static void test_measures_within_a_report(void **state) {
  Progress *progress = NULL;
  progress = progress_new(report, &progress);
  progress_report(progress, "Going", 7, 9);
  double value = 0;
  assert_true(progress_measured(progress, "seen", &value) && value == 7);
  progress_free(progress);
}

static void test_cancelled(void **state) {
  g_autoptr(Progress) progress = progress_new(NULL, NULL);
  g_autoptr(GError) error = NULL;
  assert_true(progress_continue(progress, &error));
  progress_cancel(progress);
  assert_false(progress_continue(progress, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_CANCELLED));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_measures),
      cmocka_unit_test(test_measures_within_a_report),
      cmocka_unit_test(test_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
