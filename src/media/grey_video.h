/* Several grey videos of one size in one file, without loss: the masks of a scene, a stream for each person.
 * Matroska with FFV1 version 3, every frame by itself; any tool of the field opens it. A stream need not have
 * a frame at every index.
 *
 *   g_autoptr(GreyVideoOut) out = grey_video_out_open("masks.mkv", width, height, 2, error);
 *   grey_video_out_write(out, 0, 17, mask, error);
 *   grey_video_out_finish(out, error);
 *
 *   g_autoptr(GreyVideoIn) in = grey_video_in_open("masks.mkv", 0, error);
 *   for (Image *mask; (mask = grey_video_in_next(in, &stream, &index, &problem)); image_free(mask)) …
 *
 * An object belongs to one thread at a time. */
#pragma once
#include "base/fault.h"
#include "base/image.h"

#define GREY_VIDEO_MAX_STREAMS 8

typedef struct GreyVideoOut GreyVideoOut;

/* Writes to a temporary file beside path; finish renames it, free without it removes it. FAULT_OUTPUT. */
GreyVideoOut *grey_video_out_open(const char *path, int width, int height, int streams, GError **error);
void grey_video_out_free(GreyVideoOut *out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GreyVideoOut, grey_video_out_free)
/* grey: 1 channel. index: of the frame, 0 or more, increasing within a stream and not decreasing over the
 * file. */
gboolean grey_video_out_write(GreyVideoOut *out, int stream, gint64 index, const Image *grey, GError **error);
gboolean grey_video_out_finish(GreyVideoOut *out, GError **error);

typedef struct GreyVideoIn GreyVideoIn;

/* Pictures whose index is below first are passed over, not decoded. FAULT_INPUT where the file is not one of
 * these. */
GreyVideoIn *grey_video_in_open(const char *path, gint64 first, GError **error);
void grey_video_in_free(GreyVideoIn *in);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GreyVideoIn, grey_video_in_free)
int grey_video_in_streams(const GreyVideoIn *in);
/* The next picture of the file (transfer full), in the order of writing. NULL at the end, or with *error set
 * when the file is damaged. FFV1 repairs damage within a picture silently, and the end of a file that was cut
 * off is an end: whoever needs a mask at an index looks whether it came. */
Image *grey_video_in_next(GreyVideoIn *in, int *stream, gint64 *index, GError **error);
