/* The parent's side. What comes back is read with poll, a little at a time, so that a cancellation is seen
 * within a moment. The child leads a process group of its own: what is killed is the group.
 *
 * What the child says is not trusted: it may have been taken over by a hostile file. Lines are limited,
 * parsed strictly, and only shapes that are expected are used. */
#include "engine/child.h"
#include "engine/start.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_SILENCE 120
#define POLL_MS 50
#define MAX_LINE (4 * 1024 * 1024)
#define MAX_MURMUR 2000 /* bytes of standard error that are kept */
#define END_SECONDS 10  /* between the last word and the end */
#define GONE_SECONDS 5  /* between a kill and the end of all that it meets */
#define MAX_MESSAGE 2000
#define MAX_CODE 40

typedef struct {
  pid_t pid; /* 0 when it has been waited for */
  int status;
  int words, murmurs; /* its standard output and error; -1 when closed */
  Cores cores;
  GByteArray *line;
  GString *murmur;
  gint64 silence; /* microseconds */
  gint64 heard;   /* when it last said something */
  gint64 until;   /* when it must have ended */
  gboolean overlong;
} Child;

void child_outcome_clear(ChildOutcome *outcome) {
  g_clear_pointer(&outcome->result, json_decref);
  g_clear_pointer(&outcome->code, g_free);
  g_clear_pointer(&outcome->message, g_free);
  g_clear_pointer(&outcome->murmur, g_free);
  g_clear_pointer(&outcome->sandbox, g_free);
}

static void close_fd(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

/* Whatever it has started ends with it; its number is nobody else's while it has not been waited for. */
static void reap(Child *child, int flags) {
  siginfo_t ended = {0};
  int bad;
  do
    bad = waitid(P_PID, (id_t)child->pid, &ended, WEXITED | WNOWAIT | flags);
  while (bad < 0 && errno == EINTR);
  if (bad == 0 && ended.si_pid == 0)
    return;       /* it lives */
  if (bad == 0) { /* else somebody else waits for all children */
    kill(-child->pid, SIGKILL);
    waitpid(child->pid, &child->status, 0);
  }
  child->pid = 0;
}

/* The first words on standard error are the reason, the rest is its consequence. */
static void hear_murmurs(Child *child) {
  char bytes[4096];
  ssize_t n = read(child->murmurs, bytes, sizeof bytes);
  if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
    close_fd(&child->murmurs);
  if (n > 0 && child->murmur->len < MAX_MURMUR)
    g_string_append_len(child->murmur, bytes, MIN(n, (ssize_t)(MAX_MURMUR - child->murmur->len)));
}

/* Standard error is closed when the last process of the group is gone: then nothing writes any more. */
static void await_all(Child *child, gint64 until) {
  while (child->murmurs >= 0) {
    struct pollfd fd = {child->murmurs, POLLIN, 0};
    gint64 left = (until - g_get_monotonic_time()) / 1000;
    if (left <= 0 || poll(&fd, 1, (int)left) == 0)
      return;
    if (fd.revents)
      hear_murmurs(child);
  }
}

static void child_clear(Child *child) {
  if (child->pid) {
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
    reap(child, 0);
  }
  await_all(child, g_get_monotonic_time() + GONE_SECONDS * G_USEC_PER_SEC);
  close_fd(&child->words);
  close_fd(&child->murmurs);
  cores_release(&child->cores);
  g_clear_pointer(&child->line, g_byte_array_unref);
  if (child->murmur)
    g_string_free(child->murmur, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Child, child_clear)

/* --- starting --- */

static gboolean start(Child *child, json_t *task, const ChildLimits *limits, GError **error) {
  Engine engine;
  cores_take(&child->cores, limits->cores);
  if (!engine_start(task, limits, &child->cores, &engine, error))
    return FALSE;
  child->pid = engine.pid;
  child->words = engine.words;
  child->murmurs = engine.murmurs;
  return TRUE;
}

/* --- listening --- */

static gboolean good_code(const char *code) {
  gsize n = 0;
  for (; code && code[n]; n++)
    if (!g_ascii_islower(code[n]) && code[n] != '_')
      return FALSE;
  return n > 0 && n <= MAX_CODE;
}

static void take_error(const json_t *said, ChildOutcome *outcome) {
  const char *code = json_string_value(json_object_get(said, "code")),
             *message = json_string_value(json_object_get(said, "message"));
  child_outcome_clear(outcome);
  outcome->code = g_strdup(good_code(code) ? code : "internal");
  outcome->message = g_strndup(message ? message : "The engine gave no reason.", MAX_MESSAGE);
  char *end;
  if (!g_utf8_validate(outcome->message, -1, (const char **)&end))
    *end = 0; /* cut within a character */
}

/* Numbers that go with what it reports. */
static void take_facts(json_t *facts, Progress *progress) {
  const char *name;
  json_t *value;
  json_object_foreach(facts, name, value) {
    if (json_is_number(value) && strlen(name) <= MAX_CODE)
      progress_measure(progress, name, json_number_value(value));
  }
}

static void take_line(const char *line, gsize length, ChildOutcome *outcome, Progress *progress) {
  json_auto_t *said = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
  const json_t *step = json_object_get(said, "progress"), *wrong = json_object_get(said, "error"),
               *sandbox = json_object_get(said, "sandbox");
  json_t *result = json_object_get(said, "result");
  const char *stage = json_string_value(json_object_get(step, "stage"));
  take_facts(json_object_get(said, "facts"), progress);
  if (stage)
    progress_report(progress, stage, json_integer_value(json_object_get(step, "done")),
                    json_integer_value(json_object_get(step, "total")));
  if (json_is_string(sandbox) && !outcome->sandbox)
    outcome->sandbox = g_strdup(json_string_value(sandbox));
  if (json_is_object(wrong))
    take_error(wrong, outcome);
  if (json_is_object(result) && !outcome->result && !outcome->code)
    outcome->result = json_incref(result);
}

/* Reads what is there; closes the descriptor at its end. */
static void hear_words(Child *child, ChildOutcome *outcome, Progress *progress) {
  guint8 bytes[65536];
  ssize_t n = read(child->words, bytes, sizeof bytes);
  if (n <= 0) {
    if (n == 0 || (errno != EINTR && errno != EAGAIN))
      close_fd(&child->words);
    return;
  }
  child->heard = g_get_monotonic_time();
  g_byte_array_append(child->line, bytes, (guint)n);
  gsize begin = 0;
  for (const guint8 *end; (end = memchr(child->line->data + begin, '\n', child->line->len - begin));) {
    gsize length = (gsize)(end - child->line->data) - begin;
    take_line((const char *)child->line->data + begin, length, outcome, progress);
    begin += length + 1;
  }
  g_byte_array_remove_range(child->line, 0, (guint)begin);
  child->overlong = child->line->len > MAX_LINE;
}

/* Until it closes its standard output; FALSE: it must be killed, for *reason or for *error. */
static gboolean listen_to(Child *child, ChildOutcome *outcome, const char **reason, Progress *progress,
                          GError **error) {
  while (child->words >= 0) {
    struct pollfd fds[2] = {{child->words, POLLIN, 0}, {child->murmurs, POLLIN, 0}};
    int ready = poll(fds, 2, POLL_MS);
    if (!progress_continue(progress, error))
      return FALSE;
    if (ready > 0 && fds[0].revents)
      hear_words(child, outcome, progress);
    if (ready > 0 && fds[1].revents)
      hear_murmurs(child);
    if (child->overlong)
      *reason = "The engine spoke nonsense.";
    else if (g_get_monotonic_time() - child->heard > child->silence)
      *reason = "The engine was silent for too long.";
    else if (g_get_monotonic_time() > child->until)
      *reason = "The engine worked for too long.";
    if (*reason)
      return FALSE;
  }
  return TRUE;
}

/* It has said its last word and should end by itself. */
static void await_end(Child *child) {
  gint64 until = g_get_monotonic_time() + END_SECONDS * G_USEC_PER_SEC;
  await_all(child, g_get_monotonic_time() + POLL_MS * 1000); /* usually it is gone before */
  for (int pause = 100; child->pid && g_get_monotonic_time() < until; pause = MIN(pause * 2, 20000)) {
    reap(child, WNOHANG);
    if (child->pid)
      g_usleep((gulong)pause);
  }
}

static char *cause_of_death(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
    return g_strdup("The engine used more processor time than it may.");
  if (WIFSIGNALED(status))
    return g_strdup_printf("The engine was ended by signal %d (%s).", WTERMSIG(status),
                           g_strsignal(WTERMSIG(status)));
  return g_strdup_printf("The engine ended with code %d and without a result.", WEXITSTATUS(status));
}

/* A result counts only from a process that ended well; an error counts always. */
static void judge(const Child *child, const char *reason, ChildOutcome *outcome) {
  gboolean well = !reason && !child->pid && WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
  if (!well)
    g_clear_pointer(&outcome->result, json_decref);
  if (!outcome->result && !outcome->code)
    outcome->message = reason ? g_strdup(reason) : cause_of_death(child->status);
  outcome->murmur = g_utf8_make_valid(child->murmur->str, -1);
  g_strstrip(outcome->murmur);
}

gboolean child_run(json_t *task, const ChildLimits *limits, ChildOutcome *outcome, Progress *progress,
                   GError **error) {
  *outcome = (ChildOutcome){0};
  if (!progress_continue(progress, error))
    return FALSE;
  gint64 now = g_get_monotonic_time(), cpu = limits->cpu_seconds ? limits->cpu_seconds : CHILD_CPU_SECONDS;
  g_auto(Child) child = {.words = -1, .murmurs = -1};
  child.line = g_byte_array_new();
  child.murmur = g_string_new(NULL);
  child.heard = now;
  child.silence = (limits->silence ? limits->silence : DEFAULT_SILENCE) * G_USEC_PER_SEC;
  child.until = now + (limits->seconds ? limits->seconds : 2 * cpu) * G_USEC_PER_SEC;
  if (!start(&child, task, limits, error))
    return FALSE;
  const char *reason = NULL;
  if (!listen_to(&child, outcome, &reason, progress, error) && !reason) {
    child_outcome_clear(outcome);
    return FALSE;
  }
  if (!reason)
    await_end(&child);
  if (child.pid && !reason)
    reason = "The engine did not end.";
  judge(&child, reason, outcome);
  return TRUE;
}
