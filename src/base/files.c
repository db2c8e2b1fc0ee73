#include "base/files.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

void files_remove_tree(const char *path) {
  if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK) && g_file_test(path, G_FILE_TEST_IS_DIR)) {
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
      g_autofree char *child = g_build_filename(path, name, NULL);
      files_remove_tree(child);
    }
    g_rmdir(path);
    return;
  }
  g_unlink(path);
}

char *files_draft(const char *folder, GError **error) {
  g_autofree char *absolute = g_canonicalize_filename(folder, NULL);
  g_autofree char *parent = g_path_get_dirname(absolute), *name = g_path_get_basename(absolute);
  if (g_file_test(absolute, G_FILE_TEST_EXISTS)) {
    g_autoptr(GDir) dir = g_dir_open(absolute, 0, NULL);
    if (!dir || g_dir_read_name(dir))
      return fault_null(error, FAULT_OUTPUT, "%s exists already. Choose another name or remove it first.", folder);
  }
  g_autofree char *draft = g_strdup_printf("%s/.%s.XXXXXX", parent, name);
  if (!g_mkdtemp(draft))
    return fault_null(error, FAULT_OUTPUT, "%s cannot be made: %s.", folder, g_strerror(errno));
  return g_steal_pointer(&draft);
}

gboolean files_publish(const char *draft, const char *folder, GError **error) {
  g_autofree char *absolute = g_canonicalize_filename(folder, NULL);
  g_chmod(draft, 0755); /* g_mkdtemp makes it private */
  if (g_rename(draft, absolute) != 0)
    return fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", folder, g_strerror(errno));
  return TRUE;
}

char *files_title(const char *path) {
  g_autofree char *absolute = g_canonicalize_filename(path, NULL);
  char *title = g_path_get_basename(absolute);
  char *dot = strrchr(title, '.');
  if (dot && dot != title)
    *dot = 0;
  return title;
}
