/* Every round is done once, whatever the number of rounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/parallel.h"

static void count_rounds(gpointer user, int begin, int end) {
  int *done = user;
  assert_true(begin < end);
  for (int i = begin; i < end; i++)
    done[i]++;
}

static void every_round_once(void **state) {
  for (int count = 0; count < 40; count++) {
    int done[41] = {0};
    parallel_spans(count, count_rounds, done);
    for (int i = 0; i < count; i++)
      assert_int_equal(done[i], 1);
    assert_int_equal(done[count], 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_round_once)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
