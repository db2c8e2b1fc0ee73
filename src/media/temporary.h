/* The file that a result grows in until it is complete. Private to media/. */
#pragma once
#include "base/fault.h"
#include <libavformat/avformat.h>

/* Creates an empty hidden file beside path, on the same file system, so that renaming it is the last step.
 * Returns its name (transfer full). FAULT_OUTPUT names what is wrong with the folder. */
char *temporary_create(const char *path, GError **error);

/* FALSE with FAULT_OUTPUT: path cannot be written, for the reason that FFmpeg's (negative) code names. */
gboolean temporary_broken(const char *path, int code, GError **error);

/* Writes the muxer's last words, closes its file and puts it in place; *temporary is then freed and NULL.
 * FAULT_OUTPUT: the temporary file is still there and the caller's to remove. */
gboolean temporary_finish(AVFormatContext *mux, char **temporary, const char *path, GError **error);
