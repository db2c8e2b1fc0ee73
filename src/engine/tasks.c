/* The child's side: reads its task, locks itself in, does it, says how it went.
 *
 * Standard output belongs to the conversation; a library that prints is sent to standard error. */
#include "engine/tasks.h"
#include "base/files.h"
#include "engine/child.h"
#include "engine/chunks.h"
#include "engine/sandbox.h"
#include "media/picture.h"
#include "media/video.h"
#include "nn/models.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_LETTER (4 * 1024 * 1024)
/* Largest file: more than five minutes at the largest size take. */
#define FILE_BYTES (8 * G_GINT64_CONSTANT(1073741824))
/* Progress is said so often at most. */
#define SAY_INTERVAL_US (G_USEC_PER_SEC / 20)

static const struct {
  const char *name;
  json_t *(*run)(Work *work);
  gboolean networks; /* needs the folder of the networks */
} tasks[] = {
    {"inspect-picture", task_inspect_picture, FALSE},
    {"inspect-pictures", task_inspect_pictures, FALSE},
    {"inspect-video", task_inspect_video, FALSE},
    {"character", task_character, TRUE},
    {"inspect", task_inspect, TRUE},
    {"train", task_train, FALSE},
    {"generate", task_generate, FALSE},
    {"scene", task_scene, TRUE},
    {"render", task_render, FALSE},
};

/* --- speaking --- */

typedef struct {
  int fd;
  char *stage;
  gint64 said;
  Progress *progress;
} Voice;

static void say(Voice *voice, json_t *line) {
  char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15));
  g_autofree char *ended = text ? g_strconcat(text, "\n", NULL) : NULL;
  if (ended)
    files_write(voice->fd, ended, strlen(ended)); /* an error means that nobody listens any more */
  free(text);
  json_decref(line);
}

static void add_fact(const char *name, double value, gpointer facts) {
  json_object_set_new(facts, name, json_real(value)); /* left out where it is no number */
}

static void on_progress(const char *stage, gint64 done, gint64 total, gpointer user) {
  Voice *voice = user;
  gint64 now = g_get_monotonic_time();
  gboolean same = g_strcmp0(stage, voice->stage) == 0;
  if (same && done != total && now - voice->said < SAY_INTERVAL_US)
    return;
  if (!same) {
    g_free(voice->stage);
    voice->stage = g_strdup(stage);
  }
  voice->said = now;
  json_t *facts = json_object();
  progress_measures(voice->progress, add_fact, facts);
  say(voice, json_pack("{s:{s:s, s:I, s:I}, s:o}", "progress", "stage", stage, "done", (json_int_t)done,
                       "total", (json_int_t)total, "facts", facts));
}

/* --- failing --- */

json_t *work_fail(Work *work, const char *code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  g_free(work->failure.message);
  work->failure = (Failure){code, g_strdup_vprintf(format, args)};
  va_end(args);
  return NULL;
}

static const char *code_of(const GError *error, const Blame *blame) {
  const char *code = NULL;
  if (error->domain == FAULT)
    switch ((Fault)error->code) {
    case FAULT_INPUT:
      code = blame->input;
      break;
    case FAULT_LIMIT:
      code = blame->limit;
      break;
    case FAULT_USAGE:
      code = blame->usage;
      break;
    case FAULT_NOBODY:
      code = "nobody";
      break;
    case FAULT_MEMORY:
      code = "memory";
      break;
    case FAULT_OUTPUT:
    case FAULT_STORE:
      code = "busy";
      break;
    default:
      break;
    }
  return code ? code : "internal";
}

json_t *work_fail_with(Work *work, GError *error, const Blame *blame) {
  g_autoptr(GError) owned = error;
  g_autoptr(GString) message = g_string_new(error->message);
  if (blame->path)
    g_string_replace(message, blame->path, blame->name, 0);
  return work_fail(work, code_of(error, blame), "%s", message->str);
}

const char *work_string(Work *work, const char *key) {
  const char *value = json_string_value(json_object_get(work->task, key));
  if (!value)
    work_fail(work, "internal", "The task has no %s.", key);
  return value;
}

/* --- the task and its limits --- */

static json_t *read_letter(void) {
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  guint8 part[65536];
  ssize_t n;
  while ((n = read(STDIN_FILENO, part, sizeof part)) > 0 && bytes->len < MAX_LETTER)
    g_byte_array_append(bytes, part, (guint)n);
  return json_loadb((const char *)bytes->data, bytes->len, JSON_REJECT_DUPLICATES, NULL);
}

static void add_path(GPtrArray *paths, const json_t *value) {
  const char *path = json_string_value(value);
  if (path && g_path_is_absolute(path))
    g_ptr_array_add(paths, g_strdup(path));
}

/* Everything that the task names as input. */
static void add_inputs(GPtrArray *paths, const json_t *task) {
  static const char *const keys[] = {"picture", "video", "scene", "model", "lora"};
  size_t i;
  const json_t *item;
  for (gsize k = 0; k < G_N_ELEMENTS(keys); k++)
    add_path(paths, json_object_get(task, keys[k]));
  json_array_foreach(json_object_get(task, "roles"), i, item)
      add_path(paths, json_object_get(item, "character"));
  json_array_foreach(json_object_get(task, "parts"), i, item) add_path(paths, item);
  json_array_foreach(json_object_get(task, "pictures"), i, item) add_path(paths, item);
  json_array_foreach(json_object_get(task, "references"), i, item) add_path(paths, item);
}

static int find_task(const json_t *task) {
  const char *name = json_string_value(json_object_get(task, "do"));
  for (gsize i = 0; name && i < G_N_ELEMENTS(tasks); i++)
    if (g_str_equal(tasks[i].name, name))
      return (int)i;
  return -1;
}

static gboolean lock_in(const json_t *letter, int number, int kept, SandboxLayers *layers, GError **error) {
  const json_t *task = json_object_get(letter, "task"), *cpus = json_object_get(letter, "cpus");
  const char *models = json_string_value(json_object_get(letter, "models"));
  g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
  g_autofree int *numbers = g_new0(int, json_array_size(cpus) + 1);
  for (size_t i = 0; i < json_array_size(cpus); i++)
    numbers[i] = (int)json_integer_value(json_array_get(cpus, i));
  add_inputs(paths, task);
  if (tasks[number].networks) {
    g_autoptr(GPtrArray) places = network_places(models);
    g_ptr_array_extend(paths, places, (GCopyFunc)(void (*)(void))g_strdup, NULL);
  }
  g_ptr_array_add(paths, NULL);
  Sandbox sandbox = {.readable = (const char *const *)paths->pdata,
                     .writable = json_string_value(json_object_get(letter, "writable")),
                     .memory = json_integer_value(json_object_get(letter, "memory")),
                     .cpu_seconds = json_integer_value(json_object_get(letter, "cpu_seconds")),
                     .file_bytes = FILE_BYTES,
                     .cpus = numbers,
                     .cpu_count = (int)json_array_size(cpus),
                     .kept = kept,
                     .parent = (int)json_integer_value(json_object_get(letter, "parent"))};
  return sandbox_enter(&sandbox, layers, error);
}

/* --- doing it --- */

static void finish(Voice *voice, Work *work, json_t *result) {
  if (!result) {
    say(voice,
        json_pack("{s:{s:s, s:s}}", "error", "code", work->failure.code, "message", work->failure.message));
    return;
  }
  g_auto(GStrv) notes = progress_notes(work->progress);
  json_t *list = json_array();
  for (char **note = notes; *note; note++)
    json_array_append_new(list, json_string(*note));
  json_object_set_new(result, "notes", list);
  say(voice, json_pack("{s:o}", "result", result));
}

static int run(const json_t *letter, int number, Chunks *chunks, Voice *voice) {
  GError *error = NULL;
  SandboxLayers layers;
  g_autoptr(Progress) progress = progress_new(on_progress, voice);
  voice->progress = progress;
  Work work = {.task = json_object_get(letter, "task"),
               .models = json_string_value(json_object_get(letter, "models")),
               .memory = json_integer_value(json_object_get(letter, "memory")),
               .progress = progress};
  json_t *result = NULL;
  if (lock_in(letter, number, chunks_ears(chunks), &layers, &error)) {
    /* now that sandbox_enter has closed what it should */
    voice->fd = dup(STDOUT_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    g_autofree char *described = sandbox_describe(layers);
    say(voice, json_pack("{s:s}", "sandbox", described));
    result = chunks ? chunks_finish(chunks, &work) : tasks[number].run(&work);
  }
  if (error)
    work_fail_with(&work, error, &(Blame){0});
  finish(voice, &work, result);
  close(voice->fd);
  g_free(work.failure.message);
  g_free(voice->stage);
  return 0;
}

/* Whatever takes a while and needs no task: an engine that was started ahead of its task has the time. */
static gboolean get_ready(GError **error) {
  sandbox_leave_namespaces();
  video_init();
  return picture_init("troupe", error);
}

int child_main(void) {
  g_autoptr(GError) error = NULL;
  if (!get_ready(&error)) {
    g_printerr("troupe engine: %s\n", error->message);
    return 1;
  }
  json_auto_t *letter = read_letter();
  int number = find_task(json_object_get(letter, "task"));
  if (number < 0) {
    fputs("troupe engine: is started by `troupe serve` and `troupe work`, with a task on standard input.\n",
          stderr);
    return 2;
  }
  /* Of one that waited for its task, the environment says nothing about it yet. */
  const char *writable = json_string_value(json_object_get(letter, "writable"));
  g_setenv("TMPDIR", writable ? writable : "/nonexistent", TRUE);
  g_autoptr(Chunks) chunks = NULL;
  if (chunks_wanted(json_object_get(letter, "task")))
    chunks = chunks_start(&letter, &error); /* from here on several processes may go on */
  if (error) {
    g_printerr("troupe engine: %s\n", error->message);
    return 1;
  }
  Voice voice = {.fd = STDOUT_FILENO};
  return run(letter, number, chunks, &voice);
}
