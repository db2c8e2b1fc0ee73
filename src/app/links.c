/* What is signed is the path with its percent signs undone, so it does not matter whether a server undid them
 * before or not: names are kept free of percent signs and of all that means something in a path. */
#include "app/links.h"

#include <stdlib.h>
#include <string.h>

#define ROOT "/files/"
#define DIGEST 32
#define NAME_MOST 200
#define PATH_MOST 2000

static void sign(const App *app, const char *path, const char *expires, guint8 digest[DIGEST]) {
  gsize length = DIGEST;
  g_autoptr(GHmac) hmac = g_hmac_new(G_CHECKSUM_SHA256, app->secret, sizeof app->secret);
  g_hmac_update(hmac, (const guchar *)path, (gssize)strlen(path));
  g_hmac_update(hmac, (const guchar *)"\n", 1);
  g_hmac_update(hmac, (const guchar *)expires, (gssize)strlen(expires));
  g_hmac_get_digest(hmac, digest, &length);
}

/* A file name for a path and for a disk: no separators, control characters or quotes, not too long. */
static char *clean_name(const char *name) {
  g_autofree char *valid = g_utf8_make_valid(name, -1);
  GString *clean = g_string_new(NULL);
  for (const char *c = valid; *c && clean->len < NAME_MOST; c = g_utf8_next_char(c)) {
    gunichar letter = g_utf8_get_char(c);
    if (g_unichar_iscntrl(letter) || (letter < 128 && strchr("/\\%?#\"<>|*:", (int)letter)))
      letter = '_';
    g_string_append_unichar(clean, letter);
  }
  if (!clean->len || clean->str[0] == '.')
    g_string_prepend_c(clean, '_');
  return g_string_free(clean, FALSE);
}

char *link_signature(const App *app, const char *subject, const char *expires) {
  guint8 digest[DIGEST];
  sign(app, subject, expires, digest);
  GString *hex = g_string_sized_new(2 * DIGEST);
  for (int i = 0; i < DIGEST; i++)
    g_string_append_printf(hex, "%02x", digest[i]);
  return g_string_free(hex, FALSE);
}

char *link_make(const App *app, const char *object, const char *inside, const char *name,
                gint64 expires_seconds) {
  g_autofree char *clean = clean_name(name);
  g_autofree char *path = inside ? g_strdup_printf(ROOT "%s/%s/%s", object, inside, clean)
                                 : g_strdup_printf(ROOT "%s/%s", object, clean);
  g_autofree char *expires = g_strdup_printf("%" G_GINT64_FORMAT, expires_seconds);
  g_autofree char *escaped = g_uri_escape_string(path, "/", FALSE);
  g_autofree char *signature = link_signature(app, path, expires);
  const char *host = app->settings->public_url ? app->settings->public_url : "";
  return g_strdup_printf("%s%s?expires=%s&signature=%s", host, escaped, expires, signature);
}

/* 64 hex digits against the digest; the time does not depend on where they differ. */
static gboolean digest_equals(const char *signature, const guint8 digest[DIGEST]) {
  guint8 different = 0;
  if (strlen(signature) != 2 * DIGEST)
    return FALSE;
  for (int i = 0; i < DIGEST; i++) {
    int high = g_ascii_xdigit_value(signature[2 * i]), low = g_ascii_xdigit_value(signature[2 * i + 1]);
    different |= (guint8)((high < 0) | (low < 0)) | (guint8)(((guint)high << 4 | (guint)low) ^ digest[i]);
  }
  return different == 0;
}

/* Digits alone, in the one form that link_make writes. */
static gboolean time_of(const char *expires, gint64 *seconds) {
  return *expires && g_ascii_string_to_signed(expires, 10, 0, G_MAXINT64, seconds, NULL) && *expires != '+';
}

/* "/files/OBJECT/INSIDE/NAME", where INSIDE may be missing or have several parts. */
static gboolean take_apart(const char *path, char **object, char **inside) {
  if (!g_str_has_prefix(path, ROOT))
    return FALSE;
  const char *rest = path + strlen(ROOT), *slash = strchr(rest, '/'), *last = strrchr(rest, '/');
  g_autofree char *id = slash ? g_strndup(rest, (gsize)(slash - rest)) : NULL;
  if (!id || !objects_id_valid(id) || !last[1])
    return FALSE;
  g_autofree char *within = last > slash ? g_strndup(slash + 1, (gsize)(last - slash - 1)) : NULL;
  g_auto(GStrv) parts = g_strsplit(within ? within : "x", "/", -1);
  for (char **part = parts; *part; part++)
    if (!**part || **part == '.')
      return FALSE;
  *object = g_steal_pointer(&id);
  *inside = g_steal_pointer(&within);
  return TRUE;
}

gboolean link_signature_good(const App *app, const char *subject, const char *expires, const char *signature,
                             gboolean *expired) {
  gint64 until = 0;
  guint8 digest[DIGEST];
  *expired = FALSE;
  if (!time_of(expires, &until))
    return FALSE;
  sign(app, subject, expires, digest);
  if (!digest_equals(signature, digest))
    return FALSE;
  *expired = until < g_get_real_time() / G_USEC_PER_SEC;
  return !*expired;
}

gboolean link_check(const App *app, const char *path, const char *expires, const char *signature,
                    char **object, char **inside, gboolean *expired) {
  *object = *inside = NULL;
  *expired = FALSE;
  if (!path || !expires || !signature || strlen(path) > PATH_MOST)
    return FALSE;
  g_autofree char *plain = g_uri_unescape_string(path, NULL);
  if (!plain)
    return FALSE;
  return link_signature_good(app, plain, expires, signature, expired) && take_apart(plain, object, inside);
}
