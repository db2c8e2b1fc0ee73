/* troupe pose: who is in a picture or a video, and how they stand. */
#include "cli/cli.h"
#include "cli/overlay.h"
#include "media/picture.h"
#include "media/video.h"
#include "stage/follow.h"

#include <stdio.h>

typedef struct {
  CommonOptions common;
  char *overlay;
} Options;

static json_t *landmarks_json(const Landmark *landmarks) {
  json_t *array = json_array();
  for (int i = 0; i < POSE_LANDMARKS; i++) {
    json_t *point = json_array();
    const float values[4] = {landmarks[i].x, landmarks[i].y, landmarks[i].z, landmarks[i].visibility};
    for (int k = 0; k < 4; k++)
      json_array_append_new(point, json_real(values[k]));
    json_array_append_new(array, point);
  }
  return array;
}

static json_t *person_json(int id, const Pose *pose) {
  json_t *box = json_array();
  for (int i = 0; i < 4; i++)
    json_array_append_new(box, json_real(pose->box[i]));
  return json_pack("{s:i, s:o, s:o, s:o, s:o}", "id", id, "score", json_real(pose->score), "box", box,
                   "landmarks", landmarks_json(pose->image), "world", landmarks_json(pose->world));
}

static void print_people(const GArray *poses) {
  printf(poses->len == 1 ? "1 person\n" : "%u persons\n", poses->len);
  for (guint i = 0; i < poses->len; i++) {
    const Pose *pose = &g_array_index(poses, Pose, i);
    printf("%u: score %.2f, %.0f x %.0f pixels at (%.0f, %.0f)\n", i + 1, pose->score, pose->box[2],
           pose->box[3], pose->box[0], pose->box[1]);
  }
}

static gboolean pose_of_picture(const Options *options, const char *path, GError **error) {
  PoseNetwork network;
  g_autoptr(Image) picture = NULL;
  g_autoptr(PoseEstimator) estimator = NULL;
  g_autoptr(GArray) poses = NULL;
  if (!cli_network(&options->common, POSE_HEAVY, &network, error) || !(picture = picture_load(path, error)) ||
      !(estimator = pose_estimator_new(network, options->common.models, error)))
    return FALSE;
  g_autoptr(Image) rgb = image_convert(picture, 3);
  if (!pose_find(estimator, rgb, &poses, NULL, error))
    return FALSE;
  if (poses->len == 0)
    return fault(error, FAULT_NOBODY, "Nobody was found in %s. A person should be seen whole and upright.",
                 path);
  for (guint i = 0; options->overlay && i < poses->len; i++)
    overlay_pose(rgb, &g_array_index(poses, Pose, i));
  if (options->overlay && !picture_save(rgb, options->overlay, error))
    return FALSE;
  if (!options->common.json) {
    print_people(poses);
    return TRUE;
  }
  json_t *people = json_array();
  for (guint i = 0; i < poses->len; i++)
    json_array_append_new(people, person_json((int)i + 1, &g_array_index(poses, Pose, i)));
  cli_print_json(json_pack("{s:o}", "people", people));
  return TRUE;
}

typedef struct {
  Progress *progress;
  gint64 expected; /* frames */
} Watch;

static gboolean watch_frame(gpointer user, const Followed *followed, GError **error) {
  const Watch *watch = user;
  gint64 done = followed->index + 1;
  progress_report(watch->progress, "Following people", done, MAX(watch->expected, done));
  return progress_continue(watch->progress, error);
}

static Tracks *track_video(const Options *options, const char *path, Progress *progress, GError **error) {
  PoseNetwork network;
  g_autoptr(VideoIn) in = NULL;
  if (!cli_network(&options->common, POSE_FULL, &network, error) || !(in = video_in_open(path, error)))
    return NULL;
  const VideoInfo *info = video_in_info(in);
  Watch watch = {progress, info->frames};
  g_autoptr(Tracker) tracker = tracker_new(network, options->common.models, info->width, info->height, error);
  if (!tracker || !follow_video(in, tracker, FOLLOW_EXACT, watch_frame, &watch, error))
    return NULL;
  return tracker_finish(tracker, error);
}

static const Pose *pose_at(const Track *track, int frame) {
  return frame >= track->first && frame < track->first + track->count ? &track->poses[frame - track->first]
                                                                      : NULL;
}

static gboolean write_overlay_video(const char *path, const char *out_path, const Tracks *tracks,
                                    Progress *progress, GError **error) {
  g_autoptr(VideoIn) in = video_in_open(path, error);
  g_autoptr(VideoOut) out =
      in ? video_out_open(out_path, video_in_info(in), path, (VideoQuality){0}, error) : NULL;
  if (!out)
    return FALSE;
  g_autoptr(ColourConverter) converter = colour_converter_new(video_in_info(in));
  g_autoptr(Image) rgb = image_new(tracks->width, tracks->height, 3);
  for (int n = 0; n < tracks->frames; n++) {
    AVFrame *frame = video_in_next(in, error);
    if (!frame)
      return FALSE;
    colour_to_rgb(converter, frame, rgb);
    for (guint i = 0; i < tracks->tracks->len; i++) {
      const Pose *pose = pose_at(tracks->tracks->pdata[i], n);
      if (pose)
        overlay_pose(rgb, pose);
    }
    gboolean good = av_frame_make_writable(frame) >= 0;
    if (good)
      colour_from_rgb(converter, rgb, frame);
    good = good && video_out_write(out, frame, error);
    av_frame_free(&frame);
    if (!good || !progress_continue(progress, error))
      return FALSE;
    progress_report(progress, "Drawing poses", n + 1, tracks->frames);
  }
  return video_out_finish(out, error);
}

static void print_tracks(const Tracks *tracks, gboolean json) {
  for (guint i = 0; !json && i < tracks->tracks->len; i++) {
    const Track *track = tracks->tracks->pdata[i];
    printf("person %d: frames %d to %d of %d\n", track->id, track->first, track->first + track->count - 1,
           tracks->frames);
  }
  for (int n = 0; json && n < tracks->frames; n++) {
    json_t *people = json_array();
    for (guint i = 0; i < tracks->tracks->len; i++) {
      const Track *track = tracks->tracks->pdata[i];
      const Pose *pose = pose_at(track, n);
      if (pose)
        json_array_append_new(people, person_json(track->id, pose));
    }
    cli_print_json(json_pack("{s:i, s:f, s:o}", "frame", n, "time", tracks->time_s[n], "people", people));
  }
}

static gboolean pose_of_video(const Options *options, const char *path, GError **error) {
  Progress *progress = cli_progress_begin(&options->common);
  g_autoptr(Tracks) tracks = track_video(options, path, progress, error);
  if (!tracks || (options->overlay && !write_overlay_video(path, options->overlay, tracks, progress, error)))
    return FALSE;
  print_tracks(tracks, options->common.json);
  return TRUE;
}

/* A picture is what the picture reader takes by its content; everything else is tried as a video. */
static gboolean pose_of_file(const Options *options, const char *path, GError **error) {
  return picture_is(path) ? pose_of_picture(options, path, error) : pose_of_video(options, path, error);
}

int command_pose(int argc, char **argv) {
  Options options = {0};
  const GOptionEntry entries[] = {
      {"overlay", 0, 0, G_OPTION_ARG_FILENAME, &options.overlay,
       "Write the picture or video with the poses drawn over it", "OUT"},
      {"network", 0, 0, G_OPTION_ARG_STRING, &options.common.network,
       "lite, full (usual for video) or heavy (usual for pictures)", "NAME"},
      {NULL},
  };
  const Command *command = cli_command("pose");
  GError *error = NULL;
  if (cli_parse(command, entries, &options.common, &argc, &argv, &error)) {
    if (argc != 2)
      fault(&error, FAULT_USAGE, "give one picture or video: troupe pose %s", command->arguments);
    else
      pose_of_file(&options, argv[1], &error);
  }
  g_free(options.overlay);
  g_free(options.common.network);
  g_free(options.common.models);
  return cli_finish(command->name, error);
}
