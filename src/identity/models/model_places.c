/* Finds models by name. */
#include "identity/models/model_file.h"

#include <string.h>

static GPtrArray *places(const char *folder) {
  GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
  if (folder && *folder) {
    g_ptr_array_add(list, g_strdup(folder));
    return list;
  }
  const char *named = g_getenv("TROUPE_MODELS");
  if (named && *named)
    g_ptr_array_add(list, g_strdup(named));
  g_ptr_array_add(list, g_build_filename(g_get_user_data_dir(), "troupe", "models", NULL));
  g_ptr_array_add(list, g_strdup(INSTALLED_MODELS));
  g_ptr_array_add(list, g_strdup(SOURCE_MODELS));
  return list;
}

static gint compare_names(gconstpointer a, gconstpointer b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *model_list(const char *folder) {
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GPtrArray) list = places(folder);
  for (guint i = 0; i < list->len; i++) {
    g_autoptr(GDir) dir = g_dir_open(list->pdata[i], 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
      g_autofree char *path = g_build_filename(list->pdata[i], name, NULL);
      if (model_file_is(path) && !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
        g_ptr_array_add(names, g_strdup(name));
    }
  }
  g_ptr_array_sort(names, compare_names);
  return names;
}

static char *names_in_words(const char *folder) {
  g_autoptr(GPtrArray) names = model_list(folder);
  if (!names->len)
    return g_strdup("none is installed");
  g_ptr_array_add(names, NULL);
  g_autofree char *joined = g_strjoinv(", ", (char **)names->pdata);
  return g_strdup_printf("there is %s", joined);
}

char *model_find(const char *name, const char *folder, GError **error) {
  if (model_file_is(name))
    return g_strdup(name);
  g_autoptr(GPtrArray) list = places(folder);
  for (guint i = 0; i < list->len && !strchr(name, '/'); i++) {
    g_autofree char *path = g_build_filename(list->pdata[i], name, NULL);
    if (model_file_is(path))
      return g_steal_pointer(&path);
  }
  g_autofree char *known = names_in_words(folder);
  return fault_null(error, FAULT_USAGE, "There is no model \"%s\"; %s.", name, known);
}
