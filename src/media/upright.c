/* A graph of libavfilter does the work: transpose, flips, crop, scale, format. It is built for the first
 * frame and again whenever size or format change, and it is left out altogether for frames that already are
 * as they should be, which is the common case. Each graph gives one frame for one frame. */
#include "media/upright.h"
#include "media/av.h"

#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/pixdesc.h>
#include <stdlib.h>

struct Upright {
  Turn turn;
  VideoInfo info;
  int width, height, format; /* of the frames that the graph takes */
  AVFilterGraph *graph;      /* NULL: frames pass through */
  AVFilterContext *in, *out;
};

Turn turn_from_matrix(const gint32 *matrix) {
  if (!matrix)
    return (Turn){0};
  /* x' = a x + c y, y' = b x + d y, y downward. */
  gint64 a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
  if (llabs(b) + llabs(c) > llabs(a) + llabs(d))
    return (Turn){TRUE, c < 0, b < 0};
  return (Turn){FALSE, a < 0, d < 0};
}

Upright *upright_new(Turn turn, const VideoInfo *info) {
  Upright *upright = g_new0(Upright, 1);
  upright->turn = turn;
  upright->info = *info;
  upright->format = AV_PIX_FMT_NONE;
  return upright;
}

void upright_free(Upright *upright) {
  if (!upright)
    return;
  avfilter_graph_free(&upright->graph);
  g_free(upright);
}

/* The names that the scale filter knows. */
static const char *matrix_name(int matrix) {
  switch (matrix) {
  case AVCOL_SPC_BT709:
    return "bt709";
  case AVCOL_SPC_FCC:
    return "fcc";
  case AVCOL_SPC_SMPTE240M:
    return "smpte240m";
  case AVCOL_SPC_BT2020_NCL:
    return "bt2020";
  default:
    return "bt601";
  }
}

/* "yuvj" formats are yuv formats that say full range in their name; said by color_range, they need no
 * conversion. */
static void name_range_apart(AVFrame *frame) {
  static const int pairs[][2] = {{AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P},
                                 {AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV422P},
                                 {AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P},
                                 {AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV440P},
                                 {AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUV411P}};
  for (guint i = 0; i < G_N_ELEMENTS(pairs); i++)
    if (frame->format == pairs[i][0]) {
      frame->format = pairs[i][1];
      frame->color_range = AVCOL_RANGE_JPEG;
    }
}

/* High dynamic range (phones film it by default) looks grey and dim when its values are taken for ordinary
 * ones. It is brought to BT.709 in linear light: diffuse white, 203 cd/m2 by ITU-R BT.2408, becomes white;
 * what is brighter is compressed into the last fifth. */
static void append_tone_map(GString *text, const AVFrame *frame) {
  g_string_append_printf(text,
                         "setparams=color_trc=%s:color_primaries=bt2020:colorspace=bt2020nc:range=%s,"
                         "zscale=t=linear:npl=203,format=gbrpf32le,"
                         "zscale=p=bt709,tonemap=mobius:param=0.8:desat=0,"
                         "zscale=t=bt709:m=bt709:r=limited,format=yuv444p,",
                         frame->color_trc == AVCOL_TRC_SMPTE2084 ? "smpte2084" : "arib-std-b67",
                         frame->color_range == AVCOL_RANGE_JPEG ? "full" : "limited");
}

gboolean upright_tone_maps(const AVFrame *frame) {
  const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
  return (frame->color_trc == AVCOL_TRC_SMPTE2084 || frame->color_trc == AVCOL_TRC_ARIB_STD_B67) &&
         frame->colorspace == AVCOL_SPC_BT2020_NCL && !(format->flags & AV_PIX_FMT_FLAG_RGB);
}

static char *describe(const Upright *upright, const AVFrame *frame) {
  const VideoInfo *info = &upright->info;
  Turn turn = upright->turn;
  GString *text = g_string_new(NULL);
  int width = turn.transpose ? frame->height : frame->width;
  int height = turn.transpose ? frame->width : frame->height;
  if (turn.transpose)
    g_string_append(text, "transpose=cclock_flip,"); /* the plain transposition */
  if (turn.flip_x)
    g_string_append(text, "hflip,");
  if (turn.flip_y)
    g_string_append(text, "vflip,");
  if ((width & ~1) == info->width && (height & ~1) == info->height)
    g_string_append_printf(text, "crop=%d:%d:0:0:exact=1,", info->width, info->height);
  gboolean mapped = upright_tone_maps(frame);
  if (mapped)
    append_tone_map(text, frame);
  const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
  gboolean full = info->range == AVCOL_RANGE_JPEG;
  g_string_append_printf(text,
                         "scale=%d:%d:flags=bicubic+accurate_rnd+full_chroma_int+bitexact"
                         ":out_color_matrix=%s:out_range=%s",
                         info->width, info->height, matrix_name(info->matrix), full ? "full" : "limited");
  if (!(format->flags & AV_PIX_FMT_FLAG_RGB))
    g_string_append_printf(text, ":in_color_matrix=%s:in_range=%s", matrix_name(info->matrix),
                           !mapped && frame->color_range == AVCOL_RANGE_JPEG ? "full" : "limited");
  g_string_append(text, ",format=yuv420p");
  return g_string_free(text, FALSE);
}

static gboolean build(Upright *upright, const AVFrame *frame) {
  g_autoptr(AVFilterGraph) graph = avfilter_graph_alloc();
  g_autofree char *arguments =
      g_strdup_printf("video_size=%dx%d:pix_fmt=%d:time_base=1/1000:pixel_aspect=1/1", frame->width,
                      frame->height, frame->format);
  g_autofree char *text = describe(upright, frame);
  AVFilterContext *in = NULL, *out = NULL;
  if (avfilter_graph_create_filter(&in, avfilter_get_by_name("buffer"), "in", arguments, NULL, graph) < 0 ||
      avfilter_graph_create_filter(&out, avfilter_get_by_name("buffersink"), "out", NULL, NULL, graph) < 0)
    return FALSE;
  AVFilterInOut *outputs = avfilter_inout_alloc(), *inputs = avfilter_inout_alloc();
  *outputs = (AVFilterInOut){.name = av_strdup("in"), .filter_ctx = in};
  *inputs = (AVFilterInOut){.name = av_strdup("out"), .filter_ctx = out};
  graph->nb_threads = 2;
  int code = avfilter_graph_parse_ptr(graph, text, &inputs, &outputs, NULL);
  avfilter_inout_free(&inputs);
  avfilter_inout_free(&outputs);
  if (code < 0 || avfilter_graph_config(graph, NULL) < 0)
    return FALSE;
  upright->graph = g_steal_pointer(&graph);
  upright->in = in;
  upright->out = out;
  return TRUE;
}

static gboolean as_it_should_be(const Upright *upright, const AVFrame *frame) {
  if (upright_tone_maps(frame))
    return FALSE;
  Turn turn = upright->turn;
  return frame->format == AV_PIX_FMT_YUV420P && frame->width == upright->info.width &&
         frame->height == upright->info.height && !turn.transpose && !turn.flip_x && !turn.flip_y;
}

AVFrame *upright_apply(Upright *upright, AVFrame *frame) {
  g_autoptr(AVFrame) taken = frame;
  name_range_apart(taken);
  if (as_it_should_be(upright, taken))
    return g_steal_pointer(&taken);
  if (taken->width != upright->width || taken->height != upright->height ||
      taken->format != upright->format) {
    avfilter_graph_free(&upright->graph);
    upright->width = taken->width;
    upright->height = taken->height;
    upright->format = taken->format;
    if (!build(upright, taken))
      return NULL;
  }
  if (!upright->graph)
    return NULL;
  gint64 pts = taken->pts, duration = taken->pkt_duration;
  g_autoptr(AVFrame) done = av_frame_alloc();
  if (av_buffersrc_add_frame(upright->in, taken) < 0 || av_buffersink_get_frame(upright->out, done) < 0)
    return NULL;
  done->pts = pts;
  done->pkt_duration = duration;
  return g_steal_pointer(&done);
}
