/* Reading video: what is understood, what is repaired, what is refused. Decoding by the ffmpeg command is the
 * truth. */
#include "material.h"
#include "media/upright.h"

#include <libavutil/display.h>
#include <string.h>

#define PICTURE "-f lavfi -i testsrc2=size=%dx%d:rate=25:duration=%g "
#define TONE "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=%g "
#define FAST "-c:v libx264 -preset ultrafast "

static void make_plain(const char *name, int width, int height, double seconds) {
  material_make(PICTURE FAST "%s", width, height, seconds, name);
}

/* Two recordings one after the other: the size changes, the clock starts again. */
static void make_both(void) {
  make_plain("large.ts", 160, 96, 0.6);
  make_plain("small.ts", 128, 128, 0.6);
  g_autoptr(GByteArray) both = material_read("large.ts"), second = material_read("small.ts");
  g_byte_array_append(both, second->data, second->len);
  material_write("both.ts", both->data, both->len);
}

/* Three frames at a time have the same one. */
static void make_thrice(void) {
  material_make(PICTURE FAST "-bf 0 -bsf:v setts=pts=ceil(PTS*TB/0.12)*0.12/TB:dts=DTS thrice.mkv", 160, 96,
                1.0);
}

/* The first frame as the ffmpeg command shows it, rotation applied, against ours. */
static void compare_with_ffmpeg(const char *name, const AVFrame *frame, const char *filter, int tolerance) {
  material_make("-i %s -frames:v 1 %s -pix_fmt yuv420p -f rawvideo first.yuv", name, filter);
  g_autoptr(GByteArray) raw = material_read("first.yuv");
  int w = frame->width, h = frame->height;
  assert_int_equal(raw->len, w * h * 3 / 2);
  const guint8 *truth = raw->data;
  for (int plane = 0; plane < 3; plane++) {
    int width = plane ? w / 2 : w, height = plane ? h / 2 : h;
    for (int y = 0; y < height; y++)
      for (int x = 0; x < width; x++, truth++) {
        int got = frame->data[plane][y * frame->linesize[plane] + x];
        if (abs(got - *truth) > tolerance)
          fail_msg("%s: plane %d at %d,%d is %d, not %d", name, plane, x, y, got, *truth);
      }
  }
}

static void a_plain_video_is_described_and_read(void **state) {
  material_make(PICTURE TONE FAST "-c:a aac plain.mp4", 160, 120, 2.0, 2.0);
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("plain.mp4", &info);
  assert_int_equal(frames->len, 50);
  assert_int_equal(info.width, 160);
  assert_int_equal(info.height, 120);
  assert_int_equal(info.frames, 50);
  assert_true(info.sound);
  assert_int_equal(info.frame_rate.num, 25);
  assert_int_equal(info.frame_rate.den, 1);
  assert_float_equal(info.seconds, 2.0, 1e-6);
  assert_int_equal(info.matrix, AVCOL_SPC_SMPTE170M);
  for (guint i = 0; i < frames->len; i++) {
    AVFrame *frame = frames->pdata[i];
    assert_float_equal((double)frame->pts * av_q2d(info.time_base), i / 25.0, 1e-6);
  }
  compare_with_ffmpeg("plain.mp4", frames->pdata[0], "", 0);
}

static void high_definition_without_a_matrix_is_bt709(void **state) {
  make_plain("hd.mp4", 1280, 64, 0.6);
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("hd.mp4", &info);
  assert_int_equal(info.matrix, AVCOL_SPC_BT709);
}

static void quarter_turns_in_the_metadata_are_applied(void **state) {
  make_plain("flat.mp4", 160, 96, 0.6);
  for (int angle = 0; angle < 360; angle += 90) {
    material_make("-i flat.mp4 -c copy -metadata:s:v rotate=%d turned.mp4", angle);
    VideoInfo info;
    g_autoptr(GPtrArray) frames = material_frames("turned.mp4", &info);
    assert_int_equal(frames->len, 15);
    assert_int_equal(info.width, angle % 180 ? 96 : 160);
    compare_with_ffmpeg("turned.mp4", frames->pdata[0], "", 0);
  }
}

static void a_quarter_turn_turns_the_sample_aspect_too(void **state) {
  material_make(PICTURE "-vf setsar=4/3 " FAST "unturned.mp4", 160, 96, 0.6);
  material_make("-i unturned.mp4 -c copy -metadata:s:v rotate=90 wide.mp4");
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("wide.mp4", &info);
  assert_int_equal(info.aspect.num, 3);
  assert_int_equal(info.aspect.den, 4);
}

/* All eight ways of lying, against the definition of the matrix. */
static void display_matrices_become_turns(void **state) {
  for (int angle = 0; angle < 360; angle += 90)
    for (int flip = 0; flip < 2; flip++) {
      gint32 m[9];
      av_display_rotation_set(m, angle + 4); /* nearly is enough */
      av_display_matrix_flip(m, flip, 0);
      Turn turn = turn_from_matrix(m);
      const int points[][2] = {{1, 0}, {0, 1}};
      for (int i = 0; i < 2; i++) {
        int x = points[i][0], y = points[i][1];
        double px = (double)(x * (gint64)m[0] + y * (gint64)m[3]) / 65536;
        double py = (double)(x * (gint64)m[1] + y * (gint64)m[4]) / 65536;
        int tx = turn.transpose ? y : x, ty = turn.transpose ? x : y;
        assert_float_equal(px, turn.flip_x ? -tx : tx, 0.08);
        assert_float_equal(py, turn.flip_y ? -ty : ty, 0.08);
      }
    }
  Turn none = turn_from_matrix(NULL);
  assert_false(none.transpose || none.flip_x || none.flip_y);
}

static void odd_sizes_lose_their_last_row_and_column(void **state) {
  material_make(PICTURE "-c:v ffv1 -pix_fmt yuv420p odd.mkv", 129, 97, 0.6);
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("odd.mkv", &info);
  assert_int_equal(info.width, 128);
  assert_int_equal(info.height, 96);
  compare_with_ffmpeg("odd.mkv", frames->pdata[0], "-vf crop=128:96:0:0:exact=1", 0);
}

static void variable_frame_times_are_kept(void **state) {
  material_make(PICTURE
                "-vf 'setpts=N*40/1000/TB+mod(N\\,5)*7/1000/TB' -fps_mode vfr -enc_time_base 1/1000 " FAST
                "vfr.mp4",
                160, 96, 1.0);
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("vfr.mp4", &info);
  g_autofree char *text = material_output(
      "ffprobe -v error -select_streams v:0 -show_entries frame=best_effort_timestamp -of csv=p=0 vfr.mp4");
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  guint n = 0;
  for (char **line = lines; *line; line++)
    if (g_ascii_isdigit(**line))
      assert_int_equal(((AVFrame *)frames->pdata[n++])->pts, g_ascii_strtoll(*line, NULL, 10));
  assert_int_equal(n, frames->len);
  assert_true(n > 15);
}

static void every_container_meant_is_read(void **state) {
  static const char *const files[][2] = {
      {"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus", "a.webm"},
      {"-c:v mpeg4 -c:a libmp3lame", "a.avi"},
      {"-c:v prores_ks -c:a pcm_s16le", "a.mov"},
      {"-c:v mjpeg -pix_fmt yuvj422p -c:a flac", "a.mkv"},
      {"-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le -c:a aac", "b.mp4"},
      {"-c:v mpeg2video -c:a mp2", "a.ts"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    material_make(PICTURE TONE "%s %s", 160, 96, 1.0, 1.0, files[i][0], files[i][1]);
    VideoInfo info;
    g_autoptr(GPtrArray) frames = material_frames(files[i][1], &info);
    assert_in_range(frames->len, 24, 25); /* FFmpeg's own AVI lacks one */
    assert_true(info.sound);
    assert_float_equal(info.seconds, 1.0, 0.09);
    assert_in_range(info.frames, 24, 27);
    assert_true(info.matrix == AVCOL_SPC_SMPTE170M || info.matrix == AVCOL_SPC_BT470BG);
  }
}

static void ten_bits_become_eight(void **state) {
  material_make("-f lavfi -i color=c=0x406080:size=160x96:rate=25:duration=0.6 -pix_fmt yuv420p10le -c:v "
                "ffv1 deep.mkv");
  g_autoptr(GPtrArray) frames = material_frames("deep.mkv", NULL);
  compare_with_ffmpeg("deep.mkv", frames->pdata[0], "", 1);
}

/* A colour card in both transfers of high dynamic range, diffuse white at 203 cd/m2, comes back as it was. */
static void high_dynamic_range_becomes_ordinary(void **state) {
  static const char *const transfers[] = {"arib-std-b67", "smpte2084"};
  for (guint i = 0; i < G_N_ELEMENTS(transfers); i++) {
    material_make("-f lavfi -i color=c=0x905030:size=160x96:rate=25:duration=0.6,format=yuv444p "
                  "-vf setparams=color_trc=bt709:color_primaries=bt709:colorspace=smpte170m:range=limited,"
                  "zscale=t=linear:npl=203,format=gbrpf32le,"
                  "zscale=p=bt2020:t=%s:m=bt2020nc:r=limited:npl=203,format=yuv420p10le "
                  "-c:v libx265 -x265-params log-level=none -colorspace bt2020nc -color_primaries bt2020 "
                  "-color_trc %s hdr.mp4",
                  transfers[i], transfers[i]);
    VideoInfo info;
    g_autoptr(GPtrArray) frames = material_frames("hdr.mp4", &info);
    assert_int_equal(info.transfer, AVCOL_TRC_BT709);
    assert_int_equal(info.matrix, AVCOL_SPC_BT709);
    g_autoptr(ColourConverter) converter = colour_converter_new(&info);
    g_autoptr(Image) rgb = image_new(info.width, info.height, 3);
    colour_to_rgb(converter, frames->pdata[7], rgb);
    const guint8 *pixel = image_at(rgb, 80, 48), want[3] = {0x90, 0x50, 0x30};
    for (int c = 0; c < 3; c++)
      assert_in_range(pixel[c], want[c] - 5, want[c] + 5);
  }
}

static void full_range_stays_full_range(void **state) {
  material_make(
      "-f lavfi -i testsrc2=size=160x96:rate=25:duration=0.6 -pix_fmt yuvj420p -c:v mjpeg -q:v 2 full.avi");
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("full.avi", &info);
  assert_int_equal(info.range, AVCOL_RANGE_JPEG);
  material_make("-i full.avi -frames:v 1 -f rawvideo full.yuv");
  g_autoptr(GByteArray) raw = material_read("full.yuv");
  AVFrame *frame = frames->pdata[0];
  for (int y = 0; y < 96; y++)
    assert_memory_equal(frame->data[0] + y * frame->linesize[0], raw->data + y * 160, 160);
}

static void rgb_is_converted_by_the_matrix_that_is_stated(void **state) {
  for (int size = 96; size <= 720; size += 624) {
    material_make(
        "-f lavfi -i color=c=0xc04020:size=96x%d:rate=25:duration=0.6,format=bgr0 -c:v ffv1 rgb.mkv", size);
    VideoInfo info;
    g_autoptr(GPtrArray) frames = material_frames("rgb.mkv", &info);
    assert_int_equal(info.matrix, size == 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M);
    g_autoptr(ColourConverter) converter = colour_converter_new(&info);
    g_autoptr(Image) rgb = image_new(info.width, info.height, 3);
    colour_to_rgb(converter, frames->pdata[0], rgb);
    const guint8 *pixel = image_at(rgb, 40, 40), want[3] = {0xc0, 0x40, 0x20};
    for (int c = 0; c < 3; c++)
      assert_in_range(pixel[c], want[c] - 3, want[c] + 3);
  }
}

static void cover_pictures_are_passed_over(void **state) {
  material_make("-f lavfi -i color=c=red:size=300x300 -frames:v 1 cover.png");
  material_make(PICTURE TONE FAST "-c:a aac real.mp4", 160, 96, 0.6, 0.6);
  material_make("-i cover.png -i real.mp4 -map 0 -map 1 -c copy -disposition:v:0 attached_pic covered.mp4");
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("covered.mp4", &info);
  assert_int_equal(info.width, 160);
  assert_int_equal(frames->len, 15);
}

static void the_size_may_change_and_the_clock_may_start_again(void **state) {
  make_both();
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("both.ts", &info);
  assert_int_equal(info.width, 160);
  assert_int_equal(frames->len, 30);
  const AVFrame *first = frames->pdata[0], *last = frames->pdata[29];
  assert_float_equal((double)(last->pts - first->pts) * av_q2d(info.time_base), 29 / 25.0, 0.1);
}

static void a_broadcast_clock_is_moved_to_zero(void **state) {
  material_make(PICTURE FAST "-output_ts_offset 5000 late.ts", 160, 96, 0.6);
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("late.ts", &info);
  assert_true((double)((AVFrame *)frames->pdata[0])->pts * av_q2d(info.time_base) < 0.1);
}

static void equal_times_are_made_to_increase(void **state) {
  make_thrice();
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("thrice.mkv", &info); /* asserts the increase */
  assert_true(frames->len >= 24);
}

static void damage_in_the_middle_costs_only_what_it_hits(void **state) {
  material_make(PICTURE FAST "-g 10 hurt.mkv", 160, 96, 4.0);
  g_autoptr(GByteArray) bytes = material_read("hurt.mkv");
  for (guint i = bytes->len / 3; i < bytes->len / 3 + 3000; i++)
    bytes->data[i] = (guint8)(i * 37 ^ i >> 3);
  material_write("hurt.mkv", bytes->data, bytes->len);
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("hurt.mkv", &info);
  assert_true(frames->len >= 70);
  assert_true((double)((AVFrame *)frames->pdata[frames->len - 1])->pts * av_q2d(info.time_base) > 3.9);
}

static void a_recording_without_a_length_is_measured(void **state) {
  material_make(PICTURE "-c:v libvpx -deadline realtime -cpu-used 8 -f webm -live 1 live.webm", 160, 96, 1.0);
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames("live.webm", &info);
  assert_int_equal(frames->len, 25);
  assert_float_equal(info.seconds, 1.0, 0.05);
  assert_int_equal(info.frames, 25);
}

/* ---- beginning in the middle ---- */

static void assert_same_frame(const AVFrame *got, const AVFrame *want) {
  assert_int_equal(got->pts, want->pts);
  for (int plane = 0; plane < 3; plane++)
    for (int y = 0; y < (plane ? want->height / 2 : want->height); y++)
      assert_memory_equal(got->data[plane] + y * got->linesize[plane],
                          want->data[plane] + y * want->linesize[plane],
                          plane ? want->width / 2 : want->width);
}

/* What comes when the file is opened at the frame, and whether those before it were passed over. */
static gboolean opens_at(const char *name, const GPtrArray *frames, int number) {
  g_autofree char *path = material_path(name);
  g_autoptr(GError) error = NULL;
  int first = number;
  g_autoptr(VideoIn) in = video_in_open_at(path, (int)frames->len, &first, &error);
  assert_non_null(in);
  assert_true(first == number || first == 0);
  guint n = (guint)first;
  for (AVFrame *frame; (frame = video_in_next(in, &error)); av_frame_free(&frame)) {
    assert_true(n < frames->len);
    assert_same_frame(frame, frames->pdata[n++]);
  }
  assert_null(error);
  assert_int_equal(n, frames->len);
  return first == number;
}

static void reading_may_begin_in_the_middle(void **state) {
  static const char *const files[][2] = {
      {"-c:v libx264 -preset veryfast -b_strategy 0", "one.mp4"}, /* a single key frame */
      {"-c:v libx264 -preset veryfast -g 7 -x264-params open-gop=1:b-pyramid=strict", "open.mp4"},
      {"-c:v libx264 -preset veryfast -g 12 -output_ts_offset 0.3", "late.mov"},
      {"-vf 'setpts=N*40/1000/TB+mod(N\\,5)*7/1000/TB' -fps_mode vfr -enc_time_base 1/1000 -c:v libx264 -g 9",
       "uneven.mkv"},
      {"-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=10", "a.mp4"},
      {"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 10", "b.webm"},
      {"-c:v mpeg4 -g 10 -bf 2", "c.mp4"},
      {"-c:v mjpeg -pix_fmt yuvj422p", "d.mov"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    material_make(PICTURE "%s %s", 160, 96, 1.6, files[i][0], files[i][1]);
    g_autoptr(GPtrArray) frames = material_frames(files[i][1], NULL);
    for (int number = 0; number < (int)frames->len; number += i == 0 ? 1 : 3)
      if (!opens_at(files[i][1], frames, number))
        fail_msg("%s does not open at frame %d", files[i][1], number);
  }
}

/* Whatever the file is like: the same frames as when all are read, if need be by reading all. */
static void strange_files_are_read_from_the_beginning(void **state) {
  make_both();
  make_thrice();
  material_make(PICTURE FAST "raw.h264", 160, 96, 1.0);
  static const char *const files[] = {"both.ts", "thrice.mkv", "raw.h264"};
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    g_autoptr(GPtrArray) frames = material_frames(files[i], NULL);
    for (int number = 0; number < (int)frames->len; number += 4)
      opens_at(files[i], frames, number);
  }
  make_plain("plain.mp4", 160, 96, 1.0);
  g_autoptr(GPtrArray) frames = material_frames("plain.mp4", NULL);
  g_autofree char *path = material_path("plain.mp4");
  int first = 20; /* who believes that there are more frames than there are must find out */
  g_autoptr(VideoIn) in = video_in_open_at(path, (int)frames->len + 1, &first, NULL);
  assert_non_null(in);
  assert_int_equal(first, 0);
}

/* ---- refusals ---- */

static void refuse(const char *name, Fault kind) {
  g_autofree char *path = material_path(name);
  g_autoptr(GError) error = NULL;
  g_autoptr(VideoIn) in = video_in_open(path, &error);
  for (AVFrame *frame; in && (frame = video_in_next(in, &error)); av_frame_free(&frame))
    ;
  if (!error)
    fail_msg("%s was read to its end", name);
  material_expect_fault(&error, kind, name);
}

static void what_is_no_video_is_refused(void **state) {
  static const char text[] = "This is not a video at all, whatever its name says.\n";
  static const char list[] = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nreal.ts\n#EXT-X-ENDLIST\n";
  static const char concat[] = "ffconcat version 1.0\nfile real.ts\n";
  make_plain("real.ts", 160, 96, 0.6);
  material_write("text.mp4", text, strlen(text));
  material_write("list.mp4", list, strlen(list));
  material_write("concat.mp4", concat, strlen(concat));
  material_write("empty.mp4", "", 0);
  refuse("text.mp4", FAULT_INPUT);
  refuse("list.mp4", FAULT_INPUT);
  refuse("concat.mp4", FAULT_INPUT);
  refuse("empty.mp4", FAULT_INPUT);
  refuse("missing.mp4", FAULT_INPUT);
  refuse(".", FAULT_INPUT);
  material_make("-f lavfi -i sine=duration=1 -c:a aac sound.mp4");
  refuse("sound.mp4", FAULT_INPUT);
}

static void cut_off_files_are_refused_or_read_as_far_as_they_go(void **state) {
  make_plain("whole.mp4", 160, 96, 2.0);
  g_autoptr(GByteArray) mp4 = material_read("whole.mp4");
  material_write("cut.mp4", mp4->data, mp4->len / 2);
  refuse("cut.mp4", FAULT_INPUT);
  make_plain("whole.mkv", 160, 96, 2.0);
  g_autoptr(GByteArray) mkv = material_read("whole.mkv");
  material_write("cut.mkv", mkv->data, mkv->len * 3 / 4);
  g_autoptr(GPtrArray) frames = material_frames("cut.mkv", NULL);
  assert_in_range(frames->len, 20, 49);
  material_write("stump.mkv", mkv->data, mkv->len / 8);
  refuse("stump.mkv", FAULT_LIMIT);
}

static void limits_are_checked_on_the_header(void **state) {
  make_plain("short.mp4", 160, 96, 0.2);
  make_plain("small.mp4", 48, 96, 0.6);
  make_plain("large.mp4", 4100, 64, 0.6);
  material_make("-f lavfi -i color=size=64x64:rate=1:duration=310 " FAST "long.mp4");
  refuse("short.mp4", FAULT_LIMIT);
  refuse("small.mp4", FAULT_LIMIT);
  refuse("large.mp4", FAULT_LIMIT);
  refuse("long.mp4", FAULT_LIMIT);
  g_autofree char *path = material_path("huge.mp4");
  FILE *file = fopen(path, "w");
  assert_int_equal(fseek(file, VIDEO_MAX_BYTES, SEEK_SET), 0);
  fputc(0, file);
  fclose(file);
  refuse("huge.mp4", FAULT_LIMIT);
}

static guint8 *find_box(GByteArray *file, const char *type) {
  guint8 *box = memmem(file->data, file->len, type, 4);
  assert_non_null(box);
  return box + 4;
}

static void write_be32(guint8 *at, guint32 value) {
  value = GUINT32_TO_BE(value);
  memcpy(at, &value, 4);
}

static void a_lying_header_is_found_out_while_decoding(void **state) {
  material_make("-f lavfi -i color=size=64x64:rate=1:duration=310 " FAST "-use_editlist 0 lying.mp4");
  g_autoptr(GByteArray) bytes = material_read("lying.mp4");
  guint8 *mdhd = find_box(bytes, "mdhd"); /* version, flags, created, modified, scale, duration */
  guint32 scale;
  memcpy(&scale, mdhd + 12, 4);
  write_be32(mdhd + 16, 10 * GUINT32_FROM_BE(scale));
  write_be32(find_box(bytes, "mvhd") + 16, 10 * 1000);
  write_be32(find_box(bytes, "tkhd") + 20, 10 * 1000);
  material_write("lying.mp4", bytes->data, bytes->len);
  refuse("lying.mp4", FAULT_LIMIT);

  make_plain("larger.mp4", 4100, 64, 0.6);
  g_autoptr(GByteArray) larger = material_read("larger.mp4");
  guint8 *entry = find_box(larger, "avc1"); /* the first is the brand */
  entry = (guint8 *)memmem(entry, larger->len - (gsize)(entry - larger->data), "avc1", 4) + 4;
  entry[24] = 64 >> 8, entry[25] = 64;
  material_write("larger.mp4", larger->data, larger->len);
  refuse("larger.mp4", FAULT_LIMIT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plain_video_is_described_and_read),
      cmocka_unit_test(high_definition_without_a_matrix_is_bt709),
      cmocka_unit_test(quarter_turns_in_the_metadata_are_applied),
      cmocka_unit_test(a_quarter_turn_turns_the_sample_aspect_too),
      cmocka_unit_test(display_matrices_become_turns),
      cmocka_unit_test(odd_sizes_lose_their_last_row_and_column),
      cmocka_unit_test(variable_frame_times_are_kept),
      cmocka_unit_test(every_container_meant_is_read),
      cmocka_unit_test(ten_bits_become_eight),
      cmocka_unit_test(high_dynamic_range_becomes_ordinary),
      cmocka_unit_test(full_range_stays_full_range),
      cmocka_unit_test(rgb_is_converted_by_the_matrix_that_is_stated),
      cmocka_unit_test(cover_pictures_are_passed_over),
      cmocka_unit_test(the_size_may_change_and_the_clock_may_start_again),
      cmocka_unit_test(a_broadcast_clock_is_moved_to_zero),
      cmocka_unit_test(equal_times_are_made_to_increase),
      cmocka_unit_test(damage_in_the_middle_costs_only_what_it_hits),
      cmocka_unit_test(a_recording_without_a_length_is_measured),
      cmocka_unit_test(reading_may_begin_in_the_middle),
      cmocka_unit_test(strange_files_are_read_from_the_beginning),
      cmocka_unit_test(what_is_no_video_is_refused),
      cmocka_unit_test(cut_off_files_are_refused_or_read_as_far_as_they_go),
      cmocka_unit_test(limits_are_checked_on_the_header),
      cmocka_unit_test(a_lying_header_is_found_out_while_decoding),
  };
  return cmocka_run_group_tests(tests, material_setup, material_teardown);
}
