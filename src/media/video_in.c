/* The way of a frame: demuxer, decoder, timestamp, upright.
 *
 * What a header says is a claim. It is checked where it can refuse a file at once; then the first frame is
 * decoded while the file is opened, and what it shows (size, pixel format, range, matrix) is the truth that
 * VideoInfo states. Length and number of frames are watched while decoding. A container without a length (a
 * browser's recording) is read through once, packets only.
 *
 * Damage in the middle costs the packets it hits: errors of demuxer and decoder are passed over, and what
 * follows is decoded again from the next frame that can stand alone.
 *
 * Whoever needs the frames from one in the middle on gets them from the last frame before it that stands
 * alone, where packets and frames are known to be the same, one for one; else everything is decoded. */
#include "media/av.h"
#include "media/upright.h"
#include "media/video.h"

#include <libavutil/display.h>
#include <libavutil/parseutils.h>
#include <libavutil/pixdesc.h>
#include <math.h>

/* Decoding runs beside other work; two keep it ahead of the rest on the smallest machine meant. */
#define DECODER_THREADS 2
/* Errors in a row after which the file counts as ended. */
#define MAX_ERRORS 256
/* Steps back of more frames than this are a new clock, not a disorder of frames. */
#define MAX_DISORDER 4
/* A decoder that was given a part of the frames may sort the next few wrongly: so many times its delay. */
#define SETTLE_DELAYS 2
/* 300 s of 240 frames each: what a header without a plausible rate may hold at most. */
#define MAX_FRAMES 72000

struct VideoIn {
  char *path;
  AVFormatContext *source;
  AVStream *stream;
  AVCodecContext *codec;
  AVPacket *packet;
  Upright *upright;
  AVFrame *pending; /* decoded while opening */
  VideoInfo info;
  gboolean drained; /* the decoder has been told of the end */
  gboolean probing; /* limits of length and size are for the caller to check */
  int errors;       /* in a row */
  gint64 shift;     /* what is added to the file's timestamps */
  gint64 interval;  /* of one frame in ticks, at least 1 */
  gint64 first, last;
  gint64 count;
  gint64 wanted; /* the decoder may leave out what comes before this pts of the file and is no reference */
};

static double ticks_to_seconds(gint64 ticks, AVRational base) {
  return (double)ticks * av_q2d(base);
}

/* ---- demuxing and decoding ---- */

static int read_packet(VideoIn *in) {
  for (;;) {
    int code = av_read_frame(in->source, in->packet);
    if (code >= 0 && in->packet->stream_index == in->stream->index)
      return 0;
    av_packet_unref(in->packet);
    if (code == AVERROR_EOF || (code < 0 && ++in->errors > MAX_ERRORS))
      return AVERROR_EOF;
  }
}

/* The next frame as the decoder gives it, or NULL at the end. */
static AVFrame *decode(VideoIn *in) {
  g_autoptr(AVFrame) frame = av_frame_alloc();
  for (;;) {
    int code = avcodec_receive_frame(in->codec, frame);
    if (code == 0) {
      in->errors = 0;
      return g_steal_pointer(&frame);
    }
    if (code == AVERROR_EOF || in->errors > MAX_ERRORS)
      return NULL;
    if (code != AVERROR(EAGAIN)) {
      in->errors++;
      continue;
    }
    if (in->drained)
      return NULL;
    if (read_packet(in) == 0) {
      in->codec->skip_frame = in->packet->pts < in->wanted ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
      if (avcodec_send_packet(in->codec, in->packet) < 0)
        in->errors++;
      av_packet_unref(in->packet);
    } else {
      in->drained = TRUE;
      in->errors = 0;
      avcodec_send_packet(in->codec, NULL);
    }
  }
}

/* ---- timestamps ---- */

/* A pts after the last one, from what the file says. Frames at the same or an earlier time go half an
 * interval behind their predecessor, which leaves the place of the next one free; a long step back starts a
 * new clock that continues the old one. */
static gint64 next_time(VideoIn *in, gint64 stated) {
  gboolean known = stated != AV_NOPTS_VALUE;
  gint64 pts;
  if (in->count == 0) {
    pts = known ? stated + in->shift : 0;
    /* An MP4 cannot begin before zero, and should not begin with minutes of nothing. */
    if (pts < 0 || ticks_to_seconds(pts, in->info.time_base) > VIDEO_MAX_SECONDS) {
      in->shift -= pts;
      pts = 0;
    }
    in->first = pts;
  } else {
    pts = known ? stated + in->shift : in->last + in->interval;
    if (pts <= in->last - MAX_DISORDER * in->interval) {
      in->shift += in->last + in->interval - pts;
      pts = in->last + in->interval;
    } else if (pts <= in->last) {
      pts = in->last + MAX(in->interval / 2, 1);
    }
  }
  in->last = pts;
  in->count++;
  return pts;
}

static gboolean check_running(const VideoIn *in, GError **error) {
  double seconds = ticks_to_seconds(in->last - in->first, in->info.time_base);
  if (seconds > VIDEO_MAX_SECONDS + VIDEO_SLACK_SECONDS)
    return fault(error, FAULT_LIMIT, "%s is longer than %.0f minutes. Cut it.", in->path,
                 VIDEO_MAX_SECONDS / 60);
  if (in->count > MAX_FRAMES)
    return fault(error, FAULT_LIMIT, "%s has more than %d frames. Lower its frame rate.", in->path,
                 MAX_FRAMES);
  return TRUE;
}

/* ---- header ---- */

static gboolean check_size(const VideoIn *in, int width, int height, GError **error) {
  if (in->probing)
    return TRUE;
  if (width < VIDEO_MIN_SIDE || height < VIDEO_MIN_SIDE)
    return fault(error, FAULT_LIMIT, "%s is %d x %d pixels; the smallest video is %d x %d.", in->path, width,
                 height, VIDEO_MIN_SIDE, VIDEO_MIN_SIDE);
  if (width > VIDEO_MAX_SIDE || height > VIDEO_MAX_SIDE)
    return fault(error, FAULT_LIMIT, "%s is %d x %d pixels; the largest video is %d x %d. Scale it down.",
                 in->path, width, height, VIDEO_MAX_SIDE, VIDEO_MAX_SIDE);
  return TRUE;
}

static gboolean check_length(const VideoIn *in, double seconds, GError **error) {
  if (in->probing)
    return TRUE;
  if (seconds < VIDEO_MIN_SECONDS - 0.001)
    return fault(error, FAULT_LIMIT, "%s lasts %.2f s; a video must last %.1f s or more.", in->path, seconds,
                 VIDEO_MIN_SECONDS);
  if (seconds > VIDEO_MAX_SECONDS + VIDEO_SLACK_SECONDS)
    return fault(error, FAULT_LIMIT, "%s lasts %.0f s; a video may last %.0f minutes. Cut it.", in->path,
                 seconds, VIDEO_MAX_SECONDS / 60);
  return TRUE;
}

/* Where the container has no length: the packets' own, by reading all of them. Leaves the source at its end.
 */
static double measure_length(VideoIn *in, gint64 *frames) {
  gint64 low = G_MAXINT64, high = G_MININT64, count = 0, late = 0;
  while (read_packet(in) == 0) {
    const AVPacket *p = in->packet;
    gint64 ts = av_sane_time(p->pts != AV_NOPTS_VALUE ? p->pts : p->dts);
    if (ts != AV_NOPTS_VALUE) {
      low = MIN(low, ts);
      if (ts > high) {
        high = ts;
        late = CLAMP(p->duration, 0, G_MAXINT32);
      }
    }
    count++;
    av_packet_unref(in->packet);
  }
  *frames = count;
  if (high > low)
    return ticks_to_seconds(high - low + late, in->stream->time_base);
  return count / av_q2d(in->info.frame_rate); /* a raw stream without timestamps */
}

static double matroska_length(const AVStream *stream) {
  const AVDictionaryEntry *tag = av_dict_get(stream->metadata, "DURATION", NULL, 0);
  gint64 length = 0;
  if (!tag || av_parse_time(&length, tag->value, 1) < 0 || length <= 0)
    return 0;
  gint64 start = stream->start_time == AV_NOPTS_VALUE
                     ? 0
                     : av_rescale_q(stream->start_time, stream->time_base, AV_TIME_BASE_Q);
  return (double)(length - MAX(start, 0)) / AV_TIME_BASE;
}

/* 0 where the header does not say. */
static double header_length(const VideoIn *in) {
  if (in->source->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE)
    return 0;
  if (in->stream->duration > 0)
    return ticks_to_seconds(in->stream->duration, in->stream->time_base);
  double length = matroska_length(in->stream);
  if (length > 0)
    return length;
  return in->source->duration > 0 ? (double)in->source->duration / AV_TIME_BASE : 0;
}

static gboolean plausible(AVRational rate) {
  return rate.num > 0 && rate.den > 0 && av_q2d(rate) > 0.05 && av_q2d(rate) < 1000;
}

static AVRational frame_rate(const VideoIn *in) {
  const AVRational rates[] = {in->stream->avg_frame_rate, in->stream->r_frame_rate};
  for (guint i = 0; i < G_N_ELEMENTS(rates); i++)
    if (plausible(rates[i]))
      return rates[i];
  return (AVRational){25, 1};
}

static gboolean select_stream(VideoIn *in, GError **error) {
  int index = av_source_stream(in->source, AVMEDIA_TYPE_VIDEO);
  if (index < 0)
    return fault(error, FAULT_INPUT, "%s has no video that can be decoded.", in->path);
  in->stream = in->source->streams[index];
  in->info.sound = av_source_stream(in->source, AVMEDIA_TYPE_AUDIO) >= 0;
  in->info.time_base = in->stream->time_base;
  in->info.frame_rate = frame_rate(in);
  av_source_keep(in->source, index);
  return TRUE;
}

static gboolean read_header(VideoIn *in, GError **error) {
  if (!(in->source = av_source_open(in->path, error)) || !select_stream(in, error))
    return FALSE;
  const AVCodecParameters *p = in->stream->codecpar;
  if (p->width > 0 && p->height > 0 && !check_size(in, p->width, p->height, error))
    return FALSE;
  double seconds = header_length(in);
  gint64 frames = in->stream->nb_frames;
  if (seconds <= 0) {
    seconds = measure_length(in, &frames);
    av_source_close(in->source);
    in->errors = 0;
    if (!(in->source = av_source_open(in->path, error)) || !select_stream(in, error))
      return FALSE;
  }
  if (!check_length(in, seconds, error))
    return FALSE;
  in->info.seconds = seconds;
  in->info.frames = frames > 0 ? frames : llround(seconds * av_q2d(in->info.frame_rate));
  in->info.frames = CLAMP(in->info.frames, 1, MAX_FRAMES);
  in->interval = MAX(av_rescale_q(1, av_inv_q(in->info.frame_rate), in->info.time_base), 1);
  in->shift = -av_rescale_q(av_source_origin(in->source), AV_TIME_BASE_Q, in->info.time_base);
  return TRUE;
}

static gboolean open_decoder(VideoIn *in, GError **error) {
  const AVCodec *decoder = avcodec_find_decoder(in->stream->codecpar->codec_id);
  in->codec = avcodec_alloc_context3(decoder);
  avcodec_parameters_to_context(in->codec, in->stream->codecpar);
  in->codec->pkt_timebase = in->stream->time_base;
  in->codec->thread_count = DECODER_THREADS;
  in->codec->thread_type = FF_THREAD_FRAME | FF_THREAD_SLICE; /* slices where frames cannot */
  in->codec->max_pixels = AV_MAX_CODED_PIXELS;
  if (avcodec_open2(in->codec, decoder, NULL) < 0)
    return fault(error, FAULT_INPUT, "%s cannot be decoded: its %s stream is damaged.", in->path,
                 decoder->name);
  return TRUE;
}

/* ---- what the first frame shows ---- */

static int known_matrix(const AVFrame *frame) {
  switch (frame->colorspace) {
  case AVCOL_SPC_BT709:
  case AVCOL_SPC_FCC:
  case AVCOL_SPC_BT470BG:
  case AVCOL_SPC_SMPTE170M:
  case AVCOL_SPC_SMPTE240M:
  case AVCOL_SPC_BT2020_NCL:
    return frame->colorspace;
  default:
    return frame->height >= 720 || frame->width >= 1280 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
  }
}

static int known_range(const AVFrame *frame) {
  const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
  if (format && (format->flags & AV_PIX_FMT_FLAG_RGB))
    return AVCOL_RANGE_MPEG; /* what it is converted to */
  if (format && g_str_has_prefix(format->name, "yuvj"))
    return AVCOL_RANGE_JPEG;
  return frame->color_range;
}

static gboolean learn(VideoIn *in, AVFrame *frame, GError **error) {
  if (!check_size(in, frame->width, frame->height, error))
    return FALSE;
  const gint32 *matrix = (const gint32 *)av_stream_get_side_data(in->stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
  Turn turn = turn_from_matrix(matrix);
  VideoInfo *info = &in->info;
  info->width = (turn.transpose ? frame->height : frame->width) & ~1;
  info->height = (turn.transpose ? frame->width : frame->height) & ~1;
  AVRational aspect = av_guess_sample_aspect_ratio(in->source, in->stream, frame);
  info->aspect = aspect.num <= 0 || aspect.den <= 0 ? (AVRational){0, 1}
                 : turn.transpose                   ? av_inv_q(aspect)
                                                    : aspect;
  info->range = known_range(frame);
  info->matrix = known_matrix(frame);
  info->primaries = frame->color_primaries;
  info->transfer = frame->color_trc;
  if (upright_tone_maps(frame)) {
    info->range = AVCOL_RANGE_MPEG;
    info->matrix = AVCOL_SPC_BT709;
    info->primaries = AVCOL_PRI_BT709;
    info->transfer = AVCOL_TRC_BT709;
  }
  in->upright = upright_new(turn, info);
  return TRUE;
}

/* ---- beginning in the middle ---- */

typedef struct {
  gint64 pts, dts;
  gboolean key;
  int place; /* in the file */
} Stamp;

static int compare_stamps(gconstpointer a, gconstpointer b) {
  gint64 p = ((const Stamp *)a)->pts, q = ((const Stamp *)b)->pts;
  return (p > q) - (p < q);
}

/* To the packet, or to one before it. */
static gboolean seek(VideoIn *in, const Stamp *stamp) {
  gint64 place = stamp->dts != AV_NOPTS_VALUE ? stamp->dts : stamp->pts;
  return av_seek_frame(in->source, in->stream->index, place, AVSEEK_FLAG_BACKWARD) >= 0;
}

/* Those of the packets in order of presentation, of a file of which nothing has been read yet nor has
 * afterwards. NULL where they do not tell which frame is which. */
static GArray *packet_stamps(VideoIn *in, int frames) {
  g_autoptr(GArray) stamps = g_array_new(FALSE, FALSE, sizeof(Stamp));
  gboolean good = TRUE;
  while (good && read_packet(in) == 0) {
    const AVPacket *p = in->packet;
    Stamp stamp = {av_sane_time(p->pts), av_sane_time(p->dts), (p->flags & AV_PKT_FLAG_KEY) != 0,
                   (int)stamps->len};
    good = stamp.pts != AV_NOPTS_VALUE && !(p->flags & (AV_PKT_FLAG_DISCARD | AV_PKT_FLAG_CORRUPT));
    g_array_append_val(stamps, stamp);
    av_packet_unref(in->packet);
  }
  g_array_sort(stamps, compare_stamps);
  good = good && in->errors == 0 && (int)stamps->len == frames;
  const Stamp *stamp = (const Stamp *)(void *)stamps->data;
  for (int i = 0; good && i < frames; i++)
    good = (i == 0 || stamp[i].pts > stamp[i - 1].pts) && ABS(stamp[i].place - i) <= AV_MAX_DELAY_FRAMES;
  good = good && seek(in, &stamp[0]);
  return good ? g_steal_pointer(&stamps) : NULL;
}

/* Makes the frame with this number the next one, of a file whose first is pending. The last ones before it
 * are decoded too and must be the ones that are due. FALSE when the file does not allow it. */
static gboolean go_to(VideoIn *in, const GArray *stamps, int number) {
  const Stamp *stamp = (const Stamp *)(void *)stamps->data;
  int key = number;
  while (key > 0 && !stamp[key].key)
    key--;
  if (key > 0) {
    if (!seek(in, &stamp[key]))
      return FALSE;
    avcodec_flush_buffers(in->codec);
    av_frame_free(&in->pending);
    in->drained = FALSE;
  }
  int due = MAX(key, number - SETTLE_DELAYS * MAX(in->codec->has_b_frames, 1));
  in->wanted = stamp[due].pts;
  for (;;) {
    g_autoptr(AVFrame) frame = in->pending ? g_steal_pointer(&in->pending) : decode(in);
    gint64 pts = frame ? av_sane_time(frame->best_effort_timestamp) : AV_NOPTS_VALUE;
    if (!frame || pts == AV_NOPTS_VALUE || pts > stamp[due].pts)
      return FALSE;
    if (pts == stamp[due].pts && due++ == number) {
      in->pending = g_steal_pointer(&frame);
      break;
    }
  }
  for (int i = 0; i < number; i++)
    next_time(in, stamp[i].pts);
  return TRUE;
}

/* ---- the interface ---- */

static VideoIn *open_stream(const char *path, GError **error) {
  g_autoptr(VideoIn) in = g_new0(VideoIn, 1);
  in->path = g_strdup(path);
  in->packet = av_packet_alloc();
  in->wanted = G_MININT64;
  return read_header(in, error) && open_decoder(in, error) ? g_steal_pointer(&in) : NULL;
}

static gboolean learn_from_first(VideoIn *in, GError **error) {
  if (!(in->pending = decode(in)))
    return fault(error, FAULT_INPUT, "%s has no frame that can be decoded; it is damaged or cut off.",
                 in->path);
  return learn(in, in->pending, error);
}

VideoIn *video_in_open(const char *path, GError **error) {
  g_autoptr(VideoIn) in = open_stream(path, error);
  return in && learn_from_first(in, error) ? g_steal_pointer(&in) : NULL;
}

VideoIn *video_in_open_at(const char *path, int frames, int *first, GError **error) {
  if (*first > 0 && *first < frames) {
    g_autoptr(VideoIn) in = open_stream(path, error);
    if (!in)
      return NULL;
    g_autoptr(GArray) stamps = packet_stamps(in, frames);
    if (stamps && learn_from_first(in, NULL) && go_to(in, stamps, *first))
      return g_steal_pointer(&in);
  }
  *first = 0;
  return video_in_open(path, error);
}

void video_in_free(VideoIn *in) {
  if (!in)
    return;
  av_frame_free(&in->pending);
  upright_free(in->upright);
  avcodec_free_context(&in->codec);
  av_packet_free(&in->packet);
  av_source_close(in->source);
  g_free(in->path);
  g_free(in);
}

const VideoInfo *video_in_info(const VideoIn *in) {
  return &in->info;
}

/* Whether the header alone breaks a limit; what it does not say is left to the first frame. */
static gboolean breaks_limits(const VideoInfo *info) {
  return info->seconds > VIDEO_MAX_SECONDS + VIDEO_SLACK_SECONDS || info->width > VIDEO_MAX_SIDE ||
         info->height > VIDEO_MAX_SIDE;
}

gboolean video_in_probe(const char *path, VideoInfo *info, GError **error) {
  g_autoptr(VideoIn) in = g_new0(VideoIn, 1);
  in->path = g_strdup(path);
  in->packet = av_packet_alloc();
  in->probing = TRUE;
  if (!read_header(in, error))
    return FALSE;
  in->info.width = in->stream->codecpar->width;
  in->info.height = in->stream->codecpar->height;
  if (!breaks_limits(&in->info) && (!open_decoder(in, error) || !learn_from_first(in, error)))
    return FALSE;
  *info = in->info;
  return TRUE;
}

/* At the end: a header may have promised more than there was. */
static AVFrame *finish(VideoIn *in, GError **error) {
  if (in->count == 0)
    return fault_null(error, FAULT_INPUT, "%s has no frame that can be decoded; it is damaged or cut off.",
                      in->path);
  double seconds = ticks_to_seconds(in->last - in->first + in->interval, in->info.time_base);
  check_length(in, seconds, error);
  return NULL;
}

AVFrame *video_in_next(VideoIn *in, GError **error) {
  for (;;) {
    AVFrame *raw = in->pending ? g_steal_pointer(&in->pending) : decode(in);
    if (!raw)
      return finish(in, error);
    g_autoptr(AVFrame) frame = upright_apply(in->upright, raw);
    if (!frame)
      continue; /* of a kind that cannot be converted: damage, not the film */
    frame->pts = next_time(in, av_sane_time(frame->best_effort_timestamp));
    if (!check_running(in, error))
      return NULL;
    frame->color_range = in->info.range;
    frame->colorspace = in->info.matrix;
    frame->color_primaries = in->info.primaries;
    frame->color_trc = in->info.transfer;
    frame->sample_aspect_ratio = in->info.aspect;
    frame->pict_type = AV_PICTURE_TYPE_NONE;
    return g_steal_pointer(&frame);
  }
}
