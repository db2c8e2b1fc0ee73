/* What is put in comes out, bit for bit; what is damaged does not; the folder stays within its limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/files.h"
#include "identity/text/prompt_cache.h"
#include <glib/gstdio.h>
#include <string.h>
#include <utime.h>

#define ROWS 8
#define WIDTH 16

/* A folder of its own with a cache in it, gone afterwards. */
typedef struct {
  char *folder;
  PromptCache *cache;
} Place;

static void place_init(Place *place, gint64 limit) {
  g_autofree char *parent = g_dir_make_tmp("prompts-XXXXXX", NULL);
  place->folder = g_build_filename(parent, "cache", NULL);
  place->cache = prompt_cache_open(place->folder, limit, NULL);
  assert_non_null(place->cache);
}

static void place_clear(Place *place) {
  g_autofree char *parent = g_path_get_dirname(place->folder);
  prompt_cache_free(place->cache);
  files_remove_tree(parent);
  g_free(place->folder);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static void fill(float *features, float value) {
  for (int i = 0; i < ROWS * WIDTH; i++)
    features[i] = value + (float)i / 7.f;
}

static void put(Place *place, const char *model, const char *prompt, float value) {
  float features[ROWS * WIDTH];
  fill(features, value);
  g_autoptr(GError) error = NULL;
  assert_true(prompt_cache_put(place->cache, model, prompt, ROWS, WIDTH, features, &error));
  assert_null(error);
}

static gboolean has(Place *place, const char *model, const char *prompt, float value) {
  float expected[ROWS * WIDTH], features[ROWS * WIDTH];
  fill(expected, value);
  if (!prompt_cache_get(place->cache, model, prompt, ROWS, WIDTH, features))
    return FALSE;
  assert_memory_equal(features, expected, sizeof features);
  return TRUE;
}

/* Full path of the only file, NULL where there is none; count: how many there are. */
static char *file_in(const Place *place, int *count) {
  char *found = NULL;
  g_autoptr(GDir) dir = g_dir_open(place->folder, 0, NULL);
  *count = 0;
  for (const char *name; (name = g_dir_read_name(dir)); ++*count) {
    g_free(found);
    found = g_build_filename(place->folder, name, NULL);
  }
  return found;
}

static void what_is_put_in_comes_out(void **state) {
  g_auto(Place) place = {0};
  place_init(&place, 1 << 20);
  assert_false(has(&place, "klein", "a cat", 1));
  put(&place, "klein", "a cat", 1);
  put(&place, "klein", "a dog", 2);
  put(&place, "other", "a cat", 3);
  put(&place, "klein", "", 4);
  assert_true(has(&place, "klein", "a cat", 1));
  assert_true(has(&place, "klein", "a dog", 2));
  assert_true(has(&place, "other", "a cat", 3));
  assert_true(has(&place, "klein", "", 4));
  assert_false(has(&place, "kleina", " cat", 1));
  put(&place, "klein", "a cat", 9);
  assert_true(has(&place, "klein", "a cat", 9));
  float features[ROWS * WIDTH];
  assert_false(prompt_cache_get(place.cache, "klein", "a cat", ROWS, WIDTH / 2, features));
}

static void prompts_are_not_in_the_files(void **state) {
  g_auto(Place) place = {0};
  place_init(&place, 1 << 20);
  put(&place, "klein", "secret", 1);
  int count;
  g_autofree char *path = file_in(&place, &count);
  assert_int_equal(count, 1);
  g_autofree char *text = NULL;
  gsize length;
  assert_true(g_file_get_contents(path, &text, &length, NULL));
  assert_null(memmem(text, length, "secret", 6));
}

static void damaged_files_count_as_absent(void **state) {
  g_auto(Place) place = {0};
  place_init(&place, 1 << 20);
  put(&place, "klein", "a cat", 1);
  int count;
  g_autofree char *path = file_in(&place, &count);
  g_autofree char *text = NULL;
  gsize length;
  assert_true(g_file_get_contents(path, &text, &length, NULL));
  for (gsize cut = 0; cut < length; cut += 37) {
    assert_true(g_file_set_contents(path, text, (gssize)cut, NULL));
    assert_false(has(&place, "klein", "a cat", 1));
  }
  put(&place, "klein", "a cat", 2);
  assert_true(has(&place, "klein", "a cat", 2));
}

/* Sets how long ago every file was used last. */
static void age(const Place *place, int seconds) {
  g_autoptr(GDir) dir = g_dir_open(place->folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    GStatBuf about;
    assert_int_equal(g_stat(path, &about), 0);
    struct utimbuf times = {about.st_mtime - seconds, about.st_mtime - seconds};
    assert_int_equal(utime(path, &times), 0);
  }
}

static void the_least_used_goes_first(void **state) {
  g_auto(Place) place = {0};
  place_init(&place, 2000); /* three files of 512 bytes and a header */
  g_autofree char *foreign = g_build_filename(place.folder, "notes.txt", NULL);
  g_autofree char *large = g_strnfill(5000, 'x');
  assert_true(g_file_set_contents(foreign, large, -1, NULL));
  put(&place, "m", "one", 1);
  age(&place, 10);
  put(&place, "m", "two", 2);
  age(&place, 10);
  put(&place, "m", "three", 3);
  age(&place, 10);
  assert_true(has(&place, "m", "one", 1)); /* used now */
  put(&place, "m", "four", 4);
  assert_true(has(&place, "m", "one", 1));
  assert_false(has(&place, "m", "two", 2));
  assert_true(has(&place, "m", "three", 3));
  assert_true(has(&place, "m", "four", 4));
  assert_true(g_file_test(foreign, G_FILE_TEST_EXISTS));
}

static void what_is_too_large_is_not_kept(void **state) {
  g_auto(Place) place = {0};
  place_init(&place, 511);
  put(&place, "m", "one", 1);
  assert_false(has(&place, "m", "one", 1));
  int count;
  g_autofree char *path = file_in(&place, &count);
  assert_null(path);
}

static void a_folder_that_cannot_be_made_is_said(void **state) {
  g_autoptr(GError) error = NULL;
  assert_null(prompt_cache_open("/proc/nowhere/cache", 1000, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_OUTPUT));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_put_in_comes_out),      cmocka_unit_test(prompts_are_not_in_the_files),
      cmocka_unit_test(damaged_files_count_as_absent), cmocka_unit_test(the_least_used_goes_first),
      cmocka_unit_test(what_is_too_large_is_not_kept), cmocka_unit_test(a_folder_that_cannot_be_made_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
