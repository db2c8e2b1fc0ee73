#include "media/temporary.h"
#include "media/av.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* Names may have 255 bytes; what is put around this one takes some. */
#define MAX_NAME "200"

char *temporary_create(const char *path, GError **error) {
  if (g_file_test(path, G_FILE_TEST_IS_DIR))
    return fault_null(error, FAULT_OUTPUT, "%s cannot be written: it is a folder.", path);
  g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
  g_autofree char *hidden = g_strdup_printf(".%." MAX_NAME "s.XXXXXX.part", name);
  g_autofree char *temporary = g_build_filename(folder, hidden, NULL);
  int fd = g_mkstemp_full(temporary, O_RDWR | O_CLOEXEC, 0666);
  if (fd < 0)
    return fault_null(error, FAULT_OUTPUT, "%s cannot be written into folder %s: %s.", name, folder,
                      g_strerror(errno));
  close(fd);
  return g_steal_pointer(&temporary);
}

gboolean temporary_broken(const char *path, int code, GError **error) {
  g_autofree char *why = av_text(code);
  const char *advice = "";
  if (code == AVERROR(ENOSPC) || code == AVERROR(EDQUOT))
    advice = " Free some space or write elsewhere.";
  else if (code == AVERROR(EFBIG))
    advice = " The system limits the size of files.";
  return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.%s", path, why, advice);
}

gboolean temporary_finish(AVFormatContext *mux, char **temporary, const char *path, GError **error) {
  int code = av_write_trailer(mux);
  if (code >= 0 && mux->pb->error < 0)
    code = mux->pb->error;
  int closed = avio_closep(&mux->pb);
  if (code < 0 || closed < 0)
    return temporary_broken(path, code < 0 ? code : closed, error);
  if (g_rename(*temporary, path) != 0)
    return temporary_broken(path, AVERROR(errno), error);
  g_clear_pointer(temporary, g_free);
  return TRUE;
}
