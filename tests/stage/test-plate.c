#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "clip.h"
#include "stage/plate.h"

enum { W = 320, H = 240, FRAMES = 90 };

typedef struct {
  float noise;      /* levels, either way */
  float drift;      /* by which the exposure falls to the end, share */
  float sway;       /* pixels that the person walks to either side */
  float pan;        /* pixels that the camera moves per frame */
  float grow;       /* by which the camera zooms in per frame */
  int blind;        /* every so manieth frame the person goes unnoticed */
  gboolean caption; /* text that changes after a third of the clip, before everybody */
  float low;        /* pixels by which the person is lower than usual */
} Set;

typedef struct {
  Plate *plate;
  Image *truth; /* as the plate's key frame sees the world */
  Image *seen;  /* 255 where no mask was in some frame */
} Result;

static void result_clear(Result *result) {
  plate_free(result->plate);
  image_free(result->truth);
  image_free(result->seen);
}

static void world_at(const Set *set, int frame, float x, float y, float *u, float *v) {
  float scale = powf(1 + set->grow, (float)-frame);
  *u = (x - W / 2) * scale + W / 2 + set->pan * (float)frame;
  *v = (y - H / 2) * scale + H / 2;
}

static Image *background(const Set *set, int frame) {
  Image *rgb = image_new(W, H, 3);
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) {
      float u, v;
      world_at(set, frame, (float)x, (float)y, &u, &v);
      clip_background(u, v, image_at(rgb, x, y));
    }
  return rgb;
}

static void degrade(const Set *set, int frame, Image *rgb, guint32 *random) {
  float gain = 1 - set->drift * (float)frame / FRAMES;
  for (int i = 0; i < W * H * 3; i++) {
    float noise = set->noise > 0 ? (clip_unit(random) - 0.5f) * 2 * set->noise : 0;
    rgb->pixels[i] = (guint8)CLAMP((float)rgb->pixels[i] * gain + noise + 0.5f, 0.0f, 255.0f);
  }
}

enum { CAPTION_TOP = 200, CAPTION_BOTTOM = 225, CAPTION_CHANGE = FRAMES / 3 };

static gboolean in_caption(gboolean second, int x) {
  int from = second ? 170 : 20;
  return x >= from && x < from + 130 && x / 6 % 2;
}

static Result film(Set set) {
  VideoInfo info = clip_info(W, H);
  g_autoptr(ColourConverter) converter = colour_converter_new(&info);
  g_autoptr(PlateBuilder) builder = plate_builder_new(&info);
  gboolean moving = set.pan != 0 || set.grow != 0;
  float(*homography)[9] = moving ? g_malloc_n(FRAMES, sizeof *homography) : NULL;
  gboolean doubtful[FRAMES] = {0};
  Result result = {.seen = image_new(W, H, 1)};
  guint32 random = 1;
  for (int i = 0; i < FRAMES; i++) {
    g_autoptr(Image) rgb = background(&set, i), mask = image_new(W, H, 1);
    float cx = W / 2 + set.sway * sinf((float)i * 0.15f);
    clip_person(rgb, mask, cx, H * 0.55f + set.low, 42);
    for (int k = 0; k < W * H; k++)
      result.seen->pixels[k] |= mask->pixels[k] ? 0 : 255;
    for (int y = CAPTION_TOP; y < CAPTION_BOTTOM && set.caption; y++)
      for (int x = 0; x < W; x++)
        if (in_caption(i >= CAPTION_CHANGE, x))
          memset(image_at(rgb, x, y), 255, 3);
    degrade(&set, i, rgb, &random);
    doubtful[i] = set.blind && i % set.blind == 0;
    AVFrame *frame = clip_frame(converter, rgb);
    g_autoptr(Image) small = image_resize(mask, W / 2, H / 2);
    plate_builder_add(builder, frame, doubtful[i] ? NULL : small);
    av_frame_free(&frame);
    if (moving) {
      float x0, y0, x1, y1;
      world_at(&set, i, 0, 0, &x0, &y0);
      world_at(&set, i, 1, 1, &x1, &y1);
      memcpy(homography[i], (const float[9]){x1 - x0, 0, x0, 0, y1 - y0, y0, 0, 0, 1}, sizeof *homography);
    }
  }
  result.plate = plate_builder_finish(builder, doubtful, homography);
  /* The truth goes through the same colour format. */
  g_autoptr(Image) clean = background(&set, 0);
  float middle = 1 - set.drift / 2;
  for (int i = 0; i < W * H * 3; i++)
    clean->pixels[i] = (guint8)((float)clean->pixels[i] * middle + 0.5f);
  AVFrame *frame = clip_frame(converter, clean);
  result.truth = image_new(W, H, 3);
  colour_to_rgb(converter, frame, result.truth);
  av_frame_free(&frame);
  return result;
}

static double psnr_of(const Result *result, int known) {
  double psnr = clip_psnr(result->plate->picture, result->truth, result->plate->known, known);
  print_message("  %.1f dB\n", psnr);
  return psnr;
}

static double share_known(const Plate *plate) {
  int n = plate->picture->width * plate->picture->height, known = 0;
  for (int i = 0; i < n; i++)
    known += plate->known->pixels[i] > 0;
  return (double)known / n;
}

static void recovers_what_was_seen(void **state) {
  Result result = film((Set){.sway = 110});
  assert_true(result.plate->still);
  assert_int_equal(result.plate->count, FRAMES);
  for (int i = 0; i < FRAMES; i++)
    assert_memory_equal(result.plate->homography[i], ((float[]){1, 0, 0, 0, 1, 0, 0, 0, 1}), 36);
  assert_true(share_known(result.plate) > 0.98);
  assert_true(psnr_of(&result, 255) >= 40);
  double seen = clip_psnr(result.plate->picture, result.truth, result.seen, 255);
  print_message("  %.1f dB wherever the mask was ever off\n", seen);
  assert_true(seen >= 35);
  result_clear(&result);
}

static void bears_noise_and_drift(void **state) {
  Result result = film((Set){.sway = 110, .noise = 8, .drift = 0.25f});
  assert_true(psnr_of(&result, 255) >= 35);
  result_clear(&result);
}

static void shows_no_ghost_of_the_unnoticed(void **state) {
  Result result = film((Set){.sway = 110, .blind = 4});
  assert_true(psnr_of(&result, 255) >= 40);
  result_clear(&result);
}

static void fills_behind_somebody_who_stands(void **state) {
  Result result = film((Set){.sway = 3});
  double known = share_known(result.plate);
  assert_true(known > 0.80 && known < 0.95);
  assert_true(psnr_of(&result, 255) >= 40);
  assert_true(psnr_of(&result, 0) >= 15);
  /* nothing of the person's colours */
  for (int i = 0; i < W * H; i++)
    assert_true(result.plate->picture->pixels[i * 3] - result.plate->picture->pixels[i * 3 + 1] < 60);
  result_clear(&result);
}

static void sees_through_captions_that_change(void **state) {
  Result result = film((Set){.sway = 110, .caption = TRUE});
  g_autoptr(Image) line = image_new(W, H, 1);
  for (int y = 195; y < 230; y++)
    memset(image_at(line, 0, y), 255, W);
  double psnr = clip_psnr(result.plate->picture, result.truth, line, 255);
  print_message("  %.1f dB under the captions\n", psnr);
  assert_true(psnr >= 26); /* by majority: 14 */
  result_clear(&result);
}

/* Of the captions' places how many are found in front, and of all others. */
static void share_of_front(const Front *front, int span, double *inside, double *outside) {
  int hits[2] = {0}, all[2] = {0};
  for (int y = 0; y < H; y += 2)
    for (int x = 0; x < W; x += 2) {
      gboolean caption = y >= CAPTION_TOP && y + 1 < CAPTION_BOTTOM && in_caption(span, x);
      int u = (x - front->x) / 2, v = (y - front->y) / 2;
      gboolean within = x >= front->x && y >= front->y && u < front->width / 2 && v < front->height / 2;
      all[caption]++;
      hits[caption] += within && *image_at(front->alpha, u, span * (front->height / 2) + v) > 200;
    }
  *inside = (double)hits[1] / all[1];
  *outside = (double)hits[0] / all[0];
}

static void captions_stand_before_people(void **state) {
  const float sways[] = {110, 2};
  for (gsize k = 0; k < G_N_ELEMENTS(sways); k++) {
    Result result = film((Set){.sway = sways[k], .caption = TRUE, .low = 55});
    const Front *front = result.plate->front;
    assert_non_null(front);
    assert_int_equal(front->spans, 2);
    assert_memory_equal(front->begin, ((int[]){0, CAPTION_CHANGE, FRAMES}), 3 * sizeof(int));
    for (int span = 0; span < 2; span++) {
      double inside, outside;
      share_of_front(front, span, &inside, &outside);
      print_message("  %.3f of the caption, %.4f of the rest\n", inside, outside);
      assert_true(inside > 0.85 && outside < 0.01); /* before loud stripes colours mix */
    }
    result_clear(&result);
  }
}

static void nobody_stands_before_himself(void **state) {
  const Set sets[] = {{.sway = 3}, {.sway = 110}, {.sway = 110, .blind = 4}, {.sway = 60, .noise = 8}};
  for (gsize k = 0; k < G_N_ELEMENTS(sets); k++) {
    Result result = film(sets[k]);
    assert_null(result.plate->front);
    result_clear(&result);
  }
}

/* Mosaics are compared as a frame sees them. */
static void joins_what_a_moving_camera_saw(void **state) {
  const Set sets[] = {{.sway = 60, .pan = 2.3f}, {.sway = 60, .grow = 0.003f}};
  for (gsize k = 0; k < G_N_ELEMENTS(sets); k++) {
    Result result = film(sets[k]);
    assert_false(result.plate->still);
    assert_true(share_known(result.plate) > 0.7);
    for (int i = 0; i < FRAMES; i += 30) {
      g_autoptr(Image) view = image_new(W, H, 3), truth = background(&sets[k], i);
      plate_view(result.plate, i, view);
      double psnr = clip_psnr(view, truth, NULL, 0);
      print_message("  frame %d: %.1f dB\n", i, psnr);
      assert_true(psnr >= 33);
    }
    result_clear(&result);
  }
}

static void keeps_few_frames(void **state) {
  VideoInfo info = clip_info(64, 64);
  g_autoptr(PlateBuilder) builder = plate_builder_new(&info);
  AVFrame *frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = frame->height = 64;
  assert_true(av_frame_get_buffer(frame, 0) >= 0);
  for (int i = 0; i < 96; i++)
    memset(frame->data[i % 3], 100, 64 * 16);
  for (int i = 0; i < 1000; i++) {
    plate_builder_add(builder, frame, NULL);
    assert_true(av_buffer_get_ref_count(frame->buf[0]) <= PLATE_SAMPLES_MAX + 2); /* and the last */
  }
  assert_true(av_buffer_get_ref_count(frame->buf[0]) > PLATE_SAMPLES_MAX / 2 - 1);
  av_frame_free(&frame);
  g_autoptr(Plate) plate = plate_builder_finish(builder, NULL, NULL);
  assert_int_equal(plate->count, 1000);
  assert_true(share_known(plate) == 1.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(recovers_what_was_seen),
      cmocka_unit_test(bears_noise_and_drift),
      cmocka_unit_test(shows_no_ghost_of_the_unnoticed),
      cmocka_unit_test(fills_behind_somebody_who_stands),
      cmocka_unit_test(sees_through_captions_that_change),
      cmocka_unit_test(captions_stand_before_people),
      cmocka_unit_test(nobody_stands_before_himself),
      cmocka_unit_test(joins_what_a_moving_camera_saw),
      cmocka_unit_test(keeps_few_frames),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
