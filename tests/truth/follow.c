/* A video through the tracker, and frame by frame through the networks alone. */
#include "media/video.h"
#include "truth.h"

/* What is done with each frame; FALSE ends the video with *error. */
typedef gboolean (*FrameFunc)(const Image *rgb, double time_s, gpointer user, GError **error);

static gboolean each_frame(VideoIn *in, FrameFunc func, gpointer user, GError **error) {
  const VideoInfo *info = video_in_info(in);
  g_autoptr(ColourConverter) converter = colour_converter_new(info);
  g_autoptr(Image) rgb = image_new(info->width, info->height, 3);
  g_autoptr(GError) problem = NULL;
  for (AVFrame *frame; problem == NULL && (frame = video_in_next(in, &problem)); av_frame_free(&frame)) {
    colour_to_rgb(converter, frame, rgb);
    func(rgb, (double)frame->pts * av_q2d(info->time_base), user, &problem);
  }
  if (problem == NULL)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static gboolean follow_frame(const Image *rgb, double time_s, gpointer user, GError **error) {
  g_autoptr(GArray) sightings = NULL;
  return tracker_add(user, rgb, time_s, FALSE, &sightings, error);
}

Tracks *video_tracks(const char *video, const Limits *limits, GError **error) {
  g_autoptr(VideoIn) in = video_in_open(video, error);
  if (in == NULL)
    return NULL;
  const VideoInfo *info = video_in_info(in);
  g_autoptr(Tracker) tracker = tracker_new(limits->network, limits->models, info->width, info->height, error);
  if (tracker == NULL || !each_frame(in, follow_frame, tracker, error))
    return NULL;
  return tracker_finish(tracker, error);
}

typedef struct {
  PoseEstimator *estimator;
  int readings, step;
  GPtrArray *frames; /* GArray of Pose */
} Reader;

static gboolean read_frame(const Image *rgb, double time_s, gpointer user, GError **error) {
  Reader *reader = user;
  gboolean judged = reader->frames->len % (guint)reader->step == 0;
  GArray *poses = !judged ? g_array_new(FALSE, FALSE, sizeof(Pose))
                          : picture_poses(reader->estimator, rgb, reader->readings, error);
  if (!poses)
    return FALSE;
  g_ptr_array_add(reader->frames, poses);
  return TRUE;
}

GPtrArray *video_poses(const char *video, const Limits *limits, GError **error) {
  g_autoptr(VideoIn) in = video_in_open(video, error);
  g_autoptr(PoseEstimator) estimator = in ? pose_estimator_new(limits->network, limits->models, error) : NULL;
  if (estimator == NULL)
    return NULL;
  g_autoptr(GPtrArray) frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
  Reader reader = {estimator, limits->readings, MAX(limits->step, 1), frames};
  return each_frame(in, read_frame, &reader, error) ? g_steal_pointer(&frames) : NULL;
}
