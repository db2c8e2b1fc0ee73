/* Milliseconds a frame of every stage, each alone on one thread: stages CLIP SCENE CHARACTER.
 *
 * Printed is the processor time of this thread (and of no other), the mean over the frames that were run. */
#include "media/picture.h"
#include "media/video.h"
#include "perception/track.h"
#include "puppet/character.h"
#include "puppet/draw/compose.h"
#include "puppet/draw/puppet.h"
#include "stage/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FRAMES 120

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void stop_on(GError *error) {
  if (!error)
    return;
  fprintf(stderr, "stages: %s\n", error->message);
  exit(1);
}

typedef struct {
  const char *name;
  double ms;
  int frames;
} Stage;

enum { TO_RGB, TRACK, MASKS, DRAW, DRAW_FLAT, COMPOSE, STAGES };

static Stage stages[STAGES] = {
    [TO_RGB] = {"to RGB"},
    [TRACK] = {"follow people (detector now and then, full landmarks, masks)"},
    [MASKS] = {"read masks"},
    [DRAW] = {"skin and draw, volumetric"},
    [DRAW_FLAT] = {"deform and draw, flat"},
    [COMPOSE] = {"compose over the plate"},
};

#define TIMED(stage, call)                                                                                   \
  do {                                                                                                       \
    double began = now_ms();                                                                                 \
    call;                                                                                                    \
    stages[stage].ms += now_ms() - began;                                                                    \
    stages[stage].frames++;                                                                                  \
  } while (0)

typedef struct {
  Scene *scene;
  Tracker *tracker;
  ColourConverter *converter;
  Image *rgb;
  SceneMasks *masks;
  Painter *painter, *flat_painter;
  Composer *composer;
  Backing *backing;
} Bench;

static void run_frame(Bench *bench, AVFrame *frame, int n) {
  GError *error = NULL;
  g_autoptr(GArray) sightings = NULL;
  g_autoptr(Image) mask = NULL;
  PainterBox box;
  TIMED(TO_RGB, colour_to_rgb(bench->converter, frame, bench->rgb));
  TIMED(TRACK,
        tracker_add(bench->tracker, bench->rgb, bench->scene->tracks->time_s[n], n == 0, &sightings, &error));
  stop_on(error);
  TIMED(MASKS, scene_masks_at(bench->masks, n, 0, &mask, NULL, &error));
  stop_on(error);
  gboolean drawn;
  TIMED(DRAW_FLAT, drawn = painter_draw(bench->flat_painter, n, &box));
  TIMED(DRAW, drawn = painter_draw(bench->painter, n, &box));
  const Image *replaced[] = {mask};
  ComposeInput input = {.index = n,
                        .backing = bench->backing,
                        .replaced = replaced,
                        .replaced_count = mask != NULL,
                        .boxes = &box,
                        .box_count = drawn};
  av_frame_make_writable(frame);
  TIMED(COMPOSE, compose_frame(bench->composer, frame, &input, NULL));
}

int main(int argc, char **argv) {
  GError *error = NULL;
  if (argc != 4)
    return fprintf(stderr, "usage: stages CLIP SCENE CHARACTER\n"), 2;
  picture_init(argv[0], &error);
  stop_on(error);
  video_init();
  g_autoptr(Scene) scene = scene_load(argv[2], &error);
  stop_on(error);
  g_autoptr(Character) character = character_load(argv[3], &error);
  stop_on(error);
  g_autoptr(VideoIn) in = video_in_open(argv[1], &error);
  stop_on(error);
  const VideoInfo *info = video_in_info(in);
  const Track *track = scene->tracks->tracks->pdata[0];
  g_autoptr(Puppet) puppet = puppet_new(character->rig, track, scene->tracks, FALSE, FALSE, NULL);
  g_autoptr(Puppet) flat = puppet_new(character->rig, track, scene->tracks, TRUE, FALSE, NULL);
  Bench bench = {.scene = scene,
                 .rgb = image_new(info->width, info->height, 3),
                 .converter = colour_converter_new(info)};
  bench.tracker = tracker_new(POSE_FULL, NULL, info->width, info->height, &error);
  stop_on(error);
  bench.masks = scene_masks_open(scene, 0, &error);
  stop_on(error);
  const Plate *plate = scene_plate(scene, 0, &error);
  stop_on(error);
  bench.backing = backing_new(plate, info);
  bench.painter = painter_new(puppet, info);
  bench.flat_painter = painter_new(flat, info);
  bench.composer = composer_new(info, BACKGROUND_ORIGINAL, NULL);
  AVFrame *frame;
  for (int n = 0; n < MIN(FRAMES, plate->count) && (frame = video_in_next(in, &error)); n++) {
    run_frame(&bench, frame, n);
    av_frame_free(&frame);
  }
  stop_on(error);
  for (int i = 0; i < STAGES; i++)
    printf("%8.2f  %s\n", stages[i].ms / MAX(stages[i].frames, 1), stages[i].name);
  composer_free(bench.composer);
  painter_free(bench.painter);
  painter_free(bench.flat_painter);
  backing_free(bench.backing);
  scene_masks_free(bench.masks);
  tracker_free(bench.tracker);
  colour_converter_free(bench.converter);
  image_free(bench.rgb);
  return 0;
}
