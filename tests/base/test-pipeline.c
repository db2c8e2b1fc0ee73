/* Order, bounds and failure of the pipeline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/pipeline.h"

typedef struct {
  int length, made, consumed, fail_produce, fail_work, fail_consume; /* fail_*: the item's number, or -1 */
  gint alive, most_alive;
} Run;

static gboolean produce(gpointer user, gpointer *item, GError **error) {
  Run *run = user;
  if (run->made == run->fail_produce)
    return fault(error, FAULT_INPUT, "produce");
  if (run->made == run->length)
    return TRUE;
  int alive = g_atomic_int_add(&run->alive, 1) + 1;
  run->most_alive = MAX(run->most_alive, alive);
  int *number = g_new(int, 2);
  number[0] = run->made++;
  number[1] = 0;
  *item = number;
  return TRUE;
}

static gboolean work(gpointer user, int worker, gpointer item, GError **error) {
  Run *run = user;
  int *number = item;
  if (number[0] == run->fail_work)
    return fault(error, FAULT_INTERNAL, "work");
  g_usleep((gulong)(number[0] * 7919 % 500)); /* so that items overtake each other */
  number[1] = number[0] * number[0];
  return TRUE;
}

static Run *current; /* release has no user pointer */

static void release(gpointer item) {
  g_atomic_int_add(&current->alive, -1);
  g_free(item);
}

static gboolean consume(gpointer user, gpointer item, GError **error) {
  Run *run = user;
  const int *number = item;
  if (number[0] == run->fail_consume)
    return fault(error, FAULT_OUTPUT, "consume");
  assert_int_equal(number[0], run->consumed++);
  assert_int_equal(number[1], number[0] * number[0]);
  return TRUE;
}

static const PipelineStages stages = {produce, work, consume, release};

static Run start(int length) {
  return (Run){.length = length, .fail_produce = -1, .fail_work = -1, .fail_consume = -1};
}

static void items_arrive_in_order_and_few_at_a_time(void **state) {
  for (int workers = 1; workers <= 3; workers++) {
    Run run = start(200);
    current = &run;
    assert_true(pipeline_run(&stages, workers, 4, &run, NULL));
    assert_int_equal(run.consumed, 200);
    assert_int_equal(run.alive, 0);
    assert_true(run.most_alive <= 5); /* the one being made counts before it has a slot */
  }
}

static void nothing_is_a_result_too(void **state) {
  Run run = start(0);
  current = &run;
  assert_true(pipeline_run(&stages, 2, 4, &run, NULL));
}

static void a_failure_stops_all_and_frees_all(void **state) {
  for (int which = 0; which < 3; which++) {
    Run run = start(100);
    current = &run;
    *(which == 0 ? &run.fail_produce : which == 1 ? &run.fail_work : &run.fail_consume) = 31;
    g_autoptr(GError) error = NULL;
    assert_false(pipeline_run(&stages, 2, 4, &run, &error));
    assert_string_equal(error->message, which == 0 ? "produce" : which == 1 ? "work" : "consume");
    assert_int_equal(run.alive, 0);
    assert_true(run.consumed <= 31);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(items_arrive_in_order_and_few_at_a_time),
      cmocka_unit_test(nothing_is_a_result_too),
      cmocka_unit_test(a_failure_stops_all_and_frees_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
