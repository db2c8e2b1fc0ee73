/* The time of last use is the file's time of change, set anew when it is read. Putting adds up the folder and
 * removes the oldest until the rest fits; of two of the same time the one whose name comes first. Only files
 * that have the form of the cache's own names are counted or touched. */
#include "identity/text/prompt_cache.h"

#include "base/checksum.h"
#include "tensor/safetensors.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <utime.h>

#define SUFFIX ".safetensors"
#define HASH_DIGITS 64
#define DRAFTS_KEPT_S 3600 /* a draft that is older was left by a process that died */

struct PromptCache {
  char *folder;
  gint64 limit;
};

PromptCache *prompt_cache_open(const char *folder, gint64 limit, GError **error) {
  if (g_mkdir_with_parents(folder, 0755) != 0)
    return fault_null(error, FAULT_OUTPUT, "%s cannot be made: %s.", folder, g_strerror(errno));
  PromptCache *cache = g_new0(PromptCache, 1);
  cache->folder = g_strdup(folder);
  cache->limit = limit;
  return cache;
}

void prompt_cache_free(PromptCache *cache) {
  if (!cache)
    return;
  g_free(cache->folder);
  g_free(cache);
}

/* The lengths keep "a" + "bc" and "ab" + "c" apart. */
static char *place_of(const PromptCache *cache, const char *model, const char *prompt) {
  const guint64 lengths[2] = {GUINT64_TO_LE(strlen(model)), GUINT64_TO_LE(strlen(prompt))};
  g_autoptr(Checksum) checksum = checksum_new();
  checksum_update(checksum, lengths, sizeof lengths);
  checksum_update(checksum, model, strlen(model));
  checksum_update(checksum, prompt, strlen(prompt));
  g_autofree char *hex = checksum_hex(checksum);
  g_autofree char *name = g_strconcat(hex, SUFFIX, NULL);
  return g_build_filename(cache->folder, name, NULL);
}

gboolean prompt_cache_get(PromptCache *cache, const char *model, const char *prompt, gint64 length,
                          gint64 width, float *features) {
  g_autofree char *path = place_of(cache, model, prompt);
  if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return FALSE;
  g_autoptr(Safetensors) file = safetensors_open(path, NULL);
  gint64 shape[2] = {length, width};
  const void *data = file ? safetensors_get(file, "features", DTYPE_F32, shape, 2, NULL) : NULL;
  if (!data)
    return FALSE;
  memcpy(features, data, (gsize)length * (gsize)width * sizeof *features);
  utime(path, NULL); /* it may be read-only: then it only looks older than it is */
  return TRUE;
}

/* --- the limit --- */

typedef struct {
  char *path;
  gint64 bytes;
  gint64 used_us;
} Entry;

static void entry_clear(gpointer data) {
  g_free(((Entry *)data)->path);
}

static gint compare_entries(gconstpointer a, gconstpointer b) {
  const Entry *p = a, *q = b;
  return p->used_us != q->used_us ? (p->used_us < q->used_us ? -1 : 1) : strcmp(p->path, q->path);
}

/* 64 hex digits and the suffix; *draft: a file that is being written under such a name. */
static gboolean is_own(const char *name, gboolean *draft) {
  if (strspn(name, "0123456789abcdef") != HASH_DIGITS || !g_str_has_prefix(name + HASH_DIGITS, SUFFIX))
    return FALSE;
  const char *rest = name + HASH_DIGITS + strlen(SUFFIX);
  *draft = *rest != 0;
  return !*rest || *rest == '.';
}

static GArray *entries_of(const PromptCache *cache, gint64 *bytes) {
  GArray *entries = g_array_new(FALSE, FALSE, sizeof(Entry));
  g_array_set_clear_func(entries, entry_clear);
  g_autoptr(GDir) dir = g_dir_open(cache->folder, 0, NULL);
  *bytes = 0;
  for (const char *name; dir && (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(cache->folder, name, NULL);
    GStatBuf about;
    gboolean draft;
    if (!is_own(name, &draft) || g_lstat(path, &about) != 0 || !S_ISREG(about.st_mode))
      continue;
    gint64 used_us = (gint64)about.st_mtim.tv_sec * G_USEC_PER_SEC + about.st_mtim.tv_nsec / 1000;
    if (draft && g_get_real_time() - used_us > (gint64)DRAFTS_KEPT_S * G_USEC_PER_SEC)
      g_unlink(path);
    if (draft)
      continue;
    Entry entry = {g_steal_pointer(&path), about.st_size, used_us};
    g_array_append_val(entries, entry);
    *bytes += about.st_size;
  }
  g_array_sort(entries, compare_entries);
  return entries;
}

static void keep_limit(const PromptCache *cache, const char *newest) {
  gint64 bytes;
  g_autoptr(GArray) entries = entries_of(cache, &bytes);
  for (guint i = 0; i < entries->len && bytes > cache->limit; i++) {
    const Entry *entry = &g_array_index(entries, Entry, i);
    if (!g_str_equal(entry->path, newest) && g_unlink(entry->path) == 0)
      bytes -= entry->bytes;
  }
}

/* Written under a name of its own, since two processes may encode the same prompt, then renamed. */
gboolean prompt_cache_put(PromptCache *cache, const char *model, const char *prompt, gint64 length,
                          gint64 width, const float *features, GError **error) {
  g_return_val_if_fail(length > 0 && width > 0, FALSE);
  if (length > cache->limit / (gint64)sizeof(float) / width)
    return TRUE;
  g_autofree char *path = place_of(cache, model, prompt);
  g_autofree char *draft = g_strconcat(path, ".XXXXXX", NULL);
  int handle = g_mkstemp(draft);
  if (handle < 0 || !g_close(handle, NULL))
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", cache->folder, g_strerror(errno));
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_add(writer, "features", DTYPE_F32, (const gint64[]){length, width}, 2, features);
  if (!safetensors_write(writer, draft, error)) {
    g_unlink(draft);
    return FALSE;
  }
  if (g_rename(draft, path) != 0) {
    int reason = errno;
    g_unlink(draft);
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, g_strerror(reason));
  }
  keep_limit(cache, path);
  return TRUE;
}
