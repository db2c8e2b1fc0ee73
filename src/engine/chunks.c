/* What a chunk's process says is not trusted, as little as the parent trusts an engine: it reads what a
 * stranger may have shaped. Lines are limited, and of what they say only shapes that are expected are used.
 */
#include "engine/chunks.h"
#include "engine/cores.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_LINE 65536
/* Progress of the whole is told in these units: how long the chunks are is not known before they say so. */
#define UNITS 1000

typedef struct {
  pid_t pid;
  int ear; /* -1 when it has ended */
  char *video, *mask;
  GByteArray *line;
  json_t *result;
  double done; /* 0 to 1 */
} Chunk;

struct Chunks {
  int count;
  Chunk chunk[CHUNKS_MOST];
};

gboolean chunks_wanted(const json_t *task) {
  return g_strcmp0(json_string_value(json_object_get(task, "do")), "render") == 0 &&
         json_integer_value(json_object_get(task, "chunks")) > 1 && !json_object_get(task, "chunk");
}

int chunks_ears(const Chunks *chunks) {
  return chunks ? chunks->count : 0;
}

void chunks_free(Chunks *chunks) {
  if (!chunks)
    return;
  for (int i = 0; i < chunks->count; i++) {
    Chunk *chunk = &chunks->chunk[i];
    if (chunk->ear >= 0)
      close(chunk->ear);
    g_free(chunk->video);
    g_free(chunk->mask);
    if (chunk->line)
      g_byte_array_unref(chunk->line);
    json_decref(chunk->result);
  }
  g_free(chunks);
}

/* --- starting --- */

/* Beside the output of the whole (transfer full); NULL when there is none. */
static char *part_path(const json_t *task, const char *key, int number) {
  const char *whole = json_string_value(json_object_get(task, key));
  return whole ? g_strdup_printf("%s.%d", whole, number) : NULL;
}

/* The letter of one chunk, whose parent is the process that calls. Each has a processor of its own from the
 * start: left to themselves two may meet on one, and its threads would keep changing. */
static json_t *chunk_letter(const json_t *letter, const Chunk *chunk, int number, int parent) {
  json_t *own = json_deep_copy(letter), *task = json_object_get(own, "task");
  json_object_set_new(own, "parent", json_integer(parent));
  json_object_set_new(own, "cpus", json_pack("[i]", cores_of_part(number)));
  json_object_update_new(task, json_pack("{s:i, s:b, s:s*, s:s*}", "chunk", number, "audio", FALSE, "out",
                                         chunk->video, "mask", chunk->mask));
  return own;
}

/* Forks the process of a chunk. In it the letter is replaced. The read end has the number 3 + i, because all
 * lower ones are in use and the write end is closed again. */
static gboolean start_one(Chunks *chunks, json_t **letter, int number, GError **error) {
  const json_t *task = json_object_get(*letter, "task");
  Chunk *chunk = &chunks->chunk[number];
  *chunk = (Chunk){.ear = -1,
                   .video = part_path(task, "out", number),
                   .mask = part_path(task, "mask", number),
                   .line = g_byte_array_new()};
  chunks->count = number + 1;
  int ends[2], parent = (int)getpid();
  if (!chunk->video || pipe2(ends, O_CLOEXEC) != 0)
    return fault(error, FAULT_INTERNAL, "A part of the render cannot be prepared.");
  chunk->ear = ends[0];
  chunk->pid = ends[0] == STDERR_FILENO + 1 + number ? fork() : -1;
  if (chunk->pid == 0) {
    json_t *own = chunk_letter(*letter, chunk, number, parent);
    json_decref(*letter);
    *letter = own;
    dup2(ends[1], STDOUT_FILENO);
  }
  close(ends[1]);
  return chunk->pid >= 0 ||
         fault(error, FAULT_INTERNAL, "A process for a part cannot be started: %s.", g_strerror(errno));
}

Chunks *chunks_start(json_t **letter, GError **error) {
  gint64 count = json_integer_value(json_object_get(json_object_get(*letter, "task"), "chunks"));
  g_autoptr(Chunks) chunks = g_new0(Chunks, 1);
  if (count > CHUNKS_MOST)
    return fault_null(error, FAULT_INTERNAL, "A render in %d chunks is too much.", (int)count);
  closefrom(STDERR_FILENO + 1);
  for (int i = 0; i < count; i++)
    if (!start_one(chunks, letter, i, error) || chunks->chunk[i].pid == 0)
      return NULL;
  return g_steal_pointer(&chunks);
}

/* --- listening --- */

static void tell(const Chunks *chunks, Progress *progress, const char *stage) {
  double sum = 0;
  for (int i = 0; i < chunks->count; i++)
    sum += chunks->chunk[i].done;
  progress_report(progress, stage, (gint64)(sum / chunks->count * UNITS), UNITS);
}

static void pass_failure(Work *work, const json_t *wrong) {
  const char *code = json_string_value(json_object_get(wrong, "code")),
             *message = json_string_value(json_object_get(wrong, "message"));
  work_fail(work, code ? g_intern_string(code) : "internal", "%s",
            message ? message : "A part of the render gave no reason.");
}

/* FALSE when the chunk has failed. */
static gboolean take_line(Chunks *chunks, Chunk *chunk, Work *work, const char *line, gsize length) {
  json_auto_t *said = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
  const json_t *step = json_object_get(said, "progress"), *wrong = json_object_get(said, "error");
  json_t *result = json_object_get(said, "result");
  const char *stage = json_string_value(json_object_get(step, "stage"));
  double done = json_number_value(json_object_get(step, "done")),
         total = json_number_value(json_object_get(step, "total"));
  if (stage && total > 0) {
    chunk->done = CLAMP(done / total, chunk->done, 1.0);
    tell(chunks, work->progress, stage);
  }
  if (json_is_object(wrong)) {
    pass_failure(work, wrong);
    return FALSE;
  }
  if (json_is_object(result) && !chunk->result)
    chunk->result = json_incref(result);
  return TRUE;
}

static gboolean take_lines(Chunks *chunks, Chunk *chunk, Work *work) {
  GByteArray *line = chunk->line;
  gsize begin = 0;
  for (const guint8 *end; (end = memchr(line->data + begin, '\n', line->len - begin));) {
    gsize length = (gsize)(end - line->data) - begin;
    if (!take_line(chunks, chunk, work, (const char *)line->data + begin, length))
      return FALSE;
    begin += length + 1;
  }
  g_byte_array_remove_range(line, 0, (guint)begin);
  return line->len <= MAX_LINE || work_fail(work, "internal", "A part of the render spoke nonsense.");
}

/* Its output is closed: a result counts only from a process that ends well. Freeing its memory takes the
 * system a while, in which the joining can begin. */
static gboolean await_end(const Chunk *chunk, Work *work) {
  int status = 0;
  pid_t got;
  do
    got = waitpid(chunk->pid, &status, 0);
  while (got < 0 && errno == EINTR);
  if (got == chunk->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 && chunk->result)
    return TRUE;
  if (WIFSIGNALED(status))
    work_fail(work, "internal", "A part of the render was ended by signal %d (%s).", WTERMSIG(status),
              g_strsignal(WTERMSIG(status)));
  else
    work_fail(work, "internal", "A part of the render ended with code %d and without a result.",
              WEXITSTATUS(status));
  return FALSE;
}

static gboolean hear(Chunks *chunks, Chunk *chunk, Work *work) {
  guint8 bytes[16384];
  ssize_t n = read(chunk->ear, bytes, sizeof bytes);
  if (n < 0 && errno == EINTR)
    return TRUE;
  if (n <= 0) {
    close(chunk->ear);
    chunk->ear = -1;
    return chunk->result || await_end(chunk, work);
  }
  g_byte_array_append(chunk->line, bytes, (guint)n);
  return take_lines(chunks, chunk, work);
}

/* Until all have closed their outputs. How long that may take is watched from outside. */
static gboolean listen_to_all(Chunks *chunks, Work *work) {
  for (int open = chunks->count; open > 0;) {
    struct pollfd ears[CHUNKS_MOST];
    for (int i = 0; i < chunks->count; i++)
      ears[i] = (struct pollfd){chunks->chunk[i].ear, POLLIN, 0};
    poll(ears, (nfds_t)chunks->count, -1);
    open = 0;
    for (int i = 0; i < chunks->count; i++) {
      Chunk *chunk = &chunks->chunk[i];
      if (chunk->ear >= 0 && ears[i].revents && !hear(chunks, chunk, work))
        return FALSE;
      open += chunk->ear >= 0;
    }
  }
  return TRUE;
}

/* --- joining --- */

static gint64 frames_of(const Chunk *chunk, const char *key) {
  return CLAMP(json_integer_value(json_object_get(chunk->result, key)), 0, G_MAXINT);
}

/* Joins the files of the chunks that have frames and removes them; key: "out" or "mask". */
static gboolean join_files(Chunks *chunks, Work *work, VideoJoin *join, const char *key) {
  const char *parts[CHUNKS_MOST];
  int count = 0;
  for (int i = 0; i < chunks->count; i++)
    if (frames_of(&chunks->chunk[i], "frames") > 0)
      parts[count++] = g_str_equal(key, "mask") ? chunks->chunk[i].mask : chunks->chunk[i].video;
  GError *error = NULL;
  gboolean good =
      video_join_run(join, parts, count, json_string_value(json_object_get(work->task, key)), &error);
  if (!good)
    work_fail_with(work, error, &(Blame){0});
  for (int i = 0; i < count; i++)
    g_unlink(parts[i]);
  return good;
}

/* What the whole is, from what its chunks are; their remarks are the work's. */
static json_t *sum_up(const Chunks *chunks, Progress *progress) {
  static const char *const counts[] = {"frames", "acted"};
  json_t *whole = json_deep_copy(chunks->chunk[0].result);
  const json_t *note;
  size_t n;
  for (gsize k = 0; k < G_N_ELEMENTS(counts); k++) {
    gint64 sum = 0;
    for (int i = 0; i < chunks->count; i++)
      sum += frames_of(&chunks->chunk[i], counts[k]);
    json_object_set_new(whole, counts[k], json_integer(sum));
  }
  json_array_foreach(json_object_get(whole, "notes"), n, note) if (json_is_string(note))
      progress_note(progress, "%s", json_string_value(note));
  return whole;
}

json_t *chunks_finish(Chunks *chunks, Work *work) {
  gboolean masked = json_is_string(json_object_get(work->task, "mask"));
  g_autoptr(VideoJoin) video = render_join_new(work, json_is_true(json_object_get(work->task, "audio")));
  g_autoptr(VideoJoin) mask = video && masked ? render_join_new(work, FALSE) : NULL;
  if (!video || (masked && !mask) || !listen_to_all(chunks, work) ||
      !join_files(chunks, work, video, "out") || (masked && !join_files(chunks, work, mask, "mask")))
    return NULL;
  for (int i = 0; i < chunks->count; i++)
    if (!await_end(&chunks->chunk[i], work))
      return NULL;
  return sum_up(chunks, work->progress);
}
