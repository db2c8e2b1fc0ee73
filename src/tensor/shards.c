/* One table from names to tensors, filled from every file that the index lists. */
#include "tensor/shards.h"

#include <jansson.h>
#include <string.h>

#define SHARDS_MAX 1000 /* files of one network */

struct Shards {
  char *path;
  GPtrArray *files;    /* Safetensors * */
  GHashTable *tensors; /* const char * -> const SafetensorsTensor *, both of the files */
};

void shards_free(Shards *shards) {
  if (!shards)
    return;
  g_free(shards->path);
  g_hash_table_unref(shards->tensors);
  g_ptr_array_unref(shards->files);
  g_free(shards);
}

static gboolean add_file(Shards *shards, const char *path, GError **error) {
  Safetensors *file = safetensors_open(path, error);
  if (!file)
    return FALSE;
  g_ptr_array_add(shards->files, file);
  g_autoptr(GPtrArray) names = safetensors_names(file);
  for (guint i = 0; i < names->len; i++) {
    const char *name = names->pdata[i];
    if (!g_hash_table_insert(shards->tensors, (gpointer)name, (gpointer)safetensors_find(file, name)))
      return fault(error, FAULT_INPUT, "%s: tensor %s is also in another file of the network.", path, name);
  }
  return TRUE;
}

static gboolean is_plain_name(const char *name) {
  return name && *name && *name != '.' && !strchr(name, '/');
}

static gboolean add_listed(Shards *shards, const char *index_path, json_t *index, GError **error) {
  json_t *map = json_object_get(index, "weight_map");
  if (!json_is_object(map))
    return fault(error, FAULT_INPUT, "%s has no weight_map.", index_path);
  g_autoptr(GHashTable) opened = g_hash_table_new(g_str_hash, g_str_equal);
  const char *tensor;
  json_t *value;
  json_object_foreach(map, tensor, value) {
    const char *name = json_string_value(value);
    if (!is_plain_name(name))
      return fault(error, FAULT_INPUT, "%s: the file of tensor %s is not a plain name.", index_path, tensor);
    if (!g_hash_table_add(opened, (gpointer)name))
      continue;
    if (g_hash_table_size(opened) > SHARDS_MAX)
      return fault(error, FAULT_LIMIT, "%s names more than %d files.", index_path, SHARDS_MAX);
    g_autofree char *path = g_build_filename(shards->path, name, NULL);
    if (!add_file(shards, path, error))
      return FALSE;
  }
  json_object_foreach(map, tensor, value) if (!shards_find(shards, tensor)) return fault(
      error, FAULT_INPUT, "%s names tensor %s, but no file has it.", index_path, tensor);
  return TRUE;
}

static gboolean add_index(Shards *shards, const char *path, GError **error) {
  json_error_t problem;
  json_t *index = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
  if (!index)
    return fault(error, FAULT_INPUT, "%s is damaged: %s.", path, problem.text);
  gboolean good = add_listed(shards, path, index, error);
  json_decref(index);
  return good;
}

/* The only file with this ending in the folder; NULL where there is none or several (count tells which). */
static char *only_file(const char *folder, const char *ending, int *count) {
  g_autofree char *found = NULL;
  *count = 0;
  GDir *entries = g_dir_open(folder, 0, NULL);
  const char *name;
  while (entries && (name = g_dir_read_name(entries)))
    if (*name != '.' && g_str_has_suffix(name, ending) && ++*count == 1)
      found = g_build_filename(folder, name, NULL);
  g_clear_pointer(&entries, g_dir_close);
  return *count == 1 ? g_steal_pointer(&found) : NULL;
}

static gboolean add_folder(Shards *shards, GError **error) {
  int count;
  g_autofree char *index = only_file(shards->path, ".safetensors.index.json", &count);
  if (index)
    return add_index(shards, index, error);
  if (count > 1)
    return fault(error, FAULT_INPUT, "%s has several indices of shards; name one network.", shards->path);
  g_autofree char *single = only_file(shards->path, ".safetensors", &count);
  if (single)
    return add_file(shards, single, error);
  if (count > 1)
    return fault(error, FAULT_INPUT, "%s has several safetensors files and no index of them.", shards->path);
  return fault(error, FAULT_INPUT, "%s has no safetensors file.", shards->path);
}

Shards *shards_open(const char *path, GError **error) {
  g_autoptr(Shards) shards = g_new0(Shards, 1);
  shards->path = g_strdup(path);
  shards->files = g_ptr_array_new_with_free_func((GDestroyNotify)safetensors_free);
  shards->tensors = g_hash_table_new(g_str_hash, g_str_equal);
  gboolean good =
      g_file_test(path, G_FILE_TEST_IS_DIR) ? add_folder(shards, error) : add_file(shards, path, error);
  return good ? g_steal_pointer(&shards) : NULL;
}

const char *shards_path(const Shards *shards) {
  return shards->path;
}

const SafetensorsTensor *shards_find(const Shards *shards, const char *name) {
  return g_hash_table_lookup(shards->tensors, name);
}

static gint compare_names(gconstpointer a, gconstpointer b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *shards_names(const Shards *shards) {
  GPtrArray *names = g_ptr_array_new();
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init(&iter, shards->tensors);
  while (g_hash_table_iter_next(&iter, &name, NULL))
    g_ptr_array_add(names, name);
  g_ptr_array_sort(names, compare_names);
  return names;
}

const char *shards_metadata(const Shards *shards, const char *key) {
  for (guint i = 0; i < shards->files->len; i++) {
    const char *value = safetensors_metadata(shards->files->pdata[i], key);
    if (value)
      return value;
  }
  return NULL;
}
