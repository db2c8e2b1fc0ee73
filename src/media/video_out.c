/* Encoder and muxer side by side with the sound's packets, written in order of their decoding time, so that
 * the file is interleaved and nothing waits in memory but the encoder's own lookahead.
 *
 * Time: the encoder counts in the input's own ticks, so that every pts survives exactly. The muxer keeps the
 * beginning (a picture that starts after the sound, sound that starts before zero) in edit lists; these count
 * in the movie's time scale, which is therefore chosen fine enough for both streams. The length of the last
 * frame exists nowhere but in its packet's duration.
 *
 * Bytes: x264's choices depend on its number of threads, so that number is fixed, whatever machine this is,
 * and so are the algorithms that it would choose by the kind of processor.
 */
#include "media/sound.h"
#include "media/temporary.h"
#include "media/video.h"

#include <glib/gstdio.h>
#include <libavutil/mathematics.h>
#include <math.h>

/* Enough to keep a laptop busy; more cost memory and bits. */
#define ENCODER_THREADS 4
#define DEFAULT_PRESET "veryfast"
#define DEFAULT_CRF 20
/* Finer ticks than this overflow the 32-bit deltas of the index within seconds. */
#define MAX_TICKS_PER_SECOND 100000000
#define MAX_MOVIE_SCALE 100000000
/* Sound may go on after the picture; what is later than this is damage. */
#define MAX_SOUND_SECONDS ((gint64)(2 * VIDEO_MAX_SECONDS))
#define FALLBACK_MOVIE_SCALE 1000000

struct VideoOut {
  char *path, *temporary; /* temporary exists from open to finish */
  VideoInfo info;
  AVFormatContext *mux;
  AVCodecContext *encoder;
  AVStream *picture, *track;
  AVPacket *packet, *held;
  Sound *sound;       /* NULL: none, or at its end */
  AVPacket *waiting;  /* the next packet of sound, when it has data */
  gint64 sound_clock; /* dts of the last sound packet written */
  AVRational sound_base;
  gint64 interval;                   /* usual ticks of a frame */
  gint64 first, last, last_duration; /* of the frames so far, in the encoder's ticks */
  gint64 first_dts;
  gint64 count;
};

/* ---- opening ---- */

static AVRational encoder_base(AVRational base) {
  AVRational finest = {1, MAX_TICKS_PER_SECOND};
  return av_cmp_q(base, finest) < 0 ? (AVRational){1, 1000000} : base;
}

static gboolean open_encoder(VideoOut *out, VideoQuality quality, GError **error) {
  const AVCodec *x264 = avcodec_find_encoder_by_name("libx264");
  if (!x264)
    return fault(error, FAULT_INTERNAL, "This FFmpeg has no libx264.");
  const VideoInfo *info = &out->info;
  AVCodecContext *encoder = out->encoder = avcodec_alloc_context3(x264);
  encoder->width = info->width;
  encoder->height = info->height;
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->time_base = encoder_base(info->time_base);
  encoder->framerate = info->frame_rate;
  encoder->sample_aspect_ratio = info->aspect;
  encoder->color_range = info->range;
  encoder->colorspace = info->matrix;
  encoder->color_primaries = info->primaries;
  encoder->color_trc = info->transfer;
  encoder->chroma_sample_location = AVCHROMA_LOC_LEFT;
  encoder->thread_count = ENCODER_THREADS;
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  g_autoptr(AVDictionary) options = NULL;
  av_dict_set(&options, "preset", quality.preset ? quality.preset : DEFAULT_PRESET, 0);
  av_dict_set_int(&options, "crf", quality.crf ? quality.crf : DEFAULT_CRF, 0);
  av_dict_set(&options, "x264-params", "cpu-independent=1", 0);
  int code = avcodec_open2(encoder, x264, &options);
  if (code >= 0)
    return TRUE;
  g_autofree char *why = av_text(code);
  return fault(error, FAULT_OUTPUT, "%s cannot be encoded with these settings: %s.", out->path, why);
}

/* A scale in which the starts of both streams are whole numbers. */
static int movie_scale(const VideoOut *out) {
  gint64 scale = out->encoder->time_base.den;
  if (out->sound) {
    gint64 ticks = out->sound_base.den;
    scale = scale / av_gcd(scale, ticks) * ticks;
  }
  return scale >= 1000 && scale <= MAX_MOVIE_SCALE ? (int)scale
         : scale < 1000 && scale > 0               ? (int)(scale * (1000 / scale + 1))
                                                   : FALLBACK_MOVIE_SCALE;
}

static gboolean open_muxer(VideoOut *out, GError **error) {
  g_autofree char *url = g_strconcat("file:", out->temporary, NULL);
  if (avformat_alloc_output_context2(&out->mux, NULL, "mp4", url) < 0)
    return fault(error, FAULT_INTERNAL, "This FFmpeg has no MP4 muxer.");
  out->picture = avformat_new_stream(out->mux, NULL);
  avcodec_parameters_from_context(out->picture->codecpar, out->encoder);
  out->picture->time_base = out->encoder->time_base;
  out->picture->avg_frame_rate = out->info.frame_rate;
  out->picture->sample_aspect_ratio = out->info.aspect;
  out->picture->disposition = AV_DISPOSITION_DEFAULT;
  if (out->sound) {
    out->track = avformat_new_stream(out->mux, NULL);
    if (!sound_describe(out->sound, out->track))
      return fault(error, FAULT_INTERNAL, "The sound of %s cannot be described.", out->path);
    out->sound_base = sound_time_base(out->sound);
  }
  int code = avio_open(&out->mux->pb, url, AVIO_FLAG_WRITE);
  if (code < 0)
    return temporary_broken(out->path, code, error);
  out->mux->flags |= AVFMT_FLAG_BITEXACT;                       /* no versions in the file */
  out->mux->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL; /* FLAC, which everything plays by now */
  g_autoptr(AVDictionary) options = NULL;
  av_dict_set(&options, "movflags", "+faststart", 0);
  av_dict_set_int(&options, "movie_timescale", movie_scale(out), 0);
  code = avformat_write_header(out->mux, &options);
  return code < 0 ? temporary_broken(out->path, code, error) : TRUE;
}

VideoOut *video_out_open(const char *path, const VideoInfo *info, const char *sound_from,
                         VideoQuality quality, GError **error) {
  g_autoptr(VideoOut) out = g_new0(VideoOut, 1);
  out->path = g_strdup(path);
  out->info = *info;
  out->packet = av_packet_alloc();
  out->waiting = av_packet_alloc();
  out->held = av_packet_alloc();
  out->first_dts = AV_NOPTS_VALUE;
  out->sound_clock = G_MININT64;
  if (sound_from && !sound_open(sound_from, &out->sound, error))
    return NULL;
  if (!(out->temporary = temporary_create(path, error)) || !open_encoder(out, quality, error) ||
      !open_muxer(out, error))
    return NULL;
  out->interval = MAX(av_rescale_q(1, av_inv_q(info->frame_rate), out->encoder->time_base), 1);
  return g_steal_pointer(&out);
}

void video_out_free(VideoOut *out) {
  if (!out)
    return;
  if (out->mux)
    avio_closep(&out->mux->pb);
  avformat_free_context(out->mux);
  avcodec_free_context(&out->encoder);
  av_packet_free(&out->packet);
  av_packet_free(&out->waiting);
  av_packet_free(&out->held);
  sound_free(out->sound);
  if (out->temporary)
    g_unlink(out->temporary);
  g_free(out->temporary);
  g_free(out->path);
  g_free(out);
}

/* ---- sound ---- */

/* Makes sure that the next packet of sound waits, in the output's ticks, in order. FALSE when there is none.
 */
static gboolean fetch_sound(VideoOut *out) {
  AVPacket *p = out->waiting;
  if (!out->sound)
    return FALSE;
  if (p->data)
    return TRUE;
  if (!sound_next(out->sound, p)) {
    g_clear_pointer(&out->sound, sound_free);
    return FALSE;
  }
  p->stream_index = out->track->index;
  p->pos = -1;
  av_packet_rescale_ts(p, out->sound_base, out->track->time_base);
  if (p->dts == AV_NOPTS_VALUE)
    p->dts = p->pts != AV_NOPTS_VALUE ? p->pts : MAX(out->sound_clock + 1, 0);
  /* The muxer wants strictly increasing times. */
  if (out->sound_clock != G_MININT64)
    p->dts = MAX(p->dts, out->sound_clock + 1);
  p->pts = p->pts == AV_NOPTS_VALUE ? p->dts : MAX(p->pts, p->dts);
  out->sound_clock = p->dts;
  if (av_compare_ts(p->dts, out->track->time_base, MAX_SOUND_SECONDS, (AVRational){1, 1}) > 0) {
    g_clear_pointer(&out->sound, sound_free);
    av_packet_unref(p);
    return FALSE;
  }
  return TRUE;
}

/* Writes packet, which is left empty. Sound that the muxer refuses is damage of the input; only a failing
 * file ends the work. */
static gboolean put(VideoOut *out, AVPacket *packet, gboolean ours, GError **error) {
  int code = av_write_frame(out->mux, packet);
  av_packet_unref(packet);
  if (out->mux->pb->error < 0)
    return temporary_broken(out->path, out->mux->pb->error, error);
  return code < 0 && ours ? temporary_broken(out->path, code, error) : TRUE;
}

static gboolean put_sound_until(VideoOut *out, gint64 dts, GError **error) {
  while (fetch_sound(out)) {
    if (av_compare_ts(out->waiting->dts, out->track->time_base, dts, out->picture->time_base) > 0)
      return TRUE;
    if (!put(out, out->waiting, FALSE, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean put_rest_of_sound(VideoOut *out, GError **error) {
  while (fetch_sound(out))
    if (!put(out, out->waiting, FALSE, error))
      return FALSE;
  return TRUE;
}

/* ---- picture ---- */

/* The index of an MP4 keeps the distances between decoding times, so the duration of a packet counts only in
 * two places: that of the last frame shown ends the track, that of the last packet written makes the sum of
 * all distances the true length, which is what average frame rates are computed from. */
static void set_duration(VideoOut *out, AVPacket *packet, gboolean final) {
  if (packet->pts == out->last)
    packet->duration = out->last_duration;
  else if (final)
    packet->duration = MAX(out->last + out->last_duration - out->first - (packet->dts - out->first_dts), 1);
  else
    packet->duration = 1;
}

/* Writes the packet that was held back, with the sound that comes before it. */
static gboolean put_held(VideoOut *out, gboolean final, GError **error) {
  AVPacket *p = out->held;
  if (!p->data)
    return TRUE;
  set_duration(out, p, final);
  p->stream_index = out->picture->index;
  av_packet_rescale_ts(p, out->encoder->time_base, out->picture->time_base);
  return put_sound_until(out, p->dts, error) && put(out, p, TRUE, error);
}

/* Takes everything that the encoder has ready; one packet is always held back, since it may be the last. */
static gboolean drain(VideoOut *out, GError **error) {
  for (;;) {
    int code = avcodec_receive_packet(out->encoder, out->packet);
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF)
      return TRUE;
    if (code < 0) {
      g_autofree char *why = av_text(code);
      return fault(error, FAULT_INTERNAL, "The encoder failed: %s.", why);
    }
    if (!put_held(out, FALSE, error))
      return FALSE;
    if (out->first_dts == AV_NOPTS_VALUE)
      out->first_dts = out->packet->dts;
    av_packet_move_ref(out->held, out->packet);
  }
}

gboolean video_out_write(VideoOut *out, const AVFrame *frame, GError **error) {
  if (frame->format != AV_PIX_FMT_YUV420P || frame->width != out->info.width ||
      frame->height != out->info.height)
    return fault(error, FAULT_INTERNAL, "A frame of another size or format came to the encoder.");
  gint64 pts = av_rescale_q(frame->pts, out->info.time_base, out->encoder->time_base);
  if (out->count > 0 && pts <= out->last)
    return fault(error, FAULT_INTERNAL, "Frames came to the encoder out of order.");
  g_autoptr(AVFrame) sent = av_frame_clone(frame);
  sent->pts = pts;
  sent->pict_type = AV_PICTURE_TYPE_NONE; /* the encoder decides */
  if (out->count++ == 0)
    out->first = pts;
  out->last = pts;
  gint64 own = av_rescale_q(frame->pkt_duration, out->info.time_base, out->encoder->time_base);
  out->last_duration = own > 0 ? own : out->interval;
  int code = avcodec_send_frame(out->encoder, sent);
  if (code < 0) {
    g_autofree char *why = av_text(code);
    return fault(error, FAULT_INTERNAL, "The encoder failed: %s.", why);
  }
  return drain(out, error);
}

/* The length that the input states goes before the last frame's own word, where the two are near: an input
 * that was cut by an edit list ends within a frame. */
static void settle_end(VideoOut *out) {
  gint64 length = llround(out->info.seconds / av_q2d(out->encoder->time_base));
  gint64 duration = length - (out->last - out->first);
  if (duration > 0 && duration < 2 * out->interval)
    out->last_duration = duration;
}

gboolean video_out_finish(VideoOut *out, GError **error) {
  if (out->count == 0)
    return fault(error, FAULT_INTERNAL, "%s would have no frames.", out->path);
  settle_end(out);
  avcodec_send_frame(out->encoder, NULL);
  if (!drain(out, error) || !put_held(out, TRUE, error) || !put_rest_of_sound(out, error))
    return FALSE;
  return temporary_finish(out->mux, &out->temporary, out->path, error);
}
