/* The music: drums, a bass and a plucked melody at the dance's beat, synthesised; stereo, 16 bit, 44100 Hz,
 * PCM in a QuickTime file. */
#pragma once
#include "base/fault.h"

gboolean sound_write(const char *path, double seconds, GError **error);
