/* Files as answers: conditions, ranges, types. libmicrohttpd sends them with sendfile. */
#include "api/http/answer.h"
#include "api/http/range.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Anything else is a download: what a browser would run must not run with our name. */
static const struct {
  const char *suffix, *type;
} types[] = {
    {".mp4", "video/mp4"},
    {".mov", "video/quicktime"},
    {".webm", "video/webm"},
    {".mkv", "video/x-matroska"},
    {".avi", "video/x-msvideo"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".webp", "image/webp"},
    {".mp3", "audio/mpeg"},
    {".wav", "audio/wav"},
    {".json", "application/json"},
    {".txt", "text/plain; charset=utf-8"},
    {".zip", "application/zip"},
};

static const char *type_of(const char *name) {
  g_autofree char *lower = g_ascii_strdown(name, -1);
  for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
    if (g_str_has_suffix(lower, types[i].suffix))
      return types[i].type;
  return NULL;
}

/* inline; filename="plain"; filename*=UTF-8''percent (RFC 6266). */
static char *disposition(const char *name, gboolean shown) {
  g_autofree char *plain = g_strdup(name);
  for (char *c = plain; *c; c++)
    if ((guchar)*c < ' ' || (guchar)*c > '~' || *c == '"' || *c == '\\')
      *c = '_';
  g_autofree char *escaped = g_uri_escape_string(name, NULL, FALSE);
  const char *how = shown ? "inline" : "attachment";
  if (strcmp(plain, name) == 0)
    return g_strdup_printf("%s; filename=\"%s\"", how, plain);
  return g_strdup_printf("%s; filename=\"%s\"; filename*=UTF-8''%s", how, plain, escaped);
}

static gboolean not_modified(const Request *request, const char *etag, gint64 modified) {
  const char *none = request_header(request, "If-None-Match");
  if (none)
    return etag_listed(none, etag);
  const char *since = request_header(request, "If-Modified-Since");
  gint64 moment = since ? http_date_parse(since) : -1;
  return moment >= 0 && modified <= moment;
}

/* A range is served only of the file that the client has begun to read. */
static gboolean range_holds(const Request *request, const char *etag, gint64 modified) {
  const char *condition = request_header(request, "If-Range");
  if (!condition)
    return TRUE;
  return *condition == '"' ? strcmp(condition, etag) == 0 : http_date_parse(condition) == modified;
}

static void apply_range(const Request *request, Answer *answer, const char *etag, const struct stat *info) {
  const char *range = strcmp(request->method, "GET") == 0 && range_holds(request, etag, info->st_mtime)
                          ? request_header(request, "Range")
                          : NULL;
  RangeKind kind = range_parse(range, info->st_size, &answer->first, &answer->part);
  if (kind == RANGE_WHOLE)
    return;
  g_autofree char *text =
      kind == RANGE_IMPOSSIBLE
          ? g_strdup_printf("bytes */%" G_GINT64_FORMAT, (gint64)info->st_size)
          : g_strdup_printf("bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT,
                            answer->first, answer->first + answer->part - 1, (gint64)info->st_size);
  answer_header(answer, "Content-Range", text);
  answer->status = kind == RANGE_IMPOSSIBLE ? 416 : 206;
  if (kind == RANGE_IMPOSSIBLE)
    answer->first = answer->part = 0;
}

Answer *answer_file(Request *request, const char *path, const char *name, const char *etag) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    gboolean gone = fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    g_autofree char *why = g_strdup(g_strerror(errno));
    if (fd >= 0)
      close(fd);
    GError *error = NULL;
    if (gone)
      refuse(&error, REFUSAL_NOT_FOUND, "There is no such file (any more).");
    else
      fault(&error, FAULT_STORE, "%s cannot be read: %s.", path, why);
    return answer_error(request, error);
  }
  const char *type = type_of(name);
  g_autofree char *tag = g_strdup_printf("\"%s\"", etag);
  g_autofree char *modified = http_date(info.st_mtime), *shown = disposition(name, type != NULL);
  Answer *answer = answer_empty(200);
  g_strlcpy(answer->type, type ? type : "application/octet-stream", sizeof answer->type);
  answer_header(answer, "ETag", tag);
  answer_header(answer, "Last-Modified", modified);
  answer_header(answer, "Accept-Ranges", "bytes");
  answer_header(answer, "Cache-Control", "private, max-age=3600");
  answer_header(answer, "Content-Disposition", shown);
  answer_header(answer, "X-Content-Type-Options", "nosniff");
  if (not_modified(request, tag, info.st_mtime)) {
    answer->status = 304;
    *answer->type = '\0';
    close(fd);
    return answer;
  }
  answer->part = info.st_size;
  apply_range(request, answer, tag, &info);
  if (answer->status == 416 || info.st_size == 0)
    close(fd);
  else
    answer->fd = fd;
  return answer;
}
