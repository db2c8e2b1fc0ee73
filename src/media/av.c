/* A media file names other files in many ways (playlists, data references, subtitles). So the file is opened
 * here, as a plain file, and the demuxer is given a callback that refuses to open anything else. The list of
 * containers keeps out the demuxers that take text or pictures for video. */
#include "media/av.h"
#include "media/video.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <libavutil/avutil.h>
#include <sys/stat.h>

#define CONTAINERS "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,gif,mxf,nut,dv,ivf,h264,hevc,mpegvideo,m4v"
/* A start later than this is the clock of a broadcast or of a recording, not a delay that someone wanted. */
#define MAX_DELAY (1 * AV_TIME_BASE)
/* A start later than this (35 years) is damage. */
#define MAX_ORIGIN (G_GINT64_CONSTANT(1) << 50)

void video_init(void) {
  av_log_set_level(AV_LOG_QUIET);
}

char *av_text(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE];
  return g_strdup(av_make_error_string(text, sizeof text, code));
}

static int refuse(AVFormatContext *source, AVIOContext **io, const char *url, int flags,
                  AVDictionary **options) {
  return AVERROR(EPERM);
}

static gboolean check_file(const char *path, GError **error) {
  GStatBuf status;
  if (g_stat(path, &status) != 0)
    return fault(error, FAULT_INPUT, "%s cannot be opened: %s.", path, g_strerror(errno));
  if (!S_ISREG(status.st_mode))
    return fault(error, FAULT_INPUT, "%s is not a file.", path);
  if (status.st_size == 0)
    return fault(error, FAULT_INPUT, "%s is empty.", path);
  if (status.st_size > VIDEO_MAX_BYTES)
    return fault(error, FAULT_LIMIT, "%s has %.0f MB; a video may have %d MB. Compress or cut it.", path,
                 (double)status.st_size / 1e6, VIDEO_MAX_BYTES / 1000000);
  return TRUE;
}

/* Decoders that the probing opens must not be made to take gigabytes by a header. */
static int find_streams(AVFormatContext *source) {
  unsigned count = source->nb_streams;
  g_autofree AVDictionary **options = g_new0(AVDictionary *, count + 1);
  for (unsigned i = 0; i < count; i++) {
    av_dict_set_int(&options[i], "max_pixels", AV_MAX_CODED_PIXELS, 0);
    av_dict_set(&options[i], "threads", "1", 0);
  }
  int code = avformat_find_stream_info(source, count ? options : NULL);
  for (unsigned i = 0; i < count; i++)
    av_dict_free(&options[i]);
  return code;
}

AVFormatContext *av_source_open_known(const char *path, GError **error) {
  if (!check_file(path, error))
    return NULL;
  g_autofree char *url = g_strconcat("file:", path, NULL);
  AVIOContext *io = NULL;
  int code = avio_open(&io, url, AVIO_FLAG_READ);
  if (code < 0) {
    g_autofree char *why = av_text(code);
    return fault_null(error, FAULT_INPUT, "%s cannot be opened: %s.", path, why);
  }
  AVFormatContext *source = avformat_alloc_context();
  g_autoptr(AVDictionary) options = NULL;
  av_dict_set(&options, "format_whitelist", CONTAINERS, 0);
  source->pb = io;
  source->io_open = refuse;
  code = avformat_open_input(&source, url, NULL, &options); /* frees source when it fails, never io */
  if (code >= 0)
    return source;
  avio_closep(&io);
  return fault_null(
      error, FAULT_INPUT,
      "%s is not a video that can be read, or is cut off. MP4, MOV, WebM, AVI and MKV are supported.", path);
}

AVFormatContext *av_source_open(const char *path, GError **error) {
  g_autoptr(AVSource) source = av_source_open_known(path, error);
  if (source && find_streams(source) < 0)
    return fault_null(error, FAULT_INPUT, "%s is damaged: its streams cannot be read.", path);
  return g_steal_pointer(&source);
}

void av_source_close(AVFormatContext *source) {
  if (!source)
    return;
  AVIOContext *io = source->pb;
  avformat_close_input(&source);
  avio_closep(&io);
}

gint64 av_source_origin(const AVFormatContext *source) {
  if (source->start_time == AV_NOPTS_VALUE || source->start_time <= 0 || source->start_time > MAX_ORIGIN)
    return 0;
  gboolean arbitrary = (source->iformat->flags & AVFMT_TS_DISCONT) != 0;
  return arbitrary || source->start_time > MAX_DELAY ? source->start_time : 0;
}

static gboolean usable(const AVStream *stream, enum AVMediaType type) {
  const AVCodecParameters *p = stream->codecpar;
  if (p->codec_type != type || stream->disposition & AV_DISPOSITION_ATTACHED_PIC)
    return FALSE;
  if (type == AVMEDIA_TYPE_AUDIO && (p->sample_rate <= 0 || p->ch_layout.nb_channels <= 0))
    return FALSE;
  return avcodec_find_decoder(p->codec_id) != NULL;
}

int av_source_stream(const AVFormatContext *source, enum AVMediaType type) {
  int first = -1;
  for (unsigned i = 0; i < source->nb_streams; i++) {
    if (!usable(source->streams[i], type))
      continue;
    if (type == AVMEDIA_TYPE_VIDEO || source->streams[i]->disposition & AV_DISPOSITION_DEFAULT)
      return (int)i;
    if (first < 0)
      first = (int)i;
  }
  return first;
}

void av_source_keep(AVFormatContext *source, int stream) {
  for (unsigned i = 0; i < source->nb_streams; i++)
    source->streams[i]->discard = (int)i == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}
