/* One pass over the video that follows the people (follow.h); the calling thread stores the masks, follows
 * the camera and gives frames to the plate. Finishing a plate takes a second, so a further thread does that
 * while the pass goes on with the next shot; one at a time, since each holds the frames of its shot.
 *
 * A shot is one run of frames for a plate, or several where the camera goes further than one plate can show.
 */
#include "base/files.h"
#include "media/grey_video.h"
#include "media/picture.h"
#include "stage/camera.h"
#include "stage/follow.h"
#include "stage/plate.h"
#include "stage/scene_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

enum {
  GAP = 12,      /* frames around a sighting in which the same person may be there unseen */
  RUN_LOST = 48, /* frames of a plate at most while the camera cannot be followed */
  THUMB_SIDE = 512,
  THUMB_FRAME = 12, /* not before this frame where possible: many videos begin with black */
};

static const float CAMERA_LOST = 0.6f; /* trust below which the camera counts as not followed */

/* A run of frames whose plate is being finished. */
typedef struct {
  GThread *thread;
  PlateBuilder *builder;
  gboolean *doubtful;
  float (*homography)[9];
  char *folder;
  gboolean brief;
  int index, first;
  Plate *plate;
  GError *error;
} PlateJob;

typedef struct {
  const char *draft; /* the folder that is being filled */
  gboolean brief;
  Progress *progress;
  VideoIn *in;
  VideoInfo info;
  Tracker *tracker;
  GreyVideoOut *masks;
  Camera *camera;
  PlateBuilder *builder;
  GByteArray *seen; /* per frame of the shot: which slots have a mask, as bits */
  int shot_first, run_first, frames;
  PlateExtent extent; /* of the run's frames, once the camera moves */
  gboolean moving;
  PlateJob *job;
  GPtrArray *plates;
  Image *thumb;
  gboolean thumb_shows_somebody;
  int lost_shots;
} Work;

/* --- plates --- */

static gboolean save_plate(PlateJob *job) {
  gboolean (*save)(const Image *, const char *, GError **) = job->brief ? picture_save_quickly : picture_save;
  Plate *plate = job->plate;
  g_autofree char *picture = scene_plate_name(job->index, plate->width, plate->height),
                  *known = scene_known_name(job->index), *front = scene_front_name(job->index);
  g_autofree char *picture_path = g_build_filename(job->folder, picture, NULL),
                  *known_path = g_build_filename(job->folder, known, NULL),
                  *front_path = g_build_filename(job->folder, front, NULL);
  return save(plate->picture, picture_path, &job->error) && save(plate->known, known_path, &job->error) &&
         (!plate->front || save(plate->front->alpha, front_path, &job->error));
}

static gpointer run_job(gpointer data) {
  PlateJob *job = data;
  job->plate = plate_builder_finish(job->builder, job->doubtful, g_steal_pointer(&job->homography));
  job->plate->first = job->first;
  g_clear_pointer(&job->builder, plate_builder_free);
  save_plate(job);
  g_clear_pointer(&job->plate->picture, image_free);
  g_clear_pointer(&job->plate->known, image_free);
  if (job->plate->front)
    g_clear_pointer(&job->plate->front->alpha, image_free);
  return NULL;
}

/* Waits for the plate under way and takes it. */
static gboolean join_job(Work *work, GError **error) {
  PlateJob *job = g_steal_pointer(&work->job);
  if (!job)
    return TRUE;
  g_thread_join(job->thread);
  if (job->plate)
    g_ptr_array_add(work->plates, job->plate);
  GError *problem = job->error;
  g_free(job->doubtful);
  g_free(job->folder);
  g_free(job);
  if (problem)
    g_propagate_error(error, problem);
  return problem == NULL;
}

/* Frames in which somebody who has a mask shortly before or after has none. */
static gboolean *find_doubtful(const Work *work, int first, int count) {
  gboolean *doubtful = g_new0(gboolean, count);
  int begin = first - work->shot_first, known = (int)work->seen->len;
  for (int i = 0; i < count; i++)
    for (int k = MAX(begin + i - GAP, 0); k <= MIN(begin + i + GAP, known - 1); k++)
      doubtful[i] |= (work->seen->data[k] & ~work->seen->data[begin + i]) != 0;
  return doubtful;
}

/* Frame -> first frame of the run. */
static void run_homography(const Work *work, int frame, float h[9]) {
  float first[9], inverse[9], motion[9];
  camera_homography(work->camera, work->run_first - work->shot_first, first);
  camera_homography(work->camera, frame - work->shot_first, motion);
  if (frame == work->run_first || !homography_invert(first, inverse))
    memcpy(h, (const float[9]){1, 0, 0, 0, 1, 0, 0, 0, 1}, 9 * sizeof *h);
  else
    homography_multiply(inverse, motion, h);
}

/* The run that ended before the frame `end` goes to the plate thread. */
static gboolean end_run(Work *work, int end, GError **error) {
  if (!work->builder)
    return TRUE;
  if (!join_job(work, error))
    return FALSE;
  int count = end - work->run_first;
  PlateJob *job = g_new0(PlateJob, 1);
  job->builder = g_steal_pointer(&work->builder);
  job->doubtful = find_doubtful(work, work->run_first, count);
  job->folder = g_strdup(work->draft);
  job->brief = work->brief;
  job->index = (int)work->plates->len;
  job->first = work->run_first;
  if (!camera_still(work->camera)) {
    job->homography = g_malloc0_n((gsize)count, sizeof *job->homography);
    for (int i = 0; i < count; i++)
      run_homography(work, work->run_first + i, job->homography[i]);
  }
  work->job = job;
  job->thread = g_thread_new("plate", run_job, job);
  return TRUE;
}

static void begin_run(Work *work, int frame) {
  work->run_first = frame;
  work->extent = (PlateExtent){0, 0, (float)(work->info.width - 1), (float)(work->info.height - 1)};
  work->moving = FALSE;
  work->builder = plate_builder_new(&work->info);
}

static gboolean end_shot(Work *work, int end, GError **error) {
  if (!end_run(work, end, error))
    return FALSE;
  work->lost_shots += work->camera && camera_trust(work->camera) < CAMERA_LOST;
  g_clear_pointer(&work->camera, camera_free);
  g_byte_array_set_size(work->seen, 0);
  return TRUE;
}

static PlateExtent frame_extent(const Work *work, int frame) {
  float h[9];
  run_homography(work, frame, h);
  return plate_extent_of(h, work->info.width, work->info.height);
}

/* Whether the run's plate can no longer hold the frame, or the camera is lost and old frames help no more. */
static gboolean run_is_full(Work *work, int frame) {
  if (camera_still(work->camera))
    return FALSE;
  PlateExtent extent = work->extent;
  if (!work->moving) /* what came before the camera was seen to move counts, too */
    for (int i = work->run_first; i < frame; i++)
      extent = plate_extent_join(extent, frame_extent(work, i));
  work->moving = TRUE;
  work->extent = plate_extent_join(extent, frame_extent(work, frame));
  return !plate_extent_fits(work->extent, work->info.width, work->info.height) ||
         (camera_trust(work->camera) < CAMERA_LOST && frame - work->run_first >= RUN_LOST);
}

/* --- storing --- */

static void join_mask(Image **people, Image *mask) {
  if (!*people) {
    *people = mask;
    return;
  }
  for (gsize k = 0; k < (gsize)mask->width * (gsize)mask->height; k++)
    (*people)->pixels[k] = MAX((*people)->pixels[k], mask->pixels[k]);
  image_free(mask);
}

/* Writes everybody's masks; people: their union, NULL for nobody. */
static gboolean store_masks(Work *work, const Followed *item, Image **people, GError **error) {
  guint8 seen = 0;
  for (guint i = 0; i < item->sightings->len; i++) {
    const Sighting *sighting = &g_array_index(item->sightings, Sighting, i);
    seen |= (guint8)(1u << sighting->slot);
    Image *mask = tracker_mask(work->tracker, sighting);
    gboolean good = grey_video_out_write(work->masks, sighting->slot, item->index, mask, error);
    join_mask(people, mask);
    if (!good)
      return FALSE;
  }
  g_byte_array_append(work->seen, &seen, 1);
  return TRUE;
}

static void keep_thumb(Work *work, const Followed *item) {
  gboolean better =
      !work->thumb || (item->sightings->len && !work->thumb_shows_somebody) || item->index == THUMB_FRAME;
  if (!better || (work->thumb_shows_somebody && !item->sightings->len))
    return;
  int longer = MAX(item->rgb->width, item->rgb->height), side = MIN(THUMB_SIDE, longer);
  image_free(work->thumb);
  work->thumb = image_resize(item->rgb, MAX(1, item->rgb->width * side / longer),
                             MAX(1, item->rgb->height * side / longer));
  work->thumb_shows_somebody = item->sightings->len > 0;
}

static gboolean take_frame(gpointer user, const Followed *item, GError **error) {
  Work *work = user;
  if (!progress_continue(work->progress, error))
    return FALSE;
  if (item->cut) {
    if (!end_shot(work, item->index, error))
      return FALSE;
    work->shot_first = item->index;
    work->camera = camera_new(work->info.width, work->info.height);
    begin_run(work, item->index);
  }
  g_autoptr(Image) people = NULL, grey = camera_grey(item->frame);
  if (!store_masks(work, item, &people, error))
    return FALSE;
  camera_add(work->camera, grey, people);
  if (item->index > work->run_first && run_is_full(work, item->index)) {
    if (!end_run(work, item->index, error))
      return FALSE;
    begin_run(work, item->index);
  }
  plate_builder_add(work->builder, item->frame, people);
  keep_thumb(work, item);
  work->frames = item->index + 1;
  progress_report(work->progress, "Preparing the scene", work->frames, MAX(work->info.frames, work->frames));
  return TRUE;
}

/* --- the folder --- */

/* source.* with the video's own suffix where that is an ordinary one. */
static char *source_name(const char *video) {
  const char *dot = strrchr(video, '.');
  g_autofree char *suffix = dot ? g_ascii_strdown(dot + 1, -1) : NULL;
  gboolean ordinary = suffix && *suffix && strlen(suffix) <= 5;
  for (const char *c = suffix; ordinary && *c; c++)
    ordinary = g_ascii_isalnum(*c);
  return g_strconcat("source.", ordinary ? suffix : "video", NULL);
}

/* A hard link costs nothing; where the folder lies on another disk it is a copy. */
static gboolean keep_source(const char *video, const char *folder, const char *name, GError **error) {
  g_autofree char *path = g_build_filename(folder, name, NULL);
  if (linkat(AT_FDCWD, video, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
    return TRUE;
  g_autoptr(GFile) from = g_file_new_for_path(video), to = g_file_new_for_path(path);
  g_autoptr(GError) problem = NULL;
  if (g_file_copy(from, to, G_FILE_COPY_NONE, NULL, NULL, NULL, &problem))
    return TRUE;
  return fault(error, FAULT_OUTPUT, "The video cannot be copied to %s: %s.", folder, problem->message);
}

static gboolean run_pass(Work *work, GError **error) {
  return follow_video(work->in, work->tracker, FOLLOW_QUICK, take_frame, work, error) &&
         end_shot(work, work->frames, error);
}

/* What is left to do when all frames are through: the tracks, the last plate, the small files. */
static gboolean finish(Work *work, const char *video, const SceneOptions *options, GError **error) {
  g_autoptr(Scene) scene = g_new0(Scene, 1);
  scene->model = g_strdup(options->model);
  scene->info = work->info;
  scene->info.frames = work->frames;
  scene->tracks = tracker_finish(work->tracker, error);
  if (!scene->tracks || !grey_video_out_finish(work->masks, error) || !join_job(work, error))
    return FALSE;
  scene->plates = g_ptr_array_ref(work->plates);
  g_autofree char *thumb = g_build_filename(work->draft, SCENE_THUMB, NULL), *source = source_name(video);
  return picture_save(work->thumb, thumb, error) && keep_source(video, work->draft, source, error) &&
         scene_save(scene, work->draft, source, error) && progress_continue(work->progress, error);
}

static void work_clear(Work *work) {
  join_job(work, NULL);
  tracker_free(work->tracker);
  grey_video_out_free(work->masks);
  camera_free(work->camera);
  plate_builder_free(work->builder);
  g_byte_array_unref(work->seen);
  g_ptr_array_unref(work->plates);
  image_free(work->thumb);
  video_in_free(work->in);
}

static gboolean fill_folder(Work *work, const char *video, const SceneOptions *options, GError **error) {
  work->in = video_in_open(video, error);
  if (!work->in)
    return FALSE;
  work->info = *video_in_info(work->in);
  work->tracker = tracker_new(options->network, options->models, work->info.width, work->info.height, error);
  if (!work->tracker)
    return FALSE;
  int mask_width, mask_height;
  tracker_mask_size(work->tracker, &mask_width, &mask_height);
  g_autofree char *masks = g_build_filename(work->draft, SCENE_MASKS, NULL);
  work->masks = grey_video_out_open(masks, mask_width, mask_height, TRACK_MAX_PEOPLE, error);
  if (!work->masks)
    return FALSE;
  return run_pass(work, error) && finish(work, video, options, error);
}

Scene *scene_prepare(const char *video, const char *folder, const SceneOptions *options, Progress *progress,
                     GError **error) {
  g_return_val_if_fail(options->model, NULL);
  g_autofree char *draft = files_draft(folder, error);
  if (!draft)
    return NULL;
  Work work = {.draft = draft, .brief = options->brief, .progress = progress};
  work.seen = g_byte_array_new();
  work.plates = g_ptr_array_new_with_free_func((GDestroyNotify)plate_free);
  gboolean filled = fill_folder(&work, video, options, error);
  if (filled && work.lost_shots)
    progress_note(
        progress,
        "The camera's motion could not be followed in %d of the shots; the background may be unsteady behind "
        "the character there.",
        work.lost_shots);
  work_clear(&work);
  if (!filled || !files_publish(draft, folder, error)) {
    files_remove_tree(draft);
    return NULL;
  }
  return scene_load(folder, error);
}
