/* Matroska keeps time in steps of its own; one millisecond, its usual step, stands for one frame index here.
 */
#include "media/grey_video.h"
#include "media/av.h"
#include "media/temporary.h"

#include <glib/gstdio.h>
#include <libavutil/imgutils.h>
#include <string.h>

#define INDEX_BASE ((AVRational){1, 1000})
#define FFV1_LEVEL 3

/* ---- writing ---- */

struct GreyVideoOut {
  char *path, *temporary;
  AVFormatContext *mux;
  AVCodecContext *encoders[GREY_VIDEO_MAX_STREAMS];
  AVPacket *packet;
  int width, height, streams;
};

static AVCodecContext *open_encoder(int width, int height) {
  const AVCodec *ffv1 = avcodec_find_encoder(AV_CODEC_ID_FFV1);
  g_autoptr(AVCodecContext) encoder = avcodec_alloc_context3(ffv1);
  encoder->width = width;
  encoder->height = height;
  encoder->pix_fmt = AV_PIX_FMT_GRAY8;
  encoder->color_range = AVCOL_RANGE_JPEG;
  encoder->time_base = INDEX_BASE;
  encoder->level = FFV1_LEVEL;
  encoder->gop_size = 1;
  encoder->thread_count = 1;
  encoder->slices = 4; /* the fewest of level 3 besides one; a damaged slice stays one slice */
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
  return avcodec_open2(encoder, ffv1, NULL) < 0 ? NULL : g_steal_pointer(&encoder);
}

static gboolean open_muxer(GreyVideoOut *out, GError **error) {
  g_autofree char *url = g_strconcat("file:", out->temporary, NULL);
  if (avformat_alloc_output_context2(&out->mux, NULL, "matroska", url) < 0)
    return fault(error, FAULT_INTERNAL, "This FFmpeg has no Matroska muxer.");
  for (int i = 0; i < out->streams; i++) {
    AVStream *stream = avformat_new_stream(out->mux, NULL);
    if (!(out->encoders[i] = open_encoder(out->width, out->height)))
      return fault(error, FAULT_INTERNAL, "The encoder for grey video (FFV1) cannot be opened.");
    avcodec_parameters_from_context(stream->codecpar, out->encoders[i]);
    stream->time_base = INDEX_BASE;
  }
  int code = avio_open(&out->mux->pb, url, AVIO_FLAG_WRITE);
  if (code < 0)
    return temporary_broken(out->path, code, error);
  out->mux->flags |= AVFMT_FLAG_BITEXACT; /* no random identifiers */
  code = avformat_write_header(out->mux, NULL);
  return code < 0 ? temporary_broken(out->path, code, error) : TRUE;
}

GreyVideoOut *grey_video_out_open(const char *path, int width, int height, int streams, GError **error) {
  if (streams < 1 || streams > GREY_VIDEO_MAX_STREAMS || width < 1 || height < 1)
    return fault_null(error, FAULT_INTERNAL,
                      "A grey video of %d streams was asked for; 1 to %d are possible.", streams,
                      GREY_VIDEO_MAX_STREAMS);
  g_autoptr(GreyVideoOut) out = g_new0(GreyVideoOut, 1);
  out->path = g_strdup(path);
  out->packet = av_packet_alloc();
  out->width = width;
  out->height = height;
  out->streams = streams;
  if (!(out->temporary = temporary_create(path, error)) || !open_muxer(out, error))
    return NULL;
  return g_steal_pointer(&out);
}

void grey_video_out_free(GreyVideoOut *out) {
  if (!out)
    return;
  if (out->mux)
    avio_closep(&out->mux->pb);
  avformat_free_context(out->mux);
  for (int i = 0; i < GREY_VIDEO_MAX_STREAMS; i++)
    avcodec_free_context(&out->encoders[i]);
  av_packet_free(&out->packet);
  if (out->temporary)
    g_unlink(out->temporary);
  g_free(out->temporary);
  g_free(out->path);
  g_free(out);
}

/* Moves what the encoder of one stream has ready into the file. */
static gboolean drain(GreyVideoOut *out, int stream, GError **error) {
  while (avcodec_receive_packet(out->encoders[stream], out->packet) == 0) {
    out->packet->stream_index = stream;
    out->packet->duration = 1;
    av_packet_rescale_ts(out->packet, INDEX_BASE, out->mux->streams[stream]->time_base);
    int code = av_write_frame(out->mux, out->packet);
    av_packet_unref(out->packet);
    if (code >= 0)
      code = out->mux->pb->error;
    if (code < 0)
      return temporary_broken(out->path, code, error);
  }
  return TRUE;
}

gboolean grey_video_out_write(GreyVideoOut *out, int stream, gint64 index, const Image *grey,
                              GError **error) {
  if (stream < 0 || stream >= out->streams || grey->channels != 1 || grey->width != out->width ||
      grey->height != out->height)
    return fault(error, FAULT_INTERNAL, "A mask of another size or stream came to the encoder.");
  g_autoptr(AVFrame) frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_GRAY8;
  frame->width = out->width;
  frame->height = out->height;
  frame->pts = index;
  if (av_frame_get_buffer(frame, 0) < 0)
    return fault(error, FAULT_INTERNAL, "No memory for a mask.");
  for (int y = 0; y < out->height; y++)
    memcpy(frame->data[0] + (gsize)y * (gsize)frame->linesize[0], image_at(grey, 0, y), (gsize)out->width);
  if (avcodec_send_frame(out->encoders[stream], frame) < 0)
    return fault(error, FAULT_INTERNAL, "A mask cannot be encoded.");
  return drain(out, stream, error);
}

gboolean grey_video_out_finish(GreyVideoOut *out, GError **error) {
  for (int i = 0; i < out->streams; i++) {
    avcodec_send_frame(out->encoders[i], NULL);
    if (!drain(out, i, error))
      return FALSE;
  }
  return temporary_finish(out->mux, &out->temporary, out->path, error);
}

/* ---- reading ---- */

struct GreyVideoIn {
  char *path;
  AVFormatContext *source;
  AVCodecContext *decoders[GREY_VIDEO_MAX_STREAMS];
  AVPacket *packet;
  AVFrame *frame;
  gint64 first;
};

static AVCodecContext *open_decoder(const AVStream *stream) {
  if (stream->codecpar->codec_id != AV_CODEC_ID_FFV1)
    return NULL;
  const AVCodec *ffv1 = avcodec_find_decoder(AV_CODEC_ID_FFV1);
  g_autoptr(AVCodecContext) decoder = avcodec_alloc_context3(ffv1);
  avcodec_parameters_to_context(decoder, stream->codecpar);
  decoder->pkt_timebase = stream->time_base;
  decoder->thread_count = 1; /* one packet in, one picture out */
  decoder->max_pixels = AV_MAX_CODED_PIXELS;
  return avcodec_open2(decoder, ffv1, NULL) < 0 ? NULL : g_steal_pointer(&decoder);
}

GreyVideoIn *grey_video_in_open(const char *path, gint64 first, GError **error) {
  g_autoptr(GreyVideoIn) in = g_new0(GreyVideoIn, 1);
  in->path = g_strdup(path);
  in->first = first;
  in->packet = av_packet_alloc();
  in->frame = av_frame_alloc();
  if (!(in->source = av_source_open(path, error)))
    return NULL;
  gboolean fits = in->source->nb_streams >= 1 && in->source->nb_streams <= GREY_VIDEO_MAX_STREAMS;
  for (unsigned i = 0; fits && i < in->source->nb_streams; i++)
    fits = (in->decoders[i] = open_decoder(in->source->streams[i])) != NULL;
  if (!fits)
    return fault_null(error, FAULT_INPUT, "%s does not hold masks.", path);
  return g_steal_pointer(&in);
}

void grey_video_in_free(GreyVideoIn *in) {
  if (!in)
    return;
  for (int i = 0; i < GREY_VIDEO_MAX_STREAMS; i++)
    avcodec_free_context(&in->decoders[i]);
  av_packet_free(&in->packet);
  av_frame_free(&in->frame);
  av_source_close(in->source);
  g_free(in->path);
  g_free(in);
}

int grey_video_in_streams(const GreyVideoIn *in) {
  return (int)in->source->nb_streams;
}

static Image *image_of(const AVFrame *frame) {
  if (frame->format != AV_PIX_FMT_GRAY8 || frame->width < 1 || frame->height < 1)
    return NULL;
  Image *image = image_new(frame->width, frame->height, 1);
  for (int y = 0; y < frame->height; y++)
    memcpy(image_at(image, 0, y), frame->data[0] + (gsize)y * (gsize)frame->linesize[0], (gsize)frame->width);
  return image;
}

/* The next packet that is not passed over; what av_read_frame says. */
static int next_packet(GreyVideoIn *in, int *stream, gint64 *index) {
  for (;; av_packet_unref(in->packet)) {
    int code = av_read_frame(in->source, in->packet);
    if (code < 0)
      return code;
    *stream = in->packet->stream_index;
    if (*stream < 0 || *stream >= grey_video_in_streams(in))
      return AVERROR_INVALIDDATA;
    *index = av_rescale_q(in->packet->pts, in->source->streams[*stream]->time_base, INDEX_BASE);
    if (*index >= in->first)
      return 0;
  }
}

Image *grey_video_in_next(GreyVideoIn *in, int *stream, gint64 *index, GError **error) {
  int code = next_packet(in, stream, index);
  if (code == AVERROR_EOF)
    return NULL;
  Image *image = NULL;
  if (code >= 0 && avcodec_send_packet(in->decoders[*stream], in->packet) >= 0 &&
      avcodec_receive_frame(in->decoders[*stream], in->frame) >= 0)
    image = image_of(in->frame);
  av_packet_unref(in->packet);
  av_frame_unref(in->frame);
  if (!image)
    return fault_null(error, FAULT_INPUT, "%s is damaged. Prepare the scene again.", in->path);
  return image;
}
