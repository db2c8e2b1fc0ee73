/* An MP4 in the making: the packets of one picture stream, and beside them the sound of another file, written
 * in the order of their decoding time so that nothing waits in memory. Who makes the packets (an encoder, the
 * demuxer of files that are joined) is left open. Private to media/.
 *
 *   Mp4Out *out = mp4_out_open(path, info, parameters, sound, error);
 *   for each frame, in order of presentation: mp4_out_expect(out, pts, duration);
 *   mp4_out_put(out, packet, error);      in order of decoding, each after its frame was expected
 *   mp4_out_settle(out);                  no frame more will be expected; the last packets may still come
 *   mp4_out_finish(out, error);
 *
 * All times are in mp4_time_base(info). */
#pragma once
#include "media/av.h"
#include "media/sound.h"

typedef struct Mp4Out Mp4Out;

/* The input's own ticks, so that every pts survives exactly, unless they are too fine for an MP4. */
AVRational mp4_time_base(const VideoInfo *info);

/* Writes to a temporary file beside path; mp4_out_finish renames it, mp4_out_free without it removes it.
 * picture: of the stream, with its extradata. sound: transfer full, also where it fails; or NULL. */
Mp4Out *mp4_out_open(const char *path, const VideoInfo *info, const AVCodecParameters *picture, Sound *sound,
                     GError **error);
void mp4_out_free(Mp4Out *out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mp4Out, mp4_out_free)

/* pts: greater than that of the frame before. duration: 0 where unknown. FAULT_INTERNAL: out of order. */
gboolean mp4_out_expect(Mp4Out *out, gint64 pts, gint64 duration, GError **error);
/* packet: with pts and dts; left empty. */
gboolean mp4_out_put(Mp4Out *out, AVPacket *packet, GError **error);
void mp4_out_settle(Mp4Out *out);
gboolean mp4_out_finish(Mp4Out *out, GError **error);
