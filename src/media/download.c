/* One transfer appends to the part from its end on; a server that does not go on there (status 200 instead of
 * 206) begins from nothing, and so does the part. */
#include "media/download.h"
#include "base/checksum.h"
#include "base/files.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TRIES 5
#define CONNECT_SECONDS 20
#define SLOW_BYTES 1000 /* a second, for SLOW_SECONDS: too slow */
#define SLOW_SECONDS 60
#define MAX_REDIRECTS 10
#define AGENT "troupe"

typedef struct {
  CURL *curl;
  const Download *download;
  DownloadTell tell;
  gpointer user;
  char problem[CURL_ERROR_SIZE];
  int fd;
  gint64 from, bytes; /* where the transfer began; what is there */
  gboolean cancelled, begun;
  int write_error;
  GString *text; /* instead of a file */
  gsize most;
} Transfer;

static long status_of(const Transfer *transfer) {
  long status = 0;
  curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

/* --- bytes --- */

/* Before the first byte of an answer: whether it goes on where the part ends. */
static gboolean begin(Transfer *transfer) {
  transfer->begun = TRUE;
  if (transfer->from == 0 || status_of(transfer) == 206)
    return TRUE;
  transfer->from = transfer->bytes = 0;
  if (ftruncate(transfer->fd, 0) == 0 && lseek(transfer->fd, 0, SEEK_SET) == 0)
    return TRUE;
  transfer->write_error = errno;
  return FALSE;
}

static size_t take_bytes(char *data, size_t size, size_t count, void *user) {
  Transfer *transfer = user;
  gsize length = size * count;
  long status = status_of(transfer);
  if (status != 200 && status != 206)
    return 0; /* nobody wants to see the page that says why */
  if (transfer->text) {
    if (transfer->text->len + length > transfer->most)
      return 0;
    g_string_append_len(transfer->text, data, (gssize)length);
    return length;
  }
  if (!transfer->begun && !begin(transfer))
    return 0;
  if ((transfer->write_error = files_write(transfer->fd, data, length)))
    return 0;
  transfer->bytes += (gint64)length;
  return transfer->download->bytes >= 0 && transfer->bytes > transfer->download->bytes ? 0 : length;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
  Transfer *transfer = user;
  if (transfer->tell && !transfer->tell(transfer->bytes, transfer->user))
    transfer->cancelled = TRUE;
  return transfer->cancelled;
}

/* --- one transfer --- */

static gboolean prepare(Transfer *transfer, const char *url, GError **error) {
  CURL *curl = transfer->curl = curl_easy_init();
  if (!curl)
    return fault(error, FAULT_INTERNAL, "libcurl cannot start.");
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, AGENT);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->problem);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
  return TRUE;
}

/* Worth another try: the connection broke, or the server is busy. */
static gboolean passes(CURLcode code, long status) {
  switch (code) {
  case CURLE_PARTIAL_FILE:
  case CURLE_OPERATION_TIMEDOUT:
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM:
    return TRUE;
  default:
    return status == 429 || status >= 500;
  }
}

static gboolean failed(const Transfer *transfer, const char *url, CURLcode code, GError **error) {
  long status = status_of(transfer);
  g_autofree char *host = NULL;
  char *part = NULL;
  CURLU *parts = curl_url();
  if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
      curl_url_get(parts, CURLUPART_HOST, &part, 0) == CURLUE_OK)
    host = g_strdup(part);
  curl_free(part);
  curl_url_cleanup(parts);
  if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
      code == CURLE_COULDNT_RESOLVE_PROXY)
    return fault(error, FAULT_INPUT, "%s cannot be reached; is this machine connected?", host ? host : url);
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR)
    return fault(error, FAULT_INPUT, "%s has no valid certificate (%s).", host ? host : url,
                 transfer->problem);
  if (status == 401 || status == 403)
    return fault(error, FAULT_INPUT, "%s gives this only to those who accepted its terms there (status %ld).",
                 host ? host : url, status);
  if (status >= 300)
    return fault(error, FAULT_INPUT, "%s answers with status %ld instead of %s.", host ? host : url, status,
                 url);
  return fault(error, FAULT_INPUT, "The transfer of %s broke off (%s). The same command goes on with it.",
               url, *transfer->problem ? transfer->problem : curl_easy_strerror(code));
}

char *download_text(const char *url, gsize most, GError **error) {
  Transfer transfer = {.fd = -1, .text = g_string_new(NULL), .most = most};
  gboolean good = prepare(&transfer, url, error);
  if (good) {
    CURLcode code = curl_easy_perform(transfer.curl);
    good = (code == CURLE_OK && status_of(&transfer) == 200) || failed(&transfer, url, code, error);
  }
  if (transfer.curl)
    curl_easy_cleanup(transfer.curl);
  return g_string_free(transfer.text, !good);
}

/* --- files --- */

static gboolean once(Transfer *transfer, const char *part, gboolean *again, GError **error) {
  *again = FALSE;
  GStatBuf stat = {0};
  transfer->begun = FALSE;
  transfer->fd = open(part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (transfer->fd < 0 || fstat(transfer->fd, &stat) != 0)
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", part, g_strerror(errno));
  transfer->from = transfer->bytes = stat.st_size;
  if (transfer->download->bytes >= 0 && transfer->bytes == transfer->download->bytes)
    return TRUE;
  if (!prepare(transfer, transfer->download->url, error))
    return FALSE;
  g_autofree char *range = g_strdup_printf("%" G_GINT64_FORMAT "-", transfer->from);
  if (transfer->from > 0)
    curl_easy_setopt(transfer->curl, CURLOPT_RANGE, range);
  CURLcode code = curl_easy_perform(transfer->curl);
  long status = status_of(transfer);
  if (transfer->cancelled)
    return fault(error, FAULT_CANCELLED, "The transfer was cancelled; the same command goes on with it.");
  if (transfer->write_error)
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", part, g_strerror(transfer->write_error));
  if (code == CURLE_OK && (status == 200 || status == 206))
    return TRUE;
  /* 416: the part is as long as the file or longer. What it is worth the checksum will tell. */
  if (status == 416 && transfer->from > 0)
    return TRUE;
  if (transfer->download->bytes >= 0 && transfer->bytes > transfer->download->bytes)
    return TRUE;
  *again = passes(code, status);
  return failed(transfer, transfer->download->url, code, error);
}

static gboolean gather(const Download *download, const char *part, DownloadTell tell, gpointer user,
                       GError **error) {
  for (int i = 1;; i++) {
    Transfer transfer = {.download = download, .tell = tell, .user = user, .fd = -1};
    g_autoptr(GError) problem = NULL;
    gboolean again, good = once(&transfer, part, &again, &problem);
    if (transfer.curl)
      curl_easy_cleanup(transfer.curl);
    if (transfer.fd >= 0 && close(transfer.fd) != 0 && good)
      return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", part, g_strerror(errno));
    if (good)
      return TRUE;
    if (!again || i == TRIES) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    g_usleep((gulong)i * 500000);
  }
}

/* What is there is the file that was expected. */
static gboolean check(const Download *download, const char *path, GError **error) {
  gint64 bytes;
  g_autofree char *sha256 = checksum_file(path, &bytes, error);
  if (!sha256)
    return FALSE;
  if (download->bytes >= 0 && bytes != download->bytes)
    return fault(error, FAULT_INPUT, "%s has %" G_GINT64_FORMAT " bytes instead of %" G_GINT64_FORMAT ".",
                 download->url, bytes, download->bytes);
  if (download->sha256 && g_ascii_strcasecmp(sha256, download->sha256) != 0)
    return fault(error, FAULT_INPUT, "%s came damaged: its checksum is not the one that was announced.",
                 download->url);
  return TRUE;
}

gboolean download_file(const Download *download, DownloadTell tell, gpointer user, GError **error) {
  g_autofree char *part = g_strconcat(download->path, ".part", NULL);
  if (g_file_test(download->path, G_FILE_TEST_EXISTS) && check(download, download->path, NULL))
    return TRUE;
  if (!gather(download, part, tell, user, error))
    return FALSE;
  if (!check(download, part, error)) {
    g_unlink(part);
    return FALSE;
  }
  return g_rename(part, download->path) == 0 ||
         fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", download->path, g_strerror(errno));
}

gint64 download_room(const char *folder) {
  struct statvfs facts;
  if (statvfs(folder, &facts) != 0)
    return -1;
  return (gint64)facts.f_bavail * (gint64)facts.f_frsize;
}
