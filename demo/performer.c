/* demo-material: renders a dance of which everything is known.
 *
 * Writes performance.mp4 (H.264 and AAC) and its truth (performer_truth.h) into a folder. The same options
 * give the same files. */
#include "media/picture.h"
#include "media/video.h"
#include "performer_dance.h"
#include "performer_sound.h"
#include "performer_stage.h"
#include "performer_truth.h"
#include <glib/gstdio.h>
#include <libavutil/pixfmt.h>
#include <math.h>
#include <stdlib.h>

#define FRAME_RATE 24

typedef struct {
  double seconds;
  int width, height, seed;
  gboolean moving, two, quiet;
} Options;

static void set_the_stage(const Options *options, double time, Flesh *flesh) {
  Camera camera = stage_camera(options->width, options->height, 0, 0, 1);
  float half_width = 0.5f * (float)options->width / camera.focal * -camera.eye.z;
  float spread = CLAMP(half_width - 0.45f, 0.3f, 0.9f);
  flesh->people = options->two ? 2 : 1;
  for (int i = 0; i < flesh->people; i++) {
    Moment moment;
    dance_moment(time, options->two ? i + 1 : 0, spread, (guint)options->seed, &moment);
    body_pose(&moment, &flesh->body[i]);
    flesh->short_hair[i] = i == 1;
  }
  flesh_dress(flesh);
}

static AVFrame *frame_from(ColourConverter *converter, const VideoInfo *info, const Image *picture, int index,
                           GError **error) {
  AVFrame *frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = info->width;
  frame->height = info->height;
  frame->pts = index;
  frame->color_range = (enum AVColorRange)info->range;
  frame->colorspace = (enum AVColorSpace)info->matrix;
  frame->color_primaries = (enum AVColorPrimaries)info->primaries;
  frame->color_trc = (enum AVColorTransferCharacteristic)info->transfer;
  if (av_frame_get_buffer(frame, 0) < 0) {
    av_frame_free(&frame);
    return fault_null(error, FAULT_INTERNAL, "No memory for a frame.");
  }
  colour_from_rgb(converter, picture, frame);
  return frame;
}

static gboolean perform(const Options *options, const Pan *pan, Truth *truth, VideoOut *out,
                        const VideoInfo *info, GError **error) {
  ColourConverter *converter = colour_converter_new(info);
  g_autofree Flesh *flesh = g_new0(Flesh, 1);
  gboolean fine = TRUE;
  for (int f = 0; f < pan->frames && fine; f++) {
    set_the_stage(options, (double)f / FRAME_RATE, flesh);
    Camera camera = pan_camera(pan, f);
    g_autoptr(Image) background = pan_background(pan, f);
    Shot shot;
    stage_shoot(flesh, &camera, background, &shot);
    AVFrame *frame = frame_from(converter, info, shot.picture, f, error);
    fine = frame && video_out_write(out, frame, error) && truth_frame(truth, f, flesh, &camera, &shot, error);
    av_frame_free(&frame);
    shot_clear(&shot);
    if (!options->quiet && (f % FRAME_RATE == FRAME_RATE - 1 || f + 1 == pan->frames))
      g_printerr("performance: %d of %d frames\n", f + 1, pan->frames);
  }
  colour_converter_free(converter);
  return fine;
}

static gboolean make(const char *folder, const Options *options, GError **error) {
  Pan pan;
  pan_make(&pan, options->width, options->height, (int)lrint(options->seconds * FRAME_RATE), options->moving);
  g_autoptr(Truth) truth = truth_new(folder, &pan, options->two ? 2 : 1, error);
  g_autofree char *video = g_build_filename(folder, "performance.mp4", NULL);
  g_autofree char *sound = g_build_filename(folder, "performance.mov", NULL);
  VideoInfo info = {.width = options->width,
                    .height = options->height,
                    .time_base = {1, FRAME_RATE},
                    .frame_rate = {FRAME_RATE, 1},
                    .aspect = {1, 1},
                    .frames = pan.frames,
                    .seconds = (double)pan.frames / FRAME_RATE,
                    .range = AVCOL_RANGE_MPEG,
                    .matrix = AVCOL_SPC_BT709,
                    .primaries = AVCOL_PRI_BT709,
                    .transfer = AVCOL_TRC_BT709};
  gboolean fine = truth && sound_write(sound, info.seconds, error);
  if (fine) {
    g_autoptr(VideoOut) out = video_out_open(video, &info, sound, (VideoQuality){"medium", 16}, error);
    fine = out && perform(options, &pan, truth, out, &info, error) && video_out_finish(out, error) &&
           truth_finish(truth, error);
  }
  g_unlink(sound);
  pan_clear(&pan);
  return fine;
}

int main(int argc, char **argv) {
  Options options = {.seconds = 5, .width = 720, .height = 1280};
  GOptionEntry entries[] = {
      {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &options.seconds, "Length (default 5)", "S"},
      {"width", 0, 0, G_OPTION_ARG_INT, &options.width, "Width in pixels (default 720)", "W"},
      {"height", 0, 0, G_OPTION_ARG_INT, &options.height, "Height in pixels (default 1280)", "H"},
      {"seed", 0, 0, G_OPTION_ARG_INT, &options.seed, "Another size of the gestures", "N"},
      {"moving-camera", 0, 0, G_OPTION_ARG_NONE, &options.moving, "Pan and zoom slowly", NULL},
      {"two", 0, 0, G_OPTION_ARG_NONE, &options.two, "Two performers who pass each other", NULL},
      {"quiet", 0, 0, G_OPTION_ARG_NONE, &options.quiet, "Say nothing", NULL},
      {NULL},
  };
  g_autoptr(GError) error = NULL;
  g_autoptr(GOptionContext) context = g_option_context_new("FOLDER");
  g_option_context_set_summary(context,
                               "Renders a dance, and writes the exact truth of it beside the video.");
  g_option_context_add_main_entries(context, entries, NULL);
  if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
    g_printerr("demo-material: %s\n", error ? error->message : "name one folder for the result.");
    return 2;
  }
  if (options.width < VIDEO_MIN_SIDE || options.height < VIDEO_MIN_SIDE || options.width > VIDEO_MAX_SIDE ||
      options.height > VIDEO_MAX_SIDE || options.width % 2 || options.height % 2 ||
      !(options.seconds >= 0.25) || options.seconds > 60) {
    g_printerr("demo-material: sides must be even and between %d and %d, seconds between 0.25 and 60.\n",
               VIDEO_MIN_SIDE, VIDEO_MAX_SIDE);
    return 2;
  }
  if (!picture_init(argv[0], &error) || !make(argv[1], &options, &error)) {
    g_printerr("demo-material: %s\n", error->message);
    return 1;
  }
  return 0;
}
