/* Jobs from the queue to their end, with real engines on a real store: a drawn character, a second of a
 * dance. */
#include "../app/company.h"

#include "base/files.h"
#include "nn/models.h"
#include "worker/worker.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define CLIP_SECONDS "1.25"

static struct { char *folder, *picture, *video, *empty; } material;

/* --- material --- */

static void command(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void command(const char *format, ...) {
  va_list args;
  va_start(args, format);
  g_autofree char *line = g_strdup_vprintf(format, args);
  va_end(args);
  if (system(line) != 0)
    fail_msg("%s", line);
}

static int setup_material(void **state) {
  g_autoptr(NetworkStatus) status = network_status(NETWORK_POSE_FULL, NULL);
  if (status->state != NETWORK_FOUND) {
    puts("skipped: the networks are absent (npm ci)");
    exit(77);
  }
  material.folder = g_dir_make_tmp("worker-XXXXXX", NULL);
  material.picture = g_build_filename(material.folder, "character.png", NULL);
  material.video = g_build_filename(material.folder, "dance", "performance.mp4", NULL);
  material.empty = g_build_filename(material.folder, "empty.mp4", NULL);
  command("%s %s %s 500", g_getenv("DEMO_CHARACTER"), g_getenv("DEMO_DRAWING"), material.picture);
  command("%s --quiet --seconds=" CLIP_SECONDS " --width=240 --height=426 %s/dance",
          g_getenv("DEMO_MATERIAL"), material.folder);
  command("ffmpeg -v error -f lavfi -i color=gray:size=128x96:rate=12:duration=1 %s", material.empty);
  return 0;
}

static int teardown_material(void **state) {
  files_remove_tree(material.folder);
  return 0;
}

static InputSource file(Company *company, const char *field, const char *path) {
  char *bytes = NULL;
  gsize length = 0;
  assert_true(g_file_get_contents(path, &bytes, &length, NULL));
  InputSource source = company_file(company, field, bytes, length);
  g_free(bytes);
  return source;
}

static char *make_render(Company *company, RenderRequest *request) {
  GError *error = NULL;
  g_autoptr(Job) job = NULL;
  gint64 price;
  const char *mode;
  request->audio = TRUE;
  if (!request->ref_image.field && !request->character_id)
    request->ref_image = file(company, "ref_image", material.picture);
  if (!request->driving_video.field && !request->scene_id)
    request->driving_video = file(company, "driving_video", material.video);
  if (!render_create(company->app, company->caller, request, &job, &price, &mode, &error))
    fail_msg("%s", error->message);
  return g_strdup(job->id);
}

static Job *look(Company *company, const char *id) {
  GError *error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
  Job *job = session ? job_get(session, id, NULL, &error) : NULL;
  if (!job)
    fail_msg("%s", error->message);
  return job;
}

static Worker *hire(Company *company, const char *program) {
  static WorkerOptions options;
  options =
      (WorkerOptions){.pool = "V4_Preview", .program = program, .grace = 0, .quiet = !g_getenv("TEST_LOG")};
  return worker_new(company->app, &options);
}

static void work_once(Company *company) {
  g_autoptr(Worker) worker = hire(company, NULL);
  assert_true(worker_step(worker));
}

/* The path of an object that the job made (transfer full). */
static char *made(Company *company, const Job *job, const char *role) {
  GError *error = NULL;
  const char *object = json_string_value(json_object_get(job->result, role));
  if (!object)
    fail_msg("%s made no %s", job->id, role);
  char *path = objects_path(company->app->objects, object, &error);
  assert_null(error);
  return path;
}

static void expect_tidy(Company *company) {
  g_autoptr(GDir) scratch = g_dir_open(company->app->scratch, 0, NULL);
  const char *name = scratch ? g_dir_read_name(scratch) : NULL;
  if (name)
    fail_msg("%s was left behind", name);
}

static void expect_complete(const Job *job) {
  if (job->status != JOB_COMPLETE)
    fail_msg("%s: %s", job_status_name(job->status), job->error ? job->error : "no reason");
  assert_true(job->progress == 100);
}

/* What `troupe render` makes of the same material. */
static char *by_hand(const char *more) {
  char *path = g_build_filename(material.folder, "by-hand.mp4", NULL);
  command("%s render --quiet --character %s --video %s %s -o %s", g_getenv("TROUPE_PROGRAM"),
          material.picture, material.video, more, path);
  return path;
}

static void expect_same(const char *a, const char *b) {
  g_autofree char *p = NULL, *q = NULL;
  gsize n = 0, m = 0;
  assert_true(g_file_get_contents(a, &p, &n, NULL) && g_file_get_contents(b, &q, &m, NULL));
  assert_int_equal(n, m);
  assert_memory_equal(p, q, n);
}

/* --- tests --- */

static void test_nothing_to_do(void **state) {
  g_autoptr(Worker) worker = hire(*state, NULL);
  assert_false(worker_step(worker));
}

static void test_character_and_scene(void **state) {
  Company *company = *state;
  GError *error = NULL;
  gint64 price;
  g_autoptr(CharacterRow) character = NULL;
  g_autoptr(SceneRow) scene = NULL;
  CharacterRequest wanted = {.name = "Ada", .image = file(company, "image", material.picture)};
  SceneRequest dance = {.name = "Dance", .video = file(company, "video", material.video)};
  assert_true(character_create(company->app, company->caller, &wanted, &character, &price, &error));
  assert_true(scene_create(company->app, company->caller, &dance, &scene, &error));
  work_once(company);
  work_once(company);
  g_autoptr(CharacterRow) ada = character_get(company->app, company->caller->account, character->id, &error);
  g_autoptr(SceneRow) danced = scene_get(company->app, company->caller->account, scene->id, &error);
  assert_string_equal(ada->status, "ready");
  assert_int_equal(ada->credits, CHARACTER_PRICE);
  assert_string_equal(danced->status, "ready");
  assert_int_equal(danced->width, 240);
  assert_int_equal(json_array_size(danced->segments), 1);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - CHARACTER_PRICE);

  /* And both together: prepared, straight to the drawing, the same bytes as from the files. */
  RenderRequest request = {.character_id = ada->id, .scene_id = danced->id};
  g_autofree char *id = make_render(company, &request);
  work_once(company);
  g_autoptr(Job) job = look(company, id);
  expect_complete(job);
  g_autofree char *video = made(company, job, "video"), *hand = by_hand("");
  expect_same(video, hand);
  expect_tidy(company);
}

/* Of several pictures the one that shows a body; what was found of each is told. */
static void test_character_of_several_pictures(void **state) {
  Company *company = *state;
  GError *error = NULL;
  gint64 price;
  g_autofree char *empty = g_build_filename(material.folder, "empty.png", NULL),
                  *bust = g_build_filename(material.folder, "bust.png", NULL);
  command("ffmpeg -v error -y -f lavfi -i color=gray:size=300x400 -frames:v 1 %s", empty);
  command("ffmpeg -v error -y -i %s -vf crop=iw:ih*0.4:0:0 %s", material.picture, bust);
  InputSource more[] = {file(company, "image", bust), file(company, "image", material.picture)};
  CharacterRequest wanted = {
      .name = "Ada", .image = file(company, "image", empty), .more = more, .more_count = 2};
  g_autoptr(CharacterRow) made = NULL;
  assert_true(character_create(company->app, company->caller, &wanted, &made, &price, &error));
  work_once(company);
  g_autoptr(CharacterRow) ada = character_get(company->app, company->caller->account, made->id, &error);
  if (!g_str_equal(ada->status, "ready"))
    fail_msg("%s", ada->error);
  assert_int_equal(ada->chosen, 2);
  assert_int_equal(json_array_size(ada->report), 3);
  const json_t *first = json_array_get(ada->report, 0), *last = json_array_get(ada->report, 2);
  assert_string_equal(json_string_value(json_object_get(first, "shown")), "nobody");
  assert_string_equal(json_string_value(json_object_get(last, "shown")), "whole body");
  assert_null(json_object_get(last, "picture")); /* no path of this machine */
  assert_string_equal(ada->picture, json_string_value(json_array_get(ada->pictures, 2)));
  expect_tidy(company);
}

/* One that was waiting when this version was installed. */
static void test_character_job_of_older_times(void **state) {
  Company *company = *state;
  GError *error = NULL;
  gint64 price;
  CharacterRequest wanted = {.name = "Ada", .image = file(company, "image", material.picture)};
  g_autoptr(CharacterRow) made = NULL;
  assert_true(character_create(company->app, company->caller, &wanted, &made, &price, &error));
  {
    g_autofree char *spec = g_strdup_printf("{\"picture\":\"%s\"}", made->picture);
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
    assert_true(session_run(session, &error, "UPDATE jobs SET spec = $1", text(spec)) &&
                session_run(session, &error, "UPDATE characters SET pictures = NULL") &&
                session_commit(session, &error));
  }
  work_once(company);
  g_autoptr(CharacterRow) ada = character_get(company->app, company->caller->account, made->id, &error);
  assert_string_equal(ada->status, "ready");
  assert_string_equal(ada->picture, made->picture);
  assert_int_equal(json_array_size(ada->pictures), 1);
}

static void test_render_on_demand(void **state) {
  Company *company = *state;
  RenderRequest request = {0};
  g_autofree char *id = make_render(company, &request), *hand = by_hand("");
  work_once(company);
  g_autoptr(Job) job = look(company, id);
  expect_complete(job);
  assert_string_equal(job->checkpoint, "render_done");
  g_autofree char *video = made(company, job, "video");
  expect_same(video, hand);
  assert_int_equal(job->charged, job->price);
  assert_int_equal(job->charged, 125);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - 125);
  assert_null(json_object_get(job->result, "mask"));
  expect_tidy(company);
}

static void test_one_core(void **state) {
  Company *company = *state;
  company->settings->render_cores = 1;
  RenderRequest request = {.background_mode = "solid", .bg_color = "1,2,3"};
  g_autofree char *id = make_render(company, &request),
                  *hand = by_hand("--background solid --bg-color 1,2,3");
  work_once(company);
  g_autoptr(Job) job = look(company, id);
  expect_complete(job);
  g_autofree char *video = made(company, job, "video");
  expect_same(video, hand);
}

static char *probe(const char *path, const char *what) {
  g_autofree char *line =
      g_strdup_printf("ffprobe -v error -count_frames -show_entries %s -of csv=p=0 %s", what, path);
  char *output = NULL;
  assert_true(g_spawn_command_line_sync(line, &output, NULL, NULL, NULL));
  return g_strstrip(output);
}

static void test_fast(void **state) {
  Company *company = *state;
  RenderRequest request = {.fast = TRUE, .background_mode = "transparent"};
  g_autofree char *id = make_render(company, &request), *hand = by_hand("--background transparent");
  work_once(company);
  g_autoptr(Job) job = look(company, id);
  expect_complete(job);
  assert_int_equal(job->charged, 250);
  g_autofree char *video = made(company, job, "video"), *mask = made(company, job, "mask");
  g_autofree char *frames = probe(video, "stream=nb_read_frames"),
                  *wanted = probe(hand, "stream=nb_read_frames"),
                  *masks = probe(mask, "stream=nb_read_frames"),
                  *times = probe(video, "packet=pts,size -select_streams a"),
                  *usual = probe(hand, "packet=pts,size -select_streams a");
  assert_string_equal(frames, wanted); /* of picture and sound */
  assert_int_equal(atoi(masks), atoi(wanted));
  assert_string_equal(times, usual);
  assert_int_equal(json_integer_value(json_object_get(job->result, "frames")), atoi(wanted));
  expect_tidy(company);
}

static void test_nobody(void **state) {
  Company *company = *state;
  RenderRequest request = {.driving_video = file(company, "driving_video", material.empty)};
  g_autofree char *id = make_render(company, &request);
  work_once(company);
  g_autoptr(Job) job = look(company, id);
  assert_int_equal(job->status, JOB_FAILED);
  assert_string_equal(job->error_code, "nobody");
  assert_null(strchr(job->error, '/'));
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  expect_tidy(company);
}

static void test_engine_that_crashes(void **state) {
  Company *company = *state;
  RenderRequest request = {0};
  g_autofree char *id = make_render(company, &request);
  g_autoptr(Worker) worker = hire(company, "/bin/false");
  for (int attempt = 1; attempt <= 3; attempt++) {
    g_autoptr(Job) before = look(company, id);
    assert_int_equal(before->status, JOB_QUEUED);
    assert_true(worker_step(worker));
  }
  assert_false(worker_step(worker));
  g_autoptr(Job) job = look(company, id);
  assert_int_equal(job->status, JOB_FAILED);
  assert_string_equal(job->error_code, "failed");
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  expect_tidy(company);
}

/* --- stopping --- */

static gpointer step(gpointer worker) {
  return GINT_TO_POINTER(worker_step(worker));
}

/* Waits until the job has come so far. */
static void await(Company *company, const char *id, const char *checkpoint) {
  for (int i = 0; i < 600; i++) {
    g_autoptr(Job) job = look(company, id);
    if (checkpoint ? g_strcmp0(job->checkpoint, checkpoint) == 0 : job->progress > 0)
      return;
    assert_true(job->status <= JOB_PROCESSING);
    g_usleep(G_USEC_PER_SEC / 20);
  }
  fail_msg("it does not come to %s", checkpoint ? checkpoint : "work");
}

/* The parent of a process, 0 when it is gone or has ended. */
static int parent_of(const char *pid) {
  g_autofree char *path = g_build_filename("/proc", pid, "stat", NULL), *text = NULL;
  int parent = 0;
  char status = 0;
  if (!g_file_get_contents(path, &text, NULL, NULL) || !strrchr(text, ')') ||
      sscanf(strrchr(text, ')') + 1, " %c %d", &status, &parent) != 2)
    return 0;
  return status == 'Z' ? 0 : parent;
}

/* Processes whose parent is this one, or, with generation 2, whose parent's parent it is; the first two. */
static int descendants(int generation, int found[2]) {
  int count = 0;
  g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
  for (const char *name; (name = g_dir_read_name(processes));) {
    int parent = g_ascii_isdigit(*name) ? parent_of(name) : 0;
    g_autofree char *above = g_strdup_printf("%d", parent);
    if (generation == 2 && parent)
      parent = parent_of(above);
    if (parent != (int)getpid())
      continue;
    if (count < 2)
      found[count] = atoi(name);
    count++;
  }
  return count;
}

static int children(void) {
  int found[2];
  return descendants(1, found);
}

/* Two of the processes that draw chunks. */
static void await_chunks(int chunks[2]) {
  for (int i = 0; descendants(2, chunks) < 2; i++) {
    assert_true(i < 6000);
    g_usleep(G_USEC_PER_SEC / 100);
  }
}

static gboolean runs(int pid) {
  g_autofree char *name = g_strdup_printf("%d", pid);
  return parent_of(name) != 0;
}

static void test_cancel(void **state) {
  Company *company = *state;
  GError *error = NULL;
  RenderRequest request = {0};
  g_autofree char *id = make_render(company, &request);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  await(company, id, NULL);
  g_autoptr(Job) cancelled = job_cancel(company->app, id, company->caller->account, &error);
  assert_int_equal(cancelled->status, JOB_CANCELLED);
  g_usleep(G_USEC_PER_SEC * 3 / 2);
  assert_int_equal(children(), 0);
  g_thread_join(thread);
  g_autoptr(Job) job = look(company, id);
  assert_int_equal(job->status, JOB_CANCELLED);
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  expect_tidy(company);
}

/* Whoever of them dies takes the others with it, and the next attempt draws all of it. */
static void kill_in_the_middle(Company *company, gboolean first_process) {
  RenderRequest request = {.fast = TRUE};
  g_autofree char *id = make_render(company, &request);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  int chunks[2];
  await_chunks(chunks);
  g_autofree char *chunk = g_strdup_printf("%d", chunks[0]);
  assert_int_equal(kill(first_process ? parent_of(chunk) : chunks[0], SIGKILL), 0);
  g_thread_join(thread);
  assert_false(runs(chunks[0]) || runs(chunks[1]));
  assert_int_equal(children(), 0);
  g_autoptr(Job) handed_back = look(company, id);
  assert_int_equal(handed_back->status, JOB_QUEUED);
  assert_int_equal(handed_back->attempts, 1);
  expect_tidy(company);

  work_once(company);
  g_autoptr(Job) job = look(company, id);
  expect_complete(job);
  expect_tidy(company);
}

static void test_chunk_that_dies(void **state) {
  kill_in_the_middle(*state, FALSE);
}

static void test_first_process_that_dies(void **state) {
  kill_in_the_middle(*state, TRUE);
}

static void test_cancel_of_chunks(void **state) {
  Company *company = *state;
  GError *error = NULL;
  RenderRequest request = {.fast = TRUE};
  g_autofree char *id = make_render(company, &request);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  int chunks[2];
  await_chunks(chunks);
  g_autoptr(Job) cancelled = job_cancel(company->app, id, company->caller->account, &error);
  assert_int_equal(cancelled->status, JOB_CANCELLED);
  g_thread_join(thread);
  assert_false(runs(chunks[0]) || runs(chunks[1]));
  assert_int_equal(children(), 0);
  assert_int_equal(company_balance(company), COMPANY_CREDITS);
  expect_tidy(company);
}

static void test_stop_and_go_on(void **state) {
  Company *company = *state;
  company->settings->render_cores = 1; /* one after the other */
  RenderRequest request = {0};
  g_autofree char *id = make_render(company, &request);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  await(company, id, "ref_done");
  worker_stop(worker);
  g_thread_join(thread);
  assert_int_equal(children(), 0);
  g_autoptr(Job) stopped = look(company, id);
  assert_int_equal(stopped->status, JOB_QUEUED);
  assert_int_equal(stopped->attempts, 0);
  assert_string_equal(stopped->checkpoint, "ref_done");
  assert_non_null(json_object_get(stopped->result, "character"));
  expect_tidy(company);

  work_once(company);
  g_autoptr(Job) job = look(company, id);
  expect_complete(job);
  assert_int_equal(job->attempts, 1);
  g_autofree char *video = made(company, job, "video"), *hand = by_hand("");
  expect_same(video, hand);
}

static void test_lost_job(void **state) {
  Company *company = *state;
  GError *error = NULL;
  RenderRequest request = {0};
  g_autofree char *id = make_render(company, &request);
  g_autoptr(Worker) worker = hire(company, NULL);
  GThread *thread = g_thread_new("worker", step, worker);
  await(company, id, NULL);
  {
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
    assert_true(session_run(session, &error, "UPDATE jobs SET worker = 'another' WHERE id = $1", text(id)));
    assert_true(session_commit(session, &error));
  }
  g_thread_join(thread);
  assert_int_equal(children(), 0);
  g_autoptr(Job) job = look(company, id);
  assert_int_equal(job->status, JOB_PROCESSING);
  assert_string_equal(job->worker, "another");
  expect_tidy(company);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, company_setup, company_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_nothing_to_do),
      TEST(test_character_and_scene),
      TEST(test_character_of_several_pictures),
      TEST(test_character_job_of_older_times),
      TEST(test_render_on_demand),
      TEST(test_one_core),
      TEST(test_fast),
      TEST(test_nobody),
      TEST(test_engine_that_crashes),
      TEST(test_cancel),
      TEST(test_chunk_that_dies),
      TEST(test_first_process_that_dies),
      TEST(test_cancel_of_chunks),
      TEST(test_stop_and_go_on),
      TEST(test_lost_job),
  };
  cmocka_set_test_filter(g_getenv("TEST_ONLY"));
  return cmocka_run_group_tests(tests, setup_material, teardown_material);
}
