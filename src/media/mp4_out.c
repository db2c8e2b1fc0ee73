/* Time: the muxer keeps the beginning (a picture that starts after the sound, sound that starts before zero)
 * in edit lists; these count in the movie's time scale, which is therefore chosen fine enough for both
 * streams. The length of the last frame exists nowhere but in its packet's duration, which is why one packet
 * is always held back: it may be the last. */
#include "media/mp4_out.h"
#include "media/temporary.h"

#include <glib/gstdio.h>
#include <libavutil/mathematics.h>
#include <math.h>

/* Finer ticks than this overflow the 32-bit deltas of the index within seconds. */
#define MAX_TICKS_PER_SECOND 100000000
#define MAX_MOVIE_SCALE 100000000
/* Sound may go on after the picture; what is later than this is damage. */
#define MAX_SOUND_SECONDS ((gint64)(2 * VIDEO_MAX_SECONDS))
#define FALLBACK_MOVIE_SCALE 1000000

struct Mp4Out {
  char *path, *temporary; /* temporary exists from open to finish */
  AVFormatContext *mux;
  AVStream *picture, *track;
  AVRational base; /* of the caller's times */
  AVPacket *held;
  Sound *sound;       /* NULL: none, or at its end */
  AVPacket *waiting;  /* the next packet of sound, when it has data */
  gint64 sound_clock; /* dts of the last sound packet written */
  AVRational sound_base;
  double seconds;                    /* that the input states */
  gint64 interval;                   /* usual ticks of a frame */
  gint64 first, last, last_duration; /* of the frames so far */
  gint64 first_dts;
  gint64 count;
};

/* ---- opening ---- */

AVRational mp4_time_base(const VideoInfo *info) {
  AVRational finest = {1, MAX_TICKS_PER_SECOND};
  return av_cmp_q(info->time_base, finest) < 0 ? (AVRational){1, 1000000} : info->time_base;
}

/* A scale in which the starts of both streams are whole numbers. */
static int movie_scale(const Mp4Out *out) {
  gint64 scale = out->base.den;
  if (out->sound) {
    gint64 ticks = out->sound_base.den;
    scale = scale / av_gcd(scale, ticks) * ticks;
  }
  return scale >= 1000 && scale <= MAX_MOVIE_SCALE ? (int)scale
         : scale < 1000 && scale > 0               ? (int)(scale * (1000 / scale + 1))
                                                   : FALLBACK_MOVIE_SCALE;
}

static gboolean open_muxer(Mp4Out *out, const VideoInfo *info, const AVCodecParameters *picture,
                           GError **error) {
  g_autofree char *url = g_strconcat("file:", out->temporary, NULL);
  if (avformat_alloc_output_context2(&out->mux, NULL, "mp4", url) < 0)
    return fault(error, FAULT_INTERNAL, "This FFmpeg has no MP4 muxer.");
  out->picture = avformat_new_stream(out->mux, NULL);
  avcodec_parameters_copy(out->picture->codecpar, picture);
  out->picture->codecpar->codec_tag = 0;
  out->picture->time_base = out->base;
  out->picture->avg_frame_rate = info->frame_rate;
  out->picture->sample_aspect_ratio = info->aspect;
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

Mp4Out *mp4_out_open(const char *path, const VideoInfo *info, const AVCodecParameters *picture, Sound *sound,
                     GError **error) {
  g_autoptr(Mp4Out) out = g_new0(Mp4Out, 1);
  out->path = g_strdup(path);
  out->sound = sound;
  out->waiting = av_packet_alloc();
  out->held = av_packet_alloc();
  out->first_dts = AV_NOPTS_VALUE;
  out->sound_clock = G_MININT64;
  out->base = mp4_time_base(info);
  out->seconds = info->seconds;
  out->interval = MAX(av_rescale_q(1, av_inv_q(info->frame_rate), out->base), 1);
  if (!(out->temporary = temporary_create(path, error)) || !open_muxer(out, info, picture, error))
    return NULL;
  return g_steal_pointer(&out);
}

void mp4_out_free(Mp4Out *out) {
  if (!out)
    return;
  if (out->mux)
    avio_closep(&out->mux->pb);
  avformat_free_context(out->mux);
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
static gboolean fetch_sound(Mp4Out *out) {
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
static gboolean put(Mp4Out *out, AVPacket *packet, gboolean ours, GError **error) {
  int code = av_write_frame(out->mux, packet);
  av_packet_unref(packet);
  if (out->mux->pb->error < 0)
    return temporary_broken(out->path, out->mux->pb->error, error);
  return code < 0 && ours ? temporary_broken(out->path, code, error) : TRUE;
}

static gboolean put_sound_until(Mp4Out *out, gint64 dts, GError **error) {
  while (fetch_sound(out)) {
    if (av_compare_ts(out->waiting->dts, out->track->time_base, dts, out->picture->time_base) > 0)
      return TRUE;
    if (!put(out, out->waiting, FALSE, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean put_rest_of_sound(Mp4Out *out, GError **error) {
  while (fetch_sound(out))
    if (!put(out, out->waiting, FALSE, error))
      return FALSE;
  return TRUE;
}

/* ---- picture ---- */

/* The index of an MP4 keeps the distances between decoding times, so the duration of a packet counts only in
 * two places: that of the last frame shown ends the track, that of the last packet written makes the sum of
 * all distances the true length, which is what average frame rates are computed from. */
static void set_duration(Mp4Out *out, AVPacket *packet, gboolean final) {
  if (packet->pts == out->last)
    packet->duration = out->last_duration;
  else if (final)
    packet->duration = MAX(out->last + out->last_duration - out->first - (packet->dts - out->first_dts), 1);
  else
    packet->duration = 1;
}

/* Writes the packet that was held back, with the sound that comes before it. */
static gboolean put_held(Mp4Out *out, gboolean final, GError **error) {
  AVPacket *p = out->held;
  if (!p->data)
    return TRUE;
  set_duration(out, p, final);
  p->stream_index = out->picture->index;
  av_packet_rescale_ts(p, out->base, out->picture->time_base);
  return put_sound_until(out, p->dts, error) && put(out, p, TRUE, error);
}

gboolean mp4_out_expect(Mp4Out *out, gint64 pts, gint64 duration, GError **error) {
  if (out->count > 0 && pts <= out->last)
    return fault(error, FAULT_INTERNAL, "Frames came to the encoder out of order.");
  if (out->count++ == 0)
    out->first = pts;
  out->last = pts;
  out->last_duration = duration > 0 ? duration : out->interval;
  return TRUE;
}

gboolean mp4_out_put(Mp4Out *out, AVPacket *packet, GError **error) {
  if (!put_held(out, FALSE, error))
    return FALSE;
  if (out->first_dts == AV_NOPTS_VALUE)
    out->first_dts = packet->dts;
  av_packet_move_ref(out->held, packet);
  return TRUE;
}

/* The length that the input states goes before the last frame's own word, where the two are near: an input
 * that was cut by an edit list ends within a frame. */
void mp4_out_settle(Mp4Out *out) {
  gint64 length = llround(out->seconds / av_q2d(out->base));
  gint64 duration = length - (out->last - out->first);
  if (duration > 0 && duration < 2 * out->interval)
    out->last_duration = duration;
}

gboolean mp4_out_finish(Mp4Out *out, GError **error) {
  if (!put_held(out, TRUE, error) || !put_rest_of_sound(out, error))
    return FALSE;
  return temporary_finish(out->mux, &out->temporary, out->path, error);
}
