/* Composing: what must stay stays bit for bit, what goes away goes away, and colours are right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "puppet/draw/compose.h"
#include <libavutil/pixfmt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define W 216
#define H 384
#define MW 72
#define MH 128

static VideoInfo video(void) {
  return (VideoInfo){
      .width = W, .height = H, .range = AVCOL_RANGE_MPEG, .matrix = AVCOL_SPC_BT709, .frames = 10};
}

static AVFrame *frame_new(void) {
  AVFrame *frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = W, frame->height = H;
  assert_int_equal(av_frame_get_buffer(frame, 0), 0);
  return frame;
}

/* A smooth background; lit: how much brighter than the plate. */
static void paint(AVFrame *frame, float lit) {
  for (int p = 0; p < 3; p++)
    for (int y = 0; y < H >> (p > 0); y++)
      for (int x = 0; x < W >> (p > 0); x++)
        frame->data[p][y * frame->linesize[p] + x] = (guint8)lrintf(
            p ? 120 + 10 * sinf((float)(x + p) / 30) : 110 + 40 * sinf((float)x / 40) + (float)y / 16 + lit);
}

static guint8 luma(const AVFrame *frame, int x, int y) {
  return frame->data[0][y * frame->linesize[0] + x];
}

static gboolean same(const AVFrame *a, const AVFrame *b) {
  for (int p = 0; p < 3; p++)
    for (int y = 0; y < H >> (p > 0); y++)
      if (memcmp(a->data[p] + y * a->linesize[p], b->data[p] + y * b->linesize[p], (size_t)(W >> (p > 0))) !=
          0)
        return FALSE;
  return TRUE;
}

/* The plate of that background, as stage/ would hand it over. front: NULL, or what stands before everybody.
 */
static Backing *background_behind(const VideoInfo *info, int pan, Front *front) {
  AVFrame *clean = frame_new();
  paint(clean, 0);
  ColourConverter *converter = colour_converter_new(info);
  Plate plate = {0, 10, TRUE};
  g_autoptr(Image) picture = image_new(W, H, 3);
  colour_to_rgb(converter, clean, picture);
  plate.picture = picture;
  plate.front = front;
  float homography[10][9];
  if (pan) {
    for (int i = 0; i < 10; i++)
      memcpy(homography[i], (const float[]){1, 0, (float)(pan * i), 0, 1, 0, 0, 0, 1}, sizeof homography[i]);
    plate.still = FALSE, plate.homography = homography;
  }
  Backing *backing = backing_new(&plate, info);
  colour_converter_free(converter);
  av_frame_free(&clean);
  return backing;
}

static Backing *background(const VideoInfo *info, int pan) {
  return background_behind(info, pan, NULL);
}

/* A person: dark, 60 x 150 pixels, and its mask. */
static Image *stand_in(AVFrame *frame, int x0, int y0) {
  Image *mask = image_new(MW, MH, 1);
  for (int y = y0; y < y0 + 150; y++)
    for (int x = x0; x < x0 + 60; x++) {
      frame->data[0][y * frame->linesize[0] + x] = 20;
      *image_at(mask, x * MW / W, y * MH / H) = 255;
    }
  return mask;
}

/* A box with a disc of one colour, alpha soft at its rim. */
typedef struct {
  PainterBox box;
  guint8 rgba[64 * 64 * 4];
  int span[2][2];
} Disc;

static void disc_at(Disc *d, int x, int y, guint8 r, guint8 g, guint8 b) {
  memset(d, 0, sizeof *d);
  for (int j = 0; j < 64; j++)
    for (int i = 0; i < 64; i++) {
      float a = CLAMP(28 - hypotf((float)i - 31.5f, (float)j - 31.5f), 0.0f, 4.0f) / 4;
      guint8 *p = d->rgba + 4 * (64 * j + i);
      p[0] = (guint8)((float)r * a), p[1] = (guint8)((float)g * a), p[2] = (guint8)((float)b * a),
      p[3] = (guint8)(255 * a);
    }
  for (int k = 0; k < 2; k++)
    d->span[k][1] = 64;
  d->box.picture = (RasterBox){x, y, 64, 64, d->rgba, 32, (const int(*)[2])d->span};
}

static void nothing_changes_without_people(void **state) {
  VideoInfo info = video();
  g_autoptr(Composer) composer = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
  g_autoptr(Backing) backing = background(&info, 0);
  g_autoptr(Image) empty = image_new(MW, MH, 1);
  AVFrame *frame = frame_new(), *before = frame_new();
  paint(frame, 7), paint(before, 7);
  const Image *masks[] = {empty};
  ComposeInput input = {0, backing, masks, 1, NULL, 0, NULL, 0};
  compose_frame(composer, frame, &input, NULL);
  assert_true(same(frame, before));
  Disc d;
  disc_at(&d, 40, 40, 255, 0, 0);
  memset(d.rgba, 0, sizeof d.rgba);
  input.boxes = &d.box, input.box_count = 1;
  compose_frame(composer, frame, &input, NULL);
  assert_true(same(frame, before));
  av_frame_free(&frame);
  av_frame_free(&before);
}

/* The person is gone, in light that differs from the plate's, and away from the person not a bit changed. */
static void people_vanish_in_changing_light(void **state) {
  VideoInfo info = video();
  for (int lit = -20; lit <= 20; lit += 20)
    for (int pan = 0; pan < 2; pan++) {
      g_autoptr(Composer) composer = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
      g_autoptr(Backing) backing = background(&info, pan);
      AVFrame *frame = frame_new(), *clean = frame_new();
      paint(frame, (float)lit), paint(clean, (float)lit);
      g_autoptr(Image) mask = stand_in(frame, 80, 120);
      const Image *masks[] = {mask};
      ComposeInput input = {0, backing, masks, 1, NULL, 0, NULL, 0};
      compose_frame(composer, frame, &input, NULL);
      for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
          int difference = abs(luma(frame, x, y) - luma(clean, x, y));
          gboolean far_off = x < 64 || x >= 156 || y < 104 || y >= 286;
          assert_true(difference <= (far_off ? 0 : 4));
        }
      av_frame_free(&frame);
      av_frame_free(&clean);
    }
}

static void moving_cameras_read_the_right_place(void **state) {
  VideoInfo info = video();
  g_autoptr(Backing) backing = background(&info, 6);
  BackingRoom *room = backing_room_new(&info);
  AVFrame *clean = frame_new();
  paint(clean, 0);
  BackingView view;
  backing_view(backing, 5, (const int[]){40, 40, 120, 120}, room, &view);
  for (int y = 40; y < 120; y++)
    for (int x = 40; x < 120; x++)
      assert_true(abs(view.plane[0][y * view.stride[0] + x] - luma(clean, x + 30, y)) <= 2);
  for (int y = 20; y < 60; y++)
    for (int x = 20; x < 60; x++)
      assert_true(
          abs(view.plane[1][y * view.stride[1] + x] - clean->data[1][y * clean->linesize[1] + x + 15]) <= 2);
  backing_room_free(room);
  av_frame_free(&clean);
}

static void others_keep_their_look(void **state) {
  VideoInfo info = video();
  g_autoptr(Composer) composer = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
  g_autoptr(Backing) backing = background(&info, 0);
  AVFrame *frame = frame_new(), *before = frame_new();
  paint(frame, 0);
  g_autoptr(Image) one = stand_in(frame, 30, 120);
  g_autoptr(Image) other = stand_in(frame, 93, 120); /* three pixels beside: inside the cover's reach */
  paint(before, 0);
  image_free(stand_in(before, 93, 120));
  const Image *replaced[] = {one}, *kept[] = {other};
  ComposeInput input = {0, backing, replaced, 1, kept, 1, NULL, 0};
  compose_frame(composer, frame, &input, NULL);
  assert_true(luma(frame, 60, 200) > 80);
  for (int y = 126; y < 264; y++)
    for (int x = 97; x < 150; x++)
      assert_int_equal(luma(frame, x, y), 20);
  av_frame_free(&frame);
  av_frame_free(&before);
}

/* White, red and blue in BT.709 limited range, from the Recommendation's own numbers; full range; BT.601. */
static void colours_follow_matrix_and_range(void **state) {
  static const struct {
    int matrix, range;
    guint8 rgb[3];
    int yuv[3];
  } known[] = {
      {AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, {255, 255, 255}, {235, 128, 128}},
      {AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, {255, 0, 0}, {63, 102, 240}},
      {AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, {0, 0, 255}, {32, 240, 118}},
      {AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG, {255, 0, 0}, {81, 90, 240}},
      {AVCOL_SPC_SMPTE170M, AVCOL_RANGE_JPEG, {255, 0, 0}, {76, 85, 255}},
      {AVCOL_SPC_BT709, AVCOL_RANGE_JPEG, {0, 0, 0}, {0, 128, 128}},
  };
  for (gsize k = 0; k < G_N_ELEMENTS(known); k++) {
    VideoInfo info = video();
    info.matrix = known[k].matrix, info.range = known[k].range;
    const guint8 *c = known[k].rgb;
    g_autoptr(Composer) solid = composer_new(&info, BACKGROUND_SOLID, c);
    g_autoptr(Composer) original = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
    AVFrame *frame = frame_new();
    paint(frame, 0);
    Disc d;
    disc_at(&d, 41, 61, c[0], c[1], c[2]);
    ComposeInput input = {0, NULL, NULL, 0, NULL, 0, &d.box, 1};
    compose_frame(original, frame, &input, NULL);
    for (int p = 0; p < 3; p++) {
      int x = (41 + 32) >> (p > 0), y = (61 + 32) >> (p > 0);
      assert_true(abs(frame->data[p][y * frame->linesize[p] + x] - known[k].yuv[p]) <= 1);
    }
    input.box_count = 0;
    compose_frame(solid, frame, &input, NULL);
    for (int p = 0; p < 3; p++)
      for (int y = 0; y < H >> (p > 0); y += 31)
        for (int x = 0; x < W >> (p > 0); x += 7)
          assert_true(abs(frame->data[p][y * frame->linesize[p] + x] - known[k].yuv[p]) <= 1);
    av_frame_free(&frame);
  }
}

static void the_mask_is_the_alpha(void **state) {
  VideoInfo info = video();
  g_autoptr(Composer) composer = composer_new(&info, BACKGROUND_TRANSPARENT, NULL);
  AVFrame *frame = frame_new(), *mask = frame_new();
  paint(frame, 0);
  Disc d;
  disc_at(&d, -20, 330, 200, 120, 40); /* partly outside */
  ComposeInput input = {0, NULL, NULL, 0, NULL, 0, &d.box, 1};
  compose_frame(composer, frame, &input, mask);
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) {
      int i = x + 20, j = y - 330, alpha = i < 64 && j >= 0 && j < 64 ? d.rgba[4 * (64 * j + i) + 3] : 0;
      assert_in_range(luma(mask, x, y), 16 + 219 * alpha / 255 - 1, 16 + 219 * alpha / 255 + 1);
      if (alpha == 0)
        assert_int_equal(luma(frame, x, y), 16);
    }
  assert_int_equal(mask->data[1][0], 128);
  av_frame_free(&frame);
  av_frame_free(&mask);
}

static void edges_mix_with_what_is_below(void **state) {
  VideoInfo info = video();
  g_autoptr(Composer) composer = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
  AVFrame *frame = frame_new(), *before = frame_new();
  paint(frame, 0), paint(before, 0);
  Disc d;
  disc_at(&d, 50, 70, 255, 255, 255);
  ComposeInput input = {0, NULL, NULL, 0, NULL, 0, &d.box, 1};
  compose_frame(composer, frame, &input, NULL);
  for (int j = 0; j < 64; j++)
    for (int i = 0; i < 64; i++) {
      float a = d.rgba[4 * (64 * j + i) + 3] / 255.0f;
      float wanted = 235 * a + luma(before, 50 + i, 70 + j) * (1 - a);
      assert_true(fabsf(luma(frame, 50 + i, 70 + j) - wanted) <= 1.1f);
    }
  av_frame_free(&frame);
  av_frame_free(&before);
}

static void shadows_darken_the_ground_only_there(void **state) {
  VideoInfo info = video();
  g_autoptr(Composer) composer = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
  AVFrame *frame = frame_new(), *before = frame_new();
  paint(frame, 0), paint(before, 0);
  Disc d;
  disc_at(&d, 0, 0, 0, 0, 0);
  memset(d.rgba, 0, sizeof d.rgba);
  d.box.shadow[0] = (PainterShadow){100, 300, 24, 1};
  d.box.shadow[1] = (PainterShadow){NAN, 1e9f, 24, 1};
  ComposeInput input = {0, NULL, NULL, 0, NULL, 0, &d.box, 1};
  compose_frame(composer, frame, &input, NULL);
  assert_true(luma(frame, 100, 300) < luma(before, 100, 300) - 20);
  assert_int_equal(luma(frame, 100, 250), luma(before, 100, 250));
  assert_int_equal(luma(frame, 180, 300), luma(before, 180, 300));
  av_frame_free(&frame);
  av_frame_free(&before);
}

static void the_same_twice(void **state) {
  VideoInfo info = video();
  g_autoptr(Backing) backing = background(&info, 0);
  AVFrame *frames[2];
  for (int k = 0; k < 2; k++) {
    g_autoptr(Composer) composer = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
    for (int round = k; round < 2; round++) { /* the first has composed another frame before */
      AVFrame *frame = frame_new();
      paint(frame, 5);
      g_autoptr(Image) mask = stand_in(frame, round ? 80 : 20, round ? 120 : 200);
      const Image *masks[] = {mask};
      ComposeInput input = {0, backing, masks, 1, NULL, 0, NULL, 0};
      compose_frame(composer, frame, &input, NULL);
      if (round)
        frames[k] = frame;
      else
        av_frame_free(&frame);
    }
  }
  assert_true(same(frames[0], frames[1]));
  av_frame_free(&frames[0]);
  av_frame_free(&frames[1]);
}

/* Writing on rows 300 to 320 from frame 5 on, and a person's foot below the mask. */
static void writing_stays_before_everybody(void **state) {
  VideoInfo info = video();
  g_autoptr(Image) alpha = image_new(W / 2, 2 * 20, 1);
  memset(image_at(alpha, 0, 25), 255, (gsize)(W / 2) * 10); /* the second span's rows 310 to 330 */
  int begin[] = {0, 5, 10};
  Front front = {0, 300, W, 40, 2, begin, alpha};
  Backing *backing = background_behind(&info, 0, &front);
  for (int index = 4; index < 6; index++) {
    AVFrame *clean = frame_new(), *frame = frame_new();
    paint(clean, 0);
    paint(frame, 0);
    g_autoptr(Image) mask = stand_in(frame, 70, 180);
    for (int y = 300 * MH / H - 1; y < MH; y++) /* where the mask ends too soon */
      memset(image_at(mask, 0, y), 0, MW);
    for (int y = 310; y < 330; y++)
      memset(frame->data[0] + y * frame->linesize[0], y % 4 ? 230 : 20, W);
    AVFrame *before = av_frame_clone(frame);
    assert_int_equal(av_frame_make_writable(frame), 0);
    const Image *masks[] = {mask};
    ComposeInput input = {.index = index, .backing = backing, .replaced = masks, .replaced_count = 1};
    Composer *composer = composer_new(&info, BACKGROUND_ORIGINAL, NULL);
    compose_frame(composer, frame, &input, NULL);
    for (int y = 310; y < 330; y++)
      for (int x = 80; x < 120; x++)
        if (index >= 5)
          assert_int_equal(luma(frame, x, y), luma(before, x, y));
        else
          assert_true(abs(luma(frame, x, y) - luma(clean, x, y)) < 12);
    for (int y = 302; y < 308; y++) /* what the mask left of the person is gone */
      for (int x = 80; x < 120; x++)
        assert_true(abs(luma(frame, x, y) - luma(clean, x, y)) < 12);
    composer_free(composer);
    av_frame_free(&before);
    av_frame_free(&clean);
    av_frame_free(&frame);
  }
  backing_free(backing);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_changes_without_people),
      cmocka_unit_test(people_vanish_in_changing_light),
      cmocka_unit_test(moving_cameras_read_the_right_place),
      cmocka_unit_test(others_keep_their_look),
      cmocka_unit_test(colours_follow_matrix_and_range),
      cmocka_unit_test(the_mask_is_the_alpha),
      cmocka_unit_test(edges_mix_with_what_is_below),
      cmocka_unit_test(shadows_darken_the_ground_only_there),
      cmocka_unit_test(writing_stays_before_everybody),
      cmocka_unit_test(the_same_twice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
