/* Objects: the same content is one object, whoever puts it and in whatever order its files were made; what
 * was put is there; what nobody holds goes when it is old, and only then, even while others put it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "base/files.h"
#include "store/objects.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define OLD 7200
#define AGE 3600

static char *folder;
static Objects *objects;

static int set_up(void **state) {
  folder = g_dir_make_tmp("troupe-objects-XXXXXX", NULL);
  g_autofree char *root = g_build_filename(folder, "objects", NULL);
  objects = objects_open(root, NULL);
  return objects ? 0 : -1;
}

static int tear_down(void **state) {
  umount2(folder, MNT_DETACH);
  g_clear_pointer(&objects, objects_free);
  files_remove_tree(folder);
  g_clear_pointer(&folder, g_free);
  return 0;
}

/* ---- making and looking ---- */

static char *draft_file(const char *content) {
  g_autoptr(GError) error = NULL;
  char *path = objects_draft(objects, &error);
  must(path && g_file_set_contents(path, content, -1, &error));
  return path;
}

/* "name=content", the last one NULL; a name may have one folder before it. */
static char *draft_folder(const char *const *files) {
  g_autoptr(GError) error = NULL;
  char *path = objects_draft(objects, &error);
  must(path && g_mkdir(path, 0700) == 0);
  for (; *files; files++) {
    g_auto(GStrv) parts = g_strsplit(*files, "=", 2);
    g_autofree char *file = g_build_filename(path, parts[0], NULL), *parent = g_path_get_dirname(file);
    g_mkdir_with_parents(parent, 0700);
    must(g_file_set_contents(file, parts[1], -1, &error));
  }
  return path;
}

static char *put(const char *path, const char *hash) {
  g_autoptr(GError) error = NULL;
  char *id = objects_put(objects, path, hash, NULL, &error);
  must(id);
  assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
  return id;
}

static char *put_content(const char *content) {
  g_autofree char *path = draft_file(content);
  return put(path, NULL);
}

static gboolean is_there(const char *id) {
  g_autofree char *path = objects_path(objects, id, NULL);
  return path != NULL;
}

static void make_old(const char *id) {
  g_autofree char *path = objects_path(objects, id, NULL);
  gint64 then = g_get_real_time() / G_USEC_PER_SEC - OLD;
  struct timeval times[2] = {{.tv_sec = then}, {.tv_sec = then}};
  assert_int_equal(utimes(path, times), 0);
}

static int drafts(void) {
  g_autofree char *path = g_build_filename(folder, "objects", "draft", NULL);
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  int count = 0;
  while (g_dir_read_name(dir))
    count++;
  return count;
}

static gboolean keep_listed(const char *id, gpointer user) {
  return user && g_strcmp0(id, user) == 0;
}

static int sweep(const char *kept) {
  g_autoptr(GError) error = NULL;
  int removed = objects_sweep(objects, AGE, keep_listed, (gpointer)kept, &error);
  must(removed >= 0);
  return removed;
}

/* ---- putting ---- */

static void a_file_is_named_by_its_bytes(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = draft_file("abc");
  gint64 bytes = 0;
  g_autofree char *id = objects_put(objects, path, NULL, &bytes, &error);
  must(id);
  assert_string_equal(id, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_int_equal(bytes, 3);
  g_autofree char *place = objects_path(objects, id, &error), *content = NULL;
  must(place && g_file_get_contents(place, &content, NULL, &error));
  assert_string_equal(content, "abc");
}

static void the_same_content_is_kept_once(void **state) {
  g_autofree char *first = put_content("same"), *place = objects_path(objects, first, NULL);
  struct stat before, after;
  assert_int_equal(stat(place, &before), 0);
  g_autofree char *second = put_content("same");
  assert_string_equal(first, second);
  assert_int_equal(stat(place, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  assert_int_equal(drafts(), 0);
}

static void a_known_hash_is_taken(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *hash = g_strnfill(64, 'a'), *path = draft_file("whatever");
  gint64 bytes = 0;
  g_autofree char *id = objects_put(objects, path, hash, &bytes, &error);
  must(id);
  assert_string_equal(id, hash);
  assert_int_equal(bytes, 8);
  g_autofree char *other = draft_file("more");
  assert_null(objects_put(objects, other, "../../etc/passwd", NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INTERNAL));
}

static void a_folder_is_named_by_its_files(void **state) {
  const char *forth[] = {"a=1", "in/b=2", "c=3", NULL}, *back[] = {"c=3", "in/b=2", "a=1", NULL};
  const char *renamed[] = {"a=1", "in/d=2", "c=3", NULL}, *changed[] = {"a=1", "in/b=2", "c=4", NULL};
  g_autofree char *p1 = draft_folder(forth), *p2 = draft_folder(back), *p3 = draft_folder(renamed),
                  *p4 = draft_folder(changed);
  g_autofree char *first = put(p1, NULL), *second = put(p2, NULL), *third = put(p3, NULL),
                  *fourth = put(p4, NULL);
  assert_string_equal(first, second);
  assert_string_not_equal(first, third);
  assert_string_not_equal(first, fourth);
  g_autofree char *place = objects_path(objects, first, NULL),
                  *file = g_build_filename(place, "in", "b", NULL);
  assert_true(g_file_test(file, G_FILE_TEST_IS_REGULAR));
  assert_int_equal(drafts(), 0);
}

static void links_are_not_taken(void **state) {
  g_autoptr(GError) error = NULL;
  const char *files[] = {"a=1", NULL};
  g_autofree char *path = draft_folder(files), *link = g_build_filename(path, "link", NULL);
  assert_int_equal(symlink("/etc/passwd", link), 0);
  assert_null(objects_put(objects, path, NULL, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  g_clear_error(&error);
  g_autofree char *alone = objects_draft(objects, NULL);
  assert_int_equal(symlink("/etc/passwd", alone), 0);
  assert_null(objects_put(objects, alone, NULL, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

static void ids_are_checked(void **state) {
  const char *const wrong[] = {"", "abc", "../../../../etc/passwd", NULL};
  for (int i = 0; wrong[i]; i++)
    assert_false(is_there(wrong[i]));
  g_autofree char *unknown = g_strnfill(64, '0'), *upper = g_strnfill(64, 'A');
  assert_false(is_there(unknown));
  assert_false(objects_id_valid(upper));
}

static gpointer put_many(gpointer user) {
  for (int i = 0; i < 30; i++) {
    const char *files[] = {"a=1", "b=2", NULL};
    g_autofree char *file = put_content("crowd"), *path = draft_folder(files), *id = put(path, NULL);
    if (!is_there(file) || !is_there(id))
      return GINT_TO_POINTER(1);
  }
  return NULL;
}

static void many_put_the_same(void **state) {
  GThread *threads[4];
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("puts", put_many, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    assert_null(g_thread_join(threads[i]));
  assert_int_equal(drafts(), 0);
}

/* ---- sweeping ---- */

static void only_what_is_old_and_unheld_goes(void **state) {
  const char *files[] = {"a=1", NULL};
  g_autofree char *held = put_content("held"), *old = put_content("old"), *young = put_content("young"),
                  *path = draft_folder(files), *old_folder = put(path, NULL);
  make_old(held);
  make_old(old);
  make_old(old_folder);
  assert_int_equal(sweep(held), 2);
  assert_true(is_there(held) && is_there(young));
  assert_false(is_there(old) || is_there(old_folder));
  assert_int_equal(drafts(), 0);
  assert_int_equal(sweep(held), 0);
}

static void putting_again_spares(void **state) {
  g_autofree char *id = put_content("again");
  make_old(id);
  g_autofree char *once_more = put_content("again");
  assert_int_equal(sweep(NULL), 0);
  assert_true(is_there(id));
}

/* Somebody puts the object just after the sweeper has found that nobody holds it. */
static gboolean put_meanwhile(const char *id, gpointer user) {
  int *asked = user;
  if (++*asked == 1) {
    g_autofree char *again = put_content("race");
    assert_string_equal(again, id);
  }
  return FALSE;
}

static void putting_wins_over_sweeping(void **state) {
  g_autofree char *id = put_content("race");
  int asked = 0;
  make_old(id);
  assert_int_equal(objects_sweep(objects, AGE, put_meanwhile, &asked, NULL), 0);
  assert_int_equal(asked, 1);
  assert_true(is_there(id));
}

static void old_drafts_go(void **state) {
  g_autofree char *path = draft_file("left over"), *young = draft_file("being made");
  gint64 then = g_get_real_time() / G_USEC_PER_SEC - 25 * 3600;
  struct timeval times[2] = {{.tv_sec = then}, {.tv_sec = then}};
  assert_int_equal(utimes(path, times), 0);
  sweep(NULL);
  assert_int_equal(drafts(), 1);
  assert_true(g_file_test(young, G_FILE_TEST_EXISTS));
}

/* ---- trouble with the disk ---- */

static void a_full_disk_is_told(void **state) {
  if (mount("tmpfs", folder, "tmpfs", 0, "size=1m") != 0) {
    print_message("skipped: a small disk cannot be mounted here\n");
    skip();
  }
  g_autoptr(GError) error = NULL;
  g_autofree char *root = g_build_filename(folder, "objects", NULL),
                  *filler = g_build_filename(folder, "f", NULL);
  g_autofree char *block = g_strnfill(4096, 'f');
  g_clear_pointer(&objects, objects_free);
  objects = objects_open(root, &error);
  must(objects && objects_writable(objects, &error));
  g_autofree char *path = draft_file("a small thing");
  int file = open(filler, O_WRONLY | O_CREAT, 0600);
  while (write(file, block, 4096) > 0)
    continue;
  close(file);
  assert_false(objects_writable(objects, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_STORE));
  assert_non_null(strstr(error->message, "full"));
  g_clear_error(&error);
  g_unlink(filler);
  must(objects_writable(objects, &error));
  g_autofree char *id = put(path, NULL);
  assert_true(is_there(id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_file_is_named_by_its_bytes),
      TEST(the_same_content_is_kept_once),
      TEST(a_known_hash_is_taken),
      TEST(a_folder_is_named_by_its_files),
      TEST(links_are_not_taken),
      TEST(ids_are_checked),
      TEST(many_put_the_same),
      TEST(only_what_is_old_and_unheld_goes),
      TEST(putting_again_spares),
      TEST(putting_wins_over_sweeping),
      TEST(old_drafts_go),
      TEST(a_full_disk_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
