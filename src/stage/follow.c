/* The pipeline's three stages (base/pipeline.h). Whether a frame begins a shot is known only some frames
 * later (shots.h), so frames wait at the end of the first stage. */
#include "stage/follow.h"
#include "base/pipeline.h"
#include "stage/glance.h"
#include "stage/shots.h"

enum {
  DEPTH = 6,      /* frames under way */
  DEPTH_HUGE = 3, /* the same for frames of more than HUGE_PIXELS */
  HUGE_PIXELS = 4000 * 1000,
};

typedef struct {
  int index;
  AVFrame *frame;
  Image *rgb;
  gboolean cut;
  GArray *sightings;
  GAsyncQueue *pool; /* where rgb goes back to */
} Item;

typedef struct {
  VideoIn *in;
  Tracker *tracker;
  FollowedFunc take;
  gpointer user;
  /* the decoding thread's */
  Glance *glance;
  ColourConverter *exact; /* instead, or NULL */
  Shots *shots;
  GQueue waiting;    /* Item *: frames of which it is not decided yet whether they begin a shot */
  GAsyncQueue *pool; /* Image * */
  int decoded, emitted;
  gboolean ended;
} Follow;

static void item_free(gpointer data) {
  Item *item = data;
  av_frame_free(&item->frame);
  if (item->rgb)
    g_async_queue_push(item->pool, item->rgb);
  g_clear_pointer(&item->sightings, g_array_unref);
  g_async_queue_unref(item->pool);
  g_free(item);
}

/* Reads one more frame; at the end all waiting ones are decided. */
static gboolean read_frame(Follow *follow, GError **error) {
  GError *problem = NULL;
  AVFrame *frame = video_in_next(follow->in, &problem);
  if (problem) {
    g_propagate_error(error, problem);
    return FALSE;
  }
  if (!frame) {
    follow->ended = TRUE;
    shots_end(follow->shots);
    return TRUE;
  }
  Item *item = g_new0(Item, 1);
  item->index = follow->decoded++;
  item->frame = frame;
  item->pool = g_async_queue_ref(follow->pool);
  item->rgb = g_async_queue_try_pop(follow->pool);
  if (!item->rgb)
    item->rgb = glance_image(video_in_info(follow->in));
  if (follow->exact)
    colour_to_rgb(follow->exact, frame, item->rgb);
  else
    glance_rgb(follow->glance, frame, item->rgb);
  shots_add(follow->shots, item->rgb);
  g_queue_push_tail(&follow->waiting, item);
  return TRUE;
}

static gboolean produce(gpointer user, gpointer *out, GError **error) {
  Follow *follow = user;
  while (!follow->ended && follow->emitted >= shots_decided(follow->shots))
    if (!read_frame(follow, error))
      return FALSE;
  Item *item = g_queue_pop_head(&follow->waiting);
  if (item)
    item->cut = shots_is_cut(follow->shots, follow->emitted++);
  *out = item;
  return TRUE;
}

static gboolean track(gpointer user, int worker, gpointer data, GError **error) {
  Follow *follow = user;
  Item *item = data;
  double time = (double)item->frame->pts * av_q2d(video_in_info(follow->in)->time_base);
  return tracker_add(follow->tracker, item->rgb, time, item->cut, &item->sightings, error);
}

static gboolean consume(gpointer user, gpointer data, GError **error) {
  const Follow *follow = user;
  const Item *item = data;
  const Followed followed = {item->index, item->frame, item->rgb, item->cut, item->sightings};
  return follow->take(follow->user, &followed, error);
}

gboolean follow_video(VideoIn *in, Tracker *tracker, FollowColours colours, FollowedFunc take, gpointer user,
                      GError **error) {
  static const PipelineStages stages = {produce, track, consume, item_free};
  const VideoInfo *info = video_in_info(in);
  Follow follow = {in, tracker, take, user};
  follow.glance = glance_new(info);
  follow.exact = colours == FOLLOW_EXACT ? colour_converter_new(info) : NULL;
  follow.shots = shots_new();
  follow.pool = g_async_queue_new();
  int depth = (gint64)info->width * info->height > HUGE_PIXELS ? DEPTH_HUGE : DEPTH;
  gboolean good = pipeline_run(&stages, 1, depth, &follow, error);
  g_queue_clear_full(&follow.waiting, item_free);
  for (Image *rgb; (rgb = g_async_queue_try_pop(follow.pool));)
    image_free(rgb);
  g_async_queue_unref(follow.pool);
  glance_free(follow.glance);
  colour_converter_free(follow.exact);
  shots_free(follow.shots);
  return good;
}
