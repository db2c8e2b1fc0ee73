/* A draft of an object is a hard link: the same file under another name on the same disk. Putting it again
 * finds the object there and makes it young, so that no sweep takes it before it is held. */
#include "app/inputs/drafts.h"

#include "app/inputs/uploads.h"
#include "app/links.h"
#include "base/checksum.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void draft_file_free(DraftFile *draft) {
  if (!draft)
    return;
  if (draft->path)
    g_unlink(draft->path);
  g_free(draft->path);
  g_free(draft->hash);
  g_free(draft);
}

InputSource draft_source(const DraftFile *draft, const char *field) {
  return (InputSource){.field = field, .path = draft->path, .hash = draft->hash, .bytes = draft->bytes};
}

static char *hash_of(gconstpointer bytes, gsize length) {
  g_autoptr(Checksum) checksum = checksum_new();
  checksum_update(checksum, bytes, length);
  return checksum_hex(checksum);
}

static DraftFile *write_draft(App *app, gconstpointer bytes, gsize length, GError **error) {
  g_autoptr(DraftFile) draft = g_new0(DraftFile, 1);
  g_autoptr(GError) problem = NULL;
  draft->path = objects_draft(app->objects, error);
  if (!draft->path)
    return NULL;
  if (!g_file_set_contents_full(draft->path, bytes, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0644, &problem))
    return fault_null(error, FAULT_STORE, "%s", problem->message);
  draft->hash = hash_of(bytes, length);
  draft->bytes = (gint64)length;
  return g_steal_pointer(&draft);
}

/* --- data URIs (RFC 2397) --- */

static gboolean base64_is_plain(const char *text, gsize length) {
  gsize padding = 0;
  for (gsize i = 0; i < length; i++) {
    if (text[i] == '=')
      padding++;
    else if (padding || !(g_ascii_isalnum(text[i]) || text[i] == '+' || text[i] == '/'))
      return FALSE;
  }
  return length > 0 && length % 4 == 0 && padding <= 2;
}

static gboolean refuse_data(const char *field, GError **error) {
  return refuse(error, REFUSAL_INVALID,
                "%s is not a data URI that can be read. Send data:image/png;base64, and the file in base64.",
                field);
}

DraftFile *draft_of_data(App *app, const char *field, const char *uri, gint64 most, GError **error) {
  const char *comma = strchr(uri, ',');
  if (!comma)
    return refuse_data(field, error), NULL;
  g_autofree char *head = g_ascii_strdown(uri, comma - uri);
  gsize length = strlen(comma + 1);
  if (length / 4 > (gsize)most / 3 + 1)
    return refuse_null(error, REFUSAL_TOO_LARGE,
                       "%s holds more than %" G_GINT64_FORMAT " bytes. Upload the file.", field, most);
  if (!g_str_has_suffix(head, ";base64")) {
    g_autoptr(GBytes) bytes = g_uri_unescape_bytes(comma + 1, -1, NULL, NULL);
    return bytes ? write_draft(app, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), error)
                 : (refuse_data(field, error), NULL);
  }
  if (!base64_is_plain(comma + 1, length))
    return refuse_data(field, error), NULL;
  gsize count = 0;
  g_autofree guchar *bytes = g_base64_decode(comma + 1, &count);
  return write_draft(app, bytes, count, error);
}

/* --- objects --- */

/* Of a file in the store: an object, or one inside of it. hash NULL: not known. */
static DraftFile *draft_of_path(App *app, const char *path, const char *hash, GError **error) {
  struct stat info;
  g_autoptr(DraftFile) draft = g_new0(DraftFile, 1);
  g_autofree char *name = objects_draft(app->objects, error);
  if (!name)
    return NULL;
  if (link(path, name) != 0 || g_stat(name, &info) != 0)
    return fault_null(error, FAULT_STORE, "%s cannot be named anew: %s.", path, g_strerror(errno));
  draft->path = g_steal_pointer(&name);
  draft->bytes = info.st_size;
  draft->hash = hash ? g_strdup(hash) : checksum_file(draft->path, NULL, error);
  return draft->hash ? g_steal_pointer(&draft) : NULL;
}

DraftFile *draft_of_object(App *app, const char *object, GError **error) {
  g_autofree char *path = objects_path(app->objects, object, error);
  return path ? draft_of_path(app, path, object, error) : NULL;
}

/* --- addresses of this server --- */

static gboolean gone(const char *field, GError **error) {
  return refuse(error, REFUSAL_URL,
                "%s is an address of this server that is good no longer. Ask for a fresh one.", field);
}

/* local: path and query. */
static gboolean draft_of_link(App *app, const char *field, const char *local, DraftFile **draft,
                              GError **error) {
  g_autofree char *object = NULL, *inside = NULL, *plain = g_strndup(local, strcspn(local, "?"));
  const char *query = strchr(local, '?');
  g_autoptr(GHashTable) words =
      query ? g_uri_parse_params(query + 1, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
  gboolean expired;
  if (!words || !link_check(app, plain, g_hash_table_lookup(words, "expires"),
                            g_hash_table_lookup(words, "signature"), &object, &inside, &expired))
    return gone(field, error);
  g_autofree char *folder = objects_path(app->objects, object, NULL);
  g_autofree char *path = folder && inside ? g_build_filename(folder, inside, NULL) : g_strdup(folder);
  if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return gone(field, error);
  return (*draft = draft_of_path(app, path, inside ? NULL : object, error)) != NULL;
}

gboolean draft_of_address(App *app, const char *field, const char *url, DraftFile **draft, GError **error) {
  const char *host = app->settings->public_url;
  *draft = NULL;
  if (!host || !g_str_has_prefix(url, host))
    return TRUE;
  const char *local = url + strlen(host);
  if (g_str_has_prefix(local, "/files/"))
    return draft_of_link(app, field, local, draft, error);
  if (!g_str_has_prefix(local, UPLOAD_ROOT))
    return TRUE;
  const char *rest = local + strlen(UPLOAD_ROOT);
  g_autofree char *key = g_strndup(rest, strcspn(rest, "?#")), *type = NULL;
  g_autofree char *object = upload_read(app, key, &type, NULL);
  return object ? (*draft = draft_of_object(app, object, error)) != NULL : gone(field, error);
}
