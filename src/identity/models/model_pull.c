/* Paths come from a server and are names of files here: each part of one is checked. */
#include "identity/models/model_pull.h"
#include "identity/models/model_file.h"
#include "media/download.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>

#define LIST_MAX_BYTES (4 << 20)
#define FILES_MAX 200
#define FILE_MAX_BYTES ((gint64)1 << 40)
#define SPARE_BYTES ((gint64)64 << 20) /* that must be left on the disk */

const PublishedModel published_models[] = {
    {"flux2-klein-4b", "black-forest-labs/FLUX.2-klein-4B", "Apache-2.0", 16},
    {"flux2-klein-4b-base", "black-forest-labs/FLUX.2-klein-base-4B", "Apache-2.0", 16},
    {"flux2-klein-9b", "black-forest-labs/FLUX.2-klein-9B", "FLUX non-commercial", 35},
    {"flux2-klein-9b-base", "black-forest-labs/FLUX.2-klein-base-9B", "FLUX non-commercial", 35},
};
const gsize published_model_count = G_N_ELEMENTS(published_models);

/* What a Model needs of a repository; all else there (single files, examples) is left. */
static const char *const folders[] = {"transformer/", "text_encoder/", "tokenizer/", "vae/"};
static const char *const texts[] = {"LICENSE", "LICENSE.md", "README.md"};
static const char *const kinds[] = {".safetensors", ".json", ".txt", ".jinja", ".md"};

const PublishedModel *published_model(const char *name) {
  for (gsize i = 0; i < published_model_count; i++)
    if (g_str_equal(published_models[i].name, name))
      return &published_models[i];
  return NULL;
}

/* --- the list --- */

typedef struct {
  char *path, *sha256;
  gint64 bytes;
} Entry;

static void entry_free(gpointer data) {
  Entry *entry = data;
  g_free(entry->path);
  g_free(entry->sha256);
  g_free(entry);
}

static gboolean is_plain(const char *path) {
  for (const char *c = path; *c; c++)
    if (!g_ascii_isalnum(*c) && !strchr("._-/", *c))
      return FALSE;
  g_auto(GStrv) parts = g_strsplit(path, "/", -1);
  for (char **part = parts; *part; part++)
    if (!**part || **part == '.')
      return FALSE;
  return TRUE;
}

static gboolean is_needed(const char *path) {
  gboolean inside = FALSE, kind = FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS(folders); i++)
    inside = inside || g_str_has_prefix(path, folders[i]);
  for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
    kind = kind || g_str_has_suffix(path, kinds[i]);
  return (inside && kind) || g_str_equal(path, MODEL_FILE_DIFFUSERS) || g_strv_contains(texts, path);
}

static Entry *entry_new(json_t *object) {
  const char *path = json_string_value(json_object_get(object, "path"));
  json_t *size = json_object_get(object, "size");
  const char *sha256 = json_string_value(json_object_get(json_object_get(object, "lfs"), "oid"));
  if (!path || !is_needed(path) || !is_plain(path) || !json_is_integer(size) ||
      json_integer_value(size) < 0 || json_integer_value(size) > FILE_MAX_BYTES)
    return NULL;
  Entry *entry = g_new0(Entry, 1);
  entry->path = g_strdup(path);
  entry->bytes = json_integer_value(size);
  if (sha256 && g_str_has_prefix(sha256, "sha256:"))
    sha256 += strlen("sha256:");
  entry->sha256 = sha256 && strlen(sha256) == 64 ? g_strdup(sha256) : NULL;
  return entry;
}

static gint compare_entries(gconstpointer a, gconstpointer b) {
  const Entry *x = *(Entry *const *)a, *y = *(Entry *const *)b;
  gboolean last_x = g_str_equal(x->path, MODEL_FILE_DIFFUSERS),
           last_y = g_str_equal(y->path, MODEL_FILE_DIFFUSERS);
  return last_x != last_y ? last_x - last_y : strcmp(x->path, y->path);
}

static GPtrArray *read_list(const char *url, GError **error) {
  g_autofree char *text = download_text(url, LIST_MAX_BYTES, error);
  if (!text)
    return NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(entry_free);
  json_t *array = json_loads(text, 0, NULL), *object;
  gsize i;
  gboolean whole = FALSE;
  json_array_foreach(array, i, object) {
    Entry *entry = list->len < FILES_MAX ? entry_new(object) : NULL;
    if (!entry)
      continue;
    whole = whole || g_str_equal(entry->path, MODEL_FILE_DIFFUSERS);
    g_ptr_array_add(list, entry);
  }
  json_decref(array);
  if (!whole)
    return fault_null(error, FAULT_INPUT, "%s does not list a model's files.", url);
  g_ptr_array_sort(list, compare_entries);
  return g_steal_pointer(&list);
}

/* --- fetching --- */

typedef struct {
  Progress *progress;
  const char *file;
  gint64 before, all; /* bytes of the files before this one; of all */
} Telling;

static gboolean tell(gint64 bytes, gpointer user) {
  const Telling *telling = user;
  g_autofree char *stage =
      g_strdup_printf("Fetching %s, %.2f of %.2f GB", telling->file, (double)(telling->before + bytes) / 1e9,
                      (double)telling->all / 1e9);
  progress_report(telling->progress, stage, (telling->before + bytes) >> 10, MAX(1, telling->all >> 10));
  return progress_continue(telling->progress, NULL);
}

static gint64 size_of(const char *path) {
  GStatBuf facts;
  return g_stat(path, &facts) == 0 ? (gint64)facts.st_size : 0;
}

static gint64 bytes_left(const GPtrArray *list, const char *folder) {
  gint64 left = 0;
  for (guint i = 0; i < list->len; i++) {
    const Entry *entry = list->pdata[i];
    g_autofree char *path = g_build_filename(folder, entry->path, NULL),
                    *part = g_strconcat(path, ".part", NULL);
    gint64 there = MAX(size_of(path), size_of(part));
    left += MAX(0, entry->bytes - there);
  }
  return left;
}

static gboolean check_room(const GPtrArray *list, const char *folder, GError **error) {
  gint64 left = bytes_left(list, folder), room = download_room(folder);
  if (room < 0 || left + SPARE_BYTES <= room)
    return TRUE;
  return fault(
      error, FAULT_LIMIT,
      "%.1f GB are still to be fetched and %s has room for %.1f GB. Make room, or name another folder "
      "with --models.",
      (double)left / 1e9, folder, (double)room / 1e9);
}

static gboolean fetch_all(const GPtrArray *list, const char *base, const char *folder, Progress *progress,
                          GError **error) {
  Telling telling = {.progress = progress};
  for (guint i = 0; i < list->len; i++)
    telling.all += ((const Entry *)list->pdata[i])->bytes;
  for (guint i = 0; i < list->len; i++) {
    const Entry *entry = list->pdata[i];
    g_autofree char *path = g_build_filename(folder, entry->path, NULL), *parent = g_path_get_dirname(path);
    g_autofree char *url = g_strconcat(base, entry->path, NULL);
    if (g_mkdir_with_parents(parent, 0777) != 0)
      return fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", parent, g_strerror(errno));
    telling.file = entry->path;
    const Download download = {url, path, entry->bytes, entry->sha256};
    if (!download_file(&download, tell, &telling, error))
      return FALSE;
    telling.before += entry->bytes;
  }
  return TRUE;
}

/* --- the whole --- */

static gboolean unknown(const char *name, GError **error) {
  g_autoptr(GString) known = g_string_new(NULL);
  for (gsize i = 0; i < published_model_count; i++)
    g_string_append_printf(known, "%s%s", i ? ", " : "", published_models[i].name);
  return fault(error, FAULT_USAGE, "there is no model \"%s\" to pull; known are %s.", name, known->str);
}

gboolean model_pull(const char *name, const char *from, const char *into, char **folder, Progress *progress,
                    GError **error) {
  const PublishedModel *model = published_model(name);
  if (!model)
    return unknown(name, error);
  if (from && !g_str_has_prefix(from, "https://") && !g_str_has_prefix(from, "http://"))
    return fault(error, FAULT_USAGE, "--from is an address, https://…, not \"%s\".", from);
  g_autofree char *hub = g_strdup(from ? from : MODEL_HUB);
  while (g_str_has_suffix(hub, "/"))
    hub[strlen(hub) - 1] = '\0';
  g_autofree char *list_url =
      g_strdup_printf("%s/api/models/%s/tree/main?recursive=true", hub, model->repository);
  g_autofree char *base = g_strdup_printf("%s/%s/resolve/main/", hub, model->repository);
  g_autofree char *place = into && *into
                               ? g_build_filename(into, name, NULL)
                               : g_build_filename(g_get_user_data_dir(), "troupe", "models", name, NULL);
  progress_report(progress, "Asking what there is", 0, 0);
  g_autoptr(GPtrArray) list = read_list(list_url, error);
  if (!list)
    return FALSE;
  if (g_mkdir_with_parents(place, 0777) != 0)
    return fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", place, g_strerror(errno));
  if (!check_room(list, place, error) || !fetch_all(list, base, place, progress, error))
    return FALSE;
  *folder = g_steal_pointer(&place);
  return TRUE;
}
