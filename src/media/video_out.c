/* An encoder before an MP4 in the making (mp4_out.h), which counts time as the encoder does: in the input's
 * own ticks, so that every pts survives exactly.
 *
 * Bytes: x264's choices depend on its number of threads, so that number is fixed, whatever machine this is,
 * and so are the algorithms that it would choose by the kind of processor.
 */
#include "media/mp4_out.h"
#include "media/video.h"

/* Enough to keep a laptop busy; more cost memory and bits. */
#define ENCODER_THREADS 4
#define DEFAULT_PRESET "veryfast"
#define DEFAULT_CRF 20

struct VideoOut {
  char *path;
  VideoInfo info;
  AVCodecContext *encoder;
  AVPacket *packet;
  Mp4Out *file;
  gint64 count;
};

/* ---- opening ---- */

static gboolean open_encoder(VideoOut *out, VideoQuality quality, GError **error) {
  const AVCodec *x264 = avcodec_find_encoder_by_name("libx264");
  if (!x264)
    return fault(error, FAULT_INTERNAL, "This FFmpeg has no libx264.");
  const VideoInfo *info = &out->info;
  AVCodecContext *encoder = out->encoder = avcodec_alloc_context3(x264);
  encoder->width = info->width;
  encoder->height = info->height;
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->time_base = mp4_time_base(info);
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

static gboolean open_file(VideoOut *out, const char *sound_from, GError **error) {
  Sound *sound = NULL;
  if (sound_from && !sound_open(sound_from, &sound, error))
    return FALSE;
  AVCodecParameters *parameters = avcodec_parameters_alloc();
  if (avcodec_parameters_from_context(parameters, out->encoder) >= 0)
    out->file = mp4_out_open(out->path, &out->info, parameters, sound, error);
  else
    fault(error, FAULT_INTERNAL, "Out of memory.");
  avcodec_parameters_free(&parameters);
  return out->file != NULL;
}

VideoOut *video_out_open(const char *path, const VideoInfo *info, const char *sound_from,
                         VideoQuality quality, GError **error) {
  g_autoptr(VideoOut) out = g_new0(VideoOut, 1);
  out->path = g_strdup(path);
  out->info = *info;
  out->packet = av_packet_alloc();
  if (!open_encoder(out, quality, error) || !open_file(out, sound_from, error))
    return NULL;
  return g_steal_pointer(&out);
}

void video_out_free(VideoOut *out) {
  if (!out)
    return;
  mp4_out_free(out->file);
  avcodec_free_context(&out->encoder);
  av_packet_free(&out->packet);
  g_free(out->path);
  g_free(out);
}

/* ---- frames ---- */

/* Takes everything that the encoder has ready. */
static gboolean drain(VideoOut *out, GError **error) {
  for (;;) {
    int code = avcodec_receive_packet(out->encoder, out->packet);
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF)
      return TRUE;
    if (code < 0) {
      g_autofree char *why = av_text(code);
      return fault(error, FAULT_INTERNAL, "The encoder failed: %s.", why);
    }
    if (!mp4_out_put(out->file, out->packet, error))
      return FALSE;
  }
}

gboolean video_out_write(VideoOut *out, const AVFrame *frame, GError **error) {
  if (frame->format != AV_PIX_FMT_YUV420P || frame->width != out->info.width ||
      frame->height != out->info.height)
    return fault(error, FAULT_INTERNAL, "A frame of another size or format came to the encoder.");
  AVRational from = out->info.time_base, to = out->encoder->time_base;
  gint64 pts = av_rescale_q(frame->pts, from, to);
  if (!mp4_out_expect(out->file, pts, av_rescale_q(frame->pkt_duration, from, to), error))
    return FALSE;
  out->count++;
  g_autoptr(AVFrame) sent = av_frame_clone(frame);
  sent->pts = pts;
  sent->pict_type = AV_PICTURE_TYPE_NONE; /* the encoder decides */
  int code = avcodec_send_frame(out->encoder, sent);
  if (code < 0) {
    g_autofree char *why = av_text(code);
    return fault(error, FAULT_INTERNAL, "The encoder failed: %s.", why);
  }
  return drain(out, error);
}

gboolean video_out_finish(VideoOut *out, GError **error) {
  if (out->count == 0)
    return fault(error, FAULT_INTERNAL, "%s would have no frames.", out->path);
  mp4_out_settle(out->file);
  avcodec_send_frame(out->encoder, NULL);
  return drain(out, error) && mp4_out_finish(out->file, error);
}
