/* A new engine gets its task as a file without a name (memfd), so that nothing can block or break while it is
 * handed over. One that was started ahead reads it from a socket; when it does not take it, it is given up
 * and a new one is started. */
#include "engine/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAKE_SECONDS 5 /* for a waiting engine to take its task */

struct ChildSpare {
  char *program;
  GMutex lock;   /* all below */
  Engine engine; /* pid 0: none */
  int letters;   /* the socket that it reads */
};

static void close_fd(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

/* --- a process --- */

/* What the child learns of this process's environment: next to nothing. */
static char **environment(const char *writable) {
  static const char *const kept[] = {"TROUPE_MODELS", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"};
  GPtrArray *list = g_ptr_array_new();
  g_ptr_array_add(list, g_strdup("LC_ALL=C.UTF-8"));
  g_ptr_array_add(list, g_strdup("HOME=/nonexistent"));
  g_ptr_array_add(list, g_strconcat("TMPDIR=", writable ? writable : "/nonexistent", NULL));
  g_ptr_array_add(list, g_strdup("GIO_USE_VFS=local"));
  g_ptr_array_add(list, g_strdup("OPENBLAS_NUM_THREADS=1"));  /* its threads would begin before main() */
  g_ptr_array_add(list, g_strdup("OMP_WAIT_POLICY=passive")); /* others want the processors too */
  for (gsize i = 0; i < G_N_ELEMENTS(kept); i++)
    if (g_getenv(kept[i]))
      g_ptr_array_add(list, g_strconcat(kept[i], "=", g_getenv(kept[i]), NULL));
  g_ptr_array_add(list, NULL);
  return (char **)g_ptr_array_free(list, FALSE);
}

/* The task with its limits, as the child reads it. */
static char *letter(json_t *task, const ChildLimits *limits, const Cores *cores) {
  json_t *cpus = json_array();
  for (guint i = 0; i < cores->cpus->len; i++)
    json_array_append_new(cpus, json_integer(g_array_index(cores->cpus, int, i)));
  json_t *object =
      json_pack("{s:O, s:s?, s:s?, s:I, s:I, s:i, s:o}", "task", task, "models", limits->models, "writable",
                limits->writable, "memory", (json_int_t)(limits->memory ? limits->memory : CHILD_MEMORY),
                "cpu_seconds", (json_int_t)(limits->cpu_seconds ? limits->cpu_seconds : CHILD_CPU_SECONDS),
                "parent", (int)getpid(), "cpus", cpus);
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  return text;
}

static int write_letter(const char *text, GError **error) {
  int fd = text ? memfd_create("task", MFD_CLOEXEC) : -1;
  gsize length = text ? strlen(text) : 0;
  if (fd >= 0 && write(fd, text, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0)
    return fd;
  fault(error, FAULT_INTERNAL, "A task cannot be handed over: %s.", g_strerror(errno));
  close_fd(&fd);
  return -1;
}

static int spawn(const char *program, int in, int out, int err, char **environ_list, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  char *const arguments[] = {(char *)"troupe", (char *)"engine", NULL};
  int bad = posix_spawn(pid, program, &actions, &attributes, arguments, environ_list);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return bad;
}

static const char *program_of(const char *given) {
  const char *named = g_getenv("TROUPE_PROGRAM");
  if (given)
    return given;
  return named && *named ? named : "/proc/self/exe";
}

/* With this standard input. */
static gboolean launch(const char *program, const char *writable, int in, Engine *engine, GError **error) {
  int words[2] = {-1, -1}, murmurs[2] = {-1, -1};
  int bad = pipe2(words, O_CLOEXEC) != 0 || pipe2(murmurs, O_CLOEXEC) != 0 ? errno : 0;
  if (!bad) {
    g_auto(GStrv) environ_list = environment(writable);
    bad = spawn(program_of(program), in, words[1], murmurs[1], environ_list, &engine->pid);
  }
  close_fd(&words[1]);
  close_fd(&murmurs[1]);
  if (bad) {
    close_fd(&words[0]);
    close_fd(&murmurs[0]);
    return fault(error, FAULT_INTERNAL, "The engine cannot be started: %s.", g_strerror(bad));
  }
  engine->words = words[0];
  engine->murmurs = murmurs[0];
  return TRUE;
}

/* --- one that waits --- */

ChildSpare *child_spare_new(const char *program) {
  ChildSpare *spare = g_new0(ChildSpare, 1);
  spare->program = g_strdup(program);
  g_mutex_init(&spare->lock);
  return spare;
}

/* Ends an engine that has no task. */
static void dismiss(Engine *engine, int letters) {
  close(letters);
  close(engine->words);
  close(engine->murmurs);
  kill(engine->pid, SIGKILL);
  while (waitpid(engine->pid, NULL, 0) < 0 && errno == EINTR)
    ;
}

void child_spare_free(ChildSpare *spare) {
  if (!spare)
    return;
  if (spare->engine.pid)
    dismiss(&spare->engine, spare->letters);
  g_mutex_clear(&spare->lock);
  g_free(spare->program);
  g_free(spare);
}

void child_spare_ready(ChildSpare *spare) {
  int ends[2];
  g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spare->lock);
  if (spare->engine.pid || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return;
  if (!launch(spare->program, NULL, ends[1], &spare->engine, NULL))
    spare->engine.pid = 0;
  spare->letters = ends[0];
  close(ends[1]);
  if (!spare->engine.pid)
    close(ends[0]);
}

/* FALSE when the engine is gone or does not read. */
static gboolean send_letter(int letters, const char *text) {
  gsize length = strlen(text), done = 0;
  struct timeval most = {.tv_sec = TAKE_SECONDS};
  setsockopt(letters, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
  while (done < length) {
    ssize_t n = send(letters, text + done, length - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    done += (gsize)n;
  }
  return TRUE;
}

/* Gives the task to the engine that waits; FALSE when there is none, or none any more. */
static gboolean use_spare(ChildSpare *spare, const char *text, Engine *engine) {
  g_mutex_lock(&spare->lock);
  Engine taken = spare->engine;
  int letters = spare->letters;
  spare->engine.pid = 0;
  g_mutex_unlock(&spare->lock);
  if (!taken.pid)
    return FALSE;
  if (!send_letter(letters, text)) {
    dismiss(&taken, letters);
    return FALSE;
  }
  close(letters);
  *engine = taken;
  return TRUE;
}

/* --- starting --- */

gboolean engine_start(json_t *task, const ChildLimits *limits, const Cores *cores, Engine *engine,
                      GError **error) {
  char *text = letter(task, limits, cores);
  gboolean started = text && limits->spare && use_spare(limits->spare, text, engine);
  int in = started ? -1 : write_letter(text, error);
  free(text);
  if (in >= 0) {
    started = launch(limits->program, limits->writable, in, engine, error);
    close(in);
  }
  return started;
}
