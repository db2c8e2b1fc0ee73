/* Renders of a made Scene: who passes in front, parts of a video, one processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/files.h"
#include "doll.h"
#include "media/grey_video.h"
#include "puppet/render.h"
#include <math.h>
#include <string.h>

#define W 540
#define H 960
#define MW 144
#define MH 256
#define FRAMES 50
#define FIRST 17
#define COUNT 20

enum { BACK = 110, PERFORMER = 60, PASSER = 200 }; /* luma */

/* A performer in the middle, and somebody who passes from left to right, before or behind. */
typedef struct {
  char *folder;
  Scene *scene;
  Character character;
} Stage;

static void rectangle_of(int person, int frame, gboolean before, int box[4]) {
  int x = person ? 40 + (W - 80) * frame / (FRAMES - 1) : W / 2, half = person ? 40 : 50;
  box[0] = x - half, box[2] = x + half;
  box[1] = person ? (before ? 260 : 330) : 250, box[3] = person ? (before ? 860 : 640) : 760;
}

static AVFrame *paint(int frame, gboolean before) {
  AVFrame *picture = av_frame_alloc();
  picture->format = AV_PIX_FMT_YUV420P, picture->width = W, picture->height = H;
  assert_int_equal(av_frame_get_buffer(picture, 0), 0);
  picture->pts = frame;
  for (int p = 0; p < 3; p++)
    for (int y = 0; y < H >> (p > 0); y++)
      memset(picture->data[p] + (gssize)y * picture->linesize[p], p ? 128 : BACK, (gsize)(W >> (p > 0)));
  for (int i = 0; i < 2; i++) {
    int person = before ? i : 1 - i, box[4]; /* the nearer is painted over the other */
    rectangle_of(person, frame, before, box);
    for (int y = MAX(box[1], 0); y < MIN(box[3], H); y++)
      for (int x = MAX(box[0], 0); x < MIN(box[2], W); x++)
        picture->data[0][(gssize)y * picture->linesize[0] + x] = person ? PASSER : PERFORMER;
  }
  return picture;
}

static Image *mask_of(int person, int frame, gboolean before) {
  Image *mask = image_new(MW, MH, 1);
  int box[4];
  rectangle_of(person, frame, before, box);
  for (int y = 0; y < MH; y++)
    for (int x = 0; x < MW; x++) {
      int fx = x * W / MW, fy = y * H / MH;
      *image_at(mask, x, y) = fx >= box[0] && fx < box[2] && fy >= box[1] && fy < box[3] ? 255 : 0;
    }
  return mask;
}

static Tracks *two_people(gboolean before) {
  Pose poses[2][FRAMES];
  for (int person = 0; person < 2; person++)
    for (int i = 0; i < FRAMES; i++) {
      int box[4];
      rectangle_of(person, i, before, box);
      Person p = person_standing(0.5f * (float)(box[0] + box[2]), 0, (float)(box[3] - box[1]) / 1.7f);
      p.arm[0][1] += 0.9f * sinf(0.3f * (float)i);
      p.arm[1][0] -= 0.7f * sinf(0.2f * (float)i);
      Pose pose = person_pose(&p);
      float down = (float)box[3] - MAX(pose.image[POSE_LEFT_ANKLE].y, pose.image[POSE_RIGHT_ANKLE].y);
      for (int l = 0; l < POSE_LANDMARKS; l++)
        pose.image[l].y += down;
      poses[person][i] = pose;
    }
  Tracks *tracks = person_tracks(poses[0], FRAMES), *other = person_tracks(poses[1], FRAMES);
  Track *passer = g_ptr_array_steal_index(other->tracks, 0);
  passer->id = 2;
  for (int i = 0; i < FRAMES; i++)
    ((Track *)tracks->tracks->pdata[0])->slot[i] = 0, passer->slot[i] = 1;
  g_ptr_array_add(tracks->tracks, passer);
  tracks_free(other);
  tracks->mask_width = MW, tracks->mask_height = MH;
  return tracks;
}

static void plate_done(gpointer data) {
  Plate *plate = data;
  image_free(plate->picture);
  g_free(plate);
}

static Stage *stage_new(gboolean before) {
  Stage *stage = g_new0(Stage, 1);
  GError *error = NULL;
  stage->folder = g_dir_make_tmp("troupe-render-XXXXXX", &error);
  assert_non_null(stage->folder);
  Scene *scene = stage->scene = g_new0(Scene, 1);
  scene->folder = g_strdup(stage->folder);
  scene->model = g_strdup(RENDER_MODEL_VOLUMETRIC);
  scene->source = g_build_filename(stage->folder, "source.mp4", NULL);
  scene->info = (VideoInfo){.width = W,
                            .height = H,
                            .time_base = {1, 25},
                            .frame_rate = {25, 1},
                            .aspect = {1, 1},
                            .frames = FRAMES,
                            .seconds = FRAMES / 25.0,
                            .range = AVCOL_RANGE_MPEG,
                            .matrix = AVCOL_SPC_BT709,
                            .primaries = AVCOL_PRI_BT709,
                            .transfer = AVCOL_TRC_BT709};
  scene->tracks = two_people(before);
  scene->plates = g_ptr_array_new_with_free_func(plate_done);
  Plate *plate = g_new0(Plate, 1);
  *plate = (Plate){0, FRAMES, TRUE, W, H};
  plate->picture = image_new(W, H, 3);
  memset(plate->picture->pixels, (BACK - 16) * 255 / 219, (gsize)W * H * 3);
  g_ptr_array_add(scene->plates, plate);
  g_autofree char *masks = g_build_filename(stage->folder, "masks.mkv", NULL);
  g_autoptr(VideoOut) video =
      video_out_open(scene->source, &scene->info, NULL, (VideoQuality){"ultrafast", 4}, &error);
  g_autoptr(GreyVideoOut) grey = grey_video_out_open(masks, MW, MH, 2, &error);
  assert_non_null(video);
  assert_non_null(grey);
  for (int i = 0; i < FRAMES; i++) {
    AVFrame *frame = paint(i, before);
    assert_true(video_out_write(video, frame, &error));
    av_frame_free(&frame);
    for (int person = 0; person < 2; person++) {
      g_autoptr(Image) mask = mask_of(person, i, before);
      assert_true(grey_video_out_write(grey, person, i, mask, &error));
    }
  }
  assert_true(video_out_finish(video, &error));
  assert_true(grey_video_out_finish(grey, &error));
  g_autoptr(VideoIn) in = video_in_open(scene->source, &error);
  assert_non_null(in);
  scene->info = *video_in_info(in);
  stage->character = (Character){.rig = doll_rig(FALSE)};
  return stage;
}

static void stage_free(Stage *stage) {
  files_remove_tree(stage->folder);
  scene_free(stage->scene);
  rig_free(stage->character.rig);
  g_free(stage->folder);
  g_free(stage);
}

static char *render(const Stage *stage, const char *name, int roles, RenderOptions options, int *frames) {
  char *out = g_build_filename(stage->folder, name, NULL);
  g_autofree char *mask = g_strdup_printf("%s-mask.mp4", out);
  Role both[] = {{&stage->character, 1}, {&stage->character, 2}};
  RenderResult result;
  GError *error = NULL;
  options.quality = (VideoQuality){"ultrafast", 2};
  options.mask = mask;
  if (!render_video(stage->scene, both, roles, &options, out, &result, NULL, &error))
    fail_msg("%s", error->message);
  *frames = result.frames;
  return out;
}

/* All pictures of a video. */
static GPtrArray *decode(const char *path) {
  GError *error = NULL;
  GPtrArray *frames = g_ptr_array_new();
  g_autoptr(VideoIn) in = video_in_open(path, &error);
  if (!in)
    fail_msg("%s", error->message);
  for (AVFrame *frame; (frame = video_in_next(in, &error));)
    g_ptr_array_add(frames, frame);
  assert_null(error);
  return frames;
}

static void frames_free(GPtrArray *frames) {
  for (guint i = 0; i < frames->len; i++)
    av_frame_free((AVFrame **)&frames->pdata[i]);
  g_ptr_array_unref(frames);
}

static int luma(const GPtrArray *frames, int frame, int x, int y) {
  const AVFrame *picture = frames->pdata[frame];
  return picture->data[0][(gssize)y * picture->linesize[0] + x];
}

static void whoever_is_nearer_covers_the_character(void **state) {
  int n, crossing = FRAMES / 2, y = 470;
  for (int before = 0; before < 2; before++) {
    Stage *stage = stage_new(before);
    g_autofree char *out = render(stage, "out.mp4", 1, (RenderOptions){0}, &n);
    g_autofree char *mask = g_strdup_printf("%s-mask.mp4", out);
    GPtrArray *frames = decode(out), *masks = decode(mask);
    assert_int_equal(n, FRAMES);
    int drawn = luma(masks, crossing, W / 2, y), shown = luma(frames, crossing, W / 2, y);
    assert_true(luma(masks, 0, W / 2, y) > 200); /* the character's trunk, when nobody is near */
    if (before) {
      assert_true(drawn < 30);
      assert_in_range(shown, PASSER - 4, PASSER + 4);
    } else {
      assert_true(drawn > 200);
      assert_false(shown >= PASSER - 4 && shown <= PASSER + 4);
    }
    frames_free(frames);
    frames_free(masks);
    stage_free(stage);
  }
}

/* The doll's layers are of one colour, the same for both: the nearer one is twice as high, so that the
 * farther one's mask alone tells nothing. Swapping the roles must not swap who is in front. */
static void characters_lie_in_the_order_of_their_feet(void **state) {
  Stage *stage = stage_new(TRUE);
  int n;
  g_autofree char *out = render(stage, "both.mp4", 2, (RenderOptions){0}, &n);
  Role swapped[] = {{&stage->character, 2}, {&stage->character, 1}};
  RenderOptions options = {.quality = {"ultrafast", 2}};
  RenderResult result;
  g_autofree char *other = g_build_filename(stage->folder, "swapped.mp4", NULL), *a = NULL, *b = NULL;
  assert_true(render_video(stage->scene, swapped, 2, &options, other, &result, NULL, NULL));
  gsize la, lb;
  assert_true(g_file_get_contents(out, &a, &la, NULL) && g_file_get_contents(other, &b, &lb, NULL));
  assert_int_equal(la, lb);
  assert_memory_equal(a, b, la);
  stage_free(stage);
}

static double psnr(const AVFrame *a, const AVFrame *b) {
  double sum = 0;
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) {
      double d =
          (double)a->data[0][(gssize)y * a->linesize[0] + x] - b->data[0][(gssize)y * b->linesize[0] + x];
      sum += d * d;
    }
  return sum > 0 ? 10 * log10(255.0 * 255.0 * W * H / sum) : 99;
}

static void a_part_shows_what_the_whole_shows(void **state) {
  Stage *stage = stage_new(TRUE);
  int n;
  g_autofree char *whole = render(stage, "whole.mp4", 1, (RenderOptions){0}, &n);
  g_autofree char *part = render(stage, "part.mp4", 1, (RenderOptions){.first = FIRST, .count = COUNT}, &n);
  assert_int_equal(n, COUNT);
  static const char *const suffixes[] = {"", "-mask.mp4"};
  for (int k = 0; k < 2; k++) {
    g_autofree char *a = g_strconcat(whole, suffixes[k], NULL), *b = g_strconcat(part, suffixes[k], NULL);
    GPtrArray *all = decode(a), *some = decode(b);
    assert_int_equal(all->len, FRAMES);
    assert_int_equal(some->len, COUNT);
    for (int i = 0; i < COUNT; i++) {
      const AVFrame *p = all->pdata[FIRST + i], *q = some->pdata[i];
      assert_true(psnr(p, q) > 50);
      assert_true(psnr(all->pdata[FIRST + (i + 1) % COUNT], q) < 45); /* its neighbour is another picture */
      assert_int_equal(p->pts - ((AVFrame *)all->pdata[FIRST])->pts,
                       q->pts - ((AVFrame *)some->pdata[0])->pts);
    }
    frames_free(all);
    frames_free(some);
  }
  stage_free(stage);
}

static void one_processor_makes_the_same_bytes(void **state) {
  Stage *stage = stage_new(FALSE);
  int n;
  g_autofree char *many = render(stage, "many.mp4", 1, (RenderOptions){0}, &n);
  g_autofree char *one = render(stage, "one.mp4", 1, (RenderOptions){.threads = 1}, &n), *a = NULL, *b = NULL;
  gsize la, lb;
  assert_true(g_file_get_contents(many, &a, &la, NULL) && g_file_get_contents(one, &b, &lb, NULL));
  assert_int_equal(la, lb);
  assert_memory_equal(a, b, la);
  stage_free(stage);
}

static void frames_that_are_not_there_are_refused(void **state) {
  static const int wrong[][2] = {{0, FRAMES + 1}, {FRAMES, 1}, {-1, 5},
                                 {5, 0},          {5, -3},     {G_MAXINT, G_MAXINT}};
  Stage *stage = stage_new(TRUE);
  g_autofree char *out = g_build_filename(stage->folder, "x.mp4", NULL);
  Role role = {&stage->character, 1}, twice[] = {role, role};
  RenderResult result;
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    RenderOptions options = {.first = wrong[i][0], .count = wrong[i][1]};
    assert_false(render_video(stage->scene, &role, 1, &options, out, &result, NULL, &error));
    assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
    assert_false(g_file_test(out, G_FILE_TEST_EXISTS));
  }
  g_autoptr(GError) error = NULL;
  RenderOptions options = {0};
  assert_false(render_video(stage->scene, twice, 2, &options, out, &result, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
  stage_free(stage);
}

int main(void) {
  video_init();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whoever_is_nearer_covers_the_character),
      cmocka_unit_test(characters_lie_in_the_order_of_their_feet),
      cmocka_unit_test(a_part_shows_what_the_whole_shows),
      cmocka_unit_test(one_processor_makes_the_same_bytes),
      cmocka_unit_test(frames_that_are_not_there_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
