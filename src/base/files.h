/* Folders that appear whole or not at all. */
#pragma once
#include "base/fault.h"

/* Removes a file, or a folder with all that is in it; symbolic links are removed, not followed. Does nothing where there is nothing. */
void files_remove_tree(const char *path);

/* Copies a regular file (no link is followed), of at most `most` bytes, to a new one. FAULT_INPUT when there is no such file or
 * it is larger, FAULT_OUTPUT. */
gboolean files_copy(const char *from, const char *to, gint64 most, GError **error);

/* All of it, however many calls that takes; 0, or the number of the error (errno.h). */
int files_write(int fd, const void *data, gsize length);

/* A new, empty folder beside `folder`, to be filled and then handed to files_publish. FAULT_OUTPUT when `folder` exists and is
 * not an empty folder, or cannot be made. Free with g_free; remove with files_remove_tree on failure. */
char *files_draft(const char *folder, GError **error);

/* Renames the draft to `folder`. FAULT_OUTPUT. */
gboolean files_publish(const char *draft, const char *folder, GError **error);

/* The name for people: last part of the path without its suffix (transfer full). */
char *files_title(const char *path);
