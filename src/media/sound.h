/* The sound of a media file as a run of packets for an MP4: copied bit for bit where MP4 (and what plays it)
 * takes the codec, else encoded as AAC. Private to media/. */
#pragma once
#include "media/av.h"

typedef struct Sound Sound;

/* *sound is NULL, without an error, when the file has no sound. */
gboolean sound_open(const char *path, Sound **sound, GError **error);
void sound_free(Sound *sound);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sound, sound_free)

/* Codec parameters, time base, language and disposition onto the output's stream. */
gboolean sound_describe(const Sound *sound, AVStream *stream);

/* The next packet, in the time base of the stream that was described before the header was written
 * (sound_time_base). FALSE at the end. Damaged packets are passed over. */
gboolean sound_next(Sound *sound, AVPacket *packet);
AVRational sound_time_base(const Sound *sound);
