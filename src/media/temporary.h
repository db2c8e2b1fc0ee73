/* The file that a result grows in until it is complete. Private to media/. */
#pragma once
#include "base/fault.h"

/* Creates an empty hidden file beside path, on the same file system, so that renaming it is the last step.
 * Returns its name (transfer full). FAULT_OUTPUT names what is wrong with the folder. */
char *temporary_create(const char *path, GError **error);

/* FALSE with FAULT_OUTPUT: path cannot be written, for the reason that FFmpeg's (negative) code names. */
gboolean temporary_broken(const char *path, int code, GError **error);

/* Puts the finished file in place. */
gboolean temporary_commit(const char *temporary, const char *path, GError **error);
