/* Video files in and out, through FFmpeg.
 *
 * In: any container and codec that FFmpeg decodes, MP4, MOV, WebM, AVI and MKV meant; the first real video
 * stream (not a cover picture), rotation metadata applied, converted to 8-bit yuv420p (high dynamic range to
 * BT.709), odd sizes cut to even ones by dropping the last row or column. Out: H.264 yuv420p MP4 with the
 * index in front, at the input's timestamps, with the input's sound packets copied.
 *
 *   g_autoptr(VideoIn) in = video_in_open(path, error);
 *   g_autoptr(VideoOut) out = video_out_open("out.mp4", video_in_info(in), path, error);
 *   for (AVFrame *frame; (frame = video_in_next(in, &problem)); av_frame_free(&frame))
 *     video_out_write(out, frame, error);
 *   video_out_finish(out, error);
 *
 * An object belongs to one thread at a time. */
#pragma once
#include "base/fault.h"
#include "base/image.h"
#include <libavutil/frame.h>
#include <libavutil/rational.h>

#define VIDEO_MIN_SECONDS 0.5
#define VIDEO_MAX_SECONDS 300.0
/* A 5-minute video that ends with its last frame or its sound is still 5 minutes. */
#define VIDEO_SLACK_SECONDS 0.5
#define VIDEO_MIN_SIDE 64
#define VIDEO_MAX_SIDE 4096
#define VIDEO_MAX_BYTES (500 * 1000 * 1000)

typedef struct {
  int width, height;                      /* upright, even */
  AVRational time_base;                   /* of the frames' pts */
  AVRational frame_rate;                  /* average; exact where the rate is constant */
  AVRational aspect;                      /* of one sample; 0/1 when unknown */
  gint64 frames;                          /* estimate before decoding; at least 1 */
  double seconds;                         /* duration of the video stream */
  gboolean sound;                         /* has a sound stream */
  int range, matrix, primaries, transfer; /* AVColorRange, AVColorSpace, …; matrix is never unspecified */
} VideoInfo;

/* Once per process: FFmpeg and its encoders no longer write to standard error by themselves. */
void video_init(void);

typedef struct VideoIn VideoIn;

/* Checks the limits above on the header. FAULT_INPUT, FAULT_LIMIT. */
VideoIn *video_in_open(const char *path, GError **error);
/* The same for whoever needs the frames from number *first on, of a file that has this many when it is read
 * whole: those before need not be decoded. The first frame that comes is *first, set to 0 where the file does
 * not allow to begin in the middle. All have the pts that they have when the file is read whole. */
VideoIn *video_in_open_at(const char *path, int frames, int *first, GError **error);
/* What a file says of itself, and what its first frame shows, beyond the limits of length and size, too: for
 * whoever must tell them apart. A video that breaks one by its header is not decoded. FAULT_INPUT;
 * FAULT_LIMIT for too many bytes. */
gboolean video_in_probe(const char *path, VideoInfo *info, GError **error);
void video_in_free(VideoIn *in);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VideoIn, video_in_free)
const VideoInfo *video_in_info(const VideoIn *in);

/* The next frame in order of presentation, with pts in info->time_base strictly increasing (transfer full,
 * av_frame_free). Its pixels may still be the decoder's: av_frame_make_writable before drawing on them. NULL
 * at the end, or with *error set when the file is damaged before any frame or passes a limit. */
AVFrame *video_in_next(VideoIn *in, GError **error);

/* Conversion between the video's own yuv420p (its range and matrix) and RGB. One converter per thread. */
typedef struct ColourConverter ColourConverter;
ColourConverter *colour_converter_new(const VideoInfo *info);
void colour_converter_free(ColourConverter *converter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ColourConverter, colour_converter_free)
/* rgb: width x height x 3, allocated by the caller. */
void colour_to_rgb(ColourConverter *converter, const AVFrame *frame, Image *rgb);
/* frame: writable yuv420p of the same size. */
void colour_from_rgb(ColourConverter *converter, const Image *rgb, AVFrame *frame);

typedef struct {
  const char *preset; /* of x264; "veryfast" when NULL */
  int crf;            /* 20 when 0 */
} VideoQuality;

typedef struct VideoOut VideoOut;

/* Writes to a temporary file beside path; video_out_finish renames it, video_out_free without it removes it.
 * sound_from: a media file whose (first, default) sound stream is copied packet for packet, or NULL. A codec
 * that MP4 cannot hold is encoded as AAC instead. FAULT_OUTPUT names what is wrong with the folder or the
 * disk. */
VideoOut *video_out_open(const char *path, const VideoInfo *info, const char *sound_from,
                         VideoQuality quality, GError **error);
void video_out_free(VideoOut *out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VideoOut, video_out_free)
gboolean video_out_write(VideoOut *out, const AVFrame *frame, GError **error);
gboolean video_out_finish(VideoOut *out, GError **error);
