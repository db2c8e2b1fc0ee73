/* One ordered pipeline: a thread decodes the source with its masks, workers draw the characters and compose,
 * the calling thread encodes. A frame carries everything it needs, so workers share nothing but what does not
 * change. */
#include "puppet/render.h"

#include "base/pipeline.h"
#include "puppet/draw/compose.h"
#include "puppet/draw/puppet.h"
#include "puppet/motion/standing.h"

#include <glib/gstdio.h>
#include <string.h>

#define MAX_WORKERS 4
#define FRAMES_IN_FLIGHT 6

static const char *const models[] = {RENDER_MODEL_VOLUMETRIC, RENDER_MODEL_FLAT};

gboolean render_model_known(const char *model, GError **error) {
  for (gsize i = 0; i < G_N_ELEMENTS(models); i++)
    if (g_str_equal(model, models[i]))
      return TRUE;
  return fault(error, FAULT_USAGE, "There is no model \"%s\"; choose %s or %s.", model, models[0], models[1]);
}

/* --- the pipeline's parts --- */

/* A plate made ready, shared by the frames that are in flight. */
typedef struct {
  Backing *backing;
} SharedBacking;

static void shared_backing_clear(gpointer data) {
  backing_free(((SharedBacking *)data)->backing);
}

typedef struct {
  int number;
  AVFrame *picture;
  AVFrame *mask;             /* the character's, NULL when none is wanted */
  SharedBacking *background; /* reference; NULL unless the background is the original one */
  Image *replaced, *kept;    /* masks of people, and of what performers lend; NULL where there is nobody */
  int roles;
  Image **before; /* [roles] mask of what is kept and stands before each character; NULL for nothing */
  gboolean acted;
} Frame;

static void frame_free(gpointer data) {
  Frame *frame = data;
  av_frame_free(&frame->picture);
  av_frame_free(&frame->mask);
  if (frame->background)
    g_atomic_rc_box_release_full(frame->background, shared_backing_clear);
  image_free(frame->replaced);
  image_free(frame->kept);
  for (int k = 0; k < frame->roles; k++)
    image_free(frame->before[k]);
  g_free(frame->before);
  g_free(frame);
}

typedef struct {
  Painter **painters; /* one per role */
  PainterBox *boxes;
  const Image **before; /* of the boxes */
  Composer *composer;
} Worker;

typedef struct {
  Scene *scene;
  const RenderOptions *options;
  Progress *progress;
  int roles;
  int first, count;   /* frames of the Scene that are drawn */
  Puppet **puppets;   /* [roles] */
  guint *track;       /* [roles] index of the track that each plays */
  gboolean *replaced; /* [tracks] */
  Standing *standing;
  Worker workers[MAX_WORKERS];
  int worker_count;
  VideoIn *in;
  SceneMasks *masks;
  SharedBacking *background; /* of the frame last read */
  const Plate *plate;        /* that it was made from; only compared */
  VideoOut *out, *mask_out;
  int read, written, acted;
} Render;

static void render_clear(Render *render) {
  for (int i = 0; i < render->worker_count; i++) {
    Worker *worker = &render->workers[i];
    for (int k = 0; k < render->roles && worker->painters; k++)
      painter_free(worker->painters[k]);
    g_free(worker->painters);
    g_free(worker->boxes);
    g_free(worker->before);
    composer_free(worker->composer);
  }
  for (int k = 0; k < render->roles && render->puppets; k++)
    puppet_free(render->puppets[k]);
  g_free(render->puppets);
  g_free(render->track);
  g_free(render->replaced);
  standing_free(render->standing);
  if (render->background)
    g_atomic_rc_box_release_full(render->background, shared_backing_clear);
  scene_masks_free(render->masks);
  video_in_free(render->in);
  video_out_free(render->out);
  video_out_free(render->mask_out);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Render, render_clear)

/* --- reading --- */

/* The plate of a frame, converted when the frame is the first that needs it. */
static gboolean read_background(Render *render, Frame *frame, GError **error) {
  const Plate *plate = scene_plate(render->scene, frame->number, error);
  if (!plate)
    return FALSE;
  if (plate != render->plate) {
    if (render->background)
      g_atomic_rc_box_release_full(render->background, shared_backing_clear);
    render->background = g_atomic_rc_box_new0(SharedBacking);
    render->background->backing = backing_new(plate, &render->scene->info);
    render->plate = plate;
  }
  frame->background = g_atomic_rc_box_acquire(render->background);
  return TRUE;
}

/* The masks of those who keep their look and stand before a character. */
static gboolean read_before(Render *render, Frame *frame, const gboolean *kept, int role, GError **error) {
  guint people = render->scene->tracks->tracks->len;
  g_autofree gboolean *nearer = g_new(gboolean, people);
  gboolean any = FALSE;
  for (guint i = 0; i < people; i++)
    any |= nearer[i] = kept[i] && standing_before(render->standing, i, render->track[role], frame->number);
  return !any || scene_masks_union(render->masks, frame->number, nearer, &frame->before[role], error);
}

/* The performer's mask without what the others hide of him, which is theirs, into the union of all. */
static void join_visible(Image **people, const Image *mask, const Image *before) {
  if (!*people)
    *people = image_new(mask->width, mask->height, 1);
  for (gsize i = 0; i < (gsize)mask->width * (gsize)mask->height; i++)
    if (!before || before->pixels[i] <= 127)
      (*people)->pixels[i] = MAX((*people)->pixels[i], mask->pixels[i]);
}

/* What the performer lends the character stays in the picture, and what of it comes before the character,
 * too. */
static void take_borrowed(Render *render, int role, Frame *frame, Image *mask, Image **own) {
  const Tracks *tracks = render->scene->tracks;
  const Track *track = tracks->tracks->pdata[render->track[role]];
  const VideoInfo *info = &render->scene->info;
  int index = frame->number - track->first;
  if (index < 0 || index >= track->count)
    return;
  g_autoptr(Image) behind = NULL, before = NULL;
  borrowed_take(puppet_borrowed(render->puppets[role]), &track->poses[index], info->width, info->height, mask,
                &behind, &before);
  image_join(own, behind);
  image_join(own, before);
  image_join(&frame->before[role], before);
}

static gboolean read_masks(Render *render, Frame *frame, GError **error) {
  guint people = render->scene->tracks->tracks->len;
  g_autofree gboolean *kept = g_new(gboolean, people);
  for (guint i = 0; i < people; i++)
    kept[i] = !render->replaced[i];
  g_autoptr(Image) own = NULL;
  frame->roles = render->roles;
  frame->before = g_new0(Image *, render->roles);
  for (int k = 0; k < render->roles; k++) {
    g_autoptr(Image) mask = NULL;
    if (!read_before(render, frame, kept, k, error) ||
        !scene_masks_at(render->masks, frame->number, render->track[k], &mask, NULL, error))
      return FALSE;
    if (!mask)
      continue;
    take_borrowed(render, k, frame, mask, &own);
    join_visible(&frame->replaced, mask, frame->before[k]);
  }
  if (!scene_masks_union(render->masks, frame->number, kept, &frame->kept, error))
    return FALSE;
  image_join(&frame->kept, own);
  return TRUE;
}

static AVFrame *mask_frame(const AVFrame *picture) {
  AVFrame *mask = av_frame_alloc();
  mask->format = AV_PIX_FMT_YUV420P;
  mask->width = picture->width;
  mask->height = picture->height;
  g_assert(av_frame_get_buffer(mask, 0) == 0 && av_frame_copy_props(mask, picture) == 0);
  return mask;
}

/* The next picture that is wanted; NULL at the end, or with *error. */
static AVFrame *next_picture(Render *render, GError **error) {
  const Scene *scene = render->scene;
  int frames = scene->tracks->frames, end = render->first + render->count;
  while (render->read < end || end == frames) {
    GError *problem = NULL;
    AVFrame *picture = video_in_next(render->in, &problem);
    if (!picture) {
      if (problem)
        g_propagate_error(error, problem);
      else if (render->read != frames)
        fault(error, FAULT_INPUT, "The Scene %s is damaged: its video has %d of %d frames. Prepare it again.",
              scene->folder, render->read, frames);
      return NULL;
    }
    if (render->read == frames) {
      av_frame_free(&picture);
      return fault_null(error, FAULT_INPUT,
                        "The Scene %s is damaged: its video has more than %d frames. Prepare it again.",
                        scene->folder, frames);
    }
    if (render->read++ >= render->first)
      return picture;
    av_frame_free(&picture);
    if (!progress_continue(render->progress, error))
      return NULL;
  }
  return NULL;
}

static gboolean read_frame(gpointer user, gpointer *item, GError **error) {
  Render *render = user;
  GError *problem = NULL;
  AVFrame *picture = next_picture(render, &problem);
  if (!picture) {
    if (problem)
      g_propagate_error(error, problem);
    return problem == NULL;
  }
  Frame *frame = g_new0(Frame, 1);
  frame->picture = picture;
  frame->number = render->read - 1;
  gboolean good = progress_continue(render->progress, error);
  if (good && render->options->background == BACKGROUND_ORIGINAL)
    good = read_background(render, frame, error) && read_masks(render, frame, error);
  if (good && render->mask_out)
    frame->mask = mask_frame(picture);
  if (!good || (av_frame_make_writable(picture) < 0 && !fault(error, FAULT_INTERNAL, "Out of memory."))) {
    frame_free(frame);
    return FALSE;
  }
  *item = frame;
  return TRUE;
}

/* --- drawing --- */

/* Draws the characters of a frame, the farthest first; returns their number. */
static int draw_boxes(const Render *render, Worker *worker, const Frame *frame) {
  g_autofree guint *order = g_memdup2(render->track, sizeof *order * (gsize)render->roles);
  standing_sort(render->standing, frame->number, order, render->roles);
  int boxes = 0;
  for (int i = 0; i < render->roles; i++)
    for (int k = 0; k < render->roles; k++)
      if (render->track[k] == order[i] &&
          painter_draw(worker->painters[k], frame->number, &worker->boxes[boxes]))
        worker->before[boxes++] = frame->before ? frame->before[k] : NULL;
  return boxes;
}

static gboolean draw_frame(gpointer user, int number, gpointer item, GError **error) {
  Render *render = user;
  Worker *worker = &render->workers[number];
  Frame *frame = item;
  int boxes = draw_boxes(render, worker, frame);
  const Image *replaced[] = {frame->replaced}, *kept[] = {frame->kept};
  ComposeInput input = {.index = frame->number,
                        .backing = frame->background ? frame->background->backing : NULL,
                        .replaced = replaced,
                        .replaced_count = frame->replaced != NULL,
                        .kept = kept,
                        .kept_count = frame->kept != NULL,
                        .boxes = worker->boxes,
                        .box_count = boxes,
                        .before = worker->before};
  compose_frame(worker->composer, frame->picture, &input, frame->mask);
  frame->acted = boxes > 0;
  return TRUE;
}

/* --- writing --- */

static gboolean write_frame(gpointer user, gpointer item, GError **error) {
  Render *render = user;
  const Frame *frame = item;
  if (!video_out_write(render->out, frame->picture, error) ||
      (frame->mask && !video_out_write(render->mask_out, frame->mask, error)))
    return FALSE;
  render->acted += frame->acted;
  progress_report(render->progress, "Rendering", ++render->written, render->count);
  return TRUE;
}

/* Both files appear, or neither. */
static gboolean publish(Render *render, GError **error) {
  if (render->mask_out && !video_out_finish(render->mask_out, error))
    return FALSE;
  if (video_out_finish(render->out, error))
    return TRUE;
  if (render->mask_out)
    g_unlink(render->options->mask);
  return FALSE;
}

/* --- setting up --- */

/* Index of the track of a person, or of the one who is seen largest and longest. */
static gboolean find_track(const Tracks *tracks, int person, guint *index, GError **error) {
  g_autoptr(GString) known = g_string_new(NULL);
  double most = -1;
  for (guint i = 0; i < tracks->tracks->len; i++) {
    const Track *track = tracks->tracks->pdata[i];
    g_string_append_printf(known, "%s%d", i ? ", " : "", track->id);
    double seen = 0;
    for (int n = 0; n < track->count; n++)
      seen += track->poses[n].box[3];
    if (person == track->id || (person == 0 && seen > most)) {
      *index = i;
      most = seen;
    }
  }
  return most >= 0 || fault(error, FAULT_NOBODY, "There is no person %d in the video; there %s %s.", person,
                            tracks->tracks->len == 1 ? "is only person" : "are persons", known->str);
}

static gboolean cast(Render *render, const Role *roles, GError **error) {
  const Tracks *tracks = render->scene->tracks;
  gboolean flat = g_str_equal(render->scene->model, RENDER_MODEL_FLAT);
  render->puppets = g_new0(Puppet *, render->roles);
  render->track = g_new0(guint, render->roles);
  render->replaced = g_new0(gboolean, tracks->tracks->len);
  render->standing = standing_new(tracks);
  for (int k = 0; k < render->roles; k++) {
    guint track = 0;
    if (!find_track(tracks, roles[k].person, &track, error))
      return FALSE;
    if (render->replaced[track])
      return fault(error, FAULT_USAGE, "Two characters cannot play the same person %d.",
                   ((const Track *)tracks->tracks->pdata[track])->id);
    render->track[k] = track;
    render->replaced[track] = TRUE;
    render->puppets[k] = puppet_new(roles[k].character->rig, tracks->tracks->pdata[track], tracks, flat,
                                    render->options->background == BACKGROUND_ORIGINAL, render->progress);
  }
  return TRUE;
}

static void hire_workers(Render *render) {
  int threads = render->options->threads ? render->options->threads : (int)g_get_num_processors();
  render->worker_count = CLAMP(threads, 1, MAX_WORKERS);
  for (int i = 0; i < render->worker_count; i++) {
    Worker *worker = &render->workers[i];
    worker->painters = g_new0(Painter *, render->roles);
    worker->boxes = g_new0(PainterBox, render->roles);
    worker->before = g_new0(const Image *, render->roles);
    for (int k = 0; k < render->roles; k++)
      worker->painters[k] = painter_new(render->puppets[k], &render->scene->info);
    worker->composer =
        composer_new(&render->scene->info, render->options->background, render->options->colour);
  }
}

static gboolean open_files(Render *render, const char *out, GError **error) {
  const Scene *scene = render->scene;
  const RenderOptions *options = render->options;
  render->read = render->first;
  if (!(render->in = video_in_open_at(scene->source, scene->tracks->frames, &render->read, error)))
    return FALSE;
  if (options->background == BACKGROUND_ORIGINAL &&
      !(render->masks = scene_masks_open(scene, render->first, error)))
    return FALSE;
  if (!(render->out =
            video_out_open(out, &scene->info,
                           render->count < scene->tracks->frames || options->silent ? NULL : scene->source,
                           options->quality, error)))
    return FALSE;
  if (options->mask &&
      !(render->mask_out = video_out_open(options->mask, &scene->info, NULL, options->quality, error)))
    return FALSE;
  return TRUE;
}

static gboolean choose_frames(Render *render, GError **error) {
  const RenderOptions *options = render->options;
  int frames = render->scene->tracks->frames;
  gboolean all = !options->first && !options->count;
  render->first = options->first;
  render->count = all ? frames : options->count;
  if (options->first < 0 || render->count < 1 || options->first > frames - render->count)
    return fault(error, FAULT_USAGE, "The Scene has %d frames; %d frames from %d on are not in it.", frames,
                 options->count, options->first);
  return TRUE;
}

static gboolean run(Render *render, const Role *roles, const char *out, GError **error) {
  static const PipelineStages stages = {read_frame, draw_frame, write_frame, frame_free};
  if (!choose_frames(render, error) || !cast(render, roles, error) || !open_files(render, out, error))
    return FALSE;
  hire_workers(render);
  return pipeline_run(&stages, render->worker_count, FRAMES_IN_FLIGHT, render, error) &&
         publish(render, error);
}

gboolean render_video(Scene *scene, const Role *roles, int count, const RenderOptions *options,
                      const char *out, RenderResult *result, Progress *progress, GError **error) {
  g_auto(Render) render = {.scene = scene, .options = options, .progress = progress, .roles = count};
  gboolean good = run(&render, roles, out, error);
  *result = (RenderResult){.frames = render.written, .acted = render.acted};
  return good;
}
