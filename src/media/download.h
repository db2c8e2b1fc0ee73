/* Large files from a host that the user trusts: goes on where it was broken off, and is checked.
 *
 * The bytes gather in PATH.part; when all are there and their checksum is the expected one the file gets its
 * name. A part that does not become the right file is removed. Unlike fetch.h, which takes addresses from
 * strangers, this goes wherever the address leads, through the proxy that the environment names. */
#pragma once
#include "base/progress.h"

typedef struct {
  const char *url;
  const char *path;
  gint64 bytes;       /* -1: not known */
  const char *sha256; /* hex, or NULL: not known */
} Download;

/* Called with the bytes that are there by now. FALSE ends the transfer with FAULT_CANCELLED; the part stays.
 */
typedef gboolean (*DownloadTell)(gint64 bytes, gpointer user);

/* Broken connections are tried again a few times. FAULT_INPUT: the host cannot be reached, answers something
 * else, or what came is not the file; FAULT_OUTPUT; FAULT_CANCELLED. */
gboolean download_file(const Download *download, DownloadTell tell, gpointer user, GError **error);

/* A short answer as text (transfer full), at most `most` bytes. FAULT_INPUT, FAULT_LIMIT. */
char *download_text(const char *url, gsize most, GError **error);

/* Bytes that can still be written in a folder's file system; -1 where that is not known. */
gint64 download_room(const char *folder);
