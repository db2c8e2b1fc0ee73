/* Copying reads packets and leaves them as they are, timestamps included, apart from the file's origin.
 * Encoding runs decoder, resampler and encoder as one chain that is pulled from its end: sound_next asks the
 * encoder, which asks the filter graph, which asks the decoder, which asks the file, so that nothing is ever
 * held but what is in work. The resampler (libswresample, as the aresample filter) also fills holes in the
 * sound with silence, so that it stays with the picture. */
#include "media/sound.h"

#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>

/* Bits per second and channel of AAC: transparent for nearly everything with FFmpeg's own encoder. */
#define AAC_RATE 96000
#define MAX_ERRORS 256

struct Sound {
  AVFormatContext *source;
  AVStream *stream;
  gint64 origin; /* in ticks of the stream */
  int errors;
  /* Only where the sound is encoded anew. */
  AVCodecContext *decoder, *encoder;
  AVFilterGraph *graph;
  AVFilterContext *in, *out;
  AVPacket *packet;
  AVFrame *frame;
};

/* ---- which codecs are copied ---- */

/* MP4 names more than these, but what plays MP4 does not know them. */
static gboolean common_in_mp4(enum AVCodecID codec) {
  switch (codec) {
  case AV_CODEC_ID_AAC:
  case AV_CODEC_ID_MP3:
  case AV_CODEC_ID_AC3:
  case AV_CODEC_ID_EAC3:
  case AV_CODEC_ID_OPUS:
  case AV_CODEC_ID_FLAC:
  case AV_CODEC_ID_ALAC:
    return TRUE;
  default:
    return FALSE;
  }
}

/* Whether the muxer accepts these very parameters, by asking it to write a header to nowhere. */
static gboolean mp4_accepts(const AVCodecParameters *parameters) {
  AVFormatContext *mux = NULL;
  if (!common_in_mp4(parameters->codec_id) || avformat_alloc_output_context2(&mux, NULL, "mp4", NULL) < 0)
    return FALSE;
  gboolean accepted = FALSE;
  AVStream *stream = avformat_new_stream(mux, NULL);
  if (stream && avcodec_parameters_copy(stream->codecpar, parameters) >= 0 &&
      avio_open_dyn_buf(&mux->pb) >= 0) {
    mux->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL; /* as for the file itself */
    stream->codecpar->codec_tag = 0;
    stream->time_base = (AVRational){1, parameters->sample_rate};
    accepted = avformat_write_header(mux, NULL) >= 0;
    guint8 *nowhere = NULL;
    avio_close_dyn_buf(mux->pb, &nowhere);
    mux->pb = NULL;
    av_free(nowhere);
  }
  avformat_free_context(mux);
  return accepted;
}

/* ---- the chain to AAC ---- */

static int aac_rate(int rate) {
  static const int rates[] = {96000, 88200, 64000, 48000, 44100, 32000,
                              24000, 22050, 16000, 12000, 11025, 8000};
  for (guint i = 0; i < G_N_ELEMENTS(rates); i++)
    if (rate == rates[i])
      return rate;
  return 48000;
}

static gboolean open_decoder(Sound *sound) {
  const AVCodec *decoder = avcodec_find_decoder(sound->stream->codecpar->codec_id);
  sound->decoder = avcodec_alloc_context3(decoder);
  avcodec_parameters_to_context(sound->decoder, sound->stream->codecpar);
  sound->decoder->pkt_timebase = sound->stream->time_base;
  sound->decoder->thread_count = 1;
  return avcodec_open2(sound->decoder, decoder, NULL) >= 0;
}

static gboolean open_encoder(Sound *sound) {
  const AVCodec *aac = avcodec_find_encoder(AV_CODEC_ID_AAC);
  int channels = sound->stream->codecpar->ch_layout.nb_channels == 1 ? 1 : 2;
  AVCodecContext *encoder = sound->encoder = avcodec_alloc_context3(aac);
  encoder->sample_rate = aac_rate(sound->stream->codecpar->sample_rate);
  encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
  encoder->bit_rate = AAC_RATE * channels;
  encoder->time_base = (AVRational){1, encoder->sample_rate};
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
  encoder->thread_count = 1;
  av_channel_layout_default(&encoder->ch_layout, channels);
  return avcodec_open2(encoder, aac, NULL) >= 0;
}

/* Built for the first decoded frame, whose form is the truth. */
static gboolean open_graph(Sound *sound, const AVFrame *frame) {
  AVFilterGraph *graph = sound->graph = avfilter_graph_alloc();
  AVChannelLayout layout = {0};
  if (av_channel_layout_copy(&layout, &frame->ch_layout) < 0)
    return FALSE;
  if (layout.order == AV_CHANNEL_ORDER_UNSPEC)
    av_channel_layout_default(&layout, layout.nb_channels);
  char name[128], wanted[128];
  av_channel_layout_describe(&layout, name, sizeof name);
  av_channel_layout_describe(&sound->encoder->ch_layout, wanted, sizeof wanted);
  av_channel_layout_uninit(&layout);
  g_autofree char *arguments = g_strdup_printf(
      "time_base=%d/%d:sample_rate=%d:sample_fmt=%s:channel_layout=%s", sound->stream->time_base.num,
      sound->stream->time_base.den, frame->sample_rate, av_get_sample_fmt_name(frame->format), name);
  g_autofree char *text =
      g_strdup_printf("aresample=async=1,aformat=sample_fmts=fltp:sample_rates=%d:channel_layouts=%s",
                      sound->encoder->sample_rate, wanted);
  if (avfilter_graph_create_filter(&sound->in, avfilter_get_by_name("abuffer"), "in", arguments, NULL,
                                   graph) < 0 ||
      avfilter_graph_create_filter(&sound->out, avfilter_get_by_name("abuffersink"), "out", NULL, NULL,
                                   graph) < 0)
    return FALSE;
  AVFilterInOut *outputs = avfilter_inout_alloc(), *inputs = avfilter_inout_alloc();
  *outputs = (AVFilterInOut){.name = av_strdup("in"), .filter_ctx = sound->in};
  *inputs = (AVFilterInOut){.name = av_strdup("out"), .filter_ctx = sound->out};
  graph->nb_threads = 1;
  int code = avfilter_graph_parse_ptr(graph, text, &inputs, &outputs, NULL);
  avfilter_inout_free(&inputs);
  avfilter_inout_free(&outputs);
  if (code < 0 || avfilter_graph_config(graph, NULL) < 0)
    return FALSE;
  av_buffersink_set_frame_size(sound->out, (unsigned)sound->encoder->frame_size);
  return TRUE;
}

/* ---- reading ---- */

/* A codec's last packet holds a whole number of blocks, of which the container may play only a part. */
static void end_with_stream(const Sound *sound, AVPacket *packet) {
  const AVStream *stream = sound->stream;
  gint64 start = av_sane_time(stream->start_time), length = av_sane_time(stream->duration);
  if (packet->pts == AV_NOPTS_VALUE || start == AV_NOPTS_VALUE || length <= 0)
    return;
  gint64 left = start + length - packet->pts;
  if (left > 0 && left < packet->duration)
    packet->duration = left;
}

static gboolean read_packet(Sound *sound, AVPacket *packet) {
  for (;;) {
    int code = av_read_frame(sound->source, packet);
    if (code >= 0 && packet->stream_index == sound->stream->index) {
      packet->pts = av_sane_time(packet->pts);
      packet->dts = av_sane_time(packet->dts);
      end_with_stream(sound, packet);
      if (packet->pts != AV_NOPTS_VALUE)
        packet->pts -= sound->origin;
      if (packet->dts != AV_NOPTS_VALUE)
        packet->dts -= sound->origin;
      return TRUE;
    }
    av_packet_unref(packet);
    if (code == AVERROR_EOF || (code < 0 && ++sound->errors > MAX_ERRORS))
      return FALSE;
  }
}

/* One step towards a decoded frame in sound->frame. 0: there is one; AVERROR_EOF: there will be none. */
static int decode(Sound *sound) {
  for (;;) {
    int code = avcodec_receive_frame(sound->decoder, sound->frame);
    if (code == 0 || code == AVERROR_EOF)
      return code;
    if (code != AVERROR(EAGAIN) && ++sound->errors > MAX_ERRORS)
      return AVERROR_EOF;
    if (code != AVERROR(EAGAIN))
      continue;
    if (read_packet(sound, sound->packet)) {
      avcodec_send_packet(sound->decoder, sound->packet); /* what is damaged is passed over */
      av_packet_unref(sound->packet);
    } else {
      avcodec_send_packet(sound->decoder, NULL);
    }
  }
}

/* The next frame of the encoder's size in sound->frame. */
static int resample(Sound *sound) {
  for (;;) {
    if (sound->graph) {
      int code = av_buffersink_get_frame(sound->out, sound->frame);
      if (code != AVERROR(EAGAIN))
        return code < 0 ? AVERROR_EOF : 0;
    }
    int code = decode(sound);
    if (code < 0) {
      if (!sound->graph || av_buffersrc_add_frame(sound->in, NULL) < 0)
        return AVERROR_EOF;
      continue;
    }
    sound->frame->pts = sound->frame->best_effort_timestamp;
    if (!sound->graph && !open_graph(sound, sound->frame))
      return AVERROR_EOF;
    if (av_buffersrc_add_frame(sound->in, sound->frame) < 0 && ++sound->errors > MAX_ERRORS)
      return AVERROR_EOF;
    av_frame_unref(sound->frame);
  }
}

static gboolean encode(Sound *sound, AVPacket *packet) {
  for (;;) {
    int code = avcodec_receive_packet(sound->encoder, packet);
    if (code == 0)
      return TRUE;
    if (code != AVERROR(EAGAIN))
      return FALSE;
    if (resample(sound) == 0) {
      sound->frame->pts =
          av_rescale_q(sound->frame->pts, av_buffersink_get_time_base(sound->out), sound->encoder->time_base);
      code = avcodec_send_frame(sound->encoder, sound->frame);
      av_frame_unref(sound->frame);
    } else {
      code = avcodec_send_frame(sound->encoder, NULL);
    }
    if (code < 0)
      return FALSE;
  }
}

/* ---- the interface ---- */

gboolean sound_open(const char *path, Sound **result, GError **error) {
  *result = NULL;
  g_autoptr(Sound) sound = g_new0(Sound, 1);
  if (!(sound->source = av_source_open(path, error)))
    return FALSE;
  int index = av_source_stream(sound->source, AVMEDIA_TYPE_AUDIO);
  if (index < 0)
    return TRUE;
  sound->stream = sound->source->streams[index];
  sound->origin = av_rescale_q(av_source_origin(sound->source), AV_TIME_BASE_Q, sound->stream->time_base);
  av_source_keep(sound->source, index);
  if (!mp4_accepts(sound->stream->codecpar)) {
    sound->packet = av_packet_alloc();
    sound->frame = av_frame_alloc();
    if (!open_decoder(sound) || !open_encoder(sound))
      return fault(error, FAULT_INPUT, "The sound of %s cannot be decoded.", path);
  }
  *result = g_steal_pointer(&sound);
  return TRUE;
}

void sound_free(Sound *sound) {
  if (!sound)
    return;
  avfilter_graph_free(&sound->graph);
  avcodec_free_context(&sound->decoder);
  avcodec_free_context(&sound->encoder);
  av_packet_free(&sound->packet);
  av_frame_free(&sound->frame);
  av_source_close(sound->source);
  g_free(sound);
}

AVRational sound_time_base(const Sound *sound) {
  return sound->encoder ? sound->encoder->time_base : sound->stream->time_base;
}

gboolean sound_describe(const Sound *sound, AVStream *stream) {
  int code = sound->encoder ? avcodec_parameters_from_context(stream->codecpar, sound->encoder)
                            : avcodec_parameters_copy(stream->codecpar, sound->stream->codecpar);
  if (code < 0)
    return FALSE;
  stream->codecpar->codec_tag = 0;
  stream->time_base = sound_time_base(sound);
  stream->disposition = AV_DISPOSITION_DEFAULT;
  const AVDictionaryEntry *language = av_dict_get(sound->stream->metadata, "language", NULL, 0);
  if (language)
    av_dict_set(&stream->metadata, "language", language->value, 0);
  return TRUE;
}

gboolean sound_next(Sound *sound, AVPacket *packet) {
  return sound->encoder ? encode(sound, packet) : read_packet(sound, packet);
}
