/* Several MP4 files become one without encoding anything again: what was drawn side by side, in runs of
 * frames of one video, is joined to what a single render would have made.
 *
 *   g_autoptr(VideoJoin) join = video_join_new(video_in_info(in), source, error);
 *   … the parts are drawn …
 *   const char *const parts[] = {"0.mp4", "1.mp4", "2.mp4"};
 *   video_join_run(join, parts, 3, "out.mp4", error);
 *
 * Each part was written by video_out_open (video.h) with one VideoInfo and one VideoQuality and without
 * sound, and holds the next frames of the video at the very pts that a whole render gives them. */
#pragma once
#include "media/video.h"

#define VIDEO_JOIN_MAX_PARTS 1024

typedef struct VideoJoin VideoJoin;

/* Opens the sound, which takes as long as all the rest and needs no part. info and sound_from: as for
 * video_out_open of the whole. FAULT_INPUT. */
VideoJoin *video_join_new(const VideoInfo *info, const char *sound_from, GError **error);
void video_join_free(VideoJoin *join);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VideoJoin, video_join_free)

/* Once. Times, length, sound and the index in front are those of a file that video_out wrote at once; each
 * part's pictures are copied bit for bit. out appears when it is complete, or not at all.
 *
 * FAULT_INPUT: a part is missing, cut off, damaged, not H.264 in an MP4, of another size than info, does not
 * begin with a picture that stands alone, or does not come after the part before it. FAULT_INTERNAL: parts
 * were made with different settings (their parameter sets differ), or there are none. FAULT_LIMIT: more than
 * VIDEO_JOIN_MAX_PARTS. FAULT_OUTPUT: out cannot be written. */
gboolean video_join_run(VideoJoin *join, const char *const *parts, int count, const char *out,
                        GError **error);
