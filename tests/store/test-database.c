/* Tables: values come back as they went in; a session is all or nothing, whatever happens in it; readers have
 * a snapshot; many threads and processes at once lose nothing; a full disk is said and got over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "base/files.h"
#include "store/database.h"
#include "store/schema.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder;

static int set_up(void **state) {
  folder = g_dir_make_tmp("troupe-store-XXXXXX", NULL);
  return folder ? 0 : -1;
}

static int tear_down(void **state) {
  files_remove_tree(folder);
  g_clear_pointer(&folder, g_free);
  return 0;
}

static Database *open_tables(void) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(folder, "tables.db", NULL);
  Database *database = database_open(path, &error);
  must(database);
  return database;
}

static gboolean set(Session *session, const char *name, const char *value, GError **error) {
  return session_run(session, error,
                     "INSERT INTO settings (name, value) VALUES ($1, $2) "
                     "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                     text(name), text(value));
}

static gboolean set_alone(Database *database, const char *name, const char *value, GError **error) {
  g_autoptr(Session) session = database_begin(database, DATABASE_WRITE, error);
  return session && set(session, name, value, error) && session_commit(session, error);
}

/* transfer full; NULL when there is none */
static char *get(Session *session, const char *name) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Rows) rows =
      session_query(session, &error, "SELECT value FROM settings WHERE name = $1", text(name));
  must(rows);
  char *value = rows_next(rows, &error) ? g_strdup(rows_text(rows, 0)) : NULL;
  must(rows_ended(rows));
  return value;
}

static char *get_alone(Database *database, const char *name) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(database, DATABASE_READ, &error);
  must(session);
  return get(session, name);
}

static void assert_value(Database *database, const char *name, const char *value) {
  g_autofree char *found = get_alone(database, name);
  if (g_strcmp0(found, value) != 0)
    fail_msg("%s is %s, not %s", name, found, value);
}

static void values_come_back(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  g_autoptr(Session) session = database_begin(database, DATABASE_READ, &error);
  must(session);
  g_autoptr(Rows) rows = session_query(session, &error, "SELECT $2, $1, $3, $4, $2 WHERE $1 = $1",
                                       integer(-5), text("Zoë's; DROP"), real(0.25), null());
  must(rows && rows_next(rows, &error));
  assert_string_equal(rows_text(rows, 0), "Zoë's; DROP");
  assert_int_equal(rows_integer(rows, 1), -5);
  assert_true(rows_real(rows, 2) == 0.25);
  assert_true(rows_null(rows, 3));
  assert_null(rows_text(rows, 3));
  assert_string_equal(rows_text(rows, 4), "Zoë's; DROP");
  assert_false(rows_next(rows, &error));
  assert_true(rows_ended(rows));
}

static void wrong_statements_are_told(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  const char *const wrong[] = {"SELECT nonsense", "SELECT $1, $2", "SELECT :name", "SELECT $1, ?"};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(Session) session = database_begin(database, DATABASE_READ, &error);
    must(session);
    assert_null(session_query(session, &error, wrong[i], integer(1)));
    assert_true(g_error_matches(error, FAULT, FAULT_INTERNAL));
    g_clear_error(&error);
  }
  must(set_alone(database, "after", "all is well", &error));
}

static void what_is_not_committed_is_gone(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  {
    g_autoptr(Session) session = database_begin(database, DATABASE_WRITE, &error);
    must(session && set(session, "name", "kept?", &error));
  }
  assert_value(database, "name", NULL);
  must(set_alone(database, "name", "kept", &error));
  assert_value(database, "name", "kept");
}

/* SQLite goes on after some errors, outside of any transaction: what follows a failure must not be kept. */
static void nothing_follows_a_failure(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  {
    g_autoptr(Session) session = database_begin(database, DATABASE_WRITE, &error);
    must(session && set(session, "a", "1", &error));
    assert_false(session_run(session, &error, "INSERT INTO settings (name, value) VALUES ('a', '2')"));
    assert_true(g_error_matches(error, FAULT, FAULT_INTERNAL));
    g_clear_error(&error);
    assert_false(set(session, "b", "1", NULL));
    assert_false(session_commit(session, NULL));
  }
  assert_value(database, "a", NULL);
  assert_value(database, "b", NULL);
}

static void rules_between_tables_hold(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  g_autoptr(Session) session = database_begin(database, DATABASE_WRITE, &error);
  assert_false(
      session_run(session, &error,
                  "INSERT INTO ledger (id, account, kind, amount, created) VALUES ('x', 'nobody', 'grant', "
                  "1, 1)"));
  assert_true(g_error_matches(error, FAULT, FAULT_INTERNAL));
}

static void a_reader_has_one_snapshot(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  must(set_alone(database, "name", "before", &error));
  g_autoptr(Session) reader = database_begin(database, DATABASE_READ, &error);
  must(reader);
  g_autofree char *first = get(reader, "name");
  must(set_alone(database, "name", "after", &error));
  g_autofree char *second = get(reader, "name");
  assert_string_equal(first, "before");
  assert_string_equal(second, "before");
  assert_value(database, "name", "after");
}

/* Rows are often freed after the commit, as they go out of scope. */
static void rows_outlive_the_commit(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  must(set_alone(database, "name", "1", &error));
  {
    g_autoptr(Session) session = database_begin(database, DATABASE_WRITE, &error);
    g_autoptr(Rows) rows = session_query(session, &error, "UPDATE settings SET value = '2' RETURNING value");
    must(rows && rows_next(rows, &error));
    assert_string_equal(rows_text(rows, 0), "2");
    must(session_commit(session, &error));
    must(set_alone(database, "other", "3", &error)); /* others write meanwhile */
    assert_false(session_commit(session, NULL));
  }
  assert_value(database, "name", "2");
}

static void the_same_statement_within_itself(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  must(set_alone(database, "a", "1", &error) && set_alone(database, "b", "2", &error));
  g_autoptr(Session) session = database_begin(database, DATABASE_READ, &error);
  int seen = 0;
  const char *sql = "SELECT name FROM settings ORDER BY name";
  g_autoptr(Rows) outer = session_query(session, &error, sql);
  while (rows_next(outer, &error)) {
    g_autoptr(Rows) inner = session_query(session, &error, sql);
    while (rows_next(inner, &error))
      seen++;
  }
  assert_int_equal(seen, 4);
}

/* ---- versions ---- */

/* Another process, which is this program again: SQLite forbids to go on with open tables after a fork. */
static pid_t start_process(const char *what) {
  pid_t child = fork();
  if (child == 0)
    execl("/proc/self/exe", "test-database", what, folder, NULL);
  return child;
}

static void assert_ends_well(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  assert_int_equal(status, 0);
}

static void the_version_tells_of_commits(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  gint64 start = database_version(database);
  g_autofree char *nothing = get_alone(database, "name");
  assert_null(nothing);
  assert_int_equal(database_version(database), start);
  must(set_alone(database, "name", "1", &error));
  gint64 second = database_version(database);
  assert_int_not_equal(second, start);
  {
    g_autoptr(Session) session = database_begin(database, DATABASE_WRITE_SOON, &error);
    must(session && set(session, "name", "2", &error));
    assert_int_equal(database_version(database), second);
    must(session_commit(session, &error));
  }
  gint64 third = database_version(database);
  assert_int_not_equal(third, second);
  assert_ends_well(start_process("write"));
  assert_int_not_equal(database_version(database), third);
  assert_value(database, "from", "another process");
}

/* A log that was folded into the file and begun anew must not look like an earlier one. */
static void versions_do_not_come_again(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Database) database = open_tables();
  g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  g_autofree char *large = g_strnfill(20000, 'x');
  for (int i = 0; i < 600; i++) {
    g_autoptr(Session) session = database_begin(database, DATABASE_WRITE_SOON, &error);
    must(session && set(session, "large", large, &error) && session_commit(session, &error));
    large[i]++;
    gint64 *version = g_new(gint64, 1);
    *version = database_version(database);
    assert_true(g_hash_table_add(seen, version));
  }
}

/* ---- many at once ---- */

static void several_start_at_once(void **state) {
  pid_t children[8];
  for (gsize i = 0; i < G_N_ELEMENTS(children); i++)
    children[i] = start_process("write");
  for (gsize i = 0; i < G_N_ELEMENTS(children); i++)
    assert_ends_well(children[i]);
  g_autoptr(Database) database = open_tables();
  assert_value(database, "from", "another process");
}

#define ADDITIONS 40

static gboolean add_one(Database *database, GError **error) {
  g_autoptr(Session) session = database_begin(database, DATABASE_WRITE_SOON, error);
  g_autofree char *value = session ? get(session, "count") : NULL;
  g_autofree char *more = g_strdup_printf("%d", atoi(value ? value : "0") + 1);
  return session && set(session, "count", more, error) && session_commit(session, error);
}

static gpointer add_many(gpointer database) {
  int failed = 0;
  for (int i = 0; i < ADDITIONS; i++)
    failed += !add_one(database, NULL);
  return GINT_TO_POINTER(failed);
}

static int add_in_threads(Database *database) {
  GThread *threads[4];
  int failed = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("adds", add_many, database);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    failed += GPOINTER_TO_INT(g_thread_join(threads[i]));
  return failed;
}

static void writers_wait_for_each_other(void **state) {
  g_autoptr(Database) first = open_tables();
  pid_t child = start_process("add");
  assert_int_equal(add_in_threads(first), 0);
  assert_ends_well(child);
  g_autofree char *sum = g_strdup_printf("%d", 2 * 4 * ADDITIONS);
  assert_value(first, "count", sum);
}

/* Killed in the middle of writing, again and again: the next one opens what was committed. */
static void a_killed_writer_leaves_no_damage(void **state) {
  for (int round = 0; round < 5; round++) {
    pid_t child = start_process("add for ever");
    g_usleep(60000 + (guint)round * 7000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(Database) database = open_tables();
    g_autoptr(Session) session = database_begin(database, DATABASE_READ, &error);
    g_autoptr(Rows) rows = session_query(session, &error, "PRAGMA integrity_check");
    must(rows && rows_next(rows, &error));
    assert_string_equal(rows_text(rows, 0), "ok");
  }
}

static void a_newer_schema_is_refused(void **state) {
  g_autofree char *path = g_build_filename(folder, "tables.db", NULL);
  g_autoptr(GError) error = NULL;
  {
    g_autoptr(Database) database = open_tables();
    g_autoptr(Session) session = database_begin(database, DATABASE_WRITE, &error);
    g_autofree char *sql = g_strdup_printf("PRAGMA user_version = %d", schema_version + 1);
    must(session && session_run(session, &error, sql) && session_commit(session, &error));
  }
  assert_null(database_open(path, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_STORE));
}

/* ---- trouble with the disk ---- */

static void a_file_that_is_no_database_is_refused(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(folder, "tables.db", NULL);
  g_autofree char *rubbish = g_strnfill(8192, 'r');
  assert_true(g_file_set_contents(path, rubbish, -1, NULL));
  assert_null(database_open(path, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_STORE));
  g_clear_error(&error);
  g_autofree char *nowhere = g_build_filename(folder, "no", "such", "folder.db", NULL);
  assert_null(database_open(nowhere, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_STORE));
}

/* A disk of 2 MB; the test is skipped where none can be mounted. */
static void small_disk(void) {
  if (mount("tmpfs", folder, "tmpfs", 0, "size=2m") == 0)
    return;
  print_message("skipped: a small disk cannot be mounted here\n");
  skip();
}

static void take_all_space(const char *name) {
  g_autofree char *path = g_build_filename(folder, name, NULL);
  g_autofree char *block = g_strnfill(4096, 'f');
  int file = open(path, O_WRONLY | O_CREAT, 0600);
  while (write(file, block, 4096) > 0)
    continue;
  close(file);
}

static void a_full_disk_is_got_over(void **state) {
  small_disk();
  g_autoptr(GError) error = NULL;
  g_autofree char *filler = g_build_filename(folder, "filler", NULL), *large = g_strnfill(100000, 'x');
  {
    g_autoptr(Database) database = open_tables();
    must(set_alone(database, "name", "before", &error));
    take_all_space("filler");
    for (int i = 0; i < 3; i++) {
      assert_false(set_alone(database, "name", large, &error));
      assert_true(g_error_matches(error, FAULT, FAULT_STORE));
      assert_non_null(strstr(error->message, "full"));
      g_clear_error(&error);
    }
    assert_value(database, "name", "before");
    g_unlink(filler);
    must(set_alone(database, "name", large, &error));
    assert_value(database, "name", large);
  }
  assert_int_equal(umount(folder), 0);
}

static void a_disk_that_is_full_at_the_start(void **state) {
  small_disk();
  g_autoptr(GError) error = NULL;
  g_autofree char *filler = g_build_filename(folder, "filler", NULL);
  g_autofree char *path = g_build_filename(folder, "tables.db", NULL);
  take_all_space("filler");
  assert_null(database_open(path, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_STORE));
  g_clear_error(&error);
  g_unlink(filler);
  {
    g_autoptr(Database) database = open_tables();
    must(set_alone(database, "name", "now", &error));
  }
  assert_int_equal(umount(folder), 0);
}

static int unmount_and_tear_down(void **state) {
  umount2(folder, MNT_DETACH);
  return tear_down(state);
}

static void a_read_only_disk_is_told(void **state) {
  small_disk();
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(folder, "tables.db", NULL);
  {
    g_autoptr(Database) database = open_tables();
    must(set_alone(database, "name", "before", &error));
  }
  assert_int_equal(mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
  g_autoptr(Database) refused = database_open(path, &error);
  assert_null(refused);
  assert_true(g_error_matches(error, FAULT, FAULT_STORE));
  assert_int_equal(mount(NULL, folder, NULL, MS_REMOUNT, NULL), 0);
  g_autoptr(Database) database = open_tables();
  assert_value(database, "name", "before");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, unmount_and_tear_down)

/* What start_process starts. */
static int be_process(const char *what) {
  g_autoptr(Database) database = open_tables();
  if (g_str_equal(what, "write"))
    return set_alone(database, "from", "another process", NULL) ? 0 : 1;
  do
    if (add_in_threads(database))
      return 1;
  while (g_str_equal(what, "add for ever"));
  return 0;
}

int main(int count, char **arguments) {
  if (count == 3) {
    folder = arguments[2];
    return be_process(arguments[1]);
  }
  const struct CMUnitTest tests[] = {
      TEST(values_come_back),
      TEST(wrong_statements_are_told),
      TEST(what_is_not_committed_is_gone),
      TEST(nothing_follows_a_failure),
      TEST(rules_between_tables_hold),
      TEST(a_reader_has_one_snapshot),
      TEST(rows_outlive_the_commit),
      TEST(the_same_statement_within_itself),
      TEST(the_version_tells_of_commits),
      TEST(versions_do_not_come_again),
      TEST(several_start_at_once),
      TEST(writers_wait_for_each_other),
      TEST(a_killed_writer_leaves_no_damage),
      TEST(a_newer_schema_is_refused),
      TEST(a_file_that_is_no_database_is_refused),
      DISK_TEST(a_full_disk_is_got_over),
      DISK_TEST(a_disk_that_is_full_at_the_start),
      DISK_TEST(a_read_only_disk_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
