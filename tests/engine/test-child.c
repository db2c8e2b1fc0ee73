/* The parent's side of a child, with the real engine and with programs that misbehave; and what the
 * inspections say of files of every kind. */
#include "../media/material.h"

#include "base/image.h"
#include "engine/child.h"
#include "media/picture.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- programs that are no engine --- */

/* A shell script in the material's folder (transfer full). */
static char *script(const char *name, const char *text) {
  g_autofree char *whole = g_strconcat("#!/bin/sh\n", text, "\n", NULL);
  char *path = material_path(name);
  assert_true(g_file_set_contents(path, whole, -1, NULL));
  assert_int_equal(g_chmod(path, 0700), 0);
  return path;
}

static gboolean run_script(const char *text, const ChildLimits *given, ChildOutcome *outcome,
                           Progress *progress, GError **error) {
  g_autofree char *path = script("program", text);
  json_auto_t *task = json_pack("{s:s}", "do", "nothing");
  ChildLimits limits = given ? *given : (ChildLimits){0};
  limits.program = path;
  return child_run(task, &limits, outcome, progress, error);
}

static void test_result(void **state) {
  g_auto(ChildOutcome) outcome = {0};
  assert_true(run_script(
      "cat > /dev/null; echo '{\"sandbox\": \"calls\"}'; echo words >&2; echo '{\"result\": {\"a\": 1}}'",
      NULL, &outcome, NULL, NULL));
  assert_int_equal(json_integer_value(json_object_get(outcome.result, "a")), 1);
  assert_null(outcome.code);
  assert_string_equal(outcome.murmur, "words");
  assert_string_equal(outcome.sandbox, "calls");
}

static void test_error(void **state) {
  g_auto(ChildOutcome) outcome = {0};
  assert_true(run_script("echo '{\"error\": {\"code\": \"video_broken\", \"message\": \"Broken.\"}}'", NULL,
                         &outcome, NULL, NULL));
  assert_null(outcome.result);
  assert_string_equal(outcome.code, "video_broken");
  assert_string_equal(outcome.message, "Broken.");
}

static void test_nonsense(void **state) {
  static const char *const nonsense[] = {
      "true",
      "exit 3",
      "kill -SEGV $$",
      "echo hello",
      "echo '{\"result\": {}}'; exit 1",
      "echo '{\"result\": {}}'; kill -KILL $$",
      "echo '{\"result\": 5}'",
      "echo '{\"error\": \"video_broken\"}'",
      "echo '[[[['; echo '{\"result\": {}'",
      "printf '{\"result\": {}, \"result\": {}}'",
      "head -c 5000000 /dev/zero | tr '\\\\0' x; sleep 100",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(nonsense); i++) {
    g_auto(ChildOutcome) outcome = {0};
    assert_true(run_script(nonsense[i], NULL, &outcome, NULL, NULL));
    assert_null(outcome.result);
    assert_null(outcome.code);
    assert_true(g_str_has_suffix(outcome.message, "."));
  }
}

static void test_strange_codes(void **state) {
  static const char *const codes[] = {"\"../x\"", "\"\"", "7", "\"VIDEO\"", "null"};
  for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
    g_autofree char *text = g_strdup_printf("echo '{\"error\": {\"code\": %s}}'", codes[i]);
    g_auto(ChildOutcome) outcome = {0};
    assert_true(run_script(text, NULL, &outcome, NULL, NULL));
    assert_string_equal(outcome.code, "internal");
    assert_non_null(outcome.message);
  }
}

static void test_no_program(void **state) {
  json_auto_t *task = json_object();
  ChildLimits limits = {.program = "/nonexistent/troupe"};
  g_auto(ChildOutcome) outcome = {0};
  g_autoptr(GError) error = NULL;
  assert_false(child_run(task, &limits, &outcome, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INTERNAL));
}

static void test_silence(void **state) {
  g_auto(ChildOutcome) outcome = {0};
  ChildLimits limits = {.silence = 1};
  gint64 begin = g_get_monotonic_time();
  assert_true(run_script("sleep 100", &limits, &outcome, NULL, NULL));
  assert_true(g_get_monotonic_time() - begin < 50 * G_USEC_PER_SEC);
  assert_null(outcome.result);
  assert_non_null(strstr(outcome.message, "silent"));
}

static void test_endless_talk(void **state) {
  g_auto(ChildOutcome) outcome = {0};
  ChildLimits limits = {.seconds = 1};
  assert_true(run_script("while true; do echo '{}'; done", &limits, &outcome, NULL, NULL));
  assert_null(outcome.result);
  assert_non_null(strstr(outcome.message, "too long"));
}

static void test_mute_but_alive(void **state) {
  g_auto(ChildOutcome) outcome = {0};
  ChildLimits limits = {.silence = 1};
  /* It closes its output, which is its last word, and lives on. */
  gint64 begin = g_get_monotonic_time();
  assert_true(run_script("echo '{\"result\": {}}'; exec >&-; sleep 100", &limits, &outcome, NULL, NULL));
  assert_true(g_get_monotonic_time() - begin < 60 * G_USEC_PER_SEC);
  assert_null(outcome.result);
}

static void test_environment(void **state) {
  g_setenv("TROUPE_TEST_SECRET", "hidden", TRUE);
  g_auto(ChildOutcome) outcome = {0};
  ChildLimits limits = {.writable = "/tmp"};
  assert_true(
      run_script("test -z \"$TROUPE_TEST_SECRET\" && test \"$TMPDIR\" = /tmp && test ! -e /proc/$$/fd/9 && "
                 "echo '{\"result\": {}}'",
                 &limits, &outcome, NULL, NULL));
  assert_non_null(outcome.result);
}

static gpointer cancel_soon(gpointer progress) {
  g_usleep(G_USEC_PER_SEC / 3);
  progress_cancel(progress);
  return NULL;
}

/* Also what the child has started is gone. */
static void test_cancel(void **state) {
  g_autoptr(Progress) progress = progress_new(NULL, NULL);
  g_autofree char *place = material_path("pids"),
                  *text = g_strdup_printf("sleep 100 & echo $$ $! > %s; sleep 100", place);
  g_unlink(place);
  g_auto(ChildOutcome) outcome = {0};
  g_autoptr(GError) error = NULL;
  GThread *thread = g_thread_new("cancel", cancel_soon, progress);
  assert_false(run_script(text, NULL, &outcome, progress, &error));
  g_thread_join(thread);
  assert_true(g_error_matches(error, FAULT, FAULT_CANCELLED));
  g_autofree char *pids = NULL;
  int child = 0, grandchild = 0;
  assert_true(g_file_get_contents(place, &pids, NULL, NULL));
  assert_int_equal(sscanf(pids, "%d %d", &child, &grandchild), 2);
  assert_true(kill(child, 0) == -1 && errno == ESRCH);
  g_autofree char *status = g_strdup_printf("/proc/%d/status", grandchild);
  g_autofree char *text_of = NULL; /* it may be a zombie until its new parent has noticed */
  if (g_file_get_contents(status, &text_of, NULL, NULL))
    assert_non_null(strstr(text_of, "Z (zombie)"));
}

static void note_progress(const char *stage, gint64 done, gint64 total, gpointer user) {
  g_string_append_printf(user, "%s %d/%d;", stage, (int)done, (int)total);
}

static void test_progress(void **state) {
  g_autoptr(GString) heard = g_string_new(NULL);
  g_autoptr(Progress) progress = progress_new(note_progress, heard);
  g_auto(ChildOutcome) outcome = {0};
  assert_true(run_script(
      "for i in 1 2; do echo '{\"progress\": {\"stage\": \"Going\", \"done\": '$i', \"total\": 2}}'; "
      "done; echo '{\"progress\": 7}'; echo '{\"result\": {}}'",
      NULL, &outcome, progress, NULL));
  assert_string_equal(heard->str, "Going 1/2;Going 2/2;");
}

static void test_measures(void **state) {
  g_autoptr(Progress) progress = progress_new(NULL, NULL);
  g_auto(ChildOutcome) outcome = {0};
  double value = 0;
  assert_true(run_script("echo '{\"progress\": {\"stage\": \"Going\", \"done\": 1, \"total\": 2}, "
                         "\"facts\": {\"loss\": 0.5, \"step\": 1, \"word\": \"no\", \"list\": []}}'; "
                         "echo '{\"facts\": 7}'; echo '{\"result\": {}}'",
                         NULL, &outcome, progress, NULL));
  assert_true(progress_measured(progress, "loss", &value) && value == 0.5);
  assert_true(progress_measured(progress, "step", &value) && value == 1);
  assert_false(progress_measured(progress, "word", &value));
  assert_false(progress_measured(progress, "list", &value));
}

/* --- one that waits --- */

/* The pids of the engines that have begun, one a line (transfer full). */
static char *await_begun(const char *place, int count) {
  char *text = NULL;
  for (int i = 0; i < 1000; i++) {
    g_free(text);
    text = NULL;
    int lines = 0;
    if (g_file_get_contents(place, &text, NULL, NULL))
      for (const char *c = text; *c; c++)
        lines += *c == '\n';
    if (lines == count)
      return text;
    g_usleep(G_USEC_PER_SEC / 100);
  }
  fail_msg("%d engines did not begin: %s", count, text);
  return NULL;
}

/* Its whole group, until it can be seen to have ended. */
static void kill_and_await(int pid) {
  siginfo_t ended;
  kill(-pid, SIGKILL);
  assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
}

static void test_spare(void **state) {
  g_autofree char *place = material_path("begun"), *letter = material_path("letter"),
                  *text = g_strdup_printf("echo $$ >> %s; cat > %s; echo '{\"result\": {}}'", place, letter),
                  *path = script("waiting", text);
  g_unlink(place);
  json_auto_t *task = json_pack("{s:s}", "do", "this");
  g_autoptr(ChildSpare) spare = child_spare_new(path);
  ChildLimits limits = {.program = path, .spare = spare, .writable = "/tmp"};
  /* The second and third time none waits, the fourth one does that was killed. */
  const int begun[] = {1, 2, 3, 5};
  for (int i = 0; i < 4; i++) {
    if (i == 0 || i == 3) {
      child_spare_ready(spare);
      child_spare_ready(spare);
      g_autofree char *pids = await_begun(place, i + 1);
      if (i == 3)
        kill_and_await(atoi(strrchr(g_strchomp(pids), '\n') + 1));
    }
    g_auto(ChildOutcome) outcome = {0};
    g_autofree char *said = NULL;
    assert_true(child_run(task, &limits, &outcome, NULL, NULL));
    assert_non_null(outcome.result);
    assert_true(g_file_get_contents(letter, &said, NULL, NULL));
    assert_non_null(strstr(said, "\"this\""));
    assert_non_null(strstr(said, "\"/tmp\""));
    g_free(await_begun(place, begun[i]));
    g_unlink(letter);
  }
}

static void test_spare_without_a_task(void **state) {
  g_autofree char *place = material_path("begun"),
                  *text = g_strdup_printf("echo $$ >> %s; cat > /dev/null", place),
                  *path = script("waiting", text);
  g_unlink(place);
  ChildSpare *spare = child_spare_new(path);
  child_spare_ready(spare);
  g_autofree char *pid = await_begun(place, 1);
  child_spare_free(spare);
  assert_true(kill(atoi(pid), 0) == -1 && errno == ESRCH);
  child_spare_free(child_spare_new("/nonexistent/troupe"));
}

/* --- the real engine --- */

static void run_task(json_t *task, ChildOutcome *outcome) {
  g_autofree char *folder = material_path("");
  ChildLimits limits = {.writable = folder};
  g_autoptr(GError) error = NULL;
  if (!child_run(task, &limits, outcome, NULL, &error))
    fail_msg("%s", error->message);
  json_decref(task);
}

static void inspect(const char *kind, const char *name, ChildOutcome *outcome) {
  g_autofree char *path = material_path(name), *task = g_strdup_printf("inspect-%s", kind);
  run_task(json_pack("{s:s, s:s}", "do", task, kind, path), outcome);
  if (outcome->message && (strstr(outcome->message, path) || !g_str_has_suffix(outcome->message, ".")))
    fail_msg("names a path, or is no sentence: %s", outcome->message);
}

static void expect_code(const char *kind, const char *name, const char *code) {
  g_auto(ChildOutcome) outcome = {0};
  inspect(kind, name, &outcome);
  if (outcome.result || g_strcmp0(outcome.code, code) != 0)
    fail_msg("%s: expected %s, got %s: %s", name, code, outcome.code ? outcome.code : "a result",
             outcome.message ? outcome.message : "");
}

static void expect_type(const char *kind, const char *name, const char *type, int width, int height) {
  g_auto(ChildOutcome) outcome = {0};
  inspect(kind, name, &outcome);
  if (!outcome.result)
    fail_msg("%s: %s: %s / %s", name, outcome.code ? outcome.code : "killed", outcome.message,
             outcome.murmur);
  assert_string_equal(json_string_value(json_object_get(outcome.result, "type")), type);
  assert_int_equal(json_integer_value(json_object_get(outcome.result, "width")), width);
  assert_int_equal(json_integer_value(json_object_get(outcome.result, "height")), height);
}

static void save(const char *name, int width, int height) {
  g_autofree char *path = material_path(name);
  g_autoptr(Image) image = image_new(width, height, 3);
  for (gsize i = 0; i < (gsize)width * (gsize)height * 3; i++)
    image->pixels[i] = (guint8)(i * i);
  assert_true(picture_save(image, path, NULL));
}

/* The first half of a file under another name. */
static void cut(const char *from, const char *to) {
  g_autoptr(GByteArray) all = material_read(from);
  material_write(to, all->data, all->len / 2);
}

static void test_pictures(void **state) {
  save("a.png", 120, 80);
  save("a.jpg", 120, 80);
  save("a.webp", 120, 80);
  expect_type("picture", "a.png", "png", 120, 80);
  expect_type("picture", "a.jpg", "jpeg", 120, 80);
  expect_type("picture", "a.webp", "webp", 120, 80);
  material_make("-f lavfi -i testsrc=size=64x64:duration=0.1 -frames:v 1 a.gif");
  material_make("-f lavfi -i color=size=8000x6000 -frames:v 1 large.png");
  cut("a.jpg", "cut.jpg");
  cut("a.png", "cut.png");
  material_write("empty", "", 0);
  material_write("text.png", "hello, this is no picture", 25);
  expect_code("picture", "a.gif", "picture_format");
  expect_code("picture", "empty", "picture_format");
  expect_code("picture", "text.png", "picture_format");
  expect_code("picture", "not-there.png", "picture_format");
  expect_code("picture", "cut.jpg", "picture_broken");
  expect_code("picture", "cut.png", "picture_broken");
  expect_code("picture", "large.png", "picture_too_large");
}

static const char *code_at(const ChildOutcome *outcome, size_t index) {
  const json_t *entry = json_array_get(json_object_get(outcome->result, "pictures"), index);
  return json_string_value(json_object_get(entry, "code"));
}

static void test_pictures_together(void **state) {
  g_auto(ChildOutcome) outcome = {0};
  save("one.png", 120, 80);
  save("two.jpg", 90, 60);
  cut("two.jpg", "half.jpg");
  g_autofree char *one = material_path("one.png"), *two = material_path("two.jpg"),
                  *half = material_path("half.jpg"), *none = material_path("not-there.png");
  run_task(json_pack("{s:s, s:[s, s, s, s]}", "do", "inspect-pictures", "pictures", one, half, two, none),
           &outcome);
  assert_int_equal(json_array_size(json_object_get(outcome.result, "pictures")), 4);
  assert_null(code_at(&outcome, 0));
  assert_string_equal(code_at(&outcome, 1), "picture_broken");
  assert_null(code_at(&outcome, 2));
  assert_string_equal(code_at(&outcome, 3), "picture_format");
  const json_t *last = json_array_get(json_object_get(outcome.result, "pictures"), 2);
  assert_string_equal(json_string_value(json_object_get(last, "type")), "jpeg");
  assert_int_equal(json_integer_value(json_object_get(last, "width")), 90);
}

/* What is no model, or a model beyond the walls, is nobody's input. */
static void test_models_that_are_none(void **state) {
  g_autofree char *folder = material_path("out");
  const char *const names[] = {"/nowhere", "/etc", "sprite"};
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_auto(ChildOutcome) outcome = {0}, drawn = {0};
    run_task(json_pack("{s:s, s:[], s:s, s:s}", "do", "train", "pictures", "model", names[i], "out", folder),
             &outcome);
    assert_string_equal(outcome.code, "internal");
    run_task(json_pack("{s:s, s:s, s:s, s:s}", "do", "generate", "prompt", "a park", "model", names[i], "out",
                       folder),
             &drawn);
    assert_string_equal(drawn.code, "internal");
  }
}

static void test_videos(void **state) {
  material_make(
      "-f lavfi -i testsrc=size=128x96:rate=25:duration=1 -f lavfi -i sine=duration=1 -shortest a.mp4");
  material_make("-i a.mp4 -c copy a.mov");
  material_make("-i a.mp4 -c copy a.mkv");
  material_make("-i a.mp4 -c:v mpeg4 -an a.avi");
  material_make("-i a.mp4 -c:v libvpx -an a.webm");
  expect_type("video", "a.mp4", "mp4", 128, 96);
  expect_type("video", "a.mov", "mov", 128, 96);
  expect_type("video", "a.mkv", "mkv", 128, 96);
  expect_type("video", "a.avi", "avi", 128, 96);
  expect_type("video", "a.webm", "webm", 128, 96);
  g_auto(ChildOutcome) outcome = {0};
  inspect("video", "a.mp4", &outcome);
  assert_true(json_is_true(json_object_get(outcome.result, "sound")));
  assert_true(ABS(json_number_value(json_object_get(outcome.result, "seconds")) - 1) < 0.05);
  assert_true(ABS(json_number_value(json_object_get(outcome.result, "fps")) - 25) < 0.05);
  assert_int_equal(json_integer_value(json_object_get(outcome.result, "frames")), 25);
}

/* It is locked in, and limited, as any other. */
static void test_real_spare(void **state) {
  save("spare.png", 120, 80);
  g_autofree char *path = material_path("spare.png"), *folder = material_path("");
  json_auto_t *task = json_pack("{s:s, s:s}", "do", "inspect-picture", "picture", path);
  g_autoptr(ChildSpare) spare = child_spare_new(NULL);
  ChildLimits limits = {.writable = folder, .spare = spare};
  child_spare_ready(spare);
  g_auto(ChildOutcome) outcome = {0};
  assert_true(child_run(task, &limits, &outcome, NULL, NULL));
  assert_non_null(outcome.result);
  assert_non_null(strstr(outcome.sandbox, "calls"));
}

static void test_refused_videos(void **state) {
  material_make("-f lavfi -i testsrc=size=128x96:rate=25:duration=0.2 short.mp4");
  material_make("-f lavfi -i color=size=64x64:rate=1:duration=310 long.mp4");
  material_make("-f lavfi -i testsrc=size=32x96:rate=25:duration=1 narrow.mp4");
  material_make("-f lavfi -i color=size=4160x64:rate=25:duration=0.6 wide.mp4");
  material_make("-f lavfi -i sine=duration=1 sound.mp4");
  material_make("-f lavfi -i testsrc=size=128x96:rate=25:duration=1 a.ts");
  material_make("-f lavfi -i testsrc=size=128x96:rate=25:duration=1 whole.mp4");
  cut("whole.mp4", "cut.mp4");
  save("picture.jpg", 100, 100);
  expect_code("video", "short.mp4", "video_too_small");
  expect_code("video", "long.mp4", "video_too_long");
  expect_code("video", "narrow.mp4", "video_too_small");
  expect_code("video", "wide.mp4", "video_size");
  expect_code("video", "sound.mp4", "video_broken");
  expect_code("video", "cut.mp4", "video_broken");
  expect_code("video", "a.ts", "video_format");
  expect_code("video", "picture.jpg", "video_format");
  expect_code("video", "not-there.mp4", "video_format");
}

static void test_tasks_that_are_none(void **state) {
  json_t *const bad[] = {json_object(), json_pack("{s:s}", "do", "dance"), json_pack("{s:i}", "do", 5),
                         json_array()};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_auto(ChildOutcome) outcome = {0};
    run_task(bad[i], &outcome);
    assert_null(outcome.result);
    assert_null(outcome.code);
  }
  g_auto(ChildOutcome) outcome = {0};
  run_task(json_pack("{s:s}", "do", "inspect-picture"), &outcome);
  assert_string_equal(outcome.code, "internal");
}

/* The engine says which walls stand, and calls are among them. */
static void test_walls(void **state) {
  save("walls.png", 80, 80);
  g_auto(ChildOutcome) outcome = {0};
  inspect("picture", "walls.png", &outcome);
  assert_non_null(outcome.result);
  assert_non_null(strstr(outcome.sandbox, "limits"));
  assert_non_null(strstr(outcome.sandbox, "calls"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_result),
      cmocka_unit_test(test_error),
      cmocka_unit_test(test_nonsense),
      cmocka_unit_test(test_strange_codes),
      cmocka_unit_test(test_no_program),
      cmocka_unit_test(test_silence),
      cmocka_unit_test(test_endless_talk),
      cmocka_unit_test(test_mute_but_alive),
      cmocka_unit_test(test_environment),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_progress),
      cmocka_unit_test(test_measures),
      cmocka_unit_test(test_spare),
      cmocka_unit_test(test_spare_without_a_task),
      cmocka_unit_test(test_real_spare),
      cmocka_unit_test(test_pictures),
      cmocka_unit_test(test_pictures_together),
      cmocka_unit_test(test_models_that_are_none),
      cmocka_unit_test(test_videos),
      cmocka_unit_test(test_refused_videos),
      cmocka_unit_test(test_tasks_that_are_none),
      cmocka_unit_test(test_walls),
  };
  return cmocka_run_group_tests(tests, material_setup, material_teardown);
}
