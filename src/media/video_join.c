/* Two passes over the parts. The first reads every packet's pts and checks what can be checked without
 * decoding; the second copies the packets.
 *
 * Decoding times cannot be taken over: each part begins with the encoder's delay, which in the whole exists
 * once. They follow from the times of presentation as the encoder itself makes them (x264, encoder.c): with a
 * delay of d frames, packet i is decoded when frame i - d is shown, and the first d packets as long before
 * that as frame d comes after the first. A part is a run of whole groups of pictures, so a packet that a part
 * decodes at most d places early is at most d places early in the whole.
 *
 * Parameter sets stand in the sample description, once for the whole file (ISO/IEC 14496-15, avc1), so they
 * must be the same bytes in every part.
 *
 * What the first pass saw is checked again in the second: a file that changes meanwhile is refused. */
#include "media/video_join.h"
#include "media/mp4_out.h"

#include <string.h>

/* The longest video at the highest rate of frames that is read, and then some. */
#define MAX_FRAMES 100000

struct VideoJoin {
  VideoInfo info;
  Sound *sound;
  const char *const *parts;
  int count;
  AVRational base;               /* of all times here */
  AVCodecParameters *parameters; /* of the first part */
  GArray *times;                 /* gint64 pts of every frame, in order of presentation */
  GArray *ends;                  /* guint: how many frames there are up to the end of each part */
  gint64 last_duration;          /* of the last frame, as its part states it; 0 unknown */
  int delay;                     /* frames that a picture may wait between decoding and being shown */
};

static gboolean damaged(const char *part, GError **error) {
  return fault(error, FAULT_INPUT, "The part %s is damaged or cut off. Make it again.", part);
}

static int compare_times(gconstpointer a, gconstpointer b) {
  gint64 p = *(const gint64 *)a, q = *(const gint64 *)b;
  return (p > q) - (p < q);
}

/* --- opening a part --- */

static gboolean check_stream(const VideoJoin *join, const char *part, const AVFormatContext *source,
                             const AVStream *stream, GError **error) {
  const AVCodecParameters *p = stream->codecpar;
  if (!strstr(source->iformat->name, "mp4") || p->codec_id != AV_CODEC_ID_H264 || p->extradata_size <= 0)
    return fault(error, FAULT_INPUT, "The part %s is not H.264 in an MP4.", part);
  if (p->width != join->info.width || p->height != join->info.height)
    return fault(error, FAULT_INPUT, "The part %s is %d x %d pixels and not %d x %d like the whole.", part,
                 p->width, p->height, join->info.width, join->info.height);
  if (join->parameters && (p->extradata_size != join->parameters->extradata_size ||
                           memcmp(p->extradata, join->parameters->extradata, (gsize)p->extradata_size) != 0))
    return fault(error, FAULT_INTERNAL,
                 "The part %s was encoded with other settings than %s; they cannot be joined.", part,
                 join->parts[0]);
  return TRUE;
}

/* The file, of which only the picture will be read, and that stream. */
static AVFormatContext *open_part(const VideoJoin *join, const char *part, AVStream **stream,
                                  GError **error) {
  g_autoptr(AVSource) source = av_source_open_known(part, error);
  if (!source)
    return NULL;
  int index = av_source_stream(source, AVMEDIA_TYPE_VIDEO);
  if (index < 0)
    return fault_null(error, FAULT_INPUT, "The part %s has no picture.", part);
  av_source_keep(source, index);
  *stream = source->streams[index];
  return check_stream(join, part, source, *stream, error) ? g_steal_pointer(&source) : NULL;
}

/* The next packet of the part, with pts in the whole's time base. 0, AVERROR_EOF, or an error. */
static int read_packet(const VideoJoin *join, AVFormatContext *source, const AVStream *stream,
                       AVPacket *packet) {
  int code;
  do {
    av_packet_unref(packet);
    code = av_read_frame(source, packet);
  } while (code >= 0 && packet->stream_index != stream->index);
  if (code < 0)
    return code;
  packet->pts = av_sane_time(packet->pts);
  if (packet->pts == AV_NOPTS_VALUE || packet->size <= 0 ||
      packet->flags & (AV_PKT_FLAG_CORRUPT | AV_PKT_FLAG_DISCARD))
    return AVERROR_INVALIDDATA;
  packet->pts = av_rescale_q(packet->pts, stream->time_base, join->base);
  return 0;
}

/* --- first pass --- */

/* The pts of the part's packets as they are stored, added to times. */
static gboolean list_packets(VideoJoin *join, const char *part, AVFormatContext *source,
                             const AVStream *stream, GError **error) {
  g_autoptr(AVPacket) packet = av_packet_alloc();
  guint begin = join->times->len;
  int code;
  while ((code = read_packet(join, source, stream, packet)) == 0) {
    if (join->times->len == begin && !(packet->flags & AV_PKT_FLAG_KEY))
      return fault(error, FAULT_INPUT, "The part %s does not begin with a picture that stands alone.", part);
    g_array_append_val(join->times, packet->pts);
    if (join->times->len > MAX_FRAMES)
      return fault(error, FAULT_LIMIT, "The parts have more than %d frames together.", MAX_FRAMES);
  }
  guint frames = join->times->len - begin;
  if (code != AVERROR_EOF || frames == 0 || (gint64)frames != stream->nb_frames)
    return damaged(part, error);
  return TRUE;
}

/* How many places a picture is decoded early; pts: of one part, as stored. */
static int needed_delay(const gint64 *stored, const gint64 *sorted, guint frames) {
  int delay = 0;
  for (guint i = 0; i < frames; i++) {
    const gint64 *place = bsearch(&stored[i], sorted, frames, sizeof *sorted, compare_times);
    delay = MAX(delay, (int)i - (int)(place - sorted));
  }
  return delay;
}

static gboolean sort_part(VideoJoin *join, const char *part, guint begin, GError **error) {
  guint frames = join->times->len - begin;
  gint64 *times = &g_array_index(join->times, gint64, begin);
  g_autofree gint64 *stored = g_memdup2(times, frames * sizeof *times);
  qsort(times, frames, sizeof *times, compare_times);
  if (stored[0] != times[0])
    return fault(error, FAULT_INPUT, "The part %s shows pictures before its first.", part);
  for (guint i = 1; i < frames; i++)
    if (times[i] <= times[i - 1])
      return damaged(part, error);
  join->delay = MAX(join->delay, needed_delay(stored, times, frames));
  if (begin > 0 && times[0] <= times[-1])
    return fault(error, FAULT_INPUT, "The part %s does not come after the part before it.", part);
  return TRUE;
}

/* Where the container says that the part ends, counted from its last frame. */
static gint64 last_duration(const VideoJoin *join, const AVStream *stream, guint begin) {
  gint64 first = g_array_index(join->times, gint64, begin),
         last = g_array_index(join->times, gint64, join->times->len - 1),
         length = av_rescale_q(av_sane_time(stream->duration), stream->time_base, join->base);
  return stream->duration > 0 && length > last - first ? length - (last - first) : 0;
}

static gboolean survey_part(VideoJoin *join, int number, GError **error) {
  const char *part = join->parts[number];
  guint begin = join->times->len;
  AVStream *stream = NULL;
  g_autoptr(AVSource) source = open_part(join, part, &stream, error);
  if (!source || !list_packets(join, part, source, stream, error) || !sort_part(join, part, begin, error))
    return FALSE;
  if (!join->parameters) {
    join->parameters = avcodec_parameters_alloc();
    if (avcodec_parameters_copy(join->parameters, stream->codecpar) < 0)
      return fault(error, FAULT_INTERNAL, "Out of memory.");
    join->parameters->bit_rate = 0; /* that of the first part */
  }
  join->delay = MAX(join->delay, stream->codecpar->video_delay);
  join->last_duration = last_duration(join, stream, begin);
  g_array_append_val(join->ends, join->times->len);
  return TRUE;
}

/* --- second pass --- */

static gint64 decoding_time(const VideoJoin *join, guint i) {
  const gint64 *times = (const gint64 *)(void *)join->times->data;
  guint delay = (guint)join->delay, frames = join->times->len;
  if (i >= delay)
    return times[i - delay];
  if (delay < frames)
    return times[i] - (times[delay] - times[0]);
  return times[0] - (gint64)(delay - i); /* fewer frames than the delay: any order before the first will do */
}

static gboolean copy_part(const VideoJoin *join, int number, Mp4Out *file, GError **error) {
  const char *part = join->parts[number];
  guint i = number > 0 ? g_array_index(join->ends, guint, number - 1) : 0,
        end = g_array_index(join->ends, guint, number);
  AVStream *stream = NULL;
  g_autoptr(AVSource) source = open_part(join, part, &stream, error);
  g_autoptr(AVPacket) packet = av_packet_alloc();
  for (; source && i < end; i++) {
    if (read_packet(join, source, stream, packet) != 0)
      return damaged(part, error);
    packet->dts = decoding_time(join, i);
    packet->pos = -1;
    if (packet->pts < packet->dts)
      return damaged(part, error);
    if (!mp4_out_put(file, packet, error))
      return FALSE;
  }
  return source != NULL;
}

static gboolean expect_all(const VideoJoin *join, Mp4Out *file, GError **error) {
  for (guint i = 0; i < join->times->len; i++)
    if (!mp4_out_expect(file, g_array_index(join->times, gint64, i),
                        i + 1 == join->times->len ? join->last_duration : 0, error))
      return FALSE;
  mp4_out_settle(file);
  return TRUE;
}

VideoJoin *video_join_new(const VideoInfo *info, const char *sound_from, GError **error) {
  g_autoptr(VideoJoin) join = g_new0(VideoJoin, 1);
  join->info = *info;
  join->base = mp4_time_base(info);
  join->times = g_array_new(FALSE, FALSE, sizeof(gint64));
  join->ends = g_array_new(FALSE, FALSE, sizeof(guint));
  if (sound_from && !sound_open(sound_from, &join->sound, error))
    return NULL;
  return g_steal_pointer(&join);
}

void video_join_free(VideoJoin *join) {
  if (!join)
    return;
  sound_free(join->sound);
  avcodec_parameters_free(&join->parameters);
  g_array_unref(join->times);
  g_array_unref(join->ends);
  g_free(join);
}

gboolean video_join_run(VideoJoin *join, const char *const *parts, int count, const char *out,
                        GError **error) {
  if (count < 1)
    return fault(error, FAULT_INTERNAL, "%s would have no parts.", out);
  if (count > VIDEO_JOIN_MAX_PARTS)
    return fault(error, FAULT_LIMIT, "%d parts cannot be joined; %d is the most.", count,
                 VIDEO_JOIN_MAX_PARTS);
  join->parts = parts;
  join->count = count;
  for (int i = 0; i < count; i++)
    if (!survey_part(join, i, error))
      return FALSE;
  if (join->delay > AV_MAX_DELAY_FRAMES)
    return damaged(parts[0], error);
  g_autoptr(Mp4Out) file =
      mp4_out_open(out, &join->info, join->parameters, g_steal_pointer(&join->sound), error);
  if (!file || !expect_all(join, file, error))
    return FALSE;
  for (int i = 0; i < count; i++)
    if (!copy_part(join, i, file, error))
      return FALSE;
  return mp4_out_finish(file, error);
}
