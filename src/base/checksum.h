/* SHA-256, as fast as the processor allows (libcrypto uses its instructions for it where there are any: about
 * 2 GB/s instead of GLib's 0.3). */
#pragma once
#include "base/fault.h"

typedef struct Checksum Checksum;

Checksum *checksum_new(void);
void checksum_update(Checksum *checksum, gconstpointer bytes, gsize length);
/* 64 hex digits (transfer full). Nothing can be added afterwards. */
char *checksum_hex(Checksum *checksum);
void checksum_free(Checksum *checksum);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Checksum, checksum_free)

/* Of a whole file (transfer full); bytes (where not NULL): its size. FAULT_INPUT. */
char *checksum_file(const char *path, gint64 *bytes, GError **error);
