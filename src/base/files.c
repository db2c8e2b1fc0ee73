#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
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

int files_write(int fd, const void *data, gsize length) {
  for (const char *at = data; length > 0;) {
    ssize_t n = write(fd, at, length);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? errno : ENOSPC;
    at += n;
    length -= (gsize)n;
  }
  return 0;
}

/* The kernel shares the blocks where the file system can. */
static gboolean copy_bytes(int from, int to, gint64 bytes) {
  while (bytes > 0) {
    ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)bytes, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) /* shorter than it said it was: somebody changes it */
      return FALSE;
    bytes -= n;
  }
  return TRUE;
}

gboolean files_copy(const char *from, const char *to, gint64 most, GError **error) {
  struct stat status;
  int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (in < 0 || fstat(in, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > most) {
    if (in >= 0)
      close(in);
    return fault(error, FAULT_INPUT, "%s is not there, or no file that can be copied.", from);
  }
  int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  gboolean good = out >= 0 && copy_bytes(in, out, status.st_size);
  if (!good)
    fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", to, g_strerror(errno));
  close(in);
  if (out >= 0)
    close(out);
  if (!good)
    g_unlink(to);
  return good;
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
