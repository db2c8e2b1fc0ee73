/* The server against its yardsticks, in the same run on the same machine:
 *
 *   http [ROUNDS [polls|upload|idle|listeners]]
 *                     polls of a render's status against a bare libmicrohttpd that answers the same bytes;
 * memory for 10,000 idle keep-alive connections; an upload of 500 MB against cp and sha256sum
 *
 * Servers run in processes of their own, so that their memory is theirs alone. */
#include "api/dialects.h"
#include "api/http/loop.h"
#include "app/jobs/jobs.h"
#include "base/files.h"
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS 256
#define IDLE 10000
#define LISTENERS 2000
#define UPLOAD_BYTES (500 * 1000 * 1000)
#define LOAD_SECONDS 3

static void must(GError *error) {
  if (error)
    g_error("%s", error->message);
}

/* --- servers --- */

typedef struct {
  pid_t process;
  int port;
  char text[200]; /* what else it says: the job, the key */
} Server;

/* An upload's way without what a handler would ask of the engines. */
static Answer *keep_upload(Api *api, Request *request, GError **error) {
  InputSource source;
  request_source(request, "file", &source);
  if (!source.path)
    return refuse_null(error, REFUSAL_INVALID, "file is missing.");
  g_autofree char *id = objects_put(request_app(request)->objects, source.path, source.hash, NULL, error);
  return id ? answer_json(200, json_pack("{s:s}", "object", id)) : NULL;
}

/* The same without the store: received, hashed, written, but not made durable. */
static Answer *drop_upload(Api *api, Request *request, GError **error) {
  InputSource source;
  request_source(request, "file", &source);
  return answer_json(200, json_pack("{s:s?}", "hash", source.hash));
}

static const Route routes[] = {{"POST", "/bench/upload", keep_upload, ROUTE_SLOW, BODY_MULTIPART, "write"},
                               {"POST", "/bench/drop", drop_upload, 0, BODY_MULTIPART, "write"}};
static const ErrorRow errors[] = {{REFUSAL_INTERNAL, 500, "internal", NULL}};

static json_t *error_body(const Request *request, const ErrorRow *row, const char *message) {
  return json_pack("{s:s}", "error", message);
}

static const Dialect dialect_bench = {.name = "bench",
                                      .prefixes = {"/bench"},
                                      .routes = routes,
                                      .route_count = G_N_ELEMENTS(routes),
                                      .errors = errors,
                                      .error_body = error_body};

static char *add_job(App *app, const char *account) {
  GError *error = NULL;
  g_autoptr(Session) session = database_begin(app->database, DATABASE_WRITE, &error);
  must(error);
  g_autoptr(Job) job = g_new0(Job, 1);
  job->account = g_strdup(account);
  job->kind = JOB_RENDER;
  job->pool = g_strdup("V4_Preview");
  job->mode = g_strdup("preprocessed");
  job->dialect = g_strdup("viggle");
  job->price = 0;
  job->spec = json_pack("{s:s}", "model", "V4_Preview");
  job_insert(app, session, job, &error);
  must(error);
  session_commit(session, &error);
  must(error);
  return g_strdup(job->id);
}

static void serve(int pipe, const char *folder) {
  GError *error = NULL;
  Settings *settings = settings_new();
  settings->data = g_strdup(folder);
  App *app = app_open(settings, &error);
  must(error);
  gboolean fresh;
  g_autofree char *account = account_default(app, &fresh, &error);
  must(error);
  g_autofree char *key = key_create(app, &(KeyOptions){.dialect = "viggle", .credits = 1000}, &error);
  must(error);
  g_autofree char *job = add_job(app, account);
  const Dialect *const served[] = {&dialect_viggle, &dialect_own, &dialect_bench, NULL};
  Api *api = api_start(app, &(ApiOptions){"127.0.0.1:0", served, 0, FALSE}, &error);
  must(error);
  dprintf(pipe, "%s %s %s\n", strrchr(api_url(api), ':') + 1, job, key);
  pause();
}

typedef struct {
  char *body;
  gsize length;
} Bare;

static enum MHD_Result answer_bare(void *user, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *bytes, size_t *size,
                                   void **context) {
  const Bare *bare = user;
  if (!*context) {
    *context = user;
    return MHD_YES;
  }
  struct MHD_Response *response =
      MHD_create_response_from_buffer(bare->length, bare->body, MHD_RESPMEM_PERSISTENT);
  MHD_add_response_header(response, "Content-Type", "application/json");
  enum MHD_Result queued = MHD_queue_response(connection, 200, response);
  MHD_destroy_response(response);
  return queued;
}

/* In loops like the server's own: with libmicrohttpd's threads this would now and then stand still
 * (api/http/loop.h). */
static void serve_bare(int pipe, const char *body) {
  Bare bare = {g_strdup(body), strlen(body)};
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0)
    g_error("listen: %s", g_strerror(errno));
  for (guint i = 0; i < g_get_num_processors(); i++) {
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, dup(fd), NULL}, LOOP_OPTIONS, {MHD_OPTION_END, 0, NULL}};
    loop_start(MHD_start_daemon(LOOP_FLAGS, 0, NULL, NULL, answer_bare, &bare, MHD_OPTION_ARRAY, options,
                                MHD_OPTION_END));
  }
  getsockname(fd, (struct sockaddr *)&address, &length);
  dprintf(pipe, "%d - -\n", ntohs(address.sin_port));
  pause();
}

static Server start(void (*run)(int pipe, const char *argument), const char *argument) {
  int ends[2];
  if (pipe(ends) != 0)
    g_error("pipe: %s", g_strerror(errno));
  Server server = {.process = fork()};
  if (server.process == 0) {
    close(ends[0]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run(ends[1], argument);
    _exit(0);
  }
  close(ends[1]);
  FILE *said = fdopen(ends[0], "r");
  if (fscanf(said, "%d %199[^\n]", &server.port, server.text) != 2)
    g_error("a server did not start");
  fclose(said);
  return server;
}

static void stop(const Server *server) {
  kill(server->process, SIGKILL);
  waitpid(server->process, NULL, 0);
}

/* Processor seconds that it has used. */
static double processor(const Server *server) {
  g_autofree char *path = g_strdup_printf("/proc/%d/stat", server->process), *text = NULL;
  unsigned long user = 0, system_time = 0;
  g_file_get_contents(path, &text, NULL, NULL);
  sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system_time);
  return (double)(user + system_time) / (double)sysconf(_SC_CLK_TCK);
}

/* A line of /proc/PID/status in megabytes. */
static double memory(const Server *server, const char *name) {
  g_autofree char *path = g_strdup_printf("/proc/%d/status", server->process), *text = NULL;
  g_file_get_contents(path, &text, NULL, NULL);
  const char *line = text ? strstr(text, name) : NULL;
  return line ? (double)g_ascii_strtoll(line + strlen(name) + 1, NULL, 10) / 1024 : 0;
}

/* --- what is measured --- */

typedef struct {
  Load load;
  double cost; /* processor time of the server for one request, microseconds */
} Run;

static void print_run(const char *name, const Run *run, const Run *yardstick) {
  printf("%-40s %9.0f req/s  p50 %6.2f ms  p99 %6.2f ms  %5.1f us each  x %.2f\n", name, run->load.rate,
         run->load.p50, run->load.p99, run->cost, run->load.rate / yardstick->load.rate);
}

/* Keeps the least disturbed of several runs. */
static void run_load(const Server *server, const char *request, Run *best) {
  double before = processor(server);
  Load load = load_run(server->port, request, CONNECTIONS, LOAD_SECONDS);
  double cost = (processor(server) - before) * 1e6 / (double)load.requests;
  if (best->cost == 0)
    *best = (Run){load, cost};
  best->load.rate = MAX(best->load.rate, load.rate);
  best->load.p50 = MIN(best->load.p50, load.p50);
  best->load.p99 = MIN(best->load.p99, load.p99);
  best->cost = MIN(best->cost, cost);
}

static void bench_polls(const Server *server, int rounds) {
  g_auto(GStrv) words = g_strsplit(server->text, " ", 2);
  g_autofree char *request =
      g_strdup_printf("GET /api/render/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
                      "Authorization: Bearer %s\r\n\r\n",
                      words[0], words[1]);
  g_autoptr(GString) answer = g_string_new(NULL);
  int fd = load_connect(server->port);
  load_ask(fd, request, answer);
  close(fd);
  Server bare = start(serve_bare, strstr(answer->str, "\r\n\r\n") + 4);
  Run ours = {0}, yardstick = {0};
  for (int round = 0; round < rounds; round++) { /* in turn, so that a slow moment slows both */
    run_load(&bare, request, &yardstick);
    run_load(server, request, &ours);
  }
  stop(&bare);
  print_run("bare libmicrohttpd (the yardstick)", &yardstick, &yardstick);
  print_run("GET /api/render/{job_id}", &ours, &yardstick);
}

static void bench_idle(const Server *server) {
  static int fds[IDLE];
  g_autoptr(GString) answer = g_string_new(NULL);
  double before = memory(server, "VmRSS");
  for (int i = 0; i < IDLE; i++) {
    fds[i] = load_connect(server->port);
    load_ask(fds[i], "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", answer);
  }
  printf("%-40s %9.0f MB (%.0f MB without them)\n", "10,000 idle keep-alive connections",
         memory(server, "VmRSS"), before);
  for (int i = 0; i < IDLE; i++)
    close(fds[i]);
}

/* What it costs to keep clients informed of a job to which nothing happens. */
static void bench_listeners(const Server *server) {
  static int fds[LISTENERS];
  g_auto(GStrv) words = g_strsplit(server->text, " ", 2);
  g_autofree char *request =
      g_strdup_printf("GET /api/jobs/%s/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", words[0]);
  double memory_before = memory(server, "VmRSS");
  for (int i = 0; i < LISTENERS; i++) {
    fds[i] = load_connect(server->port);
    if (send(fds[i], request, strlen(request), MSG_NOSIGNAL) < 0)
      g_error("send: %s", g_strerror(errno));
  }
  g_usleep(2 * G_USEC_PER_SEC);
  double before = processor(server);
  g_usleep(5 * G_USEC_PER_SEC);
  printf("%-40s %9.1f %% of a core, %.0f MB\n", "2,000 listeners to a job that waits",
         (processor(server) - before) * 20, memory(server, "VmRSS") - memory_before);
  for (int i = 0; i < LISTENERS; i++)
    close(fds[i]);
}

static double seconds_since(gint64 begin) {
  return (double)(g_get_monotonic_time() - begin) / G_USEC_PER_SEC;
}

/* A file whose bytes are new each time, so that the store cannot have them already. */
static void make_file(const char *path, guint32 seed) {
  g_autoptr(GRand) random = g_rand_new_with_seed(seed);
  const int words = 1 << 18;
  g_autofree guint32 *block = g_new(guint32, words);
  for (int i = 0; i < words; i++)
    block[i] = g_rand_int(random);
  FILE *file = fopen(path, "w");
  for (gint64 left = UPLOAD_BYTES, n = 0; left > 0; left -= 4 * words, n++) {
    block[0] = (guint32)n;
    fwrite(block, 1, (gsize)MIN(left, 4 * words), file);
  }
  fclose(file);
  sync();
}

static double upload(const Server *server, const char *path, const char *to) {
  static const char before[] =
      "--bench\r\nContent-Disposition: form-data; name=file; filename=\"a.mp4\"\r\n\r\n",
                    after[] = "\r\n--bench--\r\n";
  g_auto(GStrv) words = g_strsplit(server->text, " ", 2);
  g_autofree char *head =
      g_strdup_printf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: "
                      "Bearer %s\r\nContent-Type: multipart/form-data; "
                      "boundary=bench\r\nContent-Length: %zu\r\n\r\n%s",
                      to, words[1], UPLOAD_BYTES + strlen(before) + strlen(after), before);
  g_autoptr(GString) answer = g_string_new(NULL);
  int file = open(path, O_RDONLY), fd = load_connect(server->port);
  gint64 begin = g_get_monotonic_time();
  if (send(fd, head, strlen(head), MSG_NOSIGNAL) < 0)
    g_error("send: %s", g_strerror(errno));
  for (off_t at = 0; at < UPLOAD_BYTES;)
    if (sendfile(fd, file, &at, 1 << 20) < 0)
      g_error("sendfile: %s", g_strerror(errno));
  load_ask(fd, after, answer);
  double took = seconds_since(begin);
  if (!g_str_has_prefix(answer->str, "HTTP/1.1 200 "))
    g_error("upload: %s", answer->str);
  close(fd);
  close(file);
  return took;
}

static double copy_and_sum(const char *path, const char *then) {
  g_autofree char *command =
      g_strdup_printf("cp '%s' '%s.copy' %s && sha256sum '%s.copy' >/dev/null", path, path, then, path);
  gint64 begin = g_get_monotonic_time();
  if (system(command) != 0)
    g_error("cp or sha256sum failed");
  double took = seconds_since(begin);
  g_autofree char *copy = g_strconcat(path, ".copy", NULL);
  unlink(copy);
  return took;
}

/* Once into the page cache, as cp does, and once onto the disk, as the store does. */
static void bench_upload(const Server *server, const char *folder, int rounds) {
  g_autofree char *path = g_build_filename(folder, "upload.bin", NULL);
  g_autofree char *then = g_strdup_printf("&& sync '%s.copy'", path);
  double before = memory(server, "VmHWM"), best[4] = {G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE};
  for (int round = 0; round < rounds; round++) {
    make_file(path, (guint32)round);
    double took[4];
    took[0] = copy_and_sum(path, "");
    took[1] = upload(server, path, "/bench/drop");
    took[2] = copy_and_sum(path, then);
    took[3] = upload(server, path, "/bench/upload");
    for (int i = 0; i < 4; i++)
      best[i] = MIN(best[i], took[i]);
  }
  printf("%-40s %9.2f s\n", "cp and sha256sum of 500 MB", best[0]);
  printf("%-40s %9.2f s  x %.2f\n", "upload of 500 MB, received and hashed", best[1], best[1] / best[0]);
  printf("%-40s %9.2f s\n", "cp, sync and sha256sum of 500 MB", best[2]);
  printf("%-40s %9.2f s  x %.2f  peak memory %.0f MB, %.0f MB more than before\n",
         "upload of 500 MB, stored durably", best[3], best[3] / best[2], memory(server, "VmHWM"),
         memory(server, "VmHWM") - before);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 3;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  GError *error = NULL;
  g_autofree char *folder = g_dir_make_tmp("bench-XXXXXX", &error);
  must(error);
  g_autofree char *data = g_build_filename(folder, "data", NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  Server server = start(serve, data);
  const char *only = argc > 2 ? argv[2] : NULL;
  if (!only || strcmp(only, "polls") == 0)
    bench_polls(&server, rounds);
  if (!only || strcmp(only, "upload") == 0)
    bench_upload(&server, folder, rounds);
  if (!only || strcmp(only, "idle") == 0)
    bench_idle(&server);
  if (!only || strcmp(only, "listeners") == 0)
    bench_listeners(&server);
  stop(&server);
  files_remove_tree(folder);
  return 0;
}
