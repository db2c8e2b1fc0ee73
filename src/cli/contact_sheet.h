/* A picture of twelve moments of a render: the driver above, the result below. */
#pragma once
#include "base/fault.h"

/* driver and result: videos of the same length; frames: how many that is. */
gboolean contact_sheet_write(const char *driver, const char *result, int frames, const char *path,
                             GError **error);
