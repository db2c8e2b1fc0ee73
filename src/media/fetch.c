/* libcurl does the talking. The address is checked where the socket is made, which is after resolving and for
 * every redirect, and that very address is connected to: a name that resolves differently the next time gains
 * nothing. Whether a host is written as 127.0.0.1, 0x7f.1 or localhost is therefore all the same.
 *
 * Nothing of this machine goes along: no proxy, cookies, .netrc or credentials. Compressed answers are not
 * asked for, so what is counted is what is written. */
#include "media/fetch.h"
#include "base/checksum.h"
#include "base/files.h"
#include "media/address.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_URL 2048
#define MAX_REDIRECTS 5
#define CONNECT_SECONDS 15
/* Slower than this for so long is too slow. */
#define SLOW_BYTES 1000
#define SLOW_SECONDS 20
#define MAX_ANSWER (64 * 1024) /* to a post; more is not read */
#define AGENT "troupe"

/* --- policy --- */

struct FetchPolicy {
  GPtrArray *allowed; /* GInetAddressMask */
};

FetchPolicy *fetch_policy_new(const char *allow, GError **error) {
  g_autoptr(FetchPolicy) policy = g_new0(FetchPolicy, 1);
  policy->allowed = g_ptr_array_new_with_free_func(g_object_unref);
  g_auto(GStrv) networks = g_strsplit_set(allow ? allow : "", ", ", -1);
  for (char **network = networks; *network; network++) {
    if (!**network)
      continue;
    const char *bits = strchr(*network, '/');
    GInetAddressMask *mask = NULL; /* GLib complains aloud about more bits than any address has */
    if (!bits || atoi(bits + 1) <= 128)
      mask = g_inet_address_mask_new_from_string(*network, NULL);
    if (!mask)
      return fault_null(error, FAULT_USAGE,
                        "\"%s\" is no network like 10.0.0.0/8 or ::1/128, with zeros after the prefix.",
                        *network);
    g_ptr_array_add(policy->allowed, mask);
  }
  return g_steal_pointer(&policy);
}

void fetch_policy_free(FetchPolicy *policy) {
  if (!policy)
    return;
  g_ptr_array_unref(policy->allowed);
  g_free(policy);
}

static gboolean operator_allows(const FetchPolicy *policy, GInetAddress *address) {
  for (guint i = 0; i < policy->allowed->len; i++)
    if (g_inet_address_mask_matches(policy->allowed->pdata[i], address))
      return TRUE;
  return FALSE;
}

static gboolean allows(const FetchPolicy *policy, GInetAddress *address) {
  g_autoptr(GInetAddress) inside = address_inside(address);
  return address_public(address) || operator_allows(policy, address) ||
         (inside && operator_allows(policy, inside));
}

gboolean fetch_policy_allows(const FetchPolicy *policy, const char *text) {
  g_autoptr(GInetAddress) address = g_inet_address_new_from_string(text);
  return address && allows(policy, address);
}

/* --- URLs --- */

static gboolean check_parts(CURLU *parts, GError **error) {
  char *scheme = NULL, *host = NULL;
  gboolean plain = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                   (g_str_equal(scheme, "http") || g_str_equal(scheme, "https"));
  gboolean named = curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host;
  curl_free(scheme);
  curl_free(host);
  if (!plain)
    return fault(error, FAULT_INPUT, "only http:// and https:// addresses can be fetched.");
  return named || fault(error, FAULT_INPUT, "the address names no host.");
}

gboolean fetch_url_check(const char *url, GError **error) {
  gsize length = strlen(url);
  if (length == 0)
    return fault(error, FAULT_INPUT, "the address is empty.");
  if (length > MAX_URL)
    return fault(error, FAULT_INPUT, "the address has %zu characters; at most %d are allowed.", length,
                 MAX_URL);
  for (const char *c = url; *c; c++)
    if ((guchar)*c <= ' ' || (guchar)*c >= 127)
      return fault(error, FAULT_INPUT,
                   "the address holds a space or a character that must be written as %%XX.");
  const char *host = strstr(url, "://");
  if (host && host[3] == '/') /* libcurl would take the first part of the path for it */
    return fault(error, FAULT_INPUT, "the address names no host.");
  CURLU *parts = curl_url();
  CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME);
  gboolean good = FALSE;
  if (code == CURLUE_USER_NOT_ALLOWED)
    fault(error, FAULT_INPUT, "the address holds a name or password, which are not sent. Leave them out.");
  else if (code != CURLUE_OK)
    fault(error, FAULT_INPUT, "the address is not a URL (%s).", curl_url_strerror(code));
  else
    good = check_parts(parts, error);
  curl_url_cleanup(parts);
  return good;
}

/* --- one transfer --- */

typedef struct {
  const FetchPolicy *policy;
  CURL *curl;
  char problem[CURL_ERROR_SIZE];
  char *refused; /* the last address that was refused */
  /* of a download */
  int fd;
  gint64 bytes, most;
  Checksum *checksum;
  int write_error;
  gboolean too_large;
} Transfer;

static void transfer_clear(Transfer *transfer) {
  if (transfer->curl)
    curl_easy_cleanup(transfer->curl);
  g_free(transfer->refused);
  if (transfer->fd >= 0)
    close(transfer->fd);
  checksum_free(transfer->checksum);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Transfer, transfer_clear)

static GInetAddress *address_of(const struct curl_sockaddr *given) {
  const struct sockaddr *any = &given->addr;
  if (given->family == AF_INET)
    return g_inet_address_new_from_bytes(
        (const guint8 *)&((const struct sockaddr_in *)(const void *)any)->sin_addr, G_SOCKET_FAMILY_IPV4);
  if (given->family == AF_INET6)
    return g_inet_address_new_from_bytes(
        (const guint8 *)&((const struct sockaddr_in6 *)(const void *)any)->sin6_addr, G_SOCKET_FAMILY_IPV6);
  return NULL;
}

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *given) {
  Transfer *transfer = user;
  g_autoptr(GInetAddress) address = address_of(given);
  if (purpose == CURLSOCKTYPE_IPCXN && address && allows(transfer->policy, address))
    return socket(given->family, given->socktype | SOCK_CLOEXEC, given->protocol);
  g_free(transfer->refused);
  transfer->refused = address ? g_inet_address_to_string(address) : g_strdup("?");
  return CURL_SOCKET_BAD;
}

static gboolean prepare(Transfer *transfer, const char *url, gint64 seconds, GError **error) {
  CURL *curl = transfer->curl = curl_easy_init();
  if (!curl)
    return fault(error, FAULT_INTERNAL, "libcurl cannot start.");
  int bad = 0;
  bad |= curl_easy_setopt(curl, CURLOPT_URL, url);
  bad |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  bad |= curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  bad |= curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  bad |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
  bad |= curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  bad |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  bad |= curl_easy_setopt(curl, CURLOPT_USERAGENT, AGENT);
  bad |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)MIN(seconds, CONNECT_SECONDS));
  bad |= curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)seconds);
  bad |= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->problem);
  bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
  return !bad || fault(error, FAULT_INTERNAL, "libcurl lacks something that is needed for safe transfers.");
}

static long status_of(const Transfer *transfer) {
  long status = 0;
  curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

/* One sentence for what libcurl says. */
static gboolean failed(const Transfer *transfer, CURLcode code, GError **error) {
  if (code == CURLE_UNSUPPORTED_PROTOCOL && status_of(transfer) / 100 != 3)
    code = CURLE_WEIRD_SERVER_REPLY; /* libcurl's word for what is not HTTP, too */
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
    return fault(error, FAULT_INPUT, "The host of the address is not known.");
  case CURLE_COULDNT_CONNECT:
    if (transfer->refused)
      return fault(error, FAULT_INPUT,
                   "The address leads to a network that is not public; such addresses are not fetched.");
    return fault(error, FAULT_INPUT, "The host of the address cannot be reached.");
  case CURLE_TOO_MANY_REDIRECTS:
    return fault(error, FAULT_INPUT, "The address redirects more than %d times.", MAX_REDIRECTS);
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_URL_MALFORMAT:
  case CURLE_LOGIN_DENIED:
    return fault(error, FAULT_INPUT,
                 "The address redirects to one that is not fetched: only plain http:// "
                 "and https:// addresses without a name and password are.");
  case CURLE_OPERATION_TIMEDOUT:
    return fault(error, FAULT_INPUT, "The host of the address answers too slowly.");
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CONNECT_ERROR:
    return fault(error, FAULT_INPUT, "The host of the address has no valid certificate (%s).",
                 transfer->problem);
  default:
    return fault(error, FAULT_INPUT, "The transfer broke off (%s).",
                 *transfer->problem ? transfer->problem : curl_easy_strerror(code));
  }
}

/* --- getting --- */

static size_t take_bytes(char *data, size_t size, size_t count, void *user) {
  Transfer *transfer = user;
  gsize length = size * count;
  if (status_of(transfer) != 200)
    return 0; /* nobody wants to see the page that says why */
  transfer->bytes += (gint64)length;
  if ((transfer->too_large = transfer->bytes > transfer->most))
    return 0;
  checksum_update(transfer->checksum, data, length);
  if ((transfer->write_error = files_write(transfer->fd, data, length)))
    return 0;
  return length;
}

static gboolean get(Transfer *transfer, const FetchLimits *limits, GError **error) {
  CURL *curl = transfer->curl;
  transfer->most = limits->bytes;
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS);
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)limits->bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
  CURLcode code = curl_easy_perform(curl);
  long status = status_of(transfer);
  if (transfer->write_error)
    return fault(error, FAULT_STORE, "The download cannot be stored: %s.", g_strerror(transfer->write_error));
  if (transfer->too_large || code == CURLE_FILESIZE_EXCEEDED)
    return fault(error, FAULT_LIMIT, "The file at the address is larger than %.0f MB. Make it smaller.",
                 (double)limits->bytes / 1e6);
  if (status != 200 && (code == CURLE_OK || code == CURLE_WRITE_ERROR))
    return fault(error, FAULT_INPUT, "The host of the address answers with status %ld instead of the file.",
                 status);
  return code == CURLE_OK || failed(transfer, code, error);
}

/* "Image/PNG; charset=x" -> "image/png" */
static char *content_type(const Transfer *transfer) {
  const char *type = NULL;
  curl_easy_getinfo(transfer->curl, CURLINFO_CONTENT_TYPE, &type);
  char *plain = g_ascii_strdown(type ? type : "", -1);
  plain[strcspn(plain, ";")] = '\0';
  return g_strstrip(plain);
}

void fetched_clear(Fetched *fetched) {
  g_clear_pointer(&fetched->sha256, g_free);
  g_clear_pointer(&fetched->content_type, g_free);
}

gboolean fetch_file(const char *url, const char *path, const FetchPolicy *policy, const FetchLimits *limits,
                    Fetched *fetched, GError **error) {
  if (!fetch_url_check(url, error))
    return FALSE;
  g_auto(Transfer) transfer = {.policy = policy, .fd = -1, .checksum = checksum_new()};
  if (!prepare(&transfer, url, limits->seconds, error))
    return FALSE;
  transfer.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (transfer.fd < 0)
    return fault(error, FAULT_STORE, "The download cannot be stored: %s.", g_strerror(errno));
  if (!get(&transfer, limits, error)) {
    g_unlink(path);
    return FALSE;
  }
  *fetched = (Fetched){.bytes = transfer.bytes,
                       .sha256 = checksum_hex(transfer.checksum),
                       .content_type = content_type(&transfer)};
  return TRUE;
}

/* --- posting --- */

static size_t drop_bytes(char *data, size_t size, size_t count, void *user) {
  Transfer *transfer = user;
  transfer->bytes += (gint64)(size * count);
  return transfer->bytes > MAX_ANSWER ? 0 : size * count;
}

gboolean fetch_post(const char *url, const char *const *headers, const char *body, const FetchPolicy *policy,
                    gint64 seconds, long *status, GError **error) {
  if (!fetch_url_check(url, error))
    return FALSE;
  g_auto(Transfer) transfer = {.policy = policy, .fd = -1};
  if (!prepare(&transfer, url, seconds, error))
    return FALSE;
  struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* do not ask before sending */
  for (; headers && *headers; headers++)
    list = curl_slist_append(list, *headers);
  curl_easy_setopt(transfer.curl, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(transfer.curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
  curl_easy_setopt(transfer.curl, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(transfer.curl, CURLOPT_WRITEFUNCTION, drop_bytes);
  curl_easy_setopt(transfer.curl, CURLOPT_WRITEDATA, &transfer);
  CURLcode code = curl_easy_perform(transfer.curl);
  curl_slist_free_all(list);
  *status = status_of(&transfer);
  /* Its status is the answer; what it says beyond that is not waited for. */
  return *status >= 200 || code == CURLE_OK || failed(&transfer, code, error);
}
