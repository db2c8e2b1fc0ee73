/* A video through the tracker, both what it says frame by frame and what it says in the end. */
#include "media/video.h"
#include "truth.h"

static gboolean follow_frame(Tracker *tracker, ColourConverter *converter, const AVFrame *frame,
                             AVRational base, Image *rgb, GPtrArray *seen, GError **error) {
  GArray *sightings = NULL;
  colour_to_rgb(converter, frame, rgb);
  if (!tracker_add(tracker, rgb, (double)frame->pts * av_q2d(base), FALSE, &sightings, error))
    return FALSE;
  for (guint i = 0; i < sightings->len; i++) {
    Sighting *sighting = &g_array_index(sightings, Sighting, i);
    g_clear_pointer(&sighting->mask, image_free);
  }
  g_ptr_array_add(seen, sightings);
  return TRUE;
}

Tracks *video_tracks(const char *video, const Limits *limits, GPtrArray **seen, GError **error) {
  g_autoptr(VideoIn) in = video_in_open(video, error);
  if (in == NULL)
    return NULL;
  const VideoInfo *info = video_in_info(in);
  g_autoptr(Tracker) tracker = tracker_new(limits->network, limits->models, info->width, info->height, error);
  if (tracker == NULL)
    return NULL;
  ColourConverter *converter = colour_converter_new(info);
  g_autoptr(Image) rgb = image_new(info->width, info->height, 3);
  g_autoptr(GPtrArray) frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
  g_autoptr(GError) problem = NULL;
  for (AVFrame *frame; problem == NULL && (frame = video_in_next(in, &problem)); av_frame_free(&frame))
    follow_frame(tracker, converter, frame, info->time_base, rgb, frames, &problem);
  colour_converter_free(converter);
  if (problem) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
  }
  Tracks *tracks = tracker_finish(tracker, error);
  if (tracks && seen)
    *seen = g_steal_pointer(&frames);
  return tracks;
}
