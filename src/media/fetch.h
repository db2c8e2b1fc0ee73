/* Downloads from URLs that strangers name, and posts to them.
 *
 * Only http and https; at most 5 redirects; limits on bytes, on the time in all and on slowness. Every
 * address that a connection is really made to (after resolving, after each redirect) is checked: private,
 * loopback, link-local (with the metadata services'), multicast, unspecified, documentation and carrier-grade
 * ranges are refused, IPv4 inside IPv6 included, unless the operator allows a network. */
#pragma once
#include "base/fault.h"
#include <glib.h>

typedef struct FetchPolicy FetchPolicy;
/* allow: "10.0.0.0/8,127.0.0.0/8,::1/128", or NULL. FAULT_USAGE names what cannot be read. */
FetchPolicy *fetch_policy_new(const char *allow, GError **error);
void fetch_policy_free(FetchPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FetchPolicy, fetch_policy_free)
/* Whether a connection to this address (text, IPv4 or IPv6) may be made. */
gboolean fetch_policy_allows(const FetchPolicy *policy, const char *address);

typedef struct {
  gint64 bytes;   /* at most */
  gint64 seconds; /* in all */
} FetchLimits;

typedef struct {
  gint64 bytes;
  char *sha256;       /* hex */
  char *content_type; /* as the server says, lower case, without parameters; "" when it says nothing */
} Fetched;
void fetched_clear(Fetched *fetched);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fetched, fetched_clear)

/* GET to a new file at path, flat in memory. FAULT_INPUT: not a URL, refused address, too many redirects, a
 * status other than 200, cannot connect, too slow; FAULT_LIMIT: too large; FAULT_STORE: the file cannot be
 * written. No file is left on failure. */
gboolean fetch_file(const char *url, const char *path, const FetchPolicy *policy, const FetchLimits *limits,
                    Fetched *fetched, GError **error);

/* POST of a body; redirects are not followed. headers: "Name: value" lines, NULL at the end. status: of the
 * answer. FAULT_INPUT when there was no answer. */
gboolean fetch_post(const char *url, const char *const *headers, const char *body, const FetchPolicy *policy,
                    gint64 seconds, long *status, GError **error);
/* Whether it looks like a URL that fetch_file would try: scheme, host, length (at most 2048). FAULT_INPUT
 * says what is wrong. */
gboolean fetch_url_check(const char *url, GError **error);
