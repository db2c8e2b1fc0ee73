/* What the files of this room share about FFmpeg: cleanup, opening a file that may be hostile, its clock.
 * Private to media/. */
#pragma once
#include "media/video.h"
#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavformat/avformat.h>

static inline void av_frame_cleanup(AVFrame *frame) {
  av_frame_free(&frame);
}
static inline void av_packet_cleanup(AVPacket *packet) {
  av_packet_free(&packet);
}
static inline void av_codec_cleanup(AVCodecContext *codec) {
  avcodec_free_context(&codec);
}
static inline void av_graph_cleanup(AVFilterGraph *graph) {
  avfilter_graph_free(&graph);
}
static inline void av_dict_cleanup(AVDictionary *dict) {
  av_dict_free(&dict);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVFrame, av_frame_cleanup)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVPacket, av_packet_cleanup)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVCodecContext, av_codec_cleanup)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVFilterGraph, av_graph_cleanup)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVDictionary, av_dict_cleanup)

/* Decoders are not allowed larger pictures than this: the largest side squared, rounded up to whole blocks.
 */
#define AV_MAX_CODED_PIXELS ((VIDEO_MAX_SIDE + 64) * (VIDEO_MAX_SIDE + 64))

/* Pictures are stored at most so many places from where they are shown: what H.264 and H.265 allow. */
#define AV_MAX_DELAY_FRAMES 16

/* FFmpeg's words for an error code, in a buffer of its own (transfer full). */
char *av_text(int code);

/* Opens a media file and reads its header and as many packets as it takes to know its streams. Only this one
 * file is ever opened: playlists, references to other files and URLs are refused, whatever path and content
 * say. FAULT_INPUT: missing, empty, not a file, no video format. FAULT_LIMIT: more than VIDEO_MAX_BYTES. */
AVFormatContext *av_source_open(const char *path, GError **error);
/* The same for a file of our own making, whose header says all that is wanted: nothing is decoded. */
AVFormatContext *av_source_open_known(const char *path, GError **error);
/* Accepts NULL. */
void av_source_close(AVFormatContext *source);
typedef AVFormatContext AVSource;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVSource, av_source_close)

/* What is to be taken off every timestamp of the file, in microseconds. Containers whose clock starts
 * anywhere (broadcast, cuts of long recordings) are moved to zero; a start near zero is meant and stays, so
 * that a picture that begins after the sound still does. */
gint64 av_source_origin(const AVFormatContext *source);

/* Timestamps come from the file too. What no clock can show becomes unknown, so that sums of a few of them
 * stay within 64 bits. */
static inline gint64 av_sane_time(gint64 ticks) {
  return ticks > -(G_GINT64_CONSTANT(1) << 60) && ticks < G_GINT64_CONSTANT(1) << 60 ? ticks : AV_NOPTS_VALUE;
}

/* The stream of the type to use, or -1: of video the first, of sound the first that is flagged default, else
 * the first. Cover pictures and streams without a decoder are passed over. */
int av_source_stream(const AVFormatContext *source, enum AVMediaType type);

/* Makes the demuxer drop every stream but one. */
void av_source_keep(AVFormatContext *source, int stream);
