/* Conversion between a video's yuv420p and RGB, against the equations of the standards. */
#include "material.h"

#include <math.h>
#include <string.h>

#define SIDE 64

static const struct {
  int matrix;
  double kr, kb;
} matrices[] = {{AVCOL_SPC_BT709, 0.2126, 0.0722},
                {AVCOL_SPC_SMPTE170M, 0.299, 0.114},
                {AVCOL_SPC_BT470BG, 0.299, 0.114},
                {AVCOL_SPC_BT2020_NCL, 0.2627, 0.0593}};

static VideoInfo info_of(int matrix, int range) {
  return (VideoInfo){.width = SIDE, .height = SIDE, .matrix = matrix, .range = range};
}

static AVFrame *new_frame(void) {
  AVFrame *frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = frame->height = SIDE;
  assert_int_equal(av_frame_get_buffer(frame, 0), 0);
  return frame;
}

static void fill(Image *rgb, const guint8 *colour) {
  for (int i = 0; i < SIDE * SIDE; i++)
    memcpy(rgb->pixels + 3 * i, colour, 3);
}

static void colours_follow_the_matrix_and_the_range(void **state) {
  static const guint8 colours[][3] = {{0, 0, 0},   {255, 255, 255}, {255, 0, 0},   {0, 255, 0},
                                      {0, 0, 255}, {128, 128, 128}, {200, 90, 30}, {20, 60, 180}};
  for (guint m = 0; m < G_N_ELEMENTS(matrices); m++)
    for (int range = AVCOL_RANGE_UNSPECIFIED; range <= AVCOL_RANGE_JPEG; range++)
      for (guint i = 0; i < G_N_ELEMENTS(colours); i++) {
        const guint8 *c = colours[i];
        VideoInfo info = info_of(matrices[m].matrix, range);
        g_autoptr(ColourConverter) converter = colour_converter_new(&info);
        g_autoptr(Image) rgb = image_new(SIDE, SIDE, 3);
        AVFrame *frame = new_frame();
        fill(rgb, c);
        colour_from_rgb(converter, rgb, frame);
        gboolean full = range == AVCOL_RANGE_JPEG;
        double kr = matrices[m].kr, kb = matrices[m].kb;
        double y = kr * c[0] + (1 - kr - kb) * c[1] + kb * c[2];
        double u = (c[2] - y) / (2 * (1 - kb)), v = (c[0] - y) / (2 * (1 - kr));
        double want[3] = {full ? y : 16 + y * 219 / 255, 128 + u * (full ? 1 : 224 / 255.0),
                          128 + v * (full ? 1 : 224 / 255.0)};
        for (int p = 0; p < 3; p++)
          assert_float_equal(frame->data[p][20 * frame->linesize[p] + 20], CLAMP(want[p], 0, 255), 1.6);
        memset(rgb->pixels, 99, SIDE * SIDE * 3);
        colour_to_rgb(converter, frame, rgb);
        for (int p = 0; p < 3; p++)
          assert_float_equal(image_at(rgb, 40, 40)[p], c[p], 3);
        av_frame_free(&frame);
      }
}

/* There and back a background may not get darker or lighter (swscale's short way: a full step). */
static void there_and_back_has_no_bias(void **state) {
  VideoInfo info = info_of(AVCOL_SPC_BT709, AVCOL_RANGE_MPEG);
  g_autoptr(ColourConverter) converter = colour_converter_new(&info);
  g_autoptr(Image) rgb = image_new(SIDE, SIDE, 3), back = image_new(SIDE, SIDE, 3);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      for (int c = 0; c < 3; c++)
        image_at(rgb, x, y)[c] = (guint8)(128 + 90 * sin(0.02 * x + c) * cos(0.025 * y + c));
  AVFrame *frame = new_frame();
  colour_from_rgb(converter, rgb, frame);
  colour_to_rgb(converter, frame, back);
  double sum = 0, square = 0;
  for (int i = 0; i < SIDE * SIDE * 3; i++) {
    int d = back->pixels[i] - rgb->pixels[i];
    sum += d;
    square += d * d;
  }
  int count = SIDE * SIDE * 3;
  assert_true(fabs(sum / count) < 0.3);
  assert_true(10 * log10(255 * 255 * count / square) > 46);
  av_frame_free(&frame);
}

/* Frames of decoders have longer rows than pictures; sizes that are no multiple of anything must not matter.
 */
static void rows_may_be_padded(void **state) {
  VideoInfo info = {.width = 70, .height = 66, .matrix = AVCOL_SPC_BT709};
  g_autoptr(ColourConverter) converter = colour_converter_new(&info);
  g_autoptr(Image) rgb = image_new(70, 66, 3);
  AVFrame *frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = 70;
  frame->height = 66;
  assert_int_equal(av_frame_get_buffer(frame, 64), 0);
  for (int p = 0; p < 3; p++)
    memset(frame->data[p], p ? 128 : 126, (gsize)frame->linesize[p] * (p ? 33 : 66));
  colour_to_rgb(converter, frame, rgb);
  for (int i = 0; i < 70 * 66 * 3; i++)
    assert_in_range(rgb->pixels[i], 127, 129);
  av_frame_free(&frame);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(colours_follow_the_matrix_and_the_range),
      cmocka_unit_test(there_and_back_has_no_bias),
      cmocka_unit_test(rows_may_be_padded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
