/* Copies of files that somebody else may be changing: whole, regular, not too large, never through a link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/files.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static int setup(void **state) {
  folder = g_dir_make_tmp("files-XXXXXX", NULL);
  return folder == NULL;
}

static int teardown(void **state) {
  files_remove_tree(folder);
  assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
  g_free(folder);
  return 0;
}

static char *place(const char *name) {
  return g_build_filename(folder, name, NULL);
}

static void refused(const char *name, gint64 most, Fault why) {
  g_autoptr(GError) error = NULL;
  g_autofree char *from = place(name), *to = place("copy");
  assert_false(files_copy(from, to, most, &error));
  assert_true(g_error_matches(error, FAULT, (int)why));
  assert_false(g_file_test(to, G_FILE_TEST_EXISTS));
}

static void test_copy(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *from = place("file"), *link_path = place("link"), *to = place("other"), *bytes = NULL,
                  *fifo = place("fifo"), *empty = place("empty"), *empty_copy = place("empty-copy");
  gsize length;
  assert_true(g_file_set_contents(from, "\0\1\2three", 8, NULL));
  assert_true(g_file_set_contents(empty, "", 0, NULL));
  assert_true(files_copy(from, to, 8, &error));
  assert_true(g_file_get_contents(to, &bytes, &length, NULL));
  assert_int_equal(length, 8);
  assert_memory_equal(bytes, "\0\1\2three", 8);
  assert_true(files_copy(empty, empty_copy, 8, &error));
  assert_false(files_copy(from, to, 8, &error)); /* nothing is written over */
  assert_true(g_error_matches(error, FAULT, FAULT_OUTPUT));
  assert_int_equal(symlink(from, link_path), 0);
  assert_int_equal(mkfifo(fifo, 0600), 0);
  refused("file", 7, FAULT_INPUT);
  refused("link", 100, FAULT_INPUT);
  refused("fifo", 100, FAULT_INPUT); /* and does not wait for anybody */
  refused(".", 100, FAULT_INPUT);
  refused("not-there", 100, FAULT_INPUT);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_copy, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
